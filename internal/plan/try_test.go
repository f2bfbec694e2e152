package plan_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"testing"

	"layercake/internal/auth"
	"layercake/internal/fault"
	"layercake/internal/plan"
	"layercake/internal/postgres/pgtest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// anyTime matches those times that a change sets. Try makes them of another clock.
var anyTime = regexp.MustCompile(`"(at|createdAt|updatedAt)":"[^"]*"`)

// toldOf returns all that a caller is told of a change, but for times and the place.
func toldOf(t testing.TB, r plan.Result, err error) string {
	t.Helper()
	f := fault.From(err)
	if err != nil && f == nil {
		t.Fatal(err)
	}
	if f != nil {
		return encoded([]any{f.Code, f.Message, f.Details})
	}
	if r.Event != nil {
		e := *r.Event
		e.Prev = "" // a hash over times
		r.Event = &e
	}
	return anyTime.ReplaceAllString(encoded([]any{r.Event, r.Nodes, r.Edges, r.Warnings}), `"$1":""`)
}

// someOperations are operations that may be right, or not.
func someOperations(t *rapid.T) []plan.Edit {
	ids := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "ghost"})
	types := rapid.SampledFrom([]string{"DataSourceNode", "GraphNode", "TransformNode", "MergeNode", "CopyNode", "OutputNode"})
	maybe := func(o map[string]any, name string, value any) {
		if rapid.Bool().Draw(t, name) {
			o[name] = value
		}
	}
	list := make([]map[string]any, rapid.IntRange(1, 6).Draw(t, "operations"))
	for i := range list {
		op := rapid.SampledFrom([]string{
			"add_node", "add_node", "add_node", "update_node", "move_node", "delete_node", "add_edge", "add_edge", "add_edge", "update_edge", "delete_edge",
		}).Draw(t, "op")
		o := map[string]any{"op": op}
		switch op {
		case "add_node":
			o["node_type"] = types.Draw(t, "type")
			maybe(o, "id", ids.Draw(t, "id"))
			if rapid.Bool().Draw(t, "placed") {
				o["x"], o["y"] = 7, 7
			}
		case "update_node":
			o["id"], o["config"] = ids.Draw(t, "id"), map[string]any{ids.Draw(t, "key"): rapid.SampledFrom([]any{1, nil, "x"}).Draw(t, "value"), "z": 1, "y": 2}
		case "move_node":
			o["id"], o["x"], o["y"] = ids.Draw(t, "id"), 5, 5
		case "delete_node":
			o["id"] = ids.Draw(t, "id")
		default:
			o["source"], o["target"] = ids.Draw(t, "source"), ids.Draw(t, "target")
			if op == "update_edge" {
				o["label"] = ids.Draw(t, "label")
			}
		}
		list[i] = o
	}
	edits, err := plan.ParseOperations(json.RawMessage(encoded(list)))
	if err != nil {
		t.Fatal(err)
	}
	return edits
}

// What Try says at a version, the change does at that version: operations, result, warnings or fault. Warnings are those that Validate has
// for the nodes that were touched, and Try changes nothing.
func TestTrySaysWhatChangeDoes(t *testing.T) {
	t.Parallel()
	r := startReplica(t, pgtest.New(t), 0)
	r.plans.EdgePatience(0)
	rapid.Check(t, func(rt *rapid.T) {
		p := r.create(t)
		for n := range rapid.IntRange(1, 8).Draw(rt, "changes") {
			c := plan.Change{OpID: fmt.Sprint(n), Via: "mcp", Note: "n", Warnings: rapid.Bool().Draw(rt, "warnings"), Edits: someOperations(rt)}
			if rapid.IntRange(0, 3).Draw(rt, "expects") == 0 {
				version := rapid.Int64Range(0, int64(n)).Draw(rt, "expected")
				c.Expected = &version
			}
			before := r.dag(t, p)
			tried, err := r.plans.Try(t.Context(), auth.Unchecked(agent, p), c)
			says := toldOf(t, tried, err)
			if err == nil && tried.At != before.At {
				rt.Fatalf("Try is at %v, want %v", tried.At, before.At)
			}
			if after := r.dag(t, p); !cmp.Equal(before, after) {
				rt.Fatalf("Try changed the plan: %s", cmp.Diff(before, after))
			}
			done, err := r.plans.Change(t.Context(), auth.Unchecked(agent, p), c)
			if does := toldOf(t, done, err); says != does {
				rt.Fatalf("%s\nTry says     %s\nChange does %s", encoded(c.Edits), says, does)
			}
			if err != nil {
				continue
			}
			after := r.dag(t, p)
			checkWarnings(rt, c.Warnings, done, after)
			again, err1 := r.plans.Change(t.Context(), auth.Unchecked(agent, p), c)
			tried, err2 := r.plans.Try(t.Context(), auth.Unchecked(agent, p), c)
			if done.Event != nil && (!cmp.Equal(done.At, again.At) || !cmp.Equal(done.At, tried.At)) {
				rt.Fatalf("a repeat is at %v, tried at %v, want %v", again.At, tried.At, done.At)
			}
			if does, again, tried := toldOf(t, done, nil), toldOf(t, again, err1), toldOf(t, tried, err2); does != again || again != tried {
				rt.Fatalf("a change does %s,\na repeat  %s,\ntried     %s", does, again, tried)
			}
		}
	})
}

