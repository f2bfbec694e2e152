package postgres_test

import (
	"context"
	"maps"
	"testing"
	"time"

	"layercake/internal/db"
	"layercake/internal/postgres"
	"layercake/internal/postgres/pgtest"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
)

// openMeasured returns a database and what reads a metric of it: values by label, counts for histograms. Values of 0 and other
// pools than the one for requests are left out.
func openMeasured(t *testing.T, url string) (d *postgres.DB, read func(metric, label string) map[string]float64) {
	t.Helper()
	cfg := config(url, 2, 8)
	registry := prometheus.NewRegistry()
	cfg.Metrics = registry
	d, err := postgres.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d, func(metric, label string) map[string]float64 {
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		values := map[string]float64{}
		for _, f := range families {
			if f.GetName() != metric {
				continue
			}
			for _, m := range f.GetMetric() {
				labels := map[string]string{}
				for _, l := range m.GetLabel() {
					labels[l.GetName()] = l.GetValue()
				}
				v := m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
				if v != 0 && labels["pool"] != "system" {
					values[labels[label]] = v
				}
			}
		}
		return values
	}
}

func TestQueriesAreTimedByName(t *testing.T) {
	t.Parallel()
	d, read := openMeasured(t, pgtest.New(t))
	before := read("layercake_database_query_seconds", "query")
	err := d.Requests.InTx(t.Context(), func(q *db.Queries) error {
		_, err := q.ListProjects(t.Context(), db.ListProjectsParams{})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	err = d.Requests.Do(t.Context(), func(conn *pgx.Conn) error {
		b := &pgx.Batch{}
		b.Queue("begin")
		b.Queue(db.ListProjects, 0, 0)
		b.Queue("SELECT 1 AS of_no_name")
		b.Queue("commit")
		return conn.SendBatch(t.Context(), b).Close()
	})
	if err != nil {
		t.Fatal(err)
	}
	got := read("layercake_database_query_seconds", "query")
	for name, n := range before { // of opening the pool
		got[name] -= n
	}
	want := map[string]float64{"begin": 2, "ListProjects": 2, "commit": 2, "other": 1}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("queries (-want +got):\n%s", diff)
	}
}

func TestTimeOutsAreCounted(t *testing.T) {
	t.Parallel()
	d, read := openMeasured(t, pgtest.New(t))
	run := func(ctx context.Context, sql string) {
		_ = d.Requests.Do(ctx, func(conn *pgx.Conn) error { _, err := conn.Exec(ctx, sql); return err })
	}
	run(t.Context(), "SET statement_timeout = 10; SELECT pg_sleep(10)")
	run(t.Context(), "DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = 'lock_not_available'; END $$")
	run(t.Context(), "SELECT no_such_column")
	_ = d.Requests.Do(t.Context(), func(conn *pgx.Conn) error {
		short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond) // begins when it has a connection
		defer cancel()
		_, err := conn.Exec(short, "SELECT pg_sleep(10)")
		return err
	})
	over, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	run(over, "SELECT 1") // its time is over before it has a connection
	want := map[string]float64{"statement": 1, "lock": 1, "request": 1, "connection": 1}
	if diff := cmp.Diff(want, read("layercake_database_timeouts_total", "what")); diff != "" {
		t.Errorf("time-outs (-want +got):\n%s", diff)
	}
}

func TestSessionsThatWaitForLocksAreCounted(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	_, read := openMeasured(t, url)
	if got := read("layercake_database_sessions_waiting", "lock"); len(got) != 0 {
		t.Fatalf("%v wait, want nobody", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	tx, err := conn.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(1)"); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	defer func() { cancel(); <-ended }()
	go func() {
		defer close(ended)
		waiting, err := pgx.Connect(ctx, url)
		if err != nil {
			return // the test will say that nobody waits
		}
		_, _ = waiting.Exec(ctx, "SELECT pg_advisory_lock(1)")
		_ = waiting.Close(context.WithoutCancel(ctx))
	}()
	want := map[string]float64{"advisory": 1}
	for end := time.Now().Add(time.Minute); ; {
		got := read("layercake_database_sessions_waiting", "lock")
		if maps.Equal(got, want) {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%v wait, want %v", got, want)
		}
	}
}
