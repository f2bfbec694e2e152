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

// session is one of a replica's two sessions with the server.
type session struct {
	*pgx.Conn
	epoch  postgres.Epoch
	sealer *sealer
	pid    uint32 // process id in the notifications of this session
}

// parse checks the URL and adds what our sessions need. It is done for each connection anew, so that hosts, passwords
// and certificates are those of today.
func (c *Config) parse(role string) (*pgx.ConnConfig, error) {
	parsed, err := postgres.Session{
		Application: "layercake/" + c.Replica + "/" + role,
		Statement:   c.Timing.Statement * 5 / 6, // below the publisher's own, so that the server says so
		Lock:        2 * time.Second, IdleInTransaction: 2 * time.Second,
		Forgetful: true, // a notification is lost with the server anyway
	}.Parse(c.URL)
	if err != nil {
		return nil, err
	}
	parsed.ConnectTimeout = c.Timing.Connect
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

// dial opens a session for role, and reads its epoch and the key of the wire. The caller ends it.
func (w *Wire) dial(ctx context.Context, role string) (*session, error) {
	parsed, err := w.cfg.parse(role)
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
	limit := w.cfg.Timing.Connect
	connectCtx, cancel := context.WithTimeout(ctx, time.Duration(2+len(parsed.Fallbacks))*limit)
	defer cancel()
	conn, err := pgx.ConnectConfig(connectCtx, parsed)
	if err != nil {
		return nil, err
	}
	connected.Store(true)
	s := &session{Conn: conn}
	queryCtx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := s.begin(queryCtx); err != nil {
		s.end()
		return nil, err
	}
	return s, nil
}

// begin reads what a session is told at its beginning.
func (s *session) begin(ctx context.Context) (err error) {
	if s.epoch, err = postgres.ReadEpoch(ctx, s.Conn); err != nil {
		return err
	}
	var key []byte
	if key, s.pid, err = postgres.ReadWireKey(ctx, s.Conn); err != nil {
		return err
	}
	s.sealer, err = newSealer(key)
	return err
}

// hangUp closes the socket under the session, from any goroutine: whoever waits for the server gets an error at once.
func (s *session) hangUp() { _ = s.PgConn().Conn().Close() }

// end closes the session and returns when nothing of it is left.
func (s *session) end() {
	ctx, cancel := context.WithTimeout(context.Background(), endLimit)
	defer cancel()
	_ = s.Close(ctx)
	s.hangUp()
	<-s.PgConn().CleanupDone()
}
