package plan_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"layercake/internal/auth"
	"layercake/internal/fault"
	"layercake/internal/plan"
	"layercake/internal/postgres/pgtest"

	"github.com/google/go-cmp/cmp"
)

func TestChange(t *testing.T) {
	t.Parallel()
	r, p := newProject(t)
	if v := r.dag(t, p).At.Version; v != 0 {
		t.Fatalf("a plan is born at version %d, want 0", v)
	}

	added := r.change(t, p, plan.AddNode{Node: node("a", plan.DataSourceNode)})
	if added.At.Version != 1 || len(added.Nodes) != 1 || added.Nodes[0].ID != "a" || added.Nodes[0].CreatedAt.IsZero() {
		t.Errorf("result of adding = %+v", added)
	}
	r.change(t, p, plan.AddNode{Node: node("b", plan.GraphNode)}, plan.AddNode{Node: node("c", plan.OutputNode)})
	r.change(t, p, plan.AddEdge{Edge: edge("ab", "a", "b")}, plan.AddEdge{Edge: edge("bc", "b", "c")})
	label, config := "Bee", `{"isReference": true}`
	r.change(t, p, plan.UpdateNode{
		ID: "b", Position: &plan.Position{X: 1.5, Y: -2}, Metadata: &plan.NodeMetadata{Label: label}, Config: &config,
	})
	side := "right"
	moved := r.change(t, p, plan.MoveNodes{Moves: []plan.Move{
		{ID: "ghost", Position: plan.Position{X: 9}},
		{ID: "c", Position: plan.Position{X: 7, Y: 8}, SourcePosition: &side},
	}})
	if len(moved.Nodes) != 1 || moved.Nodes[0].ID != "c" {
		t.Errorf("a batch move answers %v, want node c alone", moved.Nodes)
	}
	r.change(t, p, plan.UpdateEdge{ID: "ab", SourceHandle: &side, Metadata: &plan.EdgeMetadata{Label: &label, DataType: plan.GraphReference}})

	dag := r.dag(t, p)
	if dag.At.Version != 6 {
		t.Errorf("version = %d, want 6", dag.At.Version)
	}
	want := map[string]string{"a": "a", "b": "Bee", "c": "c"}
	for i, id := range []string{"a", "b", "c"} {
		if n := dag.Nodes[i]; n.ID != id || n.Metadata.Label != want[id] {
			t.Errorf("node %d = %s %q, want %s %q", i, n.ID, n.Metadata.Label, id, want[id])
		}
	}
	if n := dag.Nodes[1]; n.Config != config || n.Position != (plan.Position{X: 1.5, Y: -2}) {
		t.Errorf("node b = %+v: config keeps its bytes and the position is exact", n)
	}
	if e := dag.Edges[0]; e.SourceHandle == nil || *e.SourceHandle != "right" || e.Metadata.DataType != plan.GraphReference {
		t.Errorf("edge ab = %+v", e)
	}

	deleted := r.change(t, p, plan.DeleteNode{ID: "b"})
	if len(deleted.Nodes) != 1 || deleted.Nodes[0].Metadata.Label != "Bee" || len(deleted.Edges) != 2 {
		t.Errorf("deleting b answers %+v, want it as it was with its two edges", deleted)
	}
	dag = r.dag(t, p)
	if len(dag.Nodes) != 2 || len(dag.Edges) != 0 {
		t.Errorf("after deleting b: %d nodes and %d edges, want 2 and 0", len(dag.Nodes), len(dag.Edges))
	}
}

func TestChangeThatChangesNothingIsNoEvent(t *testing.T) {
	t.Parallel()
	r, p := newProject(t)
	r.change(t, p, plan.AddNode{Node: node("a", plan.GraphNode)})
	same := r.change(t, p, plan.UpdateNode{ID: "a", Position: &plan.Position{}})
	if same.Event != nil || same.At.Version != 1 || len(same.Nodes) != 1 {
		t.Errorf("result = %+v, want version 1, no event and the node", same)
	}
	skipped := r.change(t, p, plan.MoveNodes{Moves: []plan.Move{{ID: "ghost"}}})
	if skipped.Event != nil || skipped.At.Version != 1 || len(skipped.Nodes) != 0 {
		t.Errorf("result = %+v, want version 1 and nothing else", skipped)
	}
	if v := r.dag(t, p).At.Version; v != 1 {
		t.Errorf("version = %d, want 1", v)
	}
}

