package export_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"layercake/internal/export"
	"layercake/internal/layered"
	"layercake/internal/npmtest"
)

// A drawing is what a version of Mermaid shows of a diagram in a browser.
type drawing struct {
	Error, Type, Title string
	Nodes, Groups      []drawnBox
	Edges              []drawnEdge
}

type drawnBox struct {
	ID     string
	Text   string
	Markup string // names of the elements that make something else of the text
	Look   string // computed colours
}

type drawnEdge struct {
	From, To           string // where the line ends are
	Text, Markup, Look string
	Astray             bool // the label is not at its line
}

// A sketch is a diagram with what must be seen of it, in every version of Mermaid.
type sketch struct {
	name   string
	source string
	check  func(t *testing.T, d drawing, others map[string]drawing) // by name
}

// TestMermaidDrawings draws in one browser, since that is slow to start.
func TestMermaidDrawings(t *testing.T) {
	t.Parallel()
	chromium := tool(t, "chromium")
	sketches := slices.Concat(labelSketches(t), optionSketches(t), idSketches(t), classSketches(t), limitSketches(t))
	var sources []string
	for _, s := range sketches {
		sources = append(sources, s.source)
	}
	for version, drawings := range drawMermaid(t, chromium, sources) {
		byName := map[string]drawing{}
		for i, s := range sketches {
			byName[s.name] = drawings[i]
		}
		for _, s := range sketches {
			t.Run(version+"/"+s.name, func(t *testing.T) {
				t.Parallel()
				s.check(t, byName[s.name], byName)
				if t.Failed() {
					t.Logf("%.2000s", s.source)
				}
			})
		}
	}
}

// drawMermaid returns the drawings by version of Mermaid.
func drawMermaid(t *testing.T, chromium string, sources []string) map[string][]drawing {
	t.Helper()
	input, err := json.Marshal(sources)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "diagrams.json")
	if err := os.WriteFile(file, input, 0o600); err != nil {
		t.Fatal(err)
	}
	output := npmtest.Run(t, "mermaid.mjs", "CHROMIUM="+chromium, "DIAGRAMS="+file)
	var versions map[string][]drawing
	if err := json.Unmarshal([]byte(output), &versions); err != nil || len(versions) < 3 {
		t.Fatalf("%d versions of Mermaid, want 3: %v", len(versions), err)
	}
	for version, drawings := range versions {
		if len(drawings) != len(sources) {
			t.Fatalf("%s: %d drawings of %d diagrams", version, len(drawings), len(sources))
		}
	}
	return versions
}

