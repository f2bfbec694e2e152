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
	return dropDanglingEdges(keepNodes(g, f, keep))
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

// dropDanglingEdges removes the edges of which an end does not exist.
func dropDanglingEdges(g Graph) Graph {
	index := indexNodes(g.Nodes)
	edges := make([]Edge, 0, len(g.Edges))
	for _, e := range g.Edges {
		_, s := index[e.Source]
		_, t := index[e.Target]
		if s && t {
			edges = append(edges, e)
		}
	}
	g.Edges = edges
	return g
}
