package feed

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"layercake/internal/fanout"
	"layercake/internal/postgres"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func newTurns(free int) *turns { return &turns{free: free, waiting: make(map[int32][]chan struct{})} }

// waits returns how many readers of all projects wait.
func (t *turns) waits() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, readers := range t.waiting {
		n += len(readers)
	}
	return n
}

// queueFor makes readers of a project wait, and returns when they do. Each sends its project when it is its turn, and keeps the turn.
func queueFor(t *testing.T, turns *turns, got chan<- int32, readers *sync.WaitGroup, project int32, count int) {
	t.Helper()
	before := turns.waits()
	for range count {
		readers.Go(func() {
			if err := turns.take(t.Context(), project); err == nil {
				got <- project
			}
		})
	}
	turns.changed.Await(t, "readers to wait", func() bool { return turns.waits() == before+count })
}

// A project that thousands come back to lets others go first, each time one.
func TestProjectsTakeTurnsToReadTheLog(t *testing.T) {
	t.Parallel()
	const crowd = 5000
	turns, got := newTurns(2), make(chan int32)
	var readers sync.WaitGroup
	for range 2 {
		if err := turns.take(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
	}
	queueFor(t, turns, got, &readers, 1, crowd)
	queueFor(t, turns, got, &readers, 2, 3)
	queueFor(t, turns, got, &readers, 3, 1)
	var order []int32
	for range crowd + 4 {
		turns.give()
		order = append(order, <-got)
	}
	if first := fmt.Sprint(order[:8]); first != "[1 2 3 1 2 1 2 1]" {
		t.Errorf("the turns begin with %s", first)
	}
	readers.Wait()
	turns.give()
	turns.give()
	if turns.free != 2 || len(turns.order) > 0 || len(turns.waiting) > 0 {
		t.Errorf("%d of 2 turns are free, and %d projects wait", turns.free, len(turns.waiting))
	}
}

// Whoever waits no longer takes nobody's turn, not even one that comes at the same moment.
func TestTurnsOfThoseWhoLeftGoToOthers(t *testing.T) {
	t.Parallel()
	turns := newTurns(1)
	for range 200 {
		if err := turns.take(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		took := make(chan error)
		go func() { took <- turns.take(ctx, 2) }()
		turns.changed.Await(t, "a reader to wait", func() bool { return turns.waits() == 1 })
		go cancel()
		turns.give()
		switch err := <-took; {
		case err == nil:
			turns.give()
		case !errors.Is(err, context.Canceled):
			t.Fatal(err)
		}
		if turns.free != 1 || len(turns.order) > 0 || len(turns.waiting) > 0 {
			t.Fatalf("%d of 1 turn is free, and %d projects wait", turns.free, len(turns.waiting))
		}
		cancel()
	}
}

// Watchers read the log when it is their turn, and those who hang up before leave no read behind.
func TestWatchersWaitForTheirTurn(t *testing.T) {
	t.Parallel()
	h, _ := startHub(t, 5)
	for range postgres.CatchUpConns {
		if err := h.turns.take(t.Context(), 7); err != nil {
			t.Fatal(err)
		}
	}
	heads, err := h.readHeads(t.Context(), h.cfg.DB.System, 1)
	if err != nil {
		t.Fatal(err)
	}
	ctx, hangUp := context.WithCancel(t.Context())
	var watchers sync.WaitGroup
	watch := func(ctx context.Context, after int64) {
		watchers.Go(func() {
			for d, err := range h.Watch(ctx, 1, Cursor{Epoch: heads[1].Epoch, Version: after}) {
				if err != nil {
					t.Errorf("watch: %v", err)
				}
				if d.At.Version == 5 {
					return
				}
			}
		})
	}
	for after := range int64(3) {
		watch(ctx, after)
	}
	h.turns.changed.Await(t, "the watchers to wait", func() bool { return h.turns.waits() == 3 })
	hangUp()
	h.turns.changed.Await(t, "nobody to wait", func() bool { return h.turns.waits() == 0 })
	watchers.Wait()
	watch(t.Context(), 3)
	h.turns.changed.Await(t, "another watcher to wait", func() bool { return h.turns.waits() == 1 })
	if n := testutil.ToFloat64(h.metrics.logReads); n != 0 {
		t.Errorf("%v reads of the log, want none before a turn is free", n)
	}
	h.turns.give()
	watchers.Wait()
	if n := h.held.Load(); n != 0 {
		t.Errorf("%d bytes are held after all have gone", n)
	}
}

// Watchers that are slow hold few bytes from the log together: beyond that each gets one event at a time.
func TestBytesThatWatchersHoldAreBounded(t *testing.T) {
	t.Parallel()
	h, _ := startHub(t, 20)
	h.held.Store(maxHeldBytes)
	wantContiguous(t, collect(t, h, 0, 20), 0, 20)
	if n := testutil.ToFloat64(h.metrics.logReads); n != 1 {
		t.Errorf("%v reads of the log, want 1 while there is room", n)
	}
	h.held.Add(1)
	wantContiguous(t, collect(t, h, 0, 20), 0, 20)
	if n := testutil.ToFloat64(h.metrics.logReads); n != 21 {
		t.Errorf("%v reads of the log, want 20 more, of one event each", n-1)
	}
	if n := h.held.Load(); n != maxHeldBytes+1 {
		t.Errorf("%d bytes are held after all have gone, want 0", n-maxHeldBytes-1)
	}
}

// The thousands who come back to one place after an outage hold the same events: they count once.
func TestBytesThatWatchersShareCountOnce(t *testing.T) {
	t.Parallel()
	h := NewHub(Config{Wire: fanout.New(fanout.Config{}), Metrics: prometheus.NewRegistry()})
	a := answer{events: []*Event{event(4), event(5)}, batch: &batch{bytes: 10}}
	crowd := make([]*watcher, 100)
	for i := range crowd {
		crowd[i] = &watcher{hub: h}
		crowd[i].hold(a)
	}
	if n := h.held.Load(); n != 10 {
		t.Errorf("%d bytes are held, want 10", n)
	}
	for _, w := range crowd[1:] {
		w.release()
	}
	if w := crowd[0]; w.pop().At.Version != 4 || h.held.Load() != 10 || w.pop().At.Version != 5 || h.held.Load() != 0 {
		t.Errorf("%d bytes are held after the last event, want 0", h.held.Load())
	}
}
