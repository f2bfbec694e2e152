package graphdata_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"layercake/internal/auth"
	"layercake/internal/db"
	"layercake/internal/fault"
	"layercake/internal/graphdata"
	"layercake/internal/layered"
	"layercake/internal/postgres"
	"layercake/internal/postgres/pgtest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Main(m)) }

var ann = auth.Anonymous("ann")

// open returns the built graphs of a new database, with chunks of so many elements. The project 1 has the nodes "a" and "b".
func open(t testing.TB, chunk int) (*graphdata.Service, *postgres.DB, *pgx.Conn) {
	t.Helper()
	url := pgtest.New(t)
	conn := pgtest.Connect(t, url)
	pgtest.Exec(t, conn, "INSERT INTO projects (id, name) VALUES (1, 'One'), (2, 'Two')")
	pgtest.Exec(t, conn, "INSERT INTO heads (project_id) VALUES (1), (2)")
	pgtest.Exec(t, conn, `INSERT INTO plan_nodes (project_id, id, ordinal, node_type, position_x, position_y, label, config, created_at, updated_at)
		SELECT 1, id, ascii(id), 'GraphNode', 0, 0, id, '{}', now(), now() FROM unnest('{a,b}'::text[]) id`)
	return openOn(t, url, chunk), openDB(t, url), conn
}

func openOn(t testing.TB, url string, chunk int) *graphdata.Service {
	t.Helper()
	return graphdata.NewService(graphdata.Config{DB: openDB(t, url), Chunk: chunk})
}

