package hostile

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"layercake/internal/client"
)

// Readers of the past, and writers who take back what is large: all of it makes replicas read the log.
var pastAttacks = []attack{
	{
		name: "past-many", threat: "C9",
		summary: "80 clients ask for the plan at 80 versions at once, in a log of 400 events of 40 kB",
		prepare: (*assault).makeHistory, do: (*assault).askForThePast, lasts: 4 * time.Second,
	},
	{
		name: "diffs-whole", threat: "C9",
		summary: "30 clients compare the ends of such a log at once, each from another version",
		prepare: (*assault).makeHistory, do: (*assault).compareEnds, lasts: 4 * time.Second,
	},
	{
		name: "history-searched", threat: "C9",
		summary: "30 clients at once look for elements that no change touched, or page through the others",
		prepare: (*assault).makeHistory, do: (*assault).searchHistory, lasts: 4 * time.Second,
	},
	{
		name: "undos-huge", threat: "C9",
		summary: "40 clients at once take back the removal of a plan of 9 MB, or ask what that would be, under 8 names",
		prepare: (*assault).removeLargePlan, do: (*assault).takeBackRemoval, lasts: 4 * time.Second,
	},
}

// askAtOnce sends many questions at once, to one replica after the other.
func (a *assault) askAtOnce(ctx context.Context, times int, question func(n int) []byte) {
	c := a.http()
	together(times, func(i int) {
		_, _ = a.post(ctx, c, i, question(i)) // it is counted
	})
}

func (a *assault) askForThePast(ctx context.Context) error {
	a.askAtOnce(ctx, 80, func(i int) []byte {
		return document(`query($id: Int!, $version: Int!) { planAt(projectId: $id, version: $version) { nodes { id config } } }`,
			map[string]any{"id": a.history, "version": i * historyLength / 80})
	})
	return nil
}

func (a *assault) compareEnds(ctx context.Context) error {
	a.askAtOnce(ctx, 30, func(i int) []byte {
		return document(`query($id: Int!, $from: Int!) { planDiff(projectId: $id, from: $from) {
			differences { kind id parts before after versions actorNames } } }`, map[string]any{"id": a.history, "from": i})
	})
	return nil
}

func (a *assault) searchHistory(ctx context.Context) error {
	a.askAtOnce(ctx, 30, func(i int) []byte {
		variables := map[string]any{"id": a.history, "before": historyLength - i}
		if i%2 == 0 {
			variables["element"] = fmt.Sprint("none ", i)
		}
		return document(`query($id: Int!, $before: Int, $element: String) {
			planHistory(projectId: $id, before: $before, elementId: $element, limit: 100) {
				changes { version summary operations { kind id before after } } } }`, variables)
	})
	return nil
}

// removeLargePlan makes a large plan and empties it, by one change of its size.
func (a *assault) removeLargePlan(ctx context.Context) error {
	if err := a.makeLargePlan(ctx); err != nil {
		return err
	}
	c := client.New(a.urls[0])
	defer c.Close()
	var data struct {
		Project struct{ Plan struct{ ID int } }
	}
	q := client.Request{Query: `query($id: Int!) { project(id: $id) { plan { id } } }`, Variables: map[string]any{"id": a.large}}
	if err := c.Do(ctx, q, &data); err != nil {
		return err
	}
	q = client.Request{Query: `mutation($id: Int!) { deletePlan(id: $id) }`, Variables: map[string]any{"id": data.Project.Plan.ID}}
	return c.Do(ctx, q, nil)
}

func (a *assault) takeBackRemoval(ctx context.Context) error {
	const fields = `(projectId: $id, version: $version, onConflict: OVERWRITE, dryRun: $dry) {
		change { operations { kind id before after } } }`
	var many strings.Builder
	for n := range 8 {
		fmt.Fprintf(&many, " a%d: undoChange%s", n, fields)
	}
	a.askAtOnce(ctx, 40, func(i int) []byte {
		return document(`mutation($id: Int!, $version: Int!, $dry: Boolean!) {`+many.String()+` }`,
			map[string]any{"id": a.large, "version": largeNodes + 1, "dry": i%4 > 0})
	})
	// Whoever took it back first has done so once.
	var page struct {
		PlanHistory struct{ Version int64 }
	}
	c := client.New(a.urls[0])
	defer c.Close()
	judging, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	q := client.Request{
		Query: `query($id: Int!) { planHistory(projectId: $id, limit: 1) { version } }`, Variables: map[string]any{"id": a.large},
	}
	answer, err := c.Ask(judging, q)
	if err == nil && answer.Code() == "" && json.Unmarshal(answer.Data, &page) == nil && page.PlanHistory.Version > largeNodes+2 {
		a.wrong("one change was taken back %d times", page.PlanHistory.Version-largeNodes-1)
	}
	return nil
}
