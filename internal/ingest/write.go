package ingest

import (
	"bufio"
	"encoding/json"
	"io"

	"layercake/internal/layered"
)

// WriteJSON writes g as a JSON graph that Read understands: an object with the arrays nodes, edges and layers. It writes one element after
// the other, so that memory does not grow with the graph. The graph's name is not written.
func WriteJSON(w io.Writer, g layered.Graph) error {
	b := bufio.NewWriterSize(w, 64<<10) // its errors stick until Flush
	var element []byte
	list := func(open string, n int, appendElement func(dst []byte, i int) []byte) {
		_, _ = b.WriteString(open)
		for i := range n {
			if i > 0 {
				_ = b.WriteByte(',')
			}
			element = appendElement(element[:0], i)
			_, _ = b.Write(element)
		}
	}
	list(`{"nodes":[`, len(g.Nodes), func(dst []byte, i int) []byte { return appendNode(dst, &g.Nodes[i]) })
	list(`],"edges":[`, len(g.Edges), func(dst []byte, i int) []byte { return appendEdge(dst, &g.Edges[i]) })
	list(`],"layers":[`, len(g.Layers), func(dst []byte, i int) []byte { return appendLayer(dst, &g.Layers[i]) })
	_, _ = b.WriteString("]}\n")
	return b.Flush()
}

// NodeJSON returns a node as WriteJSON writes it: an object in which its attributes stand beside its other keys. Texts that are none are
// left out. An attribute that Read kept because it could not read a value, such as a weight of "heavy", stands in the place of that
// value.
func NodeJSON(n layered.Node) json.RawMessage { return appendNode(nil, &n) }

// EdgeJSON is NodeJSON for an edge.
func EdgeJSON(e layered.Edge) json.RawMessage { return appendEdge(nil, &e) }

// LayerJSON is NodeJSON for a layer.
func LayerJSON(l layered.Layer) json.RawMessage { return appendLayer(nil, &l) }

func appendNode(dst []byte, n *layered.Node) []byte {
	return appendElement(dst, n.Attrs, []member{
		unlessNone("belongs_to", n.BelongsTo), unlessNone("comment", n.Comment), always("id", n.ID),
		{name: "is_partition", value: n.IsPartition, weak: true},
		always("label", n.Label), unlessNone("layer", n.Layer),
		{name: "weight", value: n.Weight, weak: true},
	})
}

func appendEdge(dst []byte, e *layered.Edge) []byte {
	return appendElement(dst, e.Attrs, []member{
		unlessNone("comment", e.Comment), always("id", e.ID), unlessNone("label", e.Label), unlessNone("layer", e.Layer),
		always("source", e.Source), always("target", e.Target),
		{name: "weight", value: e.Weight, weak: true},
	})
}

func appendLayer(dst []byte, l *layered.Layer) []byte {
	return appendElement(dst, nil, []member{
		unlessNone("background_color", l.Background), unlessNone("border_color", l.Border), always("id", l.ID), always("label", l.Label),
		unlessNone("text_color", l.Text),
	})
}

// member is a key of an element that is no attribute.
type member struct {
	name  string
	value any  // nil when there is none
	weak  bool // an attribute of the same name stands in its place
}

func always(name, value string) member { return member{name: name, value: value} }

func unlessNone(name, value string) member {
	if value == "" {
		return member{name: name}
	}
	return member{name: name, value: value}
}

// appendElement writes attributes and members, which are sorted by name, as one object.
func appendElement(dst []byte, attrs json.RawMessage, members []member) []byte {
	first := len(dst)
	key := func(name string) {
		if len(dst) > first {
			dst = append(dst, ',')
		} else {
			dst = append(dst, '{')
		}
		dst = append(appendText(dst, name), ':')
	}
	next := func() { // writes the first of members
		if m := members[0]; m.value != nil {
			key(m.name)
			dst = appendJSON(dst, m.value)
		}
		members = members[1:]
	}
	for name, value := range layered.Attributes(layered.CanonicalAttrs(attrs)) {
		for len(members) > 0 && members[0].name < name {
			next()
		}
		if len(members) > 0 && members[0].name == name {
			if members[0].value != nil && !members[0].weak {
				continue
			}
			members = members[1:]
		}
		key(name)
		dst = append(dst, value...)
	}
	for len(members) > 0 {
		next()
	}
	return append(dst, '}')
}
