package layered_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"layercake/internal/fault"
	"layercake/internal/layered"
)

// sketch reads a graph from lines: "P root", "P part < root", "N a < part w2", "E e a b w3 label", "L base".
// "< x" is the parent, "/ x" the layer, "w2" the weight (1 if absent), and what is left is the label.
func sketch(t *testing.T, text string) layered.Graph {
	t.Helper()
	var g layered.Graph
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		kind, id, rest := words[0], words[1], words[2:]
		var ends []string
		if kind == "E" {
			ends, rest = rest[:2], rest[2:]
		}
		var parent, layer, label string
		weight := 1.0
		for i := 0; i < len(rest); i++ {
			switch {
			case rest[i] == "<":
				i++
				parent = rest[i]
			case rest[i] == "/":
				i++
				layer = rest[i]
			case len(rest[i]) == 2 && rest[i][0] == 'w':
				weight = float64(rest[i][1] - '0')
			default:
				label = strings.TrimSpace(label + " " + rest[i])
			}
		}
		switch kind {
		case "P", "N":
			g.Nodes = append(g.Nodes, layered.Node{
				ID: id, Label: label, Layer: layer, IsPartition: kind == "P", BelongsTo: parent, Weight: weight,
			})
		case "E":
			g.Edges = append(g.Edges, layered.Edge{
				ID: id, Source: ends[0], Target: ends[1], Label: label, Layer: layer, Weight: weight,
			})
		case "L":
			g.Layers = append(g.Layers, layered.Layer{ID: id, Label: label})
		default:
			t.Fatalf("sketch: %q", line)
		}
	}
	return g
}

func same(t *testing.T, want, got layered.Graph) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// sameSketch compares what a sketch can say, layers excepted.
func sameSketch(t *testing.T, want string, got layered.Graph) {
	t.Helper()
	w := sketch(t, want)
	w.Name, w.Layers = got.Name, got.Layers
	same(t, w, got)
}

func must(t *testing.T) func(layered.Graph, error) layered.Graph {
	return func(g layered.Graph, err error) layered.Graph {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
}

func refusedAs(t *testing.T, code fault.Code, err error, parts ...string) {
	t.Helper()
	if !fault.Is(err, code) {
		t.Fatalf("error is %v, want a %s", err, code)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("error %q lacks %q", err, p)
		}
	}
}

