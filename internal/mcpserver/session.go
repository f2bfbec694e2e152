package mcpserver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"layercake/internal/agent"
	"layercake/internal/auth"
	"layercake/internal/caller"
	"layercake/internal/fault"
	"layercake/internal/task"

	"github.com/google/uuid"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// newestHandshake is the newest version that begins with initialize.
const newestHandshake = "2025-11-25"

const (
	methodInitialize = "initialize"
	methodCall       = "tools/call"
	methodCancelled  = "notifications/cancelled"
)

// negotiated returns the version that client and server speak after an initialize for a version, by the rule of the SDK.
func negotiated(version string) string {
	if version < modernVersion && slices.Contains(mcp.SupportedProtocolVersions(), version) {
		return version
	}
	return newestHandshake
}

// hello returns what a client said in initialize, for the row of its session.
func (e envelope) hello(body []byte, who requester) (agent.Hello, error) {
	var message struct{ Params json.RawMessage }
	var params mcp.InitializeParams
	err := json.Unmarshal(body, &message)
	if err == nil && (message.Params == nil || string(message.Params) == "null") {
		return agent.Hello{}, fault.New(fault.BadRequest, "initialize needs parameters")
	}
	if err == nil {
		err = json.Unmarshal(message.Params, &params)
	}
	if err != nil {
		return agent.Hello{}, fault.New(fault.BadRequest, "The parameters of initialize are wrong: "+fault.JSONReason(err))
	}
	return agent.Hello{
		Protocol: negotiated(params.ProtocolVersion), Client: agent.Client(e.client()), Parameters: message.Params,
		AgentID: who.Actor.ID, AgentName: who.Actor.Name,
	}, nil
}

// begin answers initialize of a version before 2026 with a session, which is a row: any replica serves what comes next.
func (h *Handler) begin(w http.ResponseWriter, r *http.Request, c call, e envelope, body []byte, next http.Handler) {
	message, err := jsonrpc.DecodeMessage(body)
	if request, ok := message.(*jsonrpc.Request); err != nil || !ok || !request.IsCall() {
		serve(next, w, r.WithContext(withCall(r.Context(), c)), e) // which says what is wrong
		return
	}
	id := uuid.New()
	who, err := h.identify(r, e.client(), id)
	if err == nil {
		c.requester = who
		var hello agent.Hello
		if hello, err = e.hello(body, who); err == nil {
			err = h.agents.Create(r.Context(), agent.Session{
				ID: id, Transport: agent.HTTP, Network: caller.From(r.Context()).Network(), Scope: c.scope.query(), Hello: hello,
			})
		}
	}
	if err != nil {
		refuse(w, r, err, e.ID)
		return
	}
	c.session = id
	w.Header().Set(sessionHeader, id.String())
	serve(next, w, r.WithContext(withCall(r.Context(), c)), e)
}

// sessionOf returns the session that a request names, after it has answered one whose session is not known.
func (h *Handler) sessionOf(w http.ResponseWriter, r *http.Request, name, transport string, id json.RawMessage) (s agent.Session, ok bool) {
	parsed, err := uuid.Parse(name)
	if err == nil {
		s, err = h.agents.Get(r.Context(), parsed)
	}
	switch f := fault.From(err); {
	case err == nil && s.Transport == transport && owns(caller.From(r.Context()).Principal, s):
		return s, true
	case err == nil || f == nil || f.Code == fault.NotFound:
		answerError(w, r, http.StatusNotFound, id, jsonrpc.CodeInvalidRequest,
			"Session not found: it was ended, or silent for 24 hours. Send initialize to begin another one", nil)
	default:
		refuse(w, r, err, id)
	}
	return agent.Session{}, false
}

// owns reports whether a session belongs to who sends a request. Those of accounts are bound to the token that began them; those of callers
// without a credential are whoever's that knows their id, which nobody can guess.
func owns(p auth.Principal, s agent.Session) bool {
	if p.Account != 0 {
		return s.AgentID == p.ID
	}
	_, err := uuid.Parse(s.AgentID) // the ids of accounts and tokens are no UUIDs
	return err == nil
}

