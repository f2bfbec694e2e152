package graphdata_test

import (
	"fmt"
	"testing"

	"layercake/internal/layered"
	"layercake/internal/postgres/pgtest"
)

// large is a graph like those of plans: so many nodes with a label and two attributes, and as many edges.
func large(size int) layered.Graph {
	g := layered.Graph{Nodes: make([]layered.Node, size), Edges: make([]layered.Edge, size), Layers: []layered.Layer{{ID: "layer-1"}}}
	for i := range size {
		id := fmt.Sprint("node_", i)
		g.Nodes[i] = layered.Node{
			ID: id, Label: fmt.Sprint("Service number ", i), Layer: "layer-1", Weight: 1,
			Attrs: fmt.Appendf(nil, `{"owner":"team-%d","region":"eu-west-1"}`, i%100),
		}
		g.Edges[i] = layered.Edge{ID: fmt.Sprint("edge_", i), Source: id, Target: fmt.Sprint("node_", (i*7)%size), Label: "calls", Layer: "layer-1", Weight: 1}
	}
	return g
}

// Writing, paging and loading a graph of a million nodes and a million edges, right after it was written: before anything is analyzed.
func BenchmarkContent(b *testing.B) {
	const size = 1_000_000
	s, _, conn := open(b, 0)
	g := large(size)
	b.Run("write", func(b *testing.B) {
		for i := range b.N {
			g.Nodes[0].Label = fmt.Sprint(i) // an equal one would be shared
			write(b, s, 1, g)
		}
		b.ReportMetric(2*size*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		b.ReportMetric(float64(pgtest.Count(b, conn, "SELECT pg_total_relation_size('content_nodes') / (SELECT count(*) FROM content_nodes)")), "B/node")
		b.ReportMetric(float64(pgtest.Count(b, conn, "SELECT pg_total_relation_size('content_edges') / (SELECT count(*) FROM content_edges)")), "B/edge")
		b.ReportMetric(float64(pgtest.Count(b, conn, "SELECT max(bytes / (nodes + edges)) FROM contents")), "B/counted")
	})
	content := write(b, s, 1, g)
	b.Run("share", func(b *testing.B) {
		for b.Loop() {
			if c := write(b, s, 1, g); c != content {
				b.Fatal("not shared")
			}
		}
	})
	b.Run("page", func(b *testing.B) {
		for b.Loop() {
			if page, err := s.Nodes(b.Context(), content.ID, 900_000, 1000); len(page) != 1000 || err != nil {
				b.Fatal(len(page), err)
			}
		}
	})
	b.Run("load", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if got, err := s.Load(b.Context(), content.ID, nil); len(got.Nodes) != size || err != nil {
				b.Fatal(len(got.Nodes), err)
			}
		}
		b.ReportMetric(2*size*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	})
}
