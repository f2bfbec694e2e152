package layered_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"

	"layercake/internal/layered"
)

// generated is a graph of 100,000 nodes and 300,000 edges: a root, three levels of partitions with ten children each, and 98 or 99
// flow nodes in each of the thousand lowest.
func generated() layered.Graph {
	const nodes, edges, layers = 100_000, 300_000, 20
	r := rand.New(rand.NewPCG(1, 2))
	g := layered.Graph{Nodes: make([]layered.Node, 0, nodes), Edges: make([]layered.Edge, 0, edges)}
	for i := range layers {
		g.Layers = append(g.Layers, layered.Layer{ID: fmt.Sprintf("layer%d", i)})
	}
	const partitions = 1 + 10 + 100 + 1000
	for i := range nodes {
		n := layered.Node{ID: name(i), Label: "Label of " + name(i), Layer: g.Layers[i%layers].ID, Weight: 1}
		switch {
		case i == 0:
			n.IsPartition = true
		case i < partitions:
			n.IsPartition, n.BelongsTo = true, name((i-1)/10)
		default:
			n.BelongsTo = name(111 + i%1000)
		}
		g.Nodes = append(g.Nodes, n)
	}
	flow := func() string { return name(partitions + r.IntN(nodes-partitions)) }
	for i := range edges {
		g.Edges = append(g.Edges, layered.Edge{
			ID: fmt.Sprintf("e%d", i), Source: flow(), Target: flow(),
			Label: "calls", Layer: g.Layers[i%layers].ID, Weight: 1,
		})
	}
	return g
}

func BenchmarkTransform(b *testing.B) {
	g := generated()
	before := layered.Hash(g)
	run := func(what string, apply func(layered.Graph) (layered.Graph, error)) {
		b.Run(what, func(b *testing.B) {
			if out, err := apply(g); err != nil || layered.Hash(out) == before {
				b.Fatalf("nothing to measure: the graph is as it was, %v", err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := apply(g); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(g.Nodes)*b.N)/b.Elapsed().Seconds(), "nodes/s")
		})
	}
	two, ten := everything(2), everything(10)
	for _, what := range []string{
		"depth", "invert", "reverse", "labels", "drop", "hierarchy", "layers", "overlay", "merge",
	} {
		run(what, two[what])
	}
	run("width", ten["width"])
	run("width, retained", ten["width, retained"])
	run("filter", everything(1)["filter"])
	run("pipeline", pipeline(layered.Settings{MaxDepth: 4, MaxWidth: 10, NodeLabelLength: 9, EdgeLabelLength: 3}))
	run("merge two halves", func(g layered.Graph) (layered.Graph, error) {
		half := len(g.Nodes) / 2
		return layered.Merge(context.Background(), []layered.Graph{
			{Nodes: g.Nodes[half:], Edges: g.Edges}, {Nodes: g.Nodes[:half], Edges: g.Edges},
		}, layered.Union, layered.PreferLast)
	})
	run("aggregate edges", ten["aggregate edges"])
	b.Run("check", func(b *testing.B) {
		for b.Loop() {
			if p := layered.Check(g, layered.BuildRules()); p.Total > 0 {
				b.Fatal(p.Listed[0].Message)
			}
		}
		b.ReportMetric(float64(len(g.Nodes)*b.N)/b.Elapsed().Seconds(), "nodes/s")
	})
	b.Run("hash", func(b *testing.B) {
		for b.Loop() {
			layered.Hash(g)
		}
		b.ReportMetric(float64(len(g.Nodes)*b.N)/b.Elapsed().Seconds(), "nodes/s")
	})
	var edits []layered.Edit
	for i := range 10_000 {
		edits = append(edits, layered.Edit{
			Sequence: i, Target: layered.EditNode, ID: name(2000 + i*7), Operation: layered.EditUpdate, Field: "label",
			Old: json.RawMessage(`"` + "Label of " + name(2000+i*7) + `"`), New: json.RawMessage(`"New"`),
		})
		if i%10 == 0 {
			edits[i] = layered.Edit{Sequence: i, Target: layered.EditNode, ID: name(2000 + i*7), Operation: layered.EditDelete}
		}
	}
	run("overlay of 10000 edits", func(g layered.Graph) (layered.Graph, error) {
		g, outcomes := layered.Overlay(g, edits)
		for _, o := range outcomes {
			if o.Result != layered.EditApplied {
				return g, fmt.Errorf("%+v", o)
			}
		}
		return g, nil
	})
}
