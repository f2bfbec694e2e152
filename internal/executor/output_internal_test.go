package executor

import (
	"bytes"
	"context"
	"reflect"
	"strings"
	"testing"

	"layercake/internal/export"
	"layercake/internal/fault"
	"layercake/internal/layered"
	"layercake/internal/plan"
)

func TestOutputConfig(t *testing.T) {
	t.Parallel()
	off := new(false)
	for name, c := range map[string]struct {
		config string
		want   outputConfig
	}{
		"nothing":      {"", outputConfig{format: export.GML}},
		"empty":        {"{}", outputConfig{format: export.GML}},
		"of an editor": {`{"renderTarget":"DOT","outputPath":""}`, outputConfig{format: export.DOT}},
		"camelCase": {
			`{"renderTarget":"DOT","outputPath":"a/b.dot","renderConfig":{"containNodes":false,"orientation":"LR","builtInStyles":"dark",` +
				`"targetOptions":{"graphviz":{"commentStyle":"tooltip","nodesep":0.5}}},"graphConfig":{"maxPartitionDepth":2,"invertGraph":true}}`,
			outputConfig{
				format: export.DOT, name: "a/b.dot", render: export.Options{
					Flat: true, Orientation: export.LeftToRight, Style: export.StyleDark,
					Graphviz: export.GraphvizOptions{CommentStyle: "tooltip", NodeSep: 0.5},
				},
				settings: &layered.Settings{MaxDepth: 2, Invert: true, AggregateEdges: off},
			},
		},
		"snake_case": {
			`{"render_target":"Mermaid","output_path":"x","render_config":{"contain_nodes":true,"gml_integer_ids":true},` +
				`"graph_config":{"node_label_insert_newlines_at":8,"aggregate_edges":true}}`,
			outputConfig{
				format: export.Mermaid, name: "x", render: export.Options{GMLIntegerIDs: true},
				settings: &layered.Settings{NodeLabelWrap: 8, AggregateEdges: new(true)},
			},
		},
		"mixed": {
			`{"renderTarget":"CSV","renderConfig":{"csv_guard_formulas":true,"csvWeight":true},"graphConfig":null}`,
			outputConfig{format: export.CSVNodes, render: export.Options{CSVGuardFormulas: true, CSVWeight: true}},
		},
		"of an imported plan file": {
			`{"filename":"out/x.puml","exporter":"PlantUML","renderConfig":null}`,
			outputConfig{format: export.PlantUML, name: "out/x.puml"},
		},
		"the newer spelling wins": {
			`{"filename":"old","exporter":"DOT","renderTarget":"JSON","outputPath":"new"}`, outputConfig{format: export.JSON, name: "new"},
		},
		"unknown members": {`{"renderTarget":"json","color":1}`, outputConfig{format: export.JSON}},
		"all that the existing client sends": {
			`{"renderTarget":"DOT","outputPath":"","renderConfig":{"containNodes":true,"orientation":"TB"},"graphConfig":{"generateHierarchy":false,` +
				`"maxPartitionDepth":0,"maxPartitionWidth":0,"invertGraph":false,"nodeLabelMaxLength":0,"nodeLabelInsertNewlinesAt":0,` +
				`"edgeLabelMaxLength":0,"edgeLabelInsertNewlinesAt":0}}`,
			outputConfig{
				format: export.DOT, render: export.Options{Orientation: export.TopToBottom}, settings: &layered.Settings{AggregateEdges: off},
			},
		},
		"camelCase beats both": {`{"renderTarget":"DOT","render_target":"GML"}`, outputConfig{format: export.DOT}},
	} {
		got, err := parseOutputConfig(c.config)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, c.want)
		}
	}
	for name, config := range map[string]string{
		"no object": "[1]", "no JSON": "{", "a wrong type": `{"renderTarget":1}`, "a wrong type within": `{"renderConfig":{"containNodes":"no"}}`,
		"an unknown setting": `{"renderConfig":{"shade":2}}`, "one within": `{"renderConfig":{"targetOptions":{"graphviz":{"shade":2}}}}`,
		"one of the graph": `{"graphConfig":{"maxPartitionDeep":2}}`, "a negative one": `{"graph_config":{"maxPartitionDepth":-1}}`,
		"a negative one of the drawing": `{"renderConfig":{"targetOptions":{"graphviz":{"nodesep":-0.5}}}}`,
		"Custom":                        `{"renderTarget":"Custom"}`, "unknown": `{"renderTarget":"SVG"}`, "a tag of a plan file": `{"exporter":"Unknown"}`,
	} {
		if got, err := parseOutputConfig(config); !fault.Is(err, fault.BadRequest) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// Every format but Custom can be an output, and another format takes another extension.
func TestOutputFormats(t *testing.T) {
	t.Parallel()
	for _, f := range export.Formats() {
		config, err := outputConfig{name: "a.dot", format: export.DOT}.in(f)
		if f == export.Custom {
			if !fault.Is(err, fault.BadRequest) {
				t.Errorf("Custom: %v", err)
			}
			continue
		}
		if got, want := filename(config.name, "P", config.format), "a."+f.Extension(); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", f, got, err, want)
		}
	}
}

