package presence

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"layercake/internal/auth"
	"layercake/internal/db"
	"layercake/internal/fault"
	"layercake/internal/postgres"
	"layercake/internal/project"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

const (
	maxOfCaller      = 20   // guests that one caller made
	maxReaped        = 1000 // guests that one statement removes
	maxAnnouncements = 64   // announcements that a room remembers
	maxClientID      = 200  // characters
)

// Anonymous is the identity of people who do not give one. The canvas of the existing client has it too after a reconnect, when it moves
// its cursor without joining again.
var Anonymous = Identity{UserID: "anonymous", Name: "Anonymous User", Color: "#3b82f6"}

// guestIncarnation takes the place of an incarnation in guests' entries and lines, since no replica serves them.
var guestIncarnation = uuid.Max

// clientNamespace is the namespace of the ids that guests have in the place of a connection's (RFC 9562, UUIDv5). A guest of a client has
// the same id on every replica, so whichever gets its next request renews the same row.
var clientNamespace = uuid.MustParse("b1f7d1a4-6c39-5a86-8f0e-9d5a3c1e7b20")

// Maker is who makes a guest. It counts for the limits.
type Maker struct {
	Caller  string       // id of the caller's actor
	Network netip.Prefix // network of the caller's address; those of unknown addresses count as one
}

// GuestID returns the id that the guest of a client has in the place of a connection's.
func GuestID(project int32, client string) uuid.UUID {
	return uuid.NewSHA1(clientNamespace, []byte(strconv.Itoa(int(project))+" "+client))
}

// JoinGuest brings somebody without a connection into a project, or changes who they are. The id of their client names them. They are there
// until LeaveGuest, or until they were not heard of for 90 s. It fails with project.ErrNotFound, ErrFull, fault.BadRequest, and
// fault.RateLimited when there are too many guests of the same maker, in all projects and on all replicas together.
func (t *Tracker) JoinGuest(ctx context.Context, by Maker, access auth.Access, client string, who Identity) error {
	if err := errors.Join(access.May(auth.View), checkGuest(client, who)); err != nil {
		return err
	}
	limit, err := t.joinGuest(ctx, by, access.Project(), client, who, nil)
	if err != nil {
		return err
	}
	return t.refusal(limit)
}

func checkGuest(client string, who Identity) error {
	return errors.Join(fault.CheckText("Client id", client, maxClientID), who.Check())
}

// joinGuest brings a guest into a project, and into a place unless that is nil: then one that is there stays where it is. It returns the
// limit that refused the guest, if one did, which is a name for refusal and the metrics.
func (t *Tracker) joinGuest(ctx context.Context, by Maker, id int32, client string, who Identity, place *Place) (limit string, err error) {
	makers := []string{"caller " + by.Caller}
	if t.cfg.GuestsPerAddress > 0 {
		makers = append(makers, "network "+by.Network.String())
	}
	release, err := t.takeTurn(ctx, makers[len(makers)-1])
	if err != nil {
		return "", postgres.Classify(ctx, err)
	}
	defer release()
	if place == nil {
		place = &Place{}
	}
	connection := GuestID(id, client)
	var row db.UpsertGuestRow
	// What a batch sends is one transaction and one round trip. The arguments stand in the order of UpsertGuestParams as it is generated.
	batch := &pgx.Batch{}
	batch.Queue(db.LockGuestMakers, makers)
	batch.Queue(db.UpsertGuest, makers, connection, MaxPeople, by.Caller, maxOfCaller, t.cfg.GuestsPerAddress, by.Network.String(), id,
		who.UserID, who.Name, who.Color, who.Agent, who.Transport, place.Document, place.Type, string(place.Position), place.Selected,
		visitTime.Seconds(), t.timing.Guest.Seconds(), guestIncarnation,
	).QueryRow(func(found pgx.Row) error {
		return found.Scan(&row.Reached, &row.Revision, &row.DocumentID, &row.DocumentType, &row.Position, &row.SelectedNodeID, &row.DocumentAt,
			&row.JoinedAt, &row.ActiveAt)
	})
	err = t.cfg.DB.Requests.Do(ctx, func(conn *pgx.Conn) error { return orNoProject(conn.SendBatch(ctx, batch).Close()) })
	if err != nil {
		return "", err
	}
	if row.Reached != "" {
		t.metrics.refusedGuests.WithLabelValues(row.Reached).Inc()
		return row.Reached, nil
	}
	t.announceGuest(&Entry{
		Connection: connection, Project: id, Identity: who,
		Place:    placeOf(row.DocumentID, row.DocumentType, row.Position, row.SelectedNodeID, row.DocumentAt),
		JoinedAt: *row.JoinedAt, ActiveAt: *row.ActiveAt, revision: *row.Revision,
	}, letterJoin)
	return "", nil
}

// announceGuest puts what the row of a guest says now into its room here and, by a line, on the other replicas.
func (t *Tracker) announceGuest(e *Entry, letter byte) {
	l := lineOf(e, guestIncarnation)
	if r := t.room(e.Project); r != nil {
		t.carryOut(r, r.hear(e.Connection, l, false))
	}
	if letter == letterCursor {
		l = l.cursorLine()
	}
	t.publishPlace(letter, e, l)
}

