package plan_test

import (
	"fmt"
	"testing"

	"layercake/internal/plan"
)

// Moving one node costs the same in a plan of 10 nodes and in one of 1,000.
func BenchmarkMoveOneNode(b *testing.B) {
	for _, size := range []int{10, 1000} {
		b.Run(fmt.Sprint("nodes=", size), func(b *testing.B) {
			r, p := newProject(b)
			edits := make([]plan.Edit, size)
			for i := range edits {
				edits[i] = plan.AddNode{Node: node(fmt.Sprint("n", i), plan.GraphNode)}
			}
			r.change(b, p, edits...)
			middle := fmt.Sprint("n", size/2)
			b.ResetTimer()
			for i := range b.N {
				r.change(b, p, plan.UpdateNode{ID: middle, Position: &plan.Position{X: float64(i%1000 + 1)}})
			}
		})
	}
}
