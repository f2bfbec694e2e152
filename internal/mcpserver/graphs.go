package mcpserver

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"layercake/internal/caller"
	"layercake/internal/executor"
	"layercake/internal/export"
	"layercake/internal/fault"
	"layercake/internal/graphdata"
	"layercake/internal/plan"
)

// The limits of the tools that read graphs.
const (
	usualWait     = 20 * time.Second // for a build
	usualElements = 100
	mostElements  = 1000
	mostListed    = 50 // nodes in a fault
)

type executePlan struct {
	PlanID      id     `json:"plan_id"`
	NodeID      string `json:"node_id,omitempty" jsonschema:"only this node and what it needs; absent: all"`
	WaitSeconds *int   `json:"wait_seconds,omitempty" jsonschema:"default 20, at most 25"`
}

type execution struct {
	PlanID  int32       `json:"plan_id"`
	Status  string      `json:"status"`
	Message string      `json:"message"`
	Nodes   []nodeState `json:"nodes"`
}

type nodeState struct {
	ID    string `json:"id"`
	State string `json:"state"`
	Error string `json:"error,omitempty"`
}

// ofGraph are the arguments that name a graph.
type ofGraph struct {
	ofProject
	NodeID string `json:"node_id,omitempty" jsonschema:"absent: the only GraphNode"`
}

type getGraphData struct {
	ofGraph
	IncludeNodes  *bool  `json:"include_nodes,omitempty" jsonschema:"default true"`
	IncludeEdges  *bool  `json:"include_edges,omitempty" jsonschema:"default true"`
	IncludeLayers *bool  `json:"include_layers,omitempty" jsonschema:"default true"`
	Limit         count  `json:"limit,omitempty" jsonschema:"of nodes and of edges, default 100, at most 1000"`
	Page          string `json:"page,omitempty" jsonschema:"a next_page"`
}

type graphData struct {
	NodeID       string    `json:"node_id"`
	State        string    `json:"state"`
	StaleBecause []string  `json:"stale_because,omitempty"`
	Nodes        *elements `json:"nodes,omitempty"`
	Edges        *elements `json:"edges,omitempty"`
	Layers       *elements `json:"layers,omitempty"`
}

type elements struct {
	Count    int      `json:"count"`
	Items    []object `json:"items"`
	NextPage string   `json:"next_page,omitempty"`
}

type exportGraph struct {
	ofGraph
	Format exportFormat `json:"format"`
}

// exportFormat is a format in lower case.
type exportFormat string

// exportFormats are the formats that need no files of templates.
func exportFormats() []string {
	var names []string
	for _, f := range export.Formats() {
		if f != export.Custom {
			names = append(names, strings.ToLower(string(f)))
		}
	}
	return append(names, "csv") // the nodes
}

type exported struct {
	Content  string `json:"content,omitempty"`
	Download string `json:"download,omitempty"`
	Filename string `json:"filename"`
	MIMEType string `json:"mime_type"`
}

func (h *Handler) addGraphTools() {
	add(h, definition{
		name: "execute_plan", title: "Execute a plan", set: graphTools, effect: writes, repeatable: true,
		does: "Builds the graphs that are stale, and waits for them. What is running when it answers goes on: call again to wait.",
	}, h.executePlan)
	add(h, definition{
		name: "get_graph_data", title: "Get a graph's data", set: graphTools, effect: reads,
		does: "Nodes, edges and layers of a built graph, page by page.",
	}, h.getGraphData)
	add(h, definition{
		name: "export_graph", title: "Export a graph", set: graphTools, effect: reads,
		does: "A built graph, or the file of an OutputNode, in a format of other tools; a large one as a path to download.",
	}, h.exportGraph)
}

func (h *Handler) executePlan(ctx context.Context, c call, in executePlan) (execution, error) {
	seconds, most := int(usualWait/time.Second), int(mostSilence/time.Second)
	if in.WaitSeconds != nil {
		seconds = *in.WaitSeconds
	}
	switch {
	case seconds < 0:
		return execution{}, fault.New(fault.BadRequest, "wait_seconds is negative").With("path", "wait_seconds")
	case seconds > most:
		return execution{}, tooHigh("wait_seconds", seconds, most)
	}
	wait := time.Duration(seconds) * time.Second
	access, err := h.planAccess(ctx, c, int32(in.PlanID))
	if err != nil {
		return execution{}, err
	}
	h.see(c, access.Project())
	defer h.keepAlive(ctx, c)()
	outcome, err := h.executor.Execute(ctx, access, in.NodeID, executor.Request{Via: caller.MCP, Wait: wait})
	if err != nil {
		return execution{}, err
	}
	return executionOf(int32(in.PlanID), outcome), nil
}

