package mcpserver_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"layercake/internal/mcpserver"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server/servertest"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// roundRobin sends each request to the next replica, as a plain balancer does.
type roundRobin struct {
	hosts []string
	agent string
	next  atomic.Int64

	*http.Transport
}

func (b *roundRobin) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Host = b.hosts[int(b.next.Add(1))%len(b.hosts)]
	r.Host = r.URL.Host
	if b.agent != "" {
		r.Header.Set(mcpserver.AgentHeader, b.agent)
	}
	return b.Transport.RoundTrip(r)
}

// balanced returns a client that spreads its requests over replicas.
func balanced(t *testing.T, replicas []*servertest.Replica, agent string) *http.Client {
	t.Helper()
	b := &roundRobin{agent: agent, Transport: &http.Transport{}}
	for _, r := range replicas {
		u, err := url.Parse(r.URL)
		if err != nil {
			t.Fatal(err)
		}
		b.hosts = append(b.hosts, u.Host)
	}
	c := &http.Client{Transport: b}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// inEveryEra runs a test with the SDK's client over each transport, its requests spread over three replicas.
func inEveryEra(t *testing.T, test func(t *testing.T, replicas []*servertest.Replica, connect func(*mcp.ClientOptions) *mcp.ClientSession)) {
	t.Helper()
	for era, version := range map[string]string{"2026-07-28": "2026-07-28", "2025-11-25": "2025-11-25", "sse": ""} {
		t.Run(era, func(t *testing.T) {
			t.Parallel()
			replicas := servertest.Start(t, 3, nil)
			spread := balanced(t, replicas, "Robo")
			test(t, replicas, func(options *mcp.ClientOptions) *mcp.ClientSession {
				client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, options)
				var transport mcp.Transport = &mcp.StreamableClientTransport{Endpoint: replicas[0].URL + "/mcp", HTTPClient: spread}
				if era == "sse" {
					transport = &mcp.SSEClientTransport{Endpoint: replicas[0].URL + "/mcp/sse", HTTPClient: spread}
				}
				var o *mcp.ClientSessionOptions
				if version != "" {
					o = &mcp.ClientSessionOptions{ProtocolVersion: version}
				}
				session, err := client.Connect(t.Context(), transport, o)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = session.Close() })
				if version != "" && session.InitializeResult().ProtocolVersion != version {
					t.Fatalf("speaks %s", session.InitializeResult().ProtocolVersion)
				}
				return session
			})
		})
	}
}

// An agent of any era edits through any replica; a listener of any era, on whichever, is told.
func TestEveryEraOnAnyReplica(t *testing.T) {
	t.Parallel()
	inEveryEra(t, func(t *testing.T, replicas []*servertest.Replica, connect func(*mcp.ClientOptions) *mcp.ClientSession) {
		updated := make(chan string, 100)
		session := connect(&mcp.ClientOptions{
			ResourceUpdatedHandler: func(_ context.Context, r *mcp.ResourceUpdatedNotificationRequest) { updated <- r.Params.URI },
		})
		use(t, session, "create_project", map[string]any{"name": "P", "op_id": "p"}, nil)
		use(t, session, "create_project", map[string]any{"name": "P", "op_id": "p"}, nil)
		var list struct{ Count int }
		if use(t, session, "list_projects", nil, &list); list.Count != 1 {
			t.Errorf("%d projects of one operation", list.Count)
		}
		const plan = "layercake://projects/1/plan"
		if err := session.Subscribe(t.Context(), &mcp.SubscribeParams{URI: plan}); err != nil {
			t.Fatal(err)
		}
		edit := map[string]any{
			"project_id": 1, "op_id": "e1", "note": "because",
			"operations": []any{
				map[string]any{"op": "add_node", "id": "a", "node_type": "GraphNode", "label": "A"},
				map[string]any{"op": "add_node", "id": "b", "node_type": "OutputNode"},
				map[string]any{"op": "add_edge", "source": "a", "target": "b"},
			},
		}
		var done struct {
			Applied bool
			Version int
			Changes []struct{ Kind, ID string }
		}
		for range 2 {
			if r := use(t, session, "edit_plan", edit, &done); r.IsError || !done.Applied || done.Version != 1 || len(done.Changes) != 3 {
				t.Fatalf("%+v %s", done, r.Content[0].(*mcp.TextContent).Text)
			}
		}
		for uri := range updated {
			if uri == plan {
				break
			}
		}
		var changes struct {
			Changes []struct{ Who, Kind, Via, Note, OpID string }
		}
		use(t, session, "list_changes", map[string]any{"project_id": 1}, &changes)
		if len(changes.Changes) != 1 || fmt.Sprint(changes.Changes[0]) != "{Robo agent mcp because }" {
			t.Errorf("%+v", changes)
		}
		var undone struct{ Version int }
		if r := use(t, session, "undo_change", map[string]any{"project_id": 1}, &undone); r.IsError || undone.Version != 2 {
			t.Errorf("%s", r.Content[0].(*mcp.TextContent).Text)
		}
	})
}

