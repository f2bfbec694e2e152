package mcpserver

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"layercake/internal/agent"
	"layercake/internal/caller"
	"layercake/internal/fault"

	"github.com/google/uuid"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// ServeSSE serves the transport of 2024-11-05: a GET that stays open, and POSTs by whichever replica.
func (h *Handler) ServeSSE(w http.ResponseWriter, r *http.Request) {
	if !h.checked(w, r) {
		return
	}
	switch r.Method {
	case http.MethodGet:
		h.openSSE(w, r)
	case http.MethodPost:
		h.postSSE(w, r)
	default:
		w.Header().Set("Allow", "GET, POST")
		http.Error(w, "Method Not Allowed", http.StatusMethodNotAllowed)
	}
}

// openSSE opens the stream of a new session.
func (h *Handler) openSSE(w http.ResponseWriter, r *http.Request) {
	scope, err := parseScope(r.URL.RawQuery)
	if err != nil {
		refuse(w, r, err, nil)
		return
	}
	id := uuid.New()
	who, err := h.identify(r, clientInfo{}, id)
	if err == nil {
		err = h.agents.Create(r.Context(), agent.Session{
			ID: id, Transport: agent.SSE, Network: caller.From(r.Context()).Network(), Scope: scope.query(),
			Hello: agent.Hello{AgentID: who.Actor.ID, AgentName: who.Actor.Name},
		})
	}
	if err != nil {
		refuse(w, r, err, nil)
		return
	}
	defer h.forgetSession(r.Context(), id)
	box, err := h.agents.OpenStream(r.Context(), id)
	if err != nil {
		refuse(w, r, err, nil)
		return
	}
	defer box.Close()
	c := call{requester: who, scope: scope, session: id, onGone: onGone(r.Context())}
	e := h.admit(w, r, c, sseStream)
	if e == nil {
		return
	}
	defer e.end()
	h.runSSE(e, r, c, box)
}

// runSSE lets the SDK serve the messages of a session on its stream.
func (h *Handler) runSSE(e *eventSocket, r *http.Request, c call, box *agent.Mailbox) {
	c.stream = e.stream
	c.turns = make(chan struct{}, maxFinished)
	talk := new(atomic.Pointer[call])
	talk.Store(&c)
	ctx, cancel := context.WithCancel(context.WithValue(e.ctx, callKey{}, talk))
	defer cancel()
	answers := &answers{stream: e.stream, open: make(chan struct{}, maxUnanswered), turns: c.turns}
	transport := &mcp.SSEServerTransport{Endpoint: "/mcp/sse?session=" + c.session.String(), Response: answers, MaxRequestBodyBytes: maxBody}
	session, err := h.server.Connect(ctx, transport, nil)
	if err != nil {
		return // the client has gone
	}
	defer session.Close() //nolint:errcheck // it has nothing to lose
	l := h.newListener(c)
	l.markNew = true
	defer l.stop()
	begun := false // the client has said who it is
	hear := func(body []byte) error {
		message := parseEnvelope(body)
		h.metrics.requested(false, message.Method)
		isRequest := message.ID != nil && message.Method != ""
		begins := isRequest && message.Method == methodInitialize
		again := begins && begun
		if begins && !again {
			h.introduce(ctx, r, talk, message, body)
		}
		if isRequest && !answers.expect(e) {
			return e.event(compact(map[string]any{"jsonrpc": "2.0", "id": message.ID, "error": map[string]any{
				"code": jsonrpc.CodeInternalError, "message": fmt.Sprintf("%d requests of the session have no answer yet, which are all that may: "+
					"read the answers", maxUnanswered), "data": map[string]any{"code": fault.RateLimited},
			}}))
		}
		known := methods[message.Method] && message.Method != listenMethod
		if isRequest && (!known || again || deliver(ctx, transport, body) >= http.StatusBadRequest) {
			answers.came()
			code, what := int64(jsonrpc.CodeInvalidRequest), "The request is wrong: method, id or parameters are not as they must be"
			switch {
			case !known:
				code, what = jsonrpc.CodeMethodNotFound, fmt.Sprintf("There is no method %q", fault.Clip(message.Method))
			case again:
				what = "The session has begun already"
			}
			return e.event(compact(map[string]any{"jsonrpc": "2.0", "id": message.ID, "error": map[string]any{"code": code, "message": what}}))
		}
		if !isRequest {
			deliver(ctx, transport, body)
		}
		begun = begun || begins
		return nil
	}
	_ = l.run(e, h.sessionInbox(e, l, box, c.session, hear), func(uri string) error {
		return e.event(notification(resourceUpdated, map[string]any{"uri": uri}))
	})
}

