package layered

import "context"

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