// Before it deletes a project, a person is asked, whoever of the replicas gets the answer.
func TestDeletingAsks(t *testing.T) {
	t.Parallel()
	inEveryEra(t, func(t *testing.T, replicas []*servertest.Replica, connect func(*mcp.ClientOptions) *mcp.ClientSession) {
		answer := "decline"
		asked := ""
		session := connect(&mcp.ClientOptions{
			ElicitationHandler: func(_ context.Context, r *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
				asked = r.Params.Message
				return &mcp.ElicitResult{Action: answer, Content: map[string]any{}}, nil
			},
		})
		use(t, session, "create_project", map[string]any{"name": "P"}, nil)
		node := func(op, id string) map[string]any {
			return map[string]any{"op": op, "id": id, "node_type": "GraphNode"}
		}
		use(t, session, "edit_plan", map[string]any{"project_id": 1, "operations": []any{
			node("add_node", "a"), node("add_node", "b"), node("add_node", "c"),
		}}, nil)
		use(t, session, "edit_plan", map[string]any{"project_id": 1, "operations": []any{map[string]any{"op": "delete_node", "id": "b"}}}, nil)
		var said failed
		if use(t, session, "delete_project", map[string]any{"project_id": 1}, &said); said.Error.Code != "FORBIDDEN" || said.Error.Message != "Declined" {
			t.Fatalf("%+v", said)
		}
		if asked != "Delete «P» with its 2 nodes? 0 others are in it." {
			t.Errorf("asked %q", asked)
		}
		answer = "accept"
		if r := use(t, session, "delete_project", map[string]any{"project_id": 1}, nil); r.IsError {
			t.Errorf("%s", r.Content[0].(*mcp.TextContent).Text)
		}
		// Who cannot be asked is not.
		silent := connect(nil)
		use(t, silent, "create_project", map[string]any{"name": "Q"}, nil)
		if r := use(t, silent, "delete_project", map[string]any{"project_id": 2}, nil); r.IsError {
			t.Errorf("%s", r.Content[0].(*mcp.TextContent).Text)
		}
	})
}

const initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},
	"clientInfo":{"name":"old","title":"Old client","version":"1"}}}`

// beginSession returns the headers of a session that begins on a replica.
func beginSession(t *testing.T, url string) []string {
	t.Helper()
	got := post(t, url, "/mcp", initialize, "Accept", "application/json, text/event-stream")
	session := got.header.Get("Mcp-Session-Id")
	if got.status != 200 || session == "" || !strings.Contains(got.text, `"protocolVersion":"2025-06-18"`) {
		t.Fatalf("%d %v %s", got.status, got.header, got.text)
	}
	return []string{"Mcp-Session-Id", session, "MCP-Protocol-Version", "2025-06-18", "Accept", "application/json, text/event-stream"}
}

func TestLifeOfASession(t *testing.T) {
	t.Parallel()
	replicas := servertest.Start(t, 3, nil)
	a, b, c := replicas[0].URL, replicas[1].URL, replicas[2].URL
	ask(t, a, newProject)
	headers := beginSession(t, a)
	if got := post(t, b, "/mcp", `{"jsonrpc":"2.0","method":"notifications/initialized"}`, headers...); got.status != 202 {
		t.Errorf("%d %s", got.status, got.text)
	}
	if got := post(t, c, "/mcp", `{"jsonrpc":"2.0","id":2,"method":"tools/list"}`, headers...); got.status != 200 {
		t.Errorf("%d %s", got.status, got.text)
	}
	const subscribe = `{"jsonrpc":"2.0","id":3,"method":"resources/subscribe","params":{"uri":"layercake://projects/1/plan"}}`
	if got := post(t, a, "/mcp", subscribe, headers...); got.status != 200 || !strings.Contains(got.text, `"result"`) {
		t.Fatalf("%d %s", got.status, got.text)
	}
	first := listenTo(t, http.MethodGet, c+"/mcp", "", headers...)
	if first.status != 200 || first.header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%d %v", first.status, first.header)
	}
	first.next(t) // what was subscribed to before the stream opened counts as changed
	ask(t, b, addNode("n"))
	if m := first.next(t); m.Method != "notifications/resources/updated" || m.Params.URI != "layercake://projects/1/plan" {
		t.Fatalf("%+v", m)
	}
	second := listenTo(t, http.MethodGet, b+"/mcp", "", headers...)
	second.next(t)
	for ok := true; ok; {
		_, ok = first.read(t) // a newer stream ends the older one
	}
	ask(t, a, addNode("m"))
	if m := second.next(t); m.Params.URI == "" {
		t.Fatalf("%+v", m)
	}
	const other = `{"jsonrpc":"2.0","id":3,"method":"resources/subscribe","params":{"uri":"layercake://projects/2/cakes"}}`
	if got := post(t, a, "/mcp", other, headers...); !strings.Contains(got.text, "-32602") && !strings.Contains(got.text, "-32002") {
		t.Errorf("a resource that is not there: %s", got.text)
	}
	if got := send(t, http.MethodDelete, c+"/mcp", "", headers...); got.status != 204 {
		t.Errorf("%d %s", got.status, got.text)
	}
	for ok := true; ok; {
		_, ok = second.read(t)
	}
	for _, url := range []string{a, b, c} {
		eventually(t, "the session to end there", func() bool {
			return post(t, url, "/mcp", `{"jsonrpc":"2.0","id":2,"method":"tools/list"}`, headers...).status == 404
		})
	}
	for name, session := range map[string]string{"unknown": "0b0f8f7e-6a0e-4d39-9c9e-6d3d1d4b7a11", "no id": "x"} {
		if got := post(t, a, "/mcp", subscribe, "Mcp-Session-Id", session); got.status != 404 {
			t.Errorf("%s: %d %s", name, got.status, got.text)
		}
	}
}

// A client that waits on one replica cancels by another one.
func TestCancelling(t *testing.T) {
	t.Parallel()
	replicas := servertest.Start(t, 2, nil)
	ask(t, replicas[0].URL, newProject)
	headers := beginSession(t, replicas[0].URL)
	waiting := listenTo(t, http.MethodPost, replicas[0].URL+"/mcp",
		`{"jsonrpc":"2.0","id":"w","method":"tools/call","params":{"name":"list_changes","arguments":{"project_id":1,"wait_seconds":50}}}`, headers...)
	cancel := `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"w"}}`
	if got := post(t, replicas[1].URL, "/mcp", cancel, headers...); got.status != 202 {
		t.Fatalf("%d %s", got.status, got.text)
	}
	for n := range 70 { // of calls that have ended, or never were
		late := fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":%d}}`, n)
		if got := post(t, replicas[1].URL, "/mcp", late, headers...); got.status != 202 {
			t.Fatalf("late cancellation %d: %d %s", n, got.status, got.text)
		}
	}
	for ok := true; ok; {
		var m rpc
		if m, ok = waiting.read(t); ok && m.Result != nil && strings.Contains(string(m.Result), `"version"`) {
			t.Errorf("answered %s", m.Result)
		}
	}
}

