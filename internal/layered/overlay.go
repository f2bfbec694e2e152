package layered

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"layercake/internal/fault"
)

// Edit is a change that a person or an agent made to a built graph.
type Edit struct {
	Sequence  int // edits are applied in ascending order
	Target    EditTarget
	ID        string // of the node, edge or layer
	Operation EditOperation
	Field     string          // of an update: the field's name
	Old       json.RawMessage // of an update: what the field was when the edit was made; nil is unknown, JSON null is none
	New       json.RawMessage // of an update the field's value, of a creation an object; nil is nothing
}

// EditTarget is the kind of element that an edit changes.
type EditTarget string

// EditOperation is what an edit does.
type EditOperation string

// The targets and operations.
const (
	EditNode  EditTarget = "node"
	EditEdge  EditTarget = "edge"
	EditLayer EditTarget = "layer"

	EditCreate EditOperation = "create"
	EditUpdate EditOperation = "update"
	EditDelete EditOperation = "delete"
)

// Outcome is the outcome of one edit.
type Outcome struct {
	Sequence int
	Result   EditResult
	Message  string // why, unless it was applied
}

// EditResult is how an edit ended.
type EditResult string

// The results. Only EditApplied has an effect.
const (
	EditApplied  EditResult = "applied"
	EditSkipped  EditResult = "skipped"  // there is nothing to apply it to, or it is there already
	EditConflict EditResult = "conflict" // the graph has another value now than the one that the edit replaced
	EditFailed   EditResult = "failed"   // the edit makes no sense
)

// Overlay applies edits to a freshly built graph, in ascending order of their sequence, and returns the outcome of each.
//
// An update whose field is neither what the editor saw nor what the editor wanted is a conflict: the newer value stays, and a
// person decides. Deleting a node takes its edges along, and its children move to its parent. Always start from the built
// graph, never from an earlier result: edits that were each recorded on a graph that showed the former ones then all apply and
// give what their editors saw.
//
// Only what edits name is indexed, and only the kinds of elements that they change are copied.
func Overlay(g Graph, edits []Edit) (Graph, []Outcome) {
	edits = slices.Clone(edits)
	slices.SortStableFunc(edits, func(a, b Edit) int { return cmp.Compare(a.Sequence, b.Sequence) })
	o := newOverlay(g, edits)
	outcomes := make([]Outcome, len(edits))
	for i, e := range edits {
		result, message := o.apply(e)
		outcomes[i] = Outcome{Sequence: e.Sequence, Result: result, Message: message}
	}
	return Graph{Name: g.Name, Nodes: o.nodes.list(), Edges: o.edges.list(), Layers: o.layers.list()}, outcomes
}

// shelf holds elements by position. Those that edits name are known by ID, too.
type shelf[T any] struct {
	items  []T // the graph's, until one changes
	copied bool
	gone   map[int]bool
	at     map[string]int
	id     func(*T) string
}

func newShelf[T any](items []T, id func(*T) string, named map[string]bool) *shelf[T] {
	s := &shelf[T]{items: slices.Clip(items), gone: make(map[int]bool), at: make(map[string]int), id: id}
	s.index(named)
	return s
}

// index makes elements known by their IDs.
func (s *shelf[T]) index(named map[string]bool) {
	if len(named) == 0 {
		return
	}
	for i := range s.items {
		if id := s.id(&s.items[i]); named[id] {
			s.at[id] = i
		}
	}
}

func (s *shelf[T]) get(id string) *T {
	if i, ok := s.at[id]; ok {
		return &s.items[i]
	}
	return nil
}

// set replaces an element. The graph that was given stays as it is.
func (s *shelf[T]) set(i int, item T) {
	if !s.copied {
		s.items, s.copied = slices.Clone(s.items), true
	}
	s.items[i] = item
}

// add returns the position of the new element.
func (s *shelf[T]) add(id string, item T) int {
	s.at[id] = len(s.items)
	s.items = append(s.items, item)
	return len(s.items) - 1
}

func (s *shelf[T]) remove(i int) {
	s.gone[i] = true
	if id := s.id(&s.items[i]); s.at[id] == i {
		delete(s.at, id)
	}
}

func (s *shelf[T]) list() []T {
	if len(s.gone) == 0 {
		return s.items
	}
	kept := make([]T, 0, len(s.items)-len(s.gone))
	for i := range s.items {
		if !s.gone[i] {
			kept = append(kept, s.items[i])
		}
	}
	return kept
}

