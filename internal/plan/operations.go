package plan

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"layercake/internal/fault"

	"github.com/google/uuid"
)

// What operations hold at most.
const (
	MaxOperations  = 500 // of one request
	maxConfigDepth = 64  // lists and objects within each other, the config itself included
)

// operation is one thing that an agent asks for: a flat object, so that every model can write it. Requests are hashed in this form, so the
// names of its members never change.
type operation struct {
	Op          string          `json:"op"`
	ID          string          `json:"id,omitempty"`
	NodeType    NodeType        `json:"node_type,omitempty"`
	Label       *string         `json:"label,omitempty"`
	Description *string         `json:"description,omitempty"`
	Config      json.RawMessage `json:"config,omitempty"`
	X           *float64        `json:"x,omitempty"`
	Y           *float64        `json:"y,omitempty"`
	Source      string          `json:"source,omitempty"`
	Target      string          `json:"target,omitempty"`
	DataType    DataType        `json:"data_type,omitempty"`
}

// operationMembers says which members each operation takes beside "op".
var operationMembers = map[string]struct{ needs, takes []string }{
	"add_node":    {[]string{"node_type"}, []string{"id", "label", "description", "config", "x", "y"}},
	"update_node": {[]string{"id"}, []string{"label", "description", "config", "x", "y"}},
	"move_node":   {[]string{"id", "x", "y"}, nil},
	"delete_node": {[]string{"id"}, nil},
	"add_edge":    {[]string{"source", "target"}, []string{"id", "label", "data_type"}},
	"update_edge": {nil, []string{"id", "source", "target", "label", "data_type"}},
	"delete_edge": {nil, []string{"id", "source", "target"}},
}

// ParseOperations reads the operations that agents send, as edits of one change: a JSON list of 1 to 500 objects.
//
// Each has a member "op": add_node, update_node, move_node, delete_node, add_edge, update_edge or delete_edge. What else it takes is in
// operationMembers. Nodes and edges are named by "id", edges also by "source" and "target". When something is added without an id, the
// server makes one of the operation id and the index of the operation, so that a repeat makes the same. An empty "id", "source" or "target"
// is none.
//
// What is no such list is the fault BadRequest. It has "operation", the index of the one that is wrong, and "path", a JSON Pointer into it.
// A fault of the change that comes from an operation has "operation", too.
func ParseOperations(raw json.RawMessage) ([]Edit, error) {
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, fault.New(fault.BadRequest, "Operations must be a list of objects").With("detail", fault.JSONReason(err))
	}
	if err := checkCount("operations", len(list)); err != nil {
		return nil, err
	}
	edits := make([]Edit, len(list))
	for i, text := range list {
		o, err := parseOperation(text)
		if err != nil {
			return nil, err.With("operation", i)
		}
		edits[i] = operationEdit{operation: o, index: i}
	}
	return edits, nil
}

// checkCount refuses a request of no edits, or of too many. What is how the message calls them.
func checkCount(what string, n int) error {
	if n >= 1 && n <= MaxOperations {
		return nil
	}
	return fault.New(fault.BadRequest, fmt.Sprintf("A request has 1 to %d %s", MaxOperations, what)).
		With("detail", map[string]any{"limit": MaxOperations, "length": n})
}

func parseOperation(text json.RawMessage) (operation, *fault.Error) {
	var o operation
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil || members == nil {
		return o, badOperation("", "An operation must be an object")
	}
	if err := o.set("op", members["op"]); err != nil {
		return o, err
	}
	known, ok := operationMembers[o.Op]
	if !ok {
		return o, badOperation("op", fmt.Sprintf("%q is no operation", fault.Clip(o.Op))).
			With("detail", map[string]any{"known": slices.Sorted(maps.Keys(operationMembers))})
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		switch {
		case name == "op":
		case !slices.Contains(known.needs, name) && !slices.Contains(known.takes, name):
			return o, badOperation(name, fmt.Sprintf("%s does not take %q", o.Op, fault.Clip(name))).
				With("detail", map[string]any{"takes": slices.Concat(known.needs, known.takes)})
		default:
			if err := o.set(name, members[name]); err != nil {
				return o, err
			}
		}
	}
	return o, o.check(members, known.needs)
}

// set reads one member.
func (o *operation) set(name string, text json.RawMessage) *fault.Error {
	var into any
	want := "a text"
	switch name {
	case "op":
		into = &o.Op
	case "id":
		into = &o.ID
	case "node_type":
		into = &o.NodeType
	case "label":
		into = &o.Label
	case "description":
		into = &o.Description
	case "source":
		into = &o.Source
	case "target":
		into = &o.Target
	case "data_type":
		into = &o.DataType
	case "config":
		var object map[string]json.RawMessage
		into, want = &object, "an object"
		o.Config = text
	case "x":
		into, want = &o.X, "a number"
	case "y":
		into, want = &o.Y, "a number"
	}
	if text == nil {
		return missing(name, "An operation")
	}
	if err := json.Unmarshal(text, into); err != nil || string(text) == "null" {
		return badOperation(name, fmt.Sprintf("%q must be %s", name, want))
	}
	if name == "config" && fault.TooDeep(text, maxConfigDepth) >= 0 {
		return badOperation(name, "Node config is nested too deeply").With("detail", map[string]any{"limit": maxConfigDepth})
	}
	return nil
}

