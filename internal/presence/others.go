package presence

import (
	"context"
	"encoding/json"
	"time"

	"layercake/internal/db"
	"layercake/internal/fanout"

	"github.com/google/uuid"
)

// Hear takes what a replica said. It never waits. Own words are known.
func (t *Tracker) Hear(p fanout.Presence) {
	if p.Own {
		return
	}
	connection, err := uuid.Parse(p.Connection)
	if err != nil {
		t.cfg.Log.Debug("skipped a line about no connection", "connection", p.Connection)
		return
	}
	if p.Kind == fanout.Left {
		if gone, err := parseDeparted(p.Body); err == nil {
			t.heardLeft(p.Project, connection, gone)
		}
		return
	}
	r := t.room(p.Project)
	if r == nil {
		return
	}
	if p.Kind == fanout.Noticed {
		n := notice{id: p.Connection}
		if err := json.Unmarshal(p.Body, &n); err == nil {
			r.noticed(n)
		}
		return
	}
	var l line
	if err := json.Unmarshal(p.Body, &l); err != nil || p.Kind == fanout.Joined && l.UserID == "" {
		t.cfg.Log.Debug("skipped a line about a connection", "error", err)
		return
	}
	r.heard(connection, l, p.Kind == fanout.Moved)
}

// Doubt makes the tracker compare with the table soon. After a while without listening nobody is removed at once: others may have
// to write theirs anew.
func (t *Tracker) Doubt(reason string) {
	if reason == "listening" {
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

func (t *Tracker) room(project int32) *Room {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.rooms[project]
}

// heardLeft takes a connection out, unless another incarnation of its replica holds it by now, or the guest came back.
func (t *Tracker) heardLeft(project int32, connection uuid.UUID, gone departed) {
	r := t.room(project)
	if r == nil {
		return
	}
	r.mu.Lock()
	r.clock++
	i := r.items[connection]
	there := i != nil && !i.own && i.entry.incarnation == gone.life &&
		(gone.revision == 0 || i.entry.revision <= gone.revision)
	if there {
		r.remove(i)
	}
	r.mu.Unlock()
	if there {
		r.notify()
	}
}

// heard takes what another replica said about a connection of its own.
func (r *Room) heard(connection uuid.UUID, l line, move bool) {
	r.mu.Lock()
	r.clock++
	i := r.items[connection]
	changed := false
	switch {
	case i == nil && move:
		// It left, or its arrival was lost: the table says.
	case i == nil:
		r.put(l.entry(r.Project, connection, nil), false)
		changed = true
	case i.own:
		// Nobody knows better.
	case l.Revision > i.entry.revision:
		known := i.entry
		if !move {
			known = nil
		}
		r.put(l.entry(r.Project, connection, known), false)
		changed = true
	default:
		i.adopt(l.Incarnation, r.clock)
	}
	r.mu.Unlock()
	if changed {
		r.notify()
	}
}

// adopt notes that another incarnation of a replica holds the connection, which nobody else has to know.
func (i *item) adopt(incarnation uuid.UUID, clock int64) {
	i.touched = clock
	if i.entry.incarnation != incarnation {
		e := i.entry.next()
		e.incarnation, e.revision, e.seq = incarnation, i.entry.revision, i.entry.seq
		i.entry = e
	}
}

// owned returns the connections that this replica serves.
func (r *Room) owned() []uuid.UUID {
	r.mu.Lock()
	defer r.mu.Unlock()
	var own []uuid.UUID
	for connection, i := range r.items {
		if i.own {
			own = append(own, connection)
		}
	}
	return own
}

// ownSize returns how many there are of them.
func (r *Room) ownSize() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.own
}

func (r *Room) ownEntry(connection uuid.UUID) *Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := r.items[connection]; i != nil && i.own {
		return i.entry
	}
	return nil
}

// question is what a room knew when the table was asked.
type question struct {
	clock int64
	at    time.Time
	own   map[uuid.UUID]int64 // revisions
}

func (r *Room) ask() question {
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
func (r *Room) correct(asked question, rows []db.ListPresenceRow, missingSince time.Time) {
	r.mu.Lock()
	changed := false
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
		if d := r.gone[row.ConnectionID]; i == nil && d != nil {
			if left := d.Value.(*departure); left.touched > asked.clock || left.entry.incarnation == uuid.Nil {
				continue // it left since, or is an own one whose row is about to go
			}
		}
		if i != nil && row.Revision <= i.entry.revision {
			i.adopt(incarnationOf(row), i.touched)
			continue
		}
		r.put(entryOf(row), false)
		changed = true
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
			changed = true
		}
	}
	r.mu.Unlock()
	if changed {
		r.notify()
	}
}

