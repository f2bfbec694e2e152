package graph

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"layercake/internal/auth"
	"layercake/internal/caller"
	"layercake/internal/executor"
	"layercake/internal/graphdata"
	"layercake/internal/plan"
	"layercake/internal/project"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vikstrous/dataloadgen"
)

// loaders gather what many fields of one response ask for into few queries. Each response has loaders of its own, so nothing is stale.
type loaders struct {
	plans    *dataloadgen.Loader[int32, *plan.Plan]           // plans by project id; nil for a project without one
	lives    *dataloadgen.Loader[int32, *project.Live]        // who is in projects, by id
	roles    *dataloadgen.Loader[int32, string]               // roles of the caller by project id
	users    *dataloadgen.Loader[int32, *auth.User]           // accounts by id; nil for one that does not exist
	projects *dataloadgen.Loader[int32, *project.Project]     // projects by id; nil for one that does not exist
	list     func(context.Context) ([]project.Project, error) // projects as they are listed, read once

	graphs *dataloadgen.Loader[int32, *graphdata.Graph]             // graphs by id; nil for one that does not exist
	layers *dataloadgen.Loader[int32, []graphdata.Layer]            // layers by the id of their graph
	stale  *dataloadgen.Loader[int32, map[int32]executor.Staleness] // staleness of all graphs of projects, by project id

	listed   sync.Map // *sync.Once by listedField: what was read of all projects in a list
	shown    *planBudget
	sources  *sourceBudget
	contents *contentBudget
}

// listedField is a field of the projects in a list, which has a first one.
type listedField struct {
	first *project.Project
	name  string
}

type loadersKey struct{}

// withLoaders gives each response loaders of its own.
func (r *Resolver) withLoaders(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
	gather := dataloadgen.WithWait(500 * time.Microsecond)
	l := &loaders{
		shown: newPlanBudget(), sources: newSourceBudget(), contents: &contentBudget{},
		plans: dataloadgen.NewMappedLoader(func(ctx context.Context, ids []int32) (map[int32]*plan.Plan, error) {
			accesses, err := r.accesses(ctx, ids)
			if err != nil {
				return nil, err
			}
			found, err := r.plans.OfProjects(ctx, accesses, selectsYAML(graphql.GetOperationContext(ctx)))
			plans := make(map[int32]*plan.Plan, len(ids))
			for _, id := range ids {
				plans[id] = nil
				if p, ok := found[id]; ok {
					plans[id] = &p
				}
			}
			return plans, err
		}, gather),
		lives: dataloadgen.NewMappedLoader(func(ctx context.Context, ids []int32) (map[int32]*project.Live, error) {
			accesses, err := r.accesses(ctx, ids)
			if err != nil {
				return nil, err
			}
			found, err := r.projects.Live(ctx, accesses)
			lives := make(map[int32]*project.Live, len(ids))
			for _, id := range ids {
				lives[id] = new(found[id]) // nobody is in a project that was deleted meanwhile
			}
			return lives, err
		}, gather),
		roles: dataloadgen.NewMappedLoader(func(ctx context.Context, ids []int32) (map[int32]string, error) {
			found, err := r.rights.Projects(ctx, caller.Principal(ctx, ""), ids)
			roles := make(map[int32]string, len(ids))
			for _, id := range ids {
				roles[id] = string(found[id].Role()) // "" when it was taken away meanwhile
			}
			return roles, err
		}, gather),
		users: dataloadgen.NewMappedLoader(func(ctx context.Context, ids []int32) (map[int32]*auth.User, error) {
			found, err := r.accounts.Users(ctx, caller.From(ctx).Principal, ids)
			users := make(map[int32]*auth.User, len(ids))
			for _, id := range ids {
				users[id] = nil
				if u, ok := found[id]; ok {
					users[id] = &u
				}
			}
			return users, err
		}, gather),
		// Each project is a query: a plan that was reached through its project does not come here, see prime.
		projects: dataloadgen.NewLoader(func(ctx context.Context, ids []int32) ([]*project.Project, []error) {
			projects, errs := make([]*project.Project, len(ids)), make([]error, len(ids))
			for i, id := range ids {
				var p project.Project
				access, err := r.access(ctx, id, "")
				if err == nil {
					p, err = r.projects.Get(ctx, access)
				}
				projects[i], errs[i] = orNull(p, err)
			}
			return projects, errs
		}, gather),
		// Each graph is a query: one that was reached through a list, or through its own field, does not come here.
		graphs: dataloadgen.NewLoader(func(ctx context.Context, ids []int32) ([]*graphdata.Graph, []error) {
			graphs, errs := make([]*graphdata.Graph, len(ids)), make([]error, len(ids))
			for i, id := range ids {
				var g graphdata.Graph
				access, err := r.rights.Graph(ctx, caller.Principal(ctx, ""), id)
				if err == nil {
					g, err = r.graphs.Get(ctx, access, id)
				}
				graphs[i], errs[i] = orNull(g, err)
			}
			return graphs, errs
		}, gather),
		layers: dataloadgen.NewMappedLoader(func(ctx context.Context, ids []int32) (map[int32][]graphdata.Layer, error) {
			found, err := r.graphs.Layers(ctx, ids)
			layers := make(map[int32][]graphdata.Layer, len(ids))
			for _, id := range ids {
				layers[id] = found[id] // none, or of a graph that was deleted meanwhile
			}
			return layers, err
		}, gather),
		stale: dataloadgen.NewMappedLoader(func(ctx context.Context, ids []int32) (map[int32]map[int32]executor.Staleness, error) {
			found, err := r.builds.Stale(ctx, ids)
			stale := make(map[int32]map[int32]executor.Staleness, len(ids))
			for _, id := range ids {
				stale[id] = found
			}
			return stale, err
		}, gather),
	}
	l.list = r.listOnce(l)
	return next(context.WithValue(ctx, loadersKey{}, l))
}

