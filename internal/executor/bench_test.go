package executor_test

import (
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	"layercake/internal/auth"
	"layercake/internal/executor"
	"layercake/internal/export"
	"layercake/internal/plan"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server"
)

// layersOfNodes returns a plan of so many nodes in ten layers beside those of some sources: graphs, transforms and copies, each with one or
// two inputs of the layer before.
func layersOfNodes(sources []string, n int) (edits []plan.Edit) {
	const layers = 10
	const reverse = `{"transforms":[{"kind":"ReverseEdges"}]}`
	before := sources
	for layer := range layers {
		var made []string
		for i := range n / layers {
			from, also := before[i%len(before)], before[(i*7+3)%len(before)]
			switch {
			case i%3 == 1 && layer%2 == 1:
				made = append(made, fmt.Sprintf("t%d_%d", layer, i))
				edits = append(edits, node(plan.TransformNode, made[i], reverse), edge(from, made[i]))
			case i%3 == 2 && layer%2 == 0 && layer > 0:
				made = append(made, fmt.Sprintf("c%d_%d", layer, i))
				edits = append(edits, node(plan.CopyNode, made[i], "{}"), edge(from, made[i]))
			default:
				made = append(made, fmt.Sprintf("g%d_%d", layer, i))
				edits = append(edits, node(plan.GraphNode, made[i], "{}"), edge(from, made[i]))
				if also != from && also[0] != 'c' { // a copy leads to one node
					edits = append(edits, edge(also, made[i]))
				}
			}
		}
		before = made
	}
	return edits
}

// A plan of 20 sources and 980 nodes that build small graphs.
func BenchmarkThousandNodes(b *testing.B) {
	a := start(b, pgtest.New(b))
	p := a.newProject(b)
	var sources []string
	for i := range 20 {
		_, nodes := a.upload(b, p, fmt.Sprintf("nodes%d.csv", i), fmt.Sprintf("id,label,layer\nn%d,Node %d,\nm%d,Other,\n", i, i, i))
		sources = append(sources, nodes...)
	}
	a.edit(b, p, layersOfNodes(sources, 980)...)
	for i := 0; b.Loop(); i++ {
		if i > 0 {
			b.Fatal("run it with -benchtime 1x")
		}
		began := time.Now()
		if _, err := a.Builds.Execute(b.Context(), auth.Unchecked(a.actor, p), "", executor.Request{}); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(time.Since(began).Seconds(), "s/request")
		for {
			done, err := a.Builds.Execute(context.Background(), auth.Unchecked(a.actor, p), "", executor.Request{Wait: 25 * time.Second})
			if err != nil {
				b.Fatal(err)
			}
			if done.Done {
				if failed := done.Failed(); failed != nil {
					b.Fatalf("%s failed: %s", failed.ID, *failed.Error)
				}
				break
			}
		}
	}
}

// Outputs of a graph of 1,000,000 nodes and edges, with reading it, at the memory that a deployment has by default.
func BenchmarkOutputs(b *testing.B) {
	const size = 1_000_000
	a := start(b, pgtest.New(b), func(c *server.Config) { c.BuildMemory = 2 << 30 })
	p := a.newProject(b)
	nodes, edges := []byte("id,label,layer,owner,region\n"), []byte("id,source,target,label,layer\n")
	for i := range size {
		nodes = fmt.Appendf(nodes, "node_%d,Service number %d,layer-1,team-%d,eu-west-1\n", i, i, i%100)
		edges = fmt.Appendf(edges, "edge_%d,node_%d,node_%d,calls,layer-1\n", i, i, i*7%size)
	}
	_, sources := a.upload(b, p, "nodes.csv", string(nodes), "edges.csv", string(edges), "layers.csv", "layer,label\nlayer-1,Layer\n")
	edits := []plan.Edit{node(plan.GraphNode, "g", "{}")}
	for _, id := range sources {
		edits = append(edits, edge(id, "g"))
	}
	a.edit(b, p, edits...)
	for !func() bool {
		done, err := a.Builds.Execute(b.Context(), auth.Unchecked(a.actor, p), "", executor.Request{Wait: 25 * time.Second})
		if err != nil || done.Failed() != nil {
			b.Fatal(err, done.Failed())
		}
		return done.Done
	}() {
	}
	for _, f := range []export.Format{export.CSVNodes, export.CSVEdges, export.DOT, export.GML} {
		b.Run(string(f), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				out, err := a.Builds.Output(b.Context(), auth.Unchecked(a.actor, p), "g", executor.OutputRequest{Format: f})
				if err == nil {
					err = out.Write(b.Context(), io.Discard)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(size*b.N)/b.Elapsed().Seconds(), "nodes/s")
		})
	}
}
