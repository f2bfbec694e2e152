package collab

import (
	"bufio"
	"context"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"layercake/internal/drain"
	"layercake/internal/fault"
	"layercake/internal/presence"

	"github.com/coder/websocket"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
)

// Options are what a handler needs.
type Options struct {
	Presence *presence.Tracker
	Log      *slog.Logger
	Metrics  prometheus.Registerer // may be nil

	// AllowOrigin decides about sockets that a page of another origin opens; nil allows none of them. It is not asked about
	// callers that are no browser, nor about pages of this server.
	AllowOrigin func(r *http.Request) bool
	// Open lets callers without a credential in. Without it, everybody is refused.
	Open bool
	// Timing is what sockets' clocks are set to; zero for DefaultTiming.
	Timing Timing
}

// Timing is what sockets' clocks are set to.
type Timing struct {
	Ping    time.Duration // between pings
	Silence time.Duration // without any frame
	Write   time.Duration // for one frame
	Refresh time.Duration // between news of when connected people were last heard of
}

// DefaultTiming is that of the protocol.
var DefaultTiming = Timing{Ping: 30 * time.Second, Silence: 90 * time.Second, Write: 10 * time.Second, Refresh: 50 * time.Second}

// Handler serves the sockets. Make it with New, and Run it while it serves.
type Handler struct {
	presence *presence.Tracker
	log      *slog.Logger
	metrics  *metrics
	allow    func(r *http.Request) bool
	open     bool
	timing   Timing

	running sync.WaitGroup // sockets, and what they do

	mu       sync.Mutex
	draining bool
	opened   int
	sockets  map[*socket]struct{}
}

// New returns a handler. It starts nothing; after Drain it refuses sockets.
func New(o Options) *Handler {
	if o.Timing == (Timing{}) {
		o.Timing = DefaultTiming
	}
	return &Handler{
		presence: o.Presence, log: o.Log, metrics: newMetrics(o.Metrics), allow: o.AllowOrigin, open: o.Open, timing: o.Timing,
		sockets: map[*socket]struct{}{},
	}
}

// ServeHTTP opens a socket. It returns once the connection is upgraded: the socket does not keep the request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		_, _ = websocket.Accept(w, r, nil) // it answers what is wrong
		return
	}
	project, err := strconv.ParseInt(r.URL.Query().Get("project_id"), 10, 32)
	switch {
	case err != nil:
		http.Error(w, "project_id is required: a 32-bit integer", http.StatusBadRequest)
		return
	case !h.originAllowed(r):
		http.Error(w, "This origin may not open sockets", http.StatusForbidden)
		return
	case !h.open:
		http.Error(w, "Sign in first", http.StatusUnauthorized)
		return
	}
	s := &socket{h: h, id: uuid.New()}
	if !h.enter(s) {
		refuse(w)
		return
	}
	s.room, err = h.presence.Enter(r.Context(), int32(project))
	if err != nil {
		h.leave(s)
		switch {
		case fault.Is(err, fault.NotFound):
			http.Error(w, err.Error(), http.StatusNotFound)
		case r.Context().Err() != nil:
		default:
			h.log.WarnContext(r.Context(), "open the room of a project", "error", err)
			refuse(w)
		}
		return
	}
	tap := &hijackTap{ResponseWriter: w}
	conn, err := websocket.Accept(tap, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true, // the origin was checked above
		OnPingReceived:     func(context.Context, []byte) bool { s.hear(); return true },
		OnPongReceived:     func(context.Context, []byte) { s.hear() },
	})
	if err != nil { // Accept has answered
		s.room.Exit()
		h.leave(s)
		return
	}
	h.metrics.socketsOpened.Inc()
	h.metrics.socketsOpen.Inc()
	s.begin(conn, tap.conn)
}

func refuse(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "1")
	http.Error(w, fault.Busy, http.StatusServiceUnavailable)
}

// hijackTap remembers the connection that is taken over through it, and gives it buffers of the size of our frames: those of the
// HTTP server would be half of what an idle socket takes.
type hijackTap struct {
	http.ResponseWriter
	conn *batchConn
}

const bufferSize = 512

