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
func Overlay(g Graph, edits []Edit) (Graph, []Outcome) {
	edits = slices.Clone(edits)
	slices.SortStableFunc(edits, func(a, b Edit) int { return cmp.Compare(a.Sequence, b.Sequence) })
	o := overlay{
		nodes:  newShelf(g.Nodes, func(n *Node) string { return n.ID }),
		edges:  newShelf(g.Edges, func(e *Edge) string { return e.ID }),
		layers: newShelf(g.Layers, func(l *Layer) string { return l.ID }),
	}
	outcomes := make([]Outcome, len(edits))
	for i, e := range edits {
		result, message := o.apply(e)
		outcomes[i] = Outcome{Sequence: e.Sequence, Result: result, Message: message}
	}
	return Graph{Name: g.Name, Nodes: o.nodes.list(), Edges: o.edges.list(), Layers: o.layers.list()}, outcomes
}

// shelf holds elements by ID and keeps their order.
type shelf[T any] struct {
	items []T
	gone  []bool
	at    map[string]int
}

func newShelf[T any](items []T, id func(*T) string) *shelf[T] {
	s := &shelf[T]{items: slices.Clone(items), gone: make([]bool, len(items)), at: make(map[string]int, len(items))}
	for i := range items {
		s.at[id(&items[i])] = i
	}
	return s
}

func (s *shelf[T]) get(id string) *T {
	if i, ok := s.at[id]; ok {
		return &s.items[i]
	}
	return nil
}

func (s *shelf[T]) add(id string, item T) {
	s.at[id] = len(s.items)
	s.items = append(s.items, item)
	s.gone = append(s.gone, false)
}

func (s *shelf[T]) remove(id string) {
	s.gone[s.at[id]] = true
	delete(s.at, id)
}

func (s *shelf[T]) list() []T {
	kept := make([]T, 0, len(s.at))
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

	// What may hang on a node, by its ID; made when a node is first deleted, and never cleaned: check before use.
	touching map[string][]string // IDs of edges
	children map[string][]string // IDs of nodes
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
		n := o.nodes.get(e.ID)
		if parent := o.missingParent(e); parent != "" {
			return EditSkipped, fmt.Sprintf("The node %q cannot belong to %q, which does not exist", e.ID, parent)
		}
		result, message := update(e, nodeField(n, e.Field))
		o.rememberChild(*n)
		return result, message
	case EditEdge:
		return update(e, edgeField(o.edges.get(e.ID), e.Field))
	}
	return update(e, layerField(o.layers.get(e.ID), e.Field))
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
		o.nodes.add(e.ID, n)
		o.rememberChild(n)
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
		o.edges.add(e.ID, edge)
		o.rememberEdge(edge)
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

func (o *overlay) rememberEdge(e Edge) {
	if o.touching != nil {
		o.touching[e.Source] = append(o.touching[e.Source], e.ID)
		o.touching[e.Target] = append(o.touching[e.Target], e.ID)
	}
}

func (o *overlay) rememberChild(n Node) {
	if o.children != nil && n.BelongsTo != "" {
		o.children[n.BelongsTo] = append(o.children[n.BelongsTo], n.ID)
	}
}

func (o *overlay) remove(e Edit) {
	switch e.Target {
	case EditEdge:
		o.edges.remove(e.ID)
		return
	case EditLayer:
		o.layers.remove(e.ID)
		return
	}
	if o.touching == nil {
		o.touching, o.children = make(map[string][]string), make(map[string][]string)
		for i := range o.edges.items {
			if !o.edges.gone[i] {
				o.rememberEdge(o.edges.items[i])
			}
		}
		for i := range o.nodes.items {
			if !o.nodes.gone[i] {
				o.rememberChild(o.nodes.items[i])
			}
		}
	}
	for _, id := range o.touching[e.ID] {
		if edge := o.edges.get(id); edge != nil && (edge.Source == e.ID || edge.Target == e.ID) {
			o.edges.remove(id)
		}
	}
	parent := o.nodes.get(e.ID).BelongsTo
	if parent == e.ID || o.nodes.get(parent) == nil {
		parent = ""
	}
	for _, id := range o.children[e.ID] {
		if child := o.nodes.get(id); child != nil && child.BelongsTo == e.ID {
			child.BelongsTo = parent
			o.rememberChild(*child)
		}
	}
	delete(o.touching, e.ID)
	delete(o.children, e.ID)
	o.nodes.remove(e.ID)
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
