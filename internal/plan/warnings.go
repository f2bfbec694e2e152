package plan

import (
	"context"
	"fmt"

	"layercake/internal/db"

	"github.com/jackc/pgx/v5"
)

// warningsOf returns what keeps a node from working yet. Alone says that the plan has no other node.
func warningsOf(id string, nodeType NodeType, inputs, outputs int, alone bool) []Problem {
	var problems []Problem
	if least := minInputs(nodeType); inputs < least {
		problems = append(problems, Problem{
			NodeID: &id, Kind: ConfigurationSuggestion, Warning: true,
			Message: fmt.Sprintf("A %s needs at least %d input, it has %d", nodeType, least, inputs),
		})
	}
	if !alone && inputs+outputs == 0 {
		problems = append(problems, Problem{NodeID: &id, Kind: UnusedOutput, Warning: true, Message: "Node is not connected to any other"})
	}
	return problems
}

// touched are the nodes that a change touched, and the ends of the edges that it added or removed.
type touched struct {
	ids   []string // in the order of the change
	nodes map[string]*degree
}

// degree is what the warnings of a node depend on. Until the plan was read it holds only what the change does to it.
type degree struct {
	nodeType        NodeType // "" for not known yet
	inputs, outputs int
	absent          bool // whether the plan does not have it afterwards
}

// touchedBy returns what operations touched. The record holds their elements in the same order.
func touchedBy(operations []Operation, done record) *touched {
	t := &touched{nodes: make(map[string]*degree)}
	nodes, edges := done.touchedNodes, done.touchedEdges
	for _, op := range operations {
		step := 0
		switch op.Kind {
		case NodeAdded, NodeUpdated, NodeRemoved:
			n := t.of(op.ID)
			n.nodeType, n.absent = nodes[0].NodeType, op.Kind == NodeRemoved
			nodes = nodes[1:]
			continue
		case EdgeAdded:
			step = 1
		case EdgeRemoved:
			step = -1
		case EdgeUpdated:
			edges = edges[1:]
			continue
		case PlanUpdated, ExecutionChanged, CollaboratorAdded, CollaboratorChanged, CollaboratorRemoved:
			continue
		}
		t.of(edges[0].Source).outputs += step
		t.of(edges[0].Target).inputs += step
		edges = edges[1:]
	}
	return t
}

func (t *touched) of(id string) *degree {
	if t.nodes[id] == nil {
		t.ids = append(t.ids, id)
		t.nodes[id] = new(degree)
	}
	return t.nodes[id]
}

// queue adds the queries of what the nodes were before the change.
func (t *touched) queue(b *pgx.Batch, project int32) {
	for _, id := range t.ids {
		b.Queue(db.GetNodeDegree, project, id).Query(func(rows pgx.Rows) error {
			return each(rows, func(row db.GetNodeDegreeRow) {
				n := t.nodes[id]
				if n.nodeType == "" {
					n.nodeType, n.absent = NodeType(row.NodeType), false
				}
				n.inputs += int(row.Inputs)
				n.outputs += int(row.Outputs)
			})
		})
	}
}

// warnings returns those of a plan that has so many nodes.
func (t *touched) warnings(count int) []Problem {
	var problems []Problem
	for _, id := range t.ids {
		if n := t.nodes[id]; !n.absent {
			problems = append(problems, warningsOf(id, n.nodeType, n.inputs, n.outputs, count < 2)...)
		}
	}
	return problems
}

// warningsNow returns the warnings for what a change touched that is in the log, in the plan as it is now.
func (s *Service) warningsNow(ctx context.Context, projectID int32, r Result) ([]Problem, error) {
	if r.Event == nil {
		return nil, nil
	}
	t := touchedBy(r.Event.Operations, record{touchedNodes: r.Nodes, touchedEdges: r.Edges})
	for id := range t.nodes {
		t.nodes[id] = &degree{absent: true}
	}
	var d draft
	b := &pgx.Batch{}
	d.queue(b, projectID, newReads()) // how many nodes there are
	t.queue(b, projectID)
	if err := s.db.Requests.Do(ctx, func(conn *pgx.Conn) error { return conn.SendBatch(ctx, b).Close() }); err != nil {
		return nil, fmt.Errorf("look for warnings: %w", err)
	}
	return t.warnings(d.nodes.len()), nil
}
