package layered_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"layercake/internal/layered"
)

// drawGraph makes a graph with unique IDs and edges whose ends exist. Parents may be missing, cyclic, or flow nodes.
func drawGraph(t *rapid.T) layered.Graph {
	return drawGraphOf(t, rapid.IntRange(0, 14).Draw(t, "nodes"), rapid.IntRange(0, 25).Draw(t, "edges"))
}

func drawGraphOf(t *rapid.T, nodes, edges int) layered.Graph {
	layers := rapid.SampledFrom([]string{"", "app", "infra"})
	weights := rapid.IntRange(-2, 9)
	var g layered.Graph
	for i := range nodes {
		n := layered.Node{
			ID: name(i), Label: name(i), Layer: layers.Draw(t, "layer"), IsPartition: rapid.Bool().Draw(t, "partition"),
			Weight: float64(weights.Draw(t, "weight")),
		}
		if p := rapid.IntRange(-4, nodes).Draw(t, "parent"); p >= 0 { // name(nodes) does not exist
			n.BelongsTo = name(p)
		}
		g.Nodes = append(g.Nodes, n)
	}
	if nodes == 0 {
		return g
	}
	for i := range edges {
		g.Edges = append(g.Edges, layered.Edge{
			ID:     fmt.Sprintf("e%d", i),
			Source: name(rapid.IntRange(0, nodes-1).Draw(t, "source")),
			Target: name(rapid.IntRange(0, nodes-1).Draw(t, "target")),
			Layer:  layers.Draw(t, "layer"),
			Weight: float64(weights.Draw(t, "weight")),
		})
	}
	return g
}

func pipeline(s layered.Settings) func(layered.Graph) (layered.Graph, error) {
	return func(g layered.Graph) (layered.Graph, error) {
		g, _, err := s.Apply(context.Background(), g)
		return g, err
	}
}

// everything is each operation that makes one graph of one.
func everything(n int) map[string]func(layered.Graph) (layered.Graph, error) {
	ok := func(f func(layered.Graph) layered.Graph) func(layered.Graph) (layered.Graph, error) {
		return func(g layered.Graph) (layered.Graph, error) { return f(g), nil }
	}
	filter := layered.Filter{Rules: layered.RuleGroup{Rules: []layered.RuleEntry{
		{Field: "weight", Operator: "greaterThan", Value: new(fmt.Sprint(n))},
	}}}
	return map[string]func(layered.Graph) (layered.Graph, error){
		"depth":           func(g layered.Graph) (layered.Graph, error) { return layered.LimitDepth(g, n) },
		"width":           func(g layered.Graph) (layered.Graph, error) { return layered.LimitWidth(g, n, false) },
		"width, retained": func(g layered.Graph) (layered.Graph, error) { return layered.LimitWidth(g, n, true) },
		"invert":          func(g layered.Graph) (layered.Graph, error) { return layered.Invert(context.Background(), g) },
		"reverse":         ok(layered.ReverseEdges),
		"labels":          func(g layered.Graph) (layered.Graph, error) { return layered.LimitNodeLabels(g, n) },
		"aggregate edges": ok(layered.AggregateEdges),
		"drop":            ok(func(g layered.Graph) layered.Graph { return layered.DropUnconnected(g, n%2 == 0) }),
		"hierarchy":       ok(func(g layered.Graph) layered.Graph { return layered.GenerateHierarchy(g, n%2 == 0) }),
		"layers": func(g layered.Graph) (layered.Graph, error) {
			return layered.AggregateLayers(context.Background(), g, n)
		},
		"pipeline": pipeline(layered.Settings{Invert: n == 1, MaxDepth: n, MaxWidth: n, DropUnconnected: n == 2}),
		"filter": func(g layered.Graph) (layered.Graph, error) {
			g, _, err := filter.Apply(context.Background(), g)
			return g, err
		},
		"overlay": func(g layered.Graph) (layered.Graph, error) {
			g, _ = layered.Overlay(g, []layered.Edit{{Target: layered.EditNode, ID: name(n), Operation: layered.EditDelete}})
			return g, nil
		},
		"merge": func(g layered.Graph) (layered.Graph, error) {
			return layered.Merge(context.Background(), []layered.Graph{g, {Nodes: g.Nodes[len(g.Nodes)/2:]}},
				[]layered.Strategy{layered.Union, layered.Intersection, layered.Difference}[n%3], layered.PreferFirst)
		},
	}
}

