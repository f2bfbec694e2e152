package migrations_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"layercake/internal/golden"
	"layercake/internal/postgres"
	"layercake/internal/postgres/pgtest"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Main(m)) }

// The contract is what others build on: a line of the golden file is never changed, only added.
func TestContractIsAsPromised(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.New(t))
	columns := pgtest.Texts(t, conn, `SELECT format('%s.%s %s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod))
		FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
		WHERE c.relnamespace = 'layercake'::regnamespace ORDER BY c.relname, a.attnum`)
	functions := pgtest.Texts(t, conn, `SELECT format('%s(%s) %s', proname, pg_get_function_identity_arguments(oid), pg_get_function_result(oid))
		FROM pg_proc WHERE pronamespace = 'layercake'::regnamespace ORDER BY 1`)
	got := strings.Join(append(columns, functions...), "\n") + "\n"
	golden.Compare(t, "testdata/api.golden", got)
}

func TestEverythingIsCommented(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.New(t))
	for what, sql := range map[string]string{
		"table or view": `SELECT c.oid::regclass::text FROM pg_class c
			WHERE c.relkind IN ('r', 'v') AND c.relnamespace IN ('layercake'::regnamespace, 'public'::regnamespace)
			AND c.relname NOT IN ('goose_db_version', 'goose_lock') AND obj_description(c.oid, 'pg_class') IS NULL`,
		"column": `SELECT format('%s.%s', c.oid::regclass, a.attname) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
			WHERE c.relkind IN ('r', 'v') AND c.relnamespace IN ('layercake'::regnamespace, 'public'::regnamespace)
			AND c.relname NOT IN ('goose_db_version', 'goose_lock') AND a.attnum > 0 AND NOT a.attisdropped AND col_description(c.oid, a.attnum) IS NULL`,
		"function": `SELECT oid::regprocedure::text FROM pg_proc
			WHERE pronamespace = 'layercake'::regnamespace AND obj_description(oid, 'pg_proc') IS NULL`,
	} {
		for _, name := range pgtest.Texts(t, conn, sql) {
			t.Errorf("%s %s has no comment", what, name)
		}
	}
}

// role makes a role that may do nothing, for the length of the test.
func role(t *testing.T, conn *pgx.Conn, kind string) string {
	t.Helper()
	name := fmt.Sprintf(`layercake "%s" %d`, kind, conn.PgConn().PID()) // roles belong to the whole server
	quoted := pgx.Identifier{name}.Sanitize()
	pgtest.Exec(t, conn, "CREATE ROLE "+quoted)
	t.Cleanup(func() {
		last := context.Background()
		_, err1 := conn.Exec(last, "RESET ROLE")
		_, err2 := conn.Exec(last, "DROP OWNED BY "+quoted)
		_, err3 := conn.Exec(last, "DROP ROLE "+quoted)
		if err := errors.Join(err1, err2, err3); err != nil {
			t.Error(err)
		}
	})
	return quoted
}

// denied checks that a statement is refused for want of a privilege.
func denied(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	_, err := conn.Exec(t.Context(), sql)
	if postgres.State(err) != postgres.InsufficientPrivilege {
		t.Errorf("%s: %v, want permission denied", sql, err)
	}
}

const (
	listViews = `SELECT oid::regclass::text FROM pg_class WHERE relkind = 'v' AND relnamespace = 'layercake'::regnamespace`
	// What a call needs is checked before what the function does. The view health calls check_health for its reader.
	listCalls = `SELECT format('%s(%s)', oid::regproc, (SELECT string_agg(format('NULL::%s', a::regtype), ', ') FROM unnest(proargtypes) a))
		FROM pg_proc WHERE pronamespace IN ('layercake'::regnamespace, 'public'::regnamespace) AND prorettype <> 'trigger'::regtype AND ` + notForReaders
	listReads     = `SELECT oid::regproc::text FROM pg_proc WHERE pronamespace = 'layercake'::regnamespace AND NOT ` + notForReaders
	notForReaders = "proname <> ALL ('{check_health, plan_at, plan_diff, verify_plan}')"
)

