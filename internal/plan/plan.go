package plan

import (
	"encoding/json"
	"time"

	"layercake/internal/fault"
	"layercake/internal/feed"
)

// Plan is the record of a project's one plan. Its graph is a DAG.
type Plan struct {
	ID           int32
	ProjectID    int32
	Name         string
	YAMLContent  string
	Dependencies []int32 // nil: none were ever given
	Status       string
	CreatedAt    time.Time
	UpdatedAt    time.Time
}

// Cursor is a place in a plan's history: a watch after it goes on without a gap. Transports, which do not know the feed, find it here.
type Cursor = feed.Cursor

// ParseCursor reads what a client sent as its cursor: the zero Cursor if it sent none, or the fault BadRequest.
func ParseCursor(text string) (Cursor, error) {
	if text == "" {
		return Cursor{}, nil
	}
	c, err := feed.ParseCursor(text)
	if err != nil {
		return c, fault.New(fault.BadRequest, "Cursor is not valid").With("detail", err.Error())
	}
	return c, nil
}

// DAG is a plan's graph at one version.
type DAG struct {
	ProjectID int32
	At        Cursor
	Name      string
	Nodes     []Node // by creation; this order is what Operation.Index counts in
	Edges     []Edge // by creation
	CreatedAt time.Time
	ChangedAt time.Time
}

// NodeType is what a node of a plan does.
type NodeType string

// The node types, spelled as on the wire.
const (
	DataSourceNode NodeType = "DataSourceNode"
	GraphNode      NodeType = "GraphNode"
	TransformNode  NodeType = "TransformNode"
	MergeNode      NodeType = "MergeNode"
	CopyNode       NodeType = "CopyNode"
	OutputNode     NodeType = "OutputNode"
)

// DataType is what flows along an edge. It has no influence on what is computed.
type DataType string

// The data types, spelled as on the wire.
const (
	GraphData      DataType = "GRAPH_DATA"
	GraphReference DataType = "GRAPH_REFERENCE"
)

// Node is a step of a plan. Its JSON is what events, deltas and GraphQL show.
type Node struct {
	ID             string       `json:"id"`
	NodeType       NodeType     `json:"nodeType"`
	Position       Position     `json:"position"`
	SourcePosition *string      `json:"sourcePosition"`
	TargetPosition *string      `json:"targetPosition"`
	Metadata       NodeMetadata `json:"metadata"`
	Config         string       `json:"config"` // the text of a JSON object, as the client wrote it
	CreatedAt      time.Time    `json:"createdAt"`
	UpdatedAt      time.Time    `json:"updatedAt"`

	// Executions have operations of their own, so the values of nodes in events leave them out.
	DatasourceExecution *DataSourceExecution `json:"-"` // nil while there is no data source
	GraphExecution      *GraphExecution      `json:"-"` // nil while nothing was built
}

// Position is a place on the canvas, in its own units.
type Position struct {
	X float64 `json:"x"`
	Y float64 `json:"y"`
}

// NodeMetadata is what people call a node.
type NodeMetadata struct {
	Label       string  `json:"label"`
	Description *string `json:"description"`
}

// Edge leads from one node's output to another's input. Its JSON is what events, deltas and GraphQL show.
type Edge struct {
	ID           string       `json:"id"`
	Source       string       `json:"source"`
	Target       string       `json:"target"`
	SourceHandle *string      `json:"sourceHandle"`
	TargetHandle *string      `json:"targetHandle"`
	Metadata     EdgeMetadata `json:"metadata"`
	CreatedAt    time.Time    `json:"createdAt"`
	UpdatedAt    time.Time    `json:"updatedAt"`
}

// EdgeMetadata is what people call an edge, and what flows along it.
type EdgeMetadata struct {
	Label    *string  `json:"label"`
	DataType DataType `json:"dataType"`
}

// FormatTime writes a time as the wire wants it: RFC 3339 in UTC with a numeric offset and the digits that matter.
func FormatTime(t time.Time) string {
	return t.UTC().Format("2006-01-02T15:04:05.999999-07:00")
}

// MarshalJSON writes the times as FormatTime does.
func (n Node) MarshalJSON() ([]byte, error) {
	type fields Node
	return json.Marshal(struct {
		fields
		CreatedAt string `json:"createdAt"`
		UpdatedAt string `json:"updatedAt"`
	}{fields(n), FormatTime(n.CreatedAt), FormatTime(n.UpdatedAt)})
}

// MarshalJSON writes the times as FormatTime does.
func (e Edge) MarshalJSON() ([]byte, error) {
	type fields Edge
	return json.Marshal(struct {
		fields
		CreatedAt string `json:"createdAt"`
		UpdatedAt string `json:"updatedAt"`
	}{fields(e), FormatTime(e.CreatedAt), FormatTime(e.UpdatedAt)})
}
