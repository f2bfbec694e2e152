package graph_test

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"layercake/graph"
	"layercake/internal/budget"
	"layercake/internal/db"
	"layercake/internal/graphdata"
	"layercake/internal/layered"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server"
	"layercake/internal/server/servertest"
)

// withCore is online with the core behind the handler.
func withCore(t testing.TB, changes ...func(*setting)) (*site, *servertest.Core) {
	t.Helper()
	url := pgtest.New(t)
	return coreAt(t, url, url, changes...)
}

func coreAt(t testing.TB, url, direct string, changes ...func(*setting)) (*site, *servertest.Core) {
	t.Helper()
	core := servertest.StartCoreOn(t, url, func(c *server.Config) { c.ListenURL = direct })
	return offline(t, append(changes, of(core))...), core
}

// chained is a graph of so many nodes, each with an edge to the next.
func chained(name string, size int) layered.Graph {
	g := layered.Graph{Layers: []layered.Layer{{ID: "l", Label: "Layer", Background: "eeeeee"}, {ID: "m", Label: "Plain"}}}
	for i := range size {
		g.Nodes = append(g.Nodes, layered.Node{ID: fmt.Sprint("n", i), Label: name, Layer: "l", Weight: 2, Attrs: []byte(`{"owner":"me"}`)})
		if i > 0 {
			g.Edges = append(g.Edges, layered.Edge{ID: fmt.Sprint("e", i), Source: fmt.Sprint("n", i-1), Target: fmt.Sprint("n", i), Weight: 1})
		}
	}
	return g
}

