package graph_test

import (
	"fmt"
	"strings"
	"testing"
)

// Who follows the builds of a project sees what is so now, and then a build until it has ended. A build that fails says why.
func TestExecutions(t *testing.T) {
	t.Parallel()
	s := online(t)
	p := s.newProject(t)
	s.upload(t, p, "nodes", "id,label\na,A\n")
	from := s.dag(t, p).Nodes[0]["id"].(string)
	var node any
	for i, id := range []string{"good", "bad"} {
		s.call(t, "AddPlanDagNode", vars{"projectId": p, "node": nodeInput(id, []string{"GraphNode", "TransformNode"}[i])}, &node)
	}
	s.call(t, "UpdatePlanDagNode", vars{"projectId": p, "nodeId": "bad", "updates": vars{"config": `{"transformType":"Nonsense"}`}}, &node)
	s.call(t, "AddPlanDagEdge", vars{"projectId": p, "edge": edgeInput("e1", from, "good")}, &node)
	s.call(t, "AddPlanDagEdge", vars{"projectId": p, "edge": edgeInput("e2", "good", "bad")}, &node)

	c := s.dial(t, nil)
	follow(t, c, "1", fmt.Sprintf(`subscription { executions(projectId: %d) {
		projectId nodeId graphId state phase done total attempt replica errorMessage timestamp } }`, p))
	var done struct{ Success bool }
	s.call(t, "ExecuteNode", vars{"projectId": p, "nodeId": "good"}, &done)
	if got := hearUntil(t, c, `"state":"completed"`); !strings.Contains(got, `"nodeId":"good"`) || !done.Success {
		t.Errorf("heard %s", got)
	}
	r := s.call(t, "ExecuteNode", vars{"projectId": p, "nodeId": "bad"}, nil)
	if r.Code() != "BAD_REQUEST" || !strings.HasPrefix(r.Errors[0].Message, "Failed to execute node: ") || !strings.Contains(r.Errors[0].Message, "Nonsense") {
		t.Errorf("executed: %s", r.Text)
	}
	if got := hearUntil(t, c, `"state":"error"`); !strings.Contains(got, `"nodeId":"bad"`) || !strings.Contains(got, "Nonsense") {
		t.Errorf("heard %s", got)
	}
	second := s.dial(t, nil)
	follow(t, second, "1", fmt.Sprintf(`subscription { executions(projectId: %d) { nodeId state } }`, p))
	if now := hear(t, second) + hear(t, second); !strings.Contains(now, "completed") || !strings.Contains(now, "error") {
		t.Errorf("at once: %s", now)
	}
	for _, what := range []string{"", `, nodeId: "good"`} {
		var data struct{ CancelExecution bool }
		s.must(t, &data, fmt.Sprintf(`mutation { cancelExecution(projectId: %d%s) }`, p, what), nil)
		if data.CancelExecution {
			t.Errorf("it cancelled something%s", what)
		}
	}
	if r := s.ask(t, fmt.Sprintf(`mutation { cancelExecution(projectId: %d, nodeId: "") }`, p), nil); r.Code() != "BAD_REQUEST" {
		t.Errorf("of a node without an id: %s", r.Text)
	}
	if r := s.ask(t, `mutation { cancelExecution(projectId: 99) }`, nil); r.Code() != "NOT_FOUND" {
		t.Errorf("of no project: %s", r.Text)
	}
	lost := s.dial(t, nil)
	follow(t, lost, "1", `subscription { executions(projectId: 99) { nodeId } }`)
	if got := hear(t, lost); !strings.Contains(got, "NOT_FOUND") {
		t.Errorf("of no project: %s", got)
	}
}
