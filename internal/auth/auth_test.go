package auth_test

import (
	"testing"

	"layercake/internal/auth"
)

// An agent is known again by its key, under any name, and is nobody else.
func TestAgent(t *testing.T) {
	t.Parallel()
	a, renamed, other := auth.Agent("planner 10.0.0.7", "p", "Planner"), auth.Agent("planner 10.0.0.7", "p", "Planner 2"), auth.Agent("planner 10.0.0.8", "p", "Planner")
	if a.ID != renamed.ID || a.ID == other.ID || a.ID == auth.Anonymous("planner 10.0.0.7").ID {
		t.Errorf("ids are %s, renamed %s, from elsewhere %s", a.ID, renamed.ID, other.ID)
	}
	if a.Kind != auth.KindAgent || a.Name != "Planner" {
		t.Errorf("got %+v", a)
	}
}

// Operation ids are an actor's own only when it is sure to be the same the next time.
func TestIs(t *testing.T) {
	t.Parallel()
	first, second := auth.Agent("planner, session 1", "planner 10.0.0.7", "Planner"), auth.Agent("planner, session 2", "planner 10.0.0.7", "Planner")
	elsewhere := auth.Agent("planner, session 3", "planner 10.0.0.8", "Planner")
	for name, c := range map[string]struct {
		a, b auth.Actor
		want bool
	}{
		"one actor":                       {first, first, true},
		"an agent in two sessions":        {first, second, true},
		"agents of one name, two places":  {first, elsewhere, false},
		"two people":                      {auth.Anonymous("a"), auth.Anonymous("b"), false},
		"a person with the agent's name":  {first, auth.Actor{ID: "ann", Name: "Planner"}, false},
		"an agent of a release before us": {first, auth.Actor{ID: second.ID, Kind: auth.KindAgent, Name: "Planner"}, false},
	} {
		if c.a.Is(c.b) != c.want || c.b.Is(c.a) != c.want {
			t.Errorf("%s: not %t", name, c.want)
		}
	}
}

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
	for _, actor := range []auth.Actor{auth.Anonymous("tab"), auth.Agent("key", "key", "Agent")} {
		if got := actor.OpActor(); got != "" {
			t.Errorf("OpActor of %+v = %q, want none", actor, got)
		}
	}
}