func openDB(t testing.TB, url string) *postgres.DB {
	t.Helper()
	pg, err := postgres.Open(t.Context(), postgres.Config{
		URL: url, DirectURL: url, Replica: "test", PoolMax: 2, Replicas: 1, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pg.Close)
	return pg
}

// chain is a graph of so many nodes, each with an edge to the next one.
func chain(name string, size int) layered.Graph {
	g := layered.Graph{Name: name, Layers: []layered.Layer{{ID: "l", Label: "Layer", Background: "ff0000"}, {ID: "m", Label: "Other"}}}
	for i := range size {
		n := layered.Node{ID: fmt.Sprint("n", i), Label: fmt.Sprint("Node ", i), Layer: "l", Weight: 1}
		if i > 0 {
			n.BelongsTo, n.Comment, n.Attrs = "n0", "a comment", fmt.Appendf(nil, `{"big":9007199254740993,"n":%d,"text":"\\u0000 é"}`, i)
			g.Edges = append(g.Edges, layered.Edge{
				ID: fmt.Sprint("e", i), Source: fmt.Sprint("n", i-1), Target: n.ID, Label: "", Layer: "m", Weight: float64(i) / 3,
			})
		}
		g.Nodes = append(g.Nodes, n)
	}
	return g
}

func write(t testing.TB, s *graphdata.Service, project int32, g layered.Graph) graphdata.Content {
	t.Helper()
	c, err := s.Write(t.Context(), project, g, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// finish makes a content that of a node's graph, as a build does.
func finish(t testing.TB, pg *postgres.DB, node string, r graphdata.Result) (g graphdata.Graph) {
	t.Helper()
	g = ensure(t, pg, node)
	err := pg.Requests.InTx(t.Context(), func(q *db.Queries) (err error) {
		g, err = graphdata.Finish(t.Context(), q, g.ID, r)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// ensure makes the header of a node's graph.
func ensure(t testing.TB, pg *postgres.DB, node string) graphdata.Graph {
	t.Helper()
	b := &pgx.Batch{}
	graphdata.QueueHeader(b, 1, node, "Graph "+node)
	err := pg.Requests.Do(t.Context(), func(conn *pgx.Conn) error { return conn.SendBatch(t.Context(), b).Close() })
	if err != nil {
		t.Fatal(err)
	}
	g, err := graphdata.NewService(graphdata.Config{DB: pg}).OfNode(t.Context(), auth.Unchecked(auth.Actor{}, 1), node)
	if err != nil || g == nil {
		t.Fatal(g, err)
	}
	return *g
}

// What is written is read again, whole and in pages, however it was cut into chunks.
func TestContentsAreReadAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 9, 10, 11, 20, 35} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			s, _, _ := open(t, 10)
			g := chain("My name", size)
			var began, told []int64
			c, err := s.Write(t.Context(), 1, g, func(_ context.Context, id int64) error {
				began = append(began, id)
				return nil
			}, func(done int64) { told = append(told, done) })
			if err != nil {
				t.Fatal(err)
			}
			want := g
			want.Name = ""
			if c.Hash != layered.Hash(want) || int(c.Nodes) != len(g.Nodes) || int(c.Edges) != len(g.Edges) {
				t.Errorf("wrote %+v", c)
			}
			if diff := cmp.Diff([]int64{c.ID}, began); diff != "" {
				t.Errorf("began: %s", diff)
			}
			if size > 0 && told[len(told)-1] != int64(len(g.Nodes)+len(g.Edges)) {
				t.Errorf("progress was %d", told)
			}
			told = nil
			got, err := s.Load(t.Context(), c.ID, func(done int64) { told = append(told, done) })
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
			if layered.Hash(got) != c.Hash {
				t.Error("what was read has another hash")
			}
			if size > 0 && told[len(told)-1] != int64(len(g.Nodes)+len(g.Edges)) {
				t.Errorf("progress was %d", told)
			}
			paged := layered.Graph{Layers: want.Layers}
			for at := int32(0); ; {
				page, err := s.Nodes(t.Context(), c.ID, at, 7)
				if err != nil {
					t.Fatal(err)
				}
				for _, n := range page {
					if n.Ordinal != at {
						t.Errorf("node %q is at %d, want %d", n.ID, n.Ordinal, at)
					}
					paged.Nodes = append(paged.Nodes, n.Node)
					at++
				}
				if len(page) < 7 {
					break
				}
			}
			for at := int32(0); ; {
				page, err := s.Edges(t.Context(), c.ID, at, 7)
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range page {
					paged.Edges = append(paged.Edges, e.Edge)
					at++
				}
				if len(page) < 7 {
					break
				}
			}
			if diff := cmp.Diff(want, paged, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("in pages: %s", diff)
			}
			each := layered.Graph{Layers: want.Layers}
			for n, err := range s.EachNode(t.Context(), c.ID) {
				if err != nil {
					t.Fatal(err)
				}
				each.Nodes = append(each.Nodes, n)
			}
			for e, err := range s.EachEdge(t.Context(), c.ID) {
				if err != nil {
					t.Fatal(err)
				}
				each.Edges = append(each.Edges, e)
			}
			if diff := cmp.Diff(want, each, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("one by one: %s", diff)
			}
		})
	}
}

// Who goes on beyond the end of a content gets nothing.
// Texts of any length are read as they were written, and a part of a graph is that part.
func TestLongTextsAndParts(t *testing.T) {
	t.Parallel()
	s, _, _ := open(t, 3)
	g := chain("", 10)
	for i := range g.Nodes {
		g.Nodes[i].Label = strings.Repeat(fmt.Sprint("é", i), i*i*1000)
		g.Nodes[i].Attrs = fmt.Appendf(nil, `{"long":"%s"}`, strings.Repeat("x", (10-i)*(10-i)*1000))
	}
	c := write(t, s, 1, g)
	for name, test := range map[string]struct{ nodes, edges bool }{"whole": {true, true}, "nodes": {true, false}, "edges": {false, true}} {
		want := g
		if !test.nodes {
			want.Nodes = nil
		}
		if !test.edges {
			want.Edges = nil
		}
		got, err := s.LoadPart(t.Context(), c.ID, test.nodes, test.edges)
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
}

func TestPagesEnd(t *testing.T) {
	t.Parallel()
	s, _, _ := open(t, 10)
	c := write(t, s, 1, chain("", 5))
	for _, from := range []int32{5, 6, 1<<31 - 1} {
		page, err := s.Nodes(t.Context(), c.ID, from, 1000)
		if len(page) != 0 || err != nil {
			t.Errorf("from %d: %d nodes, %v", from, len(page), err)
		}
	}
	for n, err := range s.EachNode(t.Context(), c.ID) {
		if n.ID != "n0" || err != nil {
			t.Errorf("%q, %v", n.ID, err)
		}
		break // who has seen enough holds nothing
	}
	if _, err := s.Nodes(t.Context(), 4711, 0, 10); !fault.Is(err, fault.NotFound) {
		t.Errorf("of a content that is not there: %v", err)
	}
	if _, err := s.Load(t.Context(), 4711, nil); !fault.Is(err, fault.NotFound) {
		t.Errorf("of a content that is not there: %v", err)
	}
}

// An equal result is not written again in its project, whatever the name of the graph.
func TestEqualContentsAreShared(t *testing.T) {
	t.Parallel()
	s, _, conn := open(t, 10)
	first := write(t, s, 1, chain("First", 25))
	pgtest.Exec(t, conn, "UPDATE contents SET touched_at = now() - interval '1 h'")
	var began int64
	second, err := s.Write(t.Context(), 1, chain("Second", 25), func(_ context.Context, id int64) error { began = id; return nil }, nil)
	if second != first || began != first.ID || err != nil {
		t.Errorf("got %+v, %v, began %d, want %+v", second, err, began, first)
	}
	if n := pgtest.Count(t, conn, "SELECT count(*) FROM contents WHERE touched_at > now() - interval '1 min'"); n != 1 {
		t.Error("the clean-up may take the content that was found")
	}
	other := chain("First", 25)
	other.Nodes[24].Comment = "different"
	for name, c := range map[string]graphdata.Content{"of another project": write(t, s, 2, chain("", 25)), "another graph": write(t, s, 1, other)} {
		if c.ID == first.ID {
			t.Errorf("%s: shared", name)
		}
	}
	// What is not complete is not shared.
	pgtest.Exec(t, conn, "UPDATE contents SET hash = NULL")
	if c := write(t, s, 1, chain("", 25)); c.ID == first.ID {
		t.Error("a part was shared")
	}
}

// What PostgreSQL cannot store is refused before anything is written, with the name of the element.
func TestGraphsThatCannotBeStored(t *testing.T) {
	t.Parallel()
	s, _, conn := open(t, 10)
	for name, c := range map[string]struct {
		change func(*layered.Graph)
		want   string
	}{
		"a NUL in a label":         {func(g *layered.Graph) { g.Nodes[1].Label = "a\x00b" }, `label of the node "n1"`},
		"a NUL in an id":           {func(g *layered.Graph) { g.Nodes[1].ID = "a\x00b" }, "The id of the node"},
		"a comment with no UTF-8":  {func(g *layered.Graph) { g.Edges[2].Comment = "\xff" }, `comment of the edge "e3"`},
		"a NUL in a layer":         {func(g *layered.Graph) { g.Layers[1].Label = "\x00" }, `label of the layer "m"`},
		"attributes without UTF-8": {func(g *layered.Graph) { g.Nodes[2].Attrs = []byte("{\"a\":\"\xff\"}") }, `attributes of the node "n2"`},
		"a long id":                {func(g *layered.Graph) { g.Nodes[1].ID = strings.Repeat("x", 1001) }, "1001 bytes"},
		"a long id of a layer":     {func(g *layered.Graph) { g.Layers[0].ID = strings.Repeat("x", 1001) }, "1001 bytes"},
		"many layers":              {func(g *layered.Graph) { g.Layers = make([]layered.Layer, 10_001) }, "10001 layers"},
	} {
		g := chain("", 5)
		c.change(&g)
		_, err := s.Write(t.Context(), 1, g, nil, nil)
		if !fault.Is(err, fault.BadRequest) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if n := pgtest.Count(t, conn, "SELECT count(*) FROM contents"); n != 0 {
		t.Errorf("%d contents were begun", n)
	}
	g := chain("", 5)
	g.Nodes[4].ID = strings.Repeat("x", 1000) // the largest entry of an index; it must not be compressible to prove it
	g.Edges[3].Target = g.Nodes[4].ID
	write(t, s, 1, g)

	g = chain("", 5)
	g.Edges[3].ID = "e1"
	if _, err := s.Write(t.Context(), 1, g, nil, nil); !fault.Is(err, fault.BadRequest) || !strings.Contains(err.Error(), `edge "e1" twice`) {
		t.Errorf("an id that is there twice: %v", err)
	}
}

// What ends while it is written counts for nothing, and is no content that others share.
func TestAWriteThatFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		begin func(t *testing.T, conn *pgx.Conn, stop context.CancelFunc)
		fails func(error) bool
	}{
		"the disk is full": {func(t *testing.T, conn *pgx.Conn, _ context.CancelFunc) {
			t.Helper()
			pgtest.Exec(t, conn, `CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
				BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$`)
			pgtest.Exec(t, conn, "CREATE TRIGGER full_disk BEFORE INSERT ON content_nodes FOR EACH ROW WHEN (NEW.ordinal = 25) EXECUTE FUNCTION full_disk()")
		}, func(err error) bool { return fault.Is(err, fault.Unavailable) }},
		"it is cancelled": {func(_ *testing.T, _ *pgx.Conn, stop context.CancelFunc) { stop() }, func(err error) bool { return errors.Is(err, context.Canceled) }},
		"the claim is gone": {
			func(*testing.T, *pgx.Conn, context.CancelFunc) {}, func(err error) bool { return errors.Is(err, errClaim) },
		},
		"the clean-up took it": {func(t *testing.T, conn *pgx.Conn, _ context.CancelFunc) {
			t.Helper()
			pgtest.Exec(t, conn, "DELETE FROM contents")
		}, func(err error) bool { return err != nil }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _, conn := open(t, 10)
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			began := func(context.Context, int64) error {
				c.begin(t, conn, stop)
				if name == "the claim is gone" {
					return errClaim
				}
				return nil
			}
			if _, err := s.Write(ctx, 1, chain("", 40), began, nil); !c.fails(err) {
				t.Errorf("got %v", err)
			}
			if n := pgtest.Count(t, conn, "SELECT count(*) FROM contents WHERE hash IS NOT NULL"); n != 0 {
				t.Errorf("%d contents look complete", n)
			}
			const orphans = "SELECT count(*) FROM content_nodes n WHERE NOT EXISTS (SELECT FROM contents c WHERE c.id = n.content_id AND c.nodes > n.ordinal)"
			if n := pgtest.Count(t, conn, orphans); n != 0 {
				t.Errorf("%d nodes are of no content, and would never be removed", n)
			}
			pgtest.Exec(t, conn, "DROP TRIGGER IF EXISTS full_disk ON content_nodes")
			c := write(t, s, 1, chain("", 40))
			if g, err := s.Load(t.Context(), c.ID, nil); len(g.Nodes) != 40 || err != nil {
				t.Errorf("another try wrote %d nodes, %v", len(g.Nodes), err)
			}
		})
	}
}

