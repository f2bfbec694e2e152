package layered_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"

	"layercake/internal/layered"
)

// generated is a graph of 100,000 nodes in partitions of 50, themselves in partitions of 20, and 300,000 edges.
func generated() layered.Graph {
	const nodes, edges, layers = 100_000, 300_000, 20
	r := rand.New(rand.NewPCG(1, 2))
	g := layered.Graph{Nodes: make([]layered.Node, 0, nodes), Edges: make([]layered.Edge, 0, edges)}
	for i := range layers {
		g.Layers = append(g.Layers, layered.Layer{ID: fmt.Sprintf("layer%d", i)})
	}
	var flow []string
	for i := range nodes {
		n := layered.Node{ID: name(i), Label: "Label of " + name(i), Layer: g.Layers[i%layers].ID, Weight: 1}
		switch {
		case i == 0:
			n.IsPartition = true
		case i%1000 == 1:
			n.IsPartition, n.BelongsTo = true, name(0)
		case i%50 == 1:
			n.IsPartition, n.BelongsTo = true, name((i-1)/1000*1000+1)
		default:
			n.BelongsTo = name((i-1)/50*50 + 1)
			flow = append(flow, n.ID)
		}
		g.Nodes = append(g.Nodes, n)
	}
	for i := range edges {
		g.Edges = append(g.Edges, layered.Edge{
			ID: fmt.Sprintf("e%d", i), Source: flow[r.IntN(len(flow))], Target: flow[r.IntN(len(flow))],
			Label: "calls", Layer: g.Layers[i%layers].ID, Weight: 1,
		})
	}
	return g
}

func BenchmarkTransform(b *testing.B) {
	g := generated()
	run := func(what string, apply func(layered.Graph) (layered.Graph, error)) {
		b.Run(what, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := apply(g); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(g.Nodes)*b.N)/b.Elapsed().Seconds(), "nodes/s")
		})
	}
	for what, apply := range everything(2) {
		run(what, apply)
	}
	run("check", func(g layered.Graph) (layered.Graph, error) {
		if p := layered.Violations(layered.Check(g), layered.BuildRules()); len(p) > 0 {
			return g, fmt.Errorf("%s", p[0].Message)
		}
		return g, nil
	})
	run("hash", func(g layered.Graph) (layered.Graph, error) {
		layered.Hash(g)
		return g, nil
	})
	var edits []layered.Edit
	for i := range 10_000 {
		edits = append(edits, layered.Edit{
			Sequence: i, Target: layered.EditNode, ID: name(i * 7), Operation: layered.EditUpdate, Field: "label",
			Old: json.RawMessage(`"` + "Label of " + name(i*7) + `"`), New: json.RawMessage(`"New"`),
		})
		if i%10 == 0 {
			edits[i] = layered.Edit{Sequence: i, Target: layered.EditNode, ID: name(i * 7), Operation: layered.EditDelete}
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
