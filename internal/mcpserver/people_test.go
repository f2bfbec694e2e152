package mcpserver_test

import (
	"testing"

	"layercake/internal/postgres/pgtest"
	"layercake/internal/server/servertest"
)

// An agent is in the projects that its calls name, at the node that it touched last, on every replica and for DBAs.
func TestAgentsAreSeen(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	replicas := servertest.StartOn(t, database, 2, nil)
	ask(t, replicas[0].URL, newProject)
	agent, other := connect(t, replicas[0].URL+"/mcp", "Robo", nil), connect(t, replicas[1].URL+"/mcp?read_only=true", "Watcher", nil)
	use(t, agent, "edit_plan", map[string]any{"project_id": 1, "operations": []any{
		map[string]any{"op": "add_node", "id": "n", "node_type": "GraphNode", "x": 7, "y": 8},
	}}, nil)
	var here struct {
		People []struct {
			Name, DocumentID, NodeID string
			IsAgent                  bool
			ConnectionID             string `json:"connection_id"`
		}
	}
	admin := pgtest.Connect(t, database)
	pgtest.AwaitTexts(t, admin, []string{"Robo canvas plan-dag-canvas n 7 8"}, `SELECT concat_ws(' ', user_name, cursor ->> 'type', document_id,
		selected_node_id, cursor ->> 'x', cursor ->> 'y') FROM layercake.who WHERE is_agent AND transport = 'mcp' AND document_id IS NOT NULL`)
	eventually(t, "both to see each other", func() bool {
		use(t, other, "who_is_here", map[string]any{"project_id": 1}, &here)
		return len(here.People) == 2
	})
	use(t, agent, "set_presence", map[string]any{"project_id": 1, "leave": true}, nil)
	eventually(t, "the agent to have left", func() bool {
		use(t, other, "who_is_here", map[string]any{"project_id": 1}, &here)
		return len(here.People) == 1 && here.People[0].Name == "Watcher"
	})
	pgtest.AwaitTexts(t, admin, []string{"1 agent mcp Robo"},
		"SELECT concat_ws(' ', version, actor_kind, via, actor_name) FROM layercake.plan_history WHERE project_id = 1")
	for name, arguments := range map[string]map[string]any{
		"two places":    {"project_id": 1, "node_id": "n", "x": 1, "y": 2},
		"half of one":   {"project_id": 1, "x": 1},
		"left and here": {"project_id": 1, "leave": true, "node_id": "n"},
	} {
		var said failed
		if use(t, agent, "set_presence", arguments, &said); said.Error.Code != "BAD_REQUEST" {
			t.Errorf("%s: %+v", name, said)
		}
	}
	var said failed
	if use(t, agent, "set_presence", map[string]any{"project_id": 1, "node_id": "m"}, &said); said.Error.Code != "NOT_FOUND" {
		t.Errorf("a node that is not there: %+v", said)
	}
	for _, arguments := range []map[string]any{{"project_id": 2, "node_id": "n"}, {"project_id": 2, "x": 1, "y": 2}, {"project_id": 2}} {
		if use(t, agent, "set_presence", arguments, &said); said.Error.Code != "NOT_FOUND" || said.Error.Message != "Project not found" {
			t.Errorf("a project that is not there: %+v", said)
		}
	}
}
