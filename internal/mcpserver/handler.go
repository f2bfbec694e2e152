package mcpserver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"layercake/internal/auth"
	"layercake/internal/budget"
	"layercake/internal/caller"
	"layercake/internal/fault"
	"layercake/internal/plan"
	"layercake/internal/presence"
	"layercake/internal/project"
	"layercake/internal/socket"
	"layercake/internal/task"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/prometheus/client_golang/prometheus"
)

// Options are what a handler serves, and serves it with.
type Options struct {
	Plans    *plan.Service
	Projects *project.Service
	Presence *presence.Tracker
	Sockets  *socket.Registry
	Budget   *budget.Budget
	Version  string // of the server, for clients to show
	Log      *slog.Logger
	Metrics  prometheus.Registerer
}

// Handler serves `/mcp`. Make it with New.
type Handler struct {
	plans    *plan.Service
	projects *project.Service
	presence *presence.Tracker
	budget   *budget.Budget
	log      *slog.Logger
	guard    *task.Guard
	streams  *socket.Transport
	metrics  *metrics

	server *mcp.Server
	tools  map[string]definition
	known  map[reflect.Type]*jsonschema.Schema

	asJSON, asStream http.Handler // SDK, one request for itself
}

// New returns a handler with all tools.
func New(o Options) *Handler {
	h := &Handler{
		plans: o.Plans, projects: o.Projects, presence: o.Presence, budget: o.Budget, log: o.Log,
		guard: task.NewGuard(o.Log, o.Metrics, "mcp"), metrics: newMetrics(o.Metrics), tools: map[string]definition{}, known: knownSchemas(),
		streams: o.Sockets.Transport(caller.MCP, eventTiming, socket.LabelKicked),
	}
	h.server = mcp.NewServer(&mcp.Implementation{
		Name: "layercake", Title: "Layercake", Version: o.Version, Icons: []mcp.Icon{icon},
	}, &mcp.ServerOptions{
		Instructions: instructions, PageSize: pageSize, SetCacheable: cacheable, Logger: slog.New(slog.DiscardHandler),
		Capabilities: &mcp.ServerCapabilities{Tools: &mcp.ToolCapabilities{}},
	})
	h.server.AddReceivingMiddleware(h.narrow)
	h.addProjectTools()
	h.addPlanTools()
	h.addChangeTools()
	h.addPeopleTools()
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
	from := caller.From(r.Context())
	if err := from.Check(); err != nil {
		refuse(w, r, err, nil)
		return
	}
	scope, err := parseScope(r.URL.Query())
	if err != nil {
		refuse(w, r, err, nil)
		return
	}
	switch r.Method {
	case http.MethodPost:
		h.post(w, r, scope)
	case http.MethodGet:
		h.get(w, r)
	default:
		w.Header().Set("Allow", "GET, POST")
		http.Error(w, "Method Not Allowed", http.StatusMethodNotAllowed)
	}
}

// get answers a browser with a page, and everybody else with what to do: there is no session to listen to.
func (h *Handler) get(w http.ResponseWriter, r *http.Request) {
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		servePage(w, r)
		return
	}
	w.Header().Set("Allow", "POST")
	http.Error(w, "Method Not Allowed: send JSON-RPC by POST", http.StatusMethodNotAllowed)
}