// labelSketches put every text into every place of every kind of diagram.
func labelSketches(t *testing.T) []sketch {
	var sketches []sketch
	_, texts := drawable()
	texts = slices.DeleteFunc(texts, func(s string) bool { return strings.Trim(s, " \u00a0\u200b\ufeff") == "" })
	long := func(s string) bool { return len(s) > 40 }
	for _, f := range []export.Format{export.Mermaid, export.MermaidMindmap, export.MermaidTreemap} {
		size := 15
		if f == export.MermaidTreemap { // which cuts labels that have no room
			size, texts = 4, slices.DeleteFunc(slices.Clone(texts), long)
		}
		for chunk := range slices.Chunk(texts, size) {
			g := layered.Graph{}
			for i, text := range chunk {
				group, node := fmt.Sprintf("g%d", i), fmt.Sprintf("n%d", i)
				g.Nodes = append(g.Nodes, layered.Node{ID: group, Label: text, IsPartition: true},
					layered.Node{ID: node, Label: text, BelongsTo: group, Weight: 1})
				g.Edges = append(g.Edges, layered.Edge{ID: node, Source: node, Target: fmt.Sprintf("n%d", (i+1)%len(chunk)), Label: text})
			}
			sketches = append(sketches, sketch{
				fmt.Sprintf("%s/labels/%.20q", f, chunk[0]),
				write(t, g, f, export.Options{Mermaid: export.MermaidOptions{EdgeLabels: true}}),
				func(t *testing.T, d drawing, _ map[string]drawing) {
					var edges []drawnBox
					for _, e := range d.Edges {
						if e.Text != "" {
							edges = append(edges, drawnBox{Text: e.Text, Markup: e.Markup})
						}
					}
					if f == export.MermaidMindmap { // where groups are nodes, below one that stands for all
						boxes := slices.DeleteFunc(d.Nodes, func(b drawnBox) bool { return b.Text == "Graph" })
						says(t, "nodes", boxes, slices.Concat(chunk, chunk))
						return
					}
					says(t, "groups", d.Groups, chunk)
					says(t, "nodes", d.Nodes, chunk)
					if f == export.Mermaid {
						says(t, "edges", edges, slices.DeleteFunc(slices.Clone(chunk), func(s string) bool { return s == "null" }))
					}
				},
			})
		}
	}
	for _, text := range []string{ // one a diagram
		"1. Login", "__init__", "3 < 4", "a<b>c</b>", "<br>", "a & b", "&amp;", "#35;", "say \"hi\"", "%%{init}%%", "a: b", "`code`",
		"$$x$$", "हिन्दी", "---", "title", "true", "1.10", "\\n", "fa:fa-car", "{x}", "- item", "https://x.y",
	} {
		for _, f := range []export.Format{export.Mermaid, export.MermaidTreemap} {
			g := layered.Graph{Name: text, Nodes: []layered.Node{{ID: "a", Label: "A", Weight: 1}}}
			sketches = append(sketches, sketch{
				fmt.Sprintf("%s/title/%q", f, text), write(t, g, f, export.Options{}),
				func(t *testing.T, d drawing, _ map[string]drawing) {
					says(t, "title", []drawnBox{{Text: d.Title}}, []string{text})
				},
			})
		}
	}
	return sketches
}

// says compares what is drawn with what was written, in any order. Browsers fold blanks.
func says(t *testing.T, what string, drawn []drawnBox, texts []string) {
	t.Helper()
	fold := func(s string) string { return strings.Join(strings.Fields(strings.Trim(s, "\ufeff")), " ") }
	var got, want []string
	for _, b := range drawn {
		got = append(got, fold(b.Text))
		if b.Markup != "" {
			t.Errorf("%s: %q is drawn with %s", what, b.Text, b.Markup)
		}
	}
	for _, text := range texts {
		want = append(want, fold(text))
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-written +drawn):\n%s", what, diff)
	}
}

// optionSketches draw with every option.
func optionSketches(t *testing.T) []sketch {
	var sketches []sketch
	for i, opt := range optionSets() {
		for f, kind := range map[export.Format]string{
			export.Mermaid: "flowchart-v2", export.MermaidMindmap: "mindmap", export.MermaidTreemap: "treemap",
		} {
			sketches = append(sketches, sketch{
				fmt.Sprintf("%s/options/%d", f, i), write(t, tiny(), f, opt), func(t *testing.T, d drawing, _ map[string]drawing) {
					if d.Type != kind {
						t.Errorf("drawn as %q: %s", d.Type, d.Error)
					}
				},
			})
		}
	}
	return sketches
}

