package socket

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"layercake/internal/caller"
)

// from returns a request of a client at an address, on a connection of its own.
func from(t *testing.T, address string) (*http.Request, net.Conn) {
	t.Helper()
	local, remote := net.Pipe()
	t.Cleanup(func() { _, _ = local.Close(), remote.Close() })
	conn := &clientConn{Conn: local}
	return over(conn, address), conn
}

// over returns a request of a client at an address on a connection.
func over(conn net.Conn, address string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil).WithContext(WithConn(context.Background(), conn))
	r.RemoteAddr = address
	var out *http.Request
	caller.Middleware(caller.Config{})(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { out = r })).
		ServeHTTP(httptest.NewRecorder(), r)
	return out
}

func TestSocketsOfAnAddress(t *testing.T) {
	t.Parallel()
	transport := New(Options{PerAddress: 2}).Transport("x", Timing{})
	enter := func(r *http.Request) int {
		w := httptest.NewRecorder()
		s := transport.Admit(w, r)
		if (s == nil) != (w.Code == http.StatusTooManyRequests) ||
			s == nil && (w.Header().Get("Retry-After") != "10" || !strings.Contains(w.Body.String(), "LAYERCAKE_SOCKETS_PER_ADDRESS")) {
			t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
		}
		if s == nil {
			return 0
		}
		s.Release() // the connection holds the place, not the socket
		return 1
	}
	one, conn := from(t, "203.0.113.7:1")
	other, _ := from(t, "203.0.113.7:2")
	third, gone := from(t, "203.0.113.7:3")
	if n := enter(one) + enter(one) + enter(other) + enter(third); n != 3 {
		t.Errorf("%d were admitted, want two requests of one connection, and one of another", n)
	}
	for address, want := range map[string]int{"203.0.113.8:1": 1, "[2001:db8::1]:1": 1, "[2001:db8::2]:1": 1} {
		if r, _ := from(t, address); enter(r) != want {
			t.Errorf("%s: want %d", address, want)
		}
	}
	for address, want := range map[string]int{"[2001:db8::ffff:3]:1": 0, "[2001:db8:0:1::3]:1": 1} { // the first is of the same network
		if r, _ := from(t, address); enter(r) != want {
			t.Errorf("%s: want %d", address, want)
		}
	}
	_, _ = conn.Close(), conn.Close()
	if enter(third) != 1 {
		t.Error("the place of a closed connection is taken")
	}
	_ = gone.Close()
	if enter(third) != 0 {
		t.Error("a closed connection takes a place, which nobody would give back")
	}
	if fresh, _ := from(t, "203.0.113.7:4"); enter(fresh) != 1 {
		t.Error("the place of the other closed connection is taken")
	}
	unlimited := New(Options{}).Transport("x", Timing{})
	for range 10 {
		r, _ := from(t, "203.0.113.7:1")
		unlimited.Admit(httptest.NewRecorder(), r).Release()
	}
}

// A proxy sends requests of many clients over the connections that it keeps. A handshake that was refused for another reason leaves its
// client's place to such a connection, and then the next client's socket on it was counted for nobody.
func TestSocketOnAConnectionThatServedAnotherClient(t *testing.T) {
	t.Parallel()
	transport := New(Options{PerAddress: 1}).Transport("x", Timing{})
	enter := func(r *http.Request) bool {
		s := transport.Admit(httptest.NewRecorder(), r)
		if s != nil {
			s.Release()
		}
		return s != nil
	}
	const mine, theirs = "203.0.113.7:1", "203.0.113.8:1"
	first, _ := from(t, mine)
	other, kept := from(t, theirs)
	if !enter(first) || !enter(other) {
		t.Fatal("the first socket of an address is refused")
	}
	if enter(over(kept, mine)) {
		t.Error("a second socket is open, on a connection that was counted for another client")
	}
	third, shared := from(t, "[::ffff:203.0.113.9]:1") // an IPv4 address as IPv6 writes it
	if !enter(third) || !enter(over(shared, "203.0.113.10:1")) {
		t.Error("a client is refused, though it has no socket")
	}
	if again, _ := from(t, "203.0.113.9:1"); !enter(again) {
		t.Error("the connection that serves another client now still holds the place of the former")
	}
	if again, _ := from(t, "203.0.113.10:1"); enter(again) {
		t.Error("the connection does not hold the place of the client that it serves now")
	}
	nameless, _ := from(t, "nonsense")
	if another, _ := from(t, ""); !enter(nameless) || enter(another) {
		t.Error("addresses that are none do not share one limit")
	}
}
