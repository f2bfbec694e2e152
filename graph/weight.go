package graph

import (
	"context"
	_ "embed" // introspection.graphql
	"strings"
	"time"

	"layercake/internal/plan"
	"layercake/internal/project"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
)

// The number of items that lists are expected to have.
const (
	manyItems = 25
	fewItems  = 10
)

// The complexity of root fields, beside what is selected of them: what a replica and its database do for each.
const (
	queryComplexity    = 10
	planComplexity     = 50 // more, for one that reads a whole plan, or all who are in a project
	mutationComplexity = 50
)

// valueBytes is the length of text that counts as one value more.
const valueBytes = 1 << 10

// setComplexity makes the fields in a list count once for each expected item, and weighs fields that read a whole plan.
func setComplexity(c *ComplexityRoot) {
	many := func(child int) int { return 1 + manyItems*child }
	few := func(child int) int { return 1 + fewItems*child }
	c.Query.Projects = many
	dag := func(child int, _ int32) int { return 1 + planComplexity + child }
	c.Query.GetPlanDag, c.Query.PlanDag = dag, dag
	c.PlanDag.Nodes, c.PlanDag.Edges = many, many
	c.PlanDagDocument.Nodes, c.PlanDagDocument.Edges = many, many
	c.Mutation.BatchMovePlanDagNodes = func(child int, _ int32, _ []NodePositionInput, _ *string, _ *int32, _ *string) int {
		return many(child)
	}
	c.Mutation.EditPlan = func(child int, _ int32, edits []PlanEdit, _ *string, _ *bool, _ *string, _ *int32, _ *string) int {
		return 1 + child + len(edits)/fewItems
	}
	c.ValidationResult.Errors, c.ValidationResult.Warnings = few, few
	c.PlanDagDeltaEvent.Operations, c.PlanEvent.Operations, c.PlanChange.Operations = few, few, few

	// The past costs what it takes to find it; a page of changes also by its length.
	c.Query.PlanAt = func(child int, _ int32, _ *int32, _ *time.Time) int { return 1 + planComplexity + child }
	c.Query.PlanDiff = func(child int, _, _ int32, _ *int32) int { return 1 + planComplexity + child }
	c.Query.PlanHistory = func(child int, _ int32, _, limit *int32, _, _ *string, _ *bool) int {
		changes := pageOfChanges
		if limit != nil {
			changes = max(1, min(int(*limit), plan.MaxHistory))
		}
		return 1 + planComplexity + changes*child
	}
	c.Query.Proposals = func(child int, _ int32, _ *plan.ProposalStatus, first *int32, _ *string) int {
		proposals := pageOfProposals
		if first != nil {
			proposals = max(1, min(int(*first), plan.MaxProposals))
		}
		return 1 + proposals*child
	}
	c.Query.ProjectList = func(child int, _ *string, first *int32, _ *string) int {
		projects := pageOfProjects
		if first != nil {
			projects = max(1, min(int(*first), project.MaxFound))
		}
		return 1 + projects*child
	}
	c.Query.NodeTypes = few

	// What is in sources and graphs counts by the budgets of a response, so that the existing client may ask for all of it.
	c.Query.DataSources = func(child int, _ int32) int { return many(child) }
	c.Query.AvailableDataSources, c.Query.Graphs = c.Query.DataSources, c.Query.DataSources
	c.Mutation.BulkUploadDataSources = func(child int, _ int32, _ []BulkUploadDataSourceInput, _, _ *string) int { return many(child) }
	c.DataSource.Problems = few
	c.DataSourcePreview.Columns, c.DataSourcePreview.Rows = few, many
	page := func(child int, _ *int32, _ *string, _ int32) int { return many(child) }
	c.Graph.GraphNodes, c.Graph.GraphEdges, c.Graph.Layers = page, page, few
	c.GraphPreview.Nodes, c.GraphPreview.Edges, c.GraphPreview.Layers = many, many, few
	c.Query.Presence = func(child int, _ int32) int { return planComplexity + many(child) }
	c.PlanDiff.Differences = many
	c.UndoResult.Conflicts = few
}

// weight is what an operation asks for.
type weight struct {
	depth      int // levels of fields
	complexity int // number of fields, where those in lists count several times
	values     int // values in arguments
}

// weigher weighs an operation of a valid document. It weighs each fragment once. The library's own calculation does so at each spread,
// which takes exponential time when fragments spread others twice, many levels deep.
type weigher struct {
	ctx       context.Context
	schema    graphql.ExecutableSchema
	variables map[string]any
	counted   map[string]int                     // numbers of values in variables
	fragments map[*ast.FragmentDefinition]weight // weights of fragments
	values    int                                // number of values in arguments so far; nothing is weighed any more when there are too many
}

func newWeigher(ctx context.Context, schema graphql.ExecutableSchema, variables map[string]any) *weigher {
	return &weigher{
		ctx: ctx, schema: schema, variables: variables, counted: map[string]int{}, fragments: map[*ast.FragmentDefinition]weight{},
	}
}

