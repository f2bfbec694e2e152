package socket

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"layercake/internal/task"
	"layercake/internal/task/tasktest"

	"github.com/coder/websocket"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// guarded returns a registry of sockets, and what checks how many panics were caught; the first of them is logged.
func guarded(t *testing.T) (r *Registry, caught func(want int)) {
	t.Helper()
	var log bytes.Buffer
	metrics := prometheus.NewRegistry()
	r = New(Options{Log: slog.New(slog.NewTextHandler(&log, nil)), Metrics: metrics})
	return r, func(want int) {
		t.Helper()
		if got := tasktest.Panics(t, metrics, "socket"); got != want {
			t.Errorf("%d panics were caught, want %d", got, want)
		}
		if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "panic: boom") || !strings.Contains(text, "panic_internal_test.go") {
			t.Errorf("logged %q", text)
		}
	}
}

// What is written when the panic comes may be half a message, in a batch of others. The client is told that the server broke, and others
// are served.
func TestPanicWhileWritingEndsItsOwnSocket(t *testing.T) {
	t.Parallel()
	for name, send := range map[string]func(s *session){
		"a message": func(s *session) { s.Send(func(*websocket.Conn) error { panic("boom") }) },
		"a batch":   func(s *session) { s.Batch(func() { panic("boom") }) },
		"a message of a batch": func(s *session) {
			s.Batch(func() { s.Send(func(*websocket.Conn) error { panic("boom") }) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r, caught := guarded(t)
				transport := r.Transport("x", Timing{})
				s, w := dial(t, transport, "")
				other, otherWire := dial(t, transport, "")
				if s.Protect(func() { send(s) }) {
					t.Error("it returned")
				}
				if kind, text := w.receive(); kind != opClose || text != "\x03\xf3Internal server error" {
					t.Errorf("got %d %q", kind, text)
				}
				_ = w.Close()
				<-s.ended
				if s.Reason() != Broken {
					t.Errorf("closed for %v", s.Reason())
				}
				go other.Write([]byte("hello"))
				if kind, text := otherWire.receive(); kind != opText || text != "hello" {
					t.Errorf("the other got %d %q", kind, text)
				}
				_ = otherWire.Close()
				r.Drain(t.Context(), 0)
				caught(1)
			})
		})
	}
}

// brittle is a connection whose methods of these names panic.
type brittle struct {
	*peer
	breaks string
}

func (b brittle) panic(method string) {
	if strings.Contains(b.breaks, method) {
		panic("boom")
	}
}

func (b brittle) Ping()            { b.panic("ping"); b.peer.Ping() }
func (b brittle) Goodbye(r Reason) { b.panic("goodbye"); b.peer.Goodbye(r) }
func (b brittle) Abort()           { b.peer.Abort(); b.panic("abort") }
func (b brittle) OnClose(r Reason) { b.panic("onclose"); b.peer.OnClose(r) }

// Whatever breaks in a connection, its socket ends, and the registry goes on with the others.
func TestPanicOfAConnection(t *testing.T) {
	t.Parallel()
	for breaks, c := range map[string]struct {
		close  func(*Socket)
		reason Reason
		panics int
	}{
		"ping":            {func(*Socket) {}, Broken, 1}, // by the registry, in its turn
		"ping onclose":    {func(*Socket) {}, Broken, 2},
		"goodbye":         {func(s *Socket) { s.Close(Kicked("bye")) }, Kicked("bye"), 1},
		"onclose":         {func(s *Socket) { s.Cut(Lost) }, Lost, 1},
		"abort":           {func(s *Socket) { s.Cut(Lost) }, Lost, 1},
		"goodbye onclose": {func(s *Socket) { s.Close(Kicked("bye")) }, Kicked("bye"), 2},
	} {
		t.Run(breaks, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r, caught := guarded(t)
				transport := r.Transport("x", Timing{})
				running := task.Go(t.Context(), r.Run)
				open := func(breaks string) *peer {
					p := newPeer(admit(t, transport))
					close(p.farewell)
					p.Open(brittle{p, breaks})
					go func() { <-p.over.Done(); p.Release() }()
					return p
				}
				p, other := open(breaks), open("")
				c.close(p.Socket)
				<-time.After(2 * DefaultTiming.Ping) // of the bubble
				if p.Reason() != c.reason || p.over.Err() == nil {
					t.Errorf("closed for %v, over: %v", p.Reason(), p.over.Err())
				}
				if other.Closed() || other.pings.Load() == 0 || r.Count() != 1 {
					t.Errorf("the other is closed: %t, has %d pings; %d sockets", other.Closed(), other.pings.Load(), r.Count())
				}
				if err := running.Stop(); err != nil {
					t.Error(err)
				}
				r.Drain(t.Context(), 0)
				caught(c.panics)
				if n := testutil.ToFloat64(transport.closed.WithLabelValues(c.reason.Label)); n != 1 {
					t.Errorf("%v were counted as %s", n, c.reason.Label)
				}
			})
		})
	}
}
