package plan_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"layercake/internal/auth"
	"layercake/internal/fault"
	"layercake/internal/plan"
	"layercake/internal/postgres/pgtest"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"
)

// Every plan of these tests begins with the nodes a to d in a row, and the edge ab.
func (r *replica) begin(t testing.TB, project int32) {
	t.Helper()
	r.by(t, ann, project, addNode("a", plan.GraphNode), addNode("b", plan.GraphNode), addNode("c", plan.GraphNode), addNode("d", plan.GraphNode),
		addEdge("ab", "a", "b"))
}

// expecting is an edit of a node or an edge that its sender saw so.
func expecting(edit plan.Edit, seen any) plan.Edit {
	switch e := edit.(type) {
	case plan.UpdateNode:
		e.Expected = new(seen.(plan.NodeParts))
		return e
	case plan.UpdateEdge:
		e.Expected = new(seen.(plan.EdgeParts))
		return e
	}
	panic("it has no parts")
}

func TestEdit(t *testing.T) {
	t.Parallel()
	r := startReplica(t, pgtest.New(t), 0)
	for name, c := range map[string]struct {
		edits []plan.Edit
		want  string
		steps int // operations of the event; 0 for no event
	}{
		"one after the other": {
			[]plan.Edit{addNode("e", plan.GraphNode), addEdge("de", "d", "e"), rename("e", "E"), plan.DeleteNode{ID: "a"}, addNode("a", plan.OutputNode)},
			"P; b; c; d; e=E; a OutputNode; de:d>e", 6,
		},
		"many moves": {
			[]plan.Edit{plan.MoveNodes{Moves: []plan.Move{{ID: "d", Position: plan.Position{X: 4}}, {ID: "ghost"}, {ID: "a", Position: plan.Position{X: 1}}}}, move("a", 2)},
			"P; a@2; b; c; d@4; ab:a>b", 3,
		},
		"an edge that moves its end": {
			[]plan.Edit{plan.DeleteEdge{ID: "ab"}, addEdge("ab", "a", "c"), relabel("ab", "L")},
			"P; a; b; c; d; ab:a>c=L", 3,
		},
		"the record, beside nodes": {
			[]plan.Edit{move("a", 7), plan.PatchPlan{Name: new(" Q ")}, plan.PatchPlan{YAMLContent: new("y: 1"), Dependencies: []int32{3}}},
			"Q; a@7; b; c; d; ab:a>b", 3,
		},
		"nothing": {[]plan.Edit{move("a", 0), plan.PatchPlan{}, plan.MoveNodes{}, plan.PatchPlan{Name: new("P")}}, "P; a; b; c; d; ab:a>b", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := r.create(t)
			r.begin(t, p)
			r.by(t, ann, p, plan.UpdatePlan{Name: "P"})
			before := r.dag(t, p)
			change := plan.Change{Via: "test", Note: "why", OpID: "op", Edits: c.edits}
			dry, err := r.plans.Edit(t.Context(), auth.Unchecked(bob, p), change, true)
			if err != nil || dry.At != before.At || !cmp.Equal(before, r.dag(t, p)) {
				t.Fatalf("a dry run: %v, at %v, changes the plan: %s", err, dry.At, cmp.Diff(before, r.dag(t, p)))
			}
			done, err := r.plans.Edit(t.Context(), auth.Unchecked(bob, p), change, false)
			if err != nil {
				t.Fatal(err)
			}
			after := r.dag(t, p)
			if got := inWords(after); got != c.want || after.At != done.At {
				t.Errorf("%s at %v, want %s at %v", got, after.At, c.want, done.At)
			}
			if says, does := toldOf(t, dry, nil), toldOf(t, done, nil); says != does {
				t.Errorf("the dry run says %s\nit does %s", says, does)
			}
			steps := 0
			if done.Event != nil {
				steps = len(done.Event.Operations)
			}
			if steps != c.steps || done.At.Version != before.At.Version+int64(min(steps, 1)) {
				t.Errorf("%d steps in version %d, want %d", steps, done.At.Version, c.steps)
			}
			again, err := r.plans.Edit(t.Context(), auth.Unchecked(bob, p), change, false)
			if err != nil || again.At != done.At {
				t.Errorf("a repeat is at %v, %v, want %v", again.At, err, done.At)
			}
		})
	}
}

