package mcpserver

import (
	"cmp"
	"context"

	"layercake/internal/layered"
)

// The limits of a search for paths.
const (
	usualPaths  = 10
	mostPaths   = 100
	usualLength = 20
)

type findPaths struct {
	ofGraph
	SourceNode string `json:"source_node"`
	TargetNode string `json:"target_node"`
	MaxPaths   count  `json:"max_paths,omitempty" jsonschema:"default 10, at most 100"`
	MaxLength  count  `json:"max_length,omitempty" jsonschema:"edges, default 20"`
}

func (h *Handler) addAnalysisTools() {
	add(h, definition{
		name: "analyze_connectivity", title: "Analyse connectivity", set: graphTools, effect: reads,
		does: "Components, isolated nodes, sources, sinks and cycles of a built graph.",
	}, h.analyzeConnectivity)
	add(h, definition{
		name: "find_paths", title: "Find paths", set: graphTools, effect: reads,
		does: "Paths along edges of a built graph from one node to another, shortest first.",
	}, h.findPaths)
}

func (h *Handler) analyzeConnectivity(ctx context.Context, c call, in ofGraph) (found layered.Connections, err error) {
	header, err := h.graphOf(ctx, c, in)
	if err != nil {
		return found, err
	}
	err = h.executor.WithGraph(ctx, header, func(g layered.Graph) error {
		found = layered.Connectivity(g)
		return nil
	})
	return found, err
}

func (h *Handler) findPaths(ctx context.Context, c call, in findPaths) (found layered.FoundPaths, err error) {
	paths, length := cmp.Or(int(in.MaxPaths), usualPaths), cmp.Or(int(in.MaxLength), usualLength)
	if paths > mostPaths {
		return found, tooHigh("max_paths", paths, mostPaths)
	}
	header, err := h.graphOf(ctx, c, in.ofGraph)
	if err != nil {
		return found, err
	}
	err = h.executor.WithGraph(ctx, header, func(g layered.Graph) error {
		found, err = layered.Paths(ctx, g, in.SourceNode, in.TargetNode, paths, length)
		return err
	})
	return found, err
}
