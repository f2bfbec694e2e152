package layered

import (
	"fmt"

	"layercake/internal/fault"
)

// LimitDepth cuts the hierarchy at a level, counted from the root partitions (level 0). Each node at that level becomes a flow
// node, absorbs its whole subtree and weighs as much as all of it; edge ends move with the nodes. An edge inside one absorbed
// subtree disappears, unless it was a self-loop of the absorbing node itself. Nodes outside every root's tree stay as they are.
// A depth below 1 is a BAD_REQUEST.
func LimitDepth(g Graph, depth int) (Graph, error) {
	if depth < 1 {
		return Graph{}, tooSmall("partition depth limit", depth)
	}
	f := newForest(g.Nodes)
	absorber := make([]int, len(g.Nodes)) // who a node becomes part of: itself when it stays
	cut := make([]bool, len(g.Nodes))     // nodes at the level, which absorb
	for i := range absorber {
		absorber[i] = i
	}
	generation := partitionRoots(g.Nodes)
	for level := 0; len(generation) > 0; level++ {
		var next []int
		for _, i := range generation {
			switch {
			case level == depth:
				cut[i] = true
			case level > depth:
				absorber[i] = absorber[f.parent[i]]
			}
			next = append(next, f.children(i)...)
		}
		generation = next
	}

	out := Graph{Name: g.Name, Layers: g.Layers}
	place := make([]int, len(g.Nodes)) // position in out.Nodes of the nodes that stay
	for i, n := range g.Nodes {
		if absorber[i] != i {
			continue
		}
		if cut[i] {
			n.IsPartition = false
			n.Weight = 0 // summed below, together with its subtree
		}
		place[i] = len(out.Nodes)
		out.Nodes = append(out.Nodes, n)
	}
	for i := range g.Nodes {
		if a := absorber[i]; cut[a] {
			out.Nodes[place[a]].Weight += g.Nodes[i].Weight
		}
	}
	for _, e := range g.Edges {
		s, t := f.position(e.Source), f.position(e.Target)
		if s != none && t != none && absorber[s] == absorber[t] && (s != t || s != absorber[s]) {
			continue
		}
		if s != none {
			e.Source = g.Nodes[absorber[s]].ID
		}
		if t != none {
			e.Target = g.Nodes[absorber[t]].ID
		}
		out.Edges = append(out.Edges, e)
	}
	return out, nil
}

func tooSmall(what string, value int) error {
	return fault.New(fault.BadRequest, fmt.Sprintf("The %s must be at least 1, not %d", what, value))
}