func TestCheckListsEveryProblem(t *testing.T) {
	t.Parallel()
	g := sketch(t, `
		L base
		P root / base
		P part < root / base
		N a < part / base
		N a < part / base
		N b
		N c < ghost / lost
		P x < y
		P y < x
		P tail < x
		E e1 a ghost
		E e1 ghost a
		E e2 root a / lost
		E e3 a root
		E e4 root part
		E e5 a a`)
	g.Nodes = append(g.Nodes, layered.Node{IsPartition: true})
	g.Edges = append(g.Edges, layered.Edge{Source: "a", Target: "a"})
	type broken struct {
		Rule layered.Rule
		ID   string
	}
	var got []broken
	for _, p := range layered.Check(g, allRules()).Listed {
		got = append(got, broken{p.Rule, p.ID})
		if p.ID != "" && !strings.Contains(p.Message, `"`+p.ID+`"`) {
			t.Errorf("message %q does not name %q", p.Message, p.ID)
		}
		if p.Edge && g.Edges[p.Index].ID != p.ID || !p.Edge && g.Nodes[p.Index].ID != p.ID {
			t.Errorf("%q is not at position %d", p.ID, p.Index)
		}
	}
	want := []broken{
		{layered.DuplicateNode, "a"},
		{layered.NoParent, "b"},
		{layered.MissingParent, "c"},
		{layered.MissingLayer, "c"},
		{layered.ParentCycle, "x"},
		{layered.ParentCycle, "y"},
		{layered.EmptyID, ""},
		{layered.MissingEnd, "e1"},
		{layered.DuplicateEdge, "e1"},
		{layered.MissingEnd, "e1"},
		{layered.MixedEnds, "e2"},
		{layered.MissingEdgeLayer, "e2"},
		{layered.MixedEnds, "e3"},
		{layered.PartitionEnds, "e4"},
		{layered.EmptyID, ""},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for _, c := range []struct {
		rules []layered.Rule
		want  int
	}{{layered.BuildRules(), 9}, {layered.PlanFileRules(), 13}, {nil, 0}} {
		if n := layered.Check(g, c.rules).Total; n != c.want {
			t.Errorf("%v: %d violations, want %d", c.rules, n, c.want)
		}
	}
}

func allRules() []layered.Rule {
	return append(layered.PlanFileRules(), layered.PartitionEnds, layered.MissingEdgeLayer)
}

// TestCheckListsAHundred: a graph without a palette breaks a rule at every element.
func TestCheckListsAHundred(t *testing.T) { //nolint:paralleltest // AllocsPerRun counts those of everybody
	g := layered.Graph{Nodes: make([]layered.Node, 100_000)}
	for i := range g.Nodes {
		g.Nodes[i] = layered.Node{ID: name(i), Layer: "none", IsPartition: true}
	}
	p := layered.Check(g, []layered.Rule{layered.MissingLayer})
	if p.Total != len(g.Nodes) || len(p.Listed) != layered.MaxListed || p.Listed[99].Index != 99 {
		t.Errorf("%d problems, %d listed", p.Total, len(p.Listed))
	}
	// Beside what is listed only the indexes cost memory, which is a tenth of an allocation a node.
	allocations := testing.AllocsPerRun(1, func() { layered.Check(g, []layered.Rule{layered.MissingLayer}) })
	if allocations > float64(len(g.Nodes))/2 {
		t.Errorf("%.0f allocations for %d problems", allocations, p.Total)
	}
}

func TestLimitDepth(t *testing.T) {
	t.Parallel()
	nested := `
		P r
		P p < r
		N a < p
		N b < p w4
		N c < r
		P empty < p
		N outside
		P lost < ghost
		N inlost < lost
		E e1 a c
		E e2 a b
		E e3 c c
		E e4 a a
		E e5 outside inlost`
	for _, c := range []struct {
		name  string
		depth int
		want  string
	}{
		{"absorbs the subtree, with weight and edges", 1, `
			P r
			N p < r w7
			N c < r
			N outside
			P lost < ghost
			N inlost < lost
			E e1 p c
			E e3 c c
			E e5 outside inlost`},
		{"makes a childless partition at the level a flow node", 2, `
			P r
			P p < r
			N a < p
			N b < p w4
			N c < r
			N empty < p
			N outside
			P lost < ghost
			N inlost < lost
			E e1 a c
			E e2 a b
			E e3 c c
			E e4 a a
			E e5 outside inlost`},
		{"leaves what is not as deep", 3, nested},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			sameSketch(t, c.want, must(t)(layered.LimitDepth(sketch(t, nested), c.depth)))
		})
	}
	_, err := layered.LimitDepth(layered.Graph{}, 0)
	refusedAs(t, fault.BadRequest, err, "depth", "0")
}

