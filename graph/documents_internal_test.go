package graph

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
)

// Documents that differ in one number are kept until they take too much memory, those that take most for their size, too. The last ones
// stay.
func TestDocumentCacheIsBoundedByBytes(t *testing.T) { //nolint:paralleltest // it measures the memory of the process
	for name, text := range map[string]string{
		"fields of two letters": `query q%d { projects { ` + strings.Repeat(`id `, 99) + `plan { ` + strings.Repeat(`id `, 99) + `} } }`,
		"a list of digits": `query q%d { validatePlanDag(planDag: {version: "", metadata: {version: ""}, edges: [], nodes: [{id: "a",
			nodeType: GraphNode, position: {x: 1, y: 1}, metadata: {label: ""}, config: "", graphExecution: [` + strings.Repeat(`1 `, 7000) + `]}]}) { isValid } }`,
	} {
		t.Run(name, func(t *testing.T) {
			c, last := newDocumentCache(), ""
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			for i := range 2 * maxDocumentsBytes / documentBytes(text) {
				last = fmt.Sprintf(text, i)
				document, err := parser.ParseQueryWithTokenLimit(&ast.Source{Input: last}, maxTokens)
				if err != nil {
					t.Fatal(err)
				}
				c.Add(t.Context(), last, document)
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			kept := int(after.HeapAlloc) - int(before.HeapAlloc)
			t.Logf("%d documents of %d bytes: %d bytes, counted as %d", c.documents.Len(), len(text), kept, c.bytes)
			if kept > maxDocumentsBytes || c.bytes > maxDocumentsBytes || c.documents.Len() < 2 {
				t.Errorf("%d bytes are kept, counted as %d, at most %d", kept, c.bytes, maxDocumentsBytes)
			}
			if _, ok := c.Get(t.Context(), last); !ok {
				t.Error("the last one is not kept")
			}
		})
	}
}

// A document that is added by two requests at once counts once.
func TestDocumentCacheCountsOnce(t *testing.T) {
	t.Parallel()
	c := newDocumentCache()
	for range 3 {
		c.Add(t.Context(), "{ a }", &ast.QueryDocument{})
	}
	c.Add(t.Context(), strings.Repeat("#", maxCachedDocument+1), &ast.QueryDocument{})
	if want := documentBytes("{ a }"); c.bytes != want || c.documents.Len() != 1 {
		t.Errorf("%d documents, counted as %d bytes, want 1 and %d", c.documents.Len(), c.bytes, want)
	}
}
