package presence

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// move makes the next lines tell where the cursor of an own connection is.
func (t *Tracker) move(r *Room, connection uuid.UUID) {
	t.mu.Lock()
	t.moved[connection] = r
	t.mu.Unlock()
	signal(t.moves)
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
				t.publish(letterMoved, e.Project, connection, lineOf(e, incarnation).moved().encode())
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
