package executor_test

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"layercake/internal/auth"
	"layercake/internal/executor"
	"layercake/internal/fault"
	"layercake/internal/plan"
	"layercake/internal/postgres/pgtest"

	"github.com/google/go-cmp/cmp"
)

// listed returns the names and texts of files, by name.
func listed(tables map[string]string) (files []string) {
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		files = append(files, name, tables[name])
	}
	return files
}

// output returns a file that is built first.
func (r *replica) output(t testing.TB, project int32, id string) (name, content string) {
	t.Helper()
	out, err := r.Builds.Output(t.Context(), auth.Unchecked(r.actor, project), id, executor.OutputRequest{
		Execute: true, Request: executor.Request{Wait: 25 * time.Second},
	})
	if err != nil {
		t.Fatalf("%s: %v", id, err)
	}
	var b bytes.Buffer
	if err := out.Write(t.Context(), &b); err != nil {
		t.Fatalf("%s: %v", id, err)
	}
	return out.Filename, b.String()
}

const smallPlan = `
meta: { name: "Small" }
import:
  profiles:
    - { filename: "nodes.csv", filetype: "Nodes" }
    - { filename: "edges.csv", filetype: "Edges" }
export:
  profiles:
    - { filename: "out/small.csv", exporter: "CSVEdges" }
    - { filename: "out/short.csv", exporter: "CSVNodes", graph_config: { node_label_max_length: 2 } }
    - { filename: "out/small.dot", exporter: "DOT", render_config: { orientation: LR } }
    - { filename: "out/x.txt", exporter: !Custom { template: "x.hbs" } }
`

func smallTables() map[string]string {
	return map[string]string{"nodes.csv": "id,label\na,Alpha\nb,Beta\n", "edges.csv": "id,source,target\n1,a,b\n2,a,b\n"}
}

// A plan file becomes nodes that run, in one change that a repeat does not make again.
func TestImport(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	r, other := start(t, database), start(t, database)
	p := r.newProject(t)
	request := executor.Request{OpID: "import", ClientID: "page", Note: "from a file"}
	done, err := r.Builds.Import(t.Context(), auth.Unchecked(r.actor, p), smallPlan, request)
	if err != nil || done.Nodes != 10 || done.Edges != 9 || done.At.Version != 1 {
		t.Fatalf("%+v, %v", done, err)
	}
	if again, err := other.Builds.Import(t.Context(), auth.Unchecked(r.actor, p), smallPlan, request); err != nil || again != done {
		t.Errorf("again %+v, %v; want %+v", again, err, done)
	}
	if _, err := r.Builds.Import(t.Context(), auth.Unchecked(r.actor, p), smallPlan+"\n", request); !fault.Is(err, fault.BadRequest) {
		t.Errorf("another file under the same operation id: %v", err)
	}
	record, err := r.Plans.OfProject(t.Context(), auth.Unchecked(r.actor, p))
	if err != nil || record.Name != "Small" || record.YAMLContent != smallPlan || record.Status != "active" {
		t.Errorf("the record is %+v, %v", record, err)
	}
}

