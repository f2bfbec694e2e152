package plan_test

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"sync"
	"testing"
	"time"

	"layercake/internal/auth"
	"layercake/internal/fault"
	"layercake/internal/plan"
	"layercake/internal/postgres/pgtest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// outcome is what a sender is told.
type outcome struct {
	result plan.Result
	err    error
}

// sent is a change and who sends it.
type sent struct {
	ctx    context.Context
	change plan.Change
}

// together sends changes while another one holds them up, so that those that can share a transaction do.
func (r *replica) together(project int32, changes ...sent) []outcome {
	outcomes := make([]outcome, len(changes))
	var sending sync.WaitGroup
	release := r.plans.HoldChanges(writeSlots)
	for i, c := range changes {
		gone := make(chan struct{}) // closed when the change was refused at the door, too
		sending.Go(func() {
			defer close(gone)
			outcomes[i].result, outcomes[i].err = r.plans.Change(c.ctx, auth.Unchecked(r.actor, project), c.change)
		})
		r.awaitWaiting(project, func(n int) bool { return n > i }, gone)
	}
	release()
	sending.Wait()
	return outcomes
}

// awaitWaiting returns when the number of a project's changes that wait is as wanted, or when gone is closed, or when it will never
// be so: none waits longer than some seconds.
func (r *replica) awaitWaiting(project int32, wanted func(int) bool, gone <-chan struct{}) {
	never := time.After(pgtest.Patience)
	for {
		next := r.plans.Queued().Next()
		if wanted(r.plans.Waiting(project)) {
			return
		}
		select {
		case <-next:
		case <-gone:
			return
		case <-never:
			return
		}
	}
}

// all sends every change by the same sender.
func all(ctx context.Context, changes ...plan.Change) []sent {
	var s []sent
	for _, c := range changes {
		s = append(s, sent{ctx, c})
	}
	return s
}

func add(id string) plan.Change {
	return plan.Change{OpID: "add-" + id, Edits: []plan.Edit{plan.AddNode{Node: node(id, plan.GraphNode)}}}
}

// transactions returns how many transactions wrote a project's events.
func transactions(t *testing.T, url string, project int32) int {
	t.Helper()
	return pgtest.Count(t, pgtest.Connect(t, url), `SELECT count(DISTINCT xmin::text) FROM events WHERE project_id = $1`, project)
}

// Changes that had to wait share a transaction, each with a version of its own. What is refused does not touch the others.
func TestChangesThatWaitShareATransaction(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	r := startReplica(t, url, 0)
	p := r.create(t)
	zero := int64(0)
	late := add("late")
	late.Expected = &zero
	outcomes := r.together(p, all(t.Context(), add("a"), add("b"), plan.Change{Edits: []plan.Edit{plan.DeleteNode{ID: "ghost"}}},
		plan.Change{Edits: []plan.Edit{plan.AddEdge{Edge: edge("ab", "a", "b")}}}, late, add("c"))...)
	versions := []int64{1, 2, 0, 3, 0, 4}
	codes := map[int]fault.Code{2: fault.NotFound, 4: fault.Conflict}
	for i, o := range outcomes {
		if o.result.At.Version != versions[i] {
			t.Errorf("change %d: version %d, want %d", i, o.result.At.Version, versions[i])
		}
		if code, refused := codes[i]; refused != (o.err != nil) || refused && !fault.Is(o.err, code) {
			t.Errorf("change %d: %v, want the fault %q", i, o.err, code)
		}
	}
	if f := fault.From(outcomes[4].err); f != nil && f.Details["currentVersion"] != int64(3) {
		t.Errorf("the late one is told of version %v, want 3: after those before it", f.Details["currentVersion"])
	}
	if n := transactions(t, url, p); n != 1 {
		t.Errorf("%d transactions, want 1", n)
	}
	if dag := r.dag(t, p); dag.At.Version != 4 || len(dag.Nodes) != 3 || len(dag.Edges) != 1 {
		t.Errorf("version %d with %d nodes and %d edges, want 4 with 3 and 1", dag.At.Version, len(dag.Nodes), len(dag.Edges))
	}
	r.change(t, p, plan.AddNode{Node: node("d", plan.GraphNode)})
	if v := r.dag(t, p).At.Version; v != 5 {
		t.Errorf("the next version is %d, want 5", v)
	}
}

