package layered

import (
	"fmt"
	"slices"
	"strconv"
)

// The layer that nodes made by LimitWidth belong to.
var aggregatedLayer = Layer{ID: "aggregated", Label: "Aggregated", Background: "222222", Text: "ffffff", Border: "dddddd"}

// LimitWidth replaces the flow children of each partition that has more than width of them by one node with their summed weight.
//
// Without retain all flow children are replaced, edges among them become self-loops, and a partition with more than width
// partition children is left alone together with everything below it. With retain the first width-1 flow children stay, every
// partition is looked at, edges that would become self-loops disappear, and redirected edges that become equal in source, target
// and layer are merged with summed weight. A width below 1 is a BAD_REQUEST.
func LimitWidth(g Graph, width int, retain bool) (Graph, error) {
	if width < 1 {
		return Graph{}, tooSmall("partition width limit", width)
	}
	f := newForest(g.Nodes)
	var groups []group
	if retain {
		threshold := max(width, 2)
		for _, i := range postorder(g.Nodes, f, parentlessNodes(g.Nodes), func(int) bool { return true }) {
			if flow, _ := splitChildren(g.Nodes, f, i); len(flow) > threshold {
				groups = append(groups, group{parent: i, members: flow[width-1:]})
			}
		}
	} else {
		narrow := func(i int) bool { return isNarrow(g.Nodes, f, i, width) }
		for _, i := range postorder(g.Nodes, f, partitionRoots(g.Nodes), narrow) {
			if flow, _ := splitChildren(g.Nodes, f, i); len(flow) > width {
				groups = append(groups, group{parent: i, members: flow})
			}
		}
	}
	if len(groups) == 0 {
		return g, nil
	}
	taken := make(map[string]bool, len(g.Nodes))
	for i := range g.Nodes {
		taken[g.Nodes[i].ID] = true
	}
	merged := make([]Node, len(groups))
	for k, gr := range groups {
		p := g.Nodes[gr.parent]
		n := Node{Layer: aggregatedLayer.ID, BelongsTo: p.ID, Comment: p.Comment}
		if retain {
			n.ID = numberedID(taken, "agg_"+p.ID+"_")
			n.Label = fmt.Sprintf("%s - %d nodes (aggregated)", orElse(p.Label, p.ID), len(gr.members))
		} else {
			n.ID = freeID(taken, "agg_"+p.ID)
			n.Label = fmt.Sprintf("%d nodes (aggregated)", len(gr.members))
		}
		for _, m := range gr.members {
			n.Weight += g.Nodes[m].Weight
		}
		merged[k] = n
	}
	out := replaceGroups(g, f, groups, merged, retain)
	out.Layers = withLayer(g.Layers, aggregatedLayer)
	return out, nil
}

// isNarrow says whether a partition has no more than width partitions in it.
func isNarrow(nodes []Node, f *forest, i, width int) bool {
	_, partitions := splitChildren(nodes, f, i)
	return len(partitions) <= width
}

// tooWide counts the partitions that LimitWidth leaves alone without retain, and returns the ID of the first that it comes to.
func tooWide(g Graph, width int) (first string, n int) {
	f := newForest(g.Nodes)
	postorder(g.Nodes, f, partitionRoots(g.Nodes), func(i int) bool {
		if isNarrow(g.Nodes, f, i, width) {
			return true
		}
		if n++; n == 1 {
			first = g.Nodes[i].ID
		}
		return false
	})
	return first, n
}

// group is a set of nodes that one node replaces.
type group struct {
	parent  int
	members []int
}

// postorder lists the partitions below roots that enter admits, children before parents; it does not look below the others.
func postorder(nodes []Node, f *forest, roots []int, enter func(int) bool) []int {
	// A preorder that visits the last child first is the postorder backwards.
	var order []int
	stack := slices.Clone(roots)
	for len(stack) > 0 {
		i := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if !enter(i) {
			continue
		}
		order = append(order, i)
		for _, c := range f.children(i) {
			if nodes[c].IsPartition {
				stack = append(stack, c)
			}
		}
	}
	slices.Reverse(order)
	return order
}

func splitChildren(nodes []Node, f *forest, i int) (flow, partitions []int) {
	for _, c := range f.children(i) {
		if nodes[c].IsPartition {
			partitions = append(partitions, c)
		} else {
			flow = append(flow, c)
		}
	}
	return flow, partitions
}

// replaceGroups puts one node, appended to the list, in the place of each group. Edge ends and children of the members move to
// it. When tidy, redirected edges do not become self-loops, and those that become equal are merged.
func replaceGroups(g Graph, f *forest, groups []group, merged []Node, tidy bool) Graph {
	moved := make([]string, len(g.Nodes)) // the ID of what replaces a node, or ""
	for k, gr := range groups {
		for _, m := range gr.members {
			moved[m] = merged[k].ID
		}
	}
	redirect := func(id string) (string, bool) {
		if i := f.position(id); i != none && moved[i] != "" {
			return moved[i], true
		}
		return id, false
	}
	out := Graph{Name: g.Name, Layers: g.Layers}
	for i, n := range g.Nodes {
		if moved[i] == "" {
			n.BelongsTo, _ = redirect(n.BelongsTo)
			out.Nodes = append(out.Nodes, n)
		}
	}
	for _, n := range merged {
		n.BelongsTo, _ = redirect(n.BelongsTo)
		out.Nodes = append(out.Nodes, n)
	}

	type key struct{ source, target, layer string }
	seen := make(map[key]int)
	for _, e := range g.Edges {
		var s, t bool
		e.Source, s = redirect(e.Source)
		e.Target, t = redirect(e.Target)
		if tidy && (s || t) {
			if e.Source == e.Target {
				continue
			}
			k := key{e.Source, e.Target, e.Layer}
			if at, ok := seen[k]; ok {
				out.Edges[at].Weight += e.Weight
				continue
			}
			seen[k] = len(out.Edges)
		}
		out.Edges = append(out.Edges, e)
	}
	return out
}

// withLayer returns layers with l appended, unless one of that ID is there.
func withLayer(layers []Layer, l Layer) []Layer {
	if slices.ContainsFunc(layers, func(x Layer) bool { return x.ID == l.ID }) {
		return layers
	}
	return append(slices.Clip(layers), l)
}

// freeID returns id, or id followed by _1, _2, ... when it is taken, and takes it.
func freeID(taken map[string]bool, id string) string {
	if !taken[id] {
		taken[id] = true
		return id
	}
	return numberedID(taken, id+"_")
}

// numberedID returns the first of prefix1, prefix2, ... that is not taken, and takes it.
func numberedID(taken map[string]bool, prefix string) string {
	for n := 1; ; n++ {
		if id := prefix + strconv.Itoa(n); !taken[id] {
			taken[id] = true
			return id
		}
	}
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