// executionOf says in words what became of a request.
func executionOf(planID int32, outcome executor.Outcome) execution {
	out := execution{PlanID: planID, Status: "completed", Nodes: []nodeState{}}
	ended, failed := 0, 0
	for _, n := range outcome.Nodes {
		switch n.State {
		case "completed":
			ended++
		case "error":
			ended++
			failed++
		}
		out.Nodes = append(out.Nodes, nodeState{ID: n.ID, State: n.State, Error: text(n.Error)})
	}
	switch {
	case !outcome.Done:
		out.Status = "running"
		out.Message = fmt.Sprintf("%d of %d nodes have ended: call again to wait for the others", ended, len(outcome.Nodes))
	case failed > 0:
		out.Status, out.Message = "failed", fmt.Sprintf("%d of %d nodes failed", failed, len(outcome.Nodes))
	case ended < len(outcome.Nodes):
		out.Status = "cancelled"
		out.Message = fmt.Sprintf("%d of %d nodes have ended, and somebody cancelled the others: their graphs stay as they were", ended,
			len(outcome.Nodes))
	case outcome.Current:
		out.Message = fmt.Sprintf("Nothing was to be done: graphs that are current: %d", len(outcome.Nodes))
	default:
		out.Message = fmt.Sprintf("Graphs that are current: %d", len(outcome.Nodes))
	}
	return out
}

// graphNode returns the id of the node that a call names, or of the only GraphNode of the plan.
func (h *Handler) graphNode(ctx context.Context, c call, in ofGraph) (string, error) {
	if in.NodeID != "" {
		return in.NodeID, nil
	}
	dag, err := h.plans.DAG(ctx, c.access)
	if err != nil {
		return "", err
	}
	return onlyGraphNode(dag.Nodes)
}

// onlyGraphNode returns the id of the only GraphNode, or the fault BadRequest that lists them.
func onlyGraphNode(nodes []plan.Node) (string, error) {
	var ids []string
	listed := []nodeName{}
	for _, n := range nodes {
		if n.NodeType == plan.GraphNode {
			ids, listed = append(ids, n.ID), append(listed, nodeName{n.ID, n.Metadata.Label})
		}
	}
	switch len(ids) {
	case 1:
		return ids[0], nil
	case 0:
		return "", fault.New(fault.BadRequest, "The plan has no GraphNode: name the node of a graph").With("path", "node_id")
	}
	return "", fault.New(fault.BadRequest, fmt.Sprintf("The plan has %d GraphNodes: name one", len(ids))).With("path", "node_id").
		With("detail", listed[:min(len(listed), mostListed)])
}

// nodeName is a node in a list of those to choose from.
type nodeName struct {
	ID    string `json:"id"`
	Label string `json:"label"`
}

// graphOf returns the header of a graph that was built.
func (h *Handler) graphOf(ctx context.Context, c call, in ofGraph) (graphdata.Graph, error) {
	node, err := h.graphNode(ctx, c, in)
	if err != nil {
		return graphdata.Graph{}, err
	}
	g, err := h.graphs.OfNode(ctx, c.access, node)
	if err != nil {
		return graphdata.Graph{}, err
	}
	if g == nil {
		if err := h.checkNode(ctx, c, in.project(), node); err != nil {
			return graphdata.Graph{}, err
		}
	}
	if g == nil || g.ContentID == nil {
		return graphdata.Graph{}, fault.New(fault.NotFound, "The node has no graph yet: call execute_plan first").
			With("path", "node_id").With("detail", node)
	}
	return *g, nil
}

// checkNode returns why a node has no graph and never will: it does not exist, or is of a type that builds none.
func (h *Handler) checkNode(ctx context.Context, c call, projectID int32, id string) error {
	dag, err := h.plans.DAG(ctx, c.access)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(dag.Nodes, func(n plan.Node) bool { return n.ID == id })
	switch {
	case i < 0:
		return fault.New(fault.NotFound, "The plan has no such node").With("path", "node_id").With("detail", id)
	case dag.Nodes[i].NodeType == plan.DataSourceNode, dag.Nodes[i].NodeType == plan.OutputNode:
		return fault.New(fault.BadRequest, fmt.Sprintf("The node is a %s, which builds no graph: name another", dag.Nodes[i].NodeType)).
			With("path", "node_id").With("detail", id)
	}
	return nil
}

func (h *Handler) getGraphData(ctx context.Context, c call, in getGraphData) (graphData, error) {
	limit := int32(in.Limit)
	switch {
	case limit == 0:
		limit = usualElements
	case in.Limit > mostElements:
		return graphData{}, tooHigh("limit", int(in.Limit), mostElements)
	}
	g, err := h.graphOf(ctx, c, in.ofGraph)
	if err != nil {
		return graphData{}, err
	}
	from, err := firstOf(in.Page, g)
	if err != nil {
		return graphData{}, err
	}
	stale, err := h.executor.Stale(ctx, []int32{g.ProjectID})
	if err != nil {
		return graphData{}, err
	}
	out := graphData{NodeID: g.NodeID, State: g.State, StaleBecause: stale[g.ID].Because}
	room := maxPage
	if wanted(in.IncludeLayers) {
		if out.Layers, err = h.layersOf(ctx, g); err != nil {
			return graphData{}, err
		}
		room = max(room/2, room-len(compact(out.Layers)))
	}
	if wanted(in.IncludeNodes) && wanted(in.IncludeEdges) {
		room /= 2
	}
	if wanted(in.IncludeNodes) {
		nodes, err := h.graphs.Nodes(ctx, *g.ContentID, from, limit)
		if err != nil {
			return graphData{}, err
		}
		items := make([]any, len(nodes))
		for i, n := range nodes {
			items[i] = elementOf(n)
		}
		out.Nodes = pageOf(g, items, from, g.NodeCount, room)
	}
	if wanted(in.IncludeEdges) {
		edges, err := h.graphs.Edges(ctx, *g.ContentID, from, limit)
		if err != nil {
			return graphData{}, err
		}
		items := make([]any, len(edges))
		for i, e := range edges {
			items[i] = linkOf(e)
		}
		out.Edges = pageOf(g, items, from, g.EdgeCount, room)
	}
	return out, nil
}

