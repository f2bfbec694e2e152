package graph_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"layercake/internal/client"
	"layercake/internal/plan"

	"github.com/google/go-cmp/cmp"
)

const editPlanMutation = `mutation ($projectId: Int!, $edits: [PlanEdit!]!, $note: String, $dryRun: Boolean = false, $opId: String,
	$expectedVersion: Int, $clientId: String) {
	editPlan(projectId: $projectId, edits: $edits, note: $note, dryRun: $dryRun, opId: $opId, expectedVersion: $expectedVersion, clientId: $clientId) {
		version cursor change { projectId version cursor snapshot plan { version } opId clientId actorId actorName actorKind via note undoes timestamp
			operations { kind id index before after } } } }`

// edited is the answer to editPlan.
type edited struct {
	EditPlan struct {
		Version int
		Cursor  string
		Change  *struct {
			Version    int
			Cursor     string
			OpID       *string
			ClientID   *string
			Note       *string
			Via        string
			Operations []struct {
				Kind   string
				ID     string
				Before json.RawMessage
				After  json.RawMessage
			}
		}
	}
}

// kinds are what the operations of a change did, in order.
func (e edited) kinds() (kinds []string) {
	if e.EditPlan.Change != nil {
		for _, op := range e.EditPlan.Change.Operations {
			kinds = append(kinds, op.Kind+" "+op.ID)
		}
	}
	return kinds
}

// editPlan sends edits, as JSON, with further variables.
func (s *site) editPlan(t testing.TB, project int, edits string, more vars) *client.Answer {
	t.Helper()
	v := vars{"projectId": project, "edits": json.RawMessage(edits)}
	maps.Copy(v, more)
	return s.ask(t, editPlanMutation, v)
}

func (s *site) mustEdit(t testing.TB, project int, edits string, more vars) (e edited) {
	t.Helper()
	a := s.editPlan(t, project, edits, more)
	if a.Code() != "" {
		t.Fatalf("%s: %s", edits, a.Text)
	}
	if err := json.Unmarshal(a.Data, &e); err != nil {
		t.Fatal(err)
	}
	return e
}

const (
	nodesAndEdge = `[
		{"addNode": {"id": "a", "nodeType": "GraphNode", "position": {"x": 1, "y": 2}, "metadata": {"label": "A"}, "config": "{}"}},
		{"addNode": {"id": "b", "nodeType": "GraphNode", "position": {"x": 3, "y": 4}, "metadata": {"label": "B", "description": "bee"}, "config": "{}"}},
		{"addEdge": {"id": "ab", "source": "a", "target": "b", "metadata": {"dataType": "GRAPH_DATA"}}}]`
	everyEdit = `[
		{"updateNode": {"id": "a", "updates": {"config": "{\"k\":1}"}, "expected": {"config": "{}", "metadata": {"label": "A"}, "position": null}}},
		{"updateEdge": {"id": "ab", "updates": {"metadata": {"label": "L", "dataType": "GRAPH_DATA"}}, "expected": {"sourceHandle": null}}},
		{"moveNodes": [{"nodeId": "a", "position": {"x": 5, "y": 6}}, {"nodeId": "ghost", "position": {"x": 0, "y": 0}}]},
		{"describe": {"name": "Named", "dependencies": [7]}},
		{"deleteEdge": "ab"}, {"deleteNode": "b"}]`
)