func TestChangeRefuses(t *testing.T) {
	t.Parallel()
	r, p := newProject(t)
	r.change(t, p,
		plan.AddNode{Node: node("source", plan.DataSourceNode)}, plan.AddNode{Node: node("graph", plan.GraphNode)},
		plan.AddNode{Node: node("graph2", plan.GraphNode)}, plan.AddNode{Node: node("transform", plan.TransformNode)},
		plan.AddNode{Node: node("copy", plan.CopyNode)}, plan.AddNode{Node: node("output", plan.OutputNode)},
		plan.AddEdge{Edge: edge("1", "source", "graph")}, plan.AddEdge{Edge: edge("2", "graph", "graph2")},
		plan.AddEdge{Edge: edge("3", "graph2", "transform")}, plan.AddEdge{Edge: edge("4", "graph", "copy")},
		plan.AddEdge{Edge: edge("5", "copy", "output")})
	before := r.dag(t, p)

	withConfig := func(config string) plan.Node { n := node("new", plan.GraphNode); n.Config = config; return n }
	withLabel := func(label string) plan.Node { n := node("new", plan.GraphNode); n.Metadata.Label = label; return n }
	at := func(x float64) plan.Node { n := node("new", plan.GraphNode); n.Position.X = x; return n }
	nan := func() float64 { zero := 0.0; return zero / zero }()
	long := strings.Repeat("x", 201)
	for name, c := range map[string]struct {
		edit    plan.Edit
		code    fault.Code
		message string
	}{
		"node id taken":          {plan.AddNode{Node: node("graph", plan.GraphNode)}, fault.Conflict, "A node with this id already exists"},
		"edge id taken":          {plan.AddEdge{Edge: edge("1", "source", "graph2")}, fault.Conflict, "An edge with this id already exists"},
		"empty id":               {plan.AddNode{Node: node("", plan.GraphNode)}, fault.BadRequest, "Node id is empty"},
		"id too long":            {plan.AddNode{Node: node(long, plan.GraphNode)}, fault.BadRequest, "Node id is too long"},
		"id that does not print": {plan.AddNode{Node: node("a\x00b", plan.GraphNode)}, fault.BadRequest, "Node id contains a character that cannot be printed"},
		"unknown type":           {plan.AddNode{Node: node("new", "Sink")}, fault.BadRequest, "Unknown node type"},
		"config is text":         {plan.AddNode{Node: withConfig("hello")}, fault.BadRequest, "Node config is not valid JSON"},
		"config is a list":       {plan.AddNode{Node: withConfig("[]")}, fault.BadRequest, "Node config is not valid JSON"},
		"config is null":         {plan.AddNode{Node: withConfig("null")}, fault.BadRequest, "Node config is not valid JSON"},
		"config goes on":         {plan.AddNode{Node: withConfig("{} {}")}, fault.BadRequest, "Node config is not valid JSON"},
		"config with a NUL":      {plan.AddNode{Node: withConfig(`{"a":["\u0000"]}`)}, fault.BadRequest, "Node config contains a NUL character"},
		"config too long":        {plan.AddNode{Node: withConfig(`{"a":"` + strings.Repeat("x", 100_000) + `"}`)}, fault.BadRequest, "Node config is too long"},
		"label too long":         {plan.AddNode{Node: withLabel(long)}, fault.BadRequest, "Node label is too long"},
		"label with a NUL":       {plan.AddNode{Node: withLabel("a\x00")}, fault.BadRequest, "Node label contains a NUL character"},
		"label with an override": {plan.AddNode{Node: withLabel("a\u202eb")}, fault.BadRequest, "Node label may not contain the character U+202E"},
		"label of an edge with a return": {
			plan.UpdateEdge{ID: "1", Metadata: &plan.EdgeMetadata{Label: new("a\r"), DataType: plan.GraphData}},
			fault.BadRequest, "Edge label may not contain the character U+000D",
		},
		"description with a tag": {
			plan.UpdateNode{ID: "graph", Metadata: &plan.NodeMetadata{Description: new("a\U000e0041")}},
			fault.BadRequest, "Node description may not contain the character U+E0041",
		},
		"name with a line feed": {plan.UpdatePlan{Name: "a\nb"}, fault.BadRequest, "Plan name may not contain the character U+000A"},
		"position far away":     {plan.AddNode{Node: at(100_001)}, fault.BadRequest, "Node position is out of range"},
		"position is no number": {plan.AddNode{Node: at(nan)}, fault.BadRequest, "Node position is out of range"},
		"self-loop":             {plan.AddEdge{Edge: edge("new", "graph", "graph")}, fault.BadRequest, "Edge must connect two different nodes"},
		"source missing":        {plan.AddEdge{Edge: edge("new", "ghost", "graph")}, fault.BadRequest, "Edge refers to a node that does not exist"},
		"target missing":        {plan.AddEdge{Edge: edge("new", "graph", "ghost")}, fault.BadRequest, "Edge refers to a node that does not exist"},
		"second edge":           {plan.AddEdge{Edge: edge("new", "source", "graph")}, fault.BadRequest, "This connection is not allowed"},
		"short cycle":           {plan.AddEdge{Edge: edge("new", "graph2", "graph")}, fault.BadRequest, "Edge would create a cycle"},
		"long cycle":            {plan.AddEdge{Edge: edge("new", "transform", "graph")}, fault.BadRequest, "Edge would create a cycle"},
		"pair not allowed":      {plan.AddEdge{Edge: edge("new", "graph", "source")}, fault.BadRequest, "Edge would create a cycle"},
		"output leads nowhere":  {plan.AddEdge{Edge: edge("new", "output", "graph2")}, fault.BadRequest, "This connection is not allowed"},
		"second input":          {plan.AddEdge{Edge: edge("new", "graph", "transform")}, fault.BadRequest, "This connection is not allowed"},
		"second output of copy": {plan.AddEdge{Edge: edge("new", "copy", "graph2")}, fault.BadRequest, "This connection is not allowed"},
		"unknown data type":     {plan.AddEdge{Edge: plan.Edge{ID: "new", Source: "source", Target: "graph2"}}, fault.BadRequest, "Unknown data type"},
		"update ghost":          {plan.UpdateNode{ID: "ghost"}, fault.NotFound, "Node not found"},
		"delete ghost":          {plan.DeleteNode{ID: "ghost"}, fault.NotFound, "Node not found"},
		"update ghost edge":     {plan.UpdateEdge{ID: "ghost"}, fault.NotFound, "Edge not found"},
		"delete ghost edge":     {plan.DeleteEdge{ID: "ghost"}, fault.NotFound, "Edge not found"},
		"create a written plan": {plan.UpdatePlan{Name: "n", Create: true}, fault.Conflict, "The project already has a plan"},
		"plan without a name":   {plan.UpdatePlan{Name: " "}, fault.BadRequest, "Plan name cannot be empty"},
		"old replacement":       {plan.Replace{Base: "1.0"}, fault.Conflict, "The plan has changed"},
	} {
		t.Run(name, func(t *testing.T) {
			// A good edit before the bad one shows that a change happens as a whole or not at all.
			good := plan.AddNode{Node: node("good", plan.GraphNode)}
			_, err := r.plans.Change(t.Context(), auth.Unchecked(r.actor, p), plan.Change{Edits: []plan.Edit{good, c.edit}})
			if f := fault.From(err); f == nil || f.Code != c.code || f.Message != c.message {
				t.Fatalf("error = %v (%v), want %s %q", err, errors.Unwrap(err), c.code, c.message)
			}
		})
	}
	if diff := cmp.Diff(before, r.dag(t, p)); diff != "" {
		t.Errorf("refused changes left traces (-before +after):\n%s", diff)
	}
	for range 3 {
		if _, err := r.plans.Change(t.Context(), auth.Unchecked(r.actor, p+999), plan.Change{Edits: []plan.Edit{plan.RemoveAll{}}}); !fault.Is(err, fault.NotFound) {
			t.Errorf("change of a project that does not exist: %v, want NOT_FOUND", err)
		}
	}
}

