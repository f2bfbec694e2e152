package socket

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// Conn is a connection as the registry sees it. Its methods are called without any lock.
type Conn interface {
	// Ping asks the peer for a sign of life. It may wait for the answer, but not for ever.
	Ping()
	// Goodbye tells the peer why the socket closes, and waits for its answer, but not for long. Whoever reads is woken when it ends.
	Goodbye(Reason)
	// Abort ends the connection at once. Whatever waits for the peer, be it Goodbye, goes on.
	Abort()
	// OnClose is called once, when the socket was closed and before the peer notices. It does not wait.
	OnClose(Reason)
}

// Socket is a long connection of a client, from its admission until everything that it does has ended.
type Socket struct {
	id        uuid.UUID
	transport *Transport
	turn      int          // among those that are pinged; of Run once the socket is open
	heard     atomic.Int64 // when anything last came, in Unix nanoseconds; 0 until the socket is open
	pingAt    time.Time    // when it is pinged next; of Run once the socket is open

	mu     sync.Mutex
	conn   Conn   // nil until the socket is open
	closed bool   // may be before that: Open acts on it then
	cut    bool   // it is not to say goodbye, or not to wait for the answer
	reason Reason // the first one; the zero one until it is closed
	user   string // who the client is; "" while nobody knows
	doing  int    // what it does now, reading included; it has ended at 0
}

// ID returns the id of the connection.
func (s *Socket) ID() uuid.UUID { return s.id }

// User returns the id of the user that the client is, "" while nobody knows.
func (s *Socket) User() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.user
}

// SetUser notes which user the client is.
func (s *Socket) SetUser(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.user = id
}

// Open gives the socket its connection. From now on it is pinged, and cut off when it is silent. If it was closed while it was being
// accepted, its connection is closed now, for that reason.
func (s *Socket) Open(conn Conn) {
	t := s.transport
	t.opened.Inc()
	t.open.Inc()
	s.pingAt = time.Now().Add(t.timing.Ping)
	s.Hear()
	s.mu.Lock()
	s.conn = conn
	closed, cut, reason := s.closed, s.cut, s.reason
	if closed {
		s.doing++ // for part
	}
	s.mu.Unlock()
	t.registry.Changed.Say()
	if closed {
		s.part(conn, reason, cut)
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
func (s *Socket) Hear() { s.heard.Store(time.Now().UnixNano()) }

// Heard returns when anything last came; the zero time before the socket is open.
func (s *Socket) Heard() time.Time {
	if n := s.heard.Load(); n != 0 {
		return time.Unix(0, n)
	}
	return time.Time{}
}

// check cuts the socket off when it is silent, and pings it when its turn has come.
func (s *Socket) check(now time.Time) {
	timing := s.transport.timing
	heard := s.Heard()
	switch {
	case heard.IsZero(): // it is being opened
	case now.Sub(heard) > timing.Silence-2*timing.Ping/turns: // when Silence is over, everybody knows
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
	go func() { // counted in doing
		defer s.Release()
		conn.Ping()
	}()
}

// Acquire counts something that the socket does until Release, unless it is closed.
func (s *Socket) Acquire() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.doing++
	return true
}

// Release ends something that the socket does. With the last of it the socket has ended.
func (s *Socket) Release() {
	s.mu.Lock()
	s.doing--
	ended, opened, label := s.doing == 0, s.conn != nil, s.reason.Label
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

// Close closes the socket, says goodbye, and does not wait for the answer. It reports whether the socket was not closed before: the first
// reason counts.
func (s *Socket) Close(reason Reason) bool {
	conn, first := s.close(reason, false)
	if conn != nil && first {
		s.part(conn, reason, false)
	}
	return first
}

// Cut closes the socket without a goodbye, or ends the wait for the answer to one. The first reason counts.
func (s *Socket) Cut(reason Reason) {
	switch conn, first := s.close(reason, true); {
	case conn == nil: // Open acts on it
	case first:
		s.part(conn, reason, true)
	default:
		conn.Abort()
	}
}

// close notes why the socket is closed, and reports whether nobody did before. Then it counts what part does.
func (s *Socket) close(reason Reason, cut bool) (conn Conn, first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	first = !s.closed
	if first {
		s.closed, s.reason = true, reason
		if s.conn != nil {
			s.doing++
		}
	}
	s.cut = s.cut || cut
	return s.conn, first
}

// part ends a connection, politely unless it is to be cut off. The socket does not end before.
func (s *Socket) part(conn Conn, reason Reason, cut bool) {
	conn.OnClose(reason)
	if cut {
		conn.Abort()
		s.Release()
		return
	}
	go func() { // counted in doing
		defer s.Release()
		conn.Goodbye(reason)
	}()
}

// Closed reports whether the socket was closed, though it may not have ended.
func (s *Socket) Closed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// Reason returns why the socket was closed; the zero reason while it was not.
func (s *Socket) Reason() Reason {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reason
}
