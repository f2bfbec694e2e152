package mcpserver_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"layercake/internal/server/servertest"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// importedTables is the answer of import_csv.
type importedTables struct {
	DataSources []struct {
		ID, Rows, Problems int
		Name, Kind         string
		NodeID             string `json:"node_id"`
	} `json:"data_sources"`
	Version int
}

type executed struct {
	Status, Message string
	Nodes           []struct{ ID, State, Error string }
}

type page struct {
	Count    int
	Items    []map[string]any
	NextPage string `json:"next_page"`
}

type graphPage struct {
	NodeID       string `json:"node_id"`
	State        string
	StaleBecause []string `json:"stale_because"`
	Nodes, Edges *page
	Layers       *page
}

// newGraph makes a project with a graph of so many nodes in a row, and builds it.
func newGraph(t *testing.T, session *mcp.ClientSession, length int) importedTables {
	t.Helper()
	use(t, session, "create_project", map[string]any{"name": "P"}, nil)
	var nodes, edges strings.Builder
	nodes.WriteString("id,label,layer,colour\n")
	edges.WriteString("id,source,target\n")
	for i := range length {
		fmt.Fprintf(&nodes, "n%04d,Node %d,l,red\n", i, i)
		if i > 0 {
			fmt.Fprintf(&edges, "e%04d,n%04d,n%04d\n", i, i-1, i)
		}
	}
	var got importedTables
	use(t, session, "import_csv", map[string]any{
		"project_id": 1, "nodes_csv": nodes.String(), "edges_csv": edges.String(), "layers_csv": "id,label,background\nl,Layer,123456\n",
	}, &got)
	if len(got.DataSources) != 3 || got.DataSources[0].Rows != length || got.DataSources[1].Kind != "edges" || got.Version != 1 {
		t.Fatalf("imported %+v", got)
	}
	operations := []map[string]any{{"op": "add_node", "id": "g", "node_type": "GraphNode", "label": "Row"}}
	for _, s := range got.DataSources {
		operations = append(operations, map[string]any{"op": "add_edge", "source": s.NodeID, "target": "g"})
	}
	use(t, session, "edit_plan", map[string]any{"project_id": 1, "operations": operations}, nil)
	var done executed
	use(t, session, "execute_plan", map[string]any{"plan_id": 1}, &done)
	if done.Status != "completed" || len(done.Nodes) != 1 || done.Nodes[0].State != "completed" {
		t.Fatalf("executed %+v", done)
	}
	return got
}

