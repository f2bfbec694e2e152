package socket

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"layercake/internal/caller"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// addressLimit refuses sockets of a client address that has so many open already. The place is the connection's: it is free again when
// the connection is closed, by whoever does it.
type addressLimit struct {
	limit   int // 0 for none
	refused prometheus.Counter

	mu   sync.Mutex
	open map[netip.Prefix]int
}

func newAddressLimit(limit int, metrics prometheus.Registerer) *addressLimit {
	return &addressLimit{
		limit: limit, open: make(map[netip.Prefix]int),
		refused: promauto.With(metrics).NewCounter(prometheus.CounterOpts{
			Namespace: "layercake", Name: "sockets_refused_total",
			Help: "Sockets that were refused because their client address had too many open.",
		}),
	}
}

// retryAfter is when a client that has too many sockets may try again.
const retryAfter = 10 * time.Second

// admit lets a request open a socket, or answers it. A request that opens none after all leaves its connection counted for the next one.
func (l *addressLimit) admit(w http.ResponseWriter, r *http.Request) bool {
	conn, _ := r.Context().Value(connKey{}).(*clientConn)
	client := caller.From(r.Context()).Address
	if l.limit == 0 || conn == nil || conn.count(l, clientNetwork(client)) {
		return true
	}
	l.refused.Inc()
	w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter.Seconds())))
	address := "an address that no proxy names"
	if client.IsValid() {
		address = client.String()
	}
	http.Error(w, fmt.Sprintf("%d sockets are open from %s, which are all that may be (LAYERCAKE_SOCKETS_PER_ADDRESS; "+
		"behind a proxy also LAYERCAKE_TRUSTED_PROXIES)", l.limit, address), http.StatusTooManyRequests)
	return false
}

// clientNetwork returns what counts as one client: an IPv4 address, or the network of an IPv6 one, which has addresses without end.
func clientNetwork(a netip.Addr) netip.Prefix {
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.WithZone("").Prefix(bits) // the zero prefix for an address that is not known
	return p
}

func (l *addressLimit) take(client netip.Prefix) bool {
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

// Listener accepts connections of clients, which can count as sockets of their addresses.
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

// WithConn lets requests find their connection, which comes from a Listener. It is the ConnContext of an HTTP server.
func WithConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// clientConn is a client's connection that knows whether it counts as a socket.
type clientConn struct {
	net.Conn

	mu     sync.Mutex
	counts *addressLimit // nil while it does not count
	client netip.Prefix
	closed bool
}

// count makes the connection count until it is closed. It reports whether it does.
func (c *clientConn) count(l *addressLimit, client netip.Prefix) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.counts != nil:
		return true
	case c.closed || !l.take(client):
		return false
	}
	c.counts, c.client = l, client
	return true
}

// Close closes the connection; its place is free afterwards.
func (c *clientConn) Close() error {
	err := c.Conn.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counts != nil {
		c.counts.release(c.client)
		c.counts = nil
	}
	c.closed = true
	return err
}
