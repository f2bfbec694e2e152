package ingest

import "unicode/utf8"

// Limits bound what Read accepts. A zero is no limit.
type Limits struct {
	Rows    int // rows of a table, or elements of one array of a JSON graph
	Row     int // bytes of a row or element; the rest of the file is not read then
	Columns int // columns of a table, or keys of an element
	ID      int // bytes of an ID: also of sources, targets, parents and layers
	Label   int // characters of a label
	Value   int // bytes of any other value
}

// DefaultLimits are the limits of the server.
func DefaultLimits() Limits {
	return Limits{Rows: 1_000_000, Row: 4 << 20, Columns: 1_000, ID: 1_000, Label: 10_000, Value: 100_000}
}

// exceeded refuses row n when there may not be that many. The rest of the file need not be read then.
func (l Limits) exceeded(n int, what string) error {
	if l.Rows > 0 && n > l.Rows {
		return refuse("The file has more than %d %s, which is the limit", l.Rows, what)
	}
	return nil
}

// excess returns the number of characters of a label that has too many, else 0.
func (l Limits) excess(label string) int {
	if l.Label == 0 || len(label) <= l.Label {
		return 0
	}
	if n := utf8.RuneCountInString(label); n > l.Label {
		return n
	}
	return 0
}
