package fanout

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	listenerConnects  prometheus.Counter
	heartbeat         prometheus.Histogram
	publisherConnects prometheus.Counter
	batch             prometheus.Histogram
	errors            *prometheus.CounterVec // by reason
	dropped           prometheus.Counter
	holes             prometheus.Counter
	lines             *prometheus.CounterVec // by kind and direction

	sentHeartbeats, heardHeartbeats, heardUnknown, heardMalformed, heardForged, heardRepeated, heardPlain prometheus.Counter
}

// newMetrics registers the metrics of w on r, which may be nil.
func newMetrics(r prometheus.Registerer, w *Wire) *metrics {
	f := promauto.With(r)
	opts := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "layercake", Subsystem: "fanout", Name: name, Help: help}
	}
	counter := func(name, help string) prometheus.Counter {
		return f.NewCounter(prometheus.CounterOpts(opts(name, help)))
	}
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		return f.NewCounterVec(prometheus.CounterOpts(opts(name, help)), labels)
	}
	histogram := func(name, help string, buckets ...float64) prometheus.Histogram {
		return f.NewHistogram(prometheus.HistogramOpts{
			Namespace: "layercake", Subsystem: "fanout", Name: name, Help: help, Buckets: buckets,
		})
	}
	gauge := func(name, help string, value func() float64) {
		f.NewGaugeFunc(prometheus.GaugeOpts(opts(name, help)), value)
	}
	gauge("publisher_queue", "Lines that wait for the publisher.", func() (lines float64) {
		for _, s := range w.publisher.senders {
			lines += float64(s.queued())
		}
		return lines
	})
	gauge("listener_up", "1 while this replica listens.", func() float64 {
		if w.Listening() {
			return 1
		}
		return 0
	})
	m := &metrics{
		listenerConnects: counter("listener_connects_total", "Connections on which the listener began to listen."),
		heartbeat: histogram("heartbeat_seconds", "Round trip of a heartbeat through publisher and listener.",
			.0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5),
		publisherConnects: counter("publisher_connects_total", "Connections that the publisher opened."),
		batch:             histogram("publisher_batch_payloads", "Payloads in a statement of the publisher.", 1, 2, 4, 8, 16, 32, 64),
		errors:            counters("publisher_errors_total", "Connections and statements of the publisher that failed.", "reason"),
		dropped:           counter("lines_dropped_total", "Lines not sent: the queue was full, or a fault test dropped them."),
		holes:             counter("holes_total", "Holes in the numbers of a sender's payloads."),
		lines:             counters("lines_total", "Lines between replicas.", "kind", "direction"),
	}
	m.sentHeartbeats, m.heardHeartbeats = m.lines.WithLabelValues("heartbeat", "sent"), m.lines.WithLabelValues("heartbeat", "received")
	m.heardUnknown = m.lines.WithLabelValues("unknown", "received")
	m.heardMalformed = m.lines.WithLabelValues("malformed", "received")
	m.heardForged = m.lines.WithLabelValues("forged", "received")     // payloads that cannot be opened
	m.heardRepeated = m.lines.WithLabelValues("repeated", "received") // payloads whose number their sender used before
	m.heardPlain = m.lines.WithLabelValues("plain", "received")       // payloads that are not sealed, and not heard
	for _, reason := range []string{failConnect, failTimeout, failConnection, failRefused, failQueueFull} {
		m.errors.WithLabelValues(reason) // 0 is a value too
	}
	return m
}
