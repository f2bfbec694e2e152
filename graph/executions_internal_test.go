package graph

import (
	"testing"

	"layercake/internal/executor"
)

func TestOutcomeText(t *testing.T) {
	t.Parallel()
	built, cancelled, open := executor.NodeState{State: "completed"}, executor.NodeState{State: "not_started"}, executor.NodeState{State: "pending"}
	for want, o := range map[string]executor.Outcome{
		"Everything is current, so there is nothing to build": {Done: true},
		"The graph is built":                                          {Done: true, Nodes: []executor.NodeState{built}},
		"2 graphs are built":                                          {Done: true, Nodes: []executor.NodeState{built, built}},
		"1 of 2 graphs are built; building goes on":                   {Nodes: []executor.NodeState{built, open}},
		"0 of 1 graphs are built; what was cancelled stays as it was": {Done: true, Nodes: []executor.NodeState{cancelled}},
	} {
		if got := outcomeText(o); got != want {
			t.Errorf("%+v is told as %q, want %q", o, got, want)
		}
	}
	current := executor.Outcome{Current: true, Done: true, Nodes: []executor.NodeState{built, built}}
	if got := outcomeText(current); got != outcomeText(executor.Outcome{Done: true}) {
		t.Errorf("%+v is told as %q", current, got)
	}
}
