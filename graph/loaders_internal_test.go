package graph

import (
	"testing"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
)

// The YAML of plans, which may be long, is read for documents that want it.
func TestWhoSelectsTheYAML(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		`{ projects { id plan { id name } } }`:                                                          false,
		`{ projects { plan { ...F } } } fragment F on Plan { name ... on Plan { status } }`:             false,
		`{ projects { yamlContent: plan { id } } }`:                                                     false,
		`{ projects { plan { yamlContent } } }`:                                                         true,
		`{ projects { plan { text: yamlContent } } }`:                                                   true,
		`{ projects { ... { plan { ... on Plan { yamlContent } } } } }`:                                 true,
		`{ projects { plan { ...F } } } fragment F on Plan { ...G } fragment G on Plan { yamlContent }`: true,
		`query A { projects { plan { id } } } query B { projects { plan { yamlContent } } }`:            false,
	} {
		document, err := parser.ParseQuery(&ast.Source{Input: text})
		if err != nil {
			t.Fatal(err)
		}
		op := &graphql.OperationContext{Doc: document, Operation: document.Operations[0]}
		if got := selectsYAML(op); got != want {
			t.Errorf("%s: %t, want %t", text, got, want)
		}
	}
}
