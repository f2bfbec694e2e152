package socket

import (
	"net"
	"sync"
	"time"
)

// maxBatch is the size of the buffer of a batch, in bytes.
const maxBatch = 16 << 10

var batches = sync.Pool{New: func() any { b := make([]byte, 0, maxBatch); return &b }}

// batchConn is a connection that can buffer what is written, so that small messages share a system call. With many people in a project
// these calls are most of the cost of sending.
type batchConn struct {
	net.Conn

	mu      sync.Mutex
	pending *[]byte // the buffer; nil while writes go to the connection
}

// Write writes b to the connection, or to the buffer.
func (c *batchConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pending == nil {
		return c.Conn.Write(b)
	}
	if len(*c.pending)+len(b) > maxBatch {
		if err := c.flush(); err != nil {
			return 0, err
		}
	}
	if len(b) > maxBatch {
		return c.Conn.Write(b)
	}
	*c.pending = append(*c.pending, b...)
	return len(b), nil
}

// buffer makes Write use a buffer until release. It reports false when that is so already.
func (c *batchConn) buffer() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pending != nil {
		return false
	}
	c.pending = batches.Get().(*[]byte)
	return true
}

// release writes the buffer to the connection and gives it up. After an error it is given up, too, and empty: another connection gets it
// next.
func (c *batchConn) release() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.flush()
	batches.Put(c.pending)
	c.pending = nil
	return err
}

// closeTime is how long Close waits for a peer that takes nothing.
const closeTime = time.Second

// Close writes the buffer to the connection and closes it. The library answers the peer's close frame and then closes at once, while
// another goroutine may be in the middle of a batch. Whoever must not wait for the peer closes the connection below.
func (c *batchConn) Close() error {
	_ = c.SetWriteDeadline(time.Now().Add(closeTime)) // it fails when the connection is closed already, and then nothing waits
	c.mu.Lock()
	if c.pending != nil {
		_ = c.flush() // the peer is not there any more
	}
	c.mu.Unlock()
	return c.Conn.Close()
}

// flush writes the buffer to the connection. The mutex is held meanwhile, which delays only goroutines that wait for the same peer anyway.
// Closing the connection below wakes them all.
func (c *batchConn) flush() error {
	if len(*c.pending) == 0 {
		return nil
	}
	_, err := c.Conn.Write(*c.pending)
	*c.pending = (*c.pending)[:0]
	return err
}
