package executor

import (
	"os"
	"reflect"
	"testing"
	"time"

	"layercake/internal/plan"
	"layercake/internal/planfile"
)

const tinyPlan = `
meta: { name: "Tiny" }
import:
  profiles:
    - { filename: "data/nodes.csv", filetype: "Nodes" }
    - { filename: "edges.csv", filetype: "Edges" }
export:
  profiles:
    - { filename: "out/tiny.gml", exporter: "GML" }
    - filename: "out/small.dot"
      exporter: DOT
      render_config: { contain_nodes: false, orientation: LR, gml_integer_ids: true }
      graph_config: { max_partition_width: 5, node_label_max_length: 12 }
    - { filename: "out/all.csv", exporter: "CSVEdges", graph_config: { aggregate_edges: false } }
    - filename: "out/tiny.txt"
      exporter: !Custom { template: "my.hbs" }
`

func parsePlan(t *testing.T, yaml string) planfile.Plan {
	t.Helper()
	p, err := planfile.Parse([]byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// imported returns the nodes and edges of edits, which add nothing else.
func imported(t *testing.T, edits []plan.Edit) (nodes []plan.Node, edges []plan.Edge) {
	t.Helper()
	for _, e := range edits {
		switch e := e.(type) {
		case plan.AddNode:
			nodes = append(nodes, e.Node)
		case plan.AddEdge:
			edges = append(edges, e.Edge)
		default:
			t.Errorf("an edit is %T", e)
		}
	}
	return nodes, edges
}

func TestImportedNodes(t *testing.T) {
	t.Parallel()
	tables := []uploaded{{3, "nodes.csv", "nodes"}, {5, "nodes.csv", "nodes"}, {4, "nodes.csv", "nodes"}, {9, "edges.csv", "nodes"}}
	nodes, edges := imported(t, importEdits(parsePlan(t, tinyPlan), tables, time.UnixMilli(1234)))
	type seen struct {
		id, label string
		x, y      float64
		config    string
	}
	want := []seen{
		{"datasourcenode_1234_0000", "data/nodes.csv (Nodes)", 100, 100, `{"dataSourceId":5,"filename":"data/nodes.csv","dataType":"nodes"}`},
		{"datasourcenode_1234_0001", "edges.csv (Edges)", 150, 100, `{"filename":"edges.csv","dataType":"edges"}`},
		{"mergenode_1234_merge", "Combined Data", 300, 200, `{}`},
		{"graphnode_1234_base", "Base Graph", 500, 200, `{}`},
		{
			"transformnode_1234_0000", "Transform: small.dot", 700, 100,
			`{"graphConfig":{"max_partition_width":5,"node_label_max_length":12}}`,
		},
		{"graphnode_1234_0000", "Graph: small.dot", 900, 100, `{}`},
		{
			"outputnode_1234_0000", "DOT: small.dot", 1100, 100,
			`{"outputPath":"out/small.dot","renderConfig":{"containNodes":false,"gmlIntegerIds":true,"orientation":"LR"},"renderTarget":"DOT"}`,
		},
		{
			"outputnode_1234_0001", "GML: tiny.gml", 1100, 250,
			`{"graphConfig":{"aggregateEdges":true},"outputPath":"out/tiny.gml","renderTarget":"GML"}`,
		},
		{"outputnode_1234_0002", "CSVEdges: all.csv", 1100, 400, `{"outputPath":"out/all.csv","renderTarget":"CSVEdges"}`},
		{
			"outputnode_1234_0003", "Custom: tiny.txt", 1100, 550,
			`{"graphConfig":{"aggregateEdges":true},"outputPath":"out/tiny.txt","renderTarget":"Custom"}`,
		},
	}
	var got []seen
	for _, n := range nodes {
		got = append(got, seen{n.ID, n.Metadata.Label, n.Position.X, n.Position.Y, n.Config})
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("nodes are\n%+v, want\n%+v", got, want)
	}
	var ids []string
	for _, e := range edges {
		ids = append(ids, e.ID+" "+e.Source+" "+e.Target)
	}
	wantEdges := []string{
		"edge_1234_0000 datasourcenode_1234_0000 mergenode_1234_merge",
		"edge_1234_0001 datasourcenode_1234_0001 mergenode_1234_merge",
		"edge_1234_merge_to_base mergenode_1234_merge graphnode_1234_base",
		"edge_1234_base_to_transform_0000 graphnode_1234_base transformnode_1234_0000",
		"edge_1234_transform_to_graph_0000 transformnode_1234_0000 graphnode_1234_0000",
		"edge_1234_graph_to_output_0000 graphnode_1234_0000 outputnode_1234_0000",
		"edge_1234_base_to_output_0001 graphnode_1234_base outputnode_1234_0001",
		"edge_1234_base_to_output_0002 graphnode_1234_base outputnode_1234_0002",
		"edge_1234_base_to_output_0003 graphnode_1234_base outputnode_1234_0003",
	}
	if !reflect.DeepEqual(ids, wantEdges) {
		t.Errorf("edges are\n%q, want\n%q", ids, wantEdges)
	}
	if problems := plan.Validate(nodes, edges); len(problems) > 0 {
		t.Errorf("the plan has problems: %+v", problems)
	}
}

// What an output node of a plan file says is what the plan file said.
func TestImportedConfigIsRead(t *testing.T) {
	t.Parallel()
	p := parsePlan(t, tinyPlan)
	nodes, _ := imported(t, importEdits(p, nil, time.UnixMilli(1)))
	config, err := parseOutputConfig(nodes[6].Config)
	if want := p.Export.Profiles[1].Render.Options(); err != nil || !reflect.DeepEqual(config.render, want) || config.settings != nil {
		t.Errorf("%+v, %v; want %+v", config, err, want)
	}
	if config, err = parseOutputConfig(nodes[7].Config); err != nil || config.settings == nil || !*config.settings.AggregateEdges {
		t.Errorf("%+v, %v", config, err)
	}
}

// The published reference has 3 tables, and 8 of its exports change the graph.
func TestImportedReference(t *testing.T) {
	t.Parallel()
	yaml, err := os.ReadFile("../../../shared/data/ref/plan.yaml")
	if os.IsNotExist(err) {
		t.Skip("the shared data is not there")
	}
	p := parsePlan(t, string(yaml))
	nodes, edges := imported(t, importEdits(p, nil, time.UnixMilli(1)))
	direct := len(p.Export.Profiles) - 8
	if len(nodes) != 29+direct || len(edges) != 28+direct || len(plan.Validate(nodes, edges)) > 0 {
		t.Errorf("%d nodes and %d edges for %d exports", len(nodes), len(edges), len(p.Export.Profiles))
	}
}