// Two requests under one operation id are one change, also when they arrive together.
func TestRepeatInTheSameMoment(t *testing.T) {
	t.Parallel()
	r, p := newProject(t)
	other := add("b")
	other.OpID = "add-a"
	o := r.together(p, all(t.Context(), add("a"), add("a"), other, add("c"))...)
	if o[0].err != nil || o[1].err != nil || o[3].err != nil || !fault.Is(o[2].err, fault.BadRequest) {
		t.Fatalf("errors: %v, %v, %v, %v, want BAD_REQUEST for the third alone", o[0].err, o[1].err, o[2].err, o[3].err)
	}
	if diff := cmp.Diff(o[0].result, o[1].result); diff != "" {
		t.Errorf("the repeat got another answer (-first +again):\n%s", diff)
	}
	if v := r.dag(t, p).At.Version; v != 2 || o[3].result.At.Version != 2 {
		t.Errorf("version %d, the last change made %d, want 2", v, o[3].result.At.Version)
	}
}

// A sender that hangs up does not take the others' changes with it, and one that hangs up before its turn changes nothing.
func TestSenderHangsUp(t *testing.T) {
	t.Parallel()
	r, p := newProject(t)
	gone, hangUp := context.WithCancel(t.Context())
	outcomes := make([]outcome, 3)
	var sending sync.WaitGroup
	release := r.plans.HoldChanges(writeSlots)
	for i, s := range []sent{{t.Context(), add("a")}, {gone, add("b")}, {t.Context(), add("c")}} {
		sending.Go(func() {
			outcomes[i].result, outcomes[i].err = r.plans.Change(s.ctx, auth.Unchecked(r.actor, p), s.change)
		})
		r.awaitWaiting(p, func(n int) bool { return n > i }, nil)
	}
	hangUp()
	r.awaitWaiting(p, func(n int) bool { return n == 2 }, nil)
	release()
	sending.Wait()
	if outcomes[0].err != nil || outcomes[2].err != nil || outcomes[1].err == nil {
		t.Errorf("errors: %v, %v, %v, want one for the second alone", outcomes[0].err, outcomes[1].err, outcomes[2].err)
	}
	if dag := r.dag(t, p); dag.At.Version != 2 || dag.Nodes[1].ID != "c" {
		t.Errorf("version %d, nodes %v, want a and c", dag.At.Version, dag.Nodes)
	}
}

// While changes are in the database together, one sender that hangs up does not end the transaction, and the last one does.
func TestSendersHangUpInTheMiddle(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	r := startReplica(t, url, 0)
	for name, stay := range map[string]bool{"one": true, "all": false} {
		t.Run(name, func(t *testing.T) {
			outcomes := r.hangUpInTheMiddle(t, url, stay)
			for i, o := range outcomes {
				if !stay && (o.err == nil || fault.From(o.err) != nil) {
					t.Errorf("sender %d got %v while the head is locked, want what its own hanging up gives", i, o.err)
				}
			}
			if o := outcomes[0]; stay && (o.err != nil || o.result.At.Version != 1) {
				t.Errorf("the one that stayed got version %d, %v, want 1", o.result.At.Version, o.err)
			}
		})
	}
}

// hangUpInTheMiddle sends two changes together, and lets the second sender, or both, hang up while their transaction waits for the
// head of a new project. It waits no more when the second alone has hung up.
func (r *replica) hangUpInTheMiddle(t *testing.T, url string, stay bool) []outcome {
	t.Helper()
	p := r.create(t)
	conn := pgtest.Connect(t, url)
	pgtest.Exec(t, conn, fmt.Sprintf(`BEGIN; SELECT FROM heads WHERE project_id = %d FOR UPDATE`, p))
	staying, last := context.WithCancel(t.Context())
	defer last()
	gone, hangUp := context.WithCancel(t.Context())
	defer hangUp()
	outcomes := make(chan []outcome, 1)
	go func() { outcomes <- r.together(p, sent{staying, add("a")}, sent{gone, add("b")}) }()
	const waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'transactionid' AND datname = current_database()"
	for pgtest.Count(t, conn, waiting) == 0 {
		select {
		case o := <-outcomes:
			return o // it was given up before
		default:
		}
	}
	hangUp()
	if !stay {
		last()
		return <-outcomes
	}
	pgtest.Exec(t, conn, "ROLLBACK")
	return <-outcomes
}

