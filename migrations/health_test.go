package migrations_test

import (
	"context"
	"strings"
	"testing"

	"layercake/internal/postgres/pgtest"

	"github.com/jackc/pgx/v5"
)

// finding returns what a check says: its status and detail, and its advice, if any.
func finding(t *testing.T, conn *pgx.Conn, check string) (said, advice string) {
	t.Helper()
	err := conn.QueryRow(t.Context(), `SELECT status || ': ' || detail, coalesce(advice, '') FROM layercake.health WHERE "check" = $1`, check).
		Scan(&said, &advice)
	if err != nil {
		t.Fatalf("%s: %v", check, err)
	}
	return said, advice
}

// findingAfter is the same right after what a statement sets up: no time passes in between, since both are of one message.
func findingAfter(t *testing.T, conn *pgx.Conn, setup, check string) (said, advice string) {
	t.Helper()
	results, err := conn.PgConn().Exec(t.Context(), setup+`; SELECT status || ': ' || detail, coalesce(advice, '') FROM layercake.health
		WHERE "check" = '`+check+"'").ReadAll()
	if err != nil {
		t.Fatalf("%s: %v", check, err)
	}
	rows := results[len(results)-1].Rows
	if len(rows) != 1 {
		t.Fatalf("%s: %d rows", check, len(rows))
	}
	return string(rows[0][0]), string(rows[0][1])
}

// replica returns a statement that makes a lease.
func replica(address, version, began, expires string) string {
	return "INSERT INTO replicas (incarnation, address, version, started_at, renewed_at, expires_at) VALUES (gen_random_uuid(), '" +
		address + "', '" + version + "', now() - interval '" + began + "', now() - interval '1 h', now() + interval '" + expires + "');"
}

// inbox returns a statement that puts a message of some age into the inbox of a session, whose stream is on the replica at an address.
func inbox(age, key, address string) string {
	return `INSERT INTO mcp_sessions (id, transport, protocol_version, client_name, client_title, client_version, parameters, agent_id, agent_name,
			network, stream_id, stream_replica, expires_at)
		SELECT '00000000-0000-0000-0000-00000000000e', 'sse', '', '', '', '', '{}', 'x', 'x', '', r.incarnation, r.incarnation, now() + interval '1 h'
		FROM (SELECT (SELECT incarnation FROM replicas WHERE address = '` + address + `') AS incarnation) r;
		INSERT INTO mcp_inbox (session_id, key, body, at)
		VALUES ('00000000-0000-0000-0000-00000000000e', '` + key + `', 'x', now() - interval '` + age + `')`
}

