package bridge_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"layercake/internal/bridge"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server/servertest"
)

// pipe is a running bridge, as the client that started it sees it.
type pipe struct {
	t     *testing.T
	in    *io.PipeWriter
	lines chan string // closed when the bridge has ended
	ended chan error
	notes *notes
}

// notes are what a bridge says to people.
type notes struct {
	said chan string

	mu   sync.Mutex
	text bytes.Buffer
}

func (n *notes) Write(b []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.said <- string(b)
	return n.text.Write(b)
}

func (n *notes) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text.String()
}

// carry runs a bridge until the test ends.
func carry(t *testing.T, o bridge.Options) *pipe {
	t.Helper()
	read, in := io.Pipe()
	out, write := io.Pipe()
	p := &pipe{t: t, in: in, lines: make(chan string, 1000), ended: make(chan error, 1), notes: &notes{said: make(chan string, 100)}}
	o.Notes = p.notes
	go func() {
		err := bridge.Run(context.Background(), o, read, halves{write})
		write.Close()
		p.ended <- err
	}()
	go func() {
		defer close(p.lines)
		for r := bufio.NewReader(out); ; {
			line, err := r.ReadString('\n')
			if err != nil {
				if line != "" {
					t.Errorf("half a line: %s", line)
				}
				return
			}
			p.lines <- line
		}
	}()
	t.Cleanup(func() {
		p.in.Close()
		_ = p.wait()
	})
	return p
}

// halves writes each text in two parts, as a file may, so that writers beside each other would mix.
type halves struct{ io.Writer }

func (h halves) Write(text []byte) (int, error) {
	n, err := h.Writer.Write(text[:len(text)/2])
	if err != nil {
		return n, err
	}
	m, err := h.Writer.Write(text[len(text)/2:])
	return n + m, err
}

// say writes a line.
func (p *pipe) say(text string) {
	p.t.Helper()
	if _, err := io.WriteString(p.in, text+"\n"); err != nil {
		p.t.Fatal(err)
	}
}

// hear returns the next line.
func (p *pipe) hear() string {
	p.t.Helper()
	select {
	case line, ok := <-p.lines:
		if !ok {
			p.t.Fatalf("the bridge has ended: %s", p.notes)
		}
		if !json.Valid([]byte(line)) {
			p.t.Fatalf("no JSON: %q", line)
		}
		return strings.TrimSuffix(line, "\n")
	case <-time.After(pgtest.Patience):
		p.t.Fatalf("nothing came: %s", p.notes)
		return ""
	}
}

// wait returns how the bridge ended.
func (p *pipe) wait() error {
	select {
	case err := <-p.ended:
		p.ended <- err
		return err
	case <-time.After(pgtest.Patience):
		p.t.Errorf("the bridge did not end")
		return nil
	}
}

// posted is a request that a scripted server got.
type posted struct {
	http.Header

	method, text string
	gone         <-chan struct{} // closed when the client has hung up
	response     http.ResponseWriter
	done         chan<- struct{}
}

// answer answers with JSON, and end ends the response.
func (p posted) answer(status int, text string) {
	p.response.Header().Set("Content-Type", "application/json")
	p.response.WriteHeader(status)
	_, _ = io.WriteString(p.response, text)
	close(p.done)
}

// stream answers with an event stream, which end ends.
func (p posted) stream(events string) {
	p.response.Header().Set("Content-Type", "text/event-stream")
	_, _ = io.WriteString(p.response, events)
	p.response.(http.Flusher).Flush()
}

func (p posted) end() { close(p.done) }

// script runs a server whose requests a test answers.
func script(t *testing.T) (url string, requests <-chan posted) {
	t.Helper()
	got := make(chan posted, 100)
	over := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		done := make(chan struct{})
		got <- posted{r.Header, r.Method, string(text), r.Context().Done(), w, done}
		select {
		case <-done:
		case <-over:
		}
	}))
	t.Cleanup(func() {
		close(over)
		server.Close()
	})
	return server.URL + "/mcp", got
}

// next returns the next request.
func next(t *testing.T, requests <-chan posted) posted {
	t.Helper()
	select {
	case r := <-requests:
		return r
	case <-time.After(pgtest.Patience):
		t.Fatal("no request came")
		return posted{}
	}
}

func await(t *testing.T, what string, event <-chan struct{}) {
	t.Helper()
	select {
	case <-event:
	case <-time.After(pgtest.Patience):
		t.Fatalf("%s: it did not happen", what)
	}
}

const (
	hello   = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`
	welcome = `{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{"name":"s","version":"1"}}}`
	ready   = `{"jsonrpc":"2.0","method":"notifications/initialized"}`
	meta    = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}`
)

