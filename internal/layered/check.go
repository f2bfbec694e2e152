package layered

import (
	"fmt"
	"slices"
)

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

// Violations returns the problems that break one of rules, in order.
func Violations(problems []Problem, rules []Rule) []Problem {
	var found []Problem
	for _, p := range problems {
		if slices.Contains(rules, p.Rule) {
			found = append(found, p)
		}
	}
	return found
}

// Check lists every broken rule: first of the nodes in their order, then of the edges in theirs.
func Check(g Graph) []Problem {
	c := checker{graph: g, forest: newForest(g.Nodes), palette: make(map[string]bool, len(g.Layers))}
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
	problems []Problem
}

func (c *checker) checkNodes() {
	cyclic := c.forest.cyclic()
	seen := make(map[string]bool, len(c.graph.Nodes))
	for i := range c.graph.Nodes {
		n := &c.graph.Nodes[i]
		report := func(rule Rule, format string, args ...any) {
			c.problems = append(c.problems, Problem{Rule: rule, Index: i, ID: n.ID, Message: fmt.Sprintf(format, args...)})
		}
		switch {
		case n.ID == "":
			report(EmptyID, "Node %d has no id", i+1)
		case seen[n.ID]:
			report(DuplicateNode, "Node %.100q occurs more than once", n.ID)
		}
		seen[n.ID] = true
		switch {
		case n.BelongsTo == "" && !n.IsPartition:
			report(NoParent, "Node %.100q has no parent and is not a partition", n.ID)
		case n.BelongsTo != "" && c.forest.parent[i] == none:
			report(MissingParent, "Node %.100q belongs to %.100q, which does not exist", n.ID, n.BelongsTo)
		case cyclic[i]:
			report(ParentCycle, "Node %.100q belongs to itself through its parents", n.ID)
		}
		if n.Layer != "" && !c.palette[n.Layer] {
			report(MissingLayer, "Node %.100q has layer %.100q, which does not exist", n.ID, n.Layer)
		}
	}
}

func (c *checker) checkEdges() {
	seen := make(map[string]bool, len(c.graph.Edges))
	for i := range c.graph.Edges {
		e := &c.graph.Edges[i]
		report := func(rule Rule, format string, args ...any) {
			c.problems = append(c.problems, Problem{Rule: rule, Edge: true, Index: i, ID: e.ID, Message: fmt.Sprintf(format, args...)})
		}
		switch {
		case e.ID == "":
			report(EmptyID, "Edge %d, from %.100q to %.100q, has no id", i+1, e.Source, e.Target)
		case seen[e.ID]:
			report(DuplicateEdge, "Edge %.100q occurs more than once", e.ID)
		}
		seen[e.ID] = true
		c.checkEnds(e, report)
		if e.Layer != "" && !c.palette[e.Layer] {
			report(MissingEdgeLayer, "Edge %.100q has layer %.100q, which does not exist", e.ID, e.Layer)
		}
	}
}

func (c *checker) checkEnds(e *Edge, report func(rule Rule, format string, args ...any)) {
	s, t := c.forest.position(e.Source), c.forest.position(e.Target)
	if s == none {
		report(MissingEnd, "Edge %.100q starts at node %.100q, which does not exist", e.ID, e.Source)
	}
	if t == none {
		report(MissingEnd, "Edge %.100q ends at node %.100q, which does not exist", e.ID, e.Target)
	}
	if s == none || t == none {
		return
	}
	switch from, to := c.graph.Nodes[s].IsPartition, c.graph.Nodes[t].IsPartition; {
	case from && to:
		report(PartitionEnds, "Edge %.100q joins the partitions %.100q and %.100q", e.ID, e.Source, e.Target)
	case from:
		report(MixedEnds, "Edge %.100q starts at the partition %.100q", e.ID, e.Source)
	case to:
		report(MixedEnds, "Edge %.100q ends at the partition %.100q", e.ID, e.Target)
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
