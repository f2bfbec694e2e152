// Package executor builds the graphs of plans.
package executor

import (
	"context"
	"errors"
	"iter"
	"time"

	"layercake/internal/auth"
	"layercake/internal/plan"
)

var errUnbuilt = errors.New("not built yet")

// Service asks for builds, and builds.
type Service struct{}

// Request says how a build was asked for, as in plan.Change.
type Request struct {
	OpID, ClientID, Via, Note string
	Wait                      time.Duration // how long to wait for the states; at most 25 s
}

// Outcome is what became of a request.
type Outcome struct {
	At    plan.Cursor // place right after the change that asked; the present one when nothing was stale
	Done  bool        // whether all that was asked for has ended; false when it goes on
	Nodes []NodeState // the nodes that were asked for, in the order of the plan
}

// NodeState is the state of one node.
type NodeState struct {
	ID, State string  // not_started, pending, processing, completed or error
	Error     *string // why it failed
}

// Failed returns the first node that failed, or nil.
func (o Outcome) Failed() *NodeState {
	for i := range o.Nodes {
		if o.Nodes[i].State == "error" {
			return &o.Nodes[i]
		}
	}
	return nil
}

// Execute asks for what is stale among a node and its ancestors, or in the whole plan when nodeID is "", and waits for it.
func (s *Service) Execute(ctx context.Context, actor auth.Actor, projectID int32, nodeID string, r Request) (Outcome, error) {
	return Outcome{}, errUnbuilt
}

// Cancel ends the build of a node, or all of a project when nodeID is "". It reports whether there was one.
func (s *Service) Cancel(ctx context.Context, actor auth.Actor, projectID int32, nodeID string, r Request) (bool, error) {
	return false, errUnbuilt
}

// Staleness is whether a graph is what it would be built as now.
type Staleness struct {
	Stale   bool
	Because []string // sentences for people; empty when it is not stale
}

// Stale returns the staleness of all graphs of projects, by graph id, with as many statements for many as for one.
func (s *Service) Stale(ctx context.Context, projectIDs []int32) (map[int32]Staleness, error) {
	return nil, errUnbuilt
}

// Execution is the state of a node's build at one time.
type Execution struct {
	ProjectID    int32
	NodeID       string
	GraphID      int32
	State        string
	Phase        *string // reading, computing or writing
	Done, Total  *int32
	Attempt      int32
	Replica      *string
	ErrorMessage *string
	Timestamp    time.Time
}

// Watch yields the executions of a project: first what is so now, then each that changes.
func (s *Service) Watch(ctx context.Context, actor auth.Actor, projectID int32) iter.Seq2[Execution, error] {
	return nil
}
