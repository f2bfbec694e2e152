package oidc

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"layercake/internal/auth"
	"layercake/internal/caller"
	"layercake/internal/fault"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// choicePath is the page where people choose how to sign in.
const choicePath = "/login"

// The names of the cookie by which a browser is known in which flows began, as those of the session's.
const (
	secureCookie = "__Host-layercake-flow"
	plainCookie  = "layercake-flow"
)

// browserLength is that of the secret of a browser.
var browserLength = len(auth.RandomText())

var errNone = fault.New(fault.NotFound, "This server has no single sign-on")

// from says where a request comes from.
func from(r *http.Request) auth.From { return caller.From(r.Context()).Where() }

// login sends a browser to the provider. People do that on a page of ours: whoever is led here by another site is shown that page first.
func (h *Handler) login(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	back := localPath(query.Get("return"))
	if site := r.Header.Get("Sec-Fetch-Site"); site == "cross-site" || site == "same-site" {
		http.Redirect(w, r, choicePath+"?return="+url.QueryEscape(back), http.StatusSeeOther)
		return nil
	}
	m, err := h.provider.get(r.Context())
	if err != nil {
		return err
	}
	browser := h.browserOf(r)
	flow, err := h.accounts.BeginFlow(r.Context(), from(r), browser, back)
	if err != nil {
		return err
	}
	h.keepBrowser(w, r, browser)
	http.Redirect(w, r, h.address(m, flow, query.Has("again")), http.StatusSeeOther)
	return nil
}

// maxJoin is the size of the largest request to join an identity.
const maxJoin = 8 << 10

// ServeJoin begins to join an identity of the provider to the account of the caller. It answers the address where the browser is to go.
func (h *Handler) ServeJoin(w http.ResponseWriter, r *http.Request) {
	address, err := h.join(w, r)
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		f := h.faultOf(r, err)
		w.WriteHeader(answerTo(w, f))
		_ = json.NewEncoder(w).Encode(map[string]any{ // its error is that the client went away
			"error": map[string]any{"code": f.Code, "message": f.Message, "requestId": caller.From(r.Context()).RequestID},
		})
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]string{"url": address})
}

func (h *Handler) join(w http.ResponseWriter, r *http.Request) (address string, err error) {
	who := caller.From(r.Context())
	if err := who.Check(); err != nil {
		return "", err
	}
	if _, err := who.Person(); err != nil {
		return "", err
	}
	if h.cfg.Issuer == "" {
		return "", errNone
	}
	if mediaType, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); strings.TrimSpace(mediaType) != "application/json" {
		return "", fault.New(fault.BadRequest, "The request must be application/json")
	}
	var in struct{ CurrentPassword, Return string }
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxJoin)).Decode(&in); err != nil {
		return "", fault.New(fault.BadRequest, "The request is no JSON object with currentPassword and return")
	}
	m, err := h.provider.get(r.Context())
	if err != nil {
		return "", err
	}
	browser := h.browserOf(r)
	flow, err := h.accounts.BeginJoin(r.Context(), from(r), who.Principal, in.CurrentPassword, browser, localPath(in.Return))
	if err != nil {
		return "", err
	}
	h.keepBrowser(w, r, browser)
	return h.address(m, flow, false), nil
}

// oauth is how the provider is asked.
func (h *Handler) oauth(m *metadata) *oauth2.Config {
	endpoint := m.Endpoint()
	endpoint.AuthStyle = m.style
	return &oauth2.Config{
		ClientID: h.cfg.ClientID, ClientSecret: h.cfg.ClientSecret, Endpoint: endpoint, Scopes: strings.Fields(h.cfg.Scopes),
		RedirectURL: h.publicURL.JoinPath(CallbackPath).String(),
	}
}

// address is where a browser goes to sign in. Again asks for a proof now, whatever session there is.
func (h *Handler) address(m *metadata, f auth.Flow, again bool) string {
	options := []oauth2.AuthCodeOption{gooidc.Nonce(f.Nonce), oauth2.S256ChallengeOption(f.Verifier)}
	if h.cfg.ACR != "" {
		options = append(options, oauth2.SetAuthURLParam("acr_values", h.cfg.ACR))
	}
	if again {
		options = append(options, oauth2.SetAuthURLParam("prompt", "login"), oauth2.SetAuthURLParam("max_age", "0"))
	}
	return h.oauth(m).AuthCodeURL(f.State, options...)
}

