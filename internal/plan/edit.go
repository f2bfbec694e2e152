package plan

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"layercake/internal/fault"
)

// Edit is one thing that a change asks for.
type Edit interface {
	// reads adds what apply looks at, so that one round trip reads it under the lock.
	reads(*reads)
	// apply checks the rules and records what it does in the draft. A fault refuses the whole change. An edit of a small change that
	// is refused leaves the draft unchanged, because changes of others are in it.
	apply(*draft) error
}

// AddNode adds a node; its CreatedAt and UpdatedAt are set by the change.
type AddNode struct{ Node Node }

func (e AddNode) reads(r *reads) {
	r.nodes[e.Node.ID] = true
	r.source([]byte(e.Node.Config))
}

func (e AddNode) apply(d *draft) error {
	d.named = append(d.named, e.Node.ID)
	return d.addNode(e.Node)
}

// UpdateNode changes the given parts of a node.
type UpdateNode struct {
	ID       string
	Position *Position
	Metadata *NodeMetadata
	Config   *string
	Expected *NodeParts `json:",omitempty"` // parts as the sender saw them; absent where requests were hashed before it was there
}

func (e UpdateNode) reads(r *reads) {
	r.nodes[e.ID] = true
	if e.Config != nil {
		r.source([]byte(*e.Config))
	}
}

func (e UpdateNode) apply(d *draft) error {
	stored := d.nodes.get(e.ID)
	if stored == nil {
		return errNodeNotFound
	}
	if e.Expected != nil {
		if err := ofNodes.checkExpected(d, e.ID, e.Expected.onto(*stored), *stored); err != nil {
			return err
		}
	}
	d.named = append(d.named, e.ID)
	return d.setNode(NodeParts{e.Position, e.Metadata, e.Config}.onto(*stored))
}

// MoveNodes sets the positions of many nodes. Ids that the plan does not have are skipped.
type MoveNodes struct{ Moves []Move }

// Move is where one node goes.
type Move struct {
	ID             string
	Position       Position
	SourcePosition *string // nil for unchanged
	TargetPosition *string // nil for unchanged
}

func (e MoveNodes) reads(r *reads) {
	for _, m := range e.Moves {
		r.nodes[m.ID] = true
	}
}

func (e MoveNodes) apply(d *draft) error {
	if len(e.Moves) > MaxNodes {
		return tooMany("moves in one request", MaxNodes)
	}
	for _, m := range e.Moves {
		if d.nodes.get(m.ID) == nil {
			continue
		}
		if err := m.check(); err != nil {
			return err
		}
	}
	for _, m := range e.Moves {
		stored := d.nodes.get(m.ID)
		if stored == nil {
			continue
		}
		n := *stored
		n.Position = m.Position
		if m.SourcePosition != nil {
			n.SourcePosition = m.SourcePosition
		}
		if m.TargetPosition != nil {
			n.TargetPosition = m.TargetPosition
		}
		if err := d.setNode(n); err != nil {
			return err
		}
		d.named = append(d.named, m.ID)
	}
	return nil
}

func (m Move) check() error {
	return errors.Join(
		checkPosition(m.Position),
		checkOptional("Source position", m.SourcePosition, maxHandle),
		checkOptional("Target position", m.TargetPosition, maxHandle),
	)
}

// DeleteNode removes a node, and its edges before it.
type DeleteNode struct{ ID string }

func (e DeleteNode) reads(r *reads) {
	r.nodes[e.ID] = true
	r.edgesOf[e.ID] = true
}

func (e DeleteNode) apply(d *draft) error {
	if d.nodes.get(e.ID) == nil {
		return errNodeNotFound
	}
	d.removeNode(e.ID)
	return nil
}

// AddEdge adds an edge; its CreatedAt and UpdatedAt are set by the change.
type AddEdge struct{ Edge Edge }

func (e AddEdge) reads(r *reads) {
	r.edges[e.Edge.ID] = true
	r.nodes[e.Edge.Source], r.nodes[e.Edge.Target] = true, true
	r.edgesOf[e.Edge.Source], r.edgesOf[e.Edge.Target] = true, true
	r.reachableFrom[e.Edge.Target] = true
}

func (e AddEdge) apply(d *draft) error {
	d.namedEdges = append(d.namedEdges, e.Edge.ID)
	if e.Edge.Source != e.Edge.Target {
		if path := d.links.path(e.Edge.Target, e.Edge.Source); path != nil && d.edges.get(e.Edge.ID) == nil {
			return closesCycle(append([]string{e.Edge.Source}, path...)).Because(&obstacle{d.links.along(path)})
		}
	}
	return d.addEdge(e.Edge)
}

// UpdateEdge changes the given parts of an edge.
type UpdateEdge struct {
	ID           string
	SourceHandle *string
	TargetHandle *string
	Metadata     *EdgeMetadata
	Expected     *EdgeParts `json:",omitempty"` // as that of UpdateNode
}

