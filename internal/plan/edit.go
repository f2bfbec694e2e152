package plan

// Edit is one thing that a change asks for.
type Edit interface {
	// wants names what apply looks at, so that one round trip can read it under the lock.
	wants(*wants)
	// apply checks the rules and records what it does in the draft. A fault refuses the whole change.
	apply(*draft) error
}

// AddNode adds a node; its CreatedAt and UpdatedAt are set by the change.
type AddNode struct{ Node Node }

// UpdateNode changes the given parts of a node.
type UpdateNode struct {
	ID       string
	Position *Position
	Metadata *NodeMetadata
	Config   *string
}

// MoveNodes sets the positions of many nodes. Ids that the plan does not have are skipped.
type MoveNodes struct{ Moves []Move }

// Move is where one node goes.
type Move struct {
	ID             string
	Position       Position
	SourcePosition *string // nil: unchanged
	TargetPosition *string // nil: unchanged
}

// DeleteNode removes a node, and its edges before it.
type DeleteNode struct{ ID string }

// AddEdge adds an edge; its CreatedAt and UpdatedAt are set by the change.
type AddEdge struct{ Edge Edge }

// UpdateEdge changes the given parts of an edge.
type UpdateEdge struct {
	ID           string
	SourceHandle *string
	TargetHandle *string
	Metadata     *EdgeMetadata
}

// DeleteEdge removes an edge.
type DeleteEdge struct{ ID string }

// Describe sets the plan's name, text and dependencies.
type Describe struct {
	Name         string
	YAMLContent  string
	Dependencies []int32
	Create       bool // only a plan that was never written to
}

// Replace makes the plan's graph what the sender submits. Known is the version that the sender had seen.
type Replace struct {
	Known string
	Nodes []Node
	Edges []Edge
}

// Clear removes every edge and every node.
type Clear struct{}
