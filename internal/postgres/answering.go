package postgres

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// answerMargin is how much later than the server's time-out for a statement its answer may come.
const answerMargin = 2 * time.Second

// answering returns a dial function whose connections fail when the server neither sends nor takes a byte for so long: it ends each
// statement earlier, so it is gone without a word. A caller's context may last for hours, as that of a build or an upload does, and a
// network that was lost would hold it that long.
func answering(dial pgconn.DialFunc, most time.Duration) pgconn.DialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &answeringConn{Conn: conn, most: most}, nil
	}
}

// answeringConn gives each read and each write a deadline, unless its user set an earlier one.
type answeringConn struct {
	net.Conn
	most time.Duration

	mu          sync.Mutex // while deadlines are set: one that ends a call is never replaced by a later one
	read, write time.Time  // deadlines of the user; zero for none
}

func (c *answeringConn) Read(p []byte) (int, error) {
	c.mu.Lock()
	err := c.Conn.SetReadDeadline(c.earlier(c.read))
	c.mu.Unlock()
	if err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c *answeringConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	err := c.Conn.SetWriteDeadline(c.earlier(c.write))
	c.mu.Unlock()
	if err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// earlier returns the deadline of a call that begins now.
func (c *answeringConn) earlier(users time.Time) time.Time {
	own := time.Now().Add(c.most)
	if users.IsZero() || own.Before(users) {
		return own
	}
	return users
}

func (c *answeringConn) SetDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read, c.write = t, t
	return c.Conn.SetDeadline(t)
}

func (c *answeringConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read = t
	return c.Conn.SetReadDeadline(t)
}

func (c *answeringConn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.write = t
	return c.Conn.SetWriteDeadline(t)
}
