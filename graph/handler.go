// Package graph serves the core over GraphQL.
package graph

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"layercake/internal/auth"
	"layercake/internal/budget"
	"layercake/internal/caller"
	"layercake/internal/collaborator"
	builds "layercake/internal/executor"
	"layercake/internal/graphdata"
	"layercake/internal/plan"
	"layercake/internal/presence"
	"layercake/internal/project"
	"layercake/internal/socket"
	"layercake/internal/source"
	"layercake/internal/task"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/executor"
	"github.com/99designs/gqlgen/graphql/handler/extension"
	"github.com/google/uuid"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/vektah/gqlparser/v2/ast"
	"golang.org/x/sync/semaphore"
)

// Options are what a handler needs.
type Options struct {
	Sockets       *socket.Registry
	Requests      *caller.Requests // limits the operations of an account on sockets; nil for no limit
	Accounts      *auth.Accounts
	Look          caller.Look  // finds out whom a token of a socket belongs to; nil for nobody
	Keeper        *auth.Keeper // ends what is open for what has ended; nil for nothing
	Rights        *auth.Rights
	Collaborators *collaborator.Service
	Plans         *plan.Service
	Proposals     *plan.Proposals
	Projects      *project.Service
	Sources       *source.Service
	Graphs        *graphdata.Service
	Builds        *builds.Service
	Presence      *presence.Tracker
	Log           *slog.Logger
	Metrics       prometheus.Registerer // may be nil

	Budget    *budget.Budget   // nil for the smallest
	PublicURL *url.URL         // address at which browsers reach this deployment; nil when unknown
	GraphiQL  http.HandlerFunc // answers browsers that show the address; nil for none

	// Sockets are greeted with these.
	Incarnation func() uuid.UUID // of this replica; nil for none
	Version     string           // of this binary
	Page        string           // hash of the index page; empty for none

	// Pace is the least that clients have to send and take; zero for the default.
	Pace Pace
	// Timing sets the clocks of sockets; zero for the default.
	Timing socket.Timing
	// InitTimeout is the time for a socket's connection_init to come; zero for the default.
	InitTimeout time.Duration
	// Patience is how long a large request waits for its turn, and how long a root field takes; zero for the default.
	Patience time.Duration
}

// Handler serves GraphQL. Make it with New.
type Handler struct {
	exec        *executor.Executor
	errors      *presenter
	metrics     *metrics
	budget      *budget.Budget
	pace        Pace
	maxBody     int64
	turns       *semaphore.Weighted // of large requests to be decoded and checked
	patience    time.Duration
	packer      packer
	sockets     *socket.Transport
	initTimeout time.Duration
	incarnation func() uuid.UUID
	version     string
	page        string
	publicURL   *url.URL
	requests    *caller.Requests
	look        caller.Look
	keeper      *auth.Keeper
	graphiQL    http.HandlerFunc
	answers     *answerCache
	unshared    bool // every subscriber executes each event for itself; tests and benchmarks compare sharing with that

	subscriptions atomic.Int64
}

// hold calls ended when the credential of a principal has ended.
func (h *Handler) hold(p auth.Principal, ended func(error)) (release func()) {
	if h.keeper == nil {
		return func() {}
	}
	return h.keeper.Hold(p, ended)
}

