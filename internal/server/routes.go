package server

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/http/pprof"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"layercake/graph"
	"layercake/internal/auth"
	"layercake/internal/caller"
	"layercake/internal/mcpserver"
	"layercake/internal/web"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/go-chi/cors"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// mutexWait is the metric of the Go runtime for the time that goroutines waited for each other.
var mutexWait = regexp.MustCompile(`^/sync/mutex/wait/total:seconds$`)

// requestHeaders are the headers that pages of an allowed origin may send: ours, and those that GraphQL clients and tracing in browsers add
// to each request. A browser sends no request at all when one of its headers is not allowed.
var requestHeaders = []string{
	"Accept", "Authorization", "Content-Type", "X-Layercake-Session", caller.NameHeader, caller.RequestIDHeader,
	"X-Requested-With", "Cache-Control", "Pragma",
	"Apollo-Require-Preflight", "X-Apollo-Operation-Name", "X-Apollo-Operation-Id", "X-Apollo-Operation-Type",
	"Apollographql-Client-Name", "Apollographql-Client-Version", "GraphQL-Require-Preflight", "GraphQL-Preflight",
	"Traceparent", "Tracestate", "Baggage", // W3C, OpenTelemetry
	"Sentry-Trace", "B3", "X-B3-TraceId", "X-B3-SpanId", "X-B3-ParentSpanId", "X-B3-Sampled", "X-B3-Flags",
	"X-Datadog-Trace-Id", "X-Datadog-Parent-Id", "X-Datadog-Origin", "X-Datadog-Sampling-Priority", "Newrelic", "X-Correlation-Id",
	"Mcp-Protocol-Version", "Mcp-Session-Id", "Mcp-Method", "Mcp-Name", "Last-Event-ID", mcpserver.AgentHeader,
	"Request-Id", "Uber-Trace-Id", "X-Amzn-Trace-Id", "Elastic-Apm-Traceparent", "X-GraphQL-Client-Name", "X-GraphQL-Client-Version",
}

// routes returns the handler of all paths for clients. The frame of each middleware is on the stack of each stream of events for as long
// as it is open, so a middleware that needs much of it decides in a function of its own, which has returned by then. The frames of an idle
// stream have to stay below 7 kB: a stack that grew to 32 kB shrinks to 16 kB only when less than a quarter of it is used.
func (s *Server) routes() http.Handler {
	callers := caller.Middleware(caller.Config{Open: s.cfg.Open, TrustedProxies: s.cfg.TrustedProxies})
	r := chi.NewRouter()
	r.Use(s.measure, s.recoverer, secured, withoutOtherUpgrades, middleware.GetHead, callers, s.checkHost, cors.Handler(cors.Options{
		AllowOriginFunc: func(_ *http.Request, origin string) bool { return s.cfg.allowsOrigin(origin) },
		AllowedMethods:  []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodDelete, http.MethodOptions},
		AllowedHeaders:  slices.Concat(requestHeaders, s.cfg.AllowedHeaders),
		ExposedHeaders:  []string{caller.RequestIDHeader, "Retry-After", "Mcp-Session-Id", "WWW-Authenticate"},
		MaxAge:          600,
	}), s.checkOrigin)
	r.Get("/health", s.health)
	r.Get("/health/live", s.live)
	r.Get("/health/ready", s.health)
	authenticate, held := caller.Authenticate(s.look, s.cfg.PublicURL), caller.Held(s.core.Keeper.Hold)
	r.Group(func(r chi.Router) {
		r.Use(authenticate, s.requests.Middleware)
		r.Handle("/graphql", s.graph.HTTP())
		r.Get("/graphql/ws", s.graph.WebSocket().ServeHTTP)
		r.Get("/schema.graphql", graph.ServeSchema)
		r.Get("/ws/collaboration", s.collab.ServeHTTP)
		r.With(held).Post("/oidc/join", s.oidc.ServeJoin)
		s.files.Routes(r.With(held))
	})
	r.Group(func(r chi.Router) { // programs have access tokens of the identity provider, too
		r.Use(caller.Authenticate(s.oidc.Look(s.look), s.cfg.PublicURL), s.requests.Middleware)
		r.Handle("/mcp", s.mcp)
		r.Handle("/mcp/", s.mcp)
		r.HandleFunc("/mcp/sse", s.mcp.ServeSSE)
		calls := r.With(held) // streams hold themselves
		calls.Post("/mcp", s.mcp.ServeHTTP)
		calls.Post("/mcp/", s.mcp.ServeHTTP)
		calls.Post("/mcp/sse", s.mcp.ServeSSE)
	})
	s.oidc.Routes(r)
	r.Get(web.LoginPath+"/options", s.loginOptions)
	r.Get(web.LoginPath, web.ServeLogin)
	r.Get(web.LoginPath+"/*", web.ServeLogin)
	r.Get(mcpserver.MetadataPath, s.mcp.ServeMetadata)
	r.NotFound(s.page)
	return r
}

// lookTime is how long the database may take to say whom a credential belongs to. Without a limit a request would wait as long as its
// connection to the database is half-open: who hangs up before its body was read is not noticed.
const lookTime = 5 * time.Second

