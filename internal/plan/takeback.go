package plan

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"layercake/internal/fault"
	"layercake/internal/postgres"
)

// maxNamed is how many elements are read one by one. For more the whole plan is read, which costs less then.
const maxNamed = 50

var (
	errUndoneAlready = errors.New("it is undone already")
	errInConflict    = errors.New("others touched it since")
)

// takeBack takes an event back: for every part that it set, the value after it is the base, the value before it is wanted, and the current
// one decides. It is never in a transaction with others, since what is refused may have changed the draft.
type takeBack struct {
	Version    int64 // as the caller named it; 0 for their own newest
	OnConflict OnConflict
	Redo       bool
	ClientID   string // whose newest: the client id, or the actor id of an agent; empty with a version

	event  *Event // nil when the operation is in the log already
	nodes  threeWays[Node]
	edges  threeWays[Edge]
	record *threeWay[description] // nil when the event did not change it

	verdict
}

// verdict is what apply finds.
type verdict struct {
	applied   bool
	at        int64 // the version at which it was found
	conflicts []conflict
	notes     []string
}

func (v *verdict) note(format string, args ...any) {
	v.notes = append(v.notes, fmt.Sprintf(format, args...))
}

// threeWay is an element in a merge of three values. Each is nil where the plan does not have the element.
type threeWay[T any] struct {
	id     string
	before *T // before the event
	after  *T // after it
	now    *T
	wanted *T   // what it shall be
	taken  bool // whether another element has its id, and keeps it
}

// threeWays are elements in an order, and by id.
type threeWays[T any] struct {
	list []*threeWay[T]
	byID map[string]*threeWay[T]
}

// add appends what became of an element.
func (w *threeWays[T]) add(id string, d *difference) error {
	e := &threeWay[T]{id: id}
	if d.before != nil {
		if err := json.Unmarshal(d.before, &e.before); err != nil {
			return err
		}
	}
	if d.after != nil {
		if err := json.Unmarshal(d.after, &e.after); err != nil {
			return err
		}
	}
	if w.byID == nil {
		w.byID = make(map[string]*threeWay[T])
	}
	w.list, w.byID[id] = append(w.list, e), e
	return nil
}

// prepare reads what the event did, net, to each element. The last one that it touched comes first: so elements come back in the order
// that they had.
func (u *takeBack) prepare(event *Event) error {
	u.event = event
	var net differences
	net.add(event)
	for _, op := range slices.Backward(event.Operations) {
		one := net.all[op.element()]
		if one == nil || one.before == nil && one.after == nil {
			continue
		}
		delete(net.all, one.element)
		var err error
		switch one.of {
		case ofNode:
			err = u.nodes.add(op.ID, one)
		case ofEdge:
			err = u.edges.add(op.ID, one)
		case ofPlan:
			var records threeWays[description]
			err = records.add(op.ID, one)
			u.record = records.byID[op.ID]
		}
		if err != nil {
			return fmt.Errorf("read %s %q of version %d: %w", op.Kind, op.ID, event.Version, err)
		}
	}
	return nil
}

// whole reports whether the whole plan is read: for many elements, and where the type of a node may change under edges that are not known.
func (u *takeBack) whole() bool {
	return len(u.nodes.list)+len(u.edges.list) > maxNamed || slices.ContainsFunc(u.nodes.list, func(n *threeWay[Node]) bool {
		return n.before != nil && n.after != nil && n.before.NodeType != n.after.NodeType || n.after == nil && u.OnConflict == Overwrite
	})
}

func (u *takeBack) reads(r *reads) {
	if u.event == nil {
		return
	}
	r.undoneBy = &u.event.Version
	r.plan = r.plan || u.record != nil
	for _, n := range u.nodes.list {
		if n.before != nil {
			r.source([]byte(n.before.Config))
		}
	}
	if u.whole() {
		r.all = true
		return
	}
	for _, n := range u.nodes.list {
		r.nodes[n.id] = true
		if n.before == nil {
			r.edgesOf[n.id] = true
		}
	}
	for _, e := range u.edges.list {
		r.edges[e.id] = true
		if e.before != nil && (e.after == nil || !sameEnds(*e.before, *e.after)) {
			AddEdge{*e.before}.reads(r)
		}
	}
}

