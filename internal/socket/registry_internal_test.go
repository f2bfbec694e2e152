package socket

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"layercake/internal/fault"
	"layercake/internal/task"
	"layercake/internal/testclock"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// peer is a connection whose peer answers as the test says.
type peer struct {
	*Socket

	pings    atomic.Int64
	answers  bool // pings
	aborts   int
	over     context.Context // ends with the connection
	end      context.CancelFunc
	told     []Reason      // by goodbyes
	farewell chan struct{} // closed when the peer answers a goodbye
	onClose  []Reason
}

func newPeer(s *Socket) *peer {
	over, end := context.WithCancel(context.Background())
	return &peer{Socket: s, answers: true, over: over, end: end, farewell: make(chan struct{})}
}

func (p *peer) Ping() {
	p.pings.Add(1)
	if p.answers {
		p.Hear()
	}
}

func (p *peer) Goodbye(r Reason) {
	p.told = append(p.told, r)
	select {
	case <-p.farewell:
	case <-p.over.Done():
	}
	p.end()
}

func (p *peer) Abort() {
	p.aborts++
	p.end()
}

func (p *peer) OnClose(r Reason) { p.onClose = append(p.onClose, r) }

// admit lets a socket in as for a request of nobody in particular.
func admit(t *testing.T, transport *Transport) *Socket {
	t.Helper()
	w := httptest.NewRecorder()
	s := transport.Admit(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if s == nil {
		t.Fatalf("refused: %d %s", w.Code, w.Body)
	}
	return s
}

// crowd returns so many sockets that are being accepted.
func crowd(t *testing.T, transport *Transport, n int) []*Socket {
	t.Helper()
	sockets := make([]*Socket, n)
	for i := range sockets {
		sockets[i] = admit(t, transport)
	}
	return sockets
}

func closedOf(sockets []*Socket) (n int) {
	for _, s := range sockets {
		if s.Closed() {
			n++
		}
	}
	return n
}

func TestNobodyIsAdmittedWhileDraining(t *testing.T) {
	t.Parallel()
	r := New(Options{})
	transport := r.Transport("x", Timing{})
	r.SendAway(t.Context(), time.Hour)
	w := httptest.NewRecorder()
	if s := transport.Admit(w, httptest.NewRequest(http.MethodGet, "/", nil)); s != nil {
		t.Fatal("admitted")
	}
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "1" || w.Body.String() != fault.Busy+"\n" {
		t.Errorf("%d %v %q", w.Code, w.Header(), w.Body)
	}
	r.Resume()
	s := admit(t, transport)
	if r.Count() != 1 {
		t.Errorf("%d sockets", r.Count())
	}
	s.Release()
	if r.Count() != 0 {
		t.Errorf("%d sockets", r.Count())
	}
}

func TestSocketsArePingedInTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const sockets = 2 * turns
		r := New(Options{})
		transport := r.Transport("x", Timing{})
		r.Transport("slower", Timing{Ping: time.Hour, Silence: 3 * time.Hour, Write: time.Second})
		running := task.Go(t.Context(), r.Run)
		var peers []*peer
		for range sockets {
			p := newPeer(admit(t, transport))
			p.Open(p)
			peers = append(peers, p)
		}
		total := func() (n int) {
			for _, p := range peers {
				n += int(p.pings.Load())
			}
			return n
		}
		for second := 1; second <= 150; second++ {
			before := total()
			<-time.After(time.Second) // of the bubble
			synctest.Wait()
			if n := total() - before; n > 4 && second > 31 || n > 0 && second < 30 {
				t.Errorf("%d sockets were pinged in second %d", n, second)
			}
		}
		for n, p := range peers {
			if p.pings.Load() != 5 || p.Closed() {
				t.Errorf("socket %d: %d pings in 150 s, closed: %v", n, p.pings.Load(), p.Closed())
			}
			close(p.farewell)
			p.Close(Client)
			p.Release()
		}
		if err := running.Stop(); err != nil {
			t.Error(err)
		}
		r.Drain(t.Context(), 0)
	})
}

func TestSilentSocketIsCutOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		registry := prometheus.NewRegistry()
		r := New(Options{Metrics: registry})
		transport := r.Transport("x", Timing{}, "project")
		running := task.Go(t.Context(), r.Run)
		opening := admit(t, transport)
		silent, lively := newPeer(admit(t, transport)), newPeer(admit(t, transport))
		silent.answers = false
		silent.Open(silent)
		lively.Open(lively)
		began := time.Now()
		<-silent.over.Done()
		if took := time.Since(began); took > DefaultTiming.Silence || took < DefaultTiming.Silence-3*time.Second {
			t.Errorf("cut off after %v", took)
		}
		synctest.Wait()
		if silent.pings.Load() < 2 || silent.Reason() != Silent || !slices.Equal(silent.onClose, []Reason{Silent}) || len(silent.told) > 0 {
			t.Errorf("%d pings, closed for %v, hook %v, goodbyes %v", silent.pings.Load(), silent.Reason(), silent.onClose, silent.told)
		}
		if lively.Closed() || opening.Closed() {
			t.Error("another socket was closed, too")
		}
		silent.Release()
		if n := testutil.ToFloat64(transport.closed.WithLabelValues("silent")); n != 1 {
			t.Errorf("%v sockets were closed as silent", n)
		}
		if n := testutil.ToFloat64(transport.open); n != 1 {
			t.Errorf("%v sockets are open", n)
		}
		if n := testutil.CollectAndCount(transport.closed); n != 8 {
			t.Errorf("%d reasons, want 7 that all have and one of its own", n)
		}
		opening.Release() // its request was refused after all
		lively.Cut(Lost)
		lively.Release()
		if err := running.Stop(); err != nil {
			t.Error(err)
		}
		r.Drain(t.Context(), 0)
	})
}

