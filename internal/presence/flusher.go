package presence

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"

	"layercake/internal/db"
	"layercake/internal/fanout"
	"layercake/internal/outage"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
)

// flushAll writes what connections are, and tells the other replicas, in batches, one after the other, until ctx ends.
func (t *Tracker) flushAll(ctx context.Context) error {
	writes := outage.New(t.cfg.Log, "cannot write presence, trying again", "")
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.writes:
		}
		if !pause(ctx, t.timing.GatherWrites) {
			return nil
		}
		last := context.WithoutCancel(ctx) // a stop waits for the statements
		err := errors.Join(t.flush(last), t.flushRenewals(last))
		writes.Note(ctx, err)
		if err != nil {
			pause(ctx, t.timing.Retry)
			signal(t.writes)
		}
	}
}

// errNoLease says that there is no incarnation to write under.
var errNoLease = errors.New("no lease yet")

// flush writes everything that is pending. On an error it stays pending.
func (t *Tracker) flush(ctx context.Context) error {
	t.mu.Lock()
	taken, incarnation := t.pending, t.replica.Incarnation()
	if len(taken) == 0 {
		t.mu.Unlock()
		return nil
	}
	if incarnation == uuid.Nil {
		t.mu.Unlock()
		return errNoLease
	}
	t.pending, t.flushing = make(map[uuid.UUID]writing), taken
	t.mu.Unlock()

	err := t.writeBatches(ctx, incarnation, taken)

	t.mu.Lock()
	if err != nil {
		for connection, w := range taken {
			if newer, there := t.pending[connection]; there {
				newer.say = newer.say || w.say
				newer.ended = visits(w.ended, newer.ended)
				w = newer
			}
			t.pending[connection] = w
		}
	}
	t.flushing = nil
	t.mu.Unlock()
	signal(t.moves) // some may have waited for this
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.ConstraintName == "presence_replica" {
		t.replica.Lost(incarnation)
	}
	return err
}

func (t *Tracker) writeBatches(ctx context.Context, incarnation uuid.UUID, taken map[uuid.UUID]writing) error {
	for connections := range slices.Chunk(slices.Collect(maps.Keys(taken)), batch) {
		var present []*Entry
		var absent []uuid.UUID
		var ended []visit
		for _, connection := range connections {
			if e := taken[connection].entry(connection); e != nil {
				present = append(present, e)
			} else {
				absent = append(absent, connection)
			}
			ended = append(ended, taken[connection].ended...)
		}
		if err := t.writeRows(ctx, incarnation, present, absent, ended); err != nil {
			return err
		}
		for _, e := range present {
			if taken[e.Connection].say {
				t.wire.PublishPresence(fanout.Presence{
					Kind: fanout.Joined, Project: e.Project, Connection: e.Connection.String(), Body: lineOf(e, incarnation).encode(),
				})
			}
		}
		for _, connection := range absent {
			if !taken[connection].say {
				continue
			}
			t.wire.PublishPresence(fanout.Presence{
				Kind: fanout.Left, Project: taken[connection].room.Project, Connection: connection.String(),
				Body: departed{life: incarnation}.encode(),
			})
		}
	}
	return nil
}

// writeRows makes the rows of some connections what they are, and the log what they were.
func (t *Tracker) writeRows(ctx context.Context, incarnation uuid.UUID, present []*Entry, absent []uuid.UUID, ended []visit) error {
	ctx, cancel := context.WithTimeout(ctx, t.timing.Query)
	defer cancel()
	began := time.Now()
	err := t.cfg.DB.System.InTx(ctx, func(q *db.Queries) error {
		if err := q.DoNotWaitForDisk(ctx); err != nil {
			return err
		}
		if len(present) > 0 {
			rows := rowsOf(incarnation, present)
			if err := q.UpsertPresence(ctx, rows); err != nil {
				return err
			}
			if err := q.BeginVisits(ctx, beginningsOf(rows, present)); err != nil {
				return err
			}
		}
		if len(ended) > 0 {
			if err := q.EndVisits(ctx, endsOf(incarnation, ended)); err != nil {
				return err
			}
		}
		if len(absent) > 0 {
			return q.DeletePresence(ctx, absent)
		}
		return nil
	})
	if err == nil {
		t.metrics.flush.Observe(time.Since(began).Seconds())
	}
	return err
}

func rowsOf(incarnation uuid.UUID, entries []*Entry) db.UpsertPresenceParams {
	rows := db.UpsertPresenceParams{Incarnation: incarnation}
	for _, e := range entries {
		place := Place{}
		if e.Place != nil {
			place = *e.Place
		}
		rows.ConnectionIds = append(rows.ConnectionIds, e.Connection)
		rows.ProjectIds = append(rows.ProjectIds, e.Project)
		rows.Revisions = append(rows.Revisions, e.revision)
		rows.UserIds = append(rows.UserIds, e.UserID)
		rows.UserNames = append(rows.UserNames, e.Name)
		rows.AvatarColors = append(rows.AvatarColors, e.Color)
		rows.IsAgents = append(rows.IsAgents, e.Agent)
		rows.Transports = append(rows.Transports, e.Transport)
		rows.DocumentIds = append(rows.DocumentIds, place.Document)
		rows.DocumentTypes = append(rows.DocumentTypes, place.Type)
		rows.Positions = append(rows.Positions, string(place.Position))
		rows.SelectedNodeIds = append(rows.SelectedNodeIds, place.Selected)
		rows.DocumentAts = append(rows.DocumentAts, place.At)
		rows.JoinedAts = append(rows.JoinedAts, e.JoinedAt)
		rows.ActiveAts = append(rows.ActiveAts, e.ActiveAt)
	}
	return rows
}

