package ingest

import (
	"errors"
	"io"
	"strings"

	"layercake/internal/layered"
)

// readTable reads a CSV or TSV table. Rows without any value are skipped.
func (b *builder) readTable(r io.Reader, f Format, k Kind) error {
	rows := newRows(newText(r), f, b.limits.Row)
	if err := b.readHeader(rows, k); err != nil {
		return err
	}
	return b.readRows(rows, f, k)
}

// readHeader reads and checks the names of the columns.
func (b *builder) readHeader(rows *rows, k Kind) error {
	header, err := rows.next()
	if errors.Is(err, io.EOF) {
		return refuse("The file is empty; the %s table needs the columns %s", k, requiredNames(k))
	}
	if err != nil {
		return err
	}
	if most := b.limits.Columns; most > 0 && len(header) > most {
		return refuse("The table has %d columns, the limit is %d", len(header), most)
	}
	b.begin(k)
	b.columns = columnsOf(b.fields, header, b.strings)
	if err := checkHeader(b.columns); err != nil {
		return err
	}
	return requireColumns(k, b.columns)
}

// readRows reads the rows behind the header.
func (b *builder) readRows(rows *rows, f Format, k Kind) error {
	for n := 0; b.full == nil || !b.full(); {
		start := rows.end
		cells, err := rows.next()
		if errors.Is(err, io.EOF) {
			if n == 0 {
				b.result.Warnings.add(0, "", "The table has no rows")
			}
			return nil
		}
		if err != nil {
			return err
		}
		b.row = rows.row
		if !trim(cells) {
			continue
		}
		if n%RowsPerMark == 0 {
			b.marks = append(b.marks, start)
		}
		n++
		if err := b.limits.exceeded(n, "rows"); err != nil {
			return err
		}
		if len(cells) != len(b.columns) {
			b.problems.wrongWidth(b.row, cells, len(b.columns))
			continue
		}
		b.result.Warnings.swallowedRow(b.row, cells, f.comma())
		b.addRow(k, cells)
	}
	return nil
}

func (b *builder) addRow(k Kind, cells []string) {
	g := &b.result.Graph
	switch k {
	case Nodes:
		n := layered.Node{Weight: 1}
		for i, c := range b.columns {
			b.node(&n, c, cells[i])
		}
		n.Attrs = b.strings.object(b.attrs.object())
		b.identified(k, n.ID)
		g.Nodes = append(g.Nodes, n)
	case Edges:
		e := layered.Edge{Weight: 1}
		for i, c := range b.columns {
			b.edge(&e, c, cells[i])
		}
		e.Attrs = b.strings.object(b.attrs.object())
		b.identified(k, e.ID)
		g.Edges = append(g.Edges, e)
	case Layers:
		var l layered.Layer
		for i, c := range b.columns {
			b.layer(&l, c, cells[i])
		}
		b.endLayer(&l)
		g.Layers = append(g.Layers, l)
	}
	b.end(k)
}

// trim removes blanks around the cells, in place, and says whether any has a value.
func trim(cells []string) (filled bool) {
	for i, c := range cells {
		cells[i] = strings.TrimSpace(c)
		filled = filled || cells[i] != ""
	}
	return filled
}

// required are the fields that a table of each kind must have, by the names that an error shows.
type required struct {
	field field
	name  string
}

func requiredOf(k Kind) []required {
	switch k {
	case Edges:
		return []required{{fieldID, "id"}, {fieldSource, "source"}, {fieldTarget, "target"}}
	case Layers:
		return []required{{fieldID, "layer"}, {fieldLabel, "label"}}
	}
	return []required{{fieldID, "id"}, {fieldLabel, "label"}}
}

func requiredNames(k Kind) string {
	var names []string
	for _, r := range requiredOf(k) {
		names = append(names, r.name)
	}
	return quoteList(names)
}

func requireColumns(k Kind, columns []column) error {
	var missing, found []string
	for _, r := range requiredOf(k) {
		if !has(columns, r.field) {
			missing = append(missing, r.name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	for _, c := range columns {
		found = append(found, c.name)
	}
	return refuse("The %s table lacks the columns %s; it has %s", k, quoteList(missing), quoteList(found))
}
