package plan_test

import (
	"context"
	"math"
	"testing"

	"layercake/internal/auth"
	"layercake/internal/fault"
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

// build makes as many events of states of a node.
func (r *replica) build(t testing.TB, project int32, id string, events int) {
	t.Helper()
	for i := range events {
		e := graphExecution(7, []string{"pending", "processing", "completed"}[i%3])
		e.Graph.NodeCount += int32(i)
		r.change(t, project, plan.SetExecution{NodeID: id, Execution: e})
	}
}

// States of executions step the version, and are in the way of no edit. An edit is.
func TestExpectedVersionAfterExecutions(t *testing.T) {
	t.Parallel()
	r, p := newProject(t)
	r.change(t, p, plan.AddNode{Node: node("a", plan.GraphNode)}, plan.AddNode{Node: node("b", plan.GraphNode)})
	r.build(t, p, "a", 3)
	x := 0.0
	edit := func(expected int64) plan.Change {
		x++
		return plan.Change{Expected: &expected, Edits: []plan.Edit{plan.UpdateNode{ID: "b", Position: &plan.Position{X: x}}}}
	}
	check := func(change func(context.Context, auth.Actor, int32, plan.Change) (plan.Result, error), expected, current int64, fits bool) {
		t.Helper()
		_, err := change(t.Context(), r.actor, p, edit(expected))
		switch f := fault.From(err); {
		case fits && err != nil, !fits && !fault.Is(err, fault.Conflict):
			t.Errorf("version %d is expected of %d: %v", expected, current, err)
		case !fits && (f.Details["currentVersion"] != current || f.Details["expectedVersion"] != expected):
			t.Errorf("the fault has %v", f.Details)
		}
	}
	for _, do := range []func(context.Context, auth.Actor, int32, plan.Change) (plan.Result, error){r.plans.Try, r.plans.Change} {
		check(do, 0, 4, false)
		check(do, 5, 4, false)
		check(do, 2, 4, true)
	} // and now an edit is version 5
	check(r.plans.Change, 1, 5, false)
	check(r.plans.Change, 4, 5, false)
	r.build(t, p, "a", 4)
	check(r.plans.Change, 4, 9, false)
	check(r.plans.Change, 5, 9, true) // version 10
	r.build(t, p, "a", 5)
	if _, err := r.plans.Trim(t.Context(), plan.Keep{Events: 3, Bytes: math.MaxInt64}); err != nil {
		t.Fatal(err)
	}
	check(r.plans.Try, 11, 15, false) // nobody knows
	check(r.plans.Try, 12, 15, true)
	check(r.plans.Try, 15, 15, true)
	check(r.plans.Try, 16, 15, false)
	conn := pgtest.Connect(t, r.url)
	pgtest.Exec(t, conn, "UPDATE events SET edits = true WHERE project_id = $1 AND version = 14", p) // as a replica of before writes it
	check(r.plans.Try, 13, 15, false)
	check(r.plans.Try, 14, 15, true)
}

// Changes that share a transaction are in each other's way when they edit.
func TestExpectedVersionTogetherWithExecutions(t *testing.T) {
	t.Parallel()
	r, p := newProject(t)
	r.change(t, p, plan.AddNode{Node: node("a", plan.GraphNode)})
	told := func(state string) plan.Change {
		return plan.Change{Edits: []plan.Edit{plan.SetExecution{NodeID: "a", Execution: graphExecution(1, state)}}}
	}
	edit := func(x float64) plan.Change {
		return plan.Change{Expected: new(int64(1)), Edits: []plan.Edit{move("a", x)}}
	}
	outcomes := r.together(p, all(t.Context(), told("pending"), edit(1), told("completed"), edit(2))...)
	for i, fails := range []bool{false, false, false, true} {
		if err := outcomes[i].err; fault.Is(err, fault.Conflict) != fails || !fails && err != nil {
			t.Errorf("change %d: %v", i, err)
		}
	}
	edits := pgtest.Texts(t, pgtest.Connect(t, r.url), "SELECT version || ' ' || edits FROM events WHERE project_id = $1 ORDER BY version", p)
	if diff := cmp.Diff([]string{"1 true", "2 false", "3 true", "4 false"}, edits); diff != "" {
		t.Errorf("events that edit (-want +got):\n%s", diff)
	}
	if n := r.dag(t, p).Nodes[0]; n.Position.X != 1 || n.GraphExecution == nil || n.GraphExecution.ExecutionState != "completed" {
		t.Errorf("the node is %+v", n)
	}
}

// A whole plan is merged with that of its sender, however much was built meanwhile. What it says of states does not count.
func TestSubmissionAfterExecutions(t *testing.T) {
	t.Parallel()
	r, p := newProject(t)
	r.change(t, p, plan.AddNode{Node: node("a", plan.GraphNode)}, plan.AddNode{Node: node("b", plan.GraphNode)})
	seen := r.dag(t, p)
	r.change(t, p, move("b", 9), plan.SetExecution{NodeID: "b", Execution: graphExecution(2, "pending")})
	conn := pgtest.Connect(t, r.url)
	pgtest.Exec(t, conn, `INSERT INTO events (project_id, version, at, op_actor, op_id, request_hash, body, edits)
		SELECT $1, v, now(), '', v::text, '', '{"operations":[]}', false FROM generate_series(3, 5002) v`, p)
	pgtest.Exec(t, conn, "UPDATE heads SET version = 5002, hash = event_hash('{\"operations\":[]}') WHERE project_id = $1", p)
	r.build(t, p, "a", 3)
	mine := seen.Nodes
	mine[0].Metadata.Label = "mine"
	done := r.change(t, p, plan.Replace{Base: "1", Label: seen.At.Label(true), Nodes: mine})
	nodes := r.dag(t, p).Nodes
	if done.At.Version != 5006 || nodes[0].Metadata.Label != "mine" || nodes[1].Position.X != 9 {
		t.Errorf("at %v the plan is %+v", done.At, nodes)
	}
	if nodes[0].GraphExecution == nil || nodes[0].GraphExecution.ExecutionState != "completed" || nodes[1].GraphExecution == nil {
		t.Errorf("executions are %+v, %+v", nodes[0].GraphExecution, nodes[1].GraphExecution)
	}
	if len(done.Event.Operations) != 1 {
		t.Errorf("the event is %+v", done.Event)
	}
}

// States are not what people ask for when they ask who did what, and cannot be undone.
func TestHistoryAndUndoPassExecutionsOver(t *testing.T) {
	t.Parallel()
	r, p := newProject(t)
	r.by(t, ann, p, addNode("a", plan.GraphNode), addNode("b", plan.GraphNode))
	r.by(t, ann, p, move("a", 1), plan.SetExecution{NodeID: "a", Execution: graphExecution(1, "pending")}) // both in one
	as := *r
	as.actor = ann
	as.build(t, p, "b", 60) // more than are looked at first
	if diff := cmp.Diff([]int64{2, 1}, versions(r.history(t, p, plan.HistoryQuery{Limit: 50}))); diff != "" {
		t.Errorf("the history (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int64{62, 61}, versions(r.history(t, p, plan.HistoryQuery{Limit: 2, All: true, Element: "b"}))); diff != "" {
		t.Errorf("all of the history (-want +got):\n%s", diff)
	}
	r.fails(t, false, ann, p, plan.UndoInput{Version: 62}, fault.BadRequest)
	before := r.dag(t, p)
	undone := r.undo(t, ann, p, plan.UndoInput{})
	if undone.Change == nil || undone.Change.Undoes != 2 || len(undone.Change.Operations) != 1 {
		t.Errorf("undone is %+v", undone.Change)
	}
	after := r.dag(t, p)
	before.At, before.ChangedAt, before.Nodes[0].Position.X, before.Nodes[0].UpdatedAt = after.At, after.ChangedAt, 0, after.Nodes[0].UpdatedAt
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("an undo changed more than the position (-want +got):\n%s", diff)
	}
	if redone := r.redo(t, ann, p, plan.UndoInput{}); redone.Change == nil || redone.Change.Undoes != 63 {
		t.Errorf("redone is %+v", redone.Change)
	}
}

// Past plans have no executions, whatever they are computed from, and differences leave them out.
func TestPastHasNoExecutions(t *testing.T) {
	t.Parallel()
	r, p := newProject(t)
	r.change(t, p, addNode("a", plan.GraphNode), addNode("b", plan.GraphNode))
	first := r.dag(t, p)
	r.build(t, p, "b", 3)
	for version := range int64(5) {
		past, err := r.plans.At(t.Context(), r.actor, p, version)
		if err != nil {
			t.Fatal(err)
		}
		past.At, past.ChangedAt = first.At, first.ChangedAt
		if diff := cmp.Diff(first, past); version > 0 && diff != "" {
			t.Errorf("version %d (-want +got):\n%s", version, diff)
		}
	}
	if diff, err := r.plans.Diff(t.Context(), r.actor, p, 1, nil); err != nil || len(diff.Differences) != 0 || diff.To != 4 {
		t.Errorf("the difference is %+v, %v", diff, err)
	}
	conn := pgtest.Connect(t, r.url)
	for _, query := range []string{
		"SELECT v::text FROM layercake.verify_plan($1) v WHERE v.status <> 'ok'",
		"SELECT d::text FROM layercake.plan_diff($1, 1) d",
		"SELECT layercake.plan_at($1, 4)::text WHERE layercake.plan_at($1, 4)::text ~ 'xecution'",
	} {
		if wrong := pgtest.Texts(t, conn, query, p); len(wrong) != 0 {
			t.Errorf("%s: %v", query, wrong)
		}
	}
	restored, err := r.plans.Restore(t.Context(), r.actor, p, plan.UndoInput{Version: 1, Expected: new(int64(1))})
	if err != nil || restored.Change != nil {
		t.Errorf("restoring changed %+v, %v", restored.Change, err)
	}
	if e := r.dag(t, p).Nodes[1].GraphExecution; e == nil {
		t.Error("restoring took the state")
	}
}
