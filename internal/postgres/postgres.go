// Package postgres is a replica's way to its database: sessions, pools, transactions, migrations, epochs.
package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
)

// Config says how a replica uses its database.
type Config struct {
	URL       string // address for requests; may go through a pooler
	Pooled    bool   // whether URL goes through a pooler in transaction mode
	DirectURL string // address for the replica's own work, past any pooler
	Replica   string // name in application_name, so that pg_stat_activity shows which replica it is
	PoolMax   int    // connections for requests, at most
	PoolMin   int    // connections for requests that are kept open
	Replicas  int    // number of replicas that share the server: the pool is capped so that all fit
	Log       *slog.Logger
	Metrics   prometheus.Registerer
	Timing    Timing // zero for DefaultTiming
}

// Timing is how long requests wait for the database.
type Timing struct {
	Acquire           time.Duration // for a connection of a pool
	Statement         time.Duration // for a statement; the server sees to this and the next ones
	Lock              time.Duration // for a lock
	IdleInTransaction time.Duration // for the next statement of a transaction
}

// DefaultTiming is the timing of a deployment. Roles behind a pooler have the same settings.
var DefaultTiming = Timing{
	Acquire: 5 * time.Second, Statement: 5 * time.Second, Lock: 2 * time.Second, IdleInTransaction: 2 * time.Second,
}

// BuildTiming is that of the build pool: one COPY of a chunk takes longer than a request may, above all beside others.
var BuildTiming = Timing{
	Acquire: 30 * time.Second, Statement: 20 * time.Second, Lock: 2 * time.Second, IdleInTransaction: 30 * time.Second,
}

// DB is a replica's connections. What clients ask for and the replica's own work have separate pools, so that neither starves the other.
type DB struct {
	Requests *Pool // requests of clients
	CatchUp  *Pool // reads of the log by watchers that are behind
	Builds   *Pool // reads and writes of whole graphs by builds, with BuildTiming
	// System is for what the replica does by itself: lease, health, sweep, gaps, presence, agents' inboxes, commands, clean-up and the
	// page for operators. Each of them has one statement under way at most, and none of them a request of a client. So however many
	// clients come, none of these waits for them.
	System *Pool
}

// CatchUpConns is how many watchers read the log at once.
const CatchUpConns = 2

// BuildConns is how many builds read or write rows at once.
const BuildConns = 2

const (
	systemConns    = 3
	connectTimeout = 5 * time.Second
	// pingTimeout is for the ping of an idle connection before it is lent: a silent one must not use up the time of a request.
	pingTimeout = 2 * time.Second
	// ownConns are those of the system pool, of the pools of watchers that catch up and of builds, and the listener and the publisher.
	ownConns = systemConns + CatchUpConns + BuildConns + 2
	// sparedConns are left of the server's connections for psql, backups and monitoring; the next, of the connections of one role or
	// database, for `layercake doctor`.
	sparedConns    = 10
	sparedOfALimit = 2
)

// Open connects all pools. The maximum of the request pool is lowered to what the server has room for. It fails when the
// database does not answer. The caller closes.
func Open(ctx context.Context, cfg Config) (*DB, error) {
	room, limit, err := roomFor(ctx, cfg.DirectURL, max(cfg.Replicas, 1))
	if err != nil {
		return nil, err
	}
	size := cfg.PoolMax // a pooler limits connections itself
	if room < size && !cfg.Pooled {
		size = room
		cfg.Log.InfoContext(ctx, "request pool is capped", "by", limit.name, "limit", limit.most, "wanted", cfg.PoolMax, "size", size,
			"replicas", cfg.Replicas)
	}
	timing := cmp.Or(cfg.Timing, DefaultTiming)
	d := &DB{}
	for _, p := range []struct {
		pool        **Pool
		name, url   string
		size, least int
		pooled      bool
		timing      Timing
	}{
		{&d.Requests, "requests", cfg.URL, size, min(cfg.PoolMin, size), cfg.Pooled, timing},
		{&d.CatchUp, "catch_up", cfg.DirectURL, CatchUpConns, 0, false, timing},
		{&d.Builds, "builds", cfg.DirectURL, BuildConns, 0, false, BuildTiming},
		{&d.System, "system", cfg.DirectURL, systemConns, 1, false, timing},
	} {
		if *p.pool, err = openPool(ctx, cfg, p.url, p.name, p.size, p.least, p.pooled, p.timing); err != nil {
			d.Close()
			return nil, err
		}
	}
	cfg.Metrics.MustRegister(newContention(d.System))
	return d, nil
}

