package layered_test

import (
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
			{"kind":"NodeLabelMaxLength","params":{"enabled":false,"node_label_max_length":4,"unknown":1}},
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
		`{"transformType":"Explode"}`:                                                        `"Explode"`,
		`{"transformType":"InvertGraph","transformConfig":7}`:                                "not readable",
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
	got, notes, err := layered.ApplyAll(sketch(t, "N a\nN b\nE e1 a b\nE e2 a b"), list)
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

func TestWidthLimitSaysWhatItLeavesAlone(t *testing.T) {
	t.Parallel()
	g := sketch(t, "P r\nP a < r\nP b < r\nN c < a\nN d < a\nP s\nN e < s\nN f < s")
	_, notes, err := layered.Settings{MaxWidth: 1}.Apply(g)
	if err != nil {
		t.Fatal(err)
	}
	want := layered.Note{Warning: true, Text: "PartitionWidthLimit: 8 nodes and 0 edges became 7 and 0; " +
		`1 partitions with more than 1 partitions in them, such as "r", were left alone with all below`}
	if diff := cmp.Diff(want, notes[0]); diff != "" {
		t.Error(diff)
	}
	if _, notes, _ := (layered.Settings{MaxWidth: 2}).Apply(g); notes[0].Warning {
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
		_, _, err = layered.ApplyAll(sketch(t, "P r\nN a < r"), list)
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