// check refuses an operation that lacks something.
func (o *operation) check(members map[string]json.RawMessage, needs []string) *fault.Error {
	empty := map[string]bool{"id": o.ID == "", "source": o.Source == "", "target": o.Target == ""}
	for _, name := range needs {
		if members[name] == nil || empty[name] {
			return missing(name, o.Op)
		}
	}
	if (o.X == nil) != (o.Y == nil) {
		name := "x"
		if o.Y == nil {
			name = "y"
		}
		return badOperation(name, "A position needs both x and y")
	}
	switch o.Op {
	case "update_node":
		if o.Label == nil && o.Description == nil && o.Config == nil && o.X == nil {
			return badOperation("", "update_node needs something to change: label, description, config, or x and y")
		}
	case "update_edge":
		if o.Label == nil && o.DataType == "" {
			return badOperation("", "update_edge needs something to change: label or data_type")
		}
		fallthrough
	case "delete_edge":
		if o.ID == "" && (o.Source == "" || o.Target == "") {
			return badOperation("id", o.Op+` needs "id", or "source" and "target"`)
		}
	}
	return nil
}

func missing(name, op string) *fault.Error {
	return badOperation(name, fmt.Sprintf("%s needs %q", op, name))
}

// badOperation is the fault for a member, or with "" for the operation as a whole.
func badOperation(member, message string) *fault.Error {
	path := ""
	if member != "" {
		path = "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(member)
	}
	return fault.New(fault.BadRequest, message).With("path", path)
}

// operationEdit is an operation of a request.
type operationEdit struct {
	operation

	index int
	edit  Edit // what it does; nil until bindOperations sets it
}

func (e operationEdit) reads(r *reads) { e.edit.reads(r) }

func (e operationEdit) apply(d *draft) error {
	err := e.edit.apply(d)
	f := fault.From(err)
	if f == nil {
		return err
	}
	if f.Code == fault.NotFound && f.Details["detail"] == nil {
		f = f.With("detail", e.ID)
	}
	return f.With("operation", e.index)
}

// bindOperations sets what operations do, now that it is known under which operation id: so the ids that the server makes are the same each
// time. The key is of the operation id and whose it is.
func bindOperations(edits []Edit, key string) []Edit {
	bound := slices.Clone(edits)
	places := make(layout)
	for i, e := range bound {
		if o, ok := e.(operationEdit); ok {
			if o.ID == "" && o.Op == "add_node" {
				o.ID = madeID(nodePrefix(o.NodeType), key, o.index)
			}
			if o.ID == "" && o.Op == "add_edge" {
				o.ID = madeID("edge", key, o.index)
			}
			places.add(o.operation)
			bound[i] = o
		}
	}
	for i, e := range bound {
		if o, ok := e.(operationEdit); ok {
			o.edit = o.does(places)
			bound[i] = o
		}
	}
	return bound
}

// madeIDs is the namespace of the ids that the server makes (RFC 9562, UUIDv5).
var madeIDs = uuid.MustParse("c3f0a6d2-71be-5e84-9b4d-08d56f2e7a19")

// madeID returns an id that people and models can read, such as "graph-amjjdokommag". It ends with 48 bits: among
// 1,000 elements one id in 10^11 is taken, and refused as any other. They are letters, because clients number their nodes on from the
// highest number at the end of an id.
func madeID(prefix, key string, index int) string {
	sum := uuid.NewSHA1(madeIDs, fmt.Appendf(nil, "%d %s", index, key))
	bits := binary.BigEndian.Uint64(sum[8:]) & (1<<48 - 1)
	const letters = "abcdefghijklmnop"
	id := []byte(prefix + "-")
	for range 12 {
		id = append(id, letters[bits&15])
		bits >>= 4
	}
	return string(id)
}

// nodePrefix returns the beginning of the ids of nodes of a type: "graph" for GraphNode.
func nodePrefix(t NodeType) string {
	if _, known := targets[t]; !known {
		return "node" // the rules will refuse it
	}
	return strings.ToLower(strings.TrimSuffix(string(t), "Node"))
}

// does returns the edit that an operation stands for.
func (o operation) does(places layout) Edit {
	ref := EdgeRef{ID: o.ID, Source: o.Source, Target: o.Target}
	switch o.Op {
	case "add_node":
		n := Node{
			ID: o.ID, NodeType: o.NodeType, Config: string(o.Config),
			Metadata: NodeMetadata{Label: o.ID, Description: noneIfEmpty(o.Description)},
		}
		if o.Label != nil {
			n.Metadata.Label = *o.Label
		}
		return placeNode{n, places}
	case "update_node", "move_node":
		return PatchNode{ID: o.ID, Position: o.position(), Label: o.Label, Description: o.Description, ConfigPatch: o.Config}
	case "delete_node":
		return DeleteNode{ID: o.ID}
	case "add_edge":
		return connect{Edge{
			ID: o.ID, Source: o.Source, Target: o.Target, Metadata: EdgeMetadata{Label: noneIfEmpty(o.Label), DataType: o.DataType},
		}}
	case "update_edge":
		return PatchEdge{EdgeRef: ref, Label: o.Label, DataType: o.DataType}
	default:
		return RemoveEdge{ref}
	}
}

// position returns the place that an operation gives, or nil.
func (o operation) position() *Position {
	if o.X == nil {
		return nil
	}
	return &Position{X: *o.X, Y: *o.Y}
}

func noneIfEmpty(text *string) *string {
	if text == nil || *text == "" {
		return nil
	}
	return text
}
