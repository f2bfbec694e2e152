package oidc

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"layercake/internal/fault"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// claims are what tokens of all sorts say, and what tells the sorts apart.
type claims struct {
	Issuer     string          `json:"iss"`
	Audience   jwt.Audience    `json:"aud"`
	Authorized string          `json:"azp"`
	Client     string          `json:"client_id"` // of access tokens
	Sort       string          `json:"typ"`       // of Keycloak
	Nonce      json.RawMessage `json:"nonce"`
	Events     json.RawMessage `json:"events"`
	CodeHash   json.RawMessage `json:"c_hash"`
	TokenHash  json.RawMessage `json:"at_hash"`

	ACR      string           `json:"acr"`
	AuthTime *jwt.NumericDate `json:"auth_time"`
	Session  string           `json:"sid"`
	Scope    string           `json:"scope"`
	Scopes   jwt.Audience     `json:"scp"` // one, several by blanks, or a list

	person
}

// person is how a provider calls somebody. The verified flag is a text with some.
type person struct {
	Email    string `json:"email"`
	Verified any    `json:"email_verified"`
	Name     string `json:"name"`
	Username string `json:"preferred_username"`
}

func (p person) verified() bool { return p.Verified == true || p.Verified == "true" }

// peek reads a token without believing it. What it refuses costs the provider no request.
func peek(token string) (sort string, c claims, err error) {
	parsed, err := jose.ParseSignedCompact(token, algorithms)
	if err != nil {
		return "", c, fmt.Errorf("parse a token: %w", err)
	}
	sort, _ = parsed.Signatures[0].Header.ExtraHeaders[jose.HeaderType].(string)
	if err := json.Unmarshal(parsed.UnsafePayloadWithoutVerification(), &c); err != nil {
		return "", c, fmt.Errorf("read the claims of a token: %w", err)
	}
	return strings.TrimPrefix(strings.ToLower(sort), "application/"), c, nil
}

// hasACR reports whether a class of authentication is one of those that a sign-in needs.
func (cfg Config) hasACR(acr string) bool {
	wanted := strings.Fields(cfg.ACR)
	return len(wanted) == 0 || slices.Contains(wanted, acr)
}

var (
	errIDToken = fault.New(fault.Unauthenticated, "The identity provider's answer cannot be believed: begin again, then tell an operator")
	errACR     = fault.New(fault.Forbidden, "The identity provider did not ask you for the proof that is needed here, such as a second factor")
)

// idToken checks an ID token of a flow, and returns what it says. Faults: Unauthenticated, Forbidden for the wrong class of authentication,
// Unavailable without the keys.
func (h *Handler) idToken(ctx context.Context, m *metadata, raw, accessToken, nonce string) (*gooidc.IDToken, claims, error) {
	sort, c, err := peek(raw)
	if err != nil {
		return nil, c, errIDToken.Because(err)
	}
	if sort != "" && sort != "jwt" || c.Events != nil {
		return nil, c, errIDToken.Because(fmt.Errorf("a token of the type %q", fault.Clip(sort)))
	}
	token, err := h.verify(ctx, m, raw, h.cfg.ClientID)
	if err != nil {
		return nil, c, err
	}
	switch {
	case subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(nonce)) != 1:
		err = fmt.Errorf("the nonce is another one")
	case len(token.Audience) > 1 && c.Authorized == "", c.Authorized != "" && c.Authorized != h.cfg.ClientID:
		err = fmt.Errorf("it is for %q, and azp is %q", token.Audience, fault.Clip(c.Authorized))
	case token.AccessTokenHash != "":
		err = token.VerifyAccessToken(accessToken)
	}
	switch {
	case err != nil:
		return nil, c, errIDToken.Because(err)
	case !h.cfg.hasACR(c.ACR):
		return nil, c, errACR.Because(fmt.Errorf("acr is %q", fault.Clip(c.ACR)))
	}
	return token, c, nil
}

// verifier checks the signatures of tokens for an audience, their issuer and time, by keys.
func (h *Handler) verifier(keys gooidc.KeySet, audience string) *gooidc.IDTokenVerifier {
	cfg := &gooidc.Config{ClientID: audience}
	for _, algorithm := range algorithms {
		cfg.SupportedSigningAlgs = append(cfg.SupportedSigningAlgs, string(algorithm))
	}
	return gooidc.NewVerifier(h.cfg.Issuer, keys, cfg)
}

// verify checks a token that is no logout token. Faults: Unauthenticated; Unavailable when the keys cannot be had.
func (h *Handler) verify(ctx context.Context, m *metadata, raw, audience string) (*gooidc.IDToken, error) {
	ctx, cancel := context.WithTimeout(ctx, h.cfg.Patience)
	defer cancel()
	keys := &notedKeys{KeySet: m.keySet}
	token, err := h.verifier(keys, audience).Verify(ctx, raw)
	switch {
	case err == nil:
		return token, nil
	case keys.away():
		return nil, errAway.Because(clipped(err))
	}
	return nil, errIDToken.Because(clipped(err))
}

// proved returns when somebody proved to the provider who they are, or zero when it does not say.
func (c claims) proved() time.Time {
	if c.AuthTime == nil {
		return time.Time{}
	}
	at := c.AuthTime.Time()
	if at.Year() < 2000 || at.After(time.Now().Add(clockError)) { // no time at which somebody did
		return time.Time{}
	}
	return at
}
