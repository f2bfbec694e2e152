package mcpserver

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"layercake/internal/agent"
	"layercake/internal/auth"
	"layercake/internal/budget"
	"layercake/internal/caller"
	"layercake/internal/executor"
	"layercake/internal/fault"
	"layercake/internal/graphdata"
	"layercake/internal/plan"
	"layercake/internal/presence"
	"layercake/internal/project"
	"layercake/internal/socket"
	"layercake/internal/source"
	"layercake/internal/task"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/google/uuid"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/prometheus/client_golang/prometheus"
)

// Options are what a handler serves, and serves it with.
type Options struct {
	Rights    *auth.Rights
	Keeper    *auth.Keeper // ends streams for what has ended; nil for nothing
	PublicURL *url.URL     // address at which clients reach this deployment; nil for that of the request
	Issuer    string       // identity provider whose access tokens let clients in; "" for none
	Scopes    []string     // what such tokens may name
	Plans     *plan.Service
	Proposals *plan.Proposals
	Projects  *project.Service
	Presence  *presence.Tracker
	Agents    *agent.Service
	Sources   *source.Service
	Graphs    *graphdata.Service
	Executor  *executor.Service
	Sockets   *socket.Registry
	Budget    *budget.Budget
	Version   string                    // of the server, for clients to show
	Schema    string                    // of GraphQL, in its definition language
	Health    func(context.Context) any // what the health check says, to be written as JSON
	Log       *slog.Logger
	Metrics   prometheus.Registerer
	Timing    socket.Timing // of streams; zero for eventTiming

	// Fixtures adds what suites call; nil outside of tests.
	Fixtures func(*mcp.Server)
}

// Handler serves `/mcp`. Make it with New.
type Handler struct {
	rights    *auth.Rights
	keeper    *auth.Keeper
	publicURL *url.URL
	issuer    string
	scopes    []string
	plans     *plan.Service
	proposals *plan.Proposals
	projects  *project.Service
	presence  *presence.Tracker
	agents    *agent.Service
	sources   *source.Service
	graphs    *graphdata.Service
	executor  *executor.Service
	budget    *budget.Budget
	log       *slog.Logger
	guard     *task.Guard
	streams   *socket.Transport
	writeTime time.Duration // limit for a client to take what is written to a stream
	metrics   *metrics
	watches   watches
	schema    string
	health    func(context.Context) any

	server *mcp.Server
	tools  map[string]definition
	known  map[reflect.Type]*jsonschema.Schema

	asJSON, asStream http.Handler // SDK, one request for itself
}

// New returns a handler with all tools.
func New(o Options) *Handler {
	timing := cmp.Or(o.Timing, eventTiming)
	h := &Handler{
		rights: o.Rights, keeper: o.Keeper, publicURL: o.PublicURL, issuer: o.Issuer, scopes: o.Scopes,
		plans: o.Plans, proposals: o.Proposals, projects: o.Projects, presence: o.Presence, agents: o.Agents, budget: o.Budget, log: o.Log,
		sources: o.Sources, graphs: o.Graphs, executor: o.Executor,
		guard: task.NewGuard(o.Log, o.Metrics, "mcp"), metrics: newMetrics(o.Metrics), tools: map[string]definition{}, known: knownSchemas(),
		streams: o.Sockets.Transport(caller.MCP, timing, socket.LabelKicked), writeTime: timing.Write,
		watches: watches{of: map[topic]*watch{}}, schema: o.Schema, health: o.Health,
	}
	h.server = mcp.NewServer(&mcp.Implementation{
		Name: "layercake", Title: "Layercake", Version: o.Version, Icons: []mcp.Icon{icon},
	}, &mcp.ServerOptions{
		Instructions: instructions, PageSize: pageSize, SetCacheable: cacheable, Logger: slog.New(slog.DiscardHandler),
		SubscribeHandler: h.subscribe, UnsubscribeHandler: h.unsubscribe,
		CompletionHandler: h.complete,
		Capabilities: &mcp.ServerCapabilities{
			Tools: &mcp.ToolCapabilities{}, Resources: &mcp.ResourceCapabilities{Subscribe: true}, Prompts: &mcp.PromptCapabilities{},
		},
	})
	h.server.AddReceivingMiddleware(h.narrow, h.inTurn)
	h.server.AddSendingMiddleware(askInTime)
	h.addProjectTools()
	h.addPlanTools()
	h.addChangeTools()
	h.addProposalTools()
	h.addPeopleTools()
	h.addDataTools()
	h.addGraphTools()
	h.addAnalysisTools()
	h.addResources()
	h.addPrompts()
	if o.Fixtures != nil {
		o.Fixtures(h.server)
	}
	always := func(*http.Request) *mcp.Server { return h.server }
	h.asJSON = mcp.NewStreamableHTTPHandler(always, h.streamable(true))
	h.asStream = mcp.NewStreamableHTTPHandler(always, h.streamable(false))
	return h
}

