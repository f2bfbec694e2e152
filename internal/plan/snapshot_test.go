package plan_test

import (
	"bytes"
	"context"
	"errors"
	"runtime/pprof"
	"sync"
	"testing"
	"time"

	"layercake/internal/fault"
	"layercake/internal/plan"
	"layercake/internal/postgres/pgtest"

	"github.com/jackc/pgx/v5"
)

// However many are told at once that they missed events, the plan is read once.
func TestDAGAtIsReadOnceForAllThatWait(t *testing.T) { //nolint:paralleltest // it counts goroutines of the process
	const callers = 50
	url := pgtest.New(t)
	r := startReplica(t, url, 0)
	p := r.create(t)
	cursor := r.change(t, p, plan.AddNode{Node: node("a", plan.GraphNode)}).Cursor

	blocker, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = blocker.Close(context.Background()) }()
	tx, err := blocker.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "LOCK TABLE plan_nodes IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	defer running.Wait()
	dags, errs := make([]plan.DAG, callers), make([]error, callers)
	for i := range callers {
		running.Go(func() { dags[i], errs[i] = r.plans.DAGAt(t.Context(), r.actor, p, cursor) })
	}
	// One of them goes away while the read is under way. The others do not notice.
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error, 1)
	running.Go(func() {
		_, err := r.plans.DAGAt(ctx, r.actor, p, cursor)
		left <- err
	})
	end := time.Now().Add(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for waiting := 0; waiting < callers+1; waiting = countWaiting(t, "plan.(*Service).DAGAt(") {
		if time.Now().After(end) {
			t.Fatalf("%d wait", waiting)
		}
		<-tick.C
	}
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("who left got %v", err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	running.Wait()
	for i, dag := range dags {
		if errs[i] != nil {
			t.Fatal(errs[i])
		}
		if dag.Version != 1 || len(dag.Nodes) != 1 || &dag.Nodes[0] != &dags[0].Nodes[0] {
			t.Errorf("caller %d got a read of its own: %+v", i, dag)
		}
	}

	// What comes later is read anew.
	cursor = r.change(t, p, plan.AddNode{Node: node("b", plan.GraphNode)}).Cursor
	if dag, err := r.plans.DAGAt(t.Context(), r.actor, p, cursor); err != nil || len(dag.Nodes) != 2 {
		t.Errorf("after another change: %+v, %v", dag, err)
	}
	if _, err := r.plans.DAGAt(t.Context(), r.actor, p+1, cursor); !fault.Is(err, fault.NotFound) {
		t.Errorf("another project: %v", err)
	}
}

// countWaiting counts the goroutines that a function keeps waiting in a select.
func countWaiting(t *testing.T, function string) int {
	t.Helper()
	var b bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&b, 2); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, stack := range bytes.Split(b.Bytes(), []byte("\n\n")) {
		header, frames, _ := bytes.Cut(stack, []byte("\n"))
		top, _, _ := bytes.Cut(frames, []byte("\n"))
		if bytes.Contains(header, []byte("[select")) && bytes.Contains(top, []byte(function)) {
			n++
		}
	}
	return n
}
