package layered

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"layercake/internal/fault"
)

// Kind names a transform in the configuration of a plan's TransformNode.
type Kind string

// The kinds. InvertGraph makes the line graph; ReverseEdges turns every edge round.
const (
	KindDepthLimit        Kind = "PartitionDepthLimit"
	KindWidthLimit        Kind = "PartitionWidthLimit"
	KindDropUnconnected   Kind = "DropUnconnectedNodes"
	KindNodeLabelLength   Kind = "NodeLabelMaxLength"
	KindNodeLabelWrap     Kind = "NodeLabelInsertNewlines"
	KindEdgeLabelLength   Kind = "EdgeLabelMaxLength"
	KindEdgeLabelWrap     Kind = "EdgeLabelInsertNewlines"
	KindInvert            Kind = "InvertGraph"
	KindReverse           Kind = "ReverseEdges"
	KindGenerateHierarchy Kind = "GenerateHierarchy"
	KindAggregateLayers   Kind = "AggregateLayerNodes"
	KindAggregateEdges    Kind = "AggregateEdges"
	KindFilter            Kind = "Filter"
)

// Transform is one step: a kind with its parameters. A nil parameter was not given.
type Transform struct {
	Kind   Kind
	Params Params
}

// Params are the parameters of all kinds; each kind reads its own. Limits count from 1.
type Params struct {
	Filter // of KindFilter

	Enabled           *bool `json:"enabled"` // nil is true
	MaxDepth          *int  `json:"maxPartitionDepth"`
	MaxWidth          *int  `json:"maxPartitionWidth"`
	Retain            bool  `json:"retain"`                // LimitWidth
	ExcludePartitions *bool `json:"excludePartitionNodes"` // nil is true
	NodeLabelLength   *int  `json:"nodeLabelMaxLength"`
	NodeLabelWrap     *int  `json:"nodeLabelInsertNewlinesAt"`
	EdgeLabelLength   *int  `json:"edgeLabelMaxLength"`
	EdgeLabelWrap     *int  `json:"edgeLabelInsertNewlinesAt"`
	KeepFlowEdges     bool  `json:"keepFlowEdges"`
	Threshold         *int  `json:"layerConnectionsThreshold"` // nil is 3
}

// step applies one kind. It returns an error that names the parameter when that is missing or out of range. One whose work can be quadratic
// ends with its context.
type step func(context.Context, Graph, Params) (Graph, error)

// steps is a function because the table would otherwise be a mutable global.
func steps() map[Kind]step {
	return map[Kind]step{
		KindDepthLimit:      limited("maxPartitionDepth", func(p Params) *int { return p.MaxDepth }, LimitDepth),
		KindNodeLabelLength: limited("nodeLabelMaxLength", func(p Params) *int { return p.NodeLabelLength }, LimitNodeLabels),
		KindNodeLabelWrap: limited("nodeLabelInsertNewlinesAt",
			func(p Params) *int { return p.NodeLabelWrap }, WrapNodeLabels),
		KindEdgeLabelLength: limited("edgeLabelMaxLength", func(p Params) *int { return p.EdgeLabelLength }, LimitEdgeLabels),
		KindEdgeLabelWrap: limited("edgeLabelInsertNewlinesAt",
			func(p Params) *int { return p.EdgeLabelWrap }, WrapEdgeLabels),
		KindWidthLimit: func(ctx context.Context, g Graph, p Params) (Graph, error) {
			limit := func(g Graph, n int) (Graph, error) { return LimitWidth(g, n, p.Retain) }
			return limited("maxPartitionWidth", func(p Params) *int { return p.MaxWidth }, limit)(ctx, g, p)
		},
		KindDropUnconnected: func(_ context.Context, g Graph, p Params) (Graph, error) {
			return DropUnconnected(g, p.ExcludePartitions == nil || *p.ExcludePartitions), nil
		},
		KindInvert:  func(ctx context.Context, g Graph, _ Params) (Graph, error) { return Invert(ctx, g) },
		KindReverse: func(_ context.Context, g Graph, _ Params) (Graph, error) { return ReverseEdges(g), nil },
		KindGenerateHierarchy: func(_ context.Context, g Graph, p Params) (Graph, error) {
			return GenerateHierarchy(g, p.KeepFlowEdges), nil
		},
		KindAggregateLayers: func(ctx context.Context, g Graph, p Params) (Graph, error) {
			if p.Threshold == nil {
				return AggregateLayers(ctx, g, DefaultThreshold)
			}
			return AggregateLayers(ctx, g, *p.Threshold)
		},
		KindFilter: func(ctx context.Context, g Graph, p Params) (Graph, error) {
			out, _, err := p.Filter.Apply(ctx, g)
			return out, err
		},
		KindAggregateEdges: func(_ context.Context, g Graph, _ Params) (Graph, error) { return AggregateEdges(g), nil },
	}
}