// CheckSame fails unless two URLs lead to the same database, which has one schema and one history.
func CheckSame(ctx context.Context, requests, direct string, pooled bool) error {
	ctx, cancel := context.WithTimeout(ctx, 2*connectTimeout)
	defer cancel()
	var names [2]string
	for i, url := range []string{requests, direct} {
		session := forQueries("layercake start", DefaultTiming)
		session.Pooled = pooled && i == 0
		conn, err := session.Connect(ctx, url)
		if err != nil {
			return fmt.Errorf("connect to the database: %w", err)
		}
		err = conn.QueryRow(ctx, `SELECT format('%s of the server with the identifier %s', current_database(), system_identifier)
			FROM pg_control_system()`).Scan(&names[i])
		_ = conn.Close(ctx)
		if err != nil {
			return fmt.Errorf("ask which database it is: %w", err)
		}
	}
	if names[0] != names[1] {
		return fmt.Errorf("LAYERCAKE_DATABASE_URL leads to the database %s, and LAYERCAKE_LISTEN_DATABASE_URL to %s: "+
			"both must lead to the same one", names[0], names[1])
	}
	return nil
}

// Refused returns the text with which the server last refused a connection, or "" when that is more than a minute ago.
func (d *DB) Refused() string {
	var pg *pgconn.PgError
	if errors.As(cmp.Or(d.Requests.refusal(), d.CatchUp.refusal(), d.Builds.refusal(), d.System.refusal()), &pg) {
		return pg.Message
	}
	return ""
}

// Close closes all pools after lent connections came back.
func (d *DB) Close() {
	for _, p := range []*Pool{d.Requests, d.CatchUp, d.Builds, d.System} {
		if p != nil { // Open failed before it
			p.Close()
		}
	}
}

// limit is a limit of connections that replicas share.
type limit struct {
	name         string
	most, spared int
}

// room returns how many connections the limit leaves to the request pool of one of so many replicas.
func (l limit) room(replicas int) int { return (l.most-l.spared)/replicas - ownConns }