// Edits of every kind are one change, which subscribers of another replica and of the existing client's kind follow, and which can be undone.
func TestEditPlan(t *testing.T) {
	t.Parallel()
	one, two := twoReplicas(t)
	p := one.newProject(t)
	start := one.cursor(t, p) // nobody knows when a subscription has begun
	events, deltas := two.dial(t, nil), two.dial(t, nil)
	follow(t, events, "1", fmt.Sprintf(`subscription { planEvents(projectId: %d, after: %q) { version clientId operations { kind id } } }`,
		p, start))
	follow(t, deltas, "1", fmt.Sprintf(`subscription { planDagDeltaChanged(projectId: %d, after: %q) { version operations { op path value } } }`,
		p, start))
	first := one.mustEdit(t, p, nodesAndEdge, vars{"clientId": "ann", "note": "why", "opId": "op 1"})
	if c := first.EditPlan.Change; first.EditPlan.Version != 1 || c.Version != 1 || c.Cursor != first.EditPlan.Cursor || *c.ClientID != "ann" ||
		*c.OpID != "op 1" || *c.Note != "why" || c.Via != "graphql" {
		t.Errorf("adding answers %+v", first)
	}
	if got := hearUntil(t, events, `"version":1`); !strings.Contains(got, `"clientId":"ann","operations":[{"kind":"NODE_ADDED","id":"a"},{"kind":"NODE_ADDED","id":"b"},{"kind":"EDGE_ADDED","id":"ab"}]`) {
		t.Errorf("subscribers see %s", got)
	}
	want := []string{
		"NODE_UPDATED a", "EDGE_UPDATED ab", "NODE_UPDATED a", fmt.Sprint("PLAN_UPDATED ", one.planOf(t, p)), "EDGE_REMOVED ab", "NODE_REMOVED b",
	}
	dry := one.mustEdit(t, p, everyEdit, vars{"dryRun": true, "opId": "op 2"})
	if diff := cmp.Diff(want, dry.kinds()); diff != "" || dry.EditPlan.Version != 1 || dry.EditPlan.Change.Version != 2 || dry.EditPlan.Cursor != first.EditPlan.Cursor {
		t.Errorf("a dry run answers %+v (-want +got):\n%s", dry, diff)
	}
	done := two.mustEdit(t, p, everyEdit, vars{"opId": "op 2"})
	if diff := cmp.Diff(want, done.kinds()); diff != "" || done.EditPlan.Version != 2 {
		t.Errorf("editing answers %+v (-want +got):\n%s", done, diff)
	}
	if again := one.mustEdit(t, p, everyEdit, vars{"opId": "op 2"}); !cmp.Equal(done, again) {
		t.Errorf("a repeat answers otherwise: %s", cmp.Diff(done, again))
	}
	if got := hearUntil(t, deltas, `"REMOVE"`); !strings.Contains(got, `{"op":"ADD","path":"/metadata/name","value":"Named"}`) {
		t.Errorf("the existing client sees %s", got)
	}
	nothing := one.mustEdit(t, p, `[{"moveNodes": []}, {"describe": {"name": null}}]`, nil)
	if nothing.EditPlan.Change != nil || nothing.EditPlan.Version != 2 || nothing.EditPlan.Cursor != done.EditPlan.Cursor {
		t.Errorf("nothing answers %+v", nothing)
	}
	one.mustTakeBack(t, "undoChange", p, `version: 2`)
	if got := one.dag(t, p); len(got.Nodes) != 2 || len(got.Edges) != 1 || got.Metadata["name"] != fmt.Sprint("Plan for Project ", p) {
		t.Errorf("after the undo: %+v", got)
	}
}

// planOf returns the id of a project's plan.
func (s *site) planOf(t testing.TB, project int) int {
	t.Helper()
	var data struct {
		Project struct{ Plan struct{ ID int } }
	}
	s.must(t, &data, `query ($id: Int!) { project(id: $id) { plan { id } } }`, vars{"id": project})
	return data.Project.Plan.ID
}

// What is wrong with one edit refuses all, and is told with its index.
func TestEditPlanRefuses(t *testing.T) {
	t.Parallel()
	s := online(t)
	p := s.newProject(t)
	s.mustEdit(t, p, nodesAndEdge, nil)
	before := s.dag(t, p)
	const good = `{"deleteEdge": "ab"}`
	for edit, code := range map[string]string{
		`{}`:                                     "BAD_REQUEST",
		`{"deleteNode": null}`:                   "BAD_REQUEST",
		`{"deleteNode": "a", "deleteEdge": "x"}`: "BAD_REQUEST",
		`{"deleteNode": "a", "deleteEdge": null}`: "BAD_REQUEST",
		`{"moveNodes": null}`:                     "BAD_REQUEST",
		`{"deleteNode": "ghost"}`:                 "NOT_FOUND",
		`{"describe": {"name": " "}}`:             "BAD_REQUEST",
		`{"addNode": {"id": "a", "nodeType": "GraphNode", "position": {"x": 1, "y": 2}, "metadata": {"label": "A"}, "config": "{}"}}`: "CONFLICT",
		`{"updateNode": {"id": "a", "updates": {}, "expected": {"metadata": {"label": "x"}}}}`:                                        "CONFLICT",
		`{"updateEdge": {"id": "ab", "updates": {}}}`:                                                                                 "NOT_FOUND",
	} {
		a := s.editPlan(t, p, "["+good+","+edit+"]", nil)
		if len(a.Errors) != 1 || a.Code() != code || fmt.Sprint(a.Errors[0].Extensions["edit"]) != "1" {
			t.Errorf("%s: %s, want %s of edit 1", edit, a.Text, code)
		}
	}
	for what, a := range map[string]*client.Answer{
		"no edits":          s.editPlan(t, p, "[]", nil),
		"too many edits":    s.editPlan(t, p, "["+strings.Repeat(good+",", 500)+good+"]", nil),
		"no member":         s.editPlan(t, p, `[{"explode": true}]`, nil),
		"another version":   s.editPlan(t, p, "["+good+"]", vars{"expectedVersion": 0}),
		"another request":   s.editPlan(t, p, "["+good+"]", vars{"opId": "op", "dryRun": true, "expectedVersion": 9}),
		"no project":        s.editPlan(t, 4711, "["+good+"]", nil),
		"shown twice":       s.ask(t, fmt.Sprintf(`mutation { editPlan(projectId: %d, edits: [{deleteEdge: "ab"}]) { change { version again: version } } }`, p), nil),
		"a literal of two":  s.ask(t, fmt.Sprintf(`mutation { editPlan(projectId: %d, edits: [{deleteEdge: "ab", deleteNode: "a"}]) { version } }`, p), nil),
		"a literal of none": s.ask(t, fmt.Sprintf(`mutation { editPlan(projectId: %d, edits: {}) { version } }`, p), nil),
		"variables of two":  s.ask(t, fmt.Sprintf(`mutation ($a: String) { editPlan(projectId: %d, edits: [{deleteEdge: $a, deleteNode: $a}]) { version } }`, p), vars{"a": "ab"}),
	} {
		if want := map[string]string{"another version": "CONFLICT", "another request": "CONFLICT", "no project": "NOT_FOUND"}[what]; a.Code() != want && (want != "" || a.Code() != "BAD_REQUEST") {
			t.Errorf("%s: %s", what, a.Text)
		}
	}
	if diff := cmp.Diff(before, s.dag(t, p)); diff != "" {
		t.Errorf("what was refused changed the plan: %s", diff)
	}
}

