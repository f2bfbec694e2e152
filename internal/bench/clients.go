package bench

import (
	"context"
	"fmt"
	"time"

	"layercake/internal/bench/convergence"
	"layercake/internal/client"
)

const (
	requestTime = 10 * time.Second // limit of a request; the server's own budget is half of it
	dialTime    = 5 * time.Second  // limit for a replica to open a socket
)

// clients are the clients of all replicas, in their order.
type clients []*client.Client

func newClients(urls []string) clients {
	all := make(clients, len(urls))
	for i, url := range urls {
		all[i] = client.New(url)
	}
	return all
}

// as returns clients that send the secret of an account.
func (c clients) as(secret string) clients {
	all := make(clients, len(c))
	for i, one := range c {
		all[i] = one.As(secret)
	}
	return all
}

func (c clients) close() {
	for _, one := range c {
		one.Close()
	}
}

// do asks one replica. Its errors are those of client.Do.
func (c clients) do(ctx context.Context, replica int, q client.Request, into any) error {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	return c[replica].Do(ctx, q, into)
}

// anywhere asks one replica after the other until one succeeds.
func (c clients) anywhere(ctx context.Context, ask func(context.Context, *client.Client) error) (err error) {
	for _, one := range c {
		ctx, cancel := context.WithTimeout(ctx, requestTime)
		err = ask(ctx, one)
		cancel()
		if err == nil {
			return nil
		}
	}
	return err
}

// metrics reads the metrics of a replica.
func metrics(ctx context.Context, admin string) (map[string]float64, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	return client.Metrics(ctx, admin)
}

func (c clients) createProject(ctx context.Context, name string) (id int, err error) {
	err = c.anywhere(ctx, func(ctx context.Context, one *client.Client) (err error) {
		id, err = one.CreateProject(ctx, name)
		return err
	})
	return id, err
}

func (c clients) deleteProject(ctx context.Context, id int) error {
	return c.anywhere(ctx, func(ctx context.Context, one *client.Client) error { return one.DeleteProject(ctx, id) })
}

// deleteProjects cleans up as far as possible: a project that stays behind does no harm.
func (c clients) deleteProjects(ctx context.Context, ids []int) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTime)
	defer cancel()
	for _, id := range ids {
		_ = c.deleteProject(ctx, id)
	}
}

// planFields are all fields of a plan that events show, and those that deltas do.
const planFields = `{ version cursor metadata { version }
	nodes { id nodeType position { x y } sourcePosition targetPosition metadata { label description } config createdAt updatedAt
		datasourceExecution { dataSourceId filename status processedAt executionState errorMessage }
		graphExecution { graphId nodeCount edgeCount executionState computedDate errorMessage } }
	edges { id source target sourceHandle targetHandle metadata { label dataType } createdAt updatedAt } }`

func (c clients) plan(ctx context.Context, project int) (convergence.Plan, error) {
	var data struct{ GetPlanDag *convergence.Plan }
	q := client.Request{
		Query:     `query($id: Int!) { getPlanDag(projectId: $id) ` + planFields + ` }`,
		Variables: map[string]any{"id": project},
	}
	err := c.anywhere(ctx, func(ctx context.Context, one *client.Client) error { return one.Do(ctx, q, &data) })
	if err == nil && data.GetPlanDag == nil {
		err = fmt.Errorf("project %d has no plan", project)
	}
	if err != nil {
		return convergence.Plan{}, err
	}
	return *data.GetPlanDag, nil
}