// roomFor returns how many connections the request pool of one of so many replicas may hold, and which limit that comes from. Superusers
// are not subject to the limits of role and database.
func roomFor(ctx context.Context, url string, replicas int) (room int, by limit, err error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn, err := forQueries("layercake start", DefaultTiming).Connect(ctx, url)
	if err != nil {
		return 0, limit{}, fmt.Errorf("connect to the database: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	rows, err := conn.Query(ctx, `SELECT 'max_connections less those reserved', current_setting('max_connections')::int
			- current_setting('superuser_reserved_connections')::int - coalesce(current_setting('reserved_connections', true)::int, 0), $1::int
		UNION ALL SELECT 'the CONNECTION LIMIT of the role ' || rolname, rolconnlimit, $2
		FROM pg_roles WHERE rolname = session_user AND rolconnlimit >= 0 AND NOT rolsuper
		UNION ALL SELECT 'the CONNECTION LIMIT of the database ' || datname, datconnlimit, $2
		FROM pg_database JOIN pg_roles ON rolname = session_user WHERE datname = current_database() AND datconnlimit >= 0 AND NOT rolsuper`,
		sparedConns, sparedOfALimit)
	if err != nil {
		return 0, limit{}, fmt.Errorf("read the limits on connections: %w", err)
	}
	limits, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (l limit, err error) {
		return l, row.Scan(&l.name, &l.most, &l.spared)
	})
	if err != nil {
		return 0, limit{}, fmt.Errorf("read the limits on connections: %w", err)
	}
	by = slices.MinFunc(limits, func(a, b limit) int { return cmp.Compare(a.room(replicas), b.room(replicas)) })
	if room = by.room(replicas); room < 1 {
		return 0, by, fmt.Errorf("%s is %d, and with %d to spare too few for %d replicas of at least %d connections each: "+
			"raise it, or lower LAYERCAKE_REPLICAS to how many there are", by.name, by.most, by.spared, replicas, ownConns+1)
	}
	return room, by, nil
}

func openPool(
	ctx context.Context, cfg Config, url, name string, size, least int, pooled bool, timing Timing,
) (*Pool, error) {
	if err := CheckURL(url); err != nil {
		return nil, fmt.Errorf("the database URL %w", err)
	}
	c, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("database URL: %w", err)
	}
	session := forQueries("layercake/"+cfg.Replica+"/"+name, timing)
	session.Pooled = pooled
	session.configure(c.ConnConfig)
	c.ConnConfig.DialFunc = answering(c.ConnConfig.DialFunc, timing.Statement+answerMargin)
	m := newMetrics(cfg.Metrics, name)
	c.ConnConfig.Tracer = tracer{m.seconds}
	c.ConnConfig.OnNotice = hearNotice
	p := &Pool{acquire: timing.Acquire, metrics: m, name: name, log: cfg.Log, returned: make(chan struct{})}
	c.BeforeConnect = func(ctx context.Context, cfg *pgx.ConnConfig) error {
		if err := p.mayConnect(); err != nil {
			return err
		}
		return boundCancel(ctx, cfg)
	}
	c.BeforeClose = hangUpOnBroken
	c.MaxConns = int32(size)
	c.MinConns = int32(least)
	c.MaxConnIdleTime = 5 * time.Minute
	c.MaxConnLifetime = time.Hour
	c.MaxConnLifetimeJitter = 10 * time.Minute
	c.HealthCheckPeriod = 15 * time.Second
	c.PingTimeout = pingTimeout
	c.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		epoch, err := ReadEpoch(ctx, conn)
		conn.PgConn().CustomData()[epochKey] = epoch
		return err
	}
	pool, err := pgxpool.NewWithConfig(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("open pool %s: %w", name, err)
	}
	p.pool = pool
	// Ping would not do: its errors are for clients, and an operator who starts a replica needs the server's own words.
	conn, err := p.borrow(ctx)
	if err != nil {
		pool.Close()
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			err = fmt.Errorf("no connection within %v, look at the log of the server or the pooler: %w", p.acquire, err)
		}
		return nil, fmt.Errorf("open pool %s: %w", name, err)
	}
	conn.Release()
	watch(cfg.Metrics, name, pool)
	return p, nil
}

// cancelTime bounds a request to cancel what a broken connection was doing. Missing it is safe: the server's time-outs end the statement.
const cancelTime = time.Second

// boundCancel makes requests to cancel end soon. Pgx gives them 15 s, and the pool keeps a place for the broken connection
// meanwhile: a network that is lost without a word would fill the pool.
func boundCancel(_ context.Context, cfg *pgx.ConnConfig) error {
	dial, check := cfg.DialFunc, cfg.AfterConnect
	var connected atomic.Bool
	cfg.AfterConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		connected.Store(true)
		return check(ctx, conn)
	}
	cfg.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if !connected.Load() {
			return dial(ctx, network, address)
		}
		ctx, cancel := context.WithTimeout(ctx, cancelTime)
		defer cancel()
		conn, err := dial(ctx, network, address)
		if err == nil {
			err = conn.SetDeadline(time.Now().Add(cancelTime))
		}
		return conn, err
	}
	return nil
}

// hangUpOnBroken closes the socket of a connection that pgx has given up, for the same reason: pgx waits for the server's goodbye.
func hangUpOnBroken(conn *pgx.Conn) {
	if conn.IsClosed() {
		_ = conn.PgConn().Conn().Close() // nobody uses the connection any more
	}
}