// Parts that are not as an edit expected them are told in the shape of conflicts of undo, with the index of the edit.
func TestEditPlanInConflict(t *testing.T) {
	t.Parallel()
	one, two := twoReplicas(t)
	p := one.newProject(t)
	one.mustEdit(t, p, nodesAndEdge, vars{"clientId": "ann"})
	two.mustEdit(t, p, `[{"updateNode": {"id": "b", "updates": {"metadata": {"label": "Bee"}, "position": {"x": 9, "y": 9}}}}]`, vars{"clientId": "bob"})
	const edits = `[{"deleteEdge": "ab"}, {"updateNode": {"id": "b", "updates": {"config": "{}"},
		"expected": {"metadata": {"label": "B", "description": "bee"}, "position": {"x": 3, "y": 4}, "config": "{}"}}}]`
	for _, dry := range []bool{true, false} {
		a := one.editPlan(t, p, edits, vars{"dryRun": dry})
		if a.Code() != "CONFLICT" || fmt.Sprint(a.Errors[0].Extensions["edit"]) != "1" {
			t.Fatalf("%s", a.Text)
		}
		var told []string
		for _, c := range a.Errors[0].Conflicts() {
			if len(c.ActorNames) != 1 || !slices.Equal(c.Versions, []int64{2}) {
				t.Errorf("%+v", c)
			}
			told = append(told, fmt.Sprintf("%s %s %s: %s, %s", c.Kind, c.ID, c.Part, c.Expected, c.Current))
		}
		want := []string{
			`NODE_UPDATED b position: {"x":3,"y":4}, {"x":9,"y":9}`,
			`NODE_UPDATED b metadata: {"description":"bee","label":"B"}, {"description":null,"label":"Bee"}`,
		}
		if diff := cmp.Diff(want, told); diff != "" || strings.Count(string(a.Text), `"edit":1`) != 3 {
			t.Errorf("%s (-want +got):\n%s", a.Text, diff)
		}
	}
}

// The rules are those by which changes are judged.
func TestNodeTypes(t *testing.T) {
	t.Parallel()
	var got struct {
		NodeTypes []struct {
			NodeType              string
			Does                  string
			MinInputs             int
			MaxInputs, MaxOutputs *int
			LeadsTo               []string
			ConfigSchema, Example map[string]any
		}
	}
	online(t).must(t, &got, `{ nodeTypes { nodeType does minInputs maxInputs maxOutputs leadsTo configSchema example } }`, nil)
	var words []string
	for i, n := range got.NodeTypes {
		most := func(n *int) any {
			if n == nil {
				return "any"
			}
			return *n
		}
		words = append(words, fmt.Sprint(n.NodeType, " ", n.MinInputs, " ", most(n.MaxInputs), " ", most(n.MaxOutputs), " ", len(n.LeadsTo)))
		if info := plan.NodeTypes()[i]; n.Does != info.Does || n.ConfigSchema["type"] != "object" || len(n.Example) == 0 {
			t.Errorf("%+v is not as %+v", n, info)
		}
	}
	want := []string{"DataSourceNode 0 0 any 4", "GraphNode 0 any any 4", "TransformNode 1 1 any 5", "MergeNode 2 any any 5", "CopyNode 1 1 1 3", "OutputNode 1 1 0 0"}
	if diff := cmp.Diff(want, words); diff != "" {
		t.Error(diff)
	}
}
