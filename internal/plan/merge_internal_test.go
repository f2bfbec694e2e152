package plan

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"layercake/internal/fault"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// graph is a small plan as a map; edges lead from smaller to larger ids, so that there is no cycle.
type graph struct {
	nodes map[string]Node
	edges map[string]Edge
}

func (g graph) clone() graph {
	c := graph{map[string]Node{}, map[string]Edge{}}
	for id, n := range g.nodes {
		c.nodes[id] = n
	}
	for id, e := range g.edges {
		c.edges[id] = e
	}
	return c
}

// drawEdits changes a plan at random and keeps it one that the rules allow.
func drawEdits(t *rapid.T, g graph, most int) graph {
	g = g.clone()
	text := rapid.SampledFrom([]string{"x", "y", "z"})
	for range rapid.IntRange(0, most).Draw(t, "edits") {
		id := fmt.Sprint("n", rapid.IntRange(0, 4).Draw(t, "node"))
		other := fmt.Sprint("n", rapid.IntRange(0, 4).Draw(t, "other"))
		n, isNode := g.nodes[id]
		edge := id + ">" + other
		switch rapid.IntRange(0, 6).Draw(t, "kind") {
		case 0, 1:
			if !isNode {
				g.nodes[id] = Node{ID: id, NodeType: GraphNode, Config: "{}", Metadata: NodeMetadata{Label: text.Draw(t, "label")}}
			}
		case 2:
			if isNode {
				n.Metadata.Label = text.Draw(t, "label")
				g.nodes[id] = n
			}
		case 3:
			if isNode {
				n.Position.X = float64(rapid.IntRange(0, 2).Draw(t, "x"))
				g.nodes[id] = n
			}
		case 4:
			delete(g.nodes, id)
			for e, v := range g.edges {
				if v.Source == id || v.Target == id {
					delete(g.edges, e)
				}
			}
		case 5:
			if _, there := g.nodes[other]; isNode && there && id < other {
				label := text.Draw(t, "label")
				g.edges[edge] = Edge{ID: edge, Source: id, Target: other, Metadata: EdgeMetadata{Label: &label, DataType: GraphData}}
			}
		case 6:
			delete(g.edges, edge)
		}
	}
	return g
}

func (g graph) submission(known int64) Replace {
	r := Replace{Base: fmt.Sprint(known)}
	for _, n := range g.nodes {
		r.Nodes = append(r.Nodes, n)
	}
	for _, e := range g.edges {
		r.Edges = append(r.Edges, e)
	}
	slices.SortFunc(r.Nodes, func(a, b Node) int { return strings.Compare(a.ID, b.ID) })
	slices.SortFunc(r.Edges, func(a, b Edge) int { return strings.Compare(a.ID, b.ID) })
	return r
}

func draftOf(g graph, version int64, missed ...[]byte) *draft {
	d := &draft{at: Cursor{Version: version}, missed: missed}
	r := g.submission(0)
	for i, n := range r.Nodes {
		d.nodes.load(n.ID, int64(i), n)
	}
	for i, e := range r.Edges {
		d.edges.load(e.ID, int64(i), e)
		d.links.add(e.ID, e.Source, e.Target)
	}
	d.nodes.shape(int64(len(r.Nodes))-1, nil)
	d.edges.shape(int64(len(r.Edges))-1, nil)
	return d
}

func (d *draft) graph() graph {
	g := graph{d.nodes.present(), d.edges.present()}
	for id, n := range g.nodes {
		n.CreatedAt, n.UpdatedAt = time.Time{}, time.Time{}
		g.nodes[id] = n
	}
	for id, e := range g.edges {
		e.CreatedAt, e.UpdatedAt = time.Time{}, time.Time{}
		g.edges[id] = e
	}
	return g
}

