package plan

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"layercake/internal/feed"
)

// Replace submits a whole plan. Base is the version that the sender had seen: what the submission changed since then is done to
// the current plan, part by part, and what others did meanwhile stays. Where both changed the same part to different values, or
// one deleted what the other changed, the change is a Conflict that names the ids. A version that the log does not know is
// accepted for an empty plan only. Parts that the submission leaves nil count as unchanged.
//
// Label is the label of the version as the sender read it, or any other text. Where it has a hash, and the log knows another hash for its
// version, the sender saw the plan of another history. Base is a number of that history then, and counts as a version that the log does
// not know.
type Replace struct {
	Base  string `json:"Known"` // requests were hashed under this name, see requestName
	Label string
	Nodes []Node
	Edges []Edge
}

// What a sender may lie behind: so many events, and so many bytes of them. They are read and undone under the head's lock.
const (
	maxMissed      = 1000
	maxMissedBytes = 8 << 20
)

func (e Replace) reads(r *reads) {
	r.all = true
	if known, err := strconv.ParseInt(e.Base, 10, 64); err == nil && known >= 0 {
		r.eventsAfter = &known
	}
	if version, hash, ok := feed.ParseLabel(e.Label); ok && hash != "" {
		r.hashAt = &version
	}
}

// isOfAnotherHistory reports whether the sender saw an event that is not in this history: a restore or a failover lost it.
func (e Replace) isOfAnotherHistory(d *draft) bool {
	version, hash, ok := feed.ParseLabel(e.Label)
	return ok && hash != "" && (version > d.at.Version || feed.Differ(hash, d.hashAt))
}

func (e Replace) apply(d *draft) error {
	nodes, err := byID("A node", e.Nodes, func(n Node) string { return n.ID })
	if err != nil {
		return err
	}
	edges, err := byID("An edge", e.Edges, func(e Edge) string { return e.ID })
	if err != nil {
		return err
	}
	baseNodes, baseEdges, err := e.base(d)
	if err != nil {
		return err
	}
	node := merge("node", nodeParts, baseNodes, d.nodes.present(), nodes)
	edge := merge("edge", edgeParts, baseEdges, d.edges.present(), edges)
	conflicts := slices.Concat(node.conflicts, edge.conflicts)
	// Deleting a node would take edges with it that the sender has never seen; adding one may need a node that others deleted.
	for _, id := range node.deleted {
		for other := range d.links.incident(id) {
			if _, known := baseEdges[other]; !known {
				conflicts = append(conflicts, fmt.Sprintf("edge %s: added to a node that the submission deletes", other))
			}
		}
	}
	for _, added := range edge.added {
		for _, end := range []string{added.Source, added.Target} {
			if _, known := baseNodes[end]; known && d.nodes.get(end) == nil {
				conflicts = append(conflicts, fmt.Sprintf("node %s: deleted, and the submission connects it", end))
			}
		}
	}
	if len(conflicts) > 0 {
		slices.Sort(conflicts)
		return versionConflict(e.Base, d.at.Version).With("conflicts", slices.Compact(conflicts))
	}
	return d.carryOut(node, edge, e)
}

// base returns the plan that the sender knew: the current one, with the events since then undone from the last to the first.
func (e Replace) base(d *draft) (map[string]Node, map[string]Edge, error) {
	nodes, edges := d.nodes.present(), d.edges.present()
	known, err := strconv.ParseInt(e.Base, 10, 64)
	if err != nil || known < 0 || known > d.at.Version || int64(len(d.missed)) != d.at.Version-known || e.isOfAnotherHistory(d) {
		if len(nodes)+len(edges) > 0 {
			return nil, nil, versionConflict(e.Base, d.at.Version)
		}
		return nodes, edges, nil
	}
	if d.missedTooMuch {
		return nil, nil, versionConflict(e.Base, d.at.Version).With("detail", fmt.Sprintf(
			"what others changed since version %d is more than the %d MB that are merged: read the plan again, and submit it with your changes",
			known, maxMissedBytes>>20))
	}
	for _, body := range slices.Backward(d.missed) {
		event, err := decodeEvent(body)
		if err != nil {
			return nil, nil, err
		}
		for _, op := range slices.Backward(event.Operations) {
			if err := undo(op, nodes, edges); err != nil {
				return nil, nil, fmt.Errorf("undo %s %q of version %d: %w", op.Kind, op.ID, event.Version, err)
			}
		}
	}
	return nodes, edges, nil
}