// inSession serves a message of a session. What needs a word of the client gets the session as the SDK knows it, restored from its row.
// Everything else is served as a request by itself.
func (h *Handler) inSession(w http.ResponseWriter, r *http.Request, c call, s agent.Session, e envelope, body []byte, asStream bool) {
	switch {
	case e.Method == "" && e.ID != nil && (e.Result != nil || e.Error != nil):
		h.accept(w, r, h.agents.Send(r.Context(), s.ID, answerKey(e.ID), body))
		return
	case e.Method == methodCancelled:
		h.accept(w, r, h.agents.SendPassing(r.Context(), s.ID, cancelKey(e.Params.RequestID), body))
		return
	case !asStream || h.isQuick(e):
		serve(h.asJSON, w, r.WithContext(withCall(r.Context(), c)), e)
		return
	}
	var params mcp.InitializeParams
	if err := json.Unmarshal(s.Parameters, &params); err != nil {
		refuse(w, r, fmt.Errorf("read the parameters of a session: %w", err), e.ID)
		return
	}
	out := h.newStream(w)
	defer out.finish()
	c.stream, c.asking = out, true
	ctx, cancel := context.WithCancel(withCall(r.Context(), c))
	defer cancel()
	transport := &mcp.StreamableServerTransport{SessionID: s.ID.String()}
	session, err := h.server.Connect(ctx, transport, &mcp.ServerSessionOptions{State: &mcp.ServerSessionState{
		InitializeParams: &params, InitializedParams: &mcp.InitializedParams{}, NegotiatedProtocolVersion: s.Protocol, LogLevel: "info",
	}})
	if err != nil {
		refuse(w, r, err, e.ID)
		return
	}
	defer session.Close() //nolint:errcheck // it has nothing to lose
	q := &questions{stream: out, handler: h, call: c, ctx: ctx, transport: transport}
	defer q.end()
	q.await(cancelKey(e.ID), func(body []byte) []byte { return body })
	serve(transport, q, r.WithContext(ctx), e)
}

// isQuick reports whether a message is answered at once, without a word of the client.
func (h *Handler) isQuick(e envelope) bool {
	d, known := h.tools[e.Params.Name]
	return e.Method != methodCall || known && !d.asks && !e.waits()
}

