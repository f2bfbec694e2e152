package export_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"layercake/internal/export"
	"layercake/internal/export/exporttest"
	"layercake/internal/fault"
	"layercake/internal/golden"
	"layercake/internal/layered"
)

// tiny is the worked example of the documentation.
func tiny() layered.Graph {
	return layered.Graph{
		Name: "Tiny",
		Nodes: []layered.Node{
			{ID: "sys", Label: "System", Layer: "infra", IsPartition: true, Weight: 1},
			{ID: "web", Label: "Web & API", Layer: "app", BelongsTo: "sys", Weight: 1},
			{ID: "db", Label: "Database", Layer: "infra", BelongsTo: "sys", Weight: 1},
			{ID: "job", Label: "Nightly job", Layer: "app", BelongsTo: "sys", Weight: 2, Comment: "runs at 02:00"},
		},
		Edges: []layered.Edge{
			{ID: "e1", Source: "web", Target: "db", Label: "reads", Layer: "app", Weight: 3},
			{ID: "e2", Source: "job", Target: "db", Layer: "infra", Weight: 1},
			{ID: "e3", Source: "web", Target: "job", Label: "starts", Layer: "app", Weight: 1, Comment: "cron"},
		},
		Layers: []layered.Layer{
			{ID: "infra", Label: "Infrastructure", Background: "eeeeee", Border: "999999", Text: "000000"},
			{ID: "app", Label: "Application", Background: "1f6feb", Border: "0d419d", Text: "ffffff"},
		},
	}
}

func write(t *testing.T, g layered.Graph, f export.Format, opt export.Options) string {
	t.Helper()
	var b bytes.Buffer
	if err := export.Write(t.Context(), &b, g, f, opt); err != nil {
		t.Fatalf("%s: %v (%v)", f, err, detail(err))
	}
	return b.String()
}

func detail(err error) any {
	if f := fault.From(err); f != nil {
		return f.Details["detail"]
	}
	return nil
}

