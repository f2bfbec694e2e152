package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"layercake/internal/client"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server"
	"layercake/internal/server/servertest"
)

// awaitUpdate waits for the update of a resource.
func awaitUpdate(t *testing.T, updates <-chan string, want string) {
	t.Helper()
	select {
	case got := <-updates:
		if got != want {
			t.Errorf("%s was updated, want %s", got, want)
		}
	case <-time.After(pgtest.Patience):
		t.Fatal("no update came")
	}
}

// awaitEnd waits until an agent has lost its replica.
func awaitEnd(t *testing.T, a *client.Agent) {
	t.Helper()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		a.Wait()
	}()
	select {
	case <-ended:
	case <-time.After(pgtest.Patience):
		t.Fatal("the agent still hopes")
	}
}

func TestAgents(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	replicas := servertest.StartOn(t, database, 2, nil)
	here, there := client.New(replicas[0].URL), client.New(replicas[1].URL)
	t.Cleanup(here.Close)
	t.Cleanup(there.Close)
	for _, era := range client.Eras {
		t.Run(string(era), func(t *testing.T) {
			t.Parallel()
			ctx, conn := within(t), pgtest.Connect(t, database)
			updates := make(chan string, 100)
			a, err := here.Agent(ctx, "agent of "+string(era), era, func(uri string) { updates <- uri })
			if err != nil {
				t.Fatal(err)
			}
			defer a.Close()
			var project struct{ ID int }
			if err := a.Call(ctx, "create_project", map[string]any{"name": "Tea"}, &project); err != nil || project.ID == 0 {
				t.Fatalf("project %d, %v", project.ID, err)
			}
			uri := fmt.Sprintf("layercake://projects/%d/plan", project.ID)
			if err := a.Subscribe(ctx, uri); err != nil {
				t.Fatal(err)
			}
			b, err := there.Agent(ctx, "another agent of "+string(era), era, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			if err := b.Call(ctx, "edit_plan", map[string]any{
				"project_id": project.ID, "operations": []any{map[string]any{"op": "add_node", "node_type": "GraphNode"}},
			}, nil); err != nil {
				t.Fatal(err)
			}
			awaitUpdate(t, updates, uri)

			var refused *client.Refusal
			if err := b.Call(ctx, "get_project", map[string]any{"project_id": 1_000_000}, nil); !errors.As(err, &refused) ||
				refused.Code() != "NOT_FOUND" || refused.Message == "" {
				t.Errorf("a project that is not there: %v", err)
			}
			if err := a.Subscribe(ctx, "layercake://nothing"); err == nil {
				t.Error("subscribed to a resource that is not there")
			}

			waiter, err := there.Agent(ctx, "waiting agent of "+string(era), era, nil)
			if err != nil {
				t.Fatal(err)
			}
			waits := make(chan error)
			go func() {
				waits <- waiter.Call(ctx, "list_changes", map[string]any{"project_id": project.ID, "wait_seconds": 50}, nil)
			}()
			pgtest.AwaitCount(t, conn, 1, "SELECT count(*) FROM presence WHERE user_name = $1", "waiting agent of "+string(era))
			waiter.Close()
			if err := <-waits; err == nil {
				t.Error("a call of an agent that was closed succeeded")
			}
		})
	}
}

func TestAgentThatPostsToAnotherReplica(t *testing.T) {
	t.Parallel()
	ctx := within(t)
	replicas := servertest.Start(t, 2, func(cfg *server.Config) { cfg.AdminAddr = "127.0.0.1:0" })
	here, there := client.New(replicas[0].URL), client.New(replicas[1].URL)
	t.Cleanup(here.Close)
	t.Cleanup(there.Close)
	a, err := here.AgentPosting(ctx, "a", there)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if err := a.Call(ctx, "describe_node_types", nil, nil); err != nil {
		t.Fatal(err)
	}
	stored, err := client.Metrics(ctx, replicas[1].Admin)
	if err != nil {
		t.Fatal(err)
	}
	if n := stored["layercake_mcp_inbox_messages_total"]; n == 0 {
		t.Error("no message came to the other replica")
	}
}

func TestAgentsLoseTheirReplica(t *testing.T) {
	t.Parallel()
	for _, era := range []client.Era{client.Stateless, client.Events} { // that of sessions comes back
		t.Run(string(era), func(t *testing.T) {
			t.Parallel()
			ctx := within(t)
			replica := servertest.Start(t, 1, nil)[0]
			c := client.New(replica.URL)
			defer c.Close()
			id, err := c.CreateProject(ctx, "Tea")
			if err != nil {
				t.Fatal(err)
			}
			a, err := c.Agent(ctx, "a", era, func(string) {})
			if err != nil {
				t.Fatal(err)
			}
			defer a.Close()
			if err := a.Subscribe(ctx, fmt.Sprintf("layercake://projects/%d/plan", id)); err != nil {
				t.Fatal(err)
			}
			late, err := c.Agent(ctx, "b", era, func(string) {})
			if err != nil {
				t.Fatal(err)
			}
			defer late.Close()
			replica.Stop(t)
			awaitEnd(t, a)
			if err := late.Subscribe(ctx, fmt.Sprintf("layercake://projects/%d/plan", id)); err == nil || ctx.Err() != nil {
				t.Errorf("a subscription at a replica that has gone: %v", err)
			}
		})
	}
}

func TestAgentsMayNotListen(t *testing.T) {
	t.Parallel()
	ctx := within(t)
	c := client.New(servertest.Start(t, 1, func(cfg *server.Config) { cfg.MaxSockets = 1 })[0].URL)
	t.Cleanup(c.Close)
	first, err := c.Agent(ctx, "a", client.Events, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	second, err := c.Agent(ctx, "b", client.Stateless, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if err := second.Subscribe(ctx, "layercake://projects/1/plan"); err == nil || ctx.Err() != nil {
		t.Errorf("a second stream where there may be one: %v", err)
	}
}

func TestAgentOfWhatIsNoReplica(t *testing.T) {
	t.Parallel()
	c := connect(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "nothing here", http.StatusNotFound) })
	for _, era := range client.Eras {
		if a, err := c.Agent(within(t), "a", era, nil); err == nil {
			a.Close()
			t.Errorf("%s: connected", era)
		}
	}
	silent := connect(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then is the context that of the connection
		<-r.Context().Done()
	})
	for _, era := range client.Eras {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := silent.Agent(ctx, "a", era, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", era, err)
		}
	}
}
