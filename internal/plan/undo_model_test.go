package plan_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"

	"layercake/internal/auth"
	"layercake/internal/fault"
	"layercake/internal/plan"
	"layercake/internal/postgres/pgtest"

	"pgregory.net/rapid"
)

// elementParts are the parts of an element, as texts. "created" is no part: nothing changes it.
type elementParts map[string]string

// facts are the elements of a plan, by kind and id.
type facts map[string]elementParts

func factsOf(dag plan.DAG) facts {
	text := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		return string(b)
	}
	all := facts{"the plan": {"name": dag.Name}}
	for _, n := range dag.Nodes {
		all["node "+n.ID] = elementParts{
			"type": text(n.NodeType), "position": text(n.Position), "source position": text(n.SourcePosition), "target position": text(n.TargetPosition),
			"metadata": text(n.Metadata), "config": n.Config, "created": text(n.CreatedAt),
		}
	}
	for _, e := range dag.Edges {
		all["edge "+e.ID] = elementParts{
			"ends": e.Source + ">" + e.Target, "source handle": text(e.SourceHandle), "target handle": text(e.TargetHandle),
			"metadata": text(e.Metadata), "created": text(e.CreatedAt),
		}
	}
	return all
}

func (a elementParts) equal(b elementParts) bool {
	a, b = maps.Clone(a), maps.Clone(b)
	delete(a, "created")
	delete(b, "created")
	return maps.Equal(a, b)
}

// undoing is what the model knows of one undo: the plans before and after the event that it took back, and before and after itself.
type undoing struct {
	before, left, now, after facts
	on                       plan.OnConflict
}

// broken returns what the undo did that it must not do, or did not do that it must.
func (u undoing) broken() error {
	for id := range u.all() {
		b, l, n, a := u.before[id], u.left[id], u.now[id], u.after[id]
		var err error
		switch {
		case n.equal(a) && (n == nil) == (a == nil):
		case n == nil && (b == nil || l != nil || !maps.Equal(a, b)):
			err = fmt.Errorf("came: %v", a)
		case n == nil:
		case a == nil && b == nil && l != nil:
			if u.on != plan.Overwrite && !maps.Equal(n, l) {
				err = fmt.Errorf("went although others had touched it: %v, left as %v", n, l)
			}
		case a == nil && (u.on != plan.Overwrite || !u.wasAttached(n)):
			err = fmt.Errorf("went: %v", n)
		case a != nil:
			err = u.brokenParts(b, l, n, a)
		}
		if err == nil && u.on != plan.Skip {
			err = u.incomplete(b, l, n, a)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", id, err)
		}
	}
	return nil
}

func (u undoing) all() facts {
	all := maps.Clone(u.before)
	for _, more := range []facts{u.left, u.now, u.after} {
		maps.Copy(all, more)
	}
	return all
}

// wasAttached reports whether an edge lost an end that the event had added.
func (u undoing) wasAttached(edge elementParts) bool {
	for id := range u.now {
		kind, node := id[:5], id[5:]
		if kind == "node " && u.after[id] == nil && u.before[id] == nil && hasEnd(edge, node) {
			return true
		}
	}
	return false
}

func hasEnd(edge elementParts, node string) bool {
	return len(edge["ends"]) == 3 && (edge["ends"][:1] == node || edge["ends"][2:] == node) // ids have one letter
}

// brokenParts judges the parts that an undo changed: the event set them, and others did not unless they are overwritten.
func (u undoing) brokenParts(b, l, n, a elementParts) error {
	for part := range a {
		if n[part] == a[part] {
			continue
		}
		switch {
		case part == "created" || b == nil || l != nil && b[part] == l[part]:
			return fmt.Errorf("%s was not set by the event, and is changed from %s to %s", part, n[part], a[part])
		case a[part] != b[part]:
			return fmt.Errorf("%s becomes %s, and was %s before the event", part, a[part], b[part])
		case u.on != plan.Overwrite && (l == nil || n[part] != l[part]):
			return fmt.Errorf("%s was changed by others to %s, and is changed to %s", part, n[part], a[part])
		}
	}
	return nil
}

