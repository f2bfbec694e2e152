package collab

import (
	"net"
	"sync"
	"time"
)

// maxBatch is how many bytes of frames wait for each other.
const maxBatch = 16 << 10

var batches = sync.Pool{New: func() any { b := make([]byte, 0, maxBatch); return &b }}

// batchConn is a connection that can hold back what is written, so that the small frames of one push share a system call: with many
// people in a project these are most of what a push costs.
type batchConn struct {
	net.Conn

	mu   sync.Mutex
	held *[]byte // nil while nothing is held back
}

// Write writes b, or holds it back.
func (c *batchConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held == nil {
		return c.Conn.Write(b)
	}
	if len(*c.held)+len(b) > maxBatch {
		if err := c.flush(); err != nil {
			return 0, err
		}
	}
	if len(b) > maxBatch {
		return c.Conn.Write(b)
	}
	*c.held = append(*c.held, b...)
	return len(b), nil
}

// hold holds back what is written until release.
func (c *batchConn) hold() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = batches.Get().(*[]byte)
}

// release writes what was held back, within a time: os.ErrDeadlineExceeded when the peer does not take it.
func (c *batchConn) release(within time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.empty(within)
	batches.Put(c.held)
	c.held = nil
	return err
}

// empty writes what is held back, within a time. The mutex is held. Whatever becomes of it, nothing is left: the buffer is the next
// connection's.
func (c *batchConn) empty(within time.Duration) error {
	if len(*c.held) == 0 {
		return nil
	}
	err := c.SetWriteDeadline(time.Now().Add(within))
	if err == nil {
		err = c.flush()
	}
	_ = c.SetWriteDeadline(time.Time{}) // a connection that is closed has none
	*c.held = (*c.held)[:0]
	return err
}

// flush writes what was held back so far. The mutex is held: whoever else writes waits for the same peer, and Close does not.
func (c *batchConn) flush() error {
	_, err := c.Conn.Write(*c.held)
	*c.held = (*c.held)[:0]
	return err
}