func parseAs(t *testing.T, f export.Format, text string) *exporttest.Digest {
	t.Helper()
	parse := map[export.Format]func(string) (*exporttest.Digest, error){
		export.DOT: exporttest.ParseDOT, export.DOTHierarchy: exporttest.ParseDOT,
		export.PlantUML: exporttest.ParsePlantUML, export.Mermaid: exporttest.ParseMermaid,
	}[f]
	d, err := parse(text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return d
}

// plainFormats are all but Custom, which needs a template.
func plainFormats() []export.Format {
	return slices.DeleteFunc(export.Formats(), func(f export.Format) bool { return f == export.Custom })
}

func TestGolden(t *testing.T) {
	t.Parallel()
	everything := export.Options{
		Orientation: export.LeftToRight, Style: export.StyleDark, EdgeWidths: true, UnitNodeWeights: true, Notes: true,
		NotePosition: "left", CSVWeight: true, GMLIntegerIDs: true,
		Graphviz: export.GraphvizOptions{
			Layout: "fdp", Overlap: true, NoSplines: true, NodeSep: 0.5, RankSep: 2, CommentStyle: "tooltip",
		},
		Mermaid: export.MermaidOptions{Look: "handDrawn", Display: "compact", Theme: "forest", EdgeLabels: true},
	}
	flat := export.Options{Flat: true, NoLayers: true, Style: export.StyleNone}
	for _, f := range plainFormats() {
		for name, opt := range map[string]export.Options{"plain": {}, "flat": flat, "everything": everything} {
			t.Run(fmt.Sprintf("%s/%s", f, name), func(t *testing.T) {
				t.Parallel()
				got := write(t, tiny(), f, opt)
				golden.Compare(t, filepath.Join("testdata", fmt.Sprintf("%s-%s.%s", f, name, f.Extension())), got)
			})
		}
	}
}

func TestFormatNames(t *testing.T) {
	t.Parallel()
	for _, f := range export.Formats() {
		if got, err := export.ParseFormat(strings.ToLower(string(f))); err != nil || got != f {
			t.Errorf("ParseFormat(%q) = %q, %v", strings.ToLower(string(f)), got, err)
		}
		if f.Extension() == "" || !strings.Contains(f.MIME(), "/") {
			t.Errorf("%s: extension %q, type %q", f, f.Extension(), f.MIME())
		}
	}
	if f, err := export.ParseFormat("csv"); err != nil || f != export.CSVNodes {
		t.Errorf("csv is %q, %v", f, err)
	}
	if _, err := export.ParseFormat("visio"); !fault.Is(err, fault.BadRequest) {
		t.Errorf("visio: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	twice := tiny()
	twice.Nodes = append(twice.Nodes, layered.Node{ID: "web", BelongsTo: "sys"})
	edgeTwice := tiny()
	edgeTwice.Edges = append(edgeTwice.Edges, layered.Edge{ID: "e1", Source: "db", Target: "web"})
	infinite := tiny()
	infinite.Edges[1].Weight = math.Inf(1)
	wide := layered.Graph{Nodes: make([]layered.Node, 10_001)}
	for i := range wide.Nodes {
		wide.Nodes[i].ID = fmt.Sprint(i)
	}
	deep := chain(1001)
	for name, c := range map[string]struct {
		g      layered.Graph
		format export.Format
		opt    export.Options
		detail string
	}{
		"format":           {tiny(), "XML", export.Options{}, `"XML" is none of`},
		"orientation":      {tiny(), export.DOT, export.Options{Orientation: "up"}, `"up"`},
		"style":            {tiny(), export.DOT, export.Options{Style: `"];`}, `none, light, dark`},
		"layout":           {tiny(), export.DOT, export.Options{Graphviz: export.GraphvizOptions{Layout: "x"}}, `"x"`},
		"separation":       {tiny(), export.DOT, export.Options{Graphviz: export.GraphvizOptions{NodeSep: -1}}, "-1"},
		"theme":            {tiny(), export.Mermaid, export.Options{Mermaid: export.MermaidOptions{Theme: "a\nb"}}, "neutral"},
		"infinite weight":  {infinite, export.JSON, export.Options{}, `edge "e2"`},
		"matrix node":      {twice, export.CSVMatrix, export.Options{}, `"web"`},
		"matrix edge":      {edgeTwice, export.CSVMatrix, export.Options{}, `"e1"`},
		"matrix size":      {wide, export.CSVMatrix, export.Options{}, "10001 flow nodes"},
		"deep mindmap":     {deep, export.MermaidMindmap, export.Options{}, "1000 levels"},
		"deep treemap":     {deep, export.MermaidTreemap, export.Options{}, "1000 levels"},
		"deep WBS":         {deep, export.PlantUMLWBS, export.Options{}, "1000 levels"},
		"template syntax":  {tiny(), export.Custom, template("{{#if x}}"), "line 1"},
		"template partial": {tiny(), export.Custom, template("{{> x}}"), `no partial "x"`},
		"template helper":  {tiny(), export.Custom, template("\n{{x 1}}"), `line 2: there is no helper "x"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := export.Write(t.Context(), &bytes.Buffer{}, c.g, c.format, c.opt)
			if !fault.Is(err, fault.BadRequest) || !strings.Contains(fmt.Sprint(detail(err)), c.detail) {
				t.Errorf("error %v, detail %v, want %q", err, detail(err), c.detail)
			}
		})
	}
}

// chain is a hierarchy of n levels, one node each.
func chain(n int) layered.Graph {
	g := layered.Graph{Nodes: make([]layered.Node, n)}
	for i := range g.Nodes {
		g.Nodes[i] = layered.Node{ID: fmt.Sprintf("n%d", i), Label: "x", IsPartition: i < n-1}
		if i > 0 {
			g.Nodes[i].BelongsTo = fmt.Sprintf("n%d", i-1)
		}
	}
	return g
}

func TestDeepHierarchies(t *testing.T) {
	t.Parallel()
	g := chain(100_000)
	for _, f := range []export.Format{export.DOT, export.DOTHierarchy, export.JSON, export.PlantUML, export.Mermaid, export.GML} {
		t.Run(string(f), func(t *testing.T) {
			t.Parallel()
			if out := write(t, g, f, export.Options{}); !strings.Contains(out, "n99999") {
				t.Error("the deepest node is missing")
			}
		})
	}
}

// A parent cycle is broken up, a missing parent is none, and flow nodes may be roots: every node is drawn exactly once.
func TestOddHierarchies(t *testing.T) {
	t.Parallel()
	g := layered.Graph{Nodes: []layered.Node{
		{ID: "c", Label: "c", IsPartition: true, BelongsTo: "b"},
		{ID: "b", Label: "b", IsPartition: true, BelongsTo: "a"},
		{ID: "a", Label: "a", IsPartition: true, BelongsTo: "c"},
		{ID: "below", Label: "below", BelongsTo: "c"},
		{ID: "self", Label: "self", BelongsTo: "self"},
		{ID: "lost", Label: "lost", BelongsTo: "nowhere"},
		{ID: "alone", Label: "alone"},
		{ID: "empty", Label: "empty", IsPartition: true},
	}}
	want := "a(b(c(below))) alone empty lost self"
	for _, f := range []export.Format{export.DOT, export.PlantUML, export.Mermaid} {
		d := parseAs(t, f, write(t, g, f, export.Options{}))
		boxes := d.Clusters
		for _, n := range d.Nodes {
			boxes = append(boxes, &n)
		}
		slices.SortFunc(boxes, func(a, b *exporttest.Box) int { return strings.Compare(a.ID, b.ID) })
		if got := outline(boxes); got != want {
			t.Errorf("%s: %s, want %s", f, got, want)
		}
	}
	var doc struct {
		Tree []struct{ ID string } `json:"tree"`
	}
	if err := json.Unmarshal([]byte(write(t, g, export.JSON, export.Options{})), &doc); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(doc.Tree); got != "[{a} {alone} {empty} {lost} {self}]" {
		t.Errorf("roots %s", got)
	}
}

func outline(boxes []*exporttest.Box) string {
	var parts []string
	for _, b := range boxes {
		s := b.ID
		if len(b.Children) > 0 {
			s += "(" + outline(b.Children) + ")"
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, " ")
}

// A flow node that has children is both: a container, and a node in it that edges can end at.
func TestFlowNodesWithChildren(t *testing.T) {
	t.Parallel()
	g := layered.Graph{
		Nodes: []layered.Node{{ID: "p", Label: "P"}, {ID: "q", Label: "Q", BelongsTo: "p"}},
		Edges: []layered.Edge{{ID: "e", Source: "q", Target: "p"}},
	}
	for f, want := range map[export.Format]string{
		export.DOT: "p(p q)", export.Mermaid: "n_p_group(p q)", export.PlantUML: "p(q)",
	} {
		d := parseAs(t, f, write(t, g, f, export.Options{}))
		if got := outline(d.Clusters); got != want {
			t.Errorf("%s: %s, want %s", f, got, want)
		}
		if diff := cmp.Diff([]exporttest.Edge{{Source: "q", Target: "p"}}, d.Edges); diff != "" {
			t.Errorf("%s: %s", f, diff)
		}
	}
}

// Ids that a format cannot hold bare are quoted or renamed: different ones stay different, and plain ones keep their names.
func TestIDs(t *testing.T) {
	t.Parallel()
	ids := []string{
		"plain", "a b", "a-b", "a_b", "n_a_b", "end", "graph", "1st", "é", "日本", "語本", `q"`, `x]; y [`, "a\\",
		"a\\\\", "class", "",
	}
	var g layered.Graph
	for i, id := range ids {
		g.Nodes = append(g.Nodes, layered.Node{ID: id, Label: fmt.Sprint(i)})
		g.Edges = append(g.Edges, layered.Edge{ID: fmt.Sprint(i), Source: id, Target: ids[(i+1)%len(ids)]})
	}
	for _, f := range []export.Format{export.DOT, export.PlantUML, export.Mermaid} {
		d := parseAs(t, f, write(t, g, f, export.Options{}))
		labels := map[string]string{}
		for _, n := range d.Clusters {
			labels[n.ID] = n.Label
		}
		for _, n := range d.Nodes {
			labels[n.ID] = n.Label
		}
		if len(labels) != len(ids) {
			t.Errorf("%s: %d distinct ids of %d: %v", f, len(labels), len(ids), labels)
		}
		if labels["plain"] != "0" || labels["a_b"] != "3" || labels["n_a_b"] != "4" {
			t.Errorf("%s: a plain id lost its name: %v", f, labels)
		}
		for _, e := range d.Edges {
			from, err := strconv.Atoi(labels[e.Source])
			to, err2 := strconv.Atoi(labels[e.Target])
			if err != nil || err2 != nil || to != (from+1)%len(ids) {
				t.Errorf("%s: edge from %q to %q", f, labels[e.Source], labels[e.Target])
			}
		}
		if len(d.Edges) != len(ids) {
			t.Errorf("%s: %d edges", f, len(d.Edges))
		}
	}
}

// longStrings are as long as Graphviz reads at once, and longer, with escapes and characters of several bytes at every place where a
// string may be cut.
func longStrings() []string {
	var long []string
	for shift := range 6 {
		long = append(long, strings.Repeat("x", 15_995+shift)+`\"日"&amp;\`+strings.Repeat("\n日本\"", 5_000)+"end")
	}
	return append(long, strings.Repeat("w", 16_383), strings.Repeat("w", 50_000), strings.Repeat(`"`, 20_000), strings.Repeat("\n", 20_000)+"x")
}

func TestDOTTakesLongStrings(t *testing.T) {
	t.Parallel()
	for i, long := range longStrings() {
		g := layered.Graph{
			Name: long,
			Nodes: []layered.Node{
				{ID: "p" + long, Label: long, IsPartition: true},
				{ID: "a" + long, Label: long, BelongsTo: "p" + long, Comment: long},
				{ID: "b", Label: "B"},
			},
			Edges: []layered.Edge{{ID: "e", Source: "a" + long, Target: "b", Label: long}},
		}
		for _, comment := range []string{"label", "tooltip"} {
			opt := export.Options{Notes: true, Graphviz: export.GraphvizOptions{CommentStyle: comment}}
			d := parseAs(t, export.DOT, write(t, g, export.DOT, opt))
			label := long
			if comment == "label" {
				label += "\n" + long
			}
			want := &exporttest.Digest{
				Title: long, Orientation: "TB",
				Clusters: []*exporttest.Box{{ID: "p" + long, Label: long, Children: []*exporttest.Box{{ID: "a" + long, Label: label}}}},
				Nodes:    []exporttest.Box{{ID: "b", Label: "B"}},
				Edges:    []exporttest.Edge{{Source: "a" + long, Target: "b", Label: long}},
			}
			if diff := cmp.Diff(want, d); diff != "" {
				t.Errorf("string %d, comment in %s: %.2000s", i, comment, diff)
			}
		}
	}
}

// PlantUML compares the names of styles without their case and underscores.
func TestPlantUMLStylesAreKeptApart(t *testing.T) {
	t.Parallel()
	layers := []string{"App", "app", "APP", "a_pp", "a pp", "_app_", "layer_app", "layerapp", "1", "é", "è", "infra"}
	var g layered.Graph
	for i, layer := range layers {
		g.Nodes = append(g.Nodes, layered.Node{ID: fmt.Sprintf("n%d", i), Label: layer, Layer: layer})
		g.Layers = append(g.Layers, layered.Layer{ID: layer, Background: fmt.Sprintf("0000%02x", i)})
	}
	g.Nodes = append(g.Nodes, layered.Node{ID: "n", Label: "undeclared", Layer: "aPP"})
	d := parseAs(t, export.PlantUML, write(t, g, export.PlantUML, export.Options{}))
	styles := map[string]string{} // colours by name, as PlantUML sees it
	seen := func(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "")) }
	for _, s := range d.Styles {
		if other, ok := styles[seen(s.Layer)]; ok {
			t.Errorf("style %s takes the place of that with colour %s", s.Layer, other)
		}
		styles[seen(s.Layer)] = s.Background
	}
	for _, n := range d.Clusters {
		want := ""
		if i := slices.Index(layers, n.Label); i >= 0 {
			want = fmt.Sprintf("#0000%02x", i)
		}
		if got := styles[seen(n.Layer)]; got != want {
			t.Errorf("layer %q has colour %q, want %q", n.Label, got, want)
		}
	}
	if !slices.ContainsFunc(d.Styles, func(s exporttest.Style) bool { return s.Layer == "infra" }) {
		t.Error("a plain name is not kept")
	}
}

func TestGMLWithIntegerIDs(t *testing.T) {
	t.Parallel()
	doc, err := exporttest.ParseGML(write(t, tiny(), export.GML, export.Options{GMLIntegerIDs: true}))
	if err != nil {
		t.Fatal(err)
	}
	graph := doc.All("graph")[0]
	var got []string
	for _, n := range graph.All("node") {
		got = append(got, fmt.Sprintf("%v=%v", n.Get("id"), n.Get("name")))
	}
	for _, e := range graph.All("edge") {
		got = append(got, fmt.Sprintf("%v>%v", e.Get("source"), e.Get("target")))
	}
	want := "0=db 1=job 2=sys 3=web 1>0 3>0 3>1 2>3 2>0 2>1"
	if s := strings.Join(got, " "); s != want {
		t.Errorf("%s, want %s", s, want)
	}
}

// Readers that go line by line stumble over line feeds in strings.
func TestGMLWithIntegerIDsHasStringsOfOneLine(t *testing.T) {
	t.Parallel()
	out := write(t, hostileGraph(), export.GML, export.Options{GMLIntegerIDs: true})
	for line := range strings.SplitSeq(out, "\n") {
		if strings.Count(line, `"`)%2 != 0 {
			t.Errorf("a string does not end in its line: %s", line)
		}
	}
}

// Readers take the 1 of 1e-07 for an integer.
func TestGMLNumbers(t *testing.T) {
	t.Parallel()
	for weight, want := range map[float64]string{
		1e-7: "1.0e-07", -1e-7: "-1.0e-07", 1.5e-300: "1.5e-300", 1e21: "1.0e+21", 1e300: "1.0e+300", 0.1: "0.1", 0: "0", 7: "7",
		-2147483647: "-2147483647", 2147483648: "2147483648.0", 1e20: "100000000000000000000.0", 0.000001: "0.000001",
	} {
		for _, opt := range []export.Options{{}, {GMLIntegerIDs: true}} {
			g := layered.Graph{
				Nodes: []layered.Node{{ID: "a", Weight: weight}, {ID: "b", BelongsTo: "a"}},
				Edges: []layered.Edge{{ID: "e", Source: "a", Target: "b", Weight: weight}},
			}
			out := write(t, g, export.GML, opt)
			doc, err := exporttest.ParseGML(out)
			if err != nil {
				t.Fatal(err)
			}
			graph := doc.All("graph")[0]
			for _, element := range []exporttest.GML{graph.All("node")[0], graph.All("edge")[0]} {
				if got := element.Get("weight"); got != weight || !strings.Contains(out, "weight "+want+"\n") {
					t.Errorf("weight %v comes back as %v, want the text %s", weight, got, want)
				}
			}
			if opt.GMLIntegerIDs {
				continue
			}
			source, err := export.BuiltinTemplate("gml")
			if err != nil {
				t.Fatal(err)
			}
			if custom := write(t, g, export.Custom, template(source)); !strings.Contains(custom, "weight "+want+"\n") {
				t.Errorf("the template does not write %s", want)
			}
		}
	}
}

// Readers refuse two edges between the same nodes unless the header says so. Published files, which they cannot read anyway
// because of their ids, stay as they are.
func TestGMLSaysThatEdgesAreParallel(t *testing.T) {
	t.Parallel()
	nodes := []layered.Node{{ID: "a"}, {ID: "b", BelongsTo: "a"}, {ID: "c"}}
	there, back := layered.Edge{ID: "1", Source: "b", Target: "c"}, layered.Edge{ID: "2", Source: "c", Target: "b"}
	again := layered.Edge{ID: "3", Source: "b", Target: "c"}
	asHierarchy := layered.Edge{ID: "4", Source: "a", Target: "b"}
	for _, c := range []struct {
		edges []layered.Edge
		opt   export.Options
		want  any
	}{
		{nil, export.Options{GMLIntegerIDs: true}, nil},
		{[]layered.Edge{there, back}, export.Options{GMLIntegerIDs: true}, nil},
		{[]layered.Edge{there, back, again}, export.Options{GMLIntegerIDs: true}, 1.0},
		{[]layered.Edge{there, asHierarchy}, export.Options{GMLIntegerIDs: true}, 1.0},
		{[]layered.Edge{there, again}, export.Options{}, nil},
	} {
		doc, err := exporttest.ParseGML(write(t, layered.Graph{Nodes: nodes, Edges: c.edges}, export.GML, c.opt))
		if err != nil {
			t.Fatal(err)
		}
		if got := doc.All("graph")[0].Get("multigraph"); got != c.want {
			t.Errorf("%d edges, %+v: multigraph %v, want %v", len(c.edges), c.opt, got, c.want)
		}
	}
}

// hostile are texts that break out where an escape is missing.
func hostile() []string {
	return []string{
		`"`, `""`, `\`, `\"`, `\N\G\l`, `"];`, `"] } digraph x {`, `a"b`, "two\nlines", "\nfirst", "last\n",
		"dos\r\nline", "tab\there",
		"nul\x00bell\x07escape\x1b[31mdel\x7f", "\xff\xfe broken", "c1\u0085\u0090", "\u2028\u2029", "\uFFFE",
		"\u202Eevil\u202C", "\u2066isolate\u2069", "שלום עולם", "مرحبا", "日本語", "😀👩‍👩‍👧", "e\u0301",
		"  blanks  ", " ", "",
		"null", "true", "0", "-1", "=1+1", "+1", "@x", "#1", "#quot;", "#35;", "&amp;", "&lt;", "&#60;", "&",
		"&&", "R&D", "&copy",
		"<b>bold</b>", "<script>alert(1)</script>", "</script>", "<!--", "-->", "]]>", "<U+0041>", "<$sprite>",
		"<&icon>",
		"%getenv(\"HOME\")", "%date()", "!include /etc/passwd", "!$x = 1", "/' comment '/", "' comment", "%% comment",
		"%%{init: {'theme': 'dark'}}%%", "---\ntitle: x\n---", "@enduml", "@startuml\n@enduml", "end",
		"subgraph x", "}", "{", "};", "[[link]]",
		"**bold** //italic// __under__ --strike-- ~~wave~~ \"\"mono\"\"", "* item", "# item", "= heading",
		"|table|", "----", "....", "====",
		"`markdown`", "`", "$$x^2$$", "fa:fa-car", "style a:b#c;", "classDef x:y#z;", "click a href", "a --> b",
		"a -- b", "x|y|z", "a;b", "a,b",
		`{{graph_name}}`, `{{> x}}`, `${x}`, "$x", "%x%", "(paren)", "[bracket]", "<", ">", "'", "''", "a:b",
		":smile:", "<:smile:>", "~", "~~", "//",
		"**", "http://example.org/?a=b&c=d#e", "1. list", "- list", "+ list", strings.Repeat("x", 500),
		"&quot;", "&NewLine;", "\\n", "\\\\n", "C:\\new", "a\\", "\"\n\"", "'/", "/'", "\u00a0", "\u200b", "\ufeff",
		"1. Login", "2) Logout", "10. a\n11. b", "- item", "* x", "# h", "## h2 ##", "+ a", "> quote", "a > b", "__init__", "*a*", "_x_",
		"a_b_c", "_a", "a_", "x __y__ z", "**bold**", "***", "* * *", "- - -", "___", "~~x~~", "~x~", "`code`", "a `b` c", "```\ncode\n```",
		"~~~\ncode", "    indented", "a\n    b", "a\n\nb", "title\n===", "title\n---", "a|b\n-|-\nc|d", "a|b\n:-|:-", "[x]", "[x]: y",
		"[a](b)", "![a](b)", "[a][b]", "- [ ] todo", "\\*", "\\", "a\\b", "say \"hi\"", "it's", "say 'hi' and \"ho\"", "3 < 4", "a<b", "<i>",
		"a & b", "&#35;", "#amp;", "#x;", "a#b;c", "style: a#b c;", "style x:a#1. y;", "classDef a:#1 b;", "#1: x", "<br>", "<br/>", "a<br>b",
		"%%{init}%%", "%%", "a %% b", "{}", "{a}", "(x)", "((x))", "|", "a|b", "http://x.y", "https://x.y/z_a_b?c=d", "ftp://x.y", "www.x.org",
		"a@b.org", "mailto:a@b.org", "@{ shape: x }", "@", "$$x$$", "$x$", "fa:fa-car", "fab:fa-github x", "mdi:home", "end", "graph", "subgraph",
		"click", "default", "style", "class", "title x", "accTitle: x", "mindmap", "root", "::icon(fa fa-book)", ":::x", "हिन्दी", "ไทย", "العربية",
		"👍🏽", "a=b", "a=\"b\"", "<a b=\"c\">", "trailing ", " leading", "---", "--- x", "a -.-> b", "x ==> y", "^a^", "==a==",
		":x:", "a. b", "1.5 m", "v1.2", "1.", "1", "-1", "- ", "*", "_", "~", "a*b", "2 * 3", "a ~ b", "\"", "'", "\"'", "constructor", "__proto__",
	}
}

// Comments are shown wherever a format has room for them, contained or flat.
func TestNotes(t *testing.T) {
	t.Parallel()
	for _, f := range []export.Format{export.DOT, export.PlantUML, export.Mermaid} {
		for _, flat := range []bool{false, true} {
			if out := write(t, tiny(), f, export.Options{Flat: flat, Notes: true}); !strings.Contains(out, "runs at 02:00") {
				t.Errorf("%s, flat %t, lacks the comment:\n%s", f, flat, out)
			}
			if out := write(t, tiny(), f, export.Options{Flat: flat}); strings.Contains(out, "runs at 02:00") {
				t.Errorf("%s, flat %t, has a comment that nobody wants:\n%s", f, flat, out)
			}
		}
	}
}

func TestHostileLabelsInEveryFormat(t *testing.T) {
	t.Parallel()
	g := hostileGraph()
	for _, f := range plainFormats() {
		for _, opt := range []export.Options{
			{},
			{Flat: true, Notes: true, EdgeWidths: true, Mermaid: export.MermaidOptions{EdgeLabels: true}, GMLIntegerIDs: true},
		} {
			out := write(t, g, f, opt)
			switch f {
			case export.DOT, export.DOTHierarchy, export.Mermaid:
				parseAs(t, f, out)
			case export.PlantUML:
				if !opt.Notes {
					parseAs(t, f, out)
				}
			case export.JSON:
				if !json.Valid([]byte(out)) {
					t.Error("JSON is not valid")
				}
			case export.GML:
				if _, err := exporttest.ParseGML(out); err != nil {
					t.Error(err)
				}
			case export.JSGraph:
				if strings.Contains(out, "<") {
					t.Error("the script holds a <")
				}
			case export.CSVNodes, export.CSVEdges, export.CSVMatrix:
				if _, err := csv.NewReader(strings.NewReader(out)).ReadAll(); err != nil {
					t.Errorf("%s: %v", f, err)
				}
			}
			if strings.ContainsFunc(out, isBidi) && !strings.HasPrefix(string(f), "CSV") {
				t.Errorf("%s holds bare bidirectional controls", f)
			}
		}
	}
}

func isBidi(r rune) bool { return r >= 0x202A && r <= 0x202E || r >= 0x2066 && r <= 0x2069 }

// hostileGraph has hostile texts everywhere.
func hostileGraph() layered.Graph {
	texts := hostile()
	g := layered.Graph{Name: strings.Join(texts[:40], " "), Nodes: []layered.Node{{ID: "p", Label: texts[7], IsPartition: true}}}
	for i, s := range texts {
		n := layered.Node{ID: fmt.Sprintf("%d%s", i, s), Label: s, Layer: s, BelongsTo: "p", Comment: s, Weight: 1.5}
		g.Nodes = append(g.Nodes, n)
		g.Edges = append(g.Edges, layered.Edge{
			ID: n.ID, Source: n.ID, Target: g.Nodes[1].ID, Label: s, Layer: s, Comment: s, Weight: float64(i),
		})
		g.Layers = append(g.Layers, layered.Layer{ID: s, Label: s, Background: s, Text: "ffffff", Border: "#0a0B0c"})
	}
	return g
}

func TestBuiltinTemplatesGiveTheBuiltinOutputs(t *testing.T) {
	t.Parallel()
	comments := tiny()
	comments.Edges[2].Comment = `"cron"`
	for _, name := range export.TemplateNames() {
		format, err := export.ParseFormat(name)
		if err != nil {
			t.Fatal(err)
		}
		source, err := export.BuiltinTemplate(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, opt := range []export.Options{{}, {Orientation: export.LeftToRight, Flat: true}} {
			want := write(t, comments, format, opt)
			opt.Template = export.Template{Source: source}
			if diff := cmp.Diff(want, write(t, comments, export.Custom, opt)); diff != "" {
				t.Errorf("%s (-built in +template):\n%s", name, diff)
			}
		}
	}
	if _, err := export.BuiltinTemplate("visio"); !fault.Is(err, fault.BadRequest) {
		t.Errorf("visio: %v", err)
	}
}

func template(source string) export.Options {
	return export.Options{Template: export.Template{Source: source}}
}

func TestCustomData(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"{{graph_name}} {{config.contain_nodes}} {{config.orientation}}":                                                                 "Tiny true TB",
		"{{#each flow_nodes}}{{@index}}{{#if @first}}!{{/if}}:{{label}},{{/each}}":                                                       "0!:Database,1:Nightly job,2:Web &amp; API,",
		"{{#each flow_nodes}}{{{label}}}{{#unless @last}}|{{/unless}}{{/each}}":                                                          "Database|Nightly job|Web & API",
		"{{#each flow_edges}}{{source}}>{{target}}{{#if (exists label)}}={{label}}{{/if}} {{/each}}":                                     "job>db web>db=reads web>job=starts ",
		"{{#each layers}}{{@key}}={{background_color}} {{/each}}":                                                                        "app=1f6feb infra=eeeeee ",
		"{{#each hierarchy_nodes}}{{comment}} {{/each}}":                                                                                 "null runs at 02:00 null null ",
		"{{#each flow_nodes}}{{#if (isnull comment)}}-{{else}}{{comment}}{{/if}}{{/each}}":                                               "-runs at 02:00-",
		"{{#each hierarchy_tree}}{{id}}{{depth}}{{#each children}} {{id}}{{depth}}{{#if (is_empty children)}}.{{/if}}{{/each}}{{/each}}": "sys0 web1. db1. job1.",
		"{{#each hierarchy_edges}}{{id}} {{/each}}":                                                                                      "sys_web sys_db sys_job ",
		"{{#each flow_nodes as |n i|}}{{#with (lookup @root.layers n.layer)}}{{i}}{{label}}{{n.id}} {{/with}}{{/each}}":                  "0Infrastructuredb 1Applicationjob 2Applicationweb ",
		"{{#with layers.app}}{{label}}{{#with ../config}}{{orientation}}{{../../graph_name}}{{/with}}{{/with}}":                          "ApplicationTBTiny",
		"{{#if (stringeq graph_name \"Tiny\")}}yes{{else if config}}no{{/if}}":                                                           "yes",
		"{{#if nothing}}1{{else if config}}2{{else}}3{{/if}}{{^nothing}}4{{/nothing}}{{#nothing}}5{{/nothing}}":                          "24",
		"{{#flow_nodes}}{{id}} {{/flow_nodes}}{{#config}}{{orientation}}{{/config}}":                                                     "db job web TB",
		"{{flow_nodes.length}} {{flow_nodes.[1].id}} {{len layers}} {{#if (gt 2 1)}}ok{{/if}}":                                           "3 job 2 ok",
		"{{flow_nodes.[0].nothing.more}}[{{nothing}}]{{! comment }}{{!-- another }} --}}":                                                "[]",
		"{{{json_text \"a<\\\"\"}}}{{log \"x\"}}":                                                                                        `a\u003c\"`,
	} {
		if got := write(t, tiny(), export.Custom, template(source)); got != want {
			t.Errorf("%s\n gives %q\n want  %q", source, got, want)
		}
	}
}

func TestCustomPartials(t *testing.T) {
	t.Parallel()
	opt := export.Options{Template: export.Template{
		Source: "{{#each hierarchy_tree}}\n{{> node}}\n{{/each}}\n{{> (lookup this \"graph_name\") config mark=\"!\"}}",
		Partials: map[string]string{
			"node": "{{label}}\n{{#each children}}\n  {{> node}}\n{{/each}}\n",
			"Tiny": "{{orientation}}{{mark}}",
		},
	}}
	want := "System\n  Web &amp; API\n  Database\n  Nightly job\nTB!"
	if got := write(t, tiny(), export.Custom, opt); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestHostileTemplates(t *testing.T) {
	t.Parallel()
	big := layered.Graph{Nodes: make([]layered.Node, 10_000)}
	for i := range big.Nodes {
		big.Nodes[i].ID = fmt.Sprint(i)
	}
	loop := strings.Repeat("{{#each @root.flow_nodes}}", 20) + strings.Repeat("{{/each}}", 20)
	section := strings.Repeat("{{#@root.flow_nodes}}", 20) + strings.Repeat("{{/@root.flow_nodes}}", 20)
	bomb := map[string]string{"p20": "x"}
	for i := range 20 {
		bomb[fmt.Sprintf("p%d", i)] = strings.Repeat(fmt.Sprintf("{{> p%d}}", i+1), 20)
	}
	for name, c := range map[string]struct {
		template export.Template
		want     string
	}{
		"endless loop":        {export.Template{Source: loop}, "needs more than 100ms"},
		"endless section":     {export.Template{Source: section}, "needs more than 100ms"},
		"partials like bombs": {export.Template{Source: "{{> p0}}", Partials: bomb}, "more than"},
		"partial calls itself": {
			export.Template{Source: "{{> a}}", Partials: map[string]string{"a": "{{> a}}"}}, "each other more than 500 deep",
		},
		"partial grows": {
			export.Template{Source: "{{> a}}", Partials: map[string]string{"a": "x\n  {{> a}}\n  {{> a}}\n"}}, "more than",
		},
		"much output": {
			export.Template{Source: "{{#each flow_nodes}}" + strings.Repeat("x", 1000) + "{{/each}}"}, "more than 1000000 bytes",
		},
		"long lines through many partials": {
			export.Template{Source: "{{> a}}", Partials: map[string]string{
				"a": strings.Repeat("x\n", 1000) + "  {{> a}}\n",
			}}, "more than",
		},
		"deep blocks":         {export.Template{Source: strings.Repeat("{{#if config}}", 5_000)}, "more than 100 deep"},
		"deep chains":         {export.Template{Source: "{{#if x}}" + strings.Repeat("{{else if x}}", 5_000)}, "more than 100 deep"},
		"deep subexpressions": {export.Template{Source: "{{not " + strings.Repeat("(not ", 5_000)}, "more than 100 deep"},
		"huge source":         {export.Template{Source: strings.Repeat("x", 2<<20)}, "at most"},
		"reads a file":        {export.Template{Source: "{{> /etc/passwd}}"}, "line 1"},
		"reads a named file":  {export.Template{Source: `{{> "../../etc/passwd"}}`}, `no partial "../../etc/passwd"`},
		"calls a method":      {export.Template{Source: "{{flow_nodes.At 1}}"}, `no helper "flow_nodes.At"`},
		"raw block":           {export.Template{Source: "{{{{raw}}}}x{{{{/raw}}}}"}, "not supported"},
		"unclosed":            {export.Template{Source: "{{graph_name"}, "line 1"},
		"wrong close":         {export.Template{Source: "{{#if x}}\n{{/each}}"}, "{{/each}} where {{/if}}"},
		"bad path":            {export.Template{Source: "{{a/../b}}"}, `".." cannot follow`},
		"bad number":          {export.Template{Source: "{{len 1.2.3}}"}, "line 1"},
		"only data":           {export.Template{Source: "{{@}}"}, "line 1"},
		"wrong tree":          {export.Template{Source: "{{dot_render_tree config layers}}"}, "element of hierarchy_tree"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opt := export.Options{
				Template: c.template, Limits: export.Limits{Time: time.Minute, Bytes: 1_000_000},
			}
			switch name {
			case "endless loop", "endless section", "partials like bombs", "partial grows": // by nothing else in time
				opt.Limits.Time = 100 * time.Millisecond
			}
			start := time.Now()
			err := export.Write(t.Context(), &bytes.Buffer{}, big, export.Custom, opt)
			if !fault.Is(err, fault.BadRequest) || !strings.Contains(fmt.Sprint(detail(err)), c.want) {
				t.Errorf("error %v, detail %v, want %q", err, detail(err), c.want)
			}
			if took := time.Since(start); took > time.Minute {
				t.Errorf("took %v", took)
			}
		})
	}
}

func TestTemplatesSeeNothingBesidesTheirData(t *testing.T) {
	t.Parallel()
	source := "{{Len}}{{At}}{{Field}}{{constructor}}{{__proto__}}{{flow_nodes.items}}{{flow_nodes.Len}}{{@nothing}}{{@root.x}}{{../x}}{{../../..}}"
	if got := write(t, tiny(), export.Custom, template(source)); got != "" {
		t.Errorf("%q", got)
	}
}

type failingWriter struct{ left int }

var errDisk = errors.New("disk full")

func (w *failingWriter) Write(b []byte) (int, error) {
	if w.left -= len(b); w.left < 0 {
		return 0, errDisk
	}
	return len(b), nil
}

func TestWriteErrorsComeBack(t *testing.T) {
	t.Parallel()
	source, err := export.BuiltinTemplate("dot")
	if err != nil {
		t.Fatal(err)
	}
	large, small := generated(5_000, 5_000), generated(500, 500) // a matrix is quadratic
	for _, f := range export.Formats() {
		g := large
		if f == export.CSVMatrix {
			g = small
		}
		for _, left := range []int{0, 66_000} {
			err := export.Write(t.Context(), &failingWriter{left}, g, f, template(source))
			if !errors.Is(err, errDisk) {
				t.Errorf("%s: %v", f, err)
			}
		}
	}
}

func TestWriteEndsWithItsContext(t *testing.T) {
	t.Parallel()
	gone := errors.New("caller is gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(gone)
	for _, f := range export.Formats() {
		if err := export.Write(ctx, &bytes.Buffer{}, tiny(), f, template("{{graph_name}}")); !errors.Is(err, gone) {
			t.Errorf("%s: %v", f, err)
		}
	}
}

func TestEmptyGraphs(t *testing.T) {
	t.Parallel()
	for _, f := range plainFormats() {
		out := write(t, layered.Graph{}, f, export.Options{})
		if out == "" {
			t.Errorf("%s: nothing", f)
		}
		switch f {
		case export.DOT, export.DOTHierarchy, export.PlantUML, export.Mermaid:
			parseAs(t, f, out)
		case export.JSON:
			if !json.Valid([]byte(out)) {
				t.Errorf("not valid: %s", out)
			}
		}
	}
}

// generated is a large graph: ten partitions below a root for every hundred nodes.
func generated(nodes, edges int) layered.Graph {
	g := layered.Graph{Name: "Generated", Layers: []layered.Layer{
		{ID: "root", Label: "Root", Background: "222222", Text: "ffffff", Border: "dddddd"},
		{ID: "a", Label: "A", Background: "1f6feb", Text: "ffffff", Border: "0d419d"},
		{ID: "b", Label: "B", Background: "eeeeee", Text: "000000", Border: "999999"},
	}}
	g.Nodes = append(g.Nodes, layered.Node{ID: "root", Label: "Root", Layer: "root", IsPartition: true, Weight: 1})
	var flow []string
	for i := 1; i < nodes; i++ {
		n := layered.Node{ID: fmt.Sprintf("n%d", i), Label: fmt.Sprintf("Node %d", i), Layer: "a", BelongsTo: "root", Weight: 1}
		if i%10 == 1 {
			n.IsPartition = true
		} else {
			n.Layer, n.BelongsTo = "b", fmt.Sprintf("n%d", i-(i-1)%10)
			flow = append(flow, n.ID)
		}
		g.Nodes = append(g.Nodes, n)
	}
	for i := range edges {
		g.Edges = append(g.Edges, layered.Edge{
			ID: fmt.Sprintf("e%d", i), Source: flow[i*7%len(flow)], Target: flow[(i*13+5)%len(flow)], Label: "calls", Layer: "a",
			Weight: float64(i%5 + 1),
		})
	}
	return g
}

func BenchmarkWrite(b *testing.B) {
	source, err := export.BuiltinTemplate("gml")
	if err != nil {
		b.Fatal(err)
	}
	g := generated(100_000, 300_000)
	small := generated(2_000, 6_000) // a matrix is quadratic
	for _, f := range export.Formats() {
		b.Run(string(f), func(b *testing.B) {
			g := g
			if f == export.CSVMatrix {
				g = small
			}
			opt := template(source)
			opt.Limits.Time = time.Hour // a busy machine is no failure
			b.ReportAllocs()
			size := &counter{}
			for b.Loop() {
				size.n = 0
				if err := export.Write(b.Context(), size, g, f, opt); err != nil {
					b.Fatal(err, detail(err))
				}
			}
			b.SetBytes(size.n)
			b.ReportMetric(float64(len(g.Nodes)*b.N)/b.Elapsed().Seconds(), "nodes/s")
		})
	}
}

// BenchmarkWriteLarge is the size whose speed is promised: 250,000 nodes a second of CSVNodes, 150,000 of DOT and GML, 80,000 of JSON.
func BenchmarkWriteLarge(b *testing.B) {
	g := generated(1_000_000, 1_000_000)
	for _, f := range []export.Format{export.CSVNodes, export.CSVEdges, export.DOT, export.GML, export.JSON} {
		b.Run(string(f), func(b *testing.B) {
			b.ReportAllocs()
			size := &counter{}
			for b.Loop() {
				size.n = 0
				if err := export.Write(b.Context(), size, g, f, export.Options{}); err != nil {
					b.Fatal(err, detail(err))
				}
			}
			b.SetBytes(size.n)
			b.ReportMetric(float64(len(g.Nodes)*b.N)/b.Elapsed().Seconds(), "nodes/s")
		})
	}
}

// TestWritersStream: no writer passes on the whole text, or a large part of it, at once.
func TestWritersStream(t *testing.T) {
	t.Parallel()
	g := generated(20_000, 20_000)
	for _, f := range export.Formats() {
		opt := template("{{#each flow_nodes}}{{id}} {{label}} {{layer}} and so on for every node there is\n{{/each}}")
		opt.Limits.Time = time.Hour
		g := g
		if f == export.CSVMatrix {
			g = generated(1_000, 1_000)
		}
		w := &largestWrite{}
		if err := export.Write(t.Context(), w, g, f, opt); err != nil {
			t.Fatalf("%s: %v %s", f, err, detail(err))
		}
		if w.total < 250_000 || w.largest > 128<<10 {
			t.Errorf("%s: %d bytes, up to %d at once", f, w.total, w.largest)
		}
	}
}

type largestWrite struct{ total, largest int }

func (w *largestWrite) Write(b []byte) (int, error) {
	w.total, w.largest = w.total+len(b), max(w.largest, len(b))
	return len(b), nil
}

type counter struct{ n int64 }

func (c *counter) Write(b []byte) (int, error) {
	c.n += int64(len(b))
	return len(b), nil
}

// Spreadsheets run what looks like a formula. Whoever asks for it gets texts that none takes for one.
func TestFormulasInCSV(t *testing.T) {
	t.Parallel()
	labels := []string{"=1+1", "+1", "-1", "@x", "\tx", "\rx", "x=1", "", "'=1"}
	g := layered.Graph{Layers: []layered.Layer{{ID: "l"}}}
	for i, label := range labels {
		g.Nodes = append(g.Nodes, layered.Node{ID: fmt.Sprint("n", i), Label: label, Layer: "l", Comment: "=c", Weight: -1})
	}
	g.Edges = []layered.Edge{{ID: "e", Source: "n0", Target: "n1", Label: "=e", Layer: "l", Weight: -2}}
	guarded := []string{"'=1+1", "'+1", "'-1", "'@x", "'\tx", "'\rx", "x=1", "", "'=1"}
	for format, cells := range map[export.Format][2][]string{
		export.CSVNodes:  {append([]string{"=c", "-1"}, labels...), append([]string{"'=c", "-1"}, guarded...)},
		export.CSVEdges:  {{"=e", "-2"}, {"'=e", "-2"}},
		export.CSVMatrix: {append([]string{"-2"}, labels...), append([]string{"-2"}, guarded...)},
	} {
		for i, guard := range []bool{false, true} {
			text := write(t, g, format, export.Options{CSVWeight: true, CSVGuardFormulas: guard})
			reader := csv.NewReader(strings.NewReader(text))
			reader.FieldsPerRecord = -1
			rows, err := reader.ReadAll()
			if err != nil {
				t.Fatal(err)
			}
			all := slices.Concat(rows...)
			for _, cell := range cells[i] {
				if !slices.Contains(all, cell) {
					t.Errorf("%s, guarded: %t: no cell is %q in %q", format, guard, cell, all)
				}
			}
		}
	}
}