// What is left out of the record stays.
func TestPatchPlan(t *testing.T) {
	t.Parallel()
	r, p := newProject(t)
	r.change(t, p, plan.UpdatePlan{Name: "P", YAMLContent: "y", Dependencies: []int32{1, 2}, Create: true})
	for _, c := range []struct {
		edit plan.PatchPlan
		want string
	}{
		{plan.PatchPlan{Name: new("Q")}, "Q y [1 2] pending"},
		{plan.PatchPlan{YAMLContent: new("")}, "Q  [1 2] pending"},
		{plan.PatchPlan{Dependencies: []int32{}}, "Q  [] pending"},
		{plan.PatchPlan{}, "Q  [] pending"},
	} {
		r.change(t, p, c.edit)
		got, err := r.plans.OfProject(t.Context(), auth.Unchecked(r.actor, p))
		if err != nil {
			t.Fatal(err)
		}
		if words := fmt.Sprint(got.Name, " ", got.YAMLContent, " ", got.Dependencies, " ", got.Status); words != c.want {
			t.Errorf("after %s: %s, want %s", encoded(c.edit), words, c.want)
		}
	}
	for _, edit := range []plan.PatchPlan{{Name: new(" ")}, {Name: new(strings.Repeat("x", 101))}, {YAMLContent: new("\x00")}, {Dependencies: make([]int32, 1001)}} {
		if _, err := r.plans.Edit(t.Context(), auth.Unchecked(ann, p), plan.Change{Edits: []plan.Edit{edit}}, false); !fault.Is(err, fault.BadRequest) {
			t.Errorf("%.200s: %v", encoded(edit), err)
		}
	}
}

// One edit that is refused refuses all, and the fault says which it was.
func TestEditRefuses(t *testing.T) {
	t.Parallel()
	r, p := newProject(t)
	r.begin(t, p)
	before := r.dag(t, p)
	good := []plan.Edit{move("a", 1), addNode("e", plan.GraphNode), relabel("ab", "L"), plan.PatchPlan{Name: new("Q")}}
	for name, c := range map[string]struct {
		edit plan.Edit
		code fault.Code
	}{
		"a node that is there":       {addNode("a", plan.GraphNode), fault.Conflict},
		"a node added before it":     {addNode("e", plan.GraphNode), fault.Conflict},
		"a node that is not there":   {move("ghost", 1), fault.NotFound},
		"deletes what is not there":  {plan.DeleteNode{ID: "ghost"}, fault.NotFound},
		"an edge that is not there":  {plan.DeleteEdge{ID: "ghost"}, fault.NotFound},
		"updates what is not there":  {relabel("ghost", "L"), fault.NotFound},
		"a cycle":                    {addEdge("ba", "b", "a"), fault.BadRequest},
		"no name":                    {plan.PatchPlan{Name: new("")}, fault.BadRequest},
		"a place far away":           {plan.MoveNodes{Moves: []plan.Move{{ID: "a", Position: plan.Position{X: 1e9}}}}, fault.BadRequest},
		"a label other than it saw":  {expecting(rename("a", "A"), plan.NodeParts{Metadata: &plan.NodeMetadata{Label: "x"}}), fault.Conflict},
		"a label of an edge, too":    {expecting(relabel("ab", "A"), plan.EdgeParts{Metadata: &plan.EdgeMetadata{DataType: plan.GraphData}}), fault.Conflict},
		"a place that it moved from": {expecting(move("a", 2), plan.NodeParts{Position: &plan.Position{}}), fault.Conflict},
	} {
		for _, dry := range []bool{true, false} {
			_, err := r.plans.Edit(t.Context(), auth.Unchecked(bob, p), plan.Change{Edits: slices.Concat(good, []plan.Edit{c.edit}, good)}, dry)
			if f := fault.From(err); f == nil || f.Code != c.code || f.Details["edit"] != len(good) {
				t.Errorf("%s, dry %t: %v %+v, want %s of edit %d", name, dry, err, f, c.code, len(good))
			}
		}
	}
	many := slices.Repeat([]plan.Edit{move("a", 1)}, plan.MaxOperations+1)
	for what, change := range map[string]plan.Change{
		"no edits": {}, "too many edits": {Edits: many}, "another version": {Edits: good, Expected: new(int64(7))},
	} {
		_, err := r.plans.Edit(t.Context(), auth.Unchecked(bob, p), change, false)
		if f := fault.From(err); f == nil || f.Details["edit"] != nil || f.Details["detail"] == nil && f.Details["currentVersion"] == nil {
			t.Errorf("%s: %v %+v", what, err, f)
		}
	}
	if after := r.dag(t, p); !cmp.Equal(before, after) {
		t.Errorf("what was refused changed the plan: %s", cmp.Diff(before, after))
	}
	if _, err := r.plans.Edit(t.Context(), auth.Unchecked(bob, p), plan.Change{Edits: many[1:]}, false); err != nil {
		t.Errorf("%d edits: %v", plan.MaxOperations, err)
	}
}

