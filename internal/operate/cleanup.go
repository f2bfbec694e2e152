package operate

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"layercake/internal/agent"
	"layercake/internal/auth"
	"layercake/internal/db"
	"layercake/internal/outage"
	"layercake/internal/plan"
	"layercake/internal/postgres"
	"layercake/internal/presence"
	"layercake/internal/task"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// What a project's log keeps at most, however young the events are.
const (
	keepEvents     = 100_000
	keepEventBytes = 256 << 20
)

// keepVisits is how long visits stay in presence_log after their end.
const keepVisits = 30 * 24 * time.Hour

// keepProposals is how long proposals stay after they were decided.
const keepProposals = 30 * 24 * time.Hour

// CleanerConfig is what a Cleaner needs.
type CleanerConfig struct {
	DB         *postgres.Pool
	Plans      *plan.Service
	Proposals  *plan.Proposals
	Presence   *presence.Tracker
	Agents     *agent.Service
	Accounts   *auth.Accounts // nil for none
	Every      time.Duration  // time between two removals, on average
	KeepEvents time.Duration
	Log        *slog.Logger
	Metrics    prometheus.Registerer
}

// Cleaner removes what is too old, and writes checkpoints of what is not. Every replica has one; the database lets one at a time do so.
type Cleaner struct {
	cfg                 CleanerConfig
	guard               *task.Guard
	removed             *prometheus.CounterVec // removed rows, by what they were
	succeeded           *prometheus.GaugeVec
	stored, storedBytes *prometheus.GaugeVec // contents and files, by which
}

// NewCleaner returns a Cleaner. It starts nothing.
func NewCleaner(cfg CleanerConfig) *Cleaner {
	f := promauto.With(cfg.Metrics)
	return &Cleaner{
		cfg: cfg, guard: task.NewGuard(cfg.Log, cfg.Metrics, "cleanup"),
		removed: f.NewCounterVec(prometheus.CounterOpts{
			Namespace: "layercake", Subsystem: "cleanup", Name: "removed_total", Help: "Rows that the clean-up removed.",
		}, []string{"what"}),
		succeeded: f.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: "layercake", Subsystem: "cleanup", Name: "last_success_timestamp_seconds",
			Help: "When the clean-up last ended well on this replica.",
		}, []string{"what"}),
		stored: f.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: "layercake", Subsystem: "storage", Name: "objects",
			Help: "Contents of built graphs, and uploaded files, in the database at this replica's last clean-up.",
		}, []string{"what"}),
		storedBytes: f.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: "layercake", Subsystem: "storage", Name: "bytes",
			Help: "Bytes of contents of built graphs, about and with indexes, and of uploaded files, at this replica's last clean-up.",
		}, []string{"what"}),
	}
}

// Run cleans up again and again until ctx ends.
func (c *Cleaner) Run(ctx context.Context) error {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		pause.Reset(c.cfg.Every/2 + rand.N(c.cfg.Every))
		select {
		case <-ctx.Done():
			return nil
		case <-pause.C:
		}
		_ = c.guard.Do(func() error { c.clean(ctx); return nil }) // the next time it is tried again
	}
}

// trimAccounts removes sessions, tokens, attempts and entries of the log of security that are over.
func (c *Cleaner) trimAccounts(ctx context.Context) (int64, error) {
	if c.cfg.Accounts == nil {
		return 0, nil
	}
	return c.cfg.Accounts.Trim(ctx)
}

