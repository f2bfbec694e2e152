package socket

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// hangup is a connection that counts what is done with it. Its peer does not answer goodbyes.
type hangup struct {
	*Socket

	over            chan struct{} // closed when the connection has ended
	end             func()
	hooks, goodbyes atomic.Int64
	goodbyeTooEarly atomic.Bool // before OnClose
}

func newHangup(s *Socket) *hangup {
	h := &hangup{Socket: s, over: make(chan struct{})}
	h.end = sync.OnceFunc(func() { close(h.over) })
	return h
}

func (h *hangup) Ping() {}

func (h *hangup) Goodbye(Reason) {
	h.goodbyes.Add(1)
	h.goodbyeTooEarly.Store(h.hooks.Load() != 1)
	h.end() // as when the wait for the peer is over
}

func (h *hangup) Abort() { h.end() }

func (h *hangup) OnClose(Reason) { h.hooks.Add(1) }

// Whoever closes a socket, cuts it off, checks or kicks it, before, while and after it opens or fails to: it ends once, and the counts agree.
func TestSocketEndsOnceWhateverHappensAtOnce(t *testing.T) {
	t.Parallel()
	const rounds = 2000
	r := New(Options{})
	transport := r.Transport("x", Timing{})
	opened := 0.0
	for range rounds {
		s := admit(t, transport)
		h := newHangup(s)
		acts := []func(){
			func() { s.Close(Client) },
			func() { s.Close(drained()) },
			func() { s.Cut(Lost) },
			s.Probe,
			func() { s.check(time.Now().Add(rand.N(3 * time.Minute))) }, // as Run does
			func() { r.Kick(func(other *Socket) bool { return other == s }, "Go away") },
			func() {
				if s.Acquire() {
					s.Release()
				}
			},
		}
		rand.Shuffle(len(acts), func(i, j int) { acts[i], acts[j] = acts[j], acts[i] })
		before := rand.IntN(len(acts))
		opens := rand.IntN(4) > 0
		var all sync.WaitGroup
		for _, act := range acts[:before] {
			all.Go(act)
		}
		if opens {
			opened++
			s.Open(h)
			all.Go(func() { <-h.over; s.Release() }) // reads
		} else {
			s.Release() // its request was refused after all
		}
		for _, act := range acts[before:] {
			all.Go(act)
		}
		all.Go(func() { s.Close(Lost) })
		all.Wait()
		if hooks := h.hooks.Load(); opens != (hooks == 1) || h.goodbyes.Load() > 1 || h.goodbyeTooEarly.Load() || !s.Closed() {
			t.Fatalf("opened: %v; %d hooks, %d goodbyes, one before the hook: %v, closed: %v",
				opens, hooks, h.goodbyes.Load(), h.goodbyeTooEarly.Load(), s.Closed())
		}
		if s.Acquire() || s.Close(Lost) {
			t.Fatal("a socket that is closed does something, or closes again")
		}
	}
	r.Drain(t.Context(), 0)
	closed := 0.0
	for _, label := range append([]string{LabelKicked}, CommonLabels...) {
		closed += testutil.ToFloat64(transport.closed.WithLabelValues(label))
	}
	if open := testutil.ToFloat64(transport.open); closed != opened || open != 0 || testutil.ToFloat64(transport.opened) != opened {
		t.Errorf("%v were opened, %v closed, %v are open; want %v, as many, and none", testutil.ToFloat64(transport.opened), closed, open, opened)
	}
}
