package graph_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// Variables of another type than declared were taken for what they look like, or refused with a number that nobody sent.
func TestVariablesAreCoerced(t *testing.T) {
	t.Parallel()
	s := online(t)
	p := s.newProject(t)
	const (
		read = `query($v: Int!) { getPlanDag(projectId: $v) { version } }`
		move = `mutation($v: Float!) { movePlanDagNode(projectId: 1, nodeId: "a", position: {x: $v, y: 0}) { id } }`
		name = `mutation($v: String!) { createProject(input: {name: $v}) { id } }`
		add  = `mutation($v: PlanDagNodeInput!) { addPlanDagNode(projectId: 1, node: $v) { id } }`
	)
	node := func(part, value string) string {
		parts := map[string]json.RawMessage{
			"id": json.RawMessage(`"a"`), "nodeType": json.RawMessage(`"GraphNode"`), "position": json.RawMessage(`{"x": 1, "y": 1}`),
			"metadata": json.RawMessage(`{"label": "A"}`), "config": json.RawMessage(`"{}"`),
		}
		parts[part] = json.RawMessage(value)
		return jsonOf(t, parts)
	}
	cases := []struct{ document, value, want string }{ // want: in the message; "" when it is accepted
		{read, fmt.Sprint(p), ""},
		{read, fmt.Sprintf("%d.0", p), ""},
		{read, fmt.Sprintf(`"%d"`, p), fmt.Sprintf(`Variable v: cannot use "%d" as Int`, p)},
		{read, `1.5`, `Variable v: cannot use 1.5 as Int`},
		{read, `3000000000`, `Variable v: cannot use 3000000000 as Int`},
		{move, `"5"`, `Variable v: cannot use "5" as Float`},
		{name, `5`, `Variable v: cannot use 5 as String`},
		{add, node("id", `5`), `Variable v.id: cannot use 5 as String`},
		{add, node("nodeType", `"graphnode"`), `Variable v.nodeType: cannot use "graphnode" as PlanDagNodeType`},
		{add, node("position", `{"x": "1", "y": 1}`), `Variable v.position.x: cannot use "1" as Float`},
		{add, node("id", `"b"`), ""},
		// What is wrong with the document comes first.
		{`query($v: Int!) { getPlanDag(projectId: $v) { nothing } }`, `"1"`, `Cannot query field "nothing"`},
	}
	for _, c := range cases {
		for range 2 { // the second one is asked of the cache
			r := s.post(t, strings.NewReader(fmt.Sprintf(`{"query": %s, "variables": {"v": %s}}`, jsonOf(t, c.document), c.value)), nil)
			switch {
			case c.want == "" && r.Code() != "" && !strings.Contains(string(r.Text), "already exists"): // the node, the second time
				t.Errorf("%s with %s: %s", c.document, c.value, r.Text)
			case c.want != "" && (r.Code() != "BAD_REQUEST" || !strings.Contains(r.Errors[0].Message, c.want)):
				t.Errorf("%s with %s: %s, want %q", c.document, c.value, r.Text, c.want)
			}
		}
	}
}
