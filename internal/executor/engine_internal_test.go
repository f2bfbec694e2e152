package executor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"layercake/internal/fault"
	"layercake/internal/layered"
	"layercake/internal/plan"

	"github.com/google/go-cmp/cmp"
)

func graphOf(nodes string, edges ...string) layered.Graph {
	var g layered.Graph
	for id := range strings.FieldsSeq(nodes) {
		partition := id[0] == 'P'
		g.Nodes = append(g.Nodes, layered.Node{ID: id, Label: id, Weight: 1, IsPartition: partition})
	}
	for _, e := range edges {
		from, to, _ := strings.Cut(e, "-")
		g.Edges = append(g.Edges, layered.Edge{ID: e, Source: from, Target: to, Weight: 1})
	}
	return g
}

func TestCompute(t *testing.T) {
	t.Parallel()
	a, b := graphOf("a b", "a-b"), graphOf("b c", "b-c")
	a.Name = "a name is no part of the content"
	for name, c := range map[string]struct {
		kind   plan.NodeType
		config string
		inputs []layered.Graph
		want   layered.Graph
		notes  int
	}{
		"no input":     {plan.GraphNode, "{}", nil, layered.Graph{}, 0},
		"union":        {plan.GraphNode, "{}", []layered.Graph{a, b}, graphOf("a b c", "a-b", "b-c"), 0},
		"merge":        {plan.MergeNode, "{}", []layered.Graph{a, b}, graphOf("a b c", "a-b", "b-c"), 0},
		"intersection": {plan.MergeNode, `{"mergeStrategy":"Intersection"}`, []layered.Graph{a, b}, graphOf("b"), 0},
		"transform": {
			plan.TransformNode, `{"transforms":[{"kind":"ReverseEdges"}]}`,
			[]layered.Graph{a},
			layered.Graph{Nodes: graphOf("a b").Nodes, Edges: []layered.Edge{{ID: "a-b", Source: "b", Target: "a", Weight: 1}}},
			1,
		},
		"copy": {plan.CopyNode, "{}", []layered.Graph{a}, graphOf("a b", "a-b"), 0},
	} {
		got, notes, err := compute(t.Context(), c.kind, c.config, c.inputs)
		if err != nil || len(notes) != c.notes {
			t.Errorf("%s: %d notes, %v", name, len(notes), err)
		}
		if layered.Hash(got) != layered.Hash(c.want) {
			t.Errorf("%s: %s", name, cmp.Diff(c.want, got))
		}
	}
}

func TestComputeRefuses(t *testing.T) {
	t.Parallel()
	other := graphOf("a b")
	other.Edges = []layered.Edge{{ID: "a-b", Source: "b", Target: "a"}}
	for name, c := range map[string]struct {
		kind   plan.NodeType
		config string
		inputs []layered.Graph
		want   []string
	}{
		"an end that is missing": {plan.GraphNode, "{}", []layered.Graph{graphOf("a", "a-ghost")}, []string{`"a-ghost"`, `"ghost"`, "does not exist"}},
		"an end at a partition":  {plan.GraphNode, "{}", []layered.Graph{graphOf("a P", "a-P")}, []string{`"a-P"`, "partition"}},
		"two":                    {plan.GraphNode, "{}", []layered.Graph{graphOf("a", "a-x", "a-y")}, []string{"2 problems", `"x"`, `"y"`}},
		"other ends":             {plan.MergeNode, "{}", []layered.Graph{graphOf("a b", "a-b"), other}, []string{`"a-b"`}},
		"a strategy":             {plan.MergeNode, `{"mergeStrategy":"No"}`, nil, []string{`"No"`}},
		"a merge of a number":    {plan.MergeNode, `{"mergeStrategy":1}`, nil, []string{"not readable"}},
		"a step":                 {plan.TransformNode, `{"transforms":[{"kind":"No"}]}`, []layered.Graph{{}}, []string{`"No"`}},
		"no steps":               {plan.TransformNode, `{"transforms":[]}`, []layered.Graph{{}}, []string{"no steps"}},
		"a parameter":            {plan.TransformNode, `{"transforms":[{"kind":"PartitionDepthLimit"}]}`, []layered.Graph{graphOf("P")}, []string{"maxPartitionDepth"}},
		"a type":                 {plan.OutputNode, "{}", nil, []string{"OutputNode"}},
	} {
		_, _, err := compute(t.Context(), c.kind, c.config, c.inputs)
		if !fault.Is(err, fault.BadRequest) {
			t.Errorf("%s: %v, want a BAD_REQUEST", name, err)
		}
		for _, part := range c.want {
			if !strings.Contains(fmt.Sprint(err), part) {
				t.Errorf("%s: %v does not say %q", name, err, part)
			}
		}
		if final(err, 0) == "" {
			t.Errorf("%s is tried again", name)
		}
	}
}

// A hundred problems are listed, all are counted, and the message is short.
func TestManyProblems(t *testing.T) {
	t.Parallel()
	g := graphOf("a")
	for i := range 5000 {
		g.Edges = append(g.Edges, layered.Edge{ID: fmt.Sprint(i), Source: "a", Target: fmt.Sprintf("ghost%d", i)})
	}
	_, _, err := compute(t.Context(), plan.GraphNode, "{}", []layered.Graph{g})
	f := fault.From(err)
	if f == nil || !strings.Contains(f.Message, "5000 problems") || len(f.Message) > 1000 {
		t.Fatalf("%v", err)
	}
	if listed, _ := f.Details["problems"].([]string); len(listed) != layered.MaxListed || f.Details["total"] != 5000 {
		t.Errorf("%d are listed, of %v", len(listed), f.Details["total"])
	}
}

func TestComputeEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errLost)
	if _, _, err := compute(ctx, plan.CopyNode, "{}", []layered.Graph{graphOf("a")}); !errors.Is(err, errLost) {
		t.Errorf("%v", err)
	}
}
