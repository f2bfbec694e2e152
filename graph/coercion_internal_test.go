package graph

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
)

// What each type makes of a variable. The cases of lists are those of the specification's table in section 3.11.
func TestCoerceVariables(t *testing.T) {
	t.Parallel()
	schema := gqlparser.MustLoadSchema(&ast.Source{Input: `
		scalar Any
		enum Colour { RED GREEN }
		input Point { x: Float!, y: Float! = 0, tags: [String!], inner: Point }
		input PlanDagInput { version: String!, name: String }
		type Query { a: Int }`})
	cases := []struct {
		kind, value string
		want        string // as JSON, or the error
	}{
		{"Int", `1`, `1`},
		{"Int", `-0`, `0`},
		{"Int", `1.0`, `1`},
		{"Int", `1e2`, `100`},
		{"Int", `2147483647`, `2147483647`},
		{"Int", `-2147483648`, `-2147483648`},
		{"Int", `2147483648`, `v: cannot use 2147483648 as Int`},
		{"Int", `-2147483649`, `v: cannot use -2147483649 as Int`},
		{"Int", `99999999999999999999`, `v: cannot use 99999999999999999999 as Int`},
		{"Int", `1.5`, `v: cannot use 1.5 as Int`},
		{"Int", `1e400`, `v: cannot use 1e400 as Int`},
		{"Int", `"1"`, `v: cannot use "1" as Int`},
		{"Int", `""`, `v: cannot use "" as Int`},
		{"Int", `true`, `v: cannot use true as Int`},
		{"Int", `[1]`, `v: cannot use a list as Int`},
		{"Int", `{}`, `v: cannot use an object as Int`},
		{"Int", `null`, `null`},
		{"Int!", `null`, `v: cannot be null`},

		{"Float", `5`, `5`},
		{"Float", `5.25`, `5.25`},
		{"Float", `99999999999999999999`, `100000000000000000000`},
		{"Float", `1e400`, `v: cannot use 1e400 as Float`},
		{"Float", `"5"`, `v: cannot use "5" as Float`},
		{"Float", `"NaN"`, `v: cannot use "NaN" as Float`},
		{"Float", `false`, `v: cannot use false as Float`},

		{"String", `"5"`, `"5"`},
		{"String", `5`, `v: cannot use 5 as String`},
		{"String", `1.5`, `v: cannot use 1.5 as String`},
		{"String", `true`, `v: cannot use true as String`},
		{"String", `{"a": 1}`, `v: cannot use an object as String`},

		{"Boolean", `true`, `true`},
		{"Boolean", `"true"`, `v: cannot use "true" as Boolean`},
		{"Boolean", `1`, `v: cannot use 1 as Boolean`},

		{"ID", `"a"`, `"a"`},
		{"ID", `""`, `""`},
		{"ID", `4`, `"4"`},
		{"ID", `4.0`, `"4"`},
		{"ID", `99999999999999999999`, `"99999999999999999999"`},
		{"ID", `4.5`, `v: cannot use 4.5 as ID`},
		{"ID", `true`, `v: cannot use true as ID`},

		{"Colour", `"RED"`, `"RED"`},
		{"Colour", `"red"`, `v: cannot use "red" as Colour`},
		{"Colour", `0`, `v: cannot use 0 as Colour`},
		{"Colour", `["RED"]`, `v: cannot use a list as Colour`},

		{"Any", `{"a": [1.0, "x", null]}`, `{"a":[1.0,"x",null]}`},
		{"Any", `1.50`, `1.50`},

		{"[Int]", `[1, 2, 3]`, `[1,2,3]`},
		{"[Int]", `[1, "b", true]`, `v[1]: cannot use "b" as Int`},
		{"[Int]", `1`, `[1]`},
		{"[Int]", `null`, `null`},
		{"[Int]", `[1, null]`, `[1,null]`},
		{"[Int!]", `[1, null]`, `v[1]: cannot be null`},
		{"[[Int]]", `[[1], [2, 3]]`, `[[1],[2,3]]`},
		{"[[Int]]", `[1, 2, 3]`, `[[1],[2],[3]]`},
		{"[[Int]]", `[1, null, 3]`, `[[1],null,[3]]`},
		{"[[Int]]", `[[1], ["b"]]`, `v[1][0]: cannot use "b" as Int`},
		{"[[Int]]", `1`, `[[1]]`},
		{"[Colour!]", `"RED"`, `["RED"]`},
		{"[Int]", `"x"`, `v: cannot use "x" as Int`},

		{"Point", `{"x": 1}`, `{"x":1}`},
		{"Point", `{"x": 1, "tags": "a", "inner": {"x": 2.5, "y": 1}}`, `{"inner":{"x":2.5,"y":1},"tags":["a"],"x":1}`},
		{"Point", `{}`, `v.x: must be defined`},
		{"Point", `{"x": null}`, `v.x: cannot be null`},
		{"Point", `{"x": 1, "y": null}`, `v.y: cannot be null`},
		{"Point", `{"x": 1, "inner": null}`, `{"inner":null,"x":1}`},
		{"Point", `{"x": 1, "b": 1, "a": 1}`, `v.a: unknown field`},
		{"Point", `{"x": 1, "inner": {"x": "2"}}`, `v.inner.x: cannot use "2" as Float`},
		{"Point", `{"x": 1, "tags": ["a", 7]}`, `v.tags[1]: cannot use 7 as String`},
		{"Point", `[{"x": 1}]`, `v: cannot use a list as Point`},
		{"Point", `"x"`, `v: cannot use "x" as Point`},
		{"[Point!]!", `{"x": 1}`, `[{"x":1}]`},

		{"PlanDagInput", `{"version": 7}`, `{"version":"7"}`},
		{"PlanDagInput", `{"version": "7"}`, `{"version":"7"}`},
		{"PlanDagInput", `{"version": true}`, `v.version: cannot use true as String`},
		{"PlanDagInput", `{"version": "7", "name": 7}`, `v.name: cannot use 7 as String`},

		{"Nowhere", `1`, `1`}, // validation refuses the document
		{"Int", `"` + strings.Repeat("ü", 40) + `"`, `v: cannot use "` + strings.Repeat("ü", 30) + `..." as Int`},
		{"String", strings.Repeat("1", 100), `v: cannot use ` + strings.Repeat("1", 60) + `... as String`},
	}
	for _, c := range cases {
		document, err := parser.ParseQuery(&ast.Source{Input: `query($v: ` + c.kind + `) { a }`})
		if err != nil {
			t.Fatal(err)
		}
		var variables map[string]any
		if err := decode([]byte(`{"v": `+c.value+`}`), &variables); err != nil {
			t.Fatal(err)
		}
		got := ""
		if err := coerceVariables(schema, document.Operations[0], variables); err != nil {
			got = err.Path[1:].String() + ": " + err.Message
		} else {
			b, err := json.Marshal(variables["v"])
			if err != nil {
				t.Fatal(err)
			}
			got = string(b)
		}
		if got != c.want {
			t.Errorf("%s of %s: %s, want %s", c.kind, c.value, got, c.want)
		}
	}
}

func TestCoerceVariablesLeavesOutWhatIsAbsent(t *testing.T) {
	t.Parallel()
	schema := gqlparser.MustLoadSchema(&ast.Source{Input: `type Query { a: Int }`})
	document, err := parser.ParseQuery(&ast.Source{Input: `query($a: Int, $b: Int! = 2, $c: Int!) { a }`})
	if err != nil {
		t.Fatal(err)
	}
	variables := map[string]any{"unknown": "x"}
	if err := coerceVariables(schema, document.Operations[0], variables); err != nil || len(variables) != 1 {
		t.Errorf("%v, %v", variables, err)
	}
	if err := coerceVariables(schema, document.Operations[0], nil); err != nil {
		t.Error(err)
	}
}

func TestMarshalInt64(t *testing.T) {
	t.Parallel()
	for v, want := range map[int64]string{0: "0", 1<<31 - 1: "2147483647", -1 << 31: "-2147483648", 1 << 31: "", -1<<31 - 1: ""} {
		var b strings.Builder
		if err := MarshalInt64(v).MarshalGQLContext(t.Context(), &b); b.String() != want || (err == nil) != (want != "") {
			t.Errorf("%d: %q, %v", v, b.String(), err)
		}
	}
}
