package plan

import (
	"time"

	"layercake/internal/fault"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	changes   *prometheus.HistogramVec
	queueWait prometheus.Histogram
	together  prometheus.Histogram

	checkpoints *prometheus.CounterVec
}

func newMetrics(registry prometheus.Registerer) *metrics {
	m := &metrics{
		changes: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "layercake", Name: "change_seconds",
			Help:    "Time from a change's arrival to its answer, by outcome: committed, unchanged, or the code of the refusal.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		}, []string{"outcome"}),
		queueWait: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "layercake", Name: "change_queue_seconds",
			Help:    "Time that a change waited for its project's turn and a write slot.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 16),
		}),
		together: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "layercake", Name: "changes_per_transaction",
			Help:    "Changes of one project that shared a transaction because they had to wait.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 6),
		}),
		checkpoints: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "layercake", Name: "checkpoints_total",
			Help: "Checkpoints of plans, by what became of them: written, too_large to be written, or damaged when they were read.",
		}, []string{"outcome"}),
	}
	registry.MustRegister(m.changes, m.queueWait, m.together, m.checkpoints)
	for _, outcome := range []string{checkpointWritten, checkpointTooLarge, checkpointDamaged} {
		m.checkpoints.WithLabelValues(outcome)
	}
	return m
}

func (m *metrics) changed(began time.Time, result Result, err error) {
	outcome := "committed"
	switch f := fault.From(err); {
	case f != nil:
		outcome = string(f.Code)
	case err != nil:
		outcome = string(fault.Internal)
	case result.Event == nil:
		outcome = "unchanged"
	}
	m.changes.WithLabelValues(outcome).Observe(time.Since(began).Seconds())
}
