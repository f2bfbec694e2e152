package socket

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// MaxMessage is the size of the largest message that is taken from a client.
const MaxMessage = 64 << 10

// WebSocket is a socket that speaks WebSocket. It implements Conn but for OnClose. One goroutine reads until there is nothing
// more, and then calls Release. Any may send.
type WebSocket struct {
	*Socket

	conn *websocket.Conn
	raw  *batchConn // below conn

	sending  sync.Mutex
	deadline *time.Timer // cuts the connection off unless it is stopped; nil before the first message
}

// Accept makes a WebSocket of the socket, which speaks one of the subprotocols, or none if the client offers none of them. It answers a
// request that cannot become one, ends the socket, and returns nil.
func (s *Socket) Accept(w http.ResponseWriter, r *http.Request, subprotocols ...string) *WebSocket {
	tap := &hijackTap{ResponseWriter: w}
	conn, err := websocket.Accept(tap, r, &websocket.AcceptOptions{
		Subprotocols:       subprotocols,
		InsecureSkipVerify: true, // the route has checked the origin
		OnPingReceived:     func(context.Context, []byte) bool { s.Hear(); return true },
		OnPongReceived:     func(context.Context, []byte) { s.Hear() },
	})
	if err != nil {
		s.Release()
		return nil
	}
	conn.SetReadLimit(MaxMessage)
	return &WebSocket{Socket: s, conn: conn, raw: tap.conn}
}

// hijackTap remembers the connection that is taken over through it, and gives it buffers of the size of our frames: those of the HTTP
// server would be half of what an idle socket takes.
type hijackTap struct {
	http.ResponseWriter
	conn *batchConn
}

const bufferSize = 512

// Hijack takes the connection over.
func (t *hijackTap) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffer, err := http.NewResponseController(t.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	t.conn = &batchConn{Conn: conn}
	in := bufio.NewReaderSize(conn, bufferSize)
	if n := buffer.Reader.Buffered(); n > 0 { // the client did not wait for the answer
		early, err := buffer.Reader.Peek(n)
		if err != nil {
			return nil, nil, err
		}
		in = bufio.NewReaderSize(strings.NewReader(string(early)), max(bufferSize, n))
		if _, err := in.Peek(n); err != nil {
			return nil, nil, err
		}
	}
	return t.conn, bufio.NewReadWriter(in, bufio.NewWriterSize(t.conn, bufferSize)), nil
}

// Subprotocol returns the subprotocol that is spoken, "" when it is none of those that Accept was given.
func (c *WebSocket) Subprotocol() string { return c.conn.Subprotocol() }

// Read returns the next message of the client. When there is none it closes the socket and reports false: then it was closed already, or
// the client has gone. Whoever was told to go is not listened to any more.
func (c *WebSocket) Read() (kind websocket.MessageType, message []byte, ok bool) {
	kind, message, err := c.conn.Read(context.Background())
	if err != nil {
		c.Close(readFailure(err))
		return 0, nil, false
	}
	c.Hear()
	return kind, message, !c.Closed()
}

// readFailure returns why nothing more can be read.
func readFailure(err error) Reason {
	switch websocket.CloseStatus(err) {
	case websocket.StatusNormalClosure, websocket.StatusGoingAway, websocket.StatusNoStatusRcvd:
		return Client
	}
	if errors.Is(err, websocket.ErrMessageTooBig) {
		return TooBig
	}
	return Lost
}

// Write sends a text.
func (c *WebSocket) Write(text []byte) bool {
	return c.Send(func(conn *websocket.Conn) error {
		return conn.Write(context.Background(), websocket.MessageText, text)
	})
}

// Send sends a message by a function that writes it, one at a time. It reports whether the function succeeded; after a failure the
// socket is closed. A client that does not take the message before the write deadline is cut off, and keeps nobody waiting longer.
//
// Nothing is sent once the socket is closed: the library refuses what comes after the close frame. The library writes a message in pieces
// of its small buffer, but they share a system call.
func (c *WebSocket) Send(write func(*websocket.Conn) error) bool {
	c.sending.Lock()
	defer c.sending.Unlock()
	return !c.Closed() && c.inTime(func() error {
		if !c.raw.buffer() { // Batch has done it
			return write(c.conn)
		}
		err := write(c.conn)
		return errors.Join(err, c.raw.release())
	})
}

// Batch sends what send sends in as few system calls as possible.
func (c *WebSocket) Batch(send func()) {
	began := c.raw.buffer()
	send()
	if began {
		c.sending.Lock()
		defer c.sending.Unlock()
		c.inTime(c.raw.release) // also when the socket was closed meanwhile: the close frame may be among it
	}
}

// inTime writes before the deadline. The mutex is held. The deadline is a timer which closes the connection, for that wakes everybody who
// waits for the peer; a deadline of the connection itself would also end what the library writes on its own.
func (c *WebSocket) inTime(write func() error) bool {
	if c.deadline == nil {
		c.deadline = time.AfterFunc(c.transport.timing.Write, func() { c.Cut(Slow) })
	} else {
		c.deadline.Reset(c.transport.timing.Write)
	}
	err := write()
	c.deadline.Stop()
	if err != nil && !errors.Is(err, net.ErrClosed) { // else whoever reads knows why it was closed
		c.Cut(Lost)
	}
	return err == nil
}

// Ping sends a ping of the WebSocket protocol and waits for the answer, which the peer's library gives by itself. A transport whose clients
// look for pings of their own protocol has a Ping of its own.
func (c *WebSocket) Ping() {
	ctx, cancel := context.WithTimeout(context.Background(), c.transport.timing.Write)
	defer cancel()
	_ = c.conn.Ping(ctx) // nobody missed an answer that does not come: see Probe
}

// Goodbye sends the close frame, waits some seconds for the peer's, and closes the connection.
func (c *WebSocket) Goodbye(reason Reason) {
	_ = c.conn.Close(websocket.StatusCode(reason.Code), clip(reason.Text))
}

// Abort closes the connection, first below the library: that wakes whoever reads or writes, for whom the library waits.
func (c *WebSocket) Abort() {
	_ = c.raw.Close()
	_ = c.conn.CloseNow()
}

// clip shortens a text to what a close frame holds.
func clip(text string) string {
	const most = 123
	return strings.ToValidUTF8(text[:min(len(text), most)], "")
}
