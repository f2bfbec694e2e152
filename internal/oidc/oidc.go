// Package oidc signs people in by an identity provider (OpenID Connect), and lets programs in by its access tokens.
//
//	/oidc/login ─> auth.BeginFlow ─> the provider ─> /oidc/callback ─> auth.TakeFlow ─> code for ID token ─> auth.SignIn
//	the provider ─> /oidc/logout ─> auth.EndIssuerSessions
//	a client of /mcp ─> Look ─> auth.PrincipalOf
//
// What a provider says counts only when its keys have signed it, for us, now: this package checks that, and the core decides what follows.
// A flow is a row, so its callback may reach another replica. The provider is asked only when somebody signs in, or signs with a key that
// is not known; without it sessions live on, and access tokens are checked by the keys that are known.
package oidc

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"layercake/internal/auth"

	"github.com/go-chi/chi/v5"
)

// The addresses that browsers go to.
const (
	LoginPath    = "/oidc/login"
	CallbackPath = "/oidc/callback"
)

// Config names the identity provider. Without an issuer there is none.
type Config struct {
	Issuer       string        // its address, exactly as its tokens name it
	ClientID     string        // the name of this deployment there
	ClientSecret string        // "" for a public client
	Scopes       string        // what is asked for, by blanks
	ACR          string        // classes of authentication, by blanks, of which a sign-in has one; "" for any
	Patience     time.Duration // of who waits for the provider; 0 for 5 s
}

// CheckIssuer refuses what is no issuer, or could be anybody's: beyond loopback it is asked over TLS only.
func CheckIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("is %q: an issuer has the form https://id.example.com/realms/all, without ? and #", issuer)
	case !isSafe(u):
		return fmt.Errorf("is %q: beyond loopback it begins with https://", issuer)
	}
	return nil
}

// isSafe reports whether what is said at an address reaches nobody else.
func isSafe(u *url.URL) bool {
	if u.Scheme == "https" {
		return u.Host != ""
	}
	address, err := netip.ParseAddr(u.Hostname())
	return u.Scheme == "http" && (strings.EqualFold(u.Hostname(), "localhost") || err == nil && address.IsLoopback())
}

// CheckScopes refuses scopes without openid, by which a provider gives no ID token.
func CheckScopes(scopes string) error {
	if !slices.Contains(strings.Fields(scopes), "openid") {
		return errors.New("does not name openid, without which nobody can sign in")
	}
	return nil
}

// Options are what a handler serves with.
type Options struct {
	Config    Config
	Accounts  *auth.Accounts
	PublicURL *url.URL // address at which browsers reach this deployment, and the provider sends them back; not nil with an issuer
	Resource  string   // what access tokens are for: the address of /mcp
	Log       *slog.Logger
}

// Handler serves the routes of single sign-on. Make it with New.
type Handler struct {
	cfg       Config
	accounts  *auth.Accounts
	publicURL *url.URL
	resource  string
	provider  *provider
	log       *slog.Logger
}

// New returns a handler. It asks the provider nothing yet.
func New(o Options) *Handler {
	o.Config.Patience = cmp.Or(o.Config.Patience, 5*time.Second)
	return &Handler{
		cfg: o.Config, accounts: o.Accounts, publicURL: o.PublicURL, resource: o.Resource, provider: newProvider(o.Config, o.Log), log: o.Log,
	}
}

// Routes adds what browsers and the provider ask for without a credential.
func (h *Handler) Routes(r chi.Router) {
	r.Get(LoginPath, h.serve(h.login))
	r.Get(CallbackPath, h.serve(h.callback))
	r.Post("/oidc/logout", h.logout)
}
