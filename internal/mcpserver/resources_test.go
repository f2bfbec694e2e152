package mcpserver_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"layercake/graph"
	"layercake/internal/golden"
	"layercake/internal/plan"
	"layercake/internal/server/servertest"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// read returns the text of a resource.
func read(t *testing.T, session *mcp.ClientSession, uri, mimeType string) (text string, ttl int) {
	t.Helper()
	got, err := session.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: uri})
	if err != nil {
		t.Fatalf("%s: %v", uri, err)
	}
	if len(got.Contents) != 1 || got.Contents[0].URI != uri || got.Contents[0].MIMEType != mimeType || got.CacheScope != "private" {
		t.Fatalf("%s: %+v", uri, got)
	}
	return got.Contents[0].Text, got.TTLMs
}

// refused returns the error of the protocol that a request got.
func refused(t *testing.T, err error, code int64) (e *jsonrpc.Error, data map[string]any) {
	t.Helper()
	if !errors.As(err, &e) || e.Code != code {
		t.Fatalf("the error is %v, want code %d", err, code)
	}
	if err := json.Unmarshal(e.Data, &data); len(e.Data) > 0 && err != nil {
		t.Fatalf("%v in %s", err, e.Data)
	}
	return e, data
}

func TestResources(t *testing.T) {
	t.Parallel()
	url := servertest.Start(t, 1, nil)[0].URL
	session := connect(t, url+"/mcp", "Ada", nil)
	use(t, session, "create_project", map[string]any{"name": "Cakes", "description": "All of them"}, nil)
	emptyPlan, _ := read(t, session, "layercake://plans/1", "application/yaml")
	if strings.TrimSpace(emptyPlan) != "" || emptyPlan == "" {
		t.Errorf("a plan without a text reads %q", emptyPlan)
	}
	const yaml = "meta:\n  name: \"Cake\"\n"
	use(t, session, "create_plan", map[string]any{"project_id": 1, "name": "Cake", "yaml_content": yaml}, nil)

	for _, like := range []struct {
		uri, tool string
	}{
		{"layercake://projects/1", "get_project"},
		{"layercake://projects/1/plan", "get_plan"},
		{"layercake://projects/1/changes", "list_changes"},
		{"layercake://projects/1/presence", "who_is_here"},
	} {
		result := use(t, session, like.tool, map[string]any{"project_id": 1}, nil)
		want := result.Content[0].(*mcp.TextContent).Text
		if got, ttl := read(t, session, like.uri, "application/json"); got != want || ttl != 0 {
			t.Errorf("%s for %d ms: %s\nwant, as %s: %s", like.uri, ttl, got, like.tool, want)
		}
	}
	if got, ttl := read(t, session, "layercake://plans/1", "application/yaml"); got != yaml || ttl != 0 {
		t.Errorf("the plan for %d ms: %q", ttl, got)
	}
	if got, ttl := read(t, session, "layercake://schema/graphql", "application/graphql"); got != graph.SDL() || ttl != 300_000 {
		t.Errorf("the schema for %d ms: %q", ttl, got)
	}
	types, ttl := read(t, session, "layercake://node-types", "application/json")
	var said struct {
		NodeTypes []struct {
			Type         string          `json:"type"`
			ConfigSchema json.RawMessage `json:"config_schema"`
		} `json:"node_types"`
	}
	if err := json.Unmarshal([]byte(types), &said); err != nil || len(said.NodeTypes) != len(plan.NodeTypes()) || ttl != 300_000 {
		t.Errorf("node types for %d ms, %v: %s", ttl, err, types)
	}
	for _, n := range said.NodeTypes {
		if n.Type == "" || len(n.ConfigSchema) == 0 {
			t.Errorf("a node type is %+v", n)
		}
	}
	var health, published struct {
		Status, Service string
		Checks          map[string]any
	}
	got, ttl := read(t, session, "layercake://health", "application/json")
	public := send(t, "GET", url+"/health", "").text
	if err := errors.Join(json.Unmarshal([]byte(got), &health), json.Unmarshal([]byte(public), &published)); err != nil {
		t.Fatal(err)
	}
	if health.Status != published.Status || health.Service == "" || len(health.Checks) != len(published.Checks) || ttl != 0 {
		t.Errorf("health for %d ms: %s\n/health: %s", ttl, got, public)
	}
}

