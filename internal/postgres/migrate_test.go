package postgres_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"layercake/internal/postgres"
	"layercake/internal/postgres/pgtest"

	"github.com/pressly/goose/v3/lock"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Main(m)) }

// emptyDatabase returns the URL of a database without any schema.
func emptyDatabase(t *testing.T) string {
	t.Helper()
	migrated := pgtest.New(t)
	pgtest.Exec(t, pgtest.Connect(t, migrated), "DROP SCHEMA public CASCADE")
	pgtest.Exec(t, pgtest.Connect(t, migrated), "CREATE SCHEMA public")
	return migrated
}

func TestReplicasThatStartTogetherTakeTurns(t *testing.T) {
	t.Parallel()
	url := emptyDatabase(t)
	var g errgroup.Group
	var logs [5]bytes.Buffer
	for i := range logs {
		g.Go(func() error { return postgres.Migrate(t.Context(), url, slog.New(slog.NewTextHandler(&logs[i], nil))) })
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	migrated := 0
	for i := range logs {
		migrated += strings.Count(logs[i].String(), "00001_binaries.sql")
	}
	if migrated != 1 {
		t.Errorf("the first migration ran %d times, want 1", migrated)
	}
	if err := postgres.CheckSchema(t.Context(), url); err != nil {
		t.Error(err)
	}
}

// Any role may take any advisory lock. The numbers are those that the release before locked: goose's and that of the clean-up.
func TestAdvisoryLocksOfOthersKeepNobodyFromMigrating(t *testing.T) {
	t.Parallel()
	url := emptyDatabase(t)
	stranger := pgtest.Connect(t, url)
	pgtest.Exec(t, stranger, "SELECT pg_advisory_lock($1)", lock.DefaultLockID)
	for range 2 { // on an empty schema, and on one with leases
		if err := postgres.Migrate(t.Context(), url, slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
		pgtest.Exec(t, stranger, `INSERT INTO replicas (incarnation, version, address, wire, renewed_at, expires_at)
			VALUES (gen_random_uuid(), 'lives', '', 3, now(), now() + interval '1 h'),
				(gen_random_uuid(), 'is dead', '', 2, now() - interval '1 h', now() - interval '1 s')`)
	}
	if n := pgtest.Count(t, stranger, "SELECT count(*) FROM goose_lock WHERE locked"); n != 0 {
		t.Errorf("%d locks are left", n)
	}
}

// A replica of the release before that lives may start another beside it, whose migrations know the session lock only.
func TestMigrationTakesTurnsWithThoseOfTheReleaseBefore(t *testing.T) {
	t.Parallel()
	for name, schema := range map[string]struct{ former, current string }{
		"that has wire versions": {"ALTER TABLE replicas ALTER COLUMN wire SET DEFAULT 2", "ALTER TABLE replicas ALTER COLUMN wire SET DEFAULT 1"},
		"that has none": {
			"DROP SCHEMA layercake CASCADE; ALTER TABLE replicas DROP COLUMN wire", "ALTER TABLE replicas ADD COLUMN wire integer NOT NULL DEFAULT 1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := pgtest.New(t)
			former, watcher := pgtest.Connect(t, url), pgtest.Connect(t, url)
			pgtest.Exec(t, former, schema.former)
			pgtest.Exec(t, former, `INSERT INTO replicas (incarnation, version, address, expires_at)
				VALUES (gen_random_uuid(), 'old', '', now() + interval '1 h')`)
			pgtest.Exec(t, former, "SELECT pg_advisory_lock($1)", lock.DefaultLockID)
			migrated := make(chan error, 1)
			ctx := context.WithoutCancel(t.Context())
			go func() { migrated <- postgres.Migrate(ctx, url, slog.New(slog.DiscardHandler)) }()
			pgtest.AwaitCount(t, watcher, 1, `SELECT count(*) FROM pg_stat_activity
				WHERE datname = current_database() AND query LIKE 'SELECT pg_try_advisory_lock%'`)
			select {
			case err := <-migrated:
				t.Errorf("it did not wait: %v", err)
				return
			default:
			}
			pgtest.Exec(t, former, schema.current)
			pgtest.Exec(t, former, "SELECT pg_advisory_unlock($1)", lock.DefaultLockID)
			if err := <-migrated; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestCheckSchema(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	if err := postgres.CheckSchema(t.Context(), url); err != nil {
		t.Errorf("a current schema: %v", err)
	}
	pgtest.Exec(t, pgtest.Connect(t, url), "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, true)")
	if err := postgres.CheckSchema(t.Context(), url); err != nil {
		t.Errorf("a newer schema that this binary may use: %v", err)
	}
	pgtest.Exec(t, pgtest.Connect(t, url), "UPDATE binaries SET min_binary_schema = 99999")
	if err := postgres.CheckSchema(t.Context(), url); err == nil || !strings.Contains(err.Error(), "upgrade") {
		t.Errorf("a schema that needs a newer binary: %v, want advice to upgrade", err)
	}
	if err := postgres.CheckSchema(t.Context(), emptyDatabase(t)); err == nil || !strings.Contains(err.Error(), "layercake migrate") {
		t.Errorf("an empty database: %v, want advice to migrate", err)
	}
}

func TestPoolIsCappedByTheServer(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	open := func(replicas int) (*postgres.DB, error) {
		return postgres.Open(t.Context(), config(url, 10_000, replicas))
	}
	db, err := open(3)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	// (400 - 3 reserved - 10 spared) / 3 - 9 of the replica's own
	if n := db.Requests.Stat().MaxConns(); n != 120 {
		t.Errorf("the request pool holds %d connections, want 120", n)
	}
	if n := db.System.Stat().MaxConns(); n != 3 {
		t.Errorf("the system pool holds %d connections, want 3", n)
	}
	if n := db.CatchUp.Stat().MaxConns(); n != 2 {
		t.Errorf("the pool of watchers that catch up holds %d connections, want 2", n)
	}
	if n := db.Builds.Stat().MaxConns(); n != 2 {
		t.Errorf("the pool of builds holds %d connections, want 2", n)
	}
	if _, err := open(200); err == nil || !strings.Contains(err.Error(), "LAYERCAKE_REPLICAS") {
		t.Errorf("200 replicas: %v, want advice", err)
	}
}

func TestPresenceIsConvertedBothWays(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	var log bytes.Buffer
	convert := func(logged bool) {
		t.Helper()
		if err := postgres.SetPresence(t.Context(), url, logged, slog.New(slog.NewTextHandler(&log, nil))); err != nil {
			t.Fatal(err)
		}
		const ask = `SELECT count(*) FROM pg_class
			WHERE oid IN ('replicas'::regclass, 'presence'::regclass, 'claims'::regclass) AND (relpersistence = 'p') = $1`
		if n := pgtest.Count(t, pgtest.Connect(t, url), ask, logged); n != 3 {
			t.Errorf("%d of 3 tables have logged = %t", n, logged)
		}
	}
	convert(false)
	if log.Len() > 0 {
		t.Errorf("new tables were converted: %s", &log)
	}
	pgtest.Exec(t, pgtest.Connect(t, url), `INSERT INTO replicas (incarnation, version, address, expires_at)
		VALUES (gen_random_uuid(), 'v', 'a', now() + interval '1 h')`)
	convert(true)
	convert(true)
	convert(false)
	if n := strings.Count(log.String(), "converted"); n != 2 {
		t.Errorf("converted %d times, want 2:\n%s", n, &log)
	}
	if kept := pgtest.Count(t, pgtest.Connect(t, url), "SELECT count(*) FROM replicas"); kept != 1 {
		t.Errorf("%d leases are left, want 1", kept)
	}
}

// Whoever looks at the tables for long must not make leases wait until they expire.
func TestConversionWaitsForReadersInTurns(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	reader, writer, watcher := pgtest.Connect(t, url), pgtest.Connect(t, url), pgtest.Connect(t, url)
	tx, err := reader.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	pgtest.Exec(t, tx, "SELECT FROM layercake.who")
	converted := make(chan error, 1)
	go func() {
		converted <- postgres.SetPresence(context.WithoutCancel(t.Context()), url, true, slog.New(slog.DiscardHandler))
	}()
	pgtest.AwaitCount(t, watcher, 1,
		"SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND NOT granted AND relation = 'replicas'::regclass")
	pgtest.Exec(t, writer, "SET lock_timeout = '4 s'")
	if _, err := writer.Exec(t.Context(), "UPDATE replicas SET renewed_at = now()"); err != nil {
		t.Errorf("a lease could not be renewed in time: %v", err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-converted; err != nil {
		t.Error(err)
	}
}