// look finds out whom a secret belongs to.
func (s *Server) look(ctx context.Context, from auth.From, secret string) (auth.Principal, error) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(s.cfg.Patience, lookTime))
	defer cancel()
	return s.core.Accounts.Look(ctx, from, secret)
}

// loginOptions says by what people can sign in, for the page where they do, and whether they have to.
func (s *Server) loginOptions(w http.ResponseWriter, _ *http.Request) {
	options := struct {
		Open         bool   `json:"open"` // nobody has to
		Passwords    bool   `json:"passwords"`
		SingleSignOn string `json:"singleSignOn,omitempty"` // name of the identity provider
	}{Open: s.cfg.Open, Passwords: !s.cfg.NoPasswords}
	if issuer, err := url.Parse(s.cfg.OIDC.Issuer); err == nil {
		options.SingleSignOn = issuer.Hostname()
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(options) // its error is that the client went away
}

// secured gives every answer the headers that tell browsers to trust it no further than they must. What serves pages says itself what these
// may load.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// page serves the page, the site where there is one, and the files that they are made of. Where everybody signs in, their screens are for
// those who did: others are sent to the page for that, and come back to where they wanted to go.
func (s *Server) page(w http.ResponseWriter, r *http.Request) {
	if !s.cfg.Open && s.pages.IsPage(r) && caller.CheckPage(r, s.look, s.cfg.PublicURL) != nil {
		http.Redirect(w, r, web.LoginPath+"?return="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
		return
	}
	s.pages.ServeHTTP(w, r)
}

// recoverer answers a request whose handler panics, unless its connection was taken over. GraphQL over HTTP has a better answer of its own.
func (s *Server) recoverer(next http.Handler) http.Handler {
	recovering := middleware.Recoverer(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		recovering.ServeHTTP(w, middleware.WithLogEntry(r, requestLog{s, r}))
	})
}

// requestLog is what the library's Recoverer tells of a panic; otherwise it would write to the standard error.
type requestLog struct {
	s *Server
	r *http.Request
}

// Panic counts a panic and logs it.
func (l requestLog) Panic(v any, stack []byte) {
	p := l.s.guard.Caught(v, stack)
	l.s.log.ErrorContext(l.r.Context(), "request failed", "error", p, "path", l.r.URL.Path, "stack", string(p.Stack))
}

// Write does nothing: requests are measured, not logged.
func (l requestLog) Write(int, int, http.Header, time.Duration, any) {}

// adminRoutes returns the handler of all paths for operators.
func (s *Server) adminRoutes() http.Handler {
	r := chi.NewRouter()
	r.Use(secured, s.checkAdminHost)
	r.Group(func(r chi.Router) {
		r.Use(refusePages)
		r.Get("/health", s.diagnose)
		r.Handle("/metrics", promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{Registry: s.registry}))
		r.HandleFunc("/debug/pprof/profile", pprof.Profile)
		r.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		r.HandleFunc("/debug/pprof/trace", pprof.Trace)
		r.HandleFunc("/debug/pprof/*", pprof.Index)
	})
	r.NotFound(refusePages(http.NotFoundHandler()).ServeHTTP)
	if s.cfg.servesOps() {
		s.opsRoutes(r)
	}
	return r
}

// withoutOtherUpgrades removes an offer to speak another protocol unless it is the handshake of a WebSocket: a server acts as if an
// offer that it does not take were not there (RFC 9110, section 7.8). Java's HttpClient and curl offer h2c with every request. An
// offer of several protocols that a WebSocket is among becomes an offer of that alone.
func withoutOtherUpgrades(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if offersWebSocket(r) {
			r.Header.Set("Upgrade", "websocket")
		} else {
			r.Header.Del("Upgrade")
		}
		next.ServeHTTP(w, r)
	})
}

func offersWebSocket(r *http.Request) bool {
	return r.Method == http.MethodGet && r.ProtoAtLeast(1, 1) &&
		hasToken(r.Header.Values("Connection"), "upgrade") && hasToken(r.Header.Values("Upgrade"), "websocket")
}

// hasToken reports whether a token is in the lists that a header's lines are, in any case.
func hasToken(lines []string, token string) bool {
	for item := range strings.SplitSeq(strings.Join(lines, ","), ",") {
		if strings.EqualFold(strings.TrimSpace(item), token) {
			return true
		}
	}
	return false
}

// measure times requests by route pattern. Sockets have metrics of their own.
func (s *Server) measure(next http.Handler) http.Handler {
	seconds := promauto.With(s.registry).NewHistogramVec(prometheus.HistogramOpts{
		Namespace: "layercake", Subsystem: "http", Name: "request_seconds",
		Help:    "Time to answer a request, by route pattern and status.",
		Buckets: prometheus.ExponentialBuckets(0.0005, 2, 15),
	}, []string{"route", "status"})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		wrapped := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		next.ServeHTTP(wrapped, r)
		status := wrapped.Status()
		if status == http.StatusSwitchingProtocols || r.Header.Get("Upgrade") != "" && status == 0 {
			return
		}
		route := chi.RouteContext(r.Context()).RoutePattern()
		if route == "" {
			route = "none"
		}
		seconds.WithLabelValues(route, strconv.Itoa(status)).Observe(time.Since(began).Seconds())
	})
}