// tellMoves tells other replicas where cursors are, each at most once in a while, until ctx ends. The table learns where they come to
// rest, for those who open the room later.
func (t *Tracker) tellMoves(ctx context.Context) {
	type moving struct {
		room *Room
		last time.Time
	}
	restless := make(map[uuid.UUID]moving)
	look := time.NewTicker(t.timing.Rest / 2)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-look.C:
			for connection, m := range restless {
				if now.Sub(m.last) >= t.timing.Rest {
					delete(restless, connection)
					t.rewrite(m.room, connection)
				}
			}
			continue
		case <-t.moves:
		}
		incarnation, taken := t.takeMoves()
		if len(taken) == 0 {
			continue
		}
		for connection, r := range taken {
			restless[connection] = moving{r, time.Now()}
			if e := r.ownEntry(connection); e != nil && e.Place != nil {
				t.wire.PublishPresence(fanout.Presence{
					Kind: fanout.Moved, Project: e.Project, Connection: connection.String(), Body: lineOf(e, incarnation).moved().encode(),
				})
			}
		}
		if !pause(ctx, t.timing.GatherMoves) {
			return
		}
	}
}

// takeMoves takes what is to be told, but for connections whose arrival is still being written: a position must not overtake the
// document that it is in.
func (t *Tracker) takeMoves() (incarnation uuid.UUID, taken map[uuid.UUID]*Room) {
	t.mu.Lock()
	defer t.mu.Unlock()
	taken = make(map[uuid.UUID]*Room, len(t.moved))
	for connection, r := range t.moved {
		if _, waits := t.pending[connection]; waits {
			continue
		}
		if _, waits := t.flushing[connection]; waits {
			continue
		}
		taken[connection] = r
		delete(t.moved, connection)
	}
	return t.replica.Incarnation(), taken
}

// line is what replicas tell each other about a connection.
type line struct {
	Incarnation uuid.UUID       `json:"i"`
	Revision    int64           `json:"r"`
	UserID      string          `json:"u,omitempty"`
	Name        string          `json:"n,omitempty"`
	Color       string          `json:"k,omitempty"`
	Agent       bool            `json:"g,omitempty"`
	Transport   string          `json:"v,omitempty"`
	Document    string          `json:"d,omitempty"`
	Type        string          `json:"t,omitempty"`
	Position    json.RawMessage `json:"p,omitempty"`
	Selected    string          `json:"s,omitempty"`
	At          int64           `json:"a,omitempty"` // Unix milliseconds, as the next two
	JoinedAt    int64           `json:"j,omitempty"`
	ActiveAt    int64           `json:"m,omitempty"`
}

func lineOf(e *Entry, life uuid.UUID) line {
	l := line{
		Incarnation: life, Revision: e.revision, UserID: e.UserID, Name: e.Name, Color: e.Color, Agent: e.Agent,
		Transport: e.Transport, JoinedAt: e.JoinedAt.UnixMilli(), ActiveAt: e.ActiveAt.UnixMilli(),
	}
	if p := e.Place; p != nil {
		l.Document, l.Type, l.Position, l.Selected, l.At = p.Document, p.Type, p.Position, p.Selected, p.At.UnixMilli()
	}
	return l
}

// moved leaves out what a cursor does not change.
func (l line) moved() line {
	l.UserID, l.Name, l.Color, l.Agent, l.Transport, l.JoinedAt = "", "", "", false, "", 0
	return l
}

func (l line) encode() []byte {
	b, err := json.Marshal(l)
	if err != nil {
		panic(err) // texts, numbers, and a position that was encoded before
	}
	return b
}

// departed is what replicas tell each other about a connection that left.
type departed struct {
	life     uuid.UUID
	revision int64 // of a guest; 0 for a connection: the life says enough
}

func (d departed) encode() []byte {
	b := []byte(d.life.String())
	if d.revision == 0 {
		return b
	}
	return strconv.AppendInt(append(b, ' '), d.revision, 10)
}

func parseDeparted(body []byte) (d departed, err error) {
	life, revision, guest := bytes.Cut(body, []byte(" "))
	if d.life, err = uuid.ParseBytes(life); err == nil && guest {
		d.revision, err = strconv.ParseInt(string(revision), 10, 64)
	}
	return d, err
}

// entry returns what the line says of a connection; known is what the room knows of it, for what a move leaves out.
func (l line) entry(project int32, connection uuid.UUID, known *Entry) *Entry {
	e := &Entry{
		Connection: connection, Project: project,
		Identity: Identity{UserID: l.UserID, Name: l.Name, Color: l.Color, Agent: l.Agent, Transport: l.Transport},
		JoinedAt: time.UnixMilli(l.JoinedAt), ActiveAt: time.UnixMilli(l.ActiveAt), incarnation: l.Incarnation, revision: l.Revision,
	}
	if known != nil {
		e.Identity, e.JoinedAt = known.Identity, known.JoinedAt
	}
	if l.Document != "" {
		e.Place = &Place{Document: l.Document, Type: l.Type, Position: l.Position, Selected: l.Selected, At: time.UnixMilli(l.At)}
	}
	return e
}