// Hijack takes the connection over.
func (t *hijackTap) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffer, err := http.NewResponseController(t.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	t.conn = &batchConn{Conn: conn}
	in := bufio.NewReaderSize(conn, bufferSize)
	if n := buffer.Reader.Buffered(); n > 0 { // the client did not wait for the answer
		early, err := buffer.Reader.Peek(n)
		if err != nil {
			return nil, nil, err
		}
		in = bufio.NewReaderSize(strings.NewReader(string(early)), max(bufferSize, n))
		if _, err := in.Peek(n); err != nil {
			return nil, nil, err
		}
	}
	return t.conn, bufio.NewReadWriter(in, bufio.NewWriterSize(t.conn, bufferSize)), nil
}

// originAllowed checks where the page that opens a socket comes from. Callers that are no browser state no origin.
func (h *Handler) originAllowed(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || origin == "http://"+r.Host || origin == "https://"+r.Host {
		return true
	}
	return h.allow != nil && h.allow(r)
}

// enter counts a socket in, unless this replica is draining.
func (h *Handler) enter(s *socket) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.draining {
		return false
	}
	s.turn = h.opened
	h.opened++
	h.sockets[s] = struct{}{}
	h.running.Add(1)
	return true
}

func (h *Handler) leave(s *socket) {
	h.mu.Lock()
	delete(h.sockets, s)
	h.mu.Unlock()
	h.running.Done()
}

// all returns the sockets that are open.
func (h *Handler) all() []*socket {
	h.mu.Lock()
	defer h.mu.Unlock()
	sockets := make([]*socket, 0, len(h.sockets))
	for s := range h.sockets {
		sockets = append(sockets, s)
	}
	return sockets
}

// Sockets returns how many there are.
func (h *Handler) Sockets() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.sockets)
}

// Run keeps the sockets' clocks until ctx ends: it pings each in its turn, cuts off those that are silent, and says when people
// were last heard of.
func (h *Handler) Run(ctx context.Context) error {
	const turns = 30
	period := h.timing.Ping / turns
	tick := time.NewTicker(period)
	defer tick.Stop()
	silence := h.timing.Silence - 2*period // when that is over, others know
	refreshed := time.Now()
	for turn := 0; ; turn = (turn + 1) % turns {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now := time.Now()
		refresh := now.Sub(refreshed) >= h.timing.Refresh
		if refresh {
			refreshed = now
		}
		for _, s := range h.all() {
			heard := s.heardAt()
			switch {
			case heard.IsZero(): // it is being opened
				continue
			case now.Sub(heard) > silence:
				s.cut(closedSilent)
				continue
			case s.turn%turns == turn:
				s.ping()
			}
			if refresh {
				s.room.Touch(s.id, heard)
			}
		}
	}
}

// Kick closes the socket of a connection, and tells its client why. It reports whether there was one.
func (h *Handler) Kick(connection uuid.UUID, reason string) bool {
	for _, s := range h.all() {
		if s.id == connection {
			s.kick(reason)
			return true
		}
	}
	return false
}

// KickUser closes the sockets of everybody who joined under a user id, tells their clients why, and returns how many there were.
func (h *Handler) KickUser(id, reason string) (kicked int) {
	for _, s := range h.all() {
		if s.isUser(id) {
			s.kick(reason)
			kicked++
		}
	}
	return kicked
}

// Shed refuses new sockets until Admit, and closes the open ones with 1012, evenly spread over a time, so that their clients do not
// come back all at once. It returns when each was told to go; when ctx ends before, it leaves the rest open.
func (h *Handler) Shed(ctx context.Context, spread time.Duration) {
	h.mu.Lock()
	h.draining = true
	h.mu.Unlock()
	drain.Evenly(ctx, spread, h.all(), (*socket).drain)
}

// Admit takes sockets again after Shed.
func (h *Handler) Admit() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.draining = false
}

// Drain is Shed for good. It returns when every socket has ended and left; when ctx ends before, it cuts off the rest.
func (h *Handler) Drain(ctx context.Context, spread time.Duration) {
	h.Shed(ctx, spread)
	cut := context.AfterFunc(ctx, func() {
		for _, s := range h.all() {
			s.cut(closedDrain)
		}
	})
	h.running.Wait()
	cut()
}