// overlay is a graph while edits are applied to it.
type overlay struct {
	nodes  *shelf[Node]
	edges  *shelf[Edge]
	layers *shelf[Layer]

	// What may hang on the nodes that edits delete, by position; made when the first is deleted, and never cleaned: check before use.
	deleted  map[string]bool // IDs of nodes that an edit deletes
	touching map[string][]int
	children map[string][]int
}

func newOverlay(g Graph, edits []Edit) *overlay {
	named := map[EditTarget]map[string]bool{EditNode: {}, EditEdge: {}, EditLayer: {}}
	o := &overlay{deleted: make(map[string]bool)}
	for _, e := range edits {
		if named[e.Target] == nil {
			continue
		}
		named[e.Target][e.ID] = true
		for _, id := range mentioned(e) {
			named[EditNode][id] = true
		}
		if e.Target == EditNode && e.Operation == EditDelete {
			o.deleted[e.ID] = true
		}
	}
	o.nodes = newShelf(g.Nodes, func(n *Node) string { return n.ID }, named[EditNode])
	o.edges = newShelf(g.Edges, func(e *Edge) string { return e.ID }, named[EditEdge])
	o.layers = newShelf(g.Layers, func(l *Layer) string { return l.ID }, named[EditLayer])

	heirs := make(map[string]bool) // parents of nodes that are deleted: children move there
	for id := range o.deleted {
		if n := o.nodes.get(id); n != nil && n.BelongsTo != "" && !named[EditNode][n.BelongsTo] {
			heirs[n.BelongsTo] = true
		}
	}
	o.nodes.index(heirs)
	return o
}

// mentioned returns the nodes that an edit's new value names.
func mentioned(e Edit) []string {
	var value any
	if len(e.New) == 0 || decode(e.New, &value) != nil {
		return nil
	}
	switch value := value.(type) {
	case string:
		if e.Field == "belongsTo" || e.Field == "belongs_to" {
			return []string{value}
		}
	case map[string]any:
		var ids []string
		for _, name := range []string{"belongsTo", "source", "target"} {
			if id, ok := value[name].(string); ok {
				ids = append(ids, id)
			}
		}
		return ids
	}
	return nil
}

func (o *overlay) apply(e Edit) (EditResult, string) {
	if e.ID == "" {
		return EditFailed, "The edit names no target"
	}
	var present bool
	switch e.Target {
	case EditNode:
		present = o.nodes.get(e.ID) != nil
	case EditEdge:
		present = o.edges.get(e.ID) != nil
	case EditLayer:
		present = o.layers.get(e.ID) != nil
	default:
		return EditFailed, fmt.Sprintf("Unknown target type %q", e.Target)
	}
	switch e.Operation {
	case EditCreate:
		if present {
			return EditSkipped, fmt.Sprintf("The %s %q exists already", e.Target, e.ID)
		}
		return o.create(e)
	case EditUpdate, EditDelete:
		if !present {
			return EditSkipped, fmt.Sprintf("The %s %q does not exist", e.Target, e.ID)
		}
	default:
		return EditFailed, fmt.Sprintf("Unknown operation %q", e.Operation)
	}
	if e.Operation == EditDelete {
		o.remove(e)
		return EditApplied, ""
	}
	switch e.Target {
	case EditNode:
		i := o.nodes.at[e.ID]
		if parent := o.missingParent(e); parent != "" {
			return EditSkipped, fmt.Sprintf("The node %q cannot belong to %q, which does not exist", e.ID, parent)
		}
		result, message := updateAt(o.nodes, i, e, nodeField)
		o.rememberChild(i)
		return result, message
	case EditEdge:
		return updateAt(o.edges, o.edges.at[e.ID], e, edgeField)
	}
	return updateAt(o.layers, o.layers.at[e.ID], e, layerField)
}

// updateAt updates a copy of an element, which takes its place if the edit applies.
func updateAt[T any](s *shelf[T], i int, e Edit, fieldOf func(*T, string) *editField) (EditResult, string) {
	item := s.items[i]
	result, message := update(e, fieldOf(&item, e.Field))
	if result == EditApplied {
		s.set(i, item)
	}
	return result, message
}

