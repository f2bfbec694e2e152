package plan

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"

	"layercake/internal/feed"
)

// Execution is the state of what a node names or builds: exactly one of the two, and its JSON is that of the one.
type Execution struct {
	DataSource *DataSourceExecution
	Graph      *GraphExecution
}

// DataSourceExecution is the state of the data source that a node names. Its JSON is what events, deltas and GraphQL show.
type DataSourceExecution struct {
	DataSourceID   int32   `json:"dataSourceId"`
	Filename       string  `json:"filename"`
	Status         string  `json:"status"` // active, processing or error
	ProcessedAt    *string `json:"processedAt"`
	ExecutionState string  `json:"executionState"` // not_started, pending, processing, completed or error
	ErrorMessage   *string `json:"errorMessage"`
}

// GraphExecution is the state of the graph that a node builds. Its JSON is what events, deltas and GraphQL show.
type GraphExecution struct {
	GraphID        int32   `json:"graphId"`
	NodeCount      int32   `json:"nodeCount"`
	EdgeCount      int32   `json:"edgeCount"`
	ExecutionState string  `json:"executionState"` // not_started, pending, processing, completed or error
	ComputedDate   *string `json:"computedDate"`
	ErrorMessage   *string `json:"errorMessage"`
}

// MarshalJSON writes the one that is set.
func (e Execution) MarshalJSON() ([]byte, error) {
	if e.DataSource != nil {
		return json.Marshal(e.DataSource)
	}
	return json.Marshal(e.Graph)
}

// UnmarshalJSON tells the two apart by the id that each has.
func (e *Execution) UnmarshalJSON(text []byte) error {
	var id struct{ DataSourceID, GraphID *int32 }
	if err := json.Unmarshal(text, &id); err != nil {
		return err
	}
	*e = Execution{}
	switch {
	case id.DataSourceID != nil:
		return json.Unmarshal(text, &e.DataSource)
	case id.GraphID != nil:
		return json.Unmarshal(text, &e.Graph)
	}
	return errors.New("it is the execution of neither a data source nor a graph")
}

// maxStateMessage is how many characters of a message a state has.
const maxStateMessage = 1000

// clipped returns the execution with the beginning of its message, when that is long: events that tell it have a bounded size.
func (e *Execution) clipped() *Execution {
	clip := func(message *string) *string {
		if message == nil {
			return nil
		}
		if runes := []rune(*message); len(runes) > maxStateMessage {
			return new(string(runes[:maxStateMessage-1]) + "…")
		}
		return message
	}
	switch {
	case e == nil:
		return nil
	case e.DataSource != nil:
		s := *e.DataSource
		s.ErrorMessage = clip(s.ErrorMessage)
		return &Execution{DataSource: &s}
	default:
		g := *e.Graph
		g.ErrorMessage = clip(g.ErrorMessage)
		return &Execution{Graph: &g}
	}
}

// text is how the row of a node has an execution: nil for none.
func (e *Execution) text() json.RawMessage {
	if e == nil {
		return nil
	}
	return encode(e)
}

// storedExecution reads what text wrote. A form that this binary does not know, which a newer replica may have written, is shown as none.
func storedExecution(text json.RawMessage) *Execution {
	e := new(Execution)
	if text == nil || json.Unmarshal(text, e) != nil {
		return nil
	}
	return e
}

func sameExecution(a, b *Execution) bool { return bytes.Equal(a.text(), b.text()) }

// execution returns the state of what a node names or builds, or nil while there is none.
func (n Node) execution() *Execution {
	if n.DatasourceExecution == nil && n.GraphExecution == nil {
		return nil
	}
	return &Execution{DataSource: n.DatasourceExecution, Graph: n.GraphExecution}
}

// withExecution returns the node with an execution, or with none for nil.
func (n Node) withExecution(e *Execution) Node {
	n.DatasourceExecution, n.GraphExecution = nil, nil
	if e != nil {
		n.DatasourceExecution, n.GraphExecution = e.DataSource, e.Graph
	}
	return n
}

// maxStates is how many bytes of states an event has: a run of a large plan tells those of all its nodes at once, and lines carry no longer
// event. The rest is for what is no operation.
const maxStates = feed.MaxBody - 16<<10

// inParts returns operations as those of one event, or of several when they are nothing but states and too long for one.
func inParts(operations []Operation) [][]Operation {
	if (&Event{Operations: operations}).Edits() {
		return [][]Operation{operations}
	}
	var parts [][]Operation
	first, bytes := 0, 0
	for i, op := range operations {
		size := len(encode(op)) + 1
		if bytes += size; bytes > maxStates && i > first {
			parts = append(parts, operations[first:i])
			first, bytes = i, size
		}
	}
	return append(parts, operations[first:])
}

// builds reports whether nodes of a type build a graph.
func (t NodeType) builds() bool {
	return t == GraphNode || t == TransformNode || t == MergeNode || t == CopyNode
}

// takes reports whether a node of a type can have an execution: one of the data source that it names, or of the graph that it builds.
func (t NodeType) takes(e *Execution) bool {
	return e == nil || e.DataSource != nil && t == DataSourceNode || e.Graph != nil && t.builds()
}

// SetExecution tells the state of what a node names or builds: nil for none. It is skipped when the plan does not have the node, which may
// have gone while its graph was built, or when the node has become of a type that cannot have such a state.
type SetExecution struct {
	NodeID    string
	Execution *Execution
}

func (e SetExecution) reads(r *reads) { r.nodes[e.NodeID] = true }

func (e SetExecution) apply(d *draft) error {
	if n := d.nodes.get(e.NodeID); n != nil && n.NodeType.takes(e.Execution) {
		d.named = append(d.named, e.NodeID)
		d.setExecution(e.NodeID, e.Execution)
	}
	return nil
}

// changedNodes returns the nodes that the change touched, with the executions that they have after it.
func (d *draft) changedNodes() []Node {
	nodes := slices.Clone(d.touchedNodes)
	told := make(map[string]bool)
	for i, n := range nodes {
		told[n.ID] = true
		if now := d.nodes.get(n.ID); now != nil {
			nodes[i] = n.withExecution(now.execution())
		}
	}
	for _, id := range d.executions {
		if now := d.nodes.get(id); now != nil && !told[id] {
			told[id] = true
			nodes = append(nodes, *now)
		}
	}
	return nodes
}

// noteExecution records an operation that tells an execution. The same before and after tells it again to who shows the node anew.
func (d *draft) noteExecution(id string, before, after *Execution) {
	index := d.nodes.index(d.nodes.items[id])
	d.operations = append(d.operations, Operation{Kind: ExecutionChanged, ID: id, Index: index, Before: before.text(), After: after.text()})
}

// setExecution sets the execution of a node that is there. An equal one changes nothing.
func (d *draft) setExecution(id string, e *Execution) {
	i := d.nodes.items[id]
	before, e := i.now.execution(), e.clipped()
	if sameExecution(before, e) {
		return
	}
	d.noteExecution(id, before, e)
	n := i.now.withExecution(e)
	d.executions = append(d.executions, id)
	i.now = &n
}
