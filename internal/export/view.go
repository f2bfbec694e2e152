package export

import (
	"cmp"
	"encoding/binary"
	"iter"
	"slices"
	"strings"

	"layercake/internal/layered"
)

// A view is a graph as exporters look at it: sorted, indexed, and with a hierarchy that is a forest whatever the parents
// say. Nodes are named by their index in graph.Nodes. Nothing in it recurses, so depth is no limit.
type view struct {
	graph  layered.Graph
	nodes  []int           // all nodes by id
	flow   []int           // flow nodes by id
	edges  []int           // edges between flow nodes, by source, then target
	layers []layered.Layer // by id, each once: the last one wins
	byID   map[string]int

	children [][]int32 // in node order
	roots    []int     // by id
	parents  []int     // as stated, which may be a cycle; -1 is none or a missing one
}

func newView(g layered.Graph, opt Options) *view {
	if opt.UnitNodeWeights {
		g.Nodes = slices.Clone(g.Nodes)
		for i := range g.Nodes {
			g.Nodes[i].Weight = 1
		}
	}
	v := &view{graph: g, byID: make(map[string]int, len(g.Nodes))}
	for i := range g.Nodes {
		v.byID[g.Nodes[i].ID] = i
	}
	v.nodes = sortedBy(len(g.Nodes), func(i int) string { return g.Nodes[i].ID })
	for _, i := range v.nodes {
		if !g.Nodes[i].IsPartition {
			v.flow = append(v.flow, i)
		}
	}
	v.sortEdges()
	v.layers = sortedLayers(g.Layers)
	v.plantForest()
	return v
}

func (v *view) node(i int) *layered.Node { return &v.graph.Nodes[i] }
func (v *view) edge(i int) *layered.Edge { return &v.graph.Edges[i] }

// sortedBy returns the indexes of n elements by their ids, and equal ones by index. Most ids of a graph begin with the same word, and
// differ in the few bytes after it: most are told apart by a number.
func sortedBy(n int, id func(int) string) []int {
	type key struct {
		first uint64 // bytes behind the common beginning
		index int
	}
	common := 0
	if n > 0 {
		common = len(id(0))
	}
	for i := range n {
		common = commonBytes(id(0)[:common], id(i))
	}
	keys := make([]key, n)
	for i := range keys {
		var first [8]byte
		copy(first[:], id(i)[common:])
		keys[i] = key{binary.BigEndian.Uint64(first[:]), i}
	}
	slices.SortFunc(keys, func(a, b key) int {
		if a.first != b.first {
			return cmp.Compare(a.first, b.first)
		}
		return cmp.Or(strings.Compare(id(a.index), id(b.index)), cmp.Compare(a.index, b.index))
	})
	sorted := make([]int, n)
	for i, k := range keys {
		sorted[i] = k.index
	}
	return sorted
}

// commonBytes returns how many bytes two texts have in common at their beginning.
func commonBytes(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// sortEdges finds the flow edges and sorts them by the ranks of their ends: there are many, and comparing ids is slow.
func (v *view) sortEdges() {
	rank := make([]uint32, len(v.graph.Nodes))
	for n, i := range v.nodes {
		rank[i] = uint32(n)
	}
	type ranked struct {
		ends uint64
		edge int
	}
	sorted := make([]ranked, 0, len(v.graph.Edges))
	for i := range v.graph.Edges {
		e := v.edge(i)
		source, ok := v.byID[e.Source]
		target, ok2 := v.byID[e.Target]
		if ok && ok2 && !v.node(source).IsPartition && !v.node(target).IsPartition {
			sorted = append(sorted, ranked{uint64(rank[source])<<32 | uint64(rank[target]), i})
		}
	}
	slices.SortFunc(sorted, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(a.ends, b.ends), cmp.Compare(a.edge, b.edge))
	})
	v.edges = make([]int, len(sorted))
	for n, r := range sorted {
		v.edges[n] = r.edge
	}
}

