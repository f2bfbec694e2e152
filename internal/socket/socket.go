package socket

import (
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
)

// Conn is a connection as the registry sees it. Its methods are called without any lock.
type Conn interface {
	// Ping asks the peer for a sign of life. It may wait for the answer, but not for ever.
	Ping()
	// Goodbye sends the peer the reason, waits a short time for its answer, and ends the connection, which wakes the goroutine that reads.
	Goodbye(Reason)
	// Abort ends the connection at once. Whatever waits for the peer, even Goodbye, stops waiting.
	Abort()
	// OnClose is called once, after the socket was closed and before the peer notices. It does not wait.
	OnClose(Reason)
}

// Socket is a long connection of a client, from its admission until everything that it does has ended.
type Socket struct {
	id        uuid.UUID
	transport *Transport
	turn      int       // place among the sockets that are pinged; only Run uses it once the socket is open
	pingAt    time.Time // time of the next ping; only Run uses it once the socket is open

	mu          sync.Mutex
	conn        Conn      // nil until the socket is open
	heard       time.Time // time when anything last came; zero until the socket is open
	closed      bool      // may be set before the socket is open; then Open disconnects it
	cut         bool      // no goodbye, or no more waiting for the answer to one
	closeReason Reason    // the first reason given; zero until closed
	user        string    // id of the user; "" while unknown
	account     int32     // account among whose sockets it counts; 0 for none; the mutex of the registry's accountLimit guards it
	guests      []uuid.UUID
	active      int // reader, goodbye and calls of Acquire that have not called Release; the socket has ended at 0
}

// ID returns the id of the connection.
func (s *Socket) ID() uuid.UUID { return s.id }

// User returns the id of the client's user, "" while that is unknown.
func (s *Socket) User() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.user
}

// SetUser notes the id of the client's user, for Kick.
func (s *Socket) SetUser(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.user = id
}

// SetGuests notes as which guests of presence the client is in projects, for Kick. They take the place of those that were noted before.
func (s *Socket) SetGuests(ids ...uuid.UUID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.guests = ids
}

// HasGuest reports whether the client is in a project as a guest.
func (s *Socket) HasGuest(id uuid.UUID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.guests, id)
}

// Open gives the socket its connection. From now on it is pinged, and cut off when it is silent. If the socket was closed while the
// connection was being accepted, Open disconnects it for the reason that was given then.
func (s *Socket) Open(conn Conn) {
	t := s.transport
	t.opened.Inc()
	t.open.Inc()
	s.pingAt = time.Now().Add(t.timing.Ping)
	s.Hear()
	s.mu.Lock()
	s.conn = conn
	closed, cut, reason := s.closed, s.cut, s.closeReason
	if closed {
		s.active++ // for disconnect
	}
	s.mu.Unlock()
	t.registry.Changed.Say()
	if closed {
		s.disconnect(conn, reason, cut)
	}
}

// opened returns the connection, nil unless the socket is open.
func (s *Socket) opened() Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	return s.conn
}

// Hear notes that something came from the peer.
func (s *Socket) Hear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = time.Now() // with its monotonic part: setting the clock of the machine silences nobody
}

// Heard returns the time when anything last came from the peer, zero before the socket is open.
func (s *Socket) Heard() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.heard
}

// check cuts the socket off when it is silent, and pings it when its turn has come.
func (s *Socket) check(now time.Time) {
	timing := s.transport.timing
	heard := s.Heard()
	switch {
	case heard.IsZero(): // the socket is being accepted
	case now.Sub(heard) > timing.Silence-2*timing.Ping/turns: // two checks early, so that the socket has closed when Silence is over
		s.Cut(Silent)
	case !now.Before(s.pingAt):
		for !now.Before(s.pingAt) {
			s.pingAt = s.pingAt.Add(timing.Ping * time.Duration(s.turn+1) / turns)
			s.turn = turns - 1
		}
		s.Probe()
	}
}

// Probe pings the peer without waiting for it. An answer counts as heard. No need to handle a missing one: Run cuts off sockets that
// have been silent too long.
func (s *Socket) Probe() {
	conn := s.opened()
	if conn == nil || !s.Acquire() {
		return
	}
	go func() { // Drain waits for it: Acquire counted it
		defer s.Release()
		s.Protect(conn.Ping)
	}()
}

// Protect calls f, which does something for this socket alone, and reports whether f returned. A panic in f closes the socket, for Broken,
// and ends nothing else. Every goroutine of a socket calls it, and so does the registry where it
// calls a Conn.
func (s *Socket) Protect(f func()) bool {
	err := s.transport.registry.guard.Do(func() error { f(); return nil })
	if err != nil {
		s.Close(Broken)
	}
	return err == nil
}

// Acquire keeps the socket from ending until Release. It reports false when the socket is closed: then nothing new may begin.
func (s *Socket) Acquire() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.active++
	return true
}

// Release ends what Admit or Acquire began. The last Release ends the socket.
func (s *Socket) Release() {
	s.mu.Lock()
	s.active--
	ended, opened, label := s.active == 0, s.conn != nil, s.closeReason.Label
	s.closed = s.closed || ended // one that never opened may not have been closed, and can neither be closed nor do anything any more
	s.mu.Unlock()
	if !ended {
		return
	}
	t := s.transport
	if opened {
		t.open.Dec()
		t.closed.WithLabelValues(label).Inc()
	}
	t.registry.remove(s)
}

// Close closes the socket with a goodbye, without waiting for it. It reports whether this call closed the socket: later ones change
// nothing.
func (s *Socket) Close(reason Reason) bool {
	conn, first := s.close(reason, false)
	if conn != nil && first {
		s.disconnect(conn, reason, false)
	}
	return first
}

// Cut closes the socket without a goodbye. If it is closed already, Cut ends the wait for the answer to the goodbye, and the first reason
// stays.
func (s *Socket) Cut(reason Reason) {
	switch conn, first := s.close(reason, true); {
	case conn == nil: // Open disconnects it
	case first:
		s.disconnect(conn, reason, true)
	default:
		s.Protect(conn.Abort)
	}
}

// close marks the socket closed, and reports whether it was not before. Then, if the socket is open, the caller calls disconnect, which is
// counted here already: in between the socket must not end.
func (s *Socket) close(reason Reason, cut bool) (conn Conn, first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	first = !s.closed
	if first {
		s.closed, s.closeReason = true, reason
		if s.conn != nil {
			s.active++
		}
	}
	s.cut = s.cut || cut
	return s.conn, first
}

// disconnect ends the connection, by a goodbye or by cutting it off. Its caller has counted it in active.
func (s *Socket) disconnect(conn Conn, reason Reason, cut bool) {
	s.Protect(func() { conn.OnClose(reason) })
	if cut {
		s.Protect(conn.Abort)
		s.Release()
		return
	}
	go func() { // Drain waits for it: it is counted in active
		defer s.Release()
		if !s.Protect(func() { conn.Goodbye(reason) }) {
			s.Protect(conn.Abort) // the goroutine that reads would wait for the end of the connection
		}
	}()
}

// Closed reports whether the socket was closed. It may not have ended yet.
func (s *Socket) Closed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// Reason returns why the socket was closed, the zero reason while it is not.
func (s *Socket) Reason() Reason {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closeReason
}