func TestReaderReadsAndNothingElse(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.New(t))
	reader := role(t, conn, "reader")
	views, calls := pgtest.Texts(t, conn, listViews), pgtest.Texts(t, conn, listCalls)
	tables := pgtest.Texts(t, conn, `SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace`)
	reads := pgtest.Texts(t, conn, listReads)
	if len(views) < 5 || len(calls) < 2 || len(tables) < 9 || len(reads) != 5 {
		t.Fatalf("%d views, %d functions, %d tables, %d functions for readers: some are missing", len(views), len(calls), len(tables), len(reads))
	}
	pgtest.Exec(t, conn, "INSERT INTO projects (id, name) VALUES (1, 'One')")
	pgtest.Exec(t, conn, "INSERT INTO heads (project_id) VALUES (1)")
	pgtest.Exec(t, conn, "INSERT INTO plans (project_id, name) VALUES (1, 'One')")
	pasts := []string{"layercake.plan_at(1, 0)", "layercake.plan_at(1, now())", "layercake.plan_diff(1, 0)", "layercake.verify_plan(1)"}
	pgtest.Exec(t, conn, "SET ROLE "+reader)
	for _, past := range pasts {
		denied(t, conn, "SELECT "+past)
	}
	for _, view := range views {
		denied(t, conn, "SELECT * FROM "+view)
	}
	pgtest.Exec(t, conn, "RESET ROLE")
	pgtest.Exec(t, conn, "SELECT layercake.grant_reader('"+reader+"')")
	pgtest.Exec(t, conn, "SET ROLE "+reader)
	for _, view := range views {
		pgtest.Exec(t, conn, "SELECT * FROM "+view)
	}
	for _, past := range pasts {
		pgtest.Exec(t, conn, "SELECT * FROM "+past)
	}
	for _, view := range []string{"presence_log", "replicas", "plan_history"} { // PostgreSQL could write through these
		denied(t, conn, "DELETE FROM layercake."+view)
	}
	denied(t, conn, "INSERT INTO layercake.presence_log (user_name) VALUES ('me')")
	denied(t, conn, "UPDATE layercake.replicas SET version = 'mine'")
	for _, table := range tables {
		denied(t, conn, "SELECT * FROM "+table)
		denied(t, conn, "DELETE FROM "+table)
	}
	for _, call := range calls {
		denied(t, conn, "SELECT "+call)
	}
	denied(t, conn, "CREATE TABLE layercake.mine (id int)")
}

func TestOperatorCommandsAndDoesNotGrant(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.New(t))
	operator := role(t, conn, "operator")
	pgtest.Exec(t, conn, `CREATE FUNCTION layercake."do it"(integer, text) RETURNS text LANGUAGE sql AS $$ SELECT 'done' $$`)
	pgtest.Exec(t, conn, `REVOKE ALL ON FUNCTION layercake."do it" FROM PUBLIC`)
	pgtest.Exec(t, conn, "SELECT layercake.grant_operator('"+operator+"')")
	pgtest.Exec(t, conn, "SET ROLE "+operator)
	for _, view := range pgtest.Texts(t, conn, listViews) {
		pgtest.Exec(t, conn, "SELECT * FROM "+view)
	}
	pgtest.Exec(t, conn, `SELECT layercake."do it"(1, '')`)
	for _, function := range pgtest.Texts(t, conn, `SELECT oid::regprocedure::text FROM pg_proc
			WHERE pronamespace = 'layercake'::regnamespace AND NOT starts_with(proname, 'grant_')
			AND NOT has_function_privilege(oid, 'EXECUTE')`) {
		t.Errorf("an operator may not call %s", function)
	}
	denied(t, conn, "SELECT layercake.grant_reader('"+operator+"')")
	denied(t, conn, "SELECT layercake.grant_operator('"+operator+"')")
	denied(t, conn, "SELECT * FROM presence")
}

