package layered_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"layercake/internal/fault"
	"layercake/internal/layered"
)

func TestConnectivity(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, graph string
		want        layered.Connections
	}{
		{"nothing", "", layered.Connections{}},
		{
			"partitions count as nodes only", "P r\nN a < r\nN b < r\nN c < r\nN d < r\nE e1 a b\nE e2 b c\nE e3 ghost a\nE e4 r a",
			layered.Connections{
				NodeCount: 5, EdgeCount: 4, ComponentCount: 2, Components: []layered.Component{{Size: 3, Example: "a"}, {Size: 1, Example: "d"}},
				Isolated: named("d"), Sources: named("a"), Sinks: named("c"),
			},
		},
		{
			"cycles, and the largest component first", "N x\nN y\nN a\nN b\nN c\nE e1 x y\nE e2 c a\nE e3 a b\nE e4 b a\nE e5 c b",
			layered.Connections{
				NodeCount: 5, EdgeCount: 5, ComponentCount: 2, Components: []layered.Component{{Size: 3, Example: "a"}, {Size: 2, Example: "x"}},
				Sources: named("x", "c"), Sinks: named("y"), HasCycle: true,
			},
		},
		{
			"a loop is a cycle", "N a\nE e a a",
			layered.Connections{
				NodeCount: 1, EdgeCount: 1, ComponentCount: 1, Components: []layered.Component{{Size: 1, Example: "a"}}, HasCycle: true,
			},
		},
	} {
		if diff := cmp.Diff(c.want, layered.Connectivity(sketch(t, c.graph)), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
	var many layered.Graph
	for i := range 100 {
		many.Nodes = append(many.Nodes, layered.Node{ID: name(i)})
	}
	c := layered.Connectivity(many)
	if c.ComponentCount != 100 || len(c.Components) != layered.MaxNamed || c.Isolated.Count != 100 || len(c.Isolated.IDs) != layered.MaxNamed {
		t.Errorf("%+v", c)
	}
}

func named(ids ...string) layered.Named { return layered.Named{Count: len(ids), IDs: ids} }

func TestPaths(t *testing.T) {
	t.Parallel()
	g := sketch(t, `
		P r
		N a
		N b
		N c
		N d
		N z
		E e1 a c
		E e2 a b
		E e3 b d
		E e4 c d
		E e5 a d
		E e6 b c
		E e7 d a
		E e8 a b
		E e9 a r
		E e10 r d`)
	for _, c := range []struct {
		from, to          string
		maxPaths, maxEdge int
		want              string
	}{
		{"a", "d", 10, 20, "a d, a b d, a c d, a b c d"},
		{"a", "d", 2, 20, "a d, a b d ..."},
		{"a", "d", 4, 20, "a d, a b d, a c d, a b c d"},
		{"a", "d", 10, 2, "a d, a b d, a c d"},
		{"c", "b", 10, 20, "c d a b"},
		{"a", "a", 10, 20, "a"},
		{"a", "z", 10, 20, ""},
		{"a", "r", 10, 20, ""},
	} {
		got, err := layered.Paths(t.Context(), g, c.from, c.to, c.maxPaths, c.maxEdge)
		if err != nil {
			t.Fatal(err)
		}
		if text := pathText(got); text != c.want {
			t.Errorf("%s to %s, %d of %d: %q, want %q", c.from, c.to, c.maxPaths, c.maxEdge, text, c.want)
		}
	}
	_, err := layered.Paths(t.Context(), g, "a", "ghost", 1, 1)
	refusedAs(t, fault.NotFound, err, `"ghost"`)
	_, err = layered.Paths(t.Context(), g, "a", "b", 0, 1)
	refusedAs(t, fault.BadRequest, err, "number of paths")
	_, err = layered.Paths(t.Context(), g, "a", "b", 1, 0)
	refusedAs(t, fault.BadRequest, err, "length of paths")
}

func pathText(p layered.FoundPaths) string {
	var paths []string
	for _, path := range p.Paths {
		paths = append(paths, strings.Join(path, " "))
	}
	text := strings.Join(paths, ", ")
	if p.Truncated {
		text += " ..."
	}
	return text
}

// TestPathsGiveUp in a graph with more paths than anybody could follow, and with its context; the shortest are found all the same.
func TestPathsGiveUp(t *testing.T) {
	t.Parallel()
	var dense layered.Graph
	const nodes = 40
	for i := range nodes {
		dense.Nodes = append(dense.Nodes, layered.Node{ID: name(i)})
		for k := range nodes {
			dense.Edges = append(dense.Edges, layered.Edge{ID: fmt.Sprint("e", i, "_", k), Source: name(i), Target: name(k)})
		}
	}
	got, err := layered.Paths(t.Context(), dense, "n0", "n1", 100, 20)
	if err != nil || !got.Truncated || len(got.Paths) != 100 || len(got.Paths[0]) != 2 || len(got.Paths[99]) != 4 {
		t.Errorf("%d paths, %v", len(got.Paths), err)
	}
	dense.Nodes = append(dense.Nodes, layered.Node{ID: "far"}, layered.Node{ID: "gate"})
	dense.Edges = append(dense.Edges, layered.Edge{ID: "in", Source: "n1", Target: "gate"}, layered.Edge{ID: "out", Source: "gate", Target: "far"})
	got, err = layered.Paths(t.Context(), dense, "n0", "far", 100_000, 20)
	if err != nil || !got.Truncated || len(got.Paths) == 0 || strings.Join(got.Paths[0], " ") != "n0 n1 gate far" {
		t.Errorf("%d paths, %v", len(got.Paths), err)
	}
	ctx := &endsAfter{Context: context.Background(), looks: 3}
	if _, err := layered.Paths(ctx, dense, "n0", "far", 100_000, 20); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}

// TestPathsAreAll compares with a search that leaves nothing out.
func TestPathsAreAll(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		g := drawGraph(t)
		if len(g.Nodes) == 0 {
			return
		}
		next := make(map[string][]string)
		partition := make(map[string]bool)
		for _, n := range g.Nodes {
			partition[n.ID] = n.IsPartition
		}
		for _, e := range g.Edges {
			if !partition[e.Source] && !partition[e.Target] && !slices.Contains(next[e.Source], e.Target) {
				next[e.Source] = append(next[e.Source], e.Target)
			}
		}
		from, to := rapid.SampledFrom(g.Nodes).Draw(t, "from").ID, rapid.SampledFrom(g.Nodes).Draw(t, "to").ID
		most := rapid.IntRange(1, 6).Draw(t, "edges")
		var all [][]string
		var walk func(path []string)
		walk = func(path []string) {
			last := path[len(path)-1]
			if last == to {
				all = append(all, slices.Clone(path))
				return
			}
			for _, id := range next[last] {
				if len(path) <= most && !slices.Contains(path, id) {
					walk(append(path, id))
				}
			}
		}
		walk([]string{from})
		slices.SortFunc(all, func(a, b []string) int {
			if len(a) != len(b) {
				return len(a) - len(b)
			}
			return slices.Compare(a, b)
		})
		got, err := layered.Paths(context.Background(), g, from, to, 100_000, most)
		if err != nil || got.Truncated {
			t.Fatalf("truncated: %t, %v", got.Truncated, err)
		}
		if diff := cmp.Diff(all, got.Paths, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
	})
}