func TestFilename(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 200)
	for _, c := range []struct{ given, project, want string }{
		{"", "Tiny", "Tiny.dot"},
		{"  ", "Tiny", "Tiny.dot"},
		{"plan.dot", "Tiny", "plan.dot"},
		{"plan", "Tiny", "plan.dot"},
		{"plan.gv", "Tiny", "plan.gv"},
		{"out/plan.dot", "Tiny", "plan.dot"},
		{`C:\out\plan.dot`, "Tiny", "plan.dot"},
		{"../../etc/passwd", "Tiny", "passwd.dot"},
		{"out/", "Tiny", "Tiny.dot"},
		{"..", "Tiny", "Tiny.dot"},
		{"out/..", "Tiny", "Tiny.dot"},
		{".dot", "Tiny", "Tiny.dot"},
		{"v1.2", "Tiny", "v1.2.dot"},
		{"The end.", "Tiny", "The end.dot"},
		{"a\r\nb\x00\x1b.dot", "Tiny", "ab.dot"},
		{"\u202egnp.dot", "Tiny", "gnp.dot"},
		{`say "hi".dot`, "Tiny", `say "hi".dot`},
		{"", "a/b\\c\n", "a_b_c.dot"},
		{"", "..", "output.dot"},
		{"", "", "output.dot"},
		{long + ".dot", "Tiny", long[:250] + ".dot"},
		{long, "Tiny", long[:250] + ".dot"},
	} {
		if got := filename(c.given, c.project, export.DOT); got != c.want {
			t.Errorf("filename(%q, %q) = %q, want %q", c.given, c.project, got, c.want)
		}
	}
}

