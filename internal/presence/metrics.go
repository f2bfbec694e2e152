package presence

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	reapedConnections, reapedGuests, noRoom prometheus.Counter

	refusedGuests *prometheus.CounterVec // label: limit
	flush         prometheus.Histogram
}

// sizes are the upper bounds of the buckets for connections of a room.
var sizes = []float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000}

// newMetrics registers the metrics on r, which may be nil.
func newMetrics(r prometheus.Registerer, t *Tracker) *metrics {
	f := promauto.With(r)
	const namespace, subsystem = "layercake", "presence"
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: namespace, Subsystem: subsystem, Name: "connections", Help: "Connections of this replica that are in a project.",
	}, func() float64 { return float64(t.own()) })
	if r != nil {
		r.MustRegister(rooms{t, prometheus.NewDesc("layercake_presence_project_connections",
			"Connections, on all replicas, of each project that is open on this one.", nil, nil)})
	}
	m := &metrics{
		reapedConnections: f.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "reaped_connections_total",
			Help: "Connections that were removed with the lease of their replica.",
		}),
		reapedGuests: f.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "reaped_guests_total",
			Help: "People without a connection whom this replica removed, since they were not heard of for too long.",
		}),
		noRoom: f.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "no_room_total",
			Help: "Connections of other replicas, heard of or read, that a room did not take because it was full.",
		}),
		refusedGuests: f.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "refused_guests_total",
			Help: "People without a connection who were kept out, or whose call was not noted, by the limit that they met.",
		}, []string{"limit"}),
		flush: f.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "flush_seconds", Help: "Time to write a batch of connections.",
			Buckets: []float64{.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5},
		}),
	}
	for _, limit := range []string{limitProject, limitCaller, limitNetwork, limitMemory, limitText} {
		m.refusedGuests.WithLabelValues(limit) // shown as 0 before the first one
	}
	return m
}

// own returns how many connections this replica serves.
func (t *Tracker) own() (n int) {
	for _, own := range t.ownByProject() {
		n += own
	}
	return n
}

// ownByProject returns how many connections this replica serves, of each project that has any.
func (t *Tracker) ownByProject() map[int32]int {
	own := make(map[int32]int)
	for _, r := range t.open() {
		if n := len(r.own()); n > 0 {
			own[r.project] = n
		}
	}
	return own
}

// rooms is a histogram of the connections of each room, made anew at each collection: rooms come and go, counters would remember them.
type rooms struct {
	t    *Tracker
	desc *prometheus.Desc
}

func (c rooms) Describe(out chan<- *prometheus.Desc) { out <- c.desc }

func (c rooms) Collect(out chan<- prometheus.Metric) {
	buckets := make(map[float64]uint64, len(sizes))
	open := c.t.open()
	sum := 0.0
	for _, r := range open {
		n := float64(r.Size())
		sum += n
		for _, size := range sizes {
			if n <= size {
				buckets[size]++
			}
		}
	}
	out <- prometheus.MustNewConstHistogram(c.desc, uint64(len(open)), sum, buckets)
}
