package graph_test

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"layercake/internal/client"
	"layercake/internal/postgres/pgtest"

	"github.com/jackc/pgx/v5/pgconn"
)

// The documents of the existing client for what is served so far, as far as they select it.
var clientDocuments = map[string]string{
	"HealthCheck":   `query HealthCheck { projects { id name } }`,
	"GetProjects":   `query GetProjects { projects { id name description createdAt updatedAt } }`,
	"CreateProject": `mutation CreateProject($input: CreateProjectInput!) { createProject(input: $input) { id name description createdAt } }`,
	"DeleteProject": `mutation DeleteProject($id: ID!) { deleteProject(id: $id) }`,
	"GetPlanDag": `query GetPlanDag($projectId: Int!) { getPlanDag(projectId: $projectId) {
		version nodes { id nodeType position { x y } sourcePosition targetPosition metadata { label description } config
			datasourceExecution { dataSourceId filename status processedAt executionState errorMessage }
			graphExecution { graphId nodeCount edgeCount executionState computedDate errorMessage } }
		edges { id source target metadata { label dataType } } metadata { version name description created lastModified author } } }`,
	"GetPlanDag of the project page": `query GetPlanDag($projectId: Int!) { planDag(projectId: $projectId) {
		version nodes { id nodeType position metadata config } edges { id source target sourceHandle targetHandle metadata } metadata } }`,
	"UpdatePlanDag": `mutation UpdatePlanDag($projectId: Int!, $planDag: PlanDagInput!) { updatePlanDag(projectId: $projectId, planDag: $planDag) {
		version nodes { id nodeType position { x y } metadata { label description } config }
		edges { id source target metadata { label dataType } } metadata { version name description created lastModified author } } }`,
	"AddPlanDagNode": `mutation AddPlanDagNode($projectId: Int!, $node: PlanDagNodeInput!) { addPlanDagNode(projectId: $projectId, node: $node) {
		id nodeType position { x y } metadata { label description } config } }`,
	"UpdatePlanDagNode": `mutation UpdatePlanDagNode($projectId: Int!, $nodeId: String!, $updates: PlanDagNodeUpdateInput!) {
		updatePlanDagNode(projectId: $projectId, nodeId: $nodeId, updates: $updates) {
		id nodeType position { x y } metadata { label description } config } }`,
	"DeletePlanDagNode": `mutation DeletePlanDagNode($projectId: Int!, $nodeId: String!) { deletePlanDagNode(projectId: $projectId, nodeId: $nodeId) { id } }`,
	"MovePlanDagNode": `mutation MovePlanDagNode($projectId: Int!, $nodeId: String!, $position: PositionInput!) {
		movePlanDagNode(projectId: $projectId, nodeId: $nodeId, position: $position) { id position { x y } } }`,
	"BatchMovePlanDagNodes": `mutation BatchMovePlanDagNodes($projectId: Int!, $nodePositions: [NodePositionInput!]!) {
		batchMovePlanDagNodes(projectId: $projectId, nodePositions: $nodePositions) {
		id position { x y } sourcePosition targetPosition } }`,
	"AddPlanDagEdge": `mutation AddPlanDagEdge($projectId: Int!, $edge: PlanDagEdgeInput!) { addPlanDagEdge(projectId: $projectId, edge: $edge) {
		id source target metadata { label dataType } } }`,
	"UpdatePlanDagEdge": `mutation UpdatePlanDagEdge($projectId: Int!, $edgeId: String!, $updates: PlanDagEdgeUpdateInput!) {
		updatePlanDagEdge(projectId: $projectId, edgeId: $edgeId, updates: $updates) { id source target metadata { label dataType } } }`,
	"DeletePlanDagEdge": `mutation DeletePlanDagEdge($projectId: Int!, $edgeId: String!) { deletePlanDagEdge(projectId: $projectId, edgeId: $edgeId) { id } }`,
	"PlanDagDeltaChanged": `subscription PlanDagDeltaChanged($projectId: Int!) { planDagDeltaChanged(projectId: $projectId) {
		projectId version userId timestamp operations { op path value from } } }`,

	"GetDataSources": `query GetDataSources($projectId: Int!) { dataSources(projectId: $projectId) {
		id name description fileFormat dataType filename status errorMessage fileSize processedAt createdAt updatedAt graphJson } }`,
	"GetAvailableDataSources": `query GetAvailableDataSources($projectId: Int!) { dataSources(projectId: $projectId) {
		id name description fileFormat dataType filename status fileSize } }`,
	"GetDataSource": `query GetDataSource($id: Int!) { dataSource(id: $id) {
		id projectId name description fileFormat dataType filename graphJson status errorMessage fileSize processedAt createdAt updatedAt } }`,
	"GetDataSourcePreview": `query GetDataSourcePreview($projectId: Int!, $nodeId: String!, $limit: Int, $offset: Int) {
		datasourcePreview(projectId: $projectId, nodeId: $nodeId, limit: $limit, offset: $offset) {
		nodeId datasourceId name filePath fileType totalRows columns { name dataType nullable } rows { rowNumber data }
		importDate executionState errorMessage } }`,
	"CreateDataSourceFromFile": `mutation CreateDataSourceFromFile($input: CreateDataSourceInput!) { createDataSourceFromFile(input: $input) {
		id projectId name description fileFormat dataType filename status errorMessage fileSize processedAt createdAt updatedAt } }`,
	"BulkUploadDataSources": `mutation BulkUploadDataSources($projectId: Int!, $files: [BulkUploadDataSourceInput!]!) {
		bulkUploadDataSources(projectId: $projectId, files: $files) { id name description filename fileFormat dataType status } }`,
	"UpdateDataSource": `mutation UpdateDataSource($id: Int!, $input: UpdateDataSourceInput!) { updateDataSource(id: $id, input: $input) {
		id name description fileFormat dataType filename status errorMessage fileSize processedAt updatedAt } }`,
	"DeleteDataSource":    `mutation DeleteDataSource($id: Int!) { deleteDataSource(id: $id) }`,
	"ReprocessDataSource": `mutation ReprocessDataSource($id: Int!) { reprocessDataSource(id: $id) { id status errorMessage processedAt graphJson } }`,
	"GetGraphs": `query GetGraphs($projectId: Int!) { graphs(projectId: $projectId) {
		id name nodeId executionState computedDate sourceHash nodeCount edgeCount errorMessage metadata createdAt updatedAt } }`,
	"GetGraphDetails": `query GetGraphDetails($id: Int!) { graph(id: $id) { id projectId name nodeId executionState nodeCount edgeCount
		layers { id graphId layerId name color properties } graphNodes { id label layer weight isPartition belongsTo attrs }
		graphEdges { id source target label layer weight attrs } } }`,
	"GetGraphPreview": `query GetGraphPreview($projectId: Int!, $nodeId: String!) { graphPreview(projectId: $projectId, nodeId: $nodeId) {
		nodeId graphId name nodes { id label layer weight isPartition attrs } edges { id source target label layer weight attrs }
		layers { id layerId name color properties } nodeCount edgeCount executionState computedDate errorMessage } }`,
	"CreateGraph": `mutation CreateGraph($input: CreateGraphInput!) { createGraph(input: $input) { id name nodeId executionState } }`,
	"UpdateGraph": `mutation UpdateGraph($id: Int!, $input: UpdateGraphInput!) { updateGraph(id: $id, input: $input) { id name updatedAt } }`,
	"DeleteGraph": `mutation DeleteGraph($id: Int!) { deleteGraph(id: $id) }`,
	"ExecuteNode": `mutation ExecuteNode($projectId: Int!, $nodeId: String!) { executeNode(projectId: $projectId, nodeId: $nodeId) {
		success message nodeId } }`,
	"ExportNodeOutput": `mutation ExportNodeOutput($projectId: Int!, $nodeId: String!) { exportNodeOutput(projectId: $projectId, nodeId: $nodeId) {
		success message content filename mimeType } }`,
	"ImportPlanYaml": `mutation ImportPlanYaml($projectId: Int!, $yamlContent: String!) {
		importPlanYaml(projectId: $projectId, yamlContent: $yamlContent) { success message nodeCount edgeCount } }`,
}

