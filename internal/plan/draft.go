package plan

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"time"

	"layercake/internal/fault"
)

// reads names the parts of a plan that a change looks at.
type reads struct {
	nodes         map[string]bool // nodes, by id
	edges         map[string]bool // edges, by id
	edgesOf       map[string]bool // nodes, all of whose edges are read
	reachableFrom map[string]bool // nodes, with all links that can be reached from them
	lastNode      bool            // the node that was added last
	plan          bool            // the plan's record
	all           bool            // all nodes and edges
	eventsAfter   *int64          // the version after which all events that edit are read
	hashAt        *int64          // the version whose event's hash is read
	undoneBy      *int64          // the version of which is read whether it is undone
	sources       map[int32]bool  // data sources, by id
	proposal      *int32          // the proposal that is accepted: its head is locked, too
}

// knows reports whether a sender who saw the plan at a version has missed no edit. States of executions, which step the version, too, are
// in nobody's way.
func (d *draft) knows(version int64) bool {
	return version == d.at.Version || version >= d.lastEdit && version < d.at.Version
}

func newReads() *reads {
	return &reads{
		nodes: map[string]bool{}, edges: map[string]bool{}, edgesOf: map[string]bool{}, reachableFrom: map[string]bool{},
		sources: map[int32]bool{},
	}
}

// draft is the part of a plan that changes look at, and what they do to it so far.
type draft struct {
	time  time.Time
	held  bool   // whether the head is locked, but not stepped yet
	wrote bool   // whether statements of the caller ran, which are to be committed
	at    Cursor // place right after the last change in the draft
	size  int64  // bytes of all events before the draft
	// remembered is the hash of the request that was remembered under the operation id; nil when none was, and for requests without Action.
	remembered []byte
	// floor is where the log begins, and lastEdit the newest version whose event edits, floor when none does. They are read for whoever names
	// a version.
	floor, lastEdit int64
	plan            *Plan
	edited          bool // whether the plan's record changed
	nodes           list[Node]
	edges           list[Edge]
	links           links
	// sources are the states of the data sources that reads named, but for those that the project does not have.
	sources map[int32]*Execution
	hashAt  string // hash of the event that led to reads.hashAt, empty where nobody knows it
	// undoneBy is the version that took reads.undoneBy back and stands; 0 for none.
	undoneBy int64
	missed   [][]byte // bodies of the events after reads.eventsAfter that edit, at most maxMissed + 1
	// missedTooMuch says that these events have more than maxMissedBytes: their bodies were not read.
	missedTooMuch bool
	proposal      proposalHead

	record
}

// record is what one change did.
type record struct {
	operations   []Operation
	touchedNodes []Node // nodes of the operations, as they are after them; removed ones as they were before
	touchedEdges []Edge
	named        []string // ids of nodes that the edits named
	namedEdges   []string
	executions   []string            // ids of nodes whose execution changed
	placed       map[string]Position // where the nodes went that it placed, by id
	lenient      bool                // whether nodes may name data sources that are gone
	undoes       int64               // the version that it takes back; 0 for none
	accepts      *acceptance         // the proposal that it accepts; nil for none
}

// list is what a draft knows of an ordered list: some items, where it ends, and its gaps. An item's ordinal never changes. Its
// index is its ordinal less the number of gaps before it.
type list[T any] struct {
	items       map[string]*item[T]
	next        int64   // the ordinal of the next new item
	gaps        []int64 // ordinals of items that are gone, ascending
	gapsChanged bool
}

type item[T any] struct {
	ordinal int64
	before  *T   // nil when the plan did not have it
	now     *T   // nil when the change removed it
	added   bool // whether the change added it; with before set it was removed first
}

// shape sets the end and the gaps of the list. Gaps after the last item do not count, since new items come there.
func (l *list[T]) shape(last int64, gaps []int64) {
	end, _ := slices.BinarySearch(gaps, last)
	l.next, l.gaps, l.gapsChanged = last+1, gaps[:end], end < len(gaps)
}

func (l *list[T]) load(id string, ordinal int64, value T) {
	if l.items == nil {
		l.items = make(map[string]*item[T])
	}
	l.items[id] = &item[T]{ordinal: ordinal, before: &value, now: &value}
}

// get returns an item, or nil when the plan does not have it. It finds only what reads named.
func (l *list[T]) get(id string) *T {
	if i := l.items[id]; i != nil {
		return i.now
	}
	return nil
}

