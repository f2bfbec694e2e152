package export

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"layercake/internal/layered"
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
		p.put(m.ids.of(e.Source), " ", m.edgeID(e), "-->")
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
	m.warn(len(v.edges))
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
	err := m.outline("mindmap", base, func(nth, i int) {
		p.put("n", strconv.Itoa(nth), "[")
		m.label(i)
		p.put("]\n")
	})
	m.warn(0)
	return err
}

// writeMermaidTreemap writes the hierarchy as areas: those without children are as large as they weigh.
func writeMermaidTreemap(p *printer, v *view, opt Options) error {
	m := newMermaid(p, v, opt)
	m.frontMatter()
	p.put("treemap-beta\n")
	err := m.outline("treemap", 0, func(_, i int) {
		m.esc(appendTreemap, m.text(i))
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
	m.warn(0)
	return err
}

// Mermaid draws only an error beyond these limits. A page may raise them, but no diagram may do so for itself.
const (
	maxMermaidEdges = 500
	maxMermaidText  = 50_000 // in UTF-16, without front matter
)

// warn reports a diagram that is beyond the limits.
func (m *mermaid) warn(edges int) {
	length := m.measured()
	if m.opt.Warn == nil {
		return
	}
	const advice = "%d %s: Mermaid draws an error instead of a diagram of more than %d, unless the page that shows it sets %s: " +
		"set that to %d or more, or export less"
	if edges > maxMermaidEdges {
		m.opt.Warn(fmt.Sprintf(advice, edges, "edges", maxMermaidEdges, "maxEdges", edges))
	}
	if length > maxMermaidText {
		m.opt.Warn(fmt.Sprintf(advice, length, "characters", maxMermaidText, "maxTextSize", length))
	}
}

type mermaid struct {
	*printer
	v       *view
	opt     Options
	ids     *names
	classes *names
	ends    map[string][2]string // of edges by the id that Mermaid makes of their ends
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
	// A class of any name may be one that Mermaid's own elements have: node, label, cluster, and so on.
	prefixed := func(string) bool { return false }
	return mermaid{
		p, v, opt, newNames("n_", isMermaidName, exact, ids), newNames("layer_", prefixed, exact, v.layerIDs()), map[string][2]string{},
	}
}

func (v *view) isFlowContainer(i int) bool { return !v.node(i).IsPartition && len(v.children[i]) > 0 }

// groupID stands for the container of a flow node that has children; no node has this id, for ids hold no NUL.
func groupID(id string) string { return id + "\x00group" }

func (m *mermaid) frontMatter() {
	defer m.measure() // what follows
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
		m.esc(appendYAML, strings.ReplaceAll(visible(m.v.graph.Name), "<", mermaidLess))
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

// text is what a node shows.
func (m *mermaid) text(i int) string {
	n := m.v.node(i)
	if m.opt.Notes && present(n.Comment) {
		return n.Label + "\n" + n.Comment
	}
	return orDefault(n.Label, " ")
}

// label writes a node's text between quotes.
func (m *mermaid) label(i int) { m.quote(appendMermaid, m.text(i)) }

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

// edgeID is an own id for an edge to which Mermaid would give that of another one; "" for all others. Mermaid joins the ids of the
// ends by "_", and draws neither edge, or both labels in one place, when that gives the same for different ends.
func (m *mermaid) edgeID(e *layered.Edge) string {
	source, target := m.ids.of(e.Source), m.ids.of(e.Target)
	if !strings.Contains(source, "_") && !strings.Contains(target, "_") {
		return "" // both ends of such an edge are parts of the other's
	}
	ends, id := [2]string{source, target}, source+"_"+target
	switch first, ok := m.ends[id]; {
	case !ok:
		m.ends[id] = ends
		return ""
	case first == ends:
		return ""
	}
	return m.ids.invent("edge") + "@"
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

// mermaidWords are those of the syntax, and the names that every object of JavaScript has, in lower case: Mermaid keeps nodes by
// their ids in plain objects, and draws nothing when it finds something there.
var mermaidWords = []string{
	"bt", "call", "class", "classdef", "click", "default", "direction", "end", "flowchart", "graph", "href", "interpolate",
	"linkstyle", "lr", "rl", "style", "subgraph", "tb", "td", "_blank", "_parent", "_self", "_top",
	"constructor", "hasownproperty", "isprototypeof", "propertyisenumerable", "tolocalestring", "tostring", "valueof", "__proto__",
	"__definegetter__", "__definesetter__", "__lookupgetter__", "__lookupsetter__",
}

// appendMermaid escapes the inside of a quoted string, which Mermaid takes for Markdown (everywhere up to 11.12, in mind maps to
// this day), for HTML, and for syntax of its own: directives (%%), formulas ($$), icons (fa:fa-...) and links. What would be
// markup is written as the number of the character, which Mermaid leaves alone until everything is parsed.
func appendMermaid(dst []byte, s string) []byte {
	s = visible(s)
	first := len(dst)
	start, number := true, false // only blanks so far in this line; only digits after them
	var last rune
	for i, r := range s {
		rest := s[i+utf8.RuneLen(r):]
		next, _ := utf8.DecodeRuneInString(rest)
		ends := rest == "" || next == ' ' || next == '\n'
		switch {
		case strings.ContainsRune("\"<`*~\\[|@", r),
			start && strings.ContainsRune("#>-+=", r),
			number && ends && strings.ContainsRune(".)", r),
			r == '_' && !(isMermaidLetter(last) && isMermaidLetter(next)),
			r == '&' && startsReference(rest),
			(r == '$' || r == '%') && r == next,
			r == ':' && (strings.HasPrefix(rest, "//") || strings.HasPrefix(rest, "fa-")),
			r == '.' && strings.EqualFold(s[max(0, i-3):i], "www"),
			isMermaidSyntax(r, rest):
			dst = appendMermaidNumber(dst, r)
		default:
			dst = utf8.AppendRune(dst, r)
		}
		number = (start || number) && '0' <= r && r <= '9'
		start = r == '\n' || start && r == ' '
		last = r
	}
	return escapeColons(dst, first)
}

// appendTreemap writes a quoted string of a treemap, which shows everything but numbers of characters as it stands, in one line.
// It measures a number by its length before it draws, and would draw the label smaller: so the quotes are those that need none.
// But Mermaid changes double quotes of HTML before it parses.
func appendTreemap(dst []byte, s string) []byte {
	s = strings.ReplaceAll(visible(s), "\n", " ")
	quote := '"'
	if strings.Contains(s, `"`) && !strings.ContainsAny(s, "'<") {
		quote = '\''
	}
	dst = append(dst, byte(quote))
	first := len(dst)
	for i, r := range s {
		if r == quote || isMermaidSyntax(r, s[i+utf8.RuneLen(r):]) {
			dst = appendMermaidNumber(dst, r)
		} else {
			dst = utf8.AppendRune(dst, r)
		}
	}
	return append(escapeColons(dst, first), byte(quote))
}

// isMermaidSyntax reports characters that no string of Mermaid can hold: the beginnings of a directive and of the number of a
// character.
func isMermaidSyntax(r rune, rest string) bool {
	switch r {
	case '%':
		return strings.HasPrefix(rest, "%{")
	case '#':
		word := strings.TrimLeftFunc(rest, isWordByte)
		return len(word) < len(rest) && strings.HasPrefix(word, ";")
	}
	return isBidiControl(r)
}

// isMermaidLetter reports what Markdown takes for the inside of a word: there "_" stands for itself.
func isMermaidLetter(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r)
}

func appendMermaidNumber(dst []byte, r rune) []byte {
	dst = strconv.AppendInt(append(dst, '#'), int64(r), 10)
	return append(dst, ';')
}

// escapeColons writes the colons from position first on as numbers, too, if a "#" stands there: Mermaid takes a semicolon from
// every line that looks like "style ...:...#...;", even within quotes.
func escapeColons(dst []byte, first int) []byte {
	if label := dst[first:]; bytes.IndexByte(label, '#') >= 0 && bytes.IndexByte(label, ':') >= 0 {
		dst = append(dst[:first], bytes.ReplaceAll(label, []byte(":"), []byte("#58;"))...)
	}
	return dst
}

// mermaidLess is "<" in a title, where Mermaid takes that for HTML. It reads numbers of characters everywhere else, and turns them
// into this before it parses.
const mermaidLess = "ﬂ°°60¶ß"

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
