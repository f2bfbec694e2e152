package convergence

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// Event is an event as planEvents delivers it.
type Event struct {
	Version    int64       `json:"version"`
	Cursor     string      `json:"cursor"`
	Snapshot   bool        `json:"snapshot"`
	Plan       *Plan       `json:"plan"`
	Operations []Operation `json:"operations"`
}

// Operation is one step of an event.
type Operation struct {
	Kind   string          `json:"kind"`
	ID     string          `json:"id"`
	Index  *int            `json:"index"`
	Before json.RawMessage `json:"before"`
	After  json.RawMessage `json:"after"`
}

// Events checks one watcher of planEvents. It is not safe for concurrent use.
type Events struct {
	sequence
	nodes, edges list
	states       map[string]json.RawMessage // executions that are not null, by id of their node: the values of nodes in events leave them out
	broken       bool                       // whether the state is unknown after a gap or a misfit, until a snapshot comes
}

// NewEvents returns the check of a watcher that read the plan and follows it after its cursor.
func NewEvents(plan Plan) *Events {
	w := &Events{sequence: newSequence(plan.Cursor, plan.Version)}
	w.load(plan)
	return w
}

// Version returns the highest version seen.
func (w *Events) Version() int64 { return w.version }

// See takes the next event that was delivered.
func (w *Events) See(e Event) {
	if e.Snapshot {
		w.restart(e.Cursor, e.Version)
		if e.Plan == nil {
			w.broken = true
			w.misapplied(e.Version, errors.New("a snapshot without a plan"))
			return
		}
		w.load(*e.Plan)
		return
	}
	switch w.follow(e.Cursor, e.Version) {
	case ahead:
		w.broken = true
	case next:
		for _, op := range e.Operations {
			if err := w.apply(op); err != nil {
				w.broken = true
				w.misapplied(e.Version, fmt.Errorf("%s %q: %w", op.Kind, op.ID, err))
			}
		}
	case again: // ignoring a repeat keeps the state right
	}
}

// executions are the members of a node that are no part of what people edit.
var executions = []string{"datasourceExecution", "graphExecution"}

// split takes the executions that are not null out of nodes.
func split(nodes []json.RawMessage) (others []json.RawMessage, states map[string]json.RawMessage, err error) {
	states = make(map[string]json.RawMessage)
	for i, node := range nodes {
		var members map[string]json.RawMessage
		var v struct{ ID string }
		if err := errors.Join(json.Unmarshal(node, &members), json.Unmarshal(node, &v)); err != nil {
			return nil, nil, fmt.Errorf("node %d: %w", i, err)
		}
		for _, member := range executions {
			if state := members[member]; !absent(state) {
				states[v.ID] = state
			}
			delete(members, member)
		}
		rest, err := json.Marshal(members)
		if err != nil {
			return nil, nil, err
		}
		others = append(others, rest)
	}
	return others, states, nil
}

func (w *Events) load(plan Plan) {
	nodes, states, err := split(plan.Nodes)
	w.broken, w.states = err != nil, states
	if err != nil {
		w.misapplied(plan.Version, err)
	}
	for l, values := range map[*list][]json.RawMessage{&w.nodes: nodes, &w.edges: plan.Edges} {
		if err := l.load(values); err != nil {
			w.broken = true
			w.misapplied(plan.Version, err)
		}
	}
}

func (w *Events) apply(op Operation) error {
	if w.broken {
		return nil
	}
	switch op.Kind {
	case "NODE_ADDED":
		return w.nodes.add(op)
	case "NODE_UPDATED":
		return w.nodes.update(op)
	case "NODE_REMOVED":
		delete(w.states, op.ID)
		return w.nodes.remove(op)
	case "EXECUTION_CHANGED":
		return w.setState(op)
	case "EDGE_ADDED":
		return w.edges.add(op)
	case "EDGE_UPDATED":
		return w.edges.update(op)
	case "EDGE_REMOVED":
		return w.edges.remove(op)
	case "PLAN_UPDATED":
		return nil // the plan's record is no part of its graph
	}
	return errors.New("unknown kind of operation")
}