// incomplete judges what an undo that skipped nothing left undone.
func (u undoing) incomplete(b, l, n, a elementParts) error {
	switch {
	case b == nil && l != nil && a != nil:
		return fmt.Errorf("the event added it, and it is there: %v", a)
	case b != nil && l == nil && a == nil && !u.lacksEnd(b):
		return fmt.Errorf("the event removed it, and it is gone: %v", b)
	case b != nil && l == nil && a != nil && !a.equal(b):
		return fmt.Errorf("the event removed it: %v, and it is otherwise: %v", b, a)
	case b != nil && l != nil && a == nil && n != nil && !b.equal(l):
		return fmt.Errorf("it went: %v", n)
	case b != nil && l != nil && a != nil:
		for part := range a {
			if part != "created" && b[part] != l[part] && a[part] != b[part] {
				return fmt.Errorf("%s is %s, and was %s before the event", part, a[part], b[part])
			}
		}
	}
	return nil
}

func (u undoing) lacksEnd(edge elementParts) bool {
	return len(edge["ends"]) == 3 && (u.after["node "+edge["ends"][:1]] == nil || u.after["node "+edge["ends"][2:]] == nil)
}

// undoModel is a plan that is changed, undone and redone, with all that it has been.
type undoModel struct {
	*testing.T

	r       *replica
	project int32
	dags    []plan.DAG      // by version
	undoes  map[int64]int64 // what events take back, by version
}

// stands reports whether an event stands: none that stands took it back. Of those that did, the newest decides.
func (m *undoModel) stands(version int64) bool {
	newest := int64(0)
	for by, taken := range m.undoes {
		if taken == version {
			newest = max(newest, by)
		}
	}
	return newest == 0 || !m.stands(newest)
}

// drawEdit draws an edit of a plan, most of which the rules allow.
func drawEdit(t *rapid.T, dag plan.DAG) plan.Edit {
	letters := []string{"a", "b", "c", "d", "e"}
	id := rapid.SampledFrom(letters)
	edgeID := rapid.SampledFrom([]string{"1", "2", "3", "4"})
	text := rapid.SampledFrom([]string{"x", "y"})
	kind := rapid.SampledFrom([]plan.NodeType{plan.GraphNode, plan.GraphNode, plan.GraphNode, plan.MergeNode, plan.TransformNode})
	pair := func() (string, string) {
		first := rapid.IntRange(0, 3).Draw(t, "source")
		return letters[first], letters[rapid.IntRange(first+1, 4).Draw(t, "target")]
	}
	switch rapid.IntRange(0, 16).Draw(t, "edit") {
	case 0, 1, 2:
		return plan.AddNode{Node: node(id.Draw(t, "id"), kind.Draw(t, "type"))}
	case 3, 4:
		return move(id.Draw(t, "id"), float64(rapid.IntRange(0, 2).Draw(t, "x")))
	case 5:
		return rename(id.Draw(t, "id"), text.Draw(t, "label"))
	case 6:
		config := fmt.Sprintf(`{"a":%q}`, text.Draw(t, "config"))
		return plan.UpdateNode{ID: id.Draw(t, "id"), Config: &config}
	case 7:
		return plan.DeleteNode{ID: id.Draw(t, "id")}
	case 8, 9, 10:
		source, target := pair()
		return addEdge(edgeID.Draw(t, "edge"), source, target)
	case 11:
		if rapid.Bool().Draw(t, "handle") {
			return plan.UpdateEdge{ID: edgeID.Draw(t, "edge"), SourceHandle: new(text.Draw(t, "side"))}
		}
		return relabel(edgeID.Draw(t, "edge"), text.Draw(t, "label"))
	case 12:
		return plan.DeleteEdge{ID: edgeID.Draw(t, "edge")}
	case 13:
		return plan.UpdatePlan{Name: text.Draw(t, "name")}
	case 14, 15:
		return plan.SetExecution{NodeID: id.Draw(t, "id"), Execution: drawExecution(t)}
	}
	// A whole plan changes what no other edit can: the type of a node, the ends of an edge.
	submission := plan.Replace{Base: fmt.Sprint(dag.At.Version), Nodes: slices.Clone(dag.Nodes), Edges: slices.Clone(dag.Edges)}
	switch what := rapid.IntRange(0, 4).Draw(t, "submission"); {
	case what == 0:
		return plan.RemoveAll{}
	case what < 3 && len(dag.Nodes) > 0:
		submission.Nodes[rapid.IntRange(0, len(dag.Nodes)-1).Draw(t, "node")].NodeType = kind.Draw(t, "type")
	case len(dag.Edges) > 0:
		moved := &submission.Edges[rapid.IntRange(0, len(dag.Edges)-1).Draw(t, "edge")]
		moved.Source, moved.Target = pair()
	}
	return submission
}

