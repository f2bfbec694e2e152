package socket

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
)

// counted is a connection that remembers each write.
type counted struct {
	net.Conn
	writes [][]byte
}

func (c *counted) Write(b []byte) (int, error) {
	c.writes = append(c.writes, bytes.Clone(b))
	return len(b), nil
}

func TestMessagesOfABatchShareWritesInOrder(t *testing.T) {
	t.Parallel()
	peer := &counted{}
	c := &batchConn{Conn: peer}
	var want []byte
	write := func(b ...byte) {
		t.Helper()
		want = append(want, b...)
		if n, err := c.Write(b); n != len(b) || err != nil {
			t.Fatalf("wrote %d of %d bytes, %v", n, len(b), err)
		}
	}
	for range 2 { // with a used buffer, too
		c.buffer()
		for n := range byte(100) {
			write(n, n, n)
		}
		if err := c.release(); err != nil {
			t.Fatal(err)
		}
	}
	if len(peer.writes) != 2 {
		t.Errorf("%d writes for two batches, want 2", len(peer.writes))
	}
	write(1)
	c.buffer()
	write(2)
	write(bytes.Repeat([]byte{3}, maxBatch)...)
	write(bytes.Repeat([]byte{4}, 2*maxBatch)...)
	write(5)
	if err := c.release(); err != nil {
		t.Fatal(err)
	}
	if got := bytes.Join(peer.writes, nil); !bytes.Equal(got, want) {
		t.Errorf("%d bytes arrived, want the %d that were written, in order", len(got), len(want))
	}
	before := len(peer.writes)
	c.buffer()
	if err := c.release(); err != nil || len(peer.writes) != before {
		t.Errorf("an empty batch made %d writes, %v", len(peer.writes)-before, err)
	}
}

func TestReleaseOfAClosedConnection(t *testing.T) {
	t.Parallel()
	local, remote := net.Pipe()
	defer func() { _ = remote.Close() }()
	_ = local.Close()
	c := &batchConn{Conn: local}
	c.buffer()
	if _, err := c.Write([]byte("late")); err != nil {
		t.Fatal(err)
	}
	if err := c.release(); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("release of a closed connection: %v", err)
	}
}

// What a closed connection did not take must not reach the connection that uses the buffer next.
func TestWhatIsLeftOfABatchReachesNobodyElse(t *testing.T) {
	t.Parallel()
	local, remote := net.Pipe()
	_, _ = local.Close(), remote.Close()
	buffer := make([]byte, 0, maxBatch)
	c := &batchConn{Conn: local, pending: &buffer}
	if _, err := c.Write([]byte("of somebody else")); err != nil {
		t.Fatal(err)
	}
	if err := c.flush(); !errors.Is(err, io.ErrClosedPipe) { // release would give the buffer to others, who write into it
		t.Errorf("flush: %v, want %v", err, io.ErrClosedPipe)
	}
	if len(buffer) != 0 {
		t.Errorf("%q is left for the next connection", buffer)
	}
}
