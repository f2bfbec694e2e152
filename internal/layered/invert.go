package layered

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"layercake/internal/fault"
)

// MaxInvertedEdges is how many edges Invert may make: their number is quadratic in the degree of nodes.
const MaxInvertedEdges = 5_000_000

// MaxInvertedBytes is how long the IDs of these edges may be together: each has those of two nodes, which have those of two others.
const MaxInvertedBytes = 512 << 20

// invertedRoot is the ID and the layer of the one partition of an inverted graph.
const invertedRoot = "inverted_root"

// Invert returns the line graph: each edge becomes a flow node, and two of these are joined when their edges met at a node. A
// single root partition holds them all. Of parallel edges the last one stands for all. It is a BAD_REQUEST when the result would
// have more than MaxInvertedEdges edges or MaxInvertedBytes of IDs; nothing is built then. It ends with its context.
func Invert(ctx context.Context, g Graph) (Graph, error) {
	index := indexNodes(g.Nodes)
	incident := incidence(g, index)
	total, size := 0, 0
	for i := range g.Nodes {
		degree := incident.degree(i)
		total += degree * (degree - 1) / 2
		for _, k := range incident.edges(i) { // each is the first or second part of an ID as often as there are others
			const rest = 16 // what stands around the IDs of the ends: separators and numbers
			e := &g.Edges[k]
			size += (degree - 1) * (len(e.Source) + len(e.Target) + rest)
		}
	}
	if total > MaxInvertedEdges {
		return Graph{}, fault.New(fault.BadRequest, fmt.Sprintf(
			"Inverting this graph would make %d edges; the limit is %d", total, MaxInvertedEdges))
	}
	if size > MaxInvertedBytes {
		return Graph{}, fault.New(fault.BadRequest, fmt.Sprintf(
			"Inverting this graph would make %d edges with about %d bytes of ids; the limit is %d", total, size, MaxInvertedBytes))
	}

	out := Graph{Name: "Inverted " + g.Name, Layers: slices.Clip(g.Layers)}
	out.Nodes = make([]Node, 0, len(g.Edges)+1)
	out.Nodes = append(out.Nodes, Node{ID: invertedRoot, Label: "Root", Layer: invertedRoot, IsPartition: true})
	type ends struct{ source, target string }
	standIn := make(map[ends]string, len(g.Edges)) // the node that stands for all edges with these ends
	for i, e := range g.Edges {
		if err := ended(ctx, i); err != nil {
			return Graph{}, err
		}
		n := Node{
			ID:        "n_" + e.Source + "_" + e.Target + "_" + strconv.Itoa(i),
			Label:     orElse(e.Label, e.Source+" -> "+e.Target),
			Layer:     e.Layer,
			BelongsTo: invertedRoot,
			Weight:    e.Weight,
			Comment:   e.Comment,
			Attrs:     e.Attrs,
		}
		standIn[ends{e.Source, e.Target}] = n.ID
		out.Nodes = append(out.Nodes, n)
	}
	out.Edges = make([]Edge, 0, total)
	for i, n := range g.Nodes {
		edges := incident.edges(i)
		for a, first := range edges {
			for _, second := range edges[a+1:] {
				if err := ended(ctx, len(out.Edges)); err != nil {
					return Graph{}, err
				}
				e := Edge{
					Source: standIn[ends{g.Edges[first].Source, g.Edges[first].Target}],
					Target: standIn[ends{g.Edges[second].Source, g.Edges[second].Target}],
					Layer:  n.Layer,
					Weight: 1,
				}
				e.ID = e.Source + "_" + e.Target + "_" + strconv.Itoa(len(out.Edges))
				out.Edges = append(out.Edges, e)
			}
		}
	}
	out.Layers = withUsedLayers(out)
	return out, nil
}

// ReverseEdges swaps source and target of every edge.
func ReverseEdges(g Graph) Graph {
	g.Edges = slices.Clone(g.Edges)
	for i := range g.Edges {
		e := &g.Edges[i]
		e.Source, e.Target = e.Target, e.Source
	}
	return g
}

// incidences lists for each node the edges that touch it, in edge order; a self-loop is listed once.
type incidences struct {
	first []int
	list  []int
}

func (in *incidences) edges(i int) []int { return in.list[in.first[i]:in.first[i+1]] }
func (in *incidences) degree(i int) int  { return in.first[i+1] - in.first[i] }

func incidence(g Graph, index map[string]int) *incidences {
	in := &incidences{first: make([]int, len(g.Nodes)+1)}
	visit := func(do func(node, edge int)) {
		for k := range g.Edges {
			e := &g.Edges[k]
			if s, ok := index[e.Source]; ok {
				do(s, k)
			}
			if t, ok := index[e.Target]; ok && e.Source != e.Target {
				do(t, k)
			}
		}
	}
	visit(func(node, _ int) { in.first[node+1]++ })
	for i := range g.Nodes {
		in.first[i+1] += in.first[i]
	}
	in.list = make([]int, in.first[len(g.Nodes)])
	next := slices.Clone(in.first)
	visit(func(node, edge int) {
		in.list[next[node]] = edge
		next[node]++
	})
	return in
}

// withUsedLayers returns the layers of g with a plain one added for each that its elements name but that is missing.
func withUsedLayers(g Graph) []Layer {
	known := make(map[string]bool, len(g.Layers))
	for _, l := range g.Layers {
		known[l.ID] = true
	}
	layers := slices.Clip(g.Layers)
	add := func(id string) {
		if known[id] {
			return
		}
		known[id] = true
		layers = append(layers, Layer{ID: id, Label: id, Background: "222222", Text: "ffffff", Border: "dddddd"})
	}
	for i := range g.Nodes {
		add(g.Nodes[i].Layer)
	}
	for i := range g.Edges {
		add(g.Edges[i].Layer)
	}
	return layers
}
