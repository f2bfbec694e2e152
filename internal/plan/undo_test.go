package plan_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"layercake/internal/auth"
	"layercake/internal/fault"
	"layercake/internal/plan"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server/servertest"
	"layercake/internal/task"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
)

// person is an actor with a credential, as later releases have them.
func person(name string) auth.Actor {
	return auth.Actor{ID: strings.ToLower(name), Kind: "user", Name: name}
}

var ann, bob, carl = person("Ann"), person("Bob"), person("Carl")

// by makes a change that must succeed, and returns its version.
func (r *replica) by(t testing.TB, actor auth.Actor, project int32, edits ...plan.Edit) int64 {
	t.Helper()
	as := *r
	as.actor = actor
	return as.change(t, project, edits...).At.Version
}

// undo must succeed.
func (r *replica) undo(t testing.TB, actor auth.Actor, project int32, in plan.UndoInput) plan.UndoResult {
	t.Helper()
	result, err := r.plans.Undo(t.Context(), auth.Unchecked(actor, project), in)
	if err != nil {
		t.Fatalf("undo of %+v: %v %v", in, err, fault.From(err))
	}
	return result
}

func (r *replica) redo(t testing.TB, actor auth.Actor, project int32, in plan.UndoInput) plan.UndoResult {
	t.Helper()
	result, err := r.plans.Redo(t.Context(), auth.Unchecked(actor, project), in)
	if err != nil {
		t.Fatalf("redo of %+v: %v %v", in, err, fault.From(err))
	}
	return result
}

func move(id string, x float64) plan.Edit {
	return plan.UpdateNode{ID: id, Position: &plan.Position{X: x}}
}

func rename(id, label string) plan.Edit {
	return plan.UpdateNode{ID: id, Metadata: &plan.NodeMetadata{Label: label}}
}

func relabel(id, label string) plan.Edit {
	return plan.UpdateEdge{ID: id, Metadata: &plan.EdgeMetadata{Label: &label, DataType: plan.GraphData}}
}

func addNode(id string, kind plan.NodeType) plan.Edit { return plan.AddNode{Node: node(id, kind)} }

func addEdge(id, source, target string) plan.Edit {
	return plan.AddEdge{Edge: edge(id, source, target)}
}

// inWords is a plan in a few words: its name, and of each element what is not as node and edge make it.
func inWords(dag plan.DAG) string {
	words := []string{dag.Name}
	for _, n := range dag.Nodes {
		word := n.ID
		if n.NodeType != plan.GraphNode {
			word += " " + string(n.NodeType)
		}
		if n.Position.X != 0 {
			word += fmt.Sprint("@", n.Position.X)
		}
		if n.Metadata.Label != n.ID {
			word += "=" + n.Metadata.Label
		}
		words = append(words, word)
	}
	for _, e := range dag.Edges {
		word := fmt.Sprintf("%s:%s>%s", e.ID, e.Source, e.Target)
		if e.Metadata.Label != nil {
			word += "=" + *e.Metadata.Label
		}
		if e.SourceHandle != nil {
			word += " from " + *e.SourceHandle
		}
		words = append(words, word)
	}
	return strings.Join(words, "; ")
}

// told puts conflicts into words.
func told(conflicts []plan.UndoConflict) []string {
	var words []string
	for _, c := range conflicts {
		words = append(words, fmt.Sprintf("%s %s %s: %s, by %s in %v", c.Kind, c.ID, c.Part, c.Reason, strings.Join(c.ActorNames, " and "), c.Versions))
	}
	return words
}

// conflictsOf returns what an error says of conflicts.
func conflictsOf(err error) []plan.UndoConflict {
	var conflicts []plan.UndoConflict
	if f := fault.From(err); f != nil {
		conflicts, _ = f.Details["conflicts"].([]plan.UndoConflict)
	}
	return conflicts
}

