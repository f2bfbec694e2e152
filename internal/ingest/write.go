package ingest

import (
	"encoding/json"
	"io"
	"maps"

	"layercake/internal/layered"
)

// WriteJSON writes g as a JSON graph that Read understands: an object with the arrays nodes, edges and layers. Texts that are
// none are left out; attributes stand beside the other keys of their element. The graph's name is not written.
func WriteJSON(w io.Writer, g layered.Graph) error {
	d := document{
		Nodes:  make([]map[string]any, len(g.Nodes)),
		Edges:  make([]map[string]any, len(g.Edges)),
		Layers: make([]map[string]any, len(g.Layers)),
	}
	for i, n := range g.Nodes {
		o := object(n.Attrs, map[string]any{"is_partition": n.IsPartition, "weight": n.Weight})
		o["id"], o["label"] = n.ID, n.Label
		put(o, "layer", n.Layer)
		put(o, "belongs_to", n.BelongsTo)
		put(o, "comment", n.Comment)
		d.Nodes[i] = o
	}
	for i, e := range g.Edges {
		o := object(e.Attrs, map[string]any{"weight": e.Weight})
		o["id"], o["source"], o["target"] = e.ID, e.Source, e.Target
		put(o, "label", e.Label)
		put(o, "layer", e.Layer)
		put(o, "comment", e.Comment)
		d.Edges[i] = o
	}
	for i, l := range g.Layers {
		o := map[string]any{"id": l.ID, "label": l.Label}
		put(o, "background_color", l.Background)
		put(o, "border_color", l.Border)
		put(o, "text_color", l.Text)
		d.Layers[i] = o
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(d)
}

// document fixes the order of the arrays.
type document struct {
	Nodes  []map[string]any `json:"nodes"`
	Edges  []map[string]any `json:"edges"`
	Layers []map[string]any `json:"layers"`
}

// object starts an element from its attributes and values. An attribute that Read kept because it could not read the value, such
// as a weight of "heavy", stands in the place of that value.
func object(attrs, values map[string]any) map[string]any {
	maps.Copy(values, attrs)
	return values
}

func put(o map[string]any, name, value string) {
	if value != "" {
		o[name] = value
	}
}
