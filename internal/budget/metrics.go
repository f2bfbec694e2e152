package budget

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// The reasons of refusals.
const (
	refusedRequests = "requests" // too many requests of one address in flight
	refusedBusy     = "busy"     // no room in time
	refusedSize     = "size"     // more than one request may hold
)

type metrics struct {
	waited  prometheus.Histogram
	refused *prometheus.CounterVec // label: reason
}

func newMetrics(b *Budget) *metrics {
	f := promauto.With(b.config.Metrics)
	const namespace, subsystem = "layercake", "request"
	gauge := func(name, help string, value func() int64) {
		f.NewGaugeFunc(prometheus.GaugeOpts{Namespace: namespace, Subsystem: subsystem, Name: name, Help: help},
			func() float64 { return float64(value()) })
	}
	gauge("memory_bytes", "Memory that requests hold now, as far as the budget counts it.", b.taken.Load)
	gauge("memory_limit_bytes", "Memory that requests may hold.", func() int64 { return b.config.Memory })
	gauge("in_flight", "Requests that hold memory now.", b.flight.Load)
	m := &metrics{
		waited: f.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "memory_wait_seconds",
			Help:    "Time that requests waited for memory, those that found none included.",
			Buckets: []float64{.001, .01, .1, .5, 1, 2, 5},
		}),
		refused: f.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "refused_total",
			Help: "Requests that were refused: too many of one address, no memory in time, or one that needs more than one may have.",
		}, []string{"reason"}),
	}
	for _, reason := range []string{refusedRequests, refusedBusy, refusedSize} {
		m.refused.WithLabelValues(reason)
	}
	return m
}
