package graph

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"

	"layercake/internal/budget"
	"layercake/internal/fault"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"
)

// Limits of one operation.
const (
	maxDocument   = 4 << 20 // bytes; the longest text of a plan is 1 MB, and twice that when all of it is escaped
	maxTokens     = 15_000  // tokens of a document
	maxDepth      = 20      // levels of fields
	maxComplexity = 10_000  // number of fields, where those in lists count several times
	maxValues     = 100_000 // values in arguments, where a text counts once more for each valueBytes
	maxRepeats    = 100     // repeats of one field, or fragments spread in one place
	maxErrors     = 100     // errors of one document that are answered
)

// limits refuses operations that ask for too much, and wrong variables. It also removes from variables what the caches of clients add.
type limits struct {
	schema    graphql.ExecutableSchema
	documents *documentCache
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
	if len(p.Query) > maxDocument {
		return tooMuch(fmt.Sprintf("The document is too long: %d bytes of at most %d; send texts as variables", len(p.Query), maxDocument))
	}
	document, valid := l.documents.Get(ctx, p.Query)
	if !valid {
		var err error
		if document, err = parser.ParseQueryWithTokenLimit(&ast.Source{Input: p.Query}, maxTokens); err != nil {
			return barredFrom(ctx) // else the executor reports it
		}
		if refusal := refuseLongChecks(ctx, document); refusal != nil {
			return cmp.Or(barredFrom(ctx), refusal)
		}
	}
	operation := document.Operations.ForName(p.OperationName)
	if refusal := checkRoot(ctx, document, operation); refusal != nil {
		return refusal
	}
	if operation == nil {
		return nil // the executor reports it
	}
	variables, err := decodeVariables(ctx, operation, p.Variables)
	if err == nil {
		stripTypename(variables)
		p.Variables = variables
		err = coerceVariables(l.schema.Schema(), operation, variables)
	}
	if err != nil && !valid && validator.ValidateWithRules(l.schema.Schema(), document, validationRules()) != nil {
		return nil //nolint:nilerr // the executor reports what is wrong with the document, which comes first
	}
	return err
}

// decodeVariables decodes the variables that an operation declares, in memory that it takes for them. The others are worth none.
func decodeVariables(ctx context.Context, operation *ast.OperationDefinition, texts map[string]any) (map[string]any, *gqlerror.Error) {
	variables := make(map[string]any, len(operation.VariableDefinitions))
	values := 0
	for _, definition := range operation.VariableDefinitions {
		name := definition.Variable
		text, given := texts[name].(json.RawMessage)
		if _, again := variables[name]; again {
			return nil, tooMuch(fmt.Sprintf("There can be only one variable named %q", shorten(name, maxMessage/2))) // validation says so, too
		}
		if !given {
			continue
		}
		count := countJSON(text)
		if values += count.objects + count.values; values > maxValues {
			return nil, tooMuch(fmt.Sprintf("The variables have more than %d values, counted up to %s", maxValues, shorten(name, maxMessage/2)))
		}
		if err := budget.From(ctx).Take(ctx, costOfVariable(text, count)); err != nil {
			return nil, asInvalid(fault.From(err))
		}
		var v any
		if err := decode(text, &v); err != nil {
			return nil, tooMuch(fmt.Sprintf("The variable %s cannot be read", shorten(name, maxMessage/2)))
		}
		variables[name] = v
	}
	return variables, nil
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
	total := newWeigher(ctx, l.schema, op.Variables).weigh(op.Operation.SelectionSet)
	switch {
	case total.values > maxValues:
		return tooMuch(fmt.Sprintf("The operation is too complex: its arguments have more than %d values, "+
			"where a variable counts for each field that uses it", maxValues))
	case total.depth > maxDepth:
		return tooMuch(fmt.Sprintf("The operation is too deep: %d levels of at most %d", total.depth, maxDepth))
	case total.complexity > maxComplexity:
		return tooMuch(fmt.Sprintf("The operation is too complex: at least %d of at most %d", total.complexity, maxComplexity))
	}
	return refuseManyNames(op.Operation.SelectionSet)
}

func tooMuch(message string) *gqlerror.Error { return asInvalid(fault.New(fault.BadRequest, message)) }

// asInvalid returns a fault as an error that transports treat like those of invalid documents.
func asInvalid(f *fault.Error) *gqlerror.Error {
	err := gqlerror.Wrap(f)
	errcode.Set(err, errcode.ValidationFailed)
	return err
}

// capErrors answers with at most maxErrors errors of a document that has more.
func capErrors(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
	response := next(ctx)
	if response != nil && response.Data == nil {
		response.Errors = response.Errors[:min(len(response.Errors), maxErrors)]
	}
	return response
}
