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

// loaders answer what many parts of one response ask for with few queries. Each response has its own, so nothing is stale.
type loaders struct {
	plans    *dataloadgen.Loader[int32, *plan.Plan]       // by project id; nil when there is none
	projects *dataloadgen.Loader[int32, *project.Project] // by id; nil when there is none
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
		// One query each: a plan that was reached through its project does not come here, see keep.
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

func load(ctx context.Context) *loaders { return ctx.Value(loadersKey{}).(*loaders) }

// keep remembers projects that were read, for their plans' sake.
func (l *loaders) keep(projects ...project.Project) {
	for i := range projects {
		l.projects.Prime(projects[i].ID, &projects[i])
	}
}

// withPlans reads the plans of projects that are listed, if they are asked for: fields that ask one by one would come in time to
// share a query, or not.
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
		return // the fields ask again, and tell
	}
	for id, p := range found {
		load(ctx).plans.Prime(id, &p)
	}
}
