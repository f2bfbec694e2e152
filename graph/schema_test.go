package graph_test

import (
	"bytes"
	"testing"

	"layercake/graph"
	"layercake/internal/golden"

	"github.com/vektah/gqlparser/v2/formatter"
)

// What clients may rely on: a change of this file is a change of the contract.
func TestSchemaIsAsPromised(t *testing.T) {
	t.Parallel()
	var got bytes.Buffer
	formatter.NewFormatter(&got, formatter.WithIndent("  ")).FormatSchema(graph.NewExecutableSchema(graph.Config{}).Schema())
	golden.Compare(t, "testdata/schema.graphql", got.String())
}

func TestEverythingIsDescribed(t *testing.T) {
	t.Parallel()
	for name, def := range graph.NewExecutableSchema(graph.Config{}).Schema().Types {
		if def.Description == "" && !def.BuiltIn {
			t.Errorf("type %s has no description", name)
		}
	}
}
