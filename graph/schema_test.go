package graph_test

import (
	"testing"

	"layercake/graph"
	"layercake/internal/golden"
)

// What clients may rely on: a change of this file is a change of the contract.
func TestSchemaIsAsPromised(t *testing.T) {
	t.Parallel()
	golden.Compare(t, "testdata/schema.graphql", graph.SDL())
}

func TestEverythingIsDescribed(t *testing.T) {
	t.Parallel()
	for name, def := range graph.NewExecutableSchema(graph.Config{}).Schema().Types {
		if def.Description == "" && !def.BuiltIn {
			t.Errorf("type %s has no description", name)
		}
	}
}