// TestTransformsKeepGraphsWhole: no operation makes a dangling edge, a second element of an ID, or a parent that does not exist
// unless it did not exist before; none changes its input; and the same input gives the same output.
func TestTransformsKeepGraphsWhole(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		g := drawGraph(t)
		missing := missingParents(g)
		before := layered.Hash(g)
		for what, apply := range everything(rapid.IntRange(1, 4).Draw(t, "n")) {
			out, err := apply(g)
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			for _, p := range layered.Check(out, []layered.Rule{
				layered.EmptyID, layered.DuplicateNode, layered.DuplicateEdge, layered.MissingEnd,
			}).Listed {
				t.Errorf("%s: %s", what, p.Message)
			}
			for parent := range missingParents(out) {
				if !missing[parent] {
					t.Errorf("%s: the parent %s is lost", what, parent)
				}
			}
			if layered.Hash(g) != before {
				t.Fatalf("%s changed its input", what)
			}
			again, err := apply(g)
			if err != nil || layered.Hash(again) != layered.Hash(out) {
				t.Errorf("%s gives another result the second time, %v", what, err)
			}
		}
	})
}

func missingParents(g layered.Graph) map[string]bool {
	missing := make(map[string]bool)
	for _, n := range g.Nodes {
		missing[n.BelongsTo] = n.BelongsTo != ""
	}
	for _, n := range g.Nodes {
		delete(missing, n.ID)
	}
	delete(missing, "")
	return missing
}

func TestWeightIsConserved(t *testing.T) {
	t.Parallel()
	nodes := func(g layered.Graph) (sum float64) {
		for _, n := range g.Nodes {
			sum += n.Weight
		}
		return sum
	}
	edges := func(g layered.Graph) (sum float64) {
		for _, e := range g.Edges {
			sum += e.Weight
		}
		return sum
	}
	rapid.Check(t, func(t *rapid.T) {
		g := drawGraph(t)
		n := rapid.IntRange(1, 4).Draw(t, "n")
		all := everything(n)
		for _, what := range []string{"depth", "width", "width, retained", "layers"} {
			out, err := all[what](g)
			if err != nil {
				t.Fatal(err)
			}
			if nodes(out) != nodes(g) {
				t.Errorf("%s: nodes weigh %v, were %v", what, nodes(out), nodes(g))
			}
		}
		for _, what := range []string{"width", "aggregate edges", "reverse"} {
			out, err := all[what](g)
			if err != nil {
				t.Fatal(err)
			}
			if edges(out) != edges(g) {
				t.Errorf("%s: edges weigh %v, were %v", what, edges(out), edges(g))
			}
		}
	})
}

// TestLimitDepthHolds: below a root no node is deeper than the limit, and nodes above it are as they were.
func TestLimitDepthHolds(t *testing.T) {
	t.Parallel()
	depths := func(g layered.Graph) map[string]int {
		parent := make(map[string]string)
		for _, n := range g.Nodes {
			parent[n.ID] = n.BelongsTo
		}
		out := make(map[string]int)
		for _, n := range g.Nodes {
			id, depth := n.ID, 0
			for parent[id] != "" && depth <= len(g.Nodes) {
				id, depth = parent[id], depth+1
			}
			if i := slices.IndexFunc(g.Nodes, func(r layered.Node) bool { return r.ID == id }); i >= 0 &&
				g.Nodes[i].BelongsTo == "" && g.Nodes[i].IsPartition {
				out[n.ID] = depth
			}
		}
		return out
	}
	rapid.Check(t, func(t *rapid.T) {
		g := drawGraph(t)
		limit := rapid.IntRange(1, 4).Draw(t, "limit")
		out, err := layered.LimitDepth(g, limit)
		if err != nil {
			t.Fatal(err)
		}
		now := depths(out)
		for id, depth := range depths(g) {
			if left, ok := now[id]; ok != (depth <= limit) || ok && left != depth {
				t.Errorf("%s was at depth %d and is at %d, %v", id, depth, left, ok)
			}
		}
		again, err := layered.LimitDepth(out, limit)
		if err != nil || layered.Hash(again) != layered.Hash(out) {
			t.Errorf("a second limit changes something, %v", err)
		}
	})
}

func TestMergeIsAssociative(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var g [3]layered.Graph
		for i := range g {
			g[i] = drawGraph(t)
			g[i].Nodes = rapid.Permutation(g[i].Nodes).Draw(t, "order")
			for k := range g[i].Edges { // an ID always has the same ends
				g[i].Edges[k].Source, g[i].Edges[k].Target = name(k), name(k/2)
			}
			g[i].Layers = []layered.Layer{{ID: name(rapid.IntRange(0, 2).Draw(t, "layer")), Label: name(i)}}
		}
		merge := func(inputs ...layered.Graph) layered.Graph {
			out, err := layered.Merge(t.Context(), inputs, layered.Union, layered.PreferLast)
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
		all := layered.Hash(merge(g[:]...))
		if left := layered.Hash(merge(merge(g[0], g[1]), g[2])); left != all {
			t.Error("(a b) c differs from a b c")
		}
		if right := layered.Hash(merge(g[0], merge(g[1], g[2]))); right != all {
			t.Error("a (b c) differs from a b c")
		}
	})
}