func TestOutputOf(t *testing.T) {
	t.Parallel()
	dag := plan.DAG{
		Nodes: []plan.Node{
			{ID: "g", NodeType: plan.GraphNode, Metadata: plan.NodeMetadata{Label: "Graph"}},
			{ID: "h", NodeType: plan.GraphNode},
			{ID: "o", NodeType: plan.OutputNode, Config: `{"renderTarget":"DOT","outputPath":"x.dot"}`},
			{ID: "alone", NodeType: plan.OutputNode},
			{ID: "broken", NodeType: plan.OutputNode, Config: `{"renderTarget":"SVG"}`},
		},
		Edges: []plan.Edge{{ID: "1", Source: "h", Target: "o"}, {ID: "2", Source: "g", Target: "o"}},
	}
	upstream, config, err := outputOf(dag, "o", "")
	if err != nil || upstream.ID != "h" || config.format != export.DOT {
		t.Errorf("the first edge counts: %s, %+v, %v", upstream.ID, config, err)
	}
	if _, config, err = outputOf(dag, "o", "json"); err != nil || config.format != export.JSON || config.name != "x" {
		t.Errorf("in another format: %+v, %v", config, err)
	}
	if upstream, config, err = outputOf(dag, "g", export.GML); err != nil || upstream.ID != "g" || config.name != "Graph" {
		t.Errorf("of a graph: %s, %+v, %v", upstream.ID, config, err)
	}
	for name, c := range map[string]struct {
		node, message string
		format        export.Format
		code          fault.Code
	}{
		"no node":     {"x", "Output node not found", "", fault.NotFound},
		"no format":   {"g", "The node is no OutputNode: name a format", "", fault.BadRequest},
		"not known":   {"g", "Unsupported export format: svg", "svg", fault.BadRequest},
		"no input":    {"alone", "No upstream graph connected to output node", "", fault.BadRequest},
		"bad config":  {"broken", "Unsupported export format: SVG", "", fault.BadRequest},
		"no template": {"o", "Unsupported export format: custom", "custom", fault.BadRequest},
	} {
		_, _, err := outputOf(dag, c.node, c.format)
		if f := fault.From(err); f == nil || f.Code != c.code || f.Message != c.message {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOutputWrites(t *testing.T) {
	t.Parallel()
	g := layered.Graph{
		Nodes: []layered.Node{{ID: "a", Label: "Alpha", Layer: "x", Weight: 1}, {ID: "b", Label: "Beta", Layer: "x", Weight: 1}},
		Edges: []layered.Edge{
			{ID: "1", Source: "a", Target: "b", Layer: "x", Weight: 1}, {ID: "2", Source: "a", Target: "b", Layer: "x", Weight: 1},
		},
		Layers: []layered.Layer{{ID: "x", Label: "X", Background: "123456", Text: "ffffff", Border: "abcdef"}},
	}
	write := func(config string) string {
		t.Helper()
		c, err := parseOutputConfig(config)
		if err != nil {
			t.Fatal(err)
		}
		out := Output{config: c, with: func(_ context.Context, use func(layered.Graph) error) error { return use(g) }}
		var b bytes.Buffer
		if err := out.Write(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
		if content, fits, err := out.Bytes(t.Context(), b.Len()); err != nil || !fits || !bytes.Equal(content, b.Bytes()) {
			t.Errorf("what just fits: %t, %v", fits, err)
		}
		if _, fits, err := out.Bytes(t.Context(), b.Len()-1); err != nil || fits {
			t.Errorf("one byte too many: %t, %v", fits, err)
		}
		return b.String()
	}
	if got := write(`{"renderTarget":"DOT","renderConfig":{"orientation":"LR"}}`); !strings.Contains(got, "123456") || !strings.Contains(got, "LR") {
		t.Errorf("the palette and the direction are missing: %s", got)
	}
	if got := write(`{"renderTarget":"CSVEdges","graphConfig":{"maxPartitionDepth":0}}`); strings.Count(got, "a,b") != 2 {
		t.Errorf("edges were aggregated: %s", got)
	}
	if got := write(`{"renderTarget":"CSVEdges","graphConfig":{"aggregateEdges":true}}`); strings.Count(got, "a,b") != 1 {
		t.Errorf("edges were not aggregated: %s", got)
	}
	if got := write(`{"renderTarget":"CSVNodes","graphConfig":{"nodeLabelMaxLength":2}}`); !strings.Contains(got, "a,Al,") {
		t.Errorf("labels are not cut: %s", got)
	}
}

// Several graphs that are written leave half of the memory to builds, however slowly they are read.
func TestOutputsLeaveMemoryToBuilds(t *testing.T) {
	t.Parallel()
	const most = 100 << 20
	s := &Service{cfg: Config{Memory: most}, room: make(chan struct{}), looks: make(chan struct{}, 1)}
	hasty, cancel := context.WithCancel(t.Context())
	cancel()
	for _, needs := range []int64{most / 4, most / 4} {
		release, err := s.takeMemory(hasty, needs)
		if err != nil {
			t.Fatal(err)
		}
		defer release()
	}
	if _, err := s.takeMemory(hasty, 1); !fault.Is(err, fault.Unavailable) {
		t.Errorf("more than half: %v", err)
	}
	if _, reserved := s.load(); reserved != most/2 {
		t.Errorf("%d bytes are reserved", reserved)
	}
}

// Graphs that are written share the memory of builds, and wait for it.
func TestMemoryOfOutputs(t *testing.T) {
	t.Parallel()
	const most = 100 << 20
	s := &Service{cfg: Config{Memory: most}, room: make(chan struct{}), looks: make(chan struct{}, 1)}
	if _, err := s.takeMemory(t.Context(), most+1); !fault.Is(err, fault.BadRequest) || !strings.Contains(err.Error(), "LAYERCAKE_BUILD_MEMORY") {
		t.Errorf("more than there is: %v", err)
	}
	release, err := s.takeMemory(t.Context(), most)
	if err != nil {
		t.Fatal(err)
	}
	hasty, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.takeMemory(hasty, 1); !fault.Is(err, fault.Unavailable) {
		t.Errorf("who does not wait: %v", err)
	}
	waited := make(chan error, 1)
	go func() {
		releaseOther, err := s.takeMemory(t.Context(), most)
		if err == nil {
			releaseOther()
		}
		waited <- err
	}()
	release()
	if err := <-waited; err != nil {
		t.Errorf("who waits: %v", err)
	}
	if _, reserved := s.load(); reserved != 0 {
		t.Errorf("%d bytes are still reserved", reserved)
	}
	select {
	case <-s.looks:
	default:
		t.Error("builds were not told of the room")
	}
}