// New returns a handler. It starts nothing.
func New(o Options) *Handler {
	h := &Handler{
		errors: &presenter{log: o.Log, guard: task.NewGuard(nil, o.Metrics, "graphql")}, metrics: newMetrics(o.Metrics),
		budget: o.Budget, pace: cmp.Or(o.Pace, DefaultPace), maxBody: maxBody,
		turns: semaphore.NewWeighted(int64(max(1, runtime.GOMAXPROCS(0)/2))), patience: cmp.Or(o.Patience, patience),
		packer:  newPacker(),
		sockets: o.Sockets.Transport(caller.GraphQL, o.Timing, labels...), initTimeout: cmp.Or(o.InitTimeout, defaultInitTimeout),
		incarnation: o.Incarnation, version: o.Version, page: o.Page, graphiQL: o.GraphiQL, publicURL: o.PublicURL,
	}
	if h.budget == nil {
		h.budget = budget.New(budget.Config{})
	}
	h.requests, h.look, h.keeper = o.Requests, o.Look, o.Keeper
	h.answers = newAnswerCache(h.metrics)
	r := &Resolver{
		keeper: o.Keeper, accounts: o.Accounts, rights: o.Rights, collaborators: o.Collaborators,
		plans: o.Plans, proposals: o.Proposals, projects: o.Projects, sources: o.Sources, graphs: o.Graphs, builds: o.Builds,
		presence: o.Presence, errors: h.errors, metrics: h.metrics,
		running: &o.Sockets.Running, pastReads: semaphore.NewWeighted(pastReads), patience: h.patience,
	}
	r.planCosts, _ = lru.New[int32, int64](knownPlans) // it fails only for a size below 1
	config := Config{Resolvers: r}
	setComplexity(&config.Complexity)
	schema := NewExecutableSchema(config)

	h.exec = executor.New(schema)
	h.exec.SetErrorPresenter(h.errors.present)
	h.exec.SetRecoverFunc(h.errors.recovered)
	h.exec.SetParserTokenLimit(maxTokens)
	h.exec.SetDisableSuggestion(true)
	h.exec.SetDefaultRulesFn(validationRules)
	documents := newDocumentCache()
	h.exec.SetQueryCache(documents)
	h.exec.Use(extension.Introspection{})
	h.exec.Use(&limits{schema: schema, documents: documents})
	h.exec.AroundOperations(h.measure)
	h.exec.AroundOperations(h.share)
	h.exec.AroundRootFields(h.withFieldTimeout)
	h.exec.AroundResponses(capErrors)
	h.exec.AroundResponses(r.withLoaders)
	return h
}

// HTTP serves /graphql: POST, GET for queries, and GraphiQL for browsers in open mode.
func (h *Handler) HTTP() http.Handler { return http.HandlerFunc(h.serveHTTP) }

// WebSocket serves /graphql/ws: the protocol graphql-transport-ws.
func (h *Handler) WebSocket() http.Handler { return http.HandlerFunc(h.serveSocket) }

// Subscriptions returns the number of subscriptions that run.
func (h *Handler) Subscriptions() int { return int(h.subscriptions.Load()) }

// patience is Options.Patience of a deployment. Events have limits of their own.
const patience = 5 * time.Second

// withFieldTimeout makes a root field of a query or mutation fail in time. Without it a field would wait for a quarter of an hour when the
// network between the replica and the database is lost without an error.
func (h *Handler) withFieldTimeout(ctx context.Context, next graphql.RootResolver) graphql.Marshaler {
	patience := h.patience
	if slowFields[graphql.GetRootFieldContext(ctx).Field.Name] {
		patience = max(patience, longPatience)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return next(ctx)
}

// measure counts operations and times them by kind and outcome.
func (h *Handler) measure(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
	kind := graphql.GetOperationContext(ctx).Operation.Operation
	inFlight := h.metrics.inFlight.WithLabelValues(string(kind))
	inFlight.Inc()
	if kind == ast.Subscription {
		h.subscriptions.Add(1)
	}
	h.metrics.changed.Say()
	start, answered := time.Now(), false
	end := sync.OnceFunc(func() {
		inFlight.Dec()
		if kind == ast.Subscription {
			h.subscriptions.Add(-1)
		}
		h.metrics.changed.Say()
	})
	panicked := true // in next; whoever recovers that knows nothing of what was counted here
	defer func() {
		if panicked {
			end()
		}
	}()
	responses := next(ctx)
	panicked = false
	return func(ctx context.Context) *graphql.Response {
		var response *graphql.Response
		defer func() {
			if response == nil || kind != ast.Subscription { // there are no more, after a panic, too
				end()
			}
		}()
		response = responses(ctx)
		if !answered && response != nil {
			answered = true
			h.metrics.latency.WithLabelValues(string(kind), outcome(codes(response.Errors))).Observe(time.Since(start).Seconds())
			h.metrics.changed.Say()
		}
		return response
	}
}
