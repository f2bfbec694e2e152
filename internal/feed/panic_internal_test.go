package feed

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"layercake/internal/fanout"
	"layercake/internal/postgres"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/task"
	"layercake/internal/task/tasktest"

	"github.com/prometheus/client_golang/prometheus"
)

// A line that makes a feed panic makes this feed begin anew from the head: its watchers are told that they missed events, and go on. The
// feed of another project is not touched.
func TestFeedThatPanicsBeginsAnew(t *testing.T) {
	t.Parallel()
	h, conn := startHub(t, 3)
	pgtest.Exec(t, conn, "INSERT INTO projects (id, name) VALUES (2, 'Other')")
	pgtest.Exec(t, conn, "INSERT INTO heads (project_id) VALUES (2)")
	w, other := watchHub(t, h, 1), watchHub(t, h, 2)
	w.next(t)
	other.next(t)
	for _, f := range h.all() {
		if f.project == 1 {
			f.mu.Lock()
			f.ahead = nil // writing to it panics
			f.mu.Unlock()
		}
	}
	h.offer(line{project: 1, at: Cursor{Epoch: w.last.At.Epoch, Version: 99}, body: []byte("{}")})
	if n := tasktest.Panics(t, h.cfg.Metrics.(*prometheus.Registry), "feed"); n != 1 {
		t.Errorf("%d panics were caught", n)
	}
	if d := w.next(t); !d.Missed || d.At.Version != 3 {
		t.Errorf("got %+v, want the news that events were missed, at 3", d)
	}
	commit(t, conn, 4, 4, "{}")
	if d := w.next(t); d.Event == nil || d.At.Version != 4 {
		t.Errorf("got %+v, want event 4", d)
	}
	pgtest.Exec(t, conn, "DELETE FROM projects WHERE id = 2")
	if err := other.failure(t); !errors.Is(err, ErrNotFound) {
		t.Errorf("the other feed ended with %v; it should see the deletion, and no restart before", err)
	}
}

// Sweeps and reads of the log that panic are tried again, and who waits for a feed is told.
func TestHubThatPanicsGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		registry := prometheus.NewRegistry()
		h := NewHub(Config{
			DB:   &postgres.DB{}, // whatever asks the database panics, because there is none
			Wire: fanout.New(fanout.Config{}), Log: slog.New(slog.NewTextHandler(&log, nil)), Metrics: registry,
		})
		f := loadedAt(3)
		f.idle = time.Now()
		h.feeds[1] = f
		running := task.Go(t.Context(), h.Run)
		h.offer(line{project: 1, at: at(9)})
		<-time.After(5 * time.Second) // of the bubble
		if n := tasktest.Panics(t, registry, "feed"); n < 6 {
			t.Errorf("%d panics were caught of sweeps and reads in 5 s", n)
		}
		var watching sync.WaitGroup
		for range 2 {
			watching.Go(func() {
				for _, err := range h.Watch(t.Context(), 2, Cursor{}) {
					if !errors.As(err, new(*task.Panic)) {
						t.Errorf("a watcher got %v", err)
					}
				}
			})
		}
		watching.Wait()
		if _, err := (&watcher{hub: h, feed: f, at: at(1)}).read(t.Context()); !errors.As(err, new(*task.Panic)) {
			t.Errorf("a reader of the log got %v", err)
		}
		if err := running.Stop(); err != nil {
			t.Error(err)
		}
		if text := log.String(); strings.Count(text, "stack=") != 1 || strings.Count(text, "\n") > 3 {
			t.Errorf("logged %s", text)
		}
	})
}

// hubWatcher is a watcher that a test steps by hand.
type hubWatcher struct {
	deliveries chan Delivery
	failed     chan error
	last       Delivery
}

func watchHub(t *testing.T, h *runningHub, project int32) *hubWatcher {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &hubWatcher{deliveries: make(chan Delivery), failed: make(chan error, 1)}
	var running sync.WaitGroup
	running.Go(func() {
		for d, err := range h.Watch(ctx, project, Cursor{}) {
			if err != nil {
				w.failed <- err
				return
			}
			select {
			case w.deliveries <- d:
			case <-ctx.Done():
			}
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	return w
}

func (w *hubWatcher) next(t *testing.T) Delivery {
	t.Helper()
	select {
	case w.last = <-w.deliveries:
	case err := <-w.failed:
		t.Fatalf("the watch failed: %v", err)
	case <-time.After(pgtest.Patience):
		t.Fatal("nothing came")
	}
	return w.last
}

func (w *hubWatcher) failure(t *testing.T) error {
	t.Helper()
	select {
	case d := <-w.deliveries:
		t.Fatalf("got %+v", d)
	case err := <-w.failed:
		return err
	case <-time.After(pgtest.Patience):
		t.Fatal("the watch went on")
	}
	return nil
}
