package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"layercake/internal/db"
	"layercake/internal/fault"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Signed is what somebody who signed in gets.
type Signed struct {
	User    User
	Session Session
	Secret  string // shown once: only its hash is stored
}

// RegisterInput is what makes an account.
type RegisterInput struct{ Email, Username, DisplayName, Password string }

// LoginInput is what proves an account. The e-mail may be a user name, too.
type LoginInput struct{ Email, Password string }

var (
	errWrongLogin   = fault.New(fault.Unauthenticated, "Invalid email or password")
	errWrongCurrent = fault.New(fault.Unauthenticated, "The current password is wrong")
	errDeactivated  = fault.New(fault.Forbidden, "Account is deactivated")
	errPasswordsOff = fault.New(fault.Forbidden, "Passwords are off here: use single sign-on")
	errEmailTaken   = fault.New(fault.Conflict, "User with this email already exists")
	errNameTaken    = fault.New(fault.Conflict, "Username already taken")
)

// Register makes an account and signs in. The former session of the same browser ends. Faults: BadRequest for what the rules refuse,
// Conflict for names that are taken, Forbidden while registration is closed, RateLimited.
func (a *Accounts) Register(ctx context.Context, from From, former Principal, in RegisterInput) (Signed, error) {
	switch {
	case !a.cfg.Registration:
		return Signed{}, fault.New(fault.Forbidden, "Registration is closed: ask an operator for an account")
	case !a.cfg.Passwords:
		return Signed{}, errPasswordsOff
	}
	err := errors.Join(checkEmail(in.Email), checkUsername(in.Username), checkDisplayName(in.DisplayName))
	if err == nil {
		err = a.checkPassword(in.Password, in.Email, in.Username, in.DisplayName)
	}
	if err != nil {
		return Signed{}, firstFault(err)
	}
	// Whoever registers again and again computes hashes, too.
	attempt, err := a.attempt(ctx, from, from.registrationFrom())
	if err != nil {
		return Signed{}, err
	}
	hash, err := a.hasher.hash(ctx, in.Password)
	if err != nil {
		a.unproved(ctx, attempt)
		return Signed{}, err
	}
	var signed Signed
	err = a.cfg.DB.Requests.InTx(ctx, func(q *db.Queries) error {
		row, err := q.InsertUser(ctx, db.InsertUserParams{
			Email: &in.Email, Username: in.Username, DisplayName: in.DisplayName, AvatarColor: randomColor(), PasswordHash: &hash, LoggedIn: true,
		})
		if err != nil {
			return taken(err)
		}
		if err := Record(ctx, q, from, Entry{Event: "account_created", User: row.ID, Username: row.Username, By: row.Username}); err != nil {
			return err
		}
		signed, err = a.signIn(ctx, q, from, former, row, attempt, origin{})
		return err
	})
	return signed, internal("register", err)
}

// firstFault returns the first of joined faults: one sentence is enough.
func firstFault(err error) error {
	if f := fault.From(err); f != nil {
		return f
	}
	return err
}

// internal wraps an error that is no fault.
func internal(what string, err error) error {
	if err == nil || fault.From(err) != nil {
		return err
	}
	return fmt.Errorf("%s: %w", what, err)
}

// taken returns the fault for a name that another account has.
func taken(err error) error {
	refused := new(pgconn.PgError)
	if !errors.As(err, &refused) {
		return err
	}
	switch refused.ConstraintName {
	case "users_by_email":
		return errEmailTaken
	case "users_by_username":
		return errNameTaken
	}
	return err
}

// Login proves an account by its password and begins a session; the session that the same browser had before ends. An account that does not
// exist gets the same answer as a wrong password, after the same work. Faults: Unauthenticated, Forbidden for a disabled account,
// RateLimited with "retryAfterMs" after too many failures.
func (a *Accounts) Login(ctx context.Context, from From, former Principal, in LoginInput) (Signed, error) {
	if !a.cfg.Passwords {
		return Signed{}, errPasswordsOff
	}
	typed := strings.ToLower(strings.TrimSpace(in.Email))
	attempt, err := a.attempt(ctx, from, loginOf(typed))
	if err != nil {
		return Signed{}, err
	}
	row, err := a.find(ctx, typed)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return Signed{}, fmt.Errorf("find an account: %w", err)
	}
	ok, stale, err := a.hasher.check(ctx, in.Password, text(row.PasswordHash))
	if err != nil {
		a.unproved(ctx, attempt)
		return Signed{}, internal("check a password", err)
	}
	if !ok {
		// Each name that was typed has an entry of its own, so that an account that exists is no more work than one that does not.
		a.note(ctx, from, loginOf(typed), Entry{Event: "login_failed", User: row.ID, Username: row.Username, By: "nobody"})
		return Signed{}, errWrongLogin
	}
	if row.DisabledAt != nil {
		a.Note(ctx, from, Entry{Event: "login_failed", User: row.ID, Username: row.Username, By: row.Username, Detail: "the account is disabled"})
		return Signed{}, errDeactivated
	}
	var anew string
	if stale {
		if anew, err = a.hasher.hash(ctx, in.Password); err != nil {
			a.unproved(ctx, attempt)
			return Signed{}, err
		}
	}
	var signed Signed
	err = a.cfg.DB.Requests.InTx(ctx, func(q *db.Queries) (err error) {
		if signed, err = a.signIn(ctx, q, from, former, row, attempt, origin{}); err != nil || anew == "" {
			return err
		}
		return q.ReplaceHash(ctx, db.ReplaceHashParams{ID: row.ID, PasswordHash: &anew})
	})
	if err != nil {
		return Signed{}, internal("log in", err)
	}
	return signed, nil
}