// seenConflicts are what an error says of parts that were not as expected, in words.
func seenConflicts(err error) []string {
	var conflicts []struct {
		Edit int `json:"edit"`
		plan.UndoConflict
	}
	f := fault.From(err)
	if f == nil || json.Unmarshal([]byte(encoded(f.Details["conflicts"])), &conflicts) != nil {
		return []string{fmt.Sprint(err)}
	}
	var words []string
	for _, c := range conflicts {
		words = append(words, fmt.Sprintf("%d: %s %s %s saw %s, is %s, by %s in %v", c.Edit, c.Kind, c.ID, c.Part, c.Expected, c.Current,
			strings.Join(c.ActorNames, " and "), c.Versions))
	}
	return words
}

// An edit whose sender saw what is there is made; else each part that differs is told, and who changed it since.
func TestEditOfPartsThatSomebodySaw(t *testing.T) {
	t.Parallel()
	r := startReplica(t, pgtest.New(t), 0)
	side, text := new("right"), `{"k": 1}`
	for name, c := range map[string]struct {
		others []plan.Edit // one change of Bob's each, from version 2 on
		edit   plan.Edit
		want   []string // conflicts; nil when the edit is made
	}{
		"all is as seen": {
			nil,
			expecting(move("a", 5), plan.NodeParts{Position: &plan.Position{}, Metadata: &plan.NodeMetadata{Label: "a"}, Config: new("{}")}), nil,
		},
		"a part that nothing is said of": {[]plan.Edit{rename("a", "A")}, expecting(rename("a", "AA"), plan.NodeParts{Position: &plan.Position{}}), nil},
		"nothing is said":                {[]plan.Edit{rename("a", "A")}, expecting(rename("a", "AA"), plan.NodeParts{}), nil},
		"position": {
			[]plan.Edit{move("a", 1)},
			expecting(rename("a", "A"), plan.NodeParts{Position: &plan.Position{}}),
			[]string{`0: NODE_UPDATED a position saw {"x":0,"y":0}, is {"x":1,"y":0}, by Bob in [2]`},
		},
		"label": {
			[]plan.Edit{rename("a", "B"), move("a", 3), rename("a", "C")},
			expecting(rename("a", "A"), plan.NodeParts{Metadata: &plan.NodeMetadata{Label: "a"}}),
			[]string{`0: NODE_UPDATED a metadata saw {"label":"a","description":null}, is {"label":"C","description":null}, by Bob in [2 4]`},
		},
		"a description where there was none": {
			[]plan.Edit{plan.UpdateNode{ID: "a", Metadata: &plan.NodeMetadata{Label: "a", Description: new("D")}}},
			expecting(rename("a", "A"), plan.NodeParts{Metadata: &plan.NodeMetadata{Label: "a"}}),
			[]string{`0: NODE_UPDATED a metadata saw {"label":"a","description":null}, is {"label":"a","description":"D"}, by Bob in [2]`},
		},
		"config, in its very text": {
			[]plan.Edit{plan.UpdateNode{ID: "a", Config: new(`{"k":1}`)}, plan.UpdateNode{ID: "a", Config: &text}},
			expecting(move("a", 1), plan.NodeParts{Config: new(`{"k":1}`)}),
			[]string{`0: NODE_UPDATED a config saw "{\"k\":1}", is "{\"k\": 1}", by Bob in [3]`},
		},
		"as it never was": {
			[]plan.Edit{rename("a", "B")},
			expecting(move("a", 1), plan.NodeParts{Metadata: &plan.NodeMetadata{Label: "x"}}),
			[]string{`0: NODE_UPDATED a metadata saw {"label":"x","description":null}, is {"label":"B","description":null}, by Ann and Bob in [1 2]`},
		},
		"after it was as seen again": {
			[]plan.Edit{rename("a", "B"), rename("a", "a"), rename("a", "C"), move("a", 1)},
			expecting(rename("a", "A"), plan.NodeParts{Metadata: &plan.NodeMetadata{Label: "a"}, Position: &plan.Position{X: 1}}),
			[]string{`0: NODE_UPDATED a metadata saw {"label":"a","description":null}, is {"label":"C","description":null}, by Bob in [4]`},
		},
		"after it was deleted and came back": {
			[]plan.Edit{plan.DeleteNode{ID: "d"}, plan.AddNode{Node: plan.Node{ID: "d", NodeType: plan.GraphNode, Metadata: plan.NodeMetadata{Label: "D"}, Config: "{}"}}},
			expecting(move("d", 1), plan.NodeParts{Metadata: &plan.NodeMetadata{Label: "d"}}),
			[]string{`0: NODE_UPDATED d metadata saw {"label":"d","description":null}, is {"label":"D","description":null}, by Bob in [2 3]`},
		},
		"several parts": {
			[]plan.Edit{move("a", 1), rename("a", "B")},
			expecting(rename("a", "A"), plan.NodeParts{Position: &plan.Position{}, Metadata: &plan.NodeMetadata{Label: "a"}, Config: new("{}")}),
			[]string{
				`0: NODE_UPDATED a position saw {"x":0,"y":0}, is {"x":1,"y":0}, by Bob in [2]`,
				`0: NODE_UPDATED a metadata saw {"label":"a","description":null}, is {"label":"B","description":null}, by Bob in [3]`,
			},
		},
		"handles that were none": {nil, expecting(relabel("ab", "L"), plan.EdgeParts{SourceHandle: new((*string)(nil)), TargetHandle: new((*string)(nil))}), nil},
		"a handle": {
			[]plan.Edit{plan.UpdateEdge{ID: "ab", SourceHandle: side, TargetHandle: side}},
			expecting(relabel("ab", "L"), plan.EdgeParts{SourceHandle: new((*string)(nil)), TargetHandle: new(side)}),
			[]string{`0: EDGE_UPDATED ab source handle saw null, is "right", by Bob in [2]`},
		},
		"label of an edge": {
			[]plan.Edit{relabel("ab", "B")},
			expecting(relabel("ab", "L"), plan.EdgeParts{Metadata: &plan.EdgeMetadata{DataType: plan.GraphData}}),
			[]string{`0: EDGE_UPDATED ab metadata saw {"label":null,"dataType":"GRAPH_DATA"}, is {"label":"B","dataType":"GRAPH_DATA"}, by Bob in [2]`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := r.create(t)
			r.begin(t, p)
			for _, edit := range c.others {
				r.by(t, bob, p, edit)
			}
			before := r.dag(t, p)
			for _, dry := range []bool{true, false} {
				result, err := r.plans.Edit(t.Context(), auth.Unchecked(carl, p), plan.Change{Edits: []plan.Edit{c.edit}}, dry)
				if c.want == nil {
					if err != nil || result.Event == nil {
						t.Errorf("dry %t: %v, event %v, want a change", dry, seenConflicts(err), result.Event)
					}
					continue
				}
				if diff := cmp.Diff(c.want, seenConflicts(err)); diff != "" || !fault.Is(err, fault.Conflict) {
					t.Errorf("dry %t: %v (-want +got):\n%s", dry, err, diff)
				}
			}
			if after := r.dag(t, p); c.want != nil && !cmp.Equal(before, after) {
				t.Errorf("what was refused changed the plan: %s", cmp.Diff(before, after))
			}
		})
	}
}

