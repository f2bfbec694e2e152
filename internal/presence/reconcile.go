package presence

import (
	"context"
	"time"

	"layercake/internal/db"
	"layercake/internal/fanout"
	"layercake/internal/task"

	"github.com/google/uuid"
)

// Doubt makes the tracker compare memory with the table soon. The wire calls it when lines may have been missed; its reason matters only
// where listening has just begun: then the owners of the connections that the table lacks may have missed something too, and get the
// length of a lease to write them anew.
func (t *Tracker) Doubt(reason string) {
	if reason == fanout.Listening {
		t.mu.Lock()
		t.listened = time.Now()
		t.mu.Unlock()
	}
	task.Wake(t.doubts)
}

// noRemovalsUntil returns the end of the time in which a connection of another replica is not removed just because one comparison does not
// find it in the table. That time is a lease, counted from the last interruption: listening began again, a renewal of the own lease failed,
// or the own lease was lost. Whatever interrupted this replica may have interrupted the others, and within a lease those that live notice
// it and write anew what they hold.
func (t *Tracker) noRemovalsUntil() time.Time {
	last, lost := t.replica.Outages()
	if lost.After(last) {
		last = lost
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.listened.After(last) {
		last = t.listened
	}
	return last.Add(t.replica.TTL())
}

// removalCutoff decides whom a comparison may remove, whose query was sent at a time: connections of others that the table has lacked since
// the cutoff, or longer.
//
//	no recent interruption   the time of the query: whoever is missing now is removed now
//	an interruption          a lease before the query: whoever has been missing for a lease is removed all the same. Without this, people
//	                         who left would stay for ever where connections break more often than once a lease.
//	the own lease was lost   zero, so nobody: the table may have been emptied, and then everybody is missing. The own lease shows it, because
//	                         leases are emptied together with presence, and owners who live have written theirs within a lease after it.
func (t *Tracker) removalCutoff(asked time.Time) time.Time {
	_, lost := t.replica.Outages()
	switch lease := t.replica.TTL(); {
	case !time.Now().Before(t.noRemovalsUntil()): // now, not asked: the interruption may have come after the query was sent
		return asked
	case asked.Sub(lost) < lease:
		return time.Time{}
	default:
		return asked.Add(-lease)
	}
}

// baseline is what a room knew when a query about it was sent. What changed after that is newer than the answer, which then decides nothing
// about it.
type baseline struct {
	clock int64
	at    time.Time
	own   map[uuid.UUID]int64 // revisions of the own connections
}

func (r *room) baseline() baseline {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := baseline{clock: r.clock, at: time.Now(), own: make(map[uuid.UUID]int64)}
	for connection, i := range r.items {
		if i.own {
			b.own[connection] = i.entry.revision
		}
	}
	return b
}

// absence is how long comparisons have not found a connection in the table.
type absence struct {
	since time.Time // time when the query of the first of them was sent; zero while the connection is found
	clock int64     // clock of the room at that time: a line about the connection after it ends the absence
}

// correct makes the connections of others in the room what the table says, except those that lines have touched since the query was sent:
// these lines are newer than the rows. Own connections are never corrected, because nobody knows them better than this replica. It removes
// the connections that have been absent since the cutoff; none when the cutoff is zero.
func (r *room) correct(asked baseline, rows []db.ListPresenceRow, cutoff time.Time) effects {
	r.mu.Lock()
	defer r.mu.Unlock()
	follows := effects{}
	there := make(map[uuid.UUID]bool, len(rows))
	for _, row := range rows {
		there[row.ConnectionID] = true
	}
	for connection, i := range r.items {
		if i.own || there[connection] || i.touched > asked.clock {
			continue
		}
		if i.absence.since.IsZero() || i.touched > i.absence.clock {
			i.absence = absence{since: asked.at, clock: asked.clock}
		}
		if !i.absence.since.After(cutoff) {
			r.remove(i) // before the rows are taken, which may need its room
			follows.notify = true
		}
	}
	for _, row := range rows {
		if r.takeRow(asked, row) {
			follows.notify = true
		} else if r.items[row.ConnectionID] == nil && !r.leftSince(asked, row.ConnectionID) {
			follows.noRoom++
		}
	}
	return follows
}

// takeRow corrects one connection by its row in the table. It reports whether watchers can see the difference.
func (r *room) takeRow(asked baseline, row db.ListPresenceRow) bool {
	i := r.items[row.ConnectionID]
	if i != nil {
		i.absence, i.written = absence{}, true
	}
	switch {
	case i == nil && (r.leftSince(asked, row.ConnectionID) || len(r.items) >= MaxPeople):
		return false
	case i != nil && (i.own || i.touched > asked.clock):
		return false
	case i != nil && row.Revision <= i.entry.revision:
		i.adopt(incarnationOf(row), i.touched)
		return false
	}
	r.put(entryOf(row), false)
	r.items[row.ConnectionID].written = true
	return true
}

// leftSince reports whether a connection left too late for the answer to a query to know: after the query was sent, or, for a connection
// that this replica served, so recently that its leave is remembered, since the flusher may not have deleted its row yet.
func (r *room) leftSince(asked baseline, connection uuid.UUID) bool {
	d := r.leaveOf[connection]
	if d == nil {
		return false
	}
	left := d.Value.(*leaveRecord)
	return left.touched > asked.clock || left.entry.incarnation == uuid.Nil
}

// incarnationOf returns the incarnation under whose lease a row was written.
func incarnationOf(row db.ListPresenceRow) uuid.UUID {
	if row.Incarnation == nil {
		return guestIncarnation
	}
	return *row.Incarnation
}

func entryOf(row db.ListPresenceRow) *Entry {
	return &Entry{
		Connection: row.ConnectionID, Project: row.ProjectID,
		Identity: Identity{
			UserID: row.UserID, Name: row.UserName, Color: row.AvatarColor, Agent: row.IsAgent, Transport: row.Transport,
		},
		Place:    placeOf(row.DocumentID, row.DocumentType, row.Position, row.SelectedNodeID, row.DocumentAt),
		JoinedAt: row.JoinedAt, ActiveAt: row.ActiveAt, incarnation: incarnationOf(row), revision: row.Revision,
	}
}

// placeOf returns the place that a row names, nil for none.
func placeOf(document, kind *string, position []byte, selected *string, at *time.Time) *Place {
	if document == nil || kind == nil || at == nil {
		return nil
	}
	p := &Place{Document: *document, Type: *kind, Position: position, At: *at}
	if selected != nil {
		p.Selected = *selected
	}
	return p
}

// reconcileAll compares memory with the table until ctx ends: all rooms every 15 s and after each doubt, and single rooms when their next
// check is due.
func (t *Tracker) reconcileAll(ctx context.Context) {
	tick := time.NewTicker(t.timing.Rest)
	defer tick.Stop()
	next := time.Now().Add(jitter(t.timing.Correct)) // time when all are compared, unless a doubt comes first
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
		err := t.guard.Do(func() error { return t.reconcile(ctx, all) })
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
			next = until // the first comparison that may remove again whoever is missing
		}
		if !task.Pause(ctx, t.timing.CorrectPause) {
			return
		}
	}
}

