package graph_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"layercake/internal/client"
	"layercake/internal/npmtest"
	"layercake/internal/server/servertest"
)

func b64(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// at is a site of a replica that runs by itself.
func at(t testing.TB, r *servertest.Replica) *site {
	t.Helper()
	s := &site{url: r.URL, client: client.New(r.URL)}
	t.Cleanup(s.client.Close)
	return s
}

// delta is an event of planDagDeltaChanged.
type delta struct {
	Version    int              `json:"version"`
	Operations []map[string]any `json:"operations"`
}

// deltas hears deltas until a version came.
func deltas(t *testing.T, c client.GraphQLSocket, version int) (all []delta) {
	t.Helper()
	for len(all) == 0 || all[len(all)-1].Version < version {
		var frame struct {
			Payload struct {
				Data struct{ PlanDagDeltaChanged delta }
			}
		}
		if err := json.Unmarshal([]byte(hear(t, c)), &frame); err != nil {
			t.Fatal(err)
		}
		d := frame.Payload.Data.PlanDagDeltaChanged
		if len(d.Operations) > 1 { // a check has one
			all = append(all, d)
		}
	}
	return all
}

// source is a data source as the existing client reads it.
type source struct {
	ID                                                      int
	Name, Filename, FileFormat, DataType, Status, GraphJSON string
	FileSize                                                int
}

// What the existing client does from tables to a drawn graph, over two replicas. Whoever follows the plan by deltas has the plan that
// whoever reads it has.
func TestFromTablesToAGraph(t *testing.T) {
	t.Parallel()
	replicas := servertest.Start(t, 2, nil)
	a, b := at(t, replicas[0]), at(t, replicas[1])
	p := a.newProject(t)
	before := b.dag(t, p)
	c := b.dial(t, nil)
	follow(t, c, "1", fmt.Sprintf(`subscription { planDagDeltaChanged(projectId: %d, after: %q) {
		projectId version userId timestamp operations { op path value from } } }`, p, b.cursor(t, p)))

	// Nodes by hand, edges and layers in bulk: three nodes appear.
	var nodes source
	a.call(t, "CreateDataSourceFromFile", vars{"input": vars{
		"projectId": p, "name": "Nodes", "filename": "nodes.csv", "fileFormat": "CSV", "dataType": "NODES",
		"fileContent": b64("id,label\na,Anna\nb,Ben & Co\nc,Carl\nd,Dora\n"),
	}}, &nodes)
	if nodes.Status != "active" || nodes.FileFormat != "csv" || nodes.DataType != "nodes" || nodes.FileSize != 41 {
		t.Errorf("nodes: %+v", nodes)
	}
	var others []source
	b.call(t, "BulkUploadDataSources", vars{"projectId": p, "files": []any{
		vars{
			"name": "Edges", "description": "Uploaded from edges.csv", "filename": "edges.csv",
			"fileContent": b64("id,source,target\ne1,a,b\ne2,c,d\n"),
		},
		vars{
			"name": "Layers", "description": "Uploaded from layers.csv", "filename": "layers.csv",
			"fileContent": b64("layer,label,background\nl,One,eeeeee\nm,Two,1f6feb\nn,Three,ffffff\n"),
		},
	}}, &others)
	if len(others) != 2 || others[0].DataType != "edges" || others[1].DataType != "layers" {
		t.Fatalf("in bulk: %+v", others)
	}
	d := a.dag(t, p)
	if len(d.Nodes) != 3 {
		t.Fatalf("nodes of the plan: %v", d.Nodes)
	}
	for i, n := range d.Nodes {
		execution, _ := n["datasourceExecution"].(map[string]any)
		if n["nodeType"] != "DataSourceNode" || n["position"].(map[string]any)["y"] != 100.0+120*float64(i) || execution["executionState"] != "completed" {
			t.Errorf("node %d: %v", i, n)
		}
	}

	// A fourth, by hand, is pointed at a source.
	var any1 any
	fourth := nodeInput("datasourcenode_004", "DataSourceNode")
	fourth["config"] = `{"dataSourceId":0}`
	a.call(t, "AddPlanDagNode", vars{"projectId": p, "node": fourth}, &any1)
	b.call(t, "UpdatePlanDagNode", vars{"projectId": p, "nodeId": "datasourcenode_004", "updates": vars{
		"config": fmt.Sprintf(`{"dataSourceId":%d}`, nodes.ID), "metadata": vars{"label": "Again", "description": ""},
	}}, &any1)
	for _, id := range []string{"mergenode_005:MergeNode", "graphnode_006:GraphNode", "outputnode_007:OutputNode"} {
		id, kind, _ := strings.Cut(id, ":")
		n := nodeInput(id, kind)
		n["config"] = map[string]string{
			"MergeNode":  `{"mergeStrategy":"Union","conflictResolution":"PreferFirst"}`,
			"GraphNode":  `{"isReference":false,"metadata":{}}`,
			"OutputNode": `{"renderTarget":"DOT","outputPath":""}`,
		}[kind]
		a.call(t, "AddPlanDagNode", vars{"projectId": p, "node": n}, &any1)
	}
	for i, ends := range [][2]string{
		{d.Nodes[0]["id"].(string), "mergenode_005"},
		{d.Nodes[1]["id"].(string), "mergenode_005"},
		{d.Nodes[2]["id"].(string), "mergenode_005"},
		{"mergenode_005", "graphnode_006"},
		{"graphnode_006", "outputnode_007"},
	} {
		b.call(t, "AddPlanDagEdge", vars{"projectId": p, "edge": edgeInput(fmt.Sprint("edge-", i), ends[0], ends[1])}, &any1)
	}

	// Pressed on one replica, it is there on the other.
	var done struct {
		Success         bool
		Message, NodeID string
	}
	a.call(t, "ExecuteNode", vars{"projectId": p, "nodeId": "graphnode_006"}, &done)
	if !done.Success || done.NodeID != "graphnode_006" {
		t.Errorf("executed: %+v", done)
	}
	var preview struct {
		ExecutionState       string
		NodeCount, EdgeCount int
		GraphID              int
		Nodes, Edges         []map[string]any
		Layers               []struct {
			LayerID    string
			Properties map[string]string
		}
	}
	b.call(t, "GetGraphPreview", vars{"projectId": p, "nodeId": "graphnode_006"}, &preview)
	if preview.ExecutionState != "completed" || preview.NodeCount != 4 || preview.EdgeCount != 2 || len(preview.Nodes) != 4 ||
		len(preview.Edges) != 2 || len(preview.Layers) != 3 || preview.Layers[1].Properties["background_color"] != "1f6feb" {
		t.Errorf("preview: %+v", preview)
	}
	var graphs []struct{ ExecutionState, NodeID string }
	b.call(t, "GetGraphs", vars{"projectId": p}, &graphs)
	if len(graphs) != 2 || graphs[0].ExecutionState != "completed" || graphs[1].ExecutionState != "completed" {
		t.Errorf("graphs: %+v", graphs)
	}

	// The file of the output.
	for path, want := range map[string]string{"": "Test.dot", "mine.dot": "mine.dot"} {
		b.call(t, "UpdatePlanDagNode", vars{"projectId": p, "nodeId": "outputnode_007", "updates": vars{
			"config": fmt.Sprintf(`{"renderTarget":"DOT","outputPath":%q}`, path),
		}}, &any1)
		var out struct {
			Success                     bool
			Content, Filename, MimeType string
		}
		a.call(t, "ExportNodeOutput", vars{"projectId": p, "nodeId": "outputnode_007"}, &out)
		text, err := base64.StdEncoding.DecodeString(out.Content)
		if err != nil || !out.Success || out.Filename != want || out.MimeType != "text/vnd.graphviz" {
			t.Errorf("exported %q as %q, %q: %v", path, out.Filename, out.MimeType, err)
		}
		for _, part := range []string{"digraph", "Anna", "Ben", "Carl", "Dora"} {
			if !strings.Contains(string(text), part) {
				t.Errorf("the file lacks %q:\n%s", part, text)
			}
		}
		if !strings.Contains(strings.ReplaceAll(string(text), `"`, ""), "a -> b") {
			t.Errorf("the file lacks a -> b:\n%s", text)
		}
	}

	// Pressed again, nothing happens; after a source was replaced, what depends on it is stale.
	version := a.dag(t, p).Version
	b.call(t, "ExecuteNode", vars{"projectId": p, "nodeId": "graphnode_006"}, &done)
	if now := a.dag(t, p).Version; now != version || !done.Success {
		t.Errorf("version %s became %s: %+v", version, now, done)
	}
	var replaced source
	b.call(t, "UpdateDataSource", vars{"id": others[0].ID, "input": vars{
		"filename": "edges.csv", "fileContent": b64("id,source,target\ne1,a,b\n"), "name": "Fewer",
	}}, &replaced)
	var stale struct {
		Graph struct {
			Stale        bool
			StaleBecause []string
		}
	}
	a.must(t, &stale, fmt.Sprintf(`{ graph(id: %d) { stale staleBecause } }`, preview.GraphID), nil)
	if !stale.Graph.Stale || len(stale.Graph.StaleBecause) == 0 || replaced.Name != "Fewer" {
		t.Errorf("stale: %+v, replaced: %+v", stale, replaced)
	}
	var plan struct {
		Project struct{ Plan struct{ ID int } }
	}
	a.must(t, &plan, fmt.Sprintf(`{ project(id: %d) { plan { id } } }`, p), nil)
	var executed struct {
		ExecutePlan struct {
			Success     bool
			Message     string
			OutputFiles []string
		}
	}
	b.must(t, &executed, fmt.Sprintf(`mutation { executePlan(id: %d) { success message outputFiles } }`, plan.Project.Plan.ID), nil)
	a.call(t, "GetGraphPreview", vars{"projectId": p, "nodeId": "graphnode_006"}, &preview)
	if !executed.ExecutePlan.Success || executed.ExecutePlan.OutputFiles == nil || preview.EdgeCount != 1 {
		t.Errorf("executed: %+v, preview: %+v", executed, preview)
	}

	// Deleting a source takes its nodes and their edges; deleting a graph its node.
	var gone bool
	a.call(t, "DeleteDataSource", vars{"id": nodes.ID}, &gone)
	a.call(t, "DeleteGraph", vars{"id": preview.GraphID}, &gone)
	after := a.dag(t, p)
	if len(after.Nodes) != 4 || len(after.Edges) != 2 {
		t.Errorf("afterwards: %v %v", after.Nodes, after.Edges)
	}

	// Who followed all of it has the same.
	var last int
	if _, err := fmt.Sscan(after.Version, &last); err != nil {
		t.Fatal(err)
	}
	record, err := json.Marshal(map[string]any{"before": fields(before), "after": fields(after), "deltas": deltas(t, c, last)})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "record.json")
	if err := os.WriteFile(file, record, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Log(npmtest.Run(t, "apply.mjs", "RECORD="+file))
}

// fields returns a plan as the client has it.
func fields(d dag) vars {
	return vars{"version": d.Version, "nodes": d.Nodes, "edges": d.Edges, "metadata": d.Metadata}
}