// idSketches draw nodes, containers and layers that have any word for an id.
func idSketches(t *testing.T) []sketch {
	ids := []string{
		"end", "End", "END", "graph", "flowchart", "subgraph", "style", "linkStyle", "class", "classDef",
		"click", "default", "direction",
		"interpolate", "href", "call", "o", "x", "v", "O", "X", "V", "ox", "xo", "root", "title", "mindmap",
		"treemap", "TB", "LR", "td", "BT", "RL",
		"_self", "_blank", "accTitle", "accDescr", "default_x", "style1", "endpoint", "end_", "graph1",
		"subgraph_a", "class_b", "click2", "callback",
		"1", "12a", "a.b", "a-b", "a--b", "-->", "a b", "é", "日本", "n", "N", "A", "0x", "section", "id", "null",
		"constructor", "__proto__", "toString", "valueOf", "hasOwnProperty", "isPrototypeOf", "__defineGetter__",
		"flowchart-elk", "swimlane", "elk", "defaults", "linkStyle2", "hrefs", "_", "__", "k", "F", "md", "fa",
		"icon", "a_b", "a", "b_c", "c", "b", "drawing0", "out", "हिन्दी", "हिंदी", "a/b", "a:b",
	}
	ring := layered.Graph{Nodes: []layered.Node{{ID: "box", Label: "Box", IsPartition: true}}}
	for i, id := range ids {
		ring.Nodes = append(ring.Nodes, layered.Node{ID: id, Label: fmt.Sprint(i), BelongsTo: "box"})
		ring.Edges = append(ring.Edges, layered.Edge{ID: fmt.Sprint(i), Source: id, Target: ids[(i+1)%len(ids)]})
	}
	for i, id := range ids { // also as containers and layers
		ring.Nodes = append(ring.Nodes,
			layered.Node{ID: "in" + id, Label: "in", BelongsTo: "c" + id, Layer: id},
			layered.Node{ID: "c" + id, Label: fmt.Sprint("c", i), IsPartition: true},
		)
		ring.Layers = append(ring.Layers, layered.Layer{ID: id, Background: "eeeeee"})
	}
	// Mermaid calls both of these edges L_a_b_c_0.
	namesakes := layered.Graph{
		Nodes: []layered.Node{{ID: "a", Label: "1"}, {ID: "a_b", Label: "2"}, {ID: "b_c", Label: "3"}, {ID: "c", Label: "4"}},
		Edges: []layered.Edge{
			{ID: "e", Source: "a", Target: "b_c", Label: "1 to 3"}, {ID: "f", Source: "a_b", Target: "c", Label: "2 to 4"},
		},
	}
	// A flow node with children is a container, too, and edges end at the node in it.
	nested := layered.Graph{
		Nodes: []layered.Node{{ID: "p", Label: "1"}, {ID: "q", Label: "2", BelongsTo: "p"}, {ID: "n_p_group", Label: "3"}},
		Edges: []layered.Edge{{ID: "e", Source: "q", Target: "p", Label: "2 to 1"}, {ID: "f", Source: "p", Target: "n_p_group", Label: "1 to 3"}},
	}
	var sketches []sketch
	opt := export.Options{Mermaid: export.MermaidOptions{EdgeLabels: true}}
	for name, g := range map[string]layered.Graph{"ring": ring, "namesakes": namesakes, "nested": nested} {
		sketches = append(sketches, sketch{"ids/" + name, write(t, g, export.Mermaid, opt), func(t *testing.T, d drawing, _ map[string]drawing) {
			labels := map[string]string{}
			for _, n := range d.Nodes {
				labels[n.ID] = n.Text
			}
			var got, want []string
			for _, e := range d.Edges {
				got = append(got, labels[e.From]+" to "+labels[e.To])
				if e.Text != "" && e.Text != labels[e.From]+" to "+labels[e.To] || e.Astray {
					t.Errorf("edge from %s to %s is labelled %q (astray: %t)", labels[e.From], labels[e.To], e.Text, e.Astray)
				}
			}
			label := map[string]string{}
			for _, n := range g.Nodes {
				label[n.ID] = n.Label
			}
			for _, e := range g.Edges {
				want = append(want, label[e.Source]+" to "+label[e.Target])
			}
			slices.Sort(got)
			slices.Sort(want)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("edges (-written +drawn):\n%s", diff)
			}
		}})
	}
	return sketches
}

