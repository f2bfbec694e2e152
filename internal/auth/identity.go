package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"layercake/internal/db"
	"layercake/internal/fault"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Identity is what an identity provider says of somebody who signed in there. Issuer and subject name the person; all else is a label.
type Identity struct {
	Issuer, Subject string
	Email           string
	EmailVerified   bool
	Name, Username  string
	Session         string    // there; its end ends the session here
	Issued          time.Time // when it said so, by its own clock
	Proved          time.Time // when somebody proved there who they are; zero when it does not say
}

var (
	errIdentity = fault.New(fault.Unauthenticated, "The identity provider does not say who you are in a way that can be kept")
	errUnknown  = fault.New(fault.Forbidden, "There is no account for you here: ask an operator for one")
	errJoin     = fault.New(fault.Forbidden, "An account with your e-mail exists: sign in to it as before, and join single sign-on there")
	errNoScope  = fault.New(fault.Forbidden, "The access token has no scope of this server, so it may do nothing here: ask for one")
	errOut      = fault.New(fault.Unauthenticated, "You signed out at the identity provider meanwhile: sign in again")
	errJoined   = fault.New(fault.Conflict, "This identity belongs to another account")
)

// check refuses what names nobody, or what no row can have.
func (id Identity) check() error {
	for text, most := range map[string]int{id.Issuer: 500, id.Subject: 255, id.Session: 500} {
		if !storable(text) || len(text) > most {
			return errIdentity
		}
	}
	if id.Issuer == "" || id.Subject == "" {
		return errIdentity
	}
	return nil
}

// email returns the e-mail that counts: one that the provider has verified.
func (id Identity) email() string {
	if !id.EmailVerified || !storable(id.Email) || checkEmail(id.Email) != nil {
		return ""
	}
	return id.Email
}

func (id Identity) origin() origin {
	o := origin{issuer: id.Issuer, session: id.Session, subject: id.Subject}
	if !id.Proved.IsZero() {
		o.proved = &id.Proved
	}
	return o
}

// SignIn begins a session for an identity. One that is unknown is joined to the account that has its verified e-mail, if that has neither a
// password nor an identity: then nobody else has proved it yet. Else it gets an account of its own, where those are made by signing in.
// Faults: Unauthenticated for an identity that says nothing, Forbidden without an account.
func (a *Accounts) SignIn(ctx context.Context, from From, former Principal, id Identity) (signed Signed, err error) {
	if err := id.check(); err != nil {
		return Signed{}, err
	}
	for range 3 { // of two first sign-ins at once the second finds what the first made
		err = a.cfg.DB.Requests.InTx(ctx, func(q *db.Queries) error {
			if err := notLoggedOut(ctx, q, id); err != nil {
				return err
			}
			row, err := a.accountOf(ctx, q, from, id)
			if err != nil {
				return err
			}
			signed, err = a.signIn(ctx, q, from, former, row, 0, id.origin())
			return err
		})
		if !isTaken(err) {
			break
		}
	}
	if errors.Is(err, errDeactivated) || errors.Is(err, errUnknown) || errors.Is(err, errJoin) {
		a.Note(ctx, from, Entry{Event: "login_failed", By: "nobody", Detail: id.Issuer + ": " + err.Error()})
	}
	if err != nil {
		return Signed{}, internal("sign in by an identity", err)
	}
	return signed, nil
}

// notLoggedOut fails when a logout was told of what the provider says here: it may come while the answer is on its way.
func notLoggedOut(ctx context.Context, q *db.Queries, id Identity) error {
	if err := q.LockSignIns(ctx, id.Issuer); err != nil {
		return err
	}
	out, err := q.IsLoggedOut(ctx, db.IsLoggedOutParams{
		Issuer: id.Issuer, Session: optionalText(id.Session), Subject: &id.Subject, IssuedAt: &id.Issued,
	})
	if err == nil && out {
		return errOut
	}
	return err
}

// isTaken reports whether another transaction made the same row a moment before.
func isTaken(err error) bool {
	refused := new(pgconn.PgError)
	if !errors.As(err, &refused) {
		return false
	}
	switch refused.ConstraintName {
	case "identities_pkey", "users_by_email", "users_by_username":
		return true
	}
	return false
}

