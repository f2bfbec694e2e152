package graph_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"layercake/internal/npmtest"
)

// attack is a request that takes a replica long for what its sender paid.
type attack struct {
	name      string
	operation string // name of the operation
	document  string
	members   string // further members of the request, as JSON
	want      string // in the message of the refusal; "" when the request is answered
}

func (a attack) body() []byte {
	return fmt.Appendf(nil, `{"query":%s,"operationName":%q%s}`, encoded(a.document), a.operation, a.members)
}

// attacks are those that need no core behind the handler.
func attacks() []attack {
	times := strings.Repeat
	nodes := strings.Trim(repeat(1000, `,{"id":"n%d","nodeType":"GraphNode","position":{"x":1,"y":2},"metadata":{"label":"a"},"config":"{}"}`), ",")
	dag := `{"version":"1","metadata":{"version":"1"},"nodes":[` + nodes + `],"edges":[]}`
	return []attack{
		{name: "fragments in circles", document: `{ project(id: 1) { ...f0 } }` + circle(9), want: "within itself"},
		{name: "unused fragments in circles", document: `{ __typename }` + circle(9), want: "within itself"},
		{name: "an unused fragment that repeats", document: `{ __typename } fragment f on Query { ` + times(`__typename `, 8000) + `}`, want: "more than 100 times"},
		{
			name: "operations that share a fragment", operation: "q7",
			document: repeat(1000, `query q%d { ...f }`) + `fragment f on Query { ` + repeat(2900, `a%d: __typename`) + `}`, want: "takes too long to check",
		},
		{name: "operations that share a chain", operation: "q7", document: repeat(1000, `query q%d { ...f0 }`) + chain(90), want: "takes too long to check"},
		{name: "a chain of fragments", document: `{ ...f0 } ` + chain(1800), want: "more than 100 times"},
		{name: "an unused chain of fragments", document: `{ __typename } ` + chain(1800), want: "more than 100 times"},
		{name: "fragments in fragments without names", document: `{ ` + times(`... { `, 990) + times(`__typename `, 100) + times(` }`, 991), want: "takes too long to check"},
		{name: "lists in lists", document: `{ ` + repeat(7, `a%d: project(id: `+times(`[`, 990)+times(`]`, 990)+`) { id }`) + `}`, want: "takes too long to check"},
		{name: "objects in objects", document: `mutation { ` + repeat(3, `a%d: createProject(input: `+times(`{input:`, 980)+`1`+times(`}`, 980)+`) { id }`) + `}`, want: "takes too long to check"},
		{name: "unknown directives", document: `{ __typename ` + times(`@a `, 7000) + `}`, want: "directive"},
		{name: "repeated directives", document: `{ __typename ` + times(`@skip(if: true) `, 2000) + `}`, want: "directive"},
		{name: "many arguments", document: `{ ` + times(`project(`+repeat(70, `a%d: 1 `)+`) { id } `, 60) + `}`, want: "takes too long to check"},
		{name: "many members", document: `mutation { ` + times(`createProject(input: {`+repeat(70, `a%d: 1 `)+`}) { id } `, 60) + `}`, want: "takes too long to check"},
		{name: "long names of arguments", document: `{ project(` + repeat(100, `a%d`+times("x", 50_000)+`: 1 `) + `) { id } }`, want: "document is too long"},
		{name: "unknown types", document: `{ __typename } ` + repeat(1500, `fragment f%d on `+times("x", 1000)+` { id }`), want: "Unknown type"},
		{name: "long text of a wrong type", document: `{ ` + repeat(100, `a%d: project(id: "`+times("x", 50_000)+`") { id }`) + `}`, want: "document is too long"},
		{name: "comments", document: `{ __typename ` + times("#\n", 2_500_000) + `}`, want: "document is too long"},
		{name: "a block string", document: `{ project(id: """` + times("\n ", 2_500_000) + `""") { id } }`, want: "document is too long"},
		{name: "variables of their own", document: `query(` + repeat(800, `$a%d: Int = 1`) + `) { ` + repeat(800, `a%d: __typename @skip(if: $a%[1]d)`) + `}`, want: "used in position"},
		{name: "introspection that multiplies", document: `{ __schema { types { ` + repeat(500, `a%d: fields { name type { name kind } }`) + `} } }`, want: "too complex"},
		{name: "introspection that repeats", document: `{ ` + repeat(100, `a%d: __schema { types { fields { name args { name type { name ofType { name } } } } } }`) + `}`, want: "too complex"},
		{name: "introspection that nests", document: `{ __schema { types { fields { type { fields { type { name } } } } } } }`, want: "too complex"},
		{name: "names for one field", document: `{ getPlanDag(projectId: 1) { nodes { ` + repeat(300, `a%d: config`) + `} } }`, want: "PlanDagNode.config at 300 places"},
		{name: "names for nothing", document: `{ getPlanDag(projectId: 1) { nodes { ` + repeat(300, `a%d: __typename`) + `} } }`, want: "PlanDagNode.__typename at 300 places"},
		{name: "names for lists", document: `subscription { planEvents(projectId: 1) { ` + repeat(4, `a%d: operations { b: before c: before d: before }`) + `} }`, want: "PlanOperation.before at 12 places"},
		{name: "many plans", document: `{ ` + repeat(180, `a%d: getPlanDag(projectId: 1) { version }`) + `}`, want: "too complex"},
		{name: "many reads", document: `{ ` + repeat(900, `a%d: project(id: 1) { id }`) + `}`, want: "too complex"},
		{name: "many mutations", document: `mutation { ` + repeat(200, `a%d: deleteProject(id: 1)`) + `}`, want: "too complex"},
		{name: "many edits", document: `mutation($e: [PlanEdit!]!) { ` + repeat(99, `a%d: editPlan(projectId: 1, edits: $e) { version }`) + `}`, members: `,"variables":{"e":[` + times(`{"deleteNode":"a"},`, 499) + `{"deleteNode":"a"}]}`, want: "too complex"},
		{name: "long lists of projects", document: `{ ` + repeat(9, `a%d: projectList(first: 200) { projects { id plan { id } live { people } } }`) + `}`, want: "too complex"},
		{name: "many rooms", document: `{ ` + repeat(100, `a%d: presence(projectId: 1) { userId userName connectionId }`) + `}`, want: "too complex"},
		{name: "variables that nobody declares", document: `{ __typename }`, members: `,"variables":{"a":[` + times("0,", 2_500_000) + `0]}`},
		{name: "a large variable", document: `query($d: PlanDagInput!) { validatePlanDag(planDag: $d) { isValid } }`, members: `,"variables":{"d":[` + times("{},", 1_700_000) + `{}]}`, want: "more than 100000 values"},
		{name: "a variable that is declared often", document: `query(` + times(`$a: [Int!] `, 1500) + `) { __typename }`, members: `,"variables":{"a":[` + times("1,", 90_000) + `1]}`, want: "never used"},
		{name: "a variable for many fields", document: `query($d: PlanDagInput!) { ` + repeat(300, `a%d: validatePlanDag(planDag: $d) { isValid }`) + `}`, members: `,"variables":{"d":` + dag + `}`, want: "more than 100000 values"},
		{name: "a variable in another", document: `query($c: String!) { ` + repeat(10, `a%d: validatePlanDag(planDag: {version: $c metadata: {version: $c} edges: [] nodes: []}) { isValid }`) + `}`, members: `,"variables":{"c":"1"}`},
		{name: "extensions", document: `{ __typename }`, members: `,"extensions":{"a":[` + times("0,", 2_500_000) + `0]}`},
	}
}

