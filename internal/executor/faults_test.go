package executor_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"layercake/internal/auth"
	"layercake/internal/executor"
	"layercake/internal/fault"
	"layercake/internal/plan"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server"
	"layercake/internal/task"
	"layercake/internal/testsignal"

	"github.com/google/uuid"
)

// quick are clocks for tests that wait for what a replica notices.
func quick(c *server.Config) {
	c.BuildTiming = executor.DefaultTiming
	c.BuildTiming.Look, c.BuildTiming.Progress, c.BuildTiming.Shown = 50*time.Millisecond, 50*time.Millisecond, time.Hour
	c.BuildTiming.Retries = [3]time.Duration{}
}

// blind makes a replica build one graph at a time, and not notice before the end that a claim has gone, as one that is stopped.
func blind(c *server.Config) { c.Builds, c.BuildTiming.Progress = 1, time.Hour }

// computed counts what replicas compute, and can hold it.
type computed struct {
	point   executor.Point // at which it counts and holds; "" for Computed
	changed testsignal.Signal

	mu    sync.Mutex
	nodes []string // in order, as "project node"
	held  map[string]chan struct{}
}

// on makes a replica tell what it computes.
func (c *computed) on(cfg *server.Config) {
	cfg.Reached = func(ctx context.Context, p executor.Point, project int32, node string) {
		if p != cmp.Or(c.point, executor.Computed) {
			return
		}
		c.mu.Lock()
		c.nodes = append(c.nodes, fmt.Sprintf("%d %s", project, node))
		held := c.held[node]
		c.mu.Unlock()
		c.changed.Say()
		if held != nil {
			<-held
		}
	}
}

// hold stops the computing of a node until the test releases it.
func (c *computed) hold(t testing.TB, node string) (release func()) {
	t.Helper()
	held := make(chan struct{})
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held == nil {
		c.held = make(map[string]chan struct{})
	}
	c.held[node] = held
	release = sync.OnceFunc(func() {
		c.mu.Lock()
		delete(c.held, node)
		c.mu.Unlock()
		close(held)
	})
	t.Cleanup(release)
	return release
}

// count returns how often a node was computed.
func (c *computed) count(project int32, node string) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range c.nodes {
		if name == fmt.Sprintf("%d %s", project, node) {
			n++
		}
	}
	return n
}

func (c *computed) await(t testing.TB, project int32, node string, times int) {
	t.Helper()
	c.changed.Await(t, fmt.Sprintf("%s to be computed %d times", node, times), func() bool { return c.count(project, node) >= times })
}

// patience is a context whose time ends when the test says so.
type patience struct {
	context.Context //nolint:containedctx // it is one

	ended chan struct{}
}

func (p patience) Done() <-chan struct{} { return p.ended }

