package mcpserver

import (
	"testing"

	"layercake/internal/executor"
)

func TestStatusOfExecutions(t *testing.T) {
	t.Parallel()
	built, cancelled := executor.NodeState{State: "completed"}, executor.NodeState{State: "not_started"}
	for want, o := range map[string]executor.Outcome{
		"completed": {Done: true, Nodes: []executor.NodeState{built}},
		"running":   {Nodes: []executor.NodeState{built, {State: "processing"}}},
		"cancelled": {Done: true, Nodes: []executor.NodeState{built, cancelled}},
		"failed":    {Done: true, Nodes: []executor.NodeState{built, {State: "error"}, cancelled}},
	} {
		if got := executionOf(1, o); got.Status != want {
			t.Errorf("%+v has the status %s (%s), want %s", o, got.Status, got.Message, want)
		}
	}
}
