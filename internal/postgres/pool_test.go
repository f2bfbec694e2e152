package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"layercake/internal/db"
	"layercake/internal/fault"
	"layercake/internal/postgres"
	"layercake/internal/postgres/pgtest"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
)

func config(url string, most, replicas int) postgres.Config {
	return postgres.Config{
		URL: url, DirectURL: url, Replica: "test", PoolMax: most, PoolMin: 0, Replicas: replicas,
		Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
	}
}

func open(t *testing.T, url string) *postgres.DB {
	t.Helper()
	d, err := postgres.Open(t.Context(), config(url, 2, 8))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

func TestBusyPoolIsUnavailable(t *testing.T) {
	t.Parallel()
	d := open(t, pgtest.New(t))
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	// The third borrower waits for two that wait for it.
	err := d.Requests.Do(ctx, func(*pgx.Conn) error {
		return d.Requests.Do(ctx, func(*pgx.Conn) error {
			return d.Requests.Do(ctx, func(*pgx.Conn) error { return nil })
		})
	})
	f := fault.From(err)
	if f == nil || f.Code != fault.Unavailable || f.Details["retryAfterMs"] == nil || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error = %v, want UNAVAILABLE with its cause", err)
	}
}

func TestTimeOutsOfTheServerAreUnavailable(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	d := open(t, url)
	for name, sql := range map[string]string{
		"statement": "SET statement_timeout = 10; SELECT pg_sleep(10)",
		"deadlock":  "DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = 'deadlock_detected'; END $$",
		"shut down": "SELECT pg_terminate_backend(pg_backend_pid())",
		"lock":      "DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = 'lock_not_available'; END $$",
		"disk":      "DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = 'disk_full'; END $$",
		"read only": "SET transaction_read_only = on; CREATE TABLE t (a int)",
	} {
		err := d.Requests.Do(t.Context(), func(conn *pgx.Conn) error {
			_, err := conn.Exec(t.Context(), sql)
			return err
		})
		if !fault.Is(err, fault.Unavailable) {
			t.Errorf("%s: error = %v, want UNAVAILABLE", name, err)
			continue
		}
		if busy := fault.From(err).Message == fault.Busy; busy == (name == "disk") {
			t.Errorf("%s: people are told %q", name, fault.From(err).Message)
		}
	}
	err := d.Requests.Do(t.Context(), func(conn *pgx.Conn) error {
		_, err := conn.Exec(t.Context(), "SELECT no_such_column")
		return err
	})
	if err == nil || fault.From(err) != nil {
		t.Errorf("a mistake of ours: %v, want an internal error", err)
	}
}

func TestInTxRepeatsSerializationFailures(t *testing.T) {
	t.Parallel()
	d := open(t, pgtest.New(t))
	tries := 0
	err := d.Requests.InTx(t.Context(), func(q *db.Queries) error {
		if tries++; tries < 3 {
			return serializationFailure(t, d)
		}
		_, err := q.ListProjects(t.Context(), db.ListProjectsParams{})
		return err
	})
	if err != nil || tries != 3 {
		t.Errorf("%d tries, %v, want the third to succeed", tries, err)
	}
}

// serializationFailure returns a real one, as the server words it.
func serializationFailure(t *testing.T, d *postgres.DB) (failure error) {
	t.Helper()
	_ = d.System.Do(t.Context(), func(conn *pgx.Conn) error {
		_, failure = conn.Exec(t.Context(), "DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = 'serialization_failure'; END $$")
		return nil
	})
	return failure
}

