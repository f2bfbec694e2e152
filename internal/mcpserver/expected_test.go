package mcpserver_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"layercake/internal/executor"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server"
	"layercake/internal/server/servertest"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// An agent that names the version it saw is refused when somebody edited the plan since, and never because of the states of builds.
func TestExpectedVersionBesideBuilds(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	held := make(chan struct{})
	release := sync.OnceFunc(func() { close(held) })
	defer release() // before replicas stop, which wait for their builds
	replicas := servertest.StartOn(t, database, 2, func(c *server.Config) {
		c.BuildTiming = executor.DefaultTiming
		c.BuildTiming.Shown = time.Millisecond
		c.Reached = func(_ context.Context, p executor.Point, _ int32, node string) {
			if p == executor.Computed && node == "merged" {
				<-held
			}
		}
	})
	ada, bob := connect(t, replicas[0].URL+"/mcp", "Ada", nil), connect(t, replicas[1].URL+"/mcp", "Bob", nil)
	tables := newGraph(t, ada, 5)
	type answer struct {
		failed

		Applied bool
		Version int
	}
	edit := func(agent *mcp.ClientSession, expected int, mode string, operations ...map[string]any) (got answer) {
		t.Helper()
		use(t, agent, "edit_plan", map[string]any{"project_id": 1, "expected_version": expected, "mode": mode, "operations": operations}, &got)
		return got
	}
	add := func(id string) map[string]any {
		return map[string]any{"op": "add_node", "id": id, "node_type": "MergeNode", "label": id}
	}
	var seen answer
	use(t, ada, "edit_plan", map[string]any{"project_id": 1, "operations": []map[string]any{
		add("merged"), {"op": "add_edge", "source": tables.DataSources[0].NodeID, "target": "merged"},
	}}, &seen)
	if !seen.Applied {
		t.Fatalf("%+v", seen)
	}
	conn := pgtest.Connect(t, database)
	const inState = "SELECT count(*) FROM graphs WHERE node_id = 'merged' AND state = $1"
	use(t, bob, "execute_plan", map[string]any{"plan_id": 1, "wait_seconds": 0}, nil)
	pgtest.AwaitCount(t, conn, 1, inState, "processing")
	started := edit(ada, seen.Version, "dry_run", add("late"))
	release()
	pgtest.AwaitCount(t, conn, 1, inState, "completed")
	if started.Error.Code != "" || started.Version <= seen.Version {
		t.Errorf("the plan is at version %d, and the build began at %+v", seen.Version, started)
	}
	for _, mode := range []string{"dry_run", "apply"} {
		got := edit(ada, seen.Version, mode, map[string]any{"op": "move_node", "id": "merged", "x": 1, "y": 2})
		if got.Error.Code != "" || got.Applied != (mode == "apply") {
			t.Errorf("%s beside states: %+v", mode, got)
		}
	}
	if got := edit(ada, seen.Version, "apply", add("late")); got.Error.Code != "CONFLICT" {
		t.Errorf("an edit of somebody else since is no conflict: %+v", got)
	}

	// Both edit in turns, each with the version of the edit before, while what is stale is asked for and built.
	use(t, ada, "edit_plan", map[string]any{"project_id": 1, "operations": []map[string]any{add("last")}}, &seen)
	version := seen.Version
	for i := range 40 {
		use(t, bob, "execute_plan", map[string]any{"plan_id": 1, "wait_seconds": 0}, nil)
		strategy := []string{"Union", "Difference"}[i%2]
		got := edit([]*mcp.ClientSession{ada, bob}[i%2], version, "apply",
			map[string]any{"op": "update_node", "id": "merged", "config": map[string]any{"mergeStrategy": strategy}},
			add(fmt.Sprint("n", i)))
		if !got.Applied {
			t.Fatalf("edit %d: %+v", i, got)
		}
		version = got.Version
	}
	const between = "SELECT count(*) FROM events WHERE version > $1"
	if n := pgtest.Count(t, conn, between, seen.Version); n < 2*40 {
		t.Errorf("%d events: there were not always states between two edits", n)
	}
}
