package presence

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"layercake/internal/db"
	"layercake/internal/outage"
	"layercake/internal/task"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
)

// pendingWrite is a connection whose row is out of date. What to write is read from the room when it is written: only the newest state
// counts.
type pendingWrite struct {
	room     *Room   // nil for a row that belongs to no connection and is to be deleted
	announce bool    // the other replicas get a line after the write
	visits   []visit // visits that ended and are not in the log yet
}

// entry returns the newest state of the connection, or nil when it left.
func (w pendingWrite) entry(connection uuid.UUID) *Entry {
	if w.room == nil {
		return nil
	}
	return w.room.ownEntry(connection)
}

// write makes the flusher write an own connection and its visits that ended, and send the other replicas a line.
func (t *Tracker) write(r *Room, connection uuid.UUID, ended ...visit) {
	t.mu.Lock()
	t.pending[connection] = pendingWrite{room: r, announce: true, visits: appendVisits(t.pending[connection].visits, ended)}
	t.mu.Unlock()
	task.Wake(t.writes)
}

// rewrite makes the flusher write an own connection that the other replicas know already or, without a room, delete its row.
func (t *Tracker) rewrite(r *Room, connection uuid.UUID) {
	t.mu.Lock()
	if _, there := t.pending[connection]; !there {
		t.pending[connection] = pendingWrite{room: r}
	}
	t.mu.Unlock()
	task.Wake(t.writes)
}

// flushAll writes own connections and sends the other replicas lines about them, one batch after the other, until ctx ends.
func (t *Tracker) flushAll(ctx context.Context) error {
	writes := outage.New(t.cfg.Log, "cannot write presence, trying again", "")
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.writes:
		}
		if !task.Pause(ctx, t.timing.GatherWrites) {
			return nil
		}
		writing := context.WithoutCancel(ctx) // a stop waits for the statements
		err := t.guard.Do(func() error { return t.flush(writing) })
		writes.Note(ctx, err)
		if err != nil {
			task.Pause(ctx, t.timing.Retry)
			task.Wake(t.writes)
		}
	}
}

// errNoLease is the error of writing before the first incarnation has begun.
var errNoLease = errors.New("no lease yet")

// flush writes everything that is pending. What an error kept from being written is pending again, merged with what came meanwhile.
func (t *Tracker) flush(ctx context.Context) error {
	incarnation, taken, err := t.takePending()
	if len(taken) == 0 {
		return err
	}
	unwritten := taken
	err = t.guard.Do(func() error { return t.writeBatches(ctx, incarnation, taken) })
	if errors.As(err, new(*task.Panic)) {
		unwritten, err = t.writeApart(ctx, incarnation, taken)
	}
	if err == nil {
		unwritten = nil
	}
	t.endFlush(unwritten)
	task.Wake(t.moves) // takeCursors leaves cursors of connections that are being written in the queue
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.ConstraintName == "presence_replica" {
		t.replica.Lost(incarnation) // the rows refer to the lease, and it is not there
	}
	return err
}

// takePending takes what is to be written, and under which incarnation.
func (t *Tracker) takePending() (incarnation uuid.UUID, taken map[uuid.UUID]pendingWrite, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	incarnation = t.replica.Incarnation()
	switch {
	case len(t.pending) == 0:
		return incarnation, nil, nil
	case incarnation == uuid.Nil:
		return incarnation, nil, errNoLease
	}
	taken, t.pending = t.pending, make(map[uuid.UUID]pendingWrite)
	t.flushing = taken
	return incarnation, taken, nil
}

// writeApart writes connections one by one, after writing them together panicked. The one with which it panics again is given up: nobody
// else waits for it. The comparison with the table finds what is missing. It returns those that an error kept from being written.
func (t *Tracker) writeApart(
	ctx context.Context, incarnation uuid.UUID, taken map[uuid.UUID]pendingWrite,
) (unwritten map[uuid.UUID]pendingWrite, failed error) {
	unwritten = make(map[uuid.UUID]pendingWrite)
	for connection, w := range taken {
		one := map[uuid.UUID]pendingWrite{connection: w}
		err := t.guard.Do(func() error { return t.writeBatches(ctx, incarnation, one) })
		if err != nil && !errors.As(err, new(*task.Panic)) {
			unwritten[connection], failed = w, err
		}
	}
	return unwritten, failed
}

// endFlush makes pending again what was taken and not written.
func (t *Tracker) endFlush(unwritten map[uuid.UUID]pendingWrite) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.flushing = nil
	for connection, w := range unwritten {
		if newer, there := t.pending[connection]; there {
			newer.announce = newer.announce || w.announce
			newer.visits = appendVisits(w.visits, newer.visits)
			w = newer
		}
		t.pending[connection] = w
	}
}

// writeBatches writes connections under an incarnation and sends lines about them. A line goes out after the commit of the row, so whoever
// compares with the table after hearing it finds the row. Each batch is repeatable: a batch that is written again after a later one failed
// writes the same or newer rows, and receivers drop lines with a revision that they know.
func (t *Tracker) writeBatches(ctx context.Context, incarnation uuid.UUID, taken map[uuid.UUID]pendingWrite) error {
	for connections := range slices.Chunk(slices.Collect(maps.Keys(taken)), batch) {
		var present []*Entry
		var absent []uuid.UUID
		var ended []visit
		for _, connection := range connections {
			e := taken[connection].entry(connection)
			if e != nil {
				present = append(present, e)
			} else {
				absent = append(absent, connection)
			}
			ended = append(ended, endedVisits(taken[connection].visits, e)...)
		}
		if err := t.writeRows(ctx, incarnation, present, absent, ended); err != nil {
			return err
		}
		for _, e := range present {
			if taken[e.Connection].announce {
				t.publishPlace(letterJoin, e, lineOf(e, incarnation))
			}
		}
		for _, connection := range absent {
			if taken[connection].announce {
				t.publish(letterLeave, taken[connection].room.project, connection, leaveLine{incarnation: incarnation}.encode())
			}
		}
	}
	return nil
}

// writeRows writes the rows of connections that are present, deletes those of connections that are absent, and logs the beginnings and ends
// of visits, in one transaction.
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
