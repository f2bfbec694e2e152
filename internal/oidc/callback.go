package oidc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"

	"layercake/internal/auth"
	"layercake/internal/caller"
	"layercake/internal/fault"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

var (
	errMixUp   = fault.New(fault.Unauthenticated, "This answer is not from the identity provider of this server: begin again")
	errCode    = fault.New(fault.Unauthenticated, "The identity provider does not take this sign-in any more: begin again")
	errClient  = fault.New(fault.Unavailable, "The identity provider does not accept this server: tell an operator")
	errSession = fault.New(fault.Unauthenticated, "You are not signed in any more as who asked to join this: sign in, then ask again")
)

// callback is where the provider sends a browser back to.
func (h *Handler) callback(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	done, err := h.answered(w, r)
	if fault.Is(err, fault.Unauthenticated) || errors.Is(err, errACR) {
		h.accounts.Note(ctx, from(r), auth.Entry{Event: "login_failed", By: "nobody", Detail: h.cfg.Issuer + ": " + err.Error()})
	}
	if err != nil {
		return err
	}
	page(w, http.StatusOK, done.sentence, done.path, "Go on", !done.stays)
	return nil
}

// outcome is what a flow came to.
type outcome struct {
	sentence string // for the user of the browser
	path     string // where it goes on
	stays    bool   // until its user has read the sentence
}

// answered does what the provider's answer is for.
func (h *Handler) answered(w http.ResponseWriter, r *http.Request) (o outcome, err error) {
	ctx, query := r.Context(), r.URL.Query()
	if query.Has("iss") && query.Get("iss") != h.cfg.Issuer {
		return o, errMixUp
	}
	m, err := h.provider.get(ctx) // before the flow is taken: who comes while the provider is away may come again
	switch {
	case err != nil:
		return o, err
	case m.namesSelf && !query.Has("iss"):
		return o, errMixUp
	}
	flow, err := h.accounts.TakeFlow(ctx, query.Get("state"), h.knownBrowser(r))
	if err != nil {
		return o, err
	}
	if query.Has("error") {
		return o, refusal(query.Get("error"))
	}
	identity, err := h.exchange(ctx, m, flow, query.Get("code"))
	if err != nil {
		return o, err
	}
	// The browser was sent by another site, so its cookie proves nothing by itself; but only this browser has begun the flow.
	var former auth.Principal
	if secret := caller.SessionOf(r, h.publicURL); secret != "" {
		former, err = h.accounts.Look(ctx, from(r), secret)
		if err != nil && !fault.Is(err, fault.Unauthenticated) {
			return o, err
		}
	}
	if flow.Joins != 0 {
		if former.Account != flow.Joins {
			return o, errSession
		}
		return outcome{"Single sign-on is joined to your account.", flow.ReturnTo, true}, h.accounts.Join(ctx, from(r), former, identity)
	}
	signed, err := h.accounts.SignIn(ctx, from(r), former, identity)
	if err != nil {
		return o, err
	}
	caller.SetSession(w, r, h.publicURL, signed.Secret, signed.Session.ExpiresAt)
	return outcome{"You are signed in.", flow.ReturnTo, false}, nil
}

var errorCode = regexp.MustCompile(`^[a-z_]{1,60}$`)

// refusal is the fault for an error that the provider answers.
func refusal(code string) error {
	switch code {
	case "access_denied":
		return fault.New(fault.Forbidden, "The identity provider did not let you in, or you chose not to sign in")
	case "temporarily_unavailable", "server_error":
		return errAway.Because(errors.New(code))
	}
	if !errorCode.MatchString(code) {
		code = "an error"
	}
	return fault.New(fault.Forbidden, "The identity provider refused the sign-in: "+code)
}

// exchange trades the code of a flow for an ID token, and returns whom it names.
func (h *Handler) exchange(ctx context.Context, m *metadata, flow auth.Flow, code string) (id auth.Identity, err error) {
	ctx, cancel := context.WithTimeout(gooidc.ClientContext(ctx, h.provider.client), h.cfg.Patience)
	defer cancel()
	tokens, err := h.oauth(m).Exchange(ctx, code, oauth2.VerifierOption(flow.Verifier))
	if err != nil {
		return id, exchangeFault(err)
	}
	raw, _ := tokens.Extra("id_token").(string)
	token, c, err := h.idToken(ctx, m, raw, tokens.AccessToken, flow.Nonce)
	if err != nil {
		return id, err
	}
	who := c.person
	if who.Email == "" && m.userInfo { // some providers say the rest only when they are asked
		if who, err = h.userInfo(ctx, m, token.Subject, tokens, who); err != nil {
			return id, err
		}
	}
	return auth.Identity{
		Issuer: h.cfg.Issuer, Subject: token.Subject, Email: who.Email, EmailVerified: who.verified(), Name: who.Name, Username: who.Username,
		Session: c.Session, Issued: token.IssuedAt, Proved: c.proved(),
	}, nil
}

// userInfo adds to what an ID token says of a subject what the provider says of it beside that.
func (h *Handler) userInfo(ctx context.Context, m *metadata, subject string, tokens *oauth2.Token, who person) (person, error) {
	info, err := m.UserInfo(ctx, oauth2.StaticTokenSource(tokens))
	if err != nil {
		return who, errAway.Because(errors.New("userinfo does not answer as it should"))
	}
	var more person
	switch err := info.Claims(&more); {
	case err != nil:
		return who, errAway.Because(err)
	case info.Subject != subject:
		return who, errIDToken.Because(errors.New("userinfo is about somebody else"))
	}
	if who.Name == "" {
		who.Name = more.Name
	}
	if who.Username == "" {
		who.Username = more.Username
	}
	who.Email, who.Verified = more.Email, more.Verified
	return who, nil
}

// exchangeFault is the fault for a code that was not traded. Its cause has nothing of what was sent or received: secrets are in that.
func exchangeFault(err error) error {
	refused := new(oauth2.RetrieveError)
	if !errors.As(err, &refused) {
		return errAway.Because(err)
	}
	status := 0
	if refused.Response != nil {
		status = refused.Response.StatusCode
	}
	cause := fmt.Errorf("the provider answers %d %q to a code", status, fault.Clip(refused.ErrorCode))
	switch {
	case refused.ErrorCode == "invalid_grant":
		return errCode.Because(cause)
	case refused.ErrorCode == "" || status >= http.StatusInternalServerError:
		return errAway.Because(cause)
	}
	return errClient.Because(cause)
}
