// Package socket is the life of a long connection, whatever it speaks.
//
// A replica has one Registry. It admits connections, pings them, cuts off silent ones, and closes them: each for a Reason, and all of them,
// spread over a time, when the replica drains. A transport adds what its connections speak: it embeds a Socket, or a WebSocket, and
// implements Conn.
//
//	Admit ─> Socket ─> Accept ─> WebSocket ─> Open(Conn) ─> ... Close or Cut, OnClose ... ─> Release
//	  │                                          │
//	  └─ counted from here on                    └─ pinged, and watched for silence, from here on
//
// A socket closes in this order:
//
//  1. Close or Cut marks it closed and keeps the reason. Only the first call does: one socket has one reason, however many give one. From
//     now on Acquire fails, nothing is sent, and nothing that arrives is handed to the transport.
//  2. Conn.OnClose stops the work that the transport does for the client.
//  3. Conn.Goodbye sends the close frame and waits some seconds for the client's, in a goroutine, so Close does not wait. Cut calls
//     Conn.Abort instead, or beside it, which ends that wait.
//  4. The connection ends, which wakes the goroutine that reads. It cleans up and calls Release.
//  5. The last Release, of the reader, of the goodbye or of other work, ends the socket: the registry forgets it.
//
// A socket may be closed while its connection is still being accepted. Then Open, which gives it the connection, goes on at step 2.
//
// Drain waits until every socket has ended, and cuts connections off when its time is over. So when Drain returns, no goroutine of a socket
// uses anything that the replica closes next.
package socket

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"layercake/internal/caller"
	"layercake/internal/fault"
	"layercake/internal/task"
	"layercake/internal/testsignal"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Timing sets the clocks of a transport's sockets.
type Timing struct {
	Ping    time.Duration // pause between pings
	Silence time.Duration // time without anything from the peer after which it is taken for gone
	Write   time.Duration // limit for one message
}

// DefaultTiming is the timing that clients were promised.
var DefaultTiming = Timing{Ping: 30 * time.Second, Silence: 90 * time.Second, Write: 10 * time.Second}

// turns is the number of parts that the pause between pings is divided into. The sockets take turns: the second ping of each comes earlier
// by some of these parts, so that sockets which were opened together are not pinged together for ever. No pause is longer than Timing.Ping.
const turns = 30

// Options are what a registry needs. Its zero values are fine.
type Options struct {
	PerAddress int                   // limit of open sockets of one client address; 0 for none
	PerAccount int                   // limit of open sockets of one account; 0 for none
	Log        *slog.Logger          // may be nil
	Metrics    prometheus.Registerer // may be nil
}

// Registry knows the sockets of a replica, of all transports. Make it with New, and Run it while it serves.
type Registry struct {
	// Running counts the sockets, and goroutines of transports that may outlive them. Drain waits for all.
	Running sync.WaitGroup

	// Changed is said when a socket was opened, and when one has ended and was counted.
	Changed testsignal.Signal

	metrics   prometheus.Registerer
	guard     *task.Guard
	addresses *addressLimit
	accounts  *accountLimit

	mu         sync.Mutex
	transports []*Transport
	draining   bool
	admitted   int // number of sockets that were ever admitted
	sockets    map[*Socket]struct{}
}

// New returns a registry without transports.
func New(o Options) *Registry {
	refused := newRefused(o.Metrics)
	return &Registry{
		metrics: o.Metrics, guard: task.NewGuard(o.Log, o.Metrics, "socket"), sockets: map[*Socket]struct{}{},
		addresses: newAddressLimit(o.PerAddress, refused.WithLabelValues("address")),
		accounts:  newAccountLimit(o.PerAccount, refused.WithLabelValues("account")),
	}
}

// Transport is a kind of sockets.
type Transport struct {
	registry *Registry
	timing   Timing

	open   prometheus.Gauge
	opened prometheus.Counter
	closed *prometheus.CounterVec // label: reason
}

// Transport adds a kind of sockets before Run. The labels are those of reasons that only it has. A zero timing stands for DefaultTiming.
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

// Admit admits a socket, which counts until it has ended. While this replica is draining, and when the client's address or account has too
// many sockets, it answers the request instead and returns nil. The origin of the request was checked before.
//
// The caller owes one Release, which it calls when nobody reads, or will read, from the socket any more.
func (t *Transport) Admit(w http.ResponseWriter, r *http.Request) *Socket {
	if !t.registry.addresses.admit(w, r) {
		return nil
	}
	s := &Socket{id: uuid.New(), transport: t, active: 1}
	if !t.registry.add(s) {
		Busy(w)
		return nil
	}
	if err := s.Own(caller.From(r.Context()).Account); err != nil {
		s.Release()
		tooMany(w, fault.From(err).Message)
		return nil
	}
	return s
}

// retryAfter is how long a client that has too many sockets is told to wait.
const retryAfter = 10 * time.Second

// tooMany answers a request of a client that has too many sockets.
func tooMany(w http.ResponseWriter, text string) {
	w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter.Seconds())))
	http.Error(w, text, http.StatusTooManyRequests)
}

func newRefused(metrics prometheus.Registerer) *prometheus.CounterVec {
	return promauto.With(metrics).NewCounterVec(prometheus.CounterOpts{
		Namespace: "layercake", Name: "sockets_refused_total",
		Help: "Sockets that were refused because their client address, or their account, had too many open.",
	}, []string{"limit"})
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
	r.accounts.release(s)
	r.Changed.Say()
	r.Running.Done()
}

// Count returns how many sockets there are.
func (r *Registry) Count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.sockets)
}

// all returns the sockets in any order. It copies them, so that their methods are called without the mutex.
func (r *Registry) all() []*Socket {
	r.mu.Lock()
	defer r.mu.Unlock()
	sockets := make([]*Socket, 0, len(r.sockets))
	for s := range r.sockets {
		sockets = append(sockets, s)
	}
	return sockets
}

// Conns returns the open connections of this transport, as Open got them.
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

// Run pings each socket in its turn and cuts off those that are silent, until ctx ends.
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

// Kick closes the sockets that match, for a reason that their clients see, and returns their number. It does not wait for the clients.
func (r *Registry) Kick(match func(*Socket) bool, reason string) (kicked int) {
	for _, s := range r.all() {
		if match(s) && s.Close(Kicked(reason)) {
			kicked++
		}
	}
	return kicked
}

// SendAway refuses new sockets until Resume, and closes the open ones, evenly spread over a time, so that their clients do not connect
// again all at once. It returns when the last was closed; when ctx ends before, it leaves the rest open.
func (r *Registry) SendAway(ctx context.Context, over time.Duration) {
	r.mu.Lock()
	r.draining = true
	r.mu.Unlock()
	sockets := r.all()
	began := time.Now()
	pause := time.NewTimer(0)
	defer pause.Stop()
	for i, s := range sockets {
		// The moments are counted from the beginning: pauses from one socket to the next would add up how late each of them ends.
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

// Drain is SendAway for good. It returns when every socket, and whatever else Running counts, has ended. When ctx ends before that, it cuts
// off the connections that are left; a socket that is cut off does not wait for its client, so Drain returns soon after.
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