func encoded(text string) []byte {
	b, _ := json.Marshal(text) // a text has JSON
	return b
}

// circle is fragments that each spread all.
func circle(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `fragment f%d on Project { %s}`, i, repeat(n, `a%d: plan { project { ...f%[1]d } }`))
	}
	return b.String()
}

// chain is fragments that each spread the next.
func chain(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `fragment f%d on Query { ...f%d }`, i, i+1)
	}
	fmt.Fprintf(&b, `fragment f%d on Query { __typename }`, n)
	return b.String()
}

// Each of them is refused for what it costs, or is cheap now.
func TestAttacks(t *testing.T) {
	t.Parallel()
	s := offline(t)
	for _, a := range attacks() {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			r := s.post(t, bytes.NewReader(a.body()), nil)
			switch {
			case a.want == "":
				if len(r.Errors) > 0 {
					t.Errorf("refused: %.300s", r.Text)
				}
			case r.Code() != "BAD_REQUEST" || !strings.Contains(r.Errors[0].Message, a.want):
				t.Errorf("got %.300s, want %q", r.Text, a.want)
			}
		})
	}
}

// What each of them costs this process, which is server and client.
func BenchmarkAttacks(b *testing.B) {
	s := offline(b)
	for _, a := range attacks() {
		b.Run(a.name, func(b *testing.B) {
			body := a.body()
			start := processTime(b)
			for b.Loop() {
				s.post(b, bytes.NewReader(body), nil)
			}
			b.ReportMetric(float64((processTime(b)-start)/time.Microsecond)/1000/float64(b.N), "cpu-ms/op")
			b.ReportMetric(float64(len(body)), "bytes")
		})
	}
}

// Tools ask for more of the schema than its weight allows, and are answered.
func TestTools(t *testing.T) {
	t.Parallel()
	if out := npmtest.Run(t, "introspection.mjs", "URL="+offline(t).url); !strings.HasSuffix(out, "passed\n") {
		t.Error(out)
	}
}
