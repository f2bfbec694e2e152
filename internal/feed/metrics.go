package feed

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	created, gaps, filled, logReads, sweepRepairs, missed prometheus.Counter
}

func newMetrics(registry prometheus.Registerer, h *Hub) *metrics {
	f := promauto.With(registry)
	counter := func(name, help string) prometheus.Counter {
		return f.NewCounter(prometheus.CounterOpts{Namespace: "layercake", Subsystem: "feed", Name: name, Help: help})
	}
	gauge := func(name, help string, value func() int) {
		f.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "layercake", Subsystem: "feed", Name: name, Help: help},
			func() float64 { return float64(value()) })
	}
	gauge("open", "Feeds that are open now.", func() int { feeds, _ := h.Size(); return feeds })
	gauge("bytes", "Bytes in the tails of all feeds.", func() int { _, bytes := h.Size(); return bytes })
	gauge("reader_lag_events", "Events that the watcher that is the furthest behind has yet to take.",
		func() int { return int(h.Lag()) })
	return &metrics{
		created:      counter("created_total", "Feeds that were opened."),
		gaps:         counter("gaps_total", "Events that came before one that should precede them."),
		filled:       counter("filled_events_total", "Events that feeds read from the log to close a gap."),
		logReads:     counter("log_reads_total", "Reads of the log by watchers that were behind the tail."),
		sweepRepairs: counter("sweep_repairs_total", "Gaps that no line spoke of and a sweep found."),
		missed:       counter("missed_total", "Times that a watcher was told to read the state again."),
	}
}
