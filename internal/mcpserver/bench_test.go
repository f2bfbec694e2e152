package mcpserver_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"layercake/internal/auth"
	"layercake/internal/client"
	"layercake/internal/mcpserver"
	"layercake/internal/plan"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server/servertest"
)

// poster sends calls of 2026-07-28 over connections that it keeps.
type poster struct {
	url    string
	client *http.Client
	agents *atomic.Int64 // each call is of another agent, since one may make only so many a second; nil for one agent
}

func newPoster(b *testing.B, url string) poster {
	b.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 100}
	b.Cleanup(transport.CloseIdleConnections)
	return poster{url + "/mcp", &http.Client{Transport: transport}, nil}
}

func (p poster) call(b *testing.B, tool, arguments string) {
	b.Helper()
	r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, p.url, strings.NewReader(callBody(tool, arguments)))
	if err != nil {
		b.Error(err)
		return
	}
	r.Header.Set("Content-Type", "application/json")
	headers := modern("tools/call", tool)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	if p.agents != nil {
		r.Header.Set(mcpserver.AgentHeader, fmt.Sprint("Agent ", p.agents.Add(1)%1000))
	}
	response, err := p.client.Do(r)
	if err != nil {
		b.Error(err)
		return
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || bytes.Contains(text, []byte(`"isError":true`)) {
		b.Errorf("%v %d %s", err, response.StatusCode, text)
	}
}

// callBody is the body of a call.
func callBody(tool, arguments string) string {
	return `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{` + meta + `,"name":"` + tool + `","arguments":` + arguments + `}}`
}

// percentiles reports the times of what was measured, in milliseconds.
func percentiles(b *testing.B, name string, times []time.Duration) {
	b.Helper()
	slices.Sort(times)
	for _, p := range []int{50, 99} {
		b.ReportMetric(float64(times[len(times)*p/100].Microseconds())/1000, fmt.Sprintf("%s-p%d-ms", name, p))
	}
}

// BenchmarkEdit compares an edit by a tool with the same change in a core, one after the other in turn.
func BenchmarkEdit(b *testing.B) {
	database := pgtest.New(b)
	url := servertest.StartOn(b, database, 1, nil)[0].URL
	core := servertest.StartCoreOn(b, database, nil)
	p := newPoster(b, url)
	p.call(b, "create_project", `{"name":"P"}`)
	p.call(b, "edit_plan", `{"project_id":1,"operations":[{"op":"add_node","id":"n","node_type":"GraphNode"}]}`)
	var byTool, byCore []time.Duration
	n := 0
	for b.Loop() {
		n++
		pause(b, 20*time.Millisecond) // below the rate of an agent
		began := time.Now()
		p.call(b, "edit_plan", fmt.Sprintf(`{"project_id":1,"operations":[{"op":"move_node","id":"n","x":%d,"y":0}]}`, n))
		byTool = append(byTool, time.Since(began))
		edits, err := plan.ParseOperations(fmt.Appendf(nil, `[{"op":"move_node","id":"n","x":%d,"y":1}]`, n))
		if err != nil {
			b.Fatal(err)
		}
		began = time.Now()
		if _, err := core.Plans.Change(b.Context(), auth.Unchecked(auth.Agent("a", "a", "A"), 1), plan.Change{Edits: edits, Via: "mcp", Warnings: true}); err != nil {
			b.Fatal(err)
		}
		byCore = append(byCore, time.Since(began))
	}
	percentiles(b, "tool", byTool)
	percentiles(b, "core", byCore)
}

// BenchmarkUpdates measures from a change on one replica to the update on a listener of another.
func BenchmarkUpdates(b *testing.B) {
	replicas := servertest.Start(b, 2, nil)
	p := newPoster(b, replicas[0].URL)
	p.call(b, "create_project", `{"name":"P"}`)
	l := listenThin(b, replicas[1].URL, "layercake://projects/1/plan")
	var times []time.Duration
	n := 0
	for b.Loop() {
		n++
		pause(b, 120*time.Millisecond) // more than the pause between two updates
		began := time.Now()
		p.call(b, "edit_plan", fmt.Sprintf(`{"project_id":1,"operations":[{"op":"add_node","id":"n%d","node_type":"GraphNode"}]}`, n))
		l.await(b, "notifications/resources/updated")
		times = append(times, time.Since(began))
	}
	percentiles(b, "update", times)
}

