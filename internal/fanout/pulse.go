package fanout

import (
	"sync"
	"time"
)

// pulse compares the heartbeats that were sent with those that came back. It tells a listener that hears nothing
// because nothing is said from one whose connection is dead. Heartbeats are named by when they were sent.
type pulse struct {
	start time.Time

	mu      sync.Mutex
	heard   int64         // the newest that came back, or when the listener began to listen
	waiting int64         // the oldest after it that was surely sent, or 0
	trip    time.Duration // of the newest that came back, or 0
}

// now returns Unix nanoseconds that never step back.
func (p *pulse) now() int64 { return p.start.UnixNano() + int64(time.Since(p.start)) }

// restart forgets what was sent until now: nobody listened.
func (p *pulse) restart() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.heard, p.waiting, p.trip = p.now(), 0, 0
}

// sent notes a heartbeat whose pg_notify returned. It often comes back before that.
func (p *pulse) sent(beat int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting == 0 && beat > p.heard {
		p.waiting = beat
	}
}

// returned notes a heartbeat that came back, and returns its round trip.
func (p *pulse) returned(beat int64) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.heard = max(p.heard, beat)
	if beat >= p.waiting {
		p.waiting = 0
	}
	p.trip = time.Duration(p.now() - beat)
	return p.trip
}

// last returns the round trip of the newest heartbeat that came back, or 0 when none did since the listener began to listen.
func (p *pulse) last() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.trip
}

// lost reports whether a heartbeat is overdue.
func (p *pulse) lost() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.waiting != 0 && time.Duration(p.now()-p.waiting) > silence
}