func (p patience) Err() error {
	select {
	case <-p.ended:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// Who asks for what is current is told that nothing was asked for, and whose time ends is told the states of that moment.
func TestWhatWaitersAreTold(t *testing.T) {
	t.Parallel()
	c := &computed{}
	r := start(t, pgtest.New(t), quick, c.on)
	p := r.newProject(t, node(plan.GraphNode, "a", "{}"), node(plan.GraphNode, "b", "{}"))
	finishA, finishB := c.hold(t, "a"), c.hold(t, "b")
	ctx := patience{t.Context(), make(chan struct{})}
	waiting := task.Go(t.Context(), func(context.Context) error {
		o, err := r.Builds.Execute(ctx, auth.Unchecked(r.actor, p), "", executor.Request{Wait: 25 * time.Second})
		if err == nil && (o.Done || o.Current || o.Nodes[0].State != "completed" || o.Nodes[1].State == "completed") {
			err = fmt.Errorf("the waiter is told %+v", o)
		}
		return err
	})
	c.await(t, p, "a", 1)
	c.await(t, p, "b", 1)
	finishA()
	pgtest.AwaitCount(t, pgtest.Connect(t, r.Database), 1, "SELECT count(*) FROM graphs WHERE state = 'completed'")
	close(ctx.ended)
	if err := waiting.Wait(); err != nil {
		t.Error(err)
	}
	if o := r.ask(t, p, ""); o.Current || o.Done {
		t.Errorf("while b is built: %+v", o)
	}
	finishB()
	r.rest(t, p)
	if o := r.execute(t, p, ""); !o.Current || len(o.Nodes) != 2 {
		t.Errorf("when all is current: %+v", o)
	}
}

// ask asks for a node, or for all with "", and does not wait.
func (r *replica) ask(t testing.TB, project int32, id string) executor.Outcome {
	t.Helper()
	done, err := r.Builds.Execute(t.Context(), auth.Unchecked(r.actor, project), id, executor.Request{})
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// rest waits until nothing is open any more in a project. Asking again shows the states and waits for what is open.
func (r *replica) rest(t testing.TB, project int32) map[string]*plan.GraphExecution {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), pgtest.Patience)
	defer cancel()
	for u, err := range r.Plans.Watch(ctx, auth.Unchecked(r.actor, project), plan.Cursor{}) {
		if err != nil {
			t.Fatal(err)
		}
		_ = u
		if pgtest.Count(t, pgtest.Connect(t, r.Database), "SELECT count(*) FROM builds WHERE finished_at IS NULL AND project_id = $1", project) == 0 {
			return r.states(t, project)
		}
	}
	t.Fatal("builds do not end")
	return nil
}

// states returns what the plan shows of the graphs of nodes.
func (r *replica) states(t testing.TB, project int32) map[string]*plan.GraphExecution {
	t.Helper()
	dag, err := r.Plans.DAG(t.Context(), auth.Unchecked(r.actor, project))
	if err != nil {
		t.Fatal(err)
	}
	states := make(map[string]*plan.GraphExecution)
	for _, n := range dag.Nodes {
		if n.GraphExecution != nil {
			states[n.ID] = n.GraphExecution
		}
	}
	return states
}

func wantStates(t testing.TB, got map[string]*plan.GraphExecution, want string, nodes ...string) {
	t.Helper()
	for _, id := range nodes {
		switch g := got[id]; {
		case g == nil:
			t.Errorf("%s shows no graph", id)
		case g.ExecutionState != want:
			message := ""
			if g.ErrorMessage != nil {
				message = *g.ErrorMessage
			}
			t.Errorf("%s is %s (%s), want %s", id, g.ExecutionState, message, want)
		}
	}
}

// restyle changes the settings of a merge, so that it is stale.
func (r *replica) restyle(t testing.TB, project int32, id, strategy string) {
	t.Helper()
	config := fmt.Sprintf(`{"mergeStrategy":%q}`, strategy)
	r.edit(t, project, plan.UpdateNode{ID: id, Config: &config})
}

func merges(n int) (edits []plan.Edit) {
	for i := range n {
		edits = append(edits, node(plan.MergeNode, fmt.Sprintf("m%d", i), "{}"))
	}
	return edits
}

// expire ends the lease of a replica, as its death does, and what is held under it.
func (r *replica) expire(t testing.TB) uuid.UUID {
	t.Helper()
	dead := r.Replica.Incarnation()
	pgtest.Exec(t, pgtest.Connect(t, r.Database), "DELETE FROM replicas WHERE incarnation = $1", dead)
	return dead
}

func TestReplicasBuildEachNodeOnce(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	var c computed
	var replicas []*replica
	for range 3 {
		replicas = append(replicas, start(t, database, quick, c.on))
	}
	p := replicas[0].newProject(t, merges(30)...)
	var asking sync.WaitGroup
	for _, r := range replicas {
		asking.Go(func() { _, _ = r.Builds.Execute(t.Context(), auth.Unchecked(r.actor, p), "", executor.Request{}) })
	}
	asking.Wait()
	states := replicas[1].rest(t, p)
	for i := range 30 {
		id := fmt.Sprintf("m%d", i)
		wantStates(t, states, "completed", id)
		if n := c.count(p, id); n != 1 {
			t.Errorf("%s was computed %d times", id, n)
		}
	}
	if n := pgtest.Count(t, pgtest.Connect(t, database), "SELECT count(*) FROM contents"); n > 6 {
		t.Errorf("equal results have %d contents, want one for each that was written at once", n)
	}
}

// A builder that dies loses its claim with its lease, and another builds. When the first one was only stopped, and comes back between COPY and
// finish, its result is thrown away, whether the other one is done or still builds.
func TestKilledBuilder(t *testing.T) {
	t.Parallel()
	for _, done := range []bool{false, true} {
		t.Run(fmt.Sprintf("the other is done %t", done), func(t *testing.T) {
			t.Parallel()
			database := pgtest.New(t)
			onA, onB := computed{point: executor.Written}, computed{point: executor.Written}
			a := start(t, database, quick, onA.on, blind)
			p := a.newProject(t, merges(1)...)
			comeBack := onA.hold(t, "m0")
			a.ask(t, p, "")
			onA.await(t, p, "m0", 1)
			dead := a.expire(t)

			release := onB.hold(t, "m0")
			b := start(t, database, quick, onB.on)
			onB.await(t, p, "m0", 1)
			if done {
				release()
				wantStates(t, b.rest(t, p), "completed", "m0")
			}
			at := b.head(t, p)
			comeBack()
			a.Builds.Ended.Await(t, "the end of the former attempt", func() bool { return a.Builds.Running() == 0 })
			if now := b.head(t, p); now != at {
				t.Errorf("the former builder came back, and the plan is at %v, want %v", now, at)
			}
			admin := pgtest.Connect(t, database)
			if n := pgtest.Count(t, admin, "SELECT count(*) FROM claims WHERE incarnation = $1", b.Replica.Incarnation()); !done && n != 1 {
				t.Errorf("the other replica has %d claims", n)
			}
			release()
			wantStates(t, b.rest(t, p), "completed", "m0")
			const ask = "SELECT count(*) FROM builds WHERE state = 'completed' AND attempt = 2 AND replica <> $1 AND replica = $2"
			if n := pgtest.Count(t, admin, ask, dead, b.Replica.Incarnation()); n != 1 {
				t.Errorf("%d builds were completed by the other replica in the second attempt", n)
			}
		})
	}
}

// Postgres that is restarted has no claims: somebody claims, and only one result is put into place.
func TestClaimsThatAreLostWithTheServer(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	var c computed
	a := start(t, database, quick, c.on)
	p := a.newProject(t, merges(1)...)
	release := c.hold(t, "m0")
	a.ask(t, p, "")
	c.await(t, p, "m0", 1)
	pgtest.Exec(t, pgtest.Connect(t, database), "TRUNCATE claims")
	// The first attempt does not notice before it ends. It reports in vain and is stopped, and then the replica claims again.
	release()
	wantStates(t, a.rest(t, p), "completed", "m0")
	const ask = "SELECT count(*) FROM builds WHERE state = 'completed' AND attempt BETWEEN 1 AND 2"
	if n := pgtest.Count(t, pgtest.Connect(t, database), ask); n != 1 {
		t.Errorf("%d builds", n)
	}
}

func TestBuildIsGivenUpAfterTheThirdDeath(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	var c computed
	a := start(t, database, quick, c.on)
	p := a.newProject(t, append(merges(1), node(plan.CopyNode, "c", "{}"), edge("m0", "c"))...)
	admin := pgtest.Connect(t, database)
	for i := range 3 {
		release := c.hold(t, "m0")
		if i == 0 {
			a.ask(t, p, "")
		}
		c.await(t, p, "m0", i+1)
		pgtest.Exec(t, admin, "DELETE FROM claims")
		release()
	}
	states := a.rest(t, p)
	wantStates(t, states, "error", "m0", "c")
	if n := c.count(p, "m0"); n != 3 {
		t.Errorf("it was computed %d times", n)
	}
}

// Small builds are claimed together. What kills replicas does not take those with it that were claimed at the same time.
func TestDeathOfBuildsThatWereClaimedTogether(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	var c computed
	a := start(t, database, quick, c.on, func(cfg *server.Config) { cfg.Builds = 1 })
	p := a.newProject(t, merges(4)...)
	admin := pgtest.Connect(t, database)
	for i := range 3 {
		release := c.hold(t, "m0")
		if i == 0 {
			a.ask(t, p, "")
		}
		c.await(t, p, "m0", i+1)
		if n := pgtest.Count(t, admin, "SELECT count(*) FROM claims"); i == 0 && n != 4 || i > 0 && n != 1 {
			t.Errorf("%d builds are claimed in attempt %d", n, i+1)
		}
		pgtest.Exec(t, admin, "DELETE FROM claims")
		release()
	}
	states := a.rest(t, p)
	wantStates(t, states, "error", "m0")
	wantStates(t, states, "completed", "m1", "m2", "m3")
	if n := pgtest.Count(t, admin, "SELECT max(attempt) FROM builds WHERE node_id <> 'm0'"); n != 2 {
		t.Errorf("the others took %d attempts", n)
	}
}

// What was claimed for later is given back when the turn is another project's, as if it had not begun.
func TestBuildsThatWereClaimedForLaterAreGivenBack(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	var c computed
	a := start(t, database, quick, c.on, func(cfg *server.Config) { cfg.Builds = 1 })
	many, one := a.newProject(t, merges(20)...), a.newProject(t, node(plan.MergeNode, "one", "{}"))
	admin := pgtest.Connect(t, database)
	release, releaseOne := c.hold(t, "m0"), c.hold(t, "one")
	a.ask(t, many, "")
	c.await(t, many, "m0", 1)
	if n := pgtest.Count(t, admin, "SELECT count(*) FROM claims WHERE project_id = $1", many); n != 16 {
		t.Errorf("%d builds are claimed", n)
	}
	a.ask(t, one, "")
	release()
	c.await(t, one, "one", 1)
	a.Builds.Ended.Await(t, "the others to be given back", func() bool { return a.Builds.Running() == 1 })
	if n := pgtest.Count(t, admin, "SELECT count(*) FROM claims WHERE project_id = $1", many); n != 0 {
		t.Errorf("%d builds of the other project are claimed, although it is not their turn", n)
	}
	releaseOne()
	wantStates(t, a.rest(t, one), "completed", "one")
	states := a.rest(t, many)
	for i := range 20 {
		wantStates(t, states, "completed", fmt.Sprintf("m%d", i))
	}
	if n := pgtest.Count(t, admin, "SELECT count(*) FROM builds WHERE attempt <> 1"); n != 0 {
		t.Errorf("%d builds took more than one attempt", n)
	}
}

// Whoever waits to claim builds of one project finds out, when it is its turn, that another project has come meanwhile.
func TestAnotherProjectComesWhileReplicasQueue(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	var c computed
	one := func(cfg *server.Config) { cfg.Builds = 1 }
	a := start(t, database, quick, c.on, one)
	many, other := a.newProject(t, merges(20)...), a.newProject(t, node(plan.MergeNode, "other", "{}"))
	release := c.hold(t, "m0")
	a.ask(t, many, "") // 16 of 20 are claimed
	c.await(t, many, "m0", 1)
	admin, locker := pgtest.Connect(t, database), pgtest.Connect(t, database)
	head, err := locker.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := head.Exec(t.Context(), "SELECT FROM heads WHERE project_id = $1 FOR UPDATE", many); err != nil {
		t.Fatal(err)
	}
	b := start(t, database, quick, c.on, one)
	pgtest.AwaitCount(t, admin, 1, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
	b.ask(t, other, "")
	if err := head.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.rest(t, other)
	n := pgtest.Count(t, admin, `SELECT count(*) FROM builds b, builds o
		WHERE b.project_id = $1 AND o.project_id = $2 AND b.replica = $3 AND b.started_at < o.started_at`, many, other, b.Replica.Incarnation())
	if n != 0 {
		t.Errorf("%d builds were claimed before that of the other project", n)
	}
	release()
	a.rest(t, many)
}

func TestRequestWhileItIsBuilt(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	var c computed
	a := start(t, database, quick, c.on)
	p := a.newProject(t, merges(1)...)
	release := c.hold(t, "m0")
	a.ask(t, p, "")
	c.await(t, p, "m0", 1)
	a.restyle(t, p, "m0", "Difference")
	a.ask(t, p, "")
	release()
	wantStates(t, a.rest(t, p), "completed", "m0")
	if n := c.count(p, "m0"); n != 2 {
		t.Errorf("it was computed %d times, want again with the new settings", n)
	}
	a.wantCurrent(t, p)
}

// wantCurrent fails when a graph is stale.
func (r *replica) wantCurrent(t testing.TB, project int32) {
	t.Helper()
	stale, err := r.Builds.Stale(t.Context(), []int32{project})
	if err != nil || len(stale) == 0 {
		t.Fatalf("%v, %v", stale, err)
	}
	for id, s := range stale {
		if s.Stale || len(s.Because) > 0 {
			t.Errorf("graph %d is stale: %q", id, s.Because)
		}
	}
}

// Who waits for a node that somebody deletes is told so.
func TestNodeIsDeletedBeforeItIsBuilt(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	var c computed
	a := start(t, database, quick, c.on)
	p := a.newProject(t, merges(1)...)
	c.hold(t, "m0")
	answer := task.Go(t.Context(), func(ctx context.Context) error {
		_, err := a.Builds.Execute(ctx, auth.Unchecked(a.actor, p), "m0", executor.Request{Wait: pgtest.Patience})
		return err
	})
	c.await(t, p, "m0", 1)
	a.edit(t, p, plan.DeleteNode{ID: "m0"})
	if err := answer.Wait(); !fault.Is(err, fault.NotFound) {
		t.Errorf("who waits is told %v", err)
	}
}

func TestWhatIsDeletedUnderABuild(t *testing.T) {
	t.Parallel()
	for name, remove := range map[string]func(*testing.T, *replica, int32){
		"node": func(t *testing.T, r *replica, p int32) { t.Helper(); r.edit(t, p, plan.DeleteNode{ID: "m0"}) },
		"edge": func(t *testing.T, r *replica, p int32) { t.Helper(); r.edit(t, p, plan.DeleteEdge{ID: "m1-m0"}) },
		"project": func(t *testing.T, r *replica, p int32) {
			t.Helper()
			if err := r.Projects.Delete(t.Context(), auth.Unchecked(r.actor, p)); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			database := pgtest.New(t)
			var c computed
			a := start(t, database, quick, c.on)
			const reverse = `{"transforms":[{"kind":"ReverseEdges"}]}`
			p := a.newProject(t, append(merges(2), node(plan.TransformNode, "t", reverse), edge("m1", "m0"), edge("m0", "t"))...)
			release := c.hold(t, "m0")
			a.ask(t, p, "")
			c.await(t, p, "m0", 1)
			remove(t, a, p)
			release()
			admin := pgtest.Connect(t, database)
			switch name {
			case "edge":
				wantStates(t, a.rest(t, p), "completed", "m0", "t")
				a.execute(t, p, "")
				a.wantCurrent(t, p)
			case "node":
				states := a.rest(t, p)
				wantStates(t, states, "error", "t") // it has no input any more
				if n := pgtest.Count(t, admin, "SELECT count(*) FROM builds WHERE node_id = 'm0' AND state = 'cancelled'"); n != 1 {
					t.Errorf("%d builds of the node were cancelled", n)
				}
			case "project":
				a.Builds.Ended.Await(t, "the end of the attempt", func() bool { return a.Builds.Running() == 0 })
			}
			if n := pgtest.Count(t, admin, "SELECT count(*) FROM claims"); n != 0 {
				t.Errorf("%d claims are left", n)
			}
		})
	}
}

// What is cancelled on one replica ends on the one that builds, and is not put into place.
func TestCancelOnAnotherReplica(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	var c computed
	a, b := start(t, database, quick, c.on), start(t, database, quick, func(c *server.Config) { c.Builds = 0 })
	p := a.newProject(t, append(merges(2), node(plan.CopyNode, "c", "{}"), edge("m0", "c"))...)
	release := c.hold(t, "m0")
	a.ask(t, p, "")
	c.await(t, p, "m0", 1)
	if any, err := b.Builds.Cancel(t.Context(), auth.Unchecked(b.actor, p), "m0", executor.Request{}); !any || err != nil {
		t.Fatalf("cancelled: %t, %v", any, err)
	}
	states := b.rest(t, p)
	wantStates(t, states, "not_started", "m0", "c")
	wantStates(t, states, "completed", "m1")
	release()
	a.Builds.Ended.Await(t, "the end of the attempt", func() bool { return a.Builds.Running() == 0 })
	wantStates(t, a.states(t, p), "not_started", "m0", "c")
	if any, err := b.Builds.Cancel(t.Context(), auth.Unchecked(b.actor, p), "", executor.Request{}); any || err != nil {
		t.Errorf("cancelled what is not open: %t, %v", any, err)
	}
	wantStates(t, func() map[string]*plan.GraphExecution { a.execute(t, p, ""); return a.states(t, p) }(), "completed", "m0", "m1", "c")
}

// A claim of the same replica for a later request is no claim of the former attempt.
func TestFormerAttemptOfTheSameReplica(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	c := computed{point: executor.Written}
	a := start(t, database, quick, c.on, blind, func(c *server.Config) { c.Builds = 2 })
	b := start(t, database, quick, func(c *server.Config) { c.Builds = 0 })
	p := a.newProject(t, merges(1)...)
	releaseFormer := c.hold(t, "m0")
	a.ask(t, p, "")
	c.await(t, p, "m0", 1)
	if any, err := b.Builds.Cancel(t.Context(), auth.Unchecked(b.actor, p), "", executor.Request{}); !any || err != nil {
		t.Fatalf("cancelled: %t, %v", any, err)
	}
	a.restyle(t, p, "m0", "Difference")
	release := c.hold(t, "m0")
	a.ask(t, p, "")
	c.await(t, p, "m0", 2)
	releaseFormer()
	a.Builds.Ended.Await(t, "the end of the former attempt", func() bool { return a.Builds.Running() == 1 })
	wantStates(t, a.states(t, p), "pending", "m0")
	release()
	wantStates(t, a.rest(t, p), "completed", "m0")
	a.wantCurrent(t, p)
}

// A replica that stops gives back what it builds, and that attempt does not count.
func TestDrain(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	var c computed
	a := start(t, database, quick, c.on)
	p := a.newProject(t, merges(1)...)
	release := c.hold(t, "m0")
	a.ask(t, p, "")
	c.await(t, p, "m0", 1)
	a.Builds.Drain()
	release()
	a.Builds.Ended.Await(t, "the end of the attempt", func() bool { return a.Builds.Running() == 0 })
	admin := pgtest.Connect(t, database)
	if n := pgtest.Count(t, admin, "SELECT count(*) FROM builds WHERE finished_at IS NULL AND attempt = 0"); n != 1 {
		t.Errorf("%d builds wait as if they had not begun", n)
	}
	if n := pgtest.Count(t, admin, "SELECT count(*) FROM claims"); n != 0 {
		t.Errorf("%d claims are left", n)
	}
	wantStates(t, a.states(t, p), "pending", "m0")
	a.ask(t, p, "")
	a.Builds.Admit()
	wantStates(t, a.rest(t, p), "completed", "m0")
	// The end of a core is the same.
	a.restyle(t, p, "m0", "Difference")
	release = c.hold(t, "m0")
	a.ask(t, p, "")
	c.await(t, p, "m0", 3)
	stopped := make(chan struct{})
	go func() { defer close(stopped); a.Stop(t) }()
	b := start(t, database, quick)
	release()
	<-stopped
	wantStates(t, b.rest(t, p), "completed", "m0")
	if n := pgtest.Count(t, admin, "SELECT count(*) FROM builds WHERE attempt = 1 AND replica = $1", b.Replica.Incarnation()); n != 1 {
		t.Errorf("%d builds were completed in the first attempt that counts", n)
	}
}

// One build of a project waits for at most two of the many of another.
func TestProjectsTakeTurns(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	var c computed
	a := start(t, database, quick, c.on, func(cfg *server.Config) { cfg.Builds = 1 })
	many, one := a.newProject(t, merges(500)...), a.newProject(t, merges(1)...)
	release := c.hold(t, "m0")
	a.ask(t, many, "")
	c.await(t, many, "m0", 1)
	a.ask(t, one, "")
	release()
	c.await(t, one, "m0", 1)
	c.mu.Lock()
	place := slices.Index(c.nodes, fmt.Sprintf("%d m0", one))
	c.mu.Unlock()
	if place > 2 {
		t.Errorf("%d builds of the other project came first", place)
	}
}

func TestNothingStaleIsNoEvent(t *testing.T) {
	t.Parallel()
	a := start(t, pgtest.New(t), quick)
	var edits []plan.Edit
	for i := range 999 {
		edits = append(edits, node(plan.GraphNode, fmt.Sprintf("g%d", i), "{}"))
		if i > 0 {
			edits = append(edits, edge(fmt.Sprintf("g%d", (i-1)/2), fmt.Sprintf("g%d", i)))
		}
	}
	p := a.newProject(t, edits...)
	a.execute(t, p, "")
	at, err := a.Plans.Head(t.Context(), auth.Unchecked(a.actor, p))
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"", "g998"} {
		done := a.execute(t, p, id)
		if done.At != at {
			t.Errorf("asking for %q made an event: at %v, before %v", id, done.At, at)
		}
	}
	a.wantCurrent(t, p)
}

