package layered

import "fmt"

// Rule names an invariant of a graph. Callers choose which of them matter to them.
type Rule string

// The rules. A "" parent or layer is none and breaks no rule.
const (
	EmptyID          Rule = "empty_id"           // a node or edge has no ID
	DuplicateNode    Rule = "duplicate_node"     // two nodes have the same ID
	DuplicateEdge    Rule = "duplicate_edge"     // two edges have the same ID
	MissingEnd       Rule = "missing_end"        // an edge's source or target does not exist
	MixedEnds        Rule = "mixed_ends"         // an edge joins a partition with a flow node
	PartitionEnds    Rule = "partition_ends"     // an edge joins two partitions
	MissingParent    Rule = "missing_parent"     // a parent does not exist
	NoParent         Rule = "no_parent"          // a flow node has no parent
	ParentCycle      Rule = "parent_cycle"       // a node is its own ancestor
	MissingLayer     Rule = "missing_layer"      // a node's layer is not in the palette
	MissingEdgeLayer Rule = "missing_edge_layer" // an edge's layer is not in the palette
)

// Problem is one broken rule at one element.
type Problem struct {
	Rule    Rule
	Edge    bool   // whether it is an edge, not a node
	Index   int    // of the element in Graph.Edges or Graph.Nodes
	ID      string // of the node or edge
	Message string // a sentence that names the element and the wrong value
}

// BuildRules are what a graph built on the server must keep: edges join existing flow nodes, and IDs are unique.
func BuildRules() []Rule {
	return []Rule{EmptyID, DuplicateNode, DuplicateEdge, MissingEnd, MixedEnds, PartitionEnds}
}

// PlanFileRules are what a graph must keep before and after the transforms of a plan file. Edges between two partitions pass,
// and so do edge layers without a palette entry, as published.
func PlanFileRules() []Rule {
	return []Rule{
		EmptyID, MissingEnd, MixedEnds, MissingParent, NoParent, ParentCycle, MissingLayer, DuplicateNode, DuplicateEdge,
	}
}

// MaxListed is how many problems of a graph are listed; all are counted.
const MaxListed = 100

// Problems are the first MaxListed problems of a graph and the number of all.
type Problems struct {
	Listed []Problem
	Total  int
}

// Check finds what breaks one of rules: first among the nodes in their order, then among the edges in theirs.
func Check(g Graph, rules []Rule) Problems {
	c := checker{graph: g, forest: newForest(g.Nodes), palette: make(map[string]bool, len(g.Layers)), rules: make(map[Rule]bool)}
	for _, r := range rules {
		c.rules[r] = true
	}
	for _, l := range g.Layers {
		c.palette[l.ID] = true
	}
	c.checkNodes()
	c.checkEdges()
	return c.problems
}

type checker struct {
	graph    Graph
	forest   *forest
	palette  map[string]bool
	rules    map[Rule]bool // those that matter
	problems Problems
}

// node counts a problem of node i, if its rule matters. The message is made only when the problem is listed.
func (c *checker) node(rule Rule, i int, message func(n *Node) string) {
	n := &c.graph.Nodes[i]
	if c.count(rule) {
		c.problems.Listed = append(c.problems.Listed, Problem{Rule: rule, Index: i, ID: n.ID, Message: message(n)})
	}
}

// edge is node for edge i.
func (c *checker) edge(rule Rule, i int, message func(e *Edge) string) {
	e := &c.graph.Edges[i]
	if c.count(rule) {
		c.problems.Listed = append(c.problems.Listed, Problem{Rule: rule, Edge: true, Index: i, ID: e.ID, Message: message(e)})
	}
}

// count reports whether to list a problem that breaks this rule.
func (c *checker) count(rule Rule) bool {
	if !c.rules[rule] {
		return false
	}
	c.problems.Total++
	return c.problems.Total <= MaxListed
}