// No edit of another writer is ever lost without a conflict that names it, and no edit of the sender is either.
func TestMergeLosesNoEdit(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		base := drawEdits(t, graph{}, 12)
		// What others did is one event, made by submitting it to the base.
		theirs := drawEdits(t, base, 5)
		d := draftOf(base, 7)
		if err := theirs.submission(7).apply(d); err != nil {
			t.Fatalf("submission to the version that it knows: %v", err)
		}
		if diff := cmp.Diff(theirs, d.graph(), cmp.AllowUnexported(graph{})); diff != "" {
			t.Fatalf("submission to the version that it knows (-submitted +result):\n%s", diff)
		}
		var missed [][]byte
		version := int64(7)
		if len(d.operations) > 0 {
			body, err := json.Marshal(Event{Version: 8, Operations: d.operations})
			if err != nil {
				t.Fatal(err)
			}
			missed, version = append(missed, body), 8
		}

		mine := drawEdits(t, base, 5)
		current := draftOf(theirs, version, missed...)
		err := mine.submission(7).apply(current)
		if f := fault.From(err); f != nil {
			if conflicts, _ := f.Details["conflicts"].([]UndoConflict); f.Code != fault.Conflict || len(conflicts) == 0 {
				t.Fatalf("error = %v %v, want a conflict that names ids", err, f.Details)
			}
			if len(missed) == 0 {
				t.Fatalf("conflict %v although nobody else wrote", f.Details)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		result := current.graph()
		checkKept(t, "node", nodeParts, base.nodes, theirs.nodes, mine.nodes, result.nodes)
		checkKept(t, "edge", edgeParts, base.edges, theirs.edges, mine.edges, result.edges)
	})
}

func checkKept[T any](t *rapid.T, what string, parts []part[T], base, theirs, mine, result map[string]T) {
	for who, writer := range map[string]map[string]T{"others": theirs, "the sender": mine} {
		for id, value := range writer {
			before, old := base[id]
			after, kept := result[id]
			for _, p := range parts {
				if old && p.same(value, before) {
					continue
				}
				if !kept || !p.same(after, value) {
					t.Fatalf("%s %s: %s of %s is lost", what, id, p.name, who)
				}
			}
		}
		for id := range base {
			if _, there := writer[id]; there {
				continue
			}
			if _, back := result[id]; back {
				t.Fatalf("%s %s: deleted by %s and back again", what, id, who)
			}
		}
	}
}

