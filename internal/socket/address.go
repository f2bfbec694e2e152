package socket

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"

	"layercake/internal/caller"

	"github.com/prometheus/client_golang/prometheus"
)

// addressLimit refuses sockets of a client address that has too many open already. The connection itself, not the socket, holds the place:
// it is released when the connection is closed, by whatever closes it, so no path of an error can forget it.
type addressLimit struct {
	limit   int // sockets of one client address; 0 for no limit
	refused prometheus.Counter

	mu   sync.Mutex
	open map[netip.Prefix]int
}

func newAddressLimit(limit int, refused prometheus.Counter) *addressLimit {
	return &addressLimit{limit: limit, open: make(map[netip.Prefix]int), refused: refused}
}

// admit reports whether a request may open a socket; if not, it answers the request. When the request opens none after all, its connection
// stays counted until it is closed, or until a request of another client comes over it; the next one of the same client counts no more.
func (l *addressLimit) admit(w http.ResponseWriter, r *http.Request) bool {
	conn, _ := r.Context().Value(connKey{}).(*clientConn)
	client := caller.From(r.Context())
	if l.limit == 0 || conn == nil || conn.acquire(l, client.Network()) {
		return true
	}
	l.refused.Inc()
	address := "an address that no proxy names"
	if client.Address.IsValid() {
		address = client.Address.String()
	}
	tooMany(w, fmt.Sprintf("%d sockets are open from %s, which are all that may be (LAYERCAKE_SOCKETS_PER_ADDRESS; "+
		"behind a proxy also LAYERCAKE_TRUSTED_PROXIES)", l.limit, address))
	return false
}

func (l *addressLimit) acquire(client netip.Prefix) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[client] >= l.limit {
		return false
	}
	l.open[client]++
	return true
}

func (l *addressLimit) release(client netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[client]--; l.open[client] == 0 {
		delete(l.open, client)
	}
}

// Listener accepts connections that can hold a place of their client's address.
type Listener struct{ net.Listener }

// Accept waits for the next connection.
func (l Listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &clientConn{Conn: conn}, nil
}

type connKey struct{}

// WithConn puts a connection of a Listener into the context of its requests. It is the ConnContext of an HTTP server.
func WithConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// clientConn is a client's connection that can hold a place of its address.
type clientConn struct {
	net.Conn

	mu      sync.Mutex
	limit   *addressLimit // nil while it holds no place
	network netip.Prefix
	closed  bool
}

// acquire takes a place, until the connection is closed. It reports whether the connection holds one. A proxy may send the requests of
// several clients over one connection, so the place is of the client whose request came last: an earlier one opened no socket.
func (c *clientConn) acquire(l *addressLimit, client netip.Prefix) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.limit != nil && c.network == client:
		return true
	case c.closed || !l.acquire(client):
		return false
	}
	c.release()
	c.limit, c.network = l, client
	return true
}

// release gives the place up, if the connection holds one. The mutex is held.
func (c *clientConn) release() {
	if c.limit != nil {
		c.limit.release(c.network)
		c.limit = nil
	}
}

// CloseWrite tells the client that nothing more will come. The HTTP server asks for it when it answers a request that it does not read to
// its end: such a connection is reset soon after, and only a client that has seen the end has the answer by then.
func (c *clientConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Close closes the connection and releases its place.
func (c *clientConn) Close() error {
	err := c.Conn.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.release()
	c.closed = true
	return err
}
