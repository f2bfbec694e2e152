package migrations_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"layercake/internal/postgres"
	"layercake/internal/postgres/pgtest"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// refused executes what must fail, and returns how.
func refused(t *testing.T, conn *pgx.Conn, sql string) *pgconn.PgError {
	t.Helper()
	_, err := conn.Exec(t.Context(), sql)
	var refused *pgconn.PgError
	if !errors.As(err, &refused) {
		t.Fatalf("%s: %v, want an error", sql, err)
	}
	return refused
}

var commands = []string{
	"layercake.kick('00000000-0000-0000-0000-000000000001')", "layercake.kick_user('u')", "layercake.drain('a:1')", "layercake.undrain('a:1')",
}

// Operators may command, under the name that they logged in with; readers, and those who may not even read, may not.
func TestOperatorsMayCommand(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.New(t))
	pgtest.Exec(t, conn, replica("a:1", "v1", "4 s", "60 s")+people)
	pgtest.Exec(t, conn, "UPDATE presence SET connection_id = '00000000-0000-0000-0000-000000000001'")
	operator := role(t, conn, "operator")
	t.Cleanup(func() {
		if _, err := conn.Exec(context.Background(), "RESET SESSION AUTHORIZATION"); err != nil {
			t.Error(err)
		}
	})
	as := func(sql string) {
		t.Helper()
		pgtest.Exec(t, conn, "RESET SESSION AUTHORIZATION")
		pgtest.Exec(t, conn, sql)
		pgtest.Exec(t, conn, "SET SESSION AUTHORIZATION "+operator)
	}
	as("SELECT 1")
	denied(t, conn, "SELECT FROM layercake.health")
	as("SELECT layercake.grant_reader('" + operator + "')")
	pgtest.Exec(t, conn, `SELECT "check" FROM layercake.health`)
	pgtest.Exec(t, conn, "SELECT id FROM layercake.commands")
	for _, command := range commands {
		denied(t, conn, "SELECT "+command)
	}
	as("SELECT layercake.grant_operator('" + operator + "')")
	for _, command := range commands {
		pgtest.Exec(t, conn, "SELECT "+command)
	}
	for _, sql := range []string{
		"SELECT layercake.grant_reader('" + operator + "')", "SELECT layercake.grant_operator('" + operator + "')", "SELECT id FROM public.commands",
		"DELETE FROM layercake.commands", "SELECT public.tell_replicas('x')", "SELECT public.live_replica('a:1')",
	} {
		denied(t, conn, sql)
	}
	got := pgtest.Texts(t, conn, "SELECT format('%s %s %s', kind, target, issued_by = session_user) FROM layercake.commands ORDER BY id")
	want := []string{"kick 00000000-0000-0000-0000-000000000001 t", "kick_user u t", "drain a:1 t", "undrain a:1 t"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// What cannot be done says so, and what there is instead.
func TestCommandsRefuse(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.New(t))
	pgtest.Exec(t, conn, `INSERT INTO replicas (incarnation, version, address, renewed_at, expires_at) VALUES
		('aaaaaaaa-0000-0000-0000-000000000001', 'v', 'a:1', now(), now() + interval '60 s'),
		('aaaaaaaa-0000-0000-0000-000000000002', 'v', 'b:1', now(), now() + interval '60 s'),
		('dddddddd-0000-0000-0000-00000000000d', 'v', 'dead:1', now() - interval '6 s', now() - interval '1 s')`)
	pgtest.Exec(t, conn, people)
	pgtest.Exec(t, conn, "UPDATE presence SET user_id = 'dead' WHERE incarnation = 'dddddddd-0000-0000-0000-00000000000d'")
	const live = "Live replicas: aaaaaaaa at a:1, aaaaaaaa at b:1."
	for _, c := range []struct{ call, code, message, hint string }{
		{
			"kick('00000000-0000-0000-0000-000000000001')", postgres.NoDataFound, "There is no connection 00000000-0000-0000-0000-000000000001",
			"layercake.who",
		},
		{"kick(NULL)", postgres.NoDataFound, "There is no connection null", "layercake.who"},
		{"kick_user('nobody')", postgres.NoDataFound, `No connection is of user "nobody"`, "layercake.who"},
		{"kick_user('dead')", postgres.NoDataFound, `No connection is of user "dead"`, "layercake.who"},
		{"kick_user(NULL)", postgres.NoDataFound, `No connection is of user "null"`, "layercake.who"},
		{"drain('c:1')", postgres.NoDataFound, `No live replica is called "c:1"`, live},
		{"drain('')", postgres.NoDataFound, `No live replica is called ""`, live},
		{"drain(NULL)", postgres.NoDataFound, `No live replica is called "null"`, live},
		{"undrain('dead:1')", postgres.NoDataFound, `No live replica is called "dead:1"`, live},
		{"undrain('dddd')", postgres.NoDataFound, `No live replica is called "dddd"`, live},
		{"drain('aaaa')", postgres.CardinalityViolation, `2 replicas are called "aaaa"`, live},
		{"drain('a:1', '2 hours')", postgres.InvalidParameterValue, "The spread is 02:00:00", "1 hour"},
		{"drain('a:1', '-1 s')", postgres.InvalidParameterValue, "The spread is -00:00:01", "1 hour"},
		{"drain('a:1', NULL)", postgres.InvalidParameterValue, "The spread is null", "1 hour"},
		{"kick((SELECT connection_id FROM presence LIMIT 1), repeat('x', 1001))", postgres.CheckViolation, "", ""},
	} {
		err := refused(t, conn, "SELECT layercake."+c.call)
		if err.Code != c.code || !strings.Contains(err.Message, c.message) || !strings.Contains(err.Hint, c.hint) {
			t.Errorf("%s: %s %q, hint %q; want %s %q, hint %q", c.call, err.Code, err.Message, err.Hint, c.code, c.message, c.hint)
		}
	}
	if got := pgtest.Texts(t, conn, "SELECT kind FROM commands"); len(got) > 0 {
		t.Errorf("what was refused was written down: %q", got)
	}
	pgtest.Exec(t, conn, "SELECT layercake.drain('AAAAAAAA-0000-0000-0000-000000000001')")
	pgtest.Exec(t, conn, "SELECT layercake.drain('b:1', '0')")
}

// A guest is kicked by a command for all replicas, since none serves it.
func TestCommandsForGuests(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.New(t))
	pgtest.Exec(t, conn, `INSERT INTO presence (connection_id, expires_at, project_id, revision, user_id, user_name, avatar_color, is_agent, transport,
		joined_at, active_at) SELECT id::uuid, now() + lasts::interval, 1, 1, who, who, '', true, 'mcp', now(), now() FROM (VALUES
		('00000000-0000-0000-0000-000000000001', '60 s', 'here'), ('00000000-0000-0000-0000-000000000002', '-1 s', 'expired')) v (id, lasts, who)`)
	pgtest.Exec(t, conn, "SELECT layercake.kick('00000000-0000-0000-0000-000000000001'), layercake.kick_user('here')")
	for _, call := range []string{"kick('00000000-0000-0000-0000-000000000002')", "kick_user('expired')"} {
		if err := refused(t, conn, "SELECT layercake."+call); err.Code != postgres.NoDataFound {
			t.Errorf("%s: %s %q", call, err.Code, err.Message)
		}
	}
	got := pgtest.Texts(t, conn, "SELECT concat_ws(' ', kind, connection_id, user_id, coalesce(incarnation::text, 'all')) FROM commands ORDER BY id")
	want := []string{"kick_guest 00000000-0000-0000-0000-000000000001 here all", "kick_user here all"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
