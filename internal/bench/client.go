package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"layercake/internal/convergence"
)

const (
	requestTime = 10 * time.Second // for one request; the server's own budget is half of it
	maxAnswer   = 64 << 20
)

// client sends GraphQL requests to replicas.
type client struct {
	http *http.Client
	urls []string
}

func newClient(urls []string, concurrency int) *client {
	return &client{urls: urls, http: &http.Client{
		Timeout: requestTime,
		// Straight to the replicas, whatever proxy the environment names, over connections that stay open.
		Transport: &http.Transport{MaxIdleConnsPerHost: concurrency, IdleConnTimeout: time.Minute},
	}}
}

func (c *client) close() { c.http.CloseIdleConnections() }

// refusal is an error that a replica answered with.
type refusal struct {
	Message    string `json:"message"`
	Extensions struct {
		Code         string `json:"code"`
		RetryAfterMS int    `json:"retryAfterMs"`
	} `json:"extensions"`
}

func (r *refusal) Error() string { return r.Extensions.Code + ": " + r.Message }

// temporary reports whether the same request may succeed a little later.
func (r *refusal) temporary() bool {
	return r.Extensions.Code == "UNAVAILABLE" || r.Extensions.Code == "RATE_LIMITED"
}

func (r *refusal) pause() time.Duration {
	return min(time.Duration(r.Extensions.RetryAfterMS)*time.Millisecond, time.Second)
}

// request is what a client asks for.
type request struct {
	Query     string         `json:"query"`
	Variables map[string]any `json:"variables,omitempty"`
}

// do sends a request to a replica and decodes the data of its answer. The error is a *refusal when the replica gave one; after
// any other it is open whether the request was executed.
func (c *client) do(ctx context.Context, replica int, body []byte, data any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.urls[replica]+"/graphql", bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/graphql-response+json")
	response, err := c.http.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return err
	}
	var answer struct {
		Data   json.RawMessage
		Errors []*refusal
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return fmt.Errorf("%s answered %s: %.100s", c.urls[replica], response.Status, strings.TrimSpace(string(text)))
	}
	if len(answer.Errors) > 0 {
		return answer.Errors[0]
	}
	return json.Unmarshal(answer.Data, data)
}

// anywhere sends a request to one replica after the other until one executes it.
func (c *client) anywhere(ctx context.Context, q request, data any) error {
	body, err := json.Marshal(q)
	if err != nil {
		return err
	}
	for replica := range c.urls {
		if err = c.do(ctx, replica, body, data); err == nil {
			return nil
		}
	}
	return err
}

func (c *client) createProject(ctx context.Context, name string) (int, error) {
	var data struct{ CreateProject struct{ ID int } }
	err := c.anywhere(ctx, request{
		`mutation($name: String!) { createProject(input: {name: $name}) { id } }`, map[string]any{"name": name},
	}, &data)
	return data.CreateProject.ID, err
}

func (c *client) deleteProject(ctx context.Context, id int) error {
	var data struct{ DeleteProject bool }
	return c.anywhere(ctx, request{`mutation($id: ID!) { deleteProject(id: $id) }`, map[string]any{"id": id}}, &data)
}

// planFields are all that events show of a plan.
const planFields = `{ version cursor metadata { version }
	nodes { id nodeType position { x y } sourcePosition targetPosition metadata { label description } config createdAt updatedAt }
	edges { id source target sourceHandle targetHandle metadata { label dataType } createdAt updatedAt } }`

func (c *client) plan(ctx context.Context, project int) (convergence.Plan, error) {
	var data struct{ GetPlanDag *convergence.Plan }
	err := c.anywhere(ctx, request{`query($id: Int!) { getPlanDag(projectId: $id) ` + planFields + ` }`, map[string]any{"id": project}}, &data)
	if err == nil && data.GetPlanDag == nil {
		err = fmt.Errorf("project %d has no plan", project)
	}
	if err != nil {
		return convergence.Plan{}, err
	}
	return *data.GetPlanDag, nil
}
