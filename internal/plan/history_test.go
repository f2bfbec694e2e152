package plan_test

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"layercake/internal/auth"
	"layercake/internal/fault"
	"layercake/internal/plan"
	"layercake/internal/postgres/pgtest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// history returns a page, which must be there.
func (r *replica) history(t testing.TB, project int32, q plan.HistoryQuery) plan.History {
	t.Helper()
	h, err := r.plans.History(t.Context(), auth.Unchecked(r.actor, project), q)
	if err != nil {
		t.Fatalf("%+v: %v", q, err)
	}
	return h
}

// versions are those of a page.
func versions(h plan.History) []int64 {
	var all []int64
	for _, c := range h.Changes {
		all = append(all, c.Version)
	}
	return all
}

// The sentence that says what a change did is the one that DBAs see.
func TestSummaryIsThatOfTheView(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	r := startReplica(t, url, 0)
	p := r.create(t)
	r.change(t, p, plan.AddNode{Node: node("a", plan.GraphNode)}, plan.AddNode{Node: node("b", plan.GraphNode)},
		plan.AddEdge{Edge: edge("ab", "a", "b")})
	r.change(t, p, plan.UpdateNode{ID: "a", Position: &plan.Position{X: 1}})
	r.change(t, p, plan.UpdatePlan{Name: "Other"})
	r.change(t, p, plan.UpdatePlan{Name: "Another"}, plan.AddNode{Node: node("c d", plan.GraphNode)}, plan.DeleteEdge{ID: "ab"})
	r.change(t, p, plan.DeleteNode{ID: "a"})
	r.change(t, p, plan.RemoveAll{}, plan.AddNode{Node: node("a", plan.GraphNode)})
	r.change(t, p, plan.SetExecution{NodeID: "a", Execution: graphExecution(1, "pending")})
	want := pgtest.Texts(t, pgtest.Connect(t, url), "SELECT summary FROM layercake.plan_history ORDER BY version DESC")
	var got []string
	for _, c := range r.history(t, p, plan.HistoryQuery{Limit: 50, States: true}).Changes {
		got = append(got, c.Summary())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("summaries (-view +event):\n%s", diff)
	}
	if s := (&plan.Event{}).Summary(); s != "nothing" {
		t.Errorf("an event without operations: %q", s)
	}
}