// When one change cannot be written, or its code is wrong, those that shared its transaction are made without it.
func TestOneOfManyFails(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	r := startReplica(t, url, 0)
	conn := pgtest.Connect(t, url)
	pgtest.Exec(t, conn, `ALTER TABLE events ADD CONSTRAINT no_b CHECK (op_id <> 'add-b')`)
	for name, bad := range map[string]plan.Change{"refused by the database": add("b"), "panics": {Edits: []plan.Edit{plan.Panic{}}}} {
		t.Run(name, func(t *testing.T) {
			p := r.create(t)
			o := r.together(p, all(t.Context(), add("a"), bad, add("c"))...)
			if o[0].err != nil || o[2].err != nil || o[1].err == nil || fault.From(o[1].err) != nil {
				t.Errorf("errors: %v, %v, %v, want an internal one for the second alone", o[0].err, o[1].err, o[2].err)
			}
			if dag := r.dag(t, p); dag.At.Version != 2 || len(dag.Nodes) != 2 {
				t.Errorf("version %d with %d nodes, want 2 and 2", dag.At.Version, len(dag.Nodes))
			}
		})
	}
}

// When the answer to a COMMIT of many is lost, each sender is told what really happened to its change.
func TestAnswerToCommitOfManyIsLost(t *testing.T) {
	t.Parallel()
	for name, committed := range map[string]bool{"after it took effect": true, "before it arrived": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cut := newCutter(t, pgtest.New(t))
			r := startReplica(t, cut.url, 0)
			p := r.create(t)
			cut.mu.Lock()
			cut.text, cut.times, cut.after = []byte("add-b"), 2, committed
			cut.mu.Unlock()
			changes := all(t.Context(), add("a"), add("b"), add("c"))
			for i, o := range r.together(p, changes...) {
				f := fault.From(o.err)
				switch {
				case committed && (o.err != nil || o.result.At.Version != int64(i+1)):
					t.Errorf("change %d: version %d, %v, want %d: it was committed", i, o.result.At.Version, o.err, i+1)
				case !committed && (f == nil || f.Code != fault.Unavailable || f.Details["opId"] != changes[i].change.OpID):
					t.Errorf("change %d: %v, want UNAVAILABLE with the operation id", i, o.err)
				}
			}
			for i, c := range changes {
				again, err := r.plans.Change(t.Context(), auth.Unchecked(r.actor, p), c.change)
				if err != nil || again.At.Version != int64(i+1) {
					t.Errorf("change %d again: version %d, %v, want %d", i, again.At.Version, err, i+1)
				}
			}
		})
	}
}

var (
	times  = regexp.MustCompile(`"\d{4}-\d\d-\d\dT[^"]*"`)
	hashes = regexp.MustCompile(`"Hash":"[0-9a-f]{8}"`) // over what has times
)

func withoutTimes(text []byte) string {
	return hashes.ReplaceAllString(times.ReplaceAllString(string(text), `"time"`), `"Hash":"hash"`)
}

// told puts an outcome into a form that does not depend on the time or the project.
func (o outcome) told(t testing.TB) string {
	t.Helper()
	if o.err != nil {
		f := fault.From(o.err)
		if f == nil {
			t.Fatalf("not a fault: %v", o.err)
		}
		return fmt.Sprint(f.Code, f.Message, f.Details)
	}
	if o.result.Event != nil {
		event := *o.result.Event
		event.ProjectID, event.Prev = 0, ""
		o.result.Event = &event
	}
	text, err := json.Marshal(o.result)
	if err != nil {
		t.Fatal(err)
	}
	return withoutTimes(text)
}

