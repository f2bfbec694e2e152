package mcpserver_test

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"layercake/internal/client"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server"
	"layercake/internal/server/servertest"
	"layercake/internal/socket"
)

// narrow is for connections that hold little of what their client does not read. Those of loopback hold megabytes otherwise.
var narrow = &net.Dialer{Control: func(_, _ string, conn syscall.RawConn) (err error) {
	failed := conn.Control(func(fd uintptr) {
		if err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096); err == nil {
			err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, 536)
		}
	})
	if err == nil {
		err = failed
	}
	return err
}}

// manyProjects is how many projects a stream listens to that hears of as much as one may.
const manyProjects = 21

// editAll changes all projects.
func editAll(t *testing.T, url string, round int) {
	t.Helper()
	var edits strings.Builder
	for n := range manyProjects {
		fmt.Fprintf(&edits, `e%d: addPlanDagNode(projectId: %d, node: {id: "n%d", nodeType: GraphNode, position: {x: 1, y: 2}, metadata: {label: "n"},
			config: "{}"}) { id } `, n, n+1, round)
	}
	ask(t, url, "mutation { "+edits.String()+" }")
}

// listenDeaf makes projects, and lets clients listen to all that one may, with an id that makes each update long. They read none.
func listenDeaf(t *testing.T, url string, clients int) (deaf []*thin) {
	t.Helper()
	var uris []string
	for n := range manyProjects {
		ask(t, url, newProject)
		for _, of := range []string{"", "/plan", "/changes"} {
			uris = append(uris, fmt.Sprintf("layercake://projects/%d%s", n+1, of))
		}
	}
	body := listenBody(`"`+strings.Repeat("x", 1000)+`"`, uris...)
	for range clients {
		l := openThin(t, narrow, http.MethodPost, url+"/mcp", body, modern("subscriptions/listen", "")...)
		l.await(t, "acknowledged")
		deaf = append(deaf, l)
	}
	return deaf
}

// openDeafSSE opens a session of 2024 whose client reads nothing after the address for its messages.
func openDeafSSE(t *testing.T, url string) (stream *thin, endpoint string) {
	t.Helper()
	stream = openThin(t, narrow, http.MethodGet, url+"/mcp/sse", "")
	endpoint = strings.TrimSpace(strings.TrimPrefix(stream.await(t, "data: /mcp/sse"), "data: "))
	post(t, url, endpoint, asker("2024-11-05"))
	return stream, endpoint
}