func (w *Events) setState(op Operation) error {
	before := w.states[op.ID]
	switch {
	case op.Index == nil || *op.Index < 0 || *op.Index >= len(w.nodes.ids) || w.nodes.ids[*op.Index] != op.ID:
		return fmt.Errorf("index %s is not its node", text(op.Index))
	case absent(before) != absent(op.Before) || !absent(before) && !sameJSON(before, op.Before):
		return fmt.Errorf("it was %s, not %s", before, op.Before)
	case absent(op.After):
		delete(w.states, op.ID)
	default:
		w.states[op.ID] = op.After
	}
	return nil
}

// Finish compares with the plan in the end, and returns the report.
func (w *Events) Finish(rows Plan) Report {
	nodes, states, err := split(rows.Nodes)
	divergence := compareLists("node", w.nodes.values, nodes, sameJSON)
	if err != nil {
		divergence = err.Error()
	}
	for id := range states {
		if divergence == "" && !sameJSON(w.states[id], states[id]) {
			divergence = fmt.Sprintf("execution of %q: seen %s, in the rows %s", id, w.states[id], states[id])
		}
	}
	if divergence == "" && len(w.states) > len(states) {
		divergence = fmt.Sprintf("executions: %d seen, %d in the rows", len(w.states), len(states))
	}
	if divergence == "" {
		divergence = compareLists("edge", w.edges.values, rows.Edges, sameJSON)
	}
	if divergence == "" && w.broken {
		divergence = "the state could not be followed to the end"
	}
	return w.finish(rows, divergence)
}

// list is the nodes or the edges of a plan.
type list struct {
	ids    []string
	values []json.RawMessage
}

func (l *list) load(values []json.RawMessage) error {
	l.ids, l.values = make([]string, len(values)), slices.Clone(values)
	for i, value := range values {
		var v struct{ ID string }
		if err := json.Unmarshal(value, &v); err != nil {
			return fmt.Errorf("element %d: %w", i, err)
		}
		l.ids[i] = v.ID
	}
	return nil
}

func (l *list) add(op Operation) error {
	switch {
	case op.Index == nil || *op.Index < 0 || *op.Index > len(l.ids):
		return fmt.Errorf("index %s among %d", text(op.Index), len(l.ids))
	case !absent(op.Before) || absent(op.After):
		return errors.New("adding needs a value after, and none before")
	case slices.Contains(l.ids, op.ID):
		return errors.New("it was there")
	}
	l.ids = slices.Insert(l.ids, *op.Index, op.ID)
	l.values = slices.Insert(l.values, *op.Index, op.After)
	return nil
}

func (l *list) update(op Operation) error {
	if err := l.expect(op); err != nil {
		return err
	}
	if absent(op.After) {
		return errors.New("updating needs a value after")
	}
	l.values[*op.Index] = op.After
	return nil
}

func (l *list) remove(op Operation) error {
	if err := l.expect(op); err != nil {
		return err
	}
	if !absent(op.After) {
		return errors.New("removing leaves no value")
	}
	l.ids = slices.Delete(l.ids, *op.Index, *op.Index+1)
	l.values = slices.Delete(l.values, *op.Index, *op.Index+1)
	return nil
}

// expect checks that the element before an operation is what the operation says.
func (l *list) expect(op Operation) error {
	switch {
	case op.Index == nil || *op.Index < 0 || *op.Index >= len(l.ids):
		return fmt.Errorf("index %s among %d", text(op.Index), len(l.ids))
	case l.ids[*op.Index] != op.ID:
		return fmt.Errorf("index %d is %q", *op.Index, l.ids[*op.Index])
	case !sameJSON(l.values[*op.Index], op.Before):
		return fmt.Errorf("it was %s, not %s", l.values[*op.Index], op.Before)
	}
	return nil
}

func text(index *int) string {
	if index == nil {
		return "null"
	}
	return fmt.Sprint(*index)
}

func absent(value json.RawMessage) bool { return len(value) == 0 || string(value) == "null" }
