package graph_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"layercake/graph"
	"layercake/internal/budget"
	"layercake/internal/caller"
	"layercake/internal/client"
)

// within gives a site a budget of its own.
func within(b *budget.Budget) func(*setting) { return func(o *setting) { o.Budget = b } }

// Bodies whose length nobody knows take memory as they grow. One that finds none waits, and its sender is told to come back. Small ones and
// those of other addresses do not notice.
func TestBodiesShareMemory(t *testing.T) {
	t.Parallel()
	b := budget.New(budget.Config{Memory: 64 << 20, Patience: 10 * time.Millisecond})
	s := offline(t, within(b), func(o *setting) { o.callers.TrustedProxies = []string{"127.0.0.0/8"} })
	body, sender := io.Pipe()
	reply := make(chan *client.Answer, 1)
	go func() { reply <- s.post(t, body, nil) }()
	if _, err := sender.Write(bytes.Repeat([]byte(" "), 1100<<10)); err != nil {
		t.Fatal(err)
	}
	b.Changed.Await(t, "the body to grow", func() bool { return b.Taken() >= 16<<20 })
	large := func(from string) *client.Answer {
		text := strings.Repeat(" ", 1100<<10) + `{"query":"{__typename}"}`
		return s.post(t, strings.NewReader(text), http.Header{"X-Forwarded-For": {from}})
	}
	if got := large(""); got.Status != http.StatusServiceUnavailable || got.Code() != "UNAVAILABLE" ||
		got.Header.Get("Retry-After") == "" || got.Errors[0].Extensions["retryAfterMs"] == nil {
		t.Errorf("while the address has its share: status %d: %s", got.Status, got.Text)
	}
	if got := large("203.0.113.7"); got.Status != http.StatusOK {
		t.Errorf("of another address: status %d: %s", got.Status, got.Text)
	}
	if got := s.ask(t, `{__typename}`, nil); got.Status != http.StatusOK {
		t.Errorf("a small body: status %d", got.Status)
	}
	if _, err := io.WriteString(sender, `{"query":"{__typename}"}`); err != nil {
		t.Fatal(err)
	}
	_ = sender.Close()
	if got := <-reply; got.Status != http.StatusOK {
		t.Errorf("the growing body: status %d: %s", got.Status, got.Text)
	}
	if got := large(""); got.Status != http.StatusOK {
		t.Errorf("afterwards: status %d: %s", got.Status, got.Text)
	}
	b.Changed.Await(t, "all memory to be given back", func() bool { return b.Taken() == 0 })
}

func TestRequestsOfAnAddress(t *testing.T) {
	t.Parallel()
	b := budget.New(budget.Config{PerAddress: 2})
	s := offline(t, within(b), func(o *setting) { o.callers.TrustedProxies = []string{"127.0.0.0/8"} })
	replies := make(chan *client.Answer, 2)
	var senders []*io.PipeWriter
	for range 2 {
		body, sender := io.Pipe()
		senders = append(senders, sender)
		go func() { replies <- s.post(t, body, nil) }()
	}
	b.Changed.Await(t, "two requests", func() bool { return b.Taken() > 0 && b.InFlight() == 2 })
	if got := s.ask(t, `{__typename}`, nil); got.Status != http.StatusTooManyRequests || got.Code() != "RATE_LIMITED" ||
		got.Header.Get("Retry-After") == "" || !strings.Contains(got.Errors[0].Message, "LAYERCAKE_REQUESTS_PER_ADDRESS") {
		t.Errorf("a third: status %d: %s", got.Status, got.Text)
	}
	if got := s.post(t, strings.NewReader(`{"query":"{__typename}"}`), http.Header{"X-Forwarded-For": {"203.0.113.7"}}); got.Status != http.StatusOK {
		t.Errorf("of another address: status %d: %s", got.Status, got.Text)
	}
	for _, sender := range senders {
		_, _ = io.WriteString(sender, `{"query":"{__typename}"}`)
		_ = sender.Close()
	}
	for range senders {
		if got := <-replies; got.Status != http.StatusOK {
			t.Errorf("status %d: %s", got.Status, got.Text)
		}
	}
	b.Changed.Await(t, "no request", func() bool { return b.InFlight() == 0 })
	if got := s.ask(t, `{__typename}`, nil); got.Status != http.StatusOK {
		t.Errorf("afterwards: status %d: %s", got.Status, got.Text)
	}
}

// hasty is a pace at which tests need not wait long.
func hasty(o *setting) {
	o.Pace = graph.Pace{BodyBytes: 1000, BodyTime: 50 * time.Millisecond, AnswerBytes: 4 << 10, AnswerTime: 50 * time.Millisecond}
}

