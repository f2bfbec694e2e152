package mcpserver

import (
	"cmp"
	"context"
	"embed"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"

	"layercake/internal/fault"
	"layercake/internal/plan"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// prompt is a task that people give an agent. Its text is the template in prompts/ with its name.
type prompt struct {
	name, title, description string
	arguments                []argument
}

// argument is what a prompt's template needs to be told.
type argument struct {
	name, description string
	required          bool
	usual             string // what it is when it is absent; "" for nothing
	kind              kind
}

// kind is what an argument may be.
type kind struct {
	name   string                        // for people, to follow "must be"
	parse  func(text string) (any, bool) // reads what the template gets
	values []string                      // all that there are; nil where they have no end
	find   finder                        // those that projects have; nil where they depend on none
}

// maxArgument is the length of the longest argument of a prompt, in characters.
const maxArgument = 1000

var (
	projectArgument = argument{name: "project_id", description: "Project to work in", required: true, kind: projectKind}
	nodesArgument   = argument{name: "node_count", description: "Nodes of the graph", required: true, kind: whole(0)}
	edgesArgument   = argument{name: "edge_count", description: "Edges of the graph", required: true, kind: whole(0)}
	layersArgument  = argument{name: "layer_count", description: "Layers of the graph", usual: "1", kind: whole(0)}
)

// prompts are those that there are.
var prompts = []prompt{
	{
		name: "analyze_graph_structure", title: "Analyse a graph's structure",
		description: "Components, important and isolated nodes, hierarchy, density, anomalies and layout of a graph.",
		arguments: []argument{
			projectArgument, nodesArgument, edgesArgument, layersArgument,
			{name: "density", description: "Share of the possible edges that there are", usual: "0.0", kind: fractionKind},
			{
				name: "graph_type", description: "Sort of graph", usual: "layered",
				kind: oneOf("directed", "undirected", "layered", "hierarchical", "mixed"),
			},
			{name: "focus_areas", description: "What to look at above all", kind: listKind},
		},
	},
	{
		name: "analyze_paths", title: "Analyse the paths between two nodes",
		description: "Direct, shortest and alternative routes from one node to another, and their bottlenecks.",
		arguments: []argument{
			projectArgument,
			{name: "source_node", description: "Node that the paths begin at", required: true, kind: nodeKind},
			{name: "target_node", description: "Node that they end at", required: true, kind: nodeKind},
			{name: "max_path_length", description: "Edges of the longest path", usual: "10", kind: wholeTo(1, 20)},
			{name: "path_type", description: "Paths to look for", usual: "all", kind: oneOf("shortest", "all", "optimal", "diverse")},
			{name: "include_intermediate_analysis", description: "Whether to look at the nodes between", usual: "false", kind: flagKind},
		},
	},
	{
		name: "analyze_layers", title: "Analyse a graph's layers",
		description: "Distribution of nodes over the layers, connections across them, their balance, and how to show them.",
		arguments: []argument{
			projectArgument,
			{name: "layer_count", description: "Layers of the graph", required: true, kind: whole(1)},
			{
				name: "analysis_focus", description: "What to look at", usual: "connectivity",
				kind: oneOf("distribution", "connectivity", "hierarchy", "balance", "optimization"),
			},
			{name: "include_cross_layer", description: "Whether to look at connections across layers", usual: "true", kind: flagKind},
			{name: "specific_layers", description: "The only layers to look at", kind: listKind},
		},
	},
	{
		name: "recommend_transformations", title: "Recommend transformations",
		description: "What to change in a graph's structure, layout, data and exports to reach a goal, as a plan in steps.",
		arguments: []argument{
			projectArgument, nodesArgument, edgesArgument, layersArgument,
			{name: "component_count", description: "Components of the graph", usual: "1", kind: whole(0)},
			{
				name: "transformation_goal", description: "What to reach", usual: "improve_connectivity",
				kind: oneOf("improve_connectivity", "optimize_layout", "enhance_hierarchy", "reduce_complexity", "improve_performance"),
			},
			{name: "constraint_requirements", description: "What each recommendation must respect", kind: listKind},
		},
	},
	{
		name: "build_pipeline", title: "Build a pipeline", description: "Adds to a plan what reaches a goal: look, design, try, do, check.",
		arguments: []argument{projectArgument, {name: "goal", description: "What the pipeline is for", required: true, kind: textKind}},
	},
	{
		name: "review_plan", title: "Review a plan", description: "Errors, doubts and unclear parts of a plan, with what to do about each.",
		arguments: []argument{projectArgument},
	},
	{
		name: "summarise_changes", title: "Summarise changes", description: "What others changed in a plan, for somebody who was away.",
		arguments: []argument{projectArgument, {name: "since", description: "From when on; without it, the last changes", kind: momentKind}},
	},
}

// quoted is a text of a caller. Templates show it as a JSON string, so that nothing in it looks like a text of ours: it has no line breaks,
// and no quotation mark that could end it.
type quoted string

// String returns the JSON string.
func (q quoted) String() string { return string(compact(string(q))) }

// quotedList is several texts of a caller.
type quotedList []quoted

// String returns the JSON strings with commas between.
func (l quotedList) String() string {
	texts := make([]string, len(l))
	for i, q := range l {
		texts[i] = q.String()
	}
	return strings.Join(texts, ", ")
}

// since is where a summary begins: one of the two.
type since struct{ Cursor, Time quoted }

var (
	textKind = kind{name: "a text", parse: func(text string) (any, bool) { return quoted(text), true }}

	projectKind = kind{
		name: "the id of a project", find: (*Handler).findProjects,
		parse: func(text string) (any, bool) { id, ok := parseID(text); return id, ok },
	}

	nodeKind = kind{name: "the id of a node", find: (*Handler).findNodes, parse: textKind.parse}

	listKind = kind{name: "one or more texts with commas between", parse: func(text string) (any, bool) {
		var items quotedList
		for item := range strings.SplitSeq(text, ",") {
			if item = strings.TrimSpace(item); item != "" {
				items = append(items, quoted(item))
			}
		}
		return items, items != nil
	}}

	fractionKind = kind{name: "a number from 0.0 to 1.0", parse: func(text string) (any, bool) {
		n, err := strconv.ParseFloat(text, 64)
		return n, err == nil && n >= 0 && n <= 1
	}}

	flagKind = kind{name: "true or false", values: []string{"true", "false"}, parse: func(text string) (any, bool) {
		return text == "true", text == "true" || text == "false"
	}}

	momentKind = kind{name: "a cursor of list_changes, a day such as 2026-01-31, or a time as in RFC 3339", parse: parseMoment}
)

func parseMoment(text string) (any, bool) {
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if _, err := time.Parse(layout, text); err == nil {
			return since{Time: quoted(text)}, true
		}
	}
	_, err := plan.ParseCursor(text)
	return since{Cursor: quoted(text)}, err == nil
}