var errClaim = errors.New("the claim is gone")

// A writer that slept while the clean-up began to remove its content does not complete a part of it.
func TestAWriterThatSlept(t *testing.T) {
	t.Parallel()
	s, _, conn := open(t, 10)
	slept := false
	_, err := s.Write(t.Context(), 1, chain("", 40), nil, func(done int64) {
		if done == 20 {
			slept = true
			pgtest.Exec(t, conn, "DELETE FROM content_nodes WHERE ordinal >= 10")
			pgtest.Exec(t, conn, "UPDATE contents SET nodes = 10")
		}
	})
	if !slept || err == nil || fault.From(err) != nil {
		t.Errorf("slept %t, got %v, want an internal error", slept, err)
	}
	if n := pgtest.Count(t, conn, "SELECT count(*) FROM content_nodes"); n != 10 {
		t.Errorf("%d nodes, want the 10 that the clean-up has left", n)
	}
}

// Who reads a content that goes is told, rather than that it ends there.
func TestReadersOfAContentThatGoes(t *testing.T) {
	t.Parallel()
	s, _, conn := open(t, 10)
	c := write(t, s, 1, chain("", 40))
	remove := func() {
		pgtest.Exec(t, conn, "DELETE FROM content_nodes WHERE ordinal >= 20")
		pgtest.Exec(t, conn, "UPDATE contents SET hash = NULL, nodes = 20")
	}
	remove()
	if page, err := s.Nodes(t.Context(), c.ID, 15, 10); !fault.Is(err, fault.NotFound) {
		t.Errorf("a page has %d nodes, %v", len(page), err)
	}
	if page, err := s.Nodes(t.Context(), c.ID, 20, 10); !fault.Is(err, fault.NotFound) {
		t.Errorf("a page has %d nodes, %v", len(page), err)
	}
	if _, err := s.Load(t.Context(), c.ID, nil); !fault.Is(err, fault.NotFound) {
		t.Errorf("load: %v", err)
	}
	for _, err := range s.EachNode(t.Context(), c.ID) {
		if !fault.Is(err, fault.NotFound) {
			t.Errorf("one by one: %v", err)
		}
	}
}