// accept answers a message that was handed to whoever waits for it, on whichever replica, or not, for an error.
func (h *Handler) accept(w http.ResponseWriter, r *http.Request, err error) {
	if err != nil {
		refuse(w, r, err, nil)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

// The keys under which calls wait for messages: for the answer to a question by its id, and for the cancellation of a call by the call's.
func answerKey(id json.RawMessage) string { return "answer " + string(id) }
func cancelKey(id json.RawMessage) string { return "cancel " + string(id) }

// questions is the response to a call of a session that may ask its client something. The SDK numbers the questions of each call from 1,
// and two calls may run on two replicas, so a question goes out under an id of its own. Its answer comes by whichever replica.
type questions struct {
	*stream

	handler   *Handler
	call      call
	ctx       context.Context //nolint:containedctx // it is that of the request
	transport *mcp.StreamableServerTransport

	mu      sync.Mutex
	ended   bool
	waiting []*task.Task
	stops   []func()
}

// answerTime is how long a person may take to answer. Tests shorten it.
var answerTime = 2 * time.Minute

// Write writes an event, which the SDK writes in one piece.
func (q *questions) Write(event []byte) (int, error) {
	before, rest, found := bytes.Cut(event, []byte("data: "))
	data, after, whole := bytes.Cut(rest, []byte("\n"))
	var message struct {
		ID     json.RawMessage `json:"id"`
		Method string          `json:"method"`
	}
	if !found || !whole || json.Unmarshal(data, &message) != nil || message.ID == nil || message.Method == "" {
		return q.stream.Write(event)
	}
	asked := json.RawMessage(`"` + uuid.NewString() + `"`)
	q.await(answerKey(asked), func(answer []byte) []byte {
		if answer == nil {
			answer = unanswered
		}
		return withID(answer, message.ID)
	})
	q.keepAlive()
	if _, err := q.stream.Write(slices.Concat(before, []byte("data: "), withID(data, asked), []byte("\n"), after)); err != nil {
		return 0, err
	}
	return len(event), nil
}

// withID returns a message with another id.
func withID(message []byte, id json.RawMessage) []byte {
	var members map[string]json.RawMessage
	if json.Unmarshal(message, &members) != nil {
		return message
	}
	members["id"] = id
	return compact(members)
}

// unanswered is what the SDK gets for an answer that does not come.
var unanswered = compact(map[string]any{"jsonrpc": "2.0", "error": errUnanswered})

var errUnanswered = &jsonrpc.Error{Code: -32000, Message: "Nobody answered in time"}

// askInTime ends a question whose client hangs up, which the SDK would ask for ever. It also ends one that nobody answers on a stream of
// SSE, whose answers do not pass through questions. The SDK tells the client.
func askInTime(next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, request mcp.Request) (mcp.Result, error) {
		c, err := callOf(ctx)
		if method != "elicitation/create" || err != nil {
			return next(ctx, method, request)
		}
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		defer c.onGone(stop)()
		if c.asking {
			return next(ctx, method, request)
		}
		waiting, late := context.WithTimeoutCause(ctx, answerTime, errUnanswered)
		defer late()
		result, err := next(waiting, method, request)
		if err != nil && ctx.Err() == nil && errors.Is(context.Cause(waiting), errUnanswered) {
			return nil, errUnanswered
		}
		return result, err
	}
}

// await gives the SDK the first message that comes under a key. Mend gets nil when none comes in time, and returns nil for nothing.
func (q *questions) await(key string, mend func([]byte) []byte) {
	box, err := q.handler.agents.OpenCall(q.call.session, key)
	if err != nil {
		return // an id that no message can have
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended {
		box.Close()
		return
	}
	q.waiting = append(q.waiting, task.Go(q.ctx, func(ctx context.Context) error {
		defer box.Close()
		waiting, cancel := context.WithTimeout(ctx, answerTime)
		defer cancel()
		body, err := box.Await(waiting)
		if ctx.Err() != nil {
			return nil // the call has ended
		}
		if err != nil {
			body = nil
		}
		return q.handler.guard.Do(func() error {
			if message := mend(body); message != nil {
				deliver(ctx, q.transport, message)
			}
			return nil
		})
	}))
}

// keepAlive sends signs of life until the call ends: a person may think for long.
func (q *questions) keepAlive() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.ended {
		q.stops = append(q.stops, q.handler.keepAlive(q.ctx, q.call))
	}
}

// end stops all waiting. What the SDK writes from now on waits for nothing.
func (q *questions) end() {
	q.mu.Lock()
	q.ended = true
	waiting, stops := q.waiting, q.stops
	q.mu.Unlock()
	for _, t := range waiting {
		_ = t.Stop() // it has no result
	}
	for _, stop := range stops {
		stop()
	}
}

// deliver gives a message to the SDK as if it had come by a request of its own, and returns the status that it would have got.
func deliver(ctx context.Context, to http.Handler, body []byte) int {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "/mcp", bytes.NewReader(body))
	if err != nil {
		return http.StatusBadRequest
	}
	r.Header.Set("Content-Type", "application/json")
	d := &discarded{header: http.Header{}, status: http.StatusOK}
	to.ServeHTTP(d, r)
	return d.status
}

// discarded is a response that nobody reads.
type discarded struct {
	header http.Header
	status int
}

func (d *discarded) Header() http.Header         { return d.header }
func (d *discarded) Write(b []byte) (int, error) { return len(b), nil }
func (d *discarded) WriteHeader(status int)      { d.status = status }

