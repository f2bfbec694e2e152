package layered_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"layercake/internal/fault"
	"layercake/internal/layered"
)

// filterGraph has a node for each thing that a rule can see.
func filterGraph(t *testing.T) layered.Graph {
	t.Helper()
	g := sketch(t, `
		L app Application
		L infra Infrastructure
		P r / infra Root
		N a < r / app w3 Alpha one
		N b < r w1 beta
		N c < a / infra w2
		E e1 a b w2 calls
		E e2 b c
		E e3 r r`)
	g.Nodes[1].Attrs = json.RawMessage(`{"owner":"ann","port":80,"tags":["x",1],"live":true}`)
	g.Nodes[2].Attrs = json.RawMessage(`{"owner":"","port":"8080"}`)
	g.Nodes[2].Comment = "note"
	return g
}

func ids[T any](list []T, id func(T) string) string {
	var s []string
	for _, x := range list {
		s = append(s, id(x))
	}
	return strings.Join(s, " ")
}

func nodeIDs(g layered.Graph) string {
	return ids(g.Nodes, func(n layered.Node) string { return n.ID })
}

func edgeIDs(g layered.Graph) string {
	return ids(g.Edges, func(e layered.Edge) string { return e.ID })
}

func TestFilterOperators(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		field, operator, value string
		want                   string // the nodes that match
	}{
		{"id", "equals", "a", "a"},
		{"external_id", "notEquals", "a", "r b c"},
		{"label", "contains", "eta", "b"},
		{"label", "contains", "ETA", ""},
		{"label", "notContains", "eta", "r a c"}, // c has no label: null matches
		{"label", "startsWith", "Al", "a"},
		{"label", "endsWith", "one", "a"},
		{"layer", "in", "app, infra", "r a c"},
		{"layer", "notIn", "app", "r b c"},
		{"layer", "isNull", "", "b"},
		{"layer", "isNotNull", "", "r a c"},
		{"owner", "isEmpty", "", "r b c"},
		{"owner", "isNotEmpty", "", "a"},
		{"owner", "isNull", "", "r c"},
		{"weight", "greaterThan", "1", "a c"},
		{"weight", "lessThan", "2", "r b"},
		{"weight", "greaterThanOrEqual", "2", "a c"},
		{"weight", "lessThanOrEqual", "2.0", "r b c"},
		{"weight", "greaterThan", "one", ""},
		{"port", "greaterThan", "79", "a b"},
		{"port", "equals", "80", "a"},
		{"weight", "between", "2, 3", "a c"},
		{"comment", "equals", "note", "b"},
		{"belongs_to", "equals", "r", "a b"},
		{"belongsTo", "isNull", "", "r"},
		{"is_partition", "equals", "true", "r"},
		{"isPartition", "equals", "false", "a b c"},
		{"live", "equals", "true", "a"},
		{"tags", "equals", `["x",1]`, "a"},
	} {
		t.Run(c.field+" "+c.operator+" "+c.value, func(t *testing.T) {
			t.Parallel()
			g := filterGraph(t)
			f := parseFilter(t, fmt.Sprintf(`{"query":{"ruleGroup":{"rules":[{"type":"rule","field":%q,"operator":%q,"value":%q}]}}}`,
				c.field, c.operator, c.value))
			kept, notes, err := f.Apply(t.Context(), g)
			if err != nil {
				t.Fatal(err)
			}
			if got := nodeIDs(kept); got != c.want {
				t.Errorf("kept %q, want %q", got, c.want)
			}
			if len(notes) != 1 {
				t.Errorf("notes: %q", notes)
			}
			f.Mode = layered.Exclude
			rest, _, err := f.Apply(t.Context(), g)
			if err != nil {
				t.Fatal(err)
			}
			if len(rest.Nodes)+len(kept.Nodes) != len(g.Nodes) {
				t.Errorf("include keeps %q, exclude keeps %q: together not all", nodeIDs(kept), nodeIDs(rest))
			}
		})
	}
}

