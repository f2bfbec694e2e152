package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"layercake/internal/db"
	"layercake/internal/fault"

	"github.com/jackc/pgx/v5"
)

// User is an account as a reader may see it: what is not for them is zero.
type User struct {
	ID          int32
	Email       string // "" when the account has none, too
	Username    string
	DisplayName string
	AvatarColor string
	Active      bool // it is not disabled
	CreatedAt   time.Time
	UpdatedAt   time.Time
	LastLoginAt *time.Time
}

func userOf(row db.User) User {
	return User{
		ID: row.ID, Email: text(row.Email), Username: row.Username, DisplayName: row.DisplayName, AvatarColor: row.AvatarColor,
		Active: row.DisabledAt == nil, CreatedAt: row.CreatedAt, UpdatedAt: row.UpdatedAt, LastLoginAt: row.LastLoginAt,
	}
}

// reader fails for whoever may not ask about accounts: nobody without one does.
func reader(p Principal) error {
	if p.Account == 0 {
		return errSignIn
	}
	return nil
}

// shownTo takes out of accounts what a reader may not see: of others the last login, and the e-mail unless they collaborate in a project
// that the reader owns.
func (a *Accounts) shownTo(ctx context.Context, p Principal, rows []db.User) (map[int32]User, error) {
	shown := make(map[int32]User, len(rows))
	var others []int32
	for _, row := range rows {
		u := userOf(row)
		if row.ID != p.Account {
			u.LastLoginAt = nil
			others = append(others, row.ID)
		}
		shown[row.ID] = u
	}
	if len(others) == 0 {
		return shown, nil
	}
	var known []int32
	err := a.cfg.DB.Requests.Query(ctx, func(q *db.Queries) (err error) {
		known, err = q.ListOwnedCollaborators(ctx, db.ListOwnedCollaboratorsParams{Reader: p.Account, Ids: others})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look who collaborates: %w", err)
	}
	with := make(map[int32]bool, len(known))
	for _, id := range known {
		with[id] = true
	}
	for _, id := range others {
		if u := shown[id]; !with[id] {
			u.Email = ""
			shown[id] = u
		}
	}
	return shown, nil
}

// Users returns some accounts as a reader may see them, by id. Those that do not exist are missing.
func (a *Accounts) Users(ctx context.Context, p Principal, ids []int32) (map[int32]User, error) {
	if err := reader(p); err != nil {
		return nil, err
	}
	var rows []db.User
	err := a.cfg.DB.Requests.Query(ctx, func(q *db.Queries) (err error) {
		rows, err = q.ListUsersByID(ctx, ids)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("get accounts: %w", err)
	}
	return a.shownTo(ctx, p, rows)
}

// User returns an account as a reader may see it, or the fault NotFound.
func (a *Accounts) User(ctx context.Context, p Principal, id int32) (User, error) {
	return a.one(ctx, p, func(q *db.Queries) (db.User, error) { return q.GetUser(ctx, id) })
}

// UserByUsername is User by the user name, in any case.
func (a *Accounts) UserByUsername(ctx context.Context, p Principal, name string) (User, error) {
	return a.one(ctx, p, func(q *db.Queries) (db.User, error) {
		if !storable(name) {
			return db.User{}, pgx.ErrNoRows
		}
		return q.GetUserByName(ctx, name)
	})
}

// UserByEmail is User by the e-mail, in any case. The reader learns of nobody whose e-mail they could not see.
func (a *Accounts) UserByEmail(ctx context.Context, p Principal, email string) (User, error) {
	u, err := a.one(ctx, p, func(q *db.Queries) (db.User, error) {
		if !storable(email) {
			return db.User{}, pgx.ErrNoRows
		}
		return q.GetUserByEmail(ctx, email)
	})
	if err == nil && u.Email == "" {
		return User{}, errAccountNotFound
	}
	return u, err
}

// Find returns the account of an e-mail or a user name, in any case, as others see it, or the fault NotFound.
func (a *Accounts) Find(ctx context.Context, name string) (User, error) {
	row, err := a.find(ctx, name)
	if errors.Is(err, pgx.ErrNoRows) {
		return User{}, errAccountNotFound
	}
	if err != nil {
		return User{}, fmt.Errorf("find an account: %w", err)
	}
	u := userOf(row)
	u.Email, u.LastLoginAt = "", nil
	return u, nil
}

func (a *Accounts) one(ctx context.Context, p Principal, get func(*db.Queries) (db.User, error)) (User, error) {
	if err := reader(p); err != nil {
		return User{}, err
	}
	var row db.User
	err := a.cfg.DB.Requests.Query(ctx, func(q *db.Queries) (err error) {
		row, err = get(q)
		return err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return User{}, errAccountNotFound
	}
	if err != nil {
		return User{}, fmt.Errorf("get an account: %w", err)
	}
	shown, err := a.shownTo(ctx, p, []db.User{row})
	return shown[row.ID], err
}

// UpdateUserInput is what changes of an account: nil for unchanged. Another e-mail needs the current password.
type UpdateUserInput struct{ DisplayName, Email, Password *string }

// UpdateUser changes the caller's own account. Faults: NotFound for another one, BadRequest, Conflict for an e-mail that is taken,
// Unauthenticated for a wrong password.
func (a *Accounts) UpdateUser(ctx context.Context, from From, p Principal, id int32, in UpdateUserInput) (User, error) {
	account, err := p.Person()
	if err != nil {
		return User{}, err
	}
	if id != account {
		return User{}, errAccountNotFound
	}
	var row db.User
	err = a.cfg.DB.Requests.Query(ctx, func(q *db.Queries) (err error) {
		row, err = q.GetUser(ctx, id)
		return err
	})
	if err != nil {
		return User{}, fmt.Errorf("get an account: %w", err)
	}
	names := db.UpdateUserNamesParams{ID: id} // what is nil stays, also when another request changes it now
	if in.DisplayName != nil {
		if err := checkDisplayName(*in.DisplayName); err != nil {
			return User{}, err
		}
		names.DisplayName = in.DisplayName
	}
	if in.Email != nil && *in.Email != text(row.Email) {
		if err := checkEmail(*in.Email); err != nil {
			return User{}, err
		}
		if _, err := a.prove(ctx, from, p, text(in.Password)); err != nil {
			return User{}, err
		}
		names.Email = in.Email
	}
	err = a.cfg.DB.Requests.InTx(ctx, func(q *db.Queries) error {
		if _, err := holdPerson(ctx, q, p); err != nil {
			return err
		}
		if row, err = q.UpdateUserNames(ctx, names); err != nil {
			if f := fault.From(taken(err)); f != nil {
				return fault.New(fault.Conflict, "Email already taken")
			}
			return err
		}
		return Record(ctx, q, from, Entry{Event: "account_changed", User: id, Username: row.Username, By: row.Username})
	})
	return userOf(row), internal("update an account", err)
}
