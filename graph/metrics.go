package graph

import (
	"time"

	"layercake/internal/fault"
	"layercake/internal/plan"
	"layercake/internal/testsignal"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/vektah/gqlparser/v2/ast"
)

type metrics struct {
	inFlight     *prometheus.GaugeVec // label: kind
	latency      *prometheus.HistogramVec
	delivery     prometheus.Histogram
	hits, misses prometheus.Counter // look-ups in the answer cache
	cut          *prometheus.CounterVec
	changed      testsignal.Signal  // one of these
	refused      prometheus.Counter // messages of sockets
}

// newMetrics registers the metrics on r, which may be nil.
func newMetrics(r prometheus.Registerer) *metrics {
	f := promauto.With(r)
	const namespace, subsystem = "layercake", "graphql"
	m := &metrics{
		inFlight: f.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "operations_in_flight", Help: "GraphQL operations that run now.",
		}, []string{"kind"}),
		latency: f.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "operation_seconds",
			Help:    "Time until the answer of a GraphQL operation; of a subscription, until its first event.",
			Buckets: []float64{.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10},
		}, []string{"kind", "outcome"}),
		delivery: f.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "commit_to_delivery_seconds",
			Help:    "Time from a change's transaction until a subscriber's socket took the event.",
			Buckets: []float64{.0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5},
		}),
	}
	m.cut = f.NewCounterVec(prometheus.CounterOpts{
		Namespace: namespace, Subsystem: subsystem, Name: "cut_off_total",
		Help: "Requests whose client sent the body, or took the answer, too slowly.",
	}, []string{"what"})
	m.refused = f.NewCounter(prometheus.CounterOpts{
		Namespace: namespace, Subsystem: subsystem, Name: "refused_messages_total",
		Help: "Messages of GraphQL sockets that were refused by the rate limit.",
	})
	shared := f.NewCounterVec(prometheus.CounterOpts{
		Namespace: namespace, Subsystem: subsystem, Name: "shared_total",
		Help: "Events for subscribers: a miss was executed, a hit took what another subscriber's miss had made.",
	}, []string{"outcome"})
	m.hits, m.misses = shared.WithLabelValues("hit"), shared.WithLabelValues("miss")
	for _, kind := range []ast.Operation{ast.Query, ast.Mutation, ast.Subscription} {
		m.inFlight.WithLabelValues(string(kind)) // 0 is a value too
		m.latency.WithLabelValues(string(kind), outcomeOK)
	}
	for _, what := range []string{cutBody, cutAnswer} {
		m.cut.WithLabelValues(what)
	}
	return m
}

// What clients are cut off for.
const (
	cutBody   = "body"
	cutAnswer = "answer"
)

// outcomeOK is the outcome of an operation without errors; otherwise it is the code of the first.
const outcomeOK = "ok"

// delivered measures the delay of an event when a socket has taken it.
func (m *metrics) delivered(u *plan.Update) {
	if u.Event != nil {
		m.delivery.Observe(max(0, time.Since(u.Event.At).Seconds()))
		m.changed.Say()
	}
}

// sharing counts an event for a subscriber: a hit came from the answer cache, a miss was executed.
func (m *metrics) sharing(hit bool) {
	if hit {
		m.hits.Inc()
	} else {
		m.misses.Inc()
	}
}

func outcome(codes []fault.Code) string {
	if len(codes) == 0 {
		return outcomeOK
	}
	return string(codes[0])
}
