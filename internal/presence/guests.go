package presence

import (
	"context"
	"errors"
	"maps"
	"strconv"
	"time"

	"layercake/internal/db"
	"layercake/internal/fault"
	"layercake/internal/project"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

const (
	maxRenewals      = 10_000 // guests whose renewal is remembered
	maxReaped        = 1000   // guests that one statement removes
	maxAnnouncements = 64     // that a room remembers
	maxClientID      = 200    // characters
)

// Anonymous is who people are who do not say who they are: also the canvas of the existing client, which moves its cursor without
// joining again after a reconnect.
var Anonymous = Identity{UserID: "anonymous", Name: "Anonymous User", Color: "#3b82f6"}

// guestIncarnation is the incarnation of guests: no replica serves them.
var guestIncarnation = uuid.Max

// clients is the namespace of the connections that guests have in place of one (RFC 9562, UUIDv5).
var clients = uuid.MustParse("b1f7d1a4-6c39-5a86-8f0e-9d5a3c1e7b20")

func guestID(project int32, client string) uuid.UUID {
	return uuid.NewSHA1(clients, []byte(strconv.Itoa(int(project))+" "+client))
}

// JoinGuest brings somebody without a connection into a project, or changes who they are: the client names them. They are there
// until LeaveGuest, or until they were not heard of for 90 s. It fails with project.ErrNotFound, ErrFull, and fault.BadRequest.
func (t *Tracker) JoinGuest(ctx context.Context, id int32, client string, who Identity) error {
	if err := errors.Join(fault.CheckText("Client id", client, maxClientID), who.Check()); err != nil {
		return err
	}
	connection := guestID(id, client)
	var row db.UpsertGuestRow
	err := t.cfg.DB.Requests.Query(ctx, func(q *db.Queries) (err error) {
		row, err = q.UpsertGuest(ctx, db.UpsertGuestParams{
			ConnectionID: connection, ProjectID: id, UserID: who.UserID, UserName: who.Name, AvatarColor: who.Color, IsAgent: who.Agent,
			Transport: who.Transport, TtlSeconds: t.timing.Guest.Seconds(), Most: MaxPeople, Incarnation: guestIncarnation,
		})
		return err
	})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return project.ErrNotFound
	case err != nil:
		return err
	case !row.Open:
		return ErrFull
	}
	l := line{
		Incarnation: guestIncarnation, Revision: *row.Revision, UserID: who.UserID, Name: who.Name, Color: who.Color, Agent: who.Agent,
		Transport: who.Transport, JoinedAt: row.JoinedAt.UnixMilli(), ActiveAt: row.ActiveAt.UnixMilli(),
	}
	if r := t.room(id); r != nil {
		t.carryOut(r, r.heard(connection, l, false))
	}
	t.publish(letterJoined, id, connection, l.encode())
	return nil
}

// LeaveGuest takes a guest out of a project. Whoever is not there has left. It fails with project.ErrNotFound.
func (t *Tracker) LeaveGuest(ctx context.Context, id int32, client string) error {
	connection := guestID(id, client)
	var revision *int64
	err := t.cfg.DB.Requests.Query(ctx, func(q *db.Queries) (err error) {
		revision, err = q.DeleteGuest(ctx, db.DeleteGuestParams{ProjectID: id, ConnectionID: connection})
		return err
	})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return project.ErrNotFound
	case err != nil:
		return err
	case revision != nil:
		t.guestLeft(id, connection, *revision)
	}
	return nil
}

// guestLeft tells everybody that a guest's row is gone.
func (t *Tracker) guestLeft(project int32, connection uuid.UUID, revision int64) {
	left := departed{guestIncarnation, revision}
	t.heardLeft(project, connection, left)
	t.publish(letterLeft, project, connection, left.encode())
}

// RenewGuest says that a client did something in a project: if it is a guest there, it stays. It never waits: the flusher writes it,
// once in a while for each client.
func (t *Tracker) RenewGuest(project int32, client string) {
	connection := guestID(project, client)
	t.mu.Lock()
	full := len(t.renewals) >= maxRenewals
	if age := time.Since(t.renewalsSince); age > t.timing.RenewGuest || full && age > t.timing.RenewMany {
		maps.DeleteFunc(t.renewals, func(_ uuid.UUID, waits bool) bool { return !waits })
		t.renewalsSince = time.Now()
	}
	_, known := t.renewals[connection]
	news := !known && len(t.renewals) < maxRenewals
	if news {
		t.renewals[connection] = true
	}
	t.mu.Unlock()
	if news {
		signal(t.writes)
	}
}

// flushRenewals writes that guests stay. On an error it stays to be written.
func (t *Tracker) flushRenewals(ctx context.Context) error {
	var connections []uuid.UUID
	t.mu.Lock()
	for c, waits := range t.renewals {
		if waits {
			connections = append(connections, c)
		}
	}
	t.mu.Unlock()
	if len(connections) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, t.timing.Query)
	defer cancel()
	err := t.cfg.DB.System.Query(ctx, func(q *db.Queries) error {
		return q.RenewGuests(ctx, db.RenewGuestsParams{ConnectionIds: connections, TtlSeconds: t.timing.Guest.Seconds()})
	})
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range connections {
		t.renewals[c] = false
	}
	return nil
}

// reapGuests removes guests whose time is over, and tells everybody.
func (t *Tracker) reapGuests(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, t.timing.Query)
	defer cancel()
	var rows []db.ReapGuestsRow
	err := t.cfg.DB.System.Query(ctx, func(q *db.Queries) (err error) {
		rows, err = q.ReapGuests(ctx, maxReaped)
		return err
	})
	if err != nil {
		t.cfg.Log.DebugContext(ctx, "look for guests whose time is over", "error", err)
		return // renewing tells
	}
	for _, row := range rows {
		t.guestLeft(row.ProjectID, row.ConnectionID, row.Revision)
	}
	t.metrics.reapedGuests.Add(float64(len(rows)))
}

// Announce tells whoever watches now, on any replica, of an anonymous join or leave. Nothing is stored, so a client that vanishes is never
// announced as gone. It fails with project.ErrNotFound.
func (t *Tracker) Announce(ctx context.Context, id int32, left bool) error {
	var found []int32
	err := t.cfg.DB.Requests.Query(ctx, func(q *db.Queries) (err error) {
		found, err = q.ListProjectIDs(ctx, []int32{id})
		return err
	})
	switch {
	case err != nil:
		return err
	case len(found) == 0:
		return project.ErrNotFound
	}
	connection := uuid.New() // stands for one
	a := announcement{id: connection.String(), Left: left, At: time.Now().UnixMilli()}
	if r := t.room(id); r != nil {
		t.carryOut(r, r.heardAnnouncement(a))
	}
	t.publish(letterAnnounced, id, connection, a.encode())
	return nil
}

// announcement is an anonymous join or leave.
type announcement struct {
	id   string
	Left bool  `json:"l,omitempty"`
	At   int64 `json:"a"` // Unix milliseconds
}