// whole is a whole number from a least one on.
func whole(least int64) kind {
	k := wholeTo(least, math.MaxInt32)
	k.name = fmt.Sprintf("a whole number from %d on", least)
	return k
}

func wholeTo(least, most int64) kind {
	return kind{name: fmt.Sprintf("a whole number from %d to %d", least, most), parse: func(text string) (any, bool) {
		n, err := strconv.ParseInt(text, 10, 64)
		return n, err == nil && n >= least && n <= most
	}}
}

func oneOf(values ...string) kind {
	return kind{name: "one of " + join(values), values: values, parse: func(text string) (any, bool) {
		return text, slices.Contains(values, text)
	}}
}

//go:embed prompts/*.txt
var promptFiles embed.FS

// promptTexts are the templates of all prompts, and expert.txt, which stands before each.
var promptTexts = template.Must(template.New("").Option("missingkey=error").ParseFS(promptFiles, "prompts/*.txt"))

func promptNamed(name string) (p prompt, ok bool) {
	i := slices.IndexFunc(prompts, func(p prompt) bool { return p.name == name })
	if i < 0 {
		return prompt{}, false
	}
	return prompts[i], true
}

func (p prompt) argument(name string) (a argument, ok bool) {
	i := slices.IndexFunc(p.arguments, func(a argument) bool { return a.name == name })
	if i < 0 {
		return argument{}, false
	}
	return p.arguments[i], true
}

// toolName finds the tools that a prompt's text names. Nothing else stands in backquotes there.
var toolName = regexp.MustCompile("`([^`]*)`")

// tools returns the names of the tools that the prompt sends an agent to.
func (p prompt) tools() []string {
	text, err := promptFiles.ReadFile("prompts/" + p.name + ".txt")
	if err != nil {
		panic(err) // it was parsed at the start of the program
	}
	var names []string
	for _, found := range toolName.FindAllSubmatch(text, -1) {
		names = append(names, string(found[1]))
	}
	return names
}

