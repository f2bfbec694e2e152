package layered

// AggregateEdges keeps one edge per source and target, the first, with the weight of all of them.
func AggregateEdges(g Graph) Graph {
	type ends struct{ source, target string }
	at := make(map[ends]int, len(g.Edges))
	out := make([]Edge, 0, len(g.Edges))
	for _, e := range g.Edges {
		k := ends{e.Source, e.Target}
		if i, ok := at[k]; ok {
			out[i].Weight += e.Weight
			continue
		}
		at[k] = len(out)
		out = append(out, e)
	}
	g.Edges = out
	return g
}
