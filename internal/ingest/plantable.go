package ingest

import (
	"errors"
	"io"
	"slices"
	"strings"
	"unicode"

	"layercake/internal/layered"
)

// PlanTable is what there is to say of a table of a plan file beside its elements. Rows has the row in which each element stands, so
// that what is wrong between tables can be traced to one of them. NoIDs says that the table has no column for the ids of its edges:
// they are "" then. Warnings are values that cannot be read, where the published default stands instead.
type PlanTable struct {
	Rows     []int
	NoIDs    bool
	Warnings Problems
}

// ReadPlanTable reads a table of a plan file and appends it to g. It keeps what the published outputs of plan files show:
//
//   - node columns are found by header, and where the header lacks one by position: a table without "weight" reads the sixth column
//     as weight, and whatever is not a number weighs 1;
//   - edge columns are found by header if that has "source" or "target", else by position as those of nodes;
//   - layers are strictly positional: id, label, background, border, text;
//   - comments are verbatim; an empty one becomes the text "null", and that of an edge is wrapped in double quotes. Exporters
//     therefore print comments as they are, and print those that are "" as none;
//   - node IDs consist of letters, digits and "_", and are unique in the file;
//   - a row of empty cells is a layer without ID.
//
// All bad rows are reported, as an *Error. An error of r comes back wrapped. In both cases g is unchanged.
func ReadPlanTable(r io.Reader, f Format, k Kind, g *layered.Graph) (PlanTable, error) {
	if f == JSON {
		return PlanTable{}, refuse("The tables of plan files are .csv or .tsv files")
	}
	if err := Allowed(f, k); err != nil {
		return PlanTable{}, err
	}
	rows := newRows(newText(r), f, 0)
	header, err := rows.next()
	if errors.Is(err, io.EOF) {
		return PlanTable{}, refuse("The file is empty")
	}
	if err != nil {
		return PlanTable{}, err
	}
	t := planTable{
		kind: k, columns: make(map[string]int), known: make(map[string]bool), strings: newInterner(),
		// Clipped, so that a table that is refused leaves no trace behind the ends of g's lists.
		graph: layered.Graph{
			Name: g.Name, Nodes: slices.Clip(g.Nodes), Edges: slices.Clip(g.Edges), Layers: slices.Clip(g.Layers),
		},
	}
	if err := t.readHeader(header); err != nil {
		return PlanTable{}, err
	}
	read := map[Kind]func(){Nodes: t.node, Edges: t.edge, Layers: t.layer}[k]
	for {
		t.cells, err = rows.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return PlanTable{}, err
		}
		t.row = rows.row
		if len(t.cells) != len(t.header) {
			t.problems.wrongWidth(t.row, t.cells, len(t.header))
			continue
		}
		t.result.Warnings.swallowedRow(t.row, t.cells, f.comma())
		t.result.Rows = append(t.result.Rows, t.row)
		read()
	}
	if err := t.problems.err(); err != nil {
		return PlanTable{}, err
	}
	fit(&t.graph)
	*g = t.graph
	return t.result, nil
}

// planTable is one table of a plan file while it is read.
type planTable struct {
	kind     Kind
	header   []string       // names without blanks around them
	columns  map[string]int // positions by name, in lower case
	byName   bool           // a column that the header does not name is absent
	row      int
	cells    []string
	known    map[string]bool // IDs of nodes
	strings  *interner
	graph    layered.Graph
	result   PlanTable
	problems Problems
}

func (t *planTable) readHeader(header []string) error {
	for i, name := range header {
		name = strings.Clone(strings.TrimSpace(name))
		t.header = append(t.header, name)
		key := strings.ToLower(name)
		if first, ok := t.columns[key]; ok && name != "" {
			return equalColumns(t.header[first], name)
		}
		t.columns[key] = i
	}
	var needed []string
	switch t.kind {
	case Nodes:
		needed = []string{"id", "label", "layer", "is_partition", "belongs_to"}
	case Edges:
		t.byName = t.has("source") || t.has("target")
		switch {
		case t.byName:
			needed = []string{"source", "target"}
			t.result.NoIDs = !t.has("id")
		case !t.has("id") && !t.has("label") && !t.has("layer"):
			// The published reader takes it, whatever it says.
			t.result.Warnings.add(1, "", "the header has no column \"source\" or \"target\", so columns are read by position: id, source, target, "+
				"label, layer; the columns are %s", quoteList(t.header))
		}
	}
	for _, name := range needed {
		if !t.has(name) {
			return refuse("The %s table has no column %q; its columns are %s", t.kind, name, quoteList(t.header))
		}
	}
	return nil
}

func (t *planTable) has(name string) bool {
	_, ok := t.columns[name]
	return ok
}

// at returns where the named column is: by the header, or else by convention. It may lie behind the last one.
func (t *planTable) at(name string, position int) int {
	if i, ok := t.columns[name]; ok {
		return i
	}
	if t.byName {
		return len(t.header)
	}
	return position
}

// raw returns the cell of a column, "" if there is none.
func (t *planTable) raw(name string, position int) string {
	i := t.at(name, position)
	if i >= len(t.cells) {
		return ""
	}
	return t.cells[i]
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

// weight warns only of what stands for a weight. A sixth column that has another name need not be one.
func (t *planTable) weight(position int) float64 {
	v := t.value("weight", position)
	if n, ok := parseNumber(v); ok {
		return n
	}
	if unlessNull(v) != "" && (t.has("weight") || t.kind == Edges && t.at("comment", 6) != position) {
		t.warn(t.at("weight", position), notAWeight, v)
	}
	return 1
}

// warn adds a value that cannot be read.
func (t *planTable) warn(position int, format, value string) {
	t.result.Warnings.add(t.row, t.header[position], format, value)
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
	partition := t.value("is_partition", 3)
	var ok bool
	if n.IsPartition, ok = parseBool(partition); !ok && unlessNull(partition) != "" {
		t.warn(t.at("is_partition", 3), notTrueOrFalse, partition)
	}
	if strings.EqualFold(n.BelongsTo, "null") {
		n.BelongsTo = ""
	}
	if c := t.raw("comment", 6); c != "" {
		n.Comment = t.strings.value(c)
	}
	switch {
	case n.ID == "" || n.ID == "null" || n.ID == "None" || n.ID == "NaN":
		t.problems.add(t.row, "id", "%.100q is not an id", n.ID)
	case strings.ContainsFunc(n.ID, func(r rune) bool { return !inID(r) }):
		t.problems.add(t.row, "id", "%.100q has characters other than letters, digits and _", n.ID)
	case t.known[n.ID]:
		t.problems.add(t.row, "id", "%.100q occurs more than once", n.ID)
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
	if !t.byName && len(t.cells) < 3 {
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
	colour := func(i int) string {
		c := strings.TrimPrefix(at(i), "#")
		if unlessNull(c) != "" && !isColour(c) {
			t.warn(i, notAColour, c)
		}
		return c
	}
	t.graph.Layers = append(t.graph.Layers, layered.Layer{
		ID: at(0), Label: at(1), Background: colour(2), Border: colour(3), Text: colour(4),
	})
}
