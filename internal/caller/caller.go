// Package caller says who sent a request, under which id and right.
//
// One middleware looks at every request before its route does. What it finds goes with the request's context: transports read it with
// From, ask Check whether the caller may go on at all, and hand the actor to the core. Nothing below the transports reads it.
package caller

import (
	"context"
	"net/http"
	"net/netip"
	"regexp"

	"layercake/internal/auth"
	"layercake/internal/fault"

	"github.com/go-chi/chi/v5/middleware"
	"github.com/google/uuid"
)

// The names of transports, by which events, presence and metrics say where something came from.
const (
	GraphQL       = "graphql"
	Collaboration = "collaboration" // the presence socket of browsers
	MCP           = "mcp"
	Job           = "job" // the server's own work
	SQL           = "sql" // a DBA
)

// RequestIDHeader carries the id of a request, both ways.
const RequestIDHeader = "X-Request-Id"

// Caller is who sent a request, or opened a socket. The zero Caller is nobody, and may do nothing.
type Caller struct {
	Actor     auth.Actor
	RequestID string     // for the log, and for whoever reports a failure
	Address   netip.Addr // of the client; not valid when a proxy that is trusted names none

	admitted bool
}

// Check fails with the fault Unauthenticated unless the caller may go on. It is the only place that decides so.
func (c Caller) Check() error {
	if !c.admitted {
		return fault.New(fault.Unauthenticated, "Sign in first")
	}
	return nil
}

// Config is how a deployment tells its callers apart.
type Config struct {
	Open           bool     // callers without a credential may go on
	TrustedProxies []string // networks such as 10.0.0.0/8, whose X-Forwarded-For says where a client is
}

var saneRequestID = regexp.MustCompile(`^[A-Za-z0-9._:/+=-]{1,128}$`)

// Middleware gives each request its Caller: the request id that it states, when that is fit for a log, or a new one, which the response
// names too; where its client is, at the other end of the connection or where a trusted proxy says; and an actor.
func Middleware(cfg Config) func(http.Handler) http.Handler {
	locate := middleware.ClientIPFromRemoteAddr
	if len(cfg.TrustedProxies) > 0 {
		locate = middleware.ClientIPFromXFF(cfg.TrustedProxies...)
	}
	return func(next http.Handler) http.Handler {
		return locate(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c := Caller{
				Actor: auth.Anonymous(""), RequestID: r.Header.Get(RequestIDHeader), Address: middleware.GetClientIPAddr(r.Context()),
				admitted: cfg.Open,
			}
			if !saneRequestID.MatchString(c.RequestID) {
				c.RequestID = uuid.NewString()
			}
			w.Header().Set(RequestIDHeader, c.RequestID)
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), key{}, c)))
		}))
	}
}

type key struct{}

// From returns the caller of the request or socket that ctx belongs to, or nobody outside of one.
func From(ctx context.Context) Caller {
	c, _ := ctx.Value(key{}).(Caller)
	return c
}

// Actor returns who asks for something in ctx: the client that states an id of its own, or the caller when it states none.
func Actor(ctx context.Context, clientID string) auth.Actor {
	if clientID != "" {
		return auth.Anonymous(clientID)
	}
	return From(ctx).Actor
}

// WithNobody returns a context without a caller, for what is done for several callers at once: whatever depends on who asks fails there.
func WithNobody(ctx context.Context) context.Context {
	return context.WithValue(ctx, key{}, Caller{})
}