func TestGraphsOfAgents(t *testing.T) {
	t.Parallel()
	replica := servertest.Start(t, 1, nil)[0]
	session := connect(t, replica.URL+"/mcp", "a", nil)
	const length = 2500
	newGraph(t, session, length)

	var got graphPage
	use(t, session, "get_graph_data", map[string]any{"project_id": 1, "limit": 1000, "include_layers": true}, &got)
	if got.NodeID != "g" || got.State != "completed" || got.Nodes.Count != length || got.Edges.Count != length-1 || got.Layers.Count != 1 ||
		got.Nodes.Items[1]["id"] != "n0001" || got.Nodes.Items[1]["attributes"].(map[string]any)["colour"] != "red" {
		t.Errorf("the first page is %+v", got)
	}
	var ids []string
	for next := ""; ; {
		arguments := map[string]any{"project_id": 1, "limit": 1000, "include_edges": false, "include_layers": false}
		if next != "" {
			arguments["page"] = next
		}
		var got graphPage
		result := use(t, session, "get_graph_data", arguments, &got)
		if text := result.Content[0].(*mcp.TextContent).Text; got.Edges != nil || got.Layers != nil || len(text) > 70_000 {
			t.Fatalf("%d bytes, edges %v, layers %v", len(text), got.Edges, got.Layers)
		}
		for _, n := range got.Nodes.Items {
			ids = append(ids, n["id"].(string))
		}
		if next = got.Nodes.NextPage; next == "" {
			break
		}
	}
	if len(ids) != length || !slices.IsSorted(ids) {
		t.Errorf("%d ids were read, in order: %t", len(ids), slices.IsSorted(ids))
	}

	var exported struct {
		Content, Download, Filename string
		MIMEType                    string `json:"mime_type"`
	}
	use(t, session, "export_graph", map[string]any{"project_id": 1, "format": "csv"}, &exported)
	if exported.Content != "" || exported.Filename != "Row.csv" || exported.MIMEType != "text/csv" {
		t.Errorf("a large export is %+v", exported)
	}
	r, err := http.Get(replica.URL + exported.Download)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r.Body)
	_ = r.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if err != nil || r.StatusCode != http.StatusOK || strings.Count(string(text), "\n") != length+1 {
		t.Errorf("its download is %d, %d bytes, %v", r.StatusCode, len(text), err)
	}

	var found struct {
		NodeCount      int `json:"node_count"`
		ComponentCount int `json:"component_count"`
		Sources, Sinks struct {
			Count int
			IDs   []string
		}
		HasCycle bool `json:"has_cycle"`
	}
	use(t, session, "analyze_connectivity", map[string]any{"project_id": 1}, &found)
	if found.NodeCount != length || found.ComponentCount != 1 || found.Sources.Count != 1 || found.Sinks.IDs[0] != "n2499" || found.HasCycle {
		t.Errorf("connectivity is %+v", found)
	}
	resource, _ := read(t, session, "layercake://analysis/1/connectivity", "application/json")
	if !strings.Contains(resource, `"node_count":2500`) {
		t.Errorf("the resource is %.200s", resource)
	}
	if dot, ttl := read(t, session, "layercake://graphs/1/dot", "text/vnd.graphviz"); !strings.HasPrefix(dot, "digraph") || ttl != 0 {
		t.Errorf("the resource is %.200s", dot)
	}

	var paths struct {
		Paths     [][]string
		Truncated bool
	}
	use(t, session, "find_paths", map[string]any{"project_id": 1, "source_node": "n0001", "target_node": "n0003"}, &paths)
	if len(paths.Paths) != 1 || strings.Join(paths.Paths[0], " ") != "n0001 n0002 n0003" || paths.Truncated {
		t.Errorf("paths are %+v", paths)
	}
}

// A page belongs to one content: after a rebuild that changed something the reader begins anew.
func TestPagesOfARebuiltGraph(t *testing.T) {
	t.Parallel()
	session := connect(t, servertest.Start(t, 1, nil)[0].URL+"/mcp", "a", nil)
	tables := newGraph(t, session, 10)
	var got graphPage
	use(t, session, "get_graph_data", map[string]any{"project_id": 1, "limit": 3}, &got)
	if got.Nodes.NextPage == "" || len(got.StaleBecause) > 0 {
		t.Fatalf("%+v", got)
	}
	use(t, session, "edit_plan", map[string]any{"project_id": 1, "operations": []map[string]any{
		{"op": "delete_edge", "source": tables.DataSources[2].NodeID, "target": "g"},
	}}, nil)
	var stale graphPage
	use(t, session, "get_graph_data", map[string]any{"project_id": 1, "limit": 3, "page": got.Nodes.NextPage}, &stale)
	if len(stale.StaleBecause) == 0 || stale.Nodes.Items[0]["id"] != "n0003" {
		t.Errorf("before the rebuild: %+v", stale)
	}
	use(t, session, "execute_plan", map[string]any{"plan_id": 1, "node_id": "g"}, nil)
	var said failed
	use(t, session, "get_graph_data", map[string]any{"project_id": 1, "limit": 3, "page": got.Nodes.NextPage}, &said)
	if said.Error.Code != "CONFLICT" || said.Error.Path != "page" {
		t.Errorf("after the rebuild: %+v", said)
	}
}

