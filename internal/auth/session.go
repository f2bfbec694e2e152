package auth

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"layercake/internal/db"
	"layercake/internal/fault"

	"github.com/jackc/pgx/v5"
)

// Session is one of the caller's own. Its id proves nothing.
type Session struct {
	ID         int32
	UserID     int32
	UserName   string
	CreatedAt  time.Time
	LastUsedAt time.Time
	ExpiresAt  time.Time
	Active     bool
}

func sessionOf(row db.ListSessionsRow, name string) Session {
	return Session{
		ID: row.ID, UserID: row.UserID, UserName: name, CreatedAt: row.CreatedAt, LastUsedAt: row.LastUsedAt, ExpiresAt: row.ExpiresAt,
		Active: row.EndedAt == nil && time.Now().Before(row.ExpiresAt),
	}
}

// Sessions returns the caller's own sessions that have not ended, the newest first.
func (a *Accounts) Sessions(ctx context.Context, p Principal) (sessions []Session, err error) {
	account, err := p.Person()
	if err != nil {
		return nil, err
	}
	err = a.cfg.DB.Requests.Query(ctx, func(q *db.Queries) error {
		rows, err := q.ListSessions(ctx, account)
		for _, row := range rows {
			sessions = append(sessions, sessionOf(row, p.Name))
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	return sessions, nil
}

// SessionOf returns a session of the caller's own by its public id or its secret, also one that has ended, or the fault NotFound.
func (a *Accounts) SessionOf(ctx context.Context, p Principal, id string) (Session, error) {
	account, err := p.Person()
	if err != nil {
		return Session{}, err
	}
	number, err := a.sessionID(ctx, p, id)
	if err != nil {
		return Session{}, err
	}
	var row db.GetSessionRow
	err = a.cfg.DB.Requests.Query(ctx, func(q *db.Queries) (err error) {
		row, err = q.GetSession(ctx, db.GetSessionParams{ID: number, UserID: account})
		return err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return Session{}, errNoSession
	}
	if err != nil {
		return Session{}, fmt.Errorf("get a session: %w", err)
	}
	return sessionOf(db.ListSessionsRow(row), p.Name), nil
}

var errNoSession = fault.New(fault.NotFound, "Session not found")

// sessionID returns the public id of a session that is named by that, by its secret, or, by "", is the presented one.
func (a *Accounts) sessionID(ctx context.Context, p Principal, id string) (int32, error) {
	if id == "" {
		return p.Credential.ID, nil
	}
	if strings.HasPrefix(id, sessionPrefix) {
		named, err := a.Look(ctx, From{}, id)
		if err != nil || named.Account != p.Account {
			return 0, errNoSession
		}
		return named.Credential.ID, nil
	}
	number, err := strconv.ParseInt(id, 10, 32)
	if err != nil {
		return 0, errNoSession
	}
	return int32(number), nil
}

// Logout ends a session of the caller's own, named as for SessionOf; "" is the presented one. It reports whether there was one, and whether
// the presented one has ended.
func (a *Accounts) Logout(ctx context.Context, from From, p Principal, id string) (ended, own bool, err error) {
	if _, err := p.Person(); err != nil {
		return false, false, err
	}
	number, err := a.sessionID(ctx, p, id)
	if errors.Is(err, errNoSession) {
		return false, false, nil
	}
	if err != nil {
		return false, false, err
	}
	ended, err = a.end(ctx, from, p, number, "logout")
	return ended, err == nil && number == p.Credential.ID, err
}

// EndSession ends a session of the caller's own by its public id, and reports whether there was one.
func (a *Accounts) EndSession(ctx context.Context, from From, p Principal, id int32) (bool, error) {
	return a.end(ctx, from, p, id, "session_ended")
}

func (a *Accounts) end(ctx context.Context, from From, p Principal, id int32, event string) (ended bool, err error) {
	account, err := p.Person()
	if err != nil {
		return false, err
	}
	err = a.cfg.DB.Requests.InTx(ctx, func(q *db.Queries) error {
		n, err := q.EndSession(ctx, db.EndSessionParams{ID: id, UserID: account, EndedBy: &event})
		if ended = n > 0; err != nil || !ended {
			return err
		}
		if err := q.TellSessionsEnded(ctx); err != nil {
			return err
		}
		return Record(ctx, q, from, Entry{Event: event, User: account, Username: p.Username, By: p.Username})
	})
	return ended, internal("end a session", err)
}

// EndOtherSessions ends all sessions of the caller but the presented one, and returns how many there were.
func (a *Accounts) EndOtherSessions(ctx context.Context, from From, p Principal) (ended int, err error) {
	account, err := p.Person()
	if err != nil {
		return 0, err
	}
	why := "ended by another session"
	err = a.cfg.DB.Requests.InTx(ctx, func(q *db.Queries) error {
		n, err := q.EndSessionsBut(ctx, db.EndSessionsButParams{UserID: account, Spared: p.Credential.ID, EndedBy: &why})
		if ended = int(n); err != nil || n == 0 {
			return err
		}
		if err := q.TellSessionsEnded(ctx); err != nil {
			return err
		}
		return Record(ctx, q, from, Entry{
			Event: "session_ended", User: account, Username: p.Username, By: p.Username, Detail: fmt.Sprint(n, " others"),
		})
	})
	return ended, internal("end other sessions", err)
}
