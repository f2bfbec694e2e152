package fanout

import (
	"slices"
	"sync"
	"time"
)

// maxUnderway is how many heartbeats may be on their way at once. While that many do not come back, the listener has hung up long ago.
const maxUnderway = 64

// heartbeat compares the heartbeats that were sent with those that came back. So a listener that hears nothing because nothing is said
// differs from one whose connection is dead. A heartbeat's number is the time at which it was sent. Only a heartbeat whose pg_notify
// returned can be overdue: otherwise a publisher that hangs would cost the listener its session. And only one that was sent, and did not
// come back before, can come back: a number that somebody made up, or repeats, keeps no dead connection alive and is no round trip.
type heartbeat struct {
	start   time.Time
	silence time.Duration // time that a heartbeat may take to come back

	mu       sync.Mutex
	underway []int64       // heartbeats that were begun and did not come back, oldest first
	heard    int64         // newest heartbeat that came back, or when the listener began to listen
	waiting  int64         // oldest heartbeat after heard whose pg_notify returned, or 0
	trip     time.Duration // round trip of the newest heartbeat that came back, or 0
}

// now returns Unix nanoseconds that never step back.
func (h *heartbeat) now() int64 { return h.start.UnixNano() + int64(time.Since(h.start)) }

// restart forgets the heartbeats that were sent until now: nobody listened to them.
func (h *heartbeat) restart() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.underway, h.heard, h.waiting, h.trip = nil, h.now(), 0, 0
}

// begin returns the number of a heartbeat that is about to be sent.
func (h *heartbeat) begin() (beat int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	beat = h.now()
	h.underway = append(h.underway[max(0, len(h.underway)-maxUnderway+1):], beat)
	return beat
}

// sent notes a heartbeat whose pg_notify returned. It often comes back before that.
func (h *heartbeat) sent(beat int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waiting == 0 && beat > h.heard {
		h.waiting = beat
	}
}

// returned notes a heartbeat that came back, and returns its round trip. It reports false for one that was not sent, or is back already;
// also for one whose follower came back before, which does not happen on one connection.
func (h *heartbeat) returned(beat int64) (trip time.Duration, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	n, ok := slices.BinarySearch(h.underway, beat)
	if !ok {
		return 0, false
	}
	h.underway = h.underway[n+1:]
	h.heard = beat
	if beat >= h.waiting {
		h.waiting = 0
	}
	h.trip = time.Duration(h.now() - beat)
	return h.trip, true
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