// A stream whose client does not read ends with the first write that takes too long, whether of updates or of answers.
func TestStalledStreamsEnd(t *testing.T) {
	t.Parallel()
	replica := servertest.Start(t, 1, func(c *server.Config) {
		c.AdminAddr = "127.0.0.1:0"
		c.Streams = socket.Timing{Ping: time.Hour, Silence: 4 * time.Hour, Write: time.Second}
	})[0]
	listenDeaf(t, replica.URL, 1)
	stream, endpoint := openDeafSSE(t, replica.URL)
	defer stream.conn.Close()
	for n := range 30 { // 18 kB each; those that come too late are refused
		post(t, replica.URL, endpoint, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/list"}`, n+2))
	}
	round := 0
	eventually(t, "both streams to be cut off", func() bool {
		round++
		editAll(t, replica.URL, round)
		metrics, err := client.Get(t.Context(), replica.Admin+"/metrics")
		return err == nil && strings.Contains(string(metrics.Text), "\nlayercake_sockets_closed_total{reason=\"slow\",transport=\"mcp\"} 2\n")
	})
}

// Answers that a client of 2024 does not read are few, however many it asks for, and others are served meanwhile.
func TestStalledAnswersHoldLittle(t *testing.T) {
	t.Parallel()
	const (
		streams, requests = 5, 40
		most              = 512 << 10 // bytes of one: two answers as large as the schema, and what waits; 40 are 2 MB
	)
	admin := servertest.Address(t)
	url := servertest.StartProcess(t, pgtest.New(t), servertest.Told{
		AdminAddr: admin, Streams: socket.Timing{Ping: time.Hour, Silence: 4 * time.Hour, Write: time.Hour},
	}.Variable()).URL
	ask(t, url, newProject)
	before := held(t, admin)
	for range streams {
		_, endpoint := openDeafSSE(t, url)
		for n := range requests {
			body := fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"resources/read","params":{"uri":"layercake://schema/graphql"}}`, n+2)
			if got := post(t, url, endpoint, body); got.status != http.StatusAccepted {
				t.Fatalf("request %d: %d %s", n, got.status, got.text)
			}
		}
	}
	eventually(t, "all streams to wait for their clients", func() bool { return writing(t, admin) == streams })
	neighbour := listenThin(t, url, "layercake://projects/1/plan")
	ask(t, url, addNode("a"))
	neighbour.await(t, "resources/updated")
	one := (held(t, admin) - before) / streams
	t.Logf("a stalled stream holds %d kB", one>>10)
	if one > most {
		t.Errorf("a stalled stream holds %d bytes, want at most %d", one, most)
	}
}

// While they wait for their clients, streams hold little, however much there is to tell, and others notice nothing.
func TestStalledStreamsHoldLittle(t *testing.T) {
	t.Parallel()
	const (
		streams, rounds = 10, 6
		most            = 256 << 10 // bytes of one; what there is to tell in the rounds is more
	)
	admin := servertest.Address(t)
	url := servertest.StartProcess(t, pgtest.New(t), servertest.Told{
		AdminAddr: admin, Streams: socket.Timing{Ping: time.Hour, Silence: 4 * time.Hour, Write: time.Hour},
	}.Variable()).URL
	stalled := listenDeaf(t, url, streams)
	round := 0
	eventually(t, "all streams to wait for their clients", func() bool {
		round++
		editAll(t, url, round)
		return writing(t, admin) == streams
	})
	neighbour := listenThin(t, url, "layercake://projects/1/plan")
	for range rounds {
		round++
		editAll(t, url, round)
		neighbour.await(t, "resources/updated")
	}
	_ = neighbour.conn.Close()
	during := held(t, admin)
	for _, s := range stalled {
		_ = s.conn.(*net.TCPConn).SetLinger(0)
		_ = s.conn.Close()
	}
	eventually(t, "the streams to end", func() bool {
		metrics, err := client.Metrics(t.Context(), "http://"+admin)
		return err == nil && metrics["layercake_sockets_open"] == 0
	})
	one := (during - held(t, admin)) / streams
	t.Logf("a stalled stream holds %d kB", one>>10)
	if one > most {
		t.Errorf("a stalled stream holds %d bytes, want at most %d", one, most)
	}
}

// writing returns how many streams wait for their clients to read.
func writing(t *testing.T, admin string) int {
	t.Helper()
	return running(t, admin, "[IO wait", "mcpserver.(*stream).")
}

// running returns how many goroutines of a process have all these words in their stacks.
func running(t *testing.T, admin string, words ...string) (n int) {
	t.Helper()
	stacks, err := client.Get(t.Context(), "http://"+admin+"/debug/pprof/goroutine?debug=2")
	if err != nil {
		t.Fatal(err)
	}
	for stack := range strings.SplitSeq(string(stacks.Text), "\n\n") {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(stack, w) }) {
			n++
		}
	}
	return n
}

// held returns the bytes that a process holds in its heap. Stacks are left out: the race detector makes them larger than they are.
func held(t *testing.T, admin string) int {
	t.Helper()
	for range 2 { // pools keep what they have over one
		if _, err := client.Get(t.Context(), "http://"+admin+"/debug/pprof/heap?gc=1"); err != nil {
			t.Fatal(err)
		}
	}
	metrics, err := client.Metrics(t.Context(), "http://"+admin)
	if err != nil {
		t.Fatal(err)
	}
	return int(metrics["go_gc_heap_live_bytes"])
}