func TestImportRuns(t *testing.T) {
	t.Parallel()
	r := start(t, pgtest.New(t))
	p := r.newProject(t)
	r.upload(t, p, listed(smallTables())...)
	name := func() string {
		record, err := r.Plans.OfProject(t.Context(), auth.Unchecked(r.actor, p))
		if err != nil {
			t.Fatal(err)
		}
		return record.Name
	}
	before := name()
	if _, err := r.Builds.Import(t.Context(), auth.Unchecked(r.actor, p), smallPlan, executor.Request{}); err != nil {
		t.Fatal(err)
	}
	if name() != before {
		t.Errorf("the plan was written to before, and now is called %s", name())
	}
	dag, err := r.Plans.DAG(t.Context(), auth.Unchecked(r.actor, p))
	if err != nil {
		t.Fatal(err)
	}
	outputs := map[string]string{} // node ids by label
	for _, n := range dag.Nodes {
		if n.NodeType == plan.OutputNode {
			outputs[n.Metadata.Label] = n.ID
		}
		if n.NodeType == plan.DataSourceNode && (n.DatasourceExecution == nil || n.DatasourceExecution.ExecutionState != "completed") {
			t.Errorf("%s has no data source: %+v", n.Metadata.Label, n.DatasourceExecution)
		}
	}
	for label, want := range map[string]struct{ name, part string }{
		"CSVEdges: small.csv": {"small.csv", "1,a,b,"},
		"CSVNodes: short.csv": {"short.csv", "a,Al,"},
		"DOT: small.dot":      {"small.dot", `rankdir="LR"`},
	} {
		if file, content := r.output(t, p, outputs[label]); file != want.name || !strings.Contains(content, want.part) || strings.Contains(content, "2,a,b") {
			t.Errorf("%s is %s: %s", label, file, content)
		}
	}
	_, err = r.Builds.Output(t.Context(), auth.Unchecked(r.actor, p), outputs["Custom: x.txt"], executor.OutputRequest{})
	if f := fault.From(err); f == nil || f.Code != fault.BadRequest || !strings.Contains(f.Message, "Custom") {
		t.Errorf("a template: %v", err)
	}
}

func TestImportOfWhatIsNoPlan(t *testing.T) {
	t.Parallel()
	r := start(t, pgtest.New(t))
	p := r.newProject(t)
	for name, c := range map[string]struct{ yaml, part string }{
		"no YAML":       {"import: [\n", ":"},
		"a wrong value": {"import:\n  profiles: 5\nexport:\n  profiles: []\n", "[2:"},
		"no exports":    {"import:\n  profiles: []\n", "export profiles"},
		"bad format":    {"import:\n  profiles: []\nexport:\n  profiles:\n    - { filename: a, exporter: SVG }\n", "SVG"},
		"empty":         {"", "import profiles"},
	} {
		_, err := r.Builds.Import(t.Context(), auth.Unchecked(r.actor, p), c.yaml, executor.Request{})
		f := fault.From(err)
		if f == nil || f.Code != fault.BadRequest || !strings.HasPrefix(f.Message, "Failed to parse YAML: ") || !strings.Contains(f.Message, c.part) {
			t.Errorf("%s: %v", name, err)
		}
	}
	many := "import: { profiles: [] }\nexport:\n  profiles:\n" + strings.Repeat("    - { filename: a, exporter: GML }\n", 1000)
	if _, err := r.Builds.Import(t.Context(), auth.Unchecked(r.actor, p), many, executor.Request{}); !fault.Is(err, fault.BadRequest) {
		t.Errorf("too many nodes: %v", err)
	}
	if _, err := r.Builds.Import(t.Context(), auth.Unchecked(r.actor, p+1), smallPlan, executor.Request{}); !fault.Is(err, fault.NotFound) {
		t.Errorf("no project: %v", err)
	}
	if dag, err := r.Plans.DAG(t.Context(), auth.Unchecked(r.actor, p)); err != nil || len(dag.Nodes) != 0 || dag.At.Version != 0 {
		t.Errorf("something was done: %+v, %v", dag, err)
	}
}

