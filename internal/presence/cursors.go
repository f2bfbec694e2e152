package presence

import (
	"context"
	"time"

	"layercake/internal/task"

	"github.com/google/uuid"
)

// queueCursor makes sendCursors send where the cursor of an own connection is.
func (t *Tracker) queueCursor(r *Room, connection uuid.UUID) {
	t.mu.Lock()
	t.cursors[connection] = r
	t.mu.Unlock()
	task.Wake(t.moves)
}

// sendCursors sends lines about the cursors of own connections that moved, about each at most one in GatherMoves, until ctx ends. A cursor
// that has rested for a while is also written to the table, for replicas that open the room later and have heard no line about it.
func (t *Tracker) sendCursors(ctx context.Context) {
	moving := make(map[uuid.UUID]movement)
	rested := time.NewTicker(t.timing.Rest / 2)
	defer rested.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-rested.C:
			t.rest(moving, now)
			continue
		case <-t.moves:
		}
		// After a panic some of the lines are missing: the next move of these cursors, or their rest, says where they are.
		_ = t.guard.Do(func() error { t.sendMoved(moving); return nil })
		if !task.Pause(ctx, t.timing.GatherMoves) {
			return
		}
	}
}

// movement is a cursor whose place the table does not have yet.
type movement struct {
	room *Room
	last time.Time
}

// rest makes the flusher write the cursors that have rested for a while.
func (t *Tracker) rest(moving map[uuid.UUID]movement, now time.Time) {
	for connection, m := range moving {
		if now.Sub(m.last) >= t.timing.Rest {
			delete(moving, connection)
			t.rewrite(m.room, connection)
		}
	}
}

// sendMoved sends lines about the cursors that can be sent now.
func (t *Tracker) sendMoved(moving map[uuid.UUID]movement) {
	incarnation, taken := t.takeCursors()
	for connection, r := range taken {
		moving[connection] = movement{r, time.Now()}
		if e := r.ownEntry(connection); e != nil && e.Place != nil {
			t.publishPlace(letterCursor, e, lineOf(e, incarnation).cursorLine())
		}
	}
}

// takeCursors takes the connections from the queue whose cursors can be sent now. Those that the flusher still has to write stay in it,
// until flush signals moves again: the flusher sends the line about a join or another document after its write, and a position must not
// overtake the document that it is in.
func (t *Tracker) takeCursors() (incarnation uuid.UUID, taken map[uuid.UUID]*Room) {
	t.mu.Lock()
	defer t.mu.Unlock()
	taken = make(map[uuid.UUID]*Room, len(t.cursors))
	for connection, r := range t.cursors {
		if _, waits := t.pending[connection]; waits {
			continue
		}
		if _, waits := t.flushing[connection]; waits {
			continue
		}
		taken[connection] = r
		delete(t.cursors, connection)
	}
	return t.replica.Incarnation(), taken
}
