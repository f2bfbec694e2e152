// Package graph serves the core over GraphQL: HTTP, subscriptions over WebSockets, and the errors that clients see.
package graph

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"layercake/internal/drain"
	"layercake/internal/plan"
	"layercake/internal/presence"
	"layercake/internal/project"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/executor"
	"github.com/99designs/gqlgen/graphql/handler/extension"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/vektah/gqlparser/v2/ast"
)

// Options are what a handler needs.
type Options struct {
	Plans    *plan.Service
	Projects *project.Service
	Presence *presence.Tracker
	Log      *slog.Logger
	Metrics  prometheus.Registerer // may be nil

	// AllowOrigin decides about sockets that a page of another origin opens; nil allows none of them. It is not asked about
	// callers that are no browser, nor about pages of this server.
	AllowOrigin func(r *http.Request) bool
	// Open lets callers without a credential in. Without it, everybody is refused.
	Open bool
}

// Handler serves GraphQL. Make it with New.
type Handler struct {
	exec      *executor.Executor
	errors    *presenter
	metrics   *metrics
	allow     func(r *http.Request) bool
	open      bool
	maxBody   int64
	largeBody chan struct{} // a slot for each body over largeBodySize that is held in memory
	timing    socketTiming
	answers   *answerCache
	unshared  bool // every subscriber executes for itself: what sharing is measured against

	running       sync.WaitGroup // sockets, and the producers of subscriptions
	subscriptions atomic.Int64

	mu       sync.Mutex
	draining bool
	sockets  map[*socket]struct{}
}

// New returns a handler. It starts nothing; after Drain it refuses sockets.
func New(o Options) *Handler {
	h := &Handler{
		errors: &presenter{log: o.Log}, metrics: newMetrics(o.Metrics), allow: o.AllowOrigin, open: o.Open,
		maxBody: maxBody, largeBody: make(chan struct{}, largeBodies), timing: defaultTiming, sockets: map[*socket]struct{}{},
	}
	h.answers = newAnswerCache(h.metrics)
	r := &Resolver{
		plans: o.Plans, projects: o.Projects, presence: o.Presence, errors: h.errors, metrics: h.metrics, running: &h.running,
	}
	config := Config{Resolvers: r}
	setComplexity(&config.Complexity)
	schema := NewExecutableSchema(config)

	h.exec = executor.New(schema)
	h.exec.SetErrorPresenter(h.errors.present)
	h.exec.SetRecoverFunc(recovered)
	h.exec.SetParserTokenLimit(maxTokens)
	h.exec.SetDisableSuggestion(true)
	h.exec.SetDefaultRulesFn(validationRules)
	documents := newDocumentCache()
	h.exec.SetQueryCache(documents)
	h.exec.Use(extension.Introspection{})
	h.exec.Use(&limits{schema: schema, documents: documents})
	h.exec.AroundOperations(h.measure)
	h.exec.AroundOperations(h.share)
	h.exec.AroundRootFields(withFieldTimeout)
	h.exec.AroundResponses(capErrors)
	h.exec.AroundResponses(r.withLoaders)
	return h
}

// HTTP serves /graphql: POST, GET for queries, and GraphiQL for browsers in open mode.
func (h *Handler) HTTP() http.Handler { return http.HandlerFunc(h.serveHTTP) }

// WebSocket serves /graphql/ws: the protocol graphql-transport-ws.
func (h *Handler) WebSocket() http.Handler { return http.HandlerFunc(h.serveSocket) }

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

// Drain is Shed for good. It returns when every socket and subscription has ended; when ctx ends before, it cuts off the rest.
func (h *Handler) Drain(ctx context.Context, spread time.Duration) {
	h.Shed(ctx, spread)
	cut := context.AfterFunc(ctx, func() {
		for _, s := range h.all() {
			s.abort(closedDrain)
		}
	})
	h.running.Wait()
	cut()
}

// Sockets returns how many there are.
func (h *Handler) Sockets() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.sockets)
}

// Subscriptions returns how many run.
func (h *Handler) Subscriptions() int { return int(h.subscriptions.Load()) }

// fieldTime is what each field of a query or mutation may take. Events have limits of their own.
const fieldTime = 5 * time.Second

// withFieldTimeout ends what a field waits for after fieldTime: a database whose network is lost without a word would keep it for a
// quarter of an hour.
func withFieldTimeout(ctx context.Context, next graphql.RootResolver) graphql.Marshaler {
	ctx, cancel := context.WithTimeout(ctx, fieldTime)
	defer cancel()
	return next(ctx)
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

// measure counts operations and times them by kind and outcome.
func (h *Handler) measure(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
	kind := graphql.GetOperationContext(ctx).Operation.Operation
	inFlight := h.metrics.inFlight.WithLabelValues(string(kind))
	inFlight.Inc()
	if kind == ast.Subscription {
		h.subscriptions.Add(1)
	}
	start, answered, ended := time.Now(), false, false
	responses := next(ctx)
	return func(ctx context.Context) *graphql.Response {
		response := responses(ctx)
		if !answered && response != nil {
			answered = true
			h.metrics.latency.WithLabelValues(string(kind), outcome(codes(response.Errors))).Observe(time.Since(start).Seconds())
		}
		if !ended && (response == nil || kind != ast.Subscription) {
			ended = true
			inFlight.Dec()
			if kind == ast.Subscription {
				h.subscriptions.Add(-1)
			}
		}
		return response
	}
}
