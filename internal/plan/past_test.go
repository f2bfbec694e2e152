package plan_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"layercake/internal/auth"
	"layercake/internal/fault"
	"layercake/internal/plan"
	"layercake/internal/postgres/pgtest"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"
)

// spacing is between checkpoints in tests that want many.
const spacing = 4

// pastOf returns the plan after a version, which must be kept.
func (r *replica) pastOf(t testing.TB, project int32, version int64) plan.DAG {
	t.Helper()
	dag, err := r.plans.At(t.Context(), auth.Unchecked(r.actor, project), version)
	if err != nil {
		t.Fatalf("version %d: %v", version, err)
	}
	return dag
}

// checkpoint writes checkpoints where they are due.
func (r *replica) checkpoint(t testing.TB) int64 {
	t.Helper()
	n, err := r.plans.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// drawAnyChange draws changes that replace much of the plan at once, too.
func drawAnyChange(t *rapid.T, now plan.DAG) plan.Change {
	switch rapid.IntRange(0, 9).Draw(t, "any") {
	case 0:
		name := rapid.SampledFrom([]string{"Test", "Cake", "Pie"}).Draw(t, "name")
		return plan.Change{Edits: []plan.Edit{plan.UpdatePlan{Name: name, YAMLContent: name}}}
	case 1:
		nodes := rapid.Permutation(now.Nodes).Draw(t, "nodes")
		nodes = append(nodes[:len(nodes)/2:len(nodes)/2], node(rapid.SampledFrom([]string{"f", "g"}).Draw(t, "new"), plan.GraphNode))
		return plan.Change{Edits: []plan.Edit{plan.Replace{Base: fmt.Sprint(now.At.Version), Nodes: nodes}}}
	}
	c := drawChange(t)
	c.OpID, c.Expected = "", nil
	return c
}

// drawHistory does anything to a new plan, and trims and checkpoints now and then. It returns the plan after each version.
func (r *replica) drawHistory(t *testing.T, rt *rapid.T) (project int32, recorded []plan.DAG) {
	t.Helper()
	project = r.create(t)
	recorded = []plan.DAG{r.dag(t, project)}
	for range rapid.IntRange(1, 40).Draw(rt, "steps") {
		switch rapid.IntRange(0, 19).Draw(rt, "step") {
		case 0:
			r.keep(t, rapid.Int64Range(1, 30).Draw(rt, "keep"))
		case 1, 2:
			r.checkpoint(t)
		default:
			_, err := r.plans.Change(t.Context(), auth.Unchecked(r.actor, project), drawAnyChange(rt, recorded[len(recorded)-1]))
			if err != nil && fault.From(err) == nil {
				t.Fatal(err)
			}
			if dag := r.dag(t, project); dag.At.Version == int64(len(recorded)) {
				for i := range dag.Nodes { // the past has no states
					dag.Nodes[i].GraphExecution, dag.Nodes[i].DatasourceExecution = nil, nil
				}
				recorded = append(recorded, dag)
			}
		}
	}
	return project, recorded
}

// keep trims all logs to so many events.
func (r *replica) keep(t testing.TB, events int64) {
	t.Helper()
	if _, err := r.plans.Trim(t.Context(), plan.Keep{Events: events, Bytes: math.MaxInt64}); err != nil {
		t.Fatal(err)
	}
}

// oldest returns the first version of a plan that should be kept.
func oldest(t testing.TB, conn *pgx.Conn, project int32) int64 {
	t.Helper()
	floor := int64(pgtest.Count(t, conn, "SELECT log_floor FROM heads WHERE project_id = $1", project))
	return min(floor, 1) + floor
}

// Whatever happened to a plan, it is answered as it was after each version that is kept: from checkpoints, from the newest plan, and from
// its birth.
func TestAtIsWhatThePlanWas(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	r := startReplica(t, url, 0)
	r.plans.SpaceCheckpoints(spacing)
	conn := pgtest.Connect(t, url)
	rapid.Check(t, func(rt *rapid.T) {
		p, recorded := r.drawHistory(t, rt)
		oldest := oldest(t, conn, p)
		for v, was := range recorded {
			got, err := r.plans.At(t.Context(), auth.Unchecked(r.actor, p), int64(v))
			if int64(v) < oldest {
				if f := fault.From(err); f == nil || f.Code != fault.NotFound || f.Details["oldest"] != oldest {
					rt.Fatalf("version %d, which was trimmed: %v, want NOT_FOUND with the oldest, %d", v, err, oldest)
				}
				continue
			}
			if err != nil {
				rt.Fatalf("version %d: %v", v, err)
			}
			if diff := cmp.Diff(was, got); diff != "" {
				rt.Fatalf("version %d of %d (-was +answered):\n%s", v, len(recorded)-1, diff)
			}
		}
	})
	if pgtest.Count(t, conn, "SELECT count(*) FROM checkpoints") == 0 {
		t.Error("there are no checkpoints")
	}
}

// A time between two changes is that of the first.
func TestAtTime(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	r := startReplica(t, url, 0)
	began := time.Now()
	p := r.create(t)
	var dags []plan.DAG
	for i := range 9 {
		dags = append(dags, r.dag(t, p))
		r.change(t, p, plan.AddNode{Node: node(fmt.Sprint("n", i), plan.GraphNode)})
	}
	dags = append(dags, r.dag(t, p))
	// Changes that share a transaction share its time.
	pgtest.Exec(t, pgtest.Connect(t, url), "UPDATE events e SET at = o.at FROM events o WHERE o.version = 4 AND e.version = 5")
	dags[5].ChangedAt = dags[4].ChangedAt
	ask := func(at time.Time, want int64) {
		t.Helper()
		got, err := r.plans.AtTime(t.Context(), auth.Unchecked(r.actor, p), at)
		if err != nil {
			t.Errorf("at %v: %v", at, err)
		} else if diff := cmp.Diff(dags[want], got); diff != "" {
			t.Errorf("at %v (-version %d +answered):\n%s", at, want, diff)
		}
	}
	for v, dag := range dags {
		if v == 4 {
			continue
		}
		ask(dag.ChangedAt, int64(v))
		if v != 5 {
			ask(dag.ChangedAt.Add(time.Microsecond), int64(v))
		}
	}
	ask(dags[5].ChangedAt.Add(dags[6].ChangedAt.Sub(dags[5].ChangedAt)/2), 5)

	refused := func(at time.Time, code fault.Code, oldest any) {
		t.Helper()
		_, err := r.plans.AtTime(t.Context(), auth.Unchecked(r.actor, p), at)
		if f := fault.From(err); f == nil || f.Code != code || f.Details["oldest"] != oldest {
			t.Errorf("at %v: %v, want %s", at, err, code)
		}
	}
	refused(time.Now().Add(time.Hour), fault.BadRequest, nil)
	refused(began.Add(-time.Hour), fault.NotFound, int64(0))
	r.keep(t, 3)
	ask(dags[7].ChangedAt, 7)
	refused(dags[7].ChangedAt.Add(-time.Microsecond), fault.NotFound, int64(7))
	if _, err := r.plans.AtTime(t.Context(), auth.Unchecked(r.actor, p+1), dags[7].ChangedAt); !fault.Is(err, fault.NotFound) {
		t.Errorf("another project: %v", err)
	}
}
