package source

import (
	"layercake/internal/fault"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// The outcomes of uploads.
const (
	outcomeStored  = "stored"  // its sources are there
	outcomeRefused = "refused" // a file, or the request, is bad
	outcomeFailed  = "failed"  // it did not arrive, or could not be stored
)

type metrics struct {
	uploads *prometheus.CounterVec // label: outcome
	bytes   prometheus.Counter
	read    prometheus.Counter
}

func newMetrics(registry prometheus.Registerer) *metrics {
	f := promauto.With(registry)
	const namespace, subsystem = "layercake", "source"
	m := &metrics{
		uploads: f.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "uploads_total",
			Help: "Uploads of one or several files, replacements included, by outcome: stored, refused because of what was sent, " +
				"or failed on the way.",
		}, []string{"outcome"}),
		bytes: f.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "upload_bytes_total",
			Help: "Bytes of files that were stored, whatever became of them.",
		}),
		read: f.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "read_bytes_total",
			Help: "Bytes of chunks that were read, for builds, previews and downloads.",
		}),
	}
	for _, outcome := range []string{outcomeStored, outcomeRefused, outcomeFailed} {
		m.uploads.WithLabelValues(outcome)
	}
	return m
}

// uploaded counts an upload.
func (m *metrics) uploaded(err error) {
	outcome := outcomeStored
	switch f := fault.From(err); {
	case err == nil:
	case f != nil && (f.Code == fault.BadRequest || f.Code == fault.NotFound || f.Code == fault.Conflict):
		outcome = outcomeRefused
	default:
		outcome = outcomeFailed
	}
	m.uploads.WithLabelValues(outcome).Inc()
}
