package presence

import (
	"context"
	"slices"
	"time"

	"layercake/internal/db"
	"layercake/internal/fanout"

	"github.com/google/uuid"
)

// Doubt makes the tracker compare with the table soon. After a while without listening nobody is removed at once: others may have
// to write theirs anew.
func (t *Tracker) Doubt(reason string) {
	if reason == fanout.Listening {
		t.mu.Lock()
		t.listened = time.Now()
		t.mu.Unlock()
	}
	signal(t.doubts)
}

// noRemovalsUntil returns until when a comparison with the table removes no connections of others that are missing there: for a lease
// after listening to them, or the database, was interrupted, since they have to notice that too and then write anew what they hold.
func (t *Tracker) noRemovalsUntil() time.Time {
	last, gone := t.replica.Outages()
	if gone.After(last) {
		last = gone
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.listened.After(last) {
		last = t.listened
	}
	return last.Add(t.replica.TTL())
}

// missingSince returns since when connections of others must be missing in the table to be removed by a comparison that was sent at a
// time: since then, normally, or for a lease while there are no other removals. More interruptions do not prolong that lease, or people
// who left would stay for ever where connections break often. Only a table that was emptied begins it anew, which the own lease shows: it
// is in the same table, and owners who live have written theirs within a lease.
func (t *Tracker) missingSince(asked time.Time) time.Time {
	_, gone := t.replica.Outages()
	switch lease := t.replica.TTL(); {
	case !time.Now().Before(t.noRemovalsUntil()): // it may have begun since the table was asked
		return asked
	case asked.Sub(gone) < lease:
		return time.Time{}
	default:
		return asked.Add(-lease)
	}
}

// question is what a room knew when the table was asked.
type question struct {
	clock int64
	at    time.Time
	own   map[uuid.UUID]int64 // revisions
}

func (r *room) ask() question {
	r.mu.Lock()
	defer r.mu.Unlock()
	q := question{clock: r.clock, at: time.Now(), own: make(map[uuid.UUID]int64)}
	for connection, i := range r.items {
		if i.own {
			q.own[connection] = i.entry.revision
		}
	}
	return q
}

// correct makes the others in the room what the table says, but for what was touched since it was asked. It removes those who are missing
// there since before a time or exactly since then; nobody, when that is zero.
func (r *room) correct(asked question, rows []db.ListPresenceRow, missingSince time.Time) effects {
	r.mu.Lock()
	defer r.mu.Unlock()
	follows := effects{}
	there := make(map[uuid.UUID]bool, len(rows))
	for _, row := range rows {
		there[row.ConnectionID] = true
		i := r.items[row.ConnectionID]
		if i != nil {
			i.missing = missing{}
		}
		if i != nil && (i.own || i.touched > asked.clock) {
			continue
		}
		if d := r.leaveOf[row.ConnectionID]; i == nil && d != nil {
			if left := d.Value.(*leaveRecord); left.touched > asked.clock || left.entry.incarnation == uuid.Nil {
				continue // it left since, or is an own one whose row is about to go
			}
		}
		if i != nil && row.Revision <= i.entry.revision {
			i.adopt(incarnationOf(row), i.touched)
			continue
		}
		r.put(entryOf(row), false)
		follows.notify = true
	}
	for connection, i := range r.items {
		if i.own || there[connection] || i.touched > asked.clock {
			continue
		}
		if i.missing.since.IsZero() || i.touched > i.missing.clock {
			i.missing = missing{since: asked.at, clock: asked.clock}
		}
		if !i.missing.since.After(missingSince) {
			r.remove(i)
			follows.notify = true
		}
	}
	return follows
}

// missing says since when comparisons do not find a connection in the table.
type missing struct {
	since time.Time // when the first of them was sent; zero while it was found
	clock int64     // of the room, then: what is said of the connection later begins anew
}

// incarnationOf returns the incarnation that a row is of.
func incarnationOf(row db.ListPresenceRow) uuid.UUID {
	if row.Incarnation == nil {
		return guestIncarnation
	}
	return *row.Incarnation
}

func entryOf(row db.ListPresenceRow) *Entry {
	e := &Entry{
		Connection: row.ConnectionID, Project: row.ProjectID,
		Identity: Identity{
			UserID: row.UserID, Name: row.UserName, Color: row.AvatarColor, Agent: row.IsAgent, Transport: row.Transport,
		},
		JoinedAt: row.JoinedAt, ActiveAt: row.ActiveAt, incarnation: incarnationOf(row), revision: row.Revision,
	}
	if row.DocumentID != nil && row.DocumentType != nil && row.DocumentAt != nil {
		e.Place = &Place{Document: *row.DocumentID, Type: *row.DocumentType, Position: row.Position, At: *row.DocumentAt}
		if row.SelectedNodeID != nil {
			e.Place.Selected = *row.SelectedNodeID
		}
	}
	return e
}

// reconcileAll compares memory and table until ctx ends: all rooms now and then, and when something may have been missed, and single rooms
// when it is time.
func (t *Tracker) reconcileAll(ctx context.Context) {
	tick := time.NewTicker(t.timing.Rest)
	defer tick.Stop()
	next := time.Now().Add(jitter(t.timing.Correct)) // when all are compared, unless a doubt comes first
	for {
		all := false
		select {
		case <-ctx.Done():
			return
		case <-t.doubts:
			all = true
		case now := <-tick.C:
			all = !now.Before(next)
		}
		err := t.reconcile(ctx, all)
		if err != nil {
			t.cfg.Log.DebugContext(ctx, "compare presence with the table", "error", err)
		}
		if !all {
			continue
		}
		next = time.Now().Add(jitter(t.timing.Correct))
		if err != nil {
			next = time.Now()
		} else if until := t.noRemovalsUntil(); until.After(time.Now()) && until.Before(next) {
			next = until
		}
		if !pause(ctx, t.timing.CorrectPause) {
			return
		}
	}
}

// reconcile compares rooms with the table: all of them, both ways, or those whose time has come, to learn of others.
func (t *Tracker) reconcile(ctx context.Context, all bool) error {
	ctx, cancel := context.WithTimeout(ctx, t.timing.Query)
	defer cancel()
	incarnation := t.replica.Incarnation()
	rooms := t.open()
	if !all {
		rooms = t.due(time.Now())
		if len(rooms) == 0 {
			return nil
		}
	}
	asked := make(map[*Room]question, len(rooms))
	projects := make([]int32, 0, len(rooms))
	for _, r := range rooms {
		if loaded, err := r.read(); loaded && err == nil {
			asked[r] = r.ask()
			projects = append(projects, r.project)
		}
	}
	var own []db.ListOwnPresenceRow
	var others []db.ListPresenceRow
	var existing []int32
	var leased bool
	err := t.cfg.DB.System.Query(ctx, func(q *db.Queries) (err error) {
		if leased, err = q.HasLease(ctx, incarnation); err != nil {
			return err
		}
		if all {
			if own, err = q.ListOwnPresence(ctx, incarnation); err != nil {
				return err
			}
		}
		if len(projects) == 0 {
			return nil
		}
		if existing, err = q.ListProjectIDs(ctx, projects); err != nil {
			return err
		}
		others, err = q.ListPresence(ctx, db.ListPresenceParams{ProjectIds: projects, Self: incarnation})
		return err
	})
	if err != nil {
		return err
	}
	if !leased {
		t.replica.Lost(incarnation) // before missingSince asks
	}
	of := byProject(others)
	slices.Sort(existing)
	for r, question := range asked {
		t.carryOut(r, r.correct(question, of[r.project], t.missingSince(question.at)))
		if _, exists := slices.BinarySearch(existing, r.project); !exists {
			t.carryOut(r, r.end())
		}
	}
	if all {
		t.correctTable(asked, own)
	}
	t.noteChecked(asked)
	return nil
}

// correctTable makes the flusher write own connections whose rows are missing or old, and take rows out that were written under this
// incarnation and belong to no connection.
func (t *Tracker) correctTable(asked map[*Room]question, own []db.ListOwnPresenceRow) {
	written := make(map[uuid.UUID]int64, len(own))
	for _, row := range own {
		written[row.ConnectionID] = row.Revision
	}
	for r, question := range asked {
		for connection, revision := range question.own {
			if found, ok := written[connection]; !ok || found < revision {
				t.rewrite(r, connection)
			}
			delete(written, connection)
		}
	}
	for _, r := range t.open() {
		for _, connection := range r.own() {
			delete(written, connection) // it joined since the table was asked
		}
	}
	for connection := range written {
		t.rewrite(nil, connection)
	}
}

// due returns the rooms that are to be compared by themselves, and whose time has come.
func (t *Tracker) due(now time.Time) (due []*Room) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range t.rooms {
		if !r.nextCheck.IsZero() && !now.Before(r.nextCheck) {
			due = append(due, r)
		}
	}
	return due
}

// noteChecked leaves it to the comparison of all to look at rooms again, but for those that it came too early for.
func (t *Tracker) noteChecked(asked map[*Room]question) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for r, question := range asked {
		if !question.at.Before(r.nextCheck) {
			r.nextCheck = time.Time{}
		}
	}
}

func byProject(rows []db.ListPresenceRow) map[int32][]db.ListPresenceRow {
	of := make(map[int32][]db.ListPresenceRow)
	for _, row := range rows {
		of[row.ProjectID] = append(of[row.ProjectID], row)
	}
	return of
}
