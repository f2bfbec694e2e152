package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"layercake/internal/db"
	"layercake/internal/fault"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Pool lends connections. Every failure of the database that passes by itself comes back as fault.Unavailable with its cause
// wrapped; callers pass it on.
type Pool struct {
	pool    *pgxpool.Pool
	acquire time.Duration
	metrics *metrics
}

// Do runs f on a connection. Waiting for the connection ends after the acquire time-out.
func (p *Pool) Do(ctx context.Context, f func(*pgx.Conn) error) error {
	wait, cancel := context.WithTimeout(ctx, p.acquire)
	conn, err := p.pool.Acquire(wait)
	cancel()
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			p.metrics.late.WithLabelValues(lateConnection).Inc()
		}
		return Classify(ctx, fmt.Errorf("acquire connection: %w", err))
	}
	defer conn.Release()
	err = f(conn.Conn())
	if what := late(err); what != "" {
		p.metrics.late.WithLabelValues(what).Inc()
	}
	return Classify(ctx, err)
}

// Query runs f with queries that each are a transaction of their own.
func (p *Pool) Query(ctx context.Context, f func(*db.Queries) error) error {
	return p.Do(ctx, func(conn *pgx.Conn) error { return f(db.New(conn)) })
}

// serializationTries is how often InTx runs its function before it gives up.
const serializationTries = 3

// InTx runs f in a transaction. It runs f again on a serialization failure, so f uses nothing but its queries.
func (p *Pool) InTx(ctx context.Context, f func(*db.Queries) error) error {
	return p.Do(ctx, func(conn *pgx.Conn) error {
		for try := 1; ; try++ {
			err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return f(db.New(tx)) })
			var pg *pgconn.PgError
			if try < serializationTries && errors.As(err, &pg) && pg.Code == "40001" {
				continue
			}
			return err
		}
	})
}

// Stat returns the pool's figures now.
func (p *Pool) Stat() *pgxpool.Stat { return p.pool.Stat() }

// Close waits for lent connections and closes all.
func (p *Pool) Close() { p.pool.Close() }

// Ping reports whether the database answers.
func (p *Pool) Ping(ctx context.Context) error {
	return p.Do(ctx, func(conn *pgx.Conn) error { return conn.Ping(ctx) })
}

// retryAfter is what a client is told to wait when the database or its capacity is away.
const retryAfter = 500 * time.Millisecond

// Busy is the fault for everything that time or capacity refused, with a cause for the log.
func Busy(cause error) *fault.Error {
	return fault.New(fault.Unavailable, fault.Busy).With("retryAfterMs", retryAfter.Milliseconds()).Because(cause)
}

// Classify turns failures of the database that pass by themselves into fault.Unavailable. Faults, errors of the caller's own
// making (it went away), and everything unknown stay as they are.
func Classify(ctx context.Context, err error) error {
	switch {
	case err == nil, fault.From(err) != nil:
		return err
	case errors.Is(context.Cause(ctx), context.Canceled):
		return err
	case passing(err):
		return Busy(err)
	default:
		return err
	}
}

// passing reports whether the same call may succeed a little later.
func passing(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch pg.Code {
		case "40001", "40P01", // serialization failure, deadlock
			"55P03", "57014", "25P03", // lock, statement and idle-in-transaction time-outs
			"57P01", "57P02", "57P03", "57P05", // the server stops, crashed, starts, closed an idle session
			"25006": // read only: a standby, or a primary that was demoted
			return true
		}
		class := pg.Code[:min(2, len(pg.Code))]
		return class == "08" || class == "53" // connection, resources
	}
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) || pgconn.SafeToRetry(err) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed)
}

// pooled is what the sessions of pools are for.
func pooled(application string) Session {
	return Session{Application: application, Statement: 5 * time.Second, Lock: 2 * time.Second, IdleInTransaction: 2 * time.Second}
}