func (l *list[T]) len() int { return int(l.next) - len(l.gaps) }

func (l *list[T]) index(i *item[T]) *int {
	before, _ := slices.BinarySearch(l.gaps, i.ordinal)
	index := int(i.ordinal) - before
	return &index
}

// add appends an item and returns its index.
func (l *list[T]) add(id string, value T) *int {
	if l.items == nil {
		l.items = make(map[string]*item[T])
	}
	added := &item[T]{ordinal: l.next, now: &value, added: true}
	if old := l.items[id]; old != nil {
		added.before = old.before
	}
	l.items[id] = added
	l.next++
	return l.index(added)
}

// remove takes an item out and returns the index that it had.
func (l *list[T]) remove(id string) *int {
	i := l.items[id]
	index := l.index(i)
	at, _ := slices.BinarySearch(l.gaps, i.ordinal)
	l.gaps, l.gapsChanged = slices.Insert(l.gaps, at, i.ordinal), true
	i.now = nil
	return index
}

// inOrder returns the ids of the present items.
func (l *list[T]) inOrder() []string {
	var ids []string
	for id, i := range l.items {
		if i.now != nil {
			ids = append(ids, id)
		}
	}
	return l.sorted(ids)
}

// present returns the items by id.
func (l *list[T]) present() map[string]T {
	items := make(map[string]T, len(l.items))
	for id, i := range l.items {
		if i.now != nil {
			items[id] = *i.now
		}
	}
	return items
}

// sorted puts ids of present items into their order.
func (l *list[T]) sorted(ids []string) []string {
	slices.SortFunc(ids, func(a, b string) int { return cmp.Compare(l.items[a].ordinal, l.items[b].ordinal) })
	return ids
}

// links is what a draft knows of who leads to whom, by node and edge id.
type links struct {
	out map[string]map[string]string // node -> edge -> target
	in  map[string]map[string]string // node -> edge -> source
}

func (l *links) add(edge, source, target string) {
	if l.out == nil {
		l.out, l.in = map[string]map[string]string{}, map[string]map[string]string{}
	}
	put := func(m map[string]map[string]string, node, other string) {
		if m[node] == nil {
			m[node] = map[string]string{}
		}
		m[node][edge] = other
	}
	put(l.out, source, target)
	put(l.in, target, source)
}

func (l *links) remove(edge, source, target string) {
	delete(l.out[source], edge)
	delete(l.in[target], edge)
}

// incident yields the edges of a node.
func (l *links) incident(node string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, edges := range []map[string]string{l.out[node], l.in[node]} {
			for edge := range edges {
				if !yield(edge) {
					return
				}
			}
		}
	}
}

// path returns the ids on a way from one node to another, both included, or nil when there is none.
func (l *links) path(from, to string) []string {
	cameFrom := map[string]string{from: ""}
	for front := []string{from}; len(front) > 0; front = front[1:] {
		at := front[0]
		if at == to {
			var path []string
			for ; at != ""; at = cameFrom[at] {
				path = append(path, at)
			}
			slices.Reverse(path)
			return path
		}
		next := make([]string, 0, len(l.out[at]))
		for _, target := range l.out[at] {
			if _, seen := cameFrom[target]; !seen {
				cameFrom[target] = at
				next = append(next, target)
			}
		}
		slices.Sort(next) // the answer does not depend on the order of a map
		front = append(front, next...)
	}
	return nil
}

// along returns the edges from each node of a path to the next.
func (l *links) along(path []string) []string {
	var edges []string
	for i, node := range path[1:] {
		for edge, target := range l.out[path[i]] {
			if target == node {
				edges = append(edges, edge)
			}
		}
	}
	return edges
}

// cycle returns the ids on some cycle, its first id again at its end, or nil when there is none. It takes away nodes that
// nothing leads to until only cycles and what they lead to are left (A. B. Kahn, 1962).
func (l *links) cycle() []string {
	inputs := make(map[string]int, len(l.in))
	var free []string
	for node, in := range l.in {
		inputs[node] = len(in)
	}
	for node := range l.out {
		if inputs[node] == 0 {
			free = append(free, node)
		}
	}
	for ; len(free) > 0; free = free[1:] {
		for _, target := range l.out[free[0]] {
			if inputs[target]--; inputs[target] == 0 {
				free = append(free, target)
			}
		}
	}
	var left []string
	for node, n := range inputs {
		if n > 0 {
			left = append(left, node)
		}
	}
	slices.Sort(left)
	for _, node := range left {
		for _, target := range l.out[node] {
			if path := l.path(target, node); path != nil {
				return append([]string{node}, path...)
			}
		}
	}
	return nil
}

