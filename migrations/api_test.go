package migrations_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"layercake/internal/postgres/pgtest"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Main(m)) }

var update = flag.Bool("update", false, "write golden files")

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func texts(t *testing.T, conn *pgx.Conn, sql string) []string {
	t.Helper()
	rows, err := conn.Query(t.Context(), sql)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

func execute(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// The contract is what others build on: a line of the golden file is never changed, only added.
func TestContractIsAsPromised(t *testing.T) {
	t.Parallel()
	conn := connect(t, pgtest.New(t))
	columns := texts(t, conn, `SELECT format('%s.%s %s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod))
		FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
		WHERE c.relnamespace = 'layercake'::regnamespace ORDER BY c.relname, a.attnum`)
	functions := texts(t, conn, `SELECT format('%s(%s) %s', proname, pg_get_function_identity_arguments(oid), pg_get_function_result(oid))
		FROM pg_proc WHERE pronamespace = 'layercake'::regnamespace ORDER BY 1`)
	got := strings.Join(append(columns, functions...), "\n") + "\n"
	const golden = "testdata/api.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Error(diff)
	}
}

func TestEverythingIsCommented(t *testing.T) {
	t.Parallel()
	conn := connect(t, pgtest.New(t))
	for what, sql := range map[string]string{
		"table or view": `SELECT c.oid::regclass::text FROM pg_class c
			WHERE c.relkind IN ('r', 'v') AND c.relnamespace IN ('layercake'::regnamespace, 'public'::regnamespace)
			AND c.relname <> 'goose_db_version' AND obj_description(c.oid, 'pg_class') IS NULL`,
		"column": `SELECT format('%s.%s', c.oid::regclass, a.attname) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
			WHERE c.relkind IN ('r', 'v') AND c.relnamespace IN ('layercake'::regnamespace, 'public'::regnamespace)
			AND c.relname <> 'goose_db_version' AND a.attnum > 0 AND NOT a.attisdropped AND col_description(c.oid, a.attnum) IS NULL`,
		"function": `SELECT oid::regprocedure::text FROM pg_proc
			WHERE pronamespace = 'layercake'::regnamespace AND obj_description(oid, 'pg_proc') IS NULL`,
	} {
		for _, name := range texts(t, conn, sql) {
			t.Errorf("%s %s has no comment", what, name)
		}
	}
}

func TestReaderReadsAndNothingElse(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	conn := connect(t, url)
	reader := fmt.Sprintf("layercake_reader_%d", conn.PgConn().PID()) // roles belong to the whole server
	execute(t, conn, "CREATE ROLE "+reader)
	t.Cleanup(func() {
		last := context.Background()
		_, err1 := conn.Exec(last, "RESET ROLE")
		_, err2 := conn.Exec(last, "DROP OWNED BY "+reader)
		_, err3 := conn.Exec(last, "DROP ROLE "+reader)
		if err := errors.Join(err1, err2, err3); err != nil {
			t.Error(err)
		}
	})
	denied := func(sql string) {
		t.Helper()
		_, err := conn.Exec(t.Context(), sql)
		var refused *pgconn.PgError
		if !errors.As(err, &refused) || refused.Code != "42501" {
			t.Errorf("%s: %v, want permission denied", sql, err)
		}
	}
	execute(t, conn, "SET ROLE "+reader)
	denied("SELECT user_name FROM layercake.who")
	execute(t, conn, "RESET ROLE")
	execute(t, conn, "SELECT layercake.grant_reader('"+reader+"')")
	execute(t, conn, "SET ROLE "+reader)
	execute(t, conn, "SELECT user_name, project_name FROM layercake.who")
	execute(t, conn, "SELECT alive, version FROM layercake.replicas")
	denied("SELECT user_name FROM presence")
	denied("SELECT name FROM projects")
	denied("DELETE FROM layercake.replicas")
	denied("SELECT layercake.grant_reader('" + reader + "')")
	denied("CREATE TABLE layercake.mine (id int)")
}

func TestPeopleOfADeadReplicaAreNotThere(t *testing.T) {
	t.Parallel()
	conn := connect(t, pgtest.New(t))
	execute(t, conn, `INSERT INTO projects (id, name) VALUES (1, 'One')`)
	execute(t, conn, `INSERT INTO replicas (incarnation, version, address, renewed_at, expires_at) VALUES
		('00000000-0000-0000-0000-00000000000a', 'v', 'alive', now(), now() + interval '5 s'),
		('00000000-0000-0000-0000-00000000000d', 'v', 'dead', now() - interval '6 s', now() - interval '1 s')`)
	execute(t, conn, `INSERT INTO presence (connection_id, incarnation, project_id, revision, user_id, user_name, avatar_color, is_agent,
			transport, joined_at, active_at)
		SELECT gen_random_uuid(), incarnation, 1, 1, address, address, '', false, 'collaboration', now(), now() FROM replicas`)
	got := texts(t, conn, "SELECT format('%s in %s on %s', user_name, project_name, replica_address) FROM layercake.who")
	if diff := cmp.Diff([]string{"alive in One on alive"}, got); diff != "" {
		t.Error(diff)
	}
	got = texts(t, conn, "SELECT format('%s %s', address, alive) FROM layercake.replicas ORDER BY 1")
	if diff := cmp.Diff([]string{"alive t", "dead f"}, got); diff != "" {
		t.Error(diff)
	}
}