// subscribe and unsubscribe serve those methods of versions before 2026. A name of a foreign scheme is taken, as clients expect it, but
// nothing is kept of it: it never changes here.
func (h *Handler) subscribe(ctx context.Context, r *mcp.SubscribeRequest) error {
	c, err := callOf(ctx)
	if err != nil {
		return err
	}
	uri := r.Params.URI
	_, _, known := resourceAt(uri)
	t, changes := listenable(uri)
	switch {
	case c.session == uuid.Nil:
		return errNeedsSession
	case changes && !h.mayListen(ctx, c, t.project): // as when it is read
		return mcp.ResourceNotFoundError(uri)
	case !known && strings.HasPrefix(uri, scheme):
		return mcp.ResourceNotFoundError(uri)
	case !known:
		return nil
	}
	return protocolError(h.agents.Subscribe(ctx, c.session, uri))
}

func (h *Handler) unsubscribe(ctx context.Context, r *mcp.UnsubscribeRequest) error {
	c, err := callOf(ctx)
	if err != nil {
		return err
	}
	if c.session == uuid.Nil {
		return errNeedsSession
	}
	return protocolError(h.agents.Unsubscribe(ctx, c.session, r.Params.URI))
}

var errNeedsSession = &jsonrpc.Error{Code: jsonrpc.CodeInvalidRequest, Message: "Subscriptions need a session: send initialize first"}

// protocolError returns a fault as an error of the protocol, and everything else as it is.
func protocolError(err error) error {
	if f := fault.From(err); f != nil {
		return &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: f.Message, Data: compact(map[string]any{"code": f.Code})}
	}
	return err
}

// hearSession serves the stream of a session: updates of what it is subscribed to. Before the first, everything counts as changed: whoever
// subscribed on one replica and listens on another has missed what came in between.
func (h *Handler) hearSession(w http.ResponseWriter, r *http.Request, c call, s agent.Session) {
	box, err := h.agents.OpenStream(r.Context(), s.ID)
	if err != nil {
		refuse(w, r, err, nil)
		return
	}
	defer box.Close()
	e := h.admit(w, r, c, sessionStream)
	if e == nil {
		return
	}
	defer e.end()
	if e.comment() != nil {
		return
	}
	l := h.newListener(c)
	defer l.stop()
	l.markNew = true
	_ = l.run(e, h.sessionInbox(e, l, box, s.ID, nil), func(uri string) error {
		return e.event(notification(resourceUpdated, map[string]any{"uri": uri}))
	})
}

// inbox is what a stream takes from a session's mailbox whenever it wakes. Nil for a stream that belongs to no session.
type inbox struct {
	wake <-chan struct{}
	take func() error // its error ends the stream
}

// sessionInbox returns the inbox of the stream of a session: messages go to hear, and changed subscriptions to the listener.
func (h *Handler) sessionInbox(e *eventSocket, l *listener, box *agent.Mailbox, session uuid.UUID, hear func([]byte) error) inbox {
	return inbox{box.Wake(), func() error {
		bodies, err := box.Take(e.ctx)
		for _, body := range bodies {
			if err := hear(body); err != nil {
				return err
			}
		}
		if errors.Is(err, agent.ErrReplaced) || fault.Is(err, fault.NotFound) {
			return err
		}
		for { // after another failure the mailbox wakes again by itself; changed subscriptions it tells only once
			uris, err := h.agents.Subscriptions(e.ctx, session)
			if err == nil {
				l.set(e.ctx, uris)
				return nil
			}
			if task.Pause(e.ctx, watchRetry); e.ctx.Err() != nil {
				return context.Cause(e.ctx)
			}
		}
	}}
}

// endSession serves DELETE.
func (h *Handler) endSession(w http.ResponseWriter, r *http.Request, s agent.Session) {
	switch err := h.agents.Delete(r.Context(), s.ID); {
	case err == nil, fault.Is(err, fault.NotFound):
		w.WriteHeader(http.StatusNoContent)
	default:
		refuse(w, r, err, nil)
	}
}
