package fanout

import (
	"sync"
	"time"
)

// heartbeat compares the heartbeats that were sent with those that came back. So a listener that hears nothing because nothing is said
// differs from one whose connection is dead. A heartbeat's number is the time at which it was sent. Only a heartbeat whose pg_notify
// returned can be overdue: otherwise a publisher that hangs would cost the listener its session.
type heartbeat struct {
	start   time.Time
	silence time.Duration // time that a heartbeat may take to come back

	mu      sync.Mutex
	heard   int64         // newest heartbeat that came back, or when the listener began to listen
	waiting int64         // oldest heartbeat after heard whose pg_notify returned, or 0
	trip    time.Duration // round trip of the newest heartbeat that came back, or 0
}

// now returns Unix nanoseconds that never step back.
func (h *heartbeat) now() int64 { return h.start.UnixNano() + int64(time.Since(h.start)) }

// restart forgets the heartbeats that were sent until now: nobody listened to them.
func (h *heartbeat) restart() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.heard, h.waiting, h.trip = h.now(), 0, 0
}

// sent notes a heartbeat whose pg_notify returned. It often comes back before that.
func (h *heartbeat) sent(beat int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waiting == 0 && beat > h.heard {
		h.waiting = beat
	}
}

// returned notes a heartbeat that came back, and returns its round trip.
func (h *heartbeat) returned(beat int64) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.heard = max(h.heard, beat)
	if beat >= h.waiting {
		h.waiting = 0
	}
	h.trip = time.Duration(h.now() - beat)
	return h.trip
}

// last returns the round trip of the newest heartbeat that came back, or 0 when none did since the listener began to listen.
func (h *heartbeat) last() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.trip
}

// lost reports whether a heartbeat is overdue.
func (h *heartbeat) lost() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.waiting != 0 && time.Duration(h.now()-h.waiting) > h.silence
}