// drawChange draws a change of a few nodes, most often of the kind that shares a transaction.
func drawChange(t *rapid.T) plan.Change {
	kind := rapid.SampledFrom([]plan.NodeType{plan.DataSourceNode, plan.GraphNode, plan.TransformNode, plan.OutputNode})
	id := rapid.SampledFrom([]string{"a", "b", "c", "d", "e"})
	edgeID := rapid.SampledFrom([]string{"1", "2", "3"})
	x := rapid.SampledFrom([]float64{0, 1, 2, 1e9})
	draw := func() plan.Edit {
		switch rapid.IntRange(0, 11).Draw(t, "kind") {
		case 0, 1, 2:
			return plan.AddNode{Node: node(id.Draw(t, "id"), kind.Draw(t, "type"))}
		case 3:
			return plan.UpdateNode{ID: id.Draw(t, "id"), Position: &plan.Position{X: x.Draw(t, "x")}}
		case 4:
			return plan.MoveNodes{Moves: []plan.Move{
				{ID: id.Draw(t, "id"), Position: plan.Position{X: x.Draw(t, "x")}},
				{ID: id.Draw(t, "id"), Position: plan.Position{Y: x.Draw(t, "y")}},
			}}
		case 5:
			return plan.DeleteNode{ID: id.Draw(t, "id")}
		case 6, 7:
			return plan.AddEdge{Edge: edge(edgeID.Draw(t, "id"), id.Draw(t, "source"), id.Draw(t, "target"))}
		case 8:
			label := rapid.SampledFrom([]string{"x", "y"}).Draw(t, "label")
			return plan.UpdateEdge{ID: edgeID.Draw(t, "id"), Metadata: &plan.EdgeMetadata{Label: &label, DataType: plan.GraphData}}
		case 9, 10:
			return plan.SetExecution{NodeID: id.Draw(t, "id"), Execution: drawExecution(t)}
		default:
			return plan.DeleteEdge{ID: edgeID.Draw(t, "id")}
		}
	}
	c := plan.Change{OpID: fmt.Sprint("op-", rapid.IntRange(0, 30).Draw(t, "operation")), Edits: []plan.Edit{draw()}}
	switch rapid.IntRange(0, 15).Draw(t, "extra") {
	case 0:
		c.Edits = append(c.Edits, draw())
	case 1:
		c.Edits = []plan.Edit{plan.RemoveAll{}}
	case 2:
		v := rapid.Int64Range(0, 6).Draw(t, "expected")
		c.Expected = &v
	}
	return c
}

// drawExecution draws the state of a graph, or of a data source, or none.
func drawExecution(t *rapid.T) *plan.Execution {
	return rapid.SampledFrom([]*plan.Execution{nil, graphExecution(1, "pending"), graphExecution(1, "completed"), sourceExecution(1)}).Draw(t, "execution")
}

// Whether changes share a transaction or not, everybody is told the same and the plan is the same.
func TestSharingATransactionChangesNothing(t *testing.T) {
	t.Parallel()
	r := startReplica(t, pgtest.New(t), 0)
	r.plans.EdgePatience(0) // an edge that waits for another one to go would be decided after changes that came later
	rapid.Check(t, func(rt *rapid.T) {
		changes := rapid.SliceOfN(rapid.Custom(drawChange), 1, 16).Draw(rt, "changes")
		alone, shared := r.create(t), r.create(t)
		together := r.together(shared, all(t.Context(), changes...)...)
		for i, c := range changes {
			var o outcome
			o.result, o.err = r.plans.Change(t.Context(), auth.Unchecked(r.actor, alone), c)
			if diff := cmp.Diff(o.told(t), together[i].told(t)); diff != "" {
				rt.Fatalf("change %d is answered otherwise (-alone +shared):\n%s", i, diff)
			}
		}
		if diff := cmp.Diff(shape(t, r, alone), shape(t, r, shared)); diff != "" {
			rt.Fatalf("the plans differ (-alone +shared):\n%s", diff)
		}
	})
}

// shape is a plan without its times.
func shape(t testing.TB, r *replica, project int32) string {
	t.Helper()
	dag := r.dag(t, project)
	dag.ProjectID, dag.Name = 0, ""
	text, err := json.Marshal(dag)
	if err != nil {
		t.Fatal(err)
	}
	return withoutTimes(text)
}
