package bridge_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"layercake/internal/bridge"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server/servertest"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// connect returns a session of the SDK's client, which speaks to a bridge as to a program that it started.
func connect(t *testing.T, url, version string, options *mcp.ClientOptions) *mcp.ClientSession {
	t.Helper()
	read, in := io.Pipe()
	out, write := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- bridge.Run(context.Background(), bridge.Options{URL: url, Notes: t.Output()}, read, write)
		_ = write.Close()
	}()
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, options)
	session, err := client.Connect(t.Context(), &mcp.IOTransport{Reader: out, Writer: in}, &mcp.ClientSessionOptions{ProtocolVersion: version})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = session.Close()
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(pgtest.Patience):
			t.Error("the bridge did not end")
		}
	})
	return session
}

func call(t *testing.T, session *mcp.ClientSession, tool string, arguments any) string {
	t.Helper()
	result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: tool, Arguments: arguments})
	if err != nil {
		t.Fatalf("%s: %v", tool, err)
	}
	return result.Content[0].(*mcp.TextContent).Text
}

func TestClientsOfEachVersionReachTheProduct(t *testing.T) {
	t.Parallel()
	url := servertest.Start(t, 1, nil)[0].URL
	for _, version := range mcp.SupportedProtocolVersions() {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			address, err := bridge.Address(url, true, 7)
			if err != nil {
				t.Fatal(err)
			}
			session := connect(t, address, version, nil)
			if got := session.InitializeResult().ProtocolVersion; got != version {
				t.Errorf("speaks %s", got)
			}
			list, err := session.ListTools(t.Context(), nil)
			if err != nil || len(list.Tools) == 0 {
				t.Fatalf("%+v, %v", list, err)
			}
			for _, tool := range list.Tools {
				if !tool.Annotations.ReadOnlyHint {
					t.Errorf("%s is offered", tool.Name)
				}
			}
			if text := call(t, session, "get_project", map[string]any{"project_id": 8}); !strings.Contains(text, "FORBIDDEN") {
				t.Errorf("another project: %s", text)
			}
			if _, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "dance"}); err == nil || !strings.Contains(err.Error(), "dance") {
				t.Errorf("a tool that is not there: %v", err)
			}
		})
	}
}

// stateful is a server with sessions.
type stateful struct {
	*mcp.Server

	url                 string
	sessions, calls     atomic.Int32
	streams             chan struct{} // one for each stream that a client has
	slow, slowCancelled chan struct{}
	handler             atomic.Pointer[http.Handler]
	forget              func()
}

func startStateful(t *testing.T) *stateful {
	t.Helper()
	s := &stateful{streams: make(chan struct{}, 100), slow: make(chan struct{}, 1), slowCancelled: make(chan struct{}, 1)}
	quiet := slog.New(slog.DiscardHandler)
	s.Server = mcp.NewServer(&mcp.Implementation{Name: "stateful", Version: "1"}, &mcp.ServerOptions{
		Logger: quiet, InitializedHandler: func(context.Context, *mcp.InitializedRequest) { s.sessions.Add(1) },
	})
	tool := func(name string, does func(context.Context, *mcp.CallToolRequest) string) {
		mcp.AddTool(s.Server, &mcp.Tool{Name: name}, func(ctx context.Context, r *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: does(ctx, r)}}}, nil, nil
		})
	}
	tool("count", func(context.Context, *mcp.CallToolRequest) string {
		s.calls.Add(1)
		return "counted"
	})
	tool("slow", func(ctx context.Context, _ *mcp.CallToolRequest) string {
		s.slow <- struct{}{}
		<-ctx.Done()
		s.slowCancelled <- struct{}{}
		return ""
	})
	tool("ask", func(ctx context.Context, r *mcp.CallToolRequest) string {
		answer, err := r.Session.Elicit(ctx, &mcp.ElicitParams{Message: "really?", RequestedSchema: map[string]any{"type": "object", "properties": map[string]any{}}})
		if err != nil {
			return err.Error()
		}
		return answer.Action
	})
	s.forget = func() {
		var handler http.Handler = mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s.Server }, &mcp.StreamableHTTPOptions{Logger: quiet})
		s.handler.Store(&handler)
		for session := range s.Sessions() {
			_ = session.Close()
		}
	}
	s.forget()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			w = &firstFlush{w, sync.OnceFunc(func() { s.streams <- struct{}{} })}
		}
		(*s.handler.Load()).ServeHTTP(w, r)
	}))
	s.url = server.URL
	t.Cleanup(server.Close)
	return s
}

