package main

import (
	"context"
	"log/slog"
	"os"

	"layercake/internal/postgres"
)

// migrateCommand prepares a database for serve --migrate=check.
type migrateCommand struct {
	DatabaseURL string `env:"LAYERCAKE_LISTEN_DATABASE_URL,LAYERCAKE_DATABASE_URL,DATABASE_URL" required:"" placeholder:"URL" help:"PostgreSQL to migrate, directly."`
}

// Run brings the schema up to what this binary knows.
func (c migrateCommand) Run(ctx context.Context) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if err := postgres.Migrate(ctx, c.DatabaseURL, log); err != nil {
		return err
	}
	return postgres.CheckSchema(ctx, c.DatabaseURL)
}
