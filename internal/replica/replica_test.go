package replica_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"layercake/internal/db"
	"layercake/internal/postgres"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/replica"
	"layercake/internal/task"
	"layercake/internal/testsignal"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// fast is timing that tests can wait for.
var fast = replica.Timing{
	TTL: time.Second, Renew: 100 * time.Millisecond, Retry: 20 * time.Millisecond, Reap: 20 * time.Millisecond, Steady: 5,
	Query: 300 * time.Millisecond,
}

func open(t testing.TB, url string) *postgres.DB {
	t.Helper()
	pools, err := postgres.Open(t.Context(), postgres.Config{
		URL: url, DirectURL: url, Replica: "test", PoolMax: 2, PoolMin: 1, Replicas: 8,
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Metrics: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pools.Close)
	return pools
}

// node is a replica that runs, and the incarnations that it began.
type node struct {
	*replica.Replica
	began   chan uuid.UUID
	metrics *prometheus.Registry
	run     *task.Task
}

// start runs a replica of the pools' database, once prepare has registered what it likes, and returns in its first incarnation.
func start(t testing.TB, pools *postgres.DB, prepare func(*replica.Replica)) (*node, uuid.UUID) {
	t.Helper()
	return startAt(t, pools, fast, prepare)
}

// startAt is start with another timing.
func startAt(t testing.TB, pools *postgres.DB, timing replica.Timing, prepare func(*replica.Replica)) (*node, uuid.UUID) {
	t.Helper()
	n := &node{began: make(chan uuid.UUID, 100), metrics: prometheus.NewRegistry()}
	n.Replica = replica.New(replica.Config{
		DB: pools, Version: "test", Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Metrics: n.metrics, Timing: timing,
	})
	n.OnBegin(func(incarnation uuid.UUID) { n.began <- incarnation })
	if prepare != nil {
		prepare(n.Replica)
	}
	n.run = task.Go(context.Background(), func(ctx context.Context) error { return n.Run(ctx, "here") })
	t.Cleanup(func() { n.stop(t) })
	return n, n.awaitIncarnation(t)
}

func (n *node) stop(t testing.TB) {
	t.Helper()
	if err := n.run.Stop(); err != nil {
		t.Error(err)
	}
}

func (n *node) awaitIncarnation(t testing.TB) uuid.UUID {
	t.Helper()
	select {
	case incarnation := <-n.began:
		return incarnation
	case <-time.After(pgtest.Patience):
		t.Fatal("no incarnation began")
		return uuid.Nil
	}
}

// text returns the one value of a query, as a text.
func text(t testing.TB, conn *pgx.Conn, sql string, args ...any) string {
	t.Helper()
	return strings.Join(pgtest.Texts(t, conn, sql, args...), " and ")
}

// die makes a lease of somebody who does not renew it any more.
func die(t testing.TB, conn *pgx.Conn, since string) (dead uuid.UUID) {
	t.Helper()
	dead = uuid.New()
	pgtest.Exec(t, conn, `INSERT INTO replicas (incarnation, version, address, started_at, renewed_at, expires_at)
		VALUES ($1, 'test', 'nowhere', now() - interval '1 h', now() - interval '1 min', now() - $2::interval)`, dead, since)
	return dead
}

const (
	countLeases = "SELECT count(*) FROM replicas"
	countLease  = countLeases + " WHERE incarnation = $1"
)

func TestLeaseIsRenewedAndGivenBack(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	conn := pgtest.Connect(t, url)
	pools := open(t, url)
	n, incarnation := start(t, pools, nil)
	if n.Incarnation() != incarnation {
		t.Errorf("it is %v, and began as %v", n.Incarnation(), incarnation)
	}
	if got := text(t, conn, "SELECT concat_ws(' ', version, address, wire, expires_at > now()) FROM replicas"); got != "test here 3 t" {
		t.Errorf("the row says %q", got)
	}
	if ttl := text(t, conn, "SELECT (expires_at - renewed_at)::text FROM replicas"); ttl != "00:00:01" {
		t.Errorf("the lease lasts %s", ttl)
	}
	pgtest.AwaitCount(t, conn, 1, countLeases+" WHERE renewed_at > started_at + interval '1 s'") // longer than a lease
	if failed, gone := n.Outages(); !failed.IsZero() || gone.IsZero() {
		t.Errorf("failed at %v, gone at %v", failed, gone)
	}
	if n.Incarnation() != incarnation {
		t.Error("another incarnation began")
	}
	n.stop(t)
	if left := pgtest.Count(t, conn, countLeases); left != 0 {
		t.Errorf("%d leases are left", left)
	}
}

func TestFirstIncarnationIsTheOneThatLogsKnow(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	conn, pools, want := pgtest.Connect(t, url), open(t, url), uuid.New()
	r := replica.New(replica.Config{DB: pools, Log: slog.New(slog.DiscardHandler), Incarnation: want, Timing: fast})
	began := make(chan uuid.UUID, 10)
	r.OnBegin(func(incarnation uuid.UUID) { began <- incarnation })
	n := &node{run: task.Go(context.Background(), func(ctx context.Context) error { return r.Run(ctx, "here") })}
	defer n.stop(t)
	if got := <-began; got != want {
		t.Errorf("the first incarnation is %v, want %v", got, want)
	}
	pgtest.Exec(t, conn, "DELETE FROM replicas")
	if got := <-began; got == want {
		t.Error("an id stands for two incarnations")
	}
}

func TestLeaseThatIsGoneBeginsAnotherIncarnation(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	conn := pgtest.Connect(t, url)
	n, first := start(t, open(t, url), nil)
	_, gone := n.Outages()

	pgtest.Exec(t, conn, "DELETE FROM replicas")
	second := n.awaitIncarnation(t)
	_, goneAgain := n.Outages()
	if second == first || n.Incarnation() != second || !goneAgain.After(gone) {
		t.Errorf("after %v began %v, it is %v, gone at %v and %v", first, second, n.Incarnation(), gone, goneAgain)
	}
	pgtest.AwaitCount(t, conn, 1, countLease, second)

	// Somebody may notice before the next renewal. A late word about the former incarnation is no news.
	n.Lost(first)
	if _, again := n.Outages(); again != goneAgain {
		t.Error("the lease is taken for gone with the former one")
	}
	pgtest.Exec(t, conn, "DELETE FROM replicas")
	n.Lost(second)
	if _, again := n.Outages(); !again.After(goneAgain) {
		t.Error("nobody heard that the lease is gone")
	}
	if third := n.awaitIncarnation(t); third == second {
		t.Error("an id stands for two incarnations")
	}
}

// morgue keeps the deaths that a replica was told of after their commit.
type morgue struct {
	mu     sync.Mutex
	tried  int // transactions
	refuse bool
	told   []uuid.UUID

	changed testsignal.Signal
}

// register makes deaths remove connections, and then do what refuse says.
func (m *morgue) register(r *replica.Replica) {
	r.OnDeath(func(ctx context.Context, q *db.Queries, dead uuid.UUID) (func(), error) {
		_, err := q.DeletePresenceOfReplica(ctx, dead)
		return func() {
			defer m.changed.Say()
			m.mu.Lock()
			defer m.mu.Unlock()
			m.told = append(m.told, dead)
		}, err
	})
	r.OnDeath(func(context.Context, *db.Queries, uuid.UUID) (func(), error) {
		defer m.changed.Say()
		m.mu.Lock()
		defer m.mu.Unlock()
		m.tried++
		if m.refuse {
			return nil, errors.New("not now")
		}
		return nil, nil // nothing to tell
	})
}

// have reports whether so many deaths were told of, and so many transactions tried.
func (m *morgue) have(told, tried int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.told) >= told && m.tried >= tried
}