// undo takes an operation back.
func undo(op Operation, nodes map[string]Node, edges map[string]Edge) error {
	switch op.Kind {
	case NodeAdded:
		delete(nodes, op.ID)
	case EdgeAdded:
		delete(edges, op.ID)
	case NodeUpdated, NodeRemoved:
		var n Node
		if err := json.Unmarshal(op.Before, &n); err != nil {
			return err
		}
		nodes[op.ID] = n
	case EdgeUpdated, EdgeRemoved:
		var e Edge
		if err := json.Unmarshal(op.Before, &e); err != nil {
			return err
		}
		edges[op.ID] = e
	case PlanUpdated:
	}
	return nil
}

// carryOut does what the merge found: removals before additions, removed edges before their nodes, added nodes before their edges.
func (d *draft) carryOut(node merged[Node], edge merged[Edge], e Replace) error {
	for _, id := range slices.Backward(d.edges.sorted(edge.deleted)) {
		d.removeEdge(id)
	}
	// An edge with other ends is another edge: it goes and comes back.
	for i, changed := range edge.changed {
		if stored := d.edges.get(changed.ID); stored.Source != changed.Source || stored.Target != changed.Target {
			d.removeEdge(changed.ID)
			edge.added = append(edge.added, changed)
			edge.changed[i].ID = ""
		}
	}
	for _, id := range slices.Backward(d.nodes.sorted(node.deleted)) {
		d.removeNode(id)
	}
	for _, n := range node.changed {
		if err := d.setNode(n); err != nil {
			return err
		}
	}
	for _, n := range inOrderOf(e.Nodes, node.added, func(n Node) string { return n.ID }) {
		if err := d.addNode(n); err != nil {
			return err
		}
	}
	for _, changed := range edge.changed {
		if changed.ID == "" {
			continue
		}
		if err := d.setEdge(changed); err != nil {
			return err
		}
	}
	for _, added := range inOrderOf(e.Edges, edge.added, func(e Edge) string { return e.ID }) {
		if err := d.addEdge(added); err != nil {
			return err
		}
	}
	return d.checkLinks()
}

// inOrderOf returns some elements in the order in which they were submitted.
func inOrderOf[T any](submitted, some []T, id func(T) string) []T {
	place := make(map[string]int, len(submitted))
	for i, s := range submitted {
		place[id(s)] = i
	}
	slices.SortFunc(some, func(a, b T) int { return place[id(a)] - place[id(b)] })
	return some
}

// part is a part of an element: two writers that change different parts do not get in each other's way.
type part[T any] struct {
	name  string
	same  func(a, b T) bool
	given func(T) bool // whether a submission says something about the part; nil for always
	take  func(to *T, from T)
}

var nodeParts = []part[Node]{
	{
		name: "type",
		same: func(a, b Node) bool { return a.NodeType == b.NodeType },
		take: func(to *Node, from Node) { to.NodeType = from.NodeType },
	},
	{
		name: "position",
		same: func(a, b Node) bool { return a.Position == b.Position },
		take: func(to *Node, from Node) { to.Position = from.Position },
	},
	{
		name:  "source position",
		same:  func(a, b Node) bool { return same(a.SourcePosition, b.SourcePosition) },
		given: func(n Node) bool { return n.SourcePosition != nil },
		take:  func(to *Node, from Node) { to.SourcePosition = from.SourcePosition },
	},
	{
		name:  "target position",
		same:  func(a, b Node) bool { return same(a.TargetPosition, b.TargetPosition) },
		given: func(n Node) bool { return n.TargetPosition != nil },
		take:  func(to *Node, from Node) { to.TargetPosition = from.TargetPosition },
	},
	{
		name: "metadata",
		same: func(a, b Node) bool {
			return a.Metadata.Label == b.Metadata.Label && same(a.Metadata.Description, b.Metadata.Description)
		},
		take: func(to *Node, from Node) { to.Metadata = from.Metadata },
	},
	{
		name: "config",
		same: func(a, b Node) bool { return configText(a.Config) == configText(b.Config) },
		take: func(to *Node, from Node) { to.Config = from.Config },
	},
}