func TestHealth(t *testing.T) {
	t.Parallel()
	live := replica("a:1", "v1", "4 s", "60 s") + replica("b:1", "v1", "4 s", "60 s")
	for name, c := range map[string]struct{ check, setup, want string }{
		"no replica":           {"replicas", "", "fail: 0 live"},
		"live replicas":        {"replicas", live, "ok: 2 live: a:1, b:1"},
		"a lease just expired": {"replicas", live + replica("c:1", "v1", "4 s", "-2 s"), "ok: 2 live: a:1, b:1"},
		"a stale lease":        {"replicas", live + replica("c:1", "v1", "4 s", "-11 s"), "warn: 2 live: a:1, b:1; 1 stale"},
		"only a stale lease":   {"replicas", replica("c:1", "v1", "4 s", "-11 s"), "fail: 0 live; 1 stale"},
		"one version":          {"versions", live, "ok: v1"},
		"two versions":         {"versions", live + replica("c:1", "v2", "4 s", "60 s"), "warn: v1, v2"},
		"a dead version":       {"versions", live + replica("c:1", "v2", "4 s", "-1 s"), "ok: v1"},
		"all seal":             {"wire", live + "UPDATE replicas SET wire = 3", "ok: sealed"},
		"one does not seal": {
			"wire", live + "UPDATE replicas SET wire = 3 WHERE address = 'a:1'", "warn: not sealed, for replicas of an older release: b:1",
		},
		"one that did not seal is dead": {
			"wire", live + "UPDATE replicas SET wire = 3;" + replica("c:1", "v1", "4 s", "-2 s"), "ok: sealed",
		},
		"everybody is let in": {
			"access", live + "UPDATE replicas SET required = false, exposed = true", "ok: callers without a credential own everything",
		},
		"everybody signs in": {"access", live + "UPDATE replicas SET required = true, exposed = false", "ok: everybody signs in"},
		"a replica differs": {
			"access", live + "UPDATE replicas SET required = address = 'a:1'", "fail: some replicas want a credential, others let everybody in",
		},
		"a replica knows no accounts": {
			"access", live + "UPDATE replicas SET required = true WHERE address = 'a:1'", "fail: replicas of a release that knows no accounts let everybody in",
		},
		"a project has no owner": {
			"access", live + "UPDATE replicas SET required = true; INSERT INTO projects (id, name) OVERRIDING SYSTEM VALUE VALUES (1, 'One')",
			"warn: everybody signs in; 1 projects have no owner, such as 1",
		},
		"secrets in the clear": {
			"access", live + "UPDATE replicas SET required = true, exposed = address = 'b:1'", "warn: everybody signs in; without TLS or a proxy: b:1",
		},
		"draining":              {"draining", live + "UPDATE replicas SET draining = true WHERE address = 'b:1'", "warn: b:1"},
		"not draining":          {"draining", live, "ok: no replica"},
		"a listener to come":    {"listeners", live, "ok: 0 for 2 live replicas"},
		"a listener is missing": {"listeners", live + replica("c:1", "v1", "6 s", "60 s"), "fail: 0 for 3 live replicas"},
		"a listener": {
			"listeners", replica("c:1", "v1", "6 s", "60 s") + "SET application_name = 'layercake/c/listener'", "ok: 1 for 1 live replicas",
		},
		"dead rows": {"vacuum", "", "warn: dead rows: heads 0, presence 0, replicas 10101"},
		"a short log": {
			"log", "INSERT INTO projects (id, name) VALUES (1, 'One'); INSERT INTO heads (project_id, version, log_floor) VALUES (1, 200000, 100000)",
			"ok: the longest has 100000 events",
		},
		"a long log": {
			"log", "INSERT INTO projects (id, name) VALUES (1, 'One'); INSERT INTO heads (project_id, version, log_floor) VALUES (1, 200000, 50000)",
			"warn: the longest has 150000 events",
		},
		"people of the living": {"presence", live + people, "ok: 2 connections"},
		"a guest":              {"presence", live + people + strings.Replace(guest, "TTL", "60 s", 1), "ok: 3 connections"},
		"a guest overdue":      {"presence", live + strings.Replace(guest, "TTL", "-61 s", 1), "warn: 1 connections, 1 of them overdue"},
		"people of the dead": {
			"presence", live + replica("c:1", "v1", "4 s", "-11 s") + people, "warn: 3 connections, 1 of them overdue",
		},
		"nobody sends":             {"inbox", live, "ok: 0 messages to agents wait"},
		"a message to nobody":      {"inbox", live + inbox("11 s", "", ""), "ok: 1 messages to agents wait"},
		"a message just came":      {"inbox", live + inbox("9 s", "", "a:1"), "ok: 1 messages to agents wait"},
		"a message is not taken":   {"inbox", live + inbox("11 s", "", "a:1"), "warn: 1 messages to agents wait, 1 of them for longer than 10 s"},
		"an answer is not taken":   {"inbox", live + inbox("11 s", "q", "a:1"), "ok: 1 messages to agents wait"},
		"a message to the dead":    {"inbox", replica("c:1", "v1", "4 s", "-2 s") + inbox("11 s", "", "c:1"), "ok: 1 messages to agents wait"},
		"a message is not removed": {"inbox", live + inbox("61 min", "", ""), "warn: 1 messages to agents wait, the oldest for 01:01:00"},
		"a command to come":        {"commands", "INSERT INTO commands (kind, user_id) VALUES ('kick_user', 'ann')", "ok: all acted on"},
		"a command is not seen":    {"commands", old + "(now() - interval '6 s', 'kick_user', 'ann', NULL, NULL)", "warn: nobody acted on 1 (kick_user)"},
		"a command long ago":       {"commands", old + "(now() - interval '2 h', 'kick_user', 'ann', NULL, NULL)", "ok: all acted on"},
		"an overruled command": {
			"commands", old + `(now() - interval '6 s', 'undrain', NULL, '00000000-0000-0000-0000-00000000000a', 'a:1'),
				(now(), 'undrain', NULL, '00000000-0000-0000-0000-00000000000a', 'a:1')`, "ok: all acted on",
		},
		"nothing is built":       {"builds", "", "ok: 0 under way, 0 wait"},
		"builds under way":       {"builds", data + build("a", "processing", "1", "2 min", none) + claim("a") + build("b", "pending", "0", "2 min", none), "ok: 1 under way, 1 wait"},
		"a build just asked for": {"builds", data + build("a", "pending", "0", "50 s", none), "ok: 0 under way, 1 wait"},
		"a build that nobody takes": {
			"builds", data + build("a", "pending", "0", "70 s", none), "warn: 0 under way, 1 wait, 1 of them for longer than a minute",
		},
		"a build that is tried again": {
			"builds", data + build("a", "processing", "1", "70 s", none) + "UPDATE builds SET retry_at = now() + interval '1 s'", "ok: 0 under way, 1 wait",
		},
		"a build that failed":  {"builds", data + build("a", "error", "1", "70 s", "interval '1 s'"), "ok: 0 under way, 0 wait"},
		"a build given up":     {"builds", data + build("a", "error", "3", "70 s", "interval '1 s'"), "warn: 0 under way, 0 wait; 1 given up within the last hour"},
		"a build long ago":     {"builds", data + build("a", "error", "3", "70 min", "interval '61 min'"), "ok: 0 under way, 0 wait"},
		"nothing is stored":    {"storage", "", "ok: graphs 0 bytes, files 0 bytes"},
		"contents are used":    {"storage", data + contents, "ok: graphs 1000 kB, files 500 kB"},
		"contents are claimed": {"storage", data + contents + "UPDATE graphs SET content_id = NULL;" + claim("a") + "UPDATE claims SET content_id = (SELECT id FROM contents)", "ok: graphs 1000 kB, files 500 kB"},
		"contents are forgotten": {
			"storage", data + contents + "UPDATE graphs SET content_id = NULL", "warn: graphs 1000 kB, files 500 kB, 1000 kB of them in 1 graphs and files that nothing refers to",
		},
		"files are forgotten": {
			"storage", data + contents + "DELETE FROM data_sources", "warn: graphs 1000 kB, files 500 kB, 500 kB of them in 1 graphs and files that nothing refers to",
		},
		"contents were forgotten just now": {
			"storage", data + contents + "UPDATE graphs SET content_id = NULL; UPDATE contents SET touched_at = now()", "ok: graphs 1000 kB, files 500 kB",
		},
		"fsync is off": {"durability", "", "fail: fsync, full_page_writes"}, // of the tests' server
		"read-only": {
			"database", "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$", "fail",
		},
		"a reader's own setting": {"database", "SET default_transaction_read_only = on", "ok"},
		"the schema":             {"schema", "", "ok: migration "},
		"nobody waits":           {"locks", "", "ok: 0 sessions wait, 0 for longer than 1 s"},
		"an empty queue":         {"notifications", "", "ok: 0.0 % of the queue in use"},
		"connections":            {"connections", "", "ok: "},
		"transactions":           {"transactions", "", "ok: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := pgtest.New(t)
			conn := pgtest.Connect(t, url)
			var got, advice string
			switch {
			case c.check == "vacuum":
				pgtest.Exec(t, conn, "ALTER TABLE replicas SET (autovacuum_enabled = false)")
				pgtest.Exec(t, conn, `INSERT INTO replicas (incarnation, version, address, expires_at)
					SELECT gen_random_uuid(), 'v', 'a', now() + interval '1 s' FROM generate_series(1, 10101)`)
				pgtest.Exec(t, conn, "DELETE FROM replicas")
				pgtest.Exec(t, conn, "SELECT pg_stat_force_next_flush()")
				got, advice = finding(t, conn, c.check)
			case c.check == "database" && c.want == "fail":
				pgtest.Exec(t, conn, c.setup)
				got, advice = finding(t, pgtest.Connect(t, url), c.check)
			default:
				got, advice = findingAfter(t, conn, c.setup, c.check)
			}
			if !strings.HasPrefix(got, c.want) {
				t.Errorf("%s = %q, want %q", c.check, got, c.want)
			}
			if (advice == "") != strings.HasPrefix(got, "ok") {
				t.Errorf("%q advises %q", got, advice)
			}
		})
	}
}

