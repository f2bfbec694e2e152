package graph

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/validator/core"
	"github.com/vektah/gqlparser/v2/validator/rules"
)

// The library supports @defer, but leaves deferred fields to a transport that sends several responses. Ours send one, so a deferred field
// would be null. Without the directive in the schema, a document that defers is refused as one with an unknown directive.
func init() { delete(parsedSchema.Directives, "defer") }

// validationRules returns the rules for documents: the library's without suggestions, which take long to find for long names, and those
// of the specification that the library lacks. The caller may change them.
func validationRules() *rules.Rules {
	r := rules.NewDefaultRules()
	for _, quiet := range []core.Rule{
		rules.FieldsOnCorrectTypeRuleWithoutSuggestions, rules.KnownArgumentNamesRuleWithoutSuggestions,
		rules.KnownTypeNamesRuleWithoutSuggestions, rules.ScalarLeafsRuleWithoutSuggestions, rules.ValuesOfCorrectTypeRuleWithoutSuggestions,
	} {
		r.ReplaceRule(strings.TrimSuffix(quiet.Name, "WithoutSuggestions"), quiet.RuleFunc)
	}
	r.ReplaceRule(rules.SingleFieldSubscriptionsRule.Name, oneRootField)
	r.AddRule("IntLiteralsOf32Bits", intLiterals)
	return r
}

// oneRootField refuses a subscription that does not start exactly one stream. That is one with several fields at its root, under whatever
// aliases, with a field of introspection, or with a field that a variable could leave out.
func oneRootField(observers *core.Events, addError core.AddErrFunc) {
	observers.OnOperation(func(walker *core.Walker, operation *ast.OperationDefinition) {
		if operation.Operation != ast.Subscription {
			return
		}
		name := "Anonymous Subscription"
		if operation.Name != "" {
			name = "Subscription " + strconv.Quote(operation.Name)
		}
		c := rootFieldCheck{fragments: walker.Document.Fragments, visited: map[string]bool{}}
		c.refuse = func(at *ast.Position, rule string, values ...any) {
			addError(core.Message("%s must %s.", name, fmt.Sprintf(rule, values...)), core.At(at))
		}
		c.selections(operation.SelectionSet)
	})
}

// rootFieldCheck checks the root of one subscription.
type rootFieldCheck struct {
	fragments ast.FragmentDefinitionList
	refuse    func(at *ast.Position, rule string, values ...any)
	first     string          // name in the response of the first field; "" before one was found
	visited   map[string]bool // fragments that were checked
}

func (c *rootFieldCheck) selections(set ast.SelectionSet) {
	for _, selection := range set {
		switch selection := selection.(type) {
		case *ast.Field:
			c.directives(selection.Directives)
			c.field(selection)
		case *ast.InlineFragment:
			c.directives(selection.Directives)
			c.selections(selection.SelectionSet)
		case *ast.FragmentSpread:
			c.directives(selection.Directives)
			fragment := c.fragments.ForName(selection.Name)
			if fragment != nil && !c.visited[selection.Name] {
				c.visited[selection.Name] = true
				c.selections(fragment.SelectionSet)
			}
		}
	}
}

func (c *rootFieldCheck) directives(directives ast.DirectiveList) {
	for _, d := range directives {
		if d.Name == "skip" || d.Name == "include" {
			c.refuse(d.Position, "not use @%s at its top level", d.Name)
		}
	}
}

func (c *rootFieldCheck) field(field *ast.Field) {
	switch {
	case strings.HasPrefix(field.Name, "__"):
		c.refuse(field.Position, "not select an introspection top level field")
	case c.first == "":
		c.first = field.Alias
	case field.Alias != c.first:
		c.refuse(field.Position, "select only one top level field")
	}
}

// intLiterals refuses whole numbers in a document that do not fit an Int. The library notices them only where they are used, when a part of
// the operation has been executed already.
func intLiterals(observers *core.Events, addError core.AddErrFunc) {
	observers.OnValue(func(_ *core.Walker, value *ast.Value) {
		if value.Kind != ast.IntValue || value.Definition == nil || value.Definition.Name != "Int" {
			return
		}
		if _, err := strconv.ParseInt(value.Raw, 10, 32); err != nil {
			addError(core.Message("Int cannot represent non 32-bit signed integer value: %s", value.Raw), core.At(value.Position))
		}
	})
}

// refuseNulls refuses null as the value of a variable that is used where null may not be. Validation accepts such a variable when it has a
// default, because the default would be used; but an explicit null overrides the default, and the library would read it as zero, or panic.
func refuseNulls(op *graphql.OperationContext) *gqlerror.Error {
	var null []string
	for _, definition := range op.Operation.VariableDefinitions {
		if v, given := op.Variables[definition.Variable]; given && v == nil {
			null = append(null, definition.Variable)
		}
	}
	if null == nil {
		return nil
	}
	u := usage{visited: map[string]bool{}, variables: map[string]any{}, nonNull: map[string]bool{}}
	u.selections(op.Operation.SelectionSet, false)
	for _, name := range null {
		if u.nonNull[name] {
			err := gqlerror.ErrorPathf(ast.Path{ast.PathName("variable"), ast.PathName(name)}, "cannot be null here")
			errcode.Set(err, errcode.ValidationFailed)
			return err
		}
	}
	return nil
}