// streamable are the SDK's options for a request by itself. The host and the origin are checked before it, by the server's routes.
func (h *Handler) streamable(asJSON bool) *mcp.StreamableHTTPOptions {
	return &mcp.StreamableHTTPOptions{
		Stateless: true, JSONResponse: asJSON, PropagateRequestCancellation: true, DisableLocalhostProtection: true,
		Logger: slog.New(slog.DiscardHandler), MaxRequestBodyBytes: maxBody,
	}
}

// ServeHTTP serves a request of a client.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !h.checked(w, r) {
		return
	}
	scope, err := parseScope(r.URL.RawQuery)
	if err != nil {
		refuse(w, r, err, nil)
		return
	}
	switch name := r.Header.Get(sessionHeader); {
	case r.Method == http.MethodPost:
		h.post(w, r, scope)
	case name != "" && (r.Method == http.MethodGet || r.Method == http.MethodDelete):
		h.beside(w, r, scope, name)
	case r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html"):
		servePage(w, r)
	default:
		w.Header().Set("Allow", "POST")
		http.Error(w, "Method Not Allowed: send JSON-RPC by POST", http.StatusMethodNotAllowed)
	}
}

// beside serves what a session has beside its messages: its stream, and its end.
func (h *Handler) beside(w http.ResponseWriter, r *http.Request, scope scope, name string) {
	s, ok := h.sessionOf(w, r, name, agent.HTTP, nil)
	if !ok {
		return
	}
	if r.Method == http.MethodDelete {
		h.endSession(w, r, s)
		return
	}
	scope, err := scope.within(s.Scope)
	if err != nil {
		refuse(w, r, err, nil)
		return
	}
	who, err := h.identify(r, clientInfo(s.Client), s.ID)
	if err != nil {
		refuse(w, r, err, nil)
		return
	}
	h.hearSession(w, r, call{requester: who, scope: scope, session: s.ID, onGone: onGone(r.Context())}, s)
}

// post serves a message. A stream of updates begins when answer has returned, because the frame of answer is large and a stream may stay
// open for days: the stack of each would be twice as large.
func (h *Handler) post(w http.ResponseWriter, r *http.Request, scope scope) {
	if listen := h.answer(w, r, scope); listen != nil {
		listen()
	}
}

