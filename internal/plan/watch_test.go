package plan_test

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"layercake/internal/auth"
	"layercake/internal/fault"
	"layercake/internal/plan"
	"layercake/internal/postgres/pgtest"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

func TestWatch(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	here, there := startReplica(t, url, 0), startReplica(t, url, 0)
	p := here.create(t)
	var cursors []plan.Cursor
	for i := range 5 {
		cursors = append(cursors, here.change(t, p, plan.AddNode{Node: node(fmt.Sprint("n", i), plan.GraphNode)}).At)
	}

	t.Run("without a cursor it begins at the head", func(t *testing.T) {
		w := there.watch(t, p, plan.Cursor{})
		if u := w.next(t); u.At.Version != 5 || u.Event != nil || u.Missed {
			t.Errorf("first = %+v, want the beginning at 5", u)
		}
	})
	t.Run("after a cursor it goes on without a gap", func(t *testing.T) {
		w := there.watch(t, p, cursors[1])
		if u := w.next(t); u.At.Version != 2 || u.Missed {
			t.Errorf("first = %+v, want the beginning at 2", u)
		}
		for v := int64(3); v <= 5; v++ {
			if u := w.next(t); u.At.Version != v || u.Event == nil || u.Event.Version != v {
				t.Errorf("next = %+v, want event %d", u, v)
			}
		}
	})
	t.Run("outside the log it is told so", func(t *testing.T) {
		for name, cursor := range map[string]plan.Cursor{
			"another epoch": {Epoch: "zz-1", Version: 3}, "ahead of the head": {Epoch: cursors[4].Epoch, Version: 50},
			"at the end of numbers": {Epoch: cursors[4].Epoch, Version: math.MaxInt64},
		} {
			w := there.watch(t, p, cursor)
			if u := w.next(t); !u.Missed || u.At.Version != 5 {
				t.Errorf("%s: first = %+v, want missed at 5", name, u)
			}
		}
	})
	t.Run("a cursor that is none is refused", func(t *testing.T) {
		if _, err := plan.ParseCursor("five"); !fault.Is(err, fault.BadRequest) {
			t.Errorf("error = %v, want BAD_REQUEST", err)
		}
		if c, err := plan.ParseCursor(cursors[4].String()); err != nil || c != cursors[4] {
			t.Errorf("%v, %v, want %v", c, err, cursors[4])
		}
	})
	t.Run("an unknown project is not found", func(t *testing.T) {
		for _, err := range there.plans.Watch(t.Context(), auth.Unchecked(there.actor, p+999), plan.Cursor{}) {
			if !fault.Is(err, fault.NotFound) {
				t.Errorf("error = %v, want NOT_FOUND", err)
			}
		}
	})
	t.Run("an event too large to keep is read from the log", func(t *testing.T) {
		w := there.watch(t, p, plan.Cursor{})
		w.next(t)
		config := `{"a":"` + strings.Repeat("x", 32<<10) + `"}`
		here.change(t, p, plan.UpdateNode{ID: "n0", Config: &config}, plan.UpdateNode{ID: "n1", Config: &config}, plan.UpdateNode{ID: "n2", Config: &config})
		if u := w.next(t); u.Missed || u.At.Version != 6 || len(u.Event.Operations) != 3 {
			t.Errorf("next = %+v, want the event 6", u)
		}
	})
	t.Run("an event too large to send is news of having missed it", func(t *testing.T) {
		w := there.watch(t, p, plan.Cursor{})
		w.next(t)
		var edits []plan.Edit
		for i := range 20 {
			n := node(fmt.Sprint("big", i), plan.GraphNode)
			n.Config = `{"a":"` + strings.Repeat("x", 60_000) + `"}`
			edits = append(edits, plan.AddNode{Node: n})
		}
		here.change(t, p, edits...)
		if u := w.next(t); !u.Missed || !u.TooLarge || u.At.Version != 7 {
			t.Errorf("next = version %d, missed %t, want missed at 7", u.At.Version, u.Missed)
		}
	})
	t.Run("deleting the project ends it", func(t *testing.T) {
		q := here.create(t)
		w := there.watch(t, q, plan.Cursor{})
		w.next(t)
		if err := here.projects.Delete(t.Context(), auth.Unchecked(here.actor, q)); err != nil {
			t.Fatal(err)
		}
		if err := w.failure(t); !fault.Is(err, fault.NotFound) {
			t.Errorf("error = %v, want NOT_FOUND", err)
		}
	})
}