func (o *overlay) create(e Edit) (EditResult, string) {
	var given map[string]any
	if err := decode(e.New, &given); err != nil || given == nil {
		return EditFailed, fmt.Sprintf("The new value of a created %s must be an object", e.Target)
	}
	switch e.Target {
	case EditNode:
		n := Node{ID: e.ID, Weight: 1}
		for _, name := range []string{"label", "layer", "isPartition", "belongsTo", "attrs", "weight", "comment"} {
			if message := setGiven(given, name, nodeField(&n, name)); message != "" {
				return EditFailed, message
			}
		}
		o.rememberChild(o.nodes.add(e.ID, n))
	case EditEdge:
		edge := Edge{ID: e.ID, Weight: 1}
		edge.Source, _ = given["source"].(string)
		edge.Target, _ = given["target"].(string)
		if edge.Source == "" || edge.Target == "" {
			return EditFailed, "A created edge needs a source and a target"
		}
		for _, id := range []string{edge.Source, edge.Target} {
			if o.nodes.get(id) == nil {
				return EditSkipped, fmt.Sprintf("The edge %q needs the node %q, which does not exist", e.ID, id)
			}
		}
		for _, name := range []string{"label", "layer", "attrs", "weight", "comment"} {
			if message := setGiven(given, name, edgeField(&edge, name)); message != "" {
				return EditFailed, message
			}
		}
		o.rememberEdge(o.edges.add(e.ID, edge))
	case EditLayer:
		l := Layer{ID: e.ID, Label: e.ID}
		for _, name := range []string{"name", "color", "properties"} {
			if message := setGiven(given, name, layerField(&l, name)); message != "" {
				return EditFailed, message
			}
		}
		o.layers.add(e.ID, l)
	}
	return EditApplied, ""
}

// missingParent returns the parent that an update asks for, if it does not exist.
func (o *overlay) missingParent(e Edit) string {
	var parent string
	if (e.Field == "belongsTo" || e.Field == "belongs_to") && decode(e.New, &parent) == nil && o.nodes.get(parent) == nil {
		return parent
	}
	return ""
}

// setGiven sets a field of an element that is created, if the edit says something about it.
func setGiven(given map[string]any, name string, f *editField) string {
	if v, ok := given[name]; ok && v != nil {
		return f.set(v)
	}
	return ""
}

func (o *overlay) rememberEdge(i int) {
	if o.touching == nil {
		return
	}
	e := &o.edges.items[i]
	for _, id := range []string{e.Source, e.Target} {
		if o.deleted[id] {
			o.touching[id] = append(o.touching[id], i)
		}
	}
}

func (o *overlay) rememberChild(i int) {
	if parent := o.nodes.items[i].BelongsTo; o.children != nil && o.deleted[parent] {
		o.children[parent] = append(o.children[parent], i)
	}
}

func (o *overlay) remove(e Edit) {
	switch e.Target {
	case EditEdge:
		o.edges.remove(o.edges.at[e.ID])
		return
	case EditLayer:
		o.layers.remove(o.layers.at[e.ID])
		return
	}
	if o.touching == nil {
		o.touching, o.children = make(map[string][]int), make(map[string][]int)
		for i := range o.edges.items {
			o.rememberEdge(i)
		}
		for i := range o.nodes.items {
			o.rememberChild(i)
		}
	}
	for _, i := range o.touching[e.ID] {
		if edge := &o.edges.items[i]; !o.edges.gone[i] && (edge.Source == e.ID || edge.Target == e.ID) {
			o.edges.remove(i)
		}
	}
	parent := o.nodes.get(e.ID).BelongsTo
	if parent == e.ID || o.nodes.get(parent) == nil {
		parent = ""
	}
	for _, i := range o.children[e.ID] {
		if child := o.nodes.items[i]; !o.nodes.gone[i] && child.BelongsTo == e.ID {
			child.BelongsTo = parent
			o.nodes.set(i, child)
			o.rememberChild(i)
		}
	}
	delete(o.touching, e.ID)
	delete(o.children, e.ID)
	o.nodes.remove(o.nodes.at[e.ID])
}

// editField is one field of an element: its value now, and how to set it. set returns what is wrong with a value, or "".
type editField struct {
	now any
	set func(any) string
}