func sortedLayers(layers []layered.Layer) []layered.Layer {
	sorted := slices.Clone(layers)
	slices.SortStableFunc(sorted, func(a, b layered.Layer) int { return strings.Compare(a.ID, b.ID) })
	kept := sorted[:0]
	for i, l := range sorted {
		if i+1 < len(sorted) && sorted[i+1].ID == l.ID {
			continue
		}
		kept = append(kept, l)
	}
	return kept
}

func (v *view) layer(id string) (layered.Layer, bool) {
	i, ok := slices.BinarySearchFunc(v.layers, id, func(l layered.Layer, id string) int {
		return strings.Compare(l.ID, id)
	})
	if !ok {
		return layered.Layer{}, false
	}
	return v.layers[i], true
}

// plantForest puts every node into exactly one tree. A node without a parent, or with one that does not exist, is a root;
// a cycle of parents is opened at its smallest id.
func (v *view) plantForest() {
	n := len(v.graph.Nodes)
	v.parents = make([]int, n)
	for i := range v.graph.Nodes {
		v.parents[i] = -1
		if id := v.graph.Nodes[i].BelongsTo; id != "" {
			if p, ok := v.byID[id]; ok {
				v.parents[i] = p
			}
		}
	}
	parents := slices.Clone(v.parents)
	visit := make([]int, n) // the walk that came by, from 1
	for _, start := range v.nodes {
		i := start
		for i >= 0 && visit[i] == 0 {
			visit[i] = start + 1
			i = parents[i]
		}
		if i < 0 || visit[i] != start+1 {
			continue // ended at a root, or in a tree that is known
		}
		top := i
		for j := parents[i]; j != i; j = parents[j] {
			if v.node(j).ID < v.node(top).ID {
				top = j
			}
		}
		parents[top] = -1
	}
	v.children = make([][]int32, n)
	for i, p := range parents {
		if p >= 0 {
			v.children[p] = append(v.children[p], int32(i))
		}
	}
	for _, i := range v.nodes {
		if parents[i] < 0 {
			v.roots = append(v.roots, i)
		}
	}
}

// A step of a walk through the forest: a node is entered, then its children follow, then it is left.
type step struct {
	node  int
	depth int
	nth   int // among its siblings, from 0
	leave bool
}

// walk visits the trees of the given roots, children in node order.
func (v *view) walk(roots []int) iter.Seq[step] {
	type frame struct{ node, nth, next int }
	return func(yield func(step) bool) {
		var stack []frame
		for nth, root := range roots {
			stack = append(stack[:0], frame{root, nth, 0})
			if !yield(step{root, 0, nth, false}) {
				return
			}
			for len(stack) > 0 {
				top := &stack[len(stack)-1]
				if kids := v.children[top.node]; top.next < len(kids) {
					child := frame{int(kids[top.next]), top.next, 0}
					top.next++
					stack = append(stack, child)
					if !yield(step{child.node, len(stack) - 1, child.nth, false}) {
						return
					}
					continue
				}
				done := *top
				stack = stack[:len(stack)-1]
				if !yield(step{done.node, len(stack), done.nth, true}) {
					return
				}
			}
		}
	}
}

// hierarchyEdges are the links from parent to child, in node order.
func (v *view) hierarchyEdges() iter.Seq[layered.Edge] {
	return func(yield func(layered.Edge) bool) {
		for i, p := range v.parents {
			if p < 0 {
				continue
			}
			parent, child := v.node(p), v.node(i)
			e := layered.Edge{
				ID: parent.ID + "_" + child.ID, Source: parent.ID, Target: child.ID, Layer: parent.Layer, Weight: 1,
			}
			if !yield(e) {
				return
			}
		}
	}
}

// edgeWidth maps weights to line widths from 1 to 6.
func (v *view) edgeWidth() func(weight float64) float64 {
	lo, hi := 0.0, 0.0
	for n, i := range v.edges {
		w := v.edge(i).Weight
		if n == 0 {
			lo, hi = w, w
		}
		lo, hi = min(lo, w), max(hi, w)
	}
	return func(weight float64) float64 {
		if hi <= lo {
			return 1
		}
		return 1 + 5*((weight-lo)/(hi-lo))
	}
}