// put makes a graph what a node has built. It adds the node when there is none.
func put(t testing.TB, s *site, core *servertest.Core, project int, node string, g layered.Graph) graphdata.Graph {
	t.Helper()
	s.ask(t, `mutation($p: Int!, $n: PlanDagNodeInput!) { addPlanDagNode(projectId: $p, node: $n) { id } }`,
		vars{"p": project, "n": nodeInput(node, "GraphNode")})
	content, err := core.Graphs.Write(t.Context(), int32(project), g, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var header graphdata.Graph
	if err := core.DB.Requests.InTx(t.Context(), func(q *db.Queries) (err error) {
		of := db.GetGraphOfNodeParams{ProjectID: int32(project), NodeID: node}
		if err := q.InsertGraph(t.Context(), db.InsertGraphParams{ProjectID: of.ProjectID, NodeID: node, Name: "Graph of " + node}); err != nil {
			return err
		}
		row, err := q.GetGraphOfNode(t.Context(), of)
		if err != nil {
			return err
		}
		header.ID = row.ID
		header, err = graphdata.Finish(t.Context(), q, header.ID, graphdata.Result{Content: content, Layers: g.Layers, Recipe: "r"})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return header
}

// element is a node or edge as pages show it.
type element struct{ ID, Label, Cursor string }

// pages reads the nodes or the edges of a graph page by page. Between calls it calls meanwhile, unless that is nil.
func (s *site) pages(t *testing.T, field string, graph int32, first int, meanwhile func()) (all []element) {
	t.Helper()
	after := any(nil)
	for {
		var data struct{ Graph map[string][]element }
		s.must(t, &data, fmt.Sprintf(`query($id: Int!, $first: Int!, $after: String) {
			graph(id: $id) { %s(first: $first, after: $after) { id label cursor } } }`, field), vars{"id": graph, "first": first, "after": after})
		page := data.Graph[field]
		all = append(all, page...)
		if len(page) < first {
			return all
		}
		after = page[len(page)-1].Cursor
		if meanwhile != nil {
			meanwhile()
		}
	}
}

// Who reads page by page reads one graph, whatever is built meanwhile.
func TestPagesOfAGraph(t *testing.T) {
	t.Parallel()
	s, core := withCore(t)
	p := s.newProject(t)
	header := put(t, s, core, p, "g", chained("old", 25))
	builds := 0
	nodes := s.pages(t, "graphNodes", header.ID, 10, func() {
		builds++
		put(t, s, core, p, "g", chained(fmt.Sprint("new ", builds), 7))
	})
	if builds != 2 || len(nodes) != 25 {
		t.Fatalf("%d nodes in %d pages", len(nodes), builds+1)
	}
	for i, n := range nodes {
		if n.ID != fmt.Sprint("n", i) || n.Label != "old" {
			t.Errorf("node %d is %+v", i, n)
		}
	}
	if edges := s.pages(t, "graphEdges", header.ID, 4, nil); len(edges) != 6 || edges[5].ID != "e6" {
		t.Errorf("edges: %+v", edges)
	}
	if all := s.pages(t, "graphNodes", header.ID, 7, nil); len(all) != 7 || all[0].Label != "new 2" {
		t.Errorf("afterwards: %+v", all)
	}
}

// Who goes to a row reads the page there, of the graph that the cursor is of.
func TestPagesFromAnywhere(t *testing.T) {
	t.Parallel()
	s, core := withCore(t)
	p := s.newProject(t)
	header := put(t, s, core, p, "g", chained("old", 25))
	cursor := fmt.Sprintf("%d.0", *header.ContentID)
	put(t, s, core, p, "g", chained("new", 25))
	for arguments, want := range map[string]string{
		`first: 2, offset: 10`: `[{"id":"n10","label":"new"},{"id":"n11","label":"new"}]`,
		`offset: 24`:           `[{"id":"n24","label":"new"}]`,
		`offset: 25`:           `[]`,
		`first: 2, after: "` + cursor + `", offset: 22`: `[{"id":"n23","label":"old"},{"id":"n24","label":"old"}]`,
		`first: 2, after: "` + cursor + `", offset: 24`: `[]`,
	} {
		r := s.ask(t, fmt.Sprintf(`{ graph(id: %d) { graphNodes(%s) { id label } } }`, header.ID, arguments), nil)
		if !strings.Contains(string(r.Text), `"graphNodes":`+want) {
			t.Errorf("%s: %s", arguments, r.Text)
		}
	}
}

func TestPagesThatAreRefused(t *testing.T) {
	t.Parallel()
	s, core := withCore(t)
	p, other := s.newProject(t), s.newProject(t)
	header := put(t, s, core, p, "g", chained("mine", 3))
	theirs := put(t, s, core, other, "g", chained("theirs", 3))
	for _, c := range []struct{ arguments, code string }{
		{`first: 0`, "BAD_REQUEST"},
		{`first: 1001`, "BAD_REQUEST"},
		{`first: 2, after: "1"`, "BAD_REQUEST"},
		{`first: 2, after: "x.1"`, "BAD_REQUEST"},
		{`first: 2, after: "1.-1"`, "BAD_REQUEST"},
		{fmt.Sprintf(`first: 2, after: "%d.0"`, *theirs.ContentID), "NOT_FOUND"},
		{`first: 2, after: "99999.0"`, "NOT_FOUND"},
		{fmt.Sprintf(`first: 2, after: "%d.2147483647"`, *header.ContentID), ""},
		{fmt.Sprintf(`after: "%d.0"`, *header.ContentID), ""},
		{`first: 2, offset: -1`, "BAD_REQUEST"},
		{`first: 2, offset: 2147483647`, ""},
		{fmt.Sprintf(`first: 2, after: "%d.2147483647", offset: 2147483647`, *header.ContentID), ""},
	} {
		r := s.ask(t, fmt.Sprintf(`{ graph(id: %d) { graphNodes(%s) { id } } }`, header.ID, c.arguments), nil)
		if r.Code() != c.code {
			t.Errorf("%s: %s", c.arguments, r.Text)
		}
		if strings.Contains(c.arguments, "2147483647") && !strings.Contains(string(r.Text), `"graphNodes":[]`) {
			t.Errorf("after the last one: %s", r.Text)
		}
	}
}

// A graph that is too large to be shown at once is refused with what to do instead, and its preview is cut.
func TestLargeGraphs(t *testing.T) {
	t.Parallel()
	s, core := withCore(t, func(o *setting) { o.Budget = budget.New(budget.Config{Memory: 2 << 30, Patience: deadline}) })
	p := s.newProject(t)
	g := chained("", 25_001)
	header := put(t, s, core, p, "g", g)
	for _, field := range []string{"graphNodes", "graphEdges"} {
		r := s.ask(t, fmt.Sprintf(`{ graph(id: %d) { nodeCount %s { id } } }`, header.ID, field), nil)
		if r.Code() != "BAD_REQUEST" || !strings.Contains(r.Errors[0].Message, "50001 elements") || !strings.Contains(r.Errors[0].Message, "first") ||
			!strings.Contains(r.Errors[0].Message, fmt.Sprintf("/api/projects/%d/outputs/", p)) {
			t.Errorf("%s: %.500s", field, r.Text)
		}
	}
	if len(s.pages(t, "graphNodes", header.ID, 1000, nil)) != 25_001 {
		t.Error("pages have not all nodes")
	}
	var data struct {
		GraphPreview struct {
			Nodes, Edges         []struct{ ID string }
			Truncated            bool
			NodeCount, EdgeCount int
		}
	}
	s.must(t, &data, fmt.Sprintf(`{ graphPreview(projectId: %d, nodeId: "g") { nodes { id } edges { id } truncated nodeCount edgeCount } }`, p), nil)
	if v := data.GraphPreview; !v.Truncated || len(v.Nodes) != 25_000 || len(v.Edges) != 24_999 || v.NodeCount != 25_001 || v.EdgeCount != 25_000 {
		t.Errorf("%d nodes of %d, %d edges of %d, truncated %t", len(v.Nodes), v.NodeCount, len(v.Edges), v.EdgeCount, v.Truncated)
	}
	if r := s.ask(t, fmt.Sprintf(`{ a: graphPreview(projectId: %d, nodeId: "g") { nodes { id } } b: graphPreview(projectId: %[1]d, nodeId: "g") {
		nodes { id } } }`, p), nil); r.Code() != "BAD_REQUEST" {
		t.Errorf("two previews: %.300s", r.Text)
	}
}

// What the existing client reads of a graph.
func TestGraphAsTheExistingClientReadsIt(t *testing.T) {
	t.Parallel()
	s, core := withCore(t)
	p := s.newProject(t)
	var none *struct{}
	if s.call(t, "GetGraphPreview", vars{"projectId": p, "nodeId": "g"}, &none); none != nil {
		t.Error("there is a preview before anything was asked for")
	}
	header := put(t, s, core, p, "g", chained("A", 2))
	attrs := map[string]any{"id": "n1", "label": "A", "layer": "l", "weight": 2.0, "is_partition": false, "owner": "me"}

	var preview, details map[string]any
	s.call(t, "GetGraphPreview", vars{"projectId": p, "nodeId": "g"}, &preview)
	s.call(t, "GetGraphDetails", vars{"id": header.ID}, &details)
	for _, got := range []any{preview["nodes"].([]any)[1], details["graphNodes"].([]any)[1]} {
		node := got.(map[string]any)
		for key, want := range map[string]any{"id": "n1", "label": "A", "layer": "l", "weight": 2.0, "isPartition": false} {
			if node[key] != want {
				t.Errorf("%s is %v", key, node[key])
			}
		}
		if text, _ := json.Marshal(node["attrs"]); !equalJSON(t, text, attrs) {
			t.Errorf("attrs: %s", text)
		}
	}
	if preview["executionState"] != "completed" || preview["nodeCount"] != 2.0 || preview["edgeCount"] != 1.0 {
		t.Errorf("preview: %v", preview)
	}
	layers := details["layers"].([]any)
	first := layers[0].(map[string]any)
	if properties, _ := json.Marshal(first["properties"]); len(layers) != 2 || first["layerId"] != "l" || first["name"] != "Layer" ||
		string(properties) != `{"background_color":"eeeeee"}` {
		t.Errorf("layers: %v", layers)
	}
	if _, isNumber := first["id"].(float64); !isNumber {
		t.Errorf("the id of a layer is %v", first["id"])
	}

	var created, renamed struct {
		ID             int
		Name, NodeID   string
		ExecutionState string
	}
	s.call(t, "CreateGraph", vars{"input": vars{"projectId": p, "name": " Mine ", "nodeId": "generated-node-id"}}, &created)
	if created.Name != "Mine" || created.ExecutionState != "not_started" || created.NodeID == "generated-node-id" {
		t.Errorf("created: %+v", created)
	}
	d := s.dag(t, p)
	if last := d.Nodes[len(d.Nodes)-1]; last["id"] != created.NodeID || last["nodeType"] != "GraphNode" ||
		last["metadata"].(map[string]any)["label"] != "Mine" {
		t.Errorf("its node: %v", last)
	}
	s.call(t, "UpdateGraph", vars{"id": created.ID, "input": vars{"name": "Yours"}}, &renamed)
	if renamed.Name != "Yours" {
		t.Errorf("renamed: %+v", renamed)
	}
	s.call(t, "UpdateGraph", vars{"id": created.ID, "input": vars{}}, &renamed)
	if renamed.Name != "Yours" {
		t.Errorf("renamed to nothing: %+v", renamed)
	}
	var deleted bool
	s.call(t, "DeleteGraph", vars{"id": created.ID}, &deleted)
	var list []struct{ ID int32 }
	s.call(t, "GetGraphs", vars{"projectId": p}, &list)
	if d := s.dag(t, p); !deleted || len(d.Nodes) != 1 || len(list) != 1 || list[0].ID != header.ID {
		t.Errorf("afterwards: %v, %v", d.Nodes, list)
	}
	for name, c := range map[string]struct {
		variables vars
		message   string
	}{
		"UpdateGraph": {vars{"id": created.ID, "input": vars{"name": "x"}}, "Failed to update Graph: Graph not found"},
		"DeleteGraph": {vars{"id": created.ID}, "Failed to delete Graph: Graph not found"},
		"CreateGraph": {vars{"input": vars{"projectId": 99, "name": "x"}}, "Failed to create Graph: Project not found"},
		"ExecuteNode": {vars{"projectId": 99, "nodeId": "g"}, "Plan not found for project"},
	} {
		if r := s.call(t, name, c.variables, nil); r.Code() != "NOT_FOUND" || r.Errors[0].Message != c.message {
			t.Errorf("%s: %s", name, r.Text)
		}
	}
}

func equalJSON(t *testing.T, text []byte, want any) bool {
	t.Helper()
	body, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var a, b any
	if json.Unmarshal(text, &a) != nil || json.Unmarshal(body, &b) != nil {
		t.Fatal(string(text))
	}
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return slices.Equal(x, y)
}

// A repeat of an operation id makes no second graph.
func TestCreateGraphOnce(t *testing.T) {
	t.Parallel()
	s, _ := withCore(t)
	p := s.newProject(t)
	ids := map[int]bool{}
	for range 2 {
		var data struct{ CreateGraph struct{ ID int } }
		s.must(t, &data, `mutation($p: Int!) { createGraph(input: {projectId: $p, name: "Once"}, opId: "op-1") { id } }`, vars{"p": p})
		ids[data.CreateGraph.ID] = true
	}
	if d := s.dag(t, p); len(ids) != 1 || len(d.Nodes) != 1 {
		t.Errorf("ids %v, nodes %v", ids, d.Nodes)
	}
}

// A repeat of a deletion succeeds, and deletes nothing else.
func TestDeleteGraphOnce(t *testing.T) {
	t.Parallel()
	s, _ := withCore(t)
	p := s.newProject(t)
	var data struct{ A, B struct{ ID int } }
	s.must(t, &data, `mutation($p: Int!) {
		a: createGraph(input: {projectId: $p, name: "A"}) { id }
		b: createGraph(input: {projectId: $p, name: "B"}) { id }
	}`, vars{"p": p})
	const remove = `mutation($id: Int!) { deleteGraph(id: $id, opId: "delete") }`
	for range 2 {
		s.must(t, &struct{ DeleteGraph bool }{}, remove, vars{"id": data.A.ID})
	}
	if code := s.ask(t, remove, vars{"id": data.B.ID}).Code(); code != "BAD_REQUEST" {
		t.Errorf("another graph under the same operation id: %s", code)
	}
	if d := s.dag(t, p); len(d.Nodes) != 1 {
		t.Errorf("nodes %v", d.Nodes)
	}
}

// The node and the header of a graph are added together or not at all.
func TestCreateGraphIsOneChange(t *testing.T) {
	t.Parallel()
	s, core := withCore(t)
	p := s.newProject(t)
	pgtest.Exec(t, pgtest.Connect(t, core.Database), `ALTER TABLE graphs ADD CONSTRAINT no_more CHECK (name <> 'Refused')`)
	const add = `mutation($p: Int!) { createGraph(input: {projectId: $p, name: "Refused"}) { id } }`
	if code := s.ask(t, add, vars{"p": p}).Code(); code == "" {
		t.Fatal("the graph was made")
	}
	if d := s.dag(t, p); len(d.Nodes) != 0 {
		t.Errorf("the node of a graph that was refused is there: %v", d.Nodes)
	}
}

// A list of graphs takes as many statements as one, whatever is asked of each.
func TestGraphsOfAListShareStatements(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	proxy := countQueries(t, url)
	s, core := coreAt(t, proxy.url, url)
	one, many := s.newProject(t), s.newProject(t)
	put(t, s, core, one, "g", chained("", 2))
	for i := range 20 {
		put(t, s, core, many, fmt.Sprint("g", i), chained(fmt.Sprint(i), 2))
	}
	for _, selection := range []string{"id", "id stale staleBecause", "id layers { id graph { id } } project { id name } stale"} {
		statements := func(project int) int64 {
			best := int64(math.MaxInt64) // the pool has statements of its own
			for range 30 {
				before := proxy.queries.Load()
				s.must(t, nil, fmt.Sprintf(`{ graphs(projectId: %d) { %s } }`, project, selection), nil)
				best = min(best, proxy.queries.Load()-before)
			}
			return best
		}
		if a, b := statements(one), statements(many); a != b {
			t.Errorf("%s: %d statements for one graph, %d for 20", selection, a, b)
		}
	}
}

// What an answer with a part of a graph costs, all fields selected.
func TestCostOfContents(t *testing.T) { //nolint:paralleltest // it measures the memory of the process
	s, core := withCore(t)
	p := s.newProject(t)
	const elements = 600
	for name, text := range map[string]string{"elements": "x", "texts": strings.Repeat("x", 8000), "escapes": strings.Repeat(`\"`, 4000)} {
		g := chained(name, elements/2)
		bytes := 0
		for i := range g.Nodes {
			g.Nodes[i].Attrs = fmt.Appendf(nil, `{"owner":"%s"}`, text)
			bytes += len(g.Nodes[i].Attrs)
		}
		header := put(t, s, core, p, name, g)
		for _, query := range []string{
			fmt.Sprintf(`{ graph(id: %d) { graphNodes { id graphId label layer weight isPartition belongsTo attrs createdAt cursor }
				graphEdges { id graphId source target label layer weight attrs createdAt cursor } } }`, header.ID),
			fmt.Sprintf(`{ graphPreview(projectId: %d, nodeId: %q) { nodes { id label layer weight isPartition attrs }
				edges { id source target label layer weight attrs } } }`, p, name),
		} {
			size, took := s.measure(t, query, elements*40)
			counted := graph.ContentCost(elements, bytes+100*elements)
			t.Logf("%s: an answer of %d kB took %d kB, counted as %d kB", name, size>>10, took>>10, counted>>10)
			if took > 2*counted || took < counted/4 { // the collector finds some of it before the answer is made
				t.Errorf("%s: an answer of %d kB took %d kB, counted as %d kB", name, size>>10, took>>10, counted>>10)
			}
		}
	}
}
