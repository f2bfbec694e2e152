package executor_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"layercake/internal/auth"
	"layercake/internal/executor"
	"layercake/internal/plan"
	"layercake/internal/postgres/pgtest"
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