// The clean-up may begin while somebody reads.
func TestReadersOfAContentThatGoesMeanwhile(t *testing.T) {
	t.Parallel()
	s, _, conn := open(t, 0)
	c := write(t, s, 1, chain("", 10_010))
	read, err := 0, error(nil)
	for _, err = range s.EachNode(t.Context(), c.ID) {
		if read++; read == 1 {
			pgtest.Exec(t, conn, "DELETE FROM content_nodes WHERE ordinal >= 10005")
			pgtest.Exec(t, conn, "UPDATE contents SET hash = NULL, nodes = 10005")
		}
	}
	if !fault.Is(err, fault.NotFound) {
		t.Errorf("it ended after %d with %v", read, err)
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	s, pg, conn := open(t, 10)
	if g, err := s.OfNode(t.Context(), auth.Unchecked(ann, 1), "a"); g != nil || err != nil {
		t.Errorf("nobody asked for it: %+v, %v", g, err)
	}
	if _, err := s.Get(t.Context(), auth.Unchecked(ann, 1), 4711); !errors.Is(err, graphdata.ErrNotFound) {
		t.Errorf("there is none: %v", err)
	}
	made := ensure(t, pg, "a")
	if made.State != "not_started" || made.Requested != 0 || made.ContentID != nil || made.Recipe != nil {
		t.Fatalf("%+v", made)
	}
	graph := chain("", 25)
	c := write(t, s, 1, graph)
	built := finish(t, pg, "a", graphdata.Result{Content: c, Layers: graph.Layers, Recipe: "r", Ingredients: []byte(`{"i":1}`), Metadata: []byte(`[]`)})
	if built.ID != made.ID || built.State != "completed" || built.Requested != 0 || *built.ContentID != c.ID || *built.ContentHash != c.Hash ||
		*built.Recipe != "r" || string(built.Ingredients) != `{"i":1}` || string(built.Metadata) != "[]" || built.NodeCount != 25 ||
		built.EdgeCount != 24 || built.ComputedAt == nil || built.Name != "Graph a" {
		t.Errorf("built %+v", built)
	}
	renamed, err := s.Rename(t.Context(), auth.Unchecked(ann, built.ProjectID), built.ID, "  New ")
	if err != nil || renamed.Name != "New" {
		t.Errorf("renamed %+v, %v", renamed, err)
	}
	for _, name := range []string{"", " ", "a\x00", strings.Repeat("x", 10_001)} {
		if _, err := s.Rename(t.Context(), auth.Unchecked(ann, built.ProjectID), built.ID, name); !fault.Is(err, fault.BadRequest) {
			t.Errorf("renamed to %.10q: %v", name, err)
		}
	}
	other := finish(t, pg, "b", graphdata.Result{Content: c, Recipe: "r"})
	if other.Ingredients != nil || other.Metadata != nil || other.Requested != 0 {
		t.Errorf("other %+v", other)
	}
	got, err := s.Get(t.Context(), auth.Unchecked(ann, other.ProjectID), other.ID)
	if diff := cmp.Diff(other, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	list, err := s.List(t.Context(), auth.Unchecked(ann, 1))
	if diff := cmp.Diff([]graphdata.Graph{renamed, other}, list); diff != "" || err != nil {
		t.Error(diff, err)
	}
	many, err := s.Many(t.Context(), []int32{other.ID, 4711})
	if diff := cmp.Diff([]graphdata.Graph{other}, many); diff != "" || err != nil {
		t.Error(diff, err)
	}
	of, err := s.OfNode(t.Context(), auth.Unchecked(ann, 1), "b")
	if diff := cmp.Diff(&other, of); diff != "" || err != nil {
		t.Error(diff, err)
	}
	pgtest.Exec(t, conn, "DELETE FROM plan_nodes WHERE id = 'a'")
	if _, err := s.Get(t.Context(), auth.Unchecked(ann, built.ProjectID), built.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("its node was deleted: %v", err)
	}
	if page, err := s.Nodes(t.Context(), c.ID, 0, 10); len(page) != 10 || err != nil {
		t.Errorf("the content that another graph has: %d nodes, %v", len(page), err)
	}
}

// Layers keep their ids as long as they have the same name in the palette.
func TestLayersSurviveRebuilds(t *testing.T) {
	t.Parallel()
	s, pg, _ := open(t, 10)
	graph := chain("", 3)
	show := func() (shown []string, ids map[string]int32, id int32) {
		g, err := s.OfNode(t.Context(), auth.Unchecked(ann, 1), "a")
		if err != nil {
			t.Fatal(err)
		}
		layers, err := s.Layers(t.Context(), []int32{g.ID, 4711})
		if err != nil {
			t.Fatal(err)
		}
		ids = map[string]int32{}
		for _, l := range layers[g.ID] {
			ids[l.LayerID] = l.ID
			shown = append(shown, fmt.Sprintf("%s %s %s", l.LayerID, l.Name, l.Properties))
		}
		return shown, ids, g.ID
	}
	finish(t, pg, "a", graphdata.Result{Content: write(t, s, 1, graph), Layers: graph.Layers})
	first, ids, id := show()
	if diff := cmp.Diff([]string{`l Layer {"background_color":"ff0000"}`, "m Other "}, first); diff != "" {
		t.Error(diff)
	}
	graph.Layers = []layered.Layer{
		{ID: "new", Label: "New", Border: "1", Text: "2"}, {ID: "l", Label: "Changed"}, {ID: "l", Label: "again"},
	}
	finish(t, pg, "a", graphdata.Result{Content: write(t, s, 1, graph), Layers: graph.Layers})
	second, newIDs, newID := show()
	if diff := cmp.Diff([]string{`new New {"border_color":"1","text_color":"2"}`, "l Changed "}, second); diff != "" {
		t.Error(diff)
	}
	if id != newID || ids["l"] != newIDs["l"] || ids["l"] == 0 {
		t.Errorf("ids were %d %v, and are %d %v", id, ids, newID, newIDs)
	}
	finish(t, pg, "a", graphdata.Result{Content: write(t, s, 1, graph)})
	if none, _, _ := show(); none != nil {
		t.Errorf("layers are left: %q", none)
	}
}

// A build whose content was removed before it ended does not point a graph to it.
func TestFinishWithoutAContent(t *testing.T) {
	t.Parallel()
	for name, sql := range map[string]string{
		"it is gone": "DELETE FROM contents", "it goes": "UPDATE contents SET hash = NULL",
	} {
		s, pg, conn := open(t, 10)
		c := write(t, s, 1, chain("", 3))
		pgtest.Exec(t, conn, sql)
		g := ensure(t, pg, "a")
		err := pg.Requests.InTx(t.Context(), func(q *db.Queries) error {
			_, err := graphdata.Finish(t.Context(), q, g.ID, graphdata.Result{Content: c})
			return err
		})
		if !errors.Is(err, graphdata.ErrContentGone) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Who reads the former content page by page has some minutes to end.
func TestFormerContentsStayForTheirReaders(t *testing.T) {
	t.Parallel()
	s, pg, conn := open(t, 10)
	former := write(t, s, 1, chain("", 30))
	finish(t, pg, "a", graphdata.Result{Content: former})
	pgtest.Exec(t, conn, "UPDATE contents SET touched_at = now() - interval '1 h'")
	finish(t, pg, "a", graphdata.Result{Content: write(t, s, 1, chain("", 20))})
	if n := pgtest.Count(t, conn, "SELECT count(*) FROM contents WHERE id = $1 AND touched_at > now() - interval '1 min'", former.ID); n != 1 {
		t.Error("the clean-up may take what was there a moment ago")
	}
}

func TestPreview(t *testing.T) {
	t.Parallel()
	s, _, _ := open(t, 0)
	small, err := s.Preview(t.Context(), write(t, s, 1, chain("", 4)).ID)
	if len(small.Nodes) != 4 || len(small.Edges) != 3 || small.Truncated || err != nil {
		t.Errorf("%d nodes, %d edges, %t, %v", len(small.Nodes), len(small.Edges), small.Truncated, err)
	}
	large, err := s.Preview(t.Context(), write(t, s, 1, chain("", 60_000)).ID)
	if len(large.Nodes) != 25_000 || len(large.Edges) != 24_999 || !large.Truncated || err != nil {
		t.Errorf("%d nodes, %d edges, %t, %v", len(large.Nodes), len(large.Edges), large.Truncated, err)
	}
	if _, err := s.Preview(t.Context(), 4711); !fault.Is(err, fault.NotFound) {
		t.Error(err)
	}
}

func TestCursors(t *testing.T) {
	t.Parallel()
	content, ordinal, err := graphdata.ParseCursor(graphdata.Cursor(1<<40, 1<<31-1))
	if content != 1<<40 || ordinal != 1<<31-1 || err != nil {
		t.Errorf("%d, %d, %v", content, ordinal, err)
	}
	for _, cursor := range []string{"", ".", "1", "1.", ".1", "0.1", "-1.1", "1.-1", "1.1.1", "1.2147483648", "9223372036854775808.1", "a.b"} {
		if _, _, err := graphdata.ParseCursor(cursor); !fault.Is(err, fault.BadRequest) {
			t.Errorf("%q: %v", cursor, err)
		}
	}
}