// incarnationOf returns the incarnation that a row is of.
func incarnationOf(row db.ListPresenceRow) uuid.UUID {
	if row.Incarnation == nil {
		return nobody
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

// correctAll compares memory and table now and then, and when something may have been missed, until ctx ends.
func (t *Tracker) correctAll(ctx context.Context) {
	timer := time.NewTimer(jitter(t.timing.Correct))
	defer timer.Stop()
	look := time.NewTicker(t.timing.Rest)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
			if err := t.readAgain(ctx); err != nil {
				t.cfg.Log.DebugContext(ctx, "read rooms again", "error", err)
			}
			continue
		case <-timer.C:
		case <-t.doubts:
		}
		next := jitter(t.timing.Correct)
		if again, err := t.correct(ctx); err != nil {
			t.cfg.Log.DebugContext(ctx, "compare presence with the table", "error", err)
			next = time.Second
		} else if again > 0 {
			next = min(next, again)
		}
		timer.Reset(next)
		if !pause(ctx, t.timing.CorrectPause) {
			return
		}
	}
}

// readAgain reads rooms that were opened a moment ago: a cursor that came to rest just before is in no line that they heard, and the
// table learned of it only now.
func (t *Tracker) readAgain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, t.timing.Query)
	defer cancel()
	asked := make(map[*Room]question)
	var projects []int32
	t.mu.Lock()
	for r, read := range t.young {
		if time.Since(read) < 2*t.timing.Rest {
			continue
		}
		delete(t.young, r)
		if t.rooms[r.Project] == r {
			asked[r] = question{}
			projects = append(projects, r.Project)
		}
	}
	t.mu.Unlock()
	if len(asked) == 0 {
		return nil
	}
	for r := range asked {
		asked[r] = r.ask()
	}
	var rows []db.ListPresenceRow
	err := t.cfg.DB.System.Query(ctx, func(q *db.Queries) (err error) {
		rows, err = q.ListPresence(ctx, db.ListPresenceParams{ProjectIds: projects, Self: t.replica.Incarnation()})
		return err
	})
	if err != nil {
		return err
	}
	of := byProject(rows)
	for r, question := range asked {
		r.correct(question, of[r.Project], time.Time{})
	}
	return nil
}

func byProject(rows []db.ListPresenceRow) map[int32][]db.ListPresenceRow {
	of := make(map[int32][]db.ListPresenceRow)
	for _, row := range rows {
		of[row.ProjectID] = append(of[row.ProjectID], row)
	}
	return of
}

// correct compares all open rooms with the table, both ways. It returns when to do it again, where that is soon.
func (t *Tracker) correct(ctx context.Context) (again time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, t.timing.Query)
	defer cancel()
	incarnation := t.replica.Incarnation()
	rooms := t.open()
	asked := make(map[int32]question, len(rooms))
	projects := make([]int32, 0, len(rooms))
	for _, r := range rooms {
		if r.isLoaded() {
			asked[r.Project] = r.ask()
			projects = append(projects, r.Project)
		}
	}
	var own []db.ListOwnPresenceRow
	var others []db.ListPresenceRow
	var existing []int32
	var leased bool
	err = t.cfg.DB.System.Query(ctx, func(q *db.Queries) (err error) {
		if leased, err = q.HasLease(ctx, incarnation); err != nil {
			return err
		}
		if own, err = q.ListOwnPresence(ctx, incarnation); err != nil {
			return err
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
		return 0, err
	}
	if !leased {
		t.replica.Lost(incarnation)
	}
	exists := make(map[int32]bool, len(existing))
	for _, id := range existing {
		exists[id] = true
	}
	of := byProject(others)
	written := make(map[uuid.UUID]int64, len(own))
	for _, row := range own {
		written[row.ConnectionID] = row.Revision
	}
	for _, r := range rooms {
		question, ok := asked[r.Project]
		if !ok {
			continue
		}
		for connection, revision := range question.own {
			if found, ok := written[connection]; !ok || found < revision {
				t.rewrite(r, connection)
			}
			delete(written, connection)
		}
		r.correct(question, of[r.Project], t.missingSince(question.at))
		if !exists[r.Project] {
			r.end()
		}
	}
	t.removeStale(written)
	return max(time.Until(t.noRemovalsUntil()), 0), nil
}

// rewrite makes the flusher write an own connection; the other replicas know it already.
func (t *Tracker) rewrite(r *Room, connection uuid.UUID) {
	t.mu.Lock()
	if _, there := t.pending[connection]; !there {
		t.pending[connection] = writing{room: r}
	}
	t.mu.Unlock()
	signal(t.writes)
}

// removeStale makes the flusher take rows out that were written under this incarnation and belong to no connection.
func (t *Tracker) removeStale(rows map[uuid.UUID]int64) {
	for _, r := range t.open() {
		for _, connection := range r.owned() {
			delete(rows, connection) // it joined since the table was asked
		}
	}
	t.mu.Lock()
	for connection := range rows {
		if _, there := t.pending[connection]; !there {
			t.pending[connection] = writing{}
		}
	}
	t.mu.Unlock()
	signal(t.writes)
}

func (r *Room) isLoaded() bool {
	select {
	case <-r.loaded:
		return r.err == nil
	default:
		return false
	}
}

// end tells whoever watches that the project was deleted.
func (r *Room) end() {
	r.mu.Lock()
	r.ended = true
	r.mu.Unlock()
	r.notify()
}
