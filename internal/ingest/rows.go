package ingest

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// rows reads the rows of a table one by one and skips empty lines.
type rows struct {
	csv    *csv.Reader
	syntax *syntax
	row    int   // the line where the last row begins, from 1
	end    int64 // byte of the file behind the last row, where the next one begins
}

// newRows reads a table of a file. A row of more than maxRow bytes is refused, unless that is 0.
func newRows(t *text, f Format, maxRow int) *rows {
	s := newSyntax(t, t.offset, f.comma(), maxRow)
	c := csv.NewReader(s)
	c.Comma = f.comma()
	c.FieldsPerRecord = -1 // rows of another length are reported, not fatal
	c.LazyQuotes = true    // a quote inside an unquoted value is accepted; syntax refuses what else this lets pass
	c.ReuseRecord = true
	return &rows{csv: c, syntax: s, end: t.offset}
}

// next returns the cells of the next row, which are valid until the next call, or io.EOF after the last.
func (r *rows) next() ([]string, error) {
	cells, err := r.csv.Read()
	var refused *Error
	switch {
	case err == nil:
		r.row, _ = r.csv.FieldPos(0)
		r.end = r.syntax.positionOf(r.csv.InputOffset())
		return cells, nil
	case errors.Is(err, io.EOF), errors.As(err, &refused):
		return nil, err
	}
	return nil, fmt.Errorf("read table: %w", err)
}

// parseBool reads true, yes, y and 1, and false, no, n and 0, in any case.
func parseBool(s string) (value, ok bool) {
	switch strings.ToLower(s) {
	case "true", "yes", "y", "1":
		return true, true
	case "false", "no", "n", "0":
		return false, true
	}
	return false, false
}

// isColour accepts the hex digits that exporters draw, without "#".
func isColour(s string) bool {
	switch len(s) {
	case 3, 4, 6, 8:
		return strings.Trim(s, "0123456789abcdefABCDEF") == ""
	}
	return false
}

// parseNumber reads a finite decimal number.
func parseNumber(s string) (float64, bool) {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || n != n || n-n != 0 || strings.ContainsAny(s, "xX_") {
		return 0, false
	}
	return n, true
}

// quoteList lists names for a message.
func quoteList(names []string) string {
	const most = 30
	quoted := make([]string, 0, most+1)
	for i, n := range names {
		if i == most {
			quoted = append(quoted, fmt.Sprintf("and %d more", len(names)-most))
			break
		}
		quoted = append(quoted, fmt.Sprintf("%.100q", n))
	}
	return strings.Join(quoted, ", ")
}
