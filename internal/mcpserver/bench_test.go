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
	body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{` + meta + `,"name":"` + tool + `","arguments":` + arguments + `}}`
	r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, p.url, strings.NewReader(body))
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
		if _, err := core.Plans.Change(b.Context(), auth.Agent("a", "a", "A"), 1, plan.Change{Edits: edits, Via: "mcp", Warnings: true}); err != nil {
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
		replica := servertest.StartProcess(b, pgtest.New(b))
		p := newPoster(b, replica.URL)
		for n := range listeners/each + 1 {
			p.call(b, "create_project", fmt.Sprintf(`{"name":"P%d"}`, n))
			pause(b, 20*time.Millisecond) // below the rate of an agent
		}
		for range 100 { // what the first cost is not theirs alone
			listenThin(b, replica.URL, fmt.Sprintf("layercake://projects/%d/plan", listeners/each+1))
		}
		settle(b)
		before := resident(b, replica.PID())
		b.StartTimer()
		for n := range listeners {
			listenThin(b, replica.URL, fmt.Sprintf("layercake://projects/%d/plan", n/each+1))
		}
		b.StopTimer()
		settle(b)
		b.ReportMetric((resident(b, replica.PID())-before)/listeners, "B/listener")
		b.StartTimer()
	}
}

// settle waits until the server has given memory back that it freed.
func settle(b *testing.B) {
	b.Helper()
	pause(b, 5*time.Second)
}

// pause lets some time go by between two things that are measured.
func pause(b *testing.B, d time.Duration) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), d)
	defer cancel()
	<-ctx.Done()
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
