package plan_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"layercake/internal/auth"
	"layercake/internal/fault"
	"layercake/internal/plan"
	"layercake/internal/postgres/pgtest"

	"github.com/jackc/pgx/v5"
)

// However many are told at once that they missed events, the plan is read once.
func TestSharedDAGIsReadOnceForAllThatWait(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	r := startReplica(t, url, 0)
	p := r.create(t)
	cursor := r.change(t, p, plan.AddNode{Node: node("a", plan.GraphNode)}).At

	blocker := pgtest.Connect(t, url)
	end := time.Now().Add(pgtest.Patience)
	dags := r.readTogether(t, blocker, p, cursor)
	for dags == nil {
		if time.Now().After(end) {
			t.Fatal("the read never lasted until all had asked")
		}
		dags = r.readTogether(t, blocker, p, cursor)
	}
	for i, dag := range dags {
		if dag.At.Version != 1 || len(dag.Nodes) != 1 || &dag.Nodes[0] != &dags[0].Nodes[0] {
			t.Errorf("caller %d got a read of its own: %+v", i, dag)
		}
	}

	// What comes later is read anew.
	cursor = r.change(t, p, plan.AddNode{Node: node("b", plan.GraphNode)}).At
	if dag, err := r.plans.SharedDAG(t.Context(), auth.Unchecked(r.actor, p), cursor); err != nil || len(dag.Nodes) != 2 {
		t.Errorf("after another change: %+v, %v", dag, err)
	}
	if _, err := r.plans.SharedDAG(t.Context(), auth.Unchecked(r.actor, p+1), cursor); !fault.Is(err, fault.NotFound) {
		t.Errorf("another project: %v", err)
	}
}

// readTogether lets many ask for a plan while the read has to wait. One more goes away meanwhile, and the others do not notice. It
// returns nil when the read was given up before all had asked: the server lets none wait for a lock longer than 2 s.
func (r *replica) readTogether(t *testing.T, blocker *pgx.Conn, project int32, at plan.Cursor) []plan.DAG {
	t.Helper()
	const callers = 50
	tx, err := blocker.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	pgtest.Exec(t, tx, "LOCK TABLE plan_nodes IN ACCESS EXCLUSIVE MODE")
	var running sync.WaitGroup
	defer running.Wait()
	dags, errs := make([]plan.DAG, callers), make([]error, callers)
	var ended atomic.Int32
	for i := range callers {
		running.Go(func() {
			defer ended.Add(1)
			dags[i], errs[i] = r.plans.SharedDAG(t.Context(), auth.Unchecked(r.actor, project), at)
		})
	}
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error, 1)
	running.Go(func() {
		_, err := r.plans.SharedDAG(ctx, auth.Unchecked(r.actor, project), at)
		left <- err
	})
	r.plans.Reads().Joined().Await(t, "all to ask", func() bool { return r.plans.Reads().Waiting() == callers+1 || ended.Load() > 0 })
	leave()
	gone := <-left
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	running.Wait()
	for _, err := range errs {
		if fault.Is(err, fault.Unavailable) {
			return nil
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if !errors.Is(gone, context.Canceled) {
		t.Errorf("who left got %v", gone)
	}
	return dags
}
