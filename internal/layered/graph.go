// Package layered computes with graphs of nodes, edges and layers: check, merge, transform. It is pure: no I/O, no clock, no
// randomness; the same input always gives the same output.
package layered

import "encoding/json"

// Graph is a layered graph. Order matters: it is the order of the input, and every operation keeps it.
type Graph struct {
	Name   string
	Nodes  []Node
	Edges  []Edge
	Layers []Layer
}

// Node is a vertex. A partition contains other nodes; all others are flow nodes.
type Node struct {
	ID          string
	Label       string
	Layer       string // a Layer.ID; "" is none
	IsPartition bool
	BelongsTo   string // the ID of the parent; "" is none
	Weight      float64
	Comment     string // "" is none

	// Attrs is what else the source said: a JSON object by column, nil when there is nothing. It stays JSON because few look at it and a map
	// takes four times the memory. Elements share attributes, so that they are never changed in place.
	Attrs json.RawMessage
}

// Edge is a directed link from Source to Target, both Node.IDs.
type Edge struct {
	ID      string
	Source  string
	Target  string
	Label   string
	Layer   string // a Layer.ID; "" is none
	Weight  float64
	Comment string          // "" is none
	Attrs   json.RawMessage // as Node.Attrs
}

// Layer is a style class that nodes and edges refer to by ID. Colours are hex digits without "#"; "" is not set.
type Layer struct {
	ID         string
	Label      string
	Background string
	Text       string
	Border     string
}