func TestFilterEffects(t *testing.T) {
	t.Parallel()
	const isB, notA = `{"type":"rule","field":"id","operator":"equals","value":"b"}`,
		`{"type":"rule","field":"id","operator":"equals","comparator":"!=","value":"a"}`
	for _, c := range []struct {
		name, query          string
		nodes, edges, layers string
	}{
		{"drops dangling edges by default", `"ruleGroup":{"rules":[` + notA + `]}`, "r b c", "e2 e3", "app infra"},
		{"retains edges", `"linkPruningMode":"retainEdges","ruleGroup":{"rules":[` + notA + `]}`, "r b c", "e1 e2 e3", "app infra"},
		{
			"drops orphans", `"linkPruningMode":"dropOrphanNodes","mode":"exclude","ruleGroup":{"rules":[` + isB + `]}`,
			"r a c", "e1 e2 e3", "app infra",
		},
		{
			"edges", `"targets":["edges"],"ruleGroup":{"rules":[{"type":"rule","field":"label","operator":"isEmpty"}]}`,
			"r a b c", "e2 e3", "app infra",
		},
		{"edges by end", `"targets":["edges"],"ruleGroup":{"rules":[{"field":"target","operator":"in","value":"c,r"},
			{"field":"source","operator":"notEquals","value":"r"}]}`, "r a b c", "e2", "app infra"},
		{
			"nodes and edges", `"targets":["nodes","edges"],"linkPruningMode":"retainEdges","ruleGroup":{"combinator":"or","rules":[
			{"field":"weight","operator":"greaterThan","value":"1"},{"field":"id","operator":"equals","value":"e2"}]}`,
			"a c", "", "app infra",
		},
		{
			"layers", `"targets":["layers"],"ruleGroup":{"rules":[{"field":"label","operator":"startsWith","value":"App"}]}`,
			"r a b c", "e1 e2 e3", "app",
		},
		{
			"nested groups", `"ruleGroup":{"combinator":"and","rules":[{"type":"group","combinator":"or","rules":[` + isB +
				`,{"field":"layer","operator":"equals","value":"infra"}]},{"field":"weight","operator":"lessThan","value":"2"}]}`,
			"r b", "e3", "app infra",
		},
		{"an empty group", `"targets":[]`, "r a b c", "e1 e2 e3", "app infra"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			g, _, err := parseFilter(t, `{"query":{`+c.query+`}}`).Apply(t.Context(), filterGraph(t))
			if err != nil {
				t.Fatal(err)
			}
			layers := ids(g.Layers, func(l layered.Layer) string { return l.ID })
			if nodeIDs(g) != c.nodes || edgeIDs(g) != c.edges || layers != c.layers {
				t.Errorf("kept %q, %q, %q; want %q, %q, %q", nodeIDs(g), edgeIDs(g), layers, c.nodes, c.edges, c.layers)
			}
			for _, n := range g.Nodes {
				if n.ID == "c" && !strings.Contains(c.nodes, "a") && n.BelongsTo != "r" {
					t.Errorf("c belongs to %q, want the ancestor that stayed", n.BelongsTo)
				}
			}
		})
	}
}

func TestFilterNotesUnknownOperators(t *testing.T) {
	t.Parallel()
	f := parseFilter(t, `{"query":{"ruleGroup":{"rules":[{"field":"id","operator":"resembles","value":"a"}]}}}`)
	g, notes, err := f.Apply(t.Context(), filterGraph(t))
	if err != nil || len(g.Nodes) != 4 || len(notes) != 2 || !strings.Contains(notes[0], `"resembles"`) {
		t.Errorf("%d nodes, notes %q, %v", len(g.Nodes), notes, err)
	}
}

func TestParseFilterRefuses(t *testing.T) {
	t.Parallel()
	for config, part := range map[string]string{
		``:                                  "not readable",
		`{}`:                                "no query",
		`{"query":{"targets":["people"]}}`:  "people",
		`{"query":{"mode":"maybe"}}`:        "maybe",
		`{"query":{"linkPruningMode":"x"}}`: `"x"`,
		`{"query":{"ruleGroup":{"rules":[{"type":"group","rules":[{"field":"weight","operator":"between","value":"1"}]}]}}}`: `"1"`,
		`{"query":{"ruleGroup":{"rules":[{"field":"weight","operator":"between","value":"1,2,3"}]}}}`:                        "1,2,3",
	} {
		_, err := layered.ParseFilter([]byte(config))
		refusedAs(t, fault.BadRequest, err, part)
	}
}

func parseFilter(t *testing.T, config string) layered.Filter {
	t.Helper()
	f, err := layered.ParseFilter([]byte(config))
	if err != nil {
		t.Fatal(err)
	}
	return f
}