func (m *morgue) await(t testing.TB, what string, told, tried int) {
	t.Helper()
	m.changed.Await(t, what, func() bool { return m.have(told, tried) })
}

func TestDeathIsOneTransaction(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	conn := pgtest.Connect(t, url)
	m := &morgue{refuse: true}
	n, _ := start(t, open(t, url), m.register)
	dead := die(t, conn, "4 s")
	pgtest.Exec(t, conn, `INSERT INTO presence (connection_id, incarnation, project_id, revision, user_id, user_name, avatar_color, is_agent, transport,
		joined_at, active_at) VALUES ($1, $1, 1, 1, 'u', 'U', '', false, 'collaboration', now(), now())`, dead)
	pgtest.Exec(t, conn, `INSERT INTO presence_log (connection_id, joined_at, incarnation, project_id, user_id, user_name, is_agent)
		VALUES ($1, now(), $1, 1, 'u', 'U', false)`, dead)
	m.await(t, "two looks", 0, 2)
	const state = `SELECT concat_ws(' ', (SELECT count(*) FROM replicas WHERE incarnation = $1), (SELECT count(*) FROM presence),
		(SELECT count(*) FROM presence_log WHERE left_at IS NULL))`
	if got := text(t, conn, state, dead); got != "1 1 1" || m.have(1, 0) {
		t.Errorf("after an error there are %s leases, rows, visits, and told is %v", got, m.told)
	}
	m.mu.Lock()
	m.refuse = false
	m.mu.Unlock()
	m.await(t, "the death to be told of", 1, 0)
	if got := text(t, conn, state, dead); got != "0 0 0" || !slices.Equal(m.told, []uuid.UUID{dead}) {
		t.Errorf("after a death there are %s leases, rows, visits, and told is %v", got, m.told)
	}
	n.stop(t)
	const want = `# HELP layercake_presence_reaped_replicas_total Replicas whose expired lease this replica removed.
# TYPE layercake_presence_reaped_replicas_total counter
layercake_presence_reaped_replicas_total 1
`
	if err := testutil.GatherAndCompare(n.metrics, strings.NewReader(want), "layercake_presence_reaped_replicas_total"); err != nil {
		t.Error(err)
	}
}