func (c *checker) checkNodes() {
	cyclic := c.forest.cyclic()
	seen := make(map[string]bool, len(c.graph.Nodes))
	for i := range c.graph.Nodes {
		n := &c.graph.Nodes[i]
		switch {
		case n.ID == "":
			c.node(EmptyID, i, func(*Node) string { return fmt.Sprintf("Node %d has no id", i+1) })
		case seen[n.ID]:
			c.node(DuplicateNode, i, func(n *Node) string { return fmt.Sprintf("Node %.100q occurs more than once", n.ID) })
		}
		seen[n.ID] = true
		switch {
		case n.BelongsTo == "" && !n.IsPartition:
			c.node(NoParent, i, func(n *Node) string { return fmt.Sprintf("Node %.100q has no parent and is not a partition", n.ID) })
		case n.BelongsTo != "" && c.forest.parent[i] == none:
			c.node(MissingParent, i, func(n *Node) string {
				return fmt.Sprintf("Node %.100q belongs to %.100q, which does not exist", n.ID, n.BelongsTo)
			})
		case cyclic[i]:
			c.node(ParentCycle, i, func(n *Node) string { return fmt.Sprintf("Node %.100q belongs to itself through its parents", n.ID) })
		}
		if n.Layer != "" && !c.palette[n.Layer] {
			c.node(MissingLayer, i, func(n *Node) string {
				return fmt.Sprintf("Node %.100q has layer %.100q, which does not exist", n.ID, n.Layer)
			})
		}
	}
}

func (c *checker) checkEdges() {
	seen := make(map[string]bool, len(c.graph.Edges))
	for i := range c.graph.Edges {
		e := &c.graph.Edges[i]
		switch {
		case e.ID == "":
			c.edge(EmptyID, i, func(e *Edge) string {
				return fmt.Sprintf("Edge %d, from %.100q to %.100q, has no id", i+1, e.Source, e.Target)
			})
		case seen[e.ID]:
			c.edge(DuplicateEdge, i, func(e *Edge) string { return fmt.Sprintf("Edge %.100q occurs more than once", e.ID) })
		}
		seen[e.ID] = true
		c.checkEnds(i)
		if e.Layer != "" && !c.palette[e.Layer] {
			c.edge(MissingEdgeLayer, i, func(e *Edge) string {
				return fmt.Sprintf("Edge %.100q has layer %.100q, which does not exist", e.ID, e.Layer)
			})
		}
	}
}

func (c *checker) checkEnds(i int) {
	e := &c.graph.Edges[i]
	s, t := c.forest.position(e.Source), c.forest.position(e.Target)
	if s == none {
		c.edge(MissingEnd, i, func(e *Edge) string {
			return fmt.Sprintf("Edge %.100q starts at node %.100q, which does not exist", e.ID, e.Source)
		})
	}
	if t == none {
		c.edge(MissingEnd, i, func(e *Edge) string {
			return fmt.Sprintf("Edge %.100q ends at node %.100q, which does not exist", e.ID, e.Target)
		})
	}
	if s == none || t == none {
		return
	}
	switch from, to := c.graph.Nodes[s].IsPartition, c.graph.Nodes[t].IsPartition; {
	case from && to:
		c.edge(PartitionEnds, i, func(e *Edge) string {
			return fmt.Sprintf("Edge %.100q joins the partitions %.100q and %.100q", e.ID, e.Source, e.Target)
		})
	case from:
		c.edge(MixedEnds, i, func(e *Edge) string {
			return fmt.Sprintf("Edge %.100q starts at the partition %.100q", e.ID, e.Source)
		})
	case to:
		c.edge(MixedEnds, i, func(e *Edge) string {
			return fmt.Sprintf("Edge %.100q ends at the partition %.100q", e.ID, e.Target)
		})
	}
}

// cyclic marks the nodes that are their own ancestors.
func (f *forest) cyclic() []bool {
	marked := make([]bool, len(f.parent))
	walk := make([]int, len(f.parent)) // which walk first came here, from 1
	for start := range f.parent {
		i := start
		for i != none && walk[i] == 0 {
			walk[i] = start + 1
			i = f.parent[i]
		}
		if i == none || walk[i] != start+1 {
			continue
		}
		for ; !marked[i]; i = f.parent[i] { // this walk met itself: i is on a cycle
			marked[i] = true
		}
	}
	return marked
}
