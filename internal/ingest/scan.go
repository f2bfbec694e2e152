package ingest

import (
	"bufio"
	"encoding/json"
	"io"
)

// RowsPerMark is how many rows of a table lie between two marks.
const RowsPerMark = 1_000

// Summary is what Scan finds out about a file.
type Summary struct {
	Rows     int      // rows of a table, or all elements of a JSON graph
	Warnings Problems // as of Read
	Columns  []string // as of Columns; nil for a JSON graph

	// Marks are where rows begin: byte Marks[i] of the file is the first of row i*RowsPerMark, counted from 0, the header left out.
	// Empty lines may stand before it. A JSON graph has none.
	Marks []int64
}

// Scan reads a file as Read does, and refuses what Read refuses with the same error, but keeps no element. Memory grows by 11 to 22 bytes
// a row, for the hashes by which it knows equal IDs.
func Scan(r io.Reader, f Format, k Kind, limits Limits) (Summary, error) {
	if err := Allowed(f, k); err != nil {
		return Summary{}, err
	}
	var s Summary
	b := newBuilder(limits)
	b.take = func(Kind) { s.Rows++ }
	if err := b.read(r, f, k); err != nil {
		return Summary{}, err
	}
	s.Warnings, s.Marks = b.result.Warnings, b.marks
	if f != JSON {
		s.Columns = b.keys()
	}
	return s, nil
}

// Columns returns the keys that the columns of a table have in its elements as NodeJSON writes them, in the order of the header. It reads
// no more than the header, whose errors are those of Read.
func Columns(header io.Reader, f Format, k Kind) ([]string, error) {
	b := newBuilder(DefaultLimits())
	if err := b.readHeader(newRows(newText(header), f, b.limits.Row), k); err != nil {
		return nil, err
	}
	return b.keys(), nil
}

// MaxPageBytes is how many bytes of rows end a page.
const MaxPageBytes = 8 << 20

// ReadPage reads at most limit rows of a table, after it has skipped some. Header reads from the beginning of the file and from from a mark
// that Scan has set, or from the end of the header. The rows are as NodeJSON, EdgeJSON and LayerJSON write them, and no more of the file
// is read than they need. A page ends early with the row by which it has MaxPageBytes.
func ReadPage(header, from io.Reader, f Format, k Kind, skip, limit int) ([]json.RawMessage, error) {
	if err := Allowed(f, k); err != nil {
		return nil, err
	}
	b := newBuilder(Limits{}) // Scan has seen to them
	if err := b.readHeader(newRows(newText(header), f, 0), k); err != nil {
		return nil, err
	}
	var page []json.RawMessage
	bytes := 0
	b.take = func(k Kind) {
		if skip--; skip < 0 {
			row := b.appendTaken(nil, k)
			page, bytes = append(page, row), bytes+len(row)
		}
	}
	b.full = func() bool { return len(page) >= limit || bytes >= MaxPageBytes }
	err := b.readRows(newRows(middleOfText(from), f, 0), f, k)
	if err == nil {
		err = b.problems.err()
	}
	return page, err
}

// Convert reads a file as Read does and writes what it holds as WriteJSON does, one element after the other: memory grows as for Scan. The
// arrays of a JSON graph keep their order. On an error w holds a beginning.
func Convert(w io.Writer, r io.Reader, f Format, k Kind, limits Limits) error {
	if err := Allowed(f, k); err != nil {
		return err
	}
	out := bufio.NewWriterSize(w, 64<<10) // its errors stick until Flush
	b := newBuilder(limits)
	var element []byte
	var open Kind // the array in hand
	written := make(map[Kind]bool)
	begin := func(k Kind) {
		switch {
		case len(written) == 0:
			_ = out.WriteByte('{')
		case open != "":
			_, _ = out.WriteString("],")
		}
		written[k], open = true, k
		_, _ = out.WriteString(`"` + string(k) + `":[`)
	}
	b.take = func(k Kind) {
		element = element[:0]
		if open != k {
			begin(k)
		} else {
			element = append(element, ',')
		}
		element = b.appendTaken(element, k)
		_, _ = out.Write(element)
	}
	if err := b.read(r, f, k); err != nil {
		return err
	}
	for _, k := range []Kind{Nodes, Edges, Layers} {
		if !written[k] {
			begin(k)
		}
	}
	_, _ = out.WriteString("]}\n")
	return out.Flush()
}

// appendTaken writes the element that take was called for.
func (b *builder) appendTaken(dst []byte, k Kind) []byte {
	switch g := &b.result.Graph; k {
	case Nodes:
		return appendNode(dst, &g.Nodes[0])
	case Edges:
		return appendEdge(dst, &g.Edges[0])
	default:
		return appendLayer(dst, &g.Layers[0])
	}
}

// keys returns what the columns are called in elements.
func (b *builder) keys() []string {
	keys := make([]string, len(b.columns))
	for i, c := range b.columns {
		if keys[i] = c.field.key(); keys[i] == "" {
			keys[i] = c.name
		}
	}
	return keys
}
