// Package pgproxy loses the network between a replica and its database, for fault tests.
//
// It passes sessions on, and makes some of them half-open without a word. It knows a session by its application_name, and so harms one
// role of one program while the others go on.
package pgproxy

import (
	"bytes"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
)

// Proxy passes sessions on to a server until Close.
type Proxy struct {
	listener net.Listener
	running  sync.WaitGroup

	mu               sync.Mutex
	network, address string // where the server listens
	links            map[*link]bool
	fuse             []byte // text that silences the next session which sends it
	sent, received   func([]byte) []byte
	closed           bool
}

// link is one session.
type link struct {
	application    string
	client, server net.Conn
	silent         atomic.Bool
}

// Start listens on a port of 127.0.0.1 that the system chooses, and passes on to a server's address, such as "unix" and the path
// of its socket. The caller closes.
func Start(network, address string) (*Proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for sessions: %w", err)
	}
	p := &Proxy{listener: listener, network: network, address: address, links: make(map[*link]bool)}
	p.running.Go(p.accept)
	return p, nil
}

// Addr is the host:port that clients connect to.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Switch leads sessions that begin from now on to another server. Open sessions stay where they are.
func (p *Proxy) Switch(network, address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.network, p.address = network, address
}

// Silence makes the open sessions half-open whose application_name matches: nothing gets through any more, and neither side is
// told. Later sessions are not concerned. It returns how many there were.
func (p *Proxy) Silence(matches func(application string) bool) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		if matches(l.application) && !l.silent.Swap(true) {
			n++
		}
	}
	return n
}

// SilenceAt makes the next session half-open that sends text, before it is passed on.
func (p *Proxy) SilenceAt(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fuse = []byte(text)
}

// Armed reports whether SilenceAt still waits for its text.
func (p *Proxy) Armed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fuse != nil
}

// Rewrite changes what sessions that begin from now on send to the server and receive from it, in pieces as they come.
func (p *Proxy) Rewrite(sent, received func([]byte) []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent, p.received = sent, received
}

// Close ends all sessions, and returns when nothing of them is left.
func (p *Proxy) Close() error {
	err := p.listener.Close()
	p.mu.Lock()
	p.closed = true
	for l := range p.links {
		l.close()
	}
	p.mu.Unlock()
	p.running.Wait()
	return err
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.running.Go(func() { p.serve(client) })
	}
}

func (p *Proxy) serve(client net.Conn) {
	l := &link{client: client}
	if !p.add(l) {
		_ = client.Close()
		return
	}
	defer p.remove(l)
	start := make([]byte, 4096)
	n, err := client.Read(start) // the start-up message, in one piece: it is small
	if err != nil {
		return
	}
	if err := p.connect(l, start[:n]); err != nil {
		return
	}
	if _, err := l.server.Write(start[:n]); err != nil {
		return
	}
	p.mu.Lock()
	sent, received := p.sent, p.received
	p.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { l.copy(l.server, client, sent, p.burns) })
	both.Go(func() { l.copy(client, l.server, received, nil) })
	both.Wait()
}

func (p *Proxy) add(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.links[l] = true
	}
	return !p.closed
}

func (p *Proxy) remove(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
	l.close()
}

// connect dials the server for a session that begins.
func (p *Proxy) connect(l *link, start []byte) error {
	p.mu.Lock()
	network, address := p.network, p.address
	p.mu.Unlock()
	server, err := net.Dial(network, address)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	l.server = server
	if _, name, ok := bytes.Cut(start, []byte("application_name\x00")); ok {
		name, _, _ = bytes.Cut(name, []byte{0})
		l.application = string(name)
	}
	if p.closed {
		l.close()
	}
	return nil
}

// burns reports whether sent is what the fuse waits for, once.
func (p *Proxy) burns(sent []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fuse == nil || !bytes.Contains(sent, p.fuse) {
		return false
	}
	p.fuse = nil
	return true
}

// copy passes on what it reads, rewritten, or nothing once the link is silent, which burns may make it.
func (l *link) copy(to, from net.Conn, rewrite func([]byte) []byte, burns func([]byte) bool) {
	defer l.close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		piece := buf[:n]
		if burns != nil && burns(piece) {
			l.silent.Store(true)
		}
		if l.silent.Load() {
			continue
		}
		if rewrite != nil {
			piece = rewrite(piece)
		}
		if _, err := to.Write(piece); err != nil {
			return
		}
	}
}

func (l *link) close() {
	_ = l.client.Close() // one side may have closed it before
	if l.server != nil {
		_ = l.server.Close()
	}
}
