package ingest

import (
	"hash/maphash"
	"io"
	"slices"
	"strings"

	"layercake/internal/layered"
)

// Result is what a file holds. Graph has the elements of its kind in file order, without a name. Warnings are what Read accepted
// although it is likely to be wrong: a weight that is not a number (it counts as 1 and stays in Attrs), an ID that is missing or
// occurs twice.
type Result struct {
	Graph    layered.Graph
	Warnings Problems
}

// Read reads a file of this format and kind. Values are trimmed; blanks and the text null are none; a weight that is not given
// is 1. Memory grows with the graph, not with the text. A file with bad rows is refused as a whole with an *Error that reports
// them all; a pair that Allowed refuses is a BAD_REQUEST; an error of r comes back wrapped.
func Read(r io.Reader, f Format, k Kind, limits Limits) (Result, error) {
	return ReadRows(r, f, k, limits, 0)
}

// ReadRows is Read for a table that is known to have so many rows. A list that grows to a million elements is copied again and again: that
// is five times its memory, for the collector to find. With another number of rows only that is lost.
func ReadRows(r io.Reader, f Format, k Kind, limits Limits, rows int) (Result, error) {
	if err := Allowed(f, k); err != nil {
		return Result{}, err
	}
	b := newBuilder(limits)
	b.strings = newInterner()
	switch {
	case rows == 0 || f == JSON:
	case k == Nodes:
		b.result.Graph.Nodes = make([]layered.Node, 0, rows)
	case k == Edges:
		b.result.Graph.Edges = make([]layered.Edge, 0, rows)
	}
	if f != JSON {
		b.expected = rows
	}
	if err := b.read(r, f, k); err != nil {
		return Result{}, err
	}
	fit(&b.result.Graph)
	return b.result, nil
}

// fit gives back the room that lists have left from growing, up to a quarter of them.
func fit(g *layered.Graph) {
	g.Nodes, g.Edges = fitted(g.Nodes), fitted(g.Edges)
}

func fitted[T any](list []T) []T {
	if cap(list)-len(list) <= len(list)/16 {
		return list
	}
	return slices.Clone(list)
}

func newBuilder(limits Limits) *builder { return &builder{limits: limits, seed: maphash.MakeSeed()} }

// read reads a whole file.
func (b *builder) read(r io.Reader, f Format, k Kind) error {
	var err error
	if f == JSON {
		err = b.readJSON(r)
	} else {
		err = b.readTable(r, f, k)
	}
	if err == nil {
		err = b.problems.err()
	}
	return err
}

// builder turns the values of a file into elements.
type builder struct {
	limits   Limits
	strings  *interner
	row      int              // of the element in hand
	fields   map[string]field // of the kind in hand
	seen     hashes           // of the IDs of the kind in hand
	expected int              // rows; 0 when that is not known
	seed     maphash.Seed     // of these hashes
	names    []string         // keys of the last JSON object, sorted
	columns  []column         // what they mean, or those of the table
	marks    []int64          // where each RowsPerMark-th row of the table begins
	attrs    attrs            // of the element in hand
	take     func(k Kind)     // takes each element out of the graph when it is complete; nil keeps them
	full     func() bool      // reports that no more rows are needed; nil needs all
	problems Problems
	result   Result
}

// begin starts with the elements of one kind.
func (b *builder) begin(k Kind) {
	b.fields, b.seen = fieldsOf(k), hashesFor(b.expected)
	b.names, b.columns = nil, nil
}

// node gives n the value v of a column.
func (b *builder) node(n *layered.Node, c column, v string) {
	switch c.field {
	case fieldID:
		n.ID = b.strings.id(b.id(c, v))
	case fieldLabel:
		n.Label = b.label(c, v)
	case fieldLayer:
		n.Layer = b.strings.reference(b.id(c, unlessNull(v)))
	case fieldParent:
		n.BelongsTo = b.strings.reference(b.id(c, unlessNull(v)))
	case fieldComment:
		n.Comment = b.value(c, unlessNull(v))
	case fieldWeight:
		n.Weight = b.weight(c, v)
	case fieldPartition:
		var ok bool
		if n.IsPartition, ok = parseBool(v); !ok && unlessNull(v) != "" {
			b.result.Warnings.add(b.row, c.name, notTrueOrFalse, v)
			b.attr(c, v)
		}
	case fieldX, fieldY:
		if x, ok := parseNumber(v); ok {
			b.attrs.add(c.name, x)
			return
		}
		if unlessNull(v) != "" {
			b.result.Warnings.add(b.row, c.name, "%.100q is not a number", v)
			b.attr(c, v)
		}
	default:
		b.attr(c, v)
	}
}

