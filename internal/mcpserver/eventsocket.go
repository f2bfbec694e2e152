package mcpserver

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"layercake/internal/auth"
	"layercake/internal/fault"
	"layercake/internal/presence"
	"layercake/internal/socket"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
)

// eventTiming is the timing of streams that a client listens to. A client sends nothing on them, so a comment that it took is heard of it.
var eventTiming = socket.Timing{Ping: 15 * time.Second, Silence: 60 * time.Second, Write: 10 * time.Second}

// eventSocket is a stream of events that stays open until the client goes, or is sent away. The goroutine of its request owns it: it waits
// for ending, writes the last event, and calls end.
type eventSocket struct {
	*socket.Socket
	*stream

	ctx     context.Context //nolint:containedctx // it is that of the request, and ends with it
	cancel  context.CancelFunc
	open    prometheus.Gauge // open streams of this kind
	release func()           // ends the hold of the client's credential
	ending  chan struct{}    // closed when the socket was closed: nothing but the last event is written from then on
}

// admit opens a stream of a kind for the agent of a call, or answers the request and returns nil.
func (h *Handler) admit(w http.ResponseWriter, r *http.Request, c call, kind string) *eventSocket {
	s := h.streams.Admit(w, r)
	if s == nil {
		return nil
	}
	e := &eventSocket{Socket: s, stream: h.newStream(w), open: h.metrics.streams.WithLabelValues(kind), ending: make(chan struct{})}
	e.ctx, e.cancel = context.WithCancel(r.Context())
	s.SetUser(userOf(c.Principal))
	e.release = func() {}
	if h.keeper != nil {
		e.release = h.keeper.Hold(c.Principal, func(err error) { e.Close(socket.Unauthorized(fault.From(err).Message)) })
	}
	_ = e.control.SetReadDeadline(time.Time{}) // a client that listens sends nothing
	w.Header().Set("Content-Type", "text/event-stream")
	e.open.Inc()
	s.Open(e)
	return e
}

// userOf is the id by which operators send a client away: that of the account, or of an agent without one.
func userOf(p auth.Principal) string {
	if p.Account != 0 {
		return strconv.Itoa(int(p.Account))
	}
	return p.ID
}

// end ends the stream: nobody writes to its response any more.
func (e *eventSocket) end() {
	reason := socket.Client
	if e.isSlow() {
		reason = socket.Slow
	}
	e.Close(reason) // unless there is another one
	e.cancel()
	e.release()
	e.finish()
	e.open.Dec()
	e.Release()
}

// Ping sends a comment, which whatever is between takes for life.
func (e *eventSocket) Ping() {
	if e.comment() == nil {
		e.Hear()
	}
}

// Goodbye tells the owner to write the last event.
func (e *eventSocket) Goodbye(socket.Reason) { close(e.ending) }

// Abort ends every write, so that the owner does not wait for the client.
func (e *eventSocket) Abort() {
	e.cancel()
	_ = e.control.SetWriteDeadline(time.Unix(1, 0))
}

// OnClose does nothing: the owner stops what it does for the client.
func (e *eventSocket) OnClose(socket.Reason) {}

// seen makes the listener a guest of the projects that it listens to, so that an operator who sends one of them away ends the stream.
func (e *eventSocket) seen(l *listener) {
	var guests []uuid.UUID
	for _, id := range l.projects() {
		l.handler.see(l.call, id)
		guests = append(guests, presence.GuestID(id, l.call.Actor.ID))
	}
	e.SetGuests(guests...)
}

// event writes a message of JSON-RPC.
func (e *eventSocket) event(message []byte) error {
	err := e.write("event: message\ndata: ", message, "\n\n")
	if err != nil {
		e.Cut(socket.Slow)
	}
	return err
}
