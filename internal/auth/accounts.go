package auth

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"layercake/internal/db"
	"layercake/internal/fault"
	"layercake/internal/postgres"

	"github.com/jackc/pgx/v5"
	"github.com/trustelem/zxcvbn/frequency"
	"golang.org/x/sync/semaphore"
)

// Most sessions and tokens that an account has.
const (
	maxSessions = 50
	maxTokens   = 50
)

// AccountsConfig is what Accounts need.
type AccountsConfig struct {
	DB           *postgres.DB
	Registration bool          // whether people make accounts themselves, or by their first single sign-on
	Passwords    bool          // whether accounts have passwords; else only single sign-on is left
	SessionTTL   time.Duration // from login to the end; 0 for 24 h
	SessionIdle  time.Duration // time without use after which a session ends; 0 for any
	PasswordList string        // file of further passwords that nobody may have, one a line; "" for none
	ContextWords []string      // words that passwords are not made of, beside the product's
	Patience     time.Duration // of who waits to have a password hashed; 0 for a second
	Log          *slog.Logger
}

// Accounts keeps accounts, their sessions, tokens and identities.
type Accounts struct {
	cfg     AccountsConfig
	hasher  *hasher
	common  map[string]bool // passwords that are guessed first, in lower case
	refusal *notes
	counts  *semaphore.Weighted // attempts that are counted
}

// NewAccounts returns the accounts of a database. It fails when the file of passwords cannot be read.
func NewAccounts(cfg AccountsConfig) (*Accounts, error) {
	if cfg.SessionTTL == 0 {
		cfg.SessionTTL = 24 * time.Hour
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	cfg.ContextWords = append([]string{"layercake"}, cfg.ContextWords...)
	a := &Accounts{
		cfg: cfg, hasher: newHasher(usualCost, cfg.Patience), common: make(map[string]bool), refusal: newNotes(),
		counts: semaphore.NewWeighted(maxCounting),
	}
	for _, list := range frequency.FrequencyLists {
		for _, word := range list {
			if len(word) >= minPassword {
				a.common[strings.ToLower(word)] = true
			}
		}
	}
	if cfg.PasswordList == "" {
		return a, nil
	}
	file, err := os.Open(cfg.PasswordList)
	if err != nil {
		return nil, fmt.Errorf("read the list of passwords: %w", err)
	}
	defer func() { _ = file.Close() }()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		a.common[strings.ToLower(lines.Text())] = true
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the list of passwords: %w", err)
	}
	return a, nil
}

// From says where a request comes from, for limits and for the log of security.
type From struct {
	Address   netip.Addr // not valid when unknown
	RequestID string
}

// network is what counts as one client: an address of IPv4, or a /64 of IPv6.
func (f From) network() netip.Prefix {
	address := f.Address.Unmap().WithZone("")
	if !address.IsValid() {
		address = netip.IPv6Unspecified()
	}
	bits := 32
	if address.Is6() {
		bits = 64
	}
	p, _ := address.Prefix(bits) // the address is valid
	return p
}

func (f From) address() *netip.Addr {
	if !f.Address.IsValid() {
		return nil
	}
	address := f.Address.Unmap().WithZone("")
	return &address
}

