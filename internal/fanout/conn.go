package fanout

import (
	"context"
	"maps"
	"net"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"layercake/internal/postgres"
)

// connectTimeout bounds each step of an attempt to connect: each host of the URL, the first query, LISTEN.
const connectTimeout = 5 * time.Second

// conn is one of a replica's two sessions with the server.
type conn struct {
	*pgx.Conn
	epoch string
}

// parse checks the URL and adds what our sessions need. It is done for each connection anew, so that hosts, passwords
// and certificates are those of today.
func (c *Config) parse(role string) (*pgx.ConnConfig, error) {
	parsed, err := postgres.Session{
		Application: "layercake/" + c.Replica + "/" + role,
		Statement:   2500 * time.Millisecond, // below the publisher's own, so that the server says so
		Lock:        2 * time.Second, IdleInTransaction: 2 * time.Second,
		Forgetful: true, // a notification is lost with the server anyway
	}.Parse(c.URL)
	if err != nil {
		return nil, err
	}
	parsed.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	// A listener that is gone without a word keeps all later notifications in the server's queue: let the server find out.
	maps.Copy(parsed.RuntimeParams, map[string]string{
		"tcp_keepalives_idle":     "5",
		"tcp_keepalives_interval": "2",
		"tcp_keepalives_count":    "3",
		"tcp_user_timeout":        "10000",
	})
	return parsed, nil
}

// dial opens a session for role and reads its epoch. The caller ends it.
func (c *Config) dial(ctx context.Context, role string) (*conn, error) {
	parsed, err := c.parse(role)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 3,
	}}
	var connected atomic.Bool
	parsed.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		// pgx dials again to cancel what a broken connection was doing, and would wait 15 s for a server that does not
		// answer. statement_timeout does it better.
		if connected.Load() {
			return nil, net.ErrClosed
		}
		return dialer.DialContext(ctx, network, address)
	}
	// pgx gives each host its time, but not the lookup of its name.
	connectCtx, cancel := context.WithTimeout(ctx, time.Duration(2+len(parsed.Fallbacks))*connectTimeout)
	defer cancel()
	session, err := pgx.ConnectConfig(connectCtx, parsed)
	if err != nil {
		return nil, err
	}
	connected.Store(true)
	opened := &conn{Conn: session}
	queryCtx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	epoch, err := postgres.ReadEpoch(queryCtx, session)
	if err != nil {
		opened.end()
		return nil, err
	}
	opened.epoch = string(epoch)
	return opened, nil
}

// hangUp closes the socket under the session, from any goroutine: whoever waits for the server gets an error at once.
func (c *conn) hangUp() { _ = c.PgConn().Conn().Close() }

// end closes the session and returns when nothing of it is left.
func (c *conn) end() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = c.Close(ctx)
	c.hangUp()
	<-c.PgConn().CleanupDone()
}
