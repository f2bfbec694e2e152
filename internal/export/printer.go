package export

import (
	"context"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const bufferSize = 64 << 10

// A printer collects output and passes it on in large pieces. Errors stick: after the first one it swallows everything, and
// flush reports it.
type printer struct {
	ctx context.Context
	w   io.Writer
	buf []byte
	err error

	measuring bool
	units     int // of UTF-16 that were passed on while measuring
}

// put writes literal pieces.
func (p *printer) put(pieces ...string) {
	for _, s := range pieces {
		p.buf = append(p.buf, s...)
	}
	p.spill()
}

// esc writes s through an escaper, which appends to its first argument.
func (p *printer) esc(escape func([]byte, string) []byte, s string) {
	p.buf = escape(p.buf, s)
	p.spill()
}

// quote is esc between double quotes.
func (p *printer) quote(escape func([]byte, string) []byte, s string) {
	p.buf = append(p.buf, '"')
	p.buf = append(escape(p.buf, s), '"')
	p.spill()
}

func (p *printer) number(f float64) { p.buf = appendNumber(p.buf, f) }

// indent writes two blanks per level, but stops growing: in a deep hierarchy blanks would outweigh everything else.
func (p *printer) indent(level int) {
	const deepest = 64
	for range min(level, deepest) {
		p.buf = append(p.buf, ' ', ' ')
	}
}

func (p *printer) spill() {
	if len(p.buf) >= bufferSize {
		_ = p.flush() // sticks
	}
}

func (p *printer) flush() error {
	if p.err == nil {
		p.err = context.Cause(p.ctx)
	}
	if p.err == nil {
		_, p.err = p.w.Write(p.buf)
	}
	if p.measuring {
		p.units += utf16Units(p.buf)
	}
	p.buf = p.buf[:0]
	return p.err
}

// measure begins to count what is written.
func (p *printer) measure() {
	_ = p.flush() // sticks
	p.measuring = true
}

// measured ends what measure began, and returns the length in the characters of JavaScript.
func (p *printer) measured() int {
	_ = p.flush() // sticks
	p.measuring = false
	return p.units
}

// utf16Units counts from the first bytes of characters, so that a text may come in pieces.
func utf16Units(utf8Text []byte) int {
	n := 0
	for _, c := range utf8Text {
		if c&0xC0 != 0x80 {
			n++
		}
		if c >= 0xF0 {
			n++ // a pair of surrogates
		}
	}
	return n
}

// Write makes a printer an io.Writer.
func (p *printer) Write(b []byte) (int, error) {
	p.buf = append(p.buf, b...)
	p.spill()
	return len(b), p.err
}

// appendNumber writes a weight: an integer where it is one.
func appendNumber(dst []byte, f float64) []byte {
	if n := int64(f); float64(n) == f && n > -1e15 && n < 1e15 { // as almost all are; -0 is 0
		return strconv.AppendInt(dst, n, 10)
	}
	format := byte('f')
	if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1e21) {
		format = 'g'
	}
	return strconv.AppendFloat(dst, f, format, -1, 64)
}

func number(f float64) string { return string(appendNumber(nil, f)) }

// present is the test of the published templates for optional values.
func present(s string) bool { return s != "" && s != "null" }

// orNull is the text that the published output has for a missing comment.
func orNull(s string) string {
	if s == "" {
		return "null"
	}
	return s
}

// hexColor accepts 3, 4, 6 or 8 hex digits, with or without "#", and returns them with it. Anything else is no colour:
// colours come from users, and must not become syntax.
func hexColor(s string) (string, bool) {
	s = strings.TrimPrefix(s, "#")
	switch len(s) {
	case 3, 4, 6, 8:
	default:
		return "", false
	}
	for i := range len(s) {
		if c := s[i]; !('0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F') {
			return "", false
		}
	}
	if len(s) < 6 { // which Graphviz does not know
		long := make([]byte, 0, 8)
		for i := range len(s) {
			long = append(long, s[i], s[i])
		}
		s = string(long)
	}
	return "#" + s, true
}

// isBidiControl reports the invisible characters that reorder what follows them: a label must not reorder the source that
// it stands in, so formats write them as escapes.
func isBidiControl(r rune) bool {
	switch {
	case r >= 0x202A && r <= 0x202E, r >= 0x2066 && r <= 0x2069, r == 0x200E, r == 0x200F, r == 0x061C:
		return true
	}
	return false
}

// visible replaces what cannot be drawn: control characters become their pictures (NUL is U+2400, and so on), CR LF a line
// feed, and broken UTF-8 and non-characters U+FFFD. Line feeds stay.
func visible(s string) string {
	if !needsVisible(s) {
		return s
	}
	s = strings.ReplaceAll(s, "\r\n", "\n")
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return r
		case r < 0x20:
			return 0x2400 + r
		case r == 0x7f:
			return 0x2421
		case unicode.IsControl(r), r == 0x2028, r == 0x2029, r&0xFFFE == 0xFFFE, r >= 0xFDD0 && r <= 0xFDEF:
			return utf8.RuneError
		}
		return r
	}, s)
}

func needsVisible(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x20 && c != '\n' || c >= 0x7f {
			return true
		}
	}
	return false
}

// names gives every id of a graph a name that a language accepts: the id itself where it is safe, else a made one that no
// other id has.
type names struct {
	prefix string
	fold   func(string) string // returns the same for names that the language takes for one
	made   map[string]string
	used   map[string]string // names by what they fold to
	next   map[string]int    // by stem
}

// newNames reserves the safe ids first, so that nothing that can keep its name loses it. Of safe ids that fold to the same, the
// first keeps its name.
func newNames(prefix string, safe func(string) bool, fold func(string) string, ids func(yield func(string) bool)) *names {
	n := &names{prefix: prefix, fold: fold, made: map[string]string{}, used: map[string]string{}, next: map[string]int{}}
	var others []string
	for id := range ids {
		if safe(id) && !n.taken(id) {
			n.used[fold(id)] = id
		}
		if !n.kept(id) {
			others = append(others, id)
		}
	}
	for _, id := range others {
		if _, ok := n.made[id]; !ok {
			n.made[id] = n.invent(id)
		}
	}
	return n
}

// exact is how names fold where every difference counts.
func exact(name string) string { return name }

func (n *names) taken(name string) bool {
	_, ok := n.used[n.fold(name)]
	return ok
}

// kept reports an id that is its own name.
func (n *names) kept(id string) bool {
	name, ok := n.used[n.fold(id)]
	return ok && name == id
}

// of returns the name of an id. An id that the graph does not have gets one too, though not for itself alone.
func (n *names) of(id string) string {
	if name, ok := n.made[id]; ok {
		return name
	}
	if n.kept(id) {
		return id
	}
	return n.stem(id)
}

// stem is the beginning of a name: what can be kept of the beginning of the id.
func (n *names) stem(id string) string {
	return n.prefix + strings.Map(func(r rune) rune {
		if isWordByte(r) {
			return r
		}
		return '_'
	}, id[:min(len(id), 40)])
}

func (n *names) invent(id string) string {
	stem := n.stem(id)
	name := stem
	for n.taken(name) {
		n.next[stem]++
		name = stem + "_" + strconv.Itoa(n.next[stem]+1)
	}
	n.used[n.fold(name)] = name
	return name
}

func isWordByte(r rune) bool {
	return r == '_' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
}

// isWord reports an ASCII identifier.
func isWord(s string) bool {
	if s == "" || '0' <= s[0] && s[0] <= '9' {
		return false
	}
	return strings.IndexFunc(s, func(r rune) bool { return !isWordByte(r) }) < 0
}