// What the database or the machine is to blame for is tried again, and given up in the end.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	var c computed
	a := start(t, database, quick, c.on)
	admin := pgtest.Connect(t, database)
	pgtest.Exec(t, admin, `CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no space left' USING ERRCODE = '53100'; END $$`)
	pgtest.Exec(t, admin, "CREATE TRIGGER full_disk BEFORE INSERT ON contents FOR EACH STATEMENT EXECUTE FUNCTION full_disk()")
	p := a.newProject(t, append(merges(1), node(plan.CopyNode, "c", "{}"), edge("m0", "c"))...)
	a.execute(t, p, "")
	states := a.states(t, p)
	wantStates(t, states, "error", "m0", "c")
	if n := c.count(p, "m0"); n != 4 {
		t.Errorf("it was computed %d times", n)
	}
	pgtest.Exec(t, admin, "DROP TRIGGER full_disk ON contents")
	a.execute(t, p, "")
	wantStates(t, a.states(t, p), "completed", "m0", "c")
}

// A build that is too large for one replica is left to one that has more memory, as long as that lives and builds.
func TestLargeBuildsAreLeftToLargeReplicas(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	a := start(t, database, quick, func(c *server.Config) { c.BuildMemory = 1 })
	start(t, database, quick, func(c *server.Config) { c.Builds = 0 })
	p := a.newProject(t, merges(3)...)
	b := start(t, database, quick)
	a.execute(t, p, "")
	states := a.states(t, p)
	wantStates(t, states, "completed", "m0", "m1", "m2")
	n := pgtest.Count(t, pgtest.Connect(t, database), "SELECT count(*) FROM builds WHERE replica = $1 AND attempt = 1", b.Replica.Incarnation())
	if n != 3 {
		t.Errorf("the large replica built %d of 3", n)
	}
	b.Stop(t)
	a.restyle(t, p, "m0", "Difference")
	a.execute(t, p, "")
	wantStates(t, a.states(t, p), "error", "m0")
}

