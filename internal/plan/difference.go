package plan

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
)

// element names a node, an edge, the plan's record, whose id is empty, or the execution of a node, which nobody edits.
type element struct {
	of elementKind
	id string
}

type elementKind int

const (
	ofNode elementKind = iota
	ofEdge
	ofPlan
	ofExecution
	ofCollaborator
)

// element returns what an operation is about.
func (op Operation) element() element {
	switch op.Kind {
	case NodeAdded, NodeUpdated, NodeRemoved:
		return element{ofNode, op.ID}
	case EdgeAdded, EdgeUpdated, EdgeRemoved:
		return element{ofEdge, op.ID}
	case ExecutionChanged:
		return element{ofExecution, op.ID}
	case CollaboratorAdded, CollaboratorChanged, CollaboratorRemoved:
		return element{ofCollaborator, op.ID}
	case PlanUpdated:
	}
	return element{of: ofPlan}
}

// difference is what became of one element between two versions.
type difference struct {
	element
	before   json.RawMessage // value at the first version; nil when the plan did not have it
	after    json.RawMessage // value at the second; nil when the plan does not have it
	returned bool            // it went and came back, so it stands at the end of the order
	place    int             // number of the operation that last added it, for the order of what was added
	touched  []touch         // what touched it, ascending
}

// touch is an event that touched an element.
type touch struct {
	version   int64
	actorName string
}

// differences are what became of all elements between two versions.
type differences struct {
	all        map[element]*difference
	operations int // how many were added
}

// add adds what an event did, but for executions. Events come in their order, without a gap.
func (d *differences) add(e *Event) {
	if d.all == nil {
		d.all = make(map[element]*difference)
	}
	for _, op := range e.Operations {
		d.operations++
		el := op.element()
		if el.of == ofExecution || el.of == ofCollaborator {
			continue
		}
		known := d.all[el]
		if known == nil {
			known = &difference{element: el, before: op.Before}
			d.all[el] = known
		}
		if op.Before == nil {
			known.place = d.operations
			known.returned = known.before != nil
		}
		known.after = op.After
		if n := len(known.touched); n == 0 || known.touched[n-1].version != e.Version {
			known.touched = append(known.touched, touch{e.Version, e.ActorName})
		}
	}
}

// list returns what differs in the end, in an order in which it can be done: edges that went, nodes that went, nodes that changed, nodes
// that came, then edges likewise, and the plan's record. What came is in the order of the plan, everything else by id.
func (d *differences) list() []*difference {
	var found []*difference
	for _, one := range d.all {
		if (one.before != nil || one.after != nil) && (one.returned || !bytes.Equal(one.before, one.after)) {
			found = append(found, one)
		}
	}
	slices.SortFunc(found, func(a, b *difference) int {
		return cmp.Or(cmp.Compare(a.step(), b.step()), cmp.Compare(a.place, b.place), cmp.Compare(a.id, b.id))
	})
	return found
}

// step says when a difference can be done.
func (d *difference) step() int {
	const edgesWent, nodesWent, nodesChanged, nodesCame, edgesChanged, edgesCame, record = 0, 1, 2, 3, 4, 5, 6
	switch {
	case d.of == ofPlan:
		return record
	case d.after == nil && d.of == ofEdge:
		return edgesWent
	case d.after == nil:
		return nodesWent
	case d.of == ofNode && d.before != nil && !d.returned:
		return nodesChanged
	case d.of == ofNode:
		return nodesCame
	case d.before != nil && !d.returned:
		return edgesChanged
	}
	return edgesCame
}