func TestLimitWidth(t *testing.T) {
	t.Parallel()
	flat := `
		P n
		N a < n
		N b < n w2
		N c < n w3
		N x
		E e1 a b
		E e2 c x
		E e3 b x
		E e4 x a`
	for _, c := range []struct {
		name   string
		in     string
		width  int
		retain bool
		want   string
	}{
		{"replaces all, edges inside become self-loops", flat, 2, false, `
			P n
			N x
			N agg_n < n / aggregated w6 3 nodes (aggregated)
			E e1 agg_n agg_n
			E e2 agg_n x
			E e3 agg_n x
			E e4 x agg_n`},
		{"leaves what is narrow enough", flat, 3, false, flat},
		{"retains the first, merges equal edges", flat, 2, true, `
			P n
			N a < n
			N x
			N agg_n_1 < n / aggregated w5 n - 2 nodes (aggregated)
			E e1 a agg_n_1
			E e2 agg_n_1 x w2
			E e4 x a`},
		{"retains none at width 1, drops self-loops", flat, 1, true, `
			P n
			N x
			N agg_n_1 < n / aggregated w6 n - 3 nodes (aggregated)
			E e2 agg_n_1 x w2
			E e4 x agg_n_1`},
		{
			"stops at a partition with too many partitions", "P r\nP a < r\nP b < r\nN c < a\nN d < a", 1, false,
			"P r\nP a < r\nP b < r\nN c < a\nN d < a",
		},
		{"works bottom up and keeps children of what it replaces", "P r\nP p < r\nN a < r\nN b < r\nN c < p\nN d < p\nN under < a", 1, false, `
			P r
			P p < r
			N under < agg_r
			N agg_p < p / aggregated w2 2 nodes (aggregated)
			N agg_r < r / aggregated w2 2 nodes (aggregated)`},
		{"finds a free id", "P r\nN agg_r < r\nN b < r", 1, false, `
			P r
			N agg_r_1 < r / aggregated w2 2 nodes (aggregated)`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := must(t)(layered.LimitWidth(sketch(t, c.in), c.width, c.retain))
			sameSketch(t, c.want, got)
			if changed := c.in != c.want; changed != (len(got.Layers) == 1) {
				t.Errorf("layers = %v", got.Layers)
			}
		})
	}
	_, err := layered.LimitWidth(layered.Graph{}, -1, false)
	refusedAs(t, fault.BadRequest, err, "width", "-1")
}

func TestInvert(t *testing.T) {
	t.Parallel()
	g := sketch(t, `
		L base
		N a / base
		N b / other
		E e1 a b w2 first / flow
		E e2 a b w3
		E e3 b b`)
	g.Name = "G"
	got := must(t)(layered.Invert(t.Context(), g))
	if got.Name != "Inverted G" {
		t.Errorf("name = %q", got.Name)
	}
	sameSketch(t, `
		P inverted_root / inverted_root w0 Root
		N n_a_b_0 < inverted_root / flow w2 first
		N n_a_b_1 < inverted_root w3 a -> b
		N n_b_b_2 < inverted_root b -> b
		E n_a_b_1_n_a_b_1_0 n_a_b_1 n_a_b_1 / base
		E n_a_b_1_n_a_b_1_1 n_a_b_1 n_a_b_1 / other
		E n_a_b_1_n_b_b_2_2 n_a_b_1 n_b_b_2 / other
		E n_a_b_1_n_b_b_2_3 n_a_b_1 n_b_b_2 / other`, got)
	var ids []string
	for _, l := range got.Layers {
		ids = append(ids, l.ID)
	}
	if diff := cmp.Diff([]string{"base", "inverted_root", "flow", "", "other"}, ids); diff != "" {
		t.Errorf("layers: %s", diff)
	}
}

func TestInvertRefusesToGrowTooLarge(t *testing.T) {
	t.Parallel()
	g := layered.Graph{Nodes: []layered.Node{{ID: "hub"}}}
	for range 3200 {
		g.Edges = append(g.Edges, layered.Edge{ID: "e", Source: "hub", Target: "hub"})
	}
	_, err := layered.Invert(t.Context(), g)
	refusedAs(t, fault.BadRequest, err, "5118400", "5000000")

	long := strings.Repeat("x", 1000)
	g = layered.Graph{Nodes: []layered.Node{{ID: long}}}
	for range 1000 {
		g.Edges = append(g.Edges, layered.Edge{ID: "e", Source: long, Target: long})
	}
	_, err = layered.Invert(t.Context(), g)
	refusedAs(t, fault.BadRequest, err, "499500 edges with about 2013984000 bytes of ids; the limit is 536870912")
}

