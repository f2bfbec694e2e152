package mcpserver

import (
	"context"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"layercake/internal/executor"
	"layercake/internal/export"
	"layercake/internal/fault"
	"layercake/internal/layered"
	"layercake/internal/project"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// resource is what clients read under a URI.
type resource struct {
	uri         string // or a template of URIs, with project_id or plan_id in braces
	name        string
	description string
	mimeType    string
	constant    bool   // whether it is the same as long as the replica runs
	shows       aspect // side of a project that clients can listen to; empty for none

	// read returns a text, or what becomes one as JSON. The id is the one in the URI, 0 where none is.
	read func(h *Handler, ctx context.Context, c call, id int32) (any, error)

	// words are what a second variable may be, at the end of the template, and word returns the resource of one; nil where there is none.
	words []string
	word  func(word string) resource
}

const jsonType = "application/json"

// resources are those that there are, each with the arguments that a tool has by default. Projects have URIs by the first template.
var resources = []resource{
	{
		uri: "layercake://node-types", name: "Node Types", description: "What each type of node is for, what it leads to, and its config.",
		mimeType: jsonType, constant: true, read: (*Handler).readNodeTypes,
	},
	{
		uri: "layercake://schema/graphql", name: "GraphQL Schema", description: "The schema of /graphql, in its definition language.",
		mimeType: "application/graphql", constant: true, read: (*Handler).readSchema,
	},
	{
		uri: "layercake://health", name: "Health", description: "Whether the replica that answers is well, as /health says it.",
		mimeType: jsonType, read: (*Handler).readHealth,
	},
	{
		uri: projectsURI + "{project_id}", name: "Project Configuration",
		description: "A project, with the id and version of its plan, as get_project returns it.",
		mimeType:    jsonType, shows: ofPlan, read: (*Handler).readProject,
	},
	{
		uri: projectsURI + "{project_id}/plan", name: "Plan Outline",
		description: "The nodes of a project's plan with their inputs: the first page of get_plan.",
		mimeType:    jsonType, shows: ofPlan, read: (*Handler).readOutline,
	},
	{
		uri: projectsURI + "{project_id}/changes", name: "Plan Changes",
		description: "The last changes of a project's plan, as list_changes returns them.",
		mimeType:    jsonType, shows: ofPlan, read: (*Handler).readChanges,
	},
	{
		uri: projectsURI + "{project_id}/presence", name: "People Here",
		description: "The people and agents who are in a project now, as who_is_here returns them.",
		mimeType:    jsonType, shows: ofPresence, read: (*Handler).readPresence,
	},
	{
		uri: projectsURI + "{project_id}/proposals", name: "Open Proposals",
		description: "The edits of a project's plan that wait for a decision, as list_proposals returns them.",
		mimeType:    jsonType, shows: ofProposals, read: (*Handler).readProposals,
	},
	{
		uri: "layercake://graphs/{project_id}/{format}", name: "Graph Export",
		description: "The only graph of a project's plan in a format such as json, dot or mermaid, as export_graph writes it.",
		mimeType:    "text/plain", words: exportFormats(), word: graphIn,
	},
	{
		uri: "layercake://analysis/{project_id}/{analysis_type}", name: "Graph Analysis",
		description: "The connectivity of the only graph of a project's plan, as analyze_connectivity returns it.",
		mimeType:    jsonType, words: []string{"connectivity"}, word: analysisBy,
	},
	{
		uri: "layercake://plans/{plan_id}", name: "Transformation Plan", description: "The YAML text of a plan.",
		mimeType: "application/yaml", read: (*Handler).readYAML,
	},
}

// addressed are the resources, each of those with words once for each word.
var addressed = expand(resources)

func expand(all []resource) []resource {
	var expanded []resource
	for _, r := range all {
		if r.words == nil {
			expanded = append(expanded, r)
			continue
		}
		for _, word := range r.words {
			of := r.word(word)
			of.uri = r.uri[:strings.LastIndex(r.uri, "{")] + word
			expanded = append(expanded, of)
		}
	}
	return expanded
}

// template returns what is before and after the variable of a template, and the variable; it is false for a resource with one URI.
func (r resource) template() (before, variable, after string, ok bool) {
	before, rest, ok := strings.Cut(r.uri, "{")
	variable, after, _ = strings.Cut(rest, "}")
	return before, variable, after, ok
}

// resourceAt returns the resource that a URI names, and the id in it, 0 where none is. Each resource has one URI only: an id has no sign,
// no zeros before it, and nothing escaped.
func resourceAt(uri string) (r resource, id int32, ok bool) {
	for _, r := range addressed {
		before, _, after, template := r.template()
		if !template {
			if uri == r.uri {
				return r, 0, true
			}
			continue
		}
		rest, begins := strings.CutPrefix(uri, before)
		number, ends := strings.CutSuffix(rest, after)
		if !begins || !ends {
			continue
		}
		if id, ok := parseID(number); ok {
			return r, id, true
		}
	}
	return resource{}, 0, false
}

// parseID reads the id of a project or a plan as URIs and prompts have it.
func parseID(text string) (id int32, ok bool) {
	n, err := strconv.ParseInt(text, 10, 32)
	return int32(n), err == nil && n >= 1 && strconv.FormatInt(n, 10) == text
}

func (h *Handler) addResources() {
	h.server.AddReceivingMiddleware(h.resourceMethods)
	for _, r := range resources {
		if _, _, _, template := r.template(); template {
			h.server.AddResourceTemplate(&mcp.ResourceTemplate{
				URITemplate: r.uri, Name: r.name, Description: r.description, MIMEType: r.mimeType,
			}, h.readResource)
			continue
		}
		h.server.AddResource(&mcp.Resource{URI: r.uri, Name: r.name, Description: r.description, MIMEType: r.mimeType}, h.readResource)
	}
}

// resourceMethods does what the SDK does not: it lists projects, and refuses what cannot be a URI, which the SDK would quote back in a text
// that is no JSON.
func (h *Handler) resourceMethods(next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, request mcp.Request) (mcp.Result, error) {
		switch request := request.(type) {
		case *mcp.ListResourcesRequest:
			return h.listResources(ctx, method, request, next)
		case *mcp.ReadResourceRequest:
			if uri := request.Params.URI; !isURI(uri) {
				return nil, resourceNotFound(uri)
			}
		}
		return next(ctx, method, request)
	}
}