// change makes a random change, which the rules may refuse.
func (m *undoModel) change(t *rapid.T, actor auth.Actor) {
	now := m.dags[len(m.dags)-1]
	edits := make([]plan.Edit, rapid.IntRange(1, 3).Draw(t, "edits"))
	for i := range edits {
		edits[i] = drawEdit(t, now)
	}
	m.make(t, actor, edits...)
}

// meet lets two actors change the same part, and takes the first change back.
func (m *undoModel) meet(t *rapid.T, one, two auth.Actor, in plan.UndoInput) {
	in.Version = m.dags[len(m.dags)-1].At.Version + 1
	for _, actor := range []auth.Actor{one, two} {
		x, label := rapid.IntRange(0, 2).Draw(t, "x"), rapid.SampledFrom([]string{"x", "y"}).Draw(t, "label")
		m.make(t, actor, plan.UpdateNode{ID: "a", Position: &plan.Position{X: float64(x)}, Metadata: &plan.NodeMetadata{Label: label}})
	}
	if in.Version < int64(len(m.dags)) {
		m.takeBack(t, one, false, in)
	}
}

func (m *undoModel) make(t *rapid.T, actor auth.Actor, edits ...plan.Edit) {
	result, err := m.r.plans.Change(m.Context(), auth.Unchecked(actor, m.project), plan.Change{Edits: edits})
	if err != nil && fault.From(err) == nil {
		t.Fatalf("change: %v", err)
	}
	if err == nil && result.Event != nil {
		m.dags = append(m.dags, m.r.dag(m, m.project))
	}
}

// takeBack undoes or redoes something, and judges it. It reports whether something was taken back.
func (m *undoModel) takeBack(t *rapid.T, actor auth.Actor, redo bool, in plan.UndoInput) bool {
	now := m.dags[len(m.dags)-1]
	do, name := m.r.plans.Undo, "undo"
	if redo {
		do, name = m.r.plans.Redo, "redo"
	}
	got, err := do(m.Context(), auth.Unchecked(actor, m.project), in)
	after := m.r.dag(m, m.project)
	f := fault.From(err)
	switch {
	case err != nil && (f == nil || f.Code == fault.Unavailable):
		t.Fatalf("%s %+v: %v", name, in, err)
	case err != nil:
		if after.At != now.At {
			t.Fatalf("%s %+v was refused, and changed the plan", name, in)
		}
		if by, undone := f.Details["undoneBy"].(int64); undone && (in.Version == 0 || m.stands(in.Version) || m.undoes[by] != in.Version || !m.stands(by)) {
			t.Fatalf("%s %+v: it is said to be undone by %d", name, in, by)
		}
		if len(conflictsOf(err)) > 0 && (in.OnConflict != plan.Fail || in.Version != 0 && !m.stands(in.Version)) {
			t.Fatalf("%s %+v: %v", name, in, conflictsOf(err))
		}
		if in.Version != 0 {
			m.judgeConflicts(t, in.Version, conflictsOf(err))
		}
		return false
	case got.Change == nil:
		if after.At != now.At || in.OnConflict == plan.Fail && len(got.Conflicts) > 0 {
			t.Fatalf("%s %+v says that nothing was left to do, with %v", name, in, got.Conflicts)
		}
		return false
	}
	version := got.Change.Undoes
	if in.Version != 0 && version != in.Version || !m.stands(version) || in.Version == 0 && redo == (m.undoes[version] == 0) {
		t.Fatalf("%s %+v took version %d back", name, in, version)
	}
	checkUndone(m, now, after, version, got)
	m.judgeConflicts(t, version, got.Conflicts)
	u := undoing{factsOf(m.dags[version-1]), factsOf(m.dags[version]), factsOf(now), factsOf(after), in.OnConflict}
	if err := u.broken(); err != nil {
		t.Fatalf("%s %+v of version %d: %v\nbefore it %q\nafter it  %q\nbefore    %q\nafter     %q\nconflicts %q notes %q", name, in, version, err,
			inWords(m.dags[version-1]), inWords(m.dags[version]), inWords(now), inWords(after), told(got.Conflicts), got.Notes)
	}
	if m.Failed() {
		t.Fatalf("%s %+v of version %d", name, in, version)
	}
	m.dags = append(m.dags, after)
	m.undoes[got.Change.Version] = version
	return true
}

