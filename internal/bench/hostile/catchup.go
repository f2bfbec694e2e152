package hostile

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"layercake/internal/client"
)

// Readers and writers who come from far behind, and make replicas read the log.
var catchUpAttacks = []attack{
	{
		name: "watchers-behind", threat: "C9", summary: "80 watchers resume at once, 400 events of 40 kB behind",
		prepare: (*assault).makeHistory, do: (*assault).resume, lasts: 3 * time.Second,
	},
	{
		name: "merges-behind", threat: "C9", summary: "30 whole plans are submitted at once, 400 events of 40 kB behind",
		prepare: (*assault).makeHistory, do: (*assault).mergeBehind, lasts: 3 * time.Second,
	},
}

const (
	historyLength = 400
	historyConfig = 20_000 // bytes of a config, which is in an event before and after
)

// makeHistory makes a project with a long log, in the name of honest people.
func (a *assault) makeHistory(ctx context.Context) (err error) {
	if a.history, err = a.honest.storm.CreateProject(ctx, "a long history"); err != nil {
		return err
	}
	config := func(n int) string { return fmt.Sprintf("{%q:%q}", fmt.Sprint(n), strings.Repeat("x", historyConfig)) }
	first := func(int) client.Request {
		return client.Request{
			Query:     `mutation($id: Int!, $node: PlanDagNodeInput!) { addPlanDagNode(projectId: $id, node: $node) { id } }`,
			Variables: map[string]any{"id": a.history, "node": graphNode("n", "n", config(-1))},
		}
	}
	if err := a.change(ctx, 1, first); err != nil {
		return err
	}
	if a.beginning, err = a.honest.storm.Cursor(ctx, a.history, 0); err != nil {
		return err
	}
	return a.change(ctx, historyLength, func(n int) client.Request {
		return client.Request{
			Query: `mutation($id: Int!, $config: String!) {
				updatePlanDagNode(projectId: $id, nodeId: "n", updates: {config: $config}) { id } }`,
			Variables: map[string]any{"id": a.history, "config": config(n)},
		}
	})
}

func (a *assault) resume(ctx context.Context) error {
	q := client.Request{
		Query:     `subscription($id: Int!, $after: String) { planEvents(projectId: $id, after: $after) { version snapshot } }`,
		Variables: map[string]any{"id": a.history, "after": a.beginning},
	}
	together(80, func(i int) {
		socket, err := dialer.GraphQL(ctx, a.urls[i%len(a.urls)])
		if err != nil {
			a.sent(openFailure(err))
			return
		}
		err = socket.Follow(ctx, q, func(json.RawMessage) error {
			a.sent("event")
			return nil
		})
		if ctx.Err() == nil {
			a.sent(fmt.Sprintf("ended: %v", err))
		}
	})
	return nil
}

func (a *assault) mergeBehind(ctx context.Context) error {
	c := a.http()
	version, _, _ := strings.Cut(a.beginning[strings.LastIndexByte(a.beginning, '.')+1:], "~")
	body := document(`mutation($id: Int!, $plan: PlanDagInput!) { updatePlanDag(projectId: $id, planDag: $plan) { version } }`, map[string]any{
		"id": a.history, "plan": map[string]any{
			"version": version, "edges": []any{}, "metadata": map[string]any{"version": version},
			"nodes": []any{graphNode("other", "other", "{}")},
		},
	})
	together(30, func(i int) {
		_, _ = a.post(ctx, c, i, body) // it is counted
	})
	return nil
}