func closesCycle(path []string) *fault.Error {
	return fault.New(fault.BadRequest, "Edge would create a cycle").With("detail", path)
}

// addNode adds a node that is created now.
func (d *draft) addNode(n Node) error {
	n.CreatedAt = d.time
	return d.insertNode(n)
}

// insertNode adds a node that says when it was created.
func (d *draft) insertNode(n Node) error {
	n.Config = configText(n.Config)
	if err := errors.Join(checkNode(n), n.checkWords(NodeMetadata{})); err != nil {
		return err
	}
	n = n.withExecution(nil)
	if d.nodes.get(n.ID) != nil {
		return fault.New(fault.Conflict, "A node with this id already exists").With("detail", n.ID)
	}
	if d.nodes.len() >= MaxNodes {
		return tooMany("nodes", MaxNodes)
	}
	e, err := d.sourceState(n)
	if err != nil {
		return err
	}
	n.UpdatedAt = d.time
	d.noteOperation(NodeAdded, n.ID, d.nodes.add(n.ID, n), nil, n)
	d.touchedNodes = append(d.touchedNodes, n)
	d.setExecution(n.ID, e)
	return nil
}

func tooMany(what string, limit int) error {
	return fault.New(fault.BadRequest, "The plan has too many "+what).With("detail", map[string]any{"limit": limit})
}

// setNode replaces a node that is there. An equal node changes nothing, and so records no operation.
func (d *draft) setNode(n Node) error {
	before := d.nodes.get(n.ID)
	n.Config = configText(n.Config)
	if sameNode(*before, n) {
		return nil
	}
	if err := errors.Join(checkNode(n), n.checkWords(before.Metadata)); err != nil {
		return err
	}
	n.CreatedAt, n.UpdatedAt = before.CreatedAt, d.time
	n = n.withExecution(before.execution())
	e, err := d.executionAfter(*before, n)
	if err != nil {
		return err
	}
	i := d.nodes.items[n.ID]
	d.noteOperation(NodeUpdated, n.ID, d.nodes.index(i), *before, n)
	d.touchedNodes = append(d.touchedNodes, n)
	i.now = &n
	d.setExecution(n.ID, e)
	if e != nil && sameExecution(e, before.execution()) && shownWhole(*before, n) {
		d.noteExecution(n.ID, e, e)
	}
	return nil
}

// removeNode removes a node, and its edges before it, the last one first.
func (d *draft) removeNode(id string) {
	for _, edge := range slices.Backward(d.edges.sorted(slices.Collect(d.links.incident(id)))) {
		d.removeEdge(edge)
	}
	before := *d.nodes.get(id)
	d.noteOperation(NodeRemoved, id, d.nodes.remove(id), before, nil)
	d.touchedNodes = append(d.touchedNodes, before)
}

// addEdge adds an edge that is created now.
func (d *draft) addEdge(e Edge) error {
	e.CreatedAt = d.time
	return d.insertEdge(e)
}

// insertEdge adds an edge that says when it was created.
func (d *draft) insertEdge(e Edge) error {
	if err := errors.Join(checkEdge(e), e.checkWords(EdgeMetadata{})); err != nil {
		return err
	}
	if d.edges.get(e.ID) != nil {
		return fault.New(fault.Conflict, "An edge with this id already exists").With("detail", e.ID).Because(&obstacle{[]string{e.ID}})
	}
	for _, end := range []string{e.Source, e.Target} {
		if d.nodes.get(end) == nil {
			return fault.New(fault.BadRequest, "Edge refers to a node that does not exist").With("detail", end)
		}
	}
	for edge, target := range d.links.out[e.Source] {
		if target == e.Target {
			return notAllowed(fmt.Sprintf("the edge %q already connects these nodes", edge)).Because(&obstacle{[]string{edge}})
		}
	}
	source, target := d.nodes.get(e.Source).NodeType, d.nodes.get(e.Target).NodeType
	out, in := d.links.out[e.Source], d.links.in[e.Target]
	if rule := refused(source, target, len(out), len(in)); rule != "" {
		refusal := notAllowed(rule)
		if refused(source, target, 0, 0) == "" {
			var edges []string
			if len(in) >= maxInputs(target) {
				edges = slices.AppendSeq(edges, maps.Keys(in))
			}
			if len(out) >= maxOutputs(source) {
				edges = slices.AppendSeq(edges, maps.Keys(out))
			}
			refusal = refusal.Because(&obstacle{edges})
		}
		return refusal
	}
	if d.edges.len() >= MaxEdges {
		return tooMany("edges", MaxEdges)
	}
	e.UpdatedAt = d.time
	d.noteOperation(EdgeAdded, e.ID, d.edges.add(e.ID, e), nil, e)
	d.touchedEdges = append(d.touchedEdges, e)
	d.links.add(e.ID, e.Source, e.Target)
	return nil
}

