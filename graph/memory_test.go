package graph_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"layercake/internal/budget"
	"layercake/internal/caller"
)

// narrow serves sockets whose buffers in the kernel are as small as it allows, so that what is not read soon waits in the server.
func (s *site) narrow(t testing.TB) string {
	t.Helper()
	server := httptest.NewUnstartedServer(caller.Middleware(caller.Config{Open: true})(s.WebSocket()))
	server.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if err := c.(*net.TCPConn).SetWriteBuffer(1); err != nil {
			t.Error(err)
		}
		return ctx
	}
	server.Start()
	t.Cleanup(server.Close)
	return server.URL
}

// bare is a socket of a client that takes next to no memory.
type bare struct{ net.Conn }

// open opens a socket and initialises it. Frames that it sends are short.
func open(t testing.TB, url string) bare {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.(*net.TCPConn).SetReadBuffer(1); err != nil {
		t.Fatal(err)
	}
	b := bare{c}
	if _, err := fmt.Fprintf(c, "GET /graphql/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(c)
	if response, err := http.ReadResponse(in, nil); err != nil || response.StatusCode != http.StatusSwitchingProtocols { //nolint:bodyclose // there is none
		t.Fatal(response, err)
	}
	b.send(t, `{"type":"connection_init"}`)
	ack := make([]byte, 2+len(`{"type":"connection_ack","payload":{"replica":"","version":"","page":""}}`))
	if _, err := io.ReadFull(in, ack); err != nil || in.Buffered() > 0 {
		t.Fatal(string(ack), err)
	}
	return b
}

// send sends a text in one frame, masked with zeros.
func (b bare) send(t testing.TB, text string) {
	t.Helper()
	header := []byte{0x81, 0x80 | 126}
	header = binary.BigEndian.AppendUint16(header, uint16(len(text)))
	if _, err := b.Write(append(append(header, 0, 0, 0, 0), text...)); err != nil {
		t.Fatal(err)
	}
}

// memory is what this process holds, as far as it depends on what it holds open.
func memory() uint64 {
	runtime.GC()
	runtime.GC() // what pools held
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// raced reports whether the race detector is on: stacks are larger then.
func raced() bool {
	info, _ := debug.ReadBuildInfo()
	return slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// Subscribers that stop reading cost little, keep nobody else from their events, and are cut off after one write deadline.
func TestStalledReaders(t *testing.T) { //nolint:paralleltest // it measures the memory of the process
	const (
		stalled = 50
		events  = 20
		patient = 6 * time.Second
		most    = 256 << 10 // bytes for each
	)
	s := online(t, hurry(deadline, deadline, deadline, patient))
	url := s.narrow(t)
	p := s.newProject(t)
	s.call(t, "AddPlanDagNode", vars{"projectId": p, "node": nodeInput("a", "GraphNode")}, new(any))
	document := func() string {
		return fmt.Sprintf(`subscription { planEvents(projectId: %d, after: %q) { version operations { before after } } }`, p, s.cursor(t, p))
	}

	reader := s.dial(t, nil)
	follow(t, reader, "1", document())
	version := 1
	// flow makes large events and returns how long the reader waits for each, from before its request.
	flow := func() []time.Duration {
		var waits []time.Duration
		for range events {
			version++
			start := time.Now()
			config := fmt.Sprintf(`{"a":"%d%s"}`, version, strings.Repeat("x", 20<<10))
			s.call(t, "UpdatePlanDagNode", vars{"projectId": p, "nodeId": "a", "updates": vars{"config": config}}, new(any))
			if got := hear(t, reader); !strings.Contains(got, fmt.Sprintf(`"version":%d,`, version)) {
				t.Fatalf("got %.100s", got)
			}
			waits = append(waits, time.Since(start))
		}
		slices.Sort(waits)
		return waits
	}
	alone := flow()
	subscription := fmt.Sprintf(`{"id":"1","type":"subscribe","payload":{"query":%q}}`, document())
	before := memory()
	for range stalled {
		open(t, url).send(t, subscription)
	}
	beside := flow()
	each := (int64(memory()) - int64(before)) / stalled
	if closed := s.value(t, "layercake_sockets_closed_total", "slow"); closed != 0 {
		t.Fatalf("%v were cut off before they were measured", closed)
	}
	if open := s.value(t, "layercake_sockets_open", ""); open != stalled+1 {
		t.Fatalf("%v sockets open", open)
	}
	t.Logf("%d bytes for each stalled reader; the median wait of another was %v without and %v with them, the longest %v and %v",
		each, alone[events/2], beside[events/2], alone[events-1], beside[events-1])
	if each > most {
		t.Errorf("%d bytes for each stalled reader, at most %d", each, most)
	}
	if longest := beside[events-1]; longest > patient/2 {
		t.Errorf("another reader waited %v", longest)
	}
	s.until(t, "layercake_sockets_closed_total", "slow", stalled)
	if open := s.value(t, "layercake_sockets_open", ""); open != 1 {
		t.Errorf("%v sockets open", open)
	}
	flow()
}

// What a request costs that has begun and waits for its body.
func TestRequestsThatWait(t *testing.T) { //nolint:paralleltest // it measures the memory of the process
	const (
		requests = 500
		most     = 32 << 10 // bytes for each
	)
	b := budget.New(budget.Config{})
	s := offline(t, within(b))
	before := memory()
	for range requests {
		c := dialRaw(t, s.url)
		if _, err := fmt.Fprint(c, "POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2000\r\n\r\n{"); err != nil {
			t.Fatal(err)
		}
	}
	b.Changed.Await(t, "all requests to begin", func() bool { return b.InFlight() == requests })
	each := (int64(memory()) - int64(before)) / requests
	t.Logf("%d bytes for each request, counted as %d", each, b.Taken()/requests)
	if each > most && !raced() {
		t.Errorf("%d bytes for each request, at most %d", each, most)
	}
}

// What an idle socket costs: one that only was opened, and one that follows a plan.
func TestIdleSockets(t *testing.T) { //nolint:paralleltest // it measures the memory of the process
	const (
		sockets = 1000
		most    = 50 << 10 // bytes for each
	)
	s := online(t, hurry(deadline, deadline, 2*deadline, deadline))
	p := s.newProject(t)
	after := s.cursor(t, p)
	for name, document := range map[string]string{
		"opened": "",
		"deltas": fmt.Sprintf(`subscription { planDagDeltaChanged(projectId: %d, after: %q) { version operations { op path value } } }`, p, after),
		"events": fmt.Sprintf(`subscription { planEvents(projectId: %d, after: %q) { version operations { kind before after } } }`, p, after),
	} {
		before := memory()
		goroutines := runtime.NumGoroutine()
		var conns []bare
		for range sockets {
			b := open(t, s.url)
			conns = append(conns, b)
			if document != "" {
				b.send(t, fmt.Sprintf(`{"id":"1","type":"subscribe","payload":{"query":%q}}`, document))
			}
		}
		if document != "" {
			s.until(t, "layercake_graphql_operations_in_flight", "subscription", sockets)
		}
		each := (int64(memory()) - int64(before)) / sockets
		t.Logf("%s: %d bytes and %.1f goroutines for each socket", name, each, float64(runtime.NumGoroutine()-goroutines)/sockets)
		if each > most && !raced() {
			t.Errorf("%s: %d bytes for each socket, at most %d", name, each, most)
		}
		for _, c := range conns {
			_ = c.Close()
		}
		s.until(t, "layercake_sockets_open", "", 0)
	}
}