// A client that begins a request and does not go on is answered and cut off, whatever is wrong with the request beside that.
func TestSlowBodies(t *testing.T) {
	t.Parallel()
	b := budget.New(budget.Config{})
	s := offline(t, hasty, within(b))
	for name, c := range map[string]struct {
		header string
		status int
	}{
		"of a known length":    {"Content-Type: application/json\r\nContent-Length: 100000", http.StatusRequestTimeout},
		"of an unknown length": {"Content-Type: application/json\r\nTransfer-Encoding: chunked", http.StatusRequestTimeout},
		"of another type":      {"Content-Type: text/plain\r\nContent-Length: 100000", http.StatusUnsupportedMediaType},
		"with a wrong Accept":  {"Accept: image/png\r\nContent-Length: 100000", http.StatusNotAcceptable},
	} {
		conn := dialRaw(t, s.url)
		if _, err := fmt.Fprintf(conn, "POST /graphql HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n", c.header); err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(conn)
		answer, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		text, _ := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if answer.StatusCode != c.status || !bytes.Contains(text, []byte("BAD_REQUEST")) {
			t.Errorf("%s: %d %s", name, answer.StatusCode, text)
		}
		if _, err := in.ReadByte(); err == nil {
			t.Errorf("%s: the connection stays open", name)
		}
	}
	b.Changed.Await(t, "all memory to be given back", func() bool { return b.Taken() == 0 })
	if n := s.value(t, "layercake_graphql_cut_off_total", "body"); n != 2 {
		t.Errorf("%v were cut off for their bodies, want 2", n)
	}
}

func dialRaw(t testing.TB, url string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(deadline)); err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn)
}

// A client that does not read its answer costs what the answer is, and is cut off.
func TestUnreadAnswers(t *testing.T) {
	t.Parallel()
	b := budget.New(budget.Config{})
	s := online(t, hasty, within(b))
	p := s.largePlan(t)
	server := httptest.NewUnstartedServer(caller.Middleware(caller.Config{Open: true})(s.HTTP()))
	server.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if err := c.(*net.TCPConn).SetWriteBuffer(1); err != nil {
			t.Error(err)
		}
		return ctx
	}
	server.Start()
	defer server.Close()
	conn := dialRaw(t, server.URL)
	if err := conn.SetReadBuffer(1); err != nil {
		t.Fatal(err)
	}
	body := fmt.Sprintf(`{"query":"{ getPlanDag(projectId: %d) { nodes { config } } }"}`, p)
	if _, err := fmt.Fprintf(conn, "POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		len(body), body); err != nil {
		t.Fatal(err)
	}
	s.until(t, "layercake_graphql_cut_off_total", "answer", 1)
	b.Changed.Await(t, "all memory to be given back", func() bool { return b.Taken() == 0 })
	if text, err := io.ReadAll(conn); len(text) > largePlan {
		t.Errorf("the client was sent %d bytes, and then %v", len(text), err)
	}
}

// largePlan is the size of the texts of a large plan.
const largePlan = 10 * 90_000

// largePlan makes a project with a large plan, and returns its id.
func (s *site) largePlan(t testing.TB) int {
	t.Helper()
	p := s.newProject(t)
	for n := range 10 {
		node := nodeInput(fmt.Sprint("n", n), "GraphNode")
		node["config"] = fmt.Sprintf(`{"a":%q}`, strings.Repeat("x", largePlan/10))
		s.call(t, "AddPlanDagNode", vars{"projectId": p, "node": node}, new(any))
	}
	return p
}

// fill takes all memory of a budget but that of small requests, for two addresses that are not the test's.
func fill(t testing.TB, b *budget.Budget, size int64) {
	t.Helper()
	for _, address := range []string{"192.0.2.7/32", "192.0.2.8/32"} {
		other := b.Open(netip.MustParsePrefix(address))
		t.Cleanup(other.Close)
		if err := other.Take(t.Context(), size/8*3); err != nil {
			t.Fatal(err)
		}
	}
}

// An answer that finds no memory is refused. On a socket that ends the operation.
func TestLargeAnswersFindNoMemory(t *testing.T) {
	t.Parallel()
	b := budget.New(budget.Config{Memory: 16 << 20, Patience: time.Millisecond})
	s := offline(t, within(b))
	document := strings.Replace(introspection, "{ __schema", `{ more: __schema { types { name description
		fields(includeDeprecated: true) { name description args { name description } } inputFields { name description }
		enumValues { name description } } } __schema`, 1)
	if got := s.ask(t, document, nil); got.Code() != "" || len(got.Text) < 64<<10 {
		t.Fatalf("%d bytes: %.200s", len(got.Text), got.Text)
	}
	c := s.dial(t, nil)
	follow(t, c, "1", document)
	if got := hear(t, c); !strings.HasPrefix(got, `{"id":"1","type":"next","payload":{"data":`) {
		t.Errorf("got %.200s", got)
	}
	hear(t, c) // complete
	fill(t, b, 16<<20)
	if got := s.ask(t, document, nil); got.Status != http.StatusServiceUnavailable || got.Code() != "UNAVAILABLE" || got.Data != nil {
		t.Errorf("%d %.300s", got.Status, got.Text)
	}
	follow(t, c, "2", document)
	if got := hear(t, c); !strings.HasPrefix(got, `{"id":"2","type":"error"`) || !strings.Contains(got, `"retryAfterMs"`) {
		t.Errorf("got %.300s", got)
	}
	if got := s.ask(t, `{__typename}`, nil); got.Status != http.StatusOK {
		t.Errorf("a small request: %d %s", got.Status, got.Text)
	}
}

