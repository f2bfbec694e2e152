package executor_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"layercake/internal/auth"
	"layercake/internal/executor"
	"layercake/internal/fault"
	"layercake/internal/plan"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server"
	"layercake/internal/task"
)

// follow watches the executions of a project until the test ends.
func (r *replica) follow(t testing.TB, project int32) <-chan executor.Execution {
	t.Helper()
	told := make(chan executor.Execution)
	watching := task.Go(t.Context(), func(ctx context.Context) error {
		defer close(told)
		for e, err := range r.Builds.Watch(ctx, auth.Unchecked(r.actor, project)) {
			if err != nil {
				return err
			}
			select {
			case told <- e:
			case <-ctx.Done():
			}
		}
		return nil
	})
	t.Cleanup(func() {
		if err := watching.Stop(); err != nil && !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
	})
	return told
}

// next waits for an execution that is as wanted.
func next(t testing.TB, told <-chan executor.Execution, what string, is func(executor.Execution) bool) executor.Execution {
	t.Helper()
	patience := time.After(pgtest.Patience)
	for {
		select {
		case e, ok := <-told:
			if !ok {
				t.Fatalf("the watch ended before %s", what)
			}
			if is(e) {
				return e
			}
		case <-patience:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func state(id, state string) func(executor.Execution) bool {
	return func(e executor.Execution) bool { return e.NodeID == id && e.State == state }
}

// Everybody sees states and progress, on every replica.
func TestWatch(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	var c computed
	a, b := start(t, database, quick, c.on, func(c *server.Config) { c.BuildTiming.Shown = time.Millisecond }), start(t, database, quick, func(c *server.Config) { c.Builds = 0 })
	p := a.newProject(t, append(merges(1), node(plan.CopyNode, "c", "{}"), edge("m0", "c"))...)
	told := b.follow(t, p)
	release := c.hold(t, "m0")
	a.ask(t, p, "")
	next(t, told, "m0 to wait", state("m0", "pending"))
	computing := next(t, told, "progress", func(e executor.Execution) bool { return e.Phase != nil && *e.Phase == "computing" })
	if computing.NodeID != "m0" || computing.State != "processing" || computing.Attempt != 1 || computing.ProjectID != p || computing.GraphID == 0 ||
		*computing.Replica != a.Replica.Incarnation().String() || computing.Done == nil || computing.Total == nil {
		t.Errorf("%+v", computing)
	}
	late := b.follow(t, p) // is told what is so now
	next(t, late, "m0 to be built", state("m0", "processing"))
	release()
	for _, told := range []<-chan executor.Execution{told, late} {
		done := next(t, told, "m0 to be complete", state("m0", "completed"))
		if done.Phase != nil || done.Replica != nil || done.ErrorMessage != nil {
			t.Errorf("%+v", done)
		}
		next(t, told, "c to be complete", state("c", "completed"))
	}
	if err := a.Projects.Delete(t.Context(), auth.Unchecked(a.actor, p)); err != nil {
		t.Fatal(err)
	}
	for range told { // until the watch ends
	}
	for _, err := range b.Builds.Watch(t.Context(), auth.Unchecked(b.actor, p)) {
		if !fault.Is(err, fault.NotFound) {
			t.Errorf("watching what is not there: %v", err)
		}
	}
}

// Most builds end before anybody could see that they are under way: that is no event.
func TestShortBuildsAreNotShownUnderWay(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	a := start(t, database, quick)
	p := a.newProject(t, merges(3)...)
	done := a.execute(t, p, "")
	at, err := a.Plans.Head(t.Context(), auth.Unchecked(a.actor, p))
	if err != nil {
		t.Fatal(err)
	}
	if n := at.Version - done.At.Version; n < 1 || n > 3 { // those that end together are one event
		t.Errorf("three builds made %d events after that of the request", n)
	}
	const ask = `SELECT count(*) FROM events WHERE project_id = $1 AND body::text LIKE '%processing%'`
	if n := pgtest.Count(t, pgtest.Connect(t, database), ask, p); n != 0 {
		t.Errorf("%d events show builds under way", n)
	}
}

// Who asked waits for the states, and who hangs up cancels nothing.
func TestWaitingForBuilds(t *testing.T) {
	t.Parallel()
	var c computed
	a := start(t, pgtest.New(t), quick, c.on)
	p := a.newProject(t, merges(2)...)
	release := c.hold(t, "m0")
	short, err := a.Builds.Execute(t.Context(), auth.Unchecked(a.actor, p), "m0", executor.Request{Wait: time.Millisecond})
	if err != nil || short.Done || len(short.Nodes) != 1 || short.Nodes[0].State != "pending" || short.Failed() != nil {
		t.Errorf("%+v, %v", short, err)
	}
	ctx, hangUp := context.WithCancel(t.Context())
	waiting := task.Go(ctx, func(ctx context.Context) error {
		done, err := a.Builds.Execute(ctx, auth.Unchecked(a.actor, p), "m0", executor.Request{Wait: 25 * time.Second})
		if done.Done {
			return errors.New("it is done")
		}
		return err
	})
	c.await(t, p, "m0", 1)
	hangUp()
	_ = waiting.Wait()
	release()
	wantStates(t, a.rest(t, p), "completed", "m0")

	if _, err := a.Builds.Execute(t.Context(), auth.Unchecked(a.actor, p), "ghost", executor.Request{}); !fault.Is(err, fault.NotFound) || fault.From(err).Details["detail"] != "ghost" {
		t.Errorf("asking for a node that is not there: %v", err)
	}
	if _, err := a.Builds.Execute(t.Context(), auth.Unchecked(a.actor, p+1000), "", executor.Request{}); !fault.Is(err, fault.NotFound) {
		t.Errorf("asking for a project that is not there: %v", err)
	}
	// A repeat under the same operation id asks for nothing more.
	once := executor.Request{OpID: "once", Wait: 25 * time.Second}
	for range 2 {
		done, err := a.Builds.Execute(t.Context(), auth.Unchecked(a.actor, p), "m1", once)
		if err != nil || !done.Done || done.Nodes[0].State != "completed" {
			t.Errorf("%+v, %v", done, err)
		}
	}
	if n := c.count(p, "m1"); n != 1 {
		t.Errorf("m1 was computed %d times", n)
	}
}