func TestHistory(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	r := startReplica(t, url, 0)
	p, other, conn := r.create(t), r.create(t), pgtest.Connect(t, url)
	ann, bob, anonymous := auth.Actor{ID: "ann", Kind: "user", Name: "Ann"}, auth.Actor{ID: "bob", Kind: "user", Name: "Bob"}, r.actor
	server := auth.Actor{ID: "server", Kind: auth.KindSystem, Name: "Server"}
	do := func(actor auth.Actor, project int32, edit plan.Edit) plan.Result {
		t.Helper()
		result, err := r.plans.Change(t.Context(), auth.Unchecked(actor, project), plan.Change{Edits: []plan.Edit{edit}, Note: "a note"})
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
	planID := fmt.Sprint(pgtest.Count(t, conn, "SELECT id FROM plans WHERE project_id = $1", p))
	move := func(id string, x float64) plan.Edit { return plan.UpdateNode{ID: id, Position: &plan.Position{X: x}} }
	config := fmt.Sprintf(`{"id":"a","actorKind":"system","actorId":"bob","<&>":%q}`, `"id":"a","actorKind":"system"`)

	do(ann, p, plan.AddNode{Node: node("a", plan.GraphNode)})         // 1
	do(bob, p, plan.AddNode{Node: node("b<&>\"", plan.GraphNode)})    // 2
	do(anonymous, p, plan.AddNode{Node: node(planID, plan.CopyNode)}) // 3
	do(server, p, move("a", 1))                                       // 4
	do(ann, p, plan.UpdatePlan{Name: "Other"})                        // 5
	do(anonymous, p, plan.UpdateNode{ID: `b<&>"`, Config: &config})   // 6
	last := do(bob, p, plan.AddEdge{Edge: edge("e", "a", planID)})    // 7
	do(ann, other, plan.AddNode{Node: node("a", plan.GraphNode)})

	for name, c := range map[string]struct {
		q    plan.HistoryQuery
		want []int64
		more bool
	}{
		"all people":          {plan.HistoryQuery{Limit: 50}, []int64{7, 6, 5, 3, 2, 1}, false},
		"the server, too":     {plan.HistoryQuery{Limit: 50, System: true}, []int64{7, 6, 5, 4, 3, 2, 1}, false},
		"the first page":      {plan.HistoryQuery{Limit: 2}, []int64{7, 6}, true},
		"the next":            {plan.HistoryQuery{Limit: 2, Before: 6}, []int64{5, 3}, true},
		"the last":            {plan.HistoryQuery{Limit: 2, Before: 3}, []int64{2, 1}, false},
		"before all":          {plan.HistoryQuery{Limit: 2, Before: 1}, nil, false},
		"from beyond the end": {plan.HistoryQuery{Limit: 1, Before: 99}, []int64{7}, true},
		"a node":              {plan.HistoryQuery{Limit: 50, Element: "a"}, []int64{1}, false},
		"a node, all":         {plan.HistoryQuery{Limit: 50, Element: "a", System: true}, []int64{4, 1}, false},
		"an edge":             {plan.HistoryQuery{Limit: 50, Element: "e"}, []int64{7}, false},
		"quotes":              {plan.HistoryQuery{Limit: 50, Element: `b<&>"`}, []int64{6, 2}, false},
		"the plan's id":       {plan.HistoryQuery{Limit: 50, Element: planID}, []int64{3}, false},
		"a page of one":       {plan.HistoryQuery{Limit: 1, Element: planID}, []int64{3}, false},
		"nobody":              {plan.HistoryQuery{Limit: 50, Element: "x"}, nil, false},
		"an actor":            {plan.HistoryQuery{Limit: 50, Actor: "bob"}, []int64{7, 2}, false},
		"an anonymous one":    {plan.HistoryQuery{Limit: 50, Actor: anonymous.ID}, []int64{6, 3}, false},
		"actor and element":   {plan.HistoryQuery{Limit: 50, Actor: "bob", Element: "e"}, []int64{7}, false},
	} {
		h := r.history(t, p, c.q)
		if got := versions(h); !slices.Equal(got, c.want) || h.More != c.more || h.Version != 7 || h.Oldest != 0 {
			t.Errorf("%s: %v, more: %v, from %d to %d, want %v, %v, from 0 to 7", name, got, h.More, h.Oldest, h.Version, c.want, c.more)
		}
	}
	newest := r.history(t, p, plan.HistoryQuery{Limit: 1}).Changes[0]
	if diff := cmp.Diff(*last.Event, *newest.Event); diff != "" || newest.At != last.At || newest.Note != "a note" {
		t.Errorf("the newest at %v, want %v (-made +answered):\n%s", newest.At, last.At, diff)
	}
	r.keep(t, 3)
	if h := r.history(t, p, plan.HistoryQuery{Limit: 50}); !slices.Equal(versions(h), []int64{7, 6, 5}) || h.More || h.Oldest != 5 {
		t.Errorf("after trimming: %v, more: %v, oldest %d", versions(h), h.More, h.Oldest)
	}

	for name, q := range map[string]plan.HistoryQuery{
		"no limit":         {},
		"a large limit":    {Limit: plan.MaxHistory + 1},
		"negative":         {Limit: 1, Before: -1},
		"a NUL":            {Limit: 1, Element: "a\x00"},
		"no UTF-8":         {Limit: 1, Element: "a\xff"},
		"a long actor":     {Limit: 1, Actor: strings.Repeat("x", 1000)},
		"an actor's NUL":   {Limit: 1, Actor: "a\x00"},
		"an actor's bytes": {Limit: 1, Actor: "a\xff"},
	} {
		if _, err := r.plans.History(t.Context(), auth.Unchecked(r.actor, p), q); !fault.Is(err, fault.BadRequest) {
			t.Errorf("%s: %v, want BAD_REQUEST", name, err)
		}
	}
	if _, err := r.plans.History(t.Context(), auth.Unchecked(r.actor, other+1), plan.HistoryQuery{Limit: 1}); !fault.Is(err, fault.NotFound) {
		t.Errorf("another project: %v, want NOT_FOUND", err)
	}
}

// A change is undone as long as the newest change that took it back stands.
func TestHistorySaysWhatIsUndone(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	r := startReplica(t, url, 0)
	p := r.create(t)
	r.change(t, p, plan.AddNode{Node: node("a", plan.GraphNode)})
	for i := range 11 {
		r.change(t, p, plan.UpdateNode{ID: "a", Position: &plan.Position{X: float64(i + 1)}})
	}
	// 2 is undone by 3. 4 is undone by 5, which is undone by 6. 7 is undone by 8, that by 9, and 7 again by 10. 1 is undone by 11, 11 by 12.
	undoes := map[int]int{3: 2, 5: 4, 6: 5, 8: 7, 9: 8, 10: 7, 11: 1, 12: 11}
	conn := pgtest.Connect(t, url)
	for version, undone := range undoes {
		pgtest.Exec(t, conn, "UPDATE events SET undoes = $1 WHERE version = $2", undone, version)
	}
	want := map[int64]int64{2: 3, 5: 6, 7: 10, 8: 9, 11: 12}
	for _, limit := range []int{1, 3, 50} {
		got := make(map[int64]int64)
		for before := int64(13); before > 1; {
			h := r.history(t, p, plan.HistoryQuery{Limit: limit, Before: before})
			for _, c := range h.Changes {
				if before = c.Version; c.UndoneBy != 0 {
					got[c.Version] = c.UndoneBy
				}
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("in pages of %d (-want +got):\n%s", limit, diff)
		}
	}
}

// A page has few bytes, and at least one change.
func TestHistoryOfLargeChanges(t *testing.T) {
	t.Parallel()
	r, p := newProject(t)
	r.plans.LimitHistory(80_000)
	var edits []plan.Edit
	for i := range 3 {
		n := node(fmt.Sprint("n", i), plan.GraphNode)
		n.Config = `{"a":"` + strings.Repeat("x", 9_900) + `"}`
		edits = append(edits, plan.AddNode{Node: n})
	}
	for range 5 {
		r.change(t, p, edits...)
		r.change(t, p, plan.RemoveAll{})
	}
	var pages [][]int64
	for before, more := int64(0), true; more; {
		h := r.history(t, p, plan.HistoryQuery{Limit: 50, Before: before})
		pages = append(pages, versions(h))
		before, more = h.Changes[len(h.Changes)-1].Version, h.More
	}
	if want := [][]int64{{10, 9, 8}, {7, 6, 5}, {4, 3, 2}, {1}}; !slices.EqualFunc(pages, want, slices.Equal) {
		t.Errorf("pages %v, want %v: changes of 30 kB", pages, want)
	}
}

// applied returns a plan after what a difference says.
func applied(t testing.TB, dag plan.DAG, differences []plan.Difference) plan.DAG {
	t.Helper()
	nodes, edges := slices.Clone(dag.Nodes), slices.Clone(dag.Edges)
	for _, d := range differences {
		switch d.Kind {
		case plan.NodeAdded, plan.NodeUpdated, plan.NodeRemoved:
			nodes = appliedTo(t, nodes, d, func(n plan.Node) string { return n.ID })
		case plan.EdgeAdded, plan.EdgeUpdated, plan.EdgeRemoved:
			edges = appliedTo(t, edges, d, func(e plan.Edge) string { return e.ID })
		case plan.PlanUpdated:
			var record struct{ Name string }
			if err := json.Unmarshal(d.After, &record); err != nil {
				t.Fatal(err)
			}
			dag.Name = record.Name
		}
	}
	dag.Nodes, dag.Edges = nodes, edges
	return dag
}

func appliedTo[T any](t testing.TB, elements []T, d plan.Difference, id func(T) string) []T {
	t.Helper()
	var after T
	if d.After != nil {
		if err := json.Unmarshal(d.After, &after); err != nil {
			t.Fatal(err)
		}
	}
	i := slices.IndexFunc(elements, func(e T) bool { return id(e) == d.ID })
	if (i < 0) != (d.Before == nil) {
		t.Fatalf("%s %s: it is at %d", d.Kind, d.ID, i)
	}
	switch {
	case d.Before == nil:
		return append(elements, after)
	case d.After == nil:
		return slices.Delete(elements, i, i+1)
	case slices.Contains(d.Parts, "place"):
		return append(slices.Delete(elements, i, i+1), after)
	}
	elements[i] = after
	return elements
}

// The difference between two versions leads from the plan after one to the plan after the other, but for the times of updates.
func TestDiffLeadsFromOneVersionToAnother(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	r := startReplica(t, url, 0)
	r.plans.SpaceCheckpoints(spacing)
	conn := pgtest.Connect(t, url)
	rapid.Check(t, func(rt *rapid.T) {
		p, recorded := r.drawHistory(t, rt)
		newest := int64(len(recorded) - 1)
		from := rapid.Int64Range(oldest(t, conn, p), newest).Draw(rt, "from")
		to := rapid.Int64Range(from, newest).Draw(rt, "to")
		ask := &to
		if to == newest {
			ask = nil
		}
		d, err := r.plans.Diff(t.Context(), auth.Unchecked(r.actor, p), from, ask)
		if err != nil {
			rt.Fatal(err)
		}
		if d.From != from || d.To != to {
			rt.Fatalf("from %d to %d, want %d and %d", d.From, d.To, from, to)
		}
		seen := make(map[string]bool)
		for _, one := range d.Differences {
			what := strings.Split(string(one.Kind), "_")[0] + one.ID
			if seen[what] || len(one.Versions) == 0 || !slices.IsSorted(one.Versions) || len(one.ActorNames) != 1 ||
				one.Versions[0] <= from || one.Versions[len(one.Versions)-1] > to {
				rt.Fatalf("difference %+v", one)
			}
			seen[what] = true
		}
		ignore := cmp.Options{
			cmpopts.IgnoreFields(plan.DAG{}, "At", "ChangedAt"), cmpopts.IgnoreFields(plan.Node{}, "UpdatedAt"),
			cmpopts.IgnoreFields(plan.Edge{}, "UpdatedAt"),
		}
		if diff := cmp.Diff(recorded[to], applied(t, recorded[from], d.Differences), ignore); diff != "" {
			rt.Fatalf("from %d to %d (-was +applied):\n%s", from, to, diff)
		}
	})
}

func TestDiff(t *testing.T) {
	t.Parallel()
	r, p := newProject(t)
	ann, bob := auth.Actor{ID: "ann", Kind: "user", Name: "Ann"}, auth.Actor{ID: "bob", Kind: "user", Name: "Bob"}
	do := func(actor auth.Actor, edits ...plan.Edit) int64 {
		t.Helper()
		result, err := r.plans.Change(t.Context(), auth.Unchecked(actor, p), plan.Change{Edits: edits})
		if err != nil {
			t.Fatal(err)
		}
		return result.At.Version
	}
	move := func(id string, x float64) plan.Edit { return plan.UpdateNode{ID: id, Position: &plan.Position{X: x}} }
	rename := func(id, label string) plan.Edit {
		return plan.UpdateNode{ID: id, Metadata: &plan.NodeMetadata{Label: label}}
	}
	var edits []plan.Edit
	for _, id := range []string{"a", "b", "c", "d", "e"} {
		edits = append(edits, plan.AddNode{Node: node(id, plan.GraphNode)})
	}
	base := do(ann, append(edits, plan.AddEdge{Edge: edge("ab", "a", "b")}, plan.AddEdge{Edge: edge("bc", "b", "c")})...)
	do(ann, move("a", 1))                                                                                                     // 2
	do(bob, rename("a", "x"))                                                                                                 // 3
	do(ann, move("b", 1))                                                                                                     // 4
	do(ann, move("b", 0))                                                                                                     // 5: as it was
	do(bob, plan.DeleteNode{ID: "c"})                                                                                         // 6: with bc
	do(bob, plan.AddNode{Node: node("c", plan.GraphNode)})                                                                    // 7: at the end
	do(bob, plan.DeleteNode{ID: "d"})                                                                                         // 8
	do(ann, plan.AddNode{Node: node("f", plan.GraphNode)})                                                                    // 9
	do(ann, plan.AddNode{Node: node("g", plan.GraphNode)})                                                                    // 10
	do(ann, plan.DeleteNode{ID: "g"})                                                                                         // 11: never was
	do(bob, plan.UpdateEdge{ID: "ab", SourceHandle: new("out"), Metadata: &plan.EdgeMetadata{DataType: plan.GraphReference}}) // 12
	last := do(bob, plan.UpdatePlan{Name: "Other", YAMLContent: "a: b", Dependencies: []int32{1}})                            // 13
	d, err := r.plans.Diff(t.Context(), auth.Unchecked(r.actor, p), base, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, one := range d.Differences {
		id := one.ID
		if one.Kind == plan.PlanUpdated {
			id = "plan"
		}
		got = append(got, fmt.Sprint(one.Kind, " ", id, " ", one.Parts, " ", one.Versions, " ", one.ActorNames, " ", one.Before != nil, one.After != nil))
	}
	want := []string{
		"EDGE_REMOVED bc [] [6] [Bob] true false",
		"NODE_REMOVED d [] [8] [Bob] true false",
		"NODE_UPDATED a [position metadata] [2 3] [Ann Bob] true true",
		"NODE_UPDATED c [place] [6 7] [Bob] true true",
		"NODE_ADDED f [] [9] [Ann] false true",
		"EDGE_UPDATED ab [source handle metadata] [12] [Bob] true true",
		"PLAN_UPDATED plan [name yaml dependencies] [13] [Bob] true true",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if d, err := r.plans.Diff(t.Context(), auth.Unchecked(r.actor, p), last, nil); err != nil || len(d.Differences) != 0 || d.To != last {
		t.Errorf("from the newest: %+v, %v", d, err)
	}

	r.keep(t, 4)
	version := func(v int64) *int64 { return &v }
	for name, c := range map[string]struct {
		project int32
		from    int64
		to      *int64
		code    fault.Code
		oldest  any
	}{
		"negative":          {p, -1, nil, fault.BadRequest, nil},
		"above the head":    {p, last + 1, nil, fault.BadRequest, nil},
		"to above the head": {p, last, version(last + 1), fault.BadRequest, nil},
		"backwards":         {p, last, version(last - 1), fault.BadRequest, nil},
		"trimmed away":      {p, last - 4, nil, fault.NotFound, last - 3},
		"at birth":          {p, 0, version(last), fault.NotFound, last - 3},
		"another project":   {p + 1, 1, nil, fault.NotFound, nil},
		"no number at all":  {p, math.MinInt64, version(math.MaxInt64), fault.BadRequest, nil},
	} {
		_, err := r.plans.Diff(t.Context(), auth.Unchecked(r.actor, c.project), c.from, c.to)
		if f := fault.From(err); f == nil || f.Code != c.code || f.Details["oldest"] != c.oldest {
			t.Errorf("%s: %v, want %s, oldest %v", name, err, c.code, c.oldest)
		}
	}
}