// turn is for one guest of a maker at a time.
type turn struct {
	taken chan struct{} // capacity 1
	users int           // who has it or waits for it; the tracker's mutex guards it
}

// takeTurn waits until no other guest of a maker joins on this replica. The database makes them wait, too, but there each of them holds a
// connection of the pool meanwhile, which somebody else needs.
func (t *Tracker) takeTurn(ctx context.Context, maker string) (release func(), err error) {
	t.mu.Lock()
	own := t.turns[maker]
	if own == nil {
		own = &turn{taken: make(chan struct{}, 1)}
		t.turns[maker] = own
	}
	own.users++
	t.mu.Unlock()
	leave := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if own.users--; own.users == 0 {
			delete(t.turns, maker)
		}
	}
	select {
	case own.taken <- struct{}{}:
		return func() { <-own.taken; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}

// The limits that UpsertGuest names. The first is that of a project, MaxPeople.
const (
	limitProject = "project"
	limitCaller  = "caller"
	limitNetwork = "network"
)

// refusal returns the fault for the limit that a guest reached, nil for none.
func (t *Tracker) refusal(limit string) error {
	const hint = "one goes when it leaves, or 90 s after it last did something"
	switch limit {
	case "":
		return nil
	case limitCaller:
		return fault.New(fault.RateLimited, fmt.Sprintf("You have made %d guests, which are all that may be; %s", maxOfCaller, hint))
	case limitNetwork:
		return fault.New(fault.RateLimited, fmt.Sprintf("%d guests are there from your address, which are all that may be "+
			"(LAYERCAKE_GUESTS_PER_ADDRESS); %s", t.cfg.GuestsPerAddress, hint))
	}
	return ErrFull
}

// LeaveGuest takes a guest out of a project; one that is not there is no error. What SeeGuest and PlaceGuest have not written yet is
// forgotten, except for a join that is under way. It fails with project.ErrNotFound.
func (t *Tracker) LeaveGuest(ctx context.Context, access auth.Access, client string) error {
	if err := access.May(auth.View); err != nil {
		return err
	}
	id := access.Project()
	connection := GuestID(id, client)
	t.forgetUpdate(connection)
	var revision *int64
	err := t.cfg.DB.Requests.Query(ctx, func(q *db.Queries) (err error) {
		revision, err = q.DeleteGuest(ctx, db.DeleteGuestParams{ProjectID: id, ConnectionID: connection})
		return orNoProject(err)
	})
	if err == nil && revision != nil {
		t.announceLeave(id, connection, leaveLine{guestIncarnation, *revision})
	}
	return err
}

// orNoProject returns the fault for a statement that found no row because there is no such project.
func orNoProject(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return project.ErrNotFound
	}
	return err
}

// KickGuests removes the guest with an id, or all guests of a user, whom an operator commanded to go at a time, by the clock of the
// database; the other of the two is nil. Those that came back since stay. It tells everybody, and returns how many it removed.
func (t *Tracker) KickGuests(ctx context.Context, q *db.Queries, guest *uuid.UUID, user *string, at time.Time) (int, error) {
	rows, err := q.KickGuests(ctx, db.KickGuestsParams{ConnectionID: guest, UserID: user, CommandedAt: at})
	if err != nil {
		return 0, fmt.Errorf("kick guests: %w", err)
	}
	for _, row := range rows {
		t.announceLeave(row.ProjectID, row.ConnectionID, leaveLine{guestIncarnation, row.Revision})
	}
	return len(rows), nil
}

// reapGuests removes guests whose time is over, and sends their leaves to everybody.
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
		return // a database that is away is reported by the renewals of the lease
	}
	for _, row := range rows {
		t.announceLeave(row.ProjectID, row.ConnectionID, leaveLine{guestIncarnation, row.Revision})
	}
	t.metrics.reapedGuests.Add(float64(len(rows)))
}

// Announce announces an anonymous join or leave to whoever watches now, on any replica. Nothing is stored, so a client that vanishes is
// never announced as gone. It fails with project.ErrNotFound.
func (t *Tracker) Announce(ctx context.Context, access auth.Access, left bool) error {
	if err := access.May(auth.View); err != nil {
		return err
	}
	id := access.Project()
	err := t.cfg.DB.Requests.Query(ctx, func(q *db.Queries) error { return requireProject(ctx, q, id) })
	if err != nil {
		return err
	}
	connection := uuid.New() // the line has the place of one, and watchers need an id for the event
	a := announcement{id: connection.String(), Left: left, At: time.Now().UnixMilli()}
	if r := t.room(id); r != nil {
		t.carryOut(r, r.hearAnnouncement(a))
	}
	t.publish(letterAnnounce, id, connection, a.encode())
	return nil
}

// announcement is an anonymous join or leave.
type announcement struct {
	id   string
	Left bool  `json:"l,omitempty"`
	At   int64 `json:"a"` // Unix milliseconds
}