// withTypenames adds __typename to every selection but the root, as the existing client does.
func withTypenames(document string) string {
	root := strings.Index(document, "{") + 1
	return document[:root] + strings.ReplaceAll(document[root:], "}", " __typename }")
}

// asSent returns a document as the existing client sends it: the root has no __typename.
func asSent(document string) string {
	return strings.TrimSuffix(strings.TrimSpace(withTypenames(document)), "__typename }") + "}"
}

// call sends a document of the existing client and decodes the one field that it asks for.
func (s *site) call(t testing.TB, name string, variables vars, into any) *client.Answer {
	t.Helper()
	document, ok := clientDocuments[name]
	if !ok {
		t.Fatalf("no document %s", name)
	}
	r := s.ask(t, asSent(document), variables)
	if into != nil {
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(r.Data, &fields); err != nil || len(r.Errors) > 0 {
			t.Fatalf("%s: %s", name, r.Text)
		}
		for _, field := range fields {
			if err := json.Unmarshal(field, into); err != nil {
				t.Fatal(err)
			}
		}
	}
	return r
}

type dag struct {
	Version string
	Nodes   []map[string]any
	Edges   []map[string]any
	// texts, or null
	Metadata map[string]any
}

func (s *site) dag(t testing.TB, project int) dag {
	t.Helper()
	var d dag
	s.call(t, "GetPlanDag", vars{"projectId": project}, &d)
	return d
}

