package layered

import "strconv"

// GenerateHierarchy replaces the edges by one edge from each parent to each of its children; with keepFlowEdges the former edges
// follow after them. When more than one node has no parent, a new root partition takes them all, and every other node becomes a
// flow node.
func GenerateHierarchy(g Graph, keepFlowEdges bool) Graph {
	f := newForest(g.Nodes)
	out := Graph{Name: g.Name, Layers: g.Layers, Nodes: append([]Node(nil), g.Nodes...)}
	taken := make(map[string]bool, len(g.Edges))
	if keepFlowEdges {
		for i := range g.Edges {
			taken[g.Edges[i].ID] = true
		}
	}
	for i, p := range f.parent {
		if p == none {
			continue
		}
		parent, child := &g.Nodes[p], &g.Nodes[i]
		id := "hierarchy_edge_" + strconv.Itoa(len(out.Edges)+1) + "_" + child.ID
		out.Edges = append(out.Edges, Edge{
			ID: freeID(taken, id), Source: parent.ID, Target: child.ID, Layer: parent.Layer, Weight: 1,
		})
	}
	if keepFlowEdges {
		out.Edges = append(out.Edges, g.Edges...)
	}
	parentless := 0
	for i := range g.Nodes {
		if g.Nodes[i].BelongsTo == "" {
			parentless++
		}
	}
	if parentless < 2 {
		return out
	}
	ids := make(map[string]bool, len(g.Nodes))
	for i := range g.Nodes {
		ids[g.Nodes[i].ID] = true
	}
	root := Node{ID: freeID(ids, "Hierarchy"), Label: "Hierarchy", Layer: "hierarchy", IsPartition: true}
	for i := range out.Nodes {
		n := &out.Nodes[i]
		n.IsPartition = false
		if n.BelongsTo == "" {
			n.BelongsTo = root.ID
		}
	}
	out.Nodes = append(out.Nodes, root)
	out.Layers = withLayer(g.Layers, Layer{
		ID: "hierarchy", Label: "Hierarchy", Background: "1f2933", Text: "f8fafc", Border: "94a3b8",
	})
	return out
}
