package exporttest

import (
	"errors"
	"fmt"
	"maps"
	"strings"
)

// ParseDOT reads a digraph.
func ParseDOT(source string) (*Digest, error) {
	tokens, err := scanDOT(source)
	if err != nil {
		return nil, err
	}
	p := &dotParser{tokens: tokens, digest: &Digest{}}
	p.tree.digest = p.digest
	for _, want := range []string{"digraph", "G", "{"} {
		if t := p.next(); t.text != want {
			return nil, fmt.Errorf("DOT: %q where %q is expected", t.text, want)
		}
	}
	if err := p.statements(nil); err != nil {
		return nil, fmt.Errorf("DOT: %w", err)
	}
	if len(p.tokens) > 0 {
		return nil, fmt.Errorf("DOT: %q after the end", p.tokens[0].text)
	}
	return p.digest, nil
}

type dotToken struct {
	text   string
	quoted bool
}

// maxDOTString is the length of Graphviz's own buffer for a string or word.
const maxDOTString = 16_384

func scanDOT(s string) ([]dotToken, error) {
	var tokens []dotToken
	joined := false // to the string before, by "+"
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c == ' ', c == '\n':
			i++
		case c == '+' && len(tokens) > 0 && tokens[len(tokens)-1].quoted && !joined:
			joined = true
			i++
		case joined && c != '"':
			return nil, fmt.Errorf("%q after a +", c)
		case c == '"':
			text, size, err := scanDOTString(s[i:])
			if err != nil {
				return nil, err
			}
			i += size
			if joined {
				joined = false
				tokens[len(tokens)-1].text += text
				continue
			}
			tokens = append(tokens, dotToken{text, true})
		case strings.HasPrefix(s[i:], "->"):
			tokens = append(tokens, dotToken{"->", false})
			i += 2
		case strings.IndexByte("{}[]=;,", c) >= 0:
			tokens = append(tokens, dotToken{string(c), false})
			i++
		default:
			word, err := scanDOTWord(s[i:])
			if err != nil {
				return nil, err
			}
			tokens = append(tokens, dotToken{word, false})
			i += len(word)
		}
	}
	return tokens, nil
}

// scanDOTString reads the quoted string at the beginning of s. It returns its text, and its size in s with the quotes.
func scanDOTString(s string) (text string, size int, err error) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			if i+1 >= maxDOTString {
				return "", 0, fmt.Errorf("a string has %d bytes", i+1)
			}
			return b.String(), i + 1, nil
		case '\\':
			i++
			if i >= len(s) || s[i] != '"' && s[i] != '\\' {
				return "", 0, fmt.Errorf("escape other than of a quote or a backslash near %.20q", s[i-1:])
			}
		}
		b.WriteByte(s[i])
	}
	return "", 0, errors.New("a string does not end")
}

// scanDOTWord reads the unquoted word at the beginning of s.
func scanDOTWord(s string) (string, error) {
	end := 0
	for end < len(s) && (s[end] == '_' || s[end] == '.' || '0' <= s[end] && s[end] <= '9' || 'a' <= s[end]|0x20 && s[end]|0x20 <= 'z') {
		end++
	}
	if end == 0 {
		return "", fmt.Errorf("stray %q", s[0])
	}
	if end >= maxDOTString {
		return "", fmt.Errorf("a word has %d bytes", end)
	}
	return s[:end], nil
}

type dotParser struct {
	tokens   []dotToken
	digest   *Digest
	tree     tree
	defaults map[string]string // of nodes
	group    *Style            // inside a brace group
}

func (p *dotParser) peek() dotToken {
	if len(p.tokens) == 0 {
		return dotToken{}
	}
	return p.tokens[0]
}

func (p *dotParser) next() dotToken {
	t := p.peek()
	if len(p.tokens) > 0 {
		p.tokens = p.tokens[1:]
	}
	return t
}

func (p *dotParser) skip(text string) bool {
	if t := p.peek(); !t.quoted && t.text == text {
		p.next()
		return true
	}
	return false
}

// statements reads up to the brace that closes; box is the cluster around them.
func (p *dotParser) statements(box *Box) error {
	for {
		switch {
		case len(p.tokens) == 0:
			return errors.New("a brace is not closed")
		case p.skip("}"):
			return nil
		case p.skip(";"):
		case p.skip("{"):
			p.group = &Style{Background: p.defaults["fillcolor"], Text: p.defaults["fontcolor"], Border: p.defaults["color"]}
			if err := p.statements(box); err != nil {
				return err
			}
			p.digest.Styles = append(p.digest.Styles, *p.group)
			p.group = nil
		case p.skip("subgraph"):
			inner := &Box{ID: strings.TrimPrefix(unescapeEntities(p.next().text), "cluster_")}
			if !p.skip("{") {
				return errors.New("a subgraph has no body")
			}
			p.tree.open(inner)
			if err := p.statements(inner); err != nil {
				return err
			}
			if err := p.tree.close(); err != nil {
				return err
			}
		default:
			if err := p.statement(box); err != nil {
				return err
			}
		}
	}
}

func (p *dotParser) statement(box *Box) error {
	first := p.next()
	id := unescapeEntities(first.text)
	switch {
	case p.skip("="):
		p.attribute(box, first.text, unescapeEntities(p.next().text))
	case p.skip("->"):
		target := unescapeEntities(p.next().text)
		attrs, err := p.attributes()
		if err != nil {
			return err
		}
		p.digest.Edges = append(p.digest.Edges, Edge{id, target, attrs["label"]})
	default:
		attrs, err := p.attributes()
		if err != nil {
			return err
		}
		switch {
		case !first.quoted && first.text == "node":
			p.defaults = maps.Clone(p.defaults)
			if p.defaults == nil {
				p.defaults = map[string]string{}
			}
			maps.Copy(p.defaults, attrs)
		case !first.quoted && first.text == "edge":
		case p.group != nil:
			p.group.Members = append(p.group.Members, id)
		case box != nil:
			p.tree.add(&Box{ID: id, Label: attrs["label"]})
		default:
			p.digest.Nodes = append(p.digest.Nodes, Box{ID: id, Label: attrs["label"]})
		}
	}
	return nil
}

func (p *dotParser) attribute(box *Box, name, value string) {
	switch {
	case box != nil && name == "label":
		box.Label = value
	case box != nil && name == "fillcolor":
		box.Background = value
	case box != nil && name == "fontcolor":
		box.Text = value
	case box != nil && name == "color":
		box.Border = value
	case box == nil && name == "label":
		p.digest.Title = value
	case box == nil && name == "rankdir":
		p.digest.Orientation = value
	}
}

func (p *dotParser) attributes() (map[string]string, error) {
	if !p.skip("[") {
		return nil, nil
	}
	attrs := map[string]string{}
	for !p.skip("]") {
		name := p.next().text
		if name == "" || !p.skip("=") {
			return nil, fmt.Errorf("attribute %q has no value", name)
		}
		attrs[name] = unescapeEntities(p.next().text)
	}
	return attrs, nil
}
