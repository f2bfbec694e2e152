package bench

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// A plan grows to these sizes and then stays about there, far below what the server allows.
const (
	fewNodes  = 20
	mostNodes = 100
	mostEdges = 150
)

// project is a project that the storm writes to, with the elements that its mutators believe to be in it.
type project struct {
	id  int
	run string // prefix that distinguishes operations of this storm from all others

	mu       sync.Mutex
	next     int64   // number of the next operation
	nodes    []int64 // nodes, named after the operations that added them
	edges    []link
	pairs    map[[2]int64]bool // pairs of nodes that an edge connects, or is about to
	answered bitset            // operations that were answered with success
}

// link is an edge from an older node to a younger one, so that no edge closes a cycle.
type link struct {
	name, source, target int64
}

// operation is one change that a mutator is going to send.
type operation struct {
	number    int64
	query     string
	variables map[string]any
	succeeded func(*project) // notes in the project that it succeeded; nil when that changes nothing
	failed    func(*project)
}

const header = `($project: Int!, $op: String!, $client: String!, `

// Each mutation asks for the id alone, because the subscribers see the rest.
const (
	addNode = `mutation` + header + `$node: PlanDagNodeInput!) {
		addPlanDagNode(projectId: $project, opId: $op, clientId: $client, node: $node) { id } }`
	moveNode = `mutation` + header + `$id: String!, $position: PositionInput!) {
		movePlanDagNode(projectId: $project, opId: $op, clientId: $client, nodeId: $id, position: $position) { id } }`
	editNode = `mutation` + header + `$id: String!, $updates: PlanDagNodeUpdateInput!) {
		updatePlanDagNode(projectId: $project, opId: $op, clientId: $client, nodeId: $id, updates: $updates) { id } }`
	deleteNode = `mutation` + header + `$id: String!) {
		deletePlanDagNode(projectId: $project, opId: $op, clientId: $client, nodeId: $id) { id } }`
	addEdge = `mutation` + header + `$edge: PlanDagEdgeInput!) {
		addPlanDagEdge(projectId: $project, opId: $op, clientId: $client, edge: $edge) { id } }`
	deleteEdge = `mutation` + header + `$id: String!) {
		deletePlanDagEdge(projectId: $project, opId: $op, clientId: $client, edgeId: $id) { id } }`
)

func nodeID(name int64) string { return "n" + strconv.FormatInt(name, 10) }
func edgeID(name int64) string { return "e" + strconv.FormatInt(name, 10) }

// choose makes up the next operation. Every operation changes something, so that each one that succeeds has an event.
func (p *project) choose(r *rand.Rand) operation {
	p.mu.Lock()
	defer p.mu.Unlock()
	op := operation{number: p.next}
	p.next++
	dice := r.IntN(100)
	switch {
	case len(p.nodes) < fewNodes:
		p.add(&op, r)
	case len(p.nodes) > mostNodes:
		p.delete(&op, r)
	case len(p.edges) > mostEdges:
		p.disconnect(&op, r)
	case dice < 45:
		p.move(&op, r)
	case dice < 65:
		p.edit(&op, r)
	case dice < 75:
		p.add(&op, r)
	case dice < 84:
		p.delete(&op, r)
	case dice < 96:
		p.connect(&op, r)
	default:
		p.disconnect(&op, r)
	}
	op.variables["project"] = p.id
	op.variables["op"] = p.run + "-" + strconv.FormatInt(op.number, 10)
	return op
}

// operationNumber returns the number in an operation id. It says false for an id that no mutator made: somebody else may change the plan,
// or forge events of it, with any number.
func (p *project) operationNumber(id string) (n int64, ok bool) {
	number, ok := strings.CutPrefix(id, p.run+"-")
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(number, 10, 64)
	p.mu.Lock()
	defer p.mu.Unlock()
	return n, err == nil && n >= 0 && n < p.next
}

func (p *project) add(op *operation, r *rand.Rand) {
	op.query, op.variables = addNode, map[string]any{"node": map[string]any{
		"id": nodeID(op.number), "nodeType": "GraphNode", "position": somewhere(r),
		"metadata": map[string]any{"label": fmt.Sprintf("Node %d", op.number), "description": "Made by the storm"},
		"config":   fmt.Sprintf(`{"storm": %d}`, op.number),
	}}
	name := op.number
	op.succeeded = func(p *project) { p.nodes = append(p.nodes, name) }
}

func (p *project) move(op *operation, r *rand.Rand) {
	op.query, op.variables = moveNode, map[string]any{"id": nodeID(p.some(r)), "position": somewhere(r)}
}

func (p *project) edit(op *operation, r *rand.Rand) {
	op.query, op.variables = editNode, map[string]any{"id": nodeID(p.some(r)), "updates": map[string]any{
		"metadata": map[string]any{"label": fmt.Sprintf("Edited by %d", op.number)},
		"config":   fmt.Sprintf(`{"edited": %d}`, op.number),
	}}
}

// delete takes the node away from the other mutators before it is deleted, so that few of them ask for a node that is gone.
func (p *project) delete(op *operation, r *rand.Rand) {
	i := r.IntN(len(p.nodes))
	name := p.nodes[i]
	p.nodes = slices.Delete(p.nodes, i, i+1)
	p.edges = slices.DeleteFunc(p.edges, func(e link) bool {
		gone := e.source == name || e.target == name
		if gone {
			delete(p.pairs, [2]int64{e.source, e.target})
		}
		return gone
	})
	op.query, op.variables = deleteNode, map[string]any{"id": nodeID(name)}
}

func (p *project) connect(op *operation, r *rand.Rand) {
	source, target := p.some(r), p.some(r)
	if source > target {
		source, target = target, source
	}
	pair := [2]int64{source, target}
	if source == target || p.pairs[pair] {
		p.move(op, r)
		return
	}
	p.pairs[pair] = true
	edge := link{op.number, source, target}
	op.query, op.variables = addEdge, map[string]any{"edge": map[string]any{
		"id": edgeID(edge.name), "source": nodeID(source), "target": nodeID(target),
		"metadata": map[string]any{"label": "storm", "dataType": "GRAPH_DATA"},
	}}
	op.succeeded = func(p *project) {
		if slices.Contains(p.nodes, source) && slices.Contains(p.nodes, target) {
			p.edges = append(p.edges, edge)
		} else {
			delete(p.pairs, pair) // the edge went with one of its ends, or is about to
		}
	}
	op.failed = func(p *project) { delete(p.pairs, pair) }
}

func (p *project) disconnect(op *operation, r *rand.Rand) {
	if len(p.edges) == 0 {
		p.move(op, r)
		return
	}
	i := r.IntN(len(p.edges))
	edge := p.edges[i]
	p.edges = slices.Delete(p.edges, i, i+1)
	delete(p.pairs, [2]int64{edge.source, edge.target})
	op.query, op.variables = deleteEdge, map[string]any{"id": edgeID(edge.name)}
}

func (p *project) some(r *rand.Rand) int64 { return p.nodes[r.IntN(len(p.nodes))] }

func somewhere(r *rand.Rand) map[string]any {
	return map[string]any{"x": r.Float64() * 4000, "y": r.Float64() * 4000}
}

// settle notes the outcome of an operation.
func (p *project) settle(op operation, succeeded bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	learn := op.failed
	if succeeded {
		p.answered.add(op.number)
		learn = op.succeeded
	}
	if learn != nil {
		learn(p)
	}
}
