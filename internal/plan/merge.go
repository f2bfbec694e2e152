package plan

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

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
	for _, n := range e.Nodes {
		r.source([]byte(n.Config))
	}
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
	baseNodes, baseEdges, since, err := e.base(d)
	if err != nil {
		return err
	}
	node := merge(ofNodes, baseNodes, d.nodes.present(), nodes)
	edge := merge(ofEdges, baseEdges, d.edges.present(), edges)
	conflicts := slices.Concat(node.conflicts, edge.conflicts)
	// Deleting a node would take edges with it that the sender has never seen; adding one may need a node that others deleted.
	for _, id := range node.deleted {
		for other := range d.links.incident(id) {
			if _, known := baseEdges[other]; !known {
				c := ofEdges.conflict(EdgeRemoved, other, "added to a node that the submission deletes", nil, d.edges.get(other))
				conflicts = append(conflicts, c)
			}
		}
	}
	for _, added := range edge.fresh {
		for _, end := range []string{added.Source, added.Target} {
			if before, known := baseNodes[end]; known && d.nodes.get(end) == nil {
				conflicts = append(conflicts, ofNodes.conflict(NodeAdded, end, "deleted, and the submission connects it", &before, nil))
			}
		}
	}
	if len(conflicts) > 0 {
		slices.SortFunc(conflicts, func(a, b conflict) int { return strings.Compare(a.text(), b.text()) })
		conflicts = slices.CompactFunc(conflicts, func(a, b conflict) bool { return a.text() == b.text() })
		attribution := attributionOf(conflicts)
		for _, event := range since {
			if err := attribution.add(event); err != nil {
				return err
			}
		}
		texts := make([]string, len(conflicts))
		for i, c := range conflicts {
			texts[i] = c.text()
		}
		list, _ := listed(conflicts) // the texts name all
		return versionConflict(e.Base, d.at.Version).With("conflicts", list).With("detail", texts)
	}
	return d.carryOut(e.work(d, node, edge), true)
}

// base returns the plan that the sender knew, but for states of executions: the current one, with the edits since then undone from the last
// to the first. It returns their events, too.
func (e Replace) base(d *draft) (map[string]Node, map[string]Edge, []*Event, error) {
	nodes, edges := d.nodes.present(), d.edges.present()
	known, err := strconv.ParseInt(e.Base, 10, 64)
	if err != nil || known < 0 || known > d.at.Version || known < d.floor || len(d.missed) > maxMissed || e.isOfAnotherHistory(d) {
		if len(nodes)+len(edges) > 0 {
			return nil, nil, nil, versionConflict(e.Base, d.at.Version)
		}
		return nodes, edges, nil, nil
	}
	if d.missedTooMuch {
		return nil, nil, nil, versionConflict(e.Base, d.at.Version).With("detail", fmt.Sprintf(
			"what others changed since version %d is more than the %d MB that are merged: read the plan again, and submit it with your changes",
			known, maxMissedBytes>>20))
	}
	since := make([]*Event, len(d.missed))
	for i, body := range slices.Backward(d.missed) {
		if since[i], err = decodeEvent(body); err != nil {
			return nil, nil, nil, err
		}
		for _, op := range slices.Backward(since[i].Operations) {
			if err := undo(op, nodes, edges); err != nil {
				return nil, nil, nil, fmt.Errorf("undo %s %q of version %d: %w", op.Kind, op.ID, since[i].Version, err)
			}
		}
	}
	return nodes, edges, since, nil
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
	case PlanUpdated, ExecutionChanged, CollaboratorAdded, CollaboratorChanged, CollaboratorRemoved: // nothing that a submission changes
	}
	return nil
}

// work returns what the merge found to do. What is new stands in the order of the submission.
func (e Replace) work(d *draft, node merged[Node], edge merged[Edge]) work {
	w := work{nodesGone: node.deleted, edgesGone: edge.deleted, nodesChanged: node.changed}
	for _, changed := range edge.changed {
		w.changeEdge(d, changed)
	}
	for _, n := range node.fresh {
		n.CreatedAt = d.time
		w.nodesNew = append(w.nodesNew, n)
	}
	for _, added := range edge.fresh {
		added.CreatedAt = d.time
		w.edgesNew = append(w.edgesNew, added)
	}
	w.nodesNew = inOrderOf(e.Nodes, w.nodesNew, func(n Node) string { return n.ID })
	w.edgesNew = inOrderOf(e.Edges, w.edgesNew, func(e Edge) string { return e.ID })
	return w
}

