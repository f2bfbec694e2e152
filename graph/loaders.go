package graph

import (
	"context"
	"slices"
	"time"

	"layercake/internal/caller"
	"layercake/internal/plan"
	"layercake/internal/project"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vikstrous/dataloadgen"
)

// loaders gather what many fields of one response ask for into few queries. Each response has loaders of its own, so nothing is stale.
type loaders struct {
	plans    *dataloadgen.Loader[int32, *plan.Plan]       // plans by project id; nil for a project without one
	projects *dataloadgen.Loader[int32, *project.Project] // projects by id; nil for one that does not exist
}

type loadersKey struct{}

// withLoaders gives each response loaders of its own.
func (r *Resolver) withLoaders(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
	gather := dataloadgen.WithWait(500 * time.Microsecond)
	l := &loaders{
		plans: dataloadgen.NewMappedLoader(func(ctx context.Context, ids []int32) (map[int32]*plan.Plan, error) {
			found, err := r.plans.OfProjects(ctx, caller.Actor(ctx, ""), ids)
			plans := make(map[int32]*plan.Plan, len(ids))
			for _, id := range ids {
				plans[id] = nil
				if p, ok := found[id]; ok {
					plans[id] = &p
				}
			}
			return plans, err
		}, gather),
		// Each project is a query: a plan that was reached through its project does not come here, see prime.
		projects: dataloadgen.NewLoader(func(ctx context.Context, ids []int32) ([]*project.Project, []error) {
			projects, errs := make([]*project.Project, len(ids)), make([]error, len(ids))
			for i, id := range ids {
				p, err := r.projects.Get(ctx, caller.Actor(ctx, ""), id)
				projects[i], errs[i] = orNull(p, err)
			}
			return projects, errs
		}, gather),
	}
	return next(context.WithValue(ctx, loadersKey{}, l))
}

func loadersOf(ctx context.Context) *loaders { return ctx.Value(loadersKey{}).(*loaders) }

// prime remembers projects that were read already, for the field project of their plans.
func (l *loaders) prime(projects ...project.Project) {
	for i := range projects {
		l.projects.Prime(projects[i].ID, &projects[i])
	}
}

// withPlans reads the plans of listed projects in one query, if the document asks for them. Fields that ask one by one share a query only
// if they do so within the loader's wait.
func (r *Resolver) withPlans(ctx context.Context, projects []project.Project) {
	if !slices.Contains(graphql.CollectAllFields(ctx), "plan") {
		return
	}
	ids := make([]int32, len(projects))
	for i, p := range projects {
		ids[i] = p.ID
	}
	found, err := r.plans.OfProjects(ctx, caller.Actor(ctx, ""), ids)
	if err != nil {
		return // the fields ask again, and report the error
	}
	for id, p := range found {
		loadersOf(ctx).plans.Prime(id, &p)
	}
}