// weigh returns the weight of selections.
func (w *weigher) weigh(set ast.SelectionSet) weight {
	var total weight
	add := func(part weight) {
		total.depth = max(total.depth, part.depth)
		total.complexity = min(total.complexity+part.complexity, maxComplexity+1)
		total.values = min(total.values+part.values, maxValues+1)
	}
	for _, selection := range set {
		switch selection := selection.(type) {
		case *ast.Field:
			add(w.field(selection))
		case *ast.InlineFragment:
			add(w.weigh(selection.SelectionSet))
		case *ast.FragmentSpread:
			part, known := w.fragments[selection.Definition]
			if !known {
				part = w.weigh(selection.Definition.SelectionSet)
				w.fragments[selection.Definition] = part
			}
			add(part)
		}
	}
	return total
}

func (w *weigher) field(f *ast.Field) weight {
	values := 0
	for _, argument := range f.Arguments {
		values += w.count(argument.Value)
	}
	if w.values += values; w.values > maxValues {
		return weight{values: maxValues + 1} // arguments are read to know a field's complexity, and again to execute it
	}
	inner := w.weigh(f.SelectionSet)
	total := weight{depth: 1 + inner.depth, complexity: 1 + inner.complexity, values: values + inner.values}
	if f.Name == "__schema" && standard.has(f.SelectionSet) {
		total.complexity = standardComplexity
	} else if items := w.introspected(f); items > 1 {
		total.complexity = 1 + min(items*inner.complexity, maxComplexity)
	} else if own, ok := w.schema.Complexity(w.ctx, f.ObjectDefinition.Name, f.Name, inner.complexity, f.ArgumentMap(w.variables)); ok {
		total.complexity = own
	}
	switch schema := w.schema.Schema(); {
	case f.ObjectDefinition == schema.Mutation:
		total.complexity += mutationComplexity
	case f.ObjectDefinition == schema.Query && !strings.HasPrefix(f.Name, "__"):
		total.complexity += queryComplexity
	}
	return total
}

// introspected returns the number of items that a field of introspection is expected to have, or 1.
func (w *weigher) introspected(f *ast.Field) int {
	switch f.ObjectDefinition.Name + "." + f.Name {
	case "__Schema.types":
		return len(w.schema.Schema().Types)
	case "__Schema.directives", "__Field.args", "__Directive.args":
		return fewItems
	case "__Type.fields", "__Type.inputFields", "__Type.enumValues", "__Type.interfaces", "__Type.possibleTypes":
		return manyItems
	}
	return 1
}

// count returns the number of values in an argument.
func (w *weigher) count(v *ast.Value) int {
	if v.Kind == ast.Variable {
		n, known := w.counted[v.Raw]
		if !known {
			n = countValues(w.variables[v.Raw])
			w.counted[v.Raw] = n
		}
		return n
	}
	n := 1 + len(v.Raw)/valueBytes
	for _, child := range v.Children {
		n += w.count(child.Value)
	}
	return min(n, maxValues+1)
}

func countValues(v any) int {
	n := 1
	switch v := v.(type) {
	case string:
		n += len(v) / valueBytes
	case []any:
		for _, item := range v {
			n += countValues(item)
		}
	case map[string]any:
		for _, member := range v {
			n += countValues(member)
		}
	}
	return n
}

// standardComplexity is the complexity of the standard query of introspection, whose lists have more items than an operation may ask for.
// Tools cannot do without it, and it takes a few milliseconds.
const standardComplexity = maxComplexity / 2

//go:embed introspection.graphql
var standardText string

var standard = standardShape()

// shape is the names of selected fields, with what is selected of each.
type shape map[string]shape

func standardShape() shape {
	document, err := parser.ParseQuery(&ast.Source{Name: "introspection.graphql", Input: standardText})
	if err != nil {
		panic(err)
	}
	query := shape{}
	query.add(document, document.Operations[0].SelectionSet)
	return query["__schema"]
}

func (s shape) add(document *ast.QueryDocument, set ast.SelectionSet) {
	for _, selection := range set {
		switch selection := selection.(type) {
		case *ast.Field:
			inner := shape{}
			inner.add(document, selection.SelectionSet)
			s[selection.Name] = inner
		case *ast.FragmentSpread:
			s.add(document, document.Fragments.ForName(selection.Name).SelectionSet)
		}
	}
}

// has reports whether a shape has all selected fields. It does not when fields have other names in the response, since one field could have
// many. So tools need not send the very text: they differ in options, order and fragments.
func (s shape) has(set ast.SelectionSet) bool {
	for _, selection := range set {
		ok := false
		switch selection := selection.(type) {
		case *ast.Field:
			inner, known := s[selection.Name]
			ok = known && selection.Alias == selection.Name && inner.has(selection.SelectionSet)
		case *ast.InlineFragment:
			ok = s.has(selection.SelectionSet)
		case *ast.FragmentSpread:
			ok = s.has(selection.Definition.SelectionSet)
		}
		if !ok {
			return false
		}
	}
	return true
}