func TestReverseEdges(t *testing.T) {
	t.Parallel()
	g := sketch(t, "N a\nN b\nE e a b w2 x")
	sameSketch(t, "N a\nN b\nE e b a w2 x", layered.ReverseEdges(g))
	sameSketch(t, "N a\nN b\nE e a b w2 x", g)
}

func TestLabels(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		apply func(layered.Graph) (layered.Graph, error)
		in    string
		want  string
	}{
		{"node length", func(g layered.Graph) (layered.Graph, error) { return layered.LimitNodeLabels(g, 3) }, "日本語x", "日本語"},
		{"node length, short", func(g layered.Graph) (layered.Graph, error) { return layered.LimitNodeLabels(g, 9) }, "abc", "abc"},
		{"edge length", func(g layered.Graph) (layered.Graph, error) { return layered.LimitEdgeLabels(g, 1) }, "abc", "a"},
		{"node wrap", func(g layered.Graph) (layered.Graph, error) { return layered.WrapNodeLabels(g, 8) }, "alpha beta  gamma", "alpha \nbeta \ngamma"},
		{"node wrap, a line just full", func(g layered.Graph) (layered.Graph, error) { return layered.WrapNodeLabels(g, 10) }, "alpha beta xx", "alpha beta \nxx"},
		{"node wrap, fits", func(g layered.Graph) (layered.Graph, error) { return layered.WrapNodeLabels(g, 5) }, "a  bé", "a  bé"},
		{"edge wrap, long word", func(g layered.Graph) (layered.Graph, error) { return layered.WrapEdgeLabels(g, 2) }, "abc d e", "abc \nd \ne"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			g := layered.Graph{Nodes: []layered.Node{{Label: c.in}}, Edges: []layered.Edge{{Label: c.in}}}
			got := must(t)(c.apply(g))
			changed, other := got.Nodes[0].Label, got.Edges[0].Label
			if strings.HasPrefix(c.name, "edge") {
				changed, other = other, changed
			}
			if changed != c.want || other != c.in {
				t.Errorf("labels = %q and, of the other kind, %q; want %q and %q", changed, other, c.want, c.in)
			}
		})
	}
	for _, limit := range []func(layered.Graph, int) (layered.Graph, error){
		layered.LimitNodeLabels, layered.LimitEdgeLabels, layered.WrapNodeLabels, layered.WrapEdgeLabels,
	} {
		_, err := limit(layered.Graph{}, 0)
		refusedAs(t, fault.BadRequest, err, "label", "0")
	}
}

func TestAggregateEdges(t *testing.T) {
	t.Parallel()
	g := sketch(t, "N a\nN b\nN a_b\nE e1 a b w2 x\nE e2 b a\nE e3 a b w3 y\nE e4 a_b a\nE e5 a b_a")
	sameSketch(t, "N a\nN b\nN a_b\nE e1 a b w5 x\nE e2 b a\nE e4 a_b a\nE e5 a b_a", layered.AggregateEdges(g))
}

func TestDropUnconnected(t *testing.T) {
	t.Parallel()
	in := "P r\nP empty < r\nN mid < r\nN leaf < mid\nN lone < r\nN a < r\nE e a leaf\nE dangling a ghost"
	sameSketch(t, "P r\nP empty < r\nN mid < r\nN leaf < mid\nN a < r\nE e a leaf", layered.DropUnconnected(sketch(t, in), true))
	sameSketch(t, "N leaf\nN a\nE e a leaf", layered.DropUnconnected(sketch(t, in), false))
	// Several children below the same removed chain all find the ancestor that stays.
	sameSketch(t, "N top\nN a < top\nN b < top\nN c < top\nE e a b\nE f c top", layered.DropUnconnected(
		sketch(t, "N top\nP p < top\nP q < p\nN a < q\nN b < q\nN c < p\nE e a b\nE f c top"), false))
}

