package graph_test

import (
	"testing"

	"layercake/graph"
	"layercake/internal/golden"

	"github.com/vektah/gqlparser/v2"
)

// What clients may rely on: a change of this file is a change of the contract.
func TestSchemaIsAsPromised(t *testing.T) {
	t.Parallel()
	golden.Compare(t, "testdata/schema.graphql", graph.SDL())
}

// Every document of the existing client is valid, as it sends it.
func TestDocumentsOfTheExistingClient(t *testing.T) {
	t.Parallel()
	schema := graph.NewExecutableSchema(graph.Config{}).Schema()
	for name, document := range clientDocuments {
		if _, err := gqlparser.LoadQueryWithRules(schema, asSent(document), nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEverythingIsDescribed(t *testing.T) {
	t.Parallel()
	for name, def := range graph.NewExecutableSchema(graph.Config{}).Schema().Types {
		if def.Description == "" && !def.BuiltIn {
			t.Errorf("type %s has no description", name)
		}
	}
}