// Look returns the principal of a secret that came from somewhere. Nothing but the time of its last use is written, once a minute at most.
// Faults: Unauthenticated for a secret that proves nothing, or not any more; Unavailable when nobody can look now.
func (a *Accounts) Look(ctx context.Context, from From, secret string) (Principal, error) {
	var p Principal
	var err error
	var alive bool
	var touch func(*db.Queries) error
	look := func(q *db.Queries) error {
		switch kindOf(secret) {
		case sessionPrefix:
			var row db.GetSessionBySecretRow
			row, err = q.GetSessionBySecret(ctx, db.GetSessionBySecretParams{Idle: a.cfg.SessionIdle.Seconds(), SecretHash: hashOf(secret)})
			p, alive = personOf(row), row.Alive
			if row.Stale {
				touch = func(q *db.Queries) error { return q.TouchSession(ctx, row.ID) }
			}
		case tokenPrefix:
			var row db.GetTokenBySecretRow
			row, err = q.GetTokenBySecret(ctx, hashOf(secret))
			p, alive = programOf(row, secret), row.Alive
			if row.Stale {
				touch = func(q *db.Queries) error { return q.TouchToken(ctx, row.ID) }
			}
		default:
			err = pgx.ErrNoRows
		}
		return err
	}
	if kindOf(secret) == "" {
		return Principal{}, errWrongSecret
	}
	err = a.cfg.DB.Requests.Query(ctx, look)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return Principal{}, errWrongSecret
	case err != nil:
		return Principal{}, fmt.Errorf("look a credential up: %w", err)
	case !alive:
		a.Note(ctx, from, Entry{
			Event: "token_used_after_end", User: p.Account, Username: p.Username, By: p.Name, Detail: string(p.Credential.Kind),
		})
		return Principal{}, errWrongSecret
	}
	if touch != nil {
		if err := a.cfg.DB.Requests.Query(ctx, touch); err != nil { // the next use writes it
			a.cfg.Log.DebugContext(ctx, "cannot note the use of a credential", "error", err)
		}
	}
	return p, nil
}

func personOf(row db.GetSessionBySecretRow) Principal {
	return Principal{
		Actor:      Actor{ID: strconv.Itoa(int(row.UserID)), Kind: KindUser, Name: row.DisplayName, Account: row.UserID},
		Credential: Credential{Kind: SessionSecret, ID: row.ID, Expires: row.ExpiresAt},
		Username:   row.Username, Color: row.AvatarColor, Proved: value(row.ProvedAt), Issuer: text(row.Issuer),
	}
}

// secretPrefix is how many bytes of the hash of a token's secret tell it from the one before the last rotation.
const secretPrefix = 8

func programOf(row db.GetTokenBySecretRow, secret string) Principal {
	p := tokenPrincipal("token-"+strconv.Itoa(int(row.ID)), row.Name, row.UserID, row.DisplayName)
	p.Credential = Credential{Kind: TokenSecret, ID: row.ID, Expires: row.ExpiresAt, Secret: string(hashOf(secret)[:secretPrefix])}
	p.Username, p.Color = row.Username, row.AvatarColor
	p.Scopes = make(Scopes, len(row.Scopes))
	for i, scope := range row.Scopes {
		p.Scopes[i] = Scope(scope)
	}
	if row.ProjectID != nil {
		p.Project = *row.ProjectID
	}
	return p
}

// tokenPrincipal is a program that acts for an account. Events name both.
func tokenPrincipal(id, name string, account int32, owner string) Principal {
	return Principal{Actor: Actor{ID: id, LastingID: id, Kind: KindAgent, Name: name + " of " + owner, Account: account}}
}

// value returns what a column has, or zero for null.
func value[T any](v *T) (zero T) {
	if v == nil {
		return zero
	}
	return *v
}

func text(s *string) string { return value(s) }

// Trim removes what is over: sessions and tokens a week after their end, failures after a day and successes after 30 days, entries of the
// log after 90 days, and flows of single sign-on. It returns how many rows it removed, also when it fails half way.
func (a *Accounts) Trim(ctx context.Context) (removed int64, err error) {
	for _, trim := range []func(*db.Queries, context.Context) (int64, error){
		(*db.Queries).TrimSessions, (*db.Queries).TrimTokens, (*db.Queries).TrimAttempts, (*db.Queries).TrimSecurityLog,
		(*db.Queries).TrimFlows, (*db.Queries).TrimLogouts,
	} {
		err := a.cfg.DB.System.Query(ctx, func(q *db.Queries) error {
			n, err := trim(q, ctx)
			removed += n
			return err
		})
		if err != nil {
			return removed, fmt.Errorf("remove old rows of accounts: %w", err)
		}
	}
	return removed, nil
}

var errAccountNotFound = fault.New(fault.NotFound, "User not found")
