package executor_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"layercake/internal/executor"
	"layercake/internal/layered"
	"layercake/internal/plan"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server"
	"layercake/internal/server/servertest"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// many is how many nodes a table needs to be written in more than one chunk, and midway a node of the second one.
const many, midway = 60_000, 55_000

func manyNodes() string {
	var b strings.Builder
	b.WriteString("id,label\n")
	for i := range many {
		fmt.Fprintf(&b, "n%d,Node %d\n", i, i)
	}
	return b.String()
}

// atNode makes the insertion of a node of a content do something.
func atNode(t testing.TB, conn *pgx.Conn, ordinal int, does string) {
	t.Helper()
	pgtest.Exec(t, conn, fmt.Sprintf("CREATE FUNCTION at_node() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN %s; RETURN NEW; END $$", does))
	pgtest.Exec(t, conn, fmt.Sprintf(
		"CREATE TRIGGER at_node BEFORE INSERT ON content_nodes FOR EACH ROW WHEN (NEW.ordinal = %d) EXECUTE FUNCTION at_node()", ordinal))
}

// wantNothingLeft lets the clean-up remove what it would remove some minutes later, and fails when more is left than what graphs refer to.
func wantNothingLeft(t testing.TB, database string) {
	t.Helper()
	conn := pgtest.Connect(t, database)
	const forgotten = "SELECT count(*) FROM contents c WHERE NOT EXISTS (SELECT FROM graphs g WHERE g.content_id = c.id)"
	pgtest.Exec(t, conn, "UPDATE contents SET touched_at = 'epoch'")
	servertest.StartOn(t, database, 1, func(c *server.Config) { c.CleanUp, c.Builds = 20*time.Millisecond, 0 }) // cores do not clean up
	pgtest.AwaitCount(t, conn, 0, forgotten)
	for _, elements := range []string{"nodes", "edges"} {
		ask := fmt.Sprintf(`SELECT count(*) FROM content_%s e LEFT JOIN contents c ON c.id = e.content_id WHERE c.id IS NULL OR e.ordinal >= c.%[1]s`, elements)
		if n := pgtest.Count(t, conn, ask); n != 0 {
			t.Errorf("%d %s of no content are left", n, elements)
		}
	}
	if n := pgtest.Count(t, conn, "SELECT count(*) FROM contents WHERE hash IS NULL"); n != 0 {
		t.Errorf("%d contents are half", n)
	}
	if n := pgtest.Count(t, conn, "SELECT count(*) FROM claims"); n != 0 {
		t.Errorf("%d claims are left", n)
	}
}

// copying counts the sessions that atNode has stopped in the middle of a COPY.
const copying = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory' AND query ILIKE 'copy %content_nodes%'"

// wantManyNodes fails unless a node's graph has been built of all of manyNodes.
func (r *replica) wantManyNodes(t testing.TB, project int32, id string) {
	t.Helper()
	r.rest(t, project) // it has read the plan of the server that is there now
	wantStates(t, r.states(t, project), "completed", id)
	r.wantCurrent(t, project)
	g, header := r.content(t, project, id)
	if len(g.Nodes) != many || header.NodeCount != many || *header.ContentHash != layered.Hash(g) {
		t.Errorf("%d nodes, and the header says %d", len(g.Nodes), header.NodeCount)
	}
}

