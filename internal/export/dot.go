package export

import (
	"strings"
	"unicode/utf8"
)

func writeDOT(p *printer, v *view, opt Options) error {
	d := dotWriter{p, v, opt}
	d.open()
	d.palette(v.flow)
	if opt.Flat {
		for _, i := range v.flow {
			d.node(1, i)
		}
	} else {
		d.tree(1, v.roots)
	}
	width := v.edgeWidth()
	for _, i := range v.edges {
		e := v.edge(i)
		d.edge(e.Source, e.Target, e.Label, width(e.Weight))
	}
	p.put("}\n")
	return nil
}

// writeDOTHierarchy draws who belongs to whom, and no flow edges.
func writeDOTHierarchy(p *printer, v *view, opt Options) error {
	d := dotWriter{p, v, opt}
	d.open()
	d.palette(v.nodes)
	for _, i := range v.nodes {
		d.node(1, i)
	}
	for e := range v.hierarchyEdges() {
		d.edge(e.Source, e.Target, "", 1)
	}
	p.put("}\n")
	return nil
}

type dotWriter struct {
	*printer
	v   *view
	opt Options
}

// open writes everything before the first node.
func (d *dotWriter) open() {
	gv := d.opt.Graphviz
	d.put("digraph G {\n")
	if d.v.graph.Name != "" {
		d.put("  label=")
		d.quote(appendDOT, d.v.graph.Name)
		d.put("\n")
	}
	d.put("  labelloc=\"t\"\n  rankdir=\"", string(orDefault(d.opt.Orientation, TopToBottom)), "\"\n")
	if gv.Layout != "" {
		d.put("  layout=\"", gv.Layout, "\"\n")
	}
	d.put("  splines=", boolean(!gv.NoSplines), "\n  overlap=", boolean(gv.Overlap), "\n",
		"  nodesep=\"", number(orDefault(gv.NodeSep, 0.3)), "\"\n  ranksep=\"", number(orDefault(gv.RankSep, 1.3)), "\"\n")
	if d.opt.Style == StyleNone {
		return
	}
	edge := "#2B303A"
	d.put("  fontname=\"Lato\"\n")
	if d.opt.Style == StyleDark {
		edge = "#94a3b8"
		d.put("  bgcolor=\"#1f2933\"\n  fontcolor=\"#f8fafc\"\n")
	}
	d.put("  node [shape=\"plaintext\" style=\"filled, rounded\" fontname=\"Lato\" fontsize=12")
	if d.opt.Orientation == LeftToRight {
		d.put(" width=1.5 fixedsize=false")
	}
	d.put("]\n  edge [fontname=\"Lato\" color=\"", edge, "\" fontsize=8")
	if d.opt.Style == StyleDark {
		d.put(" fontcolor=\"#f8fafc\"")
	}
	d.put("]\n")
}

// palette declares the nodes in one group per layer, since a node takes the defaults that hold where it is first named.
func (d *dotWriter) palette(nodes []int) {
	if d.opt.NoLayers {
		return
	}
	members := make(map[string][]int, len(d.v.layers))
	for _, i := range nodes {
		layer := d.v.node(i).Layer
		members[layer] = append(members[layer], i)
	}
	for _, l := range d.v.layers {
		d.put("  node [style=\"filled, dashed\"")
		d.color("fillcolor", l.Background)
		d.color("fontcolor", l.Text)
		d.put(" penwidth=1")
		d.color("color", l.Border)
		d.put("]; {\n")
		for _, i := range members[l.ID] {
			d.node(2, i)
		}
		d.put("  }\n")
	}
	if d.opt.Style == StyleDark {
		d.put("  node [style=\"filled, rounded\" fillcolor=\"#1f2933\" fontcolor=\"#f8fafc\" color=\"#94a3b8\"];\n")
		return
	}
	d.put("  node [style=\"filled, rounded\" fillcolor=\"#dddddd\" fontcolor=\"#000000\"];\n")
}

