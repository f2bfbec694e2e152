package ingest

import (
	"errors"
	"io"
	"slices"
	"strings"
	"unicode"

	"layercake/internal/layered"
)

// ReadPlanTable reads a table of a plan file and appends it to g. It returns the row in which each new element stands, so that
// what is wrong between tables can be traced to one of them. It keeps what the published outputs of plan files show:
//
//   - node and edge columns are found by header, and where the header lacks one by position: a table without "weight" reads the
//     sixth column as weight, and whatever is not a number weighs 1;
//   - layers are strictly positional: id, label, background, border, text;
//   - comments are verbatim; an empty one becomes the text "null", and that of an edge is wrapped in double quotes. Exporters
//     therefore print comments as they are, and print those that are "" as none;
//   - node IDs consist of letters, digits and "_", and are unique in the file;
//   - a row of empty cells is a layer without ID.
//
// All bad rows are reported, as an *Error. An error of r comes back wrapped. In both cases g is unchanged.
func ReadPlanTable(r io.Reader, f Format, k Kind, g *layered.Graph) ([]int, error) {
	if f == JSON {
		return nil, refuse("The tables of plan files are .csv or .tsv files")
	}
	if err := Allowed(f, k); err != nil {
		return nil, err
	}
	rows := newRows(r, f)
	header, err := rows.next()
	if errors.Is(err, io.EOF) {
		return nil, refuse("The file is empty")
	}
	if err != nil {
		return nil, err
	}
	t := planTable{
		columns: make(map[string]int), known: make(map[string]bool), strings: newInterner(),
		// Clipped, so that a table that is refused leaves no trace behind the ends of g's lists.
		graph: layered.Graph{
			Name: g.Name, Nodes: slices.Clip(g.Nodes), Edges: slices.Clip(g.Edges), Layers: slices.Clip(g.Layers),
		},
	}
	for i, name := range header {
		name = strings.TrimSpace(name)
		key := strings.ToLower(name)
		if first, ok := t.columns[key]; ok && name != "" {
			return nil, equalColumns(strings.TrimSpace(header[first]), name)
		}
		t.columns[key] = i
	}
	if k == Nodes {
		for _, name := range []string{"id", "label", "layer", "is_partition", "belongs_to"} {
			if _, ok := t.columns[name]; !ok {
				return nil, refuse("The nodes table has no column %q; its columns are %s", name, quoteList(header))
			}
		}
	}
	width := len(header)
	read := map[Kind]func(){Nodes: t.node, Edges: t.edge, Layers: t.layer}[k]
	var places []int
	for {
		t.cells, err = rows.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		t.row = rows.row
		if len(t.cells) != width {
			t.problems.wrongWidth(t.row, t.cells, width)
			continue
		}
		places = append(places, t.row)
		read()
	}
	if err := t.problems.err(); err != nil {
		return nil, err
	}
	*g = t.graph
	return places, nil
}

// planTable is one table of a plan file while it is read.
type planTable struct {
	columns  map[string]int
	row      int
	cells    []string
	known    map[string]bool // IDs of nodes
	strings  *interner
	graph    layered.Graph
	problems Problems
}

// raw returns the cell of the named column, or else of the position where such columns are by convention.
func (t *planTable) raw(name string, position int) string {
	if i, ok := t.columns[name]; ok {
		position = i
	}
	if position >= len(t.cells) {
		return ""
	}
	return t.cells[position]
}

// value is raw without blanks around it and without one pair of quotes. It is still part of the file's text.
func (t *planTable) value(name string, position int) string { return unquote(t.raw(name, position)) }

// reference is the value of a cell that others are likely to be equal to.
func (t *planTable) reference(name string, position int) string {
	return t.strings.reference(t.value(name, position))
}

// label is the value of a cell that may or may not occur again soon.
func (t *planTable) label(name string, position int) string {
	return t.strings.value(t.value(name, position))
}

func unquote(s string) string {
	s = strings.TrimSpace(s)
	if len(s) >= 2 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0] {
		s = strings.TrimSpace(s[1 : len(s)-1])
	}
	return s
}

func (t *planTable) weight(position int) float64 {
	if n, ok := parseNumber(t.value("weight", position)); ok {
		return n
	}
	return 1
}

func (t *planTable) node() {
	n := layered.Node{
		ID:        strings.Clone(t.value("id", 0)),
		Label:     t.label("label", 1),
		Layer:     t.reference("layer", 2),
		BelongsTo: t.reference("belongs_to", 4),
		Weight:    t.weight(5),
		Comment:   "null",
	}
	n.IsPartition, _ = parseBool(t.value("is_partition", 3))
	if strings.EqualFold(n.BelongsTo, "null") {
		n.BelongsTo = ""
	}
	if c := t.raw("comment", 6); c != "" {
		n.Comment = t.strings.value(c)
	}
	switch {
	case n.ID == "" || n.ID == "null" || n.ID == "None" || n.ID == "NaN":
		t.problems.add(t.row, "id", "%q is not an id", n.ID)
	case strings.ContainsFunc(n.ID, func(r rune) bool { return !inID(r) }):
		t.problems.add(t.row, "id", "%q has characters other than letters, digits and _", n.ID)
	case t.known[n.ID]:
		t.problems.add(t.row, "id", "%q occurs more than once", n.ID)
	}
	t.known[n.ID] = true
	t.graph.Nodes = append(t.graph.Nodes, n)
}

// inID accepts letters and digits as published, which is what Unicode calls alphabetic or a number, and all marks: Hindi and Thai
// write words with some that are not alphabetic, such as the virama and the signs of tones.
func inID(r rune) bool {
	return r == '_' || unicode.In(r, unicode.L, unicode.N, unicode.Mn, unicode.Mc, unicode.Other_Alphabetic)
}

func (t *planTable) edge() {
	if len(t.cells) < 3 {
		t.problems.add(t.row, "", "has %d fields; an edge needs id, source and target", len(t.cells))
		return
	}
	e := layered.Edge{
		ID:      strings.Clone(t.value("id", 0)),
		Source:  t.reference("source", 1),
		Target:  t.reference("target", 2),
		Label:   t.label("label", 3),
		Layer:   t.reference("layer", 4),
		Weight:  t.weight(5),
		Comment: "null",
	}
	if c := t.raw("comment", 6); c != "" {
		e.Comment = t.strings.value(`"` + c + `"`)
	}
	t.graph.Edges = append(t.graph.Edges, e)
}

func (t *planTable) layer() {
	if len(t.cells) < 5 {
		t.problems.add(t.row, "", "has %d fields; a layer needs id, label, background, border and text", len(t.cells))
		return
	}
	at := func(i int) string { return t.strings.value(unquote(t.cells[i])) }
	colour := func(i int) string { return strings.TrimPrefix(at(i), "#") }
	t.graph.Layers = append(t.graph.Layers, layered.Layer{
		ID: at(0), Label: at(1), Background: colour(2), Border: colour(3), Text: colour(4),
	})
}