func TestChangeNamesTheCycle(t *testing.T) {
	t.Parallel()
	r, p := newProject(t)
	for _, id := range []string{"a", "b", "c", "d"} {
		r.change(t, p, plan.AddNode{Node: node(id, plan.GraphNode)})
	}
	r.change(t, p, plan.AddEdge{Edge: edge("ab", "a", "b")}, plan.AddEdge{Edge: edge("bc", "b", "c")}, plan.AddEdge{Edge: edge("bd", "b", "d")})
	_, err := r.plans.Change(t.Context(), auth.Unchecked(r.actor, p), plan.Change{Edits: []plan.Edit{plan.AddEdge{Edge: edge("ca", "c", "a")}}})
	f := fault.From(err)
	if f == nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"c", "a", "b", "c"}, f.Details["detail"]); diff != "" {
		t.Errorf("path of the cycle (-want +got):\n%s", diff)
	}
}

func TestOperationID(t *testing.T) {
	t.Parallel()
	r, p := newProject(t)
	add := plan.Change{OpID: "op-1", Via: "test", Edits: []plan.Edit{plan.AddNode{Node: node("a", plan.GraphNode)}}}
	once, err := r.plans.Change(t.Context(), auth.Unchecked(r.actor, p), add)
	if err != nil {
		t.Fatal(err)
	}
	r.change(t, p, plan.UpdateNode{ID: "a", Position: &plan.Position{X: 5}})
	again, err := r.plans.Change(t.Context(), auth.Unchecked(r.actor, p), add)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(once, again); diff != "" {
		t.Errorf("the same request again got another answer (-first +again):\n%s", diff)
	}
	if v := r.dag(t, p).At.Version; v != 2 {
		t.Errorf("version = %d, want 2: the repeat is no change", v)
	}
	other := plan.Change{OpID: "op-1", Edits: []plan.Edit{plan.AddNode{Node: node("b", plan.GraphNode)}}}
	if _, err := r.plans.Change(t.Context(), auth.Unchecked(r.actor, p), other); !fault.Is(err, fault.BadRequest) {
		t.Errorf("another request under the same id: %v, want BAD_REQUEST", err)
	}
	second := r.create(t)
	if _, err := r.plans.Change(t.Context(), auth.Unchecked(r.actor, second), add); err != nil {
		t.Errorf("the same id in another project: %v", err)
	}
}

