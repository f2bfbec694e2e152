package collab

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	socketsOpen   prometheus.Gauge
	socketsOpened prometheus.Counter
	socketsClosed *prometheus.CounterVec // by reason
	frames        *prometheus.CounterVec // by type
	refused       prometheus.Counter
}

// newMetrics registers the metrics on r, which may be nil.
func newMetrics(r prometheus.Registerer) *metrics {
	f := promauto.With(r)
	const namespace, subsystem = "layercake", "collaboration"
	// The sockets of every transport share their names, so the transport is a constant label of each.
	transport := prometheus.Labels{"transport": "collaboration"}
	m := &metrics{
		socketsOpen: f.NewGauge(prometheus.GaugeOpts{
			Namespace: namespace, Name: "sockets_open", Help: "WebSockets that are open now.", ConstLabels: transport,
		}),
		socketsOpened: f.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Name: "sockets_opened_total", Help: "WebSockets that were opened.", ConstLabels: transport,
		}),
		socketsClosed: f.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "sockets_closed_total", Help: "WebSockets that were closed.", ConstLabels: transport,
		}, []string{"reason"}),
		frames: f.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "frames_total", Help: "Frames sent to browsers.",
		}, []string{"type"}),
		refused: f.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "refused_messages_total", Help: "Messages dropped by the rate limit.",
		}),
	}
	for _, reason := range closeReasons {
		m.socketsClosed.WithLabelValues(reason) // 0 is a value too
	}
	for _, kind := range []string{typeBulk, typeUser, typeActivity, typeError, typePong} {
		m.frames.WithLabelValues(kind)
	}
	return m
}
