package layered

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"layercake/internal/fault"
)

// Filter is the configuration of a FilterNode: which elements to keep or to remove.
type Filter struct {
	Targets []FilterTarget `json:"targets"` // empty is nodes
	Mode    FilterMode     `json:"mode"`
	Pruning LinkPruning    `json:"linkPruningMode"`
	Rules   RuleGroup      `json:"ruleGroup"`
}

// FilterTarget is a kind of element.
type FilterTarget string

// FilterMode says what happens to the elements that match. The zero value is Include.
type FilterMode string

// LinkPruning says what happens to edges that lose an end when nodes are filtered and edges are not. The zero value is
// DropDanglingEdges.
type LinkPruning string

// The values that a configuration may have.
const (
	FilterNodes  FilterTarget = "nodes"
	FilterEdges  FilterTarget = "edges"
	FilterLayers FilterTarget = "layers"

	Include FilterMode = "include" // keep what matches
	Exclude FilterMode = "exclude" // remove what matches

	DropDanglingEdges LinkPruning = "autoDropDanglingEdges"
	RetainEdges       LinkPruning = "retainEdges"     // edges without an end stay
	DropOrphanNodes   LinkPruning = "dropOrphanNodes" // edges stay; nodes that no edge mentions go
)

// RuleGroup combines rules and other groups. An empty group matches everything.
type RuleGroup struct {
	Combinator string      `json:"combinator"` // "or"; anything else is and
	Rules      []RuleEntry `json:"rules"`
}

// RuleEntry is a nested group when Type is "group", else a rule: a field compared with a value. Numbers and truth values are
// compared as their JSON text.
type RuleEntry struct {
	Type string `json:"type"`
	RuleGroup
	Field      string  `json:"field"`
	Operator   string  `json:"operator"`
	Value      *string `json:"value"`
	Comparator string  `json:"comparator"`
}

// ParseFilter reads the configuration {"query": {...}} of a FilterNode. What Apply would refuse is a BAD_REQUEST here.
func ParseFilter(config []byte) (Filter, error) {
	var c struct {
		Query *Filter `json:"query"`
	}
	if err := json.Unmarshal(config, &c); err != nil {
		return Filter{}, fault.New(fault.BadRequest, "The filter's configuration is not readable: "+fault.JSONReason(err))
	}
	if c.Query == nil {
		return Filter{}, fault.New(fault.BadRequest, "The filter has no query")
	}
	_, err := c.Query.compile()
	return *c.Query, err
}

// Apply keeps or removes the elements that match, and prunes edges. Children of removed nodes move to their nearest ancestor
// that stays. It returns notes about what it did and about operators it does not know, which match everything. It ends with its context.
func (f Filter) Apply(ctx context.Context, g Graph) (Graph, []string, error) {
	compiled, err := f.compile()
	if err != nil {
		return Graph{}, nil, err
	}
	targets := f.Targets
	if len(targets) == 0 {
		targets = []FilterTarget{FilterNodes}
	}
	keeps := func(field func(string) *string) bool {
		return compiled.match(field) == (f.Mode != Exclude)
	}
	out := g
	if slices.Contains(targets, FilterLayers) {
		out.Layers = nil
		for _, l := range g.Layers {
			if keeps(l.field) {
				out.Layers = append(out.Layers, l)
			}
		}
	}
	edgesToo := slices.Contains(targets, FilterEdges)
	if edgesToo {
		out.Edges = nil
		for i := range g.Edges {
			if err := ended(ctx, i); err != nil {
				return Graph{}, nil, err
			}
			if keeps(g.Edges[i].field) {
				out.Edges = append(out.Edges, g.Edges[i])
			}
		}
	}
	if slices.Contains(targets, FilterNodes) {
		hierarchy := newForest(g.Nodes)
		keep := make([]bool, len(g.Nodes))
		for i := range g.Nodes {
			if err := ended(ctx, i); err != nil {
				return Graph{}, nil, err
			}
			keep[i] = keeps(g.Nodes[i].field)
		}
		if edgesToo || f.Pruning != RetainEdges && f.Pruning != DropOrphanNodes {
			out.Edges = withoutLostEnds(out.Edges, hierarchy, keep)
		}
		out = keepNodes(out, hierarchy, keep)
	}
	if !edgesToo && f.Pruning == DropOrphanNodes {
		out = dropOrphans(out)
	}
	note := fmt.Sprintf("Filter: %d nodes, %d edges and %d layers became %d, %d and %d",
		len(g.Nodes), len(g.Edges), len(g.Layers), len(out.Nodes), len(out.Edges), len(out.Layers))
	return out, append(compiled.notes, note), nil
}