// Every watcher of every replica sees versions 1 to n in order, once, and ends with the plan that the rows hold: whatever the
// replicas' lines do, and wherever the watcher begins.
func TestWatchersConverge(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		loss      float64
		terminate bool
	}{
		"undisturbed":                           {},
		"lines dropped at random":               {loss: 0.2},
		"no lines at all":                       {loss: 1},
		"listener terminated every 200 ms":      {terminate: true},
		"listener terminated and lines dropped": {loss: 0.2, terminate: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			converge(t, c.loss, c.terminate)
		})
	}
}

// theEnd is the name of the plan after its last change.
const theEnd = "The end"

func converge(t *testing.T, loss float64, terminate bool) {
	const writers, changes = 50, 6
	url := pgtest.New(t)
	replicas := []*replica{startReplica(t, url, loss), startReplica(t, url, loss), startReplica(t, url, loss)}
	p := replicas[0].create(t)

	ctx, cancel := context.WithTimeout(t.Context(), 3*pgtest.Patience)
	defer cancel()
	var storm, watching errgroup.Group
	var written atomic.Int64
	for i := range writers {
		storm.Go(func() error {
			r := replicas[i%len(replicas)]
			random := rand.New(rand.NewPCG(uint64(i), 1))
			for n := range changes {
				// Retried under one operation id, as a client does: nothing is written twice.
				c := plan.Change{OpID: fmt.Sprint(i, "/", n), Edits: []plan.Edit{randomEdit(random, i, n)}}
				for {
					result, err := r.plans.Change(ctx, auth.Unchecked(r.actor, p), c)
					if fault.Is(err, fault.Unavailable) || fault.Is(err, fault.RateLimited) {
						continue
					}
					if err != nil && fault.From(err) == nil {
						return err
					}
					if result.Event != nil {
						written.Add(1)
					}
					break
				}
			}
			return nil
		})
	}
	if terminate {
		watching.Go(func() error { return terminateListeners(ctx, url, 200*time.Millisecond, 10) })
	}

	// Watchers begin at the head, at every version as it comes, and all over again from the start.
	var ends []*follower
	for _, r := range replicas {
		f := &follower{replica: r, project: p}
		ends = append(ends, f)
		watching.Go(func() error { return f.follow(ctx, plan.Cursor{}, nil) })
	}
	starter := &follower{replica: replicas[1], project: p}
	watching.Go(func() error {
		return starter.follow(ctx, plan.Cursor{}, func(u *plan.Update) {
			if u.At.Version%7 == 0 && u.At.Version > 0 {
				f := &follower{replica: replicas[u.At.Version%3], project: p}
				ends = append(ends, f)
				watching.Go(func() error { return f.follow(ctx, u.At, nil) })
			}
		})
	})
	if err := storm.Wait(); err != nil {
		t.Fatal(err)
	}
	last := replicas[0].change(t, p, plan.UpdatePlan{Name: theEnd})
	if last.Event == nil {
		t.Fatalf("the last change was none: %+v", last)
	}
	if err := watching.Wait(); err != nil {
		t.Fatalf("%v; the end is version %d, the rows are at %d", err, last.At.Version, replicas[0].dag(t, p).At.Version)
	}
	if n := written.Load() + 1; last.At.Version != n {
		t.Errorf("the plan is at version %d after %d changes that were answered", last.At.Version, n)
	}
	want := replicas[0].dag(t, p)
	for i, f := range ends {
		if err := f.check(want); err != nil {
			t.Errorf("watcher %d: %v", i, err)
		}
	}
}