func limited(name string, param func(Params) *int, apply func(Graph, int) (Graph, error)) step {
	return func(_ context.Context, g Graph, p Params) (Graph, error) {
		n := param(p)
		if n == nil {
			return Graph{}, fault.New(fault.BadRequest, "The transform needs the parameter "+name)
		}
		return apply(g, *n)
	}
}

// Note says in one line what a step did.
type Note struct {
	Text    string
	Warning bool // the step did not do all that it was asked for
}

// ApplyAll applies the enabled steps in order. It returns a note for each of them, and stops at the first that fails with an error
// that names it. An empty list is a BAD_REQUEST. It ends with its context: between steps, and within those whose work can be quadratic.
func ApplyAll(ctx context.Context, g Graph, list []Transform) (Graph, []Note, error) {
	if len(list) == 0 {
		return Graph{}, nil, fault.New(fault.BadRequest, "The transform has no steps")
	}
	known := steps()
	var notes []Note
	for i, t := range list {
		if t.Params.Enabled != nil && !*t.Params.Enabled {
			continue
		}
		apply, ok := known[t.Kind]
		if !ok {
			return Graph{}, nil, unknownKind(i, t.Kind)
		}
		if (t.Kind == KindDepthLimit || t.Kind == KindWidthLimit) && !hasHierarchy(g) {
			notes = append(notes, Note{fmt.Sprintf("%s: skipped, the graph has neither partitions nor parents", t.Kind), true})
			continue
		}
		if err := context.Cause(ctx); err != nil {
			return Graph{}, nil, err
		}
		next, err := apply(ctx, g, t.Params)
		if err != nil {
			return Graph{}, nil, fmt.Errorf("step %d, %s: %w", i+1, t.Kind, err)
		}
		note := Note{Text: fmt.Sprintf("%s: %d nodes and %d edges became %d and %d",
			t.Kind, len(g.Nodes), len(g.Edges), len(next.Nodes), len(next.Edges))}
		if t.Kind == KindWidthLimit && !t.Params.Retain {
			if id, n := tooWide(g, *t.Params.MaxWidth); n > 0 {
				note.Warning = true
				note.Text += fmt.Sprintf("; %d partitions with more than %d partitions in them, such as %q, were left alone with all below",
					n, *t.Params.MaxWidth, id)
			}
		}
		notes = append(notes, note)
		if t.Kind == KindFilter {
			compiled, _ := t.Params.compile() // it has just been applied
			for _, text := range compiled.notes {
				notes = append(notes, Note{Text: text, Warning: true})
			}
		}
		g = next
	}
	return g, notes, nil
}

func unknownKind(i int, kind Kind) error {
	var names []string
	for _, k := range slices.Sorted(maps.Keys(steps())) {
		names = append(names, string(k))
	}
	return fault.New(fault.BadRequest, fmt.Sprintf(
		"Transform step %d has the unknown kind %q; known are %s", i+1, kind, strings.Join(names, ", ")))
}

func hasHierarchy(g Graph) bool {
	return slices.ContainsFunc(g.Nodes, func(n Node) bool { return n.IsPartition || n.BelongsTo != "" })
}

// ParseTransforms reads the configuration of a TransformNode: {"transforms": [{"kind", "params"}]}. It also accepts the former
// shape {"transformType", "transformConfig"} and the one that plan files leave, {"graphConfig"}. An empty configuration is an
// empty list. Anything that ApplyAll would refuse for its kind is a BAD_REQUEST here.
func ParseTransforms(config []byte) ([]Transform, error) {
	var c struct {
		Transforms []struct {
			Kind   Kind            `json:"kind"`
			Params json.RawMessage `json:"params"`
		} `json:"transforms"`
		Type   string          `json:"transformType"`
		Former json.RawMessage `json:"transformConfig"`
		Graph  json.RawMessage `json:"graphConfig"`
	}
	if len(config) == 0 {
		return nil, nil
	}
	if err := fault.DecodeJSON(config, &c); err != nil {
		return nil, fault.New(fault.BadRequest, "The transform's configuration is not readable: "+fault.JSONReason(err))
	}
	switch {
	case c.Transforms != nil:
		known := steps()
		list := make([]Transform, len(c.Transforms))
		for i, t := range c.Transforms {
			if _, ok := known[t.Kind]; !ok {
				return nil, unknownKind(i, t.Kind)
			}
			params, err := parseParams(t.Params)
			if err == nil && t.Kind == KindFilter {
				err = parseQuery(t.Params, &params.Filter)
			}
			if err != nil {
				return nil, fault.New(fault.BadRequest, fmt.Sprintf(
					"The parameters of transform step %d, %s, are not readable: %v", i+1, t.Kind, err))
			}
			list[i] = Transform{Kind: t.Kind, Params: params}
		}
		return list, nil
	case given(c.Graph):
		settings, err := ParseSettings(c.Graph)
		if err != nil {
			return nil, fault.New(fault.BadRequest, "The graphConfig of the transform cannot be used: "+err.Error())
		}
		return settings.Transforms(), nil
	case c.Type != "":
		return migrate(c.Type, c.Former)
	}
	return nil, nil
}

