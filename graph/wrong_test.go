package graph_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"layercake/graph"

	"github.com/vektah/gqlparser/v2/ast"
	"golang.org/x/sync/errgroup"
)

// wrong has values of each scalar that clients may send by mistake or on purpose.
var wrong = map[string][]any{
	"String": {
		"", "a\x00b", "\x01", "\ufffd", strings.Repeat("x", 20_000), "9223372036854775808", "0~00000000.9223372036854775807", "project_99999999999",
		"{", `{"a":"\u0000"}`, `{"a":"\ud800"}`, `{"a":1e400}`, `{"a":1,"a":2}`,
		`{"a":` + strings.Repeat("9", 20_000) + "}", `{"a":` + strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000) + "}",
	},
	"Int":     {-1, 0, 2147483647},
	"Float":   {1e308, -1e308, 5e-324},
	"Boolean": {true, false},
	"DateTime": {
		"", "yesterday", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "2026-02-28T23:59:59", "2026-02-28T23:59:59.1234567Z", 1,
	},
	"JSON": {nil, "\x00", 1e308, map[string]any{"\x00": 1}, []any{}},
}

// leaf is a place for a value in the arguments of a field.
type leaf struct {
	scalar string
	set    func(any)
}

// plain returns a value of a type that is as good as any, and its leaves.
func plain(schema *ast.Schema, t *ast.Type, project int) (value any, leaves []*leaf) {
	if t.Elem != nil {
		element, leaves := plain(schema, t.Elem, project)
		list := []any{element}
		if len(leaves) == 1 && leaves[0].set == nil {
			leaves[0].set = func(v any) { list[0] = v }
		}
		return list, leaves
	}
	definition := schema.Types[t.NamedType]
	switch definition.Kind {
	case ast.InputObject:
		object := map[string]any{}
		for _, f := range definition.Fields {
			v, inner := plain(schema, f.Type, project)
			object[f.Name] = v
			if len(inner) == 1 && inner[0].set == nil {
				inner[0].set = func(v any) { object[f.Name] = v }
			}
			leaves = append(leaves, inner...)
		}
		return object, leaves
	case ast.Enum:
		return definition.EnumValues[0].Name, nil
	default:
		of := map[string]any{"Int": project, "Float": 1.5, "Boolean": true}
		if v, known := of[t.NamedType]; known {
			return v, []*leaf{{scalar: t.NamedType}}
		}
		if t.NamedType == "DateTime" {
			return nil, []*leaf{{scalar: t.NamedType}} // planAt takes a version or a time
		}
		return "{}", []*leaf{{scalar: t.NamedType}}
	}
}

// documentOf asks one field of a root type for its type name alone, if it has one.
func documentOf(operation ast.Operation, f *ast.FieldDefinition) string {
	declared, given := "", ""
	for _, a := range f.Arguments {
		declared += fmt.Sprintf(" $%s: %s", a.Name, a.Type)
		given += fmt.Sprintf(" %s: $%s", a.Name, a.Name)
	}
	if declared != "" {
		declared, given = "("+declared+")", "("+given+")"
	}
	selection := " { __typename }"
	if slices.Contains([]string{"Boolean", "String", "Int", "Float", "JSON"}, f.Type.Name()) {
		selection = ""
	}
	return fmt.Sprintf("%s%s { %s%s%s }", operation, declared, f.Name, given, selection)
}

// Lines of errors are for our mistakes: somebody looks at each. Whatever a client sends is its own mistake, and answered as one. So each
// argument of each field gets each wrong value.
func TestWrongInputIsNoMistakeOfOurs(t *testing.T) {
	t.Parallel()
	s := online(t)
	schema := graph.NewExecutableSchema(graph.Config{}).Schema()
	var all errgroup.Group
	all.SetLimit(8)
	for operation, root := range map[ast.Operation]*ast.Definition{ast.Query: schema.Query, ast.Mutation: schema.Mutation} {
		for _, f := range root.Fields {
			if strings.HasPrefix(f.Name, "__") {
				continue
			}
			all.Go(func() error {
				document, project := documentOf(operation, f), s.newProject(t)
				args := vars{}
				var leaves []*leaf
				for _, a := range f.Arguments {
					v, inner := plain(schema, a.Type, project)
					args[a.Name] = v
					if len(inner) == 1 && inner[0].set == nil {
						inner[0].set = func(v any) { args[a.Name] = v }
					}
					leaves = append(leaves, inner...)
				}
				before := map[string]any{"Int": project, "Float": 1.5, "Boolean": true, "DateTime": nil}
				for _, l := range leaves {
					for _, v := range wrong[l.scalar] {
						l.set(v)
						if a := s.ask(t, document, args); a.Code() == "INTERNAL" {
							t.Errorf("%s with %.300q: %+v", document, fmt.Sprint(args), a.Errors)
						}
					}
					if good, known := before[l.scalar]; known {
						l.set(good)
					} else {
						l.set("{}")
					}
				}
				return nil
			})
		}
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
	if log := s.log.String(); strings.Contains(log, `"level":"ERROR"`) {
		t.Errorf("the log has errors: %.2000s", log)
	}
}
