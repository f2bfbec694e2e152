package server

import (
	"context"
	"math/rand/v2"
	"time"

	"layercake/internal/plan"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// keepEvents is how many events a project's log keeps at most, however young they are.
const keepEvents = 100_000

// cleanUp removes what is too old, again and again until ctx ends. Every replica does it; the database lets one at a time.
func (s *Server) cleanUp(ctx context.Context, plans *plan.Service) error {
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
		n, err := plans.Trim(ctx, time.Now().Add(-s.cfg.EventRetention), keepEvents)
		removed.WithLabelValues("events").Add(float64(n))
		switch {
		case err == nil:
			succeeded.WithLabelValues("events").SetToCurrentTime()
		case ctx.Err() == nil:
			s.log.WarnContext(ctx, "clean up events", "error", err)
		}
	}
}