func (a *Accounts) accountOf(ctx context.Context, q *db.Queries, from From, id Identity) (row db.User, err error) {
	account, err := q.GetIdentity(ctx, db.GetIdentityParams{Issuer: id.Issuer, Subject: id.Subject})
	switch {
	case err == nil:
		return q.LockUser(ctx, account)
	case !errors.Is(err, pgx.ErrNoRows):
		return row, err
	}
	event := "identity_joined"
	err = pgx.ErrNoRows
	if email := id.email(); email != "" {
		row, err = q.GetUserByEmail(ctx, email)
	}
	switch {
	case err == nil:
		if row, err = q.LockUser(ctx, row.ID); err != nil {
			return row, err
		}
		// Of two first sign-ins at once the other one may have joined it since.
		if now, err := q.GetIdentity(ctx, db.GetIdentityParams{Issuer: id.Issuer, Subject: id.Subject}); err == nil {
			return q.LockUser(ctx, now)
		} else if !errors.Is(err, pgx.ErrNoRows) {
			return row, err
		}
		n, err := q.CountIdentities(ctx, row.ID)
		switch {
		case err != nil:
			return row, err
		case row.DisabledAt != nil:
			return row, errDeactivated
		case row.PasswordHash != nil || n > 0: // an e-mail may have been given to somebody else since
			return row, errJoin
		}
	case !errors.Is(err, pgx.ErrNoRows):
		return row, err
	case !a.cfg.Registration:
		return row, errUnknown
	default:
		event = "account_created"
		name, err := freeName(ctx, q, id)
		if err != nil {
			return row, err
		}
		row, err = q.InsertUser(ctx, db.InsertUserParams{
			Email: optionalText(id.email()), Username: name, DisplayName: id.displayName(name), AvatarColor: randomColor(), LoggedIn: true,
		})
		if err != nil {
			return row, err
		}
	}
	err = q.InsertIdentity(ctx, db.InsertIdentityParams{Issuer: id.Issuer, Subject: id.Subject, UserID: row.ID})
	if err != nil {
		return row, err
	}
	return row, Record(ctx, q, from, Entry{Event: event, User: row.ID, Username: row.Username, By: row.Username, Detail: id.Issuer})
}

// Rooms for names: the most bytes, and how many a suffix takes.
const (
	maxUsername    = 50
	suffixBytes    = 5
	maxDisplayName = 100
)

// username returns a user name made of what the provider says: a label, which rules may refuse.
func (id Identity) username() string {
	local, _, _ := strings.Cut(id.Email, "@")
	for _, text := range []string{id.Username, local, id.Name} {
		text, _, _ = strings.Cut(text, "@")
		name := strings.Map(func(r rune) rune {
			switch {
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '_', r == '-':
				return r
			case r == ' ', r == '.', r == '+':
				return '-'
			}
			return -1
		}, strings.ToValidUTF8(text, ""))
		name = clipBytes(name, maxUsername-suffixBytes)
		if checkUsername(name) == nil && strings.ContainsFunc(name, unicode.IsLetter) { // digits alone look like an id
			return name
		}
	}
	return "user"
}