// judgeConflicts checks that conflicts name everybody who changed the part since.
func (m *undoModel) judgeConflicts(t *rapid.T, version int64, conflicts []plan.UndoConflict) {
	for _, c := range conflicts {
		id := "the plan"
		switch c.Kind {
		case plan.NodeAdded, plan.NodeUpdated, plan.NodeRemoved:
			id = "node " + c.ID
		case plan.EdgeAdded, plan.EdgeUpdated, plan.EdgeRemoved:
			id = "edge " + c.ID
		case plan.PlanUpdated:
		}
		if len(c.Versions) == 0 || len(c.ActorNames) == 0 || c.Versions[0] <= version {
			t.Fatalf("nobody is said to have touched %s: %+v", id, c)
		}
		if c.Part == "element" || c.Part == "ends" {
			continue // others may have touched an end
		}
		for v := int(version) + 1; v < len(m.dags) && len(conflicts) > 0; v++ {
			if before, after := factsOf(m.dags[v-1])[id][c.Part], factsOf(m.dags[v])[id][c.Part]; before != after && !slices.Contains(c.Versions, int64(v)) {
				t.Fatalf("%s of %s was changed by version %d, and %v are said to have done so", c.Part, id, v, c.Versions)
			}
		}
	}
}

// Three actors change, undo and redo in any order. What others set is not changed unless they are overwritten, everything that can be taken
// back is, the plan is always valid, events lead from plan to plan, and n undos and n redos are nothing.
func TestUndoKeepsWhatOthersDid(t *testing.T) {
	t.Parallel()
	r := startReplica(t, pgtest.New(t), 0)
	r.plans.EdgePatience(0)
	actors := []auth.Actor{ann, bob, carl}
	ways := rapid.SampledFrom([]plan.OnConflict{plan.Fail, plan.Skip, plan.Overwrite})
	rapid.Check(t, func(rt *rapid.T) {
		m := &undoModel{T: t, r: r, project: r.create(t), undoes: make(map[int64]int64)}
		m.dags = []plan.DAG{r.dag(t, m.project)}
		r.by(t, carl, m.project, addNode("a", plan.GraphNode), addNode("b", plan.GraphNode), addNode("c", plan.MergeNode), addEdge("1", "a", "b"))
		m.dags = append(m.dags, r.dag(t, m.project))
		for range rapid.IntRange(1, 25).Draw(rt, "steps") {
			actor := rapid.SampledFrom(actors).Draw(rt, "actor")
			in := plan.UndoInput{OnConflict: ways.Draw(rt, "on conflict")}
			head := int64(len(m.dags) - 1)
			switch rapid.IntRange(0, 9).Draw(rt, "step") {
			case 0, 1, 2, 3:
				m.change(rt, actor)
			case 4:
				m.takeBack(rt, actor, false, in)
			case 5:
				m.takeBack(rt, actor, true, in)
			case 6, 7:
				if head > 0 {
					in.Version = rapid.Int64Range(1, head).Draw(rt, "version")
					m.takeBack(rt, actor, false, in)
				}
			case 8:
				m.meet(rt, actor, rapid.SampledFrom(actors).Draw(rt, "other"), in)
			case 9:
				n, before := 0, m.dags[head]
				for most := rapid.IntRange(1, 4).Draw(rt, "n"); n < most && m.takeBack(rt, actor, false, in); n++ {
					in.OnConflict = ways.Draw(rt, "on conflict")
				}
				for range n {
					if !m.takeBack(rt, actor, true, plan.UndoInput{OnConflict: plan.Fail}) {
						rt.Fatal("nothing was redone of what was undone just now")
					}
				}
				if was, is := sorted(before), sorted(m.dags[len(m.dags)-1]); !slices.Equal(was, is) {
					rt.Fatalf("%d undos and redos made of %q %q", n, was, is)
				}
			}
		}
	})
}
