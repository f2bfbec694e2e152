// Package caller says who sent a request, under which id and right.
//
// One middleware sees every request before its route does, and puts a Caller into the request's context. Transports read it with From, ask
// Check whether the caller may go on at all, and hand the actor to the core as an argument. Nothing below the transports reads the context.
package caller

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"unicode/utf8"

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
	Job           = "job"   // the server's own work
	Files         = "files" // uploads over HTTP
	SQL           = "sql"   // a DBA
)

// RequestIDHeader carries the id of a request, both ways.
const RequestIDHeader = "X-Request-Id"

// NameHeader carries the name by which somebody without a credential wants to be known, percent-encoded, since a header is ASCII.
const NameHeader = "X-Layercake-Name"

// maxName is how many characters such a name may have.
const maxName = 100

// Caller is who sent a request, or opened a socket. The zero Caller is nobody, and may do nothing.
type Caller struct {
	auth.Principal
	RequestID string     // name of the request in logs and in errors, so that a user can report one
	Address   netip.Addr // address of the client; not valid when a trusted proxy names none

	admitted  bool
	wrongName error // what is wrong with the name in the header of the request
	refusal   error // what is wrong with the credential of the request
}

// Check fails with the fault Unauthenticated unless the caller may go on, also for a credential that proves nothing: such a caller is never
// taken for one without any. It fails with BadRequest for two credentials and for a name that nobody can have, and with Unavailable when
// nobody can look the credential up now. It is the only place that decides that.
func (c Caller) Check() error {
	if err := c.Refused(); err != nil {
		return err
	}
	if !c.admitted {
		return fault.New(fault.Unauthenticated, "Sign in first")
	}
	return c.wrongName
}

// Refused says what is wrong with the credential of the request, if there was one.
func (c Caller) Refused() error { return c.refusal }

// Where says where the request comes from, for limits and for the log of security.
func (c Caller) Where() auth.From { return auth.From{Address: c.Address, RequestID: c.RequestID} }

// Named returns the caller under a name that it states, for people to read beside what it changes. The name is no identity: id and kind
// stay as they are, and a caller with a credential keeps the name that belongs to it. An empty name changes nothing. Named fails with the
// fault BadRequest for a name that nobody can have.
func (c Caller) Named(name string) (Caller, error) {
	if name == "" || c.Actor.Kind != auth.KindAnonymous {
		return c, nil
	}
	const field = "Name"
	switch n := utf8.RuneCountInString(name); {
	case !utf8.ValidString(name):
		return c, fault.New(fault.BadRequest, field+" is no UTF-8")
	case strings.TrimSpace(name) == "":
		return c, fault.New(fault.BadRequest, field+" is blank")
	case n > maxName:
		return c, fault.New(fault.BadRequest, fmt.Sprintf("%s has %d characters, more than %d", field, n, maxName))
	}
	if err := fault.CheckName(field, name); err != nil {
		return c, err
	}
	c.Actor.Name = name
	return c, nil
}

// namedByHeader is Named for the name in a header.
func (c Caller) namedByHeader(header string) (Caller, error) {
	name, err := url.PathUnescape(header)
	if err != nil {
		return c, fault.New(fault.BadRequest, NameHeader+" is not percent-encoded")
	}
	return c.Named(name)
}

// Network returns the network that counts as one client in limits: an IPv4 address itself, or the /64 of an IPv6 address, because a client
// has as many addresses there as it likes. All unknown addresses have the zero network.
func (c Caller) Network() netip.Prefix {
	bits := 32
	if c.Address.Is6() {
		bits = 64
	}
	p, _ := c.Address.WithZone("").Prefix(bits) // its error is that the address is unknown
	return p
}

// Config is what a deployment believes about its callers.
type Config struct {
	Open           bool     // callers without a credential may go on
	TrustedProxies []string // networks, such as 10.0.0.0/8, of proxies whose X-Forwarded-For is believed
}

var saneRequestID = regexp.MustCompile(`^[A-Za-z0-9._:/+=-]{1,128}$`)

// Middleware gives each request its Caller, without a credential: Authenticate looks at that. The request id is the one that the client
// states, if that is fit for a log, or a new one; the response names it. The address is the other end of the connection, or, behind trusted
// proxies, the one that they report. The actor is anonymous, under the name that the client states.
func Middleware(cfg Config) func(http.Handler) http.Handler {
	locate := middleware.ClientIPFromRemoteAddr
	if len(cfg.TrustedProxies) > 0 {
		fromForwarded := middleware.ClientIPFromXFF(cfg.TrustedProxies...)
		locate = func(next http.Handler) http.Handler { return withoutPorts(fromForwarded(next)) }
	}
	return func(next http.Handler) http.Handler {
		return locate(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r.WithContext(cfg.identify(w, r)))
		}))
	}
}

// identify returns the context of a request with its caller.
func (cfg Config) identify(w http.ResponseWriter, r *http.Request) context.Context {
	c := Caller{
		Principal: auth.Principal{Actor: auth.Anonymous("")}, RequestID: r.Header.Get(RequestIDHeader),
		Address:  middleware.GetClientIPAddr(r.Context()),
		admitted: cfg.Open,
	}
	if !saneRequestID.MatchString(c.RequestID) {
		c.RequestID = uuid.NewString()
	}
	c, c.wrongName = c.namedByHeader(r.Header.Get(NameHeader))
	w.Header().Set(RequestIDHeader, c.RequestID)
	return With(r.Context(), c)
}

// withoutPorts takes the ports out of X-Forwarded-For, which some proxies write and the library takes for no address. It leaves everything
// else there to the library.
func withoutPorts(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for i, header := range r.Header["X-Forwarded-For"] {
			entries := strings.Split(header, ",")
			for j, entry := range entries {
				if at, err := netip.ParseAddrPort(strings.TrimSpace(entry)); err == nil {
					entries[j] = at.Addr().String()
				}
			}
			r.Header["X-Forwarded-For"][i] = strings.Join(entries, ",")
		}
		next.ServeHTTP(w, r)
	})
}

type key struct{}

// From returns the caller of the request or socket that ctx belongs to, or nobody outside of one.
func From(ctx context.Context) Caller {
	c, _ := ctx.Value(key{}).(Caller)
	return c
}

// With returns a context whose caller is c.
func With(ctx context.Context, c Caller) context.Context { return context.WithValue(ctx, key{}, c) }

// Principal returns who sends a request: the caller of ctx. One without a credential is the client that states an id in an argument, if
// that is not empty; a credential says who its caller is, whatever the arguments state.
func Principal(ctx context.Context, clientID string) auth.Principal {
	p := From(ctx).Principal
	if clientID != "" && p.Kind == auth.KindAnonymous {
		stated := auth.Anonymous(clientID)
		stated.Name = p.Name
		p.Actor = stated
	}
	return p
}

// WithNobody returns a context without a caller, for work whose result is shared by several callers. Nobody may do nothing, so whatever
// depends on the caller fails there instead of showing one caller what another one may see.
func WithNobody(ctx context.Context) context.Context {
	return With(ctx, Caller{})
}
