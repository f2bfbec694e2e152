package feed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"layercake/internal/fanout"
	"layercake/internal/postgres"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/task"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Main(m)) }

// runningHub is a hub that sweeps ten times as often as in a deployment.
type runningHub struct {
	*Hub
	stop func() // returns when Run has; may be called twice
}

// startHub runs a hub over a database with project 1, whose log has so many events.
func startHub(t *testing.T, events int) (*runningHub, *pgx.Conn) {
	t.Helper()
	url := pgtest.New(t)
	log := slog.New(slog.DiscardHandler)
	registry := prometheus.NewRegistry()
	db, err := postgres.Open(t.Context(), postgres.Config{
		URL: url, DirectURL: url, Replica: "test", PoolMax: 2, Replicas: 1, Log: log, Metrics: registry,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	conn := pgtest.Connect(t, url)
	pgtest.Exec(t, conn, "INSERT INTO projects (id, name) VALUES (1, 'Test')")
	pgtest.Exec(t, conn, "INSERT INTO heads (project_id) VALUES (1)")
	commit(t, conn, 1, events, "{}")
	timing := DefaultTiming
	timing.Sweep /= 10
	h := NewHub(Config{DB: db, Wire: fanout.New(fanout.Config{}), Log: log, Metrics: registry, Timing: timing})
	running := task.Go(context.Background(), h.Run)
	stop := func() {
		if err := running.Stop(); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return &runningHub{Hub: h, stop: stop}, conn
}

// commit writes events to the log without telling anybody.
func commit(t *testing.T, conn *pgx.Conn, from, to int, body string) {
	t.Helper()
	// A sweep in between would find the new event's hash, which a trigger writes to the head, at the old version.
	pgtest.Exec(t, conn, "BEGIN")
	pgtest.Exec(t, conn, `INSERT INTO events (project_id, version, at, op_actor, op_id, request_hash, body)
		SELECT 1, v, now(), '', v::text, '', $3::text::json FROM generate_series($1::bigint, $2::bigint) v`, from, to, body)
	pgtest.Exec(t, conn, "UPDATE heads SET version = $1 WHERE project_id = 1", to)
	pgtest.Exec(t, conn, "COMMIT")
}

// collect watches after a version until it has seen another, and returns the deliveries.
func collect(t *testing.T, h *runningHub, after, until int64) []Delivery {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), pgtest.Patience)
	defer cancel()
	heads, err := h.readHeads(ctx, h.cfg.DB.System, 1)
	if err != nil {
		t.Fatal(err)
	}
	var deliveries []Delivery
	for s, err := range h.Watch(ctx, 1, Cursor{Epoch: heads[1].Epoch, Version: after}) {
		if err != nil {
			t.Fatal(err)
		}
		deliveries = append(deliveries, s)
		if s.At.Version >= until {
			return deliveries
		}
	}
	t.Fatalf("nothing after %d deliveries", len(deliveries))
	return nil
}

func wantContiguous(t *testing.T, deliveries []Delivery, from, to int64) {
	t.Helper()
	if n := int64(len(deliveries)); n != to-from+1 {
		t.Fatalf("%d deliveries, want the versions %d to %d", n, from, to)
	}
	for i, s := range deliveries {
		if s.At.Version != from+int64(i) || s.Missed {
			t.Fatalf("delivery %d = %+v, want version %d", i, s, from+int64(i))
		}
	}
}

func TestWatcherBehindTheTailReadsTheLog(t *testing.T) {
	t.Parallel()
	h, _ := startHub(t, 3*readEvents+7)
	wantContiguous(t, collect(t, h, 0, 3*readEvents+7), 0, 3*readEvents+7)
	if n := testutil.ToFloat64(h.metrics.logReads); n != 4 {
		t.Errorf("%v reads of the log, want 4", n)
	}
}

func TestReadsOfTheLogAreBoundedByBytes(t *testing.T) {
	t.Parallel()
	h, conn := startHub(t, 0)
	commit(t, conn, 1, 20, fmt.Sprintf("%q", strings.Repeat("x", 12_000)))
	wantContiguous(t, collect(t, h, 0, 20), 0, 20)
	if n := testutil.ToFloat64(h.metrics.logReads); n != 4 {
		t.Errorf("%v reads of the log, want 4 of five events each", n)
	}
}

// What a feed does not keep is read by those who come to it; what nobody should have to take at once is missed.
func TestLargeEventsAreReadFromTheLog(t *testing.T) {
	t.Parallel()
	h, conn := startHub(t, 0)
	const large, tooLarge = MaxBody, MaxEvent // and two quotation marks
	commit(t, conn, 1, 2, fmt.Sprintf("%q", strings.Repeat("x", large)))
	commit(t, conn, 3, 4, fmt.Sprintf("%q", strings.Repeat("x", tooLarge)))
	commit(t, conn, 5, 5, `"small"`)
	sizes := func(from int64) (got []int) {
		for _, s := range collect(t, h, from, 5)[1:] {
			switch {
			case s.TooLarge && s.Missed && s.Event == nil:
				got = append(got, -1)
			case s.Event != nil && !s.Missed:
				got = append(got, len(s.Event.Body))
			default:
				t.Errorf("delivery %+v", s)
			}
		}
		return got
	}
	want := []int{large + 2, large + 2, -1, -1, len(`"small"`)}
	if got := sizes(0); !slices.Equal(got, want) {
		t.Errorf("from before the feed: sizes %d, want %d", got, want)
	}

	// A feed that is open has it without its body.
	deliveries := make(chan Delivery)
	go func() {
		defer close(deliveries)
		for s, err := range h.Watch(t.Context(), 1, Cursor{}) {
			if err != nil {
				t.Errorf("watch: %v", err)
				return
			}
			if deliveries <- s; s.Event != nil {
				return
			}
		}
	}()
	<-deliveries
	commit(t, conn, 6, 6, fmt.Sprintf("%q", strings.Repeat("x", large)))
	h.doubt("test")
	if s := <-deliveries; s.Missed || s.Event == nil || len(s.Event.Body) != large+2 {
		t.Errorf("while the feed is open: %+v", s)
	}
	if _, kept := h.Size(); kept > large {
		t.Errorf("the feed keeps %d bytes", kept)
	}
	<-deliveries
}

func TestSweepFindsWhatNobodySpokeOf(t *testing.T) {
	t.Parallel()
	h, conn := startHub(t, 5)
	ctx, cancel := context.WithTimeout(t.Context(), pgtest.Patience)
	defer cancel()
	began := false
	for s, err := range h.Watch(ctx, 1, Cursor{}) {
		if err != nil {
			t.Fatal(err)
		}
		if !began {
			began = true
			commit(t, conn, 6, 8, "{}") // no line, no hint
		}
		if s.At.Version == 8 {
			h.stop() // a sweep is counted after its events came
			if n := testutil.ToFloat64(h.metrics.sweepRepairs); n != 1 {
				t.Errorf("%v sweep repairs, want 1", n)
			}
			return
		}
	}
	t.Fatal("the events never came")
}

// After an outage every feed may lack events: they are read in parts that a database answers in time.
func TestGapsOfManyFeedsAreReadInParts(t *testing.T) {
	t.Parallel()
	running, conn := startHub(t, 0)
	const projects = 2*readFeeds + 1
	pgtest.Exec(t, conn, "INSERT INTO projects (id, name) SELECT n, 'Test' FROM generate_series(2, $1::int) n", projects)
	pgtest.Exec(t, conn, "INSERT INTO heads (project_id, version) SELECT n, 1 FROM generate_series(2, $1::int) n", projects)
	pgtest.Exec(t, conn, `INSERT INTO events (project_id, version, at, op_actor, op_id, request_hash, body)
		SELECT n, 1, now(), '', 'first', '', '{}' FROM generate_series(2, $1::int) n`, projects)
	commit(t, conn, 1, 1, "{}")

	h := NewHub(Config{DB: running.cfg.DB, Wire: running.cfg.Wire, Log: running.cfg.Log, Metrics: prometheus.NewRegistry()}) // it does not run: the test takes its steps
	heads, err := running.readHeads(t.Context(), running.cfg.DB.System, 1)
	if err != nil {
		t.Fatal(err)
	}
	for project := range int32(projects) {
		f := newFeed(project+1, maxTailBytes, new(atomic.Int64))
		f.begin(Cursor{Epoch: heads[1].Epoch})
		f.offer(Cursor{Epoch: heads[1].Epoch, Version: 1}, nil)
		h.feeds[project+1] = f
	}
	for _, want := range []int{projects - readFeeds, projects - 2*readFeeds, 0} {
		again, err := h.fill(t.Context())
		if left, _, _ := h.feedsWhere((*feed).gap); err != nil || len(left) != want || again != (want > 0) {
			t.Errorf("%d feeds lack an event, again = %t, %v, want %d", len(left), again, err, want)
		}
	}
}

// logged keeps the messages of a log.
type logged struct {
	slog.Handler
	messages chan string
}

func (l logged) Enabled(context.Context, slog.Level) bool { return true }

func (l logged) Handle(_ context.Context, r slog.Record) error {
	l.messages <- r.Message
	return nil
}

func TestWatcherThatIsFarBehindIsWarnedOf(t *testing.T) {
	t.Parallel()
	running, _ := startHub(t, 0)
	log := logged{messages: make(chan string, 10)}
	h := NewHub(Config{DB: running.cfg.DB, Wire: running.cfg.Wire, Log: slog.New(log), Metrics: prometheus.NewRegistry()}) // it does not run, and so does not ask for the head
	ctx, cancel := context.WithTimeout(t.Context(), pgtest.Patience)
	defer cancel()
	for s, err := range h.Watch(ctx, 1, Cursor{}) {
		if err != nil {
			t.Fatal(err)
		}
		for v := int64(1); v <= farBehind+1; v++ {
			h.offer(line{project: 1, at: Cursor{Epoch: s.At.Epoch, Version: v}, body: []byte("{}")})
		}
		if lag := h.Lag(); lag != farBehind+1 {
			t.Errorf("lag = %d, want %d", lag, farBehind+1)
		}
		h.warn(ctx)
		h.warn(ctx)
		if n := len(log.messages); n != 1 {
			t.Errorf("%d warnings in a minute, want 1", n)
		}
		break
	}
	if lag := h.Lag(); lag != 0 {
		t.Errorf("lag = %d without a watcher, want 0", lag)
	}
}

func TestTrimmedLogIsMissed(t *testing.T) {
	t.Parallel()
	h, conn := startHub(t, 50)
	pgtest.Exec(t, conn, "DELETE FROM events WHERE version <= 30")
	pgtest.Exec(t, conn, "UPDATE heads SET log_floor = 30")
	deliveries := collect(t, h, 10, 50)
	if last := deliveries[len(deliveries)-1]; !last.Missed || last.At.Version != 50 {
		t.Errorf("last delivery = %+v, want missed at the head", last)
	}
	wantContiguous(t, collect(t, h, 30, 50), 30, 50)
}

func TestWatchEndsWithItsProject(t *testing.T) {
	t.Parallel()
	h, conn := startHub(t, 5)
	ctx, cancel := context.WithTimeout(t.Context(), pgtest.Patience)
	defer cancel()
	began := false
	for _, err := range h.Watch(ctx, 1, Cursor{}) {
		if !began {
			began = true
			pgtest.Exec(t, conn, "DELETE FROM projects")
			continue
		}
		if !errors.Is(err, ErrNotFound) {
			t.Errorf("error = %v, want ErrNotFound", err)
		}
		return
	}
	t.Fatal("the watch ended without an error")
}

func TestManyWatchersShareOneFeed(t *testing.T) {
	t.Parallel()
	h, _ := startHub(t, 5)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var began, ended sync.WaitGroup
	for range 50 {
		began.Add(1)
		ended.Go(func() {
			first := sync.OnceFunc(began.Done)
			for _, err := range h.Watch(ctx, 1, Cursor{}) {
				if err != nil {
					t.Error(err)
				}
				first()
			}
			first()
		})
	}
	began.Wait()
	if n := testutil.ToFloat64(h.metrics.created); n != 1 {
		t.Errorf("%v feeds were made, want 1", n)
	}
	h.dropIdle(time.Now().Add(2 * h.cfg.Timing.Idle))
	if n, _ := h.Size(); n != 1 {
		t.Errorf("%d feeds are open while watched, want 1", n)
	}
	if n := h.Watchers(); len(n) != 1 || n[1] != 50 {
		t.Errorf("%v watch each project, want 50 the first", n)
	}
	cancel()
	ended.Wait()
	if n := h.Watchers(); len(n) != 0 {
		t.Errorf("%v watch although all have left", n)
	}
	h.dropIdle(time.Now().Add(h.cfg.Timing.Idle / 2))
	if n, _ := h.Size(); n != 1 {
		t.Errorf("%d feeds are open right after the last watcher, want 1", n)
	}
	h.dropIdle(time.Now().Add(2 * h.cfg.Timing.Idle))
	if n, _ := h.Size(); n != 0 {
		t.Errorf("%d feeds are open long after the last watcher, want 0", n)
	}
}

func TestEventIsDecodedOnce(t *testing.T) {
	t.Parallel()
	e := event(1)
	var calls atomic.Int32
	var g sync.WaitGroup
	for range 20 {
		g.Go(func() {
			got, err := Decoded(e, func(e *Event) (string, error) { calls.Add(1); return string(e.Body), errors.ErrUnsupported })
			if got != string(e.Body) || !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
	g.Wait()
	if n := calls.Load(); n != 1 {
		t.Errorf("decoded %d times", n)
	}
}
