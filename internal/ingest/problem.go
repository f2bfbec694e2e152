package ingest

import (
	"fmt"
	"strings"

	"layercake/internal/fault"
)

// MaxListed is how many problems of a file are listed; all are counted.
const MaxListed = 100

// Problem is one bad place in a file.
type Problem struct {
	Row    int    // of a table the line where the row begins, the first is 1; of JSON the element's number, from 1; 0 is the whole file
	Column string // the column's header or the element's key; "" is the whole row
	Reason string // what is wrong, with the value
}

func (p Problem) String() string {
	switch {
	case p.Row == 0:
		return p.Reason
	case p.Column == "":
		return fmt.Sprintf("row %d: %s", p.Row, p.Reason)
	}
	return fmt.Sprintf("row %d, column %.100q: %s", p.Row, p.Column, p.Reason)
}

// What both readers say of values that they cannot read.
const (
	notAWeight     = "%.100q is not a number; the weight is 1"
	notTrueOrFalse = "%.100q is neither true nor false; it counts as false"
	notAColour     = "%.100q is not a colour of 3, 4, 6 or 8 hex digits"
)

// Problems are the first MaxListed problems of a file and the number of all.
type Problems struct {
	Listed []Problem
	Total  int
}

func (ps *Problems) add(row int, column, format string, args ...any) {
	ps.Total++
	if len(ps.Listed) < MaxListed {
		ps.Listed = append(ps.Listed, Problem{Row: row, Column: column, Reason: fmt.Sprintf(format, args...)})
	}
}

// wrongWidth adds a row that has not as many fields as the header. A quote that does not end makes one field of all that follows.
func (ps *Problems) wrongWidth(row int, cells []string, want int) {
	reason := fmt.Sprintf("has %d fields, the header has %d", len(cells), want)
	for i, c := range cells {
		if lines := strings.Count(c, "\n"); lines > 0 {
			reason += fmt.Sprintf("; field %d goes on over %d lines: perhaps a quote is missing", i+1, lines+1)
			break
		}
	}
	ps.add(row, "", "%s", reason)
}

// swallowedRow adds a row with a value of several lines, one of which looks like a row of its own: two quotes that are missing
// elsewhere in their rows make such a value. A comma before a blank is taken for one of a sentence.
func (ps *Problems) swallowedRow(row int, cells []string, comma rune) {
	for i, c := range cells {
		if !strings.Contains(c, "\n") {
			continue
		}
		number := 0
		for line := range strings.Lines(c) {
			number++
			if number > 1 && len(cells) > 2 && strings.Count(line, string(comma)) == len(cells)-1 &&
				!strings.Contains(line, string(comma)+" ") {
				ps.add(row, "", "line %d of field %d looks like a row of its own: perhaps a quote is missing", number, i+1)
				return
			}
		}
	}
}

// err returns nil when there are no problems, else an *Error.
func (ps *Problems) err() error {
	if ps.Total == 0 {
		return nil
	}
	return &Error{Problems: *ps}
}

// Error is why a file was refused. Its text lists the problems, one a line. To fault.From it is a BAD_REQUEST whose message is the first
// problem and whose details are "problems", a []string, and "total".
type Error struct{ Problems }

func (e *Error) Error() string {
	var b strings.Builder
	for i, p := range e.Listed {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(p.String())
	}
	if more := e.Total - len(e.Listed); more > 0 {
		fmt.Fprintf(&b, "\nand %d more", more)
	}
	return b.String()
}

// Unwrap makes the error a fault.
func (e *Error) Unwrap() error {
	message := e.Listed[0].String()
	if e.Total > 1 {
		message = fmt.Sprintf("%s (and %d more)", message, e.Total-1)
	}
	lines := make([]string, len(e.Listed))
	for i, p := range e.Listed {
		lines[i] = p.String()
	}
	return fault.New(fault.BadRequest, message).With("problems", lines).With("total", e.Total)
}

// refuse returns an *Error with one problem of the whole file.
func refuse(format string, args ...any) error {
	var ps Problems
	ps.add(0, "", format, args...)
	return ps.err()
}