// firstFlush says when a stream has begun.
type firstFlush struct {
	http.ResponseWriter
	first func()
}

func (f *firstFlush) Flush() {
	f.ResponseWriter.(http.Flusher).Flush()
	f.first()
}

func TestSessions(t *testing.T) {
	t.Parallel()
	s := startStateful(t)
	changed := make(chan struct{}, 10)
	session := connect(t, s.url, "2025-11-25", &mcp.ClientOptions{
		ToolListChangedHandler: func(context.Context, *mcp.ToolListChangedRequest) { changed <- struct{}{} },
		ElicitationHandler: func(context.Context, *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
			return &mcp.ElicitResult{Action: "decline"}, nil
		},
	})
	await(t, "the stream of the session", s.streams)
	newTool := func(name string) {
		t.Helper()
		s.AddTool(&mcp.Tool{Name: name, InputSchema: json.RawMessage(`{"type":"object"}`)}, nil)
		await(t, "the message of the server", changed)
	}
	newTool("first")
	if text := call(t, session, "ask", nil); text != "decline" {
		t.Errorf("the question was answered with %s", text)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-s.slow
		cancel()
	}()
	if _, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "slow"}); err == nil {
		t.Error("a call that was cancelled has a result")
	}
	await(t, "the server cancels", s.slowCancelled)

	// The server forgets the session: many ask at once, and none of them notices.
	s.forget()
	var asking sync.WaitGroup
	for range 8 {
		asking.Go(func() {
			if _, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "count"}); err != nil {
				t.Error(err)
			}
		})
	}
	asking.Wait()
	if sessions, calls := s.sessions.Load(), s.calls.Load(); sessions != 2 || calls != 8 {
		t.Errorf("%d sessions, want 2; %d calls, want 8", sessions, calls)
	}
	await(t, "the stream of the new session", s.streams)
	newTool("second")

	// Nobody asks for anything, and yet the server is heard again.
	s.forget()
	await(t, "the stream of the third session", s.streams)
	newTool("third")
	if text := call(t, session, "count", nil); text != "counted" {
		t.Error(text)
	}
	if err := session.Close(); err != nil {
		t.Error(err)
	}
}

// A stream that breaks is opened again in the same session.
func TestStreamThatBreaks(t *testing.T) {
	t.Parallel()
	url, requests := script(t)
	p := carry(t, bridge.Options{URL: url})
	p.say(hello)
	r := next(t, requests)
	r.response.Header().Set("Mcp-Session-Id", "s1")
	r.answer(200, welcome)
	first := next(t, requests)
	select {
	case line := <-p.lines:
		t.Fatalf("the client has its answer before the stream is open: %s", line)
	default:
	}
	first.stream("data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/resources/updated\"}\n\n: half\nda")
	said := []string{p.hear(), p.hear()}
	if said[0] != welcome && said[1] != welcome {
		t.Errorf("heard %q", said)
	}
	panicAway(first)
	page(next(t, requests), 503, "")
	again := next(t, requests)
	if again.method != http.MethodGet || again.Get("Mcp-Session-Id") != "s1" {
		t.Fatalf("%s %v", again.method, again.Header)
	}
	again.stream("data: {\"jsonrpc\":\"2.0\",\"id\":\"q\",\"method\":\"ping\"}\n\n")
	if got := p.hear(); got != `{"jsonrpc":"2.0","id":"q","method":"ping"}` {
		t.Errorf("heard %s", got)
	}
}