const (
	none     = "NULL::interval"
	contents = `INSERT INTO contents (project_id, hash, bytes, touched_at) VALUES (1, 'h', 1024000, now() - interval '2 h');
		UPDATE graphs SET content_id = (SELECT id FROM contents) WHERE node_id = 'b';
		INSERT INTO files (project_id, size, touched_at) VALUES (1, 512000, now() - interval '2 h');
		INSERT INTO data_sources (project_id, name, filename, format, kind, status, file_id, size, sha256)
			SELECT 1, 'n', 'n.csv', 'csv', 'nodes', 'active', id, size, 'x' FROM files;`

	people = `INSERT INTO presence (connection_id, incarnation, project_id, revision, user_id, user_name, avatar_color, is_agent, transport,
		joined_at, active_at) SELECT gen_random_uuid(), incarnation, 1, 1, 'u', 'u', '', false, 'collaboration', now(), now() FROM replicas;`
	guest = `INSERT INTO presence (connection_id, expires_at, project_id, revision, user_id, user_name, avatar_color, is_agent, transport,
		joined_at, active_at) VALUES (gen_random_uuid(), now() + interval 'TTL', 1, 1, 'g', 'g', '', false, 'graphql', now(), now())`
	old = "INSERT INTO commands (at, kind, user_id, incarnation, address) VALUES "
)

