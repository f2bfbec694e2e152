package export

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

func writeMermaid(p *printer, v *view, opt Options) error {
	m := newMermaid(p, v, opt)
	m.frontMatter()
	p.put("flowchart ", string(orDefault(opt.Orientation, TopToBottom)), "\n")
	if opt.Flat {
		for _, i := range v.flow {
			m.node(0, i)
		}
	} else {
		m.tree(0, v.roots)
	}
	width := v.edgeWidth()
	for _, i := range v.edges {
		e := v.edge(i)
		p.put(m.ids.of(e.Source), " -->")
		if opt.Mermaid.EdgeLabels && present(e.Label) {
			p.put("|")
			p.quote(appendMermaid, e.Label)
			p.put("|")
		}
		p.put(" ", m.ids.of(e.Target), "\n")
	}
	if opt.EdgeWidths {
		for nth, i := range v.edges {
			p.put("linkStyle ", strconv.Itoa(nth), " stroke-width:", number(width(v.edge(i).Weight)), "px\n")
		}
	}
	m.layers()
	return nil
}

// writeMermaidMindmap writes the hierarchy. There must be one root: more than one get a common parent that is called as the
// graph is.
func writeMermaidMindmap(p *printer, v *view, opt Options) error {
	m := newMermaid(p, v, opt)
	m.frontMatter()
	p.put("mindmap\n")
	base := 1
	if len(v.roots) != 1 {
		base = 2
		p.put("  root[")
		p.quote(appendMermaid, orDefault(v.graph.Name, "Graph"))
		p.put("]\n")
	}
	return m.outline("mindmap", base, func(nth, i int) {
		p.put("n", strconv.Itoa(nth), "[")
		m.label(i)
		p.put("]\n")
	})
}

// writeMermaidTreemap writes the hierarchy as areas: those without children are as large as they weigh.
func writeMermaidTreemap(p *printer, v *view, opt Options) error {
	m := newMermaid(p, v, opt)
	m.frontMatter()
	p.put("treemap-beta\n")
	err := m.outline("treemap", 0, func(_, i int) {
		m.label(i)
		if len(v.children[i]) == 0 {
			// The grammar knows neither a sign nor an exponent.
			p.put(": ", strconv.FormatFloat(max(0, v.node(i).Weight), 'f', -1, 64))
		}
		if class := m.class(i); class != "" {
			p.put(":::", class)
		}
		p.put("\n")
	})
	m.classDefs()
	return err
}

type mermaid struct {
	*printer
	v       *view
	opt     Options
	ids     *names
	classes *names
}

func newMermaid(p *printer, v *view, opt Options) mermaid {
	ids := func(yield func(string) bool) {
		for id := range v.ids() {
			if !yield(id) {
				return
			}
		}
		for _, i := range v.nodes {
			if v.isFlowContainer(i) && !yield(groupID(v.node(i).ID)) {
				return
			}
		}
	}
	return mermaid{p, v, opt, newNames("n_", isMermaidName, ids), newNames("layer_", isMermaidName, v.layerIDs())}
}

func (v *view) isFlowContainer(i int) bool { return !v.node(i).IsPartition && len(v.children[i]) > 0 }

// groupID stands for the container of a flow node that has children; no node has this id, for ids hold no NUL.
func groupID(id string) string { return id + "\x00group" }

func (m *mermaid) frontMatter() {
	theme := m.opt.Mermaid.Theme
	if theme == "" && m.opt.Style == StyleDark {
		theme = "dark"
	}
	look := m.opt.Mermaid.Look
	if look == "default" {
		look = "classic" // as Mermaid calls it
	}
	compact := m.opt.Mermaid.Display == "compact"
	if m.v.graph.Name == "" && theme == "" && look == "" && !compact {
		return
	}
	m.put("---\n")
	if m.v.graph.Name != "" {
		m.put(" title: ")
		m.esc(appendYAML, visible(m.v.graph.Name))
		m.put("\n")
	}
	if compact {
		m.put(" displayMode: compact\n")
	}
	if theme != "" || look != "" {
		m.put(" config:\n")
		if look != "" {
			m.put("   look: ", look, "\n")
		}
		if theme != "" {
			m.put("   theme: ", theme, "\n")
		}
	}
	m.put("---\n")
}

// label writes a node's text between quotes.
func (m *mermaid) label(i int) {
	n := m.v.node(i)
	label := n.Label
	if m.opt.Notes && present(n.Comment) {
		label += "\n" + n.Comment
	}
	m.quote(appendMermaid, orDefault(label, " "))
}

func (m *mermaid) node(level, i int) {
	m.indent(level)
	m.put(m.ids.of(m.v.node(i).ID), "[")
	m.label(i)
	m.put("]\n")
}