func TestExpectedVersion(t *testing.T) {
	t.Parallel()
	r, p := newProject(t)
	at := func(v int64) plan.Change {
		return plan.Change{Expected: &v, Edits: []plan.Edit{plan.AddNode{Node: node(fmt.Sprint("n", v), plan.GraphNode)}}}
	}
	for v := range int64(3) {
		if _, err := r.plans.Change(t.Context(), auth.Unchecked(r.actor, p), at(v)); err != nil {
			t.Fatalf("expecting the current version %d: %v", v, err)
		}
	}
	_, err := r.plans.Change(t.Context(), auth.Unchecked(r.actor, p), at(1))
	f := fault.From(err)
	if f == nil || f.Code != fault.Conflict || f.Details["currentVersion"] != int64(3) || f.Details["expectedVersion"] != int64(1) {
		t.Errorf("expecting an old version: %v %v", err, f)
	}
}

func TestReplace(t *testing.T) {
	t.Parallel()
	r, p := newProject(t)
	side := "right"
	first := node("a", plan.GraphNode)
	r.change(t, p, plan.Replace{Base: "1.0.0", Nodes: []plan.Node{first, node("b", plan.TransformNode), node("c", plan.OutputNode)}, Edges: []plan.Edge{edge("ab", "a", "b"), edge("bc", "b", "c")}})
	r.change(t, p, plan.UpdateEdge{ID: "ab", SourceHandle: &side})
	first.Metadata.Label = "first"
	r.change(t, p, plan.Replace{Base: "2", Nodes: []plan.Node{node("d", plan.OutputNode), first, node("b", plan.TransformNode)}, Edges: []plan.Edge{edge("ab", "a", "b"), edge("bc", "b", "d")}})
	dag := r.dag(t, p)
	if ids := fmt.Sprint(dag.Nodes[0].ID, dag.Nodes[1].ID, dag.Nodes[2].ID); ids != "abd" {
		t.Errorf("nodes = %s: what stays keeps its place, what is new comes last", ids)
	}
	if dag.Nodes[0].Metadata.Label != "first" {
		t.Errorf("label = %q, want first", dag.Nodes[0].Metadata.Label)
	}
	if h := dag.Edges[0].SourceHandle; h == nil || *h != side {
		t.Error("a submission without handles cleared one")
	}
	if e := dag.Edges[1]; e.ID != "bc" || e.Target != "d" {
		t.Errorf("edge bc leads to %s, want d", e.Target)
	}
	for name, bad := range map[string]plan.Replace{
		"cycle":              {Base: "3", Nodes: []plan.Node{first, node("x", plan.GraphNode)}, Edges: []plan.Edge{edge("1", "a", "x"), edge("2", "x", "a")}},
		"id twice":           {Base: "3", Nodes: []plan.Node{first, first}},
		"end missing":        {Base: "3", Nodes: []plan.Node{first}, Edges: []plan.Edge{edge("1", "a", "ghost")}},
		"type under an edge": {Base: "3", Nodes: []plan.Node{node("a", plan.OutputNode), node("b", plan.TransformNode), node("d", plan.OutputNode)}, Edges: []plan.Edge{edge("ab", "a", "b"), edge("bc", "b", "d")}},
	} {
		if _, err := r.plans.Change(t.Context(), auth.Unchecked(r.actor, p), plan.Change{Edits: []plan.Edit{bad}}); fault.From(err) == nil {
			t.Errorf("%s: error = %v, want a refusal", name, err)
		}
	}
	r.change(t, p, plan.RemoveAll{})
	if dag := r.dag(t, p); len(dag.Nodes)+len(dag.Edges) != 0 || dag.At.Version != 4 {
		t.Errorf("after clearing: %d nodes, %d edges, version %d", len(dag.Nodes), len(dag.Edges), dag.At.Version)
	}
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	r, p := newProject(t)
	r.change(t, p, plan.UpdatePlan{Name: " Mine ", YAMLContent: "meta: {}", Dependencies: []int32{3, 4}, Create: true})
	got, err := r.plans.OfProject(t.Context(), auth.Unchecked(r.actor, p))
	if err != nil {
		t.Fatal(err)
	}
	if got.Name != "Mine" || got.Status != "pending" || got.YAMLContent != "meta: {}" || len(got.Dependencies) != 2 {
		t.Errorf("plan = %+v", got)
	}
	if same := r.change(t, p, plan.UpdatePlan{Name: "Mine", YAMLContent: "meta: {}", Dependencies: []int32{3, 4}}); same.Event != nil {
		t.Error("describing a plan as it is was an event")
	}
	if listed, err := r.plans.OfProjects(t.Context(), []auth.Access{auth.Unchecked(r.actor, p)}, false); err != nil || listed[p].Name != "Mine" || listed[p].YAMLContent != "" {
		t.Errorf("without YAML: %+v, %v", listed, err)
	}
}

