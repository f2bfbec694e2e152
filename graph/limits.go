package graph

import (
	"context"
	"fmt"
	"strings"

	"layercake/internal/fault"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/99designs/gqlgen/graphql/handler/lru"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// What one operation may ask for.
const (
	maxTokens     = 15_000 // in a document
	maxDepth      = 20     // of fields; introspection is exempt
	maxComplexity = 10_000 // of fields, those of lists counted several times
)

// How many items a list is taken to have.
const (
	manyItems = 25
	fewItems  = 10
)

// setComplexity counts the fields of lists as often as they are expected.
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

// limits refuses operations that ask for too much, and strips from variables what clients' caches add.
type limits struct {
	schema graphql.ExecutableSchema
}

// ExtensionName names the extension.
func (*limits) ExtensionName() string { return "Limits" }

// Validate accepts every schema.
func (*limits) Validate(graphql.ExecutableSchema) error { return nil }

// MutateOperationParameters strips __typename from variables: clients send back objects as they cached them.
func (*limits) MutateOperationParameters(_ context.Context, p *graphql.RawParams) *gqlerror.Error {
	stripTypename(p.Variables)
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

// MutateOperationContext refuses an operation that is too deep or too complex.
func (l *limits) MutateOperationContext(ctx context.Context, op *graphql.OperationContext) *gqlerror.Error {
	s := survey{ctx: ctx, schema: l.schema, variables: op.Variables, fragments: map[*ast.FragmentDefinition]size{}}
	size := s.of(op.Operation.SelectionSet)
	if size.depth > maxDepth {
		return tooMuch(fmt.Sprintf("The operation is too deep: %d levels of at most %d", size.depth, maxDepth))
	}
	if size.complexity > maxComplexity {
		return tooMuch(fmt.Sprintf("The operation is too complex: at least %d of at most %d", size.complexity, maxComplexity))
	}
	return nil
}

// tooMuch is an error that the transports treat like a document that is not valid.
func tooMuch(message string) *gqlerror.Error {
	err := gqlerror.Wrap(fault.New(fault.BadRequest, message))
	errcode.Set(err, errcode.ValidationFailed)
	return err
}

// size is how much a selection asks for.
type size struct{ depth, complexity int }

// survey measures an operation. It looks at each fragment once: fragments that spread others twice, ten levels deep, would take
// the library's own calculation exponential time.
type survey struct {
	ctx       context.Context
	schema    graphql.ExecutableSchema
	variables map[string]any
	fragments map[*ast.FragmentDefinition]size
}

func (s *survey) of(selections ast.SelectionSet) size {
	var total size
	add := func(part size) {
		total.depth = max(total.depth, part.depth)
		total.complexity = min(total.complexity+part.complexity, maxComplexity+1)
	}
	for _, selection := range selections {
		switch selection := selection.(type) {
		case *ast.Field:
			add(s.ofField(selection))
		case *ast.InlineFragment:
			add(s.of(selection.SelectionSet))
		case *ast.FragmentSpread:
			part, known := s.fragments[selection.Definition]
			if !known {
				part = s.of(selection.Definition.SelectionSet)
				s.fragments[selection.Definition] = part
			}
			add(part)
		}
	}
	return total
}

func (s *survey) ofField(f *ast.Field) size {
	inner := s.of(f.SelectionSet)
	complexity, own := s.schema.Complexity(s.ctx, f.ObjectDefinition.Name, f.Name, inner.complexity, f.ArgumentMap(s.variables))
	if !own {
		complexity = 1 + inner.complexity
	}
	if strings.HasPrefix(f.Name, "__") {
		return size{depth: 1, complexity: complexity}
	}
	return size{depth: 1 + inner.depth, complexity: complexity}
}

// documentCache keeps parsed and validated documents. Large ones are not worth the memory.
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
