package layered

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"layercake/internal/fault"
)

// Strategy says which elements a merge keeps.
type Strategy string

// The strategies. The zero value is Union.
const (
	Union        Strategy = "Union"        // what is in any input
	Intersection Strategy = "Intersection" // nodes and edges whose IDs are in all inputs
	Difference   Strategy = "Difference"   // nodes and edges of the first input whose IDs are in no other
)

// Resolution says which of several elements with the same ID counts.
type Resolution string

// The resolutions. The zero value is PreferLast.
const (
	PreferLast  Resolution = "PreferLast"
	PreferFirst Resolution = "PreferFirst"
	Manual      Resolution = "Manual" // none: elements that differ are an error
)

// Merge combines graphs; the result has no name. An element keeps the place where its ID occurred first and is taken as a whole
// from the input that the resolution prefers. Layers are always united. Where the strategy removes nodes, their edges go too and
// their children move to the nearest ancestor that stays.
//
// An edge ID with other ends in another place is a BAD_REQUEST that names both, whatever the resolution. With Manual, elements
// that differ are a CONFLICT whose detail "conflicts" lists the first MaxListed. Unknown strategies and resolutions are a BAD_REQUEST. It
// ends with its context.
func Merge(ctx context.Context, inputs []Graph, s Strategy, r Resolution) (Graph, error) {
	if s == "" {
		s = Union
	}
	if r == "" {
		r = PreferLast
	}
	if s != Union && s != Intersection && s != Difference {
		return Graph{}, fault.New(fault.BadRequest, fmt.Sprintf("Unknown merge strategy %q", s))
	}
	if r != PreferLast && r != PreferFirst && r != Manual {
		return Graph{}, fault.New(fault.BadRequest, fmt.Sprintf("Unknown conflict resolution %q", r))
	}
	nodes := newMerger("node", r, func(n *Node) string { return n.ID }, sameNode, nil)
	edges := newMerger("edge", r, func(e *Edge) string { return e.ID }, sameEdge, sameEnds)
	layers := newMerger("layer", r, func(l *Layer) string { return l.ID }, func(a, b *Layer) bool { return *a == *b }, nil)
	for i, g := range inputs {
		err := nodes.add(ctx, i, g.Nodes)
		if err == nil {
			err = layers.add(ctx, i, g.Layers)
		}
		if err == nil {
			err = edges.add(ctx, i, g.Edges)
		}
		if err != nil {
			return Graph{}, err
		}
	}
	conflicts := slices.Concat(nodes.conflicts, edges.conflicts, layers.conflicts)
	if err := conflictError(nodes.total+edges.total+layers.total, conflicts); err != nil {
		return Graph{}, err
	}
	out := Graph{Nodes: nodes.list, Edges: edges.list, Layers: layers.list}
	if s == Union || len(inputs) < 2 {
		return out, nil
	}
	stays := func(in occurrence) bool { return in.inputs == len(inputs) }
	if s == Difference {
		stays = func(in occurrence) bool { return in.inputs == 1 && in.first == 0 }
	}
	keep := make([]bool, len(out.Nodes))
	for i := range out.Nodes {
		keep[i] = stays(nodes.in[i])
	}
	kept := make([]Edge, 0, len(out.Edges))
	for i, e := range out.Edges {
		if stays(edges.in[i]) {
			kept = append(kept, e)
		}
	}
	f := newForest(out.Nodes)
	out.Edges = kept
	out = keepNodes(out, f, keep)
	out.Edges = withoutLostEnds(out.Edges, f, keep)
	return out, nil
}

// merger merges the elements of one kind.
type merger[T any] struct {
	kind      string
	resolve   Resolution
	id        func(*T) string
	same      func(a, b *T) bool
	clash     func(former, e *T) error // refuses two elements that cannot be one; nil refuses none
	at        map[string]int           // ID to position in list
	list      []T
	in        []occurrence // of each element
	conflicts []string     // the first MaxListed
	total     int          // of all
}

// occurrence is where an element occurs.
type occurrence struct {
	first, last int // inputs
	inputs      int // how many
}

func newMerger[T any](
	kind string, r Resolution, id func(*T) string, same func(a, b *T) bool, clash func(former, e *T) error,
) *merger[T] {
	return &merger[T]{kind: kind, resolve: r, id: id, same: same, clash: clash, at: make(map[string]int)}
}

func (m *merger[T]) add(ctx context.Context, input int, elements []T) error {
	if len(m.list) == 0 && len(elements) > 0 { // most merges are of different kinds: the first input of a kind is all there is
		m.at = make(map[string]int, len(elements))
		m.list, m.in = make([]T, 0, len(elements)), make([]occurrence, 0, len(elements))
	}
	for i := range elements {
		if err := ended(ctx, i); err != nil {
			return err
		}
		e := &elements[i]
		at, ok := m.at[m.id(e)]
		if !ok {
			m.at[m.id(e)] = len(m.list)
			m.list = append(m.list, *e)
			m.in = append(m.in, occurrence{first: input, last: input, inputs: 1})
			continue
		}
		if m.clash != nil {
			if err := m.clash(&m.list[at], e); err != nil {
				return err
			}
		}
		if in := &m.in[at]; in.last != input {
			in.last = input
			in.inputs++
		}
		switch m.resolve {
		case PreferLast:
			m.list[at] = *e
		case Manual:
			if m.same(&m.list[at], e) {
				continue
			}
			if m.total++; m.total <= MaxListed {
				m.conflicts = append(m.conflicts, fmt.Sprintf("%s %q differs between input %d and input %d",
					m.kind, m.id(e), m.in[at].first+1, input+1))
			}
		}
	}
	return nil
}

func sameNode(a, b *Node) bool {
	x, y := *a, *b
	x.Attrs, y.Attrs = CanonicalAttrs(a.Attrs), CanonicalAttrs(b.Attrs)
	return reflect.DeepEqual(x, y)
}

func sameEdge(a, b *Edge) bool {
	x, y := *a, *b
	x.Attrs, y.Attrs = CanonicalAttrs(a.Attrs), CanonicalAttrs(b.Attrs)
	return reflect.DeepEqual(x, y)
}

// sameEnds refuses an edge whose ID stands for an edge with other ends already.
func sameEnds(former, e *Edge) error {
	if former.Source == e.Source && former.Target == e.Target {
		return nil
	}
	return fault.New(fault.BadRequest, fmt.Sprintf("Edge id %q stands for two edges: from %q to %q, and from %q to %q",
		e.ID, former.Source, former.Target, e.Source, e.Target))
}

func conflictError(total int, listed []string) error {
	if total == 0 {
		return nil
	}
	const shown = 3
	message := fmt.Sprintf("The inputs conflict in %d places: %s", total, strings.Join(listed[:min(shown, len(listed))], "; "))
	if total > shown {
		message += "; ..."
	}
	return fault.New(fault.Conflict, message).With("conflicts", listed[:min(MaxListed, len(listed))])
}