// answer answers a message, or returns what serves the stream that it asks for.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, scope scope) (listen func()) {
	hold, err := h.budget.Begin(r.Context(), caller.From(r.Context()).Network())
	if err != nil {
		refuse(w, r, err, nil)
		return nil
	}
	defer hold.Close()
	body, e, ok := h.readMessage(w, r, hold, maxBody)
	if !ok {
		return nil
	}
	asJSON, asStream := accepts(r.Header)
	version := r.Header.Get(versionHeader)
	modern := version >= modernVersion
	switch {
	case !asJSON && !asStream:
		answerError(w, r, http.StatusNotAcceptable, e.ID, jsonrpc.CodeInvalidRequest,
			"Accept names neither application/json nor text/event-stream", nil)
		return nil
	case version != "" && !modern && !slices.Contains(mcp.SupportedProtocolVersions(), version):
		answerError(w, r, http.StatusBadRequest, e.ID, jsonrpc.CodeInvalidRequest,
			fmt.Sprintf("There is no version %q of the protocol here, only %s", fault.Clip(version), join(mcp.SupportedProtocolVersions())), nil)
		return nil
	case !modern && e.ID != nil && e.Method != "" && (!methods[e.Method] || e.Method == listenMethod):
		answerError(w, r, http.StatusOK, e.ID, jsonrpc.CodeMethodNotFound, fmt.Sprintf("There is no method %q", fault.Clip(e.Method)), nil)
		return nil
	}
	h.metrics.requested(modern, e.Method)
	var s agent.Session
	if name := r.Header.Get(sessionHeader); name != "" && !modern {
		if s, ok = h.sessionOf(w, r, name, agent.HTTP, e.ID); !ok {
			return nil
		}
	}
	if err := checkBatch(body, s.Protocol); err != nil {
		refuse(w, r, err, nil)
		return nil
	}
	scope, err = scope.within(s.Scope)
	if err != nil {
		refuse(w, r, err, e.ID)
		return nil
	}
	client := e.client()
	if s.ID != uuid.Nil {
		client = clientInfo(s.Client)
	}
	who, err := h.identify(r, client, s.ID)
	if err != nil {
		refuse(w, r, err, e.ID)
		return nil
	}
	c := call{requester: who, scope: scope, session: s.ID, onGone: onGone(r.Context())}
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.Header.Set("Accept", "application/json, text/event-stream") // the SDK wants both of every client
	switch {
	case modern && e.Method == listenMethod:
		return h.listen(w, r, c, e, body)
	case s.ID != uuid.Nil:
		h.inSession(w, r, c, s, e, body, asStream)
	case !modern && e.Method == methodInitialize && asJSON:
		h.begin(w, r, c, e, body, h.asJSON)
	case asStream && (e.waits() || !asJSON):
		c.stream = h.newStream(w)
		defer c.stream.finish()
		if !modern && e.Method == methodInitialize {
			h.begin(c.stream, r, c, e, body, h.asStream)
			return nil
		}
		serve(h.asStream, c.stream, r.WithContext(withCall(r.Context(), c)), e)
	default:
		serve(h.asJSON, w, r.WithContext(withCall(r.Context(), c)), e)
	}
	return nil
}

// readMessage reads a message of at most so many bytes, or answers what is none.
func (h *Handler) readMessage(w http.ResponseWriter, r *http.Request, hold *budget.Hold, most int64) (body []byte, e envelope, ok bool) {
	body, err := readBody(w, r, hold, most)
	if err != nil {
		refuse(w, r, err, nil)
		return nil, e, false
	}
	e = parseEnvelope(body)
	if err := checkDepth(body); err != nil {
		refuse(w, r, err, e.ID)
		return nil, e, false
	}
	switch media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); {
	case !json.Valid(body):
		answerError(w, r, http.StatusBadRequest, e.ID, jsonrpc.CodeParseError, "The body is no JSON", nil)
	case media != "application/json":
		answerError(w, r, http.StatusUnsupportedMediaType, e.ID, jsonrpc.CodeInvalidRequest,
			fmt.Sprintf("Content-Type is %q, and must be application/json", fault.Clip(media)), nil)
	case !e.hasOwnID():
		answerError(w, r, http.StatusBadRequest, nil, jsonrpc.CodeInvalidRequest, "An id is a text, or an integer of at most 53 bits", nil)
	case e.ID != nil && e.Method == "" && e.Result == nil && e.Error == nil: // the SDK takes it for an answer
		answerError(w, r, http.StatusBadRequest, e.ID, jsonrpc.CodeInvalidRequest, "The message has no method, no result and no error", nil)
	default:
		return body, e, true
	}
	return nil, e, false
}