// dropOrphans removes the nodes that no edge mentions.
func dropOrphans(g Graph) Graph {
	hierarchy := newForest(g.Nodes)
	keep := make([]bool, len(g.Nodes))
	for _, e := range g.Edges {
		for _, id := range []string{e.Source, e.Target} {
			if i := hierarchy.position(id); i != none {
				keep[i] = true
			}
		}
	}
	return keepNodes(g, hierarchy, keep)
}

// compile checks the values of a configuration and turns its rules into functions.
func (f Filter) compile() (compiled, error) {
	for _, t := range f.Targets {
		if t != FilterNodes && t != FilterEdges && t != FilterLayers {
			return compiled{}, fault.New(fault.BadRequest, fmt.Sprintf("Unknown filter target %q", t))
		}
	}
	if f.Mode != "" && f.Mode != Include && f.Mode != Exclude {
		return compiled{}, fault.New(fault.BadRequest, fmt.Sprintf("Unknown filter mode %q", f.Mode))
	}
	if f.Pruning != "" && f.Pruning != DropDanglingEdges && f.Pruning != RetainEdges && f.Pruning != DropOrphanNodes {
		return compiled{}, fault.New(fault.BadRequest, fmt.Sprintf("Unknown link pruning mode %q", f.Pruning))
	}
	var c compiled
	var err error
	c.match, err = c.group(f.Rules)
	return c, err
}

// matcher tests an element, given its fields by name; nil is null.
type matcher func(field func(name string) *string) bool

type compiled struct {
	match matcher
	notes []string
}

func (c *compiled) group(g RuleGroup) (matcher, error) {
	if len(g.Rules) == 0 {
		return func(func(string) *string) bool { return true }, nil
	}
	entries := make([]matcher, len(g.Rules))
	for i, e := range g.Rules {
		var err error
		if e.Type == "group" {
			entries[i], err = c.group(e.RuleGroup)
		} else {
			entries[i], err = c.rule(e)
		}
		if err != nil {
			return nil, err
		}
	}
	if g.Combinator == "or" {
		return func(field func(string) *string) bool {
			return slices.ContainsFunc(entries, func(m matcher) bool { return m(field) })
		}, nil
	}
	return func(field func(string) *string) bool {
		return !slices.ContainsFunc(entries, func(m matcher) bool { return !m(field) })
	}, nil
}

func (c *compiled) rule(e RuleEntry) (matcher, error) {
	test, err := e.test()
	if err != nil {
		return nil, err
	}
	if test == nil {
		c.notes = append(c.notes, fmt.Sprintf("Filter: the operator %q of field %q is unknown and matches everything",
			e.Operator, e.Field))
		test = func(*string) bool { return true }
	}
	return func(field func(string) *string) bool { return test(field(e.Field)) }, nil
}

