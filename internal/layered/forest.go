package layered

import (
	"cmp"
	"slices"
)

// none marks the absence of a node position.
const none = -1

// forest is the hierarchy of a graph, by position in Graph.Nodes. Every walk over it is iterative, so that a deep hierarchy
// costs memory and not stack, and starts at parentless nodes, so that a cycle of parents is never entered.
type forest struct {
	index  map[string]int // node ID to position; of equal IDs the last
	parent []int          // none when there is no parent or it does not exist
	first  []int          // children of i are kids[first[i]:first[i+1]], in node order
	kids   []int
}

func newForest(nodes []Node) *forest {
	f := &forest{
		index:  indexNodes(nodes),
		parent: make([]int, len(nodes)),
		first:  make([]int, len(nodes)+1),
	}
	for i := range nodes {
		f.parent[i] = none
		if nodes[i].BelongsTo == "" {
			continue
		}
		if p, ok := f.index[nodes[i].BelongsTo]; ok {
			f.parent[i] = p
			f.first[p+1]++
		}
	}
	for i := range nodes {
		f.first[i+1] += f.first[i]
	}
	f.kids = make([]int, f.first[len(nodes)])
	next := slices.Clone(f.first)
	for i, p := range f.parent {
		if p != none {
			f.kids[next[p]] = i
			next[p]++
		}
	}
	return f
}

func indexNodes(nodes []Node) map[string]int {
	index := make(map[string]int, len(nodes))
	for i := range nodes {
		index[nodes[i].ID] = i
	}
	return index
}

func (f *forest) children(i int) []int { return f.kids[f.first[i]:f.first[i+1]] }

// position of the node with this ID, or none.
func (f *forest) position(id string) int {
	if i, ok := f.index[id]; ok {
		return i
	}
	return none
}

// partitionRoots returns the parentless partitions, sorted by ID.
func partitionRoots(nodes []Node) []int {
	return rootsWhere(nodes, func(n *Node) bool { return n.IsPartition })
}

// parentlessNodes returns all nodes without a parent, sorted by ID.
func parentlessNodes(nodes []Node) []int {
	return rootsWhere(nodes, func(*Node) bool { return true })
}

func rootsWhere(nodes []Node, is func(*Node) bool) []int {
	var roots []int
	for i := range nodes {
		if nodes[i].BelongsTo == "" && is(&nodes[i]) {
			roots = append(roots, i)
		}
	}
	slices.SortStableFunc(roots, func(a, b int) int { return cmp.Compare(nodes[a].ID, nodes[b].ID) })
	return roots
}
