package export

import (
	"iter"
	"slices"
	"unicode/utf8"

	"layercake/internal/layered"
)

// writeJSON writes the graph as one object: keys sorted, two blanks a level, no line feed at the end.
func writeJSON(p *printer, v *view, _ Options) error {
	j := jsonWriter{p, appendJSON}
	p.put("{\n  \"flow_edges\": ")
	j.edges(func(yield func(*layered.Edge) bool) {
		for _, i := range v.edges {
			if !yield(v.edge(i)) {
				return
			}
		}
	})
	p.put(",\n  \"flow_nodes\": ")
	j.nodes(v, v.flow, func(comment string) string { return comment })
	p.put(",\n  \"hierarchy_edges\": ")
	j.edges(func(yield func(*layered.Edge) bool) {
		for e := range v.hierarchyEdges() {
			if !yield(&e) {
				return
			}
		}
	})
	p.put(",\n  \"hierarchy_nodes\": ")
	j.nodes(v, v.nodes, orNull)
	p.put(",\n  \"layers\": ")
	j.layers(v.layers)
	p.put(",\n  \"tree\": ")
	j.tree(v)
	p.put("\n}")
	return nil
}

// writeJSGraph writes a script that leaves the graph in two variables of the page. It may be pasted into HTML: no string
// can end the script element.
func writeJSGraph(p *printer, v *view, opt Options) error {
	j := jsonWriter{p, appendJSONForHTML}
	p.put("window.graphData = {\n  \"nodes\": ")
	list := j.list(1)
	for _, i := range v.flow {
		n := v.node(i)
		list.next()
		j.object(2, "id", n.ID, "name", n.Label, "layer", n.Layer)
		p.put(",\n      \"attrs\": ")
		j.object(3, "is_partition", boolean(n.IsPartition), "weight", number(n.Weight), "type", n.Layer)
		p.put("\n      }\n    }")
	}
	list.end()
	p.put(",\n  \"links\": ")
	list = j.list(1)
	for _, i := range v.edges {
		e := v.edge(i)
		list.next()
		j.object(2, "id", e.ID, "source", e.Source, "target", e.Target, "name", e.Label, "layer", e.Layer)
		p.put(",\n      \"attrs\": ")
		j.object(3, "weight", number(e.Weight), "type", e.Layer)
		p.put("\n      }\n    }")
	}
	list.end()
	p.put("\n};\nwindow.graphConfig = {\n  \"config\": {\n    \"contain_nodes\": ", boolean(!opt.Flat),
		",\n    \"orientation\": \"", string(orDefault(opt.Orientation, TopToBottom)), "\"\n  },\n  \"layers\": ")
	j.layers(v.layers)
	p.put(",\n  \"name\": ")
	p.quote(j.escape, v.graph.Name)
	p.put("\n};\n")
	return nil
}

type jsonWriter struct {
	*printer
	escape func([]byte, string) []byte
}

// object opens an object of texts at a level and leaves it open for more members.
func (j *jsonWriter) object(level int, members ...string) {
	j.put("{")
	for i := 0; i < len(members); i += 2 {
		if i > 0 {
			j.put(",")
		}
		j.key(level+1, members[i])
		j.quote(j.escape, members[i+1])
	}
}

func (j *jsonWriter) key(level int, name string) {
	j.put("\n")
	j.indent(level)
	j.put("\"", name, "\": ")
}

// A jsonList writes the brackets and commas of an array.
type jsonList struct {
	j     *jsonWriter
	level int
	n     int
}

func (j *jsonWriter) list(level int) *jsonList {
	j.put("[")
	return &jsonList{j, level, 0}
}

func (l *jsonList) next() {
	if l.n++; l.n > 1 {
		l.j.put(",")
	}
	l.j.put("\n")
	l.j.indent(l.level + 1)
}

func (l *jsonList) end() {
	if l.n > 0 {
		l.j.put("\n")
		l.j.indent(l.level)
	}
	l.j.put("]")
}