// reconcile compares rooms with the table. With all it compares every room, and the own rows too, in both directions; without, only the
// rooms whose next check is due, for the connections of others.
func (t *Tracker) reconcile(ctx context.Context, all bool) error {
	incarnation := t.replica.Incarnation()
	rooms := t.open()
	if !all {
		rooms = t.due(time.Now())
		if len(rooms) == 0 {
			return nil
		}
	}
	// The baselines are taken before the query is sent, so that whatever changes from here on counts as newer than its answer.
	asked := make(map[*Room]baseline, len(rooms))
	for _, r := range rooms {
		if loaded, err := r.loadResult(); loaded && err == nil {
			asked[r] = r.baseline()
		}
	}
	answer, err := t.readTable(ctx, incarnation, asked, all)
	if err != nil {
		return err
	}
	if !answer.leased {
		t.replica.Lost(incarnation) // before removalCutoff asks for it
	}
	for r, b := range asked {
		t.carryOut(r, r.correct(b, answer.others[r.project], t.removalCutoff(b.at)))
		if !answer.exists[r.project] {
			t.carryOut(r, r.end())
		}
	}
	if all {
		t.correctTable(asked, answer.own)
	}
	t.noteChecked(asked)
	return nil
}

// tableAnswer is what the table says about some rooms.
type tableAnswer struct {
	leased bool // the lease of this replica is there
	own    []db.ListOwnPresenceRow
	exists map[int32]bool // the projects that were not deleted
	others map[int32][]db.ListPresenceRow
}

// readTable reads what the table says about rooms, and with all also which rows are written under the own lease. Everything is read on one
// connection: a crash of the server, which empties the tables, ends that too, so lease and rows are of the same tables.
func (t *Tracker) readTable(ctx context.Context, incarnation uuid.UUID, rooms map[*Room]baseline, all bool) (a tableAnswer, err error) {
	ctx, cancel := context.WithTimeout(ctx, t.timing.Query)
	defer cancel()
	projects := make([]int32, 0, len(rooms))
	for r := range rooms {
		projects = append(projects, r.project)
	}
	err = t.cfg.DB.System.Query(ctx, func(q *db.Queries) (err error) {
		a = tableAnswer{exists: make(map[int32]bool, len(projects)), others: make(map[int32][]db.ListPresenceRow)}
		if a.leased, err = q.HasLease(ctx, incarnation); err != nil {
			return err
		}
		if all {
			if a.own, err = q.ListOwnPresence(ctx, incarnation); err != nil {
				return err
			}
		}
		if len(projects) == 0 {
			return nil
		}
		existing, err := q.ListProjectIDs(ctx, projects)
		if err != nil {
			return err
		}
		for _, project := range existing {
			a.exists[project] = true
		}
		others, err := q.ListPresence(ctx, db.ListPresenceParams{ProjectIds: projects, Self: incarnation})
		for _, row := range others {
			a.others[row.ProjectID] = append(a.others[row.ProjectID], row)
		}
		return err
	})
	return a, err
}

// correctTable makes the flusher write the own connections whose rows are missing or old, and delete the rows under the own lease that
// belong to no connection.
func (t *Tracker) correctTable(asked map[*Room]baseline, own []db.ListOwnPresenceRow) {
	written := make(map[uuid.UUID]int64, len(own))
	for _, row := range own {
		written[row.ConnectionID] = row.Revision
	}
	for r, b := range asked {
		for connection, revision := range b.own {
			if found, ok := written[connection]; !ok || found < revision {
				t.rewrite(r, connection)
			}
			delete(written, connection)
		}
	}
	for _, r := range t.open() {
		for _, connection := range r.own() {
			delete(written, connection) // joined after the query was sent
		}
	}
	for connection := range written {
		t.rewrite(nil, connection)
	}
}

// due returns the rooms whose next check, which each has for itself, is due.
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

// noteChecked clears the next check of the rooms that were compared, unless their query was sent before it was due. From then on only the
// comparisons of all rooms include them.
func (t *Tracker) noteChecked(asked map[*Room]baseline) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for r, b := range asked {
		if !b.at.Before(r.nextCheck) {
			r.nextCheck = time.Time{}
		}
	}
}
