package executor_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"layercake/internal/auth"
	"layercake/internal/executor"
	"layercake/internal/fault"
	"layercake/internal/layered"
	"layercake/internal/plan"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/source"

	"github.com/jackc/pgx/v5"
)

// Whatever three replicas, and those who edit, upload, ask, cancel and kill at once, do to a project: at rest each graph equals what the
// engine computes of the files, and versions have no gap.
func TestAtRestGraphsAreWhatTheEngineComputes(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			h := newHistory(t, seed)
			var acting sync.WaitGroup
			for actor := range 3 {
				acting.Go(func() {
					r := rand.New(rand.NewPCG(seed, uint64(actor)))
					for range 25 {
						h.act(t, r)
					}
				})
			}
			acting.Wait()
			h.check(t)
		})
	}
}

// history is a project under test.
type history struct {
	replicas []*replica
	project  int32
	sources  []source.Source
	nodes    []string // that build graphs
	edges    [][2]string
}

func newHistory(t *testing.T, seed uint64) *history {
	t.Helper()
	database := pgtest.New(t)
	h := &history{}
	for range 3 {
		h.replicas = append(h.replicas, start(t, database, quick))
	}
	a := h.replicas[0]
	h.project = a.newProject(t)
	r := rand.New(rand.NewPCG(seed, 99))
	var inputs []string
	for i := range 4 {
		sources, nodes := a.upload(t, h.project, fmt.Sprintf("nodes%d.csv", i), nodeTable(r))
		h.sources, inputs = append(h.sources, sources...), append(inputs, nodes...)
	}
	kinds := map[byte]plan.NodeType{'g': plan.GraphNode, 'm': plan.MergeNode, 't': plan.TransformNode, 'c': plan.CopyNode}
	allowed := map[string]string{"d": "gmt", "g": "gtc", "t": "gmct", "m": "gtmc", "c": "gt"} // of each type, those that it may lead to
	var edits []plan.Edit
	leads := make(map[string]int)
	for i := range 14 {
		id := fmt.Sprintf("%c%d", "gmtcgm"[r.IntN(6)], i)
		config := "{}"
		if id[0] == 't' {
			config = `{"transforms":[{"kind":"DropUnconnectedNodes"},{"kind":"ReverseEdges"}]}`
		}
		edits = append(edits, node(kinds[id[0]], id, config))
		for _, from := range inputs {
			single := (id[0] == 't' || id[0] == 'c') && leads[id] > 0
			if r.IntN(3) > 0 || single || !strings.ContainsRune(allowed[from[:1]], rune(id[0])) || from[0] == 'c' && leads[from+">"] > 0 {
				continue
			}
			leads[id]++
			leads[from+">"]++
			h.edges = append(h.edges, [2]string{from, id})
			edits = append(edits, plan.AddEdge{Edge: link(from, id)})
		}
		h.nodes, inputs = append(h.nodes, id), append(inputs, id)
	}
	a.edit(t, h.project, edits...)
	return h
}

func link(from, to string) plan.Edge {
	return plan.Edge{ID: from + "_" + to, Source: from, Target: to, Metadata: plan.EdgeMetadata{DataType: plan.GraphData}}
}

// nodeTable makes up a table of nodes. Some have no rows, and some cannot be a graph.
func nodeTable(r *rand.Rand) string {
	var b strings.Builder
	b.WriteString("id,label,layer\n")
	for range r.IntN(6) {
		fmt.Fprintf(&b, "n%d,label %d,\n", r.IntN(8), r.IntN(3))
	}
	return b.String()
}