func TestOnlyTheSteadyReap(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	conn := pgtest.Connect(t, url)
	late, early, locked := die(t, conn, "3 s"), die(t, conn, "4 s"), die(t, conn, "5 s")
	pgtest.Exec(t, conn, "BEGIN")
	pgtest.Exec(t, conn, "SELECT FROM replicas WHERE incarnation = $1 FOR KEY SHARE", locked) // as whoever writes under it
	m, looked := &morgue{}, make(chan time.Time, 1)
	began := time.Now()
	n, _ := start(t, open(t, url), func(r *replica.Replica) {
		m.register(r)
		r.OnSteady(func(context.Context) {
			select {
			case looked <- time.Now():
			default:
			}
		})
	})
	m.await(t, "the dead to be removed", 2, 0)
	if steady := (<-looked).Sub(began); steady < time.Duration(fast.Steady-1)*fast.Renew {
		t.Errorf("it thinks itself steady after %v", steady)
	}
	if !slices.Equal(m.told, []uuid.UUID{early, late}) {
		t.Errorf("removed %v, want %v: the first to expire first, but for one that is locked", m.told, []uuid.UUID{early, late})
	}
	pgtest.Exec(t, conn, "ROLLBACK")
	m.await(t, "the one that was locked to be removed", 3, 0)
	pgtest.AwaitCount(t, conn, 1, countLeases)
	if got := text(t, conn, "SELECT incarnation::text FROM replicas"); got != n.Incarnation().String() {
		t.Errorf("%s is left, want %v itself", got, n.Incarnation())
	}
}