// TestReplayIsIdempotent records edits the way people make them, each on the graph that shows the former ones, and replays them
// on the first graph, and if nothing was deleted on their own result: a deletion changes parents that no edit tells of.
func TestReplayIsIdempotent(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		base := drawGraphOf(t, rapid.IntRange(1, 5).Draw(t, "nodes"), rapid.IntRange(0, 6).Draw(t, "edges"))
		shown := base
		var edits []layered.Edit
		for len(edits) < rapid.IntRange(0, 15).Draw(t, "edits") {
			e := drawEdit(t, shown, len(edits)+1)
			next, outcomes := layered.Overlay(shown, []layered.Edit{e})
			if outcomes[0].Result != layered.EditApplied {
				t.Fatalf("%+v: %+v", e, outcomes[0])
			}
			edits = append(edits, e)
			shown = next
		}
		once, outcomes := layered.Overlay(base, edits)
		for i, o := range outcomes {
			if o.Result != layered.EditApplied {
				t.Errorf("edit %+v: %+v", edits[i], o)
			}
		}
		if layered.Hash(once) != layered.Hash(shown) {
			t.Error("the replay differs from what the editor saw")
		}
		if slices.ContainsFunc(edits, func(e layered.Edit) bool { return e.Operation == layered.EditDelete }) {
			return
		}
		twice, _ := layered.Overlay(once, edits)
		if got, want := content(twice), content(once); got != want {
			t.Errorf("a second replay changes something:\n%s\nwas\n%s\nedits %+v", got, want, edits)
		}
	})
}

// drawEdit makes an edit that fits g, with the values that g has as old values.
func drawEdit(t *rapid.T, g layered.Graph, sequence int) layered.Edit {
	e := layered.Edit{Sequence: sequence, Target: layered.EditNode}
	text := func(s string) json.RawMessage { return json.RawMessage(fmt.Sprintf("%q", s)) }
	fresh := rapid.SampledFrom([]string{"n0", "n1", "x0", "x1", "x2"}).Draw(t, "fresh")
	exists := slices.ContainsFunc(g.Nodes, func(n layered.Node) bool { return n.ID == fresh })
	var kinds []string
	if !exists {
		kinds = append(kinds, "create node")
	}
	if len(g.Nodes) > 0 {
		kinds = append(kinds, "delete node", "label", "belongsTo")
		if !slices.ContainsFunc(g.Edges, func(e layered.Edge) bool { return e.ID == fresh }) {
			kinds = append(kinds, "create edge")
		}
	}
	if len(g.Edges) > 0 {
		kinds = append(kinds, "delete edge", "edge label")
	}
	pick := func() layered.Node { return g.Nodes[rapid.IntRange(0, len(g.Nodes)-1).Draw(t, "node")] }
	label := rapid.SampledFrom([]string{"", "A", "B", "C"}).Draw(t, "label")
	switch kind := rapid.SampledFrom(kinds).Draw(t, "kind"); kind {
	case "create node":
		e.ID, e.Operation, e.New = fresh, layered.EditCreate, json.RawMessage(`{"label":"new"}`)
	case "delete node":
		e.ID, e.Operation = pick().ID, layered.EditDelete
	case "label":
		n := pick()
		e.ID, e.Operation, e.Field, e.Old, e.New = n.ID, layered.EditUpdate, kind, text(n.Label), text(label)
	case "belongsTo":
		n := pick()
		e.ID, e.Operation, e.Field, e.Old, e.New = n.ID, layered.EditUpdate, kind, text(n.BelongsTo), text(pick().ID)
	case "create edge":
		e.Target, e.ID, e.Operation = layered.EditEdge, fresh, layered.EditCreate
		e.New = json.RawMessage(fmt.Sprintf(`{"source":%q,"target":%q}`, pick().ID, pick().ID))
	default:
		edge := g.Edges[rapid.IntRange(0, len(g.Edges)-1).Draw(t, "edge")]
		e.Target, e.ID, e.Operation = layered.EditEdge, edge.ID, layered.EditDelete
		if kind == "edge label" {
			e.Operation, e.Field, e.Old, e.New = layered.EditUpdate, "label", text(edge.Label), text(label)
		}
	}
	return e
}

// content is what a graph holds, whatever the order: deleting and creating again moves an element to the end.
func content(g layered.Graph) string {
	var lines []string
	for _, n := range g.Nodes {
		lines = append(lines, fmt.Sprintf("%+v", n))
	}
	for _, e := range g.Edges {
		lines = append(lines, fmt.Sprintf("%+v", e))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
