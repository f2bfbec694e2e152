package presence

import (
	"context"
	"testing"
	"time"

	"layercake/internal/db"
	"layercake/internal/postgres/pgtest"

	"github.com/google/uuid"
)

// BreakWrites makes the next round of the flusher panic: it is told of the visit of nobody.
func (t *Tracker) BreakWrites() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pending[uuid.New()] = pendingWrite{visits: []visit{{}}}
}

// Kick is KickGuests on a connection of its own.
func (t *Tracker) Kick(ctx context.Context, guest *uuid.UUID, user *string, at time.Time) (removed int, err error) {
	err = t.cfg.DB.System.Query(ctx, func(q *db.Queries) error {
		removed, err = t.KickGuests(ctx, q, guest, user, at)
		return err
	})
	return removed, err
}

// Updates returns how many guests have an update that is not written yet.
func (t *Tracker) Updates() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.updates)
}

// HoldTurn keeps guests of a maker from joining until release is called.
func (t *Tracker) HoldTurn(tb testing.TB, maker string) (release func()) {
	tb.Helper()
	release, err := t.takeTurn(tb.Context(), maker)
	if err != nil {
		tb.Fatal(err)
	}
	return release
}

// AwaitUpdates returns when so many guests that are absent, or may be there, have an update that is not written yet.
func (t *Tracker) AwaitUpdates(tb testing.TB, absent bool, n int) {
	tb.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	enough := time.After(pgtest.Patience)
	for {
		if taken, _ := t.takeUpdates(absent, maxUpdates); len(taken) == n {
			return
		}
		select {
		case <-tick.C:
		case <-enough:
			tb.Fatalf("waited in vain for %d updates (absent: %t)", n, absent)
		}
	}
}