func nodeInput(id, kind string) vars {
	return vars{
		"id": id, "nodeType": kind, "position": vars{"x": 10.5, "y": -3}, "metadata": vars{"label": id, "description": ""},
		"config": `{"a": 1}`,
	}
}

func edgeInput(id, source, target string) vars {
	return vars{
		"id": id, "source": source, "target": target, "sourceHandle": "output-right", "targetHandle": "input-left",
		"metadata": vars{"label": "Data", "dataType": "GRAPH_DATA"},
	}
}

// What the existing client does from a new project to its deletion, with its own documents and payloads.
func TestSessionOfTheExistingClient(t *testing.T) {
	t.Parallel()
	s := online(t)
	var created struct {
		ID   int
		Name string
	}
	s.call(t, "CreateProject", vars{"input": vars{"name": "Mine", "description": ""}}, &created)
	p := created.ID

	var d dag
	s.call(t, "UpdatePlanDag", vars{"projectId": p, "planDag": vars{
		"version": "1.0.0", "nodes": []any{}, "edges": []any{},
		"metadata": vars{
			"version": "1.0.0", "name": "Mine Plan", "description": "About", "created": "2025-01-01", "lastModified": "2025-01-01",
			"author": "User",
		},
	}}, &d)
	if d.Version != "0" || d.Metadata["name"] != "Mine Plan" || d.Metadata["author"] != "User" ||
		!strings.HasPrefix(d.Metadata["version"].(string), "0~") {
		t.Errorf("a new plan: %+v", d)
	}

	var node map[string]any
	s.call(t, "AddPlanDagNode", vars{"projectId": p, "node": nodeInput("datasourcenode_001", "DataSourceNode")}, &node)
	if node["id"] != "datasourcenode_001" || node["__typename"] != "PlanDagNode" || node["config"] != `{"a": 1}` {
		t.Errorf("added: %v", node)
	}
	s.call(t, "AddPlanDagNode", vars{"projectId": p, "node": nodeInput("graphnode_002", "GraphNode")}, &node)
	var edge map[string]any
	s.call(t, "AddPlanDagEdge", vars{"projectId": p, "edge": edgeInput("edge-1", "datasourcenode_001", "graphnode_002")}, &edge)
	s.call(t, "MovePlanDagNode", vars{"projectId": p, "nodeId": "graphnode_002", "position": vars{"x": 1, "y": 2}}, &node)
	s.call(t, "UpdatePlanDagNode", vars{
		"projectId": p, "nodeId": "graphnode_002",
		"updates": vars{"config": `{"b": 2}`, "metadata": vars{"label": "New", "description": "More"}},
	}, &node)
	var moved []map[string]any
	s.call(t, "BatchMovePlanDagNodes", vars{"projectId": p, "nodePositions": []any{
		vars{"nodeId": "graphnode_002", "position": vars{"x": 7, "y": 8}, "sourcePosition": "right", "targetPosition": "left"},
		vars{"nodeId": "unknown", "position": vars{"x": 7, "y": 8}},
	}}, &moved)
	if len(moved) != 1 || moved[0]["sourcePosition"] != "right" {
		t.Errorf("moved: %v", moved)
	}
	s.call(t, "UpdatePlanDagEdge", vars{"projectId": p, "edgeId": "edge-1", "updates": vars{"sourceHandle": "output-bottom"}}, &edge)

	d = s.dag(t, p)
	if d.Version != "7" || len(d.Nodes) != 2 || len(d.Edges) != 1 || d.Nodes[1]["config"] != `{"b": 2}` {
		t.Errorf("afterwards: %+v", d)
	}
	if want := fmt.Sprintf("Plan for Project %d", p); d.Metadata["name"] != want || d.Metadata["author"] != nil {
		t.Errorf("metadata: %v", d.Metadata)
	}

	// The edge dialog sends back what the cache holds, types and execution fields included; the version may be a number.
	raw, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	var cached map[string]any
	if err := json.Unmarshal([]byte(strings.NewReplacer(`"Version"`, `"version"`, `"Nodes"`, `"nodes"`, `"Edges"`, `"edges"`,
		`"Metadata"`, `"metadata"`).Replace(string(raw))), &cached); err != nil {
		t.Fatal(err)
	}
	cached["version"], cached["__typename"] = 7, "PlanDag"
	first := cached["nodes"].([]any)[0].(map[string]any)
	first["datasourceExecution"], first["graphExecution"] = vars{"status": "active", "__typename": "X"}, nil
	cached["edges"].([]any)[0].(map[string]any)["metadata"] = vars{"label": "Other", "dataType": "GRAPH_DATA", "__typename": "EdgeMetadata"}
	s.call(t, "UpdatePlanDag", vars{"projectId": p, "planDag": cached}, &d)
	if d.Version != "8" || d.Edges[0]["metadata"].(map[string]any)["label"] != "Other" {
		t.Errorf("the edge dialog: %+v", d)
	}

	var page map[string]any
	s.call(t, "GetPlanDag of the project page", vars{"projectId": p}, &page)
	if position := page["nodes"].([]any)[1].(map[string]any)["position"].(map[string]any); position["x"] != 7.0 {
		t.Errorf("plain JSON: %v", page)
	}

	s.call(t, "DeletePlanDagNode", vars{"projectId": p, "nodeId": "graphnode_002"}, &node)
	if node["id"] != "graphnode_002" {
		t.Errorf("deleted: %v", node)
	}
	if r := s.call(t, "DeletePlanDagEdge", vars{"projectId": p, "edgeId": "edge-1"}, nil); r.Code() != "NOT_FOUND" ||
		r.Errors[0].Message != "Edge not found" || string(r.Data) != `{"deletePlanDagEdge":null}` {
		t.Errorf("an edge that went with its node: %s", r.Text)
	}
	var gone bool
	s.call(t, "DeleteProject", vars{"id": p}, &gone)
	if r := s.call(t, "GetPlanDag", vars{"projectId": p}, nil); !gone || r.Code() != "NOT_FOUND" ||
		r.Errors[0].Message != "Project not found" || string(r.Data) != `{"getPlanDag":null}` {
		t.Errorf("after deletion: %s", r.Text)
	}
}