func randomEdit(random *rand.Rand, writer, n int) plan.Edit {
	id := fmt.Sprint("n", writer, "_", random.IntN(n+1))
	other := fmt.Sprint("n", (writer+1)%50, "_0")
	switch random.IntN(6) {
	case 0:
		return plan.UpdateNode{ID: id, Position: &plan.Position{X: float64(random.IntN(1000)), Y: 1}}
	case 1:
		return plan.AddEdge{Edge: edge(id+">"+other, id, other)}
	case 2:
		return plan.DeleteNode{ID: id}
	default:
		return plan.AddNode{Node: node(fmt.Sprint("n", writer, "_", n), plan.GraphNode)}
	}
}

// terminateListeners ends every listener's session, again and again.
func terminateListeners(ctx context.Context, url string, every time.Duration, times int) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for range times {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		_, err := conn.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE application_name LIKE 'layercake/%/listener' AND datname = current_database()`)
		if err != nil {
			return err
		}
	}
	return nil
}

// resuming watches as a client does: when the log cannot be read now, a new watch goes on after the last cursor.
func (r *replica) resuming(ctx context.Context, project int32, cursor plan.Cursor) iter.Seq2[*plan.Update, error] {
	return func(yield func(*plan.Update, error) bool) {
		for again := false; ; again = true {
			var failure error
			for u, err := range r.plans.Watch(ctx, auth.Unchecked(r.actor, project), cursor) {
				if err != nil {
					failure = err
					break
				}
				if again && u.At == cursor && u.Event == nil && !u.Missed {
					continue // it begins where the former one was
				}
				cursor = u.At
				if !yield(u, nil) {
					return
				}
			}
			if !fault.Is(failure, fault.Unavailable) || ctx.Err() != nil {
				if failure != nil {
					yield(nil, failure)
				}
				return
			}
		}
	}
}

// follower watches until the end of the test and keeps what it saw.
type follower struct {
	replica  *replica
	project  int32
	began    plan.DAG
	versions []int64
	events   []*plan.Event
}

// follow watches until "The end", reading the plan first when it begins without a cursor.
func (f *follower) follow(ctx context.Context, cursor plan.Cursor, each func(*plan.Update)) error {
	if cursor == (plan.Cursor{}) {
		dag, err := f.replica.plans.DAG(ctx, auth.Unchecked(f.replica.actor, f.project))
		if err != nil {
			return err
		}
		if f.began, cursor = dag, dag.At; dag.Name == theEnd {
			f.versions = []int64{dag.At.Version} // it came after everything had happened
			return nil
		}
	} else {
		f.began.At.Version = -1
	}
	for u, err := range f.replica.resuming(ctx, f.project, cursor) {
		if err != nil {
			return err
		}
		if u.Missed {
			return fmt.Errorf("missed events up to %d", u.At.Version)
		}
		f.versions = append(f.versions, u.At.Version)
		if u.Event != nil {
			f.events = append(f.events, u.Event)
		}
		if u.Event != nil && u.Event.Operations[0].Kind == plan.PlanUpdated {
			return nil
		}
		if each != nil {
			each(u)
		}
	}
	return fmt.Errorf("watch of replica %s ended after %d updates with %+v", f.replica.name, len(f.versions), f.events[max(0, len(f.events)-1):])
}

// check demands contiguous versions up to the plan's, and that the events lead from where it began to the plan.
func (f *follower) check(want plan.DAG) error {
	for i, v := range f.versions {
		if v != f.versions[0]+int64(i) {
			return fmt.Errorf("versions %v: gap or repeat at %d", f.versions, v)
		}
	}
	if last := f.versions[len(f.versions)-1]; last != want.At.Version {
		return fmt.Errorf("last version = %d, want %d", last, want.At.Version)
	}
	if f.began.At.Version < 0 {
		return nil
	}
	nodes, edges := f.began.Nodes, f.began.Edges
	for _, e := range f.events {
		for _, op := range e.Operations {
			var err error
			switch op.Kind {
			case plan.NodeAdded, plan.NodeUpdated, plan.NodeRemoved:
				before := nodes
				nodes, err = applyTo(nodes, op, func(n plan.Node) string { return n.ID })
				if i := *op.Index; err == nil && op.Kind == plan.NodeUpdated { // executions have operations of their own
					nodes[i].DatasourceExecution, nodes[i].GraphExecution = before[i].DatasourceExecution, before[i].GraphExecution
				}
			case plan.ExecutionChanged:
				nodes, err = setExecution(nodes, op)
			case plan.EdgeAdded, plan.EdgeUpdated, plan.EdgeRemoved:
				edges, err = applyTo(edges, op, func(e plan.Edge) string { return e.ID })
			case plan.PlanUpdated:
			}
			if err != nil {
				return fmt.Errorf("event %d: %w", e.Version, err)
			}
		}
	}
	if diff := cmp.Diff(want.Nodes, nodes) + cmp.Diff(want.Edges, edges); diff != "" {
		return fmt.Errorf("events lead to another plan (-rows +events):\n%s", diff)
	}
	return nil
}

// setExecution sets the execution of a node by its index, when it was as the operation says.
func setExecution(nodes []plan.Node, op plan.Operation) ([]plan.Node, error) {
	i := *op.Index
	nodes = slices.Clone(nodes)
	if i >= len(nodes) || nodes[i].ID != op.ID {
		return nil, fmt.Errorf("%s: index %d is not %s", op.Kind, i, op.ID)
	}
	n := &nodes[i]
	var before, after, now plan.Execution
	for text, e := range map[*json.RawMessage]*plan.Execution{&op.Before: &before, &op.After: &after} {
		if *text == nil {
			continue
		}
		if err := json.Unmarshal(*text, e); err != nil {
			return nil, err
		}
	}
	now.DataSource, now.Graph = n.DatasourceExecution, n.GraphExecution
	if diff := cmp.Diff(before, now); diff != "" {
		return nil, fmt.Errorf("%s of %s does not say what was there (-says +is):\n%s", op.Kind, op.ID, diff)
	}
	n.DatasourceExecution, n.GraphExecution = after.DataSource, after.Graph
	return nodes, nil
}

// applyTo applies an operation the way a client would: by index, trusting it.
func applyTo[T any](list []T, op plan.Operation, id func(T) string) ([]T, error) {
	i := *op.Index
	list = slices.Clone(list)
	if op.Before != nil && (i >= len(list) || id(list[i]) != op.ID) {
		return nil, fmt.Errorf("%s: index %d is not %s", op.Kind, i, op.ID)
	}
	if op.After == nil {
		return slices.Delete(list, i, i+1), nil
	}
	var v T
	if err := json.Unmarshal(op.After, &v); err != nil {
		return nil, err
	}
	if op.Before != nil {
		list[i] = v
		return list, nil
	}
	if i != len(list) {
		return nil, fmt.Errorf("%s: index %d, want the end %d", op.Kind, i, len(list))
	}
	return append(list, v), nil
}

// watch is a watcher that a test steps by hand.
type watch struct {
	updates chan *plan.Update
	failed  chan error
}

func (r *replica) watch(t *testing.T, project int32, after plan.Cursor) *watch {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &watch{updates: make(chan *plan.Update), failed: make(chan error, 1)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for u, err := range r.plans.Watch(ctx, auth.Unchecked(r.actor, project), after) {
			if err != nil {
				w.failed <- err
				return
			}
			select {
			case w.updates <- u:
			case <-ctx.Done():
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return w
}

func (w *watch) next(t *testing.T) *plan.Update {
	t.Helper()
	select {
	case u := <-w.updates:
		return u
	case err := <-w.failed:
		t.Fatalf("watch failed: %v", err)
	case <-time.After(pgtest.Patience):
		t.Fatal("nothing came")
	}
	return nil
}

func (w *watch) failure(t *testing.T) error {
	t.Helper()
	select {
	case err := <-w.failed:
		return err
	case <-time.After(pgtest.Patience):
		t.Fatal("the watch went on")
	}
	return nil
}