// update sets a field, unless somebody else changed it since the edit was made.
func update(e Edit, f *editField) (EditResult, string) {
	switch {
	case e.Field == "" || e.New == nil:
		return EditApplied, ""
	case f == nil:
		return EditSkipped, fmt.Sprintf("A %s has no field %q to edit", e.Target, e.Field)
	}
	var was, wanted any
	if err := decode(e.New, &wanted); err != nil {
		return EditFailed, "The new value is not readable: " + fault.JSONReason(err)
	}
	if e.Old != nil {
		if err := decode(e.Old, &was); err != nil {
			return EditFailed, "The old value is not readable: " + fault.JSONReason(err)
		}
		if now := canonical(f.now); now != canonical(was) && now != canonical(wanted) {
			return EditConflict, fmt.Sprintf("The field %s of %s %q was %s when it was edited and is %s now",
				e.Field, e.Target, e.ID, e.Old, inJSON(f.now))
		}
	}
	if message := f.set(wanted); message != "" {
		return EditFailed, message
	}
	return EditApplied, ""
}

func nodeField(n *Node, name string) *editField {
	switch name {
	case "label":
		return textField(&n.Label)
	case "layer":
		return textField(&n.Layer)
	case "comment":
		return textField(&n.Comment)
	case "belongsTo", "belongs_to":
		return textField(&n.BelongsTo)
	case "isPartition", "is_partition":
		return &editField{now: n.IsPartition, set: func(v any) string {
			if b, ok := v.(bool); ok {
				n.IsPartition = b
			}
			return ""
		}}
	case "weight":
		return weightField(&n.Weight)
	case "attrs", "attributes":
		return attrsField(&n.Attrs)
	}
	return nil
}

func edgeField(e *Edge, name string) *editField {
	switch name {
	case "label":
		return textField(&e.Label)
	case "layer":
		return textField(&e.Layer)
	case "comment":
		return textField(&e.Comment)
	case "weight":
		return weightField(&e.Weight)
	case "attrs", "attributes":
		return attrsField(&e.Attrs)
	}
	return nil
}

func layerField(l *Layer, name string) *editField {
	switch name {
	case "name":
		return &editField{now: l.Label, set: func(v any) string {
			if s, ok := v.(string); ok {
				l.Label = s
			}
			return ""
		}}
	case "color":
		f := textField(&l.Background)
		f.set = func(v any) string {
			l.Background = colour(v)
			return ""
		}
		return f
	case "properties":
		now := make(map[string]any)
		for key, value := range map[string]string{
			"background_color": l.Background, "border_color": l.Border, "text_color": l.Text,
		} {
			if value != "" {
				now[key] = value
			}
		}
		return &editField{now: now, set: func(v any) string {
			properties, ok := v.(map[string]any)
			if !ok && v != nil {
				return "The properties of a layer must be an object"
			}
			l.Background = colour(properties["background_color"])
			l.Border = colour(properties["border_color"])
			l.Text = colour(properties["text_color"])
			return ""
		}}
	}
	return nil
}

// textField is a text; any other value clears it.
func textField(at *string) *editField {
	return &editField{now: *at, set: func(v any) string {
		*at, _ = v.(string)
		return ""
	}}
}

func weightField(at *float64) *editField {
	return &editField{now: *at, set: func(v any) string {
		n, ok := v.(json.Number)
		if !ok {
			return "The weight must be a number"
		}
		w, err := n.Float64()
		if err != nil {
			return "The weight is out of range"
		}
		*at = w
		return ""
	}}
}

func attrsField(at *json.RawMessage) *editField {
	return &editField{now: *at, set: func(v any) string {
		values, ok := v.(map[string]any)
		if !ok && v != nil {
			return "The attributes must be an object"
		}
		attrs, err := NewAttrs(values)
		if err != nil {
			return "The attributes are not readable"
		}
		*at = attrs
		return ""
	}}
}

func colour(v any) string {
	s, _ := v.(string)
	return strings.TrimPrefix(s, "#")
}

// decode reads JSON and keeps the digits of its numbers.
func decode(raw json.RawMessage, into any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	return d.Decode(into)
}

// canonical is a value's JSON, the same for equal values. "", false and {} are null: the fields that have them have nothing.
func canonical(v any) string {
	var again any
	if err := json.Unmarshal([]byte(inJSON(v)), &again); err != nil { // makes 1 and 1.0 the same
		return inJSON(v)
	}
	switch again := again.(type) {
	case string:
		if again == "" {
			return "null"
		}
	case bool:
		if !again {
			return "null"
		}
	case map[string]any:
		if len(again) == 0 {
			return "null"
		}
	}
	return inJSON(again)
}

func inJSON(v any) string {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v) // not from JSON or a table
	}
	return string(body)
}
