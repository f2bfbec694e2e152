package plan_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"layercake/internal/plan"
	"layercake/internal/postgres/pgtest"

	"golang.org/x/sync/errgroup"
)

func TestTrim(t *testing.T) {
	t.Parallel()
	r, p := newProject(t)
	first := r.change(t, p, plan.AddNode{Node: node("a", plan.GraphNode)})
	var results []plan.Result
	for i := range 9 {
		results = append(results, r.change(t, p, plan.UpdateNode{ID: "a", Position: &plan.Position{X: float64(i + 1)}}))
	}
	trim := func(before time.Time, keep, want int64) {
		t.Helper()
		removed, err := r.plans.Trim(t.Context(), before, keep)
		if err != nil || removed != want {
			t.Errorf("removed %d events, %v, want %d", removed, err, want)
		}
	}
	trim(first.Event.At.Add(-time.Hour), 100, 0)
	trim(results[2].Event.At, 100, 3) // versions 1 to 3 are older than version 4
	trim(time.Time{}, 4, 3)           // all but the newest 4 of 10
	trim(time.Time{}, 4, 0)
	trim(time.Now().Add(time.Hour), 100, 3) // everything but the newest

	if u := r.watch(t, p, first.At).nextNot(t, 1); !u.Missed || u.At.Version != 10 {
		t.Errorf("a watcher from below the floor gets %+v, want missed at 10", u)
	}
	if u := r.watch(t, p, results[7].At).nextNot(t, 9); u.Missed || u.At.Version != 10 {
		t.Errorf("a watcher from the floor gets %+v, want event 10", u)
	}
	if got := r.dag(t, p); got.At.Version != 10 || got.Nodes[0].Position.X != 9 {
		t.Errorf("the plan changed: %+v", got)
	}
}

// nextNot returns the first update that is not where the watch began.
func (w *watch) nextNot(t *testing.T, began int64) *plan.Update {
	t.Helper()
	u := w.next(t)
	if u.At.Version == began && u.Event == nil && !u.Missed {
		return w.next(t)
	}
	return u
}

// Readers that catch up while the log is trimmed under them see contiguous versions, or are told what they missed: never a hole.
func TestReadersCatchUpWhileTheLogIsTrimmed(t *testing.T) {
	t.Parallel()
	r, p := newProject(t)
	cursor := r.change(t, p, plan.AddNode{Node: node("a", plan.GraphNode)}).At
	const changes = 1500 // more than a tail keeps and a read of the log returns
	for i := range changes {
		r.change(t, p, plan.UpdateNode{ID: "a", Position: &plan.Position{X: float64(i%1000 + 1)}})
	}
	last := int64(changes + 1)
	ctx, cancel := context.WithTimeout(t.Context(), 3*pgtest.Patience)
	defer cancel()
	var g errgroup.Group
	for i := range 20 {
		g.Go(func() error {
			at := int64(1)
			for u, err := range r.resuming(ctx, p, cursor) {
				switch {
				case err != nil:
					return err
				case u.Event == nil && !u.Missed:
					continue
				case !u.Missed && u.At.Version != at+1:
					return fmt.Errorf("reader %d: version %d after %d", i, u.At.Version, at)
				}
				at = u.At.Version
				if at == last {
					return nil
				}
			}
			return fmt.Errorf("reader %d: stopped at %d", i, at)
		})
	}
	for keep := last; keep > 0; keep -= 100 {
		if _, err := r.plans.Trim(ctx, time.Time{}, keep); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}
