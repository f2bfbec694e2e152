package fanout

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	up                prometheus.Gauge
	listenerConnects  prometheus.Counter
	heartbeat         prometheus.Histogram
	publisherConnects prometheus.Counter
	batch             prometheus.Histogram
	errors            *prometheus.CounterVec // by reason
	dropped           prometheus.Counter
	holes             prometheus.Counter

	sentEvents, sentHints, sentPresence, sentBeats     prometheus.Counter
	heardEvents, heardHints, heardPresence, heardBeats prometheus.Counter
	heardCommands, heardUnknown, heardMalformed        prometheus.Counter
}

// newMetrics registers the metrics on r, which may be nil. queued tells how many lines wait for the publisher.
func newMetrics(r prometheus.Registerer, queued func() float64) *metrics {
	f := promauto.With(r)
	name := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "layercake", Subsystem: "fanout", Name: name, Help: help}
	}
	counter := func(n, help string) prometheus.Counter { return f.NewCounter(prometheus.CounterOpts(name(n, help))) }
	histogram := func(n, help string, buckets []float64) prometheus.Histogram {
		return f.NewHistogram(prometheus.HistogramOpts{
			Namespace: "layercake", Subsystem: "fanout", Name: n, Help: help, Buckets: buckets,
		})
	}
	f.NewGaugeFunc(prometheus.GaugeOpts(name("publisher_queue", "Lines that wait for the publisher.")), queued)
	lines := f.NewCounterVec(
		prometheus.CounterOpts(name("lines_total", "Lines between replicas.")), []string{"kind", "direction"})
	m := &metrics{
		up:               f.NewGauge(prometheus.GaugeOpts(name("listener_up", "1 while this replica listens."))),
		listenerConnects: counter("listener_connects_total", "Connections on which the listener began to listen."),
		heartbeat: histogram("heartbeat_seconds", "Round trip of a heartbeat through publisher and listener.",
			[]float64{.0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5}),
		publisherConnects: counter("publisher_connects_total", "Connections that the publisher opened."),
		batch: histogram("publisher_batch_payloads", "Payloads in a statement of the publisher.",
			[]float64{1, 2, 4, 8, 16, 32, 64}),
		errors: f.NewCounterVec(prometheus.CounterOpts(
			name("publisher_errors_total", "Connections and statements of the publisher that failed.")), []string{"reason"}),
		dropped:        counter("lines_dropped_total", "Lines not sent: the queue was full, or a fault test dropped them."),
		holes:          counter("holes_total", "Holes in the numbers of a sender's payloads."),
		sentEvents:     lines.WithLabelValues("event", "sent"),
		sentHints:      lines.WithLabelValues("hint", "sent"),
		sentPresence:   lines.WithLabelValues("presence", "sent"),
		sentBeats:      lines.WithLabelValues("heartbeat", "sent"),
		heardEvents:    lines.WithLabelValues("event", "received"),
		heardHints:     lines.WithLabelValues("hint", "received"),
		heardPresence:  lines.WithLabelValues("presence", "received"),
		heardBeats:     lines.WithLabelValues("heartbeat", "received"),
		heardCommands:  lines.WithLabelValues("command", "received"),
		heardUnknown:   lines.WithLabelValues("unknown", "received"),
		heardMalformed: lines.WithLabelValues("malformed", "received"),
	}
	for _, reason := range []string{failConnect, failTimeout, failConnection, failRefused, failQueueFull} {
		m.errors.WithLabelValues(reason) // 0 is a value too
	}
	return m
}