// accesses returns what the caller may do in some projects; those that are not theirs are missing.
func (r *Resolver) accesses(ctx context.Context, projectIDs []int32) ([]auth.Access, error) {
	found, err := r.rights.Projects(ctx, caller.Principal(ctx, ""), projectIDs)
	return slices.Collect(maps.Values(found)), err
}

func loadersOf(ctx context.Context) *loaders { return ctx.Value(loadersKey{}).(*loaders) }

// prime remembers projects that were read already, for the field project of their plans.
func (l *loaders) prime(projects ...project.Project) {
	for i := range projects {
		l.projects.Prime(projects[i].ID, &projects[i])
	}
}

// projectAbove returns the project of something that has one.
func (r *Resolver) projectAbove(ctx context.Context, id int32) (*project.Project, error) {
	p, err := loadersOf(ctx).projects.Load(ctx, id)
	if err == nil && p == nil {
		err = project.ErrNotFound // it was deleted meanwhile
	}
	return p, err
}

// withGraphs remembers listed graphs for what is below them, and reads the layers of all of them in one query if the document asks for
// them.
func (r *Resolver) withGraphs(ctx context.Context, graphs []graphdata.Graph) error {
	l := loadersOf(ctx)
	for i := range graphs {
		l.graphs.Prime(graphs[i].ID, &graphs[i])
	}
	if len(graphs) == 0 || !slices.Contains(graphql.CollectAllFields(ctx), "layers") {
		return nil
	}
	found, err := r.graphs.Layers(ctx, convert(graphs, func(g graphdata.Graph) int32 { return g.ID }))
	for _, g := range graphs {
		l.layers.Prime(g.ID, found[g.ID])
	}
	return err
}

// listOnce returns a function that lists projects once, for all fields of a response that ask. The extension "truncated" of the response
// says how many there are when they are not all.
func (r *Resolver) listOnce(l *loaders) func(context.Context) ([]project.Project, error) {
	var once sync.Once
	var projects []project.Project
	var err error
	return func(ctx context.Context) ([]project.Project, error) {
		once.Do(func() {
			var total int
			var reach auth.Reach
			if reach, err = r.rights.Reach(caller.Principal(ctx, "")); err != nil {
				return
			}
			projects, total, err = r.projects.List(ctx, reach)
			l.prime(projects...)
			if total > len(projects) {
				graphql.RegisterExtension(ctx, "truncated", map[string]any{
					"projects": map[string]int{"returned": len(projects), "total": total},
				})
			}
		})
		return projects, err
	}
}

// withListed reads the plans of listed projects, and who is in them, in one query each, if the document asks for them. Fields that ask one
// by one share a query only if they do so within the loader's wait. After an error they ask again, and report it.
func (r *Resolver) withListed(ctx context.Context, projects []project.Project) {
	if len(projects) == 0 {
		return
	}
	l, fields := loadersOf(ctx), graphql.CollectAllFields(ctx)
	once := func(field string, read func(ids []int32)) {
		if slices.Contains(fields, field) {
			done, _ := l.listed.LoadOrStore(listedField{&projects[0], field}, new(sync.Once))
			done.(*sync.Once).Do(func() { read(convert(projects, func(p project.Project) int32 { return p.ID })) })
		}
	}
	once("plan", func(ids []int32) {
		accesses, _ := r.accesses(ctx, ids)
		found, _ := r.plans.OfProjects(ctx, accesses, selectsYAML(graphql.GetOperationContext(ctx)))
		for id, p := range found {
			l.plans.Prime(id, &p)
		}
	})
	once("live", func(ids []int32) {
		accesses, _ := r.accesses(ctx, ids)
		found, _ := r.projects.Live(ctx, accesses)
		for id, live := range found {
			l.lives.Prime(id, &live)
		}
	})
}

// pageOfProjects is how many projects a page has unless the caller says another number.
const pageOfProjects = 50

// findProjects reads a page of projects.
func (r *Resolver) findProjects(ctx context.Context, q project.Query) (*ProjectPage, error) {
	reach, err := r.rights.Reach(caller.Principal(ctx, ""))
	if err != nil {
		return nil, err
	}
	found, err := r.projects.Find(ctx, reach, q)
	if err != nil {
		return nil, err
	}
	loadersOf(ctx).prime(found.Projects...)
	return &ProjectPage{Projects: found.Projects, Next: optional(found.Next)}, nil
}

// selectsYAML reports whether any part of an operation, or of a fragment, selects the YAML of a plan. All fields of a response share what
// was read of a plan, so it is read with the YAML when one of them wants it.
func selectsYAML(op *graphql.OperationContext) bool {
	return hasYAML(op.Operation.SelectionSet) || slices.ContainsFunc(op.Doc.Fragments, func(f *ast.FragmentDefinition) bool {
		return hasYAML(f.SelectionSet)
	})
}

// hasYAML looks into no fragments that are spread: selectsYAML looks into each once, however often they are.
func hasYAML(set ast.SelectionSet) bool {
	return slices.ContainsFunc(set, func(selection ast.Selection) bool {
		switch selection := selection.(type) {
		case *ast.Field:
			return selection.Name == "yamlContent" || hasYAML(selection.SelectionSet)
		case *ast.InlineFragment:
			return hasYAML(selection.SelectionSet)
		}
		return false
	})
}