func TestGenerateHierarchy(t *testing.T) {
	t.Parallel()
	one := "P r / base\nP p < r / part\nN a < p\nN b < ghost\nE e a b"
	sameSketch(t, "P r / base\nP p < r / part\nN a < p\nN b < ghost\n"+
		"E hierarchy_edge_1_p r p / base\nE hierarchy_edge_2_a p a / part", layered.GenerateHierarchy(sketch(t, one), false))
	two := layered.GenerateHierarchy(sketch(t, "P r\nN a < r\nP Hierarchy\nE e a a"), true)
	sameSketch(t, "N r < Hierarchy_1\nN a < r\nN Hierarchy < Hierarchy_1\nP Hierarchy_1 / hierarchy w0 Hierarchy\n"+
		"E hierarchy_edge_1_a r a\nE e a a", two)
	if len(two.Layers) != 1 || two.Layers[0].ID != "hierarchy" {
		t.Errorf("layers = %v", two.Layers)
	}
}

func TestAggregateLayers(t *testing.T) {
	t.Parallel()
	in := `
		P r
		N a < r / app
		N b < r / app w2
		N c < r / app
		N d < r / app
		N hub < r / infra
		N small < r / infra
		E e1 a hub
		E e2 hub b w3
		E e3 c hub
		E e4 a small
		E e5 c small
		E e6 a b
		E e7 d a`
	sameSketch(t, `
		P r
		N d < r / app
		N hub < r / infra
		N small < r / infra
		N agg_r_1 < r / app w4 app agg(3)
		E e1 agg_r_1 hub w2
		E e2 hub agg_r_1 w3
		E e4 agg_r_1 small w2
		E e7 d agg_r_1`, must(t)(layered.AggregateLayers(t.Context(), sketch(t, in), 3)))
	sameSketch(t, in, must(t)(layered.AggregateLayers(t.Context(), sketch(t, in), 4)))
	sameSketch(t, "N agg_layer_l_1 / l w2 l agg(2)\nN hub / m\nE e1 agg_layer_l_1 hub w2",
		reorder(must(t)(layered.AggregateLayers(t.Context(), sketch(t, "N a / l\nN b / l\nN hub / m\nE e1 a hub\nE e2 b hub"), 1))))
	// a and b are replaced first; only then do p, q and r share a neighbour, and are replaced at once.
	sameSketch(t, `
		N z / n
		N agg_layer_l_1 / l w2 l agg(2)
		N agg_layer_m_1 / m w3 m agg(3)
		E e1 agg_layer_l_1 z w2
		E e3 agg_layer_m_1 agg_layer_l_1 w3`, must(t)(layered.AggregateLayers(t.Context(), sketch(t, `
		N a / l
		N b / l
		N z / n
		N p / m
		N q / m
		N r / m
		E e1 a z
		E e2 b z
		E e3 p a
		E e4 q a
		E e5 r b`), 2)))
	_, err := layered.AggregateLayers(t.Context(), layered.Graph{}, 0)
	refusedAs(t, fault.BadRequest, err, "threshold", "0")
}

// reorder puts the last node first.
func reorder(g layered.Graph) layered.Graph {
	last := len(g.Nodes) - 1
	g.Nodes = append([]layered.Node{g.Nodes[last]}, g.Nodes[:last]...)
	return g
}

