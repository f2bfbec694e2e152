package graph

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"layercake/internal/budget"
	"layercake/internal/caller"
	"layercake/internal/executor"
	"layercake/internal/fault"
	"layercake/internal/graphdata"
	"layercake/internal/plan"

	"github.com/jackc/pgx/v5"
)

// A field that uploads or builds waits for the end, and answers before clients give up, which take 30 s.
const (
	longPatience  = 27 * time.Second // of the field
	executionWait = 25 * time.Second // for the states
)

// slowFields are the fields that have longPatience.
var slowFields = map[string]bool{
	"executeNode": true, "executePlan": true, "exportNodeOutput": true,
	"createDataSourceFromFile": true, "bulkUploadDataSources": true, "updateDataSource": true, "reprocessDataSource": true,
}

func executionRequest(opID, clientID *string) executor.Request {
	return executor.Request{OpID: value(opID), ClientID: value(clientID), Via: caller.GraphQL, Wait: executionWait}
}

// namesNode returns a fault for the id of a node that is empty, which would stand for the whole plan.
func namesNode(nodeID *string) error {
	if nodeID != nil && *nodeID == "" {
		return fault.New(fault.BadRequest, "nodeId is empty: name a node")
	}
	return nil
}

// execute asks for what is stale among a node and its ancestors, or in the whole plan when nodeID is "". It returns what to tell people.
func (r *Resolver) execute(ctx context.Context, projectID int32, nodeID string, request executor.Request) (string, error) {
	access, err := r.access(ctx, projectID, request.ClientID)
	if err != nil {
		return "", err
	}
	outcome, err := r.builds.Execute(ctx, access, nodeID, request)
	if err != nil {
		return "", err
	}
	r.renewGuest(projectID, request.ClientID)
	if failed := outcome.Failed(); failed != nil {
		return "", fault.New(fault.BadRequest, value(failed.Error)).With("detail", map[string]any{"nodeId": failed.ID})
	}
	return outcomeText(outcome), nil
}

// outcomeText says for people what became of a request that did not fail.
func outcomeText(o executor.Outcome) string {
	built := 0
	for _, n := range o.Nodes {
		if n.State == "completed" {
			built++
		}
	}
	switch {
	case len(o.Nodes) == 0 || o.Current:
		return "Everything is current, so there is nothing to build"
	case !o.Done:
		return fmt.Sprintf("%d of %d graphs are built; building goes on", built, len(o.Nodes))
	case built < len(o.Nodes):
		return fmt.Sprintf("%d of %d graphs are built; what was cancelled stays as it was", built, len(o.Nodes))
	case len(o.Nodes) == 1:
		return "The graph is built"
	}
	return fmt.Sprintf("%d graphs are built", len(o.Nodes))
}

// maxOutput is the largest file that is sent in a response.
const maxOutput = 32 << 20

// export makes the file of an OutputNode. It takes the memory of the largest one before, because its size is known only when it is made.
func (r *Resolver) export(ctx context.Context, projectID int32, nodeID string, request executor.Request) (*ExportNodeOutputResult, error) {
	held := budget.From(ctx)
	if err := held.Take(ctx, maxOutput); err != nil {
		return nil, err
	}
	wanted := executor.OutputRequest{Request: request, Execute: true}
	access, err := r.access(ctx, projectID, request.ClientID)
	if err != nil {
		return nil, ofPlan("", err)
	}
	out, err := r.builds.Output(ctx, access, nodeID, wanted)
	if err != nil {
		return nil, ofPlan("", err)
	}
	r.renewGuest(projectID, request.ClientID)
	content, fits, err := out.Bytes(ctx, maxOutput)
	switch {
	case err != nil:
		return nil, prefixed("Export failed: ", err)
	case !fits:
		return nil, fault.New(fault.BadRequest, fmt.Sprintf("The file has more than %d MB: download %s", maxOutput>>20, out.Download)).
			With("detail", map[string]any{"limit": maxOutput, "download": out.Download})
	}
	return &ExportNodeOutputResult{
		Success: true, Message: fmt.Sprintf("Exported %s as %s", out.Filename, out.Format), Content: base64.StdEncoding.EncodeToString(content),
		Filename: out.Filename, MimeType: out.MIMEType,
	}, held.Take(ctx, encodedCost*int64(len(content))-maxOutput)
}

// executions sends the states and the progress of the builds of a project to out. It returns when ctx ends, or with the error that ended
// the watch.
func (r *Resolver) executions(ctx context.Context, projectID int32, out chan<- delivery[*executor.Execution]) error {
	ctx, access, done, err := r.follow(ctx, projectID)
	if err != nil {
		return err
	}
	defer done()
	for e, err := range r.builds.Watch(ctx, access) {
		if err != nil {
			return endOf(ctx, err)
		}
		if !offer(ctx, out, delivery[*executor.Execution]{build: func() (*executor.Execution, error) { return &e, nil }}) {
			break
		}
	}
	return endOf(ctx, nil)
}

// createGraph adds a GraphNode whose id and place the server makes, with the graph that it will build.
func (r *Resolver) createGraph(ctx context.Context, projectID int32, name string, args changeArgs) (*graphdata.Graph, error) {
	name, err := graphdata.Name(name)
	if err != nil {
		return nil, err
	}
	operation, err := json.Marshal([]map[string]string{{"op": "add_node", "node_type": string(plan.GraphNode), "label": name}})
	if err != nil {
		return nil, err
	}
	edits, err := plan.ParseOperations(operation)
	if err != nil {
		return nil, err
	}
	c := args.change()
	access, err := r.access(ctx, projectID, c.ClientID)
	if err != nil {
		return nil, err
	}
	c.Edits = edits
	c.Then = func(b *pgx.Batch, nodes []plan.Node) {
		for _, n := range nodes {
			graphdata.QueueHeader(b, projectID, n.ID, name)
		}
	}
	result, err := r.carryOut(ctx, access, c)
	node, err := single(result.Nodes, err)
	if err != nil {
		return nil, err
	}
	g, err := r.graphs.OfNode(ctx, access, node.ID)
	if err == nil && g == nil { // a repeat, and the node went since
		err = graphdata.ErrNotFound
	}
	return g, err
}

// renameGraph names a graph, unless the name is null.
func (r *Resolver) renameGraph(ctx context.Context, id int32, name *string) (*graphdata.Graph, error) {
	access, err := r.rights.Graph(ctx, caller.Principal(ctx, ""), id)
	if err != nil {
		return nil, err
	}
	g, err := r.graphs.Get(ctx, access, id)
	if err == nil && name != nil {
		g, err = r.graphs.Rename(ctx, access, id, *name)
	}
	if err != nil {
		return nil, err
	}
	return &g, nil
}

// deleteGraph deletes the node that builds a graph. The graph goes with it. A repeat under the same operation id succeeds.
func (r *Resolver) deleteGraph(ctx context.Context, id int32, args changeArgs) error {
	c := args.change()
	c.Action = fmt.Sprintf("delete graph %d", id)
	who := caller.Principal(ctx, c.ClientID)
	var g graphdata.Graph
	access, err := r.rights.Graph(ctx, who, id)
	if err == nil {
		g, err = r.graphs.Get(ctx, access, id)
	}
	if err == nil {
		c.Edits = []plan.Edit{plan.DeleteNode{ID: g.NodeID}}
		_, err = r.carryOut(ctx, access, c)
	}
	if !fault.Is(err, fault.NotFound) {
		return err
	}
	switch repeated, problem := r.plans.Repeated(ctx, who.Actor, c.OpID, c.Action); {
	case problem != nil:
		return problem
	case repeated:
		return nil
	}
	return err
}
