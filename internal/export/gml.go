package export

import (
	"bytes"
	"math"
	"strconv"
	"unicode/utf8"

	"layercake/internal/layered"
)

// writeGML writes flow nodes, flow edges, all nodes and hierarchy edges, each in their group: readers tell them apart by
// "type". With integer ids every node occurs once, numbered in the order of ids.
func writeGML(p *printer, v *view, opt Options) error {
	g := gmlWriter{p, v, opt.GMLIntegerIDs, appendGML}
	if g.numbered {
		g.text = appendGMLLine
		p.put("graph [\n    directed 1\n")
		if v.hasParallelEdges() {
			p.put("    multigraph 1\n")
		}
		p.put("    id 0\n    label ")
		p.quote(g.text, v.graph.Name)
		p.put("\n")
		for number, i := range v.nodes {
			kind := "flow"
			if v.node(i).IsPartition {
				kind = "hierarchy"
			}
			g.node(v.node(i), kind, number)
		}
	} else {
		p.put("graph [\n    id 0\n    label \"Graph\"\n")
		for _, i := range v.flow {
			g.node(v.node(i), "flow", 0)
		}
	}
	p.put("\n")
	numbers := g.numbers()
	for _, i := range v.edges {
		g.edge(v.edge(i), "flow", numbers)
	}
	p.put("\n")
	if !g.numbered {
		for _, i := range v.nodes {
			g.node(v.node(i), "hierarchy", 0)
		}
		p.put("\n")
	}
	for e := range v.hierarchyEdges() {
		g.edge(&e, "hierarchy", numbers)
	}
	p.put("]\n")
	return nil
}

// hasParallelEdges reports whether two edges, of whatever type, lead from one node to the same other one.
func (v *view) hasParallelEdges() bool {
	type ends struct{ source, target string }
	seen := make(map[ends]bool, len(v.edges))
	for _, i := range v.edges {
		e := ends{v.edge(i).Source, v.edge(i).Target}
		if seen[e] {
			return true
		}
		seen[e] = true
	}
	for e := range v.hierarchyEdges() {
		if seen[ends{e.Source, e.Target}] {
			return true
		}
	}
	return false
}

type gmlWriter struct {
	*printer
	v        *view
	numbered bool
	text     func([]byte, string) []byte // escapes the inside of a string
}

func (g *gmlWriter) numbers() map[string]int {
	if !g.numbered {
		return nil
	}
	numbers := make(map[string]int, len(g.v.nodes))
	for number, i := range g.v.nodes {
		numbers[g.v.node(i).ID] = number
	}
	return numbers
}

func (g *gmlWriter) node(n *layered.Node, kind string, number int) {
	g.put("    node [\n      id ")
	if g.numbered {
		g.put(strconv.Itoa(number), "\n      name ")
		g.quote(g.text, n.ID)
	} else {
		g.esc(appendGMLID, n.ID)
	}
	g.put("\n      label ")
	g.quote(g.text, n.Label)
	g.put("\n      type \"", kind, "\"\n")
	g.tail(n.Layer, n.Weight, n.Comment)
}

func (g *gmlWriter) edge(e *layered.Edge, kind string, numbers map[string]int) {
	g.put("    edge [\n")
	if present(e.ID) {
		g.put("      id ")
		if g.numbered {
			g.quote(g.text, e.ID)
		} else {
			g.esc(appendGMLID, e.ID)
		}
		g.put("\n")
	}
	g.put("      type \"", kind, "\"\n      source ")
	if g.numbered {
		g.put(strconv.Itoa(numbers[e.Source]), "\n      target ", strconv.Itoa(numbers[e.Target]))
	} else {
		g.esc(appendGMLID, e.Source)
		g.put("\n      target ")
		g.esc(appendGMLID, e.Target)
	}
	g.put("\n")
	g.tail(e.Layer, e.Weight, e.Comment)
}

func (g *gmlWriter) tail(layer string, weight float64, comment string) {
	if present(layer) {
		g.put("      layer ")
		g.quote(g.text, layer)
		g.put("\n")
	}
	g.put("      weight ")
	g.buf = appendGMLNumber(g.buf, weight)
	g.put("\n")
	if present(comment) {
		g.put("      comment ")
		g.quote(g.text, comment)
		g.put("\n")
	}
	g.put("    ]\n")
}

// appendGMLNumber writes an integer of 32 bits, which is all that GML has, or a real, which must have a decimal point: readers take
// the 1 of 1e-07 for an integer.
func appendGMLNumber(dst []byte, f float64) []byte {
	from := len(dst)
	dst = appendNumber(dst, f)
	mantissa, exponent, _ := bytes.Cut(dst[from:], []byte("e"))
	if bytes.IndexByte(mantissa, '.') >= 0 || len(exponent) == 0 && math.Abs(f) <= math.MaxInt32 {
		return dst
	}
	tail := string(exponent)
	dst = append(dst[:from+len(mantissa)], ".0"...)
	if tail != "" {
		dst = append(append(dst, 'e'), tail...)
	}
	return dst
}

// appendGMLID writes an id as the published output does, as a bare word; one that could be read as something else is a
// string.
func appendGMLID(dst []byte, id string) []byte {
	if isWord(id) {
		return append(dst, id...)
	}
	dst = append(dst, '"')
	return append(appendGML(dst, id), '"')
}

// appendGML escapes the inside of a string as GML says: ASCII, everything else by character reference. Line feeds stay, as in
// published files.
func appendGML(dst []byte, s string) []byte {
	for _, r := range s {
		switch {
		case r == '"':
			dst = append(dst, "&quot;"...)
		case r == '&':
			dst = append(dst, "&amp;"...)
		case r == '\n', ' ' <= r && r <= '~':
			dst = append(dst, byte(r))
		default:
			dst = appendReference(dst, r)
		}
	}
	return dst
}

// appendGMLLine is appendGML in one line, for readers that go line by line.
func appendGMLLine(dst []byte, s string) []byte {
	first := len(dst)
	dst = appendGML(dst, s)
	return append(dst[:first], bytes.ReplaceAll(dst[first:], []byte("\n"), []byte("&#10;"))...)
}

// appendReference writes a decimal character reference, as in HTML.
func appendReference(dst []byte, r rune) []byte {
	dst = strconv.AppendInt(append(dst, '&', '#'), int64(r), 10)
	return append(dst, ';')
}

// startsReference reports whether "&" before s would start a character reference.
func startsReference(s string) bool {
	r, _ := utf8.DecodeRuneInString(s)
	return r == '#' || isWordByte(r)
}
