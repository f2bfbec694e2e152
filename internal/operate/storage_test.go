package operate_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"layercake/internal/db"
	"layercake/internal/fault"
	"layercake/internal/graphdata"
	"layercake/internal/layered"
	"layercake/internal/operate"
	"layercake/internal/postgres"
	"layercake/internal/postgres/pgtest"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// stored is a project with a node "a", its graphs, and a clean-up.
type stored struct {
	*graphdata.Service

	t        *testing.T
	conn     *pgx.Conn
	pg       *postgres.DB
	cleaner  *operate.Cleaner
	registry *prometheus.Registry
}

func store(t *testing.T, url string) *stored {
	t.Helper()
	s := &stored{t: t, conn: pgtest.Connect(t, url), registry: prometheus.NewRegistry()}
	pgtest.Exec(t, s.conn, `INSERT INTO projects (id, name) VALUES (1, 'One') ON CONFLICT DO NOTHING`)
	pgtest.Exec(t, s.conn, `INSERT INTO plan_nodes (project_id, id, ordinal, node_type, position_x, position_y, label, config, created_at, updated_at)
		SELECT 1, 'a', 0, 'GraphNode', 0, 0, 'A', '{}', now(), now() WHERE NOT EXISTS (SELECT FROM plan_nodes)`)
	var err error
	s.pg, err = postgres.Open(t.Context(), postgres.Config{
		URL: url, DirectURL: url, Replica: "test", PoolMax: 2, Replicas: 1, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.pg.Close)
	s.Service = graphdata.NewService(graphdata.Config{DB: s.pg, Chunk: 100})
	s.cleaner = operate.NewCleaner(operate.CleanerConfig{
		DB: s.pg.System, Every: time.Millisecond, Log: slog.New(slog.DiscardHandler), Metrics: s.registry,
	})
	return s
}

// write stores a graph of so many nodes and edges, and makes it look old.
func (s *stored) write(size int) graphdata.Content {
	s.t.Helper()
	g := layered.Graph{}
	for i := range size {
		id := fmt.Sprint(i)
		g.Nodes = append(g.Nodes, layered.Node{ID: id, Weight: 1})
		g.Edges = append(g.Edges, layered.Edge{ID: id, Source: id, Target: id, Weight: 1})
	}
	c, err := s.Write(s.t.Context(), 1, g, nil, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	s.age()
	return c
}

// age makes all that is there look old.
func (s *stored) age() {
	s.t.Helper()
	pgtest.Exec(s.t, s.conn, "UPDATE contents SET touched_at = now() - interval '11 min'")
	pgtest.Exec(s.t, s.conn, "UPDATE files SET touched_at = now() - interval '11 min'")
}

// trim removes contents and expects that so many elements go.
func (s *stored) trim(want int64) {
	s.t.Helper()
	if n, err := operate.TrimContents(s.cleaner, s.t.Context(), s.tenMinutesAgo()); n != want || err != nil {
		s.t.Errorf("%d elements were removed, %v, want %d", n, err, want)
	}
}

func (s *stored) tenMinutesAgo() (at time.Time) {
	s.t.Helper()
	if err := s.conn.QueryRow(s.t.Context(), "SELECT now() - interval '10 min'").Scan(&at); err != nil {
		s.t.Fatal(err)
	}
	return at
}

// finish makes a content that of the graph of node "a".
func (s *stored) finish(c graphdata.Content) error {
	return s.pg.Requests.InTx(s.t.Context(), func(q *db.Queries) error {
		if err := q.InsertGraph(s.t.Context(), db.InsertGraphParams{ProjectID: 1, NodeID: "a", Name: "A"}); err != nil {
			return err
		}
		g, err := q.GetGraphOfNode(s.t.Context(), db.GetGraphOfNodeParams{ProjectID: 1, NodeID: "a"})
		if err != nil {
			return err
		}
		_, err = graphdata.Finish(s.t.Context(), q, g.ID, graphdata.Result{Content: c})
		return err
	})
}

// left counts all that is stored of contents.
func (s *stored) left() int {
	s.t.Helper()
	return pgtest.Count(s.t, s.conn, `SELECT (SELECT count(*) FROM contents) + (SELECT count(*) FROM content_nodes)
		+ (SELECT count(*) FROM content_edges)`)
}

// What nothing refers to goes, whole, and more than one transaction may remove.
func TestForgottenContentsGo(t *testing.T) {
	t.Parallel()
	s := store(t, pgtest.New(t))
	s.write(20_050)
	s.write(0)
	s.trim(40_100)
	if n := s.left(); n != 0 {
		t.Errorf("%d rows are left", n)
	}
}

// Each of these keeps a content.
func TestContentsThatAreNotForgotten(t *testing.T) {
	t.Parallel()
	for name, keep := range map[string]func(t *testing.T, s *stored, c graphdata.Content){
		"a graph has it": func(t *testing.T, s *stored, c graphdata.Content) {
			t.Helper()
			if err := s.finish(c); err != nil {
				t.Fatal(err)
			}
		},
		"it is young": func(t *testing.T, s *stored, _ graphdata.Content) {
			t.Helper()
			pgtest.Exec(t, s.conn, "UPDATE contents SET touched_at = now() - interval '9 min'")
		},
		"a claim names it": func(t *testing.T, s *stored, c graphdata.Content) {
			t.Helper()
			pgtest.Exec(t, s.conn, `INSERT INTO replicas (incarnation, address, version, expires_at) VALUES (gen_random_uuid(), '', '', now() + interval '1 h')`)
			pgtest.Exec(t, s.conn, "INSERT INTO graphs (project_id, node_id, name) VALUES (1, 'a', 'A')")
			pgtest.Exec(t, s.conn, `INSERT INTO claims (graph_id, project_id, incarnation, generation, content_id)
				SELECT g.id, 1, r.incarnation, 1, $1 FROM graphs g, replicas r`, c.ID)
		},
		"another replica cleans up": func(t *testing.T, s *stored, _ graphdata.Content) {
			t.Helper()
			other := pgtest.Connect(t, s.conn.Config().ConnString())
			pgtest.Exec(t, other, "BEGIN")
			pgtest.Exec(t, other, "SELECT 1 FROM cleanups FOR UPDATE")
		},
		"somebody shares it now": func(t *testing.T, s *stored, c graphdata.Content) {
			t.Helper()
			other := pgtest.Connect(t, s.conn.Config().ConnString())
			pgtest.Exec(t, other, "BEGIN")
			pgtest.Exec(t, other, "UPDATE contents SET touched_at = now() WHERE id = $1", c.ID)
		},
		"a graph is about to have it": func(t *testing.T, s *stored, c graphdata.Content) {
			t.Helper()
			other := pgtest.Connect(t, s.conn.Config().ConnString())
			pgtest.Exec(t, other, "BEGIN")
			if _, err := db.New(other).LockContent(t.Context(), c.ID); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := store(t, pgtest.New(t))
			c := s.write(150)
			keep(t, s, c)
			s.trim(0)
			if g, err := s.Load(t.Context(), c.ID, nil); len(g.Nodes) != 150 || len(g.Edges) != 150 || err != nil {
				t.Errorf("%d nodes and %d edges are left, %v", len(g.Nodes), len(g.Edges), err)
			}
		})
	}
}

// Whatever is shared, or gets a graph, between the list of what is forgotten and its removal stays: the look under the lock decides.
func TestContentsThatAreUsedMeanwhile(t *testing.T) {
	t.Parallel()
	s := store(t, pgtest.New(t))
	c := s.write(150)
	other := pgtest.Connect(t, s.conn.Config().ConnString())
	pgtest.Exec(t, other, "BEGIN")
	pgtest.Exec(t, other, "INSERT INTO graphs (project_id, node_id, name, content_id) VALUES (1, 'a', 'A', $1)", c.ID)
	// The graph is committed after the list was made.
	pgtest.Exec(t, s.conn, "BEGIN")
	pgtest.Exec(t, s.conn, "LOCK TABLE cleanups IN ACCESS EXCLUSIVE MODE") // the list does not need it, the next statement does
	before := s.tenMinutesAgo()
	ended := make(chan int64, 1)
	go func() {
		n, err := operate.TrimContents(s.cleaner, context.WithoutCancel(t.Context()), before)
		if err != nil {
			n = -1
		}
		ended <- n
	}()
	watcher := pgtest.Connect(t, s.conn.Config().ConnString())
	pgtest.AwaitCount(t, watcher, 1, "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'cleanups'::regclass")
	pgtest.Exec(t, other, "COMMIT")
	pgtest.Exec(t, s.conn, "ROLLBACK")
	if n := <-ended; n != 0 {
		t.Errorf("%d elements of a graph were removed", n)
	}
}

// A content of which the clean-up has begun to remove elements is neither shared nor given to a graph, and goes with the next clean-up.
func TestContentsThatGoAreNotUsed(t *testing.T) {
	t.Parallel()
	s := store(t, pgtest.New(t))
	c := s.write(20_050)
	pgtest.Exec(t, s.conn, `CREATE FUNCTION no_more() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no more'; END $$`)
	pgtest.Exec(t, s.conn, `CREATE TRIGGER no_more BEFORE DELETE ON content_edges FOR EACH ROW WHEN (OLD.ordinal = 49) EXECUTE FUNCTION no_more()`)
	if n, err := operate.TrimContents(s.cleaner, t.Context(), s.tenMinutesAgo()); n != 20_000 || err == nil {
		t.Errorf("%d elements were removed, %v, want 20000 and an error", n, err)
	}
	if err := s.finish(c); !errors.Is(err, graphdata.ErrContentGone) {
		t.Errorf("a graph got it: %v", err)
	}
	if again := s.write(20_050); again.ID == c.ID {
		t.Error("it was shared")
	}
	if err := s.finish(graphdata.Content{ID: c.ID + 1}); err != nil {
		t.Fatal(err)
	}
	pgtest.Exec(t, s.conn, "DROP TRIGGER no_more ON content_edges")
	s.trim(50 + 20_050)
	if n := s.left(); n != 1+2*20_050 {
		t.Errorf("%d rows are left, want those of the graph", n)
	}
}

// A server that dies while a content is written leaves a part that nobody sees, and that goes.
func TestContentsOfAKilledServer(t *testing.T) {
	t.Parallel()
	server := pgtest.Server(t)
	s := store(t, server.URL)
	g := layered.Graph{}
	for i := range 1000 {
		g.Nodes = append(g.Nodes, layered.Node{ID: fmt.Sprint(i), Weight: 1})
	}
	_, err := s.Write(t.Context(), 1, g, nil, func(done int64) {
		if done == 300 {
			server.Kill()
		}
	})
	if !fault.Is(err, fault.Unavailable) {
		t.Errorf("got %v", err)
	}
	server.Start()
	s = store(t, server.URL)
	if n := pgtest.Count(t, s.conn, "SELECT count(*) FROM contents WHERE hash IS NOT NULL"); n != 0 {
		t.Error("a part looks complete")
	}
	c, err := s.Write(t.Context(), 1, g, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.finish(c); err != nil {
		t.Fatal(err)
	}
	s.age()
	if _, err := operate.TrimContents(s.cleaner, t.Context(), s.tenMinutesAgo()); err != nil {
		t.Error(err)
	}
	if n := s.left(); n != 1001 {
		t.Errorf("%d rows are left, want those of the graph", n)
	}
}

// Files go as contents do, chunk by chunk.
func TestForgottenFilesGo(t *testing.T) {
	t.Parallel()
	s := store(t, pgtest.New(t))
	pgtest.Exec(t, s.conn, `INSERT INTO files (project_id, size) SELECT 1, 262144 * 310 + 5 FROM generate_series(1, 3)`)
	pgtest.Exec(t, s.conn, `INSERT INTO file_chunks (file_id, ordinal, body) SELECT f.id, n, 'x' FROM files f, generate_series(0, 310) n`)
	pgtest.Exec(t, s.conn, `INSERT INTO data_sources (project_id, name, filename, format, kind, status, file_id, size, sha256)
		SELECT 1, 'n', 'n.csv', 'csv', 'nodes', 'active', min(id), 1, 'x' FROM files`)
	s.age()
	pgtest.Exec(t, s.conn, "UPDATE files SET touched_at = now() WHERE id = (SELECT max(id) FROM files)")
	if n, err := operate.TrimFiles(s.cleaner, t.Context(), s.tenMinutesAgo()); n != 311 || err != nil {
		t.Errorf("%d chunks were removed, %v, want 311", n, err)
	}
	got := pgtest.Texts(t, s.conn, `SELECT format('%s: %s', f.id - (SELECT min(id) FROM files), count(*))
		FROM files f JOIN file_chunks c ON c.file_id = f.id GROUP BY f.id ORDER BY f.id`)
	if diff := cmp.Diff([]string{"0: 311", "2: 311"}, got); diff != "" {
		t.Error(diff)
	}
}

// Builds that ended long ago go, open ones and younger ones stay.
func TestOldBuildsGo(t *testing.T) {
	t.Parallel()
	s := store(t, pgtest.New(t))
	pgtest.Exec(t, s.conn, `INSERT INTO builds (project_id, node_id, label, graph_id, generation, state, requested_by, requested_at, finished_at)
		SELECT 1, 'a', l, 1, 1, 'completed', '', now() - interval '40 days', f
		FROM (VALUES ('open', NULL), ('young', now() - interval '29 days'), ('old', now() - interval '31 days')) v (l, f)`)
	pgtest.Exec(t, s.conn, `INSERT INTO builds (project_id, node_id, label, graph_id, generation, state, requested_by, finished_at)
		SELECT 1, 'a', 'old', 1, 1, 'completed', '', now() - interval '31 days' FROM generate_series(1, 10000)`)
	if n, err := operate.TrimBuilds(s.cleaner, t.Context(), time.Now().Add(-30*24*time.Hour)); n != 10_001 || err != nil {
		t.Errorf("%d were removed, %v, want 10001", n, err)
	}
	if diff := cmp.Diff([]string{"open", "young"}, pgtest.Texts(t, s.conn, "SELECT label FROM builds ORDER BY 1")); diff != "" {
		t.Error(diff)
	}
}

// The clean-up does all of that by itself.
func TestCleanUpOfStorage(t *testing.T) {
	t.Parallel()
	s := store(t, pgtest.New(t))
	s.write(150)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.cleaner.Run(ctx) }()
	pgtest.AwaitCount(t, s.conn, 0, "SELECT count(*) FROM contents")
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestStorageIsMeasured(t *testing.T) {
	t.Parallel()
	s := store(t, pgtest.New(t))
	pgtest.Exec(t, s.conn, "INSERT INTO contents (project_id, bytes) VALUES (1, 20), (2, 30)")
	pgtest.Exec(t, s.conn, "INSERT INTO files (project_id, size) VALUES (1, 5)")
	if err := operate.MeasureStorage(s.cleaner, t.Context()); err != nil {
		t.Fatal(err)
	}
	const want = `# HELP layercake_storage_bytes Bytes of contents of built graphs, about and with indexes, and of uploaded files, at this replica's last clean-up.
# TYPE layercake_storage_bytes gauge
layercake_storage_bytes{what="contents"} 50
layercake_storage_bytes{what="files"} 5
# HELP layercake_storage_objects Contents of built graphs, and uploaded files, in the database at this replica's last clean-up.
# TYPE layercake_storage_objects gauge
layercake_storage_objects{what="contents"} 2
layercake_storage_objects{what="files"} 1
`
	if err := testutil.GatherAndCompare(s.registry, strings.NewReader(want), "layercake_storage_bytes", "layercake_storage_objects"); err != nil {
		t.Error(err)
	}
}
