package ingest

import (
	"errors"
	"io"
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
}

type syntaxState int

const (
	fieldStart syntaxState = iota
	unquoted
	inQuotes
	quoteEnd   // behind a quote that ends the value, unless another quote follows
	afterQuote // behind blanks that follow it
)

func newSyntax(r io.Reader, comma rune) *syntax {
	return &syntax{r: r, comma: byte(comma), line: 1, row: 1, field: 1}
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
		if s.cr && c == '\n' {
			s.cr = false
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
		if c == '\n' {
			s.line++
		}
		p[n] = c
		n++
	}
	return n
}

// sampleSize is how much of a quoted value a message shows, in bytes.
const sampleSize = 40

// wrong refuses the quoted value in hand.
func (s *syntax) wrong(what string) error {
	var ps Problems
	ps.add(s.row, "", "field %d begins with a quote that %s: %q; a quote inside a quoted value is written twice",
		s.field, what, strings.ToValidUTF8(string(s.quoted), ""))
	return ps.err()
}