// Whatever ends the server, or its session, in the middle of a COPY: the graph is built again, and nothing of the first attempt is left.
func TestServerEndsInTheMiddleOfAContent(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*testing.T, *pgtest.Cluster){
		"it crashes":    func(_ *testing.T, c *pgtest.Cluster) { c.Kill(); c.Start() },
		"it is stopped": func(_ *testing.T, c *pgtest.Cluster) { c.Restart() },
		"its session is ended": func(t *testing.T, c *pgtest.Cluster) {
			t.Helper()
			pgtest.Exec(t, pgtest.Connect(t, c.URL), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query ILIKE 'copy %content_nodes%' AND pid <> pg_backend_pid()")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := pgtest.Server(t)
			a := start(t, cluster.URL, quick)
			p := a.newProject(t)
			_, nodes := a.upload(t, p, "nodes.csv", manyNodes())
			a.edit(t, p, node(plan.GraphNode, "g", "{}"), edge(nodes[0], "g"))
			conn := pgtest.Connect(t, cluster.URL)
			// A session that holds the lock stops the COPY there, until the server or somebody else ends one of the two.
			atNode(t, conn, midway, "PERFORM pg_advisory_xact_lock_shared(1)")
			pgtest.Exec(t, conn, "SELECT pg_advisory_lock(1)")
			a.ask(t, p, "g")
			pgtest.AwaitCount(t, conn, 1, copying)
			if n := pgtest.Count(t, conn, "SELECT nodes FROM contents"); n != 50_000 {
				t.Errorf("%d nodes are written when the second chunk is", n)
			}
			end(t, cluster)
			_ = conn.Close(t.Context()) // and the lock
			conn = pgtest.Connect(t, cluster.URL)
			pgtest.AwaitCount(t, conn, 1, "SELECT count(*) FROM builds WHERE finished_at IS NOT NULL")
			a.wantManyNodes(t, p, "g")
			if n := pgtest.Count(t, conn, "SELECT count(*) FROM builds WHERE attempt = 1"); n != 0 {
				t.Errorf("it was built in its first attempt")
			}
			wantNothingLeft(t, cluster.URL)
		})
	}
}

// A standby that takes over in the middle of a COPY has the first chunks of a content and no claim: the graph is built again there.
func TestFailoverInTheMiddleOfAContent(t *testing.T) {
	t.Parallel()
	primary := pgtest.Server(t)
	standby := pgtest.Standby(t, primary)
	proxy, through := pgtest.Proxy(t, primary.URL)
	a := start(t, through, quick)
	p := a.newProject(t)
	sources, nodes := a.upload(t, p, "nodes.csv", "id,label\na,Anna\n")
	a.edit(t, p, node(plan.GraphNode, "g", "{}"), edge(nodes[0], "g"))
	a.execute(t, p, "g")
	a.replace(t, sources[0], manyNodes())
	conn := pgtest.Connect(t, primary.URL)
	atNode(t, conn, midway, "PERFORM pg_advisory_xact_lock_shared(1)")
	pgtest.Exec(t, conn, "SELECT pg_advisory_lock(1)")
	a.ask(t, p, "g")
	pgtest.AwaitCount(t, conn, 1, copying)
	there := pgtest.Connect(t, standby)
	pgtest.AwaitCount(t, there, 1, "SELECT count(*) FROM contents WHERE nodes = 50000 AND hash IS NULL")
	primary.Kill()
	_ = conn.Close(t.Context())
	pgtest.Exec(t, there, "SELECT pg_promote()")
	direct, err := pgx.ParseConfig(standby)
	if err != nil {
		t.Fatal(err)
	}
	proxy.Switch(pgconn.NetworkAddress(direct.Host, direct.Port))
	pgtest.AwaitCount(t, there, 2, "SELECT count(*) FROM builds WHERE finished_at IS NOT NULL")
	a.wantManyNodes(t, p, "g")
	wantNothingLeft(t, standby)
}

// A network that is lost without a word while the rows of a source are read: the build does not wait for them as long as a build may last.
func TestNetworkIsLostWhileASourceIsRead(t *testing.T) {
	t.Parallel()
	proxy, through := pgtest.Proxy(t, pgtest.New(t))
	a := start(t, through, quick, func(c *server.Config) { c.Database.Statement = time.Second })
	p := a.newProject(t)
	_, nodes := a.upload(t, p, "nodes.csv", "id,label\na,Anna\n")
	a.edit(t, p, node(plan.GraphNode, "g", "{}"), edge(nodes[0], "g"))
	proxy.SilenceAt("name: GetFileChunk")
	a.execute(t, p, "g")
	if proxy.Armed() {
		t.Error("nothing was lost")
	}
	wantStates(t, a.states(t, p), "completed", "g")
}

