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
// Label is the label of the version as the sender read it, or any other text. Where it has a hash, and the log knows another one for its
// version, the sender saw the plan of another history, and the version says nothing.
type Replace struct {
	Base  string `json:"Known"` // requests were hashed under this name, see requestName
	Label string
	Nodes []Node
	Edges []Edge
}

// maxMissed is how many events a sender may lie behind.
const maxMissed = 1000

func (e Replace) reads(r *reads) {
	r.all = true
	if known, err := strconv.ParseInt(e.Base, 10, 64); err == nil && known >= 0 {
		r.eventsAfter = &known
	}
	if version, hash, ok := feed.ParseLabel(e.Label); ok && hash != "" {
		r.hashAt = &version
	}
}

// isOfAnotherHistory reports whether the sender saw an event that never was, or is not any more.
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

// base returns the plan that the sender knew.
func (e Replace) base(d *draft) (map[string]Node, map[string]Edge, error) {
	nodes, edges := d.nodes.present(), d.edges.present()
	known, err := strconv.ParseInt(e.Base, 10, 64)
	if err != nil || known < 0 || known > d.at.Version || int64(len(d.missed)) != d.at.Version-known || e.isOfAnotherHistory(d) {
		if len(nodes)+len(edges) > 0 {
			return nil, nil, versionConflict(e.Base, d.at.Version)
		}
		return nodes, edges, nil
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

// carryOut does what the merge found: what goes before what comes, edges before the nodes that they hold on to.
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

// part is what of an element two writers can change without getting in each other's way.
type part[T any] struct {
	name  string
	same  func(a, b T) bool
	given func(T) bool // the submission says something about it; nil: always
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
	deleted   []string
	changed   []T
	added     []T
	conflicts []string // "<what> <id>: <part>"
}

// merge finds what the sender changed between base and submitted, and does it to current (a three-way merge, by part).
func merge[T any](what string, parts []part[T], base, current, submitted map[string]T) merged[T] {
	var m merged[T]
	conflict := func(id, how string) { m.conflicts = append(m.conflicts, fmt.Sprintf("%s %s: %s", what, id, how)) }
	for id, mine := range submitted {
		before, wasThere := base[id]
		theirs, isThere := current[id]
		switch {
		case !wasThere && !isThere:
			m.added = append(m.added, mine)
			continue
		case !wasThere:
			before = theirs // both added it: only equal parts can be told from a conflict
		}
		result := theirs
		changed := false
		for _, p := range parts {
			if p.given != nil && !p.given(mine) || wasThere && p.same(mine, before) {
				continue
			}
			switch {
			case isThere && p.same(mine, theirs):
			case !isThere:
				conflict(id, p.name+" changed here, deleted there")
			case !wasThere || !p.same(theirs, before):
				conflict(id, p.name)
			default:
				p.take(&result, mine)
				changed = true
			}
		}
		if changed {
			m.changed = append(m.changed, result)
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
				conflict(id, p.name+" changed there, deleted here")
			}
		}
	}
	return m
}
