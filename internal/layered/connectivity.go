package layered

import (
	"cmp"
	"slices"
)

// MaxNamed is how many components or nodes Connections name; all are counted.
const MaxNamed = 20

// Connections say how a graph hangs together. All but the first two counts are about flow nodes and the edges between them, as directed
// edges where that matters.
type Connections struct {
	NodeCount      int         `json:"node_count"`
	EdgeCount      int         `json:"edge_count"`
	Components     []Component `json:"components"` // the largest, whatever the direction of edges
	ComponentCount int         `json:"component_count"`
	Isolated       Named       `json:"isolated"` // no edge touches them
	Sources        Named       `json:"sources"`  // edges only leave them
	Sinks          Named       `json:"sinks"`    // edges only arrive
	HasCycle       bool        `json:"has_cycle"`
}

// Component is a set of nodes that edges connect.
type Component struct {
	Size    int    `json:"size"`
	Example string `json:"example"` // ID of its first node
}

// Named are the first MaxNamed nodes of a kind, in node order, and the number of all.
type Named struct {
	Count int      `json:"count"`
	IDs   []string `json:"ids"`
}

func (n *Named) add(id string) {
	if n.Count++; n.Count <= MaxNamed {
		n.IDs = append(n.IDs, id)
	}
}

// Connectivity finds out how a graph hangs together, in a time that grows with its size.
func Connectivity(g Graph) Connections {
	c := Connections{
		NodeCount: len(g.Nodes), EdgeCount: len(g.Edges), Components: []Component{},
		Isolated: Named{IDs: []string{}}, Sources: Named{IDs: []string{}}, Sinks: Named{IDs: []string{}},
	}
	flow := newFlow(g)
	arriving := make([]int, len(g.Nodes))
	root := make([]int, len(g.Nodes)) // of a tree of nodes that are connected; roots are their own
	for i := range root {
		root[i] = i
	}
	find := func(i int) int {
		for root[i] != i {
			root[i] = root[root[i]]
			i = root[i]
		}
		return i
	}
	for i := range g.Nodes {
		for _, k := range flow.next(i) {
			arriving[k]++
			a, b := find(i), find(k)
			root[max(a, b)] = min(a, b) // so that the root is the first node
		}
	}
	sizes := make([]int, len(g.Nodes)) // by root
	for i := range g.Nodes {
		n := &g.Nodes[i]
		if n.IsPartition {
			continue
		}
		sizes[find(i)]++
		switch leaving := len(flow.next(i)); {
		case leaving == 0 && arriving[i] == 0:
			c.Isolated.add(n.ID)
		case arriving[i] == 0:
			c.Sources.add(n.ID)
		case leaving == 0:
			c.Sinks.add(n.ID)
		}
	}
	var roots []int
	for i, size := range sizes {
		if size > 0 {
			roots = append(roots, i)
		}
	}
	slices.SortStableFunc(roots, func(a, b int) int { return cmp.Compare(sizes[b], sizes[a]) })
	c.ComponentCount = len(roots)
	for _, i := range roots[:min(len(roots), MaxNamed)] {
		c.Components = append(c.Components, Component{Size: sizes[i], Example: g.Nodes[i].ID})
	}
	c.HasCycle = flow.hasCycle(arriving)
	return c
}

// flow is the edges between flow nodes, by position of their ends in Graph.Nodes.
type flow struct {
	index map[string]int
	first []int // edges of i lead to ends[first[i]:first[i+1]], in edge order
	ends  []int
}

func newFlow(g Graph) *flow {
	f := &flow{index: indexNodes(g.Nodes), first: make([]int, len(g.Nodes)+1)}
	each := func(do func(source, target int)) {
		for i := range g.Edges {
			s, ok := f.index[g.Edges[i].Source]
			t, ok2 := f.index[g.Edges[i].Target]
			if ok && ok2 && !g.Nodes[s].IsPartition && !g.Nodes[t].IsPartition {
				do(s, t)
			}
		}
	}
	each(func(s, _ int) { f.first[s+1]++ })
	for i := range g.Nodes {
		f.first[i+1] += f.first[i]
	}
	f.ends = make([]int, f.first[len(g.Nodes)])
	next := slices.Clone(f.first)
	each(func(s, t int) {
		f.ends[next[s]] = t
		next[s]++
	})
	return f
}

func (f *flow) next(i int) []int { return f.ends[f.first[i]:f.first[i+1]] }

// hasCycle takes away nodes at which no edge arrives until there are none: whoever stays is on a cycle or behind one. It uses up arriving.
func (f *flow) hasCycle(arriving []int) bool {
	var free []int
	for i, n := range arriving {
		if n == 0 {
			free = append(free, i)
		}
	}
	taken := 0
	for len(free) > 0 {
		i := free[len(free)-1]
		free = free[:len(free)-1]
		taken++
		for _, k := range f.next(i) {
			if arriving[k]--; arriving[k] == 0 {
				free = append(free, k)
			}
		}
	}
	return taken < len(arriving)
}
