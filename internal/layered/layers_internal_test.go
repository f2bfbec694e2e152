package layered

import (
	"fmt"
	"strings"
	"testing"

	"layercake/internal/fault"
)

// TestAggregateLayersEndsOnLadders: each rung can be replaced only after the one before, so that every rung takes a round.
func TestAggregateLayersEndsOnLadders(t *testing.T) {
	t.Parallel()
	const rungs = 40
	g := Graph{Nodes: []Node{{ID: "hub", Layer: "hub"}}}
	for i := range rungs {
		for _, side := range []string{"a", "b"} {
			g.Nodes = append(g.Nodes, Node{ID: fmt.Sprint(side, i), Layer: fmt.Sprint("rung", i), Weight: 1})
			below := fmt.Sprint(side, i-1)
			if i == 0 {
				below = "hub"
			}
			g.Edges = append(g.Edges, Edge{ID: fmt.Sprint("e", side, i), Source: below, Target: fmt.Sprint(side, i)})
		}
	}
	whole, err := aggregateLayers(t.Context(), g, 2, MaxAggregationWork)
	if err != nil || len(whole.Nodes) != rungs+1 {
		t.Fatalf("%d nodes, %v, want one for each rung and the hub", len(whole.Nodes), err)
	}
	const limit = 1000 // about 160 visits a round
	_, err = aggregateLayers(t.Context(), g, 2, limit)
	if !fault.Is(err, fault.BadRequest) || !strings.Contains(err.Error(), "more than 6 rounds") ||
		!strings.Contains(err.Error(), "1000 visits") {
		t.Errorf("error is %v", err)
	}
}
