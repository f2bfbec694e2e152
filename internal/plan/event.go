package plan

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
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
)

// operationKinds are the kinds that this binary knows.
var operationKinds = []OperationKind{NodeAdded, NodeUpdated, NodeRemoved, EdgeAdded, EdgeUpdated, EdgeRemoved, PlanUpdated}

func (k OperationKind) known() bool { return slices.Contains(operationKinds, k) }

// Operation is one step of an event. Operations apply one after the other.
type Operation struct {
	Kind   OperationKind   `json:"kind"`
	ID     string          `json:"id"`               // id of the node or edge; the plan's decimal id for PLAN_UPDATED
	Index  *int            `json:"index,omitempty"`  // place in DAG.Nodes or DAG.Edges when this operation applies
	Before json.RawMessage `json:"before,omitempty"` // whole Node or Edge; absent when added
	After  json.RawMessage `json:"after,omitempty"`  // whole Node or Edge; absent when removed
}

// Element returns the node or the edge of an operation: after it, or before it when it was removed. Both are nil for the plan's record.
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
	case PlanUpdated:
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read %s %q: %w", op.Kind, op.ID, err)
	}
	return node, edge, nil
}
