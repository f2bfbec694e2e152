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
	NewWireKey  bool   `help:"Make a new key for what replicas tell each other, such as after a backup was lost. Replicas that run read it at once. Use the role of the replicas."`
	Presence    string `enum:"as-is,logged,unlogged" default:"as-is" help:"Whether the tables that say who is here are logged: then a hot standby can be asked, too, and the primary writes more. New ones are unlogged. Replicas may run meanwhile (${enum})."`
}

// Run brings the schema up to what this binary knows, and does what else is asked for.
func (c migrateCommand) Run(ctx context.Context) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if err := postgres.Migrate(ctx, c.DatabaseURL, log); err != nil {
		return postgres.Advise(err)
	}
	if c.Presence != "as-is" {
		if err := postgres.SetPresence(ctx, c.DatabaseURL, c.Presence == "logged", log); err != nil {
			return err
		}
	}
	if c.NewWireKey {
		if err := postgres.RenewWireKey(ctx, c.DatabaseURL, log); err != nil {
			return err
		}
	}
	return postgres.CheckSchema(ctx, c.DatabaseURL)
}
