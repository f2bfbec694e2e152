package presence

import (
	"testing"
	"testing/synctest"
	"time"

	"layercake/internal/db"

	"github.com/google/uuid"
)

// Whoever is missing in the table goes within a lease, however often the wire reconnects meanwhile, unless the table was emptied.
func TestReconnectionsDoNotKeepPeopleWhoLeft(t *testing.T) {
	t.Parallel()
	incarnation, c := uuid.New(), uuid.New()
	const period = 2 * time.Second
	for name, step := range map[string]struct {
		each func(r *Room, round int) []db.ListPresenceRow // what happens, and what the table says
		want int                                           // rounds until the connection is removed, -1 for never
	}{
		"it left":     {func(*Room, int) []db.ListPresenceRow { return nil }, 3},
		"it is there": {func(*Room, int) []db.ListPresenceRow { return []db.ListPresenceRow{rowOf(c, incarnation, 1)} }, -1},
		"it is said to be there": {func(r *Room, _ int) []db.ListPresenceRow {
			r.hear(c, line{Incarnation: incarnation, Revision: 1}, false)
			return nil
		}, -1},
		"the table is emptied":     {func(r *Room, _ int) []db.ListPresenceRow { empty(r); return nil }, -1},
		"the table was emptied":    {func(r *Room, n int) []db.ListPresenceRow { emptyOnce(r, n == 2); return nil }, 5},
		"it is back for a moment":  {func(_ *Room, n int) []db.ListPresenceRow { return rowIf(n == 2, rowOf(c, incarnation, 1)) }, 6},
		"a line is between":        {func(r *Room, n int) []db.ListPresenceRow { hearIf(r, n == 2, c, incarnation); return nil }, 5},
		"no reconnection any more": {func(r *Room, _ int) []db.ListPresenceRow { r.tracker.listened = time.Time{}; return nil }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newTestRoom()
				r.hear(c, line{Incarnation: incarnation, Revision: 1, UserID: "u", Name: "U"}, false)
				removed := -1
				for round := 0; round < 10 && removed < 0; round++ {
					r.tracker.Doubt("listening")
					rows := step.each(r, round)
					asked := r.baseline()
					r.correct(asked, rows, r.tracker.removalCutoff(asked.at))
					if r.Entry(c) == nil {
						removed = round
					}
					<-time.After(period)
				}
				if removed != step.want {
					t.Errorf("removed in round %d, want %d", removed, step.want)
				}
			})
		})
	}
}

// empty makes the lease gone, as it is when the table was emptied.
func empty(r *Room) { r.tracker.replica.Lost(r.tracker.replica.Incarnation()) }

func emptyOnce(r *Room, now bool) {
	if now {
		empty(r)
	}
}

func rowIf(there bool, row db.ListPresenceRow) []db.ListPresenceRow {
	if !there {
		return nil
	}
	return []db.ListPresenceRow{row}
}

func hearIf(r *Room, now bool, connection, incarnation uuid.UUID) {
	if now {
		r.hear(connection, line{Incarnation: incarnation, Revision: 1}, false)
	}
}