// edge gives e the value v of a column.
func (b *builder) edge(e *layered.Edge, c column, v string) {
	switch c.field {
	case fieldID:
		e.ID = b.strings.id(b.id(c, v))
	case fieldSource:
		e.Source = b.strings.reference(b.id(c, v))
	case fieldTarget:
		e.Target = b.strings.reference(b.id(c, v))
	case fieldLabel:
		e.Label = b.label(c, v)
	case fieldLayer:
		e.Layer = b.strings.reference(b.id(c, unlessNull(v)))
	case fieldComment:
		e.Comment = b.value(c, unlessNull(v))
	case fieldWeight:
		e.Weight = b.weight(c, v)
	default:
		b.attr(c, v)
	}
}

// layer gives l the value v of a column. Of several columns that mean the same the last one with a value counts.
func (b *builder) layer(l *layered.Layer, c column, v string) {
	if v == "" {
		return
	}
	switch c.field {
	case fieldID:
		l.ID = b.strings.id(b.id(c, v))
	case fieldLabel:
		l.Label = b.label(c, v)
	case fieldBackground:
		l.Background = b.colour(c, v)
	case fieldBorder:
		l.Border = b.colour(c, v)
	case fieldText:
		l.Text = b.colour(c, v)
	}
}

// endLayer gives a layer without a label its ID as one.
func (b *builder) endLayer(l *layered.Layer) {
	if l.Label == "" {
		l.Label = l.ID
	}
	b.identified(Layers, l.ID)
}

// identified warns about an element whose ID is missing or not the first of its kind.
func (b *builder) identified(k Kind, id string) {
	added := b.seen.add(maphash.String(b.seed, id))
	switch {
	case id == "":
		b.result.Warnings.add(b.row, "id", "one of the %s has no id", k)
	case !added:
		b.result.Warnings.add(b.row, "id", "%.100q occurs more than once among the %s", id, k)
	}
}

// end hands over the element that was added last.
func (b *builder) end(k Kind) {
	if b.take == nil {
		return
	}
	b.take(k)
	g := &b.result.Graph
	g.Nodes, g.Edges, g.Layers = g.Nodes[:0], g.Edges[:0], g.Layers[:0]
}

// id checks v, which is still part of the file's text.
func (b *builder) id(c column, v string) string {
	if limit := b.limits.ID; limit > 0 && len(v) > limit {
		b.problems.add(b.row, c.name, "has %d bytes, the limit is %d", len(v), limit)
	}
	return v
}

func (b *builder) label(c column, v string) string {
	if n := b.limits.excess(v); n > 0 {
		b.problems.add(b.row, c.name, "has %d characters, the limit is %d", n, b.limits.Label)
	}
	return b.strings.value(v)
}

func (b *builder) value(c column, v string) string {
	b.checkValue(c, v)
	return b.strings.value(v)
}

func (b *builder) checkValue(c column, v string) {
	if limit := b.limits.Value; limit > 0 && len(v) > limit {
		b.problems.add(b.row, c.name, "has %d bytes, the limit is %d", len(v), limit)
	}
}

func (b *builder) colour(c column, v string) string {
	v = strings.TrimPrefix(unlessNull(v), "#")
	if v != "" && !isColour(v) {
		b.result.Warnings.add(b.row, c.name, notAColour, v)
	}
	return b.value(c, v)
}

// weight of something that weighs 1 unless v is a number. Other text is kept as an attribute.
func (b *builder) weight(c column, v string) float64 {
	if w, ok := parseNumber(v); ok {
		return w
	}
	if unlessNull(v) != "" {
		b.result.Warnings.add(b.row, c.name, notAWeight, v)
		b.attr(c, v)
	}
	return 1
}

func (b *builder) attr(c column, v string) {
	if v = unlessNull(v); v != "" {
		b.checkValue(c, v)
		b.attrs.addText(c.name, v)
	}
}

func unlessNull(v string) string {
	if strings.EqualFold(v, "null") {
		return ""
	}
	return v
}
