package plan_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"layercake/internal/auth"
	"layercake/internal/fault"
	"layercake/internal/plan"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server/servertest"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
)

// move makes so many changes of one node, which it adds first, and returns the plan after each version.
func (r *replica) move(t testing.TB, project int32, changes int) []plan.DAG {
	t.Helper()
	dags := []plan.DAG{r.dag(t, project)}
	r.change(t, project, plan.AddNode{Node: node("a", plan.GraphNode)})
	for i := range changes - 1 {
		dags = append(dags, r.dag(t, project))
		r.change(t, project, plan.UpdateNode{ID: "a", Position: &plan.Position{X: float64(i + 1)}})
	}
	return append(dags, r.dag(t, project))
}

// checkpoints are the versions of all checkpoints.
func checkpoints(t testing.TB, conn *pgx.Conn) []string {
	t.Helper()
	return pgtest.Texts(t, conn, "SELECT project_id || ':' || version FROM checkpoints ORDER BY project_id, version")
}

// Each version of the log that is a multiple of the spacing has a checkpoint, until its event is trimmed.
func TestCheckpoint(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	r, conn := startReplica(t, url, 0), pgtest.Connect(t, url)
	r.plans.SpaceCheckpoints(spacing)
	p, small := r.create(t), r.create(t)
	r.move(t, p, 17)
	r.move(t, small, 3)
	want := func(written int64, versions ...int64) {
		t.Helper()
		if n := r.checkpoint(t); n != written {
			t.Errorf("wrote %d, want %d", n, written)
		}
		var all []string
		for _, v := range versions {
			all = append(all, fmt.Sprint(p, ":", v))
		}
		if got := checkpoints(t, conn); !slices.Equal(got, all) {
			t.Errorf("checkpoints %v, want %v", got, all)
		}
	}
	tx, err := pgtest.Connect(t, url).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	pgtest.Exec(t, tx, "SELECT 1 FROM cleanups FOR UPDATE") // another replica cleans up
	want(0)
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	want(4, 4, 8, 12, 16)
	want(0, 4, 8, 12, 16)
	r.keep(t, 10) // of the log, 8 to 17 stay
	want(0, 8, 12, 16)
	r.keep(t, 9)
	want(0, 8, 12, 16) // from the floor events lead on
	r.keep(t, 1)
	want(0, 16)
	if bad := pgtest.Count(t, conn, "SELECT count(*) FROM checkpoints WHERE sum <> sha256(convert_to(body::text, 'UTF8'))"); bad != 0 {
		t.Errorf("%d checkpoints do not have their sums", bad)
	}
	got := pgtest.Texts(t, conn, "SELECT concat_ws(' ', body #>> '{plan,status}', body #>> '{nodes,0,id}', body ->> 'edges') FROM checkpoints")
	if want := []string{"draft a []"}; !slices.Equal(got, want) {
		t.Errorf("the checkpoint holds %q, want %q", got, want)
	}
	if err := r.projects.Delete(t.Context(), auth.Unchecked(r.actor, p)); err != nil {
		t.Fatal(err)
	}
	if got := checkpoints(t, conn); len(got) != 0 {
		t.Errorf("of a project that was deleted there are %v", got)
	}
}