func TestResourcesThatAreNotThere(t *testing.T) {
	t.Parallel()
	url := servertest.Start(t, 1, nil)[0].URL
	everything := connect(t, url+"/mcp", "a", nil)
	for n := range 2 {
		use(t, everything, "create_project", map[string]any{"name": fmt.Sprint("P", n+1)}, nil)
	}
	ofTwo := connect(t, url+"/mcp?project=2&read_only=true", "a", nil)
	for _, uri := range []string{"layercake://projects/2", "layercake://projects/2/plan", "layercake://projects/2/changes"} {
		read(t, ofTwo, uri, "application/json")
	}
	read(t, ofTwo, "layercake://plans/2", "application/yaml")
	for _, uri := range []string{
		"layercake://projects/1", "layercake://projects/1/plan", "layercake://projects/1/changes", "layercake://projects/1/presence",
		"layercake://plans/1",
	} {
		_, err := ofTwo.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: uri})
		if e, data := refused(t, err, jsonrpc.CodeInvalidParams); data["uri"] != uri || e.Message != "Resource not found" {
			t.Errorf("%s of another project: %v %v", uri, e, data)
		}
	}
	for _, uri := range []string{
		"layercake://projects/3", "layercake://projects/3/plan", "layercake://projects/3/changes", "layercake://projects/3/presence",
		"layercake://plans/3", "layercake://projects/0", "layercake://projects/2147483648", "layercake://projects/x", "layercake://plans/x",
		"layercake://projects/1/cakes", "file:///etc/passwd", "test://nothing", "projects/1", "layercake://projects/1\x01", "a\x7f",
		"layercake://projects/1\U000e0041", "\u202e", `layercake://projects/"1"`, "layercake://" + strings.Repeat("x", 100_000),
	} {
		body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": map[string]any{"uri": uri}})
		if err != nil {
			t.Fatal(err)
		}
		got := post(t, url, "/mcp", string(body)) // the SDK's client cannot send all of them
		var said struct{ Error *jsonrpc.Error }
		if err := json.Unmarshal([]byte(got.text), &said); err != nil || said.Error == nil {
			t.Fatalf("%q: %v in %d %s", uri, err, got.status, got.text)
		}
		e, data := refused(t, said.Error, jsonrpc.CodeInvalidParams)
		if at, ok := data["uri"].(string); e.Message != "Resource not found" || !ok || !strings.HasPrefix(uri, strings.TrimSuffix(at, "...")) ||
			len(e.Data) > 1000 {
			t.Errorf("%q: %v %s", uri, e, e.Data)
		}
	}
}

func TestListOfResources(t *testing.T) {
	t.Parallel()
	url := servertest.Start(t, 1, nil)[0].URL
	session := connect(t, url+"/mcp", "a", nil)
	registered, err := session.ListResources(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	fixed := len(registered.Resources)
	const projects = 100
	for n := range projects {
		use(t, session, "create_project", map[string]any{"name": fmt.Sprint("P", n+1), "description": "of many"}, nil)
	}
	first, err := session.ListResources(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	second, err := session.ListResources(t.Context(), &mcp.ListResourcesParams{Cursor: first.NextCursor})
	if err != nil {
		t.Fatal(err)
	}
	if len(first.Resources) != 100 || len(second.Resources) != fixed || second.NextCursor != "" {
		t.Errorf("pages of %d and %d, then %q", len(first.Resources), len(second.Resources), second.NextCursor)
	}
	if first.CacheScope != "private" || second.CacheScope != "private" || first.TTLMs != 0 || second.TTLMs != 0 {
		t.Errorf("kept for %+v, %+v", first.Cacheable, second.Cacheable)
	}
	for n, r := range append(first.Resources[fixed:], second.Resources...) {
		want := mcp.Resource{
			URI: fmt.Sprint("layercake://projects/", n+1), Name: fmt.Sprint("P", n+1), Description: "of many", MIMEType: "application/json",
		}
		if r.URI != want.URI || r.Name != want.Name || r.Description != want.Description || r.MIMEType != want.MIMEType {
			t.Errorf("resource %d is %+v", n, r)
		}
	}
	one, err := connect(t, url+"/mcp?project=7", "a", nil).ListResources(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(one.Resources); n != fixed+1 || one.Resources[n-1].URI != "layercake://projects/7" || one.NextCursor != "" {
		t.Errorf("a client of project 7 sees %d resources", n)
	}
	none, err := connect(t, url+"/mcp?project=7777", "a", nil).ListResources(t.Context(), &mcp.ListResourcesParams{})
	if err != nil || len(none.Resources) != fixed {
		t.Errorf("a client of a project that is not there sees %+v, %v", none, err)
	}
	_, err = session.ListResources(t.Context(), &mcp.ListResourcesParams{Cursor: "next"})
	if _, data := refused(t, err, jsonrpc.CodeInvalidParams); data["path"] != "cursor" {
		t.Errorf("a cursor of somebody else's: %v", data)
	}
}

func TestTemplatesOfResources(t *testing.T) {
	t.Parallel()
	url := servertest.Start(t, 1, nil)[0].URL
	list, err := connect(t, url+"/mcp", "a", nil).ListResourceTemplates(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if list.TTLMs != 300_000 || list.CacheScope != "private" {
		t.Errorf("kept for %+v", list.Cacheable)
	}
	text, err := json.MarshalIndent(list.ResourceTemplates, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden.Compare(t, "testdata/resource_templates.json", string(text)+"\n")
}
