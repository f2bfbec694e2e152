package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"layercake/internal/operate"
	"layercake/internal/postgres"
)

// doctorTime is the limit of a look at a deployment.
const doctorTime = 15 * time.Second

// doctorCommand looks at a deployment through its database.
type doctorCommand struct {
	DatabaseURL string `env:"LAYERCAKE_LISTEN_DATABASE_URL,LAYERCAKE_DATABASE_URL,DATABASE_URL" required:"" placeholder:"URL" help:"The deployment's PostgreSQL, directly. A role that layercake.grant_reader was called for will do."`
}

// Run prints the rows of layercake.health. It fails when one of them does.
func (c doctorCommand) Run(ctx context.Context) error {
	return diagnose(ctx, c.DatabaseURL, os.Stdout)
}

func diagnose(ctx context.Context, url string, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, doctorTime)
	defer cancel()
	conn, err := postgres.Session{Application: "layercake doctor"}.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("the database cannot be reached: %w", postgres.Advise(err))
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	findings, err := operate.Diagnose(ctx, conn)
	if err != nil {
		return err
	}
	failed := 0
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, f := range findings {
		fmt.Fprintf(table, "%s\t%s\t%s\n", f.Status, f.Check, f.Detail)
		if f.Advice != "" {
			fmt.Fprintf(table, "\t\t-> %s\n", f.Advice)
		}
		if f.Status == "fail" {
			failed++
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("checks that failed: %d of %d", failed, len(findings))
	}
	return nil
}