// storable reports whether PostgreSQL can have such a text.
func storable(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// find returns the account of an e-mail or a user name.
func (a *Accounts) find(ctx context.Context, typed string) (row db.User, err error) {
	if !storable(typed) || len(typed) > 254 {
		return row, pgx.ErrNoRows // no text in the table is like that
	}
	err = a.cfg.DB.Requests.Query(ctx, func(q *db.Queries) error {
		if strings.Contains(typed, "@") {
			row, err = q.GetUserByEmail(ctx, typed)
		} else {
			row, err = q.GetUserByName(ctx, typed)
		}
		return err
	})
	return row, err
}

// RedeemCode sets a first or a new password by an operator's code, which is used up, ends all other sessions, and signs in.
func (a *Accounts) RedeemCode(ctx context.Context, from From, former Principal, code, password string) (Signed, error) {
	if !a.cfg.Passwords {
		return Signed{}, errPasswordsOff
	}
	errWrongCode := fault.New(fault.Unauthenticated, "The code is not valid, or not any more: ask an operator for another one")
	if err := a.checkPassword(password); err != nil { // no failure: it says nothing of the code
		return Signed{}, err
	}
	attempt, err := a.attempt(ctx, from, from.redemptionFrom())
	if err != nil {
		return Signed{}, err
	}
	if kindOf(code) != codePrefix {
		return Signed{}, errWrongCode
	}
	hash, err := a.hasher.hash(ctx, password)
	if err != nil {
		a.unproved(ctx, attempt)
		return Signed{}, err
	}
	var signed Signed
	err = a.cfg.DB.Requests.InTx(ctx, func(q *db.Queries) error {
		row, err := q.GetUserByCode(ctx, hashOf(code))
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return errWrongCode
		case err != nil:
			return err
		case row.DisabledAt != nil:
			return errDeactivated
		}
		if err := a.checkPassword(password, text(row.Email), row.Username, row.DisplayName); err != nil {
			return err
		}
		if err := q.SetPassword(ctx, db.SetPasswordParams{ID: row.ID, PasswordHash: &hash}); err != nil {
			return err
		}
		row.PasswordHash = &hash
		if err := endOthers(ctx, q, row.ID, 0, "new password by a code"); err != nil {
			return err
		}
		if err := Record(ctx, q, from, Entry{Event: "code_redeemed", User: row.ID, Username: row.Username, By: row.Username}); err != nil {
			return err
		}
		signed, err = a.signIn(ctx, q, from, former, row, attempt, origin{})
		return err
	})
	return signed, internal("redeem a code", err)
}

// endOthers ends the sessions of an account but for one, and tells the replicas.
func endOthers(ctx context.Context, q *db.Queries, account, spared int32, why string) error {
	n, err := q.EndSessionsBut(ctx, db.EndSessionsButParams{UserID: account, Spared: spared, EndedBy: &why})
	if err == nil && n > 0 {
		err = q.TellSessionsEnded(ctx)
	}
	return err
}

// ChangePassword replaces the password, and ends the other sessions. Faults: Unauthenticated for a wrong current one, BadRequest for a new
// one that is easily guessed, RateLimited.
func (a *Accounts) ChangePassword(ctx context.Context, from From, p Principal, current, fresh string) error {
	if !a.cfg.Passwords {
		return errPasswordsOff
	}
	row, err := a.prove(ctx, from, p, current)
	if err != nil {
		return err
	}
	if err := a.checkPassword(fresh, text(row.Email), row.Username, row.DisplayName); err != nil {
		return err
	}
	hash, err := a.hasher.hash(ctx, fresh)
	if err != nil {
		return err
	}
	err = a.cfg.DB.Requests.InTx(ctx, func(q *db.Queries) error {
		now, err := holdPerson(ctx, q, p)
		switch {
		case err != nil:
			return err
		case text(now.PasswordHash) != text(row.PasswordHash): // since it was proved
			return errWrongCurrent
		}
		if err := q.SetPassword(ctx, db.SetPasswordParams{ID: row.ID, PasswordHash: &hash}); err != nil {
			return err
		}
		if err := endOthers(ctx, q, row.ID, p.Credential.ID, "new password"); err != nil {
			return err
		}
		return Record(ctx, q, from, Entry{Event: "password_changed", User: row.ID, Username: row.Username, By: row.Username})
	})
	return internal("change a password", err)
}

