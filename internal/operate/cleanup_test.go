package operate_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"layercake/internal/auth"
	"layercake/internal/operate"
	"layercake/internal/plan"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/project"
	"layercake/internal/server/servertest"

	"github.com/prometheus/client_golang/prometheus"
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

// The clean-up writes checkpoints, which are not counted as removed.
func TestCleanUpWritesCheckpoints(t *testing.T) {
	t.Parallel()
	core := servertest.StartCore(t, nil)
	actor := auth.Anonymous("")
	p, err := core.Projects.Create(t.Context(), auth.UncheckedReach(actor), project.Input{Name: "Test"})
	if err != nil {
		t.Fatal(err)
	}
	change := plan.Change{Edits: []plan.Edit{plan.UpdatePlan{Name: "Other"}}}
	if _, err := core.Plans.Change(t.Context(), auth.Unchecked(actor, p.ID), change); err != nil {
		t.Fatal(err)
	}
	conn := pgtest.Connect(t, core.Database)
	pgtest.Exec(t, conn, "UPDATE events SET version = 5000; UPDATE heads SET version = 5000, log_floor = 4999")
	counters := prometheus.NewRegistry()
	cleaner := operate.NewCleaner(operate.CleanerConfig{
		DB: core.DB.System, Plans: core.Plans, Proposals: core.Proposals, Presence: core.Presence, Agents: core.Agents,
		Every: time.Millisecond, KeepEvents: time.Hour,
		Log: slog.New(slog.DiscardHandler), Metrics: counters,
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- cleaner.Run(ctx) }()
	pgtest.AwaitTexts(t, conn, []string{"Other 5000"}, "SELECT concat_ws(' ', body #>> '{plan,name}', version) FROM checkpoints")
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	families, err := counters.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "layercake_cleanup_removed_total" && m.GetCounter().GetValue() != 0 {
				t.Errorf("%v were removed", m)
			}
		}
	}
}

// Operation ids of projects go with the events of their age.
func TestCleanUpForgetsOperations(t *testing.T) {
	t.Parallel()
	core := servertest.StartCore(t, nil)
	conn := pgtest.Connect(t, core.Database)
	pgtest.Exec(t, conn, `INSERT INTO project_operations (op_actor, op_id, request_hash, project_id, at)
		SELECT '', w.op_id, sha256('')::bytea, 1, now() - w.age FROM (VALUES ('young', interval '1 m'), ('old', interval '2 h')) w (op_id, age)`)
	cleaner := operate.NewCleaner(operate.CleanerConfig{
		DB: core.DB.System, Plans: core.Plans, Proposals: core.Proposals, Presence: core.Presence, Every: time.Millisecond, KeepEvents: time.Hour,
		Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- cleaner.Run(ctx) }()
	pgtest.AwaitTexts(t, conn, []string{"young"}, "SELECT op_id FROM project_operations")
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Operation ids are removed in chunks, all of them, and one that was not removed does not count.
func TestOperationsAreForgottenInChunks(t *testing.T) {
	t.Parallel()
	core := servertest.StartCore(t, nil)
	const many = 20_001
	pgtest.Exec(t, pgtest.Connect(t, core.Database), `INSERT INTO project_operations (op_actor, op_id, request_hash, project_id, at)
		SELECT '', n, sha256('')::bytea, 1, now() - interval '2 h' FROM generate_series(1, $1) n`, many)
	cleaner := operate.NewCleaner(operate.CleanerConfig{
		DB: core.DB.System, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
	})
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	if n, err := operate.TrimProjectOperations(cleaner, stopped, time.Now()); n != 0 || err == nil {
		t.Errorf("a clean-up that was stopped removed %d, %v", n, err)
	}
	if n, err := operate.TrimProjectOperations(cleaner, t.Context(), time.Now()); n != many || err != nil {
		t.Errorf("%d were removed, %v, want %d", n, err, many)
	}
}

// Operation ids that were remembered beside the log go with the events of their age.
func TestRememberedOperationsAreForgotten(t *testing.T) {
	t.Parallel()
	core := servertest.StartCore(t, nil)
	conn := pgtest.Connect(t, core.Database)
	pgtest.Exec(t, conn, `INSERT INTO operations (op_actor, op_id, project_id, action, request_hash, at)
		SELECT '', a, 1, 'delete graph 7', sha256('')::bytea, now() - a::interval FROM unnest('{2 h,1 s}'::text[]) a`)
	cleaner := operate.NewCleaner(operate.CleanerConfig{
		DB: core.DB.System, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
	})
	var before time.Time
	if err := conn.QueryRow(t.Context(), "SELECT now() - interval '1 h'").Scan(&before); err != nil {
		t.Fatal(err)
	}
	if n, err := operate.TrimOperations(cleaner, t.Context(), before); n != 1 || err != nil {
		t.Errorf("%d were removed, %v, want 1", n, err)
	}
	if left := pgtest.Texts(t, conn, "SELECT op_id FROM operations"); len(left) != 1 || left[0] != "1 s" {
		t.Errorf("left are %v", left)
	}
}
