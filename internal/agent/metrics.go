package agent

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// What became of messages.
const (
	messageDirect  = "direct"  // accepted by the replica that needed it
	messageStored  = "stored"  // accepted for another one
	messageTaken   = "taken"   // from the table
	messageRefused = "refused" // too many waited
	messageExpired = "expired" // nobody took it in time
)

// The limits of an agent's calls.
const (
	limitRate     = "rate"
	limitInFlight = "in_flight"
)

type metrics struct {
	sessions, waiting, oldest prometheus.Gauge
	displaced                 prometheus.Counter
	messages, refused         *prometheus.CounterVec
	waited                    prometheus.Histogram
}

// newMetrics registers the metrics on r, which may be nil.
func newMetrics(r prometheus.Registerer, s *Service) *metrics {
	f := promauto.With(r)
	const namespace, subsystem = "layercake", "mcp"
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: namespace, Subsystem: subsystem, Name: "mailboxes",
		Help: "Streams and calls of sessions that take messages on this replica.",
	}, func() float64 { return float64(s.openCount()) })
	m := &metrics{
		sessions: f.NewGauge(prometheus.GaugeOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "sessions",
			Help: "Sessions of agents, on all replicas, as of up to 15 s ago.",
		}),
		displaced: f.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "sessions_displaced_total",
			Help: "Sessions that were silent for longest and went because there were too many.",
		}),
		waiting: f.NewGauge(prometheus.GaugeOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "inbox_waiting",
			Help: "Messages of clients that wait in the table for another replica, up to 10,000, as of up to 15 s ago.",
		}),
		oldest: f.NewGauge(prometheus.GaugeOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "inbox_oldest_seconds",
			Help: "Age of the oldest of them; 0 while there is none.",
		}),
		messages: f.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "inbox_messages_total",
			Help: "Messages of clients by what this replica did: took them direct, stored, taken from the table, refused or removed as expired.",
		}, []string{"outcome"}),
		waited: f.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "inbox_wait_seconds",
			Help:    "Time that messages which this replica took had waited in the table.",
			Buckets: []float64{.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 30, 60},
		}),
		refused: f.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "refused_calls_total",
			Help: "Calls of agents that were refused, by the limit: rate, or in_flight.",
		}, []string{"limit"}),
	}
	for _, outcome := range []string{messageDirect, messageStored, messageTaken, messageRefused, messageExpired} {
		m.messages.WithLabelValues(outcome) // shown as 0 before the first one
	}
	for _, limit := range []string{limitRate, limitInFlight} {
		m.refused.WithLabelValues(limit)
	}
	return m
}

// openCount returns how many mailboxes are open.
func (s *Service) openCount() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, mailboxes := range s.mailboxes {
		n += len(mailboxes)
	}
	return n
}

// took counts a message that was taken from the table after it had waited for so long.
func (m *metrics) took(seconds float64) {
	m.messages.WithLabelValues(messageTaken).Inc()
	m.waited.Observe(seconds)
}