// A caller's search path must not choose what a function of ours calls.
func TestFunctionsSetTheirSearchPath(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.New(t))
	for _, name := range pgtest.Texts(t, conn, `SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = 'layercake'::regnamespace
			AND NOT EXISTS (SELECT FROM unnest(proconfig) c WHERE starts_with(c, 'search_path='))`) {
		t.Errorf("function %s does not set search_path", name)
	}
	for _, name := range pgtest.Texts(t, conn, `SELECT p.oid::regprocedure::text
			FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
			WHERE p.pronamespace = 'layercake'::regnamespace AND a.grantee = 0`) {
		t.Errorf("function %s may be called by everybody", name)
	}
}

func TestPeopleOfADeadReplicaAreNotThere(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.New(t))
	pgtest.Exec(t, conn, `INSERT INTO projects (id, name) VALUES (1, 'One')`)
	pgtest.Exec(t, conn, `INSERT INTO heads (project_id) VALUES (1)`)
	pgtest.Exec(t, conn, `INSERT INTO replicas (incarnation, version, address, draining, renewed_at, expires_at) VALUES
		('00000000-0000-0000-0000-00000000000a', 'v', 'alive', false, now(), now() + interval '60 s'),
		('00000000-0000-0000-0000-00000000000b', 'v', 'leaving', true, now(), now() + interval '60 s'),
		('00000000-0000-0000-0000-00000000000d', 'v', 'dead', true, now() - interval '6 s', now() - interval '1 s')`)
	pgtest.Exec(t, conn, `INSERT INTO presence (connection_id, incarnation, project_id, revision, user_id, user_name, avatar_color, is_agent,
			transport, joined_at, active_at)
		SELECT gen_random_uuid(), incarnation, 1, 1, address, address, '', false, 'collaboration', now(), now() FROM replicas`)
	got := pgtest.Texts(t, conn, "SELECT format('%s in %s on %s', user_name, project, replica) FROM layercake.who ORDER BY 1")
	want := []string{
		"alive in One on 00000000-0000-0000-0000-00000000000a", "leaving in One on 00000000-0000-0000-0000-00000000000b",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	got = pgtest.Texts(t, conn, "SELECT format('%s %s', address, state) FROM layercake.replicas ORDER BY 1")
	if diff := cmp.Diff([]string{"alive live", "dead stale", "leaving draining"}, got); diff != "" {
		t.Error(diff)
	}
	if got = pgtest.Texts(t, conn, "SELECT people::text FROM layercake.projects_live"); !cmp.Equal(got, []string{"2"}) {
		t.Errorf("%v people, want 2", got)
	}

	// A lease ends within a transaction, too.
	pgtest.Exec(t, conn, "BEGIN")
	pgtest.Exec(t, conn, "UPDATE replicas SET expires_at = clock_timestamp() + interval '50 ms' WHERE address = 'alive'")
	pgtest.Exec(t, conn, "SELECT pg_sleep(0.06)")
	if got = pgtest.Texts(t, conn, "SELECT user_name FROM layercake.who"); !cmp.Equal(got, []string{"leaving"}) {
		t.Errorf("%v, want leaving alone", got)
	}
	pgtest.Exec(t, conn, "ROLLBACK")
}

