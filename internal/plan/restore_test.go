package plan_test

import (
	"fmt"
	"math"
	"testing"

	"layercake/internal/auth"
	"layercake/internal/fault"
	"layercake/internal/plan"
	"layercake/internal/postgres/pgtest"
)

// rewind does to a project what a restore of the database does: it is as it was at a version, in the same epoch. The plan must have
// been the same then.
func rewind(t *testing.T, url string, project int32, version int64) {
	t.Helper()
	pgtest.Exec(t, pgtest.Connect(t, url), fmt.Sprintf(`
		BEGIN;
		DELETE FROM events WHERE project_id = %[1]d AND version > %[2]d;
		UPDATE heads h SET version = e.version, hash = e.hash FROM events e
			WHERE h.project_id = %[1]d AND e.project_id = %[1]d AND e.version = %[2]d;
		COMMIT`, project, version))
}

// After a restore the same numbers come again for other changes. Whoever knows the old ones is told, and overwrites nothing.
func TestRestoredProjectIsAnotherHistory(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	before := startReplica(t, url, 0)
	p := before.create(t)
	at := func(x float64) plan.Edit { return plan.UpdateNode{ID: "a", Position: &plan.Position{X: x}} }
	before.change(t, p, plan.AddNode{Node: node("a", plan.GraphNode)})
	kept := before.change(t, p, at(2))
	before.change(t, p, at(3))
	lost := before.change(t, p, at(2)) // version 4, where the plan is as it was at version 2
	lostDAG := before.dag(t, p)
	live, ahead := before.watch(t, p, lost.At), before.watch(t, p, plan.Cursor{})
	live.next(t)
	ahead.next(t)

	rewind(t, url, p, kept.At.Version)
	after := startReplica(t, url, 0)
	after.change(t, p, at(13))
	again := after.change(t, p, at(14)) // version 4, too
	if again.At.Version != lost.At.Version || again.At == lost.At {
		t.Fatalf("versions %d and %d with cursors %s and %s", lost.At.Version, again.At.Version, lost.At, again.At)
	}

	for name, w := range map[string]*watch{"a watcher": live, "another": ahead} {
		u := w.next(t)
		missed := u.Missed
		for u.At.Version != again.At.Version { // the replica may have looked before the changes
			u = w.next(t)
			missed = missed || u.Missed
		}
		if !missed || u.At != again.At {
			t.Errorf("%s on a replica that ran on: %+v, want to have missed what led to %s", name, u, again.At)
		}
	}
	for name, r := range map[string]*replica{"the old": before, "the new": after} {
		if u := r.watch(t, p, lost.At).next(t); !u.Missed || u.At.Version != again.At.Version {
			t.Errorf("%s replica resumes a lost cursor: %+v, want missed", name, u)
		}
		w := r.watch(t, p, kept.At)
		for v := kept.At.Version; v <= again.At.Version; v++ {
			if u := w.next(t); u.Missed || u.At.Version != v || (u.Event == nil) != (v == kept.At.Version) {
				t.Errorf("%s replica resumes a cursor from before: %+v, want version %d", name, u, v)
			}
		}
	}
	// A cursor without a hash, as the release before wrote them, goes by its number.
	if u := after.watch(t, p, plan.Cursor{Epoch: lost.At.Epoch, Version: lost.At.Version}).next(t); u.Missed || u.At.Version != lost.At.Version {
		t.Errorf("a cursor without a hash: %+v", u)
	}

	submit := func(label string, dag plan.DAG, x float64) error {
		n := dag.Nodes[0]
		n.Position.X = x
		_, err := after.plans.Change(t.Context(), auth.Unchecked(after.actor, p), plan.Change{Edits: []plan.Edit{
			plan.Replace{Base: fmt.Sprint(dag.At.Version), Label: label, Nodes: []plan.Node{n}},
		}})
		return err
	}
	if err := submit(after.plans.Label(lostDAG.At), lostDAG, 99); !fault.Is(err, fault.Conflict) {
		t.Errorf("a plan that was read before the restore: %v, want CONFLICT", err)
	}
	if x := after.dag(t, p).Nodes[0].Position.X; x != 14 {
		t.Errorf("it was written: x = %v", x)
	}
	now := after.dag(t, p)
	if err := submit("99~12345678", now, 99); !fault.Is(err, fault.Conflict) {
		t.Errorf("a label of an event that is not there yet: %v, want CONFLICT", err)
	}
	if err := submit(after.plans.Label(now.At), now, 15); err != nil {
		t.Errorf("a plan that was read after it: %v", err)
	}
	now = after.dag(t, p)
	if err := submit("anything", now, 16); err != nil {
		t.Errorf("a plan without a label: %v", err)
	}
}

// Others write as many changes as were lost, and more, before a running replica looks at the tables again. Their lines say what came
// before them, so none is taken for the next of what was lost.
func TestRestoreUnderLoad(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	here, there := startReplica(t, url, 0), startReplica(t, url, 0)
	p := here.create(t)
	at := func(x float64) plan.Edit { return plan.UpdateNode{ID: "a", Position: &plan.Position{X: x}} }
	here.change(t, p, plan.AddNode{Node: node("a", plan.GraphNode)})
	here.change(t, p, at(1))
	for round := range 5 {
		kept := here.change(t, p, at(float64(10*round+10)))
		w := here.watch(t, p, plan.Cursor{})
		w.next(t)
		here.change(t, p, at(float64(10*round+11)))
		here.change(t, p, at(float64(10*round+10)))
		for range 2 {
			w.next(t)
		}
		rewind(t, url, p, kept.At.Version)
		var last plan.Result
		for n := range 4 {
			last = there.change(t, p, at(float64(10*round+12+n)))
		}
		missed := false
		for u := w.next(t); ; u = w.next(t) {
			missed = missed || u.Missed
			if u.At == last.At {
				break
			}
		}
		if !missed {
			t.Errorf("round %d: events of two histories were taken for one", round)
		}
	}
}