const (
	maxUnanswered = agent.MaxMessages // requests of a session that the SDK works at, or whose answers the client does not read
	maxFinished   = 2                 // of those, how many have their answer, or will at once
	roomTime      = time.Second       // for one of them to be answered, before another is refused
)

// answers is the response that the SDK writes to. It counts the requests that are not answered: the SDK keeps each with its answer until
// the client has read what comes before, so a client that does not read would have it keep any number.
type answers struct {
	*stream

	open  chan struct{} // one for each request without an answer
	turns chan struct{} // those of the session's calls
}

// expect notes that a request is about to be given to the SDK, and reports whether it may be: it waits a little for room.
func (a *answers) expect(e *eventSocket) bool {
	late := time.NewTimer(roomTime)
	defer late.Stop()
	select {
	case a.open <- struct{}{}:
		return true
	case <-late.C:
	case <-e.ctx.Done():
	case <-e.ending:
	}
	return false
}

// came notes that a request was answered.
func (a *answers) came() {
	select {
	case <-a.open:
	default:
	}
}

// Write writes an event, which the SDK writes in one piece.
func (a *answers) Write(event []byte) (int, error) {
	n, err := a.stream.Write(event)
	_, rest, _ := bytes.Cut(event, []byte("data: "))
	data, _, _ := bytes.Cut(rest, []byte("\n"))
	if message := parseEnvelope(data); message.ID != nil && message.Method == "" {
		a.came()
		select {
		case <-a.turns:
		default: // the SDK answered by itself
		}
	}
	return n, err
}

// inTurn lets few requests of a stream of 2024 have an answer that the client has not read, since each may be large. The others wait before
// they are worked at. A call that waits for something itself takes its turn when it has its answer, so that it holds up nobody.
func (h *Handler) inTurn(next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, request mcp.Request) (mcp.Result, error) {
		c, err := callOf(ctx)
		if err != nil || c.turns == nil || strings.HasPrefix(method, "notifications/") {
			return next(ctx, method, request)
		}
		e := envelope{Method: method}
		if called, ok := request.(*mcp.CallToolRequest); ok {
			e.Params.Name = called.Params.Name
			_ = json.Unmarshal(called.Params.Arguments, &e.Params.Arguments) // the tool says what is wrong with them
		}
		var result mcp.Result
		quick := h.isQuick(e)
		if !quick {
			result, err = next(ctx, method, request)
		}
		select {
		case c.turns <- struct{}{}:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if quick {
			return next(ctx, method, request)
		}
		return result, err
	}
}

// introduce notes who the client says that it is.
func (h *Handler) introduce(ctx context.Context, r *http.Request, talk *atomic.Pointer[call], e envelope, body []byte) {
	c := *talk.Load()
	who, err := h.identify(r, e.client(), c.session)
	if err != nil {
		return // the SDK says what is wrong with the message
	}
	hello, err := e.hello(body, who)
	if err != nil {
		return
	}
	c.requester = who
	talk.Store(&c)
	if err := h.agents.Introduce(ctx, c.session, hello); err != nil {
		h.log.DebugContext(ctx, "note who a client is", "error", err)
	}
}

// forgetTime is for the row of a session whose stream has ended to be removed.
const forgetTime = 3 * time.Second

// forgetSession removes a session that ends with its stream. Where that fails, the clean-up does it a day later.
func (h *Handler) forgetSession(ctx context.Context, id uuid.UUID) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), forgetTime)
	defer cancel()
	if err := h.agents.Delete(ctx, id); err != nil && !fault.Is(err, fault.NotFound) {
		h.log.DebugContext(ctx, "remove the session of a stream", "error", err)
	}
}

// postSSE accepts a message for the stream of a session.
func (h *Handler) postSSE(w http.ResponseWriter, r *http.Request) {
	hold, err := h.budget.Begin(r.Context(), caller.From(r.Context()).Network())
	if err != nil {
		refuse(w, r, err, nil)
		return
	}
	defer hold.Close()
	body, e, ok := h.readMessage(w, r, hold, agent.MaxMessage)
	if !ok {
		return
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	name := query.Get("session")
	if query.Del("session"); err != nil || len(query) > 0 { // a misspelt or late read_only must not be taken for one that holds
		refuse(w, r, fault.New(fault.BadRequest, "The address has more than session: what a client may do its stream was told"), e.ID)
		return
	}
	s, ok := h.sessionOf(w, r, name, agent.SSE, e.ID)
	if !ok {
		return
	}
	if !strings.HasPrefix(strings.TrimSpace(string(body[:min(len(body), 100)])), "{") {
		answerError(w, r, http.StatusBadRequest, nil, jsonrpc.CodeInvalidRequest, "The body is no single message", nil)
		return
	}
	h.accept(w, r, h.agents.Send(r.Context(), s.ID, "", body))
}
