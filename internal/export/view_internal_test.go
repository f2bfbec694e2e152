package export

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"layercake/internal/layered"
)

// Ids are sorted as texts, whatever they begin with.
func TestSortedBy(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for round := range 2000 {
		common := strings.Repeat("ab\x00", r.IntN(5))
		ids := make([]string, r.IntN(12))
		for i := range ids {
			tail := make([]byte, r.IntN(12))
			for j := range tail {
				tail[j] = "\x00ab\xff"[r.IntN(4)]
			}
			ids[i] = common + string(tail)
		}
		want := make([]int, len(ids))
		for i := range want {
			want[i] = i
		}
		slices.SortFunc(want, func(a, b int) int { return cmp.Or(strings.Compare(ids[a], ids[b]), cmp.Compare(a, b)) })
		if got := sortedBy(len(ids), func(i int) string { return ids[i] }); !slices.Equal(got, want) {
			t.Fatalf("round %d: %q are sorted as %v, want %v", round, ids, got, want)
		}
	}
}

// A format that says it needs no nodes, or no edges, writes the same without them.
func TestTablesNeedOneHalfOfAGraph(t *testing.T) {
	t.Parallel()
	whole := layered.Graph{
		Nodes: []layered.Node{{ID: "b", Weight: 2}, {ID: "a", Label: "A", BelongsTo: "b", Weight: 1}},
		Edges: []layered.Edge{{ID: "f", Source: "a", Target: "b", Weight: 3}, {ID: "e", Source: "b", Target: "a", Weight: 1}},
	}
	for _, f := range Formats() {
		for _, opt := range []Options{{}, {CSVWeight: true, UnitNodeWeights: true}} {
			part := whole
			if !f.NeedsNodes() {
				part.Nodes = nil
			}
			if !f.NeedsEdges() {
				part.Edges = nil
			}
			if f != Custom { // which needs a template
				same(t, string(f), render(t, part, f, opt), render(t, whole, f, opt))
			}
		}
	}
}
