package server_test

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"layercake/internal/postgres"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server"
	"layercake/internal/server/servertest"

	"github.com/jackc/pgx/v5/pgconn"
)

// Replicas work through PgBouncer in transaction mode: the first start says what the role needs, and with that all goes well.
func TestThroughAPooler(t *testing.T) {
	t.Parallel()
	database, dba := emptyDatabase(t)
	_, direct := ownedBy(t, database, dba, "")
	through := pgtest.Bouncer(t, direct, "")
	var log notes
	configure := func(c *server.Config) {
		c.DatabaseURL, c.Log = through, slog.New(slog.NewTextHandler(&log, nil))
		pooled(c, direct)
	}

	err := servertest.Fails(t, through, configure)
	if err == nil {
		t.Fatal("a replica starts without time-outs")
	}
	_, statements, _ := strings.Cut(err.Error(), "ALTER ROLE ")
	statements = "ALTER ROLE " + statements
	for _, setting := range []string{"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "search_path"} {
		if !strings.Contains(statements, " SET "+setting+" = '") {
			t.Errorf("%s is not set by\n%s\nof %v", setting, statements, err)
		}
	}
	if _, err := dba.conn.PgConn().Exec(t.Context(), statements).ReadAll(); err != nil {
		t.Fatalf("%s: %v", statements, err)
	}
	manage(t, through, "RECONNECT")

	replicas := servertest.StartOn(t, through, 2, configure)
	works(t, dba, replicas[0].URL, replicas[1].URL)
	before := head(t, replicas[0].URL)
	replicas[0].Stop(t)
	again := servertest.StartOn(t, through, 1, configure)[0]
	if after := head(t, again.URL); after != before {
		t.Errorf("after a restart the plan is at %v, and was at %v", after, before)
	}
	must(t, again.URL, addNode(1000))
	if after := head(t, replicas[1].URL); after.Version == before.Version {
		t.Error("a change after the restart is not seen through the other replica")
	}
	if text := log.String(); strings.Contains(text, "SQLSTATE") {
		t.Errorf("the server or the pooler complained:\n%s", text)
	}
}

// manage runs a command of a pooler's console.
func manage(t *testing.T, through, command string) {
	t.Helper()
	cfg, err := pgconn.ParseConfig(through)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Database = "pgbouncer"
	conn, err := pgconn.ConnectConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if _, err := conn.Exec(t.Context(), command).ReadAll(); err != nil {
		t.Fatal(err)
	}
}

// What a replica does itself goes past the pooler, but clients do not get far without it.
func TestHealthOfAPooler(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	settle(t, database)
	through := pgtest.Bouncer(t, database, "")
	replica := servertest.StartOn(t, through, 1, func(c *server.Config) { pooled(c, database) })[0]
	healthy := func() bool {
		status, _ := health(t, replica.URL+"/health")
		return status == http.StatusOK
	}
	until(t, "health", healthy)
	cfg, err := pgconn.ParseConfig(database)
	if err != nil {
		t.Fatal(err)
	}
	name := cfg.Database
	manage(t, through, "KILL "+name)
	until(t, "the pooler to be missed", func() bool {
		status, body := health(t, replica.URL+"/health")
		return status == http.StatusServiceUnavailable && strings.Contains(body, "the pooler in front of the database does not answer")
	})
	manage(t, through, "RESUME "+name)
	until(t, "health again", healthy)
}

// One URL must not lead elsewhere than the other. Nothing is written to either database.
func TestURLsOfTwoDatabases(t *testing.T) {
	t.Parallel()
	one, dba := emptyDatabase(t)
	other, otherDBA := emptyDatabase(t)
	err := servertest.Fails(t, one, func(c *server.Config) { c.ListenURL = other })
	if err == nil || !strings.Contains(err.Error(), "both must lead to the same one") {
		t.Errorf("%v, want to be told of two databases", err)
	}
	for _, c := range []console{dba, otherDBA} {
		if n := c.text("SELECT count(*)::text FROM pg_tables WHERE schemaname = 'public'"); n != "0" {
			t.Errorf("%s tables were made", n)
		}
	}
}

// Whoever comes through a pooler without saying so reads what the server said, and what to do. Nothing is written.
func TestPoolerThatNobodySpokeOf(t *testing.T) {
	t.Parallel()
	database, dba := emptyDatabase(t)
	dropped := "ignore_startup_parameters = default_transaction_isolation, search_path, statement_timeout, lock_timeout, " +
		"idle_in_transaction_session_timeout, tcp_keepalives_idle, tcp_keepalives_interval, tcp_keepalives_count, tcp_user_timeout, synchronous_commit, enable_seqscan, enable_bitmapscan, jit"
	for name, c := range map[string]struct{ settings, want string }{
		"refuses settings": {"", "unsupported startup parameter: "},
		"drops settings":   {dropped, "these settings of the database session are wrong: "},
	} {
		through := pgtest.Bouncer(t, database, c.settings)
		for which, configure := range map[string]func(*server.Config){
			"both URLs":    func(*server.Config) {},
			"the first":    func(cfg *server.Config) { cfg.ListenURL = database },
			"the second":   func(cfg *server.Config) { cfg.DatabaseURL, cfg.ListenURL = database, through },
			"both, pooled": func(cfg *server.Config) { pooled(cfg, through) },
		} {
			err := servertest.Fails(t, through, configure)
			if err == nil || !strings.Contains(err.Error(), "LAYERCAKE_POOLER=transaction") || which != "the first" && !strings.Contains(err.Error(), c.want) {
				t.Errorf("a pooler that %s, by %s: %v, want %q and advice", name, which, err, c.want)
			}
			if which != "the first" { // which migrates directly
				if n := dba.text("SELECT count(*)::text FROM pg_tables WHERE schemaname = 'public'"); n != "0" {
					t.Fatalf("%s tables were made", n)
				}
			}
			dba.run("DROP SCHEMA public CASCADE; DROP SCHEMA IF EXISTS layercake CASCADE; CREATE SCHEMA public")
		}
	}
}

// A pooler has limits of its own, and is waited for like a server.
func TestPoolerWithoutRoom(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	settle(t, database)
	var log notes
	through := pgtest.Bouncer(t, database, "max_client_conn = 6")
	replica := servertest.StartOn(t, through, 1, func(c *server.Config) {
		c.Log = slog.New(slog.NewTextHandler(&log, nil))
		pooled(c, database)
	})[0]
	newProject(t, replica.URL)
	until(t, "a refusal", func() bool {
		load(t, replica.URL)
		return strings.Contains(log.String(), "the database refuses connections")
	})
}

// pooled makes a replica expect a pooler, past which it works by itself. Roles have the time-outs of a deployment.
func pooled(c *server.Config, direct string) {
	c.ListenURL, c.Pooled, c.Database = direct, true, postgres.DefaultTiming
}

// settle gives the role what it needs behind a pooler.
func settle(t *testing.T, database string) {
	t.Helper()
	role := openConsole(t, database)
	for _, setting := range []string{
		"search_path = public", "synchronous_commit = on", "statement_timeout = '5s'", "lock_timeout = '2s'", "idle_in_transaction_session_timeout = '2s'",
	} {
		role.run("ALTER ROLE %[2]I IN DATABASE %[1]I SET " + setting)
	}
}
