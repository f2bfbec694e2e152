package graph

import (
	"testing"
	"testing/synctest"
	"time"
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