func TestClientDocumentsAreValid(t *testing.T) {
	t.Parallel()
	s := offline(t)
	for name, document := range clientDocuments {
		// A second operation of the same document is validated with it, and is the one that runs.
		r := s.askNamed(t, document+` query Probe { __typename }`, "Probe")
		if len(r.Errors) > 0 {
			t.Errorf("%s: %s", name, r.Text)
		}
	}
}

func (s *site) askNamed(t testing.TB, document, operation string) *client.Answer {
	t.Helper()
	body, err := json.Marshal(map[string]any{"query": document, "operationName": operation})
	if err != nil {
		t.Fatal(err)
	}
	return s.post(t, strings.NewReader(string(body)), nil)
}

// Bad input is refused with its code, and the plan stays as it is.
func TestBadInput(t *testing.T) {
	t.Parallel()
	s := online(t)
	p := s.newProject(t)
	for _, n := range []vars{nodeInput("a", "DataSourceNode"), nodeInput("g", "GraphNode"), nodeInput("h", "GraphNode")} {
		s.call(t, "AddPlanDagNode", vars{"projectId": p, "node": n}, new(any))
	}
	s.call(t, "AddPlanDagEdge", vars{"projectId": p, "edge": edgeInput("e", "g", "h")}, new(any))
	version := s.dag(t, p).Version

	with := func(n vars, key string, value any) vars {
		out := vars{}
		for k, v := range n {
			out[k] = v
		}
		out[key] = value
		return out
	}
	cases := map[string]struct {
		document string
		in       vars
		code     string
		message  string // "" for any
	}{
		"unknown project":       {"AddPlanDagNode", vars{"projectId": 2_000_000_000, "node": nodeInput("x", "GraphNode")}, "NOT_FOUND", "Project not found"},
		"negative project":      {"GetPlanDag", vars{"projectId": -1}, "NOT_FOUND", "Project not found"},
		"delete unknown":        {"DeleteProject", vars{"id": 2_000_000_000}, "NOT_FOUND", "Project not found"},
		"delete by text":        {"DeleteProject", vars{"id": "1 OR 1=1"}, "BAD_REQUEST", ""},
		"unknown node":          {"MovePlanDagNode", vars{"projectId": p, "nodeId": "x", "position": vars{"x": 1, "y": 1}}, "NOT_FOUND", "Node not found"},
		"update unknown node":   {"UpdatePlanDagNode", vars{"projectId": p, "nodeId": "x", "updates": vars{"config": "{}"}}, "NOT_FOUND", "Node not found"},
		"delete unknown node":   {"DeletePlanDagNode", vars{"projectId": p, "nodeId": "x"}, "NOT_FOUND", "Node not found"},
		"unknown edge":          {"UpdatePlanDagEdge", vars{"projectId": p, "edgeId": "x", "updates": vars{"sourceHandle": "y"}}, "NOT_FOUND", "Edge not found"},
		"delete unknown edge":   {"DeletePlanDagEdge", vars{"projectId": p, "edgeId": "x"}, "NOT_FOUND", "Edge not found"},
		"repeated node id":      {"AddPlanDagNode", vars{"projectId": p, "node": nodeInput("a", "GraphNode")}, "CONFLICT", "A node with this id already exists"},
		"repeated edge id":      {"AddPlanDagEdge", vars{"projectId": p, "edge": edgeInput("e", "a", "g")}, "CONFLICT", "An edge with this id already exists"},
		"cycle":                 {"AddPlanDagEdge", vars{"projectId": p, "edge": edgeInput("c", "h", "g")}, "BAD_REQUEST", "Edge would create a cycle"},
		"self-loop":             {"AddPlanDagEdge", vars{"projectId": p, "edge": edgeInput("c", "g", "g")}, "BAD_REQUEST", "Edge must connect two different nodes"},
		"missing end":           {"AddPlanDagEdge", vars{"projectId": p, "edge": edgeInput("c", "g", "x")}, "BAD_REQUEST", "Edge refers to a node that does not exist"},
		"second edge of a pair": {"AddPlanDagEdge", vars{"projectId": p, "edge": edgeInput("c", "g", "h")}, "BAD_REQUEST", "This connection is not allowed"},
		"into a data source":    {"AddPlanDagEdge", vars{"projectId": p, "edge": edgeInput("c", "g", "a")}, "BAD_REQUEST", "This connection is not allowed"},
		"config is no JSON":     {"AddPlanDagNode", vars{"projectId": p, "node": with(nodeInput("x", "GraphNode"), "config", "{")}, "BAD_REQUEST", "Node config is not valid JSON"},
		"config is a list":      {"UpdatePlanDagNode", vars{"projectId": p, "nodeId": "a", "updates": vars{"config": "[]"}}, "BAD_REQUEST", "Node config is not valid JSON"},
		"empty id":              {"AddPlanDagNode", vars{"projectId": p, "node": nodeInput("", "GraphNode")}, "BAD_REQUEST", ""},
		"long id":               {"AddPlanDagNode", vars{"projectId": p, "node": nodeInput(strings.Repeat("x", 201), "GraphNode")}, "BAD_REQUEST", ""},
		"long label":            {"UpdatePlanDagNode", vars{"projectId": p, "nodeId": "a", "updates": vars{"metadata": vars{"label": strings.Repeat("x", 100_000)}}}, "BAD_REQUEST", ""},
		"NUL in a label":        {"UpdatePlanDagNode", vars{"projectId": p, "nodeId": "a", "updates": vars{"metadata": vars{"label": "a\x00b"}}}, "BAD_REQUEST", ""},
		"unknown type":          {"AddPlanDagNode", vars{"projectId": p, "node": nodeInput("x", "Nothing")}, "BAD_REQUEST", ""},
		"unknown input field":   {"AddPlanDagNode", vars{"projectId": p, "node": with(nodeInput("x", "GraphNode"), "colour", "red")}, "BAD_REQUEST", ""},
		"position as text":      {"MovePlanDagNode", vars{"projectId": p, "nodeId": "a", "position": vars{"x": "left", "y": 1}}, "BAD_REQUEST", ""},
		"position beyond reach": {"MovePlanDagNode", vars{"projectId": p, "nodeId": "a", "position": vars{"x": json.Number("1e999"), "y": 1}}, "BAD_REQUEST", ""},
		"null project":          {"GetPlanDag", vars{"projectId": nil}, "BAD_REQUEST", ""},
		"empty name":            {"CreateProject", vars{"input": vars{"name": "  "}}, "BAD_REQUEST", ""},
		"long name":             {"CreateProject", vars{"input": vars{"name": strings.Repeat("x", 101)}}, "BAD_REQUEST", ""},
		"a version unheard of": {"UpdatePlanDag", vars{"projectId": p, "planDag": vars{
			"version": "1.0", "nodes": []any{}, "edges": []any{}, "metadata": vars{"version": "1.0"},
		}}, "CONFLICT", ""},
		"a cursor of nobody": {"GetPlanDag", vars{"projectId": "x"}, "BAD_REQUEST", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := s.call(t, c.document, c.in, nil)
			if r.Code() != c.code || (c.message != "" && r.Errors[0].Message != c.message) {
				t.Errorf("got %.500s, want %s %q", r.Text, c.code, c.message)
			}
			if got := s.dag(t, p).Version; got != version {
				t.Errorf("version %s, want %s", got, version)
			}
		})
	}
	if log := s.log.String(); log != "" {
		t.Errorf("bad input is no error of ours, but was logged: %s", log)
	}
}

