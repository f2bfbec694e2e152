package server

import (
	"context"
	"math/rand/v2"
	"time"

	"layercake/internal/db"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// keepEvents is how many events a project's log keeps at most, however young they are.
const keepEvents = 100_000

// keepVisits is how long the log of who was there reaches back.
const keepVisits = 30 * 24 * time.Hour

// cleanUp removes what is too old, again and again until ctx ends. Every replica does it; the database lets one at a time.
func (s *Server) cleanUp(ctx context.Context) error {
	jobs := []struct {
		what   string
		remove func(ctx context.Context, now time.Time) (int64, error)
	}{
		{"events", func(ctx context.Context, now time.Time) (int64, error) {
			return s.plans.Trim(ctx, now.Add(-s.cfg.EventRetention), keepEvents)
		}},
		{"commands", func(ctx context.Context, _ time.Time) (int64, error) { return s.trimCommands(ctx) }},
		{"presence_log", func(ctx context.Context, now time.Time) (int64, error) {
			return s.presence.TrimLog(ctx, now.Add(-keepVisits))
		}},
	}
	f := promauto.With(s.registry)
	removed := f.NewCounterVec(prometheus.CounterOpts{
		Namespace: "layercake", Subsystem: "cleanup", Name: "removed_total", Help: "Rows that the clean-up removed.",
	}, []string{"what"})
	succeeded := f.NewGaugeVec(prometheus.GaugeOpts{
		Namespace: "layercake", Subsystem: "cleanup", Name: "last_success_timestamp_seconds",
		Help: "When the clean-up last ended well on this replica.",
	}, []string{"what"})
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		pause.Reset(s.cfg.CleanUp/2 + rand.N(s.cfg.CleanUp))
		select {
		case <-ctx.Done():
			return nil
		case <-pause.C:
		}
		now, err := s.databaseClock(ctx)
		if err != nil {
			if ctx.Err() == nil {
				s.log.WarnContext(ctx, "clean up", "error", err)
			}
			continue
		}
		for _, job := range jobs {
			n, err := job.remove(ctx, now)
			removed.WithLabelValues(job.what).Add(float64(n))
			switch {
			case err == nil:
				succeeded.WithLabelValues(job.what).SetToCurrentTime()
			case ctx.Err() == nil:
				s.log.WarnContext(ctx, "clean up", "what", job.what, "error", err)
			}
		}
	}
}

func (s *Server) databaseClock(ctx context.Context) (now time.Time, err error) {
	err = s.db.System.Query(ctx, func(q *db.Queries) (err error) {
		now, err = q.GetClock(ctx)
		return err
	})
	return now, err
}
