package postgres

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
)

// The values of the label that says what did not end in time.
const (
	lateConnection = "connection" // no connection became free
	lateStatement  = "statement"
	lateLock       = "lock"
	lateIdle       = "idle" // a transaction waited for the next statement of its replica
	lateRequest    = "request"
)

// late returns the label of what did not end in time, or "" for any other error.
func late(err error) string {
	switch State(err) {
	case QueryCanceled:
		return lateStatement
	case LockNotAvailable:
		return lateLock
	case IdleInTransactionTimeout:
		return lateIdle
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return lateRequest
	}
	return ""
}

// metrics are the metrics of one pool.
type metrics struct {
	late    *prometheus.CounterVec   // time-outs, by what did not end in time
	seconds *prometheus.HistogramVec // latency, by query
}

// newMetrics registers the metrics of the pool with a name.
func newMetrics(r prometheus.Registerer, name string) *metrics {
	labels := prometheus.Labels{"pool": name}
	m := &metrics{
		late: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "layercake", Subsystem: "database", Name: "timeouts_total", ConstLabels: labels,
			Help: "Waits that were given up: for a connection, a lock, a statement, or when the request's time was over.",
		}, []string{"what"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "layercake", Subsystem: "database", Name: "query_seconds", ConstLabels: labels,
			Help:    "Time until a query was answered, without those before it in the same round trip.",
			Buckets: []float64{.0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5},
		}, []string{"query"}),
	}
	r.MustRegister(m.late, m.seconds)
	for _, what := range []string{lateConnection, lateStatement, lateLock, lateIdle, lateRequest} {
		m.late.WithLabelValues(what) // shown as 0 before the first one
	}
	return m
}

// watch registers the figures that the pool keeps itself.
func watch(r prometheus.Registerer, name string, pool *pgxpool.Pool) {
	gauge := func(metric, help string, value func(*pgxpool.Stat) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: "layercake", Subsystem: "pool", Name: metric, Help: help, ConstLabels: prometheus.Labels{"pool": name},
		}, func() float64 { return value(pool.Stat()) })
	}
	counter := func(metric, help string, value func(*pgxpool.Stat) float64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{
			Namespace: "layercake", Subsystem: "pool", Name: metric, Help: help, ConstLabels: prometheus.Labels{"pool": name},
		}, func() float64 { return value(pool.Stat()) })
	}
	r.MustRegister(
		gauge("connections_in_use", "Connections lent now.", func(s *pgxpool.Stat) float64 { return float64(s.AcquiredConns()) }),
		gauge("connections_idle", "Connections open and free.", func(s *pgxpool.Stat) float64 { return float64(s.IdleConns()) }),
		gauge("connections_max", "Connections at most.", func(s *pgxpool.Stat) float64 { return float64(s.MaxConns()) }),
		counter("waits_total", "Borrowings that had to wait.", func(s *pgxpool.Stat) float64 { return float64(s.EmptyAcquireCount()) }),
		counter("wait_seconds_total", "Time spent waiting for a connection.",
			func(s *pgxpool.Stat) float64 { return s.EmptyAcquireWaitTime().Seconds() }),
	)
}

// nameOf returns the name that sqlc gave a query. Queries of other origin share one name, so that the number of labels is bounded.
func nameOf(sql string) string {
	if text, ok := strings.CutPrefix(sql, "-- name: "); ok {
		name, _, _ := strings.Cut(text, " ")
		return name
	}
	word, _, _ := strings.Cut(sql, " ")
	switch word {
	case "begin", "commit", "rollback":
		return word
	}
	return "other"
}

// tracer times the queries of a pool by name. Pgx calls it.
type tracer struct{ seconds *prometheus.HistogramVec }

// traced is a query under way.
type traced struct {
	name  string
	began time.Time
}

type tracedKey struct{}

// TraceQueryStart notes when a query begins.
func (tracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	return context.WithValue(ctx, tracedKey{}, traced{nameOf(data.SQL), time.Now()})
}

// TraceQueryEnd measures a query.
func (t tracer) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryEndData) {
	if q, ok := ctx.Value(tracedKey{}).(traced); ok {
		t.seconds.WithLabelValues(q.name).Observe(time.Since(q.began).Seconds())
	}
}

// TraceBatchStart does nothing.
func (tracer) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}

// TraceBatchQuery measures a query of a batch. Queries behind one that failed were not executed, and are not measured.
func (t tracer) TraceBatchQuery(_ context.Context, _ *pgx.Conn, data pgx.TraceBatchQueryData) {
	if !data.ReadStartTime.IsZero() {
		t.seconds.WithLabelValues(nameOf(data.SQL)).Observe(time.Since(data.ReadStartTime).Seconds())
	}
}

// TraceBatchEnd does nothing.
func (tracer) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

// contention asks the database, whenever metrics are asked for, which of its sessions wait for locks. The lock that a
// transaction which notifies takes is an "object": nobody should ever wait for one.
type contention struct {
	pool *Pool
	desc *prometheus.Desc
}

func newContention(pool *Pool) contention {
	return contention{pool, prometheus.NewDesc("layercake_database_sessions_waiting",
		"Sessions of the database that wait for a lock now, by its kind.", []string{"lock"}, nil)}
}

// contentionTime bounds the query: a database that is away must not delay the other metrics.
const contentionTime = time.Second

// Describe names the metric.
func (c contention) Describe(out chan<- *prometheus.Desc) { out <- c.desc }

// Collect asks the database. Without an answer it reports no value.
func (c contention) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), contentionTime)
	defer cancel()
	waiting := map[string]int{"object": 0} // shown also while nobody waits
	err := c.pool.Do(ctx, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `SELECT wait_event, count(*) FROM pg_stat_activity
			WHERE wait_event_type = 'Lock' AND datname = current_database() GROUP BY wait_event`)
		if err != nil {
			return err
		}
		var lock string
		var sessions int
		_, err = pgx.ForEachRow(rows, []any{&lock, &sessions}, func() error {
			waiting[lock] = sessions
			return nil
		})
		return err
	})
	if err != nil {
		return
	}
	for lock, sessions := range waiting {
		out <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, float64(sessions), lock)
	}
}