// thin is a listener that takes next to nothing, so that thousands fit beside the server.
type thin struct {
	conn net.Conn
	in   *bufio.Reader
}

func listenThin(b testing.TB, url, uri string) *thin {
	b.Helper()
	l := openThin(b, &net.Dialer{}, http.MethodPost, url+"/mcp", listenBody("1", uri), modern("subscriptions/listen", "")...)
	l.await(b, "acknowledged")
	return l
}

// openThin sends a request over a connection of its own, which ends with the test.
func openThin(t testing.TB, dialer *net.Dialer, method, address, body string, headers ...string) *thin {
	t.Helper()
	host, path, _ := strings.Cut(strings.TrimPrefix(address, "http://"), "/")
	conn, err := dialer.DialContext(t.Context(), "tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	var request strings.Builder
	fmt.Fprintf(&request, "%s /%s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n", method, path, len(body))
	for i := 0; i < len(headers); i += 2 {
		request.WriteString(headers[i] + ": " + headers[i+1] + "\r\n")
	}
	if _, err := io.WriteString(conn, request.String()+"\r\n"+body); err != nil {
		t.Fatal(err)
	}
	return &thin{conn, bufio.NewReaderSize(conn, 512)}
}

// until reads until a line holds a text, and returns the line.
func (l *thin) until(text string) (string, error) {
	if err := l.conn.SetReadDeadline(time.Now().Add(pgtest.Patience)); err != nil {
		return "", err
	}
	for {
		line, err := l.in.ReadString('\n')
		if err != nil || strings.Contains(line, text) {
			return line, err
		}
	}
}

// await is until for a line that must come.
func (l *thin) await(t testing.TB, text string) string {
	t.Helper()
	line, err := l.until(text)
	if err != nil {
		t.Fatalf("waiting for %s: %v", text, err)
	}
	return line
}

// BenchmarkIdleListeners measures what a listener takes that has nothing to hear, 20 of each project.
func BenchmarkIdleListeners(b *testing.B) {
	const listeners, each = 2000, 20
	for b.Loop() {
		b.StopTimer()
		replica, admin := startMeasured(b)
		p := newPoster(b, replica.URL)
		for n := range listeners/each + 1 {
			p.call(b, "create_project", fmt.Sprintf(`{"name":"P%d"}`, n))
			pause(b, 20*time.Millisecond) // below the rate of an agent
		}
		for range 100 { // what the first cost is not theirs alone
			listenThin(b, replica.URL, fmt.Sprintf("layercake://projects/%d/plan", listeners/each+1))
		}
		before := memoryOf(b, replica, admin)
		b.StartTimer()
		for n := range listeners {
			listenThin(b, replica.URL, fmt.Sprintf("layercake://projects/%d/plan", n/each+1))
		}
		b.StopTimer()
		memoryOf(b, replica, admin).report(b, before, listeners, "listener")
		b.StartTimer()
	}
}

// pause lets some time go by between two things that are measured.
func pause(b *testing.B, d time.Duration) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), d)
	defer cancel()
	<-ctx.Done()
}

// startMeasured starts a replica whose memory is looked at.
func startMeasured(b *testing.B) (replica *servertest.Process, admin string) {
	b.Helper()
	admin = servertest.Address(b)
	return servertest.StartProcess(b, pgtest.New(b), servertest.Told{AdminAddr: admin}.Variable()), admin
}

// memory is what a replica uses, in bytes.
type memory struct {
	held     float64 // objects and stacks, without garbage
	resident float64 // memory of the process itself, and not of files that it maps
}

