package builds

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"layercake/internal/client"
	"layercake/internal/export"
)

const (
	requestTime = 35 * time.Second // limit of a request that builds; the server answers after 25 s
	fileTime    = 5 * time.Minute  // limit of an upload or a download

	mergeNode = "merge"
	graphNode = "graph"

	maxEdits = 500 // edits of one request
)

// outputNode is the id of the node that puts a format out.
func outputNode(f export.Format) string { return "out_" + string(f) }

func addNode(id, kind string, config map[string]any) map[string]any {
	if config == nil {
		config = map[string]any{} // an object, not null
	}
	text, _ := json.Marshal(config) // texts and numbers
	return map[string]any{"addNode": map[string]any{
		"id": id, "nodeType": kind, "position": map[string]any{"x": 0, "y": 0}, "metadata": map[string]any{"label": id}, "config": string(text),
	}}
}

func addEdge(source, target string) map[string]any {
	return map[string]any{"addEdge": map[string]any{
		"id": source + "-" + target, "source": source, "target": target, "metadata": map[string]any{"dataType": "GRAPH_DATA"},
	}}
}

// edit makes edits, as many in one change as a request may have. The operation id makes a repeat safe.
func edit(ctx context.Context, c *client.Client, project int, op string, edits []map[string]any) error {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	for n := 0; n < len(edits); n += maxEdits {
		err := c.Do(ctx, client.Request{
			Query: `mutation($project: Int!, $edits: [PlanEdit!]!, $op: String!) {
				editPlan(projectId: $project, edits: $edits, opId: $op) { version } }`,
			Variables: map[string]any{
				"project": project, "edits": edits[n:min(n+maxEdits, len(edits))], "op": fmt.Sprintf("%s-%d", op, n),
			},
		}, nil)
		if err != nil {
			return err
		}
	}
	return nil
}

// errNotBuilt says that a replica has answered that a build failed or was cancelled.
var errNotBuilt = errors.New("not built")

// execute builds a node with what it needs. It returns when the replica says that it is done, or that it goes on.
func execute(ctx context.Context, c *client.Client, project int, node string) error {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	var data struct {
		ExecuteNode struct {
			Success bool
			Message string
		}
	}
	err := c.Do(ctx, client.Request{
		Query:     `mutation($project: Int!, $node: String!) { executeNode(projectId: $project, nodeId: $node) { success message } }`,
		Variables: map[string]any{"project": project, "node": node},
	}, &data)
	if err == nil && !data.ExecuteNode.Success {
		err = fmt.Errorf("%w: %s", errNotBuilt, data.ExecuteNode.Message)
	}
	return err
}

// executePlan builds all nodes of a plan, by the plan's own id.
func executePlan(ctx context.Context, c *client.Client, plan int) error {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	return c.Do(ctx, client.Request{
		Query:     `mutation($plan: Int!) { executePlan(id: $plan) { success message } }`,
		Variables: map[string]any{"plan": plan},
	}, nil)
}

// cancelBuilds ends all builds of a project.
func cancelBuilds(ctx context.Context, c *client.Client, project int) error {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	return c.Do(ctx, client.Request{
		Query: `mutation($project: Int!) { cancelExecution(projectId: $project) }`, Variables: map[string]any{"project": project},
	}, nil)
}

// replaceFile gives a source other bytes.
func replaceFile(ctx context.Context, c *client.Client, source int, op, filename string, content []byte) error {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	return c.Do(ctx, client.Request{
		Query: `mutation($id: Int!, $input: UpdateDataSourceInput!, $op: String!) { updateDataSource(id: $id, input: $input, opId: $op) { id } }`,
		Variables: map[string]any{
			"id": source, "op": op, "input": map[string]any{"filename": filename, "fileContent": base64.StdEncoding.EncodeToString(content)},
		},
	}, nil)
}

// upload uploads a table, and returns the source.
func upload(ctx context.Context, c *client.Client, project int, op string, tables ...table) (sources []client.Source, err error) {
	ctx, cancel := context.WithTimeout(ctx, fileTime)
	defer cancel()
	var send func(files []client.File, rest []table) error
	send = func(files []client.File, rest []table) error {
		if len(rest) == 0 {
			sources, err = c.Upload(ctx, project, op, files...)
			return err
		}
		return rest[0].open(func(r io.Reader) error {
			return send(append(files, client.File{Name: rest[0].name, Kind: rest[0].kind, Content: r}), rest[1:])
		})
	}
	return sources, send(nil, tables)
}

// outputPath is the route of an output that builds nothing.
func outputPath(project int, node string) string {
	return fmt.Sprintf("/api/projects/%d/outputs/%s?execute=false", project, node)
}

// download hands an output to take.
func download(ctx context.Context, c *client.Client, path string, take func(io.Reader) error) error {
	ctx, cancel := context.WithTimeout(ctx, fileTime)
	defer cancel()
	return c.Download(ctx, path, take)
}

// dag is what a plan says of its nodes and edges, in the order of their creation.
type dag struct {
	Cursor string
	Nodes  []dagNode
	Edges  []struct{ Source, Target string }
}

type dagNode struct{ ID, NodeType, Config string }

func readPlan(ctx context.Context, c *client.Client, project int) (d dag, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	var data struct{ GetPlanDag *dag }
	err = c.Do(ctx, client.Request{
		Query:     `query($id: Int!) { getPlanDag(projectId: $id) { cursor nodes { id nodeType config } edges { source target } } }`,
		Variables: map[string]any{"id": project},
	}, &data)
	if err == nil && data.GetPlanDag == nil {
		err = fmt.Errorf("project %d has no plan", project)
	}
	if err != nil {
		return d, err
	}
	return *data.GetPlanDag, nil
}

// sourceOf returns the source that a node names, 0 for none.
func sourceOf(config string) int {
	var c struct{ DataSourceID int }
	if json.Unmarshal([]byte(config), &c) != nil {
		return 0
	}
	return c.DataSourceID
}

// nodeOf returns the id of the node that names a source.
func (d dag) nodeOf(source int) (string, error) {
	for _, n := range d.Nodes {
		if n.NodeType == "DataSourceNode" && sourceOf(n.Config) == source {
			return n.ID, nil
		}
	}
	return "", fmt.Errorf("source %d was taken, and the plan has no node for it", source)
}
