package graph

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"layercake/internal/fault"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/99designs/gqlgen/graphql/handler/lru"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"
)

// Limits of one operation.
const (
	maxTokens     = 15_000 // tokens of a document
	maxDepth      = 20     // levels of fields; introspection is exempt
	maxComplexity = 10_000 // number of fields, where those in lists count several times
	maxRepeats    = 100    // repeats of one field, or fragments spread in one place: validation compares them pair by pair
	maxErrors     = 100    // errors of one document that are answered
)

// The number of items that lists are expected to have.
const (
	manyItems = 25
	fewItems  = 10
)

// setComplexity makes the fields in a list count once for each expected item.
func setComplexity(c *ComplexityRoot) {
	many := func(child int) int { return 1 + manyItems*child }
	few := func(child int) int { return 1 + fewItems*child }
	c.Query.Projects = many
	c.PlanDag.Nodes, c.PlanDag.Edges = many, many
	c.PlanDagDocument.Nodes, c.PlanDagDocument.Edges = many, many
	c.Mutation.BatchMovePlanDagNodes = func(child int, _ int32, _ []NodePositionInput, _ *string, _ *int32, _ *string) int {
		return many(child)
	}
	c.ValidationResult.Errors, c.ValidationResult.Warnings = few, few
	c.PlanDagDeltaEvent.Operations, c.PlanEvent.Operations = few, few
}

// limits refuses operations that ask for too much, and wrong variables. It also removes from variables what the caches of clients add.
type limits struct {
	schema    graphql.ExecutableSchema
	documents documentCache
}

// ExtensionName names the extension.
func (*limits) ExtensionName() string { return "Limits" }

// Validate accepts every schema.
func (*limits) Validate(graphql.ExecutableSchema) error { return nil }

// MutateOperationParameters removes __typename from variables, because clients send back objects as they cached them, and gives variables
// the types that the document declares. It also refuses a document that would take long to validate.
func (l *limits) MutateOperationParameters(ctx context.Context, p *graphql.RawParams) *gqlerror.Error {
	if p.Query == "" && persisted(p.Extensions) {
		return asInvalid(errPersistedQuery)
	}
	stripTypename(p.Variables)
	document, valid := l.documents.Get(ctx, p.Query)
	if !valid {
		var err error
		if document, err = parser.ParseQueryWithTokenLimit(&ast.Source{Input: p.Query}, maxTokens); err != nil {
			return nil //nolint:nilerr // the executor reports it
		}
		if refusal := tooLongToValidate(document); refusal != nil {
			return refusal
		}
	}
	operation := document.Operations.ForName(p.OperationName)
	if operation == nil {
		return nil // the executor reports it
	}
	err := coerceVariables(l.schema.Schema(), operation, p.Variables)
	if err != nil && !valid && validator.ValidateWithRules(l.schema.Schema(), document, validationRules()) != nil {
		return nil //nolint:nilerr // the executor reports what is wrong with the document, which comes first
	}
	return err
}

func tooLongToValidate(document *ast.QueryDocument) *gqlerror.Error {
	c := rawCost{document: document, counts: map[string]int{}, entered: map[string]bool{}}
	for _, op := range document.Operations {
		if c.count(op.SelectionSet) > maxComplexity {
			return tooMuch(fmt.Sprintf("The operation is too complex: it has more than %d fields", maxComplexity))
		}
		if !c.merge(op.SelectionSet, &merged{}) {
			return tooMuch(fmt.Sprintf("The operation repeats a field, or spreads fragments in one place, more than %d times", maxRepeats))
		}
	}
	return nil
}

func stripTypename(v any) {
	switch v := v.(type) {
	case map[string]any:
		delete(v, "__typename")
		for _, member := range v {
			stripTypename(member)
		}
	case []any:
		for _, item := range v {
			stripTypename(item)
		}
	}
}

// MutateOperationContext refuses an operation with a null where none may be, and one that is too deep or too complex.
func (l *limits) MutateOperationContext(ctx context.Context, op *graphql.OperationContext) *gqlerror.Error {
	if err := refuseNulls(op); err != nil {
		return err
	}
	c := validCost{ctx: ctx, schema: l.schema, variables: op.Variables, fragments: map[*ast.FragmentDefinition]size{}}
	size := c.measure(op.Operation.SelectionSet)
	if size.depth > maxDepth {
		return tooMuch(fmt.Sprintf("The operation is too deep: %d levels of at most %d", size.depth, maxDepth))
	}
	if size.complexity > maxComplexity {
		return tooMuch(fmt.Sprintf("The operation is too complex: at least %d of at most %d", size.complexity, maxComplexity))
	}
	return nil
}

func tooMuch(message string) *gqlerror.Error { return asInvalid(fault.New(fault.BadRequest, message)) }

// asInvalid returns a fault as an error that transports treat like those of invalid documents.
func asInvalid(f *fault.Error) *gqlerror.Error {
	err := gqlerror.Wrap(f)
	errcode.Set(err, errcode.ValidationFailed)
	return err
}

// size is the size of a selection.
type size struct{ depth, complexity int }