// Two who saw the same part and change it at the same moment on two replicas: one succeeds, the other is told what became of it.
func TestEditAtOnce(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	one, two := startReplica(t, database, 0), startReplica(t, database, 0)
	p := one.create(t)
	one.begin(t, p)
	label := "a"
	for n := range 10 {
		labels, errs := []string{fmt.Sprint(n, " of one"), fmt.Sprint(n, " of two")}, make([]error, 2)
		var both errgroup.Group
		for i, r := range []*replica{one, two} {
			both.Go(func() error {
				edit := expecting(rename("a", labels[i]), plan.NodeParts{Metadata: &plan.NodeMetadata{Label: label}})
				_, errs[i] = r.plans.Edit(t.Context(), auth.Unchecked([]auth.Actor{ann, bob}[i], p), plan.Change{Edits: []plan.Edit{edit}}, false)
				return nil
			})
		}
		_ = both.Wait()
		first := 0
		if errs[0] != nil {
			first = 1
		}
		version := int64(n) + 2
		want := []string{fmt.Sprintf(`0: NODE_UPDATED a metadata saw {"label":%q,"description":null}, is {"label":%q,"description":null}, by %s in [%d]`,
			label, labels[first], []string{"Ann", "Bob"}[first], version)}
		if errs[first] != nil || !cmp.Equal(seenConflicts(errs[1-first]), want) {
			t.Fatalf("%v and %v, want one success and %v", errs[first], seenConflicts(errs[1-first]), want)
		}
		label = labels[first]
		if got := one.dag(t, p).Nodes[0].Metadata.Label; got != label {
			t.Fatalf("the label is %q, want %q", got, label)
		}
	}
}