// says describes an argument for people: what it means, what it may be, and what it is when it is absent.
func (a argument) says() string {
	says := a.description + ": " + a.kind.name
	if a.usual != "" {
		says += " (default " + a.usual + ")"
	}
	return says
}

// parse reads the text of an argument, "" when it was not given. A blank text is none. The value is nil when there is none.
func (a argument) parse(text string) (any, error) {
	text = strings.TrimSpace(strings.ReplaceAll(text, "\r\n", "\n"))
	if text == "" {
		text = a.usual
	}
	switch {
	case text == "" && a.required:
		return nil, fault.New(fault.BadRequest, fmt.Sprintf("The prompt needs %s, %s", a.name, a.kind.name)).With("path", a.name)
	case text == "":
		return nil, nil
	}
	if err := cmp.Or(fault.CheckText(a.name, text, maxArgument), fault.CheckLabel(a.name, text)); err != nil {
		return nil, fault.From(err).With("path", a.name)
	}
	value, ok := a.kind.parse(text)
	if !ok {
		return nil, fault.New(fault.BadRequest, fmt.Sprintf("%s is %q, and must be %s", a.name, fault.Clip(text), a.kind.name)).
			With("path", a.name)
	}
	return value, nil
}

// parse reads the arguments of a prompt. Those that are absent have their usual values, or nil.
func (p prompt) parse(given map[string]string) (values map[string]any, err error) {
	for name := range given {
		if _, known := p.argument(name); !known {
			return nil, fault.New(fault.BadRequest, "The prompt takes no such argument").With("path", name)
		}
	}
	values = make(map[string]any, len(p.arguments))
	for _, a := range p.arguments {
		if values[a.name], err = a.parse(given[a.name]); err != nil {
			return nil, err
		}
	}
	return values, nil
}

func (h *Handler) addPrompts() {
	h.server.AddReceivingMiddleware(h.narrowPrompts)
	for _, p := range prompts {
		shown := &mcp.Prompt{Name: p.name, Title: p.title, Description: p.description}
		for _, a := range p.arguments {
			shown.Arguments = append(shown.Arguments, &mcp.PromptArgument{Name: a.name, Description: a.says(), Required: a.required})
		}
		h.server.AddPrompt(shown, h.getPrompt(p))
	}
}

// narrowPrompts leaves out of the list the prompts that are not for the client.
func (h *Handler) narrowPrompts(next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, request mcp.Request) (mcp.Result, error) {
		result, err := next(ctx, method, request)
		list, ok := result.(*mcp.ListPromptsResult)
		if !ok || err != nil {
			return result, err
		}
		c, err := callOf(ctx)
		if err != nil {
			return nil, err
		}
		list.Prompts = slices.DeleteFunc(list.Prompts, func(shown *mcp.Prompt) bool {
			p, ours := promptNamed(shown.Name)
			return ours && h.checkPrompt(c.scope, p) != nil
		})
		return list, nil
	}
}

// checkPrompt returns the fault Forbidden for a prompt with a tool that is not for this client.
func (h *Handler) checkPrompt(s scope, p prompt) error {
	for _, name := range p.tools() {
		if err := s.check(h.tools[name]); err != nil {
			return err
		}
	}
	return nil
}

// getPrompt returns what answers with a prompt: the expert's instruction, then the task.
func (h *Handler) getPrompt(p prompt) mcp.PromptHandler {
	return func(ctx context.Context, request *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		return answer(ctx, h, "prompts/get", func(_ context.Context, c call) (*mcp.GetPromptResult, error) {
			values, err := p.parse(request.Params.Arguments)
			if err != nil {
				return nil, err
			}
			if err := cmp.Or(h.checkPrompt(c.scope, p), c.scope.checkProject(values[projectArgument.name].(int32))); err != nil {
				return nil, err
			}
			result := &mcp.GetPromptResult{Description: p.description}
			for _, name := range []string{"expert.txt", p.name + ".txt"} {
				var b strings.Builder
				if err := promptTexts.ExecuteTemplate(&b, name, values); err != nil {
					return nil, fmt.Errorf("write a prompt: %w", err)
				}
				text := &mcp.TextContent{Text: strings.TrimSpace(b.String())}
				result.Messages = append(result.Messages, &mcp.PromptMessage{Role: "user", Content: text})
			}
			return result, nil
		})
	}
}