// memoryOf returns what a replica uses after collections of garbage: pools keep what they have over one, and each halves large stacks once.
func memoryOf(b *testing.B, replica *servertest.Process, admin string) memory {
	b.Helper()
	pause(b, 5*time.Second) // until what was begun has ended, and freed memory was given back
	for range 4 {
		if _, err := client.Get(b.Context(), "http://"+admin+"/debug/pprof/heap?gc=1"); err != nil {
			b.Fatal(err)
		}
	}
	metrics, err := client.Metrics(b.Context(), "http://"+admin)
	if err != nil {
		b.Fatal(err)
	}
	return memory{metrics["go_gc_heap_live_bytes"] + metrics["go_memstats_stack_inuse_bytes"], resident(b, replica.PID())}
}

// report reports what each of n things takes, since the memory was as before.
func (m memory) report(b *testing.B, before memory, n float64, thing string) {
	b.Helper()
	b.ReportMetric((m.held-before.held)/n, "held-B/"+thing)
	b.ReportMetric((m.resident-before.resident)/n, "resident-B/"+thing)
}

// resident returns the bytes of memory that a process holds, itself and not the files it maps.
func resident(b *testing.B, pid int) float64 {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Skipf("the memory of processes is not known here: %v", err)
	}
	for line := range strings.Lines(string(status)) {
		if value, found := strings.CutPrefix(line, "RssAnon:"); found {
			kilobytes, err := strconv.ParseFloat(strings.Fields(value)[0], 64)
			if err != nil {
				b.Fatal(err)
			}
			return kilobytes * 1024
		}
	}
	b.Fatal("no RssAnon")
	return 0
}

