package mcpserver

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"layercake/internal/auth"
	"layercake/internal/caller"
	"layercake/internal/fault"
	"layercake/internal/plan"
	"layercake/internal/project"

	"github.com/goccy/go-yaml/parser"
	"github.com/google/jsonschema-go/jsonschema"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// The limits of a page of projects.
const (
	usualProjects = 100
	mostProjects  = 1000
)

type projectInfo struct {
	ID          int32  `json:"id"`
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	CreatedAt   string `json:"created_at"`
	UpdatedAt   string `json:"updated_at"`
}

func infoOf(p project.Project) projectInfo {
	info := projectInfo{ID: p.ID, Name: p.Name, CreatedAt: stamp(p.CreatedAt), UpdatedAt: stamp(p.UpdatedAt)}
	if p.Description != nil {
		info.Description = *p.Description
	}
	return info
}

// stamp writes a time as the tools' results do.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// ofProject is the argument that names the project of a call.
type ofProject struct {
	ProjectID id `json:"project_id"`
}

func (o ofProject) project() int32 { return int32(o.ProjectID) }

type listProjects struct {
	Limit  count  `json:"limit,omitempty" jsonschema:"default 100, at most 1000"`
	Cursor string `json:"cursor,omitempty" jsonschema:"next_cursor of the page before"`
}

type projectList struct {
	Projects   []projectInfo `json:"projects"`
	Count      int           `json:"count"`
	NextCursor string        `json:"next_cursor,omitempty"`
}

type createProject struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	OpID        string `json:"op_id,omitempty" jsonschema:"makes repeating safe"`
}

type createdProject struct {
	projectInfo
	Message string `json:"message"`
}

type projectDetails struct {
	projectInfo
	PlanID  int32 `json:"plan_id"`
	Version int64 `json:"version"`
}

type deletedProject struct {
	ProjectID   int32  `json:"project_id"`
	ProjectName string `json:"project_name"`
	Message     string `json:"message"`
}

type createPlan struct {
	ofProject
	Name         string  `json:"name"`
	YAMLContent  string  `json:"yaml_content"`
	Dependencies []int32 `json:"dependencies,omitempty" jsonschema:"ids of plans"`
	OpID         string  `json:"op_id,omitempty"`
}

type planInfo struct {
	ID           int32   `json:"id"`
	ProjectID    int32   `json:"project_id"`
	Name         string  `json:"name"`
	Status       string  `json:"status"`
	Dependencies []int32 `json:"dependencies"`
	CreatedAt    string  `json:"created_at"`
	UpdatedAt    string  `json:"updated_at"`
}

func planInfoOf(p plan.Plan) planInfo {
	info := planInfo{
		ID: p.ID, ProjectID: p.ProjectID, Name: p.Name, Status: p.Status, Dependencies: p.Dependencies,
		CreatedAt: stamp(p.CreatedAt), UpdatedAt: stamp(p.UpdatedAt),
	}
	if info.Dependencies == nil {
		info.Dependencies = []int32{}
	}
	return info
}

type createdPlan struct {
	planInfo
	Message string `json:"message"`
}

type getPlanStatus struct {
	PlanID id `json:"plan_id"`
}

type planStatus struct {
	planInfo
	Version int64 `json:"version"`
}

func (h *Handler) addProjectTools() {
	add(h, definition{
		name: "list_projects", title: "List projects", does: "Projects, by id.", set: projectTools, effect: reads,
	}, h.listProjects)
	add(h, definition{
		name: "create_project", title: "Create a project", does: "Makes a project with an empty plan.",
		set: projectTools, effect: writes, makesProjects: true,
	}, h.createProject)
	add(h, definition{
		name: "get_project", title: "Get a project", does: "One project, with the id and version of its plan.", set: projectTools, effect: reads,
	}, h.getProject)
	add(h, definition{
		name: "delete_project", title: "Delete a project",
		does: "Deletes a project for good, with its plan and history. A person may be asked first.",
		set:  projectTools, effect: destroys, repeatable: true, asks: true,
	}, h.deleteProject)
	add(h, definition{
		name: "create_plan", title: "Name a plan", does: "Gives the project's plan, if nobody wrote to it yet, a name and a YAML text.",
		set: projectTools, effect: writes,
	}, h.createPlan)
	add(h, definition{
		name: "get_plan_status", title: "Get a plan's status", does: "The record of a plan. get_plan has its graph.",
		set: projectTools, effect: reads,
	}, h.getPlanStatus)
}

