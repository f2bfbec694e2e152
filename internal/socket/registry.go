// Package socket is the life of a long connection, whatever it speaks.
//
// A replica has one Registry. It lets connections in, keeps their clocks, and closes them: each for a Reason, many of them spread over
// a time when the replica drains. A transport adds what its connections speak: it embeds a Socket, or a WebSocket, and implements Conn.
//
//	Admit ─> Socket ─> Accept ─> WebSocket ─> Open(Conn) ─> ... Close or Cut, OnClose ... ─> Release
//	  │                                          │
//	  └─ counted from here on                    └─ pinged, and watched for silence, from here on
//
// A socket is closed once, for the first reason that anybody gives. It has ended when whatever it does has ended: the goroutine that
// reads, the goodbye, and all that counted itself by Acquire. The registry knows it until then, and Drain waits for it.
package socket

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"layercake/internal/fault"
	"layercake/internal/testsignal"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Timing is what the clocks of a transport's sockets are set to.
type Timing struct {
	Ping    time.Duration // between pings
	Silence time.Duration // without anything from the peer, before it is taken for gone
	Write   time.Duration // for one message
}

// DefaultTiming is what clients were promised.
var DefaultTiming = Timing{Ping: 30 * time.Second, Silence: 90 * time.Second, Write: 10 * time.Second}

// turns is into how many parts the time between pings is divided. The sockets take turns: the second ping of each comes earlier by some of
// these parts, so that those which were opened together are not pinged together for ever. No pause is longer than Timing.Ping.
const turns = 30

// Options are what a registry needs. Its zero values are fine.
type Options struct {
	PerAddress int                   // sockets that a client address may have open; 0 for any number
	Metrics    prometheus.Registerer // may be nil
}

// Registry knows the sockets of a replica, of all transports. Make it with New, and Run it while it serves.
type Registry struct {
	// Running counts the sockets, and what transports start for them that outlives them. Drain waits for it.
	Running sync.WaitGroup

	// Changed is said when a socket was opened, and when one has ended and was counted.
	Changed testsignal.Signal

	metrics   prometheus.Registerer
	addresses *addressLimit

	mu         sync.Mutex
	transports []*Transport
	draining   bool
	admitted   int // ever
	sockets    map[*Socket]struct{}
}

// New returns a registry without transports.
func New(o Options) *Registry {
	return &Registry{metrics: o.Metrics, addresses: newAddressLimit(o.PerAddress, o.Metrics), sockets: map[*Socket]struct{}{}}
}

// Transport is a kind of sockets.
type Transport struct {
	registry *Registry
	timing   Timing

	open   prometheus.Gauge
	opened prometheus.Counter
	closed *prometheus.CounterVec // by reason
}

// Transport adds a kind of sockets before Run. The labels are those of reasons that only it has. Without a timing it has the default.
func (r *Registry) Transport(name string, timing Timing, labels ...string) *Transport {
	if timing == (Timing{}) {
		timing = DefaultTiming
	}
	f := promauto.With(r.metrics)
	// The sockets of every transport share their names, so the transport is a constant label of each.
	const namespace = "layercake"
	transport := prometheus.Labels{"transport": name}
	t := &Transport{
		registry: r, timing: timing,
		open: f.NewGauge(prometheus.GaugeOpts{
			Namespace: namespace, Name: "sockets_open", Help: "WebSockets that are open now.", ConstLabels: transport,
		}),
		opened: f.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Name: "sockets_opened_total", Help: "WebSockets that were opened.", ConstLabels: transport,
		}),
		closed: f.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "sockets_closed_total", Help: "WebSockets that were closed.", ConstLabels: transport,
		}, []string{"reason"}),
	}
	for _, label := range slices.Concat(CommonLabels, labels) {
		t.closed.WithLabelValues(label) // 0 is a value too
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.transports = append(r.transports, t)
	return t
}