// freshProof is how long after a proof to the identity provider somebody without a password may do what needs one.
const freshProof = 5 * time.Minute

// prove checks the current password of whoever is signed in. Where that counts for nothing, because the account has none or passwords are
// off, the account proves itself by having proved itself to the identity provider a moment ago.
func (a *Accounts) prove(ctx context.Context, from From, p Principal, current string) (row db.User, err error) {
	account, err := p.Person()
	if err != nil {
		return row, err
	}
	err = a.cfg.DB.Requests.Query(ctx, func(q *db.Queries) (err error) {
		row, err = q.GetUser(ctx, account)
		return err
	})
	if err != nil {
		return row, fmt.Errorf("get an account: %w", err)
	}
	if row.PasswordHash == nil || !a.cfg.Passwords {
		if time.Since(p.Proved) > freshProof {
			return row, fault.New(fault.Unauthenticated, "Sign in again for this: you proved who you are more than 5 minutes ago")
		}
		return row, nil
	}
	attempt, err := a.attempt(ctx, from, passwordOf(account))
	if err != nil {
		return row, err
	}
	ok, _, err := a.hasher.check(ctx, current, *row.PasswordHash)
	if err != nil {
		a.unproved(ctx, attempt)
		return row, internal("check a password", err)
	}
	if !ok {
		return row, errWrongCurrent
	}
	return row, a.succeeded(ctx, attempt)
}

// origin is the identity provider by which somebody signed in; zero for a password.
type origin struct {
	issuer, session, subject string
	proved                   *time.Time // when, to it; nil when it does not say
}

// signIn begins a session in a transaction. It ends the session that the browser had, and the oldest ones beyond the most that there may
// be.
func (a *Accounts) signIn(
	ctx context.Context, q *db.Queries, from From, former Principal, row db.User, attempt int64, by origin,
) (Signed, error) {
	// The lock comes first. Whatever ends an account or replaces its password takes it, too: either that sees this session, and ends it,
	// or it is seen here. And of two sign-ins at once each sees the other's session.
	now, err := q.LockUser(ctx, row.ID)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return Signed{}, errWrongLogin
	case err != nil:
		return Signed{}, err
	case now.DisabledAt != nil:
		return Signed{}, errDeactivated
	case text(now.PasswordHash) != text(row.PasswordHash):
		return Signed{}, errWrongLogin
	}
	if attempt != 0 {
		if err := q.AttemptSucceeded(ctx, attempt); err != nil {
			return Signed{}, err
		}
	}
	ended := int64(0)
	if former.Credential.Kind == SessionSecret { // a session that somebody else planted in the browser is of no use
		why := "new login"
		n, err := q.EndSession(ctx, db.EndSessionParams{ID: former.Credential.ID, UserID: former.Account, EndedBy: &why})
		if err != nil {
			return Signed{}, err
		}
		ended += n
	}
	why := fmt.Sprintf("more than %d sessions", maxSessions)
	n, err := q.EndOldSessions(ctx, db.EndOldSessionsParams{UserID: row.ID, Most: maxSessions - 1, EndedBy: &why})
	if err != nil {
		return Signed{}, err
	}
	secret := newSecret(sessionPrefix, secretBytes)
	session, err := q.InsertSession(ctx, db.InsertSessionParams{
		UserID: row.ID, SecretHash: hashOf(secret), Ttl: a.cfg.SessionTTL.Seconds(), Address: from.address(),
		Issuer: optionalText(by.issuer), IssuerSession: optionalText(by.session), Subject: optionalText(by.subject),
		ProvedAt: by.proved,
	})
	if err != nil {
		return Signed{}, err
	}
	if err := errors.Join(noteNetwork(ctx, q, from, row), q.NoteLogin(ctx, row.ID)); err != nil {
		return Signed{}, err
	}
	if ended+n > 0 {
		if err := q.TellSessionsEnded(ctx); err != nil {
			return Signed{}, err
		}
	}
	err = Record(ctx, q, from, Entry{Event: "login", User: row.ID, Username: row.Username, By: row.Username, Detail: by.issuer})
	row.LastLoginAt = &session.CreatedAt
	return Signed{User: userOf(row), Session: sessionOf(db.ListSessionsRow(session), row.DisplayName), Secret: secret}, err
}
