package layered

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"layercake/internal/fault"
)

// Settings are the transforms of one export of a plan file (its graph_config), which always run in the same order. Zero is off.
type Settings struct {
	Invert          bool  `json:"invert_graph,omitzero" yaml:"invert_graph"`
	MaxDepth        int   `json:"max_partition_depth,omitzero" yaml:"max_partition_depth"`
	MaxWidth        int   `json:"max_partition_width,omitzero" yaml:"max_partition_width"`
	NodeLabelLength int   `json:"node_label_max_length,omitzero" yaml:"node_label_max_length"`
	NodeLabelWrap   int   `json:"node_label_insert_newlines_at,omitzero" yaml:"node_label_insert_newlines_at"`
	EdgeLabelLength int   `json:"edge_label_max_length,omitzero" yaml:"edge_label_max_length"`
	EdgeLabelWrap   int   `json:"edge_label_insert_newlines_at,omitzero" yaml:"edge_label_insert_newlines_at"`
	DropUnconnected bool  `json:"drop_unconnected_nodes,omitzero" yaml:"drop_unconnected_nodes"`
	AggregateEdges  *bool `json:"aggregate_edges,omitzero" yaml:"aggregate_edges"` // nil is true

	// GenerateHierarchy is accepted and has no effect, as published.
	GenerateHierarchy bool `json:"generate_hierarchy,omitzero" yaml:"generate_hierarchy"`
}

// ParseSettings reads settings from JSON whose members are in snake_case or in camelCase. It refuses those that are unknown or negative.
func ParseSettings(text []byte) (s Settings, err error) {
	var given map[string]json.RawMessage
	if err := json.Unmarshal(text, &given); err != nil {
		return s, errors.New(fault.JSONReason(err))
	}
	snake := make(map[string]json.RawMessage, len(given))
	for name, value := range given {
		snake[snakeCase(name)] = value
	}
	for name, value := range given { // the exact spelling wins over another one of the same name
		if snakeCase(name) == name {
			snake[name] = value
		}
	}
	again, err := json.Marshal(snake)
	if err != nil {
		return s, err
	}
	if err := fault.DecodeJSON(again, &s); err != nil {
		return s, errors.New(fault.JSONReason(err))
	}
	for _, limit := range []struct {
		name  string
		value int
	}{
		{"max_partition_depth", s.MaxDepth},
		{"max_partition_width", s.MaxWidth},
		{"node_label_max_length", s.NodeLabelLength},
		{"node_label_insert_newlines_at", s.NodeLabelWrap},
		{"edge_label_max_length", s.EdgeLabelLength},
		{"edge_label_insert_newlines_at", s.EdgeLabelWrap},
	} {
		if limit.value < 0 {
			return s, fmt.Errorf("%s is %d: it must be 0, which is off, or more", limit.name, limit.value)
		}
	}
	return s, nil
}

// snakeCase returns the name in snake_case of a name in camelCase.
func snakeCase(camel string) string {
	var b strings.Builder
	for _, r := range camel {
		if unicode.IsUpper(r) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// Transforms returns the settings as steps: invert, depth, width, node labels, edge labels, unconnected nodes, and at last the
// aggregation of edges. The list is empty only if that is switched off and nothing else is on.
func (s Settings) Transforms() []Transform {
	var list []Transform
	add := func(on bool, kind Kind, p Params) {
		if on {
			list = append(list, Transform{Kind: kind, Params: p})
		}
	}
	add(s.Invert, KindInvert, Params{})
	add(s.MaxDepth > 0, KindDepthLimit, Params{MaxDepth: &s.MaxDepth})
	add(s.MaxWidth > 0, KindWidthLimit, Params{MaxWidth: &s.MaxWidth})
	add(s.NodeLabelLength > 0, KindNodeLabelLength, Params{NodeLabelLength: &s.NodeLabelLength})
	add(s.NodeLabelWrap > 0, KindNodeLabelWrap, Params{NodeLabelWrap: &s.NodeLabelWrap})
	add(s.EdgeLabelLength > 0, KindEdgeLabelLength, Params{EdgeLabelLength: &s.EdgeLabelLength})
	add(s.EdgeLabelWrap > 0, KindEdgeLabelWrap, Params{EdgeLabelWrap: &s.EdgeLabelWrap})
	add(s.DropUnconnected, KindDropUnconnected, Params{})
	add(s.AggregateEdges == nil || *s.AggregateEdges, KindAggregateEdges, Params{})
	return list
}

// Apply runs the settings on g. It fails only when an inversion would grow too large, or ctx ends.
func (s Settings) Apply(ctx context.Context, g Graph) (Graph, []Note, error) {
	list := s.Transforms()
	if len(list) == 0 {
		return g, nil, nil
	}
	return ApplyAll(ctx, g, list)
}
