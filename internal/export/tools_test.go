package export_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"layercake/internal/export"
	"layercake/internal/layered"
)

// tool finds a program that reads our outputs. Tests are skipped without it, but not in CI.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		absent(t, name+" is not installed")
	}
	return path
}

func absent(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// optionSets are options that change what is written.
func optionSets() []export.Options {
	return []export.Options{
		{},
		{Flat: true, Orientation: export.LeftToRight, Notes: true},
		{
			Style: export.StyleDark, Notes: true, EdgeWidths: true,
			Mermaid:  export.MermaidOptions{EdgeLabels: true, Look: "handDrawn", Theme: "forest"},
			Graphviz: export.GraphvizOptions{CommentStyle: "tooltip", NoSplines: true},
		},
		{Style: export.StyleNone, NoLayers: true},
	}
}

// labelGraph has one flow node per text, called n0, n1, and so on.
func labelGraph(texts []string) layered.Graph {
	g := layered.Graph{Name: "labels", Nodes: []layered.Node{{ID: "p", Label: "all", IsPartition: true}}}
	for i, s := range texts {
		g.Nodes = append(g.Nodes, layered.Node{ID: fmt.Sprintf("n%d", i), Label: s, BelongsTo: "p"})
	}
	return g
}

// drawable are the hostile texts as a picture can show them: that is what Write's documentation promises.
func drawable() (texts, shown []string) {
	controls := regexp.MustCompile("[\x00-\x09\x0b-\x1f\x7f-\u009f\u2028\u2029\uFFFE]")
	for _, s := range hostile() {
		if strings.TrimSpace(s) == "" || controls.MatchString(strings.ReplaceAll(s, "\r\n", "")) || strings.Contains(s, "\xff") {
			continue
		}
		texts = append(texts, s)
		shown = append(shown, strings.ReplaceAll(s, "\r\n", "\n"))
	}
	return texts, shown
}

// texts are the text elements of an SVG, and comments left out.
func svgTexts(t *testing.T, svg []byte) []string {
	t.Helper()
	var texts []string
	inText := false
	d := xml.NewDecoder(bytes.NewReader(svg))
	d.Strict = true
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return texts
		}
		if err != nil {
			t.Fatalf("SVG: %v", err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			if inText = e.Name.Local == "text"; inText {
				texts = append(texts, "")
			}
		case xml.CharData:
			if inText {
				texts[len(texts)-1] += string(e)
			}
		case xml.EndElement:
			inText = false
		}
	}
}

// shows checks that every line of every label is among the drawn texts.
func shows(t *testing.T, drawn, labels []string) {
	t.Helper()
	have := map[string]bool{}
	squash := func(s string) string { return strings.Join(strings.Fields(s), " ") } // tools differ in blanks
	for _, s := range drawn {
		have[squash(s)] = true
	}
	for _, label := range labels {
		for line := range strings.SplitSeq(label, "\n") {
			if s := squash(line); s != "" && !have[s] {
				t.Errorf("%q is not drawn", s)
			}
		}
	}
}

func TestGraphvizDrawsEveryDOT(t *testing.T) {
	t.Parallel()
	dot := tool(t, "dot")
	draw := func(source string) []byte {
		cmd := exec.CommandContext(t.Context(), dot, "-Tsvg")
		cmd.Stdin = strings.NewReader(source)
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err := cmd.Run(); err != nil || stderr.Len() > 0 {
			t.Errorf("dot: %v: %s", err, stderr.String())
		}
		return stdout.Bytes()
	}
	for _, f := range []export.Format{export.DOT, export.DOTHierarchy} {
		for _, opt := range optionSets() {
			shows(t, svgTexts(t, draw(write(t, tiny(), f, opt))), []string{"Tiny", "Web & API", "Database", "Nightly job"})
			svgTexts(t, draw(write(t, hostileGraph(), f, opt)))
		}
		texts, shown := drawable()
		shows(t, svgTexts(t, draw(write(t, labelGraph(texts), f, export.Options{}))), shown)

		// A layer takes nothing from the one before it.
		svg := string(draw(write(t, layered.Graph{
			Layers: []layered.Layer{
				{ID: "all", Background: "ff0000", Border: "00ff00", Text: "0000ff"}, {ID: "none", Text: "red"}, {ID: "short", Background: "0f8", Text: "8f00"},
			},
			Nodes: []layered.Node{
				{ID: "p", Label: "p", IsPartition: true},
				{ID: "a", Label: "a", Layer: "all", BelongsTo: "p"},
				{ID: "n", Label: "n", Layer: "none", BelongsTo: "p"},
				{ID: "s", Label: "s", Layer: "short", BelongsTo: "p"},
			},
		}, f, export.Options{})))
		for _, color := range []string{"#ff0000", "#0000ff", "lightgrey", "#00ff88"} {
			if strings.Count(svg, `fill="`+color+`"`) != 1 {
				t.Errorf("%s: %s is not once in %s", f, color, svg)
			}
		}
	}
	// Graphviz has no room for very wide nodes, so the lines are short.
	var lines strings.Builder
	for i := range 700 {
		fmt.Fprintf(&lines, "step %d: scan \"orders\" by customer & day\n", i)
	}
	g := labelGraph([]string{lines.String()})
	g.Nodes = append(g.Nodes, layered.Node{ID: "id " + lines.String(), Label: "long id", BelongsTo: "p"})
	g.Edges = append(g.Edges, layered.Edge{ID: "e", Source: "n0", Target: "id " + lines.String()})
	shows(t, svgTexts(t, draw(write(t, g, export.DOT, export.Options{}))), []string{lines.String(), "long id"})
}

// The Java machine is slow to start: one run draws everything.
func TestPlantUMLDrawsEveryOutput(t *testing.T) {
	t.Parallel()
	plantuml := tool(t, "plantuml")
	dot := tool(t, "dot") // which PlantUML calls
	dir := t.TempDir()
	args := []string{"-tsvg", "-charset", "UTF-8", "-graphvizdot", dot}
	texts, shown := drawable()
	for _, f := range []export.Format{export.PlantUML, export.PlantUMLMindmap, export.PlantUMLWBS} {
		for i, opt := range optionSets() {
			for name, g := range map[string]layered.Graph{"tiny": tiny(), "hostile": hostileGraph(), "labels": labelGraph(texts)} {
				file := filepath.Join(dir, fmt.Sprintf("%s-%d-%s.puml", f, i, name))
				if i > 0 && name == "labels" {
					continue
				}
				if err := os.WriteFile(file, []byte(write(t, g, f, opt)), 0o600); err != nil {
					t.Fatal(err)
				}
				args = append(args, file)
			}
		}
	}
	out, err := exec.CommandContext(t.Context(), plantuml, args...).CombinedOutput()
	if err != nil || bytes.Contains(out, []byte("rror")) {
		t.Errorf("plantuml: %v: %s", err, out)
	}
	pictures, err := filepath.Glob(filepath.Join(dir, "*-labels.svg"))
	if err != nil || len(pictures) != 3 {
		t.Fatalf("pictures: %v %v", pictures, err)
	}
	for _, picture := range pictures {
		svg, err := os.ReadFile(picture)
		if err != nil {
			t.Fatal(err)
		}
		shows(t, svgTexts(t, svg), shown)
	}
}
