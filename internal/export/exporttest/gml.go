package exporttest

import (
	"fmt"
	"regexp"
	"strconv"
)

// GML is a list of keys with values: string, float64, or GML for a list. A bare word, which published files have for ids, is
// a Word.
type GML []GMLPair

// GMLPair is a key and its value.
type GMLPair struct {
	Key   string
	Value any
}

// Word is a bare word where GML wants a number or a string.
type Word string

// Get returns the first value of a key, or nil.
func (g GML) Get(key string) any {
	for _, p := range g {
		if p.Key == key {
			return p.Value
		}
	}
	return nil
}

// All returns the lists of a key.
func (g GML) All(key string) []GML {
	var all []GML
	for _, p := range g {
		if list, ok := p.Value.(GML); ok && p.Key == key {
			all = append(all, list)
		}
	}
	return all
}

// gmlReal is a number with a decimal point, as the format says.
var gmlReal = regexp.MustCompile(`^[+-]?[0-9]*\.[0-9]*([Ee][+-]?[0-9]+)?$`)

// ParseGML reads a file. Characters must be ASCII, as the format says.
func ParseGML(source string) (GML, error) {
	p := gmlParser{s: source}
	g, err := p.list(false)
	if err != nil {
		return nil, fmt.Errorf("GML at byte %d: %w", p.i, err)
	}
	return g, nil
}

type gmlParser struct {
	s string
	i int
}

func isKeyByte(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
}

func (p *gmlParser) space() {
	for p.i < len(p.s) && (p.s[p.i] == ' ' || p.s[p.i] == '\n') {
		p.i++
	}
}

func (p *gmlParser) word() string {
	start := p.i
	for p.i < len(p.s) && isKeyByte(p.s[p.i]) {
		p.i++
	}
	return p.s[start:p.i]
}

func (p *gmlParser) list(inner bool) (GML, error) {
	g := GML{}
	for {
		p.space()
		switch {
		case p.i >= len(p.s):
			if inner {
				return nil, fmt.Errorf("a list does not end")
			}
			return g, nil
		case p.s[p.i] == ']' && inner:
			p.i++
			return g, nil
		}
		key := p.word()
		if key == "" {
			return nil, fmt.Errorf("%q where a key is expected", p.s[p.i])
		}
		p.space()
		value, err := p.value()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		g = append(g, GMLPair{key, value})
	}
}

func (p *gmlParser) value() (any, error) {
	if p.i >= len(p.s) {
		return nil, fmt.Errorf("no value")
	}
	switch c := p.s[p.i]; {
	case c == '[':
		p.i++
		return p.list(true)
	case c == '"':
		p.i++
		start := p.i
		for ; p.i < len(p.s) && p.s[p.i] != '"'; p.i++ {
			if b := p.s[p.i]; b >= 0x7f || b < ' ' && b != '\n' {
				return nil, fmt.Errorf("byte %#x in a string", b)
			}
		}
		if p.i == len(p.s) {
			return nil, fmt.Errorf("a string does not end")
		}
		p.i++
		return unescapeEntities(p.s[start : p.i-1]), nil
	default:
		start := p.i
		for p.i < len(p.s) && (isKeyByte(p.s[p.i]) || p.s[p.i] == '-' || p.s[p.i] == '+' || p.s[p.i] == '.') {
			p.i++
		}
		text := p.s[start:p.i]
		if text == "" {
			return nil, fmt.Errorf("%q where a value is expected", c)
		}
		if c|0x20 >= 'a' || c == '_' {
			return Word(text), nil
		}
		if _, err := strconv.ParseInt(text, 10, 32); err != nil && !gmlReal.MatchString(text) {
			return nil, fmt.Errorf("%q is neither an integer of 32 bits nor a real", text)
		}
		return strconv.ParseFloat(text, 64)
	}
}