func TestMergeConflicts(t *testing.T) {
	t.Parallel()
	label := func(s string) NodeMetadata { return NodeMetadata{Label: s} }
	base := graph{
		nodes: map[string]Node{"a": {ID: "a", NodeType: GraphNode, Config: "{}"}, "b": {ID: "b", NodeType: GraphNode, Config: "{}"}},
		edges: map[string]Edge{"ab": {ID: "ab", Source: "a", Target: "b", Metadata: EdgeMetadata{DataType: GraphData}}},
	}
	set := func(f func(*Node)) func(graph) {
		return func(g graph) { n := g.nodes["a"]; f(&n); g.nodes["a"] = n }
	}
	drop := func(g graph) { delete(g.nodes, "a"); delete(g.edges, "ab") }
	for name, c := range map[string]struct {
		theirs, mine func(graph)
		want         []string // conflicts; nil when it merges
	}{
		"different parts merge": {
			set(func(n *Node) { n.Position.X = 1 }), set(func(n *Node) { n.Metadata = label("mine") }), nil,
		},
		"the same change twice merges": {
			set(func(n *Node) { n.Position.X = 1 }), set(func(n *Node) { n.Position.X = 1 }), nil,
		},
		"the same part differs": {
			set(func(n *Node) { n.Position.X = 1 }), set(func(n *Node) { n.Position.X = 2 }), []string{"node a: position"},
		},
		"changed there, deleted here": {
			set(func(n *Node) { n.Config = `{"x":1}` }), drop, []string{"node a: config changed there, deleted here"},
		},
		"deleted there, changed here": {
			drop, set(func(n *Node) { n.Metadata = label("mine") }), []string{"node a: metadata changed here, deleted there"},
		},
		"deleted there, untouched here": {drop, func(graph) {}, nil},
		"deleted on both sides":         {drop, drop, nil},
		"edge added to a node that goes": {
			func(g graph) {
				g.nodes["c"] = Node{ID: "c", NodeType: GraphNode, Config: "{}"}
				g.edges["ac"] = Edge{ID: "ac", Source: "a", Target: "c", Metadata: EdgeMetadata{DataType: GraphData}}
			},
			drop,
			[]string{"edge ac: added to a node that the submission deletes"},
		},
		"edge to a node that went": {
			drop, func(g graph) {
				g.nodes["c"] = Node{ID: "c", NodeType: GraphNode, Config: "{}"}
				g.edges["ac"] = Edge{ID: "ac", Source: "a", Target: "c", Metadata: EdgeMetadata{DataType: GraphData}}
			}, []string{"node a: deleted, and the submission connects it"},
		},
		"the same id added on both sides": {
			func(g graph) {
				g.nodes["c"] = Node{ID: "c", NodeType: GraphNode, Config: "{}", Metadata: label("theirs")}
			},
			func(g graph) {
				g.nodes["c"] = Node{ID: "c", NodeType: GraphNode, Config: "{}", Metadata: label("mine")}
			},
			[]string{"node c: metadata"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			theirs, mine := base.clone(), base.clone()
			c.theirs(theirs)
			c.mine(mine)
			d := draftOf(base, 7)
			if err := theirs.submission(7).apply(d); err != nil {
				t.Fatal(err)
			}
			body, err := json.Marshal(Event{Version: 8, ActorName: "Bob", Operations: d.operations})
			if err != nil {
				t.Fatal(err)
			}
			err = mine.submission(7).apply(draftOf(theirs, 8, body))
			var got []string
			if f := fault.From(err); f != nil {
				got, _ = f.Details["detail"].([]string)
				conflicts, _ := f.Details["conflicts"].([]UndoConflict)
				if len(conflicts) != len(got) {
					t.Errorf("%d conflicts with %d texts", len(conflicts), len(got))
				}
				for _, conflict := range conflicts {
					if !slices.Equal(conflict.Versions, []int64{8}) || !slices.Equal(conflict.ActorNames, []string{"Bob"}) {
						t.Errorf("%s of %s: by %v in %v, want Bob in version 8", conflict.Part, conflict.ID, conflict.ActorNames, conflict.Versions)
					}
				}
			} else if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("conflicts (-want +got):\n%s\nerror: %v", diff, err)
			}
		})
	}
}

// A conflict says what the sender had seen and what is there now.
func TestMergeConflictsHaveValues(t *testing.T) {
	t.Parallel()
	base := graph{nodes: map[string]Node{"a": {ID: "a", NodeType: GraphNode, Config: "{}"}}}
	moved := func(x float64) graph {
		g := base.clone()
		n := g.nodes["a"]
		n.Position.X = x
		g.nodes["a"] = n
		return g
	}
	d := draftOf(base, 7)
	if err := moved(1).submission(7).apply(d); err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(Event{Version: 8, ActorName: "Bob", Operations: d.operations})
	if err != nil {
		t.Fatal(err)
	}
	refusal := fault.From(moved(2).submission(7).apply(draftOf(moved(1), 8, body)))
	if refusal == nil {
		t.Fatal("it was merged")
	}
	want := []UndoConflict{{
		Kind: NodeUpdated, ID: "a", Part: "position", Reason: "changed here and there",
		Expected: json.RawMessage(`{"x":0,"y":0}`), Current: json.RawMessage(`{"x":1,"y":0}`), Versions: []int64{8}, ActorNames: []string{"Bob"},
	}}
	if diff := cmp.Diff(want, refusal.Details["conflicts"]); diff != "" {
		t.Errorf("conflicts (-want +got):\n%s", diff)
	}
}