// isURI reports whether a text may be a URI: they are of visible ASCII (RFC 3986).
func isURI(text string) bool {
	const longest = 1000 // bytes, far more than ours have
	return len(text) <= longest && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
}

func resourceNotFound(uri string) error {
	return &jsonrpc.Error{
		Code: jsonrpc.CodeInvalidParams, Message: "Resource not found", Data: compact(map[string]any{"uri": fault.Clip(uri)}),
	}
}

// listResources answers with what is registered, on the first page, and then the client's projects by id.
func (h *Handler) listResources(
	ctx context.Context, method string, request *mcp.ListResourcesRequest, next mcp.MethodHandler,
) (mcp.Result, error) {
	list := &mcp.ListResourcesResult{Resources: []*mcp.Resource{}}
	after := int32(0)
	if request.Params != nil && request.Params.Cursor != "" {
		var ok bool
		if after, ok = parseProjectCursor(request.Params.Cursor); !ok {
			return nil, h.protocolError(ctx, method, fault.New(fault.BadRequest, "The cursor is none of resources/list").With("path", "cursor"))
		}
	} else {
		registered, err := next(ctx, method, request)
		if err != nil {
			return nil, err
		}
		list = registered.(*mcp.ListResourcesResult)
	}
	return answer(ctx, h, method, func(ctx context.Context, c call) (mcp.Result, error) {
		projects, more, err := h.projectsAfter(ctx, c, after, max(1, pageSize-len(list.Resources)))
		if err != nil {
			return nil, err
		}
		for _, p := range projects {
			uri := projectsURI + strconv.Itoa(int(p.ID))
			list.Resources = append(list.Resources, &mcp.Resource{
				URI: uri, Name: p.Name, Description: text(p.Description), MIMEType: jsonType,
			})
			after = p.ID
		}
		if more {
			list.NextCursor = projectCursor(after)
		}
		cacheable(ctx, request, &list.Cacheable)
		return list, nil
	})
}

// projectsAfter returns projects of a client by id, those with ids above after, and whether there are more.
func (h *Handler) projectsAfter(ctx context.Context, c call, after int32, limit int) (projects []project.Project, more bool, err error) {
	switch only := c.scope.project; {
	case only == 0:
		reach, err := h.rights.Reach(c.Principal)
		if err != nil {
			return nil, false, err
		}
		return h.projects.Page(ctx, reach, after, limit)
	case only <= after:
		return nil, false, nil
	}
	var p project.Project
	access, err := h.rights.Project(ctx, c.Principal, c.scope.project)
	if err == nil {
		p, err = h.projects.Get(ctx, access)
	}
	if f := fault.From(err); f != nil && f.Code == fault.NotFound {
		return nil, false, nil
	}
	return []project.Project{p}, false, err
}

// projectCursor returns the cursor of resources/list for what follows a project.
func projectCursor(after int32) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Append(nil, "project ", after))
}

func parseProjectCursor(cursor string) (after int32, ok bool) {
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	number, ok := strings.CutPrefix(string(text), "project ")
	if err != nil || !ok {
		return 0, false
	}
	return parseID(number)
}

