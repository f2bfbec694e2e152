package executor

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// What became of attempts of builds.
const (
	outcomeCompleted = "completed"
	outcomeFailed    = "failed"    // for good
	outcomeRetried   = "retried"   // database or machine failed
	outcomeLost      = "lost"      // the claim had gone: cancelled, deleted, or taken over
	outcomeReturned  = "returned"  // the replica stopped
	outcomeAbandoned = "abandoned" // nothing could be written; the claim goes with the lease
)

type metrics struct {
	outcomes  *prometheus.CounterVec
	wait      prometheus.Histogram
	phases    *prometheus.HistogramVec
	takeovers prometheus.Counter
}

// newMetrics registers the metrics on r, which may be nil.
func newMetrics(r prometheus.Registerer, s *Service) *metrics {
	f := promauto.With(r)
	const namespace, subsystem = "layercake", "builds"
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: namespace, Subsystem: subsystem, Name: "memory_reserved_bytes",
		Help: "Memory that the builds of this replica are estimated to need.",
	}, func() float64 { _, reserved := s.load(); return float64(reserved) })
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: namespace, Subsystem: subsystem, Name: "running", Help: "Builds that this replica has under way.",
	}, func() float64 { running, _ := s.load(); return float64(running) })
	m := &metrics{
		outcomes: f.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "total",
			Help: "Attempts of builds on this replica by outcome: completed, failed, retried after a failure of database or machine, " +
				"lost to a cancellation or another replica, returned when this one stopped, abandoned.",
		}, []string{"outcome"}),
		wait: f.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "wait_seconds", Help: "Time from a request, or the last attempt, to a claim.",
			Buckets: prometheus.ExponentialBuckets(0.005, 4, 9),
		}),
		phases: f.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "run_seconds", Help: "Time of builds by phase: reading, computing, writing.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 10),
		}, []string{"phase"}),
		takeovers: f.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "takeovers_total",
			Help: "Builds that this replica claimed after another replica had lost its claim.",
		}),
	}
	for _, outcome := range []string{outcomeCompleted, outcomeFailed, outcomeRetried, outcomeLost, outcomeReturned, outcomeAbandoned} {
		m.outcomes.WithLabelValues(outcome) // shown as 0 before the first one
	}
	for _, phase := range []string{phaseReading, phaseComputing, phaseWriting} {
		m.phases.WithLabelValues(phase)
	}
	return m
}