// A message of SSE is accepted by any replica, and answered on the stream, in order.
func TestSSE(t *testing.T) {
	t.Parallel()
	replicas := servertest.Start(t, 2, nil)
	ask(t, replicas[0].URL, newProject)
	stream := listenTo(t, http.MethodGet, replicas[0].URL+"/mcp/sse", "")
	var endpoint string
	select {
	case endpoint = <-stream.lines:
	case <-t.Context().Done():
	}
	if !strings.HasPrefix(endpoint, "/mcp/sse?session=") {
		t.Fatalf("endpoint %q", endpoint)
	}
	old := strings.Replace(initialize, "2025-06-18", "2024-11-05", 1)
	if got := post(t, replicas[1].URL, endpoint, old); got.status != 202 {
		t.Fatalf("%d %s", got.status, got.text)
	}
	if m := stream.next(t); string(m.ID) != "1" || !strings.Contains(string(m.Result), "2024-11-05") {
		t.Fatalf("%+v", m)
	}
	post(t, replicas[1].URL, endpoint, `{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	for n := range 20 { // through either replica in turn
		got := post(t, replicas[n%2].URL, endpoint, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"edit_plan",
			"arguments":{"project_id":1,"operations":[{"op":"add_node","id":"n%d","node_type":"GraphNode"}]}}}`, n+10, n))
		if got.status != 202 {
			t.Fatalf("%d %s", got.status, got.text)
		}
	}
	answered := map[string]bool{}
	for len(answered) < 20 {
		m := stream.next(t)
		if m.Method == "" && (m.Error != nil || answered[string(m.ID)]) {
			t.Fatalf("%+v", m)
		}
		answered[string(m.ID)] = true
	}
	for name, c := range map[string]struct {
		path, body string
		status     int
	}{
		"a batch":             {endpoint, `[]`, 400},
		"no JSON":             {endpoint, `{`, 400},
		"too large":           {endpoint, `{"x":"` + strings.Repeat("x", 1<<20) + `"}`, 413},
		"an unknown session":  {"/mcp/sse?session=0b0f8f7e-6a0e-4d39-9c9e-6d3d1d4b7a11", `{}`, 404},
		"no session":          {"/mcp/sse", `{}`, 404},
		"a session of others": {"/mcp/sse?session=" + beginSession(t, replicas[0].URL)[1], `{}`, 404},
	} {
		if got := post(t, replicas[1].URL, c.path, c.body); got.status != c.status {
			t.Errorf("%s: %d %s", name, got.status, got.text)
		}
	}
	post(t, replicas[1].URL, endpoint, `{"jsonrpc":"2.0","id":99,"method":"tools/dance"}`)
	if m := stream.next(t); string(m.ID) != "99" || m.Error == nil || m.Error.Code != -32601 {
		t.Errorf("%+v", m)
	}
}

// A replica that is killed takes its streams with it, and nothing else: its sessions go on, calls that are repeated happen once, and a stream
// that is opened anew is told what may have been missed.
func TestKilledReplica(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	killed, other := servertest.StartProcess(t, database), servertest.StartProcess(t, database)
	ask(t, other.URL, newProject)
	headers := beginSession(t, killed.URL)
	const subscribe = `{"jsonrpc":"2.0","id":3,"method":"resources/subscribe","params":{"uri":"layercake://projects/1/plan"}}`
	if got := post(t, killed.URL, "/mcp", subscribe, headers...); got.status != 200 {
		t.Fatalf("%d %s", got.status, got.text)
	}
	stream := listenTo(t, http.MethodGet, killed.URL+"/mcp", "", headers...)
	stream.next(t)
	const edit = `{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"edit_plan","arguments":{"project_id":1,"op_id":"once",
		"operations":[{"op":"add_node","node_type":"GraphNode"}]}}}`
	first := post(t, killed.URL, "/mcp", edit, headers...)
	killed.Kill()
	for ok := true; ok; {
		_, ok = stream.read(t)
	}
	again := listenTo(t, http.MethodGet, other.URL+"/mcp", "", headers...)
	if m := again.next(t); m.Params.URI != "layercake://projects/1/plan" {
		t.Fatalf("%+v", m)
	}
	second := post(t, other.URL, "/mcp", edit, headers...)
	if first.text != second.text {
		t.Errorf("%s, and after the replica was killed %s", first.text, second.text)
	}
}

// A question that nobody answers ends its call, and nothing is deleted.
func TestNobodyAnswers(t *testing.T) {
	t.Parallel()
	url := servertest.Start(t, 1, nil)[0].URL
	ask(t, url, newProject)
	headers := []string{"Accept", "application/json, text/event-stream"}
	begun := post(t, url, "/mcp", strings.Replace(initialize, `"capabilities":{}`, `"capabilities":{"elicitation":{}}`, 1), headers...)
	headers = append(headers, "Mcp-Session-Id", begun.header.Get("Mcp-Session-Id"), "MCP-Protocol-Version", "2025-06-18")
	stream := listenTo(t, http.MethodPost, url+"/mcp",
		`{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"delete_project","arguments":{"project_id":1}}}`, headers...)
	if m := stream.next(t); m.Method != "elicitation/create" || string(m.ID) == "1" {
		t.Fatalf("%+v", m)
	}
	if m := stream.next(t); string(m.ID) != "5" || m.Error == nil || !strings.Contains(m.Error.Message, "Nobody answered") {
		t.Errorf("%+v", m)
	}
	session := connect(t, url+"/mcp", "a", nil)
	if r := use(t, session, "get_project", map[string]any{"project_id": 1}, nil); r.IsError {
		t.Error("the project is gone")
	}
}