// color sets a default of the nodes to come. A layer that has no such color gets Graphviz's own, which is empty, and not that of the
// layer before.
func (d *dotWriter) color(name, value string) {
	c, _ := hexColor(value)
	d.put(" ", name, "=\"", c, "\"")
}

func (d *dotWriter) node(level, i int) {
	n := d.v.node(i)
	d.indent(level)
	d.esc(appendDOTID, n.ID)
	d.put("[label=")
	if d.opt.Notes && present(n.Comment) && d.opt.Graphviz.CommentStyle != "tooltip" {
		d.quote(appendDOT, n.Label+"\n"+n.Comment)
	} else {
		d.quote(appendDOT, n.Label)
	}
	if d.opt.Notes && present(n.Comment) && d.opt.Graphviz.CommentStyle == "tooltip" {
		d.put(" tooltip=")
		d.quote(appendDOT, n.Comment)
	}
	d.put("];\n")
}

// tree draws whoever has children as a cluster. A flow node that has some is drawn in its own cluster as well, because
// edges end at it.
func (d *dotWriter) tree(level int, roots []int) {
	for s := range d.v.walk(roots) {
		n, depth := d.v.node(s.node), level+s.depth
		switch {
		case len(d.v.children[s.node]) == 0:
			if !s.leave {
				d.node(depth, s.node)
			}
		case s.leave:
			d.indent(depth)
			d.put("}\n")
		default:
			d.indent(depth)
			d.put("subgraph ")
			d.esc(appendDOTID, "cluster_"+n.ID)
			d.put(" {\n")
			d.indent(depth + 1)
			d.put("label=")
			d.quote(appendDOT, n.Label)
			if l, ok := d.v.layer(n.Layer); ok && !d.opt.NoLayers {
				d.put(" style=filled")
				d.color("fillcolor", l.Background)
				d.color("color", l.Border)
				d.color("fontcolor", l.Text)
			}
			d.put("\n")
			if !n.IsPartition {
				d.node(depth+1, s.node)
			}
		}
	}
}

func (d *dotWriter) edge(source, target, label string, width float64) {
	d.put("  ")
	d.esc(appendDOTID, source)
	d.put(" -> ")
	d.esc(appendDOTID, target)
	labelled, wide := present(label), d.opt.EdgeWidths
	if labelled || wide {
		d.put(" [")
		if labelled {
			d.put("label=")
			d.quote(appendDOT, label)
		}
		if wide {
			if labelled {
				d.put(" ")
			}
			d.put("penwidth=", number(width))
		}
		d.put("]")
	}
	d.put(";\n")
}

// appendDOTID writes an id bare where DOT allows it, else as a quoted string.
func appendDOTID(dst []byte, id string) []byte {
	if isWord(id) && len(id) < maxDOTString {
		switch strings.ToLower(id) {
		case "node", "edge", "graph", "digraph", "subgraph", "strict":
		default:
			return append(dst, id...)
		}
	}
	dst = append(dst, '"')
	return append(appendDOT(dst, id), '"')
}

// maxDOTString bounds a string or word, in bytes: Graphviz refuses one of more than 16,384, but joins strings by "+".
const maxDOTString = 16_000

// appendDOT escapes the inside of a quoted string. A backslash starts an escape such as \N, and "&" a character reference;
// line feeds stand for themselves. Graphviz shows characters that it is given by number, so bidirectional controls are. A long
// string becomes several, between which no escape is cut.
func appendDOT(dst []byte, s string) []byte {
	s = visible(s)
	piece := len(dst)
	for i, r := range s {
		if len(dst)-piece >= maxDOTString {
			dst = append(dst, `" + "`...)
			piece = len(dst)
		}
		switch {
		case r == '"', r == '\\':
			dst = append(dst, '\\', byte(r))
		case r == '&' && startsReference(s[i+1:]):
			dst = append(dst, "&amp;"...)
		case isBidiControl(r):
			dst = appendReference(dst, r)
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return dst
}

func boolean(b bool) string {
	if b {
		return "true"
	}
	return "false"
}

func orDefault[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}
