package layered

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"layercake/internal/fault"
)

// MaxPathSteps is how many edges Paths follows before it gives up: the number of paths can be exponential in the size of the graph. It
// looks at a hundred times as many that it does not follow.
const MaxPathSteps = 100_000

// FoundPaths are ways through a graph.
type FoundPaths struct {
	Paths     [][]string `json:"paths"`     // IDs of nodes
	Truncated bool       `json:"truncated"` // whether there may be more
}

// Paths returns the paths from one node to another along the direction of flow edges that visit no node twice: the shortest first, those
// of equal length by the IDs along them. It returns at most maxPaths, of at most maxLength edges. An unknown node is NOT_FOUND, and a bound
// below 1 a BAD_REQUEST. It ends with its context.
func Paths(ctx context.Context, g Graph, from, to string, maxPaths, maxLength int) (FoundPaths, error) {
	if maxPaths < 1 {
		return FoundPaths{}, tooSmall("number of paths", maxPaths)
	}
	if maxLength < 1 {
		return FoundPaths{}, tooSmall("length of paths", maxLength)
	}
	f := newFlow(g)
	for _, id := range []string{from, to} {
		if _, ok := f.index[id]; !ok {
			return FoundPaths{}, fault.New(fault.NotFound, fmt.Sprintf("The graph has no node %.100q", id))
		}
	}
	s := pathSearch{
		ctx: ctx, graph: g, flow: f, target: f.index[to], maxPaths: maxPaths,
		distance: f.distances(f.index[to], len(g.Nodes)), onPath: make(map[int]bool), ends: make(map[int][]int),
		found: FoundPaths{Paths: [][]string{}},
	}
	// Each round looks for the paths of one length, and leaves out what cannot arrive within it: the shortest paths are found without
	// looking at longer ones.
	start := f.index[from]
	for s.length = s.distance[start]; s.length != none && s.length <= maxLength; s.length++ {
		s.longer = false
		s.walk(start)
		if s.err != nil {
			return FoundPaths{}, s.err
		}
		if s.found.Truncated || !s.longer {
			break
		}
	}
	return s.found, nil
}

// distances returns how many edges lead from each node to a target at least, or none.
func (f *flow) distances(target, nodes int) []int {
	arriving := make([][]int, nodes)
	for i := range nodes {
		for _, k := range f.next(i) {
			arriving[k] = append(arriving[k], i)
		}
	}
	distance := slices.Repeat([]int{none}, nodes)
	distance[target] = 0
	for queue := []int{target}; len(queue) > 0; queue = queue[1:] {
		for _, i := range arriving[queue[0]] {
			if distance[i] == none {
				distance[i] = distance[queue[0]] + 1
				queue = append(queue, i)
			}
		}
	}
	return distance
}

// pathSearch looks for the paths of one length.
type pathSearch struct {
	ctx      context.Context //nolint:containedctx // of the one call that the search lives in
	graph    Graph
	flow     *flow
	target   int
	distance []int // to the target
	maxPaths int
	length   int
	path     []int
	onPath   map[int]bool
	ends     map[int][]int // where the edges of a node lead, as endsOf returns it
	steps    int           // edges that were followed
	looks    int           // edges that were looked at
	longer   bool          // a node was left out because no path through it arrives within the length
	found    FoundPaths
	err      error
}

// walk goes on from a node. Its depth is that of the path.
func (s *pathSearch) walk(i int) {
	s.path, s.onPath[i] = append(s.path, i), true
	defer func() { s.path, s.onPath[i] = s.path[:len(s.path)-1], false }()
	if i == s.target {
		s.arrive()
		return
	}
	for _, k := range s.endsOf(i) {
		s.looks++
		follow := !s.onPath[k]
		if follow && len(s.path)+s.distance[k] > s.length {
			follow, s.longer = false, true
		}
		if follow {
			s.steps++
		}
		s.found.Truncated = s.steps > MaxPathSteps || s.looks > 100*MaxPathSteps
		if s.err = ended(s.ctx, s.looks); s.err != nil || s.found.Truncated {
			return
		}
		if !follow {
			continue
		}
		s.walk(k)
		if s.err != nil || s.found.Truncated {
			return
		}
	}
}

// arrive keeps the path, unless an earlier round has.
func (s *pathSearch) arrive() {
	switch {
	case len(s.path)-1 != s.length:
		return
	case len(s.found.Paths) == s.maxPaths:
		s.found.Truncated = true
		return
	}
	ids := make([]string, len(s.path))
	for n, i := range s.path {
		ids[n] = s.graph.Nodes[i].ID
	}
	s.found.Paths = append(s.found.Paths, ids)
}

// endsOf returns where the edges of a node lead that lead to the target in the end: each node once, sorted by ID.
func (s *pathSearch) endsOf(i int) []int {
	ends, ok := s.ends[i]
	if !ok {
		ends = slices.DeleteFunc(slices.Clone(s.flow.next(i)), func(k int) bool { return s.distance[k] == none })
		slices.SortFunc(ends, func(a, b int) int { return cmp.Compare(s.graph.Nodes[a].ID, s.graph.Nodes[b].ID) })
		ends = slices.Compact(ends)
		s.ends[i] = ends
	}
	return ends
}