// A plan takes the memory of its answer before the answer is made. Many plans in one request are refused.
func TestPlansTakeMemory(t *testing.T) {
	t.Parallel()
	const size = 32 << 20
	b := budget.New(budget.Config{Memory: size, Patience: time.Millisecond}) // 12 MB for one address, and a plan takes 7.3
	s := online(t, within(b))
	p := s.largePlan(t)
	document := fmt.Sprintf(`{ getPlanDag(projectId: %d) { nodes { config } } }`, p)
	twice := fmt.Sprintf(`{ a: getPlanDag(projectId: %d) { version } b: planDag(projectId: %d) { version } }`, p, p)
	if got := s.ask(t, document, nil); got.Code() != "" || len(got.Text) < largePlan {
		t.Errorf("%d %.200s", got.Status, got.Text)
	}
	if got := s.ask(t, twice, nil); got.Code() != "BAD_REQUEST" || !strings.Contains(string(got.Text), "LAYERCAKE_REQUEST_MEMORY") {
		t.Errorf("two plans: %d %.200s", got.Status, got.Text)
	}
	c := s.dial(t, nil)
	follow(t, c, "1", document)
	if got := hear(t, c); !strings.HasPrefix(got, `{"id":"1","type":"next","payload":{"data":{"get`) {
		t.Errorf("got %.200s", got)
	}
	hear(t, c) // complete
	fill(t, b, size)
	if got := s.ask(t, document, nil); got.Code() != "UNAVAILABLE" {
		t.Errorf("%d %.200s", got.Status, got.Text)
	}
	follow(t, c, "2", document)
	if got := hear(t, c); !strings.Contains(got, `"UNAVAILABLE"`) {
		t.Errorf("got %.200s", got)
	}
}

// The memory for an answer with a plan is what making it takes, for plans of many elements and of long texts.
func TestCostOfPlans(t *testing.T) { //nolint:paralleltest // it measures the memory of the process
	const all = `{ getPlanDag(projectId: %d) { version cursor nodes { id nodeType position { x y } metadata { label description } config
		sourcePosition targetPosition datasourceExecution { filename } graphExecution { graphId } }
		edges { id source target sourceHandle targetHandle metadata { label dataType } } } }`
	const document = `{ planDag(projectId: %d) { nodes { id nodeType metadata position config } edges { id source target metadata } } }`
	s := online(t)
	for name, c := range map[string]struct {
		nodes  int
		config string
	}{
		"elements": {400, "{}"},
		"texts":    {50, `{"a":"` + strings.Repeat("x", 8000) + `"}`},
		"escapes":  {50, `{"a":[` + strings.Repeat(`"",`, 2600) + `""]}`},
	} {
		p := s.newProject(t)
		var nodes []vars
		for n := range c.nodes {
			node := nodeInput(fmt.Sprint("n", n), "GraphNode")
			node["config"] = c.config
			nodes = append(nodes, node)
		}
		s.must(t, nil, `mutation($p: Int!, $d: PlanDagInput!) { updatePlanDag(projectId: $p, planDag: $d) { version } }`,
			vars{"p": p, "d": vars{"version": "0", "nodes": nodes, "edges": []any{}, "metadata": vars{"version": "0"}}})
		for _, query := range []string{all, document} {
			size, took := s.measure(t, fmt.Sprintf(query, p), 20*c.nodes)
			counted := graph.PlanCost(c.nodes, c.nodes*(len(c.config)+5))
			t.Logf("%s: an answer of %d kB took %d kB, counted as %d kB", name, size>>10, took>>10, counted>>10)
			if took > 2*counted || took < counted/3 { // the collector finds some of it before the answer is made
				t.Errorf("%s: an answer of %d kB took %d kB, counted as %d kB", name, size>>10, took>>10, counted>>10)
			}
		}
	}
}

// measure answers a query, and returns how long the answer is and how much memory it took. One that is shorter than least is asked for
// again: a refusal on a busy machine is.
func (s *site) measure(t *testing.T, query string, least int) (size int, took int64) {
	t.Helper()
	body, err := json.Marshal(vars{"query": query})
	if err != nil {
		t.Fatal(err)
	}
	answer := func() int {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/graphql", bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := &discard{header: http.Header{}}
		caller.Middleware(caller.Config{Open: true})(s.HTTP()).ServeHTTP(w, r)
		return w.size
	}
	answer() // what is made once
	var before, after runtime.MemStats
	for size < least {
		runtime.ReadMemStats(&before)
		size = answer()
		runtime.ReadMemStats(&after)
	}
	return size, int64(after.TotalAlloc - before.TotalAlloc)
}

// discard is the writer of a response that nobody reads.
type discard struct {
	header http.Header
	size   int
}

func (d *discard) Header() http.Header { return d.header }

func (d *discard) WriteHeader(int) {}

func (d *discard) Write(b []byte) (int, error) {
	d.size += len(b)
	return len(b), nil
}
