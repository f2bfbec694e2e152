package collab

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"layercake/internal/auth"
	"layercake/internal/caller"
	"layercake/internal/fault"
	"layercake/internal/presence"
	"layercake/internal/socket"

	"github.com/coder/websocket"
	"github.com/prometheus/client_golang/prometheus"
)

// Options are what a handler needs.
type Options struct {
	Sockets  *socket.Registry
	Rights   *auth.Rights
	Look     caller.Look  // finds out whom a token belongs to; nil for nobody
	Keeper   *auth.Keeper // ends what is open for what has ended; nil for nothing
	Presence *presence.Tracker
	Log      *slog.Logger
	Metrics  prometheus.Registerer // may be nil

	// Timing sets the clocks of sockets; zero for the default.
	Timing socket.Timing
	// Refresh is the pause between updates of the times at which connected people were last heard of; zero for the default.
	Refresh time.Duration
}

// defaultRefresh keeps these times less than a minute old.
const defaultRefresh = 50 * time.Second

// Handler serves the sockets. Make it with New, and Run it while it serves.
type Handler struct {
	sockets  *socket.Transport
	rights   *auth.Rights
	look     caller.Look
	keeper   *auth.Keeper
	presence *presence.Tracker
	log      *slog.Logger
	metrics  *metrics
	refresh  time.Duration
}

// New returns a handler. It starts nothing.
func New(o Options) *Handler {
	h := &Handler{
		sockets: o.Sockets.Transport(caller.Collaboration, o.Timing, labels...),
		rights:  o.Rights, look: o.Look, keeper: o.Keeper, presence: o.Presence, log: o.Log, metrics: newMetrics(o.Metrics), refresh: o.Refresh,
	}
	if h.refresh == 0 {
		h.refresh = defaultRefresh
	}
	return h
}

// ServeHTTP opens a socket. It returns once the connection is upgraded: the socket does not keep the request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		_, _ = websocket.Accept(w, r, nil) // answers that the request is no WebSocket's
		return
	}
	project, err := strconv.ParseInt(r.URL.Query().Get("project_id"), 10, 32)
	if err != nil {
		http.Error(w, "project_id is required: a 32-bit integer", http.StatusBadRequest)
		return
	}
	if err := caller.From(r.Context()).Check(); err != nil {
		refuse(w, err)
		return
	}
	admitted := h.sockets.Admit(w, r)
	if admitted == nil {
		return
	}
	room, access, err := h.enter(r.Context(), int32(project))
	if err != nil {
		admitted.Release()
		if f := fault.From(err); f != nil && f.Code != fault.Unavailable {
			refuse(w, err)
		} else if r.Context().Err() == nil {
			h.log.WarnContext(r.Context(), "open the room of a project", "error", err)
			socket.Busy(w)
		}
		return
	}
	conn := admitted.Accept(w, r)
	if conn == nil {
		room.Exit()
		return
	}
	begin(h, room, conn, caller.From(r.Context()), access)
}

// enter opens the room of a project, if the caller may be in it.
func (h *Handler) enter(ctx context.Context, projectID int32) (*presence.Room, auth.Access, error) {
	access, err := h.rights.Project(ctx, caller.Principal(ctx, ""), projectID)
	if err != nil {
		return nil, access, err
	}
	room, err := h.presence.Enter(ctx, access)
	return room, access, err
}

// refuse answers with a fault.
func refuse(w http.ResponseWriter, err error) {
	f := fault.From(err)
	http.Error(w, f.Message, caller.AnswerTo(f.Code).Status)
}

// Run updates the times at which connected people were last heard of, until ctx ends.
func (h *Handler) Run(ctx context.Context) error {
	tick := time.NewTicker(h.refresh)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for _, conn := range h.sockets.Conns() {
			s := conn.(*session)
			s.Protect(func() { s.room.Touch(s.ID(), s.Heard()) })
		}
	}
}
