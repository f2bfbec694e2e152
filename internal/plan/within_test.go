package plan_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"layercake/internal/auth"
	"layercake/internal/db"
	"layercake/internal/fault"
	"layercake/internal/plan"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/task"

	"github.com/google/go-cmp/cmp"
)

// renames returns a Within that renames the project, which stands for whatever others write, and then makes edits.
func renames(name string, project int32, edits ...plan.Edit) func(context.Context, plan.Tx) ([]plan.Edit, error) {
	return func(ctx context.Context, tx plan.Tx) ([]plan.Edit, error) {
		_, err := tx.UpdateProject(ctx, db.UpdateProjectParams{ID: project, Name: name})
		return edits, err
	}
}

func (r *replica) projectName(t *testing.T, id int32) string {
	t.Helper()
	p, err := r.projects.Get(t.Context(), auth.Unchecked(r.actor, id))
	if err != nil {
		t.Fatal(err)
	}
	return p.Name
}

// What a change writes with statements of its caller is committed with its event, or without one when there is nothing to tell.
func TestChangeWithStatementsOfItsCaller(t *testing.T) {
	t.Parallel()
	r, p := newProject(t)
	before := r.change(t, p, plan.AddNode{Node: node("a", plan.GraphNode)})
	var tx plan.Tx
	done, err := r.plans.Change(t.Context(), auth.Unchecked(r.actor, p), plan.Change{
		Edits: []plan.Edit{plan.AddNode{Node: node("b", plan.GraphNode)}},
		Within: func(ctx context.Context, given plan.Tx) ([]plan.Edit, error) {
			tx = given
			return renames("first", p, plan.AddNode{Node: node("c", plan.GraphNode)}, plan.AddEdge{Edge: edge("bc", "b", "c")})(ctx, given)
		},
	})
	if err != nil || done.At.Version != 2 || len(done.Event.Operations) != 3 || len(done.Nodes) != 2 || r.projectName(t, p) != "first" {
		t.Errorf("result %+v, %v, name %q", done, err, r.projectName(t, p))
	}
	if tx.At != before.At || !tx.Time.Equal(done.Event.At) {
		t.Errorf("the transaction began at %v, %v, want %v, %v", tx.At, tx.Time, before.At, done.Event.At)
	}
	dag := r.dag(t, p)
	if dag.At != done.At || len(dag.Nodes) != 3 {
		t.Errorf("the plan is %+v", dag)
	}

	quiet, err := r.plans.Change(t.Context(), auth.Unchecked(r.actor, p), plan.Change{
		Within: renames("second", p, plan.SetExecution{NodeID: "ghost", Execution: graphExecution(1, "pending")}),
	})
	if err != nil || quiet.Event != nil || quiet.At != done.At || r.projectName(t, p) != "second" {
		t.Errorf("without an edit: %+v, %v, name %q", quiet, err, r.projectName(t, p))
	}
	if diff := cmp.Diff(dag, r.dag(t, p)); diff != "" {
		t.Errorf("the plan changed without an edit (-before +after):\n%s", diff)
	}
	if next := r.change(t, p, plan.DeleteNode{ID: "b"}); next.At.Version != 3 || next.Event.Prev != done.At.Hash {
		t.Errorf("the next change is %+v", next)
	}
	if problems := pgtest.Texts(t, pgtest.Connect(t, r.url), "SELECT v::text FROM layercake.verify_plan($1) v WHERE v.status <> 'ok'", p); len(problems) != 0 {
		t.Errorf("the log does not give the plan: %v", problems)
	}
}