func (h *Handler) listProjects(ctx context.Context, c call, in listProjects) (projectList, error) {
	limit := int(in.Limit)
	if limit == 0 {
		limit = usualProjects
	}
	if limit > mostProjects {
		return projectList{}, tooHigh("limit", limit, mostProjects)
	}
	out := projectList{Projects: []projectInfo{}}
	if c.scope.project != 0 {
		access, err := h.rights.Project(ctx, c.Principal, c.scope.project)
		if err != nil {
			return projectList{}, err
		}
		p, err := h.projects.Get(ctx, access)
		if err != nil {
			return projectList{}, err
		}
		out.Projects, out.Count = append(out.Projects, infoOf(p)), 1
		return out, nil
	}
	after, err := parsePage(in.Cursor)
	if err != nil {
		return projectList{}, err
	}
	reach, err := h.rights.Reach(c.Principal)
	if err != nil {
		return projectList{}, err
	}
	projects, more, err := h.projects.Page(ctx, reach, after, limit)
	if err != nil {
		return projectList{}, err
	}
	size := 0
	for i, p := range projects {
		info := infoOf(p)
		if size += len(compact(info)); size > maxPage && i > 0 {
			more = true
			break
		}
		out.Projects = append(out.Projects, info)
	}
	if out.Count = len(out.Projects); more {
		out.NextCursor = strconv.Itoa(int(out.Projects[out.Count-1].ID))
	}
	return out, nil
}

// parsePage reads the cursor of a list by ids: the last one of the page before.
func parsePage(cursor string) (after int32, err error) {
	if cursor == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(cursor, 10, 32)
	if err != nil || n < 1 {
		return 0, fault.New(fault.BadRequest, "The cursor is none that a page before this one gave").With("path", "cursor")
	}
	return int32(n), nil
}

func tooHigh(argument string, value, most int) error {
	return fault.New(fault.BadRequest, argument+" is too high").With("path", argument).
		With("detail", map[string]any{"value": value, "limit": most})
}

func (h *Handler) createProject(ctx context.Context, c call, in createProject) (createdProject, error) {
	input := project.Input{Name: in.Name, OpID: in.OpID}
	if in.Description != "" {
		input.Description = &in.Description
	}
	reach, err := h.rights.Reach(c.Principal)
	if err != nil {
		return createdProject{}, err
	}
	p, err := h.projects.Create(ctx, reach, input)
	if err != nil {
		return createdProject{}, err
	}
	defer h.see(c, p.ID)
	return createdProject{infoOf(p), "Project created"}, nil
}

func (h *Handler) deleteProject(ctx context.Context, c call, in ofProject) (deletedProject, error) {
	p, err := h.projects.Get(ctx, c.access)
	if err != nil {
		return deletedProject{}, err
	}
	if err := h.confirm(ctx, c, p); err != nil {
		return deletedProject{}, err
	}
	if err := h.projects.Delete(ctx, c.access); err != nil {
		return deletedProject{}, err
	}
	return deletedProject{p.ID, p.Name, "Project deleted"}, nil
}

// confirmation is the name of the question whether to delete.
const confirmation = "confirm"

