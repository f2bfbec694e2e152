package mcpserver_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"layercake/internal/golden"
	"layercake/internal/mcpserver"
	"layercake/internal/server/servertest"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// message is what a raw request gets.
type message struct {
	status int
	header http.Header
	text   string
}

// post sends a text to a path of a replica, with headers in pairs.
func post(t *testing.T, url, path, body string, headers ...string) message {
	t.Helper()
	return send(t, http.MethodPost, url+path, body, append([]string{"Content-Type", "application/json"}, headers...)...)
}

func send(t *testing.T, method, url, body string, headers ...string) message {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return message{response.StatusCode, response.Header, string(text)}
}

// modern are the headers of a request of 2026-07-28, and meta is what stands in its parameters.
func modern(method, name string) []string {
	headers := []string{"MCP-Protocol-Version", "2026-07-28", "Mcp-Method", method, "Accept", "application/json, text/event-stream"}
	if name != "" {
		headers = append(headers, "Mcp-Name", name)
	}
	return headers
}

const meta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"test","version":"1"},
	"io.modelcontextprotocol/clientCapabilities":{}}`

// connect returns a session of the SDK's client with a replica, under an agent's name.
func connect(t *testing.T, url, agent string, options *mcp.ClientOptions) *mcp.ClientSession {
	t.Helper()
	http := &http.Client{Transport: named{agent, &http.Transport{}}}
	t.Cleanup(http.CloseIdleConnections)
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, options)
	session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: url, HTTPClient: http}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.Close() })
	return session
}

// named adds an agent's name to each request.
type named struct {
	agent string
	*http.Transport
}

func (n named) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set(mcpserver.AgentHeader, n.agent)
	return n.Transport.RoundTrip(r)
}

// use calls a tool, whose success or failure is decoded into into.
func use(t *testing.T, session *mcp.ClientSession, tool string, arguments map[string]any, into any) *mcp.CallToolResult {
	t.Helper()
	result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: tool, Arguments: arguments})
	if err != nil {
		t.Fatalf("%s: %v", tool, err)
	}
	text := result.Content[0].(*mcp.TextContent).Text
	if into != nil {
		if err := json.Unmarshal([]byte(text), into); err != nil {
			t.Fatalf("%s: %v in %s", tool, err, text)
		}
	}
	return result
}

// failed is the text of a tool that failed.
type failed struct {
	Error struct {
		Code, Message, Path, Hint, RequestID string
		Detail                               any
		RetryAfterMs                         int
	}
}

func TestRequestsByThemselves(t *testing.T) {
	t.Parallel()
	url := servertest.Start(t, 1, nil)[0].URL
	const list = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_projects"}}`
	const newList = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{` + meta + `,"name":"list_projects","arguments":{}}}`
	for name, c := range map[string]struct {
		path, body string
		headers    []string
		status     int
		media      string
		holds      string
	}{
		"a client of the time before sessions": {"/mcp", list, nil, 200, "application/json", `"count":0`},
		"under the address with a slash":       {"/mcp/", list, nil, 200, "application/json", `"count":0`},
		"a client that takes only JSON":        {"/mcp", list, []string{"Accept", "application/json"}, 200, "application/json", `"count":0`},
		"a client that takes only streams":     {"/mcp", list, []string{"Accept", "text/event-stream"}, 200, "text/event-stream", `"count":0`},
		"a client that takes neither":          {"/mcp", list, []string{"Accept", "text/html"}, 406, "application/json", "text/event-stream"},
		"a client of 2026":                     {"/mcp", newList, modern("tools/call", "list_projects"), 200, "application/json", `"resultType":"complete"`},
		"a header that says another method":    {"/mcp", newList, modern("tools/list", ""), 400, "application/json", `-32020`},
		"a version that is not there yet":      {"/mcp", newList, append(modern("tools/call", "list_projects"), "MCP-Protocol-Version", "2999-01-01"), 400, "application/json", "-32020"},
		"an old version that never was":        {"/mcp", list, []string{"MCP-Protocol-Version", "2001-01-01"}, 400, "application/json", "2001-01-01"},
		"no JSON":                              {"/mcp", "{", nil, 400, "application/json", "-32700"},
		"nothing":                              {"/mcp", "", nil, 400, "application/json", "-32700"},
		"a method that is not there":           {"/mcp", `{"jsonrpc":"2.0","id":1,"method":"tools/dance"}`, nil, 200, "application/json", "-32601"},
		"a tool that is not there":             {"/mcp", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"dance"}}`, nil, 200, "application/json", "-32602"},
		"another content type":                 {"/mcp", list, []string{"Content-Type", "text/plain"}, 415, "application/json", "text/plain"},
		"a notification":                       {"/mcp", `{"jsonrpc":"2.0","method":"notifications/initialized"}`, nil, 202, "", ""},
		"a parameter of the address, misspelt": {"/mcp?readonly=true", list, nil, 400, "application/json", "readonly=true"},
		"a value of one, misspelt":             {"/mcp?read_only=yes", list, nil, 400, "application/json", "read_only=yes"},
		"a toolset that is not there":          {"/mcp?toolsets=projects,cakes", list, nil, 400, "application/json", "toolsets=cakes"},
		"a project that is none":               {"/mcp?project=0", list, nil, 400, "application/json", "project=0"},
		"a parameter twice":                    {"/mcp?read_only=true&read_only=false", list, nil, 400, "application/json", "once"},
		"65 lists inside of each other":        {"/mcp", `{"jsonrpc":"2.0","id":7,"method":"ping","params":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `}`, nil, 400, "application/json", `"id":7`},
		"a body over 4 MB":                     {"/mcp", `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"` + strings.Repeat("x", 4<<20) + `"}}`, nil, 413, "application/json", "too large"},
		"a page of another origin":             {"/mcp", list, []string{"Origin", "https://evil.example"}, 403, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := post(t, url, c.path, c.body, c.headers...)
			if got.status != c.status || !strings.Contains(got.text, c.holds) || c.media != "" && got.header.Get("Content-Type") != c.media {
				t.Errorf("%d %s %s", got.status, got.header.Get("Content-Type"), got.text)
			}
			if got.header.Get("X-Request-Id") == "" {
				t.Error("the answer names no request")
			}
		})
	}
}

func TestAddressInABrowser(t *testing.T) {
	t.Parallel()
	url := servertest.Start(t, 1, nil)[0].URL
	page := send(t, http.MethodGet, url+"/mcp", "", "Accept", "text/html,*/*")
	if page.status != 200 || !strings.Contains(page.text, url+"/mcp") || !strings.HasPrefix(page.header.Get("Content-Type"), "text/html") {
		t.Errorf("%d %s", page.status, page.text)
	}
	if other := send(t, http.MethodGet, url+"/mcp", "", "Accept", "text/event-stream"); other.status != 405 || other.header.Get("Allow") == "" {
		t.Errorf("a stream without a session: %d %v", other.status, other.header)
	}
}

// Some models refuse all tools when one schema has words that their dialect lacks.
func TestSchemasArePortable(t *testing.T) {
	t.Parallel()
	url := servertest.Start(t, 1, nil)[0].URL
	list, err := connect(t, url+"/mcp", "a", nil).ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	previous := ""
	for _, tool := range list.Tools {
		if tool.Name <= previous || len(tool.Name) > 40 || tool.Title == "" || tool.Description == "" || tool.OutputSchema == nil {
			t.Errorf("%s, after %s: %+v", tool.Name, previous, tool)
		}
		previous = tool.Name
		for which, schema := range map[string]any{"input": tool.InputSchema, "output": tool.OutputSchema} {
			walkSchema(t, tool.Name+" "+which, schema)
		}
	}
	text, err := json.MarshalIndent(list.Tools, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden.Compare(t, "testdata/tools.json", string(text)+"\n")
}

func walkSchema(t *testing.T, at string, value any) {
	t.Helper()
	schema, ok := value.(map[string]any)
	if !ok {
		t.Errorf("%s is a schema of type %T", at, value)
		return
	}
	for word, v := range schema {
		switch word {
		case "type":
			if kind, ok := v.(string); !ok || kind == "null" {
				t.Errorf("%s has type %v", at, v)
			}
		case "properties":
			for name, property := range v.(map[string]any) {
				walkSchema(t, at+"."+name, property)
			}
		case "items":
			walkSchema(t, at+"[]", v)
		case "required":
			if _, ok := v.([]any); !ok {
				t.Errorf("%s requires %v", at, v)
			}
		case "minimum":
			if v != 1.0 {
				t.Errorf("%s is at least %v", at, v)
			}
		case "description", "enum":
		default:
			t.Errorf("%s has %s: %v", at, word, v)
		}
	}
	if schema["type"] == "array" && schema["items"] == nil {
		t.Errorf("%s says nothing of its items", at)
	}
	if schema["type"] == nil {
		t.Errorf("%s has no type", at)
	}
}

func TestClientsThatMayLess(t *testing.T) {
	t.Parallel()
	url := servertest.Start(t, 1, nil)[0].URL
	everything := connect(t, url+"/mcp", "a", nil)
	for n := range 2 {
		use(t, everything, "create_project", map[string]any{"name": fmt.Sprint("P", n+1)}, nil)
	}
	names := func(query string) string {
		list, err := connect(t, url+"/mcp"+query, "a", nil).ListTools(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		for _, tool := range list.Tools {
			fmt.Fprint(&b, tool.Name, " ")
		}
		return b.String()
	}
	if got := names("?read_only=true"); strings.Contains(got, "create_") || !strings.Contains(got, "list_projects") {
		t.Errorf("read_only has %s", got)
	}
	if got := names("?toolsets=people"); got != "set_presence who_is_here " {
		t.Errorf("people have %s", got)
	}
	if got := names("?project=2"); strings.Contains(got, "create_project") || !strings.Contains(got, "create_plan") {
		t.Errorf("a client of one project has %s", got)
	}
	for query, calls := range map[string]map[string]map[string]any{
		"?read_only=true":    {"create_project": {"name": "no"}},
		"?toolsets=projects": {"get_plan": {"project_id": 1}},
		"?project=2":         {"get_plan": {"project_id": 1}, "get_plan_status": {"plan_id": 1}, "create_project": {"name": "no"}},
	} {
		session := connect(t, url+"/mcp"+query, "a", nil)
		for tool, arguments := range calls {
			var said failed
			if result := use(t, session, tool, arguments, &said); !result.IsError || said.Error.Code != "FORBIDDEN" {
				t.Errorf("%s of %s: %+v", tool, query, said)
			}
		}
	}
	var list struct{ Projects []struct{ ID int } }
	use(t, connect(t, url+"/mcp?project=2", "a", nil), "list_projects", nil, &list)
	if len(list.Projects) != 1 || list.Projects[0].ID != 2 {
		t.Errorf("a client of project 2 sees %v", list.Projects)
	}
}

// What a tool says of wrong arguments is for a model, which reads no protocol errors.
func TestWrongArguments(t *testing.T) {
	t.Parallel()
	url := servertest.Start(t, 1, nil)[0].URL
	session := connect(t, url+"/mcp", "a", nil)
	use(t, session, "create_project", map[string]any{"name": "P"}, nil)
	for name, c := range map[string]struct {
		tool      string
		arguments map[string]any
		path      string
	}{
		"missing":            {"get_plan", map[string]any{}, ""},
		"of another type":    {"get_plan", map[string]any{"project_id": "1"}, "project_id"},
		"a fraction":         {"get_plan", map[string]any{"project_id": 1.5}, "project_id"},
		"null":               {"get_plan", map[string]any{"project_id": nil}, "project_id"},
		"too low":            {"get_plan", map[string]any{"project_id": 0}, "project_id"},
		"beyond 32 bits":     {"get_plan", map[string]any{"project_id": 1 << 40}, "project_id"},
		"misspelt":           {"get_plan", map[string]any{"project_id": 1, "projectId": 1}, "projectId"},
		"no such word":       {"get_plan", map[string]any{"project_id": 1, "detail": "more"}, "detail"},
		"an element of them": {"get_plan", map[string]any{"project_id": 1, "node_ids": []any{"a", 1}}, "node_ids[]"},
		"too high":           {"get_plan", map[string]any{"project_id": 1, "limit": 501}, "limit"},
		"no cursor":          {"list_changes", map[string]any{"project_id": 1, "after": "x"}, "after"},
		"no YAML":            {"create_plan", map[string]any{"project_id": 1, "name": "x", "yaml_content": "a: [b"}, "yaml_content"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var said failed
			result := use(t, session, c.tool, c.arguments, &said)
			if !result.IsError || result.StructuredContent != nil || said.Error.Code != "BAD_REQUEST" || said.Error.Path != c.path ||
				said.Error.Hint == "" || said.Error.RequestID == "" {
				t.Errorf("%v %+v", result.StructuredContent, said)
			}
		})
	}
}