// bodyTime is for a whole body to arrive.
const bodyTime = time.Minute

// readBody reads a body of at most so many bytes into memory that the request holds. What is decoded of it takes some more.
func readBody(w http.ResponseWriter, r *http.Request, hold *budget.Hold, most int64) ([]byte, error) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime)) // writers without deadlines are those of tests
	tooLarge := errTooLarge.With("limit", most)
	if r.ContentLength > most {
		return nil, tooLarge
	}
	const decoded = 8 // bytes of memory for each of a body
	size := most
	if r.ContentLength >= 0 {
		size = r.ContentLength
	}
	if err := hold.Resize(r.Context(), decoded*size); err != nil {
		return nil, err
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	if limit := new(http.MaxBytesError); errors.As(err, &limit) {
		return nil, tooLarge
	}
	if err != nil {
		return nil, fault.New(fault.BadRequest, "The request body did not arrive")
	}
	_ = hold.Resize(r.Context(), decoded*int64(len(body))) // not more than before, so it cannot fail
	return body, nil
}

var errTooLarge = fault.New(fault.BadRequest, "The request body is too large")

// refuse answers a request that the SDK does not get to see, as an error of JSON-RPC.
func refuse(w http.ResponseWriter, r *http.Request, err error, id json.RawMessage) {
	f := fault.From(err)
	if f == nil {
		f = fault.New(fault.Unavailable, fault.Busy)
	}
	answer := caller.AnswerTo(f.Code)
	data := map[string]any{}
	if answer.Retry > 0 {
		w.Header().Set("Retry-After", "1")
		data["retryAfterMs"] = answer.Retry.Milliseconds()
	}
	maps.Copy(data, f.Details) // which may say more exactly when
	data["code"] = f.Code
	if f.Message == errTooLarge.Message {
		answer.Status = http.StatusRequestEntityTooLarge
	}
	answerError(w, r, answer.Status, id, jsonrpc.CodeInvalidRequest, f.Message, data)
}

// answerError answers a message with an error of the protocol.
func answerError(w http.ResponseWriter, r *http.Request, status int, id json.RawMessage, code int64, message string, data map[string]any) {
	if id == nil {
		id = json.RawMessage("null")
	}
	if data == nil {
		data = map[string]any{}
	}
	data["requestId"] = caller.From(r.Context()).RequestID
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(compact(map[string]any{
		"jsonrpc": "2.0", "id": id, "error": map[string]any{"code": code, "message": message, "data": data},
	}))
}

// narrow leaves out of lists what is not for the client. Each tool checks again when it is called.
func (h *Handler) narrow(next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, request mcp.Request) (mcp.Result, error) {
		result, err := next(ctx, method, request)
		list, ok := result.(*mcp.ListToolsResult)
		if !ok || err != nil {
			return result, err
		}
		c, err := callOf(ctx)
		if err != nil {
			return nil, err
		}
		shown := *list
		shown.Tools = []*mcp.Tool{}
		for _, t := range list.Tools {
			if c.scope.shows(h.tools[t.Name]) {
				shown.Tools = append(shown.Tools, t)
			}
		}
		return &shown, nil
	}
}

// pageSize is the number of tools, prompts or resources in one page of a list.
const pageSize = 100

// cacheable says how long a client may keep an answer: 5 minutes what the binary holds, not at all what belongs to projects or changes with
// the replica.
func cacheable(_ context.Context, request mcp.Request, c *mcp.Cacheable) {
	c.CacheScope, c.TTLMs = "private", 300_000
	switch request := request.(type) {
	case *mcp.ListResourcesRequest:
		c.TTLMs = 0
	case *mcp.ReadResourceRequest:
		if r, _, _ := resourceAt(request.Params.URI); !r.constant {
			c.TTLMs = 0
		}
	}
}