func TestHistorySaysWhatWasDone(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.New(t))
	pgtest.Exec(t, conn, `INSERT INTO projects (id, name) VALUES (1, 'One'), (2, 'Idle'), (3, 'Old')`)
	pgtest.Exec(t, conn, `INSERT INTO heads (project_id, version, changed_at) VALUES
		(1, 8, now()), (2, 0, now() - interval '2 hours'), (3, 1, now() - interval '2 hours')`)
	event := func(project, version int, age, operations string) {
		t.Helper()
		pgtest.Exec(t, conn, fmt.Sprintf(`INSERT INTO events (project_id, version, at, op_actor, op_id, request_hash, body)
			VALUES (%d, %d, now() - interval '%s', '', 'op %[2]d', '', json_build_object('actorName', 'Ann', 'actorKind', 'anonymous',
			'via', 'graphql', 'operations', '%[4]s'::json))`, project, version, age, operations))
	}
	event(1, 1, "2 hours", `[{"kind":"NODE_ADDED","id":"graphnode_001"}]`)
	event(1, 2, "90 minutes", `[{"kind":"EDGE_REMOVED","id":"e"}]`)
	event(1, 3, "30 minutes", `[{"kind":"PLAN_UPDATED","id":"1"}]`)
	event(1, 4, "1 minute", `[{"kind":"EDGE_ADDED","id":"a"},{"kind":"NODE_UPDATED","id":"b"},{"kind":"NODE_UPDATED","id":"c"}]`)
	event(1, 5, "0", `[]`)
	event(1, 6, "0", `[{"kind":"FUTURE_KIND","id":"n"}]`) // of a newer release
	event(1, 7, "0", `[{"kind":"FUTURE_KIND","id":"n"},{},"text"]`)
	event(1, 8, "0", `{"shape":"future"}`)
	event(3, 1, "2 hours", `[{"kind":"NODE_ADDED","id":"n"}]`)
	got := pgtest.Texts(t, conn, `SELECT format('%s %s %s %s: %s, %s', version, actor_name, actor_kind, via, summary, op_id)
		FROM layercake.plan_history WHERE project_id = 1 ORDER BY version`)
	if diff := cmp.Diff([]string{
		"1 Ann anonymous graphql: added node graphnode_001, op 1",
		"2 Ann anonymous graphql: removed edge e, op 2",
		"3 Ann anonymous graphql: updated the plan, op 3",
		"4 Ann anonymous graphql: 3 operations: 2 NODE_UPDATED, 1 EDGE_ADDED, op 4",
		"5 Ann anonymous graphql: nothing, op 5",
		"6 Ann anonymous graphql: FUTURE_KIND n, op 6",
		"7 Ann anonymous graphql: 3 operations: 2 unknown, 1 FUTURE_KIND, op 7",
		"8 Ann anonymous graphql: nothing, op 8",
	}, got); diff != "" {
		t.Error(diff)
	}
	got = pgtest.Texts(t, conn, `SELECT format('%s %s by %s, %s in the hour, %s there', project, plan_version, last_change_by, changes_1h, connections)
		FROM layercake.projects_live`)
	if diff := cmp.Diff([]string{"One 8 by Ann, 6 in the hour, 0 there"}, got); diff != "" {
		t.Error(diff)
	}
}

// Sessions that have ended are not shown, and a stream goes with the lease of its replica.
func TestSessionsOfAgents(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.New(t))
	pgtest.Exec(t, conn, `INSERT INTO replicas (incarnation, version, address, renewed_at, expires_at) VALUES
		('00000000-0000-0000-0000-00000000000a', 'v', 'alive', now(), now() + interval '60 s'),
		('00000000-0000-0000-0000-00000000000d', 'v', 'dead', now() - interval '6 s', now() - interval '1 s')`)
	pgtest.Exec(t, conn, `INSERT INTO mcp_sessions (id, transport, protocol_version, client_name, client_title, client_version, parameters, agent_id,
			agent_name, network, scope, seen_at, expires_at, stream_id, stream_replica) VALUES
		('aaaaaaaa-0000-0000-0000-000000000001', 'http', '2025-11-25', 'n', 'Title', '1', '{}', 'x', 'Ann', '', 'read_only=true', now(), now() + interval '1 h', NULL, NULL),
		('bbbbbbbb-0000-0000-0000-000000000001', 'sse', '', 'n', '', '', '{}', 'x', 'Bob', '', '', now(), now() + interval '1 h',
			gen_random_uuid(), '00000000-0000-0000-0000-00000000000a'),
		('cccccccc-0000-0000-0000-000000000001', 'http', '', 'n', '', '2', '{}', 'x', 'Cleo', '', '', now(), now() + interval '1 h',
			gen_random_uuid(), '00000000-0000-0000-0000-00000000000d'),
		('dddddddd-0000-0000-0000-000000000001', 'http', '', 'n', '', '', '{}', 'x', 'Dan', '', '', now() - interval '2 s', now() - interval '1 s', NULL, NULL)`)
	got := pgtest.Texts(t, conn, `SELECT format('%s %s of %s %s, %s %s, %s streams, may %s', session, agent, client, version, transport, protocol,
			streams, scope)
		FROM layercake.mcp_sessions ORDER BY 1`)
	if diff := cmp.Diff([]string{
		"aaaaaaaa Ann of Title 1, http 2025-11-25, 0 streams, may read_only=true", "bbbbbbbb Bob of n , sse , 1 streams, may ",
		"cccccccc Cleo of n 2, http , 0 streams, may ",
	}, got); diff != "" {
		t.Error(diff)
	}
}

