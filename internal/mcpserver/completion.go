package mcpserver

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"layercake/internal/fault"
	"layercake/internal/project"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// mostValues is the number of values in one answer to completion/complete, by the specification of the protocol.
const mostValues = 100

// candidate is what an argument may be: the value, and the name that people know it by.
type candidate struct{ value, name string }

// fits reports whether somebody who typed a text, here in lower case, may mean the candidate: by the beginning of its value, or by a part
// of its name.
func (c candidate) fits(typed string) (byValue, byName bool) {
	return strings.HasPrefix(strings.ToLower(c.value), typed), strings.Contains(strings.ToLower(c.name), typed)
}

// finder returns what an argument may be, in order, and whether that is all. It may leave out what does not fit the text that was typed.
// The project is the one that other arguments name, 0 for none.
type finder func(h *Handler, ctx context.Context, c call, projectID int32, typed string) (found []candidate, all bool, err error)

// finders are those of the variables in templates of URIs.
var finders = map[string]finder{"project_id": (*Handler).findProjects, "plan_id": (*Handler).findPlans}

// findWords returns those that there are.
func findWords(words []string) finder {
	return func(*Handler, context.Context, call, int32, string) (found []candidate, all bool, err error) {
		for _, word := range words {
			found = append(found, candidate{value: word})
		}
		return found, true, nil
	}
}

// complete answers what an argument of a prompt, or a variable of a resource, may be. To what is not known there is nothing to suggest:
// that is no error, since a client asks while somebody types.
func (h *Handler) complete(ctx context.Context, request *mcp.CompleteRequest) (*mcp.CompleteResult, error) {
	return answer(ctx, h, "completion/complete", func(ctx context.Context, c call) (*mcp.CompleteResult, error) {
		asked := request.Params
		find := finderOf(asked.Ref, asked.Argument.Name)
		const longest = 1000 // bytes, as many as no name has
		if find == nil || len(asked.Argument.Value) > longest {
			return &mcp.CompleteResult{Completion: mcp.CompletionResultDetails{Values: []string{}}}, nil
		}
		var projectID int32
		if asked.Context != nil {
			projectID, _ = parseID(asked.Context.Arguments[projectArgument.name])
		}
		found, all, err := find(h, ctx, c, projectID, asked.Argument.Value)
		if f := fault.From(err); f != nil && (f.Code == fault.NotFound || f.Code == fault.Forbidden) {
			found, all, err = nil, true, nil
		}
		if err != nil {
			return nil, err
		}
		return &mcp.CompleteResult{Completion: completionOf(found, all, asked.Argument.Value)}, nil
	})
}

// finderOf returns how to find values of an argument, nil where there is nothing to find.
func finderOf(ref *mcp.CompleteReference, name string) finder {
	if ref.Type == "ref/resource" {
		for _, r := range resources {
			_, variable, after, ok := r.template()
			switch {
			case !ok || r.uri != ref.URI:
			case variable == name:
				return finders[name]
			case r.words != nil && after == "/{"+name+"}":
				return findWords(r.words)
			}
		}
		return nil
	}
	p, _ := promptNamed(ref.Name)
	a, _ := p.argument(name)
	if a.kind.values == nil {
		return a.kind.find
	}
	return findWords(a.kind.values)
}

// completionOf returns the values of the candidates that fit what was typed: first those that begin with it, then those with it in their
// names.
func completionOf(found []candidate, all bool, typed string) mcp.CompletionResultDetails {
	values, named := []string{}, []string{}
	typed = strings.ToLower(typed)
	for _, candidate := range found {
		switch byValue, byName := candidate.fits(typed); {
		case byValue:
			values = append(values, candidate.value)
		case byName:
			named = append(named, candidate.value)
		}
	}
	values = append(values, named...)
	details := mcp.CompletionResultDetails{Values: values[:min(len(values), mostValues)], HasMore: !all || len(values) > mostValues}
	if all {
		details.Total = len(values)
	}
	return details
}

// visibleProjects returns the projects of a client: of more than 1,000 those that changed last.
func (h *Handler) visibleProjects(ctx context.Context, c call) (projects []project.Project, all bool, err error) {
	if c.scope.project != 0 {
		projects, _, err = h.projectsAfter(ctx, c, 0, 1)
		return projects, true, err
	}
	reach, err := h.rights.Reach(c.Principal)
	if err != nil {
		return nil, false, err
	}
	projects, total, err := h.projects.List(ctx, reach)
	return projects, len(projects) == total, err
}

func (h *Handler) findProjects(ctx context.Context, c call, _ int32, _ string) (found []candidate, all bool, err error) {
	projects, all, err := h.visibleProjects(ctx, c)
	for _, p := range projects {
		found = append(found, candidate{strconv.Itoa(int(p.ID)), p.Name})
	}
	return found, all, err
}

func (h *Handler) findPlans(ctx context.Context, c call, _ int32, _ string) (found []candidate, all bool, err error) {
	projects, all, err := h.visibleProjects(ctx, c)
	if err != nil {
		return nil, false, err
	}
	ids, names := []int32{}, map[int32]string{}
	for _, p := range projects {
		ids, names[p.ID] = append(ids, p.ID), p.Name
	}
	accesses, err := h.rights.Projects(ctx, c.Principal, ids)
	if err != nil {
		return nil, false, err
	}
	plans, err := h.plans.OfProjects(ctx, slices.Collect(maps.Values(accesses)), false)
	for _, id := range slices.Sorted(maps.Keys(plans)) {
		p := plans[id]
		found = append(found, candidate{strconv.Itoa(int(p.ID)), p.Name + "\n" + names[id]})
	}
	return found, all, err
}

func (h *Handler) findNodes(ctx context.Context, c call, projectID int32, typed string) (found []candidate, all bool, err error) {
	projectID = cmp.Or(projectID, c.scope.project)
	if projectID == 0 {
		return nil, true, nil
	}
	if err := c.scope.checkProject(projectID); err != nil {
		return nil, false, err
	}
	access, err := h.rights.Project(ctx, c.Principal, projectID)
	if err != nil {
		return nil, false, err
	}
	nodes, err := h.plans.FindNodes(ctx, access, typed, mostValues+1)
	for _, n := range nodes {
		found = append(found, candidate{n.ID, n.Label})
	}
	return found, len(nodes) <= mostValues, err
}
