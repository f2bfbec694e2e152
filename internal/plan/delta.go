package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
)

// PatchOperation is one operation of a JSON Patch (RFC 6902) on the plan as getPlanDag answers it. Value is absent for REMOVE.
type PatchOperation struct {
	Op    string
	Path  string
	Value json.RawMessage
}

// The operations of a patch, spelled as on the wire.
const (
	patchAdd     = "ADD"
	patchRemove  = "REMOVE"
	patchReplace = "REPLACE"
	patchTest    = "TEST"
)

const pathVersion = "/metadata/version" // where the label of the version is

// Check is a patch that changes nothing and fails on a plan of another version, or of another history.
func (s *Service) Check(at Cursor) []PatchOperation {
	return []PatchOperation{{Op: patchTest, Path: pathVersion, Value: encode(s.Label(at))}}
}

// Delta returns an update's event as a patch that guards itself: it fails as a whole on a plan of any version but the one before,
// and ends by stepping the version. Applied in order to the right plan, deltas give the next plan; applied to anything else they change
// nothing, and the client reads the plan again.
//
// Members that a client's document may not select are set by ADD, which does not need them to be there. No value is null,
// since the existing client drops those: the enclosing object is replaced instead. createdAt and updatedAt are not patched.
func (s *Service) Delta(u *Update) ([]PatchOperation, error) {
	patch := s.Check(u.Before)
	values := make(map[string]json.RawMessage) // nodes that the event tells, by id
	for _, op := range u.Event.Operations {
		if op.element().of == ofNode {
			values[op.ID] = op.After
		}
		part, err := op.patch(values)
		if err != nil {
			return nil, fmt.Errorf("delta of %s %q: %w", op.Kind, op.ID, err)
		}
		patch = append(patch, part...)
	}
	return append(patch,
		PatchOperation{Op: patchReplace, Path: pathVersion, Value: encode(s.Label(u.At))},
		PatchOperation{Op: patchAdd, Path: "/metadata/lastModified", Value: encode(FormatTime(u.Event.At))},
	), nil
}

// patch returns the operations of a patch that do the same. Values are the nodes that the event tells before it, by id.
func (op Operation) patch(values map[string]json.RawMessage) ([]PatchOperation, error) {
	switch op.Kind {
	case NodeAdded:
		return []PatchOperation{{Op: patchAdd, Path: at("nodes", op.Index), Value: nodeValue(op.After)}}, nil
	case NodeRemoved:
		return []PatchOperation{{Op: patchRemove, Path: at("nodes", op.Index)}}, nil
	case NodeUpdated:
		return op.patchNode()
	case EdgeAdded:
		return []PatchOperation{{Op: patchAdd, Path: at("edges", op.Index), Value: op.After}}, nil
	case EdgeRemoved:
		return []PatchOperation{{Op: patchRemove, Path: at("edges", op.Index)}}, nil
	case EdgeUpdated:
		return op.patchEdge()
	case PlanUpdated:
		var after description
		if err := json.Unmarshal(op.After, &after); err != nil {
			return nil, err
		}
		return []PatchOperation{{Op: patchAdd, Path: "/metadata/name", Value: encode(after.Name)}}, nil
	case ExecutionChanged:
		return op.patchExecution(values[op.ID])
	case CollaboratorAdded, CollaboratorChanged, CollaboratorRemoved:
		return nil, nil // the plan is as it was
	}
	return nil, fmt.Errorf("unknown kind of operation")
}

