package plan_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"layercake/internal/auth"
	"layercake/internal/fault"
	"layercake/internal/plan"

	"github.com/google/go-cmp/cmp"
)

var agent = auth.Agent("test", "test", "Agent")

// parsed reads texts of operations, which must be right.
func parsed(t testing.TB, texts ...string) []plan.Edit {
	t.Helper()
	edits, err := plan.ParseOperations(json.RawMessage("[" + strings.Join(texts, ",") + "]"))
	if err != nil {
		t.Fatalf("%v: %v", err, fault.From(err).Details)
	}
	return edits
}

// edit makes a change of operations that must succeed.
func (r *replica) edit(t testing.TB, project int32, texts ...string) plan.Result {
	t.Helper()
	as := *r
	as.actor = agent
	return as.change(t, project, parsed(t, texts...)...)
}

// refused makes a change of operations that must be refused, and returns the fault.
func (r *replica) refused(t testing.TB, project int32, texts ...string) *fault.Error {
	t.Helper()
	_, err := r.plans.Change(t.Context(), auth.Unchecked(agent, project), plan.Change{Edits: parsed(t, texts...)})
	f := fault.From(err)
	if f == nil {
		t.Fatalf("%v: %v, want a fault", texts, err)
	}
	return f
}

func TestOperations(t *testing.T) {
	t.Parallel()
	r, p := newProject(t)
	r.addSource(t, p, 3)
	added := r.edit(t, p,
		`{"op":"add_node","id":"in","node_type":"DataSourceNode","label":"Input","description":"A table","config":{"dataSourceId":3},"x":10,"y":20}`,
		`{"op":"add_node","id":"g","node_type":"GraphNode","label":"Graph","x":100,"y":2}`,
		`{"op":"add_node","id":"out","node_type":"OutputNode"}`,
		`{"op":"add_edge","id":"e","source":"in","target":"g"}`,
		`{"op":"add_edge","source":"g","target":"out","label":"all"}`,
	)
	made := added.Edges[1].ID
	if made == "" || !strings.HasPrefix(made, "edge-") {
		t.Errorf("the server made the id %q", made)
	}
	want := []string{
		`in DataSourceNode "Input" "A table" {"dataSourceId":3} at 10 20`, `g GraphNode "Graph" "" {} at 100 2`,
		`out OutputNode "out" "" {} at 300 2`, "in>g e GRAPH_DATA", "g>out " + made + " GRAPH_REFERENCE all",
	}
	if diff := cmp.Diff(want, elements(r.dag(t, p))); diff != "" {
		t.Errorf("after adding (-want +got):\n%s", diff)
	}
	r.edit(t, p,
		`{"op":"update_node","id":"in","label":"Table","description":"","config":{"filename":"a<b.csv"}}`,
		`{"op":"move_node","id":"g","x":5,"y":6}`,
		`{"op":"update_edge","source":"g","target":"out","label":"","data_type":"GRAPH_DATA"}`,
		`{"op":"delete_edge","source":"in","target":"g"}`,
	)
	want = []string{
		`in DataSourceNode "Table" "" {"dataSourceId":3,"filename":"a<b.csv"} at 10 20`, `g GraphNode "Graph" "" {} at 5 6`,
		`out OutputNode "out" "" {} at 300 2`, "g>out " + made + " GRAPH_DATA",
	}
	if diff := cmp.Diff(want, elements(r.dag(t, p))); diff != "" {
		t.Errorf("after updating (-want +got):\n%s", diff)
	}
	r.edit(t, p, `{"op":"delete_edge","id":"`+made+`","source":"g","target":"out"}`, `{"op":"delete_node","id":"out"}`, `{"op":"delete_node","id":"g"}`)
	if diff := cmp.Diff(want[:1], elements(r.dag(t, p))); diff != "" {
		t.Errorf("after deleting (-want +got):\n%s", diff)
	}
	if same := r.edit(t, p, `{"op":"update_node","id":"in","label":"Table","config":{"dataSourceId":3,"none":null}}`); same.Event != nil {
		t.Errorf("what changes nothing is an event: %s", encoded(same.Event.Operations))
	}
}

