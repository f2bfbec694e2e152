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

// What one operation may ask for.
const (
	maxTokens     = 15_000 // in a document
	maxDepth      = 20     // of fields; introspection is exempt
	maxComplexity = 10_000 // of fields, those of lists counted several times
	maxRepeats    = 100    // of one field, or of fragments in one place: they must be merged, pair by pair
	maxErrors     = 100    // that are told of one document
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

// limits refuses operations that ask for too much, or with variables that are wrong, and strips from variables what clients' caches
// add.
type limits struct {
	schema    graphql.ExecutableSchema
	documents documentCache
}

// ExtensionName names the extension.
func (*limits) ExtensionName() string { return "Limits" }

// Validate accepts every schema.
func (*limits) Validate(graphql.ExecutableSchema) error { return nil }

// MutateOperationParameters strips __typename from variables, since clients send back objects as they cached them, gives them the types
// that the document declares, and refuses a document that it would take long to validate.
func (l *limits) MutateOperationParameters(ctx context.Context, p *graphql.RawParams) *gqlerror.Error {
	if p.Query == "" && persisted(p.Extensions) {
		return asInvalid(errPersistedQuery)
	}
	stripTypename(p.Variables)
	document, valid := l.documents.Get(ctx, p.Query)
	if !valid {
		var err error
		if document, err = parser.ParseQueryWithTokenLimit(&ast.Source{Input: p.Query}, maxTokens); err != nil {
			return nil //nolint:nilerr // the executor tells
		}
		if refusal := tooLongToValidate(document); refusal != nil {
			return refusal
		}
	}
	operation := document.Operations.ForName(p.OperationName)
	if operation == nil {
		return nil // the executor tells
	}
	err := coerceVariables(l.schema.Schema(), operation, p.Variables)
	if err != nil && !valid && validator.ValidateWithRules(l.schema.Schema(), document, validationRules()) != nil {
		return nil //nolint:nilerr // the executor tells what is wrong with the document, which comes first
	}
	return err
}

func tooLongToValidate(document *ast.QueryDocument) *gqlerror.Error {
	o := rawCost{document: document, counts: map[string]int{}, within: map[string]bool{}}
	for _, op := range document.Operations {
		if o.count(op.SelectionSet) > maxComplexity {
			return tooMuch(fmt.Sprintf("The operation is too complex: it has more than %d fields", maxComplexity))
		}
		if !o.merge(op.SelectionSet, &merged{}) {
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

// MutateOperationContext refuses an operation with a null that may not be, or one that is too deep or too complex.
func (l *limits) MutateOperationContext(ctx context.Context, op *graphql.OperationContext) *gqlerror.Error {
	if err := refuseNulls(op); err != nil {
		return err
	}
	s := validCost{ctx: ctx, schema: l.schema, variables: op.Variables, fragments: map[*ast.FragmentDefinition]size{}}
	size := s.of(op.Operation.SelectionSet)
	if size.depth > maxDepth {
		return tooMuch(fmt.Sprintf("The operation is too deep: %d levels of at most %d", size.depth, maxDepth))
	}
	if size.complexity > maxComplexity {
		return tooMuch(fmt.Sprintf("The operation is too complex: at least %d of at most %d", size.complexity, maxComplexity))
	}
	return nil
}

func tooMuch(message string) *gqlerror.Error { return asInvalid(fault.New(fault.BadRequest, message)) }

// asInvalid is an error that the transports treat like a document that is not valid.
func asInvalid(f *fault.Error) *gqlerror.Error {
	err := gqlerror.Wrap(f)
	errcode.Set(err, errcode.ValidationFailed)
	return err
}

// size is how much a selection asks for.
type size struct{ depth, complexity int }

// validCost measures an operation of a valid document. It looks at each fragment once: fragments that spread others twice, ten
// levels deep, would take the library's own calculation exponential time.
type validCost struct {
	ctx       context.Context
	schema    graphql.ExecutableSchema
	variables map[string]any
	fragments map[*ast.FragmentDefinition]size // those that it has measured
}

func (s *validCost) of(selections ast.SelectionSet) size {
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

func (s *validCost) ofField(f *ast.Field) size {
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

// rawCost measures a document that is not validated yet. Validation merges fields of the same name pair by pair: it would take
// 40 s for one field 15,000 times.
type rawCost struct {
	document *ast.QueryDocument
	counts   map[string]int  // selections, by fragment
	within   map[string]bool // fragments that are being looked into: they may contain themselves
}

// count returns the number of selections with all fragments written out, or anything over the limit. Each fragment is looked at
// once: those that spread others twice, many levels deep, are too many otherwise.
func (o *rawCost) count(selections ast.SelectionSet) int {
	total := 0
	for _, selection := range selections {
		total++
		switch selection := selection.(type) {
		case *ast.Field:
			total += o.count(selection.SelectionSet)
		case *ast.InlineFragment:
			total += o.count(selection.SelectionSet)
		case *ast.FragmentSpread:
			n, known := o.counts[selection.Name]
			if !known {
				n = o.enter(selection, func(set ast.SelectionSet) int { return o.count(set) })
				o.counts[selection.Name] = n
			}
			total += n
		}
		total = min(total, maxComplexity+1)
	}
	return total
}

// merged is a field of the response, with how often it is asked for, and how many fragments are spread in it: validation
// compares those pair by pair, too.
type merged struct {
	times, spreads int
	fields         map[string]*merged
}

// merge adds selections to a field of the response. It reports false when one is asked for too often.
func (o *rawCost) merge(selections ast.SelectionSet, into *merged) bool {
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
			ok = field.times <= maxRepeats && o.merge(selection.SelectionSet, field)
		case *ast.InlineFragment:
			ok = o.merge(selection.SelectionSet, into)
		case *ast.FragmentSpread:
			into.spreads++
			ok = into.spreads <= maxRepeats
			o.enter(selection, func(set ast.SelectionSet) int {
				ok = ok && o.merge(set, into)
				return 0
			})
		}
		if !ok {
			return false
		}
	}
	return true
}

// enter looks into a fragment, unless it is within itself or not there: validation refuses that.
func (o *rawCost) enter(spread *ast.FragmentSpread, look func(ast.SelectionSet) int) int {
	fragment := o.document.Fragments.ForName(spread.Name)
	if fragment == nil || o.within[spread.Name] {
		return 0
	}
	o.within[spread.Name] = true
	defer delete(o.within, spread.Name)
	return look(fragment.SelectionSet)
}

// capErrors answers with at most maxErrors errors of a document that has more.
func capErrors(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
	response := next(ctx)
	if response != nil && response.Data == nil {
		response.Errors = response.Errors[:min(len(response.Errors), maxErrors)]
	}
	return response
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