// Whoever waits for a lock is seen, and so is who keeps a transaction open; also by a reader, who may not see other people's sessions.
func TestHealthSeesSessions(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	holder, waiter, reader := pgtest.Connect(t, url), pgtest.Connect(t, url), pgtest.Connect(t, url)
	watcher := role(t, reader, "reader")
	pgtest.Exec(t, reader, "SELECT layercake.grant_reader('"+watcher+"')")
	pgtest.Exec(t, reader, "SET ROLE "+watcher)
	pgtest.Exec(t, holder, "INSERT INTO projects (id, name) VALUES (1, 'One')")
	pgtest.Exec(t, holder, "BEGIN")
	pgtest.Exec(t, holder, "SELECT 1 FROM projects FOR UPDATE")
	ended := make(chan error)
	go func() {
		_, err := waiter.Exec(context.WithoutCancel(t.Context()), "DELETE FROM projects")
		ended <- err
	}()
	pgtest.AwaitTexts(t, reader, []string{"warn: 1 sessions wait, 1 for longer than 1 s"},
		`SELECT status || ': ' || detail FROM layercake.health WHERE "check" = 'locks'`)
	if transactions, _ := finding(t, reader, "transactions"); !strings.HasPrefix(transactions, "ok: the longest runs for 00:00:") {
		t.Errorf("transactions = %q", transactions)
	}
	pgtest.Exec(t, holder, "ROLLBACK")
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A standby says so, rather than that tables cannot be read there.
func TestHealthOnAStandby(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Standby(t, pgtest.Server(t)))
	if got, _ := finding(t, conn, "database"); got != "warn: this server is a standby" {
		t.Errorf("database = %q", got)
	}
	if got := pgtest.Texts(t, conn, `SELECT "check" FROM layercake.health`); len(got) != 1 {
		t.Errorf("checks %q on a standby", got)
	}
}
