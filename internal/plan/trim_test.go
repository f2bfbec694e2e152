package plan_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
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
		removed, err := r.plans.Trim(t.Context(), plan.Keep{Since: before, Events: keep, Bytes: math.MaxInt64})
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

// The log is bounded by the bytes of its events, whichever replica wrote them, and knows them without reading a body.
func TestTrimByBytes(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	r := startReplica(t, url, 0)
	p, conn := r.create(t), pgtest.Connect(t, url)
	config := func(n int) *string { text := `{"a":"` + strings.Repeat("x", n) + `"}`; return &text }
	r.change(t, p, plan.AddNode{Node: node("a", plan.GraphNode)})
	for i := range 6 {
		r.change(t, p, plan.UpdateNode{ID: "a", Config: config(10_000 + i)}) // 20 kB each, with the value before
	}
	const wrong = "SELECT count(*) FROM events WHERE size IS DISTINCT FROM octet_length(body::text)"
	if n := pgtest.Count(t, conn, wrong); n != 0 {
		t.Errorf("the size of %d events is not that of their bodies", n)
	}
	// A binary that knows no sizes writes an event.
	pgtest.Exec(t, conn, `INSERT INTO events (project_id, version, at, op_actor, op_id, request_hash, body, hash)
		SELECT project_id, 8, now(), '', 'older', '', body, hash FROM events WHERE version = 7`)
	pgtest.Exec(t, conn, "UPDATE heads SET version = 8")
	r.change(t, p, plan.UpdateNode{ID: "a", Config: config(10_001)})
	const all = "SELECT sum(octet_length(body::text)) FROM events"
	if total := pgtest.Count(t, conn, "SELECT total_size FROM events WHERE version = 9"); total != pgtest.Count(t, conn, all) {
		t.Errorf("the total is %d, want %d", total, pgtest.Count(t, conn, all))
	}

	trim := func(bytes, want int64) {
		t.Helper()
		removed, err := r.plans.Trim(t.Context(), plan.Keep{Events: math.MaxInt32, Bytes: bytes})
		if err != nil || removed != want {
			t.Errorf("for %d bytes removed %d events, %v, want %d", bytes, removed, err, want)
		}
	}
	newest3 := int64(pgtest.Count(t, conn, all+" WHERE version > 6"))
	trim(int64(pgtest.Count(t, conn, all)), 0)
	trim(newest3, 6)
	trim(newest3, 0)
	trim(newest3-1, 1)
	trim(1, 1) // the newest stays
	if floor := pgtest.Count(t, conn, "SELECT log_floor FROM heads"); floor != 8 {
		t.Errorf("the floor is %d, want 8", floor)
	}
	// Events from before there were sizes go before those that have one.
	r.change(t, p, plan.UpdateNode{ID: "a", Config: config(10_002)})
	r.change(t, p, plan.UpdateNode{ID: "a", Config: config(10_003)})
	pgtest.Exec(t, conn, "UPDATE events SET size = NULL, total_size = NULL WHERE version = 9")
	trim(int64(pgtest.Count(t, conn, "SELECT total_size FROM events WHERE version = 11"))-1, 1)
}

// One transaction removes few bytes, because it holds the head's lock.
func TestTrimRemovesLargeEventsInParts(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	r := startReplica(t, url, 0)
	p, conn := r.create(t), pgtest.Connect(t, url)
	pgtest.Exec(t, conn, `INSERT INTO events (project_id, version, at, op_actor, op_id, request_hash, body)
		SELECT $1, v, now(), '', v::text, '', to_json(repeat('x', 6 << 20)) FROM generate_series(1, 10) v`, p)
	pgtest.Exec(t, conn, "UPDATE heads SET version = 10")
	pgtest.Exec(t, conn, "CREATE TABLE floors (floor bigint)")
	pgtest.Exec(t, conn, `CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN INSERT INTO floors VALUES (NEW.log_floor); RETURN NEW; END $$`)
	pgtest.Exec(t, conn, "CREATE TRIGGER note AFTER UPDATE OF log_floor ON heads FOR EACH ROW EXECUTE FUNCTION note()")
	if removed, err := r.plans.Trim(t.Context(), plan.Keep{Events: 1, Bytes: math.MaxInt64}); removed != 9 || err != nil {
		t.Errorf("removed %d events, %v, want 9", removed, err)
	}
	got := pgtest.Texts(t, conn, "SELECT floor::text FROM floors ORDER BY floor")
	if want := []string{"3", "6", "9"}; !slices.Equal(got, want) {
		t.Errorf("the floor went to %v, want %v", got, want)
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
		if _, err := r.plans.Trim(ctx, plan.Keep{Events: keep, Bytes: math.MaxInt64}); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}
