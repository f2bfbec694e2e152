package mcpserver

import (
	"context"
	"slices"

	"layercake/internal/fault"
	"layercake/internal/plan"
)

// detail is how much get_plan says of each node.
type detail string

const (
	outline detail = "outline"
	full    detail = "full"
)

// The limits of a page of nodes.
const (
	usualOutline = 200
	usualFull    = 100
	mostNodes    = 500
)

type getPlan struct {
	ofProject
	Version *int64   `json:"version,omitempty" jsonschema:"an earlier state"`
	Detail  detail   `json:"detail,omitempty" jsonschema:"default outline"`
	NodeIDs []string `json:"node_ids,omitempty"`
	Limit   count    `json:"limit,omitempty" jsonschema:"nodes, default 200, full 100, at most 500"`
	Page    count    `json:"page,omitempty" jsonschema:"next_page of the page before"`
	Check   bool     `json:"check,omitempty" jsonschema:"also say what is wrong with the plan"`
}

type planPage struct {
	Version   int64         `json:"version"`
	Cursor    string        `json:"cursor"`
	Name      string        `json:"name"`
	NodeCount int           `json:"node_count"`
	EdgeCount int           `json:"edge_count"`
	Nodes     []nodeInfo    `json:"nodes"`
	Edges     []edgeInfo    `json:"edges,omitempty"`
	NextPage  int           `json:"next_page,omitempty"`
	Problems  []problemInfo `json:"problems,omitempty"`
}

type nodeInfo struct {
	ID          string   `json:"id"`
	Type        string   `json:"type"`
	Label       string   `json:"label"`
	Inputs      []string `json:"inputs"`
	X           *float64 `json:"x,omitempty"`
	Y           *float64 `json:"y,omitempty"`
	Description string   `json:"description,omitempty"`
	Config      object   `json:"config,omitempty"`
}

type edgeInfo struct {
	ID       string `json:"id"`
	Source   string `json:"source"`
	Target   string `json:"target"`
	DataType string `json:"data_type"`
	Label    string `json:"label,omitempty"`
}

type problemInfo struct {
	NodeID  string `json:"node_id,omitempty"`
	EdgeID  string `json:"edge_id,omitempty"`
	Kind    string `json:"kind"`
	Warning bool   `json:"warning"`
	Message string `json:"message"`
}

func problemsOf(problems []plan.Problem) []problemInfo {
	infos := make([]problemInfo, len(problems))
	for i, p := range problems {
		infos[i] = problemInfo{NodeID: text(p.NodeID), EdgeID: text(p.EdgeID), Kind: string(p.Kind), Warning: p.Warning, Message: p.Message}
	}
	return infos
}

// text returns what a text is, "" for none.
func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func (h *Handler) addPlanTools() {
	add(h, definition{
		name: "get_plan", title: "Get a plan", set: planTools, effect: reads,
		does: "The plan's graph: nodes with the ids of their inputs; detail full adds place, config and edges.",
	}, h.getPlan)
	add(h, definition{
		name: "edit_plan", title: "Edit a plan", set: planTools, effect: destroys,
		does: "Does all operations in one atomic step, or none. People see it live.",
	}, h.editPlan)
	add(h, definition{
		name: "describe_node_types", title: "Describe node types", set: planTools, effect: reads,
		does: "What nodes there are, how they connect, and what each config holds.",
	}, h.describeNodeTypes)
}

func (h *Handler) getPlan(ctx context.Context, c call, in getPlan) (planPage, error) {
	usual := usualOutline
	if in.Detail == full {
		usual = usualFull
	}
	limit := int(in.Limit)
	switch {
	case limit == 0:
		limit = usual
	case limit > mostNodes:
		return planPage{}, tooHigh("limit", limit, mostNodes)
	}
	if in.Check && in.Version != nil {
		return planPage{}, fault.New(fault.BadRequest, "check is only for the plan as it is: leave out version").With("path", "check")
	}
	dag, err := h.readPlan(ctx, c, in)
	if err != nil {
		return planPage{}, err
	}
	page := planPage{
		Version: dag.At.Version, Cursor: dag.At.String(), Name: dag.Name,
		NodeCount: len(dag.Nodes), EdgeCount: len(dag.Edges), Nodes: []nodeInfo{},
	}
	if in.Check {
		page.Problems = problemsOf(plan.Validate(dag.Nodes, dag.Edges))
	}
	return page, page.fill(dag, in, limit)
}

func (h *Handler) readPlan(ctx context.Context, c call, in getPlan) (plan.DAG, error) {
	if in.Version != nil {
		return h.plans.At(ctx, c.access, *in.Version)
	}
	return h.plans.DAG(ctx, c.access)
}

// fill puts nodes into the page until it is full. Page numbers are those of the first node, so they hold whatever the limit.
func (p *planPage) fill(dag plan.DAG, in getPlan, limit int) error {
	inputs, outputs := map[string][]string{}, map[string][]plan.Edge{}
	for _, e := range dag.Edges {
		inputs[e.Target] = append(inputs[e.Target], e.Source)
		outputs[e.Source] = append(outputs[e.Source], e)
	}
	nodes := dag.Nodes
	if in.NodeIDs != nil {
		wanted := make(map[string]bool, len(in.NodeIDs))
		for _, id := range in.NodeIDs {
			wanted[id] = true
		}
		nodes = slices.DeleteFunc(slices.Clone(nodes), func(n plan.Node) bool { return !wanted[n.ID] })
		if len(nodes) < len(wanted) {
			for _, n := range nodes {
				delete(wanted, n.ID)
			}
			return fault.New(fault.NotFound, "Node not found").With("detail", missing(in.NodeIDs, wanted))
		}
	}
	size := len(compact(p))
	for i := int(in.Page); i < len(nodes); i++ {
		n := nodes[i]
		info := nodeInfo{ID: n.ID, Type: string(n.NodeType), Label: n.Metadata.Label, Inputs: inputs[n.ID]}
		if info.Inputs == nil {
			info.Inputs = []string{}
		}
		var edges []edgeInfo
		if in.Detail == full {
			info.X, info.Y, info.Description, info.Config = &n.Position.X, &n.Position.Y, text(n.Metadata.Description), object(n.Config)
			for _, e := range outputs[n.ID] {
				edges = append(edges, edgeInfo{e.ID, e.Source, e.Target, string(e.Metadata.DataType), text(e.Metadata.Label)})
			}
		}
		size += len(compact(info)) + len(compact(edges))
		if len(p.Nodes) > 0 && (len(p.Nodes) == limit || size > maxPage) {
			p.NextPage = i
			break
		}
		p.Nodes, p.Edges = append(p.Nodes, info), append(p.Edges, edges...)
	}
	return nil
}

// missing returns which of the ids that were asked for are among those that were not found, in the order in which they were asked for.
func missing(asked []string, lacking map[string]bool) []string {
	var ids []string
	for _, id := range asked {
		if lacking[id] {
			ids = append(ids, id)
			delete(lacking, id)
		}
	}
	return ids
}
