package pgtest

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Patience is how long tests wait for something that must come. It is long for busy machines; a test that passes never waits for its end.
const Patience = time.Minute

// Connect returns a session that is closed when the test ends.
func Connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// session is a connection or a transaction on one.
type session interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// Exec executes a statement, or several without arguments.
func Exec(t testing.TB, conn session, sql string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// Count returns the one number that a query asks for.
func Count(t testing.TB, conn *pgx.Conn, sql string, args ...any) int {
	t.Helper()
	rows := query[int](t, conn, sql, args)
	if len(rows) != 1 {
		t.Fatalf("%s: %d rows, want 1", sql, len(rows))
	}
	return rows[0]
}

// Texts returns what a query of one column of texts finds.
func Texts(t testing.TB, conn *pgx.Conn, sql string, args ...any) []string {
	t.Helper()
	return query[string](t, conn, sql, args)
}

// AwaitCount asks until a count is as wanted. It polls because the database sends no word when a row changes.
func AwaitCount(t testing.TB, conn *pgx.Conn, want int, sql string, args ...any) {
	t.Helper()
	await(t, conn, []int{want}, sql, args)
}

// AwaitTexts asks until a query of one column of texts finds what is wanted.
func AwaitTexts(t testing.TB, conn *pgx.Conn, want []string, sql string, args ...any) {
	t.Helper()
	await(t, conn, want, sql, args)
}

func query[T any](t testing.TB, conn *pgx.Conn, sql string, args []any) []T {
	t.Helper()
	rows, err := conn.Query(t.Context(), sql, args...)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[T])
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return found
}

func await[T any](t testing.TB, conn *pgx.Conn, want []T, sql string, args []any) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(Patience)
	for {
		diff := cmp.Diff(want, query[T](t, conn, sql, args))
		if diff == "" {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain for %s:\n%s", sql, diff)
		}
	}
}
