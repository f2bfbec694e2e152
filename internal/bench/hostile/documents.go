package hostile

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"layercake/internal/client"

	"golang.org/x/sync/errgroup"
)

// Documents of GraphQL that take long to look at, or that say much in few words.
var documentAttacks = []attack{
	{
		name: "fragments-circular", threat: "C6", summary: "documents of 1 kB whose fragments contain each other",
		do: func(a *assault, ctx context.Context) error { return a.ask(ctx, 4, circular(9, 40), "q0") }, lasts: documentTime,
	},
	{
		name: "operations-many", threat: "C6", summary: "documents of 1,250 operations over one large fragment, of which one is named",
		do: func(a *assault, ctx context.Context) error { return a.ask(ctx, 4, manyOperations(), "q0") }, lasts: documentTime,
	},
	{
		name: "introspection", threat: "C6", summary: "introspection of types of fields of types, under 600 names",
		do: func(a *assault, ctx context.Context) error { return a.ask(ctx, 4, wideIntrospection(), "") }, lasts: documentTime,
	},
	{
		name: "documents-cached", threat: "C6", summary: "1,100 documents of 15 kB, each another one, for the cache of one replica",
		do: (*assault).fillDocumentCache, lasts: 7 * time.Second,
	},
	{
		name: "plans-many", threat: "C8", summary: "40 clients ask for the largest plan at once",
		prepare: (*assault).makeLargePlan, do: (*assault).askForAPlan, lasts: 4 * time.Second,
	},
	{
		name: "plans-aliased", threat: "C8", summary: "a document asks for the largest plan under 40 names, three at once",
		prepare: (*assault).makeLargePlan, do: (*assault).askForPlans, lasts: 4 * time.Second,
	},
}

// maxProjects is how many projects are answered.
const maxProjects = 1000

// makeProjects makes more projects than are answered, and asks for all of them.
func (a *assault) makeProjects(ctx context.Context) error {
	c := a.http()
	const atOnce = 16
	together(atOnce, func(i int) {
		for n := i; n < maxProjects+atOnce && ctx.Err() == nil; n += atOnce {
			name := map[string]any{"name": fmt.Sprint("one of many ", n)}
			_, _ = a.post(ctx, c, n, document(`mutation($name: String!) { createProject(input: {name: $name}) { id } }`, name)) // it is counted
		}
	})
	one := client.New(a.urls[0])
	defer one.Close()
	answer, err := one.Ask(ctx, client.Request{Query: "{ projects { id } }"})
	if err != nil {
		return err
	}
	var got struct {
		Data       struct{ Projects []struct{ ID int } }
		Extensions struct{ Truncated json.RawMessage }
	}
	if err := json.Unmarshal(answer.Text, &got); err != nil {
		return err
	}
	switch n := len(got.Data.Projects); {
	case n > maxProjects:
		a.wrong("%d projects were answered, over %d", n, maxProjects)
	case n < maxProjects || got.Extensions.Truncated == nil:
		a.wrong("%d projects were answered, and the response does not say that there are more: %.200s", n, answer.Text)
	}
	return nil
}

// documentTime is long enough for one document to take more than its share of processor time, on a machine that is shared.
const documentTime = 4 * time.Second

// projectAttacks come last: the projects that they make stay.
var projectAttacks = []attack{
	{
		name: "projects-many", threat: "C8", alone: true, summary: "a client makes 1,016 projects, and asks for all",
		do: (*assault).makeProjects, lasts: 10 * time.Second,
	},
}

// ask posts a document to each replica in turn, a number of times, one after the other.
func (a *assault) ask(ctx context.Context, times int, query, operation string) error {
	c := a.http()
	body, err := json.Marshal(map[string]any{"query": query, "operationName": operation})
	if err != nil {
		return err
	}
	for n := 0; n < times && ctx.Err() == nil; n++ {
		_, _ = a.post(ctx, c, n, body) // it is counted
	}
	return nil
}