func TestExpectedVersionsAndOperationIDs(t *testing.T) {
	t.Parallel()
	s := online(t)
	p := s.newProject(t)
	const add = `mutation ($p: Int!, $n: PlanDagNodeInput!, $v: Int, $op: String) {
		addPlanDagNode(projectId: $p, node: $n, expectedVersion: $v, opId: $op) { id } }`
	r := s.ask(t, add, vars{"p": p, "n": nodeInput("a", "GraphNode"), "v": 3})
	x := append(r.Errors, &client.Refusal{})[0].Extensions
	if r.Code() != "CONFLICT" || x["expectedVersion"] != 3.0 || x["currentVersion"] != 0.0 {
		t.Errorf("another version: %s", r.Text)
	}
	for range 2 {
		s.must(t, nil, add, vars{"p": p, "n": nodeInput("a", "GraphNode"), "v": 0, "op": "once"})
	}
	if got := s.dag(t, p); got.Version != "1" {
		t.Errorf("the same operation twice: version %s", got.Version)
	}
	if r := s.ask(t, add, vars{"p": p, "n": nodeInput("b", "GraphNode"), "op": "once"}); r.Code() != "BAD_REQUEST" {
		t.Errorf("another request under the same id: %s", r.Text)
	}
}

func TestPlansOfProjects(t *testing.T) {
	t.Parallel()
	s := online(t)
	p := s.newProject(t)
	var out struct {
		Project struct{ Plan struct{ ID int } }
	}
	s.must(t, &out, `query ($p: Int!) { project(id: $p) { plan { id } } }`, vars{"p": p})
	id := out.Project.Plan.ID

	var plan struct{ Plan json.RawMessage }
	s.must(t, nil, `mutation ($p: Int!) { createPlan(input: {projectId: $p, name: "One", yamlContent: "x: 1", dependencies: [1]}) { id } }`, vars{"p": p})
	s.must(t, &plan, `query ($i: Int!) { plan(id: $i) { name yamlContent dependencies status project { name plan { name } } } }`, vars{"i": id})
	if want := `{"name":"One","yamlContent":"x: 1","dependencies":[1],"status":"pending","project":{"name":"Test","plan":{"name":"One"}}}`; string(plan.Plan) != want {
		t.Errorf("got %s, want %s", plan.Plan, want)
	}
	for document, want := range map[string]string{ // the YAML is read for all fields of a response, or for none
		`{ project(id: $p) { plan { name } } again: project(id: $p) { plan { ...F } } projects { plan { id } } } fragment F on Plan { ...G } fragment G on Plan { y: yamlContent }`: `"again":{"plan":{"y":"x: 1"}}`,
		`{ projects { plan { name } } project(id: $p) { plan { ... on Plan { yamlContent } } } }`:                                                                                   `"project":{"plan":{"yamlContent":"x: 1"}}`,
		`{ projects { plan { name } } }`: `{"projects":[{"plan":{"name":"One"}}]}`,
	} {
		if r := s.ask(t, strings.ReplaceAll(document, "$p", strconv.Itoa(p)), nil); len(r.Errors) > 0 || !strings.Contains(string(r.Data), want) {
			t.Errorf("%s: got %s, want %s", document, r.Text, want)
		}
	}
	if r := s.ask(t, `mutation ($p: Int!) { createPlan(input: {projectId: $p, name: "Two", yamlContent: ""}) { id } }`, vars{"p": p}); r.Code() != "CONFLICT" {
		t.Errorf("a second plan: %s", r.Text)
	}
	s.must(t, nil, `mutation ($i: Int!) { updatePlan(id: $i, input: {name: "Three", yamlContent: ""}) { id } }`, vars{"i": id})
	s.must(t, &plan, `query ($i: Int!) { plan(id: $i) { name dependencies } }`, vars{"i": id})
	if want := `{"name":"Three","dependencies":null}`; string(plan.Plan) != want {
		t.Errorf("got %s, want %s", plan.Plan, want)
	}
	s.call(t, "AddPlanDagNode", vars{"projectId": p, "node": nodeInput("a", "GraphNode")}, new(any))
	s.must(t, nil, `mutation ($i: Int!) { deletePlan(id: $i) }`, vars{"i": id})
	if d := s.dag(t, p); len(d.Nodes) != 0 || d.Version != "4" {
		t.Errorf("a deleted plan: %+v", d)
	}
	for _, document := range []string{`{ plan(id: 2000000000) { id } }`, `{ project(id: 2000000000) { id } }`} {
		if r := s.ask(t, document, nil); len(r.Errors) > 0 || !strings.Contains(string(r.Data), ":null") {
			t.Errorf("%s: %s", document, r.Text)
		}
	}
}

