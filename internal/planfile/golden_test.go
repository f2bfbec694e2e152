package planfile_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"layercake/internal/export/exporttest"
	"layercake/internal/planfile"
)

// sharedData finds a folder of published data sets, which lies beside the repository where there is one.
func sharedData(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the working directory")
		}
		dir = filepath.Dir(dir)
	}
	data := filepath.Join(dir, "..", "shared", "data")
	if _, err := os.Stat(data); err != nil {
		t.Skip("no shared data sets beside the repository")
	}
	return data
}

// runPlan runs the plan of a data set and returns the folder of its outputs.
func runPlan(t *testing.T, plan string) string {
	t.Helper()
	dir := t.TempDir()
	if err := planfile.Run(t.Context(), plan, planfile.Options{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "out")
}

func TestTinyGivesThePublishedOutputs(t *testing.T) {
	t.Parallel()
	set := filepath.Join("testdata", "tiny")
	out := runPlan(t, filepath.Join(set, "plan.yaml"))
	if n := comparePublished(t, set, out); n != 13 {
		t.Errorf("compared %d outputs, want all 13", n)
	}
}

// Every set that has published outputs is compared, so that a new one is not missed. Totals of transforms and imports of the server,
// which lie there too, are compared in packages layered and ingest, by the same kind of search.
func TestSharedSetsGiveThePublishedOutputs(t *testing.T) {
	t.Parallel()
	expected, err := filepath.Glob(filepath.Join(sharedData(t), "*", "expected"))
	if err != nil || len(expected) < 4 {
		t.Fatalf("%d sets, %v", len(expected), err)
	}
	least := map[string]int{"tiny": 13, "ref": 16}
	for _, dir := range expected {
		set := filepath.Dir(dir)
		t.Run(filepath.Base(set), func(t *testing.T) {
			t.Parallel()
			n := comparePublished(t, set, runPlan(t, filepath.Join(set, "plan.yaml")))
			if n < least[filepath.Base(set)] {
				t.Errorf("compared %d outputs, want %d", n, least[filepath.Base(set)])
			}
		})
	}
}

// The later revision adds a key to the JSON and layers to the palette; all else is the same.
func TestRefGivesWhatTheLaterRevisionPublished(t *testing.T) {
	t.Parallel()
	data := sharedData(t)
	out := runPlan(t, filepath.Join(data, "ref", "plan.yaml"))
	var got, want map[string]any
	for name, into := range map[string]*map[string]any{
		filepath.Join(out, "ref-model-depth.json"):                                    &got,
		filepath.Join(data, "later-revision", "ref-expected", "ref-model-depth.json"): &want,
	} {
		if err := json.Unmarshal([]byte(read(t, name)), into); err != nil {
			t.Fatal(err)
		}
	}
	delete(want, "hierarchy_tree_edges")
	delete(want["layers"].(map[string]any), "connection")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-published +written:\n%s", diff)
	}
}

func TestEveryPublishedPlanRuns(t *testing.T) {
	t.Parallel()
	data := sharedData(t)
	plans, err := filepath.Glob(filepath.Join(data, "*", "plan.yaml"))
	if err != nil || len(plans) < 6 {
		t.Fatalf("%d plans, %v", len(plans), err)
	}
	for _, plan := range plans {
		t.Run(filepath.Base(filepath.Dir(plan)), func(t *testing.T) {
			t.Parallel()
			written, err := os.ReadDir(runPlan(t, plan))
			if err != nil || len(written) == 0 {
				t.Fatalf("%d outputs, %v", len(written), err)
			}
		})
	}
}

