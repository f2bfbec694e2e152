package mcpserver

import (
	"time"

	"layercake/internal/fault"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	calls    *prometheus.HistogramVec // labels: tool, outcome
	bytes    prometheus.Histogram
	requests *prometheus.CounterVec // labels: era, method
	asked    prometheus.Counter
	streams  *prometheus.GaugeVec // label: kind
}

// The kinds of streams.
const (
	listenStream  = "listen"  // of subscriptions/listen
	sessionStream = "get"     // of a session
	sseStream     = "sse"     // of 2024
	waitingStream = "waiting" // the answer to a call that waits
)

func newMetrics(registerer prometheus.Registerer) *metrics {
	f := promauto.With(registerer)
	const namespace, subsystem = "layercake", "mcp"
	m := &metrics{
		calls: f.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "call_seconds",
			Help:    "Time of a tool call, by tool and outcome: ok, or the code of its failure.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 18),
		}, []string{"tool", "outcome"}),
		bytes: f.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "result_bytes", Help: "Size of the text of a tool's result.",
			Buckets: prometheus.ExponentialBuckets(64, 4, 8),
		}),
		requests: f.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "requests_total",
			Help: "Messages of clients, by era of the protocol (modern: 2026-07-28 and later) and method.",
		}, []string{"era", "method"}),
		asked: f.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "questions_total", Help: "Questions that tools asked people.",
		}),
		streams: f.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "streams",
			Help: "Streams of events that are open now, by kind: listen, get (of a session), sse, or waiting (the answer to a call that waits).",
		}, []string{"kind"}),
	}
	for _, kind := range []string{listenStream, sessionStream, sseStream, waitingStream} {
		m.streams.WithLabelValues(kind) // shown as 0 before the first one
	}
	return m
}

// methods are those that count by name. Clients can make up others.
var methods = map[string]bool{
	"initialize": true, "ping": true, "server/discover": true, "tools/list": true, "tools/call": true, "resources/list": true,
	"resources/templates/list": true, "resources/read": true, "resources/subscribe": true, "resources/unsubscribe": true,
	"prompts/list": true, "prompts/get": true, "completion/complete": true, "logging/setLevel": true, "subscriptions/listen": true,
	"notifications/initialized": true, "notifications/cancelled": true,
}

func (m *metrics) requested(modern bool, method string) {
	era := "legacy"
	if modern {
		era = "modern"
	}
	if !methods[method] {
		method = "other"
	}
	m.requests.WithLabelValues(era, method).Inc()
}

func (m *metrics) called(tool string, took time.Duration, result *mcp.CallToolResult, err error) {
	outcome := "ok"
	if err != nil {
		outcome = string(fault.Internal)
		if f := fault.From(err); f != nil {
			outcome = string(f.Code)
		}
	}
	m.calls.WithLabelValues(tool, outcome).Observe(took.Seconds())
	for _, c := range result.Content {
		if text, ok := c.(*mcp.TextContent); ok {
			m.bytes.Observe(float64(len(text.Text)))
		}
	}
}
