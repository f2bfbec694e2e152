package graph_test

import (
	"fmt"
	"strings"
	"testing"

	"layercake/internal/auth"
	"layercake/internal/plan"

	"github.com/google/go-cmp/cmp"
)

// build tells a state of a node's graph, as the executor does.
func (s *site) build(t *testing.T, project int, node, state string) {
	t.Helper()
	e := &plan.Execution{Graph: &plan.GraphExecution{GraphID: 7, NodeCount: 4, EdgeCount: 2, ExecutionState: state}}
	if state == "" {
		e = nil
	}
	change := plan.Change{Via: "job", Edits: []plan.Edit{plan.SetExecution{NodeID: node, Execution: e}}}
	if _, err := s.plans.Change(t.Context(), auth.Unchecked(auth.Actor{ID: "system", Kind: auth.KindSystem, Name: "Layercake"}, int32(project)), change); err != nil {
		t.Fatal(err)
	}
}

// Every kind of subscription tells the states of executions, and shows them with nodes that change otherwise.
func TestSubscriptionsTellExecutions(t *testing.T) {
	t.Parallel()
	s := online(t)
	p := s.newProject(t)
	s.call(t, "AddPlanDagNode", vars{"projectId": p, "node": nodeInput("a", "GraphNode")}, new(any))
	const execution = `graphExecution { graphId executionState }`
	documents := map[string]string{
		"update": fmt.Sprintf(`subscription { planDagUpdated(planId: "project_%d") { updateType data { node { id position { x } %s } } } }`, p, execution),
		"collaboration": fmt.Sprintf(
			`subscription { collaborationEvents(planId: "project_%d") { eventType data { nodeEvent { node { id position { x } %s } } } } }`, p, execution),
		"event": fmt.Sprintf(`subscription { planEvents(projectId: %d, after: %q) { operations { kind id index after } } }`, p, s.cursor(t, p)),
		"delta": fmt.Sprintf(`subscription { planDagDeltaChanged(projectId: %d, after: %q) { operations { op path value } } }`, p, s.cursor(t, p)),
	}
	heard := make(map[string]func(text string) string)
	for name, document := range documents {
		c := s.dial(t, nil)
		follow(t, c, "1", document)
		heard[name] = func(text string) string { return hearUntil(t, c, text) }
	}
	move := func(x int) {
		s.call(t, "MovePlanDagNode", vars{"projectId": p, "nodeId": "a", "position": vars{"x": x, "y": 0}}, new(any))
	}
	for _, name := range []string{"update", "collaboration"} { // they have no cursor: they have begun once they show a change
		begun := make(chan struct{})
		go func() { defer close(begun); _ = heard[name](`"x":-`) }()
		for x := -1; !closed(begun); x-- {
			move(x)
		}
	}
	s.build(t, p, "a", "pending")
	move(5)
	for name, texts := range map[string][2]string{
		"update":        {`"NODE_UPDATED","data":{"node":{"id":"a"`, ``},
		"collaboration": {`"NODE_UPDATED","data":{"nodeEvent":{"node":{"id":"a"`, ``},
		"event":         {`{"kind":"EXECUTION_CHANGED","id":"a","index":0,"after":{"graphId":7,"nodeCount":4,"edgeCount":2,"executionState":"pending"`, `"x":5`},
		"delta":         {`{"op":"ADD","path":"/nodes/0/graphExecution","value":{"graphId":7,"nodeCount":4,"edgeCount":2,"executionState":"pending"`, `"value":5`},
	} {
		const pending = `"graphExecution":{"graphId":7,"executionState":"pending"}`
		if texts[1] == "" {
			texts[1] = `"position":{"x":5},` + pending
			if got := heard[name](pending); !strings.Contains(got, texts[0]) {
				t.Errorf("%s: %s", name, got)
			}
		} else {
			_ = heard[name](texts[0])
		}
		_ = heard[name](texts[1]) // or the test waits in vain
	}
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// States are not a part of the history unless somebody asks for them, and no edit is refused because of them.
func TestExecutionsInHistory(t *testing.T) {
	t.Parallel()
	s := online(t)
	p := s.newProject(t)
	s.call(t, "AddPlanDagNode", vars{"projectId": p, "node": nodeInput("a", "GraphNode")}, new(any))
	for _, state := range []string{"pending", "completed"} {
		s.build(t, p, "a", state)
	}
	var out struct {
		PlanHistory struct{ Changes []struct{ Summary string } }
	}
	for all, want := range map[bool]string{false: "added node a", true: "changed execution a, changed execution a, added node a"} {
		s.must(t, &out, `query ($p: Int!, $all: Boolean) { planHistory(projectId: $p, all: $all) { changes { summary } } }`, vars{"p": p, "all": all})
		var got []string
		for _, c := range out.PlanHistory.Changes {
			got = append(got, c.Summary)
		}
		if diff := cmp.Diff(want, strings.Join(got, ", ")); diff != "" {
			t.Errorf("all: %t (-want +got):\n%s", all, diff)
		}
	}
	s.must(t, nil, `mutation ($p: Int!) { movePlanDagNode(projectId: $p, nodeId: "a", position: { x: 1, y: 1 }, expectedVersion: 1) { id } }`, vars{"p": p})
	if r := s.ask(t, `mutation ($p: Int!) { undoChange(projectId: $p, version: 2) { version } }`, vars{"p": p}); r.Code() != "BAD_REQUEST" {
		t.Errorf("a state was undone: %s", r.Text)
	}
}