// given reports whether a member is there and not null.
func given(member json.RawMessage) bool { return len(member) > 0 && string(member) != "null" }

// parseQuery checks the filter of a step. It also accepts the configuration of a FilterNode, {"query": {...}}, which would match everything
// if nobody looked into it.
func parseQuery(raw json.RawMessage, f *Filter) error {
	var c struct {
		Query json.RawMessage `json:"query"`
	}
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &c); err != nil {
			return err
		}
	}
	if given(c.Query) {
		var q struct {
			Filter
			forEditors
		}
		if err := fault.DecodeJSON(c.Query, &q); err != nil {
			return errors.New(fault.JSONReason(err))
		}
		*f = q.Filter
	}
	_, err := f.compile()
	return err
}

// parseParams accepts snake_case spellings too.
func parseParams(raw json.RawMessage) (Params, error) {
	var p Params
	if len(raw) == 0 {
		return p, nil
	}
	var given map[string]json.RawMessage
	if err := json.Unmarshal(raw, &given); err != nil {
		return p, err
	}
	camel := make(map[string]json.RawMessage, len(given))
	for name, value := range given {
		camel[camelCase(name)] = value
	}
	for name, value := range given { // the exact spelling wins over another one of the same name
		if camelCase(name) == name {
			camel[name] = value
		}
	}
	again, err := json.Marshal(camel)
	if err != nil {
		return p, err
	}
	all := struct {
		*Params
		forEditors
		Query any `json:"query"` // see parseQuery
	}{Params: &p}
	if err := fault.DecodeJSON(again, &all); err != nil {
		return p, errors.New(fault.JSONReason(err))
	}
	return p, nil
}

// forEditors are the members of a filter that have no meaning here.
type forEditors struct {
	Version any `json:"fieldMetadataVersion"`
	Notes   any `json:"notes"`
}

func camelCase(snake string) string {
	head, rest, _ := strings.Cut(snake, "_")
	var b strings.Builder
	b.WriteString(head)
	for word := range strings.SplitSeq(rest, "_") {
		if word != "" {
			b.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	return b.String()
}

// migrate reads the shape of the first clients, which had one type with a fixed set of options.
func migrate(kind string, config json.RawMessage) ([]Transform, error) {
	var c struct {
		MaxDepth          int   `json:"maxPartitionDepth"`
		MaxWidth          int   `json:"maxPartitionWidth"`
		GenerateHierarchy bool  `json:"generateHierarchy"`
		Invert            *bool `json:"invertGraph"`
		NodeFilter        any   `json:"nodeFilter"`
		EdgeFilter        any   `json:"edgeFilter"`
	}
	if len(config) > 0 {
		if err := fault.DecodeJSON(config, &c); err != nil {
			return nil, fault.New(fault.BadRequest, "The transform's configuration is not readable: "+fault.JSONReason(err))
		}
	}
	if c.MaxDepth < 0 || c.MaxWidth < 0 {
		return nil, fault.New(fault.BadRequest, fmt.Sprintf("The transform's maxPartitionDepth is %d and its maxPartitionWidth %d: "+
			"neither can be negative", c.MaxDepth, c.MaxWidth))
	}
	var list []Transform
	switch kind {
	case "PartitionDepthLimit":
		if c.MaxDepth > 0 {
			list = append(list, Transform{Kind: KindDepthLimit, Params: Params{MaxDepth: &c.MaxDepth}})
		}
		if c.MaxWidth > 0 {
			list = append(list, Transform{Kind: KindWidthLimit, Params: Params{MaxWidth: &c.MaxWidth}})
		}
		if c.GenerateHierarchy {
			list = append(list, Transform{Kind: KindGenerateHierarchy})
		}
	case "InvertGraph":
		if c.Invert == nil || *c.Invert {
			list = append(list, Transform{Kind: KindInvert})
		}
	case "FilterNodes", "FilterEdges": // their free-text expressions never had a meaning
	default:
		return nil, fault.New(fault.BadRequest, fmt.Sprintf("The transform has the unknown type %q", kind))
	}
	return append(list, Transform{Kind: KindAggregateEdges}), nil
}
