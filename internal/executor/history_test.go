package executor_test

import (
	"testing"

	"layercake/internal/auth"
	"layercake/internal/fault"
	"layercake/internal/plan"
	"layercake/internal/postgres/pgtest"

	"github.com/google/go-cmp/cmp"
)

// wantTold fails unless the plan shows of each graph what its header has.
func (r *replica) wantTold(t testing.TB, project int32) {
	t.Helper()
	dag, err := r.Plans.DAG(t.Context(), auth.Unchecked(r.actor, project))
	if err != nil {
		t.Fatal(err)
	}
	graphs, err := r.Graphs.List(t.Context(), auth.Unchecked(r.actor, project))
	if err != nil {
		t.Fatal(err)
	}
	headers, told := make(map[string]plan.GraphExecution), make(map[string]plan.GraphExecution)
	for _, g := range graphs {
		headers[g.NodeID] = plan.GraphExecution{
			GraphID: g.ID, NodeCount: g.NodeCount, EdgeCount: g.EdgeCount, ExecutionState: g.State, ErrorMessage: g.ErrorMessage,
		}
	}
	for _, n := range dag.Nodes {
		if n.GraphExecution != nil {
			g := *n.GraphExecution
			if (g.ComputedDate != nil) != (g.ExecutionState == "completed") {
				t.Errorf("%s is %s, computed %v", n.ID, g.ExecutionState, g.ComputedDate)
			}
			g.ComputedDate = nil
			told[n.ID] = g
		}
	}
	if diff := cmp.Diff(headers, told); diff != "" {
		t.Errorf("the plan does not show what graphs are (-headers +plan):\n%s", diff)
	}
}

// takeBack undoes, redoes or restores, and returns the version of the change that it makes.
func (r *replica) takeBack(t testing.TB, project int32, how string, version int64) int64 {
	t.Helper()
	in := plan.UndoInput{Version: version}
	var done plan.UndoResult
	var err error
	switch how {
	case "undo":
		done, err = r.Plans.Undo(t.Context(), auth.Unchecked(r.actor, project), in)
	case "redo":
		done, err = r.Plans.Redo(t.Context(), auth.Unchecked(r.actor, project), in)
	case "restore":
		in.Expected = new(r.head(t, project).Version)
		done, err = r.Plans.Restore(t.Context(), auth.Unchecked(r.actor, project), in)
	}
	if err != nil {
		t.Fatalf("%s: %v %+v", how, err, fault.From(err))
	}
	r.wantTold(t, project)
	return done.At.Version
}

// What is taken back and comes back has no graph, or the one that it had: the plan never shows a state of a graph that is not there.
func TestUndoBesideExecutions(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	a, b := start(t, database, quick), start(t, database, quick)
	p, _ := a.tiny(t)
	early := a.head(t, p).Version
	a.edit(t, p, node(plan.CopyNode, "c", "{}"), edge("g", "c"))
	unbuilt := a.head(t, p).Version
	a.execute(t, p, "")
	a.wantTold(t, p)
	built := a.head(t, p).Version
	first, _ := a.content(t, p, "g")

	deleted := a.edit(t, p, plan.DeleteNode{ID: "g"}).At.Version
	b.wantTold(t, p)
	undone := b.takeBack(t, p, "undo", deleted)
	if state := a.states(t, p)["g"]; state != nil && state.ExecutionState == "completed" {
		t.Errorf("the graph went with its node, and the plan shows %+v", state)
	}
	a.execute(t, p, "")
	wantStates(t, b.states(t, p), "completed", "g", "c")
	b.wantCurrent(t, p)
	b.wantTold(t, p)
	if g, _ := b.content(t, p, "g"); !cmp.Equal(g, first) {
		t.Errorf("after the undo it is built of %+v, want %+v", g, first)
	}

	// The undo is taken back, which deletes the node with what was built since, and that is undone.
	a.takeBack(t, p, "undo", b.takeBack(t, p, "redo", undone))
	a.execute(t, p, "g")
	b.wantTold(t, p)

	// Before the copy was there, before it was built, and when it was.
	for _, version := range []int64{early, unbuilt, early, built} {
		restored := b.takeBack(t, p, "restore", version)
		_, copied := b.states(t, p)["c"]
		if version == early && copied {
			t.Error("the copy is shown after it was restored away")
		}
		a.execute(t, p, "")
		a.wantCurrent(t, p)
		a.wantTold(t, p)
		b.takeBack(t, p, "redo", b.takeBack(t, p, "undo", restored))
		a.execute(t, p, "")
		b.wantTold(t, p)
	}
	if g, _ := b.content(t, p, "c"); !cmp.Equal(g, first) {
		t.Errorf("in the end it is built of %+v", g)
	}
}

// While a node is built it is deleted, comes back, and the plan of before is restored: what was built for the former node counts for
// nothing.
func TestUndoDuringABuild(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"undo", "restore"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			database := pgtest.New(t)
			var c computed
			a, b := start(t, database, quick, c.on), start(t, database, quick, c.on)
			p, _ := a.tiny(t)
			before := a.head(t, p).Version
			release := c.hold(t, "g")
			a.ask(t, p, "g")
			c.await(t, p, "g", 1)
			version := a.edit(t, p, plan.DeleteNode{ID: "g"}).At.Version
			if how == "restore" {
				version = before
			}
			b.takeBack(t, p, how, version)
			release()
			b.wantTold(t, p)
			a.execute(t, p, "g")
			wantStates(t, b.states(t, p), "completed", "g")
			b.wantCurrent(t, p)
			b.wantTold(t, p)
			conn := pgtest.Connect(t, database)
			pgtest.AwaitCount(t, conn, 0, "SELECT count(*) FROM claims")
			if n := pgtest.Count(t, conn, "SELECT count(*) FROM builds WHERE node_id = 'g' AND state = 'completed'"); n != 1 {
				t.Errorf("%d builds were completed", n)
			}
		})
	}
}
