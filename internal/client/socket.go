package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"
)

const (
	pingPeriod = 5 * time.Second
	maxSilence = 3 * pingPeriod // limit for a replica, which answers pings and takes what is written to it

	signIn = websocket.StatusCode(4401) // code by which a replica closes a socket whose credential does not count
)

// Dialer opens sockets. The zero value asks for nothing special.
type Dialer struct {
	Timeout time.Duration                // limit for opening, with the greeting; 0 for that of the context
	Header  http.Header                  // header of the request for the socket
	Wrap    func(conn net.Conn) net.Conn // replaces each connection before it is used; nil for no change
	From    net.Addr                     // address of this machine that sockets come from; nil for any
}

// limit bounds how long opening a socket may take.
func (d Dialer) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	if d.Timeout == 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, d.Timeout)
}

// Socket carries text frames to a replica and back. One goroutine may receive while others send.
type Socket struct{ conn *websocket.Conn }

// Unopened is a replica's answer to the request for a socket that it did not open.
type Unopened struct {
	Status int
	Header http.Header
	Text   string // beginning of the body, at most 1 kB
	cause  error
}

// Error says what the replica answered.
func (u *Unopened) Error() string { return fmt.Sprintf("%v: %s", u.cause, u.Text) }

// Closed is the error of a socket that a replica closed.
type Closed struct {
	Code       websocket.StatusCode
	Reason     string
	RetryAfter time.Duration // wait that the reason asks for before coming back; 0 when it asks for none
	cause      error
}

// Error says what was being done, and both code and reason.
func (c *Closed) Error() string { return c.cause.Error() }

// Open opens a socket at a path of a replica. The context bounds only that. The error is an *Unopened when the replica answered.
func (d Dialer) Open(ctx context.Context, url, path string, subprotocols ...string) (*Socket, error) {
	ctx, cancel := d.limit(ctx)
	defer cancel()
	// Each socket has a connection of its own, and goes straight to the replica.
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{LocalAddr: d.From}).DialContext(ctx, network, address)
		if err == nil && d.Wrap != nil {
			conn = d.Wrap(conn)
		}
		return conn, err
	}}
	conn, response, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(url, "http")+path, &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: transport}, HTTPHeader: d.Header, Subprotocols: subprotocols,
	})
	if response == nil || response.Body == nil { // the body belongs to the connection now
		if err != nil {
			return nil, err
		}
		conn.SetReadLimit(maxAnswer)
		return &Socket{conn}, nil
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body) // the library has read it
	return nil, &Unopened{Status: response.StatusCode, Header: response.Header, Text: strings.TrimSpace(string(text)), cause: err}
}

// Send sends a text frame. It fails when the replica does not take it within 15 s.
func (s *Socket) Send(ctx context.Context, frame []byte) error {
	ctx, cancel := context.WithTimeout(ctx, maxSilence)
	defer cancel()
	return s.conn.Write(ctx, websocket.MessageText, frame)
}

// Receive returns the next frame. The error is a *Closed when the replica closed the socket. After any error the socket is unusable.
func (s *Socket) Receive(ctx context.Context) ([]byte, error) {
	_, frame, err := s.conn.Read(ctx)
	return frame, asClosed(err)
}

// asClosed returns a *Closed for the error of a socket that a replica closed, and any other error as it is.
func asClosed(err error) error {
	var end websocket.CloseError
	if !errors.As(err, &end) {
		return err
	}
	var reason struct{ RetryAfterMS int }
	_ = json.Unmarshal([]byte(end.Reason), &reason) // most reasons are words, not JSON
	return &Closed{Code: end.Code, Reason: end.Reason, RetryAfter: time.Duration(reason.RetryAfterMS) * time.Millisecond, cause: err}
}

// Discard reads the next frame without keeping it, and returns its size. Its errors are those of Receive.
func (s *Socket) Discard(ctx context.Context) (int64, error) {
	_, frame, err := s.conn.Reader(ctx)
	if err != nil {
		return 0, asClosed(err)
	}
	n, err := io.Copy(io.Discard, frame)
	return n, asClosed(err)
}

// Close says goodbye, and waits some seconds for the replica's.
func (s *Socket) Close() error {
	return s.conn.Close(websocket.StatusNormalClosure, "Client disconnect")
}

// CloseNow ends the connection without a word. Closing again does nothing.
func (s *Socket) CloseNow() { _ = s.conn.CloseNow() }
