package layered

import (
	"container/heap"
	"context"
	"fmt"
	"slices"
	"strings"

	"layercake/internal/fault"
)

// DefaultThreshold is how many nodes AggregateLayers asks for when nothing else is said.
const DefaultThreshold = 3

// MaxAggregationWork is how many nodes and edges AggregateLayers may visit, over all its rounds. Most graphs need some tens of
// rounds, but a chain in which each replacement is what makes the next one possible needs as many as it has links.
const MaxAggregationWork = 30_000_000

// AggregateLayers replaces flow nodes of one parent and one layer that share a neighbour of another layer by one node with their
// summed weight, wherever at least threshold of them do, largest sets first, until there is nothing left to replace. Edges move
// to the new node; those that become equal in source, target and layer are merged. A threshold below 1 is a BAD_REQUEST, and so
// is a graph that takes more than MaxAggregationWork. It ends with its context.
func AggregateLayers(ctx context.Context, g Graph, threshold int) (Graph, error) {
	return aggregateLayers(ctx, g, threshold, MaxAggregationWork)
}

func aggregateLayers(ctx context.Context, g Graph, threshold, maxWork int) (Graph, error) {
	if threshold < 1 {
		return Graph{}, fault.New(fault.BadRequest, fmt.Sprintf(
			"The layer connections threshold must be at least 1, not %d", threshold))
	}
	threshold = max(threshold, 2) // replacing one node by one node would never end
	taken := make(map[string]bool, len(g.Nodes))
	for i := range g.Nodes {
		taken[g.Nodes[i].ID] = true
	}
	for work, round := 0, 1; ; round++ {
		if work += len(g.Nodes) + len(g.Edges); work > maxWork {
			return Graph{}, fault.New(fault.BadRequest, fmt.Sprintf(
				"Aggregating this graph by layer takes more than %d rounds over its nodes and edges; the limit is %d visits in all",
				round-1, maxWork))
		}
		next, changed, err := aggregateRound(ctx, g, threshold, taken)
		if err != nil {
			return Graph{}, err
		}
		if !changed {
			return g, nil
		}
		g = next
	}
}

// cohort is the flow nodes of one parent and one layer.
type cohort struct{ parent, layer string }

// aggregateRound looks at each cohort once, with the neighbours that the graph had at the start of the round. A node that was
// replaced in this round is out of it until the next: its edges are known anew only then.
func aggregateRound(ctx context.Context, g Graph, threshold int, taken map[string]bool) (Graph, bool, error) {
	if err := context.Cause(ctx); err != nil {
		return Graph{}, false, err
	}
	f := newForest(g.Nodes)
	touching := incidence(g, f.index)
	members := make(map[cohort][]int)
	var cohorts []cohort
	for i := range g.Nodes {
		if n := &g.Nodes[i]; !n.IsPartition && strings.TrimSpace(n.Layer) != "" {
			c := cohort{n.BelongsTo, n.Layer}
			if members[c] == nil {
				cohorts = append(cohorts, c)
			}
			members[c] = append(members[c], i)
		}
	}
	gone := make([]bool, len(g.Nodes))
	var groups []group
	var merged []Node
	for _, c := range cohorts {
		if err := context.Cause(ctx); err != nil {
			return Graph{}, false, err
		}
		if len(members[c]) < threshold {
			continue
		}
		for _, set := range sharedNeighbours(g, f, touching, members[c], gone, threshold) {
			groups = append(groups, group{members: set})
			n := Node{
				Label:     fmt.Sprintf("%s agg(%d)", c.layer, len(set)),
				Layer:     c.layer,
				BelongsTo: c.parent,
			}
			if c.parent == "" {
				n.ID = numberedID(taken, "agg_layer_"+c.layer+"_")
			} else {
				n.ID = numberedID(taken, "agg_"+c.parent+"_")
			}
			for _, i := range set {
				n.Weight += g.Nodes[i].Weight
			}
			merged = append(merged, n)
		}
	}
	if len(groups) == 0 {
		return g, false, nil
	}
	return replaceGroups(g, f, groups, merged, true), true, nil
}

// sharedNeighbours returns disjoint sets of at least threshold members that share a neighbour of another layer, and marks their nodes as
// gone. The largest set comes first; of equal ones, the set of the first neighbour in node order.
func sharedNeighbours(g Graph, f *forest, touching *incidences, members []int, gone []bool, threshold int) [][]int {
	queue := &bySize{}
	for hub, set := range membersAround(g, f, touching, members, gone) {
		if len(set) >= threshold {
			heap.Push(queue, shared{hub: hub, members: set})
		}
	}
	var sets [][]int
	for queue.Len() > 0 {
		s := heap.Pop(queue).(shared)
		live := slices.DeleteFunc(slices.Clone(s.members), func(m int) bool { return gone[m] })
		switch {
		case len(live) < threshold:
		case len(live) < len(s.members): // an earlier set took some: this one waits for its turn again
			heap.Push(queue, shared{hub: s.hub, members: live})
		default:
			for _, m := range live {
				gone[m] = true
			}
			sets = append(sets, live)
		}
	}
	return sets
}

// membersAround returns, by neighbour of another layer, the members that touch it, in their order.
func membersAround(g Graph, f *forest, touching *incidences, members []int, gone []bool) map[int][]int {
	around := make(map[int][]int)
	for _, m := range members {
		for _, k := range touching.edges(m) {
			other := f.position(g.Edges[k].Source)
			if other == m {
				other = f.position(g.Edges[k].Target)
			}
			if other == none || gone[other] || g.Nodes[other].Layer == g.Nodes[m].Layer {
				continue
			}
			if set := around[other]; len(set) == 0 || set[len(set)-1] != m {
				around[other] = append(set, m)
			}
		}
	}
	return around
}

// shared is a node with the members of a cohort around it.
type shared struct {
	hub     int
	members []int
}

type bySize []shared

func (q bySize) Len() int      { return len(q) }
func (q bySize) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q bySize) Less(i, j int) bool {
	if len(q[i].members) != len(q[j].members) {
		return len(q[i].members) > len(q[j].members)
	}
	return q[i].hub < q[j].hub
}
func (q *bySize) Push(x any) { *q = append(*q, x.(shared)) }
func (q *bySize) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}
