package migrations_test

import (
	"strings"
	"testing"

	"layercake/internal/postgres/pgtest"
	"layercake/migrations"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

// A migration that builds indexes while replicas write is no transaction, so one that was interrupted runs again over what it left.
func TestIndexesAreBuiltAgain(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.New(t))
	pool := stdlib.OpenDB(*conn.Config())
	defer func() { _ = pool.Close() }()
	provider, err := goose.NewProvider(goose.DialectPostgres, pool, migrations.FS)
	if err != nil {
		t.Fatal(err)
	}
	const indexes = `SELECT pg_get_indexdef(indexrelid) || ', valid: ' || indisvalid FROM pg_index i
		JOIN pg_class c ON c.oid = i.indexrelid WHERE c.relnamespace = 'public'::regnamespace ORDER BY 1`
	want := strings.Join(pgtest.Texts(t, conn, indexes), "\n")
	for name, left := range map[string]struct {
		migration int64
		sql       string
	}{
		"all was done":                                   {18, ""},
		"an index was being built":                       {18, "CREATE INDEX events_operation_new ON events (op_id)"},
		"one was not yet exchanged":                      {18, "ALTER INDEX plan_edges_by_target RENAME TO plan_edges_by_target_new"},
		"tables were not altered":                        {18, "ALTER TABLE plan_nodes DROP CONSTRAINT plan_nodes_ordinal; ALTER TABLE events ALTER project_id RESET (n_distinct)"},
		"all was done for agents":                        {22, ""},
		"an index of proposals was being built":          {22, "CREATE INDEX proposals_open_new ON proposals (id)"},
		"the one of sessions was not yet exchanged":      {22, "ALTER INDEX mcp_sessions_by_expiry RENAME TO mcp_sessions_by_expiry_new"},
		"the one of inboxes was taken away, and no more": {22, "DROP INDEX mcp_inbox_by_age"},
	} {
		for statement := range strings.SplitSeq(left.sql, ";") {
			pgtest.Exec(t, conn, statement)
		}
		pgtest.Exec(t, conn, "DELETE FROM goose_db_version WHERE version_id = $1", left.migration)
		if _, err := provider.ApplyVersion(t.Context(), left.migration, true); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := strings.Join(pgtest.Texts(t, conn, indexes), "\n"); got != want {
			t.Errorf("%s: the indexes are\n%s\nwant\n%s", name, got, want)
		}
	}
}

// The places of nodes and edges in their lists are not negative, and differ at the end of each statement: one that moves all of them may
// pass through places that are taken.
func TestPlacesDiffer(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.New(t))
	pgtest.Exec(t, conn, "INSERT INTO projects (id, name) VALUES (1, 'p')")
	pgtest.Exec(t, conn, `INSERT INTO plan_nodes (project_id, id, ordinal, node_type, position_x, position_y, label, config, created_at, updated_at)
		SELECT 1, 'n' || n, n, 'GraphNode', 0, 0, '', '{}', now(), now() FROM generate_series(0, 9) n`)
	pgtest.Exec(t, conn, `INSERT INTO plan_edges (project_id, id, ordinal, source, target, data_type, created_at, updated_at)
		SELECT 1, 'e' || n, n, 'n' || n, 'n' || n + 1, 'GRAPH_DATA', now(), now() FROM generate_series(0, 8) n`)
	for _, table := range []string{"plan_nodes", "plan_edges"} {
		pgtest.Exec(t, conn, "UPDATE "+table+" SET ordinal = ordinal + 1")
		pgtest.Exec(t, conn, "UPDATE "+table+" SET ordinal = 10 - ordinal")
		for set, constraint := range map[string]string{"ordinal = 3": table + "_order", "ordinal = -1": table + "_ordinal"} {
			_, err := conn.Exec(t.Context(), "UPDATE "+table+" SET "+set)
			if err == nil || !strings.Contains(err.Error(), constraint) {
				t.Errorf("UPDATE %s SET %s: %v, want it refused by %s", table, set, err, constraint)
			}
		}
	}
}