// act does something, which may be refused because of what others did.
func (h *history) act(t *testing.T, r *rand.Rand) {
	t.Helper()
	on := h.replicas[r.IntN(len(h.replicas))]
	id := h.nodes[r.IntN(len(h.nodes))]
	var err error
	ctx := t.Context()
	switch r.IntN(10) {
	case 0:
		_, err = on.Builds.Execute(ctx, auth.Unchecked(on.actor, h.project), "", executor.Request{})
	case 1, 2:
		_, err = on.Builds.Execute(ctx, auth.Unchecked(on.actor, h.project), id, executor.Request{Wait: time.Duration(r.IntN(100)) * time.Millisecond})
	case 3, 4:
		_, err = on.Sources.Change(ctx, auth.Unchecked(on.actor, h.project), h.sources[r.IntN(len(h.sources))].ID, source.Update{Content: strings.NewReader(nodeTable(r))}, source.Request{})
	case 5:
		if id[0] == 'm' {
			config := fmt.Sprintf(`{"mergeStrategy":%q}`, []string{"Union", "Intersection", "No"}[r.IntN(3)])
			_, err = on.Plans.Change(ctx, auth.Unchecked(on.actor, h.project), plan.Change{Edits: []plan.Edit{plan.UpdateNode{ID: id, Config: &config}}})
		}
	case 6:
		_, err = on.Builds.Cancel(ctx, auth.Unchecked(on.actor, h.project), id, executor.Request{})
	case 7: // somebody is killed, or seems to be
		err = kill(ctx, on)
	case 8:
		e := h.edges[r.IntN(len(h.edges))]
		_, err = on.Plans.Change(ctx, auth.Unchecked(on.actor, h.project), plan.Change{Edits: []plan.Edit{plan.DeleteEdge{ID: e[0] + "_" + e[1]}}})
	case 9:
		e := h.edges[r.IntN(len(h.edges))]
		_, err = on.Plans.Change(ctx, auth.Unchecked(on.actor, h.project), plan.Change{Edits: []plan.Edit{plan.AddEdge{Edge: link(e[0], e[1])}}})
	}
	if err != nil && fault.From(err) == nil {
		t.Error(err)
	}
}

func kill(ctx context.Context, r *replica) error {
	return r.DB.Requests.Do(ctx, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "DELETE FROM claims")
		return err
	})
}

// check compares what is there at rest with what the engine computes.
func (h *history) check(t *testing.T) {
	t.Helper()
	a := h.replicas[1]
	a.execute(t, h.project, "")
	dag, err := a.Plans.DAG(t.Context(), auth.Unchecked(a.actor, h.project))
	if err != nil {
		t.Fatal(err)
	}
	outputs := make(map[string]*layered.Graph) // nil for what cannot be built
	for len(outputs) < len(dag.Nodes) {
		for _, n := range dag.Nodes {
			inputs, ready, usable := []layered.Graph{}, true, true
			for _, e := range dag.Edges {
				if e.Target != n.ID {
					continue
				}
				g, ok := outputs[e.Source]
				if ready = ready && ok; ok && g == nil {
					usable = false
				} else if ok {
					inputs = append(inputs, *g)
				}
			}
			if _, done := outputs[n.ID]; done || !ready {
				continue
			}
			outputs[n.ID] = h.output(t, n, inputs, usable)
		}
	}
	for _, n := range dag.Nodes {
		if n.NodeType == plan.DataSourceNode {
			continue
		}
		want := outputs[n.ID]
		switch state := n.GraphExecution.ExecutionState; {
		case want == nil && state != "error", want != nil && state != "completed":
			t.Errorf("%s is %s, and can be built: %t", n.ID, state, want != nil)
		case want != nil:
			got, header := a.content(t, h.project, n.ID)
			if layered.Hash(got) != layered.Hash(*want) || int(header.NodeCount) != len(want.Nodes) || *header.ContentHash != layered.Hash(*want) {
				t.Errorf("%s has another content than the engine computes: %d nodes, want %d", n.ID, len(got.Nodes), len(want.Nodes))
			}
		}
	}
	admin := pgtest.Connect(t, a.Database)
	for _, none := range []string{
		"SELECT count(*) FROM claims", "SELECT count(*) FROM builds WHERE finished_at IS NULL",
		"SELECT count(*) FROM graphs WHERE state IN ('pending', 'processing')",
		"SELECT count(*) FROM graphs g WHERE content_id IS NOT NULL AND NOT EXISTS (SELECT FROM contents c WHERE c.id = g.content_id AND c.hash = g.content_hash)",
		"SELECT max(version) - count(*) FROM events",
	} {
		if n := pgtest.Count(t, admin, none); n != 0 {
			t.Errorf("%s: %d", none, n)
		}
	}
}

// output returns what a node is to have, or nil when it cannot be built.
func (h *history) output(t *testing.T, n plan.Node, inputs []layered.Graph, usable bool) *layered.Graph {
	t.Helper()
	a := h.replicas[2]
	if n.NodeType == plan.DataSourceNode {
		src, err := a.Sources.Get(t.Context(), auth.Unchecked(a.actor, h.project), n.DatasourceExecution.DataSourceID)
		if err != nil {
			t.Fatal(err)
		}
		g, err := a.Sources.Read(t.Context(), src)
		if err != nil {
			t.Fatal(err)
		}
		return &g
	}
	if single := n.NodeType == plan.CopyNode || n.NodeType == plan.TransformNode; !usable || single && len(inputs) == 0 {
		return nil
	}
	g, _, err := executor.Compute(t.Context(), n.NodeType, n.Config, inputs)
	if err != nil {
		return nil
	}
	return &g
}