// Admit lets a socket in, which counts until it has ended. It answers a request that may not open one, and returns nil: while this
// replica is draining, and when the client's address has too many. Where the request's page comes from was checked before.
//
// The caller calls Release when nobody reads, or will read, from the socket any more.
func (t *Transport) Admit(w http.ResponseWriter, r *http.Request) *Socket {
	if !t.registry.addresses.admit(w, r) {
		return nil
	}
	s := &Socket{id: uuid.New(), transport: t, doing: 1}
	if !t.registry.add(s) {
		Busy(w)
		return nil
	}
	return s
}

// Busy answers a request that may be sent again in a moment.
func Busy(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "1")
	http.Error(w, fault.Busy, http.StatusServiceUnavailable)
}

// add counts a socket in, unless this replica is draining.
func (r *Registry) add(s *Socket) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.draining {
		return false
	}
	s.turn = r.admitted % turns
	r.admitted++
	r.sockets[s] = struct{}{}
	r.Running.Add(1)
	return true
}

func (r *Registry) remove(s *Socket) {
	r.mu.Lock()
	delete(r.sockets, s)
	r.mu.Unlock()
	r.Changed.Say()
	r.Running.Done()
}

// Count returns how many sockets there are.
func (r *Registry) Count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.sockets)
}

// all returns the sockets in any order.
func (r *Registry) all() []*Socket {
	r.mu.Lock()
	defer r.mu.Unlock()
	sockets := make([]*Socket, 0, len(r.sockets))
	for s := range r.sockets {
		sockets = append(sockets, s)
	}
	return sockets
}

// Conns returns the connections of this transport that are open, as they were given to Open.
func (t *Transport) Conns() []Conn {
	var conns []Conn
	for _, s := range t.registry.all() {
		if s.transport == t {
			if conn := s.opened(); conn != nil {
				conns = append(conns, conn)
			}
		}
	}
	return conns
}

// Run keeps the sockets' clocks until ctx ends: it pings each in its turn, and cuts off those that are silent.
func (r *Registry) Run(ctx context.Context) error {
	tick := time.NewTicker(r.shortestPing() / turns)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now := time.Now()
		for _, s := range r.all() {
			s.check(now)
		}
	}
}

func (r *Registry) shortestPing() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	shortest := DefaultTiming.Ping
	for _, t := range r.transports {
		shortest = min(shortest, t.timing.Ping)
	}
	return shortest
}

// Kick closes the sockets that match, tells their clients why, and returns how many there were. It does not wait for the clients.
func (r *Registry) Kick(match func(*Socket) bool, reason string) (kicked int) {
	for _, s := range r.all() {
		if match(s) && s.Close(Kicked(reason)) {
			kicked++
		}
	}
	return kicked
}

// SendAway refuses new sockets until Resume, and closes the open ones, evenly spread over a time, so that their clients do not come back
// all at once. It returns when each was told to go; when ctx ends before, it leaves the rest open.
func (r *Registry) SendAway(ctx context.Context, over time.Duration) {
	r.mu.Lock()
	r.draining = true
	r.mu.Unlock()
	sockets := r.all()
	began := time.Now()
	pause := time.NewTimer(0)
	defer pause.Stop()
	for i, s := range sockets {
		// Each has a moment of its own: pauses from one to the next would add up how late each of them ends.
		pause.Reset(time.Until(began.Add(over * time.Duration(i) / time.Duration(len(sockets)))))
		select {
		case <-pause.C:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			return
		}
		s.Close(drained())
	}
}

// Resume takes sockets again after SendAway.
func (r *Registry) Resume() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.draining = false
}

// Drain is SendAway for good. It returns when every socket has ended, and all that Running counts; when ctx ends before, it cuts off the
// connections that are left.
func (r *Registry) Drain(ctx context.Context, over time.Duration) {
	r.SendAway(ctx, over)
	stop := context.AfterFunc(ctx, func() {
		for _, s := range r.all() {
			s.Cut(drained())
		}
	})
	r.Running.Wait()
	stop()
}