func TestEpochIsOfThisHistory(t *testing.T) {
	t.Parallel()
	d := open(t, pgtest.New(t))
	err := d.System.Do(t.Context(), func(conn *pgx.Conn) error {
		read, err := postgres.ReadEpoch(t.Context(), conn)
		if kept := postgres.EpochOfConn(conn); kept != read || kept == "" {
			t.Errorf("the connection keeps the epoch %q, the server says %q", kept, read)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ id, file string }{
		"no number": {"x", "000000010000000000000001"}, "short name": {"1", "1"}, "no digits": {"1", "zzzzzzzz"},
	} {
		if e, err := postgres.EpochOf(c.id, c.file); err == nil {
			t.Errorf("%s: epoch %q, want an error", name, e)
		}
	}
	if e, err := postgres.EpochOf("35", "0000000A0000000000000001"); err != nil || e != "z-10" {
		t.Errorf("epoch = %q, %v, want z-10", e, err)
	}
}

// A network that is lost without a word costs the time-out of whoever waits for it, and no more: the pool has room again at once.
func TestSilentConnectionsDoNotFillThePool(t *testing.T) {
	t.Parallel()
	proxy, through := pgtest.Proxy(t, pgtest.New(t))
	d := open(t, through)
	const all = 2 // connections of the pool
	var borrowed, returned sync.WaitGroup
	borrowed.Add(all)
	silent := make(chan struct{})
	for range all {
		returned.Go(func() {
			_ = d.Requests.Do(t.Context(), func(conn *pgx.Conn) error {
				borrowed.Done()
				<-silent
				ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
				defer cancel()
				return conn.Ping(ctx)
			})
		})
	}
	borrowed.Wait()
	if n := proxy.Silence(func(application string) bool { return strings.HasSuffix(application, "/requests") }); n != all {
		t.Errorf("%d connections are silent, want %d", n, all)
	}
	close(silent)
	returned.Wait()
	began := time.Now()
	if err := d.Requests.Ping(t.Context()); err != nil {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
	t.Logf("a connection could be borrowed after %v", time.Since(began))
}

// A build or an upload has minutes for all that it does. It does not wait so long for one answer.
func TestSilentServerIsUnavailable(t *testing.T) {
	t.Parallel()
	proxy, through := pgtest.Proxy(t, pgtest.New(t))
	c := config(through, 2, 8)
	c.Timing = postgres.DefaultTiming
	c.Timing.Statement = 100 * time.Millisecond
	d, err := postgres.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	err = d.Requests.Do(t.Context(), func(conn *pgx.Conn) error {
		proxy.Silence(func(application string) bool { return strings.HasSuffix(application, "/requests") })
		return conn.QueryRow(t.Context(), "SELECT 1").Scan(new(int))
	})
	if f := fault.From(err); f == nil || f.Code != fault.Unavailable {
		t.Errorf("%v, want the fault %s", err, fault.Unavailable)
	}
}

// Anybody may ask whether a replica is healthy, any number of times at once: that takes one of its connections.
func TestPingsShareOneConnection(t *testing.T) {
	t.Parallel()
	const callers = 20
	proxy, through := pgtest.Proxy(t, pgtest.New(t))
	answer := make(chan struct{})
	release := sync.OnceFunc(func() { close(answer) })
	t.Cleanup(release)
	var asked atomic.Int32
	proxy.Rewrite(func(piece []byte) []byte {
		if bytes.Contains(piece, []byte("-- ping")) {
			asked.Add(1)
			<-answer
		}
		return piece
	}, nil)
	d, err := postgres.Open(t.Context(), config(through, 1, 8))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	var pings sync.WaitGroup
	for range callers {
		pings.Go(func() { _ = d.System.Ping(t.Context()) })
	}
	pool := d.System.Pings()
	pool.Joined().Await(t, "all to ask", func() bool { return pool.Waiting() == callers })
	if err := d.System.Query(t.Context(), func(q *db.Queries) error { _, err := q.GetClock(t.Context()); return err }); err != nil {
		t.Errorf("another statement: %v", err)
	}
	release()
	pings.Wait()
	if n := asked.Load(); n > 2 { // the pool may ping a connection that was idle before it lends it
		t.Errorf("the database was asked %d times for %d callers", n, callers)
	}
}