// ask is a request without a version; askNew is one of 2026-07-28.
func ask(id int, method string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"%s"}`, id, method)
}

func askNew(id int, method, more string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"%s","params":{%s%s}}`, id, method, meta, more)
}

func done(id int) string { return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"result":{}}`, id) }

// begin initializes, in a session when it has an id. The server has no stream.
func begin(t *testing.T, p *pipe, requests <-chan posted, session string) {
	t.Helper()
	p.say(hello)
	r := next(t, requests)
	if r.text != hello || r.Get("Mcp-Session-Id") != "" || r.Get("Mcp-Protocol-Version") != "" {
		t.Fatalf("initialize came as %v %s", r.Header, r.text)
	}
	if session != "" {
		r.response.Header().Set("Mcp-Session-Id", session)
	}
	r.answer(200, welcome)
	if session != "" {
		get := next(t, requests)
		if get.method != http.MethodGet || get.Get("Mcp-Session-Id") != session || get.Get("Mcp-Protocol-Version") != "2025-06-18" ||
			get.Get("Accept") != "text/event-stream" {
			t.Fatalf("%s %v", get.method, get.Header)
		}
		get.answer(405, "")
	}
	if got := p.hear(); got != welcome {
		t.Fatalf("the client heard %s", got)
	}
}

func TestMessagesPassAsTheyAre(t *testing.T) {
	t.Parallel()
	url, requests := script(t)
	p := carry(t, bridge.Options{URL: url, Agent: "Ada"})
	// Blanks, members that nobody knows, and large numbers arrive.
	text := `{"jsonrpc":"2.0", "id":"x\u0061", "method":"tools/call","params":{"name":"get_plan","arguments":{"n":12345678901234567890},` + meta + `},"more":[1 , 2]}`
	p.say(text)
	r := next(t, requests)
	if r.text != text {
		t.Errorf("sent %s", r.text)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/json", "Accept": "application/json, text/event-stream", "Mcp-Protocol-Version": "2026-07-28",
		"Mcp-Method": "tools/call", "Mcp-Name": "get_plan", "X-Layercake-Agent": "Ada", "Mcp-Session-Id": "",
	} {
		if got := r.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	r.stream(": alive\n\nevent: message\ndata: {\"jsonrpc\":\"2.0\",\ndata:  \"method\":\"notifications/progress\"}\n\n")
	if got := p.hear(); got != `{"jsonrpc":"2.0","method":"notifications/progress"}` {
		t.Errorf("heard %s", got)
	}
	r.stream("data: {\"jsonrpc\":\"2.0\",\"id\":\"xa\",\"result\":{\"n\":12345678901234567890}}\n\n")
	if got := p.hear(); got != `{"jsonrpc":"2.0","id":"xa","result":{"n":12345678901234567890}}` {
		t.Errorf("heard %s", got)
	}
	r.end()
	p.say(ask(2, "ping"))
	r = next(t, requests)
	if r.Get("Mcp-Method") != "" || r.Get("Mcp-Protocol-Version") != "" {
		t.Errorf("a client without a version: %v", r.Header)
	}
	r.answer(200, "{\n \"jsonrpc\": \"2.0\",\n \"id\": 2,\n \"result\": {}\n}\n")
	if got := p.hear(); got != done(2) {
		t.Errorf("heard %s", got)
	}
}

func TestLinesThatAreNoMessages(t *testing.T) {
	t.Parallel()
	url, requests := script(t)
	p := carry(t, bridge.Options{URL: url})
	for text, want := range map[string]string{
		`{"id":1`:  `"id":null,"error":{"code":-32700,`,
		`[1`:       `"id":null,"error":{"code":-32700,`,
		`7`:        `"id":null,"error":{"code":-32600,`,
		`[]`:       `"id":null,"error":{"code":-32600,`,
		`[[]]`:     `"id":null,"error":{"code":-32600,`,
		`{"id":5}`: `"error":{"code":-32600,`,
		"\n \n{}":  `"id":null,"error":{"code":-32600,`,
		`{"x":"` + strings.Repeat("x", 4<<20) + `"}`: `"id":null,"error":{"code":-32600,`,
	} {
		p.say(text)
		if got := p.hear(); !strings.Contains(got, want) {
			t.Errorf("%.100s: %s", text, got)
		}
	}
	p.say(`[` + ask(1, "ping") + `,` + ask(2, "ping") + `]`)
	for range 2 {
		r := next(t, requests)
		id, _, _ := strings.Cut(strings.TrimPrefix(r.text, `{"jsonrpc":"2.0","id":`), ",")
		n, _ := strconv.Atoi(id)
		r.answer(200, done(n))
		if got := p.hear(); got != done(n) {
			t.Errorf("heard %s", got)
		}
	}
}

// Requests run side by side; a notification and an initialize do not.
func TestOrder(t *testing.T) {
	t.Parallel()
	url, requests := script(t)
	p := carry(t, bridge.Options{URL: url})
	p.say(strings.Join([]string{hello, ready, ask(1, "tools/list"), ask(2, "tools/list")}, "\n"))
	first := next(t, requests)
	select {
	case r := <-requests:
		t.Fatalf("it overtook initialize: %s", r.text)
	default:
	}
	first.answer(200, welcome)
	p.hear()
	note := next(t, requests)
	if note.text != ready || note.Get("Mcp-Protocol-Version") != "2025-06-18" {
		t.Fatalf("%v %s", note.Header, note.text)
	}
	select {
	case r := <-requests:
		t.Fatalf("it overtook a notification: %s", r.text)
	default:
	}
	note.response.WriteHeader(http.StatusAccepted)
	note.end()
	a, b := next(t, requests), next(t, requests)
	if strings.Contains(a.text, `"id":2`) {
		a, b = b, a
	}
	b.answer(200, done(2))
	if got := p.hear(); got != done(2) {
		t.Errorf("heard %s", got)
	}
	p.say(`{"jsonrpc":"2.0","id":99,"result":{}}`) // an answer to a question of the server
	note = next(t, requests)
	note.response.WriteHeader(http.StatusAccepted)
	note.end()
	a.answer(200, done(1))
	if got := p.hear(); got != done(1) {
		t.Errorf("heard %s", got)
	}
}

func TestNothingOvertakesANotification(t *testing.T) {
	t.Parallel()
	const rounds = 30
	var taken, early atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m struct{ ID *int32 }
		_ = json.NewDecoder(r.Body).Decode(&m)
		if m.ID == nil {
			for range 1000 { // so that there is somebody to overtake
				runtime.Gosched()
			}
			taken.Add(1)
			w.WriteHeader(http.StatusAccepted)
			return
		}
		if taken.Load() <= *m.ID {
			early.Add(1)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, done(int(*m.ID)))
	}))
	t.Cleanup(server.Close)
	p := carry(t, bridge.Options{URL: server.URL})
	var lines []string
	for i := range rounds {
		lines = append(lines, `{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}`, ask(i, "ping"))
	}
	p.say(strings.Join(lines, "\n"))
	for range rounds {
		p.hear()
	}
	if n := early.Load(); n != 0 {
		t.Errorf("%d requests overtook notifications", n)
	}
}

func TestBoundOfRequests(t *testing.T) {
	t.Parallel()
	url, requests := script(t)
	p := carry(t, bridge.Options{URL: url})
	var open []posted
	for i := range 32 {
		p.say(ask(i, "tools/list"))
		open = append(open, next(t, requests))
	}
	p.say(ask(5, "ping"))
	if got := p.hear(); !strings.HasPrefix(got, `{"jsonrpc":"2.0","id":5,"error":{"code":-32600,`) {
		t.Errorf("an id twice: %s", got)
	}
	p.say(ask(32, "ping"))
	if got := p.hear(); !strings.HasPrefix(got, `{"jsonrpc":"2.0","id":32,"error":{"code":-32000,`) {
		t.Errorf("one too many: %s", got)
	}
	// Who has an answer may ask again at once, with the same id, too.
	for i, r := range open {
		r.answer(200, done(i))
		p.hear()
		p.say(ask(i, "ping"))
		open[i] = next(t, requests)
	}
	for i, r := range open {
		r.answer(200, done(i))
		p.hear()
	}
}

func TestCancelling(t *testing.T) {
	t.Parallel()
	url, requests := script(t)
	p := carry(t, bridge.Options{URL: url})
	p.say(askNew(1, "tools/call", `,"name":"list_changes"`))
	r := next(t, requests)
	r.stream(":\n\n")
	p.say(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`)
	await(t, "the bridge hangs up", r.gone)

	begin(t, p, requests, "s1") // the next request that comes: nothing was posted
	p.say(ask(2, "tools/call"))
	r = next(t, requests)
	r.stream(":\n\n")
	cancel := `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}`
	p.say(cancel)
	note := next(t, requests)
	if note.text != cancel || note.Get("Mcp-Session-Id") != "s1" {
		t.Errorf("%v %s", note.Header, note.text)
	}
	note.response.WriteHeader(http.StatusAccepted)
	note.end()
	await(t, "the bridge hangs up", r.gone)

	p.say(askNew(2, "ping", "")) // a request of 2026-07-28 belongs to no session
	r = next(t, requests)
	if r.Get("Mcp-Session-Id") != "" || r.Get("Mcp-Protocol-Version") != "2026-07-28" {
		t.Errorf("%v", r.Header)
	}
	r.answer(200, done(2))
	if got := p.hear(); got != done(2) {
		t.Errorf("heard %s", got)
	}
	p.say(cancel) // it is answered already
	p.say(ask(3, "ping"))
	next(t, requests).answer(200, done(3))
	if got := p.hear(); got != done(3) { // nothing was said of those that were cancelled
		t.Errorf("heard %s", got)
	}
	p.in.Close()
	if end := next(t, requests); end.method != http.MethodDelete || end.Get("Mcp-Session-Id") != "s1" {
		t.Errorf("%s %v", end.method, end.Header)
	} else {
		end.answer(200, "")
	}
	if err := p.wait(); err != nil {
		t.Error(err)
	}
}

func TestNothingListens(t *testing.T) {
	t.Parallel()
	p := carry(t, bridge.Options{URL: "http://user:secret@" + servertest.Address(t) + "/mcp", Patience: time.Millisecond})
	for i, text := range []string{hello, ask(1, "tools/list"), ask(2, "tools/call")} {
		p.say(text)
		got := p.hear()
		if !strings.HasPrefix(got, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"error":{"code":-32000,`, i)) || !strings.Contains(got, "layercake serve") ||
			strings.Contains(got, "secret") {
			t.Errorf("heard %s", got)
		}
	}
	p.say(ready)
	p.in.Close()
	if err := p.wait(); err != nil {
		t.Error(err)
	}
	if line, ok := <-p.lines; ok {
		t.Errorf("one error too many: %s", line)
	}
	if strings.Contains(p.notes.String(), "secret") {
		t.Errorf("notes: %s", p.notes)
	}
}

// A request that never left waits for the server, whatever it is.
func TestServerThatComesLater(t *testing.T) {
	t.Parallel()
	address := servertest.Address(t)
	p := carry(t, bridge.Options{URL: "http://" + address, Patience: pgtest.Patience})
	p.say(ask(1, "tools/call"))
	select {
	case note := <-p.notes.said: // it has tried
		if !strings.Contains(note, "layercake serve") {
			t.Errorf("the note is %s", note)
		}
	case <-time.After(pgtest.Patience):
		t.Fatal("no note")
	}
	calls := make(chan posted, 10)
	server := &http.Server{Addr: address, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls <- posted{}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, done(1))
	})}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.ListenAndServe()
	}()
	defer func() {
		_ = server.Close()
		<-ended
	}()
	if got := p.hear(); got != done(1) {
		t.Errorf("heard %s", got)
	}
	if len(calls) != 1 {
		t.Errorf("%d calls", len(calls))
	}
}

// What is wrong is said once, with the id of the request, and nothing is sent twice.
func TestAnswersThatAreNone(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		method string
		answer func(posted)
		want   string
	}{
		"the server dies before it answers": {"tools/call", func(r posted) {
			panicAway(r)
		}, "may have been done"},
		"the server dies in its answer": {"tools/call", func(r posted) {
			r.stream("data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}\n\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n")
			panicAway(r)
		}, "op_id"},
		"the stream ends without an answer": {"tools/list", func(r posted) {
			r.stream(":\n\n")
			r.end()
		}, "ask again"},
		"another thing than JSON": {"tools/list", func(r posted) { r.answer(200, "<html>") }, "ask again"},
		"a proxy's page":          {"tools/list", func(r posted) { page(r, 502, "Bad") }, "502 Bad Gateway"},
		"a redirection":           {"tools/list", func(r posted) { r.response.Header().Set("Location", "/there"); page(r, 308, "") }, "/there"},
		"another path":            {"tools/call", func(r posted) { page(r, 404, "not found") }, "check --url"},
		"JSON that is no message": {"tools/list", func(r posted) { r.answer(500, `{"oops":1}`) }, "oops"},
		"more than anybody reads": {"tools/list", func(r posted) { r.answer(200, `{"jsonrpc":"2.0","id":1,"result":"`+strings.Repeat("x", 16<<20)+`"}`) }, "ask for less"},
		"nothing":                 {"tools/list", func(r posted) { r.response.WriteHeader(202); r.end() }, "202"},
		"an error without an id": {"tools/list", func(r posted) {
			r.answer(429, `{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"slow","data":{"retryAfterMs":5}}}`)
		}, `"error":{"code":-32600,"message":"slow","data":{"retryAfterMs":5}}`},
		"unavailable, and a call": {"tools/call", func(r posted) {
			r.response.Header().Set("Retry-After", "1")
			r.answer(503, `{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"busy"}}`)
		}, "busy"},
		"unavailable for too long": {"tools/list", func(r posted) {
			r.response.Header().Set("Retry-After", "9")
			r.answer(503, `{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"busy"}}`)
		}, "busy"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, requests := script(t)
			p := carry(t, bridge.Options{URL: url, Patience: 2 * time.Second})
			p.say(ask(1, c.method))
			c.answer(next(t, requests))
			got := p.hear()
			if strings.Contains(got, "notifications/progress") {
				got = p.hear()
			}
			if !strings.HasPrefix(got, `{"jsonrpc":"2.0","id":1,"error":{`) || !strings.Contains(got, c.want) {
				t.Errorf("heard %s", got)
			}
			p.say(ask(2, "ping"))
			if r := next(t, requests); !strings.Contains(r.text, "ping") {
				t.Errorf("sent twice: %s", r.text)
			} else {
				r.answer(200, done(2))
			}
			if got := p.hear(); got != done(2) {
				t.Errorf("heard %s", got)
			}
		})
	}
}

// panicAway breaks the connection of a request.
func panicAway(r posted) {
	conn, _, err := r.response.(http.Hijacker).Hijack()
	if err == nil {
		_ = conn.Close()
	}
	r.end()
}

func page(r posted, status int, text string) {
	r.response.WriteHeader(status)
	_, _ = io.WriteString(r.response, text)
	r.end()
}

func TestUnavailableServerIsAskedAgain(t *testing.T) {
	t.Parallel()
	url, requests := script(t)
	p := carry(t, bridge.Options{URL: url, Patience: pgtest.Patience})
	p.say(ask(1, "tools/list"))
	r := next(t, requests)
	r.response.Header().Set("Retry-After", "1")
	r.answer(503, `{}`)
	next(t, requests).answer(200, done(1))
	if got := p.hear(); got != done(1) {
		t.Errorf("heard %s", got)
	}
}

// After the end of the input answers that are due still arrive; streams without an end do not hold the bridge up.
func TestEndOfInput(t *testing.T) {
	t.Parallel()
	url, requests := script(t)
	p := carry(t, bridge.Options{URL: url})
	p.say(askNew(1, "subscriptions/listen", ""))
	stream := next(t, requests)
	stream.stream("data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/subscriptions/acknowledged\"}\n\n")
	p.hear()
	p.say(askNew(2, "tools/list", ""))
	due := next(t, requests)
	p.in.Close()
	await(t, "the bridge hangs up", stream.gone)
	due.answer(200, done(2))
	if got := p.hear(); got != done(2) {
		t.Errorf("heard %s", got)
	}
	if err := p.wait(); err != nil {
		t.Error(err)
	}
}

// A client that has gone ends the bridge, and the session.
func TestClientThatReadsNoMore(t *testing.T) {
	t.Parallel()
	url, requests := script(t)
	read, in := io.Pipe()
	defer in.Close()
	out, write := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- bridge.Run(t.Context(), bridge.Options{URL: url, Notes: io.Discard}, read, write) }()
	go func() { _, _ = io.WriteString(in, hello+"\n"+ask(1, "ping")+"\n") }()
	r := next(t, requests)
	r.response.Header().Set("Mcp-Session-Id", "s1")
	r.answer(200, welcome)
	next(t, requests).answer(405, "")
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	r = next(t, requests)
	_ = out.Close()
	r.answer(200, done(1))
	r = next(t, requests)
	if r.method != http.MethodDelete {
		t.Errorf("%s %s", r.method, r.text)
	}
	r.answer(200, "")
	if err := <-ended; err == nil {
		t.Error("the bridge says nothing of it")
	}
}

func TestMessagesOfManyAreWholeLines(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m struct{ ID int }
		_ = json.NewDecoder(r.Body).Decode(&m)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, "{\"jsonrpc\":\"2.0\",\n\"id\":%d,\n\"result\":{\"x\":%q}}", m.ID, strings.Repeat("x", 100<<10))
	}))
	t.Cleanup(server.Close)
	p := carry(t, bridge.Options{URL: server.URL})
	var got []int
	for i := range 30 {
		p.say(ask(i, "ping"))
	}
	for range 30 {
		var m struct{ ID int }
		_ = json.Unmarshal([]byte(p.hear()), &m) // hear looks
		got = append(got, m.ID)
	}
	slices.Sort(got)
	if len(slices.Compact(got)) != 30 {
		t.Errorf("answers to %v", got)
	}
}