// All leases expire while those who hold them live: while the database stalls, and when its clock steps or the machine was suspended.
func TestLeasesThatExpireTogetherReapNobody(t *testing.T) {
	t.Parallel()
	const living = countLeases + " WHERE expires_at > clock_timestamp()"
	patient := fast
	patient.Steady = 20 // those that live renew before somebody is steady again, on a busy machine, too
	for name, c := range map[string]struct {
		expire func(*testing.T, *pgx.Conn)
		fails  bool // renewals do
	}{
		"stall": {func(t *testing.T, conn *pgx.Conn) {
			pgtest.Exec(t, conn, "BEGIN")
			pgtest.Exec(t, conn, "LOCK TABLE replicas IN ACCESS EXCLUSIVE MODE")
			pgtest.AwaitCount(t, conn, 0, living)
			pgtest.Exec(t, conn, "COMMIT")
		}, true},
		"step": {func(t *testing.T, conn *pgx.Conn) {
			pgtest.Exec(t, conn, "BEGIN")
			pgtest.Exec(t, conn, "LOCK TABLE replicas IN EXCLUSIVE MODE") // no renewal sees half of the step
			pgtest.Exec(t, conn, "UPDATE replicas SET renewed_at = renewed_at - interval '1 min', expires_at = expires_at - interval '1 min'")
			pgtest.Exec(t, conn, "COMMIT")
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := pgtest.New(t)
			conn := pgtest.Connect(t, url)
			var nodes [2]*node
			var incarnations [2]uuid.UUID
			var looks [2]atomic.Int64 // of the steady
			var looked testsignal.Signal
			m := &morgue{}
			for i := range nodes {
				nodes[i], incarnations[i] = startAt(t, open(t, url), patient, func(r *replica.Replica) {
					m.register(r)
					r.OnSteady(func(context.Context) { looks[i].Add(1); looked.Say() })
				})
			}
			awaitLooks := func() {
				t.Helper()
				for i := range looks {
					before := looks[i].Load()
					looked.Await(t, fmt.Sprintf("replica %d to be steady", i), func() bool { return looks[i].Load() > before+2 })
				}
			}
			awaitLooks()
			for range 2 {
				c.expire(t, conn)
				pgtest.AwaitCount(t, conn, 2, living)
				awaitLooks()
			}
			for i, n := range nodes {
				if n.Incarnation() != incarnations[i] {
					t.Errorf("%v was removed", incarnations[i])
				}
				if failed, _ := n.Outages(); failed.IsZero() == c.fails {
					t.Errorf("renewals last failed at %v", failed)
				}
			}
			if m.have(1, 0) {
				t.Errorf("%v were removed", m.told)
			}
			pgtest.AwaitCount(t, conn, 2, countLeases)
		})
	}
}

func TestFiguresAreInTheRow(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	conn := pgtest.Connect(t, url)
	start(t, open(t, url), func(r *replica.Replica) {
		r.Figure("draining", func() int64 { return 1 })
		r.Figure("sockets", func() int64 { return 2 })
		r.Figure("heartbeat_ms", func() int64 { return int64(1500 * time.Microsecond) })
		r.CountProjects(replica.Watchers, func() map[int32]int { return map[int32]int{7: 3} })
	})
	pgtest.AwaitTexts(t, conn, []string{`t 2 0 1.5 t [{"project_id":7,"connections":0,"watchers":3}]`},
		"SELECT concat_ws(' ', draining, sockets, open_feeds, heartbeat_ms, heap_bytes > 0, top_projects) FROM replicas")
}

// A figure that the table refuses would end the lease: renewals would fail until it expires.
func TestWrongFiguresDoNotCostTheLease(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	for figure, want := range map[int64]string{math.MinInt64: "f 0 0 ", math.MaxInt64: "t 2147483647 9223372036854775807 9223372036854.775"} {
		n, _ := start(t, open(t, url), func(r *replica.Replica) {
			for _, column := range []string{"draining", "sockets", "subscriptions", "open_feeds", "feed_bytes", "max_lag", "heartbeat_ms"} {
				r.Figure(column, func() int64 { return figure })
			}
		})
		pgtest.AwaitTexts(t, pgtest.Connect(t, url), []string{strings.TrimSpace(want)},
			`SELECT concat_ws(' ', draining, sockets, max_lag, heartbeat_ms) FROM replicas
			WHERE incarnation = $1 AND renewed_at > started_at`, n.Incarnation())
		n.stop(t)
	}
}

