package collab

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
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

func (c *counted) SetWriteDeadline(time.Time) error { return nil }

func TestFramesOfAPushShareWritesInOrder(t *testing.T) {
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
		c.hold()
		for n := range byte(100) {
			write(n, n, n)
		}
		if err := c.release(time.Second); err != nil {
			t.Fatal(err)
		}
	}
	if len(peer.writes) != 2 {
		t.Errorf("%d writes for two pushes, want 2", len(peer.writes))
	}
	write(1)
	c.hold()
	write(2)
	write(bytes.Repeat([]byte{3}, maxBatch)...)
	write(bytes.Repeat([]byte{4}, 2*maxBatch)...)
	write(5)
	if err := c.release(time.Second); err != nil {
		t.Fatal(err)
	}
	if got := bytes.Join(peer.writes, nil); !bytes.Equal(got, want) {
		t.Errorf("%d bytes arrived, want the %d that were written, in order", len(got), len(want))
	}
	before := len(peer.writes)
	c.hold()
	if err := c.release(time.Second); err != nil || len(peer.writes) != before {
		t.Errorf("an empty push made %d writes, %v", len(peer.writes)-before, err)
	}
}

func TestReleaseEndsWhenThePeerDoesNotRead(t *testing.T) {
	t.Parallel()
	local, remote := net.Pipe()
	defer func() { _ = remote.Close() }()
	c := &batchConn{Conn: local}
	c.hold()
	if _, err := c.Write([]byte("held")); err != nil {
		t.Fatal(err)
	}
	if err := c.release(10 * time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("release: %v, want a deadline that was exceeded", err)
	}
	_ = local.Close()
	c.hold()
	if _, err := c.Write([]byte("late")); err != nil {
		t.Fatal(err)
	}
	if err := c.release(time.Second); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("release of a closed connection: %v", err)
	}
}

// closedConn fails as a connection does that was closed in the middle of a push.
type closedConn struct{ net.Conn }

func (closedConn) SetWriteDeadline(time.Time) error { return net.ErrClosed }

// What a closed connection did not take must not reach the connection that uses the buffer next.
func TestWhatIsLeftOfAPushReachesNobodyElse(t *testing.T) {
	t.Parallel()
	buffer := make([]byte, 0, maxBatch)
	c := &batchConn{Conn: closedConn{}, held: &buffer}
	if _, err := c.Write([]byte("of somebody else")); err != nil {
		t.Fatal(err)
	}
	if err := c.empty(time.Second); !errors.Is(err, net.ErrClosed) { // release would give the buffer to others, who write into it
		t.Errorf("empty: %v, want %v", err, net.ErrClosed)
	}
	if len(buffer) != 0 {
		t.Errorf("%q is left for the next connection", buffer)
	}
}
