package auth

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"layercake/internal/db"
	"layercake/internal/fault"

	"github.com/jackc/pgx/v5"
)

// Scope is a part of what a token may do for its account.
type Scope string

// The scopes. EDIT and RUN read as well: their answers show what they did.
const (
	ScopeRead Scope = "READ"
	ScopeEdit Scope = "EDIT"
	ScopeRun  Scope = "RUN"
)

// Scopes limit a token. Nil limits nothing.
type Scopes []Scope

// allow reports whether the scopes leave a right. What owners do to people and to the project as a whole no token does.
func (s Scopes) allow(need Need) bool {
	switch {
	case s == nil:
		return true
	case need == View:
		return len(s) > 0
	case need == Edit:
		return slices.Contains(s, ScopeEdit)
	case need == Run:
		return slices.Contains(s, ScopeRun)
	}
	return false
}

// Names returns the scopes as texts.
func (s Scopes) Names() []string {
	names := make([]string, len(s))
	for i, scope := range s {
		names[i] = string(scope)
	}
	return names
}

func (s Scopes) String() string { return strings.Join(s.Names(), ", ") }

// CredentialKind is what sort of proof somebody gave.
type CredentialKind string

// The kinds of credentials.
const (
	NoCredential  CredentialKind = ""
	SessionSecret CredentialKind = "session" // of a person, by password or single sign-on
	TokenSecret   CredentialKind = "token"   // of a program that acts for an account
	AccessToken   CredentialKind = "access"  // of the identity provider, for a program; nothing of it is stored here
)

// Credential names what somebody proved the account with. The id proves nothing itself.
type Credential struct {
	Kind    CredentialKind
	ID      int32     // public id of the session or token; 0 for others
	Expires time.Time // zero without a credential
	Secret  string    // first bytes of the hash of a token's secret, which is another one after a rotation; "" for others
}

// Principal is who calls, and what the credential says of it. The look-up of a credential makes one, and so does the absence of any: then
// the account is 0. The zero Principal is nobody.
type Principal struct {
	Actor
	Credential Credential
	Scopes     Scopes    // nil for people
	Project    int32     // the only project that a token is for; 0 for all
	Username   string    // of the account
	Color      string    // in which others see the account; "" without one
	Proved     time.Time // when a person gave a password, here or to the identity provider; zero when that does not say
	Issuer     string    // the identity provider by which; "" for a password
}

// errSignIn is the fault for whoever has no credential and needs one.
var errSignIn = fault.New(fault.Unauthenticated, "Sign in first")

// holdPerson returns the account of a person who signed in, as it is until the end of the transaction. It fails when the session, which was
// looked up when the request came, has ended since, or the account was disabled: what outlives a session nobody makes after its end.
func holdPerson(ctx context.Context, q *db.Queries, p Principal) (row db.User, err error) {
	if row, err = q.LockUser(ctx, p.Account); err != nil {
		return row, err
	}
	if row.DisabledAt != nil {
		return row, errDeactivated
	}
	if p.Credential.ID == 0 { // an operator acts for the account
		return row, nil
	}
	_, err = q.HoldSession(ctx, db.HoldSessionParams{ID: p.Credential.ID, UserID: p.Account})
	if errors.Is(err, pgx.ErrNoRows) {
		return row, ErrEnded
	}
	return row, err
}

// Person fails unless the caller is a person who signed in, and returns the account: what people do to their accounts no token does.
func (p Principal) Person() (account int32, err error) {
	switch {
	case p.Account == 0:
		return 0, errSignIn
	case p.Credential.Kind != SessionSecret:
		return 0, fault.New(fault.Forbidden, "A token may not do that: sign in with the account itself")
	}
	return p.Account, nil
}