// browserOf returns the secret of a browser, or a new one. Sign-ins in several of its tabs share it.
func (h *Handler) browserOf(r *http.Request) string {
	if browser := h.knownBrowser(r); browser != "" {
		return browser
	}
	return auth.RandomText()
}

// cookieName is the one name under which a browser may be known: over TLS not the plain one, which another site of the domain could set, so
// that somebody signs in as who made that site.
func (h *Handler) cookieName(r *http.Request) string {
	if caller.Plain(r, h.publicURL) {
		return plainCookie
	}
	return secureCookie
}

func (h *Handler) knownBrowser(r *http.Request) string {
	cookie, err := r.Cookie(h.cookieName(r))
	if err != nil || len(cookie.Value) != browserLength {
		return ""
	}
	return cookie.Value
}

// keepBrowser gives a browser its secret for as long as a flow may take.
func (h *Handler) keepBrowser(w http.ResponseWriter, r *http.Request, browser string) {
	name := h.cookieName(r)
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: browser, Path: "/", MaxAge: int(auth.FlowTTL / time.Second), Secure: name == secureCookie, HttpOnly: true,
		SameSite: http.SameSiteLaxMode, // the provider sends the browser back from another site
	})
}

// maxPath is the length of the longest path to come back to.
const maxPath = 2000

// localPath returns a path of this server as it was given, or / for whatever could lead elsewhere.
func localPath(path string) string {
	u, err := url.Parse(path)
	odd := func(c rune) bool { return c <= ' ' || c == '\\' || c >= 0x7f } // browsers drop some, and take \ for /
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || len(path) > maxPath || !strings.HasPrefix(path, "/") ||
		strings.HasPrefix(path, "//") || strings.ContainsFunc(path, odd) {
		return "/"
	}
	return path
}

// serve makes a handler of a function whose failures are told on a page, with a way back.
func (h *Handler) serve(f func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet { // HEAD comes here, too
			w.Header().Set("Allow", http.MethodGet)
			http.Error(w, "Method Not Allowed", http.StatusMethodNotAllowed)
			return
		}
		err := error(errNone)
		if h.cfg.Issuer != "" {
			err = f(w, r)
		}
		if err != nil {
			failed := h.faultOf(r, err)
			page(w, answerTo(w, failed), fmt.Sprintf("%s (%s, request %s)", failed.Message, failed.Code, caller.From(r.Context()).RequestID),
				choicePath, "Back to signing in", false)
		}
	}
}

// faultOf returns what a client is told of an error. The log has the rest.
func (h *Handler) faultOf(r *http.Request, err error) *fault.Error {
	id := caller.From(r.Context()).RequestID
	f := fault.From(err)
	switch {
	case f == nil && r.Context().Err() != nil:
		return fault.New(fault.Unavailable, fault.Busy) // who went away does not read it
	case f == nil:
		h.log.ErrorContext(r.Context(), "request failed", "error", err, "path", r.URL.Path, "request_id", id)
		return fault.New(fault.Internal, "Internal server error")
	case f.Unwrap() != nil:
		h.log.WarnContext(r.Context(), "single sign-on refused", "error", f, "path", r.URL.Path, "request_id", id)
	}
	return f
}

// answerTo returns the status for a fault, and says when to try again.
func answerTo(w http.ResponseWriter, f *fault.Error) int {
	a := caller.AnswerTo(f.Code)
	if a.Retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(a.Retry/time.Second)))
	}
	return a.Status
}

// page writes a page of one sentence and a link, which may be followed by itself: a browser that comes from another site has no session
// for the server yet, and has it from the second page on.
func page(w http.ResponseWriter, status int, sentence, path, link string, onward bool) {
	refresh := ""
	if onward {
		refresh = `<meta http-equiv="refresh" content="0; url=` + html.EscapeString(path) + `">`
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	fmt.Fprintf(w, `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">%s<title>Sign in · Layercake</title></head>
<body><main><h1>Layercake</h1><p role="alert">%s</p><p><a href="%s">%s</a></p></main></body>
</html>
`, refresh, html.EscapeString(sentence), html.EscapeString(path), html.EscapeString(link))
}