func TestDeepAndCyclicHierarchies(t *testing.T) {
	t.Parallel()
	const deep = 50_000
	var chain layered.Graph
	for i := range deep {
		n := layered.Node{ID: name(i), IsPartition: true, Weight: 1}
		if i > 0 {
			n.BelongsTo = name(i - 1)
		}
		chain.Nodes = append(chain.Nodes, n)
	}
	chain.Nodes[deep-1].IsPartition = false
	ring := layered.Graph{Nodes: append([]layered.Node(nil), chain.Nodes...)}
	ring.Nodes[0].BelongsTo = name(deep - 1)

	if p := layered.Check(chain, layered.PlanFileRules()); p.Total != 0 {
		t.Errorf("the chain breaks rules: %v", p.Listed[0])
	}
	if cut := must(t)(layered.LimitDepth(chain, 2)); len(cut.Nodes) != 3 || cut.Nodes[2].Weight != deep-2 {
		t.Errorf("the chain was cut to %d nodes", len(cut.Nodes))
	}
	if p := layered.Check(ring, allRules()); p.Total != deep || p.Listed[0].Rule != layered.ParentCycle {
		t.Errorf("the ring has %d problems, want one per node", p.Total)
	}
	for _, g := range []layered.Graph{chain, ring} {
		must(t)(layered.LimitDepth(g, deep-2))
		must(t)(layered.LimitWidth(g, 1, false))
		must(t)(layered.LimitWidth(g, 1, true))
		must(t)(layered.AggregateLayers(t.Context(), g, 2))
		layered.GenerateHierarchy(g, true)
		if left := layered.DropUnconnected(g, false); len(left.Nodes) != 0 {
			t.Errorf("%d nodes left, want none", len(left.Nodes))
		}
		dropAll := layered.Filter{Mode: layered.Exclude, Rules: layered.RuleGroup{}}
		if left, _, err := dropAll.Apply(t.Context(), g); err != nil || len(left.Nodes) != 0 {
			t.Errorf("%d nodes left, %v", len(left.Nodes), err)
		}
	}
}

func TestHashSeesEverything(t *testing.T) {
	t.Parallel()
	base := func() layered.Graph {
		g := sketch(t, "L base\nP r\nN a < r / base\nE e a a / base x")
		g.Nodes[1].Attrs = json.RawMessage(`{"j":1,"k":"v"}`)
		return g
	}
	first, second := layered.Hash(base()), layered.Hash(base())
	if first != second {
		t.Error("equal graphs have different hashes")
	}
	seen := map[string]string{first: "nothing"}
	for what, change := range map[string]func(*layered.Graph){
		"name":        func(g *layered.Graph) { g.Name = "n" },
		"node id":     func(g *layered.Graph) { g.Nodes[1].ID = "b" },
		"moved text":  func(g *layered.Graph) { g.Nodes[1].ID, g.Nodes[1].Label = "", "a" },
		"partition":   func(g *layered.Graph) { g.Nodes[1].IsPartition = true },
		"weight":      func(g *layered.Graph) { g.Nodes[1].Weight = 2 },
		"attribute":   func(g *layered.Graph) { g.Nodes[1].Attrs = json.RawMessage(`{"k":"v","j":2}`) },
		"no attrs":    func(g *layered.Graph) { g.Nodes[1].Attrs = nil },
		"order":       func(g *layered.Graph) { g.Nodes[0], g.Nodes[1] = g.Nodes[1], g.Nodes[0] },
		"edge end":    func(g *layered.Graph) { g.Edges[0].Target = "r" },
		"edge attrs":  func(g *layered.Graph) { g.Edges[0].Attrs = json.RawMessage(`{"k":null}`) },
		"no edge":     func(g *layered.Graph) { g.Edges = nil },
		"layer":       func(g *layered.Graph) { g.Layers[0].Text = "fff" },
		"layer other": func(g *layered.Graph) { g.Layers[0].Border = "fff" },
	} {
		g := base()
		change(&g)
		h := layered.Hash(g)
		if other, ok := seen[h]; ok {
			t.Errorf("%s and %s have the same hash", what, other)
		}
		seen[h] = what
	}
	if layered.HashParts("a", "b") == layered.HashParts("at\x00b") || layered.HashParts("a", "b") == layered.HashParts("at\x01b") {
		t.Error("a part can imitate the border of parts")
	}
	if layered.HashParts("ab", "c") == layered.HashParts("a", "bc") || layered.HashParts() == layered.HashParts("") {
		t.Error("the parts' borders do not count")
	}
}

func name(i int) string { return "n" + strconv.Itoa(i) }
