package fanout_test

import (
	"bytes"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// proxy stands between replicas and their server, and can lose the network of one role's sessions without a word.
type proxy struct {
	listener         net.Listener
	network, address string
	running          sync.WaitGroup

	mu    sync.Mutex
	links []*link
	fuse  []byte // the next session that sends this goes silent
}

// link is one session through the proxy.
type link struct {
	role           string // what follows the last slash of its application_name
	client, server net.Conn
	silent         atomic.Bool
}

// startProxy returns a proxy and the URL that leads through it.
func startProxy(t testing.TB, to string) (*proxy, string) {
	t.Helper()
	parsed, err := pgx.ParseConfig(to)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{}
	p.network, p.address = pgconn.NetworkAddress(parsed.Host, parsed.Port)
	if p.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	p.running.Go(p.accept)
	t.Cleanup(func() {
		_ = p.listener.Close()
		p.mu.Lock()
		for _, l := range p.links {
			l.close()
		}
		p.mu.Unlock()
		p.running.Wait()
	})
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(parsed.User, parsed.Password), Host: p.listener.Addr().String(),
		Path: parsed.Database, RawQuery: "sslmode=disable",
	}
	return p, u.String()
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.running.Go(func() { p.serve(client) })
	}
}

func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	first := make([]byte, 4096)
	n, err := client.Read(first) // the start-up message
	if err != nil {
		return
	}
	server, err := net.Dial(p.network, p.address)
	if err != nil {
		return
	}
	defer server.Close()
	l := &link{client: client, server: server}
	if _, name, ok := bytes.Cut(first[:n], []byte("application_name\x00")); ok {
		name, _, _ := bytes.Cut(name, []byte{0})
		l.role = string(name[bytes.LastIndexByte(name, '/')+1:])
	}
	p.mu.Lock()
	p.links = append(p.links, l)
	p.mu.Unlock()
	if _, err := server.Write(first[:n]); err != nil {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { l.copy(server, client, p.burns) })
	both.Go(func() { l.copy(client, server, nil) })
	both.Wait()
}

// burns reports whether sent is what the fuse waits for, once.
func (p *proxy) burns(sent []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fuse == nil || !bytes.Contains(sent, p.fuse) {
		return false
	}
	p.fuse = nil
	return true
}

// copy passes on what it reads, or nothing once the link is silent, which burns may make it.
func (l *link) copy(to, from net.Conn, burns func([]byte) bool) {
	defer l.close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if burns != nil && burns(buf[:n]) {
			l.silent.Store(true)
		}
		if l.silent.Load() {
			continue
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (l *link) close() {
	_ = l.client.Close()
	_ = l.server.Close()
}

// silenceAt makes the next session half-open that sends text.
func (p *proxy) silenceAt(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fuse = []byte(text)
}

// silence makes the open sessions of a role half-open: nothing gets through any more, and neither side is told. Later
// sessions are not concerned. It returns how many there were.
func (p *proxy) silence(role string) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.links {
		if strings.HasPrefix(l.role, role) && !l.silent.Swap(true) {
			n++
		}
	}
	return n
}