// What undoing gives, after others changed something. Every plan begins with the nodes a to d, and the edge ab.
func TestUndo(t *testing.T) {
	t.Parallel()
	r := startReplica(t, pgtest.New(t), 0)
	const start = "Test; a; b; c; d; ab:a>b"
	right := "right"
	type edits = []plan.Edit
	for name, c := range map[string]struct {
		change     edits   // of Ann, version 2: to be undone
		since      []edits // of Bob, versions 3 and on
		want       string  // without conflicts, or what SKIP gives
		conflicts  []string
		overwrite  string // what OVERWRITE gives
		refused    string // the rule that OVERWRITE would break, and without conflicts that undoing would break
		notes      []string
		nothingToo bool // whether nothing was left to do
	}{
		"a move":         {change: edits{move("a", 1)}, want: start},
		"a name":         {change: edits{rename("a", "x")}, want: start},
		"a label":        {change: edits{relabel("ab", "x")}, want: start},
		"a handle":       {change: edits{plan.UpdateEdge{ID: "ab", SourceHandle: &right}}, want: start},
		"the plan":       {change: edits{plan.UpdatePlan{Name: "Mine", YAMLContent: "a: 1", Dependencies: []int32{4}}}, want: start},
		"an added node":  {change: edits{addNode("e", plan.GraphNode)}, want: start},
		"an added edge":  {change: edits{addEdge("cd", "c", "d")}, want: start},
		"a removed edge": {change: edits{plan.DeleteEdge{ID: "ab"}}, want: start},
		"a removed node": {change: edits{plan.DeleteNode{ID: "a"}}, want: "Test; b; c; d; a; ab:a>b"},
		"everything":     {change: edits{plan.RemoveAll{}}, want: start},
		"many edits": {
			change: edits{
				move("a", 1), rename("a", "x"), addNode("e", plan.GraphNode), addEdge("ce", "c", "e"),
				plan.DeleteEdge{ID: "ab"},
				plan.DeleteNode{ID: "b"},
				plan.UpdatePlan{Name: "Mine"},
			},
			want: "Test; a; c; d; b; ab:a>b",
		},
		"a move, renamed since":      {change: edits{move("a", 1)}, since: []edits{{rename("a", "x")}}, want: "Test; a=x; b; c; d; ab:a>b"},
		"a move, others moved since": {change: edits{move("a", 1)}, since: []edits{{move("b", 1)}}, want: "Test; a; b@1; c; d; ab:a>b"},
		"a move, moved since": {
			change: edits{move("a", 1), rename("a", "x")}, since: []edits{{rename("b", "y")}, {move("a", 2)}, {move("a", 3)}},
			want:      "Test; a@3; b=y; c; d; ab:a>b",
			conflicts: []string{"NODE_UPDATED a position: changed since, by Bob in [4 5]"},
			overwrite: "Test; a; b=y; c; d; ab:a>b",
		},
		"a move, moved back since":                       {change: edits{move("a", 1)}, since: []edits{{move("a", 0)}}, want: start, nothingToo: true},
		"a move, moved away and to the same place since": {change: edits{move("a", 1)}, since: []edits{{move("a", 2)}, {move("a", 1)}}, want: start},
		"a plan, renamed since": {
			change: edits{plan.UpdatePlan{Name: "Mine"}}, since: []edits{{plan.UpdatePlan{Name: "His"}}},
			want:      "His; a; b; c; d; ab:a>b",
			conflicts: []string{"PLAN_UPDATED plan name: changed since, by Bob in [3]"},
			overwrite: start,
		},
		"a move, deleted since": {
			change: edits{move("a", 1), move("b", 1)}, since: []edits{{move("a", 2)}, {plan.DeleteNode{ID: "a"}}},
			want:      "Test; b; c; d",
			conflicts: []string{"NODE_UPDATED a element: deleted since, by Bob in [3 4]"},
			overwrite: "Test; b; c; d",
			notes:     []string{`node "a" stays deleted`},
		},
		"an added node, deleted since": {
			change: edits{addNode("e", plan.GraphNode)}, since: []edits{{plan.DeleteNode{ID: "e"}}}, want: start, nothingToo: true,
		},
		"an added node, moved since": {
			change: edits{addNode("e", plan.GraphNode), addNode("f", plan.GraphNode)}, since: []edits{{move("e", 2)}},
			want:      "Test; a; b; c; d; e@2; ab:a>b",
			conflicts: []string{"NODE_REMOVED e position: changed since, by Bob in [3]"},
			overwrite: start,
		},
		"an added node, deleted and added again since": {
			change: edits{addNode("e", plan.GraphNode)}, since: []edits{{plan.DeleteNode{ID: "e"}}, {addNode("e", plan.GraphNode)}},
			want:      "Test; a; b; c; d; e; ab:a>b",
			conflicts: []string{"NODE_REMOVED e element: deleted and added again since, by Bob in [3 4]"},
			overwrite: start,
		},
		"an added node, connected since": {
			change:    edits{addNode("e", plan.GraphNode), addNode("f", plan.GraphNode), addEdge("ef", "e", "f"), addNode("g", plan.GraphNode)},
			since:     []edits{{addEdge("ae", "a", "e")}},
			want:      "Test; a; b; c; d; e; ab:a>b; ae:a>e",
			conflicts: []string{"EDGE_REMOVED ae element: attached since to a node that would go, by Bob in [3]"},
			overwrite: start,
		},
		"two added nodes, connected since": {
			change:    edits{addNode("e", plan.GraphNode), addNode("f", plan.GraphNode)},
			since:     []edits{{addEdge("ef", "e", "f")}},
			want:      "Test; a; b; c; d; e; f; ab:a>b; ef:e>f",
			conflicts: []string{"EDGE_REMOVED ef element: attached since to a node that would go, by Bob in [3]"},
			overwrite: start,
		},
		"added nodes with an edge that was labelled since": {
			change:    edits{addNode("e", plan.GraphNode), addNode("f", plan.GraphNode), addEdge("ef", "e", "f"), addNode("g", plan.GraphNode)},
			since:     []edits{{relabel("ef", "x")}},
			want:      "Test; a; b; c; d; e; f; ab:a>b; ef:e>f=x",
			conflicts: []string{"EDGE_REMOVED ef metadata: changed since, by Bob in [3]"},
			overwrite: start,
			notes:     []string{`node "f" stays with edge "ef"`, `node "e" stays with edge "ef"`},
		},
		"an added edge, labelled since": {
			change:    edits{addEdge("cd", "c", "d")},
			since:     []edits{{relabel("cd", "x")}},
			want:      "Test; a; b; c; d; ab:a>b; cd:c>d=x",
			conflicts: []string{"EDGE_REMOVED cd metadata: changed since, by Bob in [3]"},
			overwrite: start,
		},
		"a removed node whose id was taken since": {
			change: edits{plan.DeleteNode{ID: "a"}, move("b", 1)}, since: []edits{{addNode("a", plan.DataSourceNode)}, {addEdge("ac", "a", "c")}},
			want:      "Test; b; c; d; a DataSourceNode; ac:a>c",
			conflicts: []string{"NODE_ADDED a element: the id was taken since, by Bob in [3]"},
			overwrite: "Test; b; c; d; a; ac:a>c; ab:a>b",
			notes:     []string{`edge "ab" stays deleted: node "a" is not there`},
		},
		"a removed node that is there again": {
			change: edits{plan.DeleteNode{ID: "c"}}, since: []edits{{addNode("c", plan.GraphNode)}}, want: "Test; a; b; d; c; ab:a>b", nothingToo: true,
		},
		"a removed edge whose id was taken since": {
			change: edits{plan.DeleteEdge{ID: "ab"}}, since: []edits{{addEdge("ab", "c", "d")}},
			want:      "Test; a; b; c; d; ab:c>d",
			conflicts: []string{"EDGE_ADDED ab element: the id was taken since, by Bob in [3]"},
			overwrite: start,
		},
		"a removed node whose neighbour is gone": {
			change: edits{plan.DeleteNode{ID: "a"}}, since: []edits{{plan.DeleteNode{ID: "b"}}}, want: "Test; c; d; a",
			notes: []string{`edge "ab" stays deleted: node "b" is not there`},
		},
		"a removed edge whose end is gone": {
			change: edits{plan.DeleteEdge{ID: "ab"}, move("c", 1)}, since: []edits{{move("b", 1)}, {plan.DeleteNode{ID: "b"}}},
			want:      "Test; a; c; d",
			conflicts: []string{`EDGE_ADDED ab element: its node "b" was deleted since, by Bob in [3 4]`},
			refused:   "Edge refers to a node that does not exist",
		},
		"a removed edge that would close a cycle now": {
			change: edits{plan.DeleteEdge{ID: "ab"}}, since: []edits{{addEdge("bc", "b", "c")}, {addEdge("ca", "c", "a")}},
			refused: "Edge would create a cycle",
		},
		"an added edge, removed with a node": {
			change: edits{addEdge("bc", "b", "c"), plan.DeleteNode{ID: "b"}}, want: "Test; a; c; d; b; ab:a>b",
		},
		"a removed edge in the place of another one": {
			change: edits{plan.DeleteEdge{ID: "ab"}}, since: []edits{{addEdge("other", "a", "b")}},
			refused: "This connection is not allowed",
		},
		"a removed input that is used otherwise now": {
			change:    edits{addNode("t", plan.TransformNode), addEdge("at", "a", "t")},
			since:     []edits{{plan.DeleteEdge{ID: "at"}}, {addEdge("bt", "b", "t")}},
			want:      "Test; a; b; c; d; t TransformNode; ab:a>b; bt:b>t",
			overwrite: start,
			conflicts: []string{"EDGE_REMOVED bt element: attached since to a node that would go, by Bob in [4]"},
		},
		"a submission that moves an end": {
			change: edits{plan.Replace{Base: "1", Nodes: []plan.Node{node("a", plan.GraphNode), node("b", plan.GraphNode), node("c", plan.GraphNode), node("d", plan.GraphNode)}, Edges: []plan.Edge{edge("ab", "a", "c")}}},
			since:  []edits{{relabel("ab", "x")}}, want: "Test; a; b; c; d; ab:a>b=x",
		},
		"a submission that moves an end, whose former end is gone": {
			change:    edits{plan.Replace{Base: "1", Nodes: []plan.Node{node("a", plan.GraphNode), node("b", plan.GraphNode), node("c", plan.GraphNode), node("d", plan.GraphNode)}, Edges: []plan.Edge{edge("ab", "a", "c")}}},
			since:     []edits{{plan.DeleteNode{ID: "b"}}},
			want:      "Test; a; c; d; ab:a>c",
			conflicts: []string{`EDGE_UPDATED ab ends: its node "b" was deleted since, by Bob in [3]`},
			refused:   "Edge refers to a node that does not exist",
		},
		"a submission that moves an end to a node of its own, whose former end is gone": {
			change: edits{plan.Replace{Base: "1", Nodes: []plan.Node{
				node("a", plan.GraphNode), node("b", plan.GraphNode), node("c", plan.GraphNode), node("d", plan.GraphNode), node("e", plan.GraphNode),
			}, Edges: []plan.Edge{edge("ab", "a", "e")}}},
			since:     []edits{{plan.DeleteNode{ID: "b"}}},
			want:      "Test; a; c; d; e; ab:a>e",
			conflicts: []string{`EDGE_UPDATED ab ends: its node "b" was deleted since, by Bob in [3]`},
			refused:   "Edge refers to a node that does not exist",
			notes:     []string{`node "e" stays with edge "ab"`},
		},
		"a submission that changes a type": {
			change: edits{plan.Replace{Base: "1", Nodes: []plan.Node{node("a", plan.DataSourceNode), node("b", plan.GraphNode), node("c", plan.GraphNode), node("d", plan.GraphNode)}, Edges: []plan.Edge{edge("ab", "a", "b")}}},
			since:  []edits{{move("a", 1)}}, want: "Test; a@1; b; c; d; ab:a>b",
		},
		"a type that others rely on now": {
			change: edits{plan.Replace{Base: "1", Nodes: []plan.Node{node("a", plan.GraphNode), node("b", plan.GraphNode), node("c", plan.GraphNode), node("d", plan.MergeNode)}, Edges: []plan.Edge{edge("ab", "a", "b")}}},
			since: []edits{{addNode("s", plan.DataSourceNode)}, {addEdge("sd", "s", "d")}, {plan.Replace{
				Base:  "4",
				Nodes: []plan.Node{node("a", plan.GraphNode), node("b", plan.MergeNode), node("c", plan.GraphNode), node("d", plan.MergeNode), node("s", plan.DataSourceNode)},
				Edges: []plan.Edge{edge("sd", "s", "d"), edge("db", "d", "b")},
			}}},
			refused: "This connection is not allowed",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, on := range []plan.OnConflict{plan.Fail, plan.Skip, plan.Overwrite} {
				p := r.create(t)
				r.by(t, carl, p, addNode("a", plan.GraphNode), addNode("b", plan.GraphNode), addNode("c", plan.GraphNode), addNode("d", plan.GraphNode),
					addEdge("ab", "a", "b"), plan.UpdatePlan{Name: "Test"})
				at := r.dag(t, p)
				undone := r.by(t, ann, p, c.change...)
				for _, edits := range c.since {
					r.by(t, bob, p, edits...)
				}
				before := r.dag(t, p)
				rowPlan, err := r.plans.OfProject(t.Context(), auth.Unchecked(ann, p))
				if err != nil {
					t.Fatal(err)
				}
				conflicts := slices.Clone(c.conflicts)
				for i := range conflicts {
					conflicts[i] = strings.Replace(conflicts[i], " plan ", fmt.Sprintf(" %d ", rowPlan.ID), 1)
				}
				in := plan.UndoInput{Version: undone, OnConflict: on, Note: "a mistake", Via: "test"}
				if on == plan.Fail {
					in.OnConflict = ""
				}
				preview := in
				preview.DryRun = true
				would, wouldErr := r.plans.Undo(t.Context(), auth.Unchecked(carl, p), preview)
				if now := r.dag(t, p); !cmp.Equal(now, before) {
					t.Fatalf("%s: a dry run changed the plan", on)
				}
				got, err := r.plans.Undo(t.Context(), auth.Unchecked(carl, p), in)
				after := r.dag(t, p)
				if fmt.Sprint(err) != fmt.Sprint(wouldErr) || !cmp.Equal(told(conflictsOf(err)), told(conflictsOf(wouldErr))) {
					t.Errorf("%s: %v, and the dry run %v", on, err, wouldErr)
				}

				var want string
				switch {
				case on == plan.Fail && len(conflicts) > 0:
					if !fault.Is(err, fault.Conflict) {
						t.Fatalf("%s: %v, want CONFLICT", on, err)
					}
					if diff := cmp.Diff(conflicts, told(conflictsOf(err))); diff != "" {
						t.Errorf("%s: conflicts (-want +got):\n%s", on, diff)
					}
				case c.refused != "" && (on == plan.Overwrite || len(conflicts) == 0):
					if !fault.Is(err, fault.Conflict) || fault.From(err).Details["rule"] != c.refused {
						t.Fatalf("%s: %v %+v, want CONFLICT with the rule %q", on, err, fault.From(err), c.refused)
					}
				case on == plan.Overwrite && len(conflicts) > 0:
					want = c.overwrite
				default:
					want = c.want
				}
				if want == "" {
					if !cmp.Equal(after, before) {
						t.Errorf("%s: a refused undo changed the plan", on)
					}
					continue
				}
				if err != nil {
					t.Fatalf("%s: %v %+v", on, err, fault.From(err))
				}
				if words := inWords(after); words != want {
					t.Errorf("%s gives %q, want %q", on, words, want)
				}
				if diff := cmp.Diff(conflicts, told(got.Conflicts)); diff != "" {
					t.Errorf("%s: conflicts (-want +got):\n%s", on, diff)
				}
				if on == plan.Skip && !slices.Equal(got.Notes, c.notes) {
					t.Errorf("%s: notes %q, want %q", on, got.Notes, c.notes)
				}
				checkUndone(t, before, after, undone, got)
				if (got.Change == nil) != (want == inWords(before)) || c.nothingToo && got.Change != nil {
					t.Errorf("%s: change %+v from %q to %q", on, got.Change, inWords(before), want)
				}
				if diff := cmp.Diff(would.Conflicts, got.Conflicts) + cmp.Diff(would.Notes, got.Notes); diff != "" {
					t.Errorf("%s: the dry run told otherwise (-dry +done):\n%s", on, diff)
				}
				if would.At != before.At || (would.Change == nil) != (got.Change == nil) {
					t.Errorf("%s: the dry run is at %v with %+v", on, would.At, would.Change)
				}
				if would.Change != nil && withoutTimes(operations(t, would.Change)) != withoutTimes(operations(t, got.Change)) {
					t.Errorf("%s: the dry run says %s, and it did %s", on, operations(t, would.Change), operations(t, got.Change))
				}
				for _, n := range at.Nodes { // who comes back is as old as before
					if i := slices.IndexFunc(after.Nodes, func(o plan.Node) bool { return o.ID == n.ID }); i >= 0 && !c.nothingToo && len(conflicts) == 0 &&
						!after.Nodes[i].CreatedAt.Equal(n.CreatedAt) {
						t.Errorf("%s: node %s was created at %v, now at %v", on, n.ID, n.CreatedAt, after.Nodes[i].CreatedAt)
					}
				}
				if got.Change == nil {
					continue
				}
				// The undo is a change that can be undone: then the plan is as before, but for the place of what went and came back.
				again := r.redo(t, bob, p, plan.UndoInput{Version: got.Change.Version})
				if diff := cmp.Diff(sorted(before), sorted(r.dag(t, p))); diff != "" || len(again.Conflicts) > 0 {
					t.Errorf("%s: the redo gives another plan, with %v (-before +after):\n%s", on, again.Conflicts, diff)
				}
			}
		})
	}
}