// displayName returns the name for people to read.
func (id Identity) displayName(username string) string {
	name := strings.Map(func(r rune) rune {
		if fault.Hidden(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(id.Name, ""))
	name = clipBytes(strings.TrimSpace(name), maxDisplayName)
	if checkDisplayName(name) != nil {
		return username
	}
	return name
}

// clipBytes cuts a text to so many bytes, between characters.
func clipBytes(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most]
}

// freeName returns a user name that nobody has.
func freeName(ctx context.Context, q *db.Queries, id Identity) (string, error) {
	base := id.username()
	for i := 1; i < 1000; i++ {
		name := base
		if i > 1 {
			name = fmt.Sprintf("%s-%d", base, i)
		}
		_, err := q.GetUserByName(ctx, name)
		if errors.Is(err, pgx.ErrNoRows) {
			return name, nil
		}
		if err != nil {
			return "", err
		}
	}
	return "", errNameTaken
}

// Join joins an identity to the account of the caller, who asked for it. Faults: Conflict when it belongs to another account.
func (a *Accounts) Join(ctx context.Context, from From, p Principal, id Identity) error {
	account, err := p.Person()
	if err != nil {
		return err
	}
	if err := id.check(); err != nil {
		return err
	}
	err = a.cfg.DB.Requests.InTx(ctx, func(q *db.Queries) error {
		if _, err := holdPerson(ctx, q, p); err != nil {
			return err
		}
		owner, err := q.GetUserByIdentity(ctx, db.GetUserByIdentityParams{Issuer: id.Issuer, Subject: id.Subject})
		switch {
		case err == nil && owner.ID == account:
			return nil
		case err == nil:
			return errJoined
		case !errors.Is(err, pgx.ErrNoRows):
			return err
		}
		if err := q.InsertIdentity(ctx, db.InsertIdentityParams{Issuer: id.Issuer, Subject: id.Subject, UserID: account}); err != nil {
			return err
		}
		return Record(ctx, q, from, Entry{Event: "identity_joined", User: account, Username: p.Username, By: p.Username, Detail: id.Issuer})
	})
	if isTaken(err) {
		return errJoined
	}
	return internal("join an identity", err)
}

// IssuerLogout is a logout at an identity provider, which it tells once.
type IssuerLogout struct {
	Issuer           string
	ID               string    // by which the provider names the logout
	Issued           time.Time // by the clock of the provider
	Until            time.Time // when it counts for nothing any more, and need not be remembered
	Session, Subject string    // whose sessions end: at least one of them is not empty
}

// EndIssuerSessions ends the sessions that began by an identity provider: those of its session, or of its subject, or of both. It returns
// how many there were. Faults: BadRequest for a logout that names neither, since it would end everybody's; Conflict for one that was told
// before.
func (a *Accounts) EndIssuerSessions(ctx context.Context, from From, l IssuerLogout) (ended int, err error) {
	switch {
	case l.Issuer == "" || l.Session == "" && l.Subject == "" || !storable(l.Issuer+l.Session+l.Subject):
		return 0, fault.New(fault.BadRequest, "A logout names a session or a subject of an identity provider")
	case l.ID == "" || len(l.ID) > 500 || !storable(l.ID):
		return 0, fault.New(fault.BadRequest, "A logout has an id of 1 to 500 bytes")
	}
	why := "logout at the identity provider"
	err = a.cfg.DB.Requests.InTx(ctx, func(q *db.Queries) error {
		if err := q.LockLogouts(ctx, l.Issuer); err != nil {
			return err
		}
		n, err := q.InsertLogout(ctx, db.InsertLogoutParams{
			Issuer: l.Issuer, Jti: l.ID, ExpiresAt: l.Until, Session: optionalText(l.Session), Subject: optionalText(l.Subject), IssuedAt: &l.Issued,
		})
		switch {
		case err != nil:
			return err
		case n == 0:
			return fault.New(fault.Conflict, "This logout was told before")
		}
		accounts, err := q.EndIssuerSessions(ctx, db.EndIssuerSessionsParams{
			EndedBy: &why, Issuer: &l.Issuer, IssuerSession: optionalText(l.Session), Subject: optionalText(l.Subject),
		})
		if ended = len(accounts); err != nil || ended == 0 {
			return err
		}
		logged := make(map[int32]bool)
		for _, account := range accounts {
			if logged[account] {
				continue
			}
			logged[account] = true
			err := Record(ctx, q, from, Entry{Event: "session_ended", User: account, By: "the identity provider", Detail: l.Issuer})
			if err != nil {
				return err
			}
		}
		return q.TellSessionsEnded(ctx)
	})
	if err != nil {
		return 0, internal("end the sessions of an identity", err)
	}
	return ended, nil
}

// Delegation is what an access token of an identity provider says: for whom a program acts, and in what.
type Delegation struct {
	Issuer, Subject string
	Client          string // id of the program there; "" when the token does not say
	Expires         time.Time
	Scopes          Scopes
}

// PrincipalOf returns a program that acts for the account of an identity, by an access token which the caller has checked. Faults:
// Unauthenticated when nobody here has the identity, or the account is disabled, or the token is over; Forbidden without scopes, by
// which it could do nothing.
func (a *Accounts) PrincipalOf(ctx context.Context, d Delegation) (Principal, error) {
	if (Identity{Issuer: d.Issuer, Subject: d.Subject}).check() != nil || !time.Now().Before(d.Expires) {
		return Principal{}, errWrongSecret
	}
	if len(d.Scopes) == 0 { // nil would limit nothing
		return Principal{}, errNoScope
	}
	var row db.User
	err := a.cfg.DB.Requests.Query(ctx, func(q *db.Queries) (err error) {
		row, err = q.GetUserByIdentity(ctx, db.GetUserByIdentityParams{Issuer: d.Issuer, Subject: d.Subject})
		return err
	})
	switch {
	case errors.Is(err, pgx.ErrNoRows), err == nil && row.DisabledAt != nil:
		return Principal{}, errWrongSecret
	case err != nil:
		return Principal{}, fmt.Errorf("look an identity up: %w", err)
	}
	p := tokenPrincipal(d.actorID(row.ID), d.name(), row.ID, row.DisplayName)
	p.Credential = Credential{Kind: AccessToken, Expires: d.Expires}
	p.Username, p.Color, p.Issuer = row.Username, row.AvatarColor, d.Issuer
	p.Scopes = d.Scopes
	return p, nil
}

// actorID is the same for all tokens by which one program may do the same for an account. What belongs to one of them, such as a session of
// MCP, is not for another program, nor for a token that may do less.
func (d Delegation) actorID(account int32) string {
	scopes := slices.Sorted(slices.Values(d.Scopes.Names()))
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q", d.Client, scopes))
	return fmt.Sprintf("access-%d-%x", account, sum[:8])
}

// name is what people read of the program.
func (d Delegation) name() string {
	name := clipBytes(d.Client, maxDisplayName)
	if checkDisplayName(name) != nil {
		return "Agent"
	}
	return name
}
