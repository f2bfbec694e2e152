package bench

import (
	"encoding/json"
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
	newest   int64             // highest version that an undo was answered with
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
	undo      bool // it takes something back, which others may have changed or taken back already
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
	undoChange = `mutation` + header + `$version: Int!, $onConflict: OnConflict!) {
		undoChange(projectId: $project, opId: $op, clientId: $client, version: $version, onConflict: $onConflict) {
			version change { operations { kind id after } } } }`
)

// recent is how many versions an undo may lie behind, beside those since the last undo that was answered.
const recent = 30

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
	case dice < 42:
		p.move(&op, r)
	case dice < 45:
		p.takeBack(&op, r)
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

// takeBack undoes a change of anybody, or an undo.
func (p *project) takeBack(op *operation, r *rand.Rand) {
	op.undo = true
	op.query, op.variables = undoChange, map[string]any{
		"version": max(1, p.newest-r.Int64N(recent)), "onConflict": []string{"FAIL", "SKIP", "OVERWRITE"}[r.IntN(3)],
	}
}

// undone is the answer to an undo.
type undone struct {
	UndoChange struct {
		Version int64
		Change  *struct { // nil when nothing was left to do
			Operations []struct {
				Kind, ID string
				After    struct{ Source, Target string }
			}
		}
	}
}

// note adds elements that came back, and removes those that went. It reports whether there was anything to take back.
func (p *project) note(answer json.RawMessage) (changed bool, err error) {
	var u undone
	if err := json.Unmarshal(answer, &u); err != nil {
		return false, err
	}
	p.newest = max(p.newest, u.UndoChange.Version)
	if u.UndoChange.Change == nil {
		return false, nil
	}
	for _, o := range u.UndoChange.Change.Operations {
		name := nameOf(o.ID)
		switch o.Kind {
		case "NODE_ADDED":
			if !slices.Contains(p.nodes, name) { // others may have brought it back before
				p.nodes = append(p.nodes, name)
			}
		case "NODE_REMOVED":
			p.nodes = slices.DeleteFunc(p.nodes, func(n int64) bool { return n == name })
		case "EDGE_ADDED":
			edge := link{name, nameOf(o.After.Source), nameOf(o.After.Target)}
			p.edges, p.pairs[[2]int64{edge.source, edge.target}] = append(p.edges, edge), true
		case "EDGE_REMOVED":
			p.edges = slices.DeleteFunc(p.edges, func(e link) bool {
				if e.name == name {
					delete(p.pairs, [2]int64{e.source, e.target})
				}
				return e.name == name
			})
		}
	}
	return true, nil
}

// nameOf returns the name in the id of a node or an edge; 0 in one that the storm did not make.
func nameOf(id string) int64 {
	name, _ := strconv.ParseInt(strings.TrimLeft(id, "ne"), 10, 64)
	return name
}

func (p *project) some(r *rand.Rand) int64 { return p.nodes[r.IntN(len(p.nodes))] }

func somewhere(r *rand.Rand) map[string]any {
	return map[string]any{"x": r.Float64() * 4000, "y": r.Float64() * 4000}
}

// settle notes the outcome of an operation by its answer, which is nil when it was refused. It reports whether the plan was changed.
func (p *project) settle(op operation, answer json.RawMessage) (changed bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	changed = answer != nil
	if changed && op.undo {
		changed, err = p.note(answer)
	}
	learn := op.failed
	if changed {
		p.answered.add(op.number)
		learn = op.succeeded
	}
	if learn != nil {
		learn(p)
	}
	return changed, err
}