// test returns the operator as a function of the field's value, or nil when there is no such operator.
func (e RuleEntry) test() (func(*string) bool, error) {
	want := ""
	if e.Value != nil {
		want = *e.Value
	}
	text := func(match func(string) bool) func(*string) bool { // null matches nothing
		return func(v *string) bool { return v != nil && match(*v) }
	}
	not := func(test func(*string) bool) func(*string) bool {
		return func(v *string) bool { return !test(v) }
	}
	equal := text(func(v string) bool { return v == want })
	contains := text(func(v string) bool { return strings.Contains(v, want) })
	in := text(func(v string) bool {
		return slices.ContainsFunc(strings.Split(want, ","), func(s string) bool { return strings.TrimSpace(s) == v })
	})
	empty := func(v *string) bool { return v == nil || *v == "" }
	null := func(v *string) bool { return v == nil }
	switch e.Operator {
	case "equals":
		if e.Comparator == "!=" || e.Comparator == "<>" {
			return not(equal), nil
		}
		return equal, nil
	case "notEquals":
		return not(equal), nil
	case "contains":
		return contains, nil
	case "notContains":
		return not(contains), nil
	case "startsWith":
		return text(func(v string) bool { return strings.HasPrefix(v, want) }), nil
	case "endsWith":
		return text(func(v string) bool { return strings.HasSuffix(v, want) }), nil
	case "in":
		return in, nil
	case "notIn":
		return not(in), nil
	case "isEmpty":
		return empty, nil
	case "isNotEmpty":
		return not(empty), nil
	case "isNull":
		return null, nil
	case "isNotNull":
		return not(null), nil
	case "greaterThan":
		return compare(want, func(v, w float64) bool { return v > w }), nil
	case "lessThan":
		return compare(want, func(v, w float64) bool { return v < w }), nil
	case "greaterThanOrEqual":
		return compare(want, func(v, w float64) bool { return v >= w }), nil
	case "lessThanOrEqual":
		return compare(want, func(v, w float64) bool { return v <= w }), nil
	case "between":
		return between(e.Field, want)
	}
	return nil, nil
}

// compare tests numbers; whatever is not a number does not match.
func compare(want string, test func(value, want float64) bool) func(*string) bool {
	w, err := strconv.ParseFloat(strings.TrimSpace(want), 64)
	return func(v *string) bool {
		if v == nil || err != nil {
			return false
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(*v), 64)
		return err == nil && test(n, w)
	}
}

func between(field, want string) (func(*string) bool, error) {
	lo, hi, ok := strings.Cut(want, ",")
	if !ok || strings.Contains(hi, ",") {
		return nil, fault.New(fault.BadRequest, fmt.Sprintf(
			"The operator between of field %q needs two numbers such as 1,5 and not %q", field, want))
	}
	above := compare(lo, func(v, w float64) bool { return v >= w })
	below := compare(hi, func(v, w float64) bool { return v <= w })
	return func(v *string) bool { return above(v) && below(v) }, nil
}

// field returns the value that a rule compares, or nil for null.
func (n *Node) field(name string) *string {
	switch name {
	case "id", "external_id":
		return &n.ID
	case "label":
		return unlessEmpty(n.Label)
	case "layer":
		return unlessEmpty(n.Layer)
	case "weight":
		return number(n.Weight)
	case "comment":
		return unlessEmpty(n.Comment)
	case "belongs_to", "belongsTo":
		return unlessEmpty(n.BelongsTo)
	case "is_partition", "isPartition":
		s := strconv.FormatBool(n.IsPartition)
		return &s
	}
	return attribute(n.Attrs, name)
}

func (e *Edge) field(name string) *string {
	switch name {
	case "id", "external_id":
		return &e.ID
	case "source":
		return &e.Source
	case "target":
		return &e.Target
	case "label":
		return unlessEmpty(e.Label)
	case "layer":
		return unlessEmpty(e.Layer)
	case "weight":
		return number(e.Weight)
	case "comment":
		return unlessEmpty(e.Comment)
	}
	return attribute(e.Attrs, name)
}

func (l Layer) field(name string) *string {
	switch name {
	case "id":
		return &l.ID
	case "label":
		return &l.Label
	}
	return nil
}

func number(f float64) *string {
	s := strconv.FormatFloat(f, 'f', -1, 64)
	return &s
}

func unlessEmpty(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