func TestOutput(t *testing.T) {
	t.Parallel()
	r := start(t, pgtest.New(t))
	p := r.newProject(t,
		node(plan.GraphNode, "g", "{}"), node(plan.OutputNode, "o", `{"renderTarget":"CSVNodes"}`), edge("g", "o"),
		node(plan.GraphNode, "bad", "{}"), node(plan.OutputNode, "bad out", "{}"), edge("bad", "bad out"),
		node(plan.OutputNode, "alone", "{}"), node(plan.DataSourceNode, "nothing", "{}"), node(plan.OutputNode, "of nothing", "{}"),
		edge("nothing", "of nothing"), edge("nothing", "bad"),
	)
	unbuilt := func(id string) error {
		_, err := r.Builds.Output(t.Context(), auth.Unchecked(r.actor, p), id, executor.OutputRequest{})
		return err
	}
	if err := unbuilt("o"); !fault.Is(err, fault.NotFound) || !strings.Contains(err.Error(), "Graph not found for node g") {
		t.Errorf("what was never built: %v", err)
	}
	if err := unbuilt("alone"); !fault.Is(err, fault.BadRequest) {
		t.Errorf("without an input: %v", err)
	}
	if err := unbuilt("of nothing"); !fault.Is(err, fault.BadRequest) {
		t.Errorf("without a data source: %v", err)
	}
	wait := executor.OutputRequest{Execute: true, Request: executor.Request{Wait: 25 * time.Second}}
	if _, err := r.Builds.Output(t.Context(), auth.Unchecked(r.actor, p), "bad out", wait); !fault.Is(err, fault.BadRequest) ||
		!strings.HasPrefix(err.Error(), "Failed to execute graph: ") {
		t.Errorf("a build that fails: %v", err)
	}
	name, content := r.output(t, p, "o")
	if name != "Project.csv" || content != "id,label,layer,is_partition,belongs_to,comment\n" {
		t.Errorf("an empty graph is %s: %q", name, content)
	}
	if err := unbuilt("o"); err != nil {
		t.Errorf("what was built: %v", err)
	}

	// The file of a data source needs no graph.
	r.upload(t, p, "nodes.csv", "id,label\na,Alpha\n")
	sources, err := r.Sources.List(t.Context(), auth.Unchecked(r.actor, p))
	if err != nil {
		t.Fatal(err)
	}
	r.edit(t, p, plan.UpdateNode{ID: "nothing", Config: new(`{"dataSourceId":` + id(sources[0].ID) + `}`)},
		plan.UpdateNode{ID: "of nothing", Config: new(`{"renderTarget":"CSVNodes","outputPath":"all"}`)})
	if name, content := r.output(t, p, "of nothing"); name != "all.csv" || !strings.Contains(content, "a,Alpha") {
		t.Errorf("a table is %s: %s", name, content)
	}
}

// The exports of the published plan, made on the server, are those that the tool published, but for what its table reader did to comments,
// and for the name of the graph.
func TestPublishedOutputs(t *testing.T) {
	t.Parallel()
	const folder = "../planfile/testdata/tiny"
	alike := strings.NewReplacer(`"comment": "null"`, `"comment": null`, `"\"cron\""`, `"cron"`, `""cron""`, `"cron"`, `"""cron"""`, "cron",
		",null\n", ",\n", `"name": "Tiny"`, `"name": "Base Graph"`)
	yaml, err := os.ReadFile(filepath.Join(folder, "plan.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, pgtest.New(t))
	p := r.newProject(t)
	tables := map[string]string{}
	for _, name := range []string{"nodes.csv", "edges.csv", "layers.csv"} {
		text, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		tables[name] = string(text)
	}
	r.upload(t, p, listed(tables)...)
	if _, err := r.Builds.Import(t.Context(), auth.Unchecked(r.actor, p), string(yaml), executor.Request{}); err != nil {
		t.Fatal(err)
	}
	dag, err := r.Plans.DAG(t.Context(), auth.Unchecked(r.actor, p))
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, n := range dag.Nodes {
		if n.NodeType != plan.OutputNode {
			continue
		}
		name, content := r.output(t, p, n.ID)
		want, err := os.ReadFile(filepath.Join(folder, "expected", name))
		if os.IsNotExist(err) {
			continue
		}
		compared++
		if diff := cmp.Diff(alike.Replace(string(want)), alike.Replace(content)); diff != "" {
			t.Errorf("%s: -published +written\n%s", name, diff)
		}
	}
	if compared != 8 {
		t.Errorf("%d outputs were compared", compared)
	}
}

func id(n int32) string { return strconv.Itoa(int(n)) }
