package postgres_test

import (
	"log/slog"
	"strings"
	"testing"

	"layercake/internal/postgres"
	"layercake/internal/postgres/pgtest"
)

func TestWireKeyThatIsMissing(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	conn := pgtest.Connect(t, url)
	pgtest.Exec(t, conn, "DELETE FROM wire_keys")
	if _, _, err := postgres.ReadWireKey(t.Context(), conn); err == nil || !strings.Contains(err.Error(), "--new-wire-key") {
		t.Errorf("%v, want advice to make one", err)
	}
	if err := postgres.RenewWireKey(t.Context(), url, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	key, pid, err := postgres.ReadWireKey(t.Context(), conn)
	if err != nil || len(key) != 32 || pid != conn.PgConn().PID() {
		t.Errorf("a key of %d bytes for process %d, %v", len(key), pid, err)
	}
}
