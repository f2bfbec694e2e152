package socket

import (
	"net"
	"sync"
)

// maxBatch is how many bytes of messages wait for each other.
const maxBatch = 16 << 10

var batches = sync.Pool{New: func() any { b := make([]byte, 0, maxBatch); return &b }}

// batchConn is a connection that can hold back what is written, so that small messages share a system call: with many people in a
// project these calls are most of what telling them costs.
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

// buffer holds back what is written until release. It reports false when somebody does so already.
func (c *batchConn) buffer() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held != nil {
		return false
	}
	c.held = batches.Get().(*[]byte)
	return true
}

// release writes what is held back. Whatever becomes of it, nothing is left: the buffer is the next connection's.
func (c *batchConn) release() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.flush()
	batches.Put(c.held)
	c.held = nil
	return err
}

// flush writes what was held back so far. The mutex is held meanwhile: whoever else writes waits for the same peer. Close does not
// take it, so a connection that is closed wakes them all.
func (c *batchConn) flush() error {
	if len(*c.held) == 0 {
		return nil
	}
	_, err := c.Conn.Write(*c.held)
	*c.held = (*c.held)[:0]
	return err
}
