package graph

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"layercake/internal/fault"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
)

// The look at a document ends when its client goes away.
func TestChecksEndWithTheRequest(t *testing.T) {
	t.Parallel()
	document, err := parser.ParseQuery(&ast.Source{Input: "{" + strings.Repeat(" ... { __typename }", 90) + " }" +
		strings.Repeat(" query { "+strings.Repeat("... { __typename } ", 90)+"}", 5)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if refusal := refuseLongChecks(ctx, document); refusal != nil {
		t.Fatal(refusal)
	}
	cancel()
	if refusal := refuseLongChecks(ctx, document); refusal == nil || fault.From(refusal).Code != fault.Unavailable {
		t.Errorf("got %v", refusal)
	}
}

// Of the variables in a request, only those are decoded that the operation declares.
func TestVariablesStayJSONUntilTheyAreDeclared(t *testing.T) {
	t.Parallel()
	params, err := paramsOf([]byte(`{"query":"query($a: Int) { __typename }","variables":{"a":[1,"x"],"b":[2]},"extensions":{"c":[3]}}`))
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]any{"a": params.Variables["a"], "b": params.Variables["b"], "c": params.Extensions["c"]} {
		if _, ok := v.(json.RawMessage); !ok {
			t.Errorf("%s is a %T", name, v)
		}
	}
	document, err := parser.ParseQuery(&ast.Source{Input: params.Query})
	if err != nil {
		t.Fatal(err)
	}
	variables, refusal := decodeVariables(t.Context(), document.Operations[0], params.Variables)
	if list, _ := variables["a"].([]any); refusal != nil || len(variables) != 1 || len(list) != 2 {
		t.Errorf("got %v, %v", variables, refusal)
	}
}

// Values are counted as they are, or a few more.
func TestCountJSON(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		`1`: 1, `"a,[{"`: 1, `"\\\",["`: 1, `[1,2]`: 3, `{"a":{"b":1},"c":[]}`: 5, `[ [] ]`: 3, `null`: 1,
	} {
		if n := countJSON([]byte(text)); n.objects+n.values != want {
			t.Errorf("%s: %+v, want %d", text, n, want)
		}
	}
}
