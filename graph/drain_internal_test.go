package graph

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"layercake/internal/drain"
)

// Sockets that are still being accepted note that they are to go: they stand for any here.
func handlerWith(sockets int) *Handler {
	h := &Handler{sockets: map[*socket]struct{}{}}
	for range sockets {
		h.sockets[&socket{}] = struct{}{}
	}
	return h
}

func TestDrainSpreadsCloses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := handlerWith(10)
		drained := make(chan time.Duration)
		began := time.Now()
		go func() {
			h.Drain(t.Context(), time.Second)
			drained <- time.Since(began)
		}()
		for n := 1; n <= 10; n++ {
			synctest.Wait()
			doomed := 0
			for s := range h.sockets {
				s.mu.Lock()
				if s.doomed != nil {
					doomed++
				}
				s.mu.Unlock()
			}
			if doomed != n {
				t.Errorf("%d sockets were told after %v, want %d", doomed, time.Since(began), n)
			}
			if n < 10 {
				<-time.After(100 * time.Millisecond) // of the bubble
			}
		}
		if took := <-drained; took != 900*time.Millisecond {
			t.Errorf("it took %v", took)
		}
	})
}

// The other replicas see no more than twice the mean rate at any moment, though clients come back when they are told.
func TestDrainedClientsComeBackEvenly(t *testing.T) {
	t.Parallel()
	const (
		sockets = 2000
		spread  = 4 * time.Second
		width   = 500 * time.Millisecond
		mean    = sockets / (float64(spread+drain.MaxAway) / float64(width))
	)
	synctest.Test(t, func(t *testing.T) {
		h := handlerWith(sockets)
		began := time.Now()
		drained := make(chan struct{})
		go func() {
			defer close(drained)
			h.Drain(t.Context(), spread)
		}()
		back := make([]int, (spread+drain.MaxAway)/width+1)
		told := map[*socket]bool{}
		for len(told) < sockets {
			synctest.Wait()
			for s := range h.sockets {
				s.mu.Lock()
				if s.doomed != nil && !told[s] {
					told[s] = true
					back[(time.Since(began)+drain.Away())/width]++
				}
				s.mu.Unlock()
			}
			<-time.After(20 * time.Millisecond) // of the bubble
		}
		<-drained
		if peak := slices.Max(back); float64(peak) > 2*mean {
			t.Errorf("clients come back, per %v: %v; want at most %.0f", width, back, 2*mean)
		}
	})
}

// Each pause ends a little late. With many sockets that must not add up: what is not told when the drain's time is over is cut off.
func TestDrainOfManySocketsEndsInTime(t *testing.T) {
	t.Parallel()
	h := handlerWith(30_000)
	began := time.Now()
	h.Drain(t.Context(), 500*time.Millisecond)
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("it took %v, want little more than half a second", took)
	}
}
