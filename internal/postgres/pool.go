package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
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
	pool     *pgxpool.Pool
	name     string
	acquire  time.Duration
	metrics  *metrics
	log      *slog.Logger
	returned chan struct{} // receives once for each connection that came back, while somebody waits for one
	pings    SharedReads[struct{}]

	mu        sync.Mutex
	refused   error     // error of the server when it last refused a connection
	refusedAt time.Time // zero before the first time
	askedAt   time.Time // last attempt to open a connection since then
	toldAt    time.Time // last warning in the log
}

const (
	refusedAdvice = "the server, the role, the database or the pooler has no connections left: raise max_connections, " +
		"the CONNECTION LIMIT or max_client_conn, lower LAYERCAKE_POOL_MAX, or set LAYERCAKE_REPLICAS to how many there are, " +
		"so that each takes its share"
	// refusedPause is between two attempts after the server refused a connection. The server counts connections that it is about to
	// refuse, too: of many that are opened together none gets the last place.
	refusedPause = 100 * time.Millisecond
	// refusedMemory is how long after a refusal attempts are made one by one, health checks mention it, and the log does not repeat it.
	refusedMemory = time.Minute
)

// Do runs f on a connection. Waiting for the connection ends after the acquire time-out.
func (p *Pool) Do(ctx context.Context, f func(*pgx.Conn) error) error {
	conn, err := p.borrow(ctx)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			p.metrics.late.WithLabelValues(lateConnection).Inc()
		}
		return Classify(ctx, fmt.Errorf("acquire connection: %w", err))
	}
	defer p.release(conn)
	err = f(conn.Conn())
	if what := late(err); what != "" {
		p.metrics.late.WithLabelValues(what).Inc()
	}
	return Classify(ctx, err)
}

// borrow returns a connection within the acquire time-out. While the server refuses new connections it waits for one that is open.
func (p *Pool) borrow(ctx context.Context) (*pgxpool.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, p.acquire)
	defer cancel()
	for {
		conn, err := p.pool.Acquire(ctx)
		if err == nil || !refused(err) {
			return conn, err
		}
		p.noteRefusal(ctx, err)
		pause := time.NewTimer(refusedPause / 4) // a connection may have come back just before returned was read
		select {
		case <-ctx.Done():
		case <-p.returned:
		case <-pause.C:
		}
		pause.Stop()
		if ctx.Err() != nil {
			return nil, fmt.Errorf("%w: %w", ctx.Err(), err)
		}
	}
}

func (p *Pool) release(conn *pgxpool.Conn) {
	conn.Release()
	select {
	case p.returned <- struct{}{}:
	default:
	}
}

// refused reports whether the server, the role, the database or PgBouncer had no connection left. PgBouncer says so with the code that
// it uses for everything else, so its text decides.
func refused(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == TooManyConnections ||
		pg.Code == ProtocolViolation && strings.HasPrefix(pg.Message, "no more connections"))
}

// notAskedAgain is an earlier refusal, which mayConnect returns instead of asking the server again.
type notAskedAgain struct{ error }

func (e notAskedAgain) Unwrap() error { return e.error }

// mayConnect returns the last refusal unless it is time to ask the server for another connection.
func (p *Pool) mayConnect() error {
	refusal := p.refusal()
	if refusal == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.askedAt) < refusedPause {
		return notAskedAgain{refusal}
	}
	p.askedAt = time.Now()
	return nil
}

// noteRefusal remembers a refusal, so that only one caller at a time asks the server again. It warns at most once in refusedMemory.
func (p *Pool) noteRefusal(ctx context.Context, err error) {
	if errors.As(err, new(notAskedAgain)) {
		return
	}
	p.mu.Lock()
	now := time.Now()
	p.refused, p.refusedAt = err, now
	tell := now.Sub(p.toldAt) >= refusedMemory
	if tell {
		p.toldAt = now
	}
	p.mu.Unlock()
	if tell {
		p.log.WarnContext(ctx, "the database refuses connections, requests wait for those that are open", "pool", p.name,
			"open", p.pool.Stat().TotalConns(), "error", err, "advice", refusedAdvice)
	}
}

// refusal returns the error with which the server last refused a connection, unless that is longer ago than refusedMemory.
func (p *Pool) refusal() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refusedAt.IsZero() || time.Since(p.refusedAt) >= refusedMemory {
		return nil
	}
	return p.refused
}

// Query runs f with queries that each are a transaction of their own.
func (p *Pool) Query(ctx context.Context, f func(*db.Queries) error) error {
	return p.Do(ctx, func(conn *pgx.Conn) error { return f(db.New(conn)) })
}

// serializationTries is how often InTx runs its function before it gives up.
const serializationTries = 3

// InTx runs f in a transaction. It runs f again on a serialization failure and after a deadlock, so f uses nothing but its queries.
func (p *Pool) InTx(ctx context.Context, f func(*db.Queries) error) error {
	return p.Do(ctx, func(conn *pgx.Conn) error {
		for try := 1; ; try++ {
			err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return f(db.New(tx)) })
			if state := State(err); try < serializationTries && (state == SerializationFailure || state == DeadlockDetected) {
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

// Ping reports whether the database answers. Callers that ask at once share one connection: anybody may ask whether a replica is healthy,
// any number of times.
func (p *Pool) Ping(ctx context.Context) error {
	_, err := p.pings.Do(ctx, "", pingTimeout, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, p.Do(ctx, func(conn *pgx.Conn) error { return conn.Ping(ctx) })
	})
	return Classify(ctx, err)
}

// retryAfter is how long a client is asked to wait when the database is away or its capacity is used up.
const retryAfter = 500 * time.Millisecond

// fullRetryAfter is how long a client is asked to wait when the disk of the database is full.
const fullRetryAfter = 30 * time.Second

// Busy returns the fault Unavailable for a request that found no time or no capacity. The cause is for the log.
func Busy(cause error) *fault.Error {
	return fault.New(fault.Unavailable, fault.Busy).With("retryAfterMs", retryAfter.Milliseconds()).Because(cause)
}

// full is the fault Unavailable for what the database has no room for. Somebody has to make some, so trying again soon is of no use.
func full(cause error) *fault.Error {
	return fault.New(fault.Unavailable, "The disk of the database is full: nothing can be stored until its operator frees space").
		With("retryAfterMs", fullRetryAfter.Milliseconds()).Because(cause)
}

// Classify turns failures of the database that pass by themselves into fault.Unavailable. Faults, errors of the caller's own
// making (it went away), and everything unknown stay as they are.
func Classify(ctx context.Context, err error) error {
	switch {
	case err == nil, fault.From(err) != nil:
		return err
	case errors.Is(context.Cause(ctx), context.Canceled):
		return err
	case State(err) == DiskFull:
		return full(err)
	case passing(err):
		return Busy(err)
	default:
		return err
	}
}

// passing reports whether the same call may succeed a little later.
func passing(err error) bool {
	if state := State(err); state != "" {
		return statePasses(state)
	}
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) || pgconn.SafeToRetry(err) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed)
}

// forQueries is a session of a pool.
func forQueries(application string, timing Timing) Session {
	return Session{
		Application: application, Statement: timing.Statement, Lock: timing.Lock, IdleInTransaction: timing.IdleInTransaction, Queries: true,
	}
}