// someEdits are edits that may be right, or not.
func someEdits(t *rapid.T) []plan.Edit {
	ids, edges := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "ghost"}), rapid.SampledFrom([]string{"ab", "x", "y"})
	labels, place := rapid.SampledFrom([]string{"a", "b", "L"}), rapid.Float64Range(0, 2)
	edits := make([]plan.Edit, rapid.IntRange(1, 5).Draw(t, "edits"))
	for i := range edits {
		switch rapid.IntRange(0, 8).Draw(t, "kind") {
		case 0:
			edits[i] = addNode(ids.Draw(t, "id"), rapid.SampledFrom(allNodeTypes).Draw(t, "type"))
		case 1:
			edits[i] = move(ids.Draw(t, "id"), place.Draw(t, "x"))
		case 2:
			edits[i] = expecting(rename(ids.Draw(t, "id"), labels.Draw(t, "label")), plan.NodeParts{Metadata: &plan.NodeMetadata{Label: labels.Draw(t, "seen")}})
		case 3:
			edits[i] = plan.MoveNodes{Moves: []plan.Move{{ID: ids.Draw(t, "id"), Position: plan.Position{X: place.Draw(t, "x")}}, {ID: ids.Draw(t, "id")}}}
		case 4:
			edits[i] = plan.DeleteNode{ID: ids.Draw(t, "id")}
		case 5:
			edits[i] = addEdge(edges.Draw(t, "edge"), ids.Draw(t, "source"), ids.Draw(t, "target"))
		case 6:
			edits[i] = expecting(relabel(edges.Draw(t, "edge"), labels.Draw(t, "label")), plan.EdgeParts{SourceHandle: new((*string)(nil))})
		case 7:
			edits[i] = plan.DeleteEdge{ID: edges.Draw(t, "edge")}
		case 8:
			edits[i] = plan.PatchPlan{Name: new(labels.Draw(t, "name"))}
		}
	}
	return edits
}

// A dry run says what the edits do: all of them, or none. Undoing them, the record included, gives the plan of before, but for the order of
// its elements and when those were created that went and came back.
func TestDryRunOfEditsSaysWhatTheyDo(t *testing.T) {
	t.Parallel()
	r := startReplica(t, pgtest.New(t), 0)
	r.plans.EdgePatience(0)
	rapid.Check(t, func(rt *rapid.T) {
		p := r.create(t)
		r.begin(t, p)
		for range rapid.IntRange(1, 6).Draw(rt, "changes") {
			c := plan.Change{OpID: rapid.StringMatching(`[a-z]{20}`).Draw(rt, "op"), Via: "graphql", Edits: someEdits(rt)}
			before := r.dag(t, p)
			dry, err := r.plans.Edit(t.Context(), auth.Unchecked(ann, p), c, true)
			says := toldOf(t, dry, err)
			done, err := r.plans.Edit(t.Context(), auth.Unchecked(ann, p), c, false)
			if does := toldOf(t, done, err); says != does {
				rt.Fatalf("%s\nthe dry run says %s\nit does          %s", encoded(c.Edits), says, does)
			}
			after := r.dag(t, p)
			if (err != nil || done.Event == nil) && !cmp.Equal(before, after) {
				rt.Fatalf("%s: %v changed the plan: %s", encoded(c.Edits), err, cmp.Diff(before, after))
			}
			if err == nil && done.Event != nil && rapid.Bool().Draw(rt, "undo") {
				r.undo(t, ann, p, plan.UndoInput{Version: done.At.Version})
				words := func(dag plan.DAG) []string { return slices.Sorted(strings.SplitSeq(inWords(dag), "; ")) }
				if diff := cmp.Diff(words(before), words(r.dag(t, p))); diff != "" {
					rt.Fatalf("undoing %s (-before +after): %s", encoded(c.Edits), diff)
				}
			}
		}
	})
}
