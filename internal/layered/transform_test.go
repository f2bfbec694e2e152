package layered_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"layercake/internal/fault"
	"layercake/internal/layered"
)

func TestParseTransforms(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	number := func(n int) *int { return &n }
	aggregate := layered.Transform{Kind: layered.KindAggregateEdges}
	for _, c := range []struct {
		name, config string
		want         []layered.Transform
	}{
		{"nothing", ``, nil},
		{"an empty object", `{}`, nil},
		{"a list", `{"transforms":[
			{"kind":"PartitionWidthLimit","params":{"max_partition_width":3,"retain":true}},
			{"kind":"InvertGraph"},
			{"kind":"NodeLabelMaxLength","params":{"enabled":false,"node_label_max_length":4}},
			{"kind":"DropUnconnectedNodes","params":{"excludePartitionNodes":false}}]}`, []layered.Transform{
			{Kind: layered.KindWidthLimit, Params: layered.Params{MaxWidth: number(3), Retain: true}},
			{Kind: layered.KindInvert},
			{Kind: layered.KindNodeLabelLength, Params: layered.Params{Enabled: &no, NodeLabelLength: number(4)}},
			{Kind: layered.KindDropUnconnected, Params: layered.Params{ExcludePartitions: &no}},
		}},
		{"an empty list", `{"transforms":[],"transformType":"InvertGraph"}`, []layered.Transform{}},
		{"the former depth limit", `{"transformType":"PartitionDepthLimit",
			"transformConfig":{"maxPartitionDepth":2,"maxPartitionWidth":3,"generateHierarchy":true}}`, []layered.Transform{
			{Kind: layered.KindDepthLimit, Params: layered.Params{MaxDepth: number(2)}},
			{Kind: layered.KindWidthLimit, Params: layered.Params{MaxWidth: number(3)}},
			{Kind: layered.KindGenerateHierarchy},
			aggregate,
		}},
		{"the former depth limit, unset", `{"transformType":"PartitionDepthLimit"}`, []layered.Transform{aggregate}},
		{
			"the former inversion", `{"transformType":"InvertGraph","transformConfig":{}}`,
			[]layered.Transform{{Kind: layered.KindInvert}, aggregate},
		},
		{
			"the former inversion, off", `{"transformType":"InvertGraph","transformConfig":{"invertGraph":false}}`,
			[]layered.Transform{aggregate},
		},
		{
			"the former filter", `{"transformType":"FilterNodes","transformConfig":{"nodeFilter":"x"}}`,
			[]layered.Transform{aggregate},
		},
		{
			"what a plan file left", `{"graphConfig":{"max_partition_depth":2,"invert_graph":true,"edge_label_max_length":5}}`,
			layered.Settings{MaxDepth: 2, Invert: true, EdgeLabelLength: 5, AggregateEdges: &yes}.Transforms(),
		},
		{
			"the same in camelCase", `{"graphConfig":{"maxPartitionDepth":2,"invertGraph":true,"edgeLabelMaxLength":5}}`,
			layered.Settings{MaxDepth: 2, Invert: true, EdgeLabelLength: 5, AggregateEdges: &yes}.Transforms(),
		},
		{
			"all that the first clients sent", `{"transformType":"FilterNodes","transformConfig":{"maxPartitionDepth":0,"maxPartitionWidth":0,` +
				`"generateHierarchy":false,"invertGraph":false,"nodeFilter":"x","edgeFilter":""}}`,
			[]layered.Transform{{Kind: layered.KindAggregateEdges}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := layered.ParseTransforms([]byte(c.config))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	for config, part := range map[string]string{
		`{`:                                   "not readable",
		`{"transforms":[{"kind":"Explode"}]}`: `"Explode"; known are AggregateEdges`,
		`{"transforms":[{"kind":"PartitionDepthLimit","params":{"maxPartitionDepth":"2"}}]}`: "step 1, PartitionDepthLimit",
		`{"transforms":[{"kind":"InvertGraph","params":[]}]}`:                                "step 1, InvertGraph",
		`{"transformType":"InvertGraph","transformConfig":{"deep":1}}`:                       `"deep" is unknown`,
		`{"transformType":"PartitionDepthLimit","transformConfig":{"maxPartitionDepth":-1}}`: "maxPartitionDepth is -1",
		`{"steps":[]}`: `"steps" is unknown`,
		`{"transforms":[{"kind":"InvertGraph","parameters":{}}]}`:                    `"parameters" is unknown`,
		`{"transforms":[{"kind":"InvertGraph","params":{"deep":1}}]}`:                `step 1, InvertGraph, are not readable: "deep" is unknown`,
		`{"transforms":[{"kind":"Filter","params":{"query":{"target":["nodes"]}}}]}`: `"target" is unknown`,
		`{"graphConfig":{"max_partition_deep":1}}`:                                   `"max_partition_deep" is unknown`,
		`{"graphConfig":{"maxPartitionWidth":-3}}`:                                   "max_partition_width is -3",
		`{"transformType":"Explode"}`:                                                `"Explode"`,
		`{"transformType":"InvertGraph","transformConfig":7}`:                        "not readable",
	} {
		_, err := layered.ParseTransforms([]byte(config))
		refusedAs(t, fault.BadRequest, err, part)
	}
}

func TestApplyAll(t *testing.T) {
	t.Parallel()
	list, err := layered.ParseTransforms([]byte(`{"transforms":[
		{"kind":"ReverseEdges"},
		{"kind":"EdgeLabelMaxLength","params":{"enabled":false}},
		{"kind":"AggregateEdges"},
		{"kind":"PartitionDepthLimit","params":{"maxPartitionDepth":1}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	got, notes, err := layered.ApplyAll(t.Context(), sketch(t, "N a\nN b\nE e1 a b\nE e2 a b"), list)
	if err != nil {
		t.Fatal(err)
	}
	sameSketch(t, "N a\nN b\nE e1 b a w2", got)
	want := []layered.Note{
		{Text: "ReverseEdges: 2 nodes and 2 edges became 2 and 2"},
		{Text: "AggregateEdges: 2 nodes and 2 edges became 2 and 1"},
		{Text: "PartitionDepthLimit: skipped, the graph has neither partitions nor parents", Warning: true},
	}
	if diff := cmp.Diff(want, notes); diff != "" {
		t.Error(diff)
	}
}

func TestFilterAsAStep(t *testing.T) {
	t.Parallel()
	query := `"targets":["nodes"],"mode":"exclude","link_pruning_mode":"retainEdges","ruleGroup":{"rules":[{"field":"id","operator":"equals","value":"b"}]}`
	for _, params := range []string{
		`{` + query + `}`, `{"enabled":true,"query":{` + strings.Replace(query, "link_pruning_mode", "linkPruningMode", 1) + `}}`,
	} {
		list, err := layered.ParseTransforms([]byte(`{"transforms":[{"kind":"Filter","params":` + params + `},{"kind":"ReverseEdges"}]}`))
		if err != nil {
			t.Fatal(err)
		}
		got, notes, err := layered.ApplyAll(t.Context(), sketch(t, "N a\nN b\nN c\nE e1 a b\nE e2 a c"), list)
		if err != nil {
			t.Fatal(err)
		}
		sameSketch(t, "N a\nN c\nE e1 b a\nE e2 c a", got)
		if len(notes) != 2 || notes[0] != (layered.Note{Text: "Filter: 3 nodes and 2 edges became 2 and 2"}) {
			t.Errorf("%+v", notes)
		}
	}
	list, err := layered.ParseTransforms([]byte(`{"transforms":[{"kind":"Filter","params":{"ruleGroup":{"rules":[{"field":"id","operator":"like"}]}}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, notes, err := layered.ApplyAll(t.Context(), sketch(t, "N a"), list); err != nil || len(notes) != 2 || !notes[1].Warning {
		t.Errorf("%+v, %v", notes, err)
	}
	for _, params := range []string{`{"mode":"keep"}`, `{"query":{"targets":["all"]}}`, `{"ruleGroup":7}`, `{"ruleGroup":{"rules":[{"operator":"between","value":"1"}]}}`} {
		_, err := layered.ParseTransforms([]byte(`{"transforms":[{"kind":"Filter","params":` + params + `}]}`))
		refusedAs(t, fault.BadRequest, err, "step 1, Filter")
	}
}

// TestComputingEndsWithItsContext: what can take long looks at its context again and again, and not only before it begins.
func TestComputingEndsWithItsContext(t *testing.T) {
	t.Parallel()
	const many = 30_000
	var wide layered.Graph
	for i := range many {
		wide.Nodes = append(wide.Nodes, layered.Node{ID: name(i), Layer: "l"})
		wide.Edges = append(wide.Edges, layered.Edge{ID: fmt.Sprint("e", i), Source: name(i), Target: name(i / 2)})
	}
	star := layered.Graph{Nodes: wide.Nodes[:3000]}
	for i := range star.Nodes {
		star.Edges = append(star.Edges, layered.Edge{ID: fmt.Sprint("e", i), Source: "n0", Target: name(i)})
	}
	reverse := layered.Transform{Kind: layered.KindReverse}
	for what, run := range map[string]func(context.Context) error{
		"steps": func(ctx context.Context) error {
			_, _, err := layered.ApplyAll(ctx, star, slices.Repeat([]layered.Transform{reverse}, 10))
			return err
		},
		"inversion": func(ctx context.Context) error {
			_, err := layered.Invert(ctx, star)
			return err
		},
		"layers": func(ctx context.Context) error {
			g := layered.Graph{Nodes: slices.Clone(star.Nodes), Edges: star.Edges}
			for i := range g.Nodes {
				g.Nodes[i].Layer = name(i % 20)
			}
			_, err := layered.AggregateLayers(ctx, g, 2)
			return err
		},
		"merge": func(ctx context.Context) error {
			_, err := layered.Merge(ctx, []layered.Graph{wide, wide}, "", "")
			return err
		},
		"filter": func(ctx context.Context) error {
			_, _, err := layered.Filter{Targets: []layered.FilterTarget{layered.FilterNodes, layered.FilterEdges}}.Apply(ctx, wide)
			return err
		},
	} {
		if err := run(t.Context()); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		ctx := &endsAfter{Context: context.Background(), looks: 5}
		if err := run(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want the reason why the context ended after 5 looks", what, err)
		}
	}
}

// endsAfter is a context that ends when it has been looked at that often.
type endsAfter struct {
	context.Context //nolint:containedctx // it is one
	looks           int
}

func (c *endsAfter) Err() error {
	if c.looks--; c.looks < 0 {
		return context.Canceled
	}
	return nil
}

func TestWidthLimitSaysWhatItLeavesAlone(t *testing.T) {
	t.Parallel()
	g := sketch(t, "P r\nP a < r\nP b < r\nN c < a\nN d < a\nP s\nN e < s\nN f < s")
	_, notes, err := layered.Settings{MaxWidth: 1}.Apply(t.Context(), g)
	if err != nil {
		t.Fatal(err)
	}
	want := layered.Note{Warning: true, Text: "PartitionWidthLimit: 8 nodes and 0 edges became 7 and 0; " +
		`1 partitions with more than 1 partitions in them, such as "r", were left alone with all below`}
	if diff := cmp.Diff(want, notes[0]); diff != "" {
		t.Error(diff)
	}
	if _, notes, _ := (layered.Settings{MaxWidth: 2}).Apply(t.Context(), g); notes[0].Warning {
		t.Errorf("%+v", notes[0])
	}
}

func TestApplyAllRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ steps, part string }{
		{``, "no steps"},
		{`{"kind":"PartitionDepthLimit"}`, "needs the parameter maxPartitionDepth"},
		{`{"kind":"InvertGraph"},{"kind":"PartitionWidthLimit","params":{"maxPartitionWidth":0}}`, "step 2, PartitionWidthLimit: The partition width limit"},
		{`{"kind":"NodeLabelMaxLength"}`, "nodeLabelMaxLength"},
		{`{"kind":"NodeLabelInsertNewlines","params":{"nodeLabelInsertNewlinesAt":0}}`, "node label line length"},
		{`{"kind":"EdgeLabelMaxLength"}`, "edgeLabelMaxLength"},
		{`{"kind":"EdgeLabelInsertNewlines"}`, "edgeLabelInsertNewlinesAt"},
		{`{"kind":"AggregateLayerNodes","params":{"layerConnectionsThreshold":0}}`, "threshold"},
	} {
		list, err := layered.ParseTransforms([]byte(`{"transforms":[` + c.steps + `]}`))
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = layered.ApplyAll(t.Context(), sketch(t, "P r\nN a < r"), list)
		refusedAs(t, fault.BadRequest, err, c.part)
	}
}

func TestSettingsRunInThePublishedOrder(t *testing.T) {
	t.Parallel()
	no := false
	all := layered.Settings{
		Invert: true, MaxDepth: 1, MaxWidth: 1, NodeLabelLength: 1, NodeLabelWrap: 1, EdgeLabelLength: 1, EdgeLabelWrap: 1,
		DropUnconnected: true, GenerateHierarchy: true,
	}
	var kinds []layered.Kind
	for _, s := range all.Transforms() {
		kinds = append(kinds, s.Kind)
	}
	want := []layered.Kind{
		layered.KindInvert, layered.KindDepthLimit, layered.KindWidthLimit,
		layered.KindNodeLabelLength, layered.KindNodeLabelWrap, layered.KindEdgeLabelLength, layered.KindEdgeLabelWrap,
		layered.KindDropUnconnected, layered.KindAggregateEdges,
	}
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Error(diff)
	}
	parallel := "N a\nE e1 a a\nE e2 a a"
	sameSketch(t, parallel, must(t)(pipeline(layered.Settings{AggregateEdges: &no})(sketch(t, parallel))))
	sameSketch(t, "N a\nE e1 a a w2", must(t)(pipeline(layered.Settings{})(sketch(t, parallel))))
}
