package oidc

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"layercake/internal/auth"
	"layercake/internal/caller"
	"layercake/internal/fault"
)

// Scopes are the names of scopes at a provider, where those of other resources stand beside ours.
var Scopes = []string{"layercake:read", "layercake:edit", "layercake:run"}

// ours are what they are here.
var ours = map[string]auth.Scope{"layercake:read": auth.ScopeRead, "layercake:edit": auth.ScopeEdit, "layercake:run": auth.ScopeRun}

// maxToken is the size of the largest access token.
const maxToken = 8 << 10

var errAccess = fault.New(fault.Unauthenticated, "The access token is not valid here, or not any more")

// Look returns a look-up for clients of /mcp: of access tokens of the provider (RFC 9068), and else what another look-up finds. Faults as
// caller.Look has them.
func (h *Handler) Look(look caller.Look) caller.Look {
	if h.cfg.Issuer == "" {
		return look
	}
	return func(ctx context.Context, from auth.From, secret string) (auth.Principal, error) {
		if strings.Count(secret, ".") != 2 { // no secret of ours has dots
			return look(ctx, from, secret)
		}
		p, err := h.program(ctx, secret)
		if f := fault.From(err); f != nil && f.Unwrap() != nil {
			h.log.WarnContext(ctx, "access token refused", "error", f, "request_id", from.RequestID)
		}
		return p, err
	}
}

// program returns whom an access token lets act, and as what.
func (h *Handler) program(ctx context.Context, raw string) (p auth.Principal, err error) {
	if len(raw) > maxToken {
		return p, errAccess.Because(fmt.Errorf("it has %d bytes", len(raw)))
	}
	sort, c, err := peek(raw)
	switch {
	case err != nil:
		return p, errAccess.Because(err)
	case c.Issuer != h.cfg.Issuer || !c.Audience.Contains(h.resource):
		return p, errAccess.Because(fmt.Errorf("it is of %q for %q, not for %q", fault.Clip(c.Issuer), []string(c.Audience), h.resource))
	case !c.isAccess(sort):
		return p, errAccess.Because(fmt.Errorf("a token of another sort: %q, %q", fault.Clip(sort), fault.Clip(c.Sort)))
	case !h.cfg.hasACR(c.ACR):
		return p, errAccess.Because(fmt.Errorf("acr is %q", fault.Clip(c.ACR)))
	}
	m, err := h.provider.get(ctx)
	if err != nil {
		return p, err
	}
	token, err := h.verify(ctx, m, raw, h.resource)
	switch {
	case fault.Is(err, fault.Unauthenticated):
		return p, errAccess.Because(err)
	case err != nil:
		return p, err
	}
	return h.accounts.PrincipalOf(ctx, auth.Delegation{
		Issuer: h.cfg.Issuer, Subject: token.Subject, Client: cmp.Or(c.Client, c.Authorized), Expires: token.Expiry, Scopes: c.scopes(),
	})
}

// isAccess reports whether a token is for access: it says so itself, or says nothing that others do.
func (c claims) isAccess(sort string) bool {
	switch sort {
	case "at+jwt":
		return c.Events == nil
	case "", "jwt":
		return c.Events == nil && c.Nonce == nil && c.TokenHash == nil && c.CodeHash == nil && (c.Sort == "" || c.Sort == "Bearer")
	}
	return false
}

// scopes returns those scopes of a token that are ours.
func (c claims) scopes() auth.Scopes {
	var scopes auth.Scopes
	for _, name := range append(strings.Fields(c.Scope), strings.Fields(strings.Join(c.Scopes, " "))...) {
		if scope, ok := ours[name]; ok && !slices.Contains(scopes, scope) {
			scopes = append(scopes, scope)
		}
	}
	return scopes
}