// counted returns a counter of checkpoints.
func counted(t testing.TB, counters prometheus.Gatherer, outcome string) float64 {
	t.Helper()
	families, err := counters.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "layercake_checkpoints_total" && m.GetLabel()[0].GetValue() == outcome {
				return m.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("there is no counter of checkpoints that are %s", outcome)
	return 0
}

// watched is a replica whose metrics and log a test can read.
func watched(t *testing.T) (r *replica, core *servertest.Core, counters *prometheus.Registry, log *bytes.Buffer) {
	t.Helper()
	core = servertest.StartCore(t, nil)
	counters, log = prometheus.NewRegistry(), new(bytes.Buffer)
	plans := plan.NewService(plan.Config{
		DB: core.DB, Hub: core.Hub, WriteSlots: 1, Metrics: counters, Log: slog.New(slog.NewTextHandler(log, nil)),
	})
	plans.SpaceCheckpoints(spacing)
	return &replica{plans: plans, projects: core.Projects, actor: auth.Anonymous("")}, core, counters, log
}

// A damaged checkpoint is told and not used, whatever is wrong with it.
func TestDamagedCheckpoint(t *testing.T) {
	t.Parallel()
	r, core, counters, log := watched(t)
	p := r.create(t)
	dags := r.move(t, p, 17)
	r.keep(t, 12)
	if n := r.checkpoint(t); n != 3 {
		t.Fatalf("wrote %d checkpoints, want 3", n)
	}
	conn := pgtest.Connect(t, core.Database)
	pgtest.Exec(t, conn, `UPDATE checkpoints SET body = replace(body::text, '"label":"a"', '"label":"b"')::json WHERE version = 8`)
	pgtest.Exec(t, conn, "UPDATE checkpoints SET body = '[]', sum = sha256('[]') WHERE version = 12")
	for v := 6; v <= 17; v++ {
		if diff := cmp.Diff(dags[v], r.pastOf(t, p, int64(v))); diff != "" {
			t.Errorf("version %d (-was +answered):\n%s", v, diff)
		}
	}
	lines := strings.Count(log.String(), "checkpoint is damaged")
	if n := counted(t, counters, "damaged"); n == 0 || int(n) != lines || counted(t, counters, "written") != 3 {
		t.Errorf("%v were counted and %d logged:\n%s", n, lines, log)
	}
	for _, version := range []string{"version=8", "version=12"} {
		if !strings.Contains(log.String(), version) {
			t.Errorf("the log does not say %s:\n%s", version, log)
		}
	}
}

// Checkpoints from which no event leads on are not used: an older binary does not remove them when it trims.
func TestCheckpointsThatLeadNowhere(t *testing.T) {
	t.Parallel()
	r, core, _, _ := watched(t)
	conn := pgtest.Connect(t, core.Database)
	p := r.create(t)
	dags := r.move(t, p, 16)
	if n := r.checkpoint(t); n != 4 {
		t.Fatalf("wrote %d checkpoints, want 4", n)
	}
	pgtest.Exec(t, conn, "DELETE FROM events WHERE version <= 5; UPDATE heads SET log_floor = 5; DELETE FROM checkpoints WHERE version = 8")
	if diff := cmp.Diff(dags[6], r.pastOf(t, p, 6)); diff != "" {
		t.Errorf("near to one below the floor (-was +answered):\n%s", diff)
	}
}

// A plan that is too large has no checkpoint, is tried once, and is walked to.
func TestPlanTooLargeForACheckpoint(t *testing.T) {
	t.Parallel()
	r, core, counters, _ := watched(t)
	p := r.create(t)
	dags := r.move(t, p, spacing-1)
	r.plans.LimitCheckpoints(1000)
	var edits []plan.Edit
	for i := range 10 {
		edits = append(edits, plan.AddNode{Node: node(fmt.Sprint("n", i), plan.GraphNode)})
	}
	r.change(t, p, edits...)
	dags = append(dags, r.dag(t, p))
	for range spacing {
		r.change(t, p, plan.RemoveAll{}, plan.AddNode{Node: node("a", plan.GraphNode)})
	}
	for i := range 2 {
		if n := r.checkpoint(t); n != int64(1-i) {
			t.Errorf("round %d wrote %d checkpoints, want %d", i, n, 1-i)
		}
	}
	if got := checkpoints(t, pgtest.Connect(t, core.Database)); !slices.Equal(got, []string{fmt.Sprint(p, ":", 2*spacing)}) {
		t.Errorf("checkpoints %v", got)
	}
	if n := counted(t, counters, "too_large"); n != 1 {
		t.Errorf("%v were counted as too large, want 1: each is tried once", n)
	}
	if diff := cmp.Diff(dags[spacing], r.pastOf(t, p, spacing)); diff != "" {
		t.Errorf("the large one (-was +answered):\n%s", diff)
	}
}

// A log that has lost events is an error where a walk meets the holes, and keeps others from nothing.
func TestBrokenLog(t *testing.T) {
	t.Parallel()
	r, core, _, _ := watched(t)
	p, whole := r.create(t), r.create(t)
	dags := r.move(t, p, 13)
	r.move(t, whole, 5)
	pgtest.Exec(t, pgtest.Connect(t, core.Database), "DELETE FROM events WHERE project_id = $1 AND version IN (3, 10)", p)
	n, err := r.plans.Checkpoint(t.Context())
	if err == nil || fault.From(err) != nil || n != 2 {
		t.Errorf("wrote %d checkpoints, %v, want 2 and an internal error for versions 4 and 8", n, err)
	}
	if n, err := r.plans.Checkpoint(t.Context()); n != 0 || err != nil {
		t.Errorf("again: wrote %d, %v: what is broken is tried once", n, err)
	}
	if _, err := r.plans.At(t.Context(), auth.Unchecked(r.actor, p), 5); err == nil || fault.From(err) != nil {
		t.Errorf("between two holes: %v, want an internal error", err)
	}
	if diff := cmp.Diff(dags[11], r.pastOf(t, p, 11)); diff != "" {
		t.Errorf("after them (-was +answered):\n%s", diff)
	}
}

// A walk sees the log as it was when it began, however much is trimmed meanwhile. Callers that ask for the same version share it.
func TestWalkWhileTheLogIsTrimmed(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	r := startReplica(t, url, 0)
	p := r.create(t)
	was := r.move(t, p, 20)[12]
	dags := r.walkTogether(t, url, p, 12)
	for began := time.Now(); dags == nil; dags = r.walkTogether(t, url, p, 12) {
		if time.Since(began) > pgtest.Patience {
			t.Fatal("the walk never lasted until all had asked")
		}
		r.create(t) // nothing was trimmed
	}
	for i, dag := range dags {
		if diff := cmp.Diff(was, dag); diff != "" || &dag.Nodes[0] != &dags[0].Nodes[0] {
			t.Errorf("caller %d walked alone, or (-was +answered):\n%s", i, diff)
		}
	}
	if _, err := r.plans.At(t.Context(), auth.Unchecked(r.actor, p), 12); !fault.Is(err, fault.NotFound) {
		t.Errorf("after the trimming: %v, want NOT_FOUND", err)
	}
}

// walkTogether lets many ask for a version while the walk has to wait, and trims the version away meanwhile. It returns nil when the walk was
// given up before, and nothing was trimmed: the server lets none wait for a lock longer than 2 s.
func (r *replica) walkTogether(t *testing.T, url string, project int32, version int64) []plan.DAG {
	t.Helper()
	const callers = 10
	conn := pgtest.Connect(t, url)
	tx, err := pgtest.Connect(t, url).Begin(t.Context())
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
			dags[i], errs[i] = r.plans.At(t.Context(), auth.Unchecked(r.actor, project), version)
		})
	}
	waiting, joined := r.plans.Pasts()
	joined.Await(t, "all to ask", func() bool { return waiting() == callers || ended.Load() > 0 })
	const walking = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'plan_nodes'::regclass"
	for pgtest.Count(t, conn, walking) == 0 && ended.Load() == 0 {
		runtime.Gosched()
	}
	if ended.Load() == 0 {
		r.keep(t, 3)
	}
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
	return dags
}