// The release before this one tells no wire version. While such a replica lives, nothing may be written that it does not understand.
func TestOldestOfTheLiving(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	conn, pools := pgtest.Connect(t, url), open(t, url)
	n, _ := start(t, pools, nil)
	await := func(want int32) {
		t.Helper()
		n.Renewed.Await(t, fmt.Sprintf("the oldest to be %d", want), func() bool { return n.Oldest() == want })
	}
	await(3)
	pgtest.Exec(t, conn, `INSERT INTO replicas (incarnation, version, address, expires_at) VALUES (gen_random_uuid(), 'old', '', now() + interval '1 hour')`)
	await(1)
	pgtest.Exec(t, conn, `UPDATE replicas SET renewed_at = now() - interval '2 s', expires_at = now() - interval '1 s' WHERE version = 'old'`)
	await(3)

	// A replica knows it before it serves anybody, without a lease of its own.
	starting := replica.New(replica.Config{DB: pools})
	pgtest.Exec(t, conn, `INSERT INTO replicas (incarnation, version, address, expires_at) VALUES (gen_random_uuid(), 'older', '', now() + interval '1 hour')`)
	for _, step := range []struct {
		sql  string
		want int32
	}{
		{"DELETE FROM replicas WHERE version = 'old'", 1},
		{"DELETE FROM replicas WHERE version = 'older'", 3},
	} {
		pgtest.Exec(t, conn, step.sql)
		if err := starting.ReadOldest(t.Context()); err != nil || starting.Oldest() != step.want {
			t.Errorf("after %s the oldest is %d, %v, want %d", step.sql, starting.Oldest(), err, step.want)
		}
	}
	n.stop(t)
	pgtest.Exec(t, conn, "DELETE FROM replicas")
	if err := starting.ReadOldest(t.Context()); err != nil || starting.Oldest() != 3 {
		t.Errorf("the oldest of a deployment without replicas is %d, %v", starting.Oldest(), err)
	}
}

// A tenant that panics costs one renewal, one removal or one round, each of which is tried again; the lease stays.
func TestTenantsThatPanic(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	conn := pgtest.Connect(t, url)
	var figures, deaths, rounds atomic.Int32
	once := func(n *atomic.Int32) {
		if n.Add(1) == 2 { // the first time is that of the first lease
			panic("boom")
		}
	}
	pools := open(t, url)
	n, _ := start(t, pools, func(r *replica.Replica) {
		r.Figure("sockets", func() int64 { once(&figures); return 1 })
		r.OnDeath(func(context.Context, *db.Queries, uuid.UUID) (func(), error) {
			if deaths.Add(1) == 1 {
				panic("boom")
			}
			return func() {}, nil
		})
		r.OnSteady(func(context.Context) { once(&rounds) })
	})
	pgtest.Exec(t, conn, `INSERT INTO replicas (incarnation, version, address, renewed_at, expires_at)
		VALUES (gen_random_uuid(), 'test', 'there', now() - interval '2 hours', now() - interval '1 hour')`)
	pgtest.AwaitCount(t, conn, 1, "SELECT count(*) FROM replicas")
	n.Renewed.Await(t, "all to have panicked and gone on", func() bool { return figures.Load() > 3 && rounds.Load() > 3 })
	if deaths.Load() != 2 {
		t.Errorf("%d removals were tried, want a second one", deaths.Load())
	}
	const want = `# HELP layercake_panics_total Panics, each of which ended what it was about and nothing else.
# TYPE layercake_panics_total counter
layercake_panics_total{where="replica"} 3
`
	if err := testutil.GatherAndCompare(n.metrics, strings.NewReader(want), "layercake_panics_total"); err != nil {
		t.Error(err)
	}
}
