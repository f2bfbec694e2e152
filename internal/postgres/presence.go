package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
)

// Converting the tables waits while somebody reads them, and renewals of leases wait behind it. So it gives up before leases expire, and
// tries again.
const (
	convertWait  = time.Second
	convertTries = 30
)

// SetPresence makes the tables that say who is here, and which replica builds what, logged or unlogged. Logged ones can be read on a hot
// standby and outlive a crash; each change of presence then waits for the disk. Tables that are as asked are left alone.
func SetPresence(ctx context.Context, url string, logged bool, log *slog.Logger) error {
	conn, err := maintenance.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("convert presence: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for try := 1; ; try++ {
		converted, err := convertPresence(ctx, conn, logged)
		if state := State(err); (state == LockNotAvailable || state == DeadlockDetected) && try < convertTries { // somebody reads or writes
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(convertWait/2 + rand.N(convertWait)):
			}
			continue
		}
		if err != nil {
			return fmt.Errorf("convert presence: %w", err)
		}
		if converted {
			log.InfoContext(ctx, "converted the tables of presence", "logged", logged)
		}
		return nil
	}
}

func convertPresence(ctx context.Context, conn *pgx.Conn, logged bool) (converted bool, err error) {
	// A logged table cannot refer to an unlogged one.
	statements := []string{"ALTER TABLE claims SET UNLOGGED", "ALTER TABLE presence SET UNLOGGED", "ALTER TABLE replicas SET UNLOGGED"}
	if logged {
		statements = []string{"ALTER TABLE replicas SET LOGGED", "ALTER TABLE presence SET LOGGED", "ALTER TABLE claims SET LOGGED"}
	}
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		const ask = `SELECT bool_or((relpersistence = 'p') <> $1) FROM pg_class
			WHERE oid IN ('replicas'::regclass, 'presence'::regclass, 'claims'::regclass)`
		if err := tx.QueryRow(ctx, ask, logged).Scan(&converted); err != nil || !converted {
			return err
		}
		if _, err := tx.Exec(ctx, fmt.Sprintf("SET LOCAL lock_timeout = %d", convertWait.Milliseconds())); err != nil {
			return err
		}
		for _, statement := range statements {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	})
	return converted, err
}
