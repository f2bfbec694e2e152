package plan_test

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
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
	check := func(change func(context.Context, auth.Access, plan.Change) (plan.Result, error), expected, current int64, fits bool) {
		t.Helper()
		_, err := change(t.Context(), auth.Unchecked(r.actor, p), edit(expected))
		switch f := fault.From(err); {
		case fits && err != nil, !fits && !fault.Is(err, fault.Conflict):
			t.Errorf("version %d is expected of %d: %v", expected, current, err)
		case !fits && (f.Details["currentVersion"] != current || f.Details["expectedVersion"] != expected):
			t.Errorf("the fault has %v", f.Details)
		}
	}
	for _, do := range []func(context.Context, auth.Access, plan.Change) (plan.Result, error){r.plans.Try, r.plans.Change} {
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
	if diff := cmp.Diff([]int64{62, 61}, versions(r.history(t, p, plan.HistoryQuery{Limit: 2, States: true, Element: "b"}))); diff != "" {
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
		past, err := r.plans.At(t.Context(), auth.Unchecked(r.actor, p), version)
		if err != nil {
			t.Fatal(err)
		}
		past.At, past.ChangedAt = first.At, first.ChangedAt
		if diff := cmp.Diff(first, past); version > 0 && diff != "" {
			t.Errorf("version %d (-want +got):\n%s", version, diff)
		}
	}
	if diff, err := r.plans.Diff(t.Context(), auth.Unchecked(r.actor, p), 1, nil); err != nil || len(diff.Differences) != 0 || diff.To != 4 {
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
	restored, err := r.plans.Restore(t.Context(), auth.Unchecked(r.actor, p), plan.UndoInput{Version: 1, Expected: new(int64(1))})
	if err != nil || restored.Change != nil {
		t.Errorf("restoring changed %+v, %v", restored.Change, err)
	}
	if e := r.dag(t, p).Nodes[1].GraphExecution; e == nil {
		t.Error("restoring took the state")
	}
}

// addSource puts a data source into a project, as an upload does.
func (r *replica) addSource(t testing.TB, project, id int32) {
	t.Helper()
	pgtest.Exec(t, pgtest.Connect(t, r.url), `INSERT INTO data_sources (id, project_id, name, filename, format, kind, status, file_id, size, sha256)
		VALUES ($1, $2, 'Nodes', 'nodes.csv', 'csv', 'nodes', 'active', 1, 1, '')`, id, project)
}

// naming returns a node that names a data source.
func naming(id, config string) plan.Node {
	n := node(id, plan.DataSourceNode)
	n.Config = config
	return n
}

// What a node shows of a data source follows its config, in the same change, whichever edit changes that.
func TestExecutionFollowsTheDataSource(t *testing.T) {
	t.Parallel()
	r, p := newProject(t)
	r.addSource(t, p, 3)
	r.addSource(t, p, 4)
	want := func(id string, source int32) {
		t.Helper()
		for _, n := range r.dag(t, p).Nodes {
			var e *plan.DataSourceExecution
			if source > 0 {
				e = sourceExecution(source).DataSource
			}
			if n.ID == id && !cmp.Equal(e, n.DatasourceExecution) {
				t.Errorf("%s shows %+v, want %+v", id, n.DatasourceExecution, e)
			}
		}
	}
	added := r.change(t, p, plan.AddNode{Node: naming("a", `{"dataSourceId": 3}`)})
	want("a", 3)
	if kinds := kindsOf(added.Event); kinds != "NODE_ADDED EXECUTION_CHANGED" || added.Nodes[0].DatasourceExecution == nil {
		t.Errorf("told by %s, answered with %+v", kinds, added.Nodes)
	}
	r.change(t, p, plan.UpdateNode{ID: "a", Config: new(`{"dataSourceId": 4}`)})
	want("a", 4)
	r.change(t, p, plan.PatchNode{ID: "a", ConfigPatch: []byte(`{"filename": "x"}`)})
	want("a", 4)
	r.change(t, p, plan.PatchNode{ID: "a", ConfigPatch: []byte(`{"dataSourceId": 3.0}`)})
	want("a", 3)
	if cleared := r.change(t, p, plan.UpdateNode{ID: "a", Config: new(`{"dataSourceId": 0}`)}); kindsOf(cleared.Event) != "NODE_UPDATED EXECUTION_CHANGED" {
		t.Errorf("cleared by %s", kindsOf(cleared.Event))
	}
	want("a", 0)
	r.change(t, p, plan.Replace{Base: strconv.FormatInt(r.dag(t, p).At.Version, 10), Nodes: []plan.Node{naming("a", `{"dataSourceId":4}`), naming("b", `{"dataSourceId":3}`)}})
	want("a", 4)
	want("b", 3)
	r.edit(t, p, `{"op":"update_node","id":"b","config":{"dataSourceId":4}}`, `{"op":"add_node","id":"c","node_type":"DataSourceNode","config":{"dataSourceId":3}}`)
	want("b", 4)
	want("c", 3)

	// A node of another type names no data source, and its graph, if it builds one, stays.
	other := r.dag(t, p).Nodes
	other[0].NodeType, other[1].NodeType = plan.GraphNode, plan.OutputNode
	r.change(t, p, plan.Replace{Base: strconv.FormatInt(r.dag(t, p).At.Version, 10), Nodes: other})
	want("a", 0)
	want("b", 0)
	r.change(t, p, plan.SetExecution{NodeID: "a", Execution: graphExecution(1, "completed")})
	other[0].NodeType = plan.MergeNode
	told := r.change(t, p, plan.Replace{Base: strconv.FormatInt(r.dag(t, p).At.Version, 10), Nodes: other})
	if kindsOf(told.Event) != "NODE_UPDATED EXECUTION_CHANGED" || r.dag(t, p).Nodes[0].GraphExecution == nil {
		t.Errorf("another type that builds is told by %s: %+v", kindsOf(told.Event), r.dag(t, p).Nodes[0])
	}
	other[0].NodeType = plan.OutputNode
	r.change(t, p, plan.Replace{Base: strconv.FormatInt(r.dag(t, p).At.Version, 10), Nodes: other})
	if n := r.dag(t, p).Nodes[0]; n.GraphExecution != nil {
		t.Errorf("an output shows the state of a graph: %+v", n)
	}
}

func kindsOf(e *plan.Event) string {
	var kinds []string
	for _, op := range e.Operations {
		kinds = append(kinds, string(op.Kind))
	}
	return strings.Join(kinds, " ")
}

// A node may name only data sources of its project. What is there already, or comes back, is not refused.
func TestUnknownDataSources(t *testing.T) {
	t.Parallel()
	r, p := newProject(t)
	elsewhere := r.create(t)
	r.addSource(t, p, 3)
	r.addSource(t, elsewhere, 4)
	r.change(t, p, plan.AddNode{Node: naming("a", `{"dataSourceId":3}`)}, addNode("b", plan.DataSourceNode), addNode("g", plan.GraphNode))
	at := r.dag(t, p).At
	operation := func(text string) plan.Edit {
		edits, err := plan.ParseOperations([]byte("[" + text + "]"))
		if err != nil {
			t.Fatal(err)
		}
		return edits[0]
	}
	whole := r.dag(t, p).Nodes
	whole[1].Config = `{"dataSourceId":4}`
	for detail, edits := range map[int64][]plan.Edit{
		4: {
			plan.AddNode{Node: naming("new", `{"dataSourceId":4}`)},
			plan.UpdateNode{ID: "b", Config: new(`{"dataSourceId":4}`)},
			plan.PatchNode{ID: "a", ConfigPatch: []byte(`{"dataSourceId":4}`)},
			plan.Replace{Base: "1", Nodes: whole},
			operation(`{"op":"add_node","node_type":"DataSourceNode","config":{"dataSourceId":4}}`),
			operation(`{"op":"update_node","id":"b","config":{"dataSourceId":4}}`),
		},
		1 << 40: {plan.AddNode{Node: naming("new", `{"dataSourceId":1099511627776}`)}},
	} {
		for _, edit := range edits {
			_, err := r.plans.Change(t.Context(), auth.Unchecked(r.actor, p), plan.Change{Edits: []plan.Edit{edit}})
			if f := fault.From(err); !fault.Is(err, fault.BadRequest) || f.Message != "The project has no such data source" || f.Details["detail"] != detail {
				t.Errorf("%#v: %v", edit, err)
			}
		}
	}
	if now := r.dag(t, p).At; now != at {
		t.Errorf("the plan is at %v, want %v", now, at)
	}
	for _, none := range []string{`{"dataSourceId":0}`, `{"dataSourceId":-1}`, `{"dataSourceId":"4"}`, `{"dataSourceId":4.5}`, `{"dataSourceId":null}`, `{"datasourceid":4}`, `{}`} {
		r.change(t, p, plan.UpdateNode{ID: "b", Config: &none})
	}
	r.change(t, p, plan.UpdateNode{ID: "g", Config: new(`{"dataSourceId":4}`)}) // a graph names none

	deleted := r.change(t, p, plan.DeleteNode{ID: "a"})
	pgtest.Exec(t, pgtest.Connect(t, r.url), "DELETE FROM data_sources WHERE id = 3")
	r.undo(t, r.actor, p, plan.UndoInput{Version: deleted.At.Version})
	nodes := r.dag(t, p).Nodes
	if back := nodes[len(nodes)-1]; back.ID != "a" || back.DatasourceExecution != nil {
		t.Errorf("the node came back as %+v", back)
	}
	r.change(t, p, plan.UpdateNode{ID: "a", Config: new(`{"dataSourceId":3,"displayMode":"summary"}`)}) // as it was
	if _, err := r.plans.Restore(t.Context(), auth.Unchecked(r.actor, p), plan.UndoInput{Version: 1, Expected: new(r.dag(t, p).At.Version)}); err != nil {
		t.Error(err)
	}
	r.addSource(t, p, 3)
	undone := r.change(t, p, plan.DeleteNode{ID: "a"})
	r.undo(t, r.actor, p, plan.UndoInput{Version: undone.At.Version})
	if nodes := r.dag(t, p).Nodes; nodes[len(nodes)-1].DatasourceExecution == nil {
		t.Errorf("a node that comes back shows nothing of its source: %+v", nodes)
	}
}

// The states of a large run are told in events that lines can carry. Together they are one change.
func TestManyExecutionsAreToldInParts(t *testing.T) {
	t.Parallel()
	r, p := newProject(t)
	var adding []plan.Edit
	for i := range plan.MaxNodes {
		adding = append(adding, addNode(fmt.Sprintf("node-%d-%s", i, strings.Repeat("x", 100)), plan.GraphNode))
	}
	began := r.change(t, p, adding...).At
	watch := r.watch(t, p, began)
	watch.next(t)
	pending := func(state string) plan.Change {
		var edits []plan.Edit
		for i, n := range r.dag(t, p).Nodes {
			e := graphExecution(int32(i+1), state)
			e.Graph.ErrorMessage = new(strings.Repeat("<", 2000)) // more than is kept, and long in JSON
			edits = append(edits, plan.SetExecution{NodeID: n.ID, Execution: e})
		}
		return plan.Change{OpID: "run-" + state, Edits: edits[:300]}
	}
	c := pending("pending")
	done, err := r.plans.Change(t.Context(), auth.Unchecked(r.actor, p), c)
	if err != nil || done.At.Version < 3 || done.Event.Version != 2 || len(done.Nodes) != 300 {
		t.Fatalf("%v, %v with %d nodes", done.At, err, len(done.Nodes))
	}
	conn := pgtest.Connect(t, r.url)
	if long := pgtest.Texts(t, conn, "SELECT version::text FROM events WHERE project_id = $1 AND version > 1 AND (size > 65536 OR edits)", p); len(long) != 0 {
		t.Errorf("events %v are too long, or edit", long)
	}
	ids := pgtest.Texts(t, conn, "SELECT op_id FROM events WHERE project_id = $1 AND version > 1 ORDER BY version", p)
	for i, id := range ids {
		if want := map[bool]string{true: "run-pending", false: fmt.Sprintf("run-pending/%d", i+1)}[i == 0]; id != want {
			t.Errorf("event %d has the operation id %q, want %q", i+2, id, want)
		}
	}
	told := 0
	for u := watch.next(t); ; u = watch.next(t) {
		if u.Missed || u.Event == nil {
			t.Fatalf("the watch missed something: %+v", u)
		}
		told += len(u.Event.Operations)
		if u.At.Version == done.At.Version {
			break
		}
	}
	if told != 300 {
		t.Errorf("%d states were told, want 300", told)
	}
	if wrong := pgtest.Texts(t, conn, "SELECT v::text FROM layercake.verify_plan($1) v WHERE v.status <> 'ok'", p); len(wrong) != 0 {
		t.Errorf("the log: %v", wrong)
	}
	if e := r.dag(t, p).Nodes[299].GraphExecution; e == nil || len([]rune(*e.ErrorMessage)) != 1000 {
		t.Errorf("the last node shows %+v", e)
	}
	again, err := r.plans.Change(t.Context(), auth.Unchecked(r.actor, p), c)
	if err != nil || again.At.Version != 2 || r.dag(t, p).At != done.At {
		t.Errorf("the same again is at %v, %v", again.At, err)
	}
}
