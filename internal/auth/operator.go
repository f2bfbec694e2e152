package auth

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"layercake/internal/db"
	"layercake/internal/fault"

	"github.com/jackc/pgx/v5"
)

// Operators manage accounts from the command line, with a connection to the database. They never choose or see a password: they give a code
// for one use within an hour, by which its owner sets one.

// byOperator is who did it, in the log of security.
const byOperator = "an operator on the command line"

// Listed is an account in an operator's list.
type Listed struct {
	User
	Sessions, Tokens int // those that have not ended
}

// CreateUser makes an account without a password, and returns a code for its owner. The e-mail may be empty.
func (a *Accounts) CreateUser(ctx context.Context, in RegisterInput) (u User, code string, err error) {
	err = errors.Join(checkUsername(in.Username), checkDisplayName(in.DisplayName))
	if in.Email != "" {
		err = errors.Join(checkEmail(in.Email), err)
	}
	if err != nil {
		return User{}, "", firstFault(err)
	}
	err = a.cfg.DB.System.InTx(ctx, func(q *db.Queries) error {
		row, err := q.InsertUser(ctx, db.InsertUserParams{
			Email: optionalText(in.Email), Username: in.Username, DisplayName: in.DisplayName, AvatarColor: randomColor(),
		})
		if err != nil {
			return taken(err)
		}
		u = userOf(row)
		if err := Record(ctx, q, From{}, Entry{Event: "account_created", User: row.ID, Username: row.Username, By: byOperator}); err != nil {
			return err
		}
		code, err = setCode(ctx, q, row)
		return err
	})
	return u, code, internal("create an account", err)
}

func setCode(ctx context.Context, q *db.Queries, row db.User) (string, error) {
	code := newSecret(codePrefix, codeBytes)
	if _, err := q.SetCode(ctx, db.SetCodeParams{ID: row.ID, CodeHash: hashOf(code)}); err != nil {
		return "", err
	}
	return code, Record(ctx, q, From{}, Entry{Event: "code_made", User: row.ID, Username: row.Username, By: byOperator})
}

// Named returns the account of a user name, an e-mail or an id, for an operator.
func (a *Accounts) Named(ctx context.Context, name string) (u User, err error) {
	var row db.User
	err = pgx.ErrNoRows
	if id, wrong := strconv.ParseInt(name, 10, 32); wrong == nil { // nobody hides behind a user name that is somebody's id
		err = a.cfg.DB.System.Query(ctx, func(q *db.Queries) (err error) {
			row, err = q.GetUser(ctx, int32(id))
			return err
		})
	}
	if errors.Is(err, pgx.ErrNoRows) {
		row, err = a.find(ctx, name)
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return User{}, fault.New(fault.NotFound,
			fmt.Sprintf("There is no account %q: layercake user list shows those that there are", fault.Clip(name)))
	}
	return userOf(row), internal("find an account", err)
}

// Reset gives a code by which the owner of an account sets a new password. Until that happens nothing ends.
func (a *Accounts) Reset(ctx context.Context, id int32) (code string, err error) {
	err = a.cfg.DB.System.InTx(ctx, func(q *db.Queries) error {
		row, err := q.GetUser(ctx, id)
		if err != nil {
			return err
		}
		code, err = setCode(ctx, q, row)
		return err
	})
	return code, internal("make a code", err)
}

// SetDisabled disables an account, which ends its sessions and tokens everywhere, or enables it again.
func (a *Accounts) SetDisabled(ctx context.Context, id int32, disabled bool) error {
	err := a.cfg.DB.System.InTx(ctx, func(q *db.Queries) error {
		row, err := q.SetDisabled(ctx, db.SetDisabledParams{ID: id, Disabled: disabled})
		if err != nil {
			return err
		}
		if !disabled {
			return Record(ctx, q, From{}, Entry{Event: "account_enabled", User: id, Username: row.Username, By: byOperator})
		}
		why := "the account was disabled"
		if err := endOthers(ctx, q, id, 0, why); err != nil {
			return err
		}
		if _, err := q.EndTokens(ctx, db.EndTokensParams{UserID: id, EndedBy: &why}); err != nil {
			return err
		}
		if err := q.TellSessionsEnded(ctx); err != nil {
			return err
		}
		return Record(ctx, q, From{}, Entry{Event: "account_disabled", User: id, Username: row.Username, By: byOperator})
	})
	return internal("disable or enable an account", err)
}

// List returns the accounts, by id, at most 10,000.
func (a *Accounts) List(ctx context.Context) (accounts []Listed, err error) {
	err = a.cfg.DB.System.Query(ctx, func(q *db.Queries) error {
		rows, err := q.ListUsers(ctx)
		for _, row := range rows {
			accounts = append(accounts, Listed{
				User: User{
					ID: row.ID, Email: text(row.Email), Username: row.Username, DisplayName: row.DisplayName, AvatarColor: row.AvatarColor,
					Active: row.DisabledAt == nil, CreatedAt: row.CreatedAt, UpdatedAt: row.UpdatedAt, LastLoginAt: row.LastLoginAt,
				},
				Sessions: int(row.Sessions), Tokens: int(row.Tokens),
			})
		}
		return err
	})
	return accounts, internal("list accounts", err)
}

// Orphan is a project without an owner.
type Orphan struct {
	ID   int32
	Name string
}

// Orphans returns projects that nobody owns, by id, at most 1,000: those of open mode, mostly.
func (a *Accounts) Orphans(ctx context.Context) (orphans []Orphan, err error) {
	err = a.cfg.DB.System.Query(ctx, func(q *db.Queries) error {
		rows, err := q.ListProjectsWithoutOwner(ctx)
		for _, row := range rows {
			orphans = append(orphans, Orphan(row))
		}
		return err
	})
	return orphans, internal("list projects without an owner", err)
}

// Adopt makes an account the owner of a project that nobody owns, and reports whether there was one.
func (a *Accounts) Adopt(ctx context.Context, account, project int32) (adopted bool, err error) {
	err = a.cfg.DB.System.InTx(ctx, func(q *db.Queries) error {
		n, err := q.AdoptProject(ctx, db.AdoptProjectParams{UserID: account, ProjectID: project})
		if adopted = n > 0; err != nil || !adopted {
			return err
		}
		row, err := q.GetUser(ctx, account)
		if err != nil {
			return err
		}
		return Record(ctx, q, From{}, Entry{
			Event: "project_adopted", User: account, Username: row.Username, By: byOperator, Detail: fmt.Sprint("project ", project),
		})
	})
	return adopted, internal("adopt a project", err)
}

// For returns the principal of an account, by which an operator makes, lists and revokes tokens of it.
func (a *Accounts) For(u User) Principal {
	return Principal{
		Actor:      Actor{ID: fmt.Sprint(u.ID), Kind: KindUser, Name: u.DisplayName, Account: u.ID},
		Credential: Credential{Kind: SessionSecret}, Username: u.Username,
	}
}
