package export

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"html"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"layercake/internal/export/exporttest"
	"layercake/internal/export/handlebars"
	"layercake/internal/fault"
	"layercake/internal/layered"
)

// A graph in which everything is called text, and what it looks like in every format.
func textGraph(text string) layered.Graph {
	return layered.Graph{
		Name: text,
		Nodes: []layered.Node{
			{ID: "p", Label: text, Layer: text, IsPartition: true, Comment: text},
			{ID: "a" + text, Label: text, Layer: text, BelongsTo: "p", Comment: text, Weight: 1},
			{ID: "b", Label: "other", BelongsTo: "p"},
		},
		Edges: []layered.Edge{
			{ID: text, Source: "a" + text, Target: "b", Label: text, Layer: text, Comment: text},
		},
		Layers: []layered.Layer{{ID: text, Label: text, Background: text, Text: text, Border: text}},
	}
}

func seeds(f *testing.F) {
	for _, s := range []string{
		"plain", `"`, `\`, `\\`, `"];`, "a\nb", "\n", "\r\n", "\x00", "\xff", "\u202e", "&amp;", "&", "#35;",
		"%%{init}%%", "</script>", "<U+0041>",
		"`x`", "$$", "fa:fa-x", "\\n", "null", "", " ", "*", "**", "--", "__", "//", "{{x}}", "\u2028", "日本",
		"😀", "}", "end", "'/", "/'", ",", `""`,
		"---", "a;b", "|", "@enduml", "\x7f", "\ufffe", "\ufeff", "&#8238;", "a\\\"b",
	} {
		f.Add(s)
	}
}

func render(t *testing.T, g layered.Graph, f Format, opt Options) string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(t.Context(), &b, g, f, opt); err != nil {
		t.Fatalf("%s: %v", f, err)
	}
	return b.String()
}

func same(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %q came back as %q", what, want, got)
	}
}

func drawn(text string) string {
	if visible(text) == "" {
		return " " // empty boxes confuse the tools
	}
	return visible(text)
}

func FuzzDOT(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, text string) {
		d, err := exporttest.ParseDOT(render(t, textGraph(text), DOT, Options{}))
		if err != nil {
			t.Fatal(err)
		}
		want := visible(text)
		same(t, "title", d.Title, want)
		same(t, "cluster", d.Clusters[0].Label, want)
		same(t, "label", d.Clusters[0].Children[0].Label, want)
		same(t, "id", d.Clusters[0].Children[0].ID, visible("a"+text))
		same(t, "edge id", d.Edges[0].Source, visible("a"+text))
		if present(text) {
			same(t, "edge", d.Edges[0].Label, want)
		}
	})
}

// sameText fails unless a diagram of textGraph shows the text everywhere.
func sameText(t *testing.T, d *exporttest.Digest, text string) {
	t.Helper()
	same(t, "title", d.Title, visible(text))
	same(t, "group", d.Clusters[0].Label, drawn(text))
	same(t, "label", d.Clusters[0].Children[0].Label, drawn(text))
	same(t, "end", d.Edges[0].Source, d.Clusters[0].Children[0].ID)
	if present(text) {
		same(t, "edge", d.Edges[0].Label, visible(text))
	}
}

func FuzzMermaid(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, text string) {
		opt := Options{Mermaid: MermaidOptions{EdgeLabels: true}}
		d, err := exporttest.ParseMermaid(render(t, textGraph(text), Mermaid, opt))
		if err != nil {
			t.Fatal(err)
		}
		sameText(t, d, text)
	})
}

func FuzzPlantUML(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, text string) {
		d, err := exporttest.ParsePlantUML(render(t, textGraph(text), PlantUML, Options{}))
		if err != nil {
			t.Fatal(err)
		}
		sameText(t, d, text)
	})
}

func FuzzGML(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, text string) {
		for _, opt := range []Options{{}, {GMLIntegerIDs: true}} {
			doc, err := exporttest.ParseGML(render(t, textGraph(text), GML, opt))
			if err != nil {
				t.Fatal(err)
			}
			want := valid(text)
			node := doc.All("graph")[0].All("node")[0]
			same(t, "label", node.Get("label").(string), want)
			if present(text) {
				same(t, "comment", node.Get("comment").(string), want)
				same(t, "layer", node.Get("layer").(string), want)
			}
			if opt.GMLIntegerIDs {
				same(t, "name", node.Get("name").(string), valid("a"+text))
			}
		}
	})
}

// valid replaces every broken byte, as decoders of single runes do.
func valid(s string) string { return string([]rune(s)) }