// Whatever refuses a change takes back what its caller wrote.
func TestRefusedStatementsOfACaller(t *testing.T) {
	t.Parallel()
	r, p := newProject(t)
	at := r.change(t, p, plan.AddNode{Node: node("a", plan.GraphNode)}).At
	name := r.projectName(t, p)
	refusal := fault.New(fault.BadRequest, "no")
	after := func(err error) plan.Change {
		return plan.Change{Within: func(ctx context.Context, tx plan.Tx) ([]plan.Edit, error) {
			_, _ = renames("new", p)(ctx, tx)
			return nil, err
		}}
	}
	for what, c := range map[string]struct {
		change plan.Change
		want   func(error) bool
	}{
		"nothing to do": {after(plan.ErrUnchanged), func(err error) bool { return err == nil }},
		"a fault":       {after(refusal), func(err error) bool { return errors.Is(err, refusal) }},
		"an edit that the rules refuse": {
			plan.Change{Within: renames("new", p, plan.AddNode{Node: node("a", plan.GraphNode)})},
			func(err error) bool { return fault.Is(err, fault.Conflict) },
		},
		"a statement that fails": {plan.Change{Within: func(ctx context.Context, tx plan.Tx) ([]plan.Edit, error) {
			_, _ = renames("new", p)(ctx, tx)
			_, err := tx.Conn.Exec(ctx, "SELECT 1/0")
			return nil, err
		}}, func(err error) bool { return err != nil && fault.From(err) == nil }},
		"a panic": {plan.Change{Within: func(ctx context.Context, tx plan.Tx) ([]plan.Edit, error) {
			_, _ = renames("new", p)(ctx, tx)
			panic("a mistake")
		}}, func(err error) bool { return errors.As(err, new(*task.Panic)) }},
		"another version": {plan.Change{Expected: new(int64(7)), Within: func(context.Context, plan.Tx) ([]plan.Edit, error) {
			t.Error("statements ran although another version was expected")
			return nil, nil
		}}, func(err error) bool { return fault.Is(err, fault.Conflict) }},
	} {
		result, err := r.plans.Change(t.Context(), auth.Unchecked(r.actor, p), c.change)
		if !c.want(err) || result.Event != nil || err == nil && result.At != at {
			t.Errorf("%s: %+v, %v", what, result, err)
		}
		if got := r.projectName(t, p); got != name {
			t.Errorf("%s: the name is %q, want %q", what, got, name)
		}
	}
	if now := r.dag(t, p).At; now != at {
		t.Errorf("the plan is at %v, want %v", now, at)
	}
	if _, err := r.plans.Try(t.Context(), auth.Unchecked(r.actor, p), after(nil)); err == nil {
		t.Error("statements of a caller were tried")
	}
}

// A repeat is answered from the log, when it asks for the same.
func TestRepeatOfStatementsOfACaller(t *testing.T) {
	t.Parallel()
	r, p := newProject(t)
	runs := 0
	change := func(request any) plan.Change {
		return plan.Change{OpID: "once", Request: request, Within: func(context.Context, plan.Tx) ([]plan.Edit, error) {
			runs++
			return []plan.Edit{plan.AddNode{Node: node("a", plan.GraphNode)}}, nil
		}}
	}
	first, err := r.plans.Change(t.Context(), auth.Unchecked(r.actor, p), change("x"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := r.plans.Change(t.Context(), auth.Unchecked(r.actor, p), change("x"))
	if diff := cmp.Diff(first, again); err != nil || diff != "" || runs != 1 {
		t.Errorf("%d runs, %v (-first +again):\n%s", runs, err, diff)
	}
	if _, err := r.plans.Change(t.Context(), auth.Unchecked(r.actor, p), change("y")); !fault.Is(err, fault.BadRequest) || runs != 1 {
		t.Errorf("another request under the same operation id: %d runs, %v", runs, err)
	}
}

// When the answer to COMMIT is lost, the log says what happened. Without an event nobody knows.
func TestAnswerToCommitOfStatementsOfACallerIsLost(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	cut := newCutter(t, url)
	r := startReplica(t, cut.url, 0)
	p := r.create(t)
	cut.mu.Lock()
	cut.text, cut.times, cut.after = []byte("the-lost-one"), 2, true
	cut.mu.Unlock()
	told := plan.Change{OpID: "the-lost-one", Within: renames("first", p, plan.AddNode{Node: node("a", plan.GraphNode)})}
	result, err := r.plans.Change(t.Context(), auth.Unchecked(r.actor, p), told)
	if err != nil || result.At.Version != 1 || r.projectName(t, p) != "first" {
		t.Errorf("%+v, %v, name %q, want version 1", result, err, r.projectName(t, p))
	}

	pgtest.Exec(t, pgtest.Connect(t, url), `
		CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;
		CREATE CONSTRAINT TRIGGER die AFTER UPDATE ON projects DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION die()`)
	result, err = r.plans.Change(t.Context(), auth.Unchecked(r.actor, p), plan.Change{OpID: "quiet", Within: renames("second", p)})
	if f := fault.From(err); f == nil || f.Code != fault.Unavailable || f.Details["opId"] != "quiet" {
		t.Errorf("%+v, %v, want UNAVAILABLE with the operation id", result, err)
	}
}

// A change ends within the time that its caller gives it.
func TestBudgetOfAChange(t *testing.T) {
	t.Parallel()
	r, p := newProject(t)
	for budget, longer := range map[time.Duration]bool{time.Second: false, 27 * time.Second: true} {
		_, err := r.plans.Change(t.Context(), auth.Unchecked(r.actor, p), plan.Change{Budget: budget, Within: func(ctx context.Context, _ plan.Tx) ([]plan.Edit, error) {
			end, _ := ctx.Deadline()
			if left := time.Until(end); left > budget || longer != (left > plan.DefaultTiming.Answer) {
				t.Errorf("of %v there are %v for the transaction", budget, left)
			}
			return nil, plan.ErrUnchanged
		}})
		if err != nil {
			t.Error(err)
		}
	}
}
