package graph

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// numberAsText names fields of input objects that are texts but take numbers, too: the existing client sends a version back as its cache
// has it, which is one or the other.
var numberAsText = map[string]string{"PlanDagInput": "version"}

// coerceVariables replaces the variables of a request by values of their types, by the rules of the specification (GraphQL, October 2021,
// sections 3.5 to 3.12). Its error names the variable that is wrong. The library has such a step, too, but accepts texts as numbers,
// numbers as texts and enum values in any case. Absent variables are left to the library.
func coerceVariables(schema *ast.Schema, operation *ast.OperationDefinition, variables map[string]any) *gqlerror.Error {
	for _, definition := range operation.VariableDefinitions {
		value, given := variables[definition.Variable]
		if !given {
			continue
		}
		path := ast.Path{ast.PathName("variable"), ast.PathName(definition.Variable)}
		coerced, err := coerce(schema, definition.Type, value, path)
		if err != nil {
			errcode.Set(err, errcode.ValidationFailed)
			return err
		}
		variables[definition.Variable] = coerced
	}
	return nil
}

// coerce returns a value of the type t. It may change v.
func coerce(schema *ast.Schema, t *ast.Type, v any, path ast.Path) (any, *gqlerror.Error) {
	if v == nil {
		if t.NonNull {
			return nil, gqlerror.ErrorPathf(path, "cannot be null")
		}
		return nil, nil
	}
	if t.Elem != nil {
		return coerceList(schema, t.Elem, v, path)
	}
	definition := schema.Types[t.NamedType]
	if definition == nil {
		return v, nil // validation refuses the document
	}
	ok := true
	switch definition.Kind {
	case ast.InputObject:
		if object, isObject := v.(map[string]any); isObject {
			return coerceObject(schema, definition, object, path)
		}
		ok = false
	case ast.Enum:
		text, isText := v.(string)
		ok = isText && definition.EnumValues.ForName(text) != nil
	case ast.Scalar:
		v, ok = coerceScalar(definition.Name, v)
	}
	if !ok {
		return nil, gqlerror.ErrorPathf(path, "cannot use %s as %s", describe(v), definition.Name)
	}
	return v, nil
}

// coerceList returns a list. A value that is no list becomes a list of one, as the specification demands.
func coerceList(schema *ast.Schema, of *ast.Type, v any, path ast.Path) (any, *gqlerror.Error) {
	items, isList := v.([]any)
	if !isList {
		item, err := coerce(schema, of, v, path)
		return []any{item}, err
	}
	for i, item := range items {
		coerced, err := coerce(schema, of, item, appendPath(path, ast.PathIndex(i)))
		if err != nil {
			return nil, err
		}
		items[i] = coerced
	}
	return items, nil
}

func coerceObject(schema *ast.Schema, definition *ast.Definition, object map[string]any, path ast.Path) (any, *gqlerror.Error) {
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if definition.Fields.ForName(name) == nil {
			return nil, gqlerror.ErrorPathf(appendPath(path, ast.PathName(name)), "unknown field")
		}
	}
	for _, field := range definition.Fields {
		at := appendPath(path, ast.PathName(field.Name))
		v, given := object[field.Name]
		switch {
		case given:
		case field.Type.NonNull && field.DefaultValue == nil:
			return nil, gqlerror.ErrorPathf(at, "must be defined")
		default:
			continue
		}
		if number, isNumber := v.(json.Number); isNumber && numberAsText[definition.Name] == field.Name {
			v = string(number)
		}
		coerced, err := coerce(schema, field.Type, v, at)
		if err != nil {
			return nil, err
		}
		object[field.Name] = coerced
	}
	return object, nil
}

// coerceScalar reports false when the scalar does not accept v. Scalars of our own check their values where they read them.
func coerceScalar(name string, v any) (any, bool) {
	number, isNumber := v.(json.Number)
	switch name {
	case "Int":
		n, ok := whole(number)
		if !ok || n < math.MinInt32 || n > math.MaxInt32 {
			return v, false
		}
		return n, true
	case "Float":
		f, err := number.Float64()
		if err != nil {
			return v, false
		}
		return f, true
	case "ID":
		if n, ok := whole(number); ok {
			return strconv.FormatInt(n, 10), true
		}
		if isNumber && !strings.ContainsAny(string(number), ".eE") {
			return string(number), true // a whole number of any size
		}
		_, isText := v.(string)
		return v, isText
	case "String":
		_, isText := v.(string)
		return v, isText
	case "Boolean":
		_, isBoolean := v.(bool)
		return v, isBoolean
	}
	return v, true
}

// whole returns a number without a fraction, however it is written: 1.0 and 1e0 are 1. It reports false for every other number, and for one
// that a float64 may have rounded.
func whole(number json.Number) (int64, bool) {
	if n, err := number.Int64(); err == nil {
		return n, true
	}
	f, err := number.Float64()
	return int64(f), err == nil && f == math.Trunc(f) && math.Abs(f) < 1<<53
}

func appendPath(path ast.Path, step ast.PathElement) ast.Path { return append(slices.Clip(path), step) }

// describe returns a value as error messages name it.
func describe(v any) string {
	const most = 60 // bytes of a text
	switch v := v.(type) {
	case map[string]any:
		return "an object"
	case []any:
		return "a list"
	case json.Number:
		return shorten(string(v), most)
	case string:
		return strconv.Quote(shorten(v, most))
	default:
		return fmt.Sprint(v)
	}
}

// shorten cuts a text off after a number of bytes, between two characters.
func shorten(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "..."
}
