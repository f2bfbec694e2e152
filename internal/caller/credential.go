package caller

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"layercake/internal/auth"
	"layercake/internal/fault"
)

// SessionHeader carries the secret of a session, for clients that cannot set Authorization. Clients that were built for servers without
// accounts send ids there that they make up: what does not begin like a secret is no credential, neither a right nor a wrong one.
const SessionHeader = "X-Layercake-Session"

// The names of the session cookie. The first is only taken over TLS, and only from the host itself; the second is for plain HTTP on
// loopback.
const (
	secureCookie = "__Host-layercake"
	plainCookie  = "layercake"
)

// Look finds out whom a secret that came from somewhere belongs to. Its faults are Unauthenticated for a secret that proves nothing (any
// more), and Unavailable when nobody can look now.
type Look func(ctx context.Context, from auth.From, secret string) (auth.Principal, error)

var (
	errInAddress = fault.New(fault.BadRequest, "A credential does not belong into an address, where logs and histories keep it: "+
		"send it as Authorization: Bearer, or in connection_init")
	errTwo = fault.New(fault.BadRequest, "The request has two different credentials: send one")
)

// Authenticate gives each request the principal of its credential: of Authorization: Bearer, of SessionHeader, or of the session cookie,
// which counts only when the request comes from a page of publicURL, or of the host that was asked. Without one the caller stays who they
// are. What is wrong with a credential Check says.
func Authenticate(look Look, publicURL *url.URL) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r.WithContext(authenticated(r, look, publicURL, fromOwnPage(r, publicURL))))
		})
	}
}

// CheckPage is Check, after Authenticate, for a page, which looks the same to everybody who may see it. The cookie counts wherever the link
// to it stands, and in browsers that do not say where: nothing is done or told by it.
func CheckPage(r *http.Request, look Look, publicURL *url.URL) error {
	return From(authenticated(r, look, publicURL, true)).Check()
}

func authenticated(r *http.Request, look Look, publicURL *url.URL, cookies bool) context.Context {
	secret, err := credentialOf(r, publicURL, cookies)
	if secret == "" && err == nil {
		return r.Context()
	}
	c := From(r.Context())
	if err == nil {
		c, err = c.Prove(r.Context(), look, secret)
	}
	c.refusal = err
	return With(r.Context(), c)
}

// Prove returns the caller as the principal of a secret. A caller who has proved an account already may only prove the same one again,
// which moves a connection to another session of it. It fails as Look does, with the fault BadRequest for two secrets, and Forbidden for
// another account.
func (c Caller) Prove(ctx context.Context, look Look, secret string) (Caller, error) {
	p, err := look(ctx, c.Where(), secret)
	if err != nil {
		return c, err
	}
	if c.Account != 0 && c.Account != p.Account {
		return c, fault.New(fault.Forbidden, "The credential is that of another account than this connection's")
	}
	c.Principal, c.admitted, c.wrongName, c.refusal = p, true, nil, nil
	return c, nil
}

// credentialOf returns the only secret of a request, "" when it has none.
func credentialOf(r *http.Request, publicURL *url.URL, cookies bool) (secret string, err error) {
	query := r.URL.Query()
	if query.Get("token") != "" || query.Get("access_token") != "" {
		return "", errInAddress
	}
	var found []string
	if header := r.Header.Get("Authorization"); header != "" {
		scheme, value, _ := strings.Cut(header, " ")
		if !strings.EqualFold(scheme, "Bearer") || strings.TrimSpace(value) == "" {
			return "", fault.New(fault.Unauthenticated, "Authorization must be Bearer and a token")
		}
		found = append(found, strings.TrimSpace(value))
	}
	if value := r.Header.Get(SessionHeader); auth.LooksLikeSecret(value) {
		found = append(found, value)
	}
	if cookie := SessionOf(r, publicURL); cookie != "" && cookies {
		found = append(found, cookie)
	}
	for _, other := range found[min(1, len(found)):] {
		if other != found[0] {
			return "", errTwo
		}
	}
	if len(found) == 0 {
		return "", nil
	}
	return found[0], nil
}

// SessionOf returns the secret in the session cookie of a request, "" without one. Any page can make a browser send it, so it counts only
// where something else shows that its user meant the request. The plain cookie counts only where there is no other: a neighbour of the host
// can plant it, and so can whoever answers for it without TLS.
func SessionOf(r *http.Request, publicURL *url.URL) string {
	names := []string{secureCookie, plainCookie} // the secure one wins: the other may be left from a time without TLS
	if !Plain(r, publicURL) {
		names = names[:1]
	}
	for _, name := range names {
		if cookie, err := r.Cookie(name); err == nil && cookie.Value != "" {
			return cookie.Value
		}
	}
	return ""
}

// fromOwnPage reports whether a browser sends a request on behalf of a page of ours, or because somebody opened the address. Another site's
// page can make a browser send the cookie, but neither of these headers.
func fromOwnPage(r *http.Request, publicURL *url.URL) bool {
	if origin := r.Header.Get("Origin"); origin != "" {
		from, err := url.Parse(origin)
		if err != nil || from.Host == "" {
			return false
		}
		if publicURL != nil && from.Scheme == publicURL.Scheme && strings.EqualFold(from.Host, publicURL.Host) {
			return true
		}
		return publicURL == nil && strings.EqualFold(from.Host, r.Host)
	}
	site := r.Header.Get("Sec-Fetch-Site")
	return site == "same-origin" || site == "none"
}

// Held ends the context of each request, with the reason as its cause, when its credential ends before the request does. For hold see
// auth.Keeper.
func Held(hold func(p auth.Principal, ended func(error)) (release func())) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithCancelCause(r.Context())
			defer cancel(nil)
			release := hold(From(ctx).Principal, cancel)
			defer release()
			next.ServeHTTP(w, r.WithContext(ctx))
		})
	}
}

// SetSession gives the browser the cookie of a session.
func SetSession(w http.ResponseWriter, r *http.Request, publicURL *url.URL, secret string, expires time.Time) {
	http.SetCookie(w, sessionCookie(r, publicURL, secret, expires))
}

// ClearSession takes the cookie away, of whichever name.
func ClearSession(w http.ResponseWriter, r *http.Request, publicURL *url.URL) {
	cookie := sessionCookie(r, publicURL, "", time.Unix(1, 0))
	cookie.MaxAge = -1
	http.SetCookie(w, cookie)
}

func sessionCookie(r *http.Request, publicURL *url.URL, secret string, expires time.Time) *http.Cookie {
	c := &http.Cookie{
		Name: secureCookie, Value: secret, Path: "/", Expires: expires, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
	if Plain(r, publicURL) {
		c.Name, c.Secure = plainCookie, false
	}
	return c
}

// Plain reports whether a browser speaks plain HTTP with this server, over loopback: then it would not keep a secure cookie.
func Plain(r *http.Request, publicURL *url.URL) bool {
	if publicURL != nil {
		return publicURL.Scheme != "https"
	}
	if r.TLS != nil {
		return false
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	address, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return strings.EqualFold(host, "localhost") || err == nil && address.IsLoopback()
}
