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
	type movement struct {
		room *Room
		last time.Time
	}
	moving := make(map[uuid.UUID]movement) // cursors whose place the table does not have yet
	rested := time.NewTicker(t.timing.Rest / 2)
	defer rested.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-rested.C:
			for connection, m := range moving {
				if now.Sub(m.last) >= t.timing.Rest {
					delete(moving, connection)
					t.rewrite(m.room, connection)
				}
			}
			continue
		case <-t.moves:
		}
		incarnation, taken := t.takeCursors()
		if len(taken) == 0 {
			continue
		}
		for connection, r := range taken {
			moving[connection] = movement{r, time.Now()}
			if e := r.ownEntry(connection); e != nil && e.Place != nil {
				t.publish(letterCursor, e.Project, connection, lineOf(e, incarnation).cursorLine().encode())
			}
		}
		if !task.Pause(ctx, t.timing.GatherMoves) {
			return
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