func operations(t testing.TB, c *plan.PastChange) []byte {
	t.Helper()
	text, err := json.Marshal(c.Operations)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// sorted is a plan without what a redo does not give back: its version, the order of elements, and when they were changed.
func sorted(dag plan.DAG) []string {
	var all []string
	for _, n := range dag.Nodes {
		text, _ := json.Marshal([]any{n.ID, n.NodeType, n.Position, n.SourcePosition, n.TargetPosition, n.Metadata, n.Config, n.CreatedAt})
		all = append(all, string(text))
	}
	for _, e := range dag.Edges {
		text, _ := json.Marshal([]any{e.ID, e.Source, e.Target, e.SourceHandle, e.TargetHandle, e.Metadata, e.CreatedAt})
		all = append(all, string(text))
	}
	slices.Sort(all)
	return append(all, dag.Name)
}

// checkUndone checks what holds for every undo: the plan is valid, and its event leads from the plan before to the one after.
func checkUndone(t testing.TB, before, after plan.DAG, version int64, got plan.UndoResult) {
	t.Helper()
	for _, problem := range plan.Validate(after.Nodes, after.Edges) {
		if !problem.Warning {
			t.Errorf("the plan is not valid: %s", problem.Message)
		}
	}
	if got.Conflicts == nil || got.Notes == nil {
		t.Error("a list is null")
	}
	if got.Change == nil {
		if !cmp.Equal(before, after) || got.At != before.At {
			t.Errorf("nothing is said to have changed, at %v; before %q, after %q", got.At, inWords(before), inWords(after))
		}
		return
	}
	e := got.Change.Event
	if e.Undoes != version || e.Version != before.At.Version+1 || got.At != after.At || got.Change.At != got.At || got.Change.UndoneBy != 0 {
		t.Errorf("the event undoes %d at version %d, at %v; want %d at %d, at %v", e.Undoes, e.Version, got.At, version, before.At.Version+1, after.At)
	}
	f := follower{began: before, versions: []int64{before.At.Version, e.Version}, events: []*plan.Event{e}}
	if err := f.check(after); err != nil {
		t.Error(err)
	}
}

// fails demands that an undo or a redo is refused.
func (r *replica) fails(t testing.TB, redo bool, actor auth.Actor, project int32, in plan.UndoInput, code fault.Code) {
	t.Helper()
	_ = r.failure(t, redo, actor, project, in, code)
}

// failure returns the fault of an undo or a redo that must be refused.
func (r *replica) failure(t testing.TB, redo bool, actor auth.Actor, project int32, in plan.UndoInput, code fault.Code) *fault.Error {
	t.Helper()
	do := r.plans.Undo
	if redo {
		do = r.plans.Redo
	}
	result, err := do(t.Context(), auth.Unchecked(actor, project), in)
	if !fault.Is(err, code) {
		t.Fatalf("%+v gives %+v, %v, want %s", in, result, err, code)
	}
	return fault.From(err)
}

// Without a version it is the caller's own newest change that stands, and the newest undo unless they changed something since.
func TestUndoOwnNewest(t *testing.T) {
	t.Parallel()
	r, p := newProject(t)
	words := func(want string) {
		t.Helper()
		if got := strings.TrimPrefix(inWords(r.dag(t, p)), r.dag(t, p).Name+"; "); got != want {
			t.Errorf("the plan is %q, want %q", got, want)
		}
	}
	newest := plan.UndoInput{Via: "test"}
	r.fails(t, false, ann, p, newest, fault.NotFound)
	r.fails(t, true, ann, p, newest, fault.NotFound)
	r.by(t, carl, p, addNode("a", plan.GraphNode), addNode("b", plan.GraphNode)) // 1
	r.by(t, ann, p, move("a", 1))                                                // 2
	r.by(t, ann, p, move("a", 2))                                                // 3
	r.by(t, bob, p, move("b", 1))                                                // 4
	r.fails(t, true, ann, p, newest, fault.NotFound)
	undoes := func(result plan.UndoResult, version int64) {
		t.Helper()
		if result.Change == nil || result.Change.Undoes != version {
			t.Fatalf("it undid %+v, want version %d", result.Change, version)
		}
	}
	undoes(r.undo(t, ann, p, newest), 3) // 5
	words("a@1; b@1")
	undoes(r.undo(t, ann, p, newest), 2) // 6
	words("a; b@1")
	r.fails(t, false, ann, p, newest, fault.NotFound)
	undoes(r.redo(t, ann, p, newest), 6) // 7
	undoes(r.redo(t, ann, p, newest), 5) // 8
	words("a@2; b@1")
	r.fails(t, true, ann, p, newest, fault.NotFound)
	undoes(r.undo(t, ann, p, newest), 3) // 9: it stands again
	r.by(t, ann, p, rename("b", "x"))    // 10
	r.fails(t, true, ann, p, newest, fault.NotFound)
	undoes(r.undo(t, ann, p, newest), 10) // 11
	undoes(r.redo(t, ann, p, newest), 11) // 12
	undoes(r.undo(t, ann, p, newest), 10) // 13
	undoes(r.undo(t, ann, p, newest), 2)  // 14: 3 is undone
	words("a; b@1")

	// Somebody else's undo takes what one has done away, and one's own of somebody else's change can be redone.
	undoes(r.undo(t, carl, p, plan.UndoInput{Version: 4}), 4) // 15
	r.fails(t, false, bob, p, newest, fault.NotFound)
	undoes(r.redo(t, carl, p, newest), 15) // 16
	words("a; b@1")
	undoes(r.undo(t, bob, p, newest), 4)

	// The same people by the name of their client.
	guest := auth.Anonymous
	r.fails(t, false, guest(""), p, newest, fault.BadRequest)
	r.fails(t, true, guest(""), p, newest, fault.BadRequest)
	move := func(actor auth.Actor, client string, x float64) {
		t.Helper()
		_, err := r.plans.Change(t.Context(), auth.Unchecked(actor, p), plan.Change{ClientID: client, Edits: []plan.Edit{move("a", x)}})
		if err != nil {
			t.Fatal(err)
		}
	}
	const one, two = `tab "1" <\u00e9é>`, `tab`
	move(guest(one), one, 5)
	move(guest(two), two, 6)
	move(ann, one, 7)
	undoes(r.undo(t, guest(two), p, plan.UndoInput{ClientID: two, OnConflict: plan.Overwrite}), 19)
	undoes(r.undo(t, guest(one), p, plan.UndoInput{ClientID: one, OnConflict: plan.Overwrite}), 18)
	r.fails(t, false, guest(one), p, plan.UndoInput{ClientID: one}, fault.NotFound)
	r.fails(t, false, ann, p, plan.UndoInput{ClientID: two}, fault.NotFound)
	undoes(r.undo(t, ann, p, plan.UndoInput{ClientID: one, OnConflict: plan.Overwrite}), 20)
	undoes(r.redo(t, guest(two), p, plan.UndoInput{ClientID: two, OnConflict: plan.Overwrite}), 21)
}

// What others took back part by part does not keep one from older changes.
func TestUndoPassesOverWhatIsUndoneInParts(t *testing.T) {
	t.Parallel()
	r, p := newProject(t)
	r.by(t, carl, p, addNode("a", plan.GraphNode), addNode("b", plan.GraphNode)) // 1
	r.by(t, ann, p, move("a", 1))                                                // 2
	r.by(t, ann, p, move("b", 1))                                                // 3
	r.by(t, bob, p, move("b", 0))                                                // 4
	newest := plan.UndoInput{Via: "test"}
	preview := newest
	preview.DryRun = true
	if would := r.undo(t, ann, p, preview); would.Change == nil || would.Change.Undoes != 2 {
		t.Fatalf("it would undo %+v, want version 2", would.Change)
	}
	if did := r.undo(t, ann, p, newest); did.Change == nil || did.Change.Undoes != 2 { // 5
		t.Fatalf("it undid %+v, want version 2", did.Change)
	}
	if did := r.undo(t, ann, p, newest); did.Change != nil || did.At.Version != 5 {
		t.Fatalf("it undid %+v at version %d, want nothing at 5", did.Change, did.At.Version)
	}
}

// The newest is looked for among the newest 1,000 changes.
func TestUndoOwnNewestIsNotFarAway(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	r := startReplica(t, url, 0)
	p, conn := r.create(t), pgtest.Connect(t, url)
	r.by(t, ann, p, addNode("a", plan.GraphNode)) // 1
	r.by(t, ann, p, move("a", 1))                 // 2
	others := func(versions string) {
		t.Helper()
		pgtest.Exec(t, conn, "BEGIN")
		pgtest.Exec(t, conn, `INSERT INTO events (project_id, version, at, op_actor, op_id, request_hash, body)
			SELECT $1, v, now(), 'bob', v::text, '', '{"operations":[]}'::json FROM `+versions+" v", p)
		pgtest.Exec(t, conn, "UPDATE heads SET version = (SELECT max(version) FROM events)")
		pgtest.Exec(t, conn, "COMMIT")
	}
	others("generate_series(3, 900)")
	if got := r.undo(t, ann, p, plan.UndoInput{}); got.Change == nil || got.Change.Undoes != 2 { // 901
		t.Errorf("it undid %+v", got.Change)
	}
	others("generate_series(902, 1100)")
	// What an undo took back may be farther away than the undo.
	r.fails(t, false, ann, p, plan.UndoInput{}, fault.NotFound)
	if got := r.redo(t, ann, p, plan.UndoInput{}); got.Change == nil || got.Change.Undoes != 901 { // 1101
		t.Errorf("it redid %+v", got.Change)
	}
	r.fails(t, true, ann, p, plan.UndoInput{}, fault.NotFound)
	others("generate_series(1102, 2101)")
	r.fails(t, false, ann, p, plan.UndoInput{}, fault.NotFound)
	if got := r.undo(t, ann, p, plan.UndoInput{Version: 1101}); got.Change == nil { // by number it can be as far away as the log reaches
		t.Errorf("it undid nothing")
	}
}

// What cannot be undone, and what is said then.
func TestUndoRefuses(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	r := startReplica(t, url, 0)
	p, other := r.create(t), r.create(t)
	r.by(t, carl, other, addNode("a", plan.GraphNode))
	for x := range 6 {
		r.by(t, ann, other, move("a", float64(x+1)))
	}
	r.by(t, carl, p, addNode("a", plan.GraphNode)) // 1
	moved := r.by(t, ann, p, move("a", 1))         // 2
	undo, redo := false, true
	for name, c := range map[string]struct {
		redo    bool
		project int32
		in      plan.UndoInput
		code    fault.Code
	}{
		"a negative version":              {undo, p, plan.UndoInput{Version: -1}, fault.BadRequest},
		"a version above the head":        {undo, p, plan.UndoInput{Version: 3}, fault.BadRequest},
		"a version of another project":    {undo, p, plan.UndoInput{Version: 6}, fault.BadRequest},
		"no such project":                 {undo, p + 99, plan.UndoInput{Version: 1}, fault.NotFound},
		"no such project, and no version": {undo, p + 99, plan.UndoInput{}, fault.NotFound},
		"a redo of what is no undo":       {redo, p, plan.UndoInput{Version: moved}, fault.BadRequest},
		"another way":                     {undo, p, plan.UndoInput{Version: moved, OnConflict: "PERHAPS"}, fault.BadRequest},
		"a long note":                     {undo, p, plan.UndoInput{Version: moved, Note: strings.Repeat("x", 1001)}, fault.BadRequest},
		"another version expected":        {undo, p, plan.UndoInput{Version: moved, Expected: new(int64(1))}, fault.Conflict},
	} {
		for _, dry := range []bool{false, true} {
			c.in.DryRun = dry
			r.fails(t, c.redo, ann, c.project, c.in, c.code)
		}
		if v := r.dag(t, p).At.Version; v != moved {
			t.Fatalf("%s: the plan is at version %d", name, v)
		}
	}
	if f := r.failure(t, undo, ann, p, plan.UndoInput{Version: 9}, fault.BadRequest); f.Details["currentVersion"] != moved {
		t.Errorf("above the head: %+v", f.Details)
	}

	undone := r.undo(t, bob, p, plan.UndoInput{Version: moved, Expected: &moved}).At.Version // 3
	for _, dry := range []bool{false, true} {
		if f := r.failure(t, undo, ann, p, plan.UndoInput{Version: moved, DryRun: dry}, fault.Conflict); f.Details["undoneBy"] != undone {
			t.Errorf("undone already: %+v", f.Details)
		}
	}
	redone := r.redo(t, ann, p, plan.UndoInput{Version: undone}).At.Version // 4
	r.fails(t, redo, ann, p, plan.UndoInput{Version: redone}, fault.BadRequest)
	if f := r.failure(t, redo, ann, p, plan.UndoInput{Version: undone}, fault.Conflict); f.Details["undoneBy"] != redone {
		t.Errorf("redone already: %+v", f.Details)
	}
	again := r.undo(t, ann, p, plan.UndoInput{Version: moved}).At.Version // 5: it stands again
	if f := r.failure(t, undo, ann, p, plan.UndoInput{Version: moved}, fault.Conflict); f.Details["undoneBy"] != again {
		t.Errorf("undone by the second: %+v", f.Details)
	}

	system := auth.Actor{ID: "server", Kind: auth.KindSystem, Name: "Layercake"}
	byServer := r.by(t, system, p, move("a", 8)) // 6
	r.fails(t, undo, ann, p, plan.UndoInput{Version: byServer}, fault.BadRequest)

	if _, err := r.plans.Trim(t.Context(), plan.Keep{Events: 2, Bytes: 1 << 40}); err != nil {
		t.Fatal(err)
	}
	if f := r.failure(t, undo, ann, p, plan.UndoInput{Version: 4}, fault.NotFound); f.Details["oldest"] != int64(5) {
		t.Errorf("trimmed away: %+v", f.Details)
	}
	r.redo(t, ann, p, plan.UndoInput{Version: again, OnConflict: plan.Overwrite}) // what it took back was trimmed, and it is an undo all the same
}

// The same undo by two at once, on two replicas, happens once.
func TestUndoTwiceAtOnce(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	one, two := startReplica(t, url, 0), startReplica(t, url, 0)
	p := one.create(t)
	one.by(t, carl, p, addNode("a", plan.GraphNode))
	for round := range 10 {
		moved := one.by(t, ann, p, move("a", float64(round+1)))
		before := two.by(t, ann, p, move("a", float64(round+100)))
		outcomes := make([]error, 4)
		results := make([]plan.UndoResult, 4)
		var both sync.WaitGroup
		for i, r := range []*replica{one, two, one, two} {
			both.Go(func() {
				in := plan.UndoInput{Version: before}
				if i >= 2 { // the same request, once more
					in.OpID = fmt.Sprint("round-", round)
				}
				results[i], outcomes[i] = r.plans.Undo(t.Context(), auth.Unchecked(ann, p), in)
			})
		}
		both.Wait()
		done, refused := 0, 0
		for i, err := range outcomes {
			switch {
			case err == nil && results[i].At.Version == before+1 && results[i].Change.Undoes == before:
				done++
			case fault.Is(err, fault.Conflict) && fault.From(err).Details["undoneBy"] == before+1:
				refused++
			default:
				t.Errorf("round %d: %+v, %v %v", round, results[i], err, fault.From(err))
			}
		}
		// Those of one operation are one change.
		if (outcomes[2] == nil) != (outcomes[3] == nil) || done != 1 && (done != 2 || outcomes[2] != nil) || done+refused != 4 {
			t.Errorf("round %d: %d done, %d refused: %v", round, done, refused, outcomes)
		}
		if dag := one.dag(t, p); dag.At.Version != before+1 || dag.Nodes[0].Position.X != float64(round+1) {
			t.Errorf("round %d: version %d, a at %v", round, dag.At.Version, dag.Nodes[0].Position.X)
		}

		// Two that name no version undo two changes: the newest, and the one before.
		one.by(t, ann, p, move("a", 55))
		for i, r := range []*replica{one, two} {
			both.Go(func() { results[i], outcomes[i] = r.plans.Undo(t.Context(), auth.Unchecked(ann, p), plan.UndoInput{}) })
		}
		both.Wait()
		for i, err := range outcomes[:2] {
			if err != nil {
				t.Fatalf("round %d: replica %d: %v %+v", round, i, err, fault.From(err))
			}
		}
		undone := []int64{results[0].Change.Undoes, results[1].Change.Undoes}
		if slices.Sort(undone); undone[0] != moved || undone[1] != before+2 {
			t.Errorf("round %d: undid %v, want %d and %d", round, undone, moved, before+2)
		}
	}
}

// The same request again gets the same answer, whatever the log has become since, and on a replica that comes after one that died between
// COMMIT and answer.
func TestUndoAgain(t *testing.T) {
	t.Parallel()
	core := servertest.StartCore(t, nil)
	var broken atomic.Bool
	dying := plan.NewService(plan.Config{DB: core.DB, Hub: core.Hub, WriteSlots: 1, Metrics: prometheus.NewRegistry(), AfterCommit: func() {
		if broken.Load() {
			panic("boom")
		}
	}})
	r := &replica{plans: core.Plans, projects: core.Projects, actor: ann}
	p := r.create(t)
	r.by(t, carl, p, addNode("a", plan.GraphNode), addNode("b", plan.GraphNode), addEdge("ab", "a", "b"))
	removed := r.by(t, ann, p, move("b", 1), plan.DeleteNode{ID: "a"})
	r.by(t, bob, p, move("b", 2))

	type call = func(context.Context, auth.Access, plan.UndoInput) (plan.UndoResult, error)
	skip := plan.UndoInput{OpID: "skip", OnConflict: plan.Skip, Via: "test"}
	again := func(name string, first, repeat call, in plan.UndoInput, dies bool) plan.UndoResult {
		t.Helper()
		broken.Store(dies)
		got, err := first(t.Context(), auth.Unchecked(ann, p), in)
		broken.Store(false)
		if dies && !errors.As(err, new(*task.Panic)) || !dies && err != nil {
			t.Fatalf("%s: %+v, %v", name, got, err)
		}
		version := r.dag(t, p).At.Version
		for range 2 {
			next, err := repeat(t.Context(), auth.Unchecked(ann, p), in)
			if err != nil {
				t.Fatalf("%s, repeated: %v", name, err)
			}
			if diff := cmp.Diff(got, next); diff != "" && !dies {
				t.Errorf("%s: the repeat got another answer (-first +again):\n%s", name, diff)
			}
			got, dies = next, false
		}
		if v := r.dag(t, p).At.Version; v != version || got.At.Version != version {
			t.Errorf("%s: version %d became %d, and the answer says %d", name, version, v, got.At.Version)
		}
		for _, other := range []plan.UndoInput{
			{OpID: in.OpID, OnConflict: plan.Fail, Expected: in.Expected, Version: in.Version}, {OpID: in.OpID, OnConflict: in.OnConflict, Version: 1, Expected: in.Expected},
		} {
			if _, err := r.plans.Undo(t.Context(), auth.Unchecked(ann, p), other); !fault.Is(err, fault.BadRequest) {
				t.Errorf("%s: another request under its id: %v, want BAD_REQUEST", name, err)
			}
		}
		return got
	}
	got := again("of the newest", dying.Undo, r.plans.Undo, skip, true)
	if words := told(got.Conflicts); len(words) != 1 || words[0] != "NODE_UPDATED b position: changed since, by Bob in [3]" || got.Change.Undoes != removed {
		t.Errorf("the answer from the log has the conflicts %q of the undo of %d", words, got.Change.Undoes)
	}
	undone := got.At.Version
	again("a redo", dying.Redo, r.plans.Redo, plan.UndoInput{OpID: "redo", OnConflict: plan.Overwrite}, true)
	r.by(t, bob, p, plan.DeleteNode{ID: "b"})
	got = again("of a version", r.plans.Undo, core.Plans.Undo, plan.UndoInput{OpID: "again", Version: removed, OnConflict: plan.Skip}, false)
	if len(got.Conflicts) != 1 || len(got.Notes) != 2 {
		t.Errorf("conflicts %q, notes %q", told(got.Conflicts), got.Notes)
	}
	r.by(t, bob, p, move("a", 4))
	head := r.dag(t, p).At.Version
	again("a restore", dying.Restore, r.plans.Restore, plan.UndoInput{OpID: "restore", Version: undone, Expected: &head}, true)

	// What was trimmed is not needed for the answer, but it is not known any more who was in the way.
	if _, err := r.plans.Trim(t.Context(), plan.Keep{Events: 6, Bytes: 1 << 40}); err != nil {
		t.Fatal(err)
	}
	if got, err := r.plans.Undo(t.Context(), auth.Unchecked(ann, p), skip); err != nil || got.At.Version != undone || got.Change.Undoes != removed || len(got.Conflicts) != 0 {
		t.Errorf("after trimming: %+v, %v", got, err)
	}
}

// A restore makes the plan what it was, by a change that can be undone.
func TestRestore(t *testing.T) {
	t.Parallel()
	r, p := newProject(t)
	r.by(t, carl, p, addNode("a", plan.GraphNode), addNode("b", plan.GraphNode), addNode("c", plan.GraphNode), addEdge("ab", "a", "b"),
		plan.UpdatePlan{Name: "Test", YAMLContent: "a: 1"})
	r.by(t, ann, p, move("b", 1), rename("c", "x"))
	old := r.dag(t, p)
	mixed := []plan.Edge{edge("ab", "b", "c"), edge("da", "d", "a")}
	r.by(t, bob, p, plan.UpdatePlan{Name: "His"}, move("b", 7), addNode("d", plan.GraphNode))
	r.by(t, bob, p, plan.Replace{
		Base: "3", Nodes: []plan.Node{node("a", plan.GraphNode), node("b", plan.MergeNode), node("c", plan.GraphNode), node("d", plan.DataSourceNode)}, Edges: mixed,
	})
	r.by(t, bob, p, plan.DeleteNode{ID: "c"})
	now := r.dag(t, p)

	restore := func(in plan.UndoInput) plan.UndoResult {
		t.Helper()
		got, err := r.plans.Restore(t.Context(), auth.Unchecked(ann, p), in)
		if err != nil {
			t.Fatalf("%+v: %v %+v", in, err, fault.From(err))
		}
		return got
	}
	would := restore(plan.UndoInput{Version: 2, Expected: &now.At.Version, DryRun: true, OnConflict: "ignored"})
	if after := r.dag(t, p); !cmp.Equal(after, now) || would.At != now.At || would.Change == nil {
		t.Errorf("a dry run gives %+v and changes the plan to %q", would, inWords(after))
	}
	got := restore(plan.UndoInput{Version: 2, Expected: &now.At.Version, Note: "as on Monday"})
	back := r.dag(t, p)
	if words := inWords(back); words != "Test; a; b@1; c=x; ab:a>b" || !cmp.Equal(sorted(old), sorted(back)) {
		t.Errorf("restored to %q: %s", words, cmp.Diff(sorted(old), sorted(back)))
	}
	if record, err := r.plans.OfProject(t.Context(), auth.Unchecked(ann, p)); err != nil || record.YAMLContent != "a: 1" {
		t.Errorf("the record is %+v, %v", record, err)
	}
	if withoutTimes(operations(t, would.Change)) != withoutTimes(operations(t, got.Change)) {
		t.Error("the dry run told otherwise")
	}
	checkUndone(t, now, back, 0, got)
	if same := restore(plan.UndoInput{Version: 2, Expected: &back.At.Version}); same.Change != nil || same.At != back.At {
		t.Errorf("restoring what is there: %+v", same)
	}
	r.undo(t, ann, p, plan.UndoInput{})
	if diff := cmp.Diff(sorted(now), sorted(r.dag(t, p))); diff != "" {
		t.Errorf("undoing the restore gives another plan (-before +after):\n%s", diff)
	}
	head := r.dag(t, p).At.Version
	if empty := restore(plan.UndoInput{Version: 0, Expected: &head}); empty.Change == nil || len(r.dag(t, p).Nodes) != 0 {
		t.Errorf("restoring the birth of the plan: %+v", empty)
	}

	for name, c := range map[string]struct {
		in   plan.UndoInput
		code fault.Code
	}{
		"without a version that is expected": {plan.UndoInput{Version: 2}, fault.BadRequest},
		"with another one":                   {plan.UndoInput{Version: 2, Expected: &head}, fault.Conflict},
		"to a version that is not there yet": {plan.UndoInput{Version: 99, Expected: &head}, fault.BadRequest},
		"to a negative one":                  {plan.UndoInput{Version: -1, Expected: &head}, fault.BadRequest},
	} {
		if _, err := r.plans.Restore(t.Context(), auth.Unchecked(ann, p), c.in); !fault.Is(err, c.code) {
			t.Errorf("%s: %v, want %s", name, err, c.code)
		}
	}
	if _, err := r.plans.Restore(t.Context(), auth.Unchecked(ann, p+99), plan.UndoInput{Expected: &head}); !fault.Is(err, fault.NotFound) {
		t.Errorf("a restore of no project: %v", err)
	}
	if _, err := r.plans.Trim(t.Context(), plan.Keep{Events: 3, Bytes: 1 << 40}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.plans.Restore(t.Context(), auth.Unchecked(ann, p), plan.UndoInput{Version: 2, Expected: &head}); !fault.Is(err, fault.NotFound) {
		t.Errorf("a restore to what was trimmed: %v", err)
	}
}

// A change of everything is undone like any other, and what it takes back is told within bounds.
func TestUndoLargeChange(t *testing.T) {
	t.Parallel()
	r, p := newProject(t)
	var add []plan.Edit
	for i := range plan.MaxNodes {
		add = append(add, addNode(fmt.Sprint("n", i), plan.GraphNode))
	}
	for i := range 4000 { // from each of the first hundred to forty others
		add = append(add, addEdge(fmt.Sprint("e", i), fmt.Sprint("n", i%100), fmt.Sprint("n", 100+i/100)))
	}
	r.by(t, ann, p, add...)
	before := r.dag(t, p)
	r.by(t, ann, p, plan.RemoveAll{})
	if got := r.undo(t, ann, p, plan.UndoInput{Version: 2}); len(got.Change.Operations) != 5000 {
		t.Fatalf("undoing the removal: %d operations", len(got.Change.Operations))
	}
	if after := r.dag(t, p); !slices.Equal(ids(after), ids(before)) { // the order, too
		t.Error("the plan came back otherwise")
	}
	var moves []plan.Move
	for i := range plan.MaxNodes {
		moves = append(moves, plan.Move{ID: fmt.Sprint("n", i), Position: plan.Position{X: 1}})
	}
	r.by(t, bob, p, plan.MoveNodes{Moves: moves}, plan.DeleteNode{ID: "n0"})
	_, err := r.plans.Undo(t.Context(), auth.Unchecked(ann, p), plan.UndoInput{Version: 1})
	conflicts := conflictsOf(err)
	if !fault.Is(err, fault.Conflict) || len(conflicts) == 0 || len(conflicts) > 1000 {
		t.Fatalf("%v with %d conflicts", err, len(conflicts))
	}
	if c := conflicts[0]; !slices.Equal(c.Versions, []int64{2, 3, 4}) || !slices.Equal(c.ActorNames, []string{"Ann", "Bob"}) {
		t.Errorf("the first conflict is %+v", c)
	}
	if r.undo(t, ann, p, plan.UndoInput{Version: 1, OnConflict: plan.Overwrite}); len(r.dag(t, p).Nodes) != 0 {
		t.Fatal("nodes are left after overwriting them")
	}
}

// ids are the elements of a plan in their order.
func ids(dag plan.DAG) []string {
	var all []string
	for _, n := range dag.Nodes {
		all = append(all, n.ID)
	}
	for _, e := range dag.Edges {
		all = append(all, e.ID)
	}
	return all
}

// The result of an undo is a plan that is not full: what comes back needs a place.
func TestUndoInFullPlan(t *testing.T) {
	t.Parallel()
	r, p := newProject(t)
	fill := func(from, to int) (edits []plan.Edit) {
		for i := from; i < to; i++ {
			edits = append(edits, addNode(fmt.Sprint("n", i), plan.GraphNode))
		}
		return edits
	}
	r.by(t, ann, p, fill(0, plan.MaxNodes)...)
	removed := r.by(t, ann, p, plan.DeleteNode{ID: "n0"})
	r.by(t, bob, p, fill(plan.MaxNodes, plan.MaxNodes+1)...)
	for _, on := range []plan.OnConflict{plan.Fail, plan.Skip, plan.Overwrite} {
		if f := r.failure(t, false, ann, p, plan.UndoInput{Version: removed, OnConflict: on}, fault.Conflict); f.Details["rule"] != "The plan has too many nodes" {
			t.Errorf("%s: %+v", on, f.Details)
		}
	}
}

// An undo is two round trips under the lock, as a move is; the event is read before.
func TestUndoIsTwoRoundTrips(t *testing.T) {
	t.Parallel()
	count := newCutter(t, pgtest.New(t))
	r := startReplica(t, count.url, 0)
	p := r.create(t)
	r.change(t, p, addNode("a", plan.GraphNode), addNode("b", plan.GraphNode))
	best := 0
	for i := range 20 {
		version := r.change(t, p, move("a", float64(i+1))).At.Version
		if _, err := r.plans.Undo(t.Context(), auth.Unchecked(r.actor, p), plan.UndoInput{Version: version}); err != nil { // every statement was prepared once
			t.Fatal(err)
		}
		version = r.change(t, p, move("a", float64(i+1))).At.Version
		id := fmt.Sprintf("trips-of-undo-%d.", i)
		count.mu.Lock()
		count.text, count.first, count.trips = []byte(id), nil, 0
		count.mu.Unlock()
		if _, err := r.plans.Undo(t.Context(), auth.Unchecked(r.actor, p), plan.UndoInput{Version: version, OpID: id}); err != nil {
			t.Fatal(err)
		}
		count.mu.Lock()
		if best == 0 || count.trips < best {
			best = count.trips
		}
		count.mu.Unlock()
	}
	if best != 3 {
		t.Errorf("%d round trips, want 3", best)
	}
}
