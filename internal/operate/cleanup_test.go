package operate_test

import (
	"testing"
	"time"

	"layercake/internal/plan"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server/servertest"
)

// One replica at a time cleans up. A role that holds the lock of the release before, which is everybody's, keeps none from it.
func TestCleanUpTakesTurns(t *testing.T) {
	t.Parallel()
	core := servertest.StartCore(t, nil)
	conn, stranger := pgtest.Connect(t, core.Database), pgtest.Connect(t, core.Database)
	pgtest.Exec(t, stranger, "SELECT pg_advisory_lock(hashtext('layercake clean-up'))")
	pgtest.Exec(t, conn, "INSERT INTO projects (id, name) VALUES (1, 'One'); INSERT INTO heads (project_id, version) VALUES (1, 3)")
	pgtest.Exec(t, conn, `INSERT INTO events (project_id, version, at, op_actor, op_id, request_hash, body)
		SELECT 1, n, now() - interval '1 h', '', n, '', '{}' FROM generate_series(1, 3) n`)
	pgtest.Exec(t, conn, `INSERT INTO presence_log (connection_id, joined_at, incarnation, project_id, user_id, user_name, is_agent, left_at, reason)
		VALUES (gen_random_uuid(), now() - interval '2 h', gen_random_uuid(), 1, 'u', 'u', false, now() - interval '1 h', 'left')`)
	clean := func(wantEvents, wantVisits int64) {
		t.Helper()
		events, err1 := core.Plans.Trim(t.Context(), plan.Keep{Since: time.Now(), Events: 100, Bytes: 1 << 20})
		visits, err2 := core.Presence.TrimLog(t.Context(), time.Now())
		if events != wantEvents || visits != wantVisits || err1 != nil || err2 != nil {
			t.Errorf("removed %d events, %v, and %d visits, %v, want %d and %d", events, err1, visits, err2, wantEvents, wantVisits)
		}
	}
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	pgtest.Exec(t, tx, "SELECT 1 FROM cleanups FOR UPDATE") // another replica cleans up
	clean(0, 0)
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	clean(2, 1)
}