func TestValidatePlanDag(t *testing.T) {
	t.Parallel()
	s := offline(t)
	var out struct {
		ValidatePlanDag struct {
			IsValid bool
			Errors  []struct{ NodeID, EdgeID, ErrorType *string }
		}
	}
	s.must(t, &out, `query ($d: PlanDagInput!) { validatePlanDag(planDag: $d) { isValid errors { nodeId edgeId errorType message } warnings { nodeId edgeId warningType message } } }`,
		vars{"d": vars{
			"version": "0", "metadata": vars{"version": "0"},
			"nodes": []any{nodeInput("a", "GraphNode"), nodeInput("b", "GraphNode")},
			"edges": []any{edgeInput("1", "a", "b"), edgeInput("2", "b", "a")},
		}})
	v := out.ValidatePlanDag
	if v.IsValid || len(v.Errors) != 1 || v.Errors[0].ErrorType == nil || *v.Errors[0].ErrorType != "CYCLIC_DEPENDENCY" {
		t.Errorf("got %+v", v)
	}
}

// However many projects there are, their plans come in one query, and the way back costs none.
func TestPlansOfManyProjectsTakeTwoQueries(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	proxy := countQueries(t, url)
	s := onlineAt(t, proxy.url, url)
	for range 10 {
		s.newProject(t)
	}
	var out struct {
		Projects []struct {
			ID   int
			Plan struct{ Name string }
		}
	}
	// The pool has queries of its own: when it opens a connection, and when one was idle for a second.
	best := int64(math.MaxInt64)
	for range 5 {
		before := proxy.queries.Load()
		s.must(t, &out, `{ projects { id plan { name project { id plan { id } } } } }`, nil)
		best = min(best, proxy.queries.Load()-before)
	}
	if best != 2 {
		t.Errorf("%d queries, want 2", best)
	}
	if len(out.Projects) != 10 {
		t.Fatalf("%d projects", len(out.Projects))
	}
	for _, p := range out.Projects {
		if want := "Plan for Project " + strconv.Itoa(p.ID); p.Plan.Name != want {
			t.Errorf("plan %q, want %q", p.Plan.Name, want)
		}
	}
}