// classSketches colour one node by a layer of any name: everything looks as it does with a harmless name.
func classSketches(t *testing.T) []sketch {
	const harmless = "harmless"
	var sketches []sketch
	for _, layer := range []string{
		harmless, "node", "label", "cluster", "root", "edgeLabel", "edgeLabels", "edge", "edges", "edgePath", "edgePaths", "marker",
		"flowchart", "flowchart-link", "flowchart-v2", "nodes", "nodeLabel", "labelBkg", "cluster-label", "clusters", "rect", "text",
		"image", "note", "path", "arrow", "arrowheadPath", "icon", "container", "label-container", "basic", "default", "title",
		"flowchartTitleText", "edge-thickness-normal", "section", "section0", "treemapSection", "treemapLeaf", "treemapLabel", "leaf0",
		"item", "app", "App", "external", "_", "1", "a b", "é", "हिन्दी", "layer_app", "classDef", "end", "constructor", "__proto__",
	} {
		for _, f := range []export.Format{export.Mermaid, export.MermaidTreemap} {
			g := layered.Graph{
				Name: "Colours",
				Nodes: []layered.Node{
					{ID: "top", Label: "Top", IsPartition: true},
					{ID: "p", Label: "Plain", BelongsTo: "top", Weight: 1},
					{ID: "a", Label: "Alpha", Layer: layer, BelongsTo: "top", Weight: 1},
				},
				Edges:  []layered.Edge{{ID: "e", Source: "a", Target: "p", Label: "calls"}},
				Layers: []layered.Layer{{ID: layer, Background: "ff0000", Text: "00ff00", Border: "0000ff"}},
			}
			sketches = append(sketches, sketch{
				fmt.Sprintf("%s/layer/%s", f, layer),
				write(t, g, f, export.Options{Mermaid: export.MermaidOptions{EdgeLabels: true}}),
				func(t *testing.T, d drawing, others map[string]drawing) {
					want := others[fmt.Sprintf("%s/layer/%s", f, harmless)]
					if diff := cmp.Diff(want, d); diff != "" || d.Error != "" {
						t.Errorf("(-%s +%s):\n%s", harmless, layer, diff)
					}
					if layer == harmless && !strings.Contains(fmt.Sprint(d.Nodes), "rgb(255, 0, 0)") {
						t.Errorf("a layer does not colour its node: %v", d.Nodes)
					}
				},
			})
		}
	}
	return sketches
}

// limitSketches are just larger than Mermaid draws as it is set up by default, which is where a warning begins.
func limitSketches(t *testing.T) []sketch {
	edges := layered.Graph{Nodes: []layered.Node{{ID: "a", Label: "A"}, {ID: "b", Label: "B"}}}
	for i := range 501 {
		edges.Edges = append(edges.Edges, layered.Edge{ID: fmt.Sprint(i), Source: "a", Target: "b"})
	}
	// text makes a diagram of a length.
	text := func(f export.Format, length int) layered.Graph {
		g := layered.Graph{Name: "front matter does not count", Nodes: []layered.Node{{ID: "a", Label: "A"}}}
		_, rest, _ := strings.Cut(write(t, g, f, export.Options{}), "\n---\n")
		g.Nodes[0].Label = strings.Repeat("A", length-len(rest)+1)
		return g
	}
	const tooLong = "Maximum text size in diagram exceeded"
	var sketches []sketch
	for name, c := range map[string]struct {
		g     layered.Graph
		f     export.Format
		shown string
	}{
		"edges":      {edges, export.Mermaid, "the limit is 500"},
		"characters": {text(export.Mermaid, 50_001), export.Mermaid, tooLong},
		"mind map":   {text(export.MermaidMindmap, 50_001), export.MermaidMindmap, tooLong},
		"treemap":    {text(export.MermaidTreemap, 50_001), export.MermaidTreemap, tooLong},
		"fits":       {text(export.Mermaid, 50_000), export.Mermaid, "AAAAA"},
	} {
		warned := false
		source := write(t, c.g, c.f, export.Options{Warn: func(string) { warned = true }})
		if warned != (name != "fits") {
			t.Errorf("%s: warned is %t", name, warned)
		}
		sketches = append(sketches, sketch{
			"limits/" + name, source, func(t *testing.T, d drawing, _ map[string]drawing) {
				if shown := fmt.Sprint(d); !strings.Contains(shown, c.shown) {
					t.Errorf("%.500s, want %q", shown, c.shown)
				}
			},
		})
	}
	return sketches
}
