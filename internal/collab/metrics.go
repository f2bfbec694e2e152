package collab

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	frames  *prometheus.CounterVec // label: type
	refused prometheus.Counter
}

// newMetrics registers the metrics on r, which may be nil.
func newMetrics(r prometheus.Registerer) *metrics {
	f := promauto.With(r)
	const namespace, subsystem = "layercake", "collaboration"
	m := &metrics{
		frames: f.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "frames_total", Help: "Frames sent to browsers.",
		}, []string{"type"}),
		refused: f.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "refused_messages_total", Help: "Messages dropped by the rate limit.",
		}),
	}
	for _, kind := range []string{typeBulk, typeUser, typeActivity, typeError, typePong} {
		m.frames.WithLabelValues(kind) // 0 is a value too
	}
	return m
}