// clean does every job once. Ages are measured by the clock of the database, because the clocks of replicas differ.
func (c *Cleaner) clean(ctx context.Context) {
	var now time.Time
	err := c.cfg.DB.Query(ctx, func(q *db.Queries) (err error) {
		now, err = q.GetClock(ctx)
		return err
	})
	if err != nil {
		if ctx.Err() == nil {
			c.cfg.Log.WarnContext(ctx, "clean up", "error", outage.Logged(err))
		}
		return
	}
	for _, job := range []struct {
		what   string
		remove func() (int64, error)
	}{
		{"events", func() (int64, error) {
			return c.cfg.Plans.Trim(ctx, plan.Keep{Since: now.Add(-c.cfg.KeepEvents), Events: keepEvents, Bytes: keepEventBytes})
		}},
		{"operations", func() (int64, error) { return c.trimOperations(ctx, now.Add(-c.cfg.KeepEvents)) }},
		{"project_operations", func() (int64, error) { return c.trimProjectOperations(ctx, now.Add(-c.cfg.KeepEvents)) }},
		{"commands", func() (int64, error) { return c.trimCommands(ctx) }},
		{"presence_log", func() (int64, error) { return c.cfg.Presence.TrimLog(ctx, now.Add(-keepVisits)) }},
		{"proposals", func() (int64, error) { return c.cfg.Proposals.Trim(ctx, now.Add(-keepProposals)) }},
		{"mcp_sessions", func() (int64, error) { return c.cfg.Agents.TrimSessions(ctx) }},
		{"mcp_inbox", func() (int64, error) { return c.cfg.Agents.TrimInbox(ctx) }},
		{"accounts", func() (int64, error) { return c.trimAccounts(ctx) }},
		{"builds", func() (int64, error) { return c.trimBuilds(ctx, now.Add(-keepBuilds)) }},
		{"contents", func() (int64, error) { return c.trimContents(ctx, now.Add(-keepForgotten)) }},
		{"files", func() (int64, error) { return c.trimFiles(ctx, now.Add(-keepForgotten)) }},
	} {
		c.do(ctx, job.what, func() error {
			n, err := job.remove()
			c.removed.WithLabelValues(job.what).Add(float64(n))
			return err
		})
	}
	c.do(ctx, "storage", func() error { return c.measureStorage(ctx) })
	// Last, since it is the longest, and after the trimming, which says what needs no checkpoint.
	c.do(ctx, "checkpoints", func() error {
		_, err := c.cfg.Plans.Checkpoint(ctx)
		return err
	})
}

// do does one job. When it fails, the others are done nevertheless, and it is tried again the next time.
func (c *Cleaner) do(ctx context.Context, what string, job func() error) {
	err := c.guard.Do(job)
	switch {
	case err == nil:
		c.succeeded.WithLabelValues(what).SetToCurrentTime()
	case ctx.Err() == nil:
		c.cfg.Log.WarnContext(ctx, "clean up", "what", what, "error", outage.Logged(err))
	}
}

// trimCommands removes commands that are too old for an audit.
func (c *Cleaner) trimCommands(ctx context.Context) (removed int64, err error) {
	err = c.cfg.DB.Query(ctx, func(q *db.Queries) (err error) {
		removed, err = q.DeleteOldCommands(ctx)
		return err
	})
	return removed, err
}

// operationChunk is how many operation ids one statement removes.
const operationChunk = 10_000

// trimProjectOperations removes the operation ids of projects that were created before a time, as those of changes go with their events.
func (c *Cleaner) trimProjectOperations(ctx context.Context, before time.Time) (removed int64, err error) {
	return c.inChunks(ctx, func(q *db.Queries) (int64, error) {
		return q.DeleteOldProjectOperations(ctx, db.DeleteOldProjectOperationsParams{Before: before, Chunk: operationChunk})
	})
}

// trimOperations removes the operation ids that were remembered beside the log before a time.
func (c *Cleaner) trimOperations(ctx context.Context, before time.Time) (removed int64, err error) {
	return c.inChunks(ctx, func(q *db.Queries) (int64, error) {
		return q.DeleteOldOperations(ctx, db.DeleteOldOperationsParams{Before: before, Chunk: operationChunk})
	})
}

// inChunks removes operation ids until a statement finds less than a chunk of them.
func (c *Cleaner) inChunks(ctx context.Context, remove func(*db.Queries) (int64, error)) (removed int64, err error) {
	for {
		var chunk int64
		err = c.cfg.DB.Query(ctx, func(q *db.Queries) (err error) {
			chunk, err = remove(q)
			return err
		})
		removed += chunk
		if err != nil || chunk < operationChunk {
			return removed, err
		}
	}
}
