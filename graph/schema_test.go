package graph_test

import (
	"bytes"
	"flag"
	"os"
	"testing"

	"layercake/graph"

	"github.com/vektah/gqlparser/v2/formatter"
)

var update = flag.Bool("update", false, "write golden files")

// What clients may rely on: a change of this file is a change of the contract.
func TestSchemaIsAsPromised(t *testing.T) {
	t.Parallel()
	const golden = "testdata/schema.graphql"
	var got bytes.Buffer
	formatter.NewFormatter(&got, formatter.WithIndent("  ")).FormatSchema(graph.NewExecutableSchema(graph.Config{}).Schema())
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("the schema differs from %s: run the test with -update and look at the difference", golden)
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