// Older releases let every character in. Such texts stay, and whoever moves their nodes, or submits the plan as it is, is not refused.
func TestHiddenCharactersOfOlderReleasesStay(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	r := startReplica(t, url, 0)
	p := r.create(t)
	r.change(t, p, plan.AddNode{Node: node("a", plan.DataSourceNode)}, plan.AddNode{Node: node("b", plan.GraphNode)},
		plan.AddEdge{Edge: edge("ab", "a", "b")}, plan.UpdatePlan{Name: "Plan"})
	const hidden = "a\u202eb"
	conn := pgtest.Connect(t, url)
	pgtest.Exec(t, conn, "UPDATE plan_nodes SET label = $1, description = $1", hidden)
	pgtest.Exec(t, conn, "UPDATE plan_edges SET label = $1", hidden)
	pgtest.Exec(t, conn, "UPDATE plans SET name = $1", hidden)

	config, handle := `{"a":1}`, "left"
	r.change(t, p, plan.MoveNodes{Moves: []plan.Move{{ID: "a", Position: plan.Position{X: 1}}}})
	r.change(t, p, plan.UpdateNode{ID: "a", Config: &config})
	r.change(t, p, plan.UpdateEdge{ID: "ab", SourceHandle: &handle})
	r.change(t, p, plan.UpdatePlan{Name: hidden, YAMLContent: "a: 1"})
	dag := r.dag(t, p)
	dag.Nodes[1].Position.Y = 2
	r.change(t, p, plan.Replace{Base: strconv.FormatInt(dag.At.Version, 10), Nodes: dag.Nodes, Edges: dag.Edges})
	if got := r.dag(t, p); got.At.Version != dag.At.Version+1 || got.Nodes[0].Metadata.Label != hidden || *got.Edges[0].Metadata.Label != hidden {
		t.Errorf("the plan is %+v", got)
	}

	dag.Nodes[1].Metadata.Label = "c\u2066"
	for name, edit := range map[string]plan.Edit{
		"another label":           plan.UpdateNode{ID: "a", Metadata: &plan.NodeMetadata{Label: hidden + "c"}},
		"the label, on another":   plan.AddNode{Node: plan.Node{ID: "c", NodeType: plan.GraphNode, Metadata: plan.NodeMetadata{Label: hidden}}},
		"a label in a submission": plan.Replace{Base: strconv.FormatInt(r.dag(t, p).At.Version, 10), Nodes: dag.Nodes, Edges: dag.Edges},
	} {
		if _, err := r.plans.Change(t.Context(), auth.Unchecked(r.actor, p), plan.Change{Via: "test", Edits: []plan.Edit{edit}}); !fault.Is(err, fault.BadRequest) {
			t.Errorf("%s: %v, want %s", name, err, fault.BadRequest)
		}
	}
}