// elements are those of a plan, in a few words.
func elements(dag plan.DAG) []string {
	var words []string
	for _, n := range dag.Nodes {
		description := ""
		if n.Metadata.Description != nil {
			description = *n.Metadata.Description
		}
		words = append(words, fmt.Sprintf("%s %s %q %q %s at %v %v",
			n.ID, n.NodeType, n.Metadata.Label, description, n.Config, n.Position.X, n.Position.Y))
	}
	for _, e := range dag.Edges {
		label := ""
		if e.Metadata.Label != nil {
			label = " " + *e.Metadata.Label
		}
		words = append(words, fmt.Sprintf("%s>%s %s %s%s", e.Source, e.Target, e.ID, e.Metadata.DataType, label))
	}
	return words
}

func encoded(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// Two agents that set different keys of a config, having seen the same plan, both succeed.
func TestConfigsAreMerged(t *testing.T) {
	t.Parallel()
	r, p := newProject(t)
	r.edit(t, p, `{"op":"add_node","id":"out","node_type":"OutputNode","config":{"renderTarget":"DOT","renderConfig":{"orientation":"LR"}}}`)
	r.edit(t, p, `{"op":"update_node","id":"out","config":{"renderConfig":{"containNodes":true}}}`)
	r.edit(t, p, `{"op":"update_node","id":"out","config":{"renderTarget":null,"outputPath":"a.dot"}}`)
	want := `{"outputPath":"a.dot","renderConfig":{"containNodes":true,"orientation":"LR"}}`
	if got := r.dag(t, p).Nodes[0].Config; got != want {
		t.Errorf("config = %s, want %s", got, want)
	}
	blanks := node("blanks", plan.GraphNode)
	blanks.Config = `{ "b": [1, 2], "a": 1 }`
	r.change(t, p, plan.AddNode{Node: blanks})
	if same := r.edit(t, p, `{"op":"update_node","id":"blanks","config":{"b":[1,2],"c":null}}`); same.Event != nil {
		t.Errorf("a merge that changes nothing is an event: %s", encoded(same.Event.Operations))
	}
	deep := strings.Repeat(`{"a":`, 63) + "{}" + strings.Repeat("}", 63)
	r.edit(t, p, `{"op":"update_node","id":"out","config":`+deep+`}`)
	long := fmt.Sprintf(`{"op":"update_node","id":"out","config":{"b":%q}}`, strings.Repeat("x", 99_900))
	if f := r.refused(t, p, long); f.Code != fault.BadRequest || f.Message != "Node config is too long" {
		t.Errorf("a config that becomes too long: %v", f)
	}
	if f := r.refused(t, p, `{"op":"update_node","id":"out","config":{"b":"\u0000"}}`); f.Code != fault.BadRequest {
		t.Errorf("a config that gets a NUL: %v", f)
	}
}

// A refusal names the operation, and nothing of the request is done.
func TestOperationsAreRefusedTogether(t *testing.T) {
	t.Parallel()
	r, p := newProject(t)
	r.edit(t, p, `{"op":"add_node","id":"a","node_type":"GraphNode"}`, `{"op":"add_node","id":"b","node_type":"GraphNode"}`,
		`{"op":"add_node","id":"c","node_type":"CopyNode"}`, `{"op":"add_edge","id":"ab","source":"a","target":"b"}`)
	before := r.dag(t, p)
	for name, c := range map[string]struct {
		text    string
		code    fault.Code
		message string
		detail  any
	}{
		"node that is not there":     {`{"op":"update_node","id":"ghost","label":"x"}`, fault.NotFound, "Node not found", "ghost"},
		"moved node not there":       {`{"op":"move_node","id":"ghost","x":1,"y":1}`, fault.NotFound, "Node not found", "ghost"},
		"deleted node not there":     {`{"op":"delete_node","id":"ghost"}`, fault.NotFound, "Node not found", "ghost"},
		"edge that is not there":     {`{"op":"delete_edge","id":"ghost"}`, fault.NotFound, "Edge not found", "ghost"},
		"edge by ends not there":     {`{"op":"delete_edge","source":"b","target":"a"}`, fault.NotFound, "Edge not found", map[string]any{"source": "b", "target": "a"}},
		"edge of nodes not there":    {`{"op":"update_edge","source":"x","target":"y","label":"l"}`, fault.NotFound, "Edge not found", map[string]any{"source": "x", "target": "y"}},
		"edge that has other ends":   {`{"op":"update_edge","id":"ab","source":"a","target":"c","label":"l"}`, fault.BadRequest, "The edge has other ends, which cannot be changed: delete it and add another one", map[string]any{"id": "ab", "source": "a", "target": "b"}},
		"edge from nowhere":          {`{"op":"add_edge","source":"ghost","target":"a"}`, fault.BadRequest, "Edge refers to a node that does not exist", "ghost"},
		"second edge":                {`{"op":"add_edge","source":"a","target":"b"}`, fault.BadRequest, "This connection is not allowed", `the edge "ab" already connects these nodes`},
		"unknown type":               {`{"op":"add_node","node_type":"Sink"}`, fault.BadRequest, "Unknown node type", plan.NodeType("Sink")},
		"unknown data type":          {`{"op":"update_edge","id":"ab","data_type":"X"}`, fault.BadRequest, "Unknown data type", plan.DataType("X")},
		"id that is taken":           {`{"op":"add_node","id":"b","node_type":"GraphNode"}`, fault.Conflict, "A node with this id already exists", "b"},
		"id that cannot be stored":   {`{"op":"delete_edge","source":"a\u0000","target":"b"}`, fault.NotFound, "Edge not found", map[string]any{"source": "a\x00", "target": "b"}},
		"place that is out of range": {`{"op":"move_node","id":"a","x":1e6,"y":1}`, fault.BadRequest, "Node position is out of range", map[string]any{"axis": "x", "value": "1e+06", "limit": 100_000}},
	} {
		f := r.refused(t, p, `{"op":"update_node","id":"a","label":"changed"}`, c.text)
		if f.Code != c.code || f.Message != c.message || f.Details["operation"] != 1 {
			t.Errorf("%s: %s %q with %v", name, f.Code, f.Message, f.Details)
		}
		if diff := cmp.Diff(c.detail, f.Details["detail"]); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if after := r.dag(t, p); !cmp.Equal(before, after) {
		t.Errorf("something was done: %s", cmp.Diff(before, after))
	}
}

func TestParseOperationsRefuses(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat(`{"a":`, 64) + "{}" + strings.Repeat("}", 64)
	for text, want := range map[string]struct{ path, message string }{
		`{"op":"add_node","node_type":"GraphNode","note":"x"}`:            {"/note", `add_node does not take "note"`},
		`{"op":"add_node","node_type":"GraphNode","Label":"x"}`:           {"/Label", `add_node does not take "Label"`},
		`{"op":"delete_node","id":"a","a/b~":1}`:                          {"/a~1b~0", `delete_node does not take "a/b~"`},
		`{"op":"update_node","id":"a","node_type":"GraphNode"}`:           {"/node_type", `update_node does not take "node_type"`},
		`{"op":"add","id":"a"}`:                                           {"/op", `"add" is no operation`},
		`{"id":"a"}`:                                                      {"/op", `An operation needs "op"`},
		`{"op":7}`:                                                        {"/op", `"op" must be a text`},
		`{"op":"add_node","label":"x"}`:                                   {"/node_type", `add_node needs "node_type"`},
		`{"op":"update_node","label":"x"}`:                                {"/id", `update_node needs "id"`},
		`{"op":"update_node","id":"a"}`:                                   {"", "update_node needs something to change: label, description, config, or x and y"},
		`{"op":"update_node","id":"a","x":1}`:                             {"/y", "A position needs both x and y"},
		`{"op":"add_node","node_type":"GraphNode","y":1}`:                 {"/x", "A position needs both x and y"},
		`{"op":"add_node","node_type":"GraphNode","x":"1","y":1}`:         {"/x", `"x" must be a number`},
		`{"op":"add_node","node_type":"GraphNode","x":1e999,"y":1}`:       {"/x", `"x" must be a number`},
		`{"op":"move_node","id":"a","x":1}`:                               {"/y", `move_node needs "y"`},
		`{"op":"add_node","node_type":"GraphNode","label":null}`:          {"/label", `"label" must be a text`},
		`{"op":"add_node","node_type":"GraphNode","config":"{}"}`:         {"/config", `"config" must be an object`},
		`{"op":"add_node","node_type":"GraphNode","config":null}`:         {"/config", `"config" must be an object`},
		`{"op":"add_node","node_type":"GraphNode","config":` + deep + "}": {"/config", "Node config is nested too deeply"},
		`{"op":"update_node","id":"a","config":` + deep + "}":             {"/config", "Node config is nested too deeply"},
		`{"op":"add_edge","source":"a"}`:                                  {"/target", `add_edge needs "target"`},
		`{"op":"add_edge","source":"","target":"b"}`:                      {"/source", `add_edge needs "source"`},
		`{"op":"update_edge","id":"a"}`:                                   {"", "update_edge needs something to change: label or data_type"},
		`{"op":"update_edge","source":"a","label":"x"}`:                   {"/id", `update_edge needs "id", or "source" and "target"`},
		`{"op":"delete_edge","target":"b"}`:                               {"/id", `delete_edge needs "id", or "source" and "target"`},
		`{"op":"delete_edge","id":"e","label":"x"}`:                       {"/label", `delete_edge does not take "label"`},
		`"add_node"`: {"", "An operation must be an object"},
		`null`:       {"", "An operation must be an object"},
	} {
		_, err := plan.ParseOperations(json.RawMessage(`[{"op":"delete_node","id":"a"},` + text + "]"))
		f := fault.From(err)
		if f == nil || f.Code != fault.BadRequest || f.Message != want.message || f.Details["path"] != want.path || f.Details["operation"] != 1 {
			t.Errorf("%.100s: %v %v, want %q at %q", text, err, f, want.message, want.path)
		}
	}
	many := strings.TrimSuffix(strings.Repeat(`{"op":"delete_node","id":"a"},`, plan.MaxOperations+1), ",")
	for _, text := range []string{"", "{}", "null", "[]", "[", "[" + many + "]", strings.Repeat("[", 20_000)} {
		if _, err := plan.ParseOperations(json.RawMessage(text)); !fault.Is(err, fault.BadRequest) {
			t.Errorf("%.100s: %v, want %s", text, err, fault.BadRequest)
		}
	}
}

// Whatever operations say, they are refused with a fault or are edits.
func FuzzParseOperations(f *testing.F) {
	f.Add([]byte(`[{"op":"add_node","id":"a","node_type":"GraphNode","label":"x","config":{"a":[1,{"b":null}]},"x":1,"y":-2.5}]`))
	f.Add([]byte(`[{"op":"add_edge","source":"a","target":"b"},{"op":"update_edge","source":"a","target":"b","data_type":"GRAPH_DATA"}]`))
	f.Add([]byte(`[{"op":"update_node","id":"\ud800","config":{"\\\"":"}{"}},{"op":"delete_edge","id":"e"},null]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		edits, err := plan.ParseOperations(text)
		if (err == nil) != (len(edits) > 0) || len(edits) > plan.MaxOperations {
			t.Errorf("%d edits and %v", len(edits), err)
		}
		if err != nil && !fault.Is(err, fault.BadRequest) {
			t.Errorf("%v is not %s", err, fault.BadRequest)
		}
	})
}

// A repeat makes nothing new and answers with the ids that were made.
func TestOperationsAreRepeated(t *testing.T) {
	t.Parallel()
	r, p := newProject(t)
	change := plan.Change{OpID: "op", Edits: parsed(t, `{"op":"add_node","node_type":"GraphNode","label":"x"}`, `{"op":"add_node","node_type":"GraphNode"}`)}
	first, err := r.plans.Change(t.Context(), auth.Unchecked(agent, p), change)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := first.Nodes[0].ID, first.Nodes[1].ID; a == b || !strings.HasPrefix(a, "graph-") || len(a) != len("graph-")+12 {
		t.Errorf("the server made the ids %q and %q", a, b)
	}
	change.Edits = parsed(t, `{"label":"x","op":"add_node","node_type":"GraphNode"}`, `{"op":"add_node","node_type":"GraphNode","id":""}`)
	again, err := r.plans.Change(t.Context(), auth.Unchecked(agent, p), change)
	if err != nil || again.At != first.At || again.Nodes[0].ID != first.Nodes[0].ID {
		t.Errorf("a repeat answers %+v, %v", again, err)
	}
	change.Edits = change.Edits[:1]
	if _, err := r.plans.Change(t.Context(), auth.Unchecked(agent, p), change); !fault.Is(err, fault.BadRequest) {
		t.Errorf("another request under the operation id: %v", err)
	}
	change.OpID = "op 2"
	other, err := r.plans.Change(t.Context(), auth.Unchecked(agent, p), change)
	if err != nil || other.Nodes[0].ID == first.Nodes[0].ID {
		t.Errorf("another operation makes %+v, %v", other.Nodes, err)
	}
}

// 500 operations are one change, read in one round trip.
func TestManyOperations(t *testing.T) {
	t.Parallel()
	r, p := newProject(t)
	texts := []string{`{"op":"add_node","id":"n0","node_type":"GraphNode"}`}
	for i := 1; len(texts) < plan.MaxOperations; i++ {
		texts = append(texts, fmt.Sprintf(`{"op":"add_node","id":"n%d","node_type":"GraphNode"}`, i))
		if len(texts) < plan.MaxOperations {
			texts = append(texts, fmt.Sprintf(`{"op":"add_edge","source":"n%d","target":"n%d"}`, i-1, i))
		}
	}
	r.edit(t, p, texts...)
	if dag := r.dag(t, p); dag.At.Version != 1 || len(dag.Nodes)+len(dag.Edges) != plan.MaxOperations {
		t.Errorf("version %d has %d nodes and %d edges", dag.At.Version, len(dag.Nodes), len(dag.Edges))
	}
	texts = nil
	for i := range 40 { // more than are looked at one by one, and each would close a cycle but for the last
		texts = append(texts, fmt.Sprintf(`{"op":"add_edge","source":"n%d","target":"n%d"}`, i, 200+i))
	}
	r.edit(t, p, texts...)
	if f := r.refused(t, p, append(texts[:0:0], append(many(21), `{"op":"add_edge","source":"n240","target":"n3"}`)...)...); f.Details["operation"] != 21 {
		t.Errorf("a cycle: %v %v", f, f.Details)
	}
}

// many are operations that add edges to nodes with numbers from 100.
func many(n int) []string {
	texts := make([]string, n)
	for i := range texts {
		texts[i] = fmt.Sprintf(`{"op":"add_edge","source":"n%d","target":"n%d"}`, i, 100+i)
	}
	return texts
}

func TestPlaces(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		plan, request []string
		want          map[string]plan.Position
	}{
		"the origin of an empty plan, then one below the other": {
			request: []string{`{"op":"add_node","id":"a","node_type":"GraphNode"}`, `{"op":"add_node","id":"b","node_type":"GraphNode"}`},
			want:    map[string]plan.Position{"a": {}, "b": {Y: 150}},
		},
		"below the last": {
			plan: []string{
				`{"op":"add_node","id":"a","node_type":"GraphNode","x":100,"y":500}`, `{"op":"add_node","id":"b","node_type":"GraphNode","x":40,"y":30}`,
			},
			request: []string{`{"op":"add_node","id":"c","node_type":"GraphNode"}`},
			want:    map[string]plan.Position{"c": {X: 40, Y: 180}},
		},
		"below the last that is left": {
			plan: []string{
				`{"op":"add_node","id":"a","node_type":"GraphNode","x":100,"y":500}`, `{"op":"add_node","id":"b","node_type":"GraphNode","x":40,"y":30}`,
			},
			request: []string{`{"op":"update_node","id":"a","label":"x"}`, `{"op":"delete_node","id":"b"}`, `{"op":"add_node","id":"c","node_type":"GraphNode"}`},
			want:    map[string]plan.Position{"c": {X: 100, Y: 650}},
		},
		"right of inputs, in the middle": {
			plan: []string{
				`{"op":"add_node","id":"a","node_type":"DataSourceNode","x":0,"y":0}`, `{"op":"add_node","id":"b","node_type":"DataSourceNode","x":-50,"y":100}`,
			},
			request: []string{
				`{"op":"add_node","id":"m","node_type":"MergeNode"}`, `{"op":"add_edge","source":"a","target":"m"}`, `{"op":"add_edge","source":"b","target":"m"}`,
			},
			want: map[string]plan.Position{"m": {X: 200, Y: 50}},
		},
		"left of the origin": {
			plan: []string{`{"op":"add_node","id":"a","node_type":"DataSourceNode","x":-900,"y":7}`},
			request: []string{
				`{"op":"add_node","id":"g","node_type":"GraphNode"}`, `{"op":"add_edge","source":"a","target":"g"}`,
			},
			want: map[string]plan.Position{"g": {X: -700, Y: 7}},
		},
		"a column of nodes with the same input": {
			plan: []string{`{"op":"add_node","id":"g","node_type":"GraphNode","x":0,"y":0}`},
			request: []string{
				`{"op":"add_node","id":"a","node_type":"OutputNode"}`, `{"op":"add_node","id":"b","node_type":"OutputNode"}`,
				`{"op":"add_edge","source":"g","target":"a"}`, `{"op":"add_edge","source":"g","target":"b"}`,
			},
			want: map[string]plan.Position{"a": {X: 200}, "b": {X: 200, Y: 150}},
		},
		"below what leaves the input already": {
			plan: []string{
				`{"op":"add_node","id":"g","node_type":"GraphNode","x":0,"y":0}`, `{"op":"add_node","id":"a","node_type":"OutputNode"}`,
				`{"op":"add_edge","source":"g","target":"a"}`,
			},
			request: []string{`{"op":"add_node","id":"b","node_type":"OutputNode"}`, `{"op":"add_edge","source":"g","target":"b"}`},
			want:    map[string]plan.Position{"b": {X: 200, Y: 150}},
		},
		"a chain in any order": {
			request: []string{
				`{"op":"add_node","id":"c","node_type":"OutputNode"}`, `{"op":"add_node","id":"b","node_type":"GraphNode"}`,
				`{"op":"add_node","id":"a","node_type":"DataSourceNode","x":10,"y":10}`,
				`{"op":"add_edge","source":"b","target":"c"}`, `{"op":"add_edge","source":"a","target":"b"}`,
			},
			want: map[string]plan.Position{"a": {X: 10, Y: 10}, "b": {X: 210, Y: 10}, "c": {X: 410, Y: 10}},
		},
		"not beyond what a plan can hold": {
			plan:    []string{`{"op":"add_node","id":"a","node_type":"GraphNode","x":99950,"y":99950}`},
			request: []string{`{"op":"add_node","id":"b","node_type":"GraphNode"}`, `{"op":"add_edge","source":"a","target":"b"}`, `{"op":"add_node","id":"c","node_type":"GraphNode"}`},
			want:    map[string]plan.Position{"b": {X: 100_000, Y: 99_950}, "c": {X: 100_000, Y: 100_000}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, p := newProject(t)
			if len(c.plan) > 0 {
				r.edit(t, p, c.plan...)
			}
			r.edit(t, p, c.request...)
			got := make(map[string]plan.Position)
			for _, n := range r.dag(t, p).Nodes {
				if _, ok := c.want[n.ID]; ok {
					got[n.ID] = n.Position
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Nodes on a cycle are given places before the rules refuse the cycle.
func TestPlacesOnACycle(t *testing.T) {
	t.Parallel()
	r, p := newProject(t)
	f := r.refused(t, p, `{"op":"add_node","id":"a","node_type":"GraphNode"}`, `{"op":"add_node","id":"b","node_type":"GraphNode"}`,
		`{"op":"add_edge","source":"a","target":"b"}`, `{"op":"add_edge","source":"b","target":"a"}`)
	if f.Code != fault.BadRequest || f.Message != "Edge would create a cycle" || f.Details["operation"] != 3 {
		t.Errorf("%s %q %v", f.Code, f.Message, f.Details)
	}
}
