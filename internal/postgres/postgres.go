// Package postgres opens, migrates and transacts.
package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
)

// Config says how a replica uses its database.
type Config struct {
	URL       string // for requests; may go through a pooler
	DirectURL string // for the replica's own work
	Replica   string // in application_name, so that pg_stat_activity says who it is
	PoolMax   int    // connections for requests, at most
	PoolMin   int    // connections for requests that are kept open
	Replicas  int    // how many replicas share the server: the pool is capped so that all fit
	Log       *slog.Logger
	Metrics   prometheus.Registerer
}

// DB is a replica's connections. Requests and the replica's own work have separate pools, so that neither starves the other.
type DB struct {
	Requests *Pool
	System   *Pool // leases, sweeps, gaps, catch-up
}

const (
	systemConns    = 3
	connectTimeout = 5 * time.Second
	acquireTimeout = 5 * time.Second
	// a connection that was idle is pinged before it is lent: a silent one must not use up the time of a request
	pingTimeout = 2 * time.Second
	// besides its pools a replica holds a listener and a publisher
	ownConns = systemConns + 2
	// left for psql, backups and monitoring
	sparedConns = 10
)

// Open connects both pools. The maximum of the request pool is lowered to what the server has room for. It fails when the
// database does not answer. The caller closes.
func Open(ctx context.Context, cfg Config) (*DB, error) {
	room, err := roomFor(ctx, cfg.DirectURL, max(cfg.Replicas, 1))
	if err != nil {
		return nil, err
	}
	size := min(cfg.PoolMax, room)
	if size < cfg.PoolMax {
		cfg.Log.InfoContext(ctx, "request pool is capped by max_connections", "wanted", cfg.PoolMax, "size", size, "replicas", cfg.Replicas)
	}
	requests, err := openPool(ctx, cfg, cfg.URL, "requests", size, min(cfg.PoolMin, size))
	if err != nil {
		return nil, err
	}
	system, err := openPool(ctx, cfg, cfg.DirectURL, "system", systemConns, 1)
	if err != nil {
		requests.Close()
		return nil, err
	}
	cfg.Metrics.MustRegister(newContention(system))
	return &DB{Requests: requests, System: system}, nil
}

// Close closes both pools after lent connections came back.
func (d *DB) Close() {
	d.Requests.Close()
	d.System.Close()
}

// roomFor returns how many connections the request pool of one of so many replicas may hold.
func roomFor(ctx context.Context, url string, replicas int) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn, err := pooled("layercake start").Connect(ctx, url)
	if err != nil {
		return 0, fmt.Errorf("connect to the database: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	var most int
	err = conn.QueryRow(ctx, `SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
		- coalesce(current_setting('reserved_connections', true)::int, 0)`).Scan(&most)
	if err != nil {
		return 0, fmt.Errorf("read max_connections: %w", err)
	}
	room := (most-sparedConns)/replicas - ownConns
	if room < 1 {
		return 0, fmt.Errorf("max_connections leaves room for %d connections, too few for %d replicas: raise it or lower LAYERCAKE_REPLICAS",
			most, replicas)
	}
	return room, nil
}

func openPool(ctx context.Context, cfg Config, url, name string, size, least int) (*Pool, error) {
	if err := CheckURL(url); err != nil {
		return nil, fmt.Errorf("the database URL %w", err)
	}
	c, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("database URL: %w", err)
	}
	pooled("layercake/" + cfg.Replica + "/" + name).configure(c.ConnConfig)
	m := newMetrics(cfg.Metrics, name)
	c.ConnConfig.Tracer = tracer{m.seconds}
	c.BeforeConnect = boundCancel
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
	p := &Pool{pool: pool, acquire: acquireTimeout, metrics: m}
	if err := p.Ping(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("ping through pool %s: %w", name, err)
	}
	watch(cfg.Metrics, name, pool)
	return p, nil
}

// cancelTime is how long a server may take to be told to cancel what a broken connection was doing. Its own time-outs end it, too.
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
		_ = conn.PgConn().Conn().Close() // it is given up
	}
}