// A disk that fills up while a content is written: the build is tried again after each pause, then given up with the reason, and what was
// built before stays. Once there is room, it is built.
func TestDiskFillsUpWhileAContentIsWritten(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	var c computed
	a := start(t, database, quick, c.on)
	p := a.newProject(t)
	sources, nodes := a.upload(t, p, "nodes.csv", "id,label\na,Anna\n")
	a.edit(t, p, node(plan.GraphNode, "g", "{}"), edge(nodes[0], "g"), node(plan.CopyNode, "c", "{}"), edge("g", "c"))
	a.execute(t, p, "")
	_, before := a.content(t, p, "g")
	a.replace(t, sources[0], manyNodes())
	conn := pgtest.Connect(t, database)
	atNode(t, conn, midway, "RAISE 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'")
	done := a.execute(t, p, "")
	wantStates(t, a.states(t, p), "error", "g", "c")
	if n := c.count(p, "g"); n != 1+4 {
		t.Errorf("it was computed %d times after the first", n-1)
	}
	if failed := done.Failed(); failed == nil || failed.ID != "g" || failed.Error == nil ||
		!strings.Contains(*failed.Error, "given up after 4 attempts") || !strings.Contains(*failed.Error, "disk") {
		t.Errorf("%+v", done)
	}
	if g, now := a.content(t, p, "g"); *now.ContentID != *before.ContentID || len(g.Nodes) != 1 || now.NodeCount != 1 {
		t.Errorf("the former content is gone: %+v", now)
	}
	pgtest.Exec(t, conn, "DROP TRIGGER at_node ON content_nodes")
	a.execute(t, p, "")
	wantStates(t, a.states(t, p), "completed", "g", "c")
	a.wantCurrent(t, p)
	if _, now := a.content(t, p, "c"); now.NodeCount != many || now.ErrorMessage != nil {
		t.Errorf("%+v", now)
	}
	wantNothingLeft(t, database)
}

// After each attempt that failed comes the pause of a deployment, and none after the last one.
func TestPausesBetweenAttempts(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	a := start(t, database, quick, func(c *server.Config) { c.BuildTiming.Retries = executor.DefaultTiming.Retries })
	conn := pgtest.Connect(t, database)
	pgtest.Exec(t, conn, "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no space left' USING ERRCODE = '53100'; END $$")
	pgtest.Exec(t, conn, "CREATE TRIGGER full_disk BEFORE INSERT ON contents FOR EACH STATEMENT EXECUTE FUNCTION full_disk()")
	p := a.newProject(t, merges(1)...)
	pgtest.Exec(t, conn, "CREATE TABLE began AS SELECT clock_timestamp() AS at")
	a.ask(t, p, "m0")
	for i, pause := range executor.DefaultTiming.Retries {
		const waits = "SELECT count(*) FROM builds WHERE attempt = $1 AND retry_at IS NOT NULL AND finished_at IS NULL"
		pgtest.AwaitCount(t, conn, 1, waits, i+1)
		// The attempt failed between two times that are known, so the next one is due between two others.
		const due = `SELECT count(*) FROM builds, began WHERE retry_at BETWEEN began.at + $1::int * interval '1 second' AND
			clock_timestamp() + $1::int * interval '1 second'`
		if n := pgtest.Count(t, conn, due, int(pause/time.Second)); n != 1 {
			t.Errorf("after attempt %d it does not wait for %v", i+1, pause)
		}
		pgtest.Exec(t, conn, "UPDATE began SET at = clock_timestamp()")
		pgtest.Exec(t, conn, "UPDATE builds SET retry_at = now()")
	}
	wantStates(t, a.rest(t, p), "error", "m0")
}