// checkWarnings compares the warnings of a change with those of the whole plan.
func checkWarnings(t *rapid.T, wanted bool, done plan.Result, after plan.DAG) {
	touched := make(map[string]bool)
	if done.Event != nil && wanted {
		for _, op := range done.Event.Operations {
			node, edge, err := op.Element()
			switch {
			case err != nil:
				t.Fatal(err)
			case node != nil:
				touched[node.ID] = true
			case edge != nil && op.Kind != plan.EdgeUpdated:
				touched[edge.Source], touched[edge.Target] = true, true
			}
		}
	}
	all := func(problems []plan.Problem) map[string]bool {
		set := make(map[string]bool)
		for _, p := range problems {
			if p.Warning && touched[*p.NodeID] {
				set[*p.NodeID+": "+p.Message] = true
			}
		}
		return set
	}
	got, want := all(done.Warnings), all(plan.Validate(after.Nodes, after.Edges))
	if !maps.Equal(got, want) || len(got) != len(done.Warnings) {
		t.Fatalf("warnings are %v, want %v", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
}

func TestTryRefuses(t *testing.T) {
	t.Parallel()
	r, p := newProject(t)
	edits := parsed(t, `{"op":"add_node","node_type":"GraphNode"}`)
	version := int64(3)
	for name, c := range map[string]struct {
		project int32
		change  plan.Change
		code    fault.Code
	}{
		"project that is not there": {p + 1, plan.Change{Edits: edits}, fault.NotFound},
		"another version":           {p, plan.Change{Edits: edits, Expected: &version}, fault.Conflict},
		"operation id with a NUL":   {p, plan.Change{Edits: edits, OpID: "\x00"}, fault.BadRequest},
	} {
		for _, c.change.Warnings = range []bool{false, true} {
			if _, err := r.plans.Try(t.Context(), auth.Unchecked(agent, c.project), c.change); !fault.Is(err, c.code) {
				t.Errorf("%s: %v, want %s", name, err, c.code)
			}
		}
	}
}

// Try waits neither for the head's lock nor for a write slot.
func TestTryTakesNoLock(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	r := startReplica(t, database, 0)
	p := r.create(t)
	defer r.plans.HoldChanges(writeSlots)()
	tx, err := pgtest.Connect(t, database).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	pgtest.Exec(t, tx, "SELECT 1 FROM heads FOR UPDATE")
	c := plan.Change{Warnings: true, Edits: parsed(t, `{"op":"add_node","id":"a","node_type":"CopyNode"}`)}
	tried, err := r.plans.Try(t.Context(), auth.Unchecked(agent, p), c)
	if err != nil || len(tried.Warnings) != 1 || tried.Event.Version != 1 || tried.At.Version != 0 {
		t.Errorf("got %+v, %v", tried, err)
	}
}

// A node that loses an input is warned of, although the operation names another one.
func TestWarnings(t *testing.T) {
	t.Parallel()
	r, p := newProject(t)
	change := func(texts ...string) []string {
		t.Helper()
		done, err := r.plans.Change(t.Context(), auth.Unchecked(agent, p), plan.Change{Warnings: true, Edits: parsed(t, texts...)})
		if err != nil {
			t.Fatal(err)
		}
		var told []string
		for _, w := range done.Warnings {
			told = append(told, *w.NodeID+": "+w.Message)
		}
		return told
	}
	lonely := "Node is not connected to any other"
	for _, c := range []struct{ request, want []string }{
		{[]string{`{"op":"add_node","id":"a","node_type":"DataSourceNode"}`}, nil},
		{
			[]string{`{"op":"add_node","id":"m","node_type":"MergeNode"}`, `{"op":"add_edge","id":"am","source":"a","target":"m"}`},
			[]string{"m: A MergeNode needs at least 2 input, it has 1"},
		},
		{
			[]string{`{"op":"add_node","id":"o","node_type":"OutputNode"}`, `{"op":"add_edge","source":"m","target":"o"}`},
			[]string{"m: A MergeNode needs at least 2 input, it has 1"},
		},
		{
			[]string{`{"op":"delete_edge","id":"am"}`},
			[]string{"a: " + lonely, "m: A MergeNode needs at least 2 input, it has 0"},
		},
		{
			[]string{`{"op":"delete_node","id":"m"}`},
			[]string{"o: A OutputNode needs at least 1 input, it has 0", "o: " + lonely},
		},
		{[]string{`{"op":"delete_node","id":"a"}`}, nil},
	} {
		if diff := cmp.Diff(c.want, change(c.request...)); diff != "" {
			t.Errorf("%v: %s", c.request, diff)
		}
	}
}

// Changes that wait together are each warned of the plan right after them.
func TestWarningsOfChangesThatWait(t *testing.T) {
	t.Parallel()
	r, p := newProject(t)
	add := func(id string) sent {
		text := fmt.Sprintf(`{"op":"add_node","id":%q,"node_type":"GraphNode"}`, id)
		return sent{t.Context(), plan.Change{Warnings: true, Edits: parsed(t, text)}}
	}
	for i, o := range r.together(p, add("a"), add("b"), add("c")) {
		want := 1 // it is not connected
		if i == 0 {
			want = 0 // there is no other
		}
		if o.err != nil || len(o.result.Warnings) != want {
			t.Errorf("change %d: %s, %v, want %d warnings", i, encoded(o.result.Warnings), o.err, want)
		}
	}
}