// post serves a message.
func (h *Handler) post(w http.ResponseWriter, r *http.Request, scope scope) {
	hold, err := h.budget.Begin(r.Context(), caller.From(r.Context()).Network())
	if err != nil {
		refuse(w, r, err, nil)
		return
	}
	defer hold.Close()
	body, err := readBody(w, r, hold)
	if err != nil {
		refuse(w, r, err, nil)
		return
	}
	e := parseEnvelope(body)
	if err := checkDepth(body); err != nil {
		refuse(w, r, err, e.ID)
		return
	}
	asJSON, asStream := accepts(r.Header)
	version := r.Header.Get(versionHeader)
	modern := version >= modernVersion
	switch media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); {
	case !json.Valid(body):
		answerError(w, r, http.StatusBadRequest, e.ID, jsonrpc.CodeParseError, "The body is no JSON", nil)
		return
	case media != "application/json":
		answerError(w, r, http.StatusUnsupportedMediaType, e.ID, jsonrpc.CodeInvalidRequest,
			fmt.Sprintf("Content-Type is %q, and must be application/json", fault.Clip(media)), nil)
		return
	case !asJSON && !asStream:
		answerError(w, r, http.StatusNotAcceptable, e.ID, jsonrpc.CodeInvalidRequest,
			"Accept names neither application/json nor text/event-stream", nil)
		return
	case version != "" && !modern && !slices.Contains(mcp.SupportedProtocolVersions(), version):
		answerError(w, r, http.StatusBadRequest, e.ID, jsonrpc.CodeInvalidRequest,
			fmt.Sprintf("There is no version %q of the protocol here, only %s", fault.Clip(version), join(mcp.SupportedProtocolVersions())), nil)
		return
	case !modern && e.ID != nil && e.Method != "" && !methods[e.Method]:
		answerError(w, r, http.StatusOK, e.ID, jsonrpc.CodeMethodNotFound, fmt.Sprintf("There is no method %q", fault.Clip(e.Method)), nil)
		return
	}
	h.metrics.requested(modern, e.Method)
	gone := r.Context()
	c := call{
		agent: agentOf(r, e.client()), scope: scope,
		onGone: func(f func()) (stop func() bool) { return context.AfterFunc(gone, f) },
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.Header.Set("Accept", "application/json, text/event-stream") // the SDK wants both of every client
	if modern && e.Method == listenMethod {
		hold.Close() // a stream may stay open for days
		h.listen(w, r.WithContext(withCall(r.Context(), c)), e.ID, body)
		return
	}
	next := h.asJSON
	if asStream && (e.waits() || !asJSON) {
		c.stream = newStream(w)
		w, next = c.stream, h.asStream
	}
	next.ServeHTTP(w, r.WithContext(withCall(r.Context(), c)))
}

// agentOf returns who sends a request.
func agentOf(r *http.Request, client clientInfo) agent {
	name := r.Header.Get(AgentHeader)
	if name == "" {
		name = client.Title
	}
	if name == "" {
		name = client.Name
	}
	if name == "" {
		name = "Agent"
	}
	key := name + " " + caller.From(r.Context()).Network().String()
	return agent{actor: auth.Anonymous(key), key: key}
}

// bodyTime is for a whole body to arrive.
const bodyTime = time.Minute

// readBody reads a body into memory that the request holds. What is decoded of it takes some more.
func readBody(w http.ResponseWriter, r *http.Request, hold *budget.Hold) ([]byte, error) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime)) // writers without deadlines are those of tests
	if r.ContentLength > maxBody {
		return nil, errTooLarge
	}
	const decoded = 8 // bytes of memory for each of a body
	size := int64(maxBody)
	if r.ContentLength >= 0 {
		size = r.ContentLength
	}
	if err := hold.Resize(r.Context(), decoded*size); err != nil {
		return nil, err
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return nil, errTooLarge
	}
	if err != nil {
		return nil, fault.New(fault.BadRequest, "The request body did not arrive")
	}
	_ = hold.Resize(r.Context(), decoded*int64(len(body))) // not more than before, so it cannot fail
	return body, nil
}

var errTooLarge = fault.New(fault.BadRequest, fmt.Sprintf("The request body is too large, at most %d bytes", maxBody))

// refuse answers a request that the SDK does not get to see, as an error of JSON-RPC.
func refuse(w http.ResponseWriter, r *http.Request, err error, id json.RawMessage) {
	f := fault.From(err)
	if f == nil {
		f = fault.New(fault.Unavailable, fault.Busy)
	}
	answer := caller.AnswerTo(f.Code)
	data := map[string]any{"code": f.Code}
	if answer.Retry > 0 {
		w.Header().Set("Retry-After", "1")
		data["retryAfterMs"] = answer.Retry.Milliseconds()
	}
	if f == errTooLarge {
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

// cacheable says how long a client may keep an answer: lists of what the binary holds for 5 minutes, what belongs to projects not at all.
func cacheable(_ context.Context, _ mcp.Request, c *mcp.Cacheable) {
	c.CacheScope, c.TTLMs = "private", 300_000
}
