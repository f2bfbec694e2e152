package graph

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"layercake/internal/auth"
	"layercake/internal/caller"
	"layercake/internal/collaborator"
	"layercake/internal/fault"
)

// permissions are what roles may, in the words of the existing server.
var permissions = map[auth.Role]string{
	auth.Owner:  `["read","write","admin","delete","invite"]`,
	auth.Editor: `["read","write"]`,
	auth.Viewer: `["read"]`,
}

var errNoUser = fault.New(fault.NotFound, "User not found")

// from says where a request comes from.
func from(ctx context.Context) auth.From { return caller.From(ctx).Where() }

// exchange is the request and the answer that an operation came by, for cookies.
type exchange struct {
	w         http.ResponseWriter
	r         *http.Request
	publicURL *url.URL
}

type exchangeKey struct{}

func exchangeOf(ctx context.Context) (exchange, bool) {
	e, ok := ctx.Value(exchangeKey{}).(exchange)
	return e, ok
}

// checkCookie refuses a cookie where none can be set.
func checkCookie(ctx context.Context, cookie *bool) error {
	if _, ok := exchangeOf(ctx); value(cookie) && !ok {
		return fault.New(fault.BadRequest, "A cookie can be set by an answer over HTTP only: send the request by POST")
	}
	return nil
}

// loginResponse gives the secret to the caller: in the answer, or in a cookie and nowhere else.
func (r *Resolver) loginResponse(ctx context.Context, signed auth.Signed, err error, cookie *bool) (*LoginResponse, error) {
	if err != nil {
		return nil, err
	}
	answer := &LoginResponse{User: signed.User, SessionID: signed.Secret, ExpiresAt: signed.Session.ExpiresAt}
	if e, ok := exchangeOf(ctx); ok && value(cookie) {
		caller.SetSession(e.w, e.r, e.publicURL, signed.Secret, signed.Session.ExpiresAt)
		answer.SessionID = strconv.Itoa(int(signed.Session.ID))
	}
	return answer, nil
}

// forgetSession takes the cookie out of the browser, with whatever else it keeps of this server.
func (r *Resolver) forgetSession(ctx context.Context) {
	if e, ok := exchangeOf(ctx); ok {
		caller.ClearSession(e.w, e.r, e.publicURL)
		e.w.Header().Set("Clear-Site-Data", `"cache", "cookies", "storage"`)
	}
}

// sessionsOf returns the sessions of an account to itself, and none of another.
func (r *Resolver) sessionsOf(ctx context.Context, account int32) ([]UserSession, error) {
	p := caller.From(ctx).Principal
	if p.Account != account || p.Credential.Kind != auth.SessionSecret {
		return []UserSession{}, nil
	}
	sessions, err := r.accounts.Sessions(ctx, p)
	return convert(sessions, userSession), err
}

// collaborationsOf returns the collaborations of an account to itself, and none of another.
func (r *Resolver) collaborationsOf(ctx context.Context, account int32) ([]collaborator.Collaborator, error) {
	p := caller.From(ctx).Principal
	if p.Account == 0 || p.Account != account {
		return []collaborator.Collaborator{}, nil
	}
	return r.collaborators.Of(ctx, p)
}

func userSession(s auth.Session) UserSession {
	return UserSession{
		ID: s.ID, SessionID: strconv.Itoa(int(s.ID)), UserID: s.UserID, UserName: s.UserName, LastActivity: s.LastUsedAt, IsActive: s.Active,
		CreatedAt: s.CreatedAt, ExpiresAt: s.ExpiresAt,
	}
}
