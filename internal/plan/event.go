package plan

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// Event is one committed change of a plan. Versions of a project's events have no gaps.
type Event struct {
	Prev       string      `json:"prev,omitempty"` // hash of the event before; first in the body, see feed.BodyStart
	ProjectID  int32       `json:"projectId"`
	Version    int64       `json:"version"`
	At         time.Time   `json:"at"`
	OpID       string      `json:"opId"`
	ClientID   string      `json:"clientId,omitempty"`
	ActorID    string      `json:"actorId"`
	ActorKind  string      `json:"actorKind"`
	ActorName  string      `json:"actorName"`
	Via        string      `json:"via"` // transport: graphql, mcp, collab, job, sql
	Note       string      `json:"note,omitempty"`
	Undoes     int64       `json:"undoes,omitempty"` // the version that it takes back; 0 for none
	Operations []Operation `json:"operations"`
}

// OperationKind says what an operation did.
type OperationKind string

// The kinds of operations, spelled as on the wire.
const (
	NodeAdded   OperationKind = "NODE_ADDED"
	NodeUpdated OperationKind = "NODE_UPDATED"
	NodeRemoved OperationKind = "NODE_REMOVED"
	EdgeAdded   OperationKind = "EDGE_ADDED"
	EdgeUpdated OperationKind = "EDGE_UPDATED"
	EdgeRemoved OperationKind = "EDGE_REMOVED"
	PlanUpdated OperationKind = "PLAN_UPDATED"
	// ExecutionChanged tells the state of what a node names or builds. Nobody edits it, so it is in the way of no edit.
	ExecutionChanged OperationKind = "EXECUTION_CHANGED"
	// The kinds that tell who may what in the project. The id is the account's, in decimal, and the values are Collaborators.
	CollaboratorAdded   OperationKind = "COLLABORATOR_ADDED"
	CollaboratorChanged OperationKind = "COLLABORATOR_CHANGED"
	CollaboratorRemoved OperationKind = "COLLABORATOR_REMOVED"
)

// operationKinds are the kinds that this binary knows.
var operationKinds = []OperationKind{
	NodeAdded, NodeUpdated, NodeRemoved, EdgeAdded, EdgeUpdated, EdgeRemoved, PlanUpdated, ExecutionChanged,
	CollaboratorAdded, CollaboratorChanged, CollaboratorRemoved,
}

func (k OperationKind) known() bool { return slices.Contains(operationKinds, k) }

// Edits reports whether operations of a kind change what people edit. Those that tell states of executions, and who may what, do not.
func (k OperationKind) Edits() bool { return k != ExecutionChanged && !k.ofCollaborator() }

func (k OperationKind) ofCollaborator() bool {
	return k == CollaboratorAdded || k == CollaboratorChanged || k == CollaboratorRemoved
}

// Operation is one step of an event. Operations apply one after the other.
type Operation struct {
	Kind   OperationKind   `json:"kind"`
	ID     string          `json:"id"`               // id of the node or edge; the decimal id of the plan or the account
	Index  *int            `json:"index,omitempty"`  // place in DAG.Nodes or DAG.Edges when this operation applies
	Before json.RawMessage `json:"before,omitempty"` // whole Node or Edge, Execution or Collaborator; absent when there was none
	After  json.RawMessage `json:"after,omitempty"`  // whole Node or Edge, Execution or Collaborator; absent when there is none
}

// Edits reports whether an event changes what people edit.
func (e *Event) Edits() bool {
	return slices.ContainsFunc(e.Operations, func(op Operation) bool { return op.Kind.Edits() })
}

// CheckEvent returns an error unless a body is an event that can be shown to everybody, and that of a version of a project. Feeds call it
// for what they hear, which anybody may have said. It returns the Event, which is decoded only once that way.
func CheckEvent(project int32, version int64, body []byte) (any, error) {
	e, err := decodeEvent(body)
	if err == nil && (e.ProjectID != project || e.Version != version) {
		err = fmt.Errorf("it is version %d of project %d", e.Version, e.ProjectID)
	}
	if err != nil {
		return nil, err
	}
	for _, op := range e.Operations {
		for _, text := range []json.RawMessage{op.Before, op.After} {
			if err := op.checkValue(text); text != nil && err != nil {
				return nil, fmt.Errorf("value of %s %.80q: %w", op.Kind, op.ID, err)
			}
		}
	}
	return e, nil
}

