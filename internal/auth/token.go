package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"layercake/internal/db"
	"layercake/internal/fault"

	"github.com/jackc/pgx/v5"
)

// Token is one of the caller's own, by which programs act for them.
type Token struct {
	ID         int32
	Name       string
	Scopes     []Scope
	ProjectID  *int32
	CreatedAt  time.Time
	ExpiresAt  time.Time
	LastUsedAt *time.Time
}

func tokenOf(row db.ListTokensRow) Token {
	t := Token{
		ID: row.ID, Name: row.Name, ProjectID: row.ProjectID, CreatedAt: row.CreatedAt, ExpiresAt: row.ExpiresAt, LastUsedAt: row.LastUsedAt,
	}
	for _, scope := range row.Scopes {
		t.Scopes = append(t.Scopes, Scope(scope))
	}
	return t
}

// NewTokenInput is what a token may.
type NewTokenInput struct {
	Name    string
	Scopes  []Scope
	Project *Access // of the only project that it may touch; nil for all of its owner's
	Days    int     // 1 to 365
}

const maxTokenDays = 365

func (in NewTokenInput) check() error {
	if err := errors.Join(fault.CheckText("Name", in.Name, 100), fault.CheckName("Name", in.Name)); err != nil {
		return firstFault(err)
	}
	switch {
	case strings.TrimSpace(in.Name) == "":
		return fault.New(fault.BadRequest, "Name is blank: say what the token is for")
	case len(in.Scopes) == 0:
		return fault.New(fault.BadRequest, "A token needs a scope: READ, EDIT or RUN")
	case in.Days < 1 || in.Days > maxTokenDays:
		return fault.New(fault.BadRequest, fmt.Sprintf("A token lasts 1 to %d days", maxTokenDays)).With("detail", in.Days)
	}
	if in.Project != nil {
		return in.Project.May(View)
	}
	return nil
}

// Tokens returns the caller's own tokens that have not ended, by id.
func (a *Accounts) Tokens(ctx context.Context, p Principal) (tokens []Token, err error) {
	account, err := p.Person()
	if err != nil {
		return nil, err
	}
	err = a.cfg.DB.Requests.Query(ctx, func(q *db.Queries) error {
		rows, err := q.ListTokens(ctx, account)
		for _, row := range rows {
			tokens = append(tokens, tokenOf(row))
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list tokens: %w", err)
	}
	return tokens, nil
}

// CreateToken makes a token. The secret is shown once. Faults: BadRequest for the input, and when the account has too many.
func (a *Accounts) CreateToken(ctx context.Context, from From, p Principal, in NewTokenInput) (t Token, secret string, err error) {
	account, err := p.Person()
	if err != nil {
		return Token{}, "", err
	}
	if err := in.check(); err != nil {
		return Token{}, "", err
	}
	params := db.InsertTokenParams{UserID: account, Name: in.Name, Days: int32(in.Days)}
	for _, scope := range in.Scopes {
		if !slices.Contains(params.Scopes, string(scope)) {
			params.Scopes = append(params.Scopes, string(scope))
		}
	}
	if in.Project != nil {
		params.ProjectID = new(in.Project.Project())
	}
	secret = newSecret(tokenPrefix, secretBytes)
	params.SecretHash = hashOf(secret)
	err = a.cfg.DB.Requests.InTx(ctx, func(q *db.Queries) error {
		if _, err := holdPerson(ctx, q, p); err != nil {
			return err
		}
		n, err := q.CountTokens(ctx, account)
		if err != nil {
			return err
		}
		if n >= maxTokens {
			return fault.New(fault.BadRequest, fmt.Sprintf("The account has %d tokens, which are all that may be: revoke one first", n))
		}
		row, err := q.InsertToken(ctx, params)
		if err != nil {
			return err
		}
		t = tokenOf(db.ListTokensRow(row))
		return Record(ctx, q, from, Entry{Event: "token_created", User: account, Username: p.Username, By: by(p), Detail: in.Name})
	})
	if err != nil {
		return Token{}, "", internal("create a token", err)
	}
	return t, secret, nil
}

var errNoToken = fault.New(fault.NotFound, "Token not found")

// RotateToken gives a token a new secret. The old one lives one more hour, so that its program can be told.
func (a *Accounts) RotateToken(ctx context.Context, from From, p Principal, id int32) (t Token, secret string, err error) {
	account, err := p.Person()
	if err != nil {
		return Token{}, "", err
	}
	secret = newSecret(tokenPrefix, secretBytes)
	err = a.cfg.DB.Requests.InTx(ctx, func(q *db.Queries) error {
		if _, err := holdPerson(ctx, q, p); err != nil {
			return err
		}
		row, err := q.RotateToken(ctx, db.RotateTokenParams{ID: id, UserID: account, SecretHash: hashOf(secret)})
		if errors.Is(err, pgx.ErrNoRows) {
			return errNoToken
		}
		if err != nil {
			return err
		}
		t = tokenOf(db.ListTokensRow(row))
		return Record(ctx, q, from, Entry{Event: "token_rotated", User: account, Username: p.Username, By: by(p), Detail: t.Name})
	})
	if err != nil {
		return Token{}, "", internal("rotate a token", err)
	}
	return t, secret, nil
}

// RevokeToken ends a token, and reports whether there was one.
func (a *Accounts) RevokeToken(ctx context.Context, from From, p Principal, id int32) (revoked bool, err error) {
	account, err := p.Person()
	if err != nil {
		return false, err
	}
	err = a.cfg.DB.Requests.InTx(ctx, func(q *db.Queries) error {
		why := "revoked by its owner"
		n, err := q.EndToken(ctx, db.EndTokenParams{ID: id, UserID: account, EndedBy: &why})
		if revoked = n > 0; err != nil || !revoked {
			return err
		}
		if err := q.TellSessionsEnded(ctx); err != nil {
			return err
		}
		return Record(ctx, q, from, Entry{Event: "token_revoked", User: account, Username: p.Username, By: by(p)})
	})
	return revoked, internal("revoke a token", err)
}