// work is what has to be done to a plan. Elements are as they shall be; those that are new say when they were created.
type work struct {
	edgesGone, nodesGone   []string
	nodesChanged, nodesNew []Node
	edgesChanged, edgesNew []Edge
}

// changeEdge adds an edge that shall change. One with other ends goes and comes back.
func (w *work) changeEdge(d *draft, e Edge) {
	if stored := d.edges.get(e.ID); stored.Source == e.Source && stored.Target == e.Target {
		w.edgesChanged = append(w.edgesChanged, e)
		return
	}
	w.edgesGone = append(w.edgesGone, e.ID)
	w.edgesNew = append(w.edgesNew, e)
}

// carryOut does work: removals before additions, removed edges before their nodes, added nodes before their edges. Whole says that the
// draft has the whole plan. Otherwise it has what each new edge needs, and no node changes its type.
func (d *draft) carryOut(w work, whole bool) error {
	for _, id := range slices.Backward(d.edges.sorted(w.edgesGone)) {
		d.removeEdge(id)
	}
	for _, id := range slices.Backward(d.nodes.sorted(w.nodesGone)) {
		d.removeNode(id)
	}
	for _, n := range w.nodesChanged {
		if err := d.setNode(n); err != nil {
			return err
		}
	}
	for _, n := range w.nodesNew {
		if err := d.insertNode(n); err != nil {
			return err
		}
	}
	for _, e := range w.edgesChanged {
		if err := d.setEdge(e); err != nil {
			return err
		}
	}
	for _, e := range w.edgesNew {
		if path := d.links.path(e.Target, e.Source); !whole && path != nil {
			return closesCycle(append([]string{e.Source}, path...))
		}
		if err := d.insertEdge(e); err != nil {
			return err
		}
	}
	if !whole {
		return nil
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
	value func(T) any // for people and programs to read
}

var nodeParts = []part[Node]{
	{
		name:  "type",
		same:  func(a, b Node) bool { return a.NodeType == b.NodeType },
		take:  func(to *Node, from Node) { to.NodeType = from.NodeType },
		value: func(n Node) any { return n.NodeType },
	},
	{
		name:  "position",
		same:  func(a, b Node) bool { return a.Position == b.Position },
		take:  func(to *Node, from Node) { to.Position = from.Position },
		value: func(n Node) any { return n.Position },
	},
	{
		name:  "source position",
		same:  func(a, b Node) bool { return same(a.SourcePosition, b.SourcePosition) },
		given: func(n Node) bool { return n.SourcePosition != nil },
		take:  func(to *Node, from Node) { to.SourcePosition = from.SourcePosition },
		value: func(n Node) any { return n.SourcePosition },
	},
	{
		name:  "target position",
		same:  func(a, b Node) bool { return same(a.TargetPosition, b.TargetPosition) },
		given: func(n Node) bool { return n.TargetPosition != nil },
		take:  func(to *Node, from Node) { to.TargetPosition = from.TargetPosition },
		value: func(n Node) any { return n.TargetPosition },
	},
	{
		name: "metadata",
		same: func(a, b Node) bool {
			return a.Metadata.Label == b.Metadata.Label && same(a.Metadata.Description, b.Metadata.Description)
		},
		take:  func(to *Node, from Node) { to.Metadata = from.Metadata },
		value: func(n Node) any { return n.Metadata },
	},
	{
		name:  "config",
		same:  func(a, b Node) bool { return configText(a.Config) == configText(b.Config) },
		take:  func(to *Node, from Node) { to.Config = from.Config },
		value: func(n Node) any { return n.Config },
	},
}

var edgeParts = []part[Edge]{
	{
		name:  "ends",
		same:  sameEnds,
		take:  func(to *Edge, from Edge) { to.Source, to.Target = from.Source, from.Target },
		value: func(e Edge) any { return map[string]string{"source": e.Source, "target": e.Target} },
	},
	{
		name:  "source handle",
		same:  func(a, b Edge) bool { return same(a.SourceHandle, b.SourceHandle) },
		given: func(e Edge) bool { return e.SourceHandle != nil },
		take:  func(to *Edge, from Edge) { to.SourceHandle = from.SourceHandle },
		value: func(e Edge) any { return e.SourceHandle },
	},
	{
		name:  "target handle",
		same:  func(a, b Edge) bool { return same(a.TargetHandle, b.TargetHandle) },
		given: func(e Edge) bool { return e.TargetHandle != nil },
		take:  func(to *Edge, from Edge) { to.TargetHandle = from.TargetHandle },
		value: func(e Edge) any { return e.TargetHandle },
	},
	{
		name: "metadata",
		same: func(a, b Edge) bool {
			return a.Metadata.DataType == b.Metadata.DataType && same(a.Metadata.Label, b.Metadata.Label)
		},
		take:  func(to *Edge, from Edge) { to.Metadata = from.Metadata },
		value: func(e Edge) any { return e.Metadata },
	},
}

// elements says what elements of one kind are made of.
type elements[T any] struct {
	of                      elementKind
	name                    string
	added, updated, removed OperationKind
	parts                   []part[T]
	createdAt               func(T) time.Time // nil for what is always there
}

var (
	ofNodes  = elements[Node]{ofNode, "node", NodeAdded, NodeUpdated, NodeRemoved, nodeParts, func(n Node) time.Time { return n.CreatedAt }}
	ofEdges  = elements[Edge]{ofEdge, "edge", EdgeAdded, EdgeUpdated, EdgeRemoved, edgeParts, func(e Edge) time.Time { return e.CreatedAt }}
	ofRecord = elements[description]{ofPlan, "plan", "", PlanUpdated, "", recordParts, nil}
)

// merged is what has to be done to the current elements.
type merged[T any] struct {
	elements[T]

	deleted   []string
	changed   []T
	fresh     []T // elements that are to be added
	conflicts []conflict
}

// merge finds what the sender changed between base and submitted, and does it to current (a three-way merge, by part).
func merge[T any](kind elements[T], base, current, submitted map[string]T) merged[T] {
	m := merged[T]{elements: kind}
	for id, mine := range submitted {
		before, wasThere := base[id]
		theirs, isThere := current[id]
		switch {
		case isThere && wasThere:
			m.mergeParts(id, &before, &theirs, mine)
		case isThere:
			m.mergeParts(id, nil, &theirs, mine)
		case wasThere:
			m.mergeParts(id, &before, nil, mine)
		default:
			m.fresh = append(m.fresh, mine)
		}
	}
	for id, before := range base {
		theirs, isThere := current[id]
		if _, kept := submitted[id]; kept || !isThere {
			continue
		}
		m.deleted = append(m.deleted, id)
		for _, p := range m.parts {
			if !p.same(theirs, before) {
				m.conflicts = append(m.conflicts, m.conflictOf(p, m.removed, id, "changed there, deleted here", &before, &theirs))
			}
		}
	}
	return m
}

// mergeParts merges an element of the submission. Before is nil when both writers added it: then every part that differs is a conflict,
// for nobody can tell which of the two is newer. Theirs is nil when others deleted it: then every part that the sender changed is one.
func (m *merged[T]) mergeParts(id string, before, theirs *T, mine T) {
	var result T
	if theirs != nil {
		result = *theirs
	}
	changed := false
	for _, p := range m.parts {
		switch {
		case p.given != nil && !p.given(mine), before != nil && p.same(mine, *before):
			// The sender left the part alone.
		case theirs == nil:
			m.conflicts = append(m.conflicts, m.conflictOf(p, m.updated, id, "changed here, deleted there", before, nil))
		case p.same(mine, *theirs):
			// Both changed it to the same.
		case before == nil || !p.same(*theirs, *before):
			m.conflicts = append(m.conflicts, m.conflictOf(p, m.updated, id, changedOnBothSides, before, theirs))
		default:
			p.take(&result, mine)
			changed = true
		}
	}
	if changed {
		m.changed = append(m.changed, result)
	}
}
