package plan_test

import (
	"testing"

	"layercake/internal/plan"
	"layercake/internal/postgres/pgtest"

	"github.com/google/go-cmp/cmp"
)

// graphExecution returns the state of a graph.
func graphExecution(id int32, state string) *plan.Execution {
	return &plan.Execution{Graph: &plan.GraphExecution{GraphID: id, NodeCount: 3, EdgeCount: 2, ExecutionState: state}}
}

// sourceExecution returns the state of a data source.
func sourceExecution(id int32) *plan.Execution {
	return &plan.Execution{DataSource: &plan.DataSourceExecution{
		DataSourceID: id, Filename: "nodes.csv", Status: "active", ExecutionState: "completed",
	}}
}

// The state of a node is told by an operation of its own, and kept in its row, while its other parts change or not.
func TestSetExecution(t *testing.T) {
	t.Parallel()
	r, p := newProject(t)
	r.change(t, p, plan.AddNode{Node: node("a", plan.GraphNode)}, plan.AddNode{Node: node("b", plan.GraphNode)})
	before := r.dag(t, p).Nodes[1]
	done := r.change(t, p, plan.SetExecution{NodeID: "b", Execution: graphExecution(7, "pending")})
	want := []plan.Operation{{
		Kind: plan.ExecutionChanged, ID: "b", Index: new(1),
		After: []byte(`{"graphId":7,"nodeCount":3,"edgeCount":2,"executionState":"pending","computedDate":null,"errorMessage":null}`),
	}}
	if diff := cmp.Diff(want, done.Event.Operations); diff != "" {
		t.Errorf("operations (-want +got):\n%s", diff)
	}
	before.GraphExecution = graphExecution(7, "pending").Graph
	if diff := cmp.Diff([]plan.Node{before}, done.Nodes); diff != "" {
		t.Errorf("the answer (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, r.dag(t, p).Nodes[1]); diff != "" {
		t.Errorf("the plan (-want +got):\n%s", diff)
	}
	if same := r.change(t, p, plan.SetExecution{NodeID: "b", Execution: graphExecution(7, "pending")}); same.Event != nil {
		t.Errorf("an equal state is told: %+v", same.Event)
	}
	moved := r.change(t, p, plan.UpdateNode{ID: "b", Position: &plan.Position{X: 5}}, plan.SetExecution{NodeID: "b", Execution: graphExecution(7, "completed")})
	if n := r.dag(t, p).Nodes[1]; n.GraphExecution.ExecutionState != "completed" || n.Position.X != 5 || !cmp.Equal(moved.Nodes, []plan.Node{n}) {
		t.Errorf("a node that moves and is built is %+v, told as %+v", n, moved.Nodes)
	}
	for _, skipped := range []plan.SetExecution{{NodeID: "ghost", Execution: graphExecution(7, "error")}, {NodeID: "b", Execution: sourceExecution(1)}} {
		if result := r.change(t, p, skipped); result.Event != nil {
			t.Errorf("%+v is told: %+v", skipped, result.Event)
		}
	}
	cleared := r.change(t, p, plan.SetExecution{NodeID: "b"})
	if op := cleared.Event.Operations[0]; op.After != nil || op.Before == nil || r.dag(t, p).Nodes[1].GraphExecution != nil {
		t.Errorf("clearing is told as %+v", op)
	}
	edits := pgtest.Texts(t, pgtest.Connect(t, r.url), "SELECT version || ' ' || edits FROM events WHERE project_id = $1 ORDER BY version", p)
	if diff := cmp.Diff([]string{"1 true", "2 false", "3 true", "4 false"}, edits); diff != "" {
		t.Errorf("events that edit (-want +got):\n%s", diff)
	}
}