// decodeEvent reads the body of an event. It leaves out operations of kinds that this binary does not know, which a newer replica may
// have written in any form: so no reader of events has to expect them, and a watch goes on after the event.
func decodeEvent(body []byte) (*Event, error) {
	if !utf8.Valid(body) {
		return nil, errors.New("decode event: it is not UTF-8")
	}
	e := new(Event)
	if err := json.Unmarshal(body, e); err == nil {
		e.Operations = slices.DeleteFunc(e.Operations, func(op Operation) bool { return !op.Kind.known() })
		return e, e.check()
	}
	type fields Event
	loose := struct {
		*fields
		Operations json.RawMessage `json:"operations"`
	}{fields: (*fields)(e)}
	if err := json.Unmarshal(body, &loose); err != nil {
		return nil, fmt.Errorf("decode event: %w", err)
	}
	e.Operations = nil
	var operations []json.RawMessage
	_ = json.Unmarshal(loose.Operations, &operations) // anything but a list holds none that are known
	for _, text := range operations {
		var peek struct{ Kind OperationKind }
		if json.Unmarshal(text, &peek) != nil || !peek.Kind.known() {
			continue
		}
		var op Operation
		if err := json.Unmarshal(text, &op); err != nil {
			return nil, fmt.Errorf("decode operation %s: %w", peek.Kind, err)
		}
		e.Operations = append(e.Operations, op)
	}
	return e, e.check()
}

// check returns an error when an operation lacks something that those of its kind have.
func (e *Event) check() error {
	for _, op := range e.Operations {
		if err := op.check(); err != nil {
			return fmt.Errorf("operation %s %.80q: %w", op.Kind, op.ID, err)
		}
	}
	return nil
}

func (op Operation) check() error {
	added := op.Kind == NodeAdded || op.Kind == EdgeAdded || op.Kind == CollaboratorAdded
	removed := op.Kind == NodeRemoved || op.Kind == EdgeRemoved || op.Kind == CollaboratorRemoved
	missing := (op.Before == nil) != added || (op.After == nil) != removed
	if op.Kind == ExecutionChanged {
		missing = op.Before == nil && op.After == nil
	}
	if missing {
		return errors.New("a value before or after it is missing, or is there")
	}
	if op.Kind != PlanUpdated && !op.Kind.ofCollaborator() && (op.Index == nil || *op.Index < 0 || *op.Index > math.MaxInt32) {
		return errors.New("its index is missing, or is none")
	}
	return nil
}

// checkValue returns an error unless a text is the value of what the operation names.
func (op Operation) checkValue(text json.RawMessage) error {
	var node Node
	var edge Edge
	var plan *description
	switch op.Kind {
	case NodeAdded, NodeUpdated, NodeRemoved:
		if err := json.Unmarshal(text, &node); err != nil || node.ID != op.ID || op.ID == "" {
			return cmp.Or(err, errors.New("its value is not that of the node"))
		}
	case EdgeAdded, EdgeUpdated, EdgeRemoved:
		if err := json.Unmarshal(text, &edge); err != nil || edge.ID != op.ID || op.ID == "" {
			return cmp.Or(err, errors.New("its value is not that of the edge"))
		}
	case ExecutionChanged:
		if err := json.Unmarshal(text, new(Execution)); err != nil || op.ID == "" {
			return cmp.Or(err, errors.New("it names no node"))
		}
	case CollaboratorAdded, CollaboratorChanged, CollaboratorRemoved:
		var c Collaborator
		if err := json.Unmarshal(text, &c); err != nil || c.UserID == 0 || strconv.Itoa(int(c.UserID)) != op.ID {
			return cmp.Or(err, errors.New("its value is not that of the collaborator"))
		}
	case PlanUpdated:
		if err := json.Unmarshal(text, &plan); err != nil || plan == nil {
			return cmp.Or(err, errors.New("its value is not that of a plan"))
		}
	}
	return nil
}

// Element returns the node or the edge of an operation: after it, or before it when it was removed. Both are nil for the
// plan's record, for executions and for collaborators.
func (op Operation) Element() (node *Node, edge *Edge, err error) {
	text := op.After
	if text == nil {
		text = op.Before
	}
	switch op.Kind {
	case NodeAdded, NodeUpdated, NodeRemoved:
		err = json.Unmarshal(text, &node)
	case EdgeAdded, EdgeUpdated, EdgeRemoved:
		err = json.Unmarshal(text, &edge)
	case PlanUpdated, ExecutionChanged, CollaboratorAdded, CollaboratorChanged, CollaboratorRemoved:
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read %s %q: %w", op.Kind, op.ID, err)
	}
	return node, edge, nil
}