// proxy counts the statements that are executed through it.
type proxy struct {
	url     string
	queries atomic.Int64
}

func countQueries(t *testing.T, to string) *proxy {
	t.Helper()
	config, err := pgconn.ParseConfig(to)
	if err != nil {
		t.Fatal(err)
	}
	network, address := pgconn.NetworkAddress(config.Host, config.Port)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{url: fmt.Sprintf("postgres://%s@%s/%s?sslmode=disable", config.User, listener.Addr(), config.Database)}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial(network, address)
			if err != nil {
				_ = client.Close()
				continue
			}
			running.Go(func() {
				_, _ = io.Copy(client, server)
				_ = client.Close()
			})
			running.Go(func() {
				p.forward(client, server)
				_ = server.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		running.Wait()
	})
	return p
}

// forward copies what the client says, message by message, until it hangs up. Only the first message has no type.
func (p *proxy) forward(client io.Reader, server io.Writer) {
	in := bufio.NewReader(client)
	for typed := false; ; typed = true {
		var message []byte
		if typed {
			kind, err := in.ReadByte()
			if err != nil {
				return
			}
			message = append(message, kind)
			if kind == 'E' || kind == 'Q' { // execute, simple query
				p.queries.Add(1)
			}
		}
		length := make([]byte, 4)
		if _, err := io.ReadFull(in, length); err != nil {
			return
		}
		body := make([]byte, binary.BigEndian.Uint32(length)-4)
		if _, err := io.ReadFull(in, body); err != nil {
			return
		}
		if _, err := server.Write(slices.Concat(message, length, body)); err != nil {
			return
		}
	}
}