// readResource answers with a resource's text. What is not there and what is not for this client look the same.
func (h *Handler) readResource(ctx context.Context, request *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
	uri := request.Params.URI
	return answer(ctx, h, "resources/read", func(ctx context.Context, c call) (*mcp.ReadResourceResult, error) {
		r, id, ok := resourceAt(uri)
		if !ok {
			return nil, resourceNotFound(uri)
		}
		shown, err := r.read(h, ctx, c, id)
		if f := fault.From(err); f != nil && (f.Code == fault.NotFound || f.Code == fault.Forbidden) {
			return nil, resourceNotFound(uri)
		}
		if err != nil {
			return nil, err
		}
		text, ok := shown.(string)
		if !ok {
			text = string(compact(shown))
		}
		if len(text) > maxResult {
			return nil, fault.New(fault.BadRequest, "The resource is too large: ask a tool for a part of it").
				With("detail", map[string]any{"bytes": len(text), "limit": maxResult})
		}
		return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: uri, MIMEType: r.mimeType, Text: text}}}, nil
	})
}

func (h *Handler) readNodeTypes(ctx context.Context, c call, _ int32) (any, error) {
	all := nodeTypes{}
	for _, name := range nodeTypeNames() {
		one, err := h.describeNodeTypes(ctx, c, describeNodeTypes{NodeType: nodeType(name)})
		if err != nil {
			return nil, err
		}
		all.NodeTypes = append(all.NodeTypes, one.NodeTypes...)
	}
	return all, nil
}

func (h *Handler) readSchema(context.Context, call, int32) (any, error) { return h.schema, nil }

func (h *Handler) readHealth(ctx context.Context, _ call, _ int32) (any, error) {
	return h.health(ctx), nil
}

func (h *Handler) readProject(ctx context.Context, c call, projectID int32) (any, error) {
	return readOfProject(ctx, h, c, projectID, h.getProject)
}

func (h *Handler) readOutline(ctx context.Context, c call, projectID int32) (any, error) {
	return readOfProject(ctx, h, c, projectID, func(ctx context.Context, c call, of ofProject) (planPage, error) {
		return h.getPlan(ctx, c, getPlan{ofProject: of})
	})
}

func (h *Handler) readChanges(ctx context.Context, c call, projectID int32) (any, error) {
	return readOfProject(ctx, h, c, projectID, func(ctx context.Context, c call, of ofProject) (changeList, error) {
		return h.listChanges(ctx, c, listChanges{ofProject: of})
	})
}

func (h *Handler) readPresence(ctx context.Context, c call, projectID int32) (any, error) {
	return readOfProject(ctx, h, c, projectID, h.whoIsHere)
}

func (h *Handler) readProposals(ctx context.Context, c call, projectID int32) (any, error) {
	return readOfProject(ctx, h, c, projectID, func(ctx context.Context, c call, of ofProject) (proposalList, error) {
		return h.listProposals(ctx, c, listProposals{ofProject: of})
	})
}

// graphIn is the resource of a graph in one format.
func graphIn(format string) resource {
	known, err := export.ParseFormat(format)
	if err != nil {
		panic(err) // the words are the formats
	}
	return resource{mimeType: known.MIME(), shows: ofPlan, read: func(h *Handler, ctx context.Context, c call, projectID int32) (any, error) {
		return readOfProject(ctx, h, c, projectID, func(ctx context.Context, c call, of ofProject) (string, error) {
			node, err := h.graphNode(ctx, c, ofGraph{ofProject: of})
			if err != nil {
				return "", err
			}
			output, err := h.executor.Output(ctx, c.access, node, executor.OutputRequest{Format: known})
			if err != nil {
				return "", err
			}
			content, fits, err := output.Bytes(ctx, maxResult)
			if err == nil && !fits {
				err = fault.New(fault.BadRequest, "The graph is too large for a resource: download it").With("download", output.Download)
			}
			return string(content), err
		})
	}}
}

// analysisBy is the resource of an analysis.
func analysisBy(string) resource {
	return resource{mimeType: jsonType, shows: ofPlan, read: func(h *Handler, ctx context.Context, c call, projectID int32) (any, error) {
		return readOfProject(ctx, h, c, projectID, func(ctx context.Context, c call, of ofProject) (layered.Connections, error) {
			return h.analyzeConnectivity(ctx, c, ofGraph{ofProject: of})
		})
	}}
}

// readOfProject returns what a tool says of a project, if the client may see it.
func readOfProject[Out any](
	ctx context.Context, h *Handler, c call, projectID int32, tool func(context.Context, call, ofProject) (Out, error),
) (any, error) {
	if err := c.scope.checkProject(projectID); err != nil {
		return nil, err
	}
	var err error
	if c.access, err = h.rights.Project(ctx, c.Principal, projectID); err != nil {
		return nil, err
	}
	defer h.see(c, projectID)
	return tool(ctx, c, ofProject{id(projectID)})
}

func (h *Handler) readYAML(ctx context.Context, c call, planID int32) (any, error) {
	access, err := h.planAccess(ctx, c, planID)
	if err != nil {
		return nil, err
	}
	p, err := h.plans.OfProject(ctx, access)
	if err != nil {
		return nil, err
	}
	defer h.see(c, p.ProjectID)
	if p.YAMLContent == "" {
		return "\n", nil // the SDK leaves out an empty text, and clients want one; an empty line is the same YAML
	}
	return p.YAMLContent, nil
}