// The newest changes of one project must not cost a look at the others, nor at all of its own.
func TestHistoryOfOneProjectIsQuick(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.New(t))
	pgtest.Exec(t, conn, `INSERT INTO projects (id, name) SELECT n, 'p' FROM generate_series(1, 5) n`)
	pgtest.Exec(t, conn, `INSERT INTO heads (project_id, version) SELECT n, 4000 FROM generate_series(1, 5) n`)
	pgtest.Exec(t, conn, `INSERT INTO events (project_id, version, at, op_actor, op_id, request_hash, hash, size, total_size, body, undoes)
		SELECT p, v, now() - interval '2 hours' + v * interval '1 s', '', v::text, '', '00000000', 47, 47 * v, '{"operations":[{"kind":"NODE_ADDED","id":"n"}]}',
			CASE WHEN v % 3 = 0 THEN v - 1 END
		FROM generate_series(1, 5) p, generate_series(1, 4000) v`)
	pgtest.Exec(t, conn, "ANALYZE events")
	for sql, most := range map[string]int{
		"SELECT version, summary, operations FROM layercake.plan_history WHERE project_id = 3 ORDER BY version DESC LIMIT 20": 15,
		"SELECT * FROM layercake.plan_history WHERE project_id = 3 ORDER BY version DESC LIMIT 50":                            300,
		"SELECT changes_1h FROM layercake.projects_live WHERE project_id = 3":                                                 40,
	} {
		var plan []struct {
			Plan struct {
				Hit  int `json:"Shared Hit Blocks"`
				Read int `json:"Shared Read Blocks"`
			}
		}
		if err := conn.QueryRow(t.Context(), "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) "+sql).Scan(&plan); err != nil {
			t.Fatal(err)
		}
		if blocks := plan[0].Plan.Hit + plan[0].Plan.Read; blocks > most {
			t.Errorf("%s: %d blocks, want at most %d", sql, blocks, most)
		}
	}
}

func TestGuestsAreThereUntilTheyExpire(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.New(t))
	pgtest.Exec(t, conn, `INSERT INTO projects (id, name) VALUES (1, 'One')`)
	pgtest.Exec(t, conn, `INSERT INTO heads (project_id) VALUES (1)`)
	pgtest.Exec(t, conn, `INSERT INTO presence (connection_id, expires_at, project_id, revision, user_id, user_name, avatar_color, is_agent,
			transport, joined_at, active_at)
		SELECT gen_random_uuid(), now() + age, 1, 1, age::text, age::text, '', true, 'graphql', now(), now()
		FROM unnest('{1 min, -1 s}'::interval[]) age`)
	got := pgtest.Texts(t, conn, "SELECT format('%s in %s by %s, replica %s', user_name, project, transport, replica) FROM layercake.who")
	if diff := cmp.Diff([]string{"00:01:00 in One by graphql, replica "}, got); diff != "" {
		t.Error(diff)
	}
	if got = pgtest.Texts(t, conn, "SELECT agents::text FROM layercake.projects_live"); !cmp.Equal(got, []string{"1"}) {
		t.Errorf("%v agents, want 1", got)
	}
	_, err := conn.Exec(t.Context(), "UPDATE presence SET expires_at = NULL")
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || refused.ConstraintName != "presence_served_or_expires" {
		t.Errorf("got %v for one that neither is served nor expires", err)
	}
}
