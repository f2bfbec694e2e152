package planfile_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
	"layercake/internal/export"
	"layercake/internal/layered"
	"layercake/internal/planfile"
)

func TestParse(t *testing.T) {
	t.Parallel()
	p, err := planfile.Parse([]byte(`
meta: { name: "N" }
unknown: { anything: [1, 2] }
import: { profiles: [ { filename: n.csv, filetype: nodes, more: 1 } ] }
export:
  profiles:
    - filename: a.dot
      exporter: DOT
      render_config:
        contain_nodes: false
        orientation: LR
        apply_layers: false
        built_in_styles: dark
        target_options: { graphviz: { layout: fdp, splines: false, nodesep: 1.5 } }
      graph_config: { max_partition_width: 5, invert_graph: true, aggregate_edges: false }
    - { filename: b.txt, exporter: !Custom { template: t.hbs, partials: { row: r.hbs } } }
    - filename: c.txt
      exporter: !Custom
        template: t.hbs
    - { filename: d.gml, exporter: !GML {} }
`))
	if err != nil {
		t.Fatal(err)
	}
	out := p.Export.Profiles
	if r := out[0].Render; *r.ContainNodes || r.Orientation != "LR" || *r.ApplyLayers || r.Styles != "dark" ||
		r.TargetOptions.Graphviz.Layout != "fdp" || *r.TargetOptions.Graphviz.Splines || r.TargetOptions.Graphviz.NodeSep != 1.5 {
		t.Errorf("render_config: %+v", r)
	}
	if g := out[0].Graph; g.MaxWidth != 5 || !g.Invert || *g.AggregateEdges {
		t.Errorf("graph_config: %+v", g)
	}
	if e := out[1].Exporter; e.Format != export.Custom || e.Template != "t.hbs" || !maps.Equal(e.Partials, map[string]string{"row": "r.hbs"}) {
		t.Errorf("custom: %+v", e)
	}
	if e := out[2].Exporter; e.Template != "t.hbs" || len(e.Partials) != 0 {
		t.Errorf("custom: %+v", e)
	}
	if e := out[3].Exporter; e.Format != export.GML {
		t.Errorf("tagged: %+v", e)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	wrap := func(profile string) string { return "import: {profiles: []}\nexport:\n  profiles:\n    - " + profile }
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for i := range 8 {
		bomb += fmt.Sprintf("%c: &%c [%s]\n", 'b'+i, 'b'+i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c,", 'a'+i), 9), ","))
	}
	for name, c := range map[string]struct{ text, want string }{
		"no YAML":           {"import: [", "not valid"},
		"a list":            {"- a", "not valid"},
		"empty":             {"", "no import profiles"},
		"empty import":      {"import:\nexport: {profiles: []}", "no import profiles"},
		"no export":         {"import: {profiles: []}", "no export profiles"},
		"misspelt profiles": {"import: {profiles: []}\nexport: {profile: []}", "no export profiles"},
		"empty profiles":    {"import: {profiles: }\nexport: {profiles: []}", "no import profiles"},
		"no filename":       {wrap("{ exporter: DOT }"), "export profile 1 has no filename"},
		"no exporter":       {wrap("{ filename: x }"), "export profile 1 (x) has no exporter"},
		"unknown exporter":  {wrap("{ filename: x, exporter: Visio }"), `"Visio" is none of DOT`},
		"unknown tag":       {wrap("{ filename: x, exporter: !Visio {} }"), `"Visio" is none of DOT`},
		"custom as a name":  {wrap("{ filename: x, exporter: Custom }"), "!Custom with a template"},
		"custom without":    {wrap("{ filename: x, exporter: !Custom {} }"), "needs a template"},
		"custom with text":  {wrap("{ filename: x, exporter: !Custom x.hbs }"), "where mapping is expected"},
		"list as exporter":  {wrap("{ filename: x, exporter: [DOT] }"), "neither a name"},
		"negative":          {wrap("{ filename: x, exporter: DOT, graph_config: { max_partition_depth: -1 } }"), `[4:74] max_partition_depth is "-1"; it must be a whole number from 0`},
		"text for a number": {wrap("{ filename: x, exporter: DOT, graph_config: { max_partition_depth: deep } }"), `[4:74] max_partition_depth is "deep"; it must be a whole number from 0 to 2147483647`},
		"filetype": {
			"import: {profiles: [{filename: x.csv, filetype: Rows}]}\nexport: {profiles: []}",
			`import profile 1 (x.csv): filetype "Rows" is none of`,
		},
		"too long": {strings.Repeat("#", 2<<20), "at most"},
		"bomb":     {bomb + wrap("{ filename: x }"), "has no exporter"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := planfile.Parse([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// A text is what the file says, whatever YAML would make of it, also by way of aliases and merged mappings.
func TestParseKeepsTexts(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"1.10": "1.10", "0x10": "0x10", "yes": "yes", "TRUE": "TRUE", "2024-01-01": "2024-01-01", "1_000": "1_000", "007": "007",
		".inf": ".inf", "+1": "+1", "1e3": "1e3", "-0.0": "-0.0", "99999999999999999999": "99999999999999999999",
		"'1.10'": "1.10", "!!str 1.10": "1.10", "|\n   1.10\n": "1.10\n", "&a 1.10": "1.10", "~": "", "null": "", "": "",
	} {
		p, err := planfile.Parse([]byte("meta:\n  name: " + source + "\nimport: {profiles: []}\nexport: {profiles: []}"))
		if err != nil || p.Meta == nil || p.Meta.Name != want {
			t.Errorf("%q is %+v, %v, want %q", source, p.Meta, err, want)
		}
	}
	p, err := planfile.Parse([]byte(`
version: &version 1.10
shared: &shared { orientation: 1.10, built_in_styles: *version, 1: x, ? note_position : 0x10 }
meta: { name: *version }
import: { profiles: [ { filename: 1_0.50, filetype: nodes } ] }
export:
  profiles:
    - { filename: &file 1.0, exporter: DOT, render_config: *shared }
    - { filename: .5, exporter: DOT, render_config: { <<: *shared, contain_nodes: false }, graph_config: { max_partition_depth: &n 3 } }
    - { filename: *n, exporter: !Custom { template: *version, partials: { 1.10: 2.20, yes: *file } } }
`))
	if err != nil {
		t.Fatal(err)
	}
	if p.Meta.Name != "1.10" || p.Import.Profiles[0].Filename != "1_0.50" {
		t.Errorf("name %q, table %q", p.Meta.Name, p.Import.Profiles[0].Filename)
	}
	out := p.Export.Profiles
	for i, want := range []string{"1.0", ".5", "3"} {
		if out[i].Filename != want {
			t.Errorf("filename %q, want %q", out[i].Filename, want)
		}
		if r := out[i].Render; i < 2 && (r.Orientation != "1.10" || r.Styles != "1.10" || r.NotePosition != "0x10") {
			t.Errorf("render_config: %+v", r)
		}
	}
	if e := out[2].Exporter; e.Template != "1.10" || !maps.Equal(e.Partials, map[string]string{"1.10": "2.20", "yes": "1.0"}) {
		t.Errorf("custom: %+v", e)
	}
	if out[1].Graph.MaxDepth != 3 {
		t.Errorf("graph_config: %+v", out[1].Graph)
	}
}

// Every setting that is a whole number is refused unless it is one that is not too large, with its key and value.
func TestParseReadsWholeNumbers(t *testing.T) {
	t.Parallel()
	parse := func(config, key, value string) (planfile.Plan, error) {
		return planfile.Parse([]byte(fmt.Sprintf(
			"import: {profiles: []}\nexport: {profiles: [{filename: x, exporter: DOT, %s: {%s: %s}}]}", config, key, value)))
	}
	keys := map[string]string{"template_timeout_seconds": "render_config"}
	for f := range reflect.TypeFor[layered.Settings]().Fields() {
		if f.Type.Kind() == reflect.Int {
			keys[f.Tag.Get("yaml")] = "graph_config"
		}
	}
	if len(keys) != 7 {
		t.Errorf("settings %v", keys)
	}
	for key, config := range keys {
		for value, want := range map[string]string{
			"1.5": "1.5", `"1.5"`: "1.5", "!!int 1.5": "1.5", "-1": "-1", "2147483648": "2147483648", "1e30": "1e30",
			"99999999999999999999": "99999999999999999999", ".inf": ".inf", ".nan": ".nan", "true": "true", "deep": "deep", `"5 "`: "5 ",
		} {
			_, err := parse(config, key, value)
			if want := fmt.Sprintf("%s is %q; it must be a whole number", key, want); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %s: %v", key, value, err)
			}
		}
	}
	for value, want := range map[string]int{
		"0": 0, "5": 5, "3.0": 3, "1e3": 1000, "0x10": 16, `"5"`: 5, "!!int 5": 5, "1_000": 1000, "2147483647": 2147483647, "~": 0,
	} {
		p, err := parse("graph_config", "max_partition_width", value)
		if err != nil || p.Export.Profiles[0].Graph.MaxWidth != want {
			t.Errorf("%s: %+v, %v", value, p.Export, err)
		}
	}
	for setting, want := range map[string]string{
		"contain_nodes: yes":                                     `contain_nodes is "yes"; it must be true or false`,
		"target_options: {graphviz: {nodesep: wide}}":            `nodesep is "wide"; it must be a number`,
		"target_options: {graphviz: {ranksep: .nan}}":            `ranksep is ".nan"; it must be a number`,
		"target_options: {graphviz: {ranksep: *none}}":           "could not find alias",
		"template_timeout_seconds: " + strings.Repeat("x", 5000): strings.Repeat("x", 100) + `"; it must`,
	} {
		_, err := planfile.Parse([]byte("import: {profiles: []}\nexport: {profiles: [{filename: x, exporter: DOT, render_config: {" + setting + "}}]}"))
		if err == nil || !strings.Contains(err.Error(), want) || len(err.Error()) > 1000 {
			t.Errorf("%.100s: %v", setting, err)
		}
	}
}

// A plan is UTF-8, with or without a byte-order mark.
func TestParseReadsUTF8(t *testing.T) {
	t.Parallel()
	const plan = "meta: {name: N}\nimport: {profiles: []}\nexport: {profiles: []}"
	if p, err := planfile.Parse([]byte("\xEF\xBB\xBF" + plan)); err != nil || p.Meta == nil || p.Meta.Name != "N" {
		t.Errorf("%+v, %v", p.Meta, err)
	}
	for text, want := range map[string]string{
		"# \xfc\n" + plan:    "plan file is not valid: The file is not UTF-8: byte 2 is 0xFC; save it as UTF-8",
		"\xff\xfem\x00e\x00": "plan file is not valid: The file is UTF-16; save it as UTF-8",
		plan + "\x00":        fmt.Sprintf("plan file is not valid: The file has a NUL at byte %d; it is not a text file", len(plan)),
	} {
		if _, err := planfile.Parse([]byte(text)); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// Nesting costs time and memory in decoders, or overflows their stack.
func TestParseRefusesDeepNesting(t *testing.T) {
	t.Parallel()
	for _, mark := range []string{"[", "{", "- ", "? ", "!a ", "&a ", "[a,", "{a: ", "a: ", "[{", "- - [", "\"a\": [", "*a ", "- a\n", ": ", "| ", "' "} {
		line := strings.Repeat(mark, 4_000/len(mark))
		for _, text := range []string{line, line + line, strings.Repeat(line+"\n", 15), strings.Repeat(mark+"\n", 2_000)} {
			start := time.Now()
			if _, err := planfile.Parse([]byte("import: " + text)); err == nil {
				t.Errorf("%q in a row is a plan", mark)
			}
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("%d bytes of %q take %v", len(text), mark, took)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("meta: null\nimport: {profiles: []}\nexport: {profiles: [{filename: x, exporter: !Custom {template: x}}]}")
	f.Add(planfile.Empty)
	f.Add("import: &a {profiles: [*a]}")
	f.Add("<<: *x")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := planfile.Parse([]byte(text))
		if err == nil && (p.Import == nil || p.Export == nil) {
			t.Error("a plan without import or export")
		}
	})
}

// project writes files into a fresh folder.
func project(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		put(t, filepath.Join(dir, name), text)
	}
	return dir
}

func put(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

const (
	nodes  = "id,label,layer,is_partition,belongs_to\nroot,Root,l,true,\na,A,l,false,root\nb,B,l,false,root\n"
	edges  = "id,source,target,label,layer,weight\ne,a,b,x,l,1\n"
	layers = "id,label,background,border,text\nl,L,ffffff,000000,000000\n"
)

func tables(exports string) map[string]string {
	return map[string]string{
		"nodes.csv": nodes, "edges.csv": edges, "layers.csv": layers,
		"plan.yaml": `
import: { profiles: [ { filename: nodes.csv, filetype: Nodes }, { filename: edges.csv, filetype: Edges }, { filename: layers.csv, filetype: Layers } ] }
export:
  profiles:
` + exports,
	}
}

// names lists the files below a folder.
func names(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, path)
			found = append(found, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// Each failing profile is named with what is wrong; the others are written, and former outputs are kept.
func TestOneFailureDoesNotStopTheOthers(t *testing.T) {
	t.Parallel()
	dir := project(t, tables(`
    - { filename: out/first.dot, exporter: DOT }
    - { filename: out/bad.dot, exporter: DOT, render_config: { orientation: UP } }
    - { filename: out/none.txt, exporter: !Custom { template: none.hbs } }
    - { filename: out/kept.txt, exporter: !Custom { template: bad.hbs } }
    - { filename: out/first.dot, exporter: GML }
    - { filename: plan.yaml/x.dot, exporter: DOT }
    - { filename: out, exporter: DOT }
    - { filename: out/last.gml, exporter: GML }
`))
	put(t, filepath.Join(dir, "bad.hbs"), "some output first\n{{#each flow_nodes}}{{nothing 1}}{{/each}}")
	if err := os.Mkdir(filepath.Join(dir, "out"), 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, "out", "kept.txt"), "former")
	err := planfile.Run(t.Context(), filepath.Join(dir, "plan.yaml"), planfile.Options{Dir: dir})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		`export profile 2 (out/bad.dot, DOT): Unknown orientation: "UP" is none of TB, LR`,
		"export profile 3 (out/none.txt, Custom): template:",
		`export profile 4 (out/kept.txt, Custom): Template cannot be rendered: template line 2: there is no helper "nothing"`,
		"export profile 5 (out/first.dot, GML): " + filepath.Join(dir, "out", "first.dot") +
			" is not written: profile 1 has written it already",
		"export profile 6 (plan.yaml/x.dot, DOT):",
		"export profile 7 (out, DOT):",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nlacks %q", err, want)
		}
	}
	if n := strings.Count(err.Error(), "export profile"); n != 6 {
		t.Errorf("%d failures: %v", n, err)
	}
	if got, want := names(t, filepath.Join(dir, "out")), []string{"first.dot", "kept.txt", "last.gml"}; !slices.Equal(got, want) {
		t.Errorf("outputs %v, want %v", got, want)
	}
	if got := read(t, filepath.Join(dir, "out", "kept.txt")); got != "former" {
		t.Errorf("the former output is now %q", got)
	}
}

// All tables are read, and every bad row of all of them is named; nothing is written.
func TestBadTables(t *testing.T) {
	t.Parallel()
	files := tables("    - { filename: out.dot, exporter: DOT }\n")
	files["nodes.csv"] = nodes + "a,again,l,false,root\nno good,x,l,false,root\n"
	files["edges.csv"] = edges + "short\n"
	dir := project(t, files)
	if err := os.Remove(filepath.Join(dir, "layers.csv")); err != nil {
		t.Fatal(err)
	}
	err := planfile.Run(t.Context(), filepath.Join(dir, "plan.yaml"), planfile.Options{Dir: dir})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		`import profile 1 (nodes.csv): row 5, column "id": "a" occurs more than once`,
		`import profile 1 (nodes.csv): row 6, column "id": "no good" has characters`,
		"import profile 2 (edges.csv): row 3: has 1 fields",
		"import profile 3 (layers.csv): open ",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nlacks %q", err, want)
		}
	}
	if got := names(t, dir); slices.Contains(got, "out.dot") {
		t.Errorf("written: %v", got)
	}
}

// What is wrong between tables is named with the table and the row, too.
func TestBadGraph(t *testing.T) {
	t.Parallel()
	files := tables("    - { filename: out.dot, exporter: DOT }\n")
	files["plan.yaml"] = strings.Replace(files["plan.yaml"], "profiles: [", "profiles: [ { filename: more.tsv, filetype: Nodes },", 1)
	files["more.tsv"] = "id\tlabel\tlayer\tis_partition\tbelongs_to\np\tP\tl\ttrue\tq\nq\tQ\tl\ttrue\tp\nr\tR\tlost\ttrue\t\n"
	files["nodes.csv"] = nodes + "\nc,C,l,false,ghost\nd,D,l,false,\n"
	files["edges.csv"] = edges + "f,a,ghost,x,l,1\n" + "g,a,root,x,l,1\n" + "e,b,a,x,l,1\n"
	dir := project(t, files)
	err := planfile.Run(t.Context(), filepath.Join(dir, "plan.yaml"), planfile.Options{Dir: dir})
	want := `import profile 1 (more.tsv): row 2: Node "p" belongs to itself through its parents
import profile 1 (more.tsv): row 3: Node "q" belongs to itself through its parents
import profile 1 (more.tsv): row 4: Node "r" has layer "lost", which does not exist
import profile 2 (nodes.csv): row 6: Node "c" belongs to "ghost", which does not exist
import profile 2 (nodes.csv): row 7: Node "d" has no parent and is not a partition
import profile 3 (edges.csv): row 3: Edge "f" ends at node "ghost", which does not exist
import profile 3 (edges.csv): row 4: Edge "g" ends at the partition "root"
import profile 3 (edges.csv): row 5: Edge "e" occurs more than once`
	if err == nil || err.Error() != want {
		t.Errorf("%v\nwant\n%s", err, want)
	}
	if got := names(t, dir); slices.Contains(got, "out.dot") {
		t.Errorf("written: %v", got)
	}
}

func TestAHundredProblemsOfAGraphAreListed(t *testing.T) {
	t.Parallel()
	files := tables("    - { filename: out.dot, exporter: DOT }\n")
	for i := range 250 {
		files["edges.csv"] += fmt.Sprintf("f%d,a,ghost,x,l,1\n", i)
	}
	dir := project(t, files)
	err := planfile.Run(t.Context(), filepath.Join(dir, "plan.yaml"), planfile.Options{Dir: dir})
	if err == nil || strings.Count(err.Error(), "does not exist") != 100 || !strings.HasSuffix(err.Error(), "\ngraph: and 150 more") {
		t.Errorf("%v", err)
	}
}

// Edges of tables without ids get some which no other edge has, whatever the order of the tables. Equal and empty ids are errors.
func TestEdgeListsWithoutIDs(t *testing.T) {
	t.Parallel()
	files := tables("    - { filename: out.json, exporter: JSON, graph_config: { aggregate_edges: false } }\n")
	files["plan.yaml"] = strings.Replace(files["plan.yaml"], "profiles: [",
		"profiles: [ { filename: first.csv, filetype: Edges }, { filename: second.csv, filetype: Edges },", 1)
	files["first.csv"] = "\nweight,target,source\n1,a,\"b\"\n2,b,a\n"
	files["second.csv"] = "source,target\n\na,b\r\rb,a\n"
	files["edges.csv"] = edges + "edge_3,a,b,x,l,1\n"
	dir := project(t, files)
	var warnings []string
	opt := planfile.Options{Dir: dir, Warn: func(text string) { warnings = append(warnings, text) }}
	if err := planfile.Run(t.Context(), filepath.Join(dir, "plan.yaml"), opt); err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Edges []struct{ ID string } `json:"flow_edges"`
	}
	if err := json.Unmarshal([]byte(read(t, filepath.Join(dir, "out.json"))), &doc); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, e := range doc.Edges {
		ids = append(ids, e.ID)
	}
	slices.Sort(ids)
	if want := []string{"e", "edge_3", "edge_3_2", "edge_3_3", "edge_4", "edge_5"}; !slices.Equal(ids, want) {
		t.Errorf("ids %q, want %q", ids, want)
	}
	want := []string{
		`import profile 1 (first.csv): the table has no column "id": its edges are called by their rows, such as "edge_3_2"`,
		`import profile 2 (second.csv): the table has no column "id": its edges are called by their rows, such as "edge_3_3"`,
	}
	if !slices.Equal(warnings, want) {
		t.Errorf("warnings %q, want %q", warnings, want)
	}

	put(t, filepath.Join(dir, "edges.csv"), edges+",a,b,x,l,1\n"+" ,b,a,x,l,1\n"+"e,b,a,x,l,1\n")
	err := planfile.Run(t.Context(), filepath.Join(dir, "plan.yaml"), opt)
	refused := `import profile 4 (edges.csv): row 3: Edge 6, from "a" to "b", has no id
import profile 4 (edges.csv): row 4: Edge 7, from "b" to "a", has no id
import profile 4 (edges.csv): row 5: Edge "e" occurs more than once`
	if err == nil || err.Error() != refused {
		t.Errorf("%v\nwant\n%s", err, refused)
	}
}

// Values that cannot be read are warned of, a hundred of a table with their text, all of them counted.
func TestAHundredWarningsOfATableAreListed(t *testing.T) {
	t.Parallel()
	files := tables("    - { filename: out.dot, exporter: DOT }\n")
	for i := range 250 {
		files["edges.csv"] += fmt.Sprintf("f%d,a,b,x,l,50%%\n", i)
	}
	dir := project(t, files)
	var warnings []string
	opt := planfile.Options{Dir: dir, Warn: func(text string) { warnings = append(warnings, text) }}
	if err := planfile.Run(t.Context(), filepath.Join(dir, "plan.yaml"), opt); err != nil {
		t.Fatal(err)
	}
	first := `import profile 2 (edges.csv): row 3, column "weight": "50%" is not a number; the weight is 1`
	if len(warnings) != 101 || warnings[0] != first || warnings[100] != "import profile 2 (edges.csv): and 150 more" {
		t.Errorf("%d warnings: %.500q", len(warnings), warnings)
	}
}

// Templates are UTF-8, like all that a plan reads.
func TestTemplatesInLatin1(t *testing.T) {
	t.Parallel()
	dir := project(t, tables(`
    - { filename: a.txt, exporter: !Custom { template: latin1.hbs } }
    - { filename: b.txt, exporter: !Custom { template: t.hbs, partials: { p: latin1.hbs } } }
`))
	put(t, filepath.Join(dir, "latin1.hbs"), "Gr\xfcn")
	put(t, filepath.Join(dir, "t.hbs"), "{{> p}}")
	err := planfile.Run(t.Context(), filepath.Join(dir, "plan.yaml"), planfile.Options{Dir: dir})
	for _, want := range []string{"Custom): template: The file is not UTF-8: byte 2 is 0xFC", `Custom): partial "p": The file is not UTF-8`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nlacks %q", err, want)
		}
	}
}

// What is done although it looks wrong is told.
func TestWarnings(t *testing.T) {
	t.Parallel()
	files := tables("    - { filename: out.dot, exporter: DOT, graph_config: { max_partition_width: 1 } }\n")
	files["nodes.csv"] = nodes + "p,P,l,true,root\nq,Q,l,true,root\n"
	files["edges.csv"] = edges + "f,a,b,x,lost,1\n" + "g,b,a,x,lost,1\n"
	dir := project(t, files)
	var warnings []string
	opt := planfile.Options{Dir: dir, Warn: func(text string) { warnings = append(warnings, text) }}
	if err := planfile.Run(t.Context(), filepath.Join(dir, "plan.yaml"), opt); err != nil {
		t.Fatal(err)
	}
	want := []string{
		`import profile 2 (edges.csv): row 3: the layer "lost" of edge "f" does not exist (2 such edges)`,
		"export profile 1 (out.dot, DOT): PartitionWidthLimit: 5 nodes and 3 edges became 5 and 3; " +
			`1 partitions with more than 1 partitions in them, such as "root", were left alone with all below`,
	}
	if !slices.Equal(warnings, want) {
		t.Errorf("%q", warnings)
	}
}

// What Mermaid will not draw is written, with a warning that names the file, the number and the limit.
func TestMermaidLimits(t *testing.T) {
	t.Parallel()
	files := tables(`
    - { filename: out.mermaid, exporter: Mermaid }
    - { filename: mindmap.mermaid, exporter: MermaidMindmap }
    - { filename: treemap.mermaid, exporter: MermaidTreemap, graph_config: { node_label_max_length: 10 } }
`)
	files["nodes.csv"] += "c," + strings.Repeat("😀", 25_000) + ",l,false,root\n"
	for i := range 500 {
		files["nodes.csv"] += fmt.Sprintf("n%d,N,l,false,root\n", i)
		files["edges.csv"] += fmt.Sprintf("e%d,a,n%d,,l,1\n", i, i)
	}
	dir := project(t, files)
	var warnings []string
	opt := planfile.Options{Dir: dir, Warn: func(text string) { warnings = append(warnings, text) }}
	if err := planfile.Run(t.Context(), filepath.Join(dir, "plan.yaml"), opt); err != nil {
		t.Fatal(err)
	}
	length := func(name, kind string) int { // as JavaScript counts, without front matter
		text := read(t, filepath.Join(dir, name))
		return len(utf16.Encode([]rune(text[max(0, strings.Index(text, kind)):])))
	}
	flowchart, mindmap := length("out.mermaid", "flowchart"), length("mindmap.mermaid", "mindmap")
	const advice = ", unless the page that shows it sets %s: set that to %d or more, or export less"
	want := []string{
		"export profile 1 (out.mermaid, Mermaid): 501 edges: Mermaid draws an error instead of a diagram of more than 500" +
			fmt.Sprintf(advice, "maxEdges", 501),
		"export profile 1 (out.mermaid, Mermaid): " + fmt.Sprint(flowchart) +
			" characters: Mermaid draws an error instead of a diagram of more than 50000" + fmt.Sprintf(advice, "maxTextSize", flowchart),
		"export profile 2 (mindmap.mermaid, MermaidMindmap): " + fmt.Sprint(mindmap) +
			" characters: Mermaid draws an error instead of a diagram of more than 50000" + fmt.Sprintf(advice, "maxTextSize", mindmap),
	}
	if diff := cmp.Diff(want, warnings); diff != "" {
		t.Errorf("(-want +told):\n%s", diff)
	}
	if written := read(t, filepath.Join(dir, "out.mermaid")); strings.Count(written, "-->") != 501 {
		t.Error("not all edges are written")
	}
}

// No output replaces what the plan reads, under whatever name.
func TestInputsAreKept(t *testing.T) {
	t.Parallel()
	dir := project(t, tables(`
    - { filename: nodes.csv, exporter: CSVNodes }
    - { filename: link, exporter: CSVEdges }
    - { filename: sub/../plan.yaml, exporter: DOT }
    - { filename: t.hbs, exporter: !Custom { template: t.hbs } }
    - { filename: out.dot, exporter: DOT }
`))
	put(t, filepath.Join(dir, "t.hbs"), "template")
	if err := os.Symlink("edges.csv", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	err := planfile.Run(t.Context(), filepath.Join(dir, "plan.yaml"), planfile.Options{Dir: dir})
	if err == nil || strings.Count(err.Error(), "is not written: the plan reads it") != 4 {
		t.Errorf("%v", err)
	}
	if read(t, filepath.Join(dir, "nodes.csv")) != nodes || read(t, filepath.Join(dir, "edges.csv")) != edges {
		t.Error("a table was replaced")
	}
	if got := names(t, dir); !slices.Contains(got, "out.dot") || len(got) != 7 {
		t.Errorf("files %v", got)
	}
}

func TestMissingPlan(t *testing.T) {
	t.Parallel()
	err := planfile.Run(t.Context(), filepath.Join(t.TempDir(), "plan.yaml"), planfile.Options{})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

// Tables and templates lie beside the plan, outputs go to the working directory.
func TestRelativePaths(t *testing.T) {
	t.Parallel()
	dir := project(t, tables(`
    - { filename: sub/folder/a.txt, exporter: !Custom { template: beside.hbs, partials: { p: here.hbs } } }
`))
	here := project(t, map[string]string{"here.hbs": "{{graph_name}}"})
	put(t, filepath.Join(dir, "beside.hbs"), "<{{> p}}>")
	if err := planfile.Run(t.Context(), filepath.Join(dir, "plan.yaml"), planfile.Options{Dir: here}); err != nil {
		t.Fatal(err)
	}
	if got := read(t, filepath.Join(here, "sub", "folder", "a.txt")); got != "<Unnamed Graph>" {
		t.Errorf("%q", got)
	}
}

func TestOptionsReachTheOutputs(t *testing.T) {
	t.Parallel()
	dir := project(t, tables(`
    - { filename: a.csv, exporter: CSVEdges, render_config: { csv_weight: true } }
    - { filename: b.gml, exporter: GML, render_config: { gml_integer_ids: true } }
    - { filename: c.dot, exporter: DOT, render_config: { built_in_styles: dark, target_options: { graphviz: { layout: circo, nodesep: 0.7 } } } }
    - { filename: d.mermaid, exporter: Mermaid, render_config: { target_options: { mermaid: { theme: forest, edge_labels: true } } } }
    - { filename: e.json, exporter: JSON, graph_config: { node_label_max_length: 2, max_partition_depth: 1 } }
`))
	if err := planfile.Run(t.Context(), filepath.Join(dir, "plan.yaml"), planfile.Options{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"a.csv": "label,layer,weight,comment", "b.gml": `name "root"`, "c.dot": `layout="circo"`,
		"d.mermaid": `-->|"x"|`,
		"e.json":    `"label": "Ro"`,
	} {
		if got := read(t, filepath.Join(dir, name)); !strings.Contains(got, want) {
			t.Errorf("%s lacks %q:\n%s", name, want, got)
		}
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	t.Parallel()
	dir := project(t, tables("    - { filename: out.dot, exporter: DOT }\n"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := planfile.Run(ctx, filepath.Join(dir, "plan.yaml"), planfile.Options{Dir: dir})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if got := names(t, dir); len(got) != 4 {
		t.Errorf("files %v", got)
	}
}

// A plan may name what is no file. Nothing waits for its other end, nothing is written to it, and it stays.
func TestPipesAndDevicesAreRefused(t *testing.T) {
	t.Parallel()
	const table = "import:\n  profiles:\n    - { filename: %s, filetype: Nodes }\nexport:\n  profiles: []\n"
	from := func(name string) map[string]string { return map[string]string{"plan.yaml": fmt.Sprintf(table, name)} }
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"a table that is a pipe":      {from("pipe.csv"), "read %s/pipe.csv: is a device, a pipe or a socket"},
		"a table that is a folder":    {from("folder.csv"), "read %s/folder.csv: is a directory"},
		"a table that is not there":   {from("none.csv"), "none.csv: no such file"},
		"a template that is a device": {tables("    - { filename: out, exporter: !Custom { template: /dev/zero } }\n"), "read /dev/zero: is a device"},
		"an output that is a device":  {tables("    - { filename: /dev/null, exporter: DOT }\n"), "write /dev/null: is a device"},
		"an output that is a pipe":    {tables("    - { filename: pipe.csv, exporter: DOT }\n"), "write %s/pipe.csv: is a device, a pipe"},
		"an output that is a folder":  {tables("    - { filename: folder.csv, exporter: DOT }\n"), "write %s/folder.csv: is a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := project(t, c.files)
			if err := errors.Join(syscall.Mkfifo(filepath.Join(dir, "pipe.csv"), 0o600), os.Mkdir(filepath.Join(dir, "folder.csv"), 0o700)); err != nil {
				t.Fatal(err)
			}
			err := planfile.Run(t.Context(), filepath.Join(dir, "plan.yaml"), planfile.Options{Dir: dir})
			if want := strings.ReplaceAll(c.want, "%s", dir); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %q", err, want)
			}
			if info, err := os.Stat(filepath.Join(dir, "pipe.csv")); err != nil || info.Mode()&fs.ModeNamedPipe == 0 {
				t.Errorf("the pipe is %v, %v", info, err)
			}
		})
	}
}

// Whoever runs a plan may pipe it in.
func TestPlanFromAPipe(t *testing.T) {
	t.Parallel()
	pipe := filepath.Join(t.TempDir(), "plan")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	wrote := make(chan error, 1)
	go func() { wrote <- os.WriteFile(pipe, []byte("import: {profiles: []}\nexport: {profiles: []}\n"), 0) }()
	if err := errors.Join(planfile.Run(t.Context(), pipe, planfile.Options{}), <-wrote); err != nil {
		t.Error(err)
	}
}

// A few lines of merge keys can stand for more than any machine decodes.
func TestMergeKeysAreBounded(t *testing.T) {
	t.Parallel()
	const rest = "import: {profiles: []}\nexport: {profiles: []}\n"
	bomb := func(line func(i int) string, n int) string {
		text := "a0: &a0 {k: v}\n"
		for i := range n {
			text += line(i)
		}
		return text + rest
	}
	twice := func(i int) string {
		return fmt.Sprintf("a%d: &a%d {x: {<<: *a%d}, y: {<<: *a%d}}\n", i+1, i+1, i, i)
	}
	longer := func(i int) string { return fmt.Sprintf("a%d: &a%d\n  <<: *a%d\n  k%d: v\n", i+1, i+1, i, i) }
	for name, c := range map[string]struct {
		text string
		want string // empty when it can be read
	}{
		"few, of two each":     {bomb(twice, 5), ""},
		"many, of two each":    {bomb(twice, 40), "merge keys (<<) stand for more than 50000 values"},
		"a chain":              {bomb(longer, 50), ""},
		"a long chain":         {bomb(longer, 2000), "merge keys (<<) stand for more than 50000 values"},
		"what merges itself":   {"a: &a {<<: *a}\n" + rest, "merge keys (<<) stand for more than 50000 values"},
		"what is not there":    {"a: {<<: *b}\n" + rest, "cannot find anchor"},
		"many documents":       {strings.Repeat("---\n", 101) + rest, "more than 100 documents"},
		"more time than there": {"import: {profiles: []}\nexport: {profiles: [{filename: x, exporter: DOT, render_config: {template_timeout_seconds: 61}}]}", "export profile 1 (x): template_timeout_seconds is 61; it must be at most 60"},
	} {
		if _, err := planfile.Parse([]byte(c.text)); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// A table that is long in coming ends with whoever waits for it.
func TestReadingEndsWithItsContext(t *testing.T) {
	t.Parallel()
	dir := project(t, tables("    []\n"))
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	err := planfile.Run(ctx, filepath.Join(dir, "plan.yaml"), planfile.Options{Dir: dir, Progress: func(what string) {
		if strings.HasSuffix(what, ".csv") {
			cancel(enough) // while the first table is opened
		}
	}})
	if !errors.Is(err, enough) || strings.Contains(err.Error(), "profile") {
		t.Errorf("%v, want %v alone", err, enough)
	}
}

func TestRender(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("dot"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("Graphviz is not installed")
		}
		t.Skip("Graphviz is not installed")
	}
	for _, picture := range []string{"svg", "png"} {
		dir := t.TempDir()
		plan := filepath.Join("testdata", "tiny", "plan.yaml")
		if err := planfile.Run(t.Context(), plan, planfile.Options{Dir: dir, Render: picture}); err != nil {
			t.Fatal(err)
		}
		pictures, err := filepath.Glob(filepath.Join(dir, "out", "*."+picture))
		if err != nil || len(pictures) != 3 {
			t.Errorf("pictures %v, %v", pictures, err)
		}
		for _, name := range pictures {
			magic := map[string]string{"svg": "<?xml", "png": "\x89PNG"}[picture]
			if !strings.HasPrefix(read(t, name), magic) {
				t.Errorf("%s is no %s", name, picture)
			}
		}
		if all := names(t, dir); len(all) != 16 {
			t.Errorf("files %v", all)
		}
	}
}

// A picture never takes the place of another output.
func TestPicturesAreOutputsToo(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("dot"); err != nil {
		t.Skip("Graphviz is not installed") // TestRender fails in CI
	}
	dir := project(t, tables(`
    - { filename: a.svg, exporter: DOT }
    - { filename: b.dot, exporter: DOT }
    - { filename: b.gv, exporter: DOTHierarchy }
    - { filename: b.svg, exporter: JSON }
`))
	err := planfile.Run(t.Context(), filepath.Join(dir, "plan.yaml"), planfile.Options{Dir: dir, Render: "svg"})
	for _, want := range []string{
		"export profile 1 (a.svg, DOT): " + filepath.Join(dir, "a.svg") + " is not written: profile 1 has written it already",
		"export profile 3 (b.gv, DOTHierarchy): " + filepath.Join(dir, "b.svg") + " is not written: profile 2 has written it already",
		"export profile 4 (b.svg, JSON): " + filepath.Join(dir, "b.svg") + " is not written: profile 2 has written it already",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nlacks %q", err, want)
		}
	}
	if !strings.HasPrefix(read(t, filepath.Join(dir, "a.svg")), "digraph") || !strings.HasPrefix(read(t, filepath.Join(dir, "b.svg")), "<?xml") {
		t.Error("an output was replaced")
	}
}

func TestRenderWithinItsTime(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("dot"); err != nil {
		t.Skip("Graphviz is not installed") // TestRender fails in CI
	}
	dir := project(t, tables("    - { filename: out.dot, exporter: DOT }\n"))
	opt := planfile.Options{Dir: dir, Render: "svg", RenderTimeout: time.Nanosecond}
	err := planfile.Run(t.Context(), filepath.Join(dir, "plan.yaml"), opt)
	if err == nil || !strings.Contains(err.Error(), "Graphviz needed more than 1ns") {
		t.Errorf("%v", err)
	}
	if got := names(t, dir); !slices.Contains(got, "out.dot") || len(got) != 5 {
		t.Errorf("files %v", got)
	}
}

func TestRenderWithoutGraphviz(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	dir := project(t, tables("    - { filename: out.dot, exporter: DOT }\n"))
	err := planfile.Run(t.Context(), filepath.Join(dir, "plan.yaml"), planfile.Options{Dir: dir, Render: "svg"})
	if err == nil || !strings.Contains(err.Error(), "Graphviz is not installed") {
		t.Errorf("%v", err)
	}
	if got := names(t, dir); !slices.Contains(got, "out.dot") {
		t.Errorf("files %v", got)
	}
}

func TestWatch(t *testing.T) {
	t.Parallel()
	dir := project(t, tables("    - { filename: out.txt, exporter: !Custom { template: t.hbs } }\n"))
	plan, out := filepath.Join(dir, "plan.yaml"), filepath.Join(dir, "out.txt")
	template := filepath.Join(dir, "t.hbs")
	put(t, template, "1 {{len flow_nodes}}")
	put := func(t *testing.T, name, text string) { // at once: looks come faster than writes here
		t.Helper()
		put(t, name+".new", text)
		if err := os.Rename(name+".new", name); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error)
	ended := make(chan error, 1)
	go func() {
		ended <- planfile.Watch(ctx, plan, planfile.Options{Dir: dir}, time.Millisecond, func(err error) {
			select {
			case done <- err:
			case <-ctx.Done():
			}
		})
	}()
	await := func(ch chan error) error {
		t.Helper()
		select {
		case err := <-ch:
			return err
		case <-time.After(30 * time.Second):
			t.Fatal("nothing happens")
			return nil
		}
	}
	expect := func(want string) {
		t.Helper()
		if err := await(done); err != nil {
			t.Fatal(err)
		}
		if got := read(t, out); got != want {
			t.Fatalf("%q, want %q", got, want)
		}
	}
	expect("1 2")
	put(t, template, "2 {{len flow_nodes}}.")
	expect("2 2.")
	put(t, filepath.Join(dir, "nodes.csv"), nodes+"c,C,l,false,root\n")
	expect("2 3.")
	valid := read(t, plan)
	put(t, plan, "broken: [")
	if err := await(done); err == nil {
		t.Fatal("a broken plan runs")
	}
	put(t, plan, strings.Replace(valid, "out.txt", "other.txt", 1))
	if err := await(done); err != nil {
		t.Fatal(err)
	}
	if got := read(t, filepath.Join(dir, "other.txt")); got != "2 3." {
		t.Errorf("the new output is %q", got)
	}
	cancel()
	if err := await(ended); err != nil {
		t.Errorf("%v", err)
	}
}

func TestSamplesRun(t *testing.T) {
	t.Parallel()
	for _, name := range planfile.SampleNames() {
		dir := filepath.Join(t.TempDir(), "new", "folder")
		if err := planfile.WriteSample(strings.ToUpper(name), dir); err != nil {
			t.Fatal(err)
		}
		if err := planfile.Run(t.Context(), filepath.Join(dir, "plan.yaml"), planfile.Options{Dir: dir}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := planfile.WriteSample(name, dir); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s again: %v", name, err)
		}
	}
	if err := planfile.WriteSample("ref", t.TempDir()); err == nil || !strings.Contains(err.Error(), "tiny") {
		t.Errorf("ref: %v", err)
	}
}

func TestGeneratedGraphsRun(t *testing.T) {
	t.Parallel()
	for _, size := range []planfile.Size{{Nodes: 2}, {Nodes: 3, Edges: 5}, {Nodes: 22, Edges: 1}, {Nodes: 5000, Edges: 9000, Seed: 7}} {
		dir := t.TempDir()
		if err := planfile.WriteGenerated(dir, size); err != nil {
			t.Fatal(err)
		}
		plan := read(t, filepath.Join(dir, "plan.yaml"))
		put(t, filepath.Join(dir, "all.yaml"), plan+"    - { filename: all.json, exporter: JSON, graph_config: { aggregate_edges: false } }\n")
		if err := planfile.Run(t.Context(), filepath.Join(dir, "all.yaml"), planfile.Options{Dir: dir}); err != nil {
			t.Fatalf("%+v: %v", size, err)
		}
		var doc struct {
			Nodes []any `json:"hierarchy_nodes"`
			Edges []any `json:"flow_edges"`
		}
		if err := json.Unmarshal([]byte(read(t, filepath.Join(dir, "all.json"))), &doc); err != nil {
			t.Fatal(err)
		}
		if len(doc.Nodes) != size.Nodes || len(doc.Edges) != size.Edges {
			t.Errorf("%+v gave %d nodes and %d edges", size, len(doc.Nodes), len(doc.Edges))
		}
	}
	if err := planfile.WriteGenerated(t.TempDir(), planfile.Size{Nodes: 1}); err == nil {
		t.Error("a graph of one node was generated")
	}
}

func TestWriteEmpty(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "new", "plan.yaml")
	if err := planfile.WriteEmpty(name, false); err != nil {
		t.Fatal(err)
	}
	if p, err := planfile.Parse([]byte(read(t, name))); err != nil || len(p.Import.Profiles)+len(p.Export.Profiles) > 0 {
		t.Errorf("%+v, %v", p, err)
	}
	if err := planfile.Run(t.Context(), name, planfile.Options{}); err != nil {
		t.Errorf("an empty plan: %v", err)
	}
	put(t, name, "mine")
	if err := planfile.WriteEmpty(name, false); !errors.Is(err, fs.ErrExist) {
		t.Errorf("%v", err)
	}
	if got := read(t, name); got != "mine" {
		t.Errorf("%q", got)
	}
	if err := planfile.WriteEmpty(name, true); err != nil || read(t, name) != planfile.Empty {
		t.Errorf("%v", err)
	}
}