// validCost measures an operation of a valid document. It measures each fragment once. The library's own calculation measures it at each
// spread, which takes exponential time when fragments spread others twice, many levels deep.
type validCost struct {
	ctx       context.Context
	schema    graphql.ExecutableSchema
	variables map[string]any
	fragments map[*ast.FragmentDefinition]size // sizes that were measured
}

func (c *validCost) measure(selections ast.SelectionSet) size {
	var total size
	add := func(part size) {
		total.depth = max(total.depth, part.depth)
		total.complexity = min(total.complexity+part.complexity, maxComplexity+1)
	}
	for _, selection := range selections {
		switch selection := selection.(type) {
		case *ast.Field:
			add(c.measureField(selection))
		case *ast.InlineFragment:
			add(c.measure(selection.SelectionSet))
		case *ast.FragmentSpread:
			part, known := c.fragments[selection.Definition]
			if !known {
				part = c.measure(selection.Definition.SelectionSet)
				c.fragments[selection.Definition] = part
			}
			add(part)
		}
	}
	return total
}

func (c *validCost) measureField(f *ast.Field) size {
	inner := c.measure(f.SelectionSet)
	complexity, own := c.schema.Complexity(c.ctx, f.ObjectDefinition.Name, f.Name, inner.complexity, f.ArgumentMap(c.variables))
	if !own {
		complexity = 1 + inner.complexity
	}
	if strings.HasPrefix(f.Name, "__") {
		return size{depth: 1, complexity: complexity}
	}
	return size{depth: 1 + inner.depth, complexity: complexity}
}

// rawCost measures a document that was not validated yet, because validation itself takes long for some documents: it merges fields of the
// same name pair by pair, which takes 40 s for one field 15,000 times.
type rawCost struct {
	document *ast.QueryDocument
	counts   map[string]int  // numbers of selections, by fragment
	entered  map[string]bool // fragments that are being visited: an invalid one may contain itself
}

// count returns the number of selections with all fragments written out, or any number over the limit. It counts each fragment once, for
// the reason that validCost has.
func (c *rawCost) count(selections ast.SelectionSet) int {
	total := 0
	for _, selection := range selections {
		total++
		switch selection := selection.(type) {
		case *ast.Field:
			total += c.count(selection.SelectionSet)
		case *ast.InlineFragment:
			total += c.count(selection.SelectionSet)
		case *ast.FragmentSpread:
			n, known := c.counts[selection.Name]
			if !known {
				n = c.visit(selection, func(set ast.SelectionSet) int { return c.count(set) })
				c.counts[selection.Name] = n
			}
			total += n
		}
		total = min(total, maxComplexity+1)
	}
	return total
}

// merged is a field of the response.
type merged struct {
	times   int // selections of the field
	spreads int // fragments spread in the field, which validation compares pair by pair, too
	fields  map[string]*merged
}

// merge adds selections to a field of the response. It reports false when a field or fragments are repeated too often.
func (c *rawCost) merge(selections ast.SelectionSet, into *merged) bool {
	for _, selection := range selections {
		ok := true
		switch selection := selection.(type) {
		case *ast.Field:
			name := cmp.Or(selection.Alias, selection.Name)
			field := into.fields[name]
			if field == nil {
				field = &merged{}
				if into.fields == nil {
					into.fields = map[string]*merged{}
				}
				into.fields[name] = field
			}
			field.times++
			ok = field.times <= maxRepeats && c.merge(selection.SelectionSet, field)
		case *ast.InlineFragment:
			ok = c.merge(selection.SelectionSet, into)
		case *ast.FragmentSpread:
			into.spreads++
			ok = into.spreads <= maxRepeats
			c.visit(selection, func(set ast.SelectionSet) int {
				ok = ok && c.merge(set, into)
				return 0
			})
		}
		if !ok {
			return false
		}
	}
	return true
}

// visit calls f with the selections of a fragment. It skips one that does not exist or that contains itself, which validation refuses.
func (c *rawCost) visit(spread *ast.FragmentSpread, f func(ast.SelectionSet) int) int {
	fragment := c.document.Fragments.ForName(spread.Name)
	if fragment == nil || c.entered[spread.Name] {
		return 0
	}
	c.entered[spread.Name] = true
	defer delete(c.entered, spread.Name)
	return f(fragment.SelectionSet)
}

// capErrors answers with at most maxErrors errors of a document that has more.
func capErrors(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
	response := next(ctx)
	if response != nil && response.Data == nil {
		response.Errors = response.Errors[:min(len(response.Errors), maxErrors)]
	}
	return response
}

// documentCache keeps parsed and validated documents, except large ones, which are not worth the memory.
type documentCache struct {
	*lru.LRU[*ast.QueryDocument]
}

const (
	cachedDocuments   = 1000
	maxCachedDocument = 16 << 10 // bytes
)

func newDocumentCache() documentCache {
	return documentCache{lru.New[*ast.QueryDocument](cachedDocuments)}
}

// Add keeps a document unless it is large.
func (c documentCache) Add(ctx context.Context, text string, document *ast.QueryDocument) {
	if len(text) <= maxCachedDocument {
		c.LRU.Add(ctx, text, document)
	}
}