// setEdge replaces an edge that is there, but for its ends. An equal edge changes nothing, and so records no operation.
func (d *draft) setEdge(e Edge) error {
	before := d.edges.get(e.ID)
	if sameEdge(*before, e) {
		return nil
	}
	if err := errors.Join(checkEdge(e), e.checkWords(before.Metadata)); err != nil {
		return err
	}
	e.CreatedAt, e.UpdatedAt = before.CreatedAt, d.time
	i := d.edges.items[e.ID]
	d.noteOperation(EdgeUpdated, e.ID, d.edges.index(i), *before, e)
	d.touchedEdges = append(d.touchedEdges, e)
	i.now = &e
	return nil
}

func (d *draft) removeEdge(id string) {
	before := *d.edges.get(id)
	d.noteOperation(EdgeRemoved, id, d.edges.remove(id), before, nil)
	d.touchedEdges = append(d.touchedEdges, before)
	d.links.remove(id, before.Source, before.Target)
}

// description is what PLAN_UPDATED shows.
type description struct {
	Name         string  `json:"name"`
	YAMLContent  string  `json:"yamlContent"`
	Dependencies []int32 `json:"dependencies"`
	Status       string  `json:"status"`
}

func (p Plan) description() description {
	return description{Name: p.Name, YAMLContent: p.YAMLContent, Dependencies: p.Dependencies, Status: p.Status}
}

// describe replaces the plan's record.
func (d *draft) describe(p Plan) {
	before, after := d.plan.description(), p.description()
	if before.Name == after.Name && before.YAMLContent == after.YAMLContent && before.Status == after.Status &&
		slices.Equal(before.Dependencies, after.Dependencies) && (before.Dependencies == nil) == (after.Dependencies == nil) {
		return
	}
	d.noteOperation(PlanUpdated, strconv.Itoa(int(p.ID)), nil, before, after)
	p.UpdatedAt = d.time
	d.plan, d.edited = &p, true
}

func (d *draft) noteOperation(kind OperationKind, id string, index *int, before, after any) {
	op := Operation{Kind: kind, ID: id, Index: index}
	if before != nil {
		op.Before = encode(before)
	}
	if after != nil {
		op.After = encode(after)
	}
	d.operations = append(d.operations, op)
}

func sameNode(a, b Node) bool {
	return a.NodeType == b.NodeType && a.Position == b.Position && a.Config == b.Config && a.Metadata.Label == b.Metadata.Label &&
		same(a.Metadata.Description, b.Metadata.Description) &&
		same(a.SourcePosition, b.SourcePosition) && same(a.TargetPosition, b.TargetPosition)
}

func sameEdge(a, b Edge) bool {
	return sameEnds(a, b) && a.Metadata.DataType == b.Metadata.DataType &&
		same(a.Metadata.Label, b.Metadata.Label) &&
		same(a.SourceHandle, b.SourceHandle) && same(a.TargetHandle, b.TargetHandle)
}

func sameEnds(a, b Edge) bool { return a.Source == b.Source && a.Target == b.Target }

func same(a, b *string) bool {
	return a == b || a != nil && b != nil && *a == *b
}

// optional returns a value, or nil for the zero one, which stands for none.
func optional[T comparable](v T) *T {
	if v == *new(T) {
		return nil
	}
	return &v
}

// value returns what optional made a pointer of.
func value[T any](p *T) T {
	if p == nil {
		return *new(T)
	}
	return *p
}