func TestSettingTheClockSilencesNobody(t *testing.T) {
	t.Parallel()
	transport := New(Options{}).Transport("x", Timing{})
	p := newPeer(admit(t, transport))
	p.Open(p)
	p.check(testclock.AfterSet(time.Now(), time.Hour))
	if p.Closed() {
		t.Errorf("closed for %v", p.Reason())
	}
	p.Cut(Lost)
	p.Release()
}

func TestFirstReasonCounts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := New(Options{})
		transport := r.Transport("x", Timing{})
		p := newPeer(admit(t, transport))
		p.Open(p)
		if !p.Acquire() {
			t.Fatal("an open socket does nothing")
		}
		if !p.Close(Violation(4400, "a")) || p.Close(Violation(4401, "b")) {
			t.Error("the first close did not count, or the second did")
		}
		synctest.Wait()
		p.Cut(Slow) // the peer does not answer
		synctest.Wait()
		want := []Reason{Violation(4400, "a")}
		if !slices.Equal(p.told, want) || !slices.Equal(p.onClose, want) || p.Reason() != want[0] || p.aborts != 1 {
			t.Errorf("told %v, hook %v, reason %v, %d aborts", p.told, p.onClose, p.Reason(), p.aborts)
		}
		if p.Acquire() {
			t.Error("a closed socket begins something")
		}
		p.Release() // what it did before
		if r.Count() != 1 {
			t.Error("the socket ended before its reader")
		}
		p.Release()
		r.Drain(t.Context(), 0)
	})
}

// Whoever closes a socket that is being accepted need not wait.
func TestSocketIsClosedWhenItOpens(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := New(Options{})
		transport := r.Transport("x", Timing{})
		for name, c := range map[string]struct {
			before      func(*Socket)
			told, hook  []Reason
			cut, closed bool
		}{
			"open":            {func(*Socket) {}, nil, nil, false, false},
			"closed":          {func(s *Socket) { s.Close(Client); s.Close(Lost) }, []Reason{Client}, []Reason{Client}, false, true},
			"cut":             {func(s *Socket) { s.Cut(Silent); s.Close(Client) }, nil, []Reason{Silent}, true, true},
			"closed, and cut": {func(s *Socket) { s.Close(Client); s.Cut(Silent) }, nil, []Reason{Client}, true, true},
		} {
			p := newPeer(admit(t, transport))
			close(p.farewell)
			c.before(p.Socket)
			p.Probe()
			if len(p.told)+len(p.onClose)+p.aborts+int(p.pings.Load()) > 0 {
				t.Errorf("%s: told before it is open", name)
			}
			p.Open(p)
			synctest.Wait()
			if !slices.Equal(p.told, c.told) || !slices.Equal(p.onClose, c.hook) || (p.aborts == 1) != c.cut || p.Closed() != c.closed {
				t.Errorf("%s: told %v, hook %v, %d aborts, closed: %v", name, p.told, p.onClose, p.aborts, p.Closed())
			}
			p.Cut(Lost)
			p.Release()
		}
		if n := testutil.ToFloat64(transport.opened); n != 4 {
			t.Errorf("%v were opened", n)
		}
		r.Drain(t.Context(), 0)
	})
}

func TestKick(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := New(Options{})
		one, other := r.Transport("one", Timing{}), r.Transport("other", Timing{})
		ann, again, bob, gone := newPeer(admit(t, one)), newPeer(admit(t, other)), newPeer(admit(t, one)), newPeer(admit(t, one))
		opening := admit(t, other)
		for user, peers := range map[string][]*peer{"ann": {ann, again, gone}, "bob": {bob}} {
			for _, p := range peers {
				close(p.farewell)
				p.Open(p)
				p.SetUser(user)
			}
		}
		gone.Close(Client)
		guest, former := uuid.New(), uuid.New()
		ann.SetGuests(former)
		ann.SetGuests(uuid.New(), guest)
		if ann.HasGuest(former) || bob.HasGuest(guest) || !ann.HasGuest(guest) {
			t.Error("a socket has guests that it has not, or lacks one")
		}
		if n := r.Kick(func(s *Socket) bool { return s.User() == "ann" }, "Go away"); n != 2 {
			t.Errorf("%d were kicked, want 2", n)
		}
		if n := r.Kick(func(s *Socket) bool { return s.ID() == opening.ID() }, ""); n != 1 || !opening.Closed() {
			t.Errorf("%d were kicked, want the one that is being opened", n)
		}
		synctest.Wait()
		want := []Reason{{Code: 4000, Text: "Go away", Label: "kicked"}}
		for _, p := range []*peer{ann, again} {
			if !slices.Equal(p.told, want) || !slices.Equal(p.onClose, want) {
				t.Errorf("told %v, hook %v", p.told, p.onClose)
			}
		}
		if bob.Closed() || gone.Reason() != Client {
			t.Error("somebody else was kicked, too")
		}
		if n := len(one.Conns()); n != 1 {
			t.Errorf("%d connections of one transport are open, want 1", n)
		}
		bob.Close(Client)
		for _, s := range []*Socket{ann.Socket, again.Socket, bob.Socket, gone.Socket, opening} {
			s.Release()
		}
		r.Drain(t.Context(), 0)
	})
}