var edgeParts = []part[Edge]{
	{
		name: "ends",
		same: func(a, b Edge) bool { return a.Source == b.Source && a.Target == b.Target },
		take: func(to *Edge, from Edge) { to.Source, to.Target = from.Source, from.Target },
	},
	{
		name:  "source handle",
		same:  func(a, b Edge) bool { return same(a.SourceHandle, b.SourceHandle) },
		given: func(e Edge) bool { return e.SourceHandle != nil },
		take:  func(to *Edge, from Edge) { to.SourceHandle = from.SourceHandle },
	},
	{
		name:  "target handle",
		same:  func(a, b Edge) bool { return same(a.TargetHandle, b.TargetHandle) },
		given: func(e Edge) bool { return e.TargetHandle != nil },
		take:  func(to *Edge, from Edge) { to.TargetHandle = from.TargetHandle },
	},
	{
		name: "metadata",
		same: func(a, b Edge) bool {
			return a.Metadata.DataType == b.Metadata.DataType && same(a.Metadata.Label, b.Metadata.Label)
		},
		take: func(to *Edge, from Edge) { to.Metadata = from.Metadata },
	},
}

// merged is what has to be done to the current elements.
type merged[T any] struct {
	what      string // kind of the elements
	deleted   []string
	changed   []T
	added     []T
	conflicts []string // "<what> <id>: <part>"
}

func (m *merged[T]) conflict(id, problem string) {
	m.conflicts = append(m.conflicts, fmt.Sprintf("%s %s: %s", m.what, id, problem))
}

// merge finds what the sender changed between base and submitted, and does it to current (a three-way merge, by part).
func merge[T any](what string, parts []part[T], base, current, submitted map[string]T) merged[T] {
	m := merged[T]{what: what}
	for id, mine := range submitted {
		before, wasThere := base[id]
		theirs, isThere := current[id]
		switch {
		case isThere && wasThere:
			m.mergeParts(id, parts, &before, &theirs, mine)
		case isThere:
			m.mergeParts(id, parts, nil, &theirs, mine)
		case wasThere:
			m.mergeParts(id, parts, &before, nil, mine)
		default:
			m.added = append(m.added, mine)
		}
	}
	for id, before := range base {
		theirs, isThere := current[id]
		if _, kept := submitted[id]; kept || !isThere {
			continue
		}
		m.deleted = append(m.deleted, id)
		for _, p := range parts {
			if !p.same(theirs, before) {
				m.conflict(id, p.name+" changed there, deleted here")
			}
		}
	}
	return m
}

// mergeParts merges an element of the submission. Before is nil when both writers added it: then every part that differs is a conflict,
// for nobody can tell which of the two is newer. Theirs is nil when others deleted it: then every part that the sender changed is one.
func (m *merged[T]) mergeParts(id string, parts []part[T], before, theirs *T, mine T) {
	var result T
	if theirs != nil {
		result = *theirs
	}
	changed := false
	for _, p := range parts {
		switch {
		case p.given != nil && !p.given(mine), before != nil && p.same(mine, *before):
			// The sender left the part alone.
		case theirs == nil:
			m.conflict(id, p.name+" changed here, deleted there")
		case p.same(mine, *theirs):
			// Both changed it to the same.
		case before == nil || !p.same(*theirs, *before):
			m.conflict(id, p.name)
		default:
			p.take(&result, mine)
			changed = true
		}
	}
	if changed {
		m.changed = append(m.changed, result)
	}
}