func (u *takeBack) apply(d *draft) error {
	if u.event == nil {
		return postgres.Busy(errLogMoved)
	}
	if d.undoneBy != 0 {
		return fault.New(fault.Conflict, "The change is undone already").With("undoneBy", d.undoneBy).Because(errUndoneAlready)
	}
	u.verdict = verdict{applied: true, at: d.at.Version}
	for _, n := range u.nodes.list {
		n.now = d.nodes.get(n.id)
		ofNodes.takeBack(u, n)
	}
	for _, e := range u.edges.list {
		e.now = d.edges.get(e.id)
		ofEdges.takeBack(u, e)
	}
	u.checkEnds(d)
	w := work{edgesGone: u.detach(d)}
	if u.record != nil {
		now := d.plan.description()
		u.record.now = &now
		ofRecord.takeBack(u, u.record)
	}
	if u.OnConflict == Fail && len(u.conflicts) > 0 {
		return fault.New(fault.Conflict, "Others have changed what this would take back").Because(errInConflict)
	}
	d.undoes, d.lenient = u.event.Version, true
	return broken(u.carryOut(d, w))
}

// carryOut makes everything what it shall be.
func (u *takeBack) carryOut(d *draft, w work) error {
	for _, n := range u.nodes.list {
		switch {
		case n.wanted == nil && n.now != nil:
			w.nodesGone = append(w.nodesGone, n.id)
		case n.wanted != nil && n.now == nil:
			w.nodesNew = append(w.nodesNew, *n.wanted)
		case n.wanted != nil:
			w.nodesChanged = append(w.nodesChanged, *n.wanted)
		}
	}
	for _, e := range u.edges.list {
		switch {
		case e.wanted == nil && e.now != nil:
			w.edgesGone = append(w.edgesGone, e.id)
		case e.wanted != nil && e.now == nil:
			w.edgesNew = append(w.edgesNew, *e.wanted)
		case e.wanted != nil:
			w.changeEdge(d, *e.wanted)
		}
	}
	if err := d.carryOut(w, u.whole()); err != nil {
		return err
	}
	if u.record == nil {
		return nil
	}
	return d.setRecord(*u.record.wanted)
}

// broken turns the refusal of a rule into one of what others did since: the plan was allowed once.
func broken(err error) error {
	f := fault.From(err)
	if f == nil {
		return err
	}
	conflict := fault.New(fault.Conflict, "The plan that this would give breaks a rule").With("rule", f.Message).Because(err)
	if detail, ok := f.Details["detail"]; ok {
		conflict = conflict.With("detail", detail)
	}
	return conflict
}

// takeBack decides what an element shall be. In a conflict it stays as it is, unless others are overwritten.
func (k elements[T]) takeBack(u *takeBack, e *threeWay[T]) {
	switch {
	case e.before == nil:
		k.takeBackAddition(u, e)
	case e.after == nil && e.now == nil:
		e.wanted = e.before
	case e.after == nil:
		k.takeBackRemoval(u, e)
	case e.now == nil:
		e.wanted = nil
		u.conflicts = append(u.conflicts, k.conflict(k.updated, e.id, "deleted since", e.after, nil))
		u.note("%s stays deleted", quoted(k.name, e.id))
	default:
		k.takeBackParts(u, e)
	}
}

// takeBackAddition removes an element unless others touched it.
func (k elements[T]) takeBackAddition(u *takeBack, e *threeWay[T]) {
	e.wanted = nil
	if e.now == nil {
		return
	}
	clean := len(u.conflicts)
	if !k.createdAt(*e.now).Equal(k.createdAt(*e.after)) {
		u.conflicts = append(u.conflicts, k.conflict(k.removed, e.id, "deleted and added again since", e.after, e.now))
	}
	for _, p := range k.parts {
		if !p.same(*e.now, *e.after) {
			u.conflicts = append(u.conflicts, k.conflictOf(p, k.removed, e.id, "changed since", e.after, e.now))
		}
	}
	if len(u.conflicts) > clean && u.OnConflict != Overwrite {
		e.wanted = e.now
	}
}

// takeBackRemoval is for an element whose id is there again.
func (k elements[T]) takeBackRemoval(u *takeBack, e *threeWay[T]) {
	e.wanted, e.taken = e.now, false
	if !slices.ContainsFunc(k.parts, func(p part[T]) bool { return !p.same(*e.now, *e.before) }) {
		return // it came back already
	}
	u.conflicts = append(u.conflicts, k.conflict(k.added, e.id, "the id was taken since", nil, e.now))
	if u.OnConflict != Overwrite {
		e.taken = true
		return
	}
	e.wanted = new(*e.now)
	for _, p := range k.parts {
		p.take(e.wanted, *e.before)
	}
}