func TestGraphToolsRefuse(t *testing.T) {
	t.Parallel()
	url := servertest.Start(t, 1, nil)[0].URL
	session := connect(t, url+"/mcp", "a", nil)
	newGraph(t, session, 3)
	use(t, session, "create_project", map[string]any{"name": "Other"}, nil)
	use(t, session, "edit_plan", map[string]any{"project_id": 1, "operations": []map[string]any{
		{"op": "add_node", "id": "h", "node_type": "GraphNode", "label": "Second"},
		{"op": "add_node", "id": "unset", "node_type": "DataSourceNode"},
		{"op": "add_node", "id": "bad", "node_type": "GraphNode", "label": "Bad"},
		{"op": "add_edge", "source": "unset", "target": "bad"},
	}}, nil)
	for name, c := range map[string]struct {
		tool      string
		arguments map[string]any
		code      string
		part      string
	}{
		"no table":            {"import_csv", map[string]any{"project_id": 1}, "BAD_REQUEST", "at least one"},
		"a bad table":         {"import_csv", map[string]any{"project_id": 1, "nodes_csv": "x\n1\n"}, "BAD_REQUEST", ""},
		"which graph":         {"get_graph_data", map[string]any{"project_id": 1}, "BAD_REQUEST", "3 GraphNodes"},
		"no graph":            {"analyze_connectivity", map[string]any{"project_id": 2}, "BAD_REQUEST", "no GraphNode"},
		"a graph not built":   {"find_paths", map[string]any{"project_id": 1, "node_id": "h", "source_node": "a", "target_node": "b"}, "NOT_FOUND", "execute_plan"},
		"an unknown node":     {"get_graph_data", map[string]any{"project_id": 1, "node_id": "nobody"}, "NOT_FOUND", "no such node"},
		"a node without one":  {"get_graph_data", map[string]any{"project_id": 1, "node_id": "unset"}, "BAD_REQUEST", "DataSourceNode"},
		"an unknown output":   {"export_graph", map[string]any{"project_id": 1, "node_id": "nobody", "format": "dot"}, "NOT_FOUND", "Node not found"},
		"an unknown end":      {"find_paths", map[string]any{"project_id": 1, "node_id": "g", "source_node": "a", "target_node": "n0001"}, "NOT_FOUND", `"a"`},
		"too many paths":      {"find_paths", map[string]any{"project_id": 1, "node_id": "g", "source_node": "n0000", "target_node": "n0001", "max_paths": 101}, "BAD_REQUEST", "max_paths"},
		"no page":             {"get_graph_data", map[string]any{"project_id": 1, "node_id": "g", "page": "x"}, "BAD_REQUEST", ""},
		"a page of another":   {"get_graph_data", map[string]any{"project_id": 1, "node_id": "g", "page": "999.0"}, "CONFLICT", ""},
		"too much":            {"get_graph_data", map[string]any{"project_id": 1, "node_id": "g", "limit": 1001}, "BAD_REQUEST", "limit"},
		"no format":           {"export_graph", map[string]any{"project_id": 1, "node_id": "g", "format": "svg"}, "BAD_REQUEST", ""},
		"an export of none":   {"export_graph", map[string]any{"project_id": 1, "node_id": "h", "format": "dot"}, "NOT_FOUND", "execute"},
		"a long wait":         {"execute_plan", map[string]any{"plan_id": 1, "wait_seconds": 26}, "BAD_REQUEST", "wait_seconds"},
		"an endless wait":     {"execute_plan", map[string]any{"plan_id": 1, "wait_seconds": 1 << 62}, "BAD_REQUEST", "wait_seconds"},
		"a negative wait":     {"execute_plan", map[string]any{"plan_id": 1, "wait_seconds": -1}, "BAD_REQUEST", "wait_seconds"},
		"no plan":             {"execute_plan", map[string]any{"plan_id": 9}, "NOT_FOUND", ""},
		"no node":             {"execute_plan", map[string]any{"plan_id": 1, "node_id": "x"}, "NOT_FOUND", "Node"},
		"no source":           {"preview_data", map[string]any{"data_source_id": 9}, "NOT_FOUND", ""},
		"layers have no rows": {"preview_data", map[string]any{"data_source_id": 3}, "BAD_REQUEST", ""},
		"a negative offset":   {"preview_data", map[string]any{"data_source_id": 1, "offset": -1}, "BAD_REQUEST", "offset"},
		"too many rows":       {"preview_data", map[string]any{"data_source_id": 1, "limit": 501}, "BAD_REQUEST", "limit"},
	} {
		var said failed
		if result := use(t, session, c.tool, c.arguments, &said); !result.IsError || said.Error.Code != c.code ||
			!strings.Contains(said.Error.Message, c.part) {
			t.Errorf("%s: %+v", name, said)
		}
	}
	var sources struct {
		DataSources []struct{ Status string } `json:"data_sources"`
	}
	use(t, session, "list_data_sources", map[string]any{"project_id": 1}, &sources)
	for _, s := range sources.DataSources {
		if s.Status != "active" {
			t.Errorf("a table that was refused is a source: %+v", sources)
		}
	}
	var unbuilt struct{ Error map[string]any }
	use(t, session, "export_graph", map[string]any{"project_id": 1, "node_id": "h", "format": "dot"}, &unbuilt)
	if unbuilt.Error["node_id"] != "h" || unbuilt.Error["nodeId"] != nil {
		t.Errorf("a fault names its node %+v", unbuilt)
	}
	var which struct {
		Error struct{ Detail []struct{ ID, Label string } }
	}
	use(t, session, "get_graph_data", map[string]any{"project_id": 1}, &which)
	if len(which.Error.Detail) != 3 || which.Error.Detail[1].ID != "h" || which.Error.Detail[1].Label != "Second" {
		t.Errorf("those to choose from are %+v", which)
	}
	var done executed
	use(t, session, "execute_plan", map[string]any{"plan_id": 1}, &done)
	if i := slices.IndexFunc(done.Nodes, func(n struct{ ID, State, Error string }) bool { return n.ID == "bad" }); done.Status != "failed" ||
		i < 0 || done.Nodes[i].State != "error" || done.Nodes[i].Error == "" {
		t.Errorf("a node that fails: %+v", done)
	}
	_, err := session.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: "layercake://graphs/2/dot"})
	if err == nil {
		t.Error("a project without a graph has one to read")
	}

	other := connect(t, url+"/mcp?project=2", "b", nil)
	for tool, arguments := range map[string]map[string]any{
		"execute_plan": {"plan_id": 1}, "preview_data": {"data_source_id": 1}, "list_data_sources": {"project_id": 1},
		"export_graph": {"project_id": 1, "node_id": "g", "format": "dot"},
	} {
		var said failed
		if use(t, other, tool, arguments, &said); said.Error.Code != "FORBIDDEN" {
			t.Errorf("%s of a client of another project: %+v", tool, said)
		}
	}
	_, err = other.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: "layercake://graphs/1/dot"})
	_, _ = refused(t, err, jsonrpc.CodeInvalidParams)
	reader := connect(t, url+"/mcp?read_only=true", "c", nil)
	for tool, arguments := range map[string]map[string]any{
		"execute_plan": {"plan_id": 1}, "import_csv": {"project_id": 1, "nodes_csv": "id,label\n"},
	} {
		var said failed
		if use(t, reader, tool, arguments, &said); said.Error.Code != "FORBIDDEN" {
			t.Errorf("%s of a client that reads: %+v", tool, said)
		}
	}
	use(t, reader, "export_graph", map[string]any{"project_id": 1, "node_id": "g", "format": "dot"}, nil)
}

// What clients are told of all tools has to leave them room for their work.
func TestToolsAreSmall(t *testing.T) {
	t.Parallel()
	session := connect(t, servertest.Start(t, 1, nil)[0].URL+"/mcp", "a", nil)
	list, err := session.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	whole, _ := json.Marshal(list.Tools)
	if len(whole) > 30_000 {
		t.Errorf("the list has %d bytes, at most 30,000", len(whole))
	}
	for _, tool := range list.Tools {
		tool.OutputSchema, tool.Annotations, tool.Title = nil, nil, "" // models see none of them
	}
	// About a token is a word, or what stands between two words.
	shown, _ := json.Marshal(list.Tools)
	tokens, in := 0, -1
	for _, r := range string(shown) {
		kind := 0
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			kind = 1
		}
		if kind != in {
			tokens, in = tokens+1, kind
		}
	}
	if tokens > 3600 {
		t.Errorf("models see about %d tokens, at most 3,600", tokens)
	}
	t.Logf("%d tools, %d bytes, about %d tokens", len(list.Tools), len(whole), tokens)
}