// BenchmarkCalls measures calls of 32 clients at once, each an agent of its own, that do next to nothing.
func BenchmarkCalls(b *testing.B) {
	url := servertest.Start(b, 1, nil)[0].URL
	p := newPoster(b, url)
	p.agents = new(atomic.Int64)
	b.SetParallelism(16)
	b.RunParallel(func(each *testing.PB) {
		for each.Next() {
			p.call(b, "describe_node_types", `{}`)
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
}

// BenchmarkIdleSSE measures what a session on /mcp/sse takes that says nothing, after it has introduced itself.
func BenchmarkIdleSSE(b *testing.B) {
	const sessions = 1000
	for b.Loop() {
		b.StopTimer()
		replica, admin := startMeasured(b)
		for range 100 { // what the first cost is not theirs alone
			openThinSSE(b, replica.URL)
		}
		before := memoryOf(b, replica, admin)
		b.StartTimer()
		for range sessions {
			openThinSSE(b, replica.URL)
		}
		b.StopTimer()
		memoryOf(b, replica, admin).report(b, before, sessions, "session")
		b.StartTimer()
	}
}

// openThinSSE opens a session on /mcp/sse and introduces it. It returns the session's address, too.
func openThinSSE(b *testing.B, url string) (l *thin, address string) {
	b.Helper()
	l = openThin(b, narrow, http.MethodGet, url+"/mcp/sse", "", "Accept", "text/event-stream")
	address = url + strings.TrimSpace(strings.TrimPrefix(l.await(b, "data: "), "data: "))
	sayThinSSE(b, address, `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2024-11-05","capabilities":{},`+
		`"clientInfo":{"name":"b","version":"1"}}}`)
	l.await(b, `"serverInfo"`)
	sayThinSSE(b, address, `{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	return l, address
}

// sayThinSSE sends a message to a session, and returns the status of the answer.
func sayThinSSE(b *testing.B, address, body string) (status int) {
	b.Helper()
	r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, address, strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		b.Fatal(err)
	}
	_ = response.Body.Close() // empty, or a refusal
	return response.StatusCode
}

// BenchmarkWaitingCalls measures what a call takes that waits for a change, 20 of each project, each of another agent.
func BenchmarkWaitingCalls(b *testing.B) {
	const calls, each = 900, 20 // an address may have 1,000 requests in flight
	for b.Loop() {
		b.StopTimer()
		replica, admin := startMeasured(b)
		p := newPoster(b, replica.URL)
		for n := range calls/each + 1 {
			p.call(b, "create_project", fmt.Sprintf(`{"name":"P%d"}`, n))
			pause(b, 20*time.Millisecond) // below the rate of an agent
		}
		for n := range 90 { // what the first cost is not theirs alone
			waitThin(b, replica.URL, calls/each+1, calls+n)
		}
		before := memoryOf(b, replica, admin)
		b.StartTimer()
		for n := range calls {
			waitThin(b, replica.URL, n/each+1, n)
		}
		b.StopTimer()
		memoryOf(b, replica, admin).report(b, before, calls, "call")
		b.StartTimer()
	}
}

// waitThin makes a call of an agent that waits for a change of a project for 50 s, and returns when it waits.
func waitThin(b *testing.B, url string, project, agent int) {
	b.Helper()
	headers := append(modern("tools/call", "list_changes"), mcpserver.AgentHeader, fmt.Sprint("Agent ", agent))
	openThin(b, &net.Dialer{}, http.MethodPost, url+"/mcp",
		callBody("list_changes", fmt.Sprintf(`{"project_id":%d,"wait_seconds":50}`, project)), headers...).await(b, ":\n")
}

// BenchmarkCallCPU measures the processor time of a call that does next to nothing, as far as the server is concerned: what the process of
// a replica has used. The client is another process.
func BenchmarkCallCPU(b *testing.B) {
	replica := servertest.StartProcess(b, pgtest.New(b))
	p := newPoster(b, replica.URL)
	p.agents = new(atomic.Int64)
	for range 1000 { // what a replica does to begin with is not theirs
		p.call(b, "describe_node_types", `{"node_type":"GraphNode"}`)
	}
	before := processorTime(b, replica.PID())
	n := 0
	for b.Loop() {
		n++
		p.call(b, "describe_node_types", `{"node_type":"GraphNode"}`)
	}
	b.ReportMetric(float64((processorTime(b, replica.PID())-before).Microseconds())/float64(n), "server-µs/call")
}

// processorTime returns the time that processors have spent on a process.
func processorTime(b *testing.B, pid int) time.Duration {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Skipf("the processor time of processes is not known here: %v", err)
	}
	// The name of the program, in parentheses, may have blanks. User and system time are fields 14 and 15, in hundredths of a second.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	var ticks int64
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// BenchmarkBesideStalledStream compares how soon 20 listeners are told of a change at a replica without and at one with a stream that its
// client does not read, in turn.
func BenchmarkBesideStalledStream(b *testing.B) {
	const listeners, restall = 20, 30 // a stream is cut 10 s after a write could not go on, which is more than 30 rounds
	replicas := servertest.Start(b, 2, nil)
	var told [2][]time.Duration
	var rooms [2][]*thin
	var posters [2]poster
	for n, replica := range replicas {
		posters[n] = newPoster(b, replica.URL)
		posters[n].call(b, "create_project", fmt.Sprintf(`{"name":"P%d"}`, n))
		for range listeners {
			rooms[n] = append(rooms[n], listenThin(b, replica.URL, fmt.Sprintf("layercake://projects/%d/plan", n+1)))
		}
	}
	round := 0
	for b.Loop() {
		if round%restall == 0 {
			stall(b, replicas[1].URL)
		}
		round++
		for n, room := range rooms {
			pause(b, 120*time.Millisecond) // more than the pause between two updates
			began := time.Now()
			posters[n].call(b, "edit_plan", fmt.Sprintf(`{"project_id":%d,"operations":[{"op":"add_node","id":"n%d","node_type":"GraphNode"}]}`,
				n+1, round))
			for _, l := range room {
				l.await(b, "notifications/resources/updated")
				told[n] = append(told[n], time.Since(began))
			}
		}
	}
	percentiles(b, "alone", told[0])
	percentiles(b, "beside", told[1])
	b.ReportMetric(float64(told[1][len(told[1])*99/100])/float64(told[0][len(told[0])*99/100]), "ratio-p99")
}

// stall asks for so much on a stream that nobody reads that the replica cannot go on writing: then it takes no more messages.
func stall(b *testing.B, url string) {
	b.Helper()
	_, address := openThinSSE(b, url)
	for n := range 2000 {
		status := sayThinSSE(b, address, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"resources/read","params":{"uri":"layercake://schema/graphql"}}`, n+2))
		switch status {
		case http.StatusAccepted:
		case http.StatusTooManyRequests:
			return
		default:
			b.Fatalf("a message to a stream that stalls: %d", status)
		}
	}
	b.Fatal("the stream does not stall")
}
