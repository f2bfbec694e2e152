package plan_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"layercake/internal/auth"
	"layercake/internal/plan"

	"github.com/google/go-cmp/cmp"
	"github.com/google/jsonschema-go/jsonschema"
)

// allNodeTypes are those that there are.
var allNodeTypes = []plan.NodeType{
	plan.DataSourceNode, plan.GraphNode, plan.TransformNode, plan.MergeNode, plan.CopyNode, plan.OutputNode,
}

func TestNodeTypesAreDescribed(t *testing.T) {
	t.Parallel()
	var got []plan.NodeType
	counts := make(map[plan.NodeType]string)
	for _, info := range plan.NodeTypes() {
		got = append(got, info.NodeType)
		counts[info.NodeType] = info.Inputs() + ", " + info.Outputs()
		if !strings.HasSuffix(info.Does, ".") || strings.Count(info.Does, ".") != 1 {
			t.Errorf("what a %s does is no sentence: %q", info.NodeType, info.Does)
		}
		for _, target := range info.LeadsTo {
			if !slices.Contains(allNodeTypes, target) {
				t.Errorf("a %s leads to %q", info.NodeType, target)
			}
		}
	}
	if diff := cmp.Diff(allNodeTypes, got); diff != "" {
		t.Error(diff)
	}
	want := map[plan.NodeType]string{
		plan.DataSourceNode: "none, any number", plan.GraphNode: "any number, any number", plan.TransformNode: "exactly 1, any number",
		plan.MergeNode: "at least 2, any number", plan.CopyNode: "exactly 1, 0 to 1", plan.OutputNode: "exactly 1, none",
	}
	if diff := cmp.Diff(want, counts); diff != "" {
		t.Error(diff)
	}
}

// The schema of a type accepts its example, refuses what is not so, and knows every member of the example.
func TestExamplesFitTheirSchemas(t *testing.T) {
	t.Parallel()
	for _, info := range plan.NodeTypes() {
		var schema jsonschema.Schema
		if err := json.Unmarshal(info.ConfigSchema, &schema); err != nil {
			t.Fatalf("%s: %v", info.NodeType, err)
		}
		resolved, err := schema.Resolve(&jsonschema.ResolveOptions{ValidateDefaults: true})
		if err != nil {
			t.Fatalf("%s: %v", info.NodeType, err)
		}
		var example map[string]any
		if err := json.Unmarshal(info.Example, &example); err != nil || len(example) == 0 {
			t.Fatalf("%s: %v, %v", info.NodeType, example, err)
		}
		if err := resolved.Validate(example); err != nil {
			t.Errorf("%s: %v", info.NodeType, err)
		}
		for name := range example {
			if schema.Properties[name] == nil {
				t.Errorf("%s: the schema does not know %q", info.NodeType, name)
			}
			example[name] = []any{}
		}
		if err := resolved.Validate(example); err == nil {
			t.Errorf("%s: the schema accepts %v", info.NodeType, example)
		}
		if err := resolved.Validate([]any{}); err == nil {
			t.Errorf("%s: the schema accepts a list", info.NodeType)
		}
	}
}

// Each type with its example, with as many inputs as it needs, makes a plan that the rules accept without a warning, and each pair that it
// names can be connected.
func TestExamplesMakePlans(t *testing.T) {
	t.Parallel()
	r, p := newProject(t)
	infos := make(map[plan.NodeType]plan.NodeTypeInfo)
	var texts []string
	add := func(id string, kind plan.NodeType) {
		texts = append(texts, fmt.Sprintf(`{"op":"add_node","id":%q,"node_type":%q,"config":%s}`, id, kind, infos[kind].Example))
	}
	connect := func(source, target string) {
		texts = append(texts, fmt.Sprintf(`{"op":"add_edge","source":%q,"target":%q}`, source, target))
	}
	for _, info := range plan.NodeTypes() {
		infos[info.NodeType] = info
	}
	add("table", plan.DataSourceNode)
	add("table 2", plan.DataSourceNode)
	add("merge", plan.MergeNode)
	add("graph", plan.GraphNode)
	add("transform", plan.TransformNode)
	add("copy", plan.CopyNode)
	add("out", plan.OutputNode)
	connect("table", "merge")
	connect("table 2", "merge")
	connect("merge", "graph")
	connect("graph", "transform")
	connect("transform", "copy")
	connect("copy", "out")
	r.addSource(t, p, 1) // the one of the example
	done, err := r.plans.Change(t.Context(), auth.Unchecked(agent, p), plan.Change{Warnings: true, Edits: parsed(t, texts...)})
	if err != nil || len(done.Warnings) > 0 {
		t.Fatalf("%v, %v", done.Warnings, err)
	}
	dag := r.dag(t, p)
	if problems := plan.Validate(dag.Nodes, dag.Edges); len(problems) > 0 {
		t.Errorf("the plan has problems: %s", encoded(problems))
	}
	for source, info := range infos {
		for _, target := range info.LeadsTo {
			texts = nil
			add("from", source)
			add("to", target)
			connect("from", "to")
			if _, err := r.plans.Try(t.Context(), auth.Unchecked(agent, p), plan.Change{Edits: parsed(t, texts...)}); err != nil {
				t.Errorf("from %s to %s: %v", source, target, err)
			}
		}
	}
}