// tree nests subgraphs. A flow node that has children stands in a subgraph of its own, because edges end at it.
func (m *mermaid) tree(level int, roots []int) {
	for s := range m.v.walk(roots) {
		depth, id := level+s.depth, m.v.node(s.node).ID
		switch {
		case len(m.v.children[s.node]) == 0:
			if !s.leave {
				m.node(depth, s.node)
			}
		case s.leave:
			m.indent(depth)
			m.put("end\n")
		default:
			m.indent(depth)
			group := id
			if m.v.isFlowContainer(s.node) {
				group = groupID(id)
			}
			m.put("subgraph ", m.ids.of(group), "[")
			m.quote(appendMermaid, orDefault(m.v.node(s.node).Label, " "))
			m.put("]\n")
			if group != id {
				m.node(depth+1, s.node)
			}
		}
	}
}

// outline writes one line per node, indented by level, which here is syntax.
func (m *mermaid) outline(kind string, base int, line func(nth, i int)) error {
	nth := 0
	for s := range m.v.walk(m.v.roots) {
		if s.leave {
			continue
		}
		if s.depth >= maxOutlineDepth {
			return tooDeep(kind)
		}
		for range s.depth + base {
			m.put("  ")
		}
		line(nth, s.node)
		nth++
	}
	return nil
}

// class is the style class of a node; "" when it has none.
func (m *mermaid) class(i int) string {
	id := m.v.node(i).Layer
	if _, ok := m.v.layer(id); !ok || id == "" || m.opt.NoLayers {
		return ""
	}
	return m.classes.of(id)
}

func (m *mermaid) classDefs() {
	if m.opt.NoLayers {
		return
	}
	for _, l := range m.v.layers {
		if l.ID == "" {
			continue
		}
		var styles []string
		for _, c := range [][2]string{{"fill", l.Background}, {"color", l.Text}, {"stroke", l.Border}} {
			if hex, ok := hexColor(c[1]); ok {
				styles = append(styles, c[0]+":"+hex)
			}
		}
		if len(styles) > 0 {
			m.put("classDef ", m.classes.of(l.ID), " ", strings.Join(styles, ","), ";\n")
		}
	}
}

// layers declares the palette and gives every node that is drawn its class.
func (m *mermaid) layers() {
	m.classDefs()
	nodes := m.v.nodes
	if m.opt.Flat {
		nodes = m.v.flow
	}
	for _, i := range nodes {
		if class := m.class(i); class != "" {
			m.put("class ", m.ids.of(m.v.node(i).ID), " ", class, ";\n")
		}
	}
}

func isMermaidName(id string) bool {
	return isWord(id) && !slices.Contains(mermaidWords, strings.ToLower(id))
}

var mermaidWords = []string{
	"bt", "call", "class", "classdef", "click", "default", "direction", "end", "flowchart", "graph", "href",
	"interpolate",
	"linkstyle", "lr", "rl", "style", "subgraph", "tb", "td", "_blank", "_parent", "_self", "_top",
}

// appendMermaid escapes the inside of a quoted string, which Mermaid takes for HTML in a browser: what is markup there, an
// entity, a directive (%%), a formula ($$), an icon (fa:fa-...) or a Markdown string is written as a named entity. Mermaid's
// own escapes (#quot;) are avoided where there is a name: it takes a semicolon from "style...:...#...;" before it parses.
func appendMermaid(dst []byte, s string) []byte {
	s = visible(s)
	for i, r := range s {
		next := s[i+utf8.RuneLen(r):]
		switch {
		case r == '"':
			dst = append(dst, "&quot;"...)
		case r == '<':
			dst = append(dst, "&lt;"...)
		case r == '&' && startsReference(next):
			dst = append(dst, "&amp;"...)
		case r == '#' && startsReference(next):
			dst = append(dst, "&num;"...)
		case r == '%' && strings.HasPrefix(next, "%"), r == '%' && strings.HasPrefix(next, "{"):
			dst = append(dst, "&percnt;"...)
		case r == '$' && strings.HasPrefix(next, "$"):
			dst = append(dst, "&dollar;"...)
		case r == ':' && strings.HasPrefix(next, "fa-"):
			dst = append(dst, "&colon;"...)
		case r == '`' && i == 0:
			dst = append(dst, "&grave;"...)
		case r == '\\' && strings.HasPrefix(next, "n"):
			dst = append(dst, "&bsol;"...) // "\n" is a line break
		case isBidiControl(r):
			dst = append(strconv.AppendInt(append(dst, '#'), int64(r), 10), ';')
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return dst
}

// appendYAML writes a text as a plain scalar where that is safe, else between quotes, without the beginning of a directive.
func appendYAML(dst []byte, s string) []byte {
	if isPlainYAML(s) {
		return append(dst, s...)
	}
	dst = append(dst, '"')
	quoted := appendJSONForHTML(nil, s)
	return append(append(dst, bytes.ReplaceAll(quoted, []byte("%"), []byte(`\u0025`))...), '"')
}

func isPlainYAML(s string) bool {
	first, _ := utf8.DecodeRuneInString(s)
	if !unicode.IsLetter(first) || strings.HasSuffix(s, " ") {
		return false
	}
	switch strings.ToLower(s) {
	case "true", "false", "null", "yes", "no", "on", "off", "y", "n":
		return false
	}
	return strings.IndexFunc(s, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune(" _-.()/&", r)
	}) < 0
}
