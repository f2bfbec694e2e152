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

// The library knows @defer, and leaves what is deferred to a transport that sends several responses. Ours send one, so a deferred
// field would be null: a document that defers is refused as one with an unknown directive.
func init() { delete(parsedSchema.Directives, "defer") }

// validationRules returns the rules of documents: the library's, and what the specification demands beyond them. The caller may change
// them.
func validationRules() *rules.Rules {
	r := rules.NewDefaultRules()
	r.ReplaceRule(rules.SingleFieldSubscriptionsRule.Name, oneRootField)
	r.AddRule("IntLiteralsOf32Bits", intLiterals)
	return r
}

// oneRootField refuses a subscription that does not start exactly one stream: it has several fields at its root, under whatever
// aliases, or one of introspection, or one that a variable could leave out.
func oneRootField(observers *core.Events, addError core.AddErrFunc) {
	observers.OnOperation(func(walker *core.Walker, operation *ast.OperationDefinition) {
		if operation.Operation != ast.Subscription {
			return
		}
		name := "Anonymous Subscription"
		if operation.Name != "" {
			name = "Subscription " + strconv.Quote(operation.Name)
		}
		refuse := func(at *ast.Position, rule string, values ...any) {
			addError(core.Message("%s must %s.", name, fmt.Sprintf(rule, values...)), core.At(at))
		}
		first := ""                 // the key of the only field in the response
		spread := map[string]bool{} // the fragments that were looked into
		conditions := func(directives ast.DirectiveList) {
			for _, d := range directives {
				if d.Name == "skip" || d.Name == "include" {
					refuse(d.Position, "not use @%s at its top level", d.Name)
				}
			}
		}
		var look func(ast.SelectionSet)
		look = func(set ast.SelectionSet) {
			for _, selection := range set {
				switch selection := selection.(type) {
				case *ast.Field:
					conditions(selection.Directives)
					switch {
					case strings.HasPrefix(selection.Name, "__"):
						refuse(selection.Position, "not select an introspection top level field")
					case first == "":
						first = selection.Alias
					case selection.Alias != first:
						refuse(selection.Position, "select only one top level field")
					}
				case *ast.InlineFragment:
					conditions(selection.Directives)
					look(selection.SelectionSet)
				case *ast.FragmentSpread:
					conditions(selection.Directives)
					fragment := walker.Document.Fragments.ForName(selection.Name)
					if fragment != nil && !spread[selection.Name] {
						spread[selection.Name] = true
						look(fragment.SelectionSet)
					}
				}
			}
		}
		look(operation.SelectionSet)
	})
}

// intLiterals refuses whole numbers in a document that do not fit an Int. The library notices them only where they are used, when a
// part of the operation is done.
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

// refuseNulls refuses null as a variable where null may not be. Validation lets such a variable pass when it has a default, which an
// explicit null overrides; the library would take it for zero, or panic.
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
	u := usage{spread: map[string]bool{}, variables: map[string]any{}, demanded: map[string]bool{}}
	u.selections(op.Operation.SelectionSet, false)
	for _, name := range null {
		if u.demanded[name] {
			err := gqlerror.ErrorPathf(ast.Path{ast.PathName("variable"), ast.PathName(name)}, "cannot be null here")
			errcode.Set(err, errcode.ValidationFailed)
			return err
		}
	}
	return nil
}
