package postgres

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"layercake/migrations"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

const (
	// lockTable is where goose keeps the lock of migrations, which it makes itself. The role that migrates owns it.
	lockTable = "goose_lock"
	// lockLease is how long the others wait for a migration whose process died. It is renewed while a migration runs, however long.
	lockLease, lockRenewal = 15 * time.Second, 3 * time.Second
	lockTries              = 120 // a second each
)

// Migrate brings the schema up to what this binary knows, under a lock, so that replicas that start together take turns, then replaces the
// contract for DBAs (migrations/api). A schema that is newer is left alone; CheckSchema says whether this binary may use it.
//
// The lock is a row of a table that only the role of the replicas can write. Advisory locks can be held by any role of the database, and
// so keep replicas from starting. Replicas of the release before know no other, so it is taken, too, while one of them lives. (One that
// only just starts has no lease yet. When its migration and ours meet, the database refuses one of them, whose replica starts again.)
func Migrate(ctx context.Context, url string, log *slog.Logger) (err error) {
	database, provider, err := provider(url)
	if err != nil {
		return err
	}
	defer func() { _ = database.Close() }()
	conn, err := database.Conn(ctx)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	defer func() { _ = conn.Close() }() // which gives the session lock back, too
	// The locks are taken here and not by the provider, which makes its own table before it locks.
	unlock, err := lockMigrations(ctx, database, log)
	if err != nil {
		return fmt.Errorf("wait for another migration: %w", err)
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if err := lockFormer(ctx, conn); err != nil {
		return fmt.Errorf("wait for a migration by the release before (pg_locks names whoever holds its advisory lock): %w", err)
	}
	results, err := provider.Up(ctx)
	for _, r := range results {
		log.InfoContext(ctx, "migrated", "migration", r.Source.Path, "took", r.Duration)
	}
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	version, err := provider.GetDBVersion(ctx)
	if err != nil {
		return fmt.Errorf("read the schema's version: %w", err)
	}
	if sources := provider.ListSources(); version > sources[len(sources)-1].Version {
		return nil // a newer binary has replaced the contract, too
	}
	return replaceAPI(ctx, conn, log)
}

// lockMigrations takes the lock of this release, and returns what gives it back.
func lockMigrations(ctx context.Context, database *sql.DB, log *slog.Logger) (unlock func() error, err error) {
	locker, err := lock.NewPostgresTableLocker(
		lock.WithTableName(lockTable), lock.WithTableLogger(log), lock.WithTableLeaseDuration(lockLease),
		lock.WithTableHeartbeatInterval(lockRenewal), lock.WithTableLockTimeout(time.Second, lockTries),
		// What the database refuses it will refuse again. That another migration has the lock is no error of the database.
		lock.WithTableRetryPolicy(func(err error) bool { return State(err) == "" }),
	)
	if err != nil {
		return nil, err
	}
	if err := locker.Lock(ctx, database); err != nil {
		return nil, err
	}
	return func() error { return locker.Unlock(ctx, database) }, nil
}

// tableLocks is the first wire version of replicas whose migrations lock a row of a table.
const tableLocks = 3

// lockFormer takes the lock of the release before while one of its replicas lives. In its schema, leases may have no wire version, and a
// new database has no leases.
func lockFormer(ctx context.Context, conn *sql.Conn) error {
	const ask = `SELECT EXISTS (SELECT FROM replicas r
		WHERE r.expires_at > now() AND coalesce((to_jsonb(r) ->> 'wire')::int, 1) < $1)`
	var lives bool
	err := conn.QueryRowContext(ctx, ask, tableLocks).Scan(&lives)
	if State(err) == UndefinedTable || err == nil && !lives {
		return nil
	}
	if err != nil {
		return err
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, lockTries))
	if err != nil {
		return err
	}
	return locker.SessionLock(ctx, conn)
}

// replaceAPI replaces the contract for DBAs in one transaction, unless it is the one of this binary. The schema's comment holds the hash
// of the contract in the database, so that replicas that start take no lock on views that people read.
func replaceAPI(ctx context.Context, conn *sql.Conn, log *slog.Logger) error {
	contract, hash, err := readAPI()
	if err != nil {
		return fmt.Errorf("read the SQL contract: %w", err)
	}
	comment := "What DBAs may rely on. Contract " + hash + "."
	var there sql.NullString
	const find = "SELECT obj_description(to_regnamespace('layercake'), 'pg_namespace')"
	if err := conn.QueryRowContext(ctx, find).Scan(&there); err != nil {
		return fmt.Errorf("look for the SQL contract: %w", err)
	}
	if there.String == comment {
		return nil
	}
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("replace the SQL contract: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // after Commit it does nothing
	contract += "\nCOMMENT ON SCHEMA layercake IS '" + comment + "';"
	if _, err := tx.ExecContext(ctx, contract, pgx.QueryExecModeSimpleProtocol); err != nil {
		return fmt.Errorf("replace the SQL contract: %w", err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("replace the SQL contract: %w", err)
	}
	log.InfoContext(ctx, "replaced the SQL contract", "contract", hash)
	return nil
}

// readAPI returns the statements of the contract, and their hash.
func readAPI() (contract, hash string, err error) {
	files, err := fs.Glob(migrations.API, "api/*.sql")
	if err != nil {
		return "", "", err
	}
	for _, name := range files { // sorted by name, which is the order of execution
		b, err := migrations.API.ReadFile(name)
		if err != nil {
			return "", "", err
		}
		contract += string(b) + "\n"
	}
	sum := sha256.Sum256([]byte(contract))
	return contract, hex.EncodeToString(sum[:6]), nil
}

// CheckSchema fails unless this binary may use the database's schema: every migration that it knows is applied, and none that
// came later needs a newer binary.
func CheckSchema(ctx context.Context, url string) error {
	database, provider, err := provider(url)
	if err != nil {
		return err
	}
	defer func() { _ = database.Close() }()
	pending, err := provider.HasPending(ctx)
	if err != nil {
		return fmt.Errorf("compare schema: %w", err)
	}
	if pending {
		return errors.New("the schema is older than this binary: run `layercake migrate`, or start with LAYERCAKE_MIGRATE=auto")
	}
	sources := provider.ListSources()
	known := sources[len(sources)-1].Version
	var least int64
	if err := database.QueryRowContext(ctx, "SELECT min_binary_schema FROM binaries").Scan(&least); err != nil {
		return fmt.Errorf("read min_binary_schema: %w", err)
	}
	if known < least {
		return fmt.Errorf("the schema needs a binary that knows migration %d, this one knows %d: upgrade it", least, known)
	}
	return nil
}

// maintenance is a session without a statement time-out: building an index on a large table takes long.
var maintenance = Session{Application: "layercake migrate"}

func provider(url string) (*sql.DB, *goose.Provider, error) {
	cfg, err := maintenance.Parse(url)
	if err != nil {
		return nil, nil, err
	}
	database := stdlib.OpenDB(*cfg)
	p, err := goose.NewProvider(goose.DialectPostgres, database, migrations.FS, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("read migrations: %w", err), database.Close())
	}
	return database, p, nil
}