func wanted(include *bool) bool { return include == nil || *include }

// node is a node of a graph as agents see it.
type node struct {
	ID          string  `json:"id"`
	Label       string  `json:"label"`
	Layer       string  `json:"layer,omitempty"`
	IsPartition bool    `json:"is_partition,omitempty"`
	BelongsTo   string  `json:"belongs_to,omitempty"`
	Weight      float64 `json:"weight"`
	Comment     string  `json:"comment,omitempty"`
	Attributes  any     `json:"attributes,omitempty"`
}

func elementOf(n graphdata.Node) node {
	out := node{
		ID: n.ID, Label: n.Label, Layer: n.Layer, IsPartition: n.IsPartition, BelongsTo: n.BelongsTo, Weight: n.Weight, Comment: n.Comment,
	}
	if len(n.Attrs) > 0 {
		out.Attributes = n.Attrs
	}
	return out
}

// link is an edge of a graph as agents see it.
type link struct {
	ID         string  `json:"id"`
	Source     string  `json:"source"`
	Target     string  `json:"target"`
	Label      string  `json:"label,omitempty"`
	Layer      string  `json:"layer,omitempty"`
	Weight     float64 `json:"weight"`
	Comment    string  `json:"comment,omitempty"`
	Attributes any     `json:"attributes,omitempty"`
}

func linkOf(e graphdata.Edge) link {
	out := link{ID: e.ID, Source: e.Source, Target: e.Target, Label: e.Label, Layer: e.Layer, Weight: e.Weight, Comment: e.Comment}
	if len(e.Attrs) > 0 {
		out.Attributes = e.Attrs
	}
	return out
}

// pageOf returns the elements from one ordinal on that fit, and the first of them in any case.
func pageOf(g graphdata.Graph, items []any, from, total int32, room int) *elements {
	out := &elements{Count: int(total), Items: []object{}}
	for _, item := range items {
		text := compact(item)
		if room -= len(text); room < 0 && len(out.Items) > 0 {
			break
		}
		out.Items = append(out.Items, object(text))
	}
	if next := from + int32(len(out.Items)); next < total {
		out.NextPage = graphdata.Cursor(*g.ContentID, next-1)
	}
	return out
}

// firstOf returns the first ordinal of a page. A page of a content that is not the graph's any more is the fault Conflict.
func firstOf(page string, g graphdata.Graph) (int32, error) {
	if page == "" {
		return 0, nil
	}
	content, last, err := graphdata.ParseCursor(page)
	switch {
	case err != nil:
		return 0, fault.From(err).With("path", "page")
	case content != *g.ContentID:
		return 0, fault.New(fault.Conflict, "The graph was built again: begin with the first page").With("path", "page")
	}
	return graphdata.After(last, 0), nil
}

// layersOf returns all layers: they are few, or a page of them is cut.
func (h *Handler) layersOf(ctx context.Context, g graphdata.Graph) (*elements, error) {
	layers, err := h.graphs.Layers(ctx, []int32{g.ID})
	if err != nil {
		return nil, err
	}
	out, room := &elements{Count: len(layers[g.ID]), Items: []object{}}, maxPage/2
	for _, l := range layers[g.ID] {
		text := compact(struct {
			ID         string `json:"id"`
			Label      string `json:"label"`
			Properties object `json:"properties,omitempty"`
		}{l.LayerID, l.Name, object(l.Properties)})
		if room -= len(text); room < 0 {
			break
		}
		out.Items = append(out.Items, object(text))
	}
	return out, nil
}

func (h *Handler) exportGraph(ctx context.Context, c call, in exportGraph) (exported, error) {
	node, err := h.graphNode(ctx, c, in.ofGraph)
	if err != nil {
		return exported{}, err
	}
	output, err := h.executor.Output(ctx, c.access, node, executor.OutputRequest{Format: export.Format(in.Format)})
	if err != nil {
		return exported{}, err
	}
	out := exported{Filename: output.Filename, MIMEType: output.MIMEType}
	content, fits, err := output.Bytes(ctx, maxPage)
	if !fits {
		out.Download = output.Download
	}
	out.Content = string(content)
	return out, err
}