// Few walk at once. The others wait as long as they want.
func TestWalksTakeTurns(t *testing.T) {
	t.Parallel()
	r, p := newProject(t)
	r.move(t, p, 5)
	for range plan.MaxWalks() {
		if !r.plans.TakeTurn() {
			t.Fatal("no turn is left although nobody walks")
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	asked := make(chan error, 3)
	go func() { _, err := r.plans.At(ctx, auth.Unchecked(r.actor, p), 2); asked <- err }()
	go func() { _, err := r.plans.Diff(ctx, auth.Unchecked(r.actor, p), 2, nil); asked <- err }()
	go func() {
		_, err := r.plans.History(ctx, auth.Unchecked(r.actor, p), plan.HistoryQuery{Limit: 1, Element: "a"})
		asked <- err
	}()
	waiting, joined := r.plans.Pasts()
	joined.Await(t, "the walk", func() bool { return waiting() == 1 })
	r.history(t, p, plan.HistoryQuery{Limit: 1})
	r.checkpoint(t)
	cancel()
	for range 3 {
		if err := <-asked; !errors.Is(err, context.Canceled) {
			t.Errorf("whoever waited got %v", err)
		}
	}
	for range plan.MaxWalks() {
		r.plans.GiveTurn()
	}
	r.pastOf(t, p, 2)
}

// However large the log is, few of its events are in memory at once.
func TestWalkTakesLittleMemory(t *testing.T) { //nolint:paralleltest // others would use memory, too
	url := pgtest.New(t)
	r := startReplica(t, url, 0)
	p := r.create(t)
	const nodes, changes, config = 5, 25, 99_000
	const logBytes, allowed = changes * nodes * 2 * config, 12 << 20
	var add, update []plan.Edit
	for i := range nodes {
		n := node(fmt.Sprint("n", i), plan.GraphNode)
		n.Config = `{"a":"` + strings.Repeat("x", config) + `"}`
		add = append(add, plan.AddNode{Node: n})
		other := `{"a":"` + strings.Repeat("y", config) + `"}`
		update = append(update, plan.UpdateNode{ID: n.ID, Config: &other})
	}
	r.change(t, p, add...)
	was := r.dag(t, p)
	r.change(t, p, update...)
	// The same change again and again: a walk does not look at what is not in its way.
	pgtest.Exec(t, pgtest.Connect(t, url), fmt.Sprintf(`
		INSERT INTO events (project_id, version, at, op_actor, op_id, request_hash, body)
			SELECT project_id, v, at, '', v, '', replace(body::text, '"version":2,', format('"version":%%s,', v))::json
			FROM events, generate_series(3, %[2]d) v WHERE project_id = %[1]d AND version = 2;
		UPDATE heads SET version = %[2]d WHERE project_id = %[1]d`, p, changes+1))
	defer debug.SetGCPercent(debug.SetGCPercent(50)) // two thirds of the heap are in use
	heap := func() int64 {
		sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		metrics.Read(sample)
		return int64(sample[0].Value.Uint64())
	}
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for name, walk := range map[string]func() error{
		"state": func() error {
			dag, err := r.plans.At(t.Context(), auth.Unchecked(r.actor, p), 1)
			if diff := cmp.Diff(was, dag); err == nil && diff != "" {
				t.Errorf("(-was +answered):\n%.1000s", diff)
			}
			return err
		},
		"difference": func() error {
			_, err := r.plans.Diff(t.Context(), auth.Unchecked(r.actor, p), 1, nil)
			return err
		},
	} {
		runtime.GC()
		before, most := heap(), int64(0)
		ended := make(chan error, 1)
		began := time.Now()
		go func() { ended <- walk() }()
		for running := true; running; {
			select {
			case err := <-ended:
				if running = fault.Is(err, fault.Unavailable) && time.Since(began) < pgtest.Patience; running { // a busy machine
					go func() { ended <- walk() }()
				} else if err != nil {
					t.Error(err)
				}
			case <-look.C:
				most = max(most, heap())
			}
		}
		t.Logf("%s: the heap grew by %d MB for a log of %d MB", name, (most-before)>>20, logBytes>>20)
		if most > before+allowed {
			t.Errorf("%s: that is more than %d MB", name, allowed>>20)
		}
	}
}
