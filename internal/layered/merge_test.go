package layered_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"layercake/internal/fault"
	"layercake/internal/layered"
)

func TestMerge(t *testing.T) {
	t.Parallel()
	first := "L l one\nP r\nN a < r A\nN b < r B\nN c < b C\nE e1 a b\nE e2 a c"
	second := "L l two\nN b < r Bee / x\nN z Z\nE e1 a b w3\nE e3 b z"
	for _, c := range []struct {
		name     string
		strategy layered.Strategy
		resolve  layered.Resolution
		inputs   []string
		want     string
	}{
		{
			"by default unites, the last counts, places stay", "", "",
			[]string{first, second},
			"L l two\nP r\nN a < r A\nN b < r Bee / x\nN c < b C\nN z Z\nE e1 a b w3\nE e2 a c\nE e3 b z",
		},
		{
			"the first counts", layered.Union, layered.PreferFirst,
			[]string{first, second},
			"L l one\nP r\nN a < r A\nN b < r B\nN c < b C\nN z Z\nE e1 a b\nE e2 a c\nE e3 b z",
		},
		{
			"in the order of inputs", layered.Union, layered.PreferLast,
			[]string{second, first},
			"L l one\nN b < r B\nN z Z\nP r\nN a < r A\nN c < b C\nE e1 a b\nE e3 b z\nE e2 a c",
		},
		{
			"manual without conflicts", layered.Union, layered.Manual,
			[]string{first, "N z", first},
			"L l one\nP r\nN a < r A\nN b < r B\nN c < b C\nN z\nE e1 a b\nE e2 a c",
		},
		{"later wins within one input", layered.Union, layered.PreferLast, []string{"N a one\nN a two"}, "N a two"},
		{
			"intersection, without edges that lost an end", layered.Intersection, layered.PreferLast,
			[]string{first, second, "N b\nE e1 a b"},
			"L l two\nN b",
		},
		{
			"difference lifts children and drops edges", layered.Difference, layered.PreferFirst,
			[]string{first, second},
			"L l one\nP r\nN a < r A\nN c < r C\nE e2 a c",
		},
		{"difference of one", layered.Difference, "", []string{first}, first},
		{"nothing", layered.Union, "", nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var inputs []layered.Graph
			for _, text := range c.inputs {
				inputs = append(inputs, sketch(t, text))
			}
			same(t, sketch(t, c.want), must(t)(layered.Merge(t.Context(), inputs, c.strategy, c.resolve)))
		})
	}
}

func TestMergeRefuses(t *testing.T) {
	t.Parallel()
	graphs := func(texts ...string) (list []layered.Graph) {
		for _, text := range texts {
			list = append(list, sketch(t, text))
		}
		return list
	}
	for _, r := range []layered.Resolution{layered.PreferFirst, layered.PreferLast, layered.Manual} {
		_, err := layered.Merge(t.Context(), graphs("E e a b", "E e b c"), layered.Union, r)
		refusedAs(t, fault.BadRequest, err, `"e"`, `"a" to "b"`, `"b" to "c"`)
	}
	_, err := layered.Merge(t.Context(), graphs("E e a b\nE e b c"), layered.Union, "")
	refusedAs(t, fault.BadRequest, err, `"a" to "b"`, `"b" to "c"`)

	_, err = layered.Merge(t.Context(), graphs("L l\nN a A\nN b\nE e a b", "L l x\nN a B\nN b\nE e a b w2"), layered.Union, layered.Manual)
	refusedAs(t, fault.Conflict, err, "3 places")
	want := []string{
		`node "a" differs between input 1 and input 2`,
		`edge "e" differs between input 1 and input 2`,
		`layer "l" differs between input 1 and input 2`,
	}
	if diff := cmp.Diff(want, fault.From(err).Details["conflicts"]); diff != "" {
		t.Errorf("conflicts: %s", diff)
	}
	_, err = layered.Merge(t.Context(), nil, "Both", "")
	refusedAs(t, fault.BadRequest, err, "Both")
	_, err = layered.Merge(t.Context(), nil, "", "PreferMine")
	refusedAs(t, fault.BadRequest, err, "PreferMine")
}
