package mcpserver

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"layercake/internal/auth"
	"layercake/internal/caller"
	"layercake/internal/fault"
)

// MetadataPath is where the metadata of the protected resource is (RFC 9728, section 3.1: the path of the resource comes last).
const MetadataPath = "/.well-known/oauth-protected-resource/mcp"

// Resource returns what access tokens for /mcp are for, in a deployment that clients reach at an address.
func Resource(publicURL *url.URL) string { return origin(publicURL) + "/mcp" }

func origin(u *url.URL) string { return u.Scheme + "://" + u.Host }

// address is the one at which clients reach this deployment, as they paste it.
func (h *Handler) address(r *http.Request) string {
	switch {
	case h.publicURL != nil:
		return origin(h.publicURL)
	case r.TLS != nil:
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// ServeMetadata says what a client needs to be let in.
func (h *Handler) ServeMetadata(w http.ResponseWriter, r *http.Request) {
	metadata := map[string]any{
		"resource": h.address(r) + "/mcp", "resource_name": "Layercake", "bearer_methods_supported": []string{"header"},
		"scopes_supported": []auth.Scope{auth.ScopeRead, auth.ScopeEdit, auth.ScopeRun},
	}
	if h.issuer != "" { // whose scopes have other names
		metadata["authorization_servers"], metadata["scopes_supported"] = []string{h.issuer}, h.scopes
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(metadata) // its error is that the client went away
}

// checked reports whether the caller may go on, or answers. Who has no credential is told where to learn what is needed.
func (h *Handler) checked(w http.ResponseWriter, r *http.Request) bool {
	err := caller.From(r.Context()).Check()
	if err == nil {
		return true
	}
	challenge := fmt.Sprintf("Bearer resource_metadata=%q", h.address(r)+MetadataPath)
	if h.issuer != "" {
		challenge += fmt.Sprintf(", scope=%q", strings.Join(h.scopes, " "))
	}
	switch {
	case fault.Is(err, fault.Unauthenticated):
		w.Header().Set("WWW-Authenticate", challenge)
	case fault.Is(err, fault.Forbidden) && h.issuer != "": // RFC 6750, section 3.1: clients ask the provider for more
		w.Header().Set("WWW-Authenticate", challenge+`, error="insufficient_scope"`)
	}
	refuse(w, r, err, nil)
	return false
}