// confirm asks the person at the client whether to delete a project. Who cannot be asked is not.
func (h *Handler) confirm(ctx context.Context, c call, p project.Project) error {
	switch answer := c.request.Params.InputResponses[confirmation].(type) {
	case *mcp.ElicitResult:
		if answer.Action == "accept" {
			return nil
		}
		return fault.New(fault.Forbidden, "Declined")
	case nil:
	default:
		return fault.New(fault.BadRequest, "The answer is none to the question that was asked")
	}
	if !canBeAsked(c.request.Session.InitializeParams()) {
		return nil
	}
	nodes, err := h.plans.NodeCount(ctx, c.access)
	if err != nil {
		return err
	}
	others, err := h.others(ctx, c)
	if err != nil {
		return err
	}
	return &question{mcp.InputRequestMap{confirmation: &mcp.ElicitParams{
		Mode: "form", Message: fmt.Sprintf("Delete «%s» with its %d nodes? %d others are in it.", p.Name, nodes, others),
		RequestedSchema: &jsonschema.Schema{Type: "object", Properties: map[string]*jsonschema.Schema{}},
	}}}
}

// canBeAsked reports whether a client said that it can show a question to a person.
func canBeAsked(p *mcp.InitializeParams) bool {
	if p == nil || p.Capabilities == nil || p.Capabilities.Elicitation == nil {
		return false
	}
	e := p.Capabilities.Elicitation
	return e.Form != nil || e.URL == nil // neither means forms, as before there were others
}

func (h *Handler) getProject(ctx context.Context, c call, in ofProject) (projectDetails, error) {
	p, err := h.projects.Get(ctx, c.access)
	if err != nil {
		return projectDetails{}, err
	}
	pl, err := h.plans.OfProject(ctx, c.access)
	if err != nil {
		return projectDetails{}, err
	}
	head, err := h.plans.Head(ctx, c.access)
	return projectDetails{infoOf(p), pl.ID, head.Version}, err
}

func (h *Handler) createPlan(ctx context.Context, c call, in createPlan) (createdPlan, error) {
	if _, err := parser.ParseBytes([]byte(in.YAMLContent), 0); err != nil {
		return createdPlan{}, fault.New(fault.BadRequest, "yaml_content is not valid YAML").
			With("path", "yaml_content").With("detail", firstLine(err))
	}
	if err := h.checkDependencies(ctx, c, in); err != nil {
		return createdPlan{}, err
	}
	_, err := h.plans.Change(ctx, c.access, plan.Change{
		OpID: in.OpID, Via: caller.MCP,
		Edits: []plan.Edit{plan.UpdatePlan{Name: in.Name, YAMLContent: in.YAMLContent, Dependencies: in.Dependencies, Create: true}},
	})
	if err != nil {
		return createdPlan{}, err
	}
	p, err := h.plans.OfProject(ctx, c.access)
	return createdPlan{planInfoOf(p), "Plan created"}, err
}

// checkDependencies refuses plans of other projects to a client of one project. Whether there are such plans it does not say.
func (h *Handler) checkDependencies(ctx context.Context, c call, in createPlan) error {
	if c.scope.project == 0 || len(in.Dependencies) == 0 {
		return nil
	}
	own, err := h.plans.OfProject(ctx, c.access)
	if err != nil {
		return err
	}
	for i, dependency := range in.Dependencies {
		if dependency != own.ID {
			return c.scope.outside().With("path", fmt.Sprintf("dependencies[%d]", i))
		}
	}
	return nil
}

func (h *Handler) getPlanStatus(ctx context.Context, c call, in getPlanStatus) (planStatus, error) {
	access, err := h.planAccess(ctx, c, int32(in.PlanID))
	if err != nil {
		return planStatus{}, err
	}
	p, err := h.plans.OfProject(ctx, access)
	if err != nil {
		return planStatus{}, err
	}
	defer h.see(c, p.ProjectID)
	head, err := h.plans.Head(ctx, access)
	return planStatus{planInfoOf(p), head.Version}, err
}

// planAccess returns what the caller may do in the project of a plan.
func (h *Handler) planAccess(ctx context.Context, c call, planID int32) (auth.Access, error) {
	access, err := h.rights.Plan(ctx, c.Principal, planID)
	if err != nil {
		return auth.Access{}, err
	}
	return access, c.scope.checkProject(access.Project())
}

// firstLine returns what an error of the YAML library says before it shows the text around.
func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return fault.Clip(line)
}