func TestDrainSpreadsCloses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := New(Options{})
		sockets := slices.Concat(crowd(t, r.Transport("one", Timing{}), 3), crowd(t, r.Transport("other", Timing{}), 7))
		away := make(chan time.Duration)
		began := time.Now()
		go func() {
			r.SendAway(t.Context(), time.Second)
			away <- time.Since(began)
		}()
		for n := 1; n <= 10; n++ {
			synctest.Wait()
			if told := closedOf(sockets); told != n {
				t.Errorf("%d sockets were told after %v, want %d", told, time.Since(began), n)
			}
			if n < 10 {
				<-time.After(100 * time.Millisecond) // of the bubble
			}
		}
		if took := <-away; took != 900*time.Millisecond {
			t.Errorf("it took %v", took)
		}
	})
}

// The other replicas see no more than twice the mean rate at any moment, though clients come back when they are told.
func TestDrainedClientsComeBackEvenly(t *testing.T) {
	t.Parallel()
	const (
		count  = 2000
		spread = 4 * time.Second
		width  = 500 * time.Millisecond
		mean   = count / (float64(spread+maxReconnectDelay) / float64(width))
	)
	synctest.Test(t, func(t *testing.T) {
		r := New(Options{})
		sockets := crowd(t, r.Transport("x", Timing{}), count)
		began := time.Now()
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			r.SendAway(t.Context(), spread)
		}()
		back := make([]int, (spread+maxReconnectDelay)/width+1)
		told := map[*Socket]bool{}
		for len(told) < count {
			synctest.Wait()
			for _, s := range sockets {
				if s.Closed() && !told[s] {
					told[s] = true
					back[(time.Since(began)+reconnectDelay())/width]++
				}
			}
			<-time.After(20 * time.Millisecond) // of the bubble
		}
		<-gone
		if peak := slices.Max(back); float64(peak) > 2*mean {
			t.Errorf("clients come back, per %v: %v; want at most %.0f", width, back, 2*mean)
		}
	})
}

// Each pause ends a little late. With many sockets that must not add up: what is not told when the drain's time is over is cut off.
func TestDrainOfManySocketsEndsInTime(t *testing.T) {
	t.Parallel()
	r := New(Options{})
	sockets := crowd(t, r.Transport("x", Timing{}), 30_000)
	began := time.Now()
	r.SendAway(t.Context(), 500*time.Millisecond)
	if took := time.Since(began); took > 4*time.Second || closedOf(sockets) != len(sockets) {
		t.Errorf("it took %v, want little more than half a second; %d of %d were told", took, closedOf(sockets), len(sockets))
	}
}

// A drain that is called off leaves the rest open.
func TestSendAwayEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := New(Options{})
		sockets := crowd(t, r.Transport("x", Timing{}), 10)
		ctx, cancel := context.WithTimeout(t.Context(), 450*time.Millisecond)
		defer cancel()
		r.SendAway(ctx, time.Second)
		if told := closedOf(sockets); told != 5 {
			t.Errorf("%d were told, want 5", told)
		}
	})
}

// Drain waits for what sockets do, and for what goes on after them; when its time is over it cuts off who does not answer, and who was
// not told to go.
func TestDrainCutsOffTheRest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := New(Options{})
		transport := r.Transport("x", Timing{})
		polite, mute, late := newPeer(admit(t, transport)), newPeer(admit(t, transport)), newPeer(admit(t, transport))
		for _, p := range []*peer{polite, mute, late} {
			p.Open(p)
			r.Running.Go(func() { // reads
				<-p.over.Done()
				p.Release()
			})
		}
		close(polite.farewell)
		mute.Acquire()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		go func() {
			<-mute.over.Done()
			<-time.After(time.Second) // of the bubble: it takes that long to notice
			mute.Release()
		}()
		r.Drain(ctx, 3*time.Second) // the last one's turn would come after 2 s
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("it took %v, want 2s: until the cut, and what a socket does after it", took)
		}
		for _, p := range []*peer{polite, mute, late} {
			if p.Reason().Label != LabelDrain || len(p.onClose) != 1 {
				t.Errorf("closed for %v, hook %v", p.Reason(), p.onClose)
			}
		}
		if r.Count() != 0 {
			t.Errorf("%d sockets are left", r.Count())
		}
	})
}