func (op Operation) patchNode() ([]PatchOperation, error) {
	var before, after Node
	if err := decodeBoth(op, &before, &after); err != nil {
		return nil, err
	}
	path := at("nodes", op.Index)
	if shownWhole(before, after) {
		return []PatchOperation{{Op: patchReplace, Path: path, Value: nodeValue(op.After)}}, nil
	}
	var patch []PatchOperation
	if before.Position != after.Position {
		patch = append(patch,
			PatchOperation{Op: patchReplace, Path: path + "/position/x", Value: encode(after.Position.X)},
			PatchOperation{Op: patchReplace, Path: path + "/position/y", Value: encode(after.Position.Y)})
	}
	if before.Metadata.Label != after.Metadata.Label || !same(before.Metadata.Description, after.Metadata.Description) {
		patch = append(patch, PatchOperation{Op: patchReplace, Path: path + "/metadata", Value: encode(after.Metadata)})
	}
	if before.Config != after.Config {
		patch = append(patch, PatchOperation{Op: patchReplace, Path: path + "/config", Value: encode(after.Config)})
	}
	patch = appendSet(patch, path+"/sourcePosition", before.SourcePosition, after.SourcePosition)
	return appendSet(patch, path+"/targetPosition", before.TargetPosition, after.TargetPosition), nil
}

// shownWhole reports whether a patch replaces a node as a whole. The event tells its execution again then.
func shownWhole(before, after Node) bool {
	return before.NodeType != after.NodeType || cleared(before.SourcePosition, after.SourcePosition) ||
		cleared(before.TargetPosition, after.TargetPosition)
}

// nodeValue completes a node of an event to what getPlanDag answers. Its executions are null until an operation tells them.
func nodeValue(node json.RawMessage) json.RawMessage {
	return slices.Concat(bytes.TrimSuffix(node, []byte("}")), []byte(`,"datasourceExecution":null,"graphExecution":null}`))
}

// patchExecution sets the execution of a node. One that is cleared is told with the node, when the event has that, since no value is null.
func (op Operation) patchExecution(node json.RawMessage) ([]PatchOperation, error) {
	var e Execution
	text := op.After
	if text == nil {
		text = op.Before
	}
	if err := json.Unmarshal(text, &e); err != nil {
		return nil, err
	}
	path := at("nodes", op.Index)
	member := path + "/graphExecution"
	if e.DataSource != nil {
		member = path + "/datasourceExecution"
	}
	switch {
	case op.After != nil:
		return []PatchOperation{{Op: patchAdd, Path: member, Value: op.After}}, nil
	case node != nil:
		return []PatchOperation{{Op: patchReplace, Path: path, Value: nodeValue(node)}}, nil
	}
	return []PatchOperation{{Op: patchRemove, Path: member}}, nil
}

func (op Operation) patchEdge() ([]PatchOperation, error) {
	var before, after Edge
	if err := decodeBoth(op, &before, &after); err != nil {
		return nil, err
	}
	path := at("edges", op.Index)
	if cleared(before.SourceHandle, after.SourceHandle) || cleared(before.TargetHandle, after.TargetHandle) {
		return []PatchOperation{{Op: patchReplace, Path: path, Value: op.After}}, nil
	}
	var patch []PatchOperation
	if before.Metadata.DataType != after.Metadata.DataType || !same(before.Metadata.Label, after.Metadata.Label) {
		patch = append(patch, PatchOperation{Op: patchReplace, Path: path + "/metadata", Value: encode(after.Metadata)})
	}
	patch = appendSet(patch, path+"/sourceHandle", before.SourceHandle, after.SourceHandle)
	return appendSet(patch, path+"/targetHandle", before.TargetHandle, after.TargetHandle), nil
}

func decodeBoth[T any](op Operation, before, after *T) error {
	if err := json.Unmarshal(op.Before, before); err != nil {
		return err
	}
	return json.Unmarshal(op.After, after)
}

func at(list string, index *int) string { return "/" + list + "/" + strconv.Itoa(*index) }

func cleared(before, after *string) bool { return before != nil && after == nil }

func appendSet(patch []PatchOperation, path string, before, after *string) []PatchOperation {
	if same(before, after) {
		return patch
	}
	return append(patch, PatchOperation{Op: patchAdd, Path: path, Value: encode(*after)})
}

// encode writes a value that JSON can hold: finite numbers, texts and structures of them.
func encode(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("encode %T: %v", v, err))
	}
	return b
}
