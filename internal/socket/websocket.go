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

// WebSocket is a socket that speaks WebSocket. It implements all of Conn except OnClose. One goroutine reads until Read reports false, and
// then calls Release. Any goroutine may send.
type WebSocket struct {
	*Socket

	conn *websocket.Conn
	raw  *batchConn // the connection below conn

	sending  sync.Mutex
	deadline *time.Timer // cuts the connection off unless it is stopped in time; nil before the first message
}

// Accept makes a WebSocket of the socket, which speaks one of the subprotocols, or none if the client offers none of them. A request that
// cannot become one is answered; then Accept ends the socket and returns nil.
func (s *Socket) Accept(w http.ResponseWriter, r *http.Request, subprotocols ...string) *WebSocket {
	taken := &hijacker{ResponseWriter: w}
	conn, err := websocket.Accept(taken, r, &websocket.AcceptOptions{
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
	return &WebSocket{Socket: s, conn: conn, raw: taken.conn}
}

// hijacker wraps the connection that the library takes over through it in a batchConn, and gives it buffers of the size of our frames: the
// HTTP server's buffers would be half of the memory of an idle socket.
type hijacker struct {
	http.ResponseWriter
	conn *batchConn
}

const bufferSize = 512

// Hijack takes the connection over.
func (t *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffer, err := http.NewResponseController(t.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	t.conn = &batchConn{Conn: conn}
	in := bufio.NewReaderSize(conn, bufferSize)
	if n := buffer.Reader.Buffered(); n > 0 { // the client sent its first frames before it had the answer
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

// Subprotocol returns the subprotocol that was agreed on, "" for none.
func (c *WebSocket) Subprotocol() string { return c.conn.Subprotocol() }

// Read returns the next message of the client. It reports false when the socket is closed, and closes it when nothing more can be read. A
// message that arrives after the socket was closed is dropped, so a client that was sent away changes nothing any more.
func (c *WebSocket) Read() (kind websocket.MessageType, message []byte, ok bool) {
	kind, message, err := c.conn.Read(context.Background())
	if err != nil {
		c.Close(readFailure(err))
		return 0, nil, false
	}
	c.Hear()
	return kind, message, !c.Closed()
}

// readFailure returns the reason when nothing more can be read.
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

// Send sends a message by calling a function that writes it; one such function runs at a time. It reports whether the function succeeded;
// after a failure the socket is closed. A client that does not take the message before the write deadline is cut off, which wakes everybody
// who waits for that client.
//
// Nothing is sent once the socket is closed, because the close frame has to be the last one. The library writes a message in pieces of its
// small buffer; they share a system call.
func (c *WebSocket) Send(write func(*websocket.Conn) error) bool {
	c.sending.Lock()
	defer c.sending.Unlock()
	return !c.Closed() && c.withDeadline(func() (err error) {
		if c.raw.buffer() { // otherwise Batch buffers already, and releases
			defer func() { err = errors.Join(err, c.raw.release()) }() // after a panic, too: the close frame must not stay in the buffer
		}
		return write(c.conn)
	})
}

// Batch sends what send sends in as few system calls as possible.
func (c *WebSocket) Batch(send func()) {
	if c.raw.buffer() {
		defer func() {
			c.sending.Lock()
			defer c.sending.Unlock()
			c.withDeadline(c.raw.release) // also when the socket was closed meanwhile: its close frame may be in the buffer
		}()
	}
	send()
}

// withDeadline writes before the write deadline, while sending is held. The deadline is a timer that cuts the connection off, because that
// wakes everybody who waits for the peer. A deadline of the connection itself would also fail frames that the library writes on its own.
func (c *WebSocket) withDeadline(write func() error) bool {
	if c.deadline == nil {
		c.deadline = time.AfterFunc(c.transport.timing.Write, func() { c.Cut(Slow) })
	} else {
		c.deadline.Reset(c.transport.timing.Write)
	}
	err := write()
	c.deadline.Stop()
	if err != nil && !errors.Is(err, net.ErrClosed) { // a connection that is closed has its reason, or the reader finds it
		c.Cut(Lost)
	}
	return err == nil
}

// Ping sends a ping of the WebSocket protocol and waits for the answer, which the peer's library gives by itself. A transport whose
// protocol has pings of its own overrides it.
func (c *WebSocket) Ping() {
	ctx, cancel := context.WithTimeout(context.Background(), c.transport.timing.Write)
	defer cancel()
	_ = c.conn.Ping(ctx) // no need to handle a missing pong: see Probe
}

// Goodbye sends the close frame, waits some seconds for the peer's, and closes the connection.
func (c *WebSocket) Goodbye(reason Reason) {
	_ = c.conn.Close(websocket.StatusCode(reason.Code), clip(reason.Text))
}

// Abort closes the connection, and first the one below the library: that wakes the goroutines that read or write, which the library would
// wait for.
func (c *WebSocket) Abort() {
	_ = c.raw.Conn.Close()
	_ = c.conn.CloseNow()
}

// clip shortens a text to what a close frame holds.
func clip(text string) string {
	const most = 123
	return strings.ToValidUTF8(text[:min(len(text), most)], "")
}
