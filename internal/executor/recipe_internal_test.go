package executor

import (
	"slices"
	"testing"

	"layercake/internal/plan"
)

func TestSettingsThatMatter(t *testing.T) {
	t.Parallel()
	hash := func(kind plan.NodeType, config string) string {
		hash, _ := hashSettings(kind, config)
		return hash
	}
	same := map[string]struct {
		kind plan.NodeType
		a, b string
	}{
		"a graph has none":          {plan.GraphNode, `{}`, `{"isReference":true,"metadata":{"nodeCount":3}}`},
		"a copy has none":           {plan.CopyNode, `{}`, `{"copyType":"ShallowCopy"}`},
		"defaults of a merge":       {plan.MergeNode, `{}`, `{"mergeStrategy":"Union","conflictResolution":"PreferLast"}`},
		"spellings of a transform":  {plan.TransformNode, `{"transforms":[{"kind":"PartitionDepthLimit","params":{"max_partition_depth":2}}]}`, `{"transforms":[{"kind":"PartitionDepthLimit","params":{"maxPartitionDepth":2}}]}`},
		"the former shape":          {plan.TransformNode, `{"transformType":"InvertGraph"}`, `{"transforms":[{"kind":"InvertGraph"},{"kind":"AggregateEdges"}]}`},
		"blanks of an unknown step": {plan.TransformNode, `{"transforms":[{"kind":"No"}]}`, `{"transforms":[{"kind":"No"}]}`},
	}
	for name, c := range same {
		if hash(c.kind, c.a) != hash(c.kind, c.b) {
			t.Errorf("%s: %s and %s differ", name, c.a, c.b)
		}
	}
	different := map[string]struct {
		kind plan.NodeType
		a, b string
	}{
		"strategies":         {plan.MergeNode, `{}`, `{"mergeStrategy":"Difference"}`},
		"resolutions":        {plan.MergeNode, `{}`, `{"conflictResolution":"PreferFirst"}`},
		"a merge of wrong":   {plan.MergeNode, `{"mergeStrategy":1}`, `{"mergeStrategy":2}`},
		"steps":              {plan.TransformNode, `{"transforms":[{"kind":"InvertGraph"}]}`, `{"transforms":[{"kind":"ReverseEdges"}]}`},
		"parameters":         {plan.TransformNode, `{"transforms":[{"kind":"PartitionDepthLimit","params":{"maxPartitionDepth":2}}]}`, `{"transforms":[{"kind":"PartitionDepthLimit","params":{"maxPartitionDepth":3}}]}`},
		"order of steps":     {plan.TransformNode, `{"transforms":[{"kind":"InvertGraph"},{"kind":"ReverseEdges"}]}`, `{"transforms":[{"kind":"ReverseEdges"},{"kind":"InvertGraph"}]}`},
		"an unknown setting": {plan.MergeNode, `{"mergeStrategy":"Union"}`, `{"mergeStrategy":"Union","color":"red"}`},
		"types of a copy":    {plan.CopyNode, `{}`, `{"copyType":"bogus"}`},
		"unreadable config":  {plan.TransformNode, `{"transforms":7}`, `{"transforms":8}`},
	}
	for name, c := range different {
		if hash(c.kind, c.a) == hash(c.kind, c.b) {
			t.Errorf("%s: %s and %s are the same", name, c.a, c.b)
		}
	}
}

func TestChangesSayWhyAGraphIsStale(t *testing.T) {
	t.Parallel()
	file := ingredient{Node: "s", Label: "Edges", Hash: "1", Source: 7, Filename: "edges.csv"}
	merge := ingredient{Node: "m", Label: "Merge", Hash: "2"}
	built := ingredients{Version: "1", Kind: plan.GraphNode, Settings: "x", Inputs: []ingredient{file, merge}}
	for name, c := range map[string]struct {
		change func(*ingredients)
		want   []string
	}{
		"nothing":            {func(*ingredients) {}, nil},
		"an engine":          {func(i *ingredients) { i.Version = "2" }, []string{"the engine was updated"}},
		"settings":           {func(i *ingredients) { i.Settings = "y" }, []string{"its settings changed"}},
		"a type":             {func(i *ingredients) { i.Kind, i.Settings = plan.MergeNode, "y" }, []string{"its type changed"}},
		"a file":             {func(i *ingredients) { i.Inputs[0].Hash = "3" }, []string{"edges.csv was replaced"}},
		"the name of a file": {func(i *ingredients) { i.Inputs[0].Filename = "e.csv" }, nil},
		"another source":     {func(i *ingredients) { i.Inputs[0].Hash, i.Inputs[0].Source, i.Inputs[0].Filename = "3", 8, "e.csv" }, []string{"Edges reads another data source, e.csv"}},
		"a graph":            {func(i *ingredients) { i.Inputs[1].Hash = "3" }, []string{"Merge was rebuilt"}},
		"a graph of no name": {func(i *ingredients) { i.Inputs[1].Hash, i.Inputs[1].Label = "3", "" }, []string{"m was rebuilt"}},
		"a lost source":      {func(i *ingredients) { i.Inputs[0].Hash, i.Inputs[0].Source, i.Inputs[0].Filename = "", 0, "" }, []string{"Edges is not there any more"}},
		"one more":           {func(i *ingredients) { i.Inputs = append(i.Inputs, ingredient{Node: "n", Hash: "4"}) }, []string{"an input was added"}},
		"two more": {
			func(i *ingredients) {
				i.Inputs = append(i.Inputs, ingredient{Node: "n", Hash: "4"}, ingredient{Node: "o", Hash: "4"})
			},
			[]string{"an input was added"},
		},
		"one less":  {func(i *ingredients) { i.Inputs = i.Inputs[1:] }, []string{"an input was removed"}},
		"the order": {func(i *ingredients) { slices.Reverse(i.Inputs) }, []string{"the order of its inputs changed"}},
		"much": {
			func(i *ingredients) {
				i.Settings = "y"
				i.Inputs = []ingredient{{Node: "n", Hash: "4"}, {Node: "m", Label: "Merge", Hash: "5"}}
			},
			[]string{"its settings changed", "an input was added", "Merge was rebuilt", "an input was removed"},
		},
	} {
		now := built
		now.Inputs = slices.Clone(built.Inputs)
		c.change(&now)
		if got := now.changes(built); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		if matters := now.recipe() != built.recipe(); matters != (c.want != nil) {
			t.Errorf("%s: the recipe changed: %t", name, matters)
		}
	}
}

func TestRecipeOfAnInputWithoutOutput(t *testing.T) {
	t.Parallel()
	if r := (ingredients{Inputs: []ingredient{{Hash: "1"}, {}}}).recipe(); r != "" {
		t.Errorf("the recipe is %q", r)
	}
	if r := (ingredients{}).recipe(); r == "" {
		t.Error("what has no inputs has no recipe")
	}
}

func TestSourceOfAConfig(t *testing.T) {
	t.Parallel()
	for config, want := range map[string]int32{
		`{"dataSourceId":7}`: 7, `{"dataSourceId":0}`: 0, `{"dataSourceId":-1}`: 0, `{"dataSourceId":1.5}`: 0, `{"dataSourceId":4294967303}`: 0,
		`{}`: 0, `{"dataSourceId":null}`: 0, `{"dataSourceId":{}}`: 0, `7`: 0, ``: 0,
	} {
		if got := sourceOf(config); got != want {
			t.Errorf("%s names %d, want %d", config, got, want)
		}
	}
}
