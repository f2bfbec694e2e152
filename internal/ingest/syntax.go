package ingest

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// syntax stands between the file and encoding/csv, which takes all that follows a wrong quote for one value. It refuses a quote
// that does not end, and text between the end of a quote and the next separator; blanks there are left out. A quote inside a value
// that does not begin with one is part of it, as published. Lines end with "\r\n", "\r" or "\n", also within one file; what comes
// out has "\n".
type syntax struct {
	r      io.Reader
	comma  byte
	state  syntaxState
	cr     bool   // the last byte was a "\r": a "\n" after it belongs to the same line end
	line   int    // number of the line in hand
	row    int    // number of the line where the row in hand begins
	field  int    // number of the field in hand
	quoted []byte // beginning of the quoted value in hand, for messages
	err    error  // reason why nothing more can be read

	maxRow int         // bytes that a row may have; 0 is no limit, because whoever reads a row keeps all of it
	in     int64       // byte of the file that is next
	out    int64       // bytes that came out
	start  int64       // in, where the row in hand begins
	starts []lineStart // of rows that came out and that positionOf was not asked for yet
}

// lineStart is where the line behind a row begins.
type lineStart struct{ out, in int64 }

type syntaxState int

const (
	fieldStart syntaxState = iota
	unquoted
	inQuotes
	quoteEnd   // behind a quote that ends the value, unless another quote follows
	afterQuote // behind blanks that follow it
)

// newSyntax reads what begins at a byte of the file.
func newSyntax(r io.Reader, offset int64, comma rune, maxRow int) *syntax {
	return &syntax{r: r, comma: byte(comma), line: 1, row: 1, field: 1, maxRow: maxRow, in: offset, start: offset}
}

// positionOf returns where in the file a line begins that begins at byte out of what came out, right behind a row. It forgets the lines
// before.
func (s *syntax) positionOf(out int64) int64 {
	i := 0
	for i < len(s.starts) && s.starts[i].out < out {
		i++
	}
	s.starts = slices.Delete(s.starts, 0, i)
	if len(s.starts) == 0 {
		return s.in // the last row, which no line end follows
	}
	return s.starts[0].in
}

func (s *syntax) Read(p []byte) (int, error) {
	for s.err == nil {
		n, err := s.r.Read(p)
		n = s.check(p[:n])
		if s.err == nil {
			s.err = err
		}
		if errors.Is(s.err, io.EOF) && s.state == inQuotes {
			s.err = s.wrong("is never closed")
		}
		if n > 0 {
			return n, nil
		}
	}
	return 0, s.err
}

// check rewrites p, which never gets longer, and returns its length. What is wrong goes to s.err, so that all before it is read.
func (s *syntax) check(p []byte) int {
	n := 0
	for _, c := range p {
		s.in++
		if s.cr && c == '\n' {
			s.cr = false
			s.lineEndGrew()
			continue
		}
		if s.cr = c == '\r'; s.cr {
			c = '\n'
		}
		switch {
		case s.state == inQuotes:
			if c == '"' {
				s.state = quoteEnd
			} else if len(s.quoted) < sampleSize {
				s.quoted = append(s.quoted, c)
			}
		case s.state == quoteEnd && c == '"':
			s.state = inQuotes
		case c == s.comma:
			s.state = fieldStart
			s.field++
		case c == '\n':
			s.state = fieldStart
			s.row, s.field = s.line+1, 1
			s.endRow()
		case s.state == fieldStart && c == '"':
			s.state, s.quoted = inQuotes, s.quoted[:0]
		case s.state <= unquoted:
			s.state = unquoted
		case c == ' ' || c == '\t':
			s.state = afterQuote
			continue
		default:
			s.err = s.wrong("is followed by more text")
			return n
		}
		if s.maxRow > 0 && (s.in-s.start > int64(s.maxRow) || s.field > maxFields) {
			s.err = s.tooLong()
			return n
		}
		if c == '\n' {
			s.line++
		}
		p[n] = c
		n++
		s.out++
	}
	return n
}

// sampleSize is how much of a quoted value a message shows, in bytes.
const sampleSize = 40

// endRow notes where the next line begins. A line without anything is no row, and nobody asks what is behind it: a file of nothing else
// would make the list as long as the file.
func (s *syntax) endRow() {
	if s.in-s.start > 1 {
		s.starts = append(s.starts, lineStart{s.out + 1, s.in})
	}
	s.start = s.in
}

// lineEndGrew moves the beginning of the next line behind a "\n" that follows a "\r".
func (s *syntax) lineEndGrew() {
	if s.start != s.in-1 {
		return // within quotes
	}
	s.start = s.in
	if last := len(s.starts) - 1; last >= 0 && s.starts[last].out == s.out {
		s.starts[last].in = s.in
	}
}

// maxFields bounds the fields of a row, also of one that has not as many as the header: each takes 40 bytes, if it is empty, too.
const maxFields = 100_000

// tooLong refuses the row in hand.
func (s *syntax) tooLong() error {
	if s.state == inQuotes {
		return s.wrong(fmt.Sprintf("does not end within the %d bytes that a row may have", s.maxRow))
	}
	var ps Problems
	if s.field > maxFields {
		ps.add(s.row, "", "has more than %d fields", maxFields)
	} else {
		ps.add(s.row, "", "has more than %d bytes, which is the limit; field %d is the last that was read", s.maxRow, s.field)
	}
	return ps.err()
}

// wrong refuses the quoted value in hand.
func (s *syntax) wrong(what string) error {
	var ps Problems
	ps.add(s.row, "", "field %d begins with a quote that %s: %q; a quote inside a quoted value is written twice",
		s.field, what, strings.ToValidUTF8(string(s.quoted), ""))
	return ps.err()
}
