package mcpserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"layercake/internal/fault"
	"layercake/internal/plan"

	"github.com/google/jsonschema-go/jsonschema"
)

// Types of arguments whose schemas say more than their Go types do.
type (
	id     int32           // of a project, a plan or a proposal
	count  int             // at least 1
	object json.RawMessage // any JSON object
)

// UnmarshalJSON keeps the text.
func (o *object) UnmarshalJSON(text []byte) error { return (*json.RawMessage)(o).UnmarshalJSON(text) }

// MarshalJSON writes the text.
func (o object) MarshalJSON() ([]byte, error) { return json.RawMessage(o).MarshalJSON() }

// schemaOf returns the schema of T in words that every model's dialect has: one type each, no null, no boolean schemas, no bounds of 32
// bits. Some models refuse all tools when one schema has more.
func schemaOf[T any](known map[reflect.Type]*jsonschema.Schema) (*jsonschema.Schema, error) {
	schema, err := jsonschema.For[T](&jsonschema.ForOptions{TypeSchemas: known})
	if err != nil {
		return nil, err
	}
	mend(schema)
	return schema, nil
}

func mend(s *jsonschema.Schema) {
	if s == nil {
		return
	}
	for _, name := range s.Types {
		if name != "null" {
			s.Type = name
		}
	}
	s.Types = nil
	if s.Maximum != nil {
		s.Minimum, s.Maximum = nil, nil // those of Go's 32 bits
	}
	s.AdditionalProperties = nil
	mend(s.Items)
	for _, property := range s.Properties {
		mend(property)
	}
}

// knownSchemas are those of types whose Go type does not say enough.
func knownSchemas() map[reflect.Type]*jsonschema.Schema {
	least := func(n float64) *float64 { return &n }
	known := map[reflect.Type]*jsonschema.Schema{
		reflect.TypeFor[id]():     {Type: "integer", Minimum: least(1)},
		reflect.TypeFor[count]():  {Type: "integer", Minimum: least(1)},
		reflect.TypeFor[object](): {Type: "object"},
	}
	for _, words := range enumerations {
		enum := make([]any, len(words.values))
		for i, v := range words.values {
			enum[i] = v
		}
		known[words.of] = &jsonschema.Schema{Type: "string", Enum: enum}
	}
	steps, err := schemaOf[step](known)
	if err != nil {
		panic(err) // the same for every start, so every test sees it
	}
	known[reflect.TypeFor[operations]()] = &jsonschema.Schema{Type: "array", Items: steps}
	return known
}

// words are the values that a text may have.
type words struct {
	of     reflect.Type
	values []string
}

var enumerations = []words{
	{reflect.TypeFor[detail](), []string{string(outline), string(full)}},
	{reflect.TypeFor[onConflict](), []string{"fail", "skip", "overwrite"}},
	{reflect.TypeFor[mode](), []string{string(apply), string(dryRun), string(propose)}},
	{reflect.TypeFor[proposalStatus](), []string{"open", "accepted", "rejected", "withdrawn"}},
	{reflect.TypeFor[decision](), []string{"accept", "reject", "withdraw"}},
	{reflect.TypeFor[stepKind](), stepKinds},
	{reflect.TypeFor[nodeType](), nodeTypeNames()},
	{reflect.TypeFor[exportFormat](), exportFormats()},
	{reflect.TypeFor[dataType](), []string{string(plan.GraphData), string(plan.GraphReference)}},
}

// arguments decodes and checks what a tool is called with. Its faults are BadRequest with the path of what is wrong.
func arguments(text json.RawMessage, schema *jsonschema.Resolved, into any) error {
	if len(text) == 0 {
		text = json.RawMessage("{}")
	}
	var value map[string]any
	if err := json.Unmarshal(text, &value); err != nil {
		return fault.New(fault.BadRequest, "The arguments are no JSON object: "+fault.JSONReason(err))
	}
	properties := schema.Schema().Properties
	for name := range value {
		if _, known := properties[name]; !known {
			return fault.New(fault.BadRequest, "The tool takes no such argument").With("path", name)
		}
	}
	if err := schema.Validate(value); err != nil {
		return invalid(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		f := fault.New(fault.BadRequest, "An argument does not fit: "+fault.JSONReason(err))
		if mismatch := new(json.UnmarshalTypeError); errors.As(err, &mismatch) {
			// The library names embedded structs, too, which callers do not know.
			path := strings.NewReplacer("ofProject.", "", "ofGraph.", "").Replace(mismatch.Field)
			f = fault.New(fault.BadRequest, "An argument does not fit: it is too large").With("path", path)
		}
		return f
	}
	return nil
}

// schemaPath finds the schemas that the library names on its way to what is wrong.
var schemaPath = regexp.MustCompile(`validating (\S+): `)

// invalid returns the fault for a value that a schema does not accept, from what the library says about it: the way to it, then the reason.
func invalid(err error) *fault.Error {
	path, reason := "", err.Error()
	for {
		at := schemaPath.FindStringSubmatchIndex(reason)
		if at == nil || at[0] != 0 {
			break
		}
		path, reason = reason[at[2]:at[3]], reason[at[1]:]
	}
	path = strings.Trim(strings.NewReplacer("/properties/", ".", "/items", "[]", "root", "").Replace(path), ".")
	f := fault.New(fault.BadRequest, fmt.Sprintf("An argument does not fit: %s", fault.Clip(reason)))
	if path != "" {
		f = f.With("path", path)
	}
	return f
}
