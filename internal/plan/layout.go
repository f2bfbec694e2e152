package plan

import (
	"math"
	"slices"
)

// Distances between nodes on the canvas, in its units.
const (
	columnGap = 200
	rowGap    = 150
)

// layout says where the nodes go that one request adds. It is by id, and holds their inputs, too.
//
// A node that is given a place goes there. Another one goes one column right of its inputs, the nodes that edges of the same request lead
// into it from: right of the rightmost, in the middle of their heights, and one row lower for each edge that leaves one of them already.
// One without inputs goes one row below the node that was added last, or into the origin of an empty plan. It then moves down until it
// covers no other node that the request has added. What else is in the plan is not looked at.
type layout map[string]*placing

// placing is what a request says of a node.
type placing struct {
	added  bool
	at     *Position // as given; nil to be found
	inputs []string
}

// add notes what an operation says of places.
func (l layout) add(o operation) {
	switch o.Op {
	case "add_node":
		p := l.of(o.ID)
		p.added, p.at = true, o.position()
	case "add_edge":
		if p := l.of(o.Target); !slices.Contains(p.inputs, o.Source) {
			p.inputs = append(p.inputs, o.Source)
		}
	}
}

func (l layout) of(id string) *placing {
	if l[id] == nil {
		l[id] = new(placing)
	}
	return l[id]
}

// placeNode adds a node where the layout says.
type placeNode struct {
	node   Node
	layout layout
}

func (e placeNode) reads(r *reads) {
	r.nodes[e.node.ID] = true
	r.source([]byte(e.node.Config))
	if e.layout[e.node.ID].at != nil {
		return
	}
	r.lastNode = true
	for _, input := range e.layout[e.node.ID].inputs {
		r.nodes[input], r.edgesOf[input] = true, true
	}
}

func (e placeNode) apply(d *draft) error {
	e.node.Position = e.layout.place(d, e.node.ID)
	d.named = append(d.named, e.node.ID)
	return d.addNode(e.node)
}

// place returns where a node goes that the request adds, and remembers it. The nodes that wait for it to be placed are none of its inputs:
// they are on a cycle, which the rules refuse.
func (l layout) place(d *draft, id string, waiting ...string) Position {
	if at, done := d.placed[id]; done {
		return at
	}
	var at Position
	if given := l[id].at; given != nil {
		at = *given
	} else {
		right, ok := l.rightOfInputs(d, id, append(waiting, id))
		if !ok {
			right = d.belowLast()
		}
		at = d.uncovered(right)
	}
	if d.placed == nil {
		d.placed = make(map[string]Position)
	}
	d.placed[id] = at
	return at
}

// rightOfInputs returns the place one column right of a node's inputs, or false when none has a place. For an input that the request adds
// later the place is found first.
func (l layout) rightOfInputs(d *draft, id string, waiting []string) (at Position, ok bool) {
	var right, height float64
	n, row := 0, 0
	for _, input := range l[id].inputs {
		var from Position
		stored, added := d.nodes.get(input), l[input] != nil && l[input].added
		switch {
		case stored != nil:
			from = stored.Position
		case added && !slices.Contains(waiting, input):
			from = l.place(d, input, waiting...)
		default:
			continue
		}
		if right = max(right, from.X); n == 0 {
			right = from.X
		}
		height += from.Y
		row = max(row, len(d.links.out[input]))
		n++
	}
	if n == 0 {
		return Position{}, false
	}
	return Position{X: right + columnGap, Y: height/float64(n) + float64(row*rowGap)}, true
}

// belowLast returns the place one row below the last node.
func (d *draft) belowLast() Position {
	var last *item[Node]
	for _, i := range d.nodes.items {
		if i.now != nil && (last == nil || i.ordinal > last.ordinal) {
			last = i
		}
	}
	if last == nil {
		return Position{}
	}
	return Position{X: last.now.Position.X, Y: last.now.Position.Y + rowGap}
}

// uncovered moves a place down until it is free of the nodes that the request has added.
func (d *draft) uncovered(at Position) Position {
	var column []float64
	for _, p := range d.placed {
		if math.Abs(p.X-at.X) < columnGap {
			column = append(column, p.Y)
		}
	}
	slices.Sort(column)
	for _, y := range column {
		if math.Abs(y-at.Y) < rowGap {
			at.Y = y + rowGap
		}
	}
	return Position{X: min(at.X, maxPositionValue), Y: min(at.Y, maxPositionValue)}
}
