package layered

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// LimitNodeLabels keeps the first n characters of each node's label. An n below 1 is a BAD_REQUEST.
func LimitNodeLabels(g Graph, n int) (Graph, error) {
	if n < 1 {
		return Graph{}, tooSmall("node label length", n)
	}
	return mapNodeLabels(g, func(s string) string { return firstRunes(s, n) }), nil
}

// LimitEdgeLabels keeps the first n characters of each edge's label. An n below 1 is a BAD_REQUEST.
func LimitEdgeLabels(g Graph, n int) (Graph, error) {
	if n < 1 {
		return Graph{}, tooSmall("edge label length", n)
	}
	return mapEdgeLabels(g, func(s string) string { return firstRunes(s, n) }), nil
}

// WrapNodeLabels breaks node labels of more than n characters into lines, between words. An n below 1 is a BAD_REQUEST.
func WrapNodeLabels(g Graph, n int) (Graph, error) {
	if n < 1 {
		return Graph{}, tooSmall("node label line length", n)
	}
	return mapNodeLabels(g, func(s string) string { return wrap(s, n) }), nil
}

// WrapEdgeLabels breaks edge labels of more than n characters into lines, between words. An n below 1 is a BAD_REQUEST.
func WrapEdgeLabels(g Graph, n int) (Graph, error) {
	if n < 1 {
		return Graph{}, tooSmall("edge label line length", n)
	}
	return mapEdgeLabels(g, func(s string) string { return wrap(s, n) }), nil
}

func mapNodeLabels(g Graph, f func(string) string) Graph {
	g.Nodes = slices.Clone(g.Nodes)
	for i := range g.Nodes {
		g.Nodes[i].Label = f(g.Nodes[i].Label)
	}
	return g
}

func mapEdgeLabels(g Graph, f func(string) string) Graph {
	g.Edges = slices.Clone(g.Edges)
	for i := range g.Edges {
		g.Edges[i].Label = f(g.Edges[i].Label)
	}
	return g
}

func firstRunes(s string, n int) string {
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}

// wrap follows the published rule to the letter: all lines but the last keep a trailing blank, and the blank counts.
func wrap(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	var b strings.Builder
	length := 0
	for word := range strings.FieldsSeq(s) {
		w := utf8.RuneCountInString(word)
		if length+w > n {
			b.WriteByte('\n')
			length = 0
		}
		b.WriteString(word)
		b.WriteByte(' ')
		length += w + 1
	}
	return strings.TrimSpace(b.String())
}
