package mcpserver_test

import (
	"fmt"
	"strings"
	"testing"

	"layercake/internal/server/servertest"
)

// What is wrong with the query of an address does not widen what its client may do.
func TestAddressesThatAreNoQuery(t *testing.T) {
	t.Parallel()
	url := servertest.Start(t, 1, nil)[0].URL
	const body = `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`
	for _, query := range []string{"?read_only=true;project=1", "?project=%zz", "?read_only=true&%"} {
		for _, path := range []string{"/mcp", "/mcp/"} {
			if got := post(t, url, path+query, body); got.status != 400 {
				t.Fatalf("%s: %d %.60s", path+query, got.status, got.text)
			}
		}
		if got := send(t, "GET", url+"/mcp/sse"+query, ""); got.status != 400 {
			t.Errorf("a stream with %s: %d", query, got.status)
		}
	}
}

// A session that was opened under a narrow address stays narrow, on whichever replica and under whichever address it goes on.
func TestSessionsOnlyGetNarrower(t *testing.T) {
	t.Parallel()
	replicas := servertest.Start(t, 2, nil)
	for range 2 {
		post(t, replicas[0].URL, "/mcp", toolCall(1, "create_project", `{"name":"P"}`))
	}
	open := func(query string) []string {
		t.Helper()
		began := post(t, replicas[0].URL, "/mcp"+query, initialize)
		if began.status != 200 {
			t.Fatalf("initialize at %s: %d %s", query, began.status, began.text)
		}
		return []string{"Mcp-Session-Id", began.header.Get("Mcp-Session-Id"), "Mcp-Protocol-Version", "2025-06-18"}
	}
	for _, c := range []struct {
		session, request string // queries
		message          string
		want             int
		says             string // empty for anything but a refusal
	}{
		{"?read_only=true", "", toolCall(2, "create_project", `{"name":"Q"}`), 200, "FORBIDDEN"},
		{"?read_only=true", "?read_only=false", toolCall(2, "create_project", `{"name":"Q"}`), 200, "FORBIDDEN"},
		{"?read_only=true", "", toolCall(2, "list_projects", `{}`), 200, ""},
		{"?project=1", "", toolCall(2, "get_project", `{"project_id":2}`), 200, "FORBIDDEN"},
		{"?project=1", "", toolCall(2, "get_project", `{"project_id":1}`), 200, ""},
		{"?project=1", "?project=2", toolCall(2, "get_project", `{"project_id":2}`), 403, "FORBIDDEN"},
		{"?project=1", "?project=2", `{"jsonrpc":"2.0","id":"q","result":{}}`, 403, "FORBIDDEN"},
		{"?project=1", "?project=2", `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}`, 403, "FORBIDDEN"},
		{"?toolsets=people,plans", "?toolsets=plans,projects", toolCall(2, "get_project", `{"project_id":1}`), 200, "FORBIDDEN"},
		{"?toolsets=people,plans", "?toolsets=plans,projects", toolCall(2, "get_plan", `{"project_id":1}`), 200, ""},
		{"?toolsets=people,plans", "", toolCall(2, "get_project", `{"project_id":1}`), 200, "FORBIDDEN"},
		{"?toolsets=people,plans", "?toolsets=projects", toolCall(2, "get_project", `{"project_id":1}`), 403, "FORBIDDEN"},
		{"", "?read_only=true", toolCall(2, "create_project", `{"name":"Q"}`), 200, "FORBIDDEN"},
		{"", "?project=2", toolCall(2, "get_project", `{"project_id":1}`), 200, "FORBIDDEN"},
	} {
		got := post(t, replicas[1].URL, "/mcp"+c.request, c.message, open(c.session)...)
		if refused := strings.Contains(got.text, "FORBIDDEN"); got.status != c.want || refused != (c.says != "") {
			t.Errorf("a session of %q, %s sent to %q: %d %s, want %d", c.session, c.message, c.request, got.status, got.text, c.want)
		}
	}
	narrow := open("?project=1")
	if got := post(t, replicas[1].URL, "/mcp", `{"jsonrpc":"2.0","id":4,"method":"resources/subscribe","params":`+
		`{"uri":"layercake://projects/2/plan"}}`, narrow...); !strings.Contains(got.text, `"error"`) {
		t.Errorf("subscribed to another project: %s", got.text)
	}
	narrow = append(narrow, "Accept", "text/event-stream")
	if got := send(t, "GET", replicas[1].URL+"/mcp?project=2", "", narrow...); got.status != 403 {
		t.Errorf("the stream of a session for another project: %d %s", got.status, got.text)
	}
	if got := post(t, replicas[1].URL, "/mcp", toolCall(3, "list_projects", `{}`)); strings.Contains(got.text, `"Q"`) {
		t.Errorf("a session wrote that may not: %s", got.text)
	}
}

// toolCall is the message of a tool call.
func toolCall(id int, tool, arguments string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":%q,"arguments":%s}}`, id, tool, arguments)
}

// What a client of a stream may do is said where the stream is opened, and nowhere else.
func TestMessagesToStreamsHaveNoScope(t *testing.T) {
	t.Parallel()
	url := servertest.Start(t, 1, nil)[0].URL
	endpoint := <-listenTo(t, "GET", url+"/mcp/sse?read_only=true", "").lines
	for query, want := range map[string]int{"": 202, "&read_only=false": 400, "&readonly=true": 400, "&%": 400} {
		if got := post(t, url, endpoint+query, `{"jsonrpc":"2.0","method":"notifications/initialized"}`); got.status != want {
			t.Errorf("a message with %q: %d %s, want %d", query, got.status, got.text, want)
		}
	}
}

// A client of one project cannot tie its plan to those of others, nor find out which there are.
func TestDependenciesOutsideOfTheScope(t *testing.T) {
	t.Parallel()
	url := servertest.Start(t, 1, nil)[0].URL
	for range 2 {
		ask(t, url, newProject)
	}
	makePlan := func(dependencies string) string {
		return toolCall(1, "create_plan", `{"project_id":1,"name":"A","yaml_content":"a: 1","dependencies":`+dependencies+`}`)
	}
	for dependencies, path := range map[string]string{"[2]": "dependencies[0]", "[1,99]": "dependencies[1]"} {
		got := post(t, url, "/mcp?project=1", makePlan(dependencies))
		if !strings.Contains(got.text, "FORBIDDEN") || !strings.Contains(got.text, path) {
			t.Errorf("%s: %s", dependencies, got.text)
		}
	}
	if got := post(t, url, "/mcp?project=1", makePlan("[]")); strings.Contains(got.text, `"isError":true`) {
		t.Errorf("no dependencies: %s", got.text)
	}
	ask(t, url, newProject)
	got := post(t, url, "/mcp", toolCall(1, "create_plan", `{"project_id":3,"name":"A","yaml_content":"a: 1","dependencies":[2]}`))
	if strings.Contains(got.text, `"isError":true`) {
		t.Errorf("without a scope: %s", got.text)
	}
}