// takeBackParts takes back the parts that the event changed.
func (k elements[T]) takeBackParts(u *takeBack, e *threeWay[T]) {
	e.wanted = new(*e.now)
	for _, p := range k.parts {
		switch {
		case p.same(*e.before, *e.after), p.same(*e.now, *e.before):
			// The event left the part alone, or it is as before already.
		case p.same(*e.now, *e.after):
			p.take(e.wanted, *e.before)
		default:
			u.conflicts = append(u.conflicts, k.conflictOf(p, k.updated, e.id, "changed since", e.after, e.now))
			if u.OnConflict == Overwrite {
				p.take(e.wanted, *e.before)
			}
		}
	}
}

// detach looks for edges that keep nodes from going: others attached them since, or touched them. It returns those that go with their node
// although the event did not touch them.
func (u *takeBack) detach(d *draft) (gone []string) {
	seen := make(map[string]bool)
	for _, n := range u.nodes.list {
		if n.now == nil || n.wanted != nil {
			continue
		}
		for _, id := range d.edges.sorted(slices.Collect(d.links.incident(n.id))) {
			own := u.edges.byID[id]
			if own != nil && (own.wanted == nil || !own.wanted.touches(n.id)) {
				continue
			}
			if own != nil && (own.before == nil || own.after != nil && own.after.touches(n.id)) { // it stays because of a conflict of its own
				n.wanted = n.now
				u.note("%s stays with %s", quoted("node", n.id), quoted("edge", id))
				continue
			}
			if !seen[id] {
				seen[id] = true
				u.conflicts = append(u.conflicts, ofEdges.conflict(EdgeRemoved, id, "attached since to a node that would go", nil, d.edges.get(id)))
			}
			switch {
			case u.OnConflict != Overwrite:
				n.wanted = n.now
			case own != nil:
				own.wanted = nil
			case !slices.Contains(gone, id):
				gone = append(gone, id)
			}
		}
	}
	return gone
}

func (e Edge) touches(node string) bool { return e.Source == node || e.Target == node }

// checkEnds looks for edges that cannot come back because an end is gone. One that went together with a node stays away with it, when that
// does not come back or the other end is gone. The ends of any other are in conflict; overwriting them is refused by the rule of edges.
// The nodes that detach lets stay were added by the event, and so are no ends that edges had before.
func (u *takeBack) checkEnds(d *draft) {
	for _, e := range u.edges.list {
		if e.wanted == nil || e.now != nil && sameEnds(*e.now, *e.wanted) {
			continue
		}
		for _, end := range []string{e.wanted.Source, e.wanted.Target} {
			if !u.lacks(d, end) {
				continue
			}
			switch {
			case e.now == nil && (u.removed(e.wanted.Source) || u.removed(e.wanted.Target)):
				u.note("%s stays deleted: %s is not there", quoted("edge", e.id), quoted("node", end))
				e.wanted = nil
			case e.now == nil:
				c := ofEdges.conflict(EdgeAdded, e.id, "its "+quoted("node", end)+" was deleted since", nil, nil)
				c.touched = element{ofNode, end}
				u.conflicts = append(u.conflicts, c)
				if u.OnConflict != Overwrite {
					e.wanted = nil
				}
			default:
				c := ofEdges.conflictOf(edgeParts[0], EdgeUpdated, e.id, "its "+quoted("node", end)+" was deleted since", e.after, e.now)
				c.touched = element{ofNode, end}
				u.conflicts = append(u.conflicts, c)
				if u.OnConflict != Overwrite {
					e.wanted.Source, e.wanted.Target = e.now.Source, e.now.Target
				}
			}
			break
		}
	}
}

// removed reports whether the event removed a node.
func (u *takeBack) removed(node string) bool {
	n := u.nodes.byID[node]
	return n != nil && n.after == nil
}

// lacks reports whether a node will not be there, or another one will be under its id.
func (u *takeBack) lacks(d *draft, node string) bool {
	if n := u.nodes.byID[node]; n != nil {
		return n.wanted == nil || n.taken
	}
	return d.nodes.get(node) == nil
}