func FuzzJSON(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, text string) {
		type element struct{ ID, Label, Layer, Source string }
		var doc struct {
			FlowNodes []element          `json:"flow_nodes"`
			FlowEdges []element          `json:"flow_edges"`
			Layers    map[string]element `json:"layers"`
		}
		if err := json.Unmarshal([]byte(render(t, textGraph(text), JSON, Options{})), &doc); err != nil {
			t.Fatal(err)
		}
		want := valid(text)
		same(t, "label", doc.FlowNodes[0].Label, want)
		same(t, "id", doc.FlowNodes[0].ID, valid("a"+text))
		same(t, "edge", doc.FlowEdges[0].Label, want)
		same(t, "layer", doc.Layers[want].Label, want)

		script := render(t, textGraph(text), JSGraph, Options{})
		if strings.Contains(script, "<") || strings.Contains(script, "\u2028") {
			t.Error("the script could end early")
		}
		data, config, ok := strings.Cut(strings.TrimPrefix(script, "window.graphData = "), ";\nwindow.graphConfig = ")
		if !ok {
			t.Fatal("not two assignments")
		}
		var links struct{ Links []struct{ Name string } }
		if err := json.Unmarshal([]byte(data), &links); err != nil {
			t.Fatal(err)
		}
		same(t, "link", links.Links[0].Name, want)
		var name struct{ Name string }
		if err := json.Unmarshal([]byte(strings.TrimSuffix(config, ";\n")), &name); err != nil {
			t.Fatal(err)
		}
		same(t, "name", name.Name, want)
	})
}

func FuzzCSV(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, text string) {
		// encoding/csv reads CR LF inside of quotes as LF.
		want := strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\r\n", "\n")
		for _, c := range []struct {
			format      Format
			row, column int
		}{{CSVNodes, 1, 1}, {CSVEdges, 1, 3}, {CSVMatrix, 2, 1}} {
			r := csv.NewReader(strings.NewReader(render(t, textGraph(text), c.format, Options{CSVWeight: true})))
			rows, err := r.ReadAll()
			if err != nil {
				t.Fatalf("%s: %v", c.format, err)
			}
			same(t, string(c.format), rows[c.row][c.column], want)
		}
	})
}

// outlineLine is a node of a mind map, or of a treemap, whose labels may stand between single quotes.
var outlineLine = regexp.MustCompile(`(?m)^ *(n\d\["[^"]*"\]|("[^"]*"|'[^'\n]*')(: [0-9.]+)?)$`)

// Outlines have one line per node, whatever the labels are.
func FuzzOutlines(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, text string) {
		for _, format := range []Format{PlantUMLMindmap, PlantUMLWBS} {
			lines := strings.Split(render(t, textGraph(text), format, Options{}), "\n")
			stars := 0
			for _, line := range lines {
				if strings.HasPrefix(line, "*") {
					stars++
				}
			}
			want := 6 // @start, three nodes, @end, nothing
			if format == PlantUMLMindmap && visible(text) != "" {
				want++ // title
			}
			if stars != 3 || len(lines) != want {
				t.Errorf("%s: %d stars in %d lines", format, stars, len(lines))
			}
		}
		for _, format := range []Format{MermaidMindmap, MermaidTreemap} {
			out := render(t, textGraph(text), format, Options{NoLayers: true})
			if _, body, ok := strings.Cut(out, "\n---\n"); ok {
				out = body
			}
			if n := len(outlineLine.FindAllString(out, -1)); n != 3 {
				t.Errorf("%s: %d nodes: %s", format, n, out)
			}
		}
	})
}

// A template renders within its limits or is refused; it never panics, and plain text stays as it is.
func FuzzTemplate(f *testing.F) {
	for _, name := range TemplateNames() {
		text, err := BuiltinTemplate(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	for _, s := range []string{
		"{{#each flow_nodes}}{{id}}{{/each}}", "{{> p}}", "{{#if (and a b)}}{{else if c}}{{/if}}", "{{{x}}}",
		"{{&x}}", "{{~x~}}", "{{@root.x}}",
		"{{../x}}", "{{[a b].c}}", "{{!-- x --}}", "{{^x}}{{/x}}", "{{#x as |a b|}}{{/x}}",
		"{{> (lookup . \"x\") a=1}}", "{{x y=z}}", "{{@}}", "{{",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, source string) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		var b bytes.Buffer
		opt := Options{
			Template: Template{Source: source, Partials: map[string]string{"p": source}},
			Limits:   Limits{Time: 100 * time.Millisecond, Bytes: 1 << 16},
		}
		err := Write(ctx, &b, textGraph(`<"x">`), Custom, opt)
		switch {
		case err != nil && !fault.Is(err, fault.BadRequest):
			t.Errorf("%v", err)
		case err == nil && !strings.Contains(source, "{{") && !strings.Contains(source, `\`) && b.String() != source:
			t.Errorf("%q became %q", source, b.String())
		case b.Len() > 1<<16:
			t.Errorf("%d bytes", b.Len())
		}
	})
}

// What a template prints between double braces is escaped for HTML.
func FuzzTemplateEscape(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, text string) {
		tpl, err := handlebars.Parse("{{x}}", nil)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		limits := handlebars.Limits{Time: time.Minute, Bytes: 1 << 30}
		if err := tpl.Render(t.Context(), &b, handlebars.Map{"x": text}, nil, limits); err != nil {
			t.Fatal(err)
		}
		if strings.ContainsAny(b.String(), "<>\"'`=") {
			t.Errorf("bare %q", b.String())
		}
		if utf8.ValidString(text) {
			same(t, "text", html.UnescapeString(b.String()), text)
		}
	})
}