// A restore of data alone into a new database brings heads and events without hashes, in any order.
func TestHashesOfRestoredData(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.New(t))
	var head, newest, floor *string
	pgtest.Exec(t, conn, `
		INSERT INTO projects (id, name) VALUES (1, 'p');
		INSERT INTO heads (project_id, version, log_floor) VALUES (1, 5, 2);
		INSERT INTO events (project_id, version, at, op_actor, op_id, request_hash, body)
			SELECT 1, v, now(), '', v::text, '', json_build_object('version', v) FROM unnest(ARRAY[4, 5, 3]) v`)
	if err := conn.QueryRow(t.Context(), `SELECT h.hash, h.floor_hash, e.hash FROM heads h JOIN events e USING (project_id, version)`).
		Scan(&head, &floor, &newest); err != nil {
		t.Fatal(err)
	}
	if floor != nil || head == nil || newest == nil || *head != *newest {
		t.Errorf("the head has %v and %v, its event %v", head, floor, newest)
	}
}

// The replica did not see the moment at which the numbers met: others have gone on beyond what it holds.
func TestRestoredProjectThatWentOn(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	before := startReplica(t, url, 0)
	p := before.create(t)
	at := func(x float64) plan.Edit { return plan.UpdateNode{ID: "a", Position: &plan.Position{X: x}} }
	kept := before.change(t, p, plan.AddNode{Node: node("a", plan.GraphNode)})
	before.change(t, p, at(2))
	lost := before.change(t, p, at(0))
	w := before.watch(t, p, plan.Cursor{})
	w.next(t)

	// In one transaction, as the replica sees it.
	pgtest.Exec(t, pgtest.Connect(t, url), fmt.Sprintf(`
		BEGIN;
		DELETE FROM events WHERE project_id = %[1]d AND version > %[2]d;
		INSERT INTO events (project_id, version, at, op_actor, op_id, request_hash, body)
			SELECT project_id, %[2]d + n, at, '', 'again ' || n, '', (replace(body::text, '"version":1,', format('"version":%%s,', 1 + n)))::json
			FROM events, generate_series(1, 5) n WHERE project_id = %[1]d;
		UPDATE heads SET version = 6 WHERE project_id = %[1]d;
		COMMIT`, p, kept.At.Version))
	if u := w.next(t); !u.Missed || u.At.Version != 6 {
		t.Errorf("next = %+v, want to have missed what led to version 6", u)
	}
	if u := before.watch(t, p, lost.At).next(t); !u.Missed {
		t.Errorf("a lost cursor: %+v, want missed", u)
	}
	// The database hashes what an older binary writes.
	if c := before.dag(t, p).At; c.Version != 6 || c.Hash == "" {
		t.Errorf("cursor %+v", c)
	}
}

// The hash of an event outlives it as long as something can be resumed right after it.
func TestHashAtTheFloor(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	r := startReplica(t, url, 0)
	p := r.create(t)
	born := r.dag(t, p).At
	var results []plan.Result
	for i := range 5 {
		results = append(results, r.change(t, p, plan.AddNode{Node: node(fmt.Sprint("n", i), plan.GraphNode)}))
	}
	other := startReplica(t, url, 0) // without a tail
	first := func(cursor plan.Cursor) *plan.Update { return other.watch(t, p, cursor).next(t) }
	forged := func(c plan.Cursor) plan.Cursor {
		if c.Hash == "" {
			t.Fatalf("cursor %s has no hash", c)
		}
		c.Hash = "00000000"
		return c
	}
	if u := first(born); u.Missed || u.At.Version != 0 {
		t.Errorf("from version 0: %+v", u)
	}
	if u := first(forged(born)); !u.Missed {
		t.Errorf("from version 0 of another project: %+v", u)
	}
	if _, err := r.plans.Trim(t.Context(), plan.Keep{Events: 3, Bytes: math.MaxInt64}); err != nil {
		t.Fatal(err)
	}
	floor := results[1].At // its event is gone
	if u := first(floor); u.Missed || u.At.Version != 2 {
		t.Errorf("from the floor: %+v", u)
	}
	if u := first(forged(floor)); !u.Missed {
		t.Errorf("from a floor of another history: %+v", u)
	}
	if u := first(forged(results[3].At)); !u.Missed {
		t.Errorf("from an event of another history: %+v", u)
	}

	// An older binary trims without saying what was there.
	pgtest.Exec(t, pgtest.Connect(t, url), `WITH old AS (DELETE FROM events WHERE project_id = $1 AND version = 3)
		UPDATE heads SET log_floor = 3 WHERE project_id = $1`, p)
	if u := first(results[2].At); u.Missed || u.At.Version != 3 {
		t.Errorf("from a floor that an older binary moved: %+v", u)
	}
}