// circular returns a document of fragments that all contain all others, by paths that never meet, and of operations that begin there.
func circular(fragments, operations int) string {
	var b strings.Builder
	for op := range operations {
		fmt.Fprintf(&b, "query q%d{...f0}", op)
	}
	for f := range fragments {
		fmt.Fprintf(&b, "fragment f%d on Query{a%d:projects{", f, f)
		for other := range fragments {
			fmt.Fprintf(&b, "...f%d ", other)
		}
		b.WriteString("}}")
	}
	return b.String()
}

// manyOperations returns a document of operations that all spread one fragment, as large as documents may be.
func manyOperations() string {
	var b strings.Builder
	for op := range 1250 {
		fmt.Fprintf(&b, "query q%d{...f}", op)
	}
	b.WriteString("fragment f on Query{")
	for n := range 2480 {
		fmt.Fprintf(&b, "a%d:__typename ", n)
	}
	b.WriteString("}")
	return b.String()
}

// wideIntrospection returns a document that asks for fields of types of fields of types, as deep as the library lets it, many times.
func wideIntrospection() string {
	var b strings.Builder
	b.WriteString("{__schema{")
	for n := range 600 {
		fmt.Fprintf(&b, "a%d:types{fields{type{fields{name description}}}}", n)
	}
	b.WriteString("}}")
	return b.String()
}

func (a *assault) fillDocumentCache(ctx context.Context) error {
	c := a.http()
	var fields strings.Builder
	for n := 0; fields.Len() < 15_000; n++ {
		fmt.Fprintf(&fields, "b%d:id ", n)
	}
	together(4, func(i int) {
		for n := i; n < 1100 && ctx.Err() == nil; n += 4 {
			_, _ = a.post(ctx, c, 0, document(fmt.Sprintf("{project(id:0){a%d:id %s}}", n, fields.String()), nil)) // it is counted
		}
	})
	return nil
}

const (
	largeNodes  = 100
	largeConfig = 90_000 // bytes of a node
)

// makeLargePlan makes a plan of 9 MB, node by node: nobody has to be able to submit it at once.
func (a *assault) makeLargePlan(ctx context.Context) (err error) {
	if a.large, err = a.honest.storm.CreateProject(ctx, "a large plan"); err != nil {
		return err
	}
	config := fmt.Sprintf("{%q:%q}", "x", strings.Repeat("x", largeConfig))
	return a.change(ctx, largeNodes, func(n int) client.Request {
		return client.Request{
			Query:     `mutation($id: Int!, $node: PlanDagNodeInput!) { addPlanDagNode(projectId: $id, node: $node) { id } }`,
			Variables: map[string]any{"id": a.large, "node": graphNode(fmt.Sprint("n", n), fmt.Sprint(n), config)},
		}
	})
}

// change makes changes in the name of honest people, several at once.
func (a *assault) change(ctx context.Context, times int, request func(n int) client.Request) error {
	c := client.New(a.urls[0])
	defer c.Close()
	var g errgroup.Group
	g.SetLimit(8)
	for n := range times {
		g.Go(func() error { return c.Do(ctx, request(n), nil) })
	}
	return g.Wait()
}

// graphNode returns a node as clients submit it.
func graphNode(id, label, config string) map[string]any {
	return map[string]any{
		"id": id, "nodeType": "GraphNode", "position": map[string]any{"x": 0, "y": 0}, "metadata": map[string]any{"label": label},
		"config": config,
	}
}

func (a *assault) askForPlans(ctx context.Context) error {
	c, body := a.http(), document(plansUnderNames(a.large, 40), nil)
	together(3, func(i int) {
		_, _ = a.post(ctx, c, i, body) // it is counted
	})
	return nil
}

func (a *assault) askForAPlan(ctx context.Context) error {
	c, body := a.http(), document(plansUnderNames(a.large, 1), nil)
	together(40, func(i int) {
		_, _ = a.post(ctx, c, i, body) // it is counted
	})
	return nil
}

// plansUnderNames returns a document that asks for a plan many times.
func plansUnderNames(project, times int) string {
	var b strings.Builder
	b.WriteString("{")
	for n := range times {
		fmt.Fprintf(&b, " a%d: getPlanDag(projectId: %d) { nodes { id config } }", n, project)
	}
	b.WriteString(" }")
	return b.String()
}
