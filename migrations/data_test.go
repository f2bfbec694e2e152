package migrations_test

import (
	"log/slog"
	"strings"
	"testing"

	"layercake/internal/postgres"
	"layercake/internal/postgres/pgtest"
	"layercake/migrations"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

// data is a project with four nodes that build graphs, and a replica.
const data = `INSERT INTO projects (id, name) VALUES (1, 'One');
	INSERT INTO plan_nodes (project_id, id, ordinal, node_type, position_x, position_y, label, config, created_at, updated_at)
		SELECT 1, id, ascii(id), 'GraphNode', 0, 0, upper(id), '{}', now(), now() FROM unnest('{a,b,c,d}'::text[]) id;
	INSERT INTO graphs (id, project_id, node_id, name) SELECT ascii(id), 1, id, id FROM unnest('{a,b,c,d}'::text[]) id;
	INSERT INTO replicas (incarnation, address, version, expires_at)
		VALUES ('00000000-0000-0000-0000-00000000000a', 'a:1', 'v', now() + interval '60 s');`

// build returns a statement that makes the build of a node: its state, its attempts, when it was asked for, and when it ended, if it did.
func build(node, state string, attempt, asked, ended string) string {
	return `INSERT INTO builds (project_id, node_id, label, graph_id, generation, state, attempt, requested_by, requested_at, started_at, finished_at)
		VALUES (1, '` + node + `', upper('` + node + `'), ascii('` + node + `'), 1, '` + state + `', ` + attempt + `, 'Ann', now() - interval '` + asked + `',
			CASE WHEN ` + attempt + ` > 0 THEN now() - interval '4 s' END, now() - ` + ended + `);`
}

// claim returns a statement that gives the graph of a node to the replica.
func claim(node string) string {
	return `INSERT INTO claims (graph_id, project_id, incarnation, generation, phase, done, total)
		VALUES (ascii('` + node + `'), 1, '00000000-0000-0000-0000-00000000000a', 1, 'writing', 50, 100);`
}

func TestBuildsAreShown(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.New(t))
	pgtest.Exec(t, conn, data+build("a", "pending", "0", "3 s", none)+build("b", "processing", "1", "5 s", none)+claim("b")+
		build("c", "processing", "2", "5 s", none)+build("d", "completed", "1", "5 s", "interval '1 s'")+
		build("d", "error", "1", "31 days", "interval '31 days'"))
	got := pgtest.Texts(t, conn, `SELECT format('%s of %s in %s: %s %s %s/%s, attempt %s by %s for %s, %s s', node_id, label, project, state, phase,
			done, total, attempt, right(replica, 1), requested_by, round(seconds))
		FROM layercake.builds ORDER BY requested_at DESC, node_id`)
	want := []string{
		"a of A in One: pending  /, attempt 0 by  for Ann,  s",
		"b of B in One: processing writing 50/100, attempt 1 by a for Ann, 4 s",
		"c of C in One: pending  /, attempt 2 by  for Ann, 4 s", // the replica that built it is gone
		"d of D in One: completed  /, attempt 1 by  for Ann, 3 s",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestDataSourcesAreShown(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.New(t))
	pgtest.Exec(t, conn, `INSERT INTO projects (id, name) VALUES (1, 'One'), (2, 'Two');
		INSERT INTO data_sources (id, project_id, name, filename, format, kind, status, file_id, size, sha256, row_count, problem_count)
			VALUES (5, 1, 'People', 'people.csv', 'csv', 'nodes', 'active', 1, 1234, 'abc', 20, 1),
				(6, 1, 'Unused', 'u.json', 'json', 'graph', 'error', 2, 1, 'def', 0, 0);
		INSERT INTO plan_nodes (project_id, id, ordinal, node_type, position_x, position_y, label, config, created_at, updated_at) VALUES
			(1, 'b', 0, 'DataSourceNode', 0, 0, '', '{"dataSourceId": 5}', now(), now()),
			(1, 'a', 1, 'DataSourceNode', 0, 0, '', '{"dataSourceId": 5}', now(), now()),
			(1, 'c', 2, 'DataSourceNode', 0, 0, '', '{}', now(), now()),
			(1, 'd', 3, 'GraphNode', 0, 0, '', '{"dataSourceId": 5}', now(), now()),
			(2, 'e', 0, 'DataSourceNode', 0, 0, '', '{"dataSourceId": 5}', now(), now())`)
	got := pgtest.Texts(t, conn, `SELECT format('%s %s of %s: %s %s %s %s, %s rows, %s B, %s problems, %s, %s', id, name, project, filename, format,
		kind, status, rows, bytes, problems, sha256, used_by) FROM layercake.data_sources ORDER BY id`)
	want := []string{
		"5 People of One: people.csv csv nodes active, 20 rows, 1234 B, 1 problems, abc, {b,a}",
		"6 Unused of One: u.json json graph error, 0 rows, 1 B, 0 problems, def, {}",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestCancelBuild(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.New(t))
	pgtest.Exec(t, conn, data+build("a", "pending", "0", "3 s", none)+build("b", "completed", "1", "5 s", "interval '1 s'"))
	for _, call := range []string{"cancel_build(1, 'b')", "cancel_build(2, 'a')", "cancel_build(1, NULL)", "cancel_build(NULL, 'a')"} {
		err := refused(t, conn, "SELECT layercake."+call)
		if err.Code != postgres.NoDataFound || !strings.Contains(err.Hint, "layercake.builds") {
			t.Errorf("%s: %s %q, hint %q", call, err.Code, err.Message, err.Hint)
		}
	}
	pgtest.Exec(t, conn, "SELECT layercake.cancel_build(1, 'a')")
	got := pgtest.Texts(t, conn, "SELECT format('%s %s by %s', kind, target, issued_by) FROM layercake.commands")
	if diff := cmp.Diff([]string{"cancel_build 1 a by postgres"}, got); diff != "" {
		t.Error(diff)
	}
}

// Tables that were made logged can be read on a standby, and so can the views over them.
func TestBuildsOnAStandby(t *testing.T) {
	t.Parallel()
	primary := pgtest.Server(t)
	conn := pgtest.Connect(t, primary.URL)
	if err := postgres.SetPresence(t.Context(), primary.URL, true, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	pgtest.Exec(t, conn, data+build("b", "processing", "1", "5 s", none)+claim("b"))
	standby := pgtest.Connect(t, pgtest.Standby(t, primary))
	pgtest.AwaitTexts(t, standby, []string{"b processing 50"}, "SELECT format('%s %s %s', node_id, state, done) FROM layercake.builds")
}

// The migration is taken back whatever there is, and done again.
func TestDataIsTakenBack(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.New(t))
	pgtest.Exec(t, conn, data+build("a", "pending", "0", "3 s", none)+claim("a"))
	pgtest.Exec(t, conn, "SELECT layercake.cancel_build(1, 'a')")
	const columns = `SELECT format('%s.%s %s', attrelid::regclass, attname, atttypid::regtype) FROM pg_attribute
		WHERE attnum > 0 AND NOT attisdropped AND attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace) ORDER BY 1`
	want := pgtest.Texts(t, conn, columns)
	pool := stdlib.OpenDB(*conn.Config())
	defer func() { _ = pool.Close() }()
	provider, err := goose.NewProvider(goose.DialectPostgres, pool, migrations.FS)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.DownTo(t.Context(), 22); err != nil {
		t.Fatal(err)
	}
	if _, err := provider.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, pgtest.Texts(t, conn, columns)); diff != "" {
		t.Error(diff)
	}
}
