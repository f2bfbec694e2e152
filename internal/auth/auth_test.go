package auth_test

import (
	"testing"

	"layercake/internal/auth"
)

// An agent is known again by its key, under any name, and is nobody else.
func TestAgent(t *testing.T) {
	t.Parallel()
	a, renamed, other := auth.Agent("planner 10.0.0.7", "Planner"), auth.Agent("planner 10.0.0.7", "Planner 2"), auth.Agent("planner 10.0.0.8", "Planner")
	if a.ID != renamed.ID || a.ID == other.ID || a.ID == auth.Anonymous("planner 10.0.0.7").ID {
		t.Errorf("ids are %s, renamed %s, from elsewhere %s", a.ID, renamed.ID, other.ID)
	}
	if a.Kind != auth.KindAgent || a.Name != "Planner" {
		t.Errorf("got %+v", a)
	}
}

// Operation ids are an actor's own only when it is sure to be the same the next time.
func TestOpActor(t *testing.T) {
	t.Parallel()
	for want, actor := range map[string]auth.Actor{
		"ann":    {ID: "ann", Kind: "user"},
		"server": {ID: "server", Kind: auth.KindSystem},
	} {
		if got := actor.OpActor(); got != want {
			t.Errorf("OpActor of %+v = %q, want %q", actor, got, want)
		}
	}
	for _, actor := range []auth.Actor{auth.Anonymous("tab"), auth.Agent("key", "Agent")} {
		if got := actor.OpActor(); got != "" {
			t.Errorf("OpActor of %+v = %q, want none", actor, got)
		}
	}
}
