package server

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/go-chi/chi/v5/middleware"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// clientAddress notes in a request's context where its client is: at the other end of the connection, or, when that is a proxy that
// is trusted, where the proxy says.
func (s *Server) clientAddress(next http.Handler) http.Handler {
	if len(s.cfg.TrustedProxies) == 0 {
		return middleware.ClientIPFromRemoteAddr(next)
	}
	return middleware.ClientIPFromXFF(s.cfg.TrustedProxies...)(next)
}

// socketLimit refuses sockets of a client address that has so many open already.
type socketLimit struct {
	limit   int
	refused prometheus.Counter

	mu   sync.Mutex
	open map[netip.Prefix]int
}

func newSocketLimit(limit int, registry prometheus.Registerer) *socketLimit {
	return &socketLimit{
		limit: limit, open: make(map[netip.Prefix]int),
		refused: promauto.With(registry).NewCounter(prometheus.CounterOpts{
			Namespace: "layercake", Name: "sockets_refused_total",
			Help: "Sockets that were refused because their client address had too many open.",
		}),
	}
}

// retryAfterSockets is when a client that has too many sockets may try again.
const retryAfterSockets = 10 * time.Second

// guard lets a request open a socket, and every request that opens none. The place is free again when the connection is closed, by
// whoever does it.
func (l *socketLimit) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _ := r.Context().Value(clientConnKey{}).(*clientConn)
		client := household(middleware.GetClientIPAddr(r.Context()))
		if l.limit == 0 || conn == nil || r.Header.Get("Upgrade") == "" || conn.counted(l, client) {
			next.ServeHTTP(w, r)
			return
		}
		l.refused.Inc()
		w.Header().Set("Retry-After", strconv.Itoa(int(retryAfterSockets.Seconds())))
		address := cmp.Or(middleware.GetClientIP(r.Context()), "an address that no proxy names")
		http.Error(w, fmt.Sprintf("%d sockets are open from %s, which are all that may be (LAYERCAKE_SOCKETS_PER_ADDRESS; "+
			"behind a proxy also LAYERCAKE_TRUSTED_PROXIES)", l.limit, address), http.StatusTooManyRequests)
	})
}

// household returns what counts as one client: an IPv4 address, or the network of an IPv6 one, which has addresses without end.
func household(a netip.Addr) netip.Prefix {
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.WithZone("").Prefix(bits) // the zero prefix for an address that is not known
	return p
}

func (l *socketLimit) take(client netip.Prefix) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[client] >= l.limit {
		return false
	}
	l.open[client]++
	return true
}

func (l *socketLimit) giveBack(client netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[client]--; l.open[client] == 0 {
		delete(l.open, client)
	}
}

// clientConn is a client's connection that knows whether it counts as a socket.
type clientConn struct {
	net.Conn
	mu     sync.Mutex
	counts *socketLimit // nil while it does not count
	client netip.Prefix
	closed bool
}

// counted makes the connection count until it is closed. It reports whether it does: a request that was no handshake after all
// leaves it counted for the next one.
func (c *clientConn) counted(l *socketLimit, client netip.Prefix) bool {
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
		c.counts.giveBack(c.client)
		c.counts = nil
	}
	c.closed = true
	return err
}

// clientListener accepts connections of clients.
type clientListener struct{ net.Listener }

// Accept waits for the next connection.
func (l clientListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &clientConn{Conn: conn}, nil
}

type clientConnKey struct{}

// withClientConn lets requests find their connection.
func withClientConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, clientConnKey{}, c)
}
