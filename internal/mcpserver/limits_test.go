package mcpserver_test

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"layercake/internal/agent"
	"layercake/internal/client"
	"layercake/internal/mcpserver"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/presence"
	"layercake/internal/server"
	"layercake/internal/server/servertest"

	"golang.org/x/sync/errgroup"
)

// An agent whose calls are all that it may have in flight is told to wait, and others notice nothing.
func TestAgentThatFloodsIsRefused(t *testing.T) {
	t.Parallel()
	url := servertest.Start(t, 1, nil)[0].URL
	ask(t, url, newProject)
	flooder := []string{mcpserver.AgentHeader, "Flood", "Accept", "application/json, text/event-stream"}
	for range agent.MaxCalls {
		openThin(t, &net.Dialer{}, http.MethodPost, url+"/mcp", waitingCall, flooder...).await(t, ":")
	}
	var said failed
	flood := connect(t, url+"/mcp", "Flood", nil)
	for range 10 {
		if r := use(t, flood, "get_project", map[string]any{"project_id": 1}, &said); !r.IsError || said.Error.Code != "RATE_LIMITED" ||
			said.Error.RetryAfterMs == 0 || said.Error.Hint == "" {
			t.Fatalf("one call more: %+v", said)
		}
		if r := use(t, connect(t, url+"/mcp", "Other", nil), "get_project", map[string]any{"project_id": 1}, nil); r.IsError {
			t.Fatalf("another agent: %v", r.Content[0])
		}
	}
}

// A project with a thousand agents is full for the next one, whose calls work all the same.
func TestProjectFullOfAgents(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	replica := servertest.StartOn(t, database, 1, func(c *server.Config) { c.AdminAddr = "127.0.0.1:0" })[0]
	ask(t, replica.URL, newProject)
	one := client.New(replica.URL)
	defer one.Close()
	var calling errgroup.Group
	calling.SetLimit(16)
	for n := range presence.MaxPeople {
		calling.Go(func() error { return lookAt(t, one, fmt.Sprint("Agent ", n)) })
	}
	if err := calling.Wait(); err != nil {
		t.Fatal(err)
	}
	db := pgtest.Connect(t, database)
	const here = "SELECT count(*) FROM layercake.who WHERE is_agent AND user_name LIKE "
	pgtest.AwaitCount(t, db, presence.MaxPeople, here+"'Agent %'")
	late := connect(t, replica.URL+"/mcp", "Latecomer", nil)
	edit := map[string]any{"project_id": 1, "operations": []any{map[string]any{"op": "add_node", "node_type": "GraphNode"}}}
	if r := use(t, late, "edit_plan", edit, nil); r.IsError {
		t.Errorf("an edit in a full project: %v", r.Content[0])
	}
	var people struct{ Count int }
	use(t, late, "who_is_here", map[string]any{"project_id": 1}, &people)
	eventually(t, "the agent to be kept out", func() bool {
		metrics, err := client.Metrics(t.Context(), replica.Admin)
		return err == nil && metrics["layercake_presence_refused_guests_total"] > 0
	})
	if n := pgtest.Count(t, db, here+"'Latecomer'"); n != 0 || people.Count != presence.MaxPeople {
		t.Errorf("the latecomer is there %d times, among %d", n, people.Count)
	}
}

// lookAt is a call by which an agent comes into the first project.
func lookAt(t *testing.T, c *client.Client, agent string) error {
	body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_project","arguments":{"project_id":1}}}`
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.URL()+"/mcp", strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set(mcpserver.AgentHeader, agent)
	answer, err := c.Send(r)
	if err == nil && !strings.Contains(string(answer.Text), `"plan_id"`) {
		err = fmt.Errorf("%s: %s", agent, answer.Text)
	}
	return err
}