func (e UpdateEdge) reads(r *reads) { r.edges[e.ID] = true }

func (e UpdateEdge) apply(d *draft) error {
	stored := d.edges.get(e.ID)
	if stored == nil {
		return errEdgeNotFound
	}
	if e.Expected != nil {
		if err := ofEdges.checkExpected(d, e.ID, e.Expected.onto(*stored), *stored); err != nil {
			return err
		}
	}
	edge := *stored
	if e.SourceHandle != nil {
		edge.SourceHandle = e.SourceHandle
	}
	if e.TargetHandle != nil {
		edge.TargetHandle = e.TargetHandle
	}
	if e.Metadata != nil {
		edge.Metadata = *e.Metadata
	}
	d.namedEdges = append(d.namedEdges, e.ID)
	return d.setEdge(edge)
}

// DeleteEdge removes an edge.
type DeleteEdge struct{ ID string }

func (e DeleteEdge) reads(r *reads) { r.edges[e.ID] = true }

func (e DeleteEdge) apply(d *draft) error {
	if d.edges.get(e.ID) == nil {
		return errEdgeNotFound
	}
	d.removeEdge(e.ID)
	return nil
}

// UpdatePlan sets the plan's name, text and dependencies.
type UpdatePlan struct {
	Name         string
	YAMLContent  string
	Dependencies []int32
	Create       bool   // whether it fails for a plan that was written to before
	Status       string `json:",omitempty"` // "" leaves it; absent where requests were hashed before it was there
}

func (e UpdatePlan) reads(r *reads) { r.plan = true }

func (e UpdatePlan) apply(d *draft) error {
	p := *d.plan
	p.Name, p.YAMLContent, p.Dependencies = strings.TrimSpace(e.Name), e.YAMLContent, e.Dependencies
	if e.Create {
		if d.at.Version != 0 {
			return fault.New(fault.Conflict, "The project already has a plan").With("currentVersion", d.at.Version)
		}
		p.Status = "pending"
	}
	p.Status = cmp.Or(e.Status, p.Status)
	return d.setPlan(p)
}

// setPlan replaces the plan's record by one that the rules allow.
func (d *draft) setPlan(p Plan) error {
	if p.Name == "" {
		return fault.New(fault.BadRequest, "Plan name cannot be empty")
	}
	if err := fault.CheckText("Plan name", p.Name, maxName); err != nil {
		return err
	}
	if p.Name != d.plan.Name {
		if err := fault.CheckName("Plan name", p.Name); err != nil {
			return err
		}
	}
	if err := fault.CheckText("Plan YAML", p.YAMLContent, maxYAMLBytes); err != nil {
		return err
	}
	if len(p.Dependencies) > maxDependencies {
		return tooMany("dependencies", maxDependencies)
	}
	d.describe(p)
	return nil
}

// setRecord sets what people give to the plan's record.
func (d *draft) setRecord(r description) error {
	p := *d.plan
	p.Name, p.YAMLContent, p.Dependencies = r.Name, r.YAMLContent, r.Dependencies
	return d.setPlan(p)
}

// byID indexes a submission, which may name each id once.
func byID[T any](what string, submitted []T, id func(T) string) (map[string]T, error) {
	index := make(map[string]T, len(submitted))
	for _, s := range submitted {
		if _, twice := index[id(s)]; twice {
			return nil, fault.New(fault.Conflict, what+" with this id already exists").With("detail", id(s))
		}
		index[id(s)] = s
	}
	return index, nil
}

// checkLinks checks what replacing many parts at once can break: a node's type may have changed under its edges, and many
// edges together may close a cycle.
func (d *draft) checkLinks() error {
	for _, id := range d.edges.inOrder() {
		e := d.edges.get(id)
		rule := refused(d.nodes.get(e.Source).NodeType, d.nodes.get(e.Target).NodeType,
			len(d.links.out[e.Source])-1, len(d.links.in[e.Target])-1)
		if rule != "" {
			return notAllowed(rule)
		}
	}
	if cycle := d.links.cycle(); cycle != nil {
		return closesCycle(cycle)
	}
	return nil
}

// RemoveAll removes every edge and every node.
type RemoveAll struct{}

func (RemoveAll) reads(r *reads) { r.all = true }

func (RemoveAll) apply(d *draft) error {
	edges := d.edges.inOrder()
	for _, id := range slices.Backward(edges) {
		d.removeEdge(id)
	}
	nodes := d.nodes.inOrder()
	for _, id := range slices.Backward(nodes) {
		d.removeNode(id)
	}
	return nil
}

// versionConflict is the fault for a sender who had seen another version than the current one.
func versionConflict(expected any, current int64) *fault.Error {
	return fault.New(fault.Conflict, "The plan has changed").With("expectedVersion", expected).With("currentVersion", current)
}
