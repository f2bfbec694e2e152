package layered

// DropUnconnected removes the nodes that no edge touches, and edges that lack an end. With excludePartitions, partitions and
// every node that has children stay. Children of a removed node move to its nearest ancestor that stays.
func DropUnconnected(g Graph, excludePartitions bool) Graph {
	f := newForest(g.Nodes)
	keep := make([]bool, len(g.Nodes))
	for i := range g.Edges {
		if s := f.position(g.Edges[i].Source); s != none {
			keep[s] = true
		}
		if t := f.position(g.Edges[i].Target); t != none {
			keep[t] = true
		}
	}
	if excludePartitions {
		for i := range g.Nodes {
			keep[i] = keep[i] || g.Nodes[i].IsPartition || len(f.children(i)) > 0
		}
	}
	g.Edges = withoutDangling(g.Edges, f) // a connected node is never dropped: no other edge loses an end
	return keepNodes(g, f, keep)
}

// keepNodes removes the nodes that keep does not mark. Their children move to the nearest ancestor that stays, or become
// parentless. A parent that did not exist before is left as it is. Edges are left as they are.
func keepNodes(g Graph, f *forest, keep []bool) Graph {
	const unknown = -2
	heir := make([]int, len(g.Nodes)) // the nearest ancestor that stays, for removed nodes
	for i := range heir {
		heir[i] = unknown
	}
	var path []int
	find := func(i int) int {
		path = path[:0]
		for i != none && !keep[i] && heir[i] == unknown {
			heir[i] = none // also ends the walk round a cycle
			path = append(path, i)
			i = f.parent[i]
		}
		if i != none && !keep[i] {
			i = heir[i]
		}
		for _, p := range path {
			heir[p] = i
		}
		return i
	}
	out := Graph{Name: g.Name, Edges: g.Edges, Layers: g.Layers, Nodes: make([]Node, 0, len(g.Nodes))}
	for i, n := range g.Nodes {
		if !keep[i] {
			continue
		}
		if p := f.parent[i]; p != none && !keep[p] {
			if a := find(p); a != none {
				n.BelongsTo = g.Nodes[a].ID
			} else {
				n.BelongsTo = ""
			}
		}
		out.Nodes = append(out.Nodes, n)
	}
	return out
}

// withoutLostEnds returns the edges whose ends keep marks. An end that did not exist before does not count.
func withoutLostEnds(edges []Edge, f *forest, keep []bool) []Edge {
	lost := func(id string) bool {
		i := f.position(id)
		return i != none && !keep[i]
	}
	out := make([]Edge, 0, len(edges))
	for _, e := range edges {
		if !lost(e.Source) && !lost(e.Target) {
			out = append(out, e)
		}
	}
	return out
}

// withoutDangling returns the edges whose ends both exist.
func withoutDangling(edges []Edge, f *forest) []Edge {
	out := make([]Edge, 0, len(edges))
	for _, e := range edges {
		if f.position(e.Source) != none && f.position(e.Target) != none {
			out = append(out, e)
		}
	}
	return out
}