// A new session hears of what the client was subscribed to in the one that the server has forgotten.
func TestSubscriptionsOutliveSessions(t *testing.T) {
	t.Parallel()
	url, requests := script(t)
	p := carry(t, bridge.Options{URL: url})
	open := func(id string) {
		t.Helper()
		r := next(t, requests)
		if r.text != hello {
			t.Fatalf("want initialize, got %s", r.text)
		}
		r.response.Header().Set("Mcp-Session-Id", id)
		r.answer(200, welcome)
	}
	p.say(hello)
	open("s1")
	page(next(t, requests), 405, "") // no stream
	p.hear()
	ask := func(method, uri, answer string) {
		t.Helper()
		p.say(`{"jsonrpc":"2.0","id":7,"method":"` + method + `","params":{"uri":"` + uri + `"}}`)
		next(t, requests).answer(200, answer)
		p.hear()
	}
	const done, refused = `{"jsonrpc":"2.0","id":7,"result":{}}`, `{"jsonrpc":"2.0","id":7,"error":{"code":-32602,"message":"no"}}`
	ask("resources/subscribe", "x:kept", done)
	ask("resources/subscribe", "x:refused", refused)
	ask("resources/subscribe", "x:left", done)
	ask("resources/unsubscribe", "x:left", done)
	p.say(`{"jsonrpc":"2.0","id":8,"method":"ping"}`)
	page(next(t, requests), 404, "")
	open("s2")
	again := next(t, requests)
	if !strings.Contains(again.text, "resources/subscribe") || !strings.Contains(again.text, "x:kept") || again.Get("Mcp-Session-Id") != "s2" {
		t.Fatalf("%v %s", again.Header, again.text)
	}
	again.answer(200, `{"jsonrpc":"2.0","id":"layercake-again","result":{}}`)
	for range 2 { // the ping again, and the stream, in either order
		switch r := next(t, requests); r.method {
		case http.MethodGet:
			page(r, 405, "")
		default:
			if !strings.Contains(r.text, "ping") {
				t.Errorf("subscribed to %s, too", r.text)
			}
			r.answer(200, `{"jsonrpc":"2.0","id":8,"result":{}}`)
		}
	}
	if got := p.hear(); got != `{"jsonrpc":"2.0","id":8,"result":{}}` {
		t.Errorf("heard %s", got)
	}
	p.in.Close()
	next(t, requests).end() // DELETE
}

// A session that is gone for good is said to the client, and not begun again and again.
func TestSessionThatCannotBeRenewed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer string
		want   string
	}{
		"the server refuses":                {`{"jsonrpc":"2.0","id":0,"error":{"code":-32600,"message":"no"}}`, "begins no other"},
		"the server speaks another version": {strings.Replace(welcome, "2025-06-18", "2025-03-26", 1), "2025-03-26"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, requests := script(t)
			p := carry(t, bridge.Options{URL: url})
			begin(t, p, requests, "s1")
			p.say(ask(1, "tools/call"))
			r := next(t, requests)
			if r.Get("Mcp-Session-Id") != "s1" {
				t.Errorf("%v", r.Header)
			}
			page(r, 404, "")
			if r = next(t, requests); r.text != hello || r.Get("Mcp-Session-Id") != "" {
				t.Errorf("%v %s", r.Header, r.text)
			}
			r.answer(200, c.answer)
			if got := p.hear(); !strings.HasPrefix(got, `{"jsonrpc":"2.0","id":1,"error":`) || !strings.Contains(got, c.want) {
				t.Errorf("heard %s", got)
			}
			p.in.Close()
			next(t, requests).end() // DELETE
			if _, ok := <-p.lines; ok {
				t.Error("the client heard of it twice")
			}
		})
	}
}