func (j *jsonWriter) edges(edges iter.Seq[*layered.Edge]) {
	list := j.list(1)
	for e := range edges {
		list.next()
		j.put("{\n      \"comment\": ")
		j.textOrNull(e.Comment)
		j.put(",\n      \"id\": ")
		j.quote(j.escape, e.ID)
		j.put(",\n      \"label\": ")
		j.quote(j.escape, e.Label)
		j.put(",\n      \"layer\": ")
		j.quote(j.escape, e.Layer)
		j.put(",\n      \"source\": ")
		j.quote(j.escape, e.Source)
		j.put(",\n      \"target\": ")
		j.quote(j.escape, e.Target)
		j.put(",\n      \"weight\": ")
		j.number(e.Weight)
		j.put("\n    }")
	}
	list.end()
}

func (j *jsonWriter) nodes(v *view, nodes []int, comment func(string) string) {
	list := j.list(1)
	for _, i := range nodes {
		n := v.node(i)
		list.next()
		j.put("{\n      \"belongs_to\": ")
		j.textOrNull(n.BelongsTo)
		j.put(",\n      \"comment\": ")
		j.textOrNull(comment(n.Comment))
		j.put(",")
		j.nodeTail(3, n)
		j.put("\n    }")
	}
	list.end()
}

func (j *jsonWriter) nodeTail(level int, n *layered.Node) {
	j.key(level, "id")
	j.quote(j.escape, n.ID)
	j.put(",")
	j.key(level, "is_partition")
	j.put(boolean(n.IsPartition), ",")
	j.key(level, "label")
	j.quote(j.escape, n.Label)
	j.put(",")
	j.key(level, "layer")
	j.quote(j.escape, n.Layer)
	j.put(",")
	j.key(level, "weight")
	j.number(n.Weight)
}

func (j *jsonWriter) textOrNull(s string) {
	if s == "" {
		j.put("null")
		return
	}
	j.quote(j.escape, s)
}

func (j *jsonWriter) layers(layers []layered.Layer) {
	if len(layers) == 0 {
		j.put("{}")
		return
	}
	j.put("{")
	for i, l := range layers {
		if i > 0 {
			j.put(",")
		}
		j.put("\n    ")
		j.quote(j.escape, l.ID)
		j.put(": ")
		j.object(2, "background_color", l.Background, "border_color", l.Border, "id", l.ID, "label", l.Label,
			"text_color", l.Text)
		j.put("\n    }")
	}
	j.put("\n  }")
}

// tree writes the forest as nested objects: what sorts before "children" when a node is entered, the rest when it is left.
func (j *jsonWriter) tree(v *view) {
	open := []*jsonList{j.list(1)} // the lists around the current node
	for s := range v.walk(v.roots) {
		n, level := v.node(s.node), 2+2*s.depth
		if !s.leave {
			open[len(open)-1].next()
			j.put("{")
			j.key(level+1, "belongs_to")
			j.textOrNull(n.BelongsTo)
			j.put(",")
			j.key(level+1, "children")
			open = append(open, j.list(level+1))
			continue
		}
		open[len(open)-1].end()
		open = slices.Delete(open, len(open)-1, len(open))
		j.put(",")
		j.key(level+1, "comment")
		j.textOrNull(orNull(n.Comment))
		j.put(",")
		j.key(level+1, "depth")
		j.number(float64(s.depth))
		j.put(",")
		j.nodeTail(level+1, n)
		j.put("\n")
		j.indent(level)
		j.put("}")
	}
	open[0].end()
}

// appendJSON escapes the inside of a JSON string: what must be, and the characters that are invisible in the source.
func appendJSON(dst []byte, s string) []byte { return appendJSONText(dst, s, false) }

// appendJSONForHTML also hides "<", so that neither "</script>" nor "<!--" occurs.
func appendJSONForHTML(dst []byte, s string) []byte { return appendJSONText(dst, s, true) }

func appendJSONText(dst []byte, s string, html bool) []byte {
	const hex = "0123456789abcdef"
	for _, r := range s {
		switch {
		case r == '"', r == '\\':
			dst = append(dst, '\\', byte(r))
		case r == '\n':
			dst = append(dst, '\\', 'n')
		case r == '\r':
			dst = append(dst, '\\', 'r')
		case r == '\t':
			dst = append(dst, '\\', 't')
		case r == '\b':
			dst = append(dst, '\\', 'b')
		case r == '\f':
			dst = append(dst, '\\', 'f')
		case r < 0x20, r >= 0x7f && r < 0xA0, r == 0x2028, r == 0x2029, r == '<' && html, isBidiControl(r):
			dst = append(dst, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return dst
}
