package collab_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"layercake/internal/auth"
	"layercake/internal/caller"
	"layercake/internal/client"
	"layercake/internal/collab"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/project"
	"layercake/internal/server/servertest"
	"layercake/internal/socket"
	"layercake/internal/task"

	"github.com/prometheus/client_golang/prometheus"
)

// site is a handler whose clocks are set by the test.
type site struct {
	url      string
	project  int
	core     *servertest.Core
	log      *syncLog
	metrics  *prometheus.Registry
	sockets  *socket.Registry
	accepted chan *valve
}

// listener tells which connections it accepted.
type listener struct {
	net.Listener

	accepted chan<- *valve
}

func (l listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	v := &valve{Conn: conn, shut: make(chan struct{}), closed: make(chan struct{})}
	l.accepted <- v
	return v, nil
}

// valve is a connection whose peer may stop to read, at once: the buffers of a real one take time to fill.
type valve struct {
	net.Conn

	shut   chan struct{} // closed when the peer does not read any more
	closed chan struct{}
	once   sync.Once
}

func (v *valve) Write(b []byte) (int, error) {
	select {
	case <-v.shut:
		<-v.closed
		return 0, net.ErrClosed
	default:
		return v.Conn.Write(b)
	}
}

func (v *valve) Close() error {
	v.once.Do(func() { close(v.closed) })
	return v.Conn.Close()
}

func serve(t *testing.T, timing socket.Timing, refresh time.Duration) *site {
	t.Helper()
	core := servertest.StartCore(t, nil)
	s := &site{core: core, log: &syncLog{}, metrics: prometheus.NewRegistry(), accepted: make(chan *valve, 16)}
	sockets := socket.New(socket.Options{Log: slog.New(slog.NewTextHandler(s.log, nil)), Metrics: s.metrics})
	s.sockets = sockets
	h := collab.New(collab.Options{
		Sockets: sockets, Rights: core.Rights, Presence: core.Presence, Log: slog.New(slog.DiscardHandler), Metrics: s.metrics, Timing: timing, Refresh: refresh,
	})
	server := httptest.NewUnstartedServer(caller.Middleware(caller.Config{Open: true})(h))
	server.Listener = listener{server.Listener, s.accepted}
	server.Start()
	clocks := task.Go(context.Background(), sockets.Run)
	refreshing := task.Go(context.Background(), h.Run)
	t.Cleanup(func() {
		drain, cancel := context.WithTimeout(context.Background(), pgtest.Patience)
		defer cancel()
		sockets.Drain(drain, 0)
		if err := errors.Join(clocks.Stop(), refreshing.Stop()); err != nil {
			t.Error(err)
		}
		server.Close()
	})
	s.url, s.project = server.URL, s.newProject(t)
	return s
}

func (s *site) newProject(t *testing.T) int {
	t.Helper()
	p, err := s.core.Projects.Create(t.Context(), auth.UncheckedReach(auth.Anonymous("")), project.Input{Name: "p"})
	if err != nil {
		t.Fatal(err)
	}
	return int(p.ID)
}

func TestSilentSocketIsCutOffAndLeaves(t *testing.T) {
	t.Parallel()
	s := serve(t, socket.Timing{Ping: 500 * time.Millisecond, Silence: 6 * time.Second, Write: 5 * time.Second}, time.Hour)
	ann := open(t, s.url, s.project) // the library answers pings while it reads
	ann.join("ann", "Ann", "")
	silent := dial(t, s.url, s.project)
	if err := silent.Send(t.Context(), client.MoveFrame("d", 1, 1)); err != nil {
		t.Fatal(err)
	}
	ann.wait("the silent one", func() bool { return len(ann.users) == 2 })
	ann.wait("the silent one to go", func() bool { return len(ann.users) == 1 })
	if got := ann.ask(`{"type":"ping"}`); got != "pong: " {
		t.Errorf("who is not silent: %q", got)
	}
}

func TestConnectedPeopleAreRefreshed(t *testing.T) {
	t.Parallel()
	s := serve(t, socket.Timing{Ping: 150 * time.Millisecond, Silence: time.Minute, Write: 5 * time.Second}, 300*time.Millisecond)
	ann, idle := open(t, s.url, s.project), open(t, s.url, s.project)
	ann.join("ann", "Ann", "")
	idle.join("idle", "I", "")
	ann.wait("the idle one", func() bool { return len(ann.users) == 2 })
	ann.mu.Lock()
	first := ann.users["idle"].LastActive
	ann.mu.Unlock()
	ann.wait("news of the idle one", func() bool { return ann.users["idle"].LastActive.After(first.Add(500 * time.Millisecond)) })
}

func TestReaderThatStallsIsCutOffByTheWriteDeadline(t *testing.T) {
	t.Parallel()
	s := serve(t, socket.Timing{Ping: time.Minute, Silence: time.Hour, Write: 4 * time.Second}, time.Hour)
	ann := open(t, s.url, s.project)
	ann.join("ann", "Ann", "")
	<-s.accepted
	stalled := open(t, s.url, s.project)
	stalled.join("stalled", "S", "")
	ann.wait("the other", func() bool { return len(ann.users) == 2 })
	close((<-s.accepted).shut)
	stalled.send(`{"type":"ping"}`) // nobody takes the answer
	ann.wait("the stalled to go", func() bool { return len(ann.users) == 1 })
	if got := ann.ask(`{"type":"ping"}`); got != "pong: " {
		t.Errorf("who reads: %q", got)
	}
	s.sockets.Changed.Await(t, "a socket to close as slow", func() bool { return closedAs(t, s.metrics, "slow") == 1 })
}

// closedAs returns how many sockets closed for a reason.
func closedAs(t *testing.T, registry *prometheus.Registry, reason string) float64 {
	t.Helper()
	return counted(t, registry, "layercake_sockets_closed_total", "reason", reason)
}

// counted returns the value of a counter.
func counted(t *testing.T, registry *prometheus.Registry, name, label, value string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == label && l.GetValue() == value {
					return m.GetCounter().GetValue()
				}
			}
		}
	}
	return 0
}