// comparePublished compares every expected file of a data set with the output of its name, and returns their number.
func comparePublished(t *testing.T, set, out string) int {
	t.Helper()
	n := 0
	for _, pattern := range []string{"*", "semantic/*"} {
		expected, err := filepath.Glob(filepath.Join(set, "expected", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range expected {
			name := filepath.Base(want)
			if name == "semantic" || name == "transform-stats.json" || strings.HasPrefix(name, "import-") {
				continue
			}
			n++
			if digest, ok := strings.CutSuffix(name, ".semantic.json"); ok {
				compareDigest(t, want, filepath.Join(out, digest))
				continue
			}
			if diff := cmp.Diff(published(t, want), read(t, filepath.Join(out, name))); diff != "" {
				t.Errorf("%s (-published +written):\n%s", name, diff)
			}
		}
	}
	return n
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// published reads an expected file. Its GML has quotes inside of strings, which no reader accepts: ours are escaped.
func published(t *testing.T, name string) string {
	t.Helper()
	text := read(t, name)
	if filepath.Ext(name) != ".gml" {
		return text
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if key, value, ok := strings.Cut(line, ` ""`); ok {
			lines[i] = key + ` "&quot;` + strings.TrimSuffix(value, `""`) + `&quot;"`
		}
	}
	return strings.Join(lines, "\n")
}

// digest is the form of the published *.semantic.json files.
type digest struct {
	Title       string `json:"title"`
	Orientation string `json:"orientation"`
	Format      string `json:"format"`
	LayerStyles []struct {
		Layer, Background, Text, Border string
		Members                         []string
	} `json:"layer_styles"`
	Clusters []*box `json:"clusters"`
	Nodes    []*box `json:"nodes"`
	Edges    []struct{ Source, Target, Label string }
}

type box struct {
	ID, Label, Layer string
	Children         []*box
}

func compareDigest(t *testing.T, want, output string) {
	t.Helper()
	var d digest
	if err := json.Unmarshal([]byte(read(t, want)), &d); err != nil {
		t.Fatal(err)
	}
	parse := map[string]func(string) (*exporttest.Digest, error){
		"DOT": exporttest.ParseDOT, "DOTHierarchy": exporttest.ParseDOT,
		"PlantUML": exporttest.ParsePlantUML, "Mermaid": exporttest.ParseMermaid,
	}[d.Format]
	got, err := parse(read(t, output))
	if err != nil {
		t.Fatalf("%s: %v", output, err)
	}
	if diff := cmp.Diff(d.facts(), got); diff != "" {
		t.Errorf("%s (-published +written):\n%s", filepath.Base(output), diff)
	}
}

// facts says what a published digest says in the words of what was read back from the output: PlantUML names the layers of
// nodes, DOT the colours of clusters, Mermaid neither.
func (d digest) facts() *exporttest.Digest {
	facts := &exporttest.Digest{Title: d.Title, Orientation: d.Orientation}
	styles := map[string]exporttest.Style{}
	for _, s := range d.LayerStyles {
		style := exporttest.Style{Layer: s.Layer, Background: s.Background, Text: s.Text, Border: s.Border}
		styles[s.Layer] = style
		if strings.HasPrefix(d.Format, "DOT") {
			style.Layer = ""
			style.Members = append(style.Members, s.Members...)
		}
		facts.Styles = append(facts.Styles, style)
	}
	var convert func(b *box) *exporttest.Box
	convert = func(b *box) *exporttest.Box {
		c := &exporttest.Box{ID: b.ID, Label: b.Label}
		switch {
		case d.Format == "PlantUML":
			c.Layer = b.Layer
		case d.Format == "DOT" && len(b.Children) > 0:
			s := styles[b.Layer]
			c.Background, c.Text, c.Border = s.Background, s.Text, s.Border
		}
		for _, child := range b.Children {
			c.Children = append(c.Children, convert(child))
		}
		return c
	}
	for _, c := range d.Clusters {
		facts.Clusters = append(facts.Clusters, convert(c))
	}
	for _, n := range d.Nodes {
		facts.Nodes = append(facts.Nodes, exporttest.Box{ID: n.ID, Label: n.Label})
	}
	for _, e := range d.Edges {
		facts.Edges = append(facts.Edges, exporttest.Edge(e))
	}
	return facts
}