// A replica that drains builds nothing, so nothing is left to it.
func TestNothingIsLeftToWhoDrains(t *testing.T) {
	t.Parallel()
	a := start(t, pgtest.New(t), quick, func(c *server.Config) { c.BuildMemory = 1 })
	admin := pgtest.Connect(t, a.Database)
	pgtest.Exec(t, admin, `INSERT INTO replicas (incarnation, version, address, wire, build_memory, draining, renewed_at, expires_at)
		SELECT gen_random_uuid(), version, 'elsewhere', wire, 1 << 30, true, now(), now() + interval '1 hour' FROM replicas LIMIT 1`)
	p := a.newProject(t, merges(1)...)
	a.execute(t, p, "")
	wantStates(t, a.states(t, p), "error", "m0")
}

// A build that does not fit is refused with both numbers, and one that takes too long ends.
func TestLimits(t *testing.T) {
	t.Parallel()
	a := start(t, pgtest.New(t), quick, func(c *server.Config) { c.BuildMemory = 1 })
	p := a.newProject(t, merges(1)...)
	a.execute(t, p, "")
	states := a.states(t, p)
	wantStates(t, states, "error", "m0")
	if message := *states["m0"].ErrorMessage; !strings.Contains(message, "LAYERCAKE_BUILD_MEMORY") || strings.Count(message, " MB") != 2 {
		t.Errorf("it says %q", message)
	}

	b := start(t, pgtest.New(t), quick, func(c *server.Config) {
		c.BuildTimeout = time.Millisecond
		c.Reached = func(ctx context.Context, _ executor.Point, _ int32, _ string) { <-ctx.Done() }
	})
	p = b.newProject(t, merges(1)...)
	b.execute(t, p, "")
	states = b.states(t, p)
	wantStates(t, states, "error", "m0")
	if message := *states["m0"].ErrorMessage; !strings.Contains(message, "1ms") {
		t.Errorf("it says %q", message)
	}
}
