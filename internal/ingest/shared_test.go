package ingest_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"layercake/internal/ingest"
	"layercake/internal/layered"
)

// shared returns a file of the shared data, and skips where that is absent.
func shared(t *testing.T, name string) []byte {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("..", "..", "..", "shared", "data", name))
	if os.IsNotExist(err) {
		t.Skip("shared data is not here")
	}
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// TestSharedDataSets reads each set both ways and compares it with what its description counts.
func TestSharedDataSets(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, edges                       string
		nodes, partitions, links, palette int
		emptyLayers                       int // rows of the palette without values: a layer to plan files, nothing to uploads
	}{
		{"tiny", "edges.csv", 4, 1, 3, 2, 0},
		{"ref", "links.csv", 49, 9, 50, 4, 0},
		{"attack-tree", "links.csv", 38, 1, 55, 4, 0},
		{"kvm-control-flow", "links.csv", 17, 10, 12, 5, 1},
		{"layercake-overview", "links.csv", 10, 1, 8, 5, 1},
		{"distributed-monolith", "edges.csv", 165, 9, 355, 8, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var plan, upload layered.Graph
			for file, kind := range map[string]ingest.Kind{
				"nodes.csv": ingest.Nodes, c.edges: ingest.Edges, "layers.csv": ingest.Layers,
			} {
				body := shared(t, filepath.Join(c.name, file))
				if _, err := ingest.ReadPlanTable(bytes.NewReader(body), ingest.CSV, kind, &plan); err != nil {
					t.Fatal(err)
				}
				format, detected, err := ingest.Detect(bytes.NewReader(body), "data.csv")
				if err != nil || detected != kind {
					t.Errorf("%s: detected as %s, %v", file, detected, err)
				}
				got, err := ingest.Read(bytes.NewReader(body), format, kind, ingest.DefaultLimits())
				if err != nil || got.Warnings.Total != 0 {
					t.Errorf("%s: %v, warnings %v", file, err, got.Warnings.Listed)
				}
				upload.Nodes = append(upload.Nodes, got.Graph.Nodes...)
				upload.Edges = append(upload.Edges, got.Graph.Edges...)
				upload.Layers = append(upload.Layers, got.Graph.Layers...)
			}
			for _, g := range []struct {
				name   string
				graph  layered.Graph
				layers int
				rules  []layered.Rule
			}{
				{"plan file", plan, c.palette, layered.PlanFileRules()},
				{"upload", upload, c.palette - c.emptyLayers, layered.BuildRules()},
			} {
				partitions := 0
				for _, n := range g.graph.Nodes {
					if n.IsPartition {
						partitions++
					}
				}
				if len(g.graph.Nodes) != c.nodes || partitions != c.partitions || len(g.graph.Edges) != c.links ||
					len(g.graph.Layers) != g.layers {
					t.Errorf("%s: %d nodes (%d partitions), %d edges, %d layers", g.name,
						len(g.graph.Nodes), partitions, len(g.graph.Edges), len(g.graph.Layers))
				}
				if p := layered.Check(g.graph, g.rules); p.Total != 0 {
					t.Errorf("%s: %d problems, the first: %s", g.name, p.Total, p.Listed[0].Message)
				}
			}
		})
	}
}

// TestSharedLibrary: the controls point at nodes of the risks, so that they only stand together.
func TestSharedLibrary(t *testing.T) {
	t.Parallel()
	risks := readGraph(t, shared(t, "later-revision/library/OWASP-LLM-Top-10-Risks-2025.json"))
	controls := readGraph(t, shared(t, "later-revision/library/OWASP-LLM-Controls.json"))
	if p := layered.Check(controls, layered.BuildRules()); p.Total != 26 {
		t.Errorf("the controls alone have %d problems, want one for each of 26 edges", p.Total)
	}
	both, err := layered.Merge(t.Context(), []layered.Graph{risks, controls}, layered.Union, layered.PreferLast)
	if err != nil {
		t.Fatal(err)
	}
	if p := layered.Check(both, layered.BuildRules()); p.Total != 0 {
		t.Errorf("together they have %d problems, the first: %s", p.Total, p.Listed[0].Message)
	}
	if len(both.Nodes) != 27 || len(both.Edges) != 26 {
		t.Errorf("%d nodes and %d edges, want 27 and 26", len(both.Nodes), len(both.Edges))
	}
}

func TestSharedLookupTableIsNoGraph(t *testing.T) {
	t.Parallel()
	body := shared(t, "distributed-monolith/resource_labels.csv")
	format, kind, err := ingest.Detect(bytes.NewReader(body), "resource_labels.csv")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ingest.Read(bytes.NewReader(body), format, kind, ingest.DefaultLimits()); err == nil ||
		!strings.Contains(err.Error(), `lacks the columns "id"`) {
		t.Errorf("error is %v", err)
	}
}
