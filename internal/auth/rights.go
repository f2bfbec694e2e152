package auth

import (
	"context"
	"errors"
	"fmt"

	"layercake/internal/db"
	"layercake/internal/fault"
	"layercake/internal/postgres"

	"github.com/jackc/pgx/v5"
)

// Rights answers who may do what, by project. It is the only place that makes an Access. In open mode everybody owns every project, and a
// token still is limited by its scopes.
type Rights struct {
	db   *postgres.DB
	open bool
}

// NewRights returns the rights of a deployment; open says whether callers without a credential may go on.
func NewRights(db *postgres.DB, open bool) *Rights { return &Rights{db: db, open: open} }

// Open reports whether everybody owns every project.
func (r *Rights) Open() bool { return r.open }

// Project returns what somebody may do in a project, or ErrNoProject: for one that does not exist, unless in open mode, where nothing is
// looked up, and for one that is not theirs. Fault: Unauthenticated for nobody.
func (r *Rights) Project(ctx context.Context, p Principal, projectID int32) (Access, error) {
	found, err := r.Projects(ctx, p, []int32{projectID})
	if err != nil {
		return Access{}, err
	}
	access, ok := found[projectID]
	if !ok {
		return Access{}, ErrNoProject
	}
	return access, nil
}

// Projects is Project for many, with one query at most. Those that are not theirs are missing.
func (r *Rights) Projects(ctx context.Context, p Principal, projectIDs []int32) (map[int32]Access, error) {
	if err := r.admit(p); err != nil {
		return nil, err
	}
	found := make(map[int32]Access, len(projectIDs))
	if r.open {
		for _, id := range projectIDs {
			if access, ok := r.grant(p, id, Owner); ok {
				found[id] = access
			}
		}
		return found, nil
	}
	err := r.db.Requests.Query(ctx, func(q *db.Queries) error {
		rows, err := q.ListRoles(ctx, db.ListRolesParams{UserID: p.Account, ProjectIds: projectIDs})
		for _, row := range rows {
			if access, ok := r.grant(p, row.ProjectID, Role(row.Role)); ok {
				found[row.ProjectID] = access
			}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look up roles: %w", err)
	}
	return found, nil
}

// thing is a sort of things that belong to a project and have ids of their own.
type thing struct {
	missing *fault.Error
	project func(ctx context.Context, q *db.Queries, id int32) (int32, error)
}

var (
	plans = thing{fault.New(fault.NotFound, "Plan not found"), func(ctx context.Context, q *db.Queries, id int32) (int32, error) {
		return q.GetProjectOfPlan(ctx, id)
	}}
	sources = thing{fault.New(fault.NotFound, "DataSource not found"), func(ctx context.Context, q *db.Queries, id int32) (int32, error) {
		return q.GetProjectOfSource(ctx, id)
	}}
	graphs = thing{fault.New(fault.NotFound, "Graph not found"), func(ctx context.Context, q *db.Queries, id int32) (int32, error) {
		return q.GetProjectOfGraph(ctx, id)
	}}
)

// Plan is Project for the project of a plan; the fault of a plan that does not exist, or not for this caller, is NotFound.
func (r *Rights) Plan(ctx context.Context, p Principal, planID int32) (Access, error) {
	return r.of(ctx, p, plans, planID)
}

// Source is Project for the project of a data source, as Plan is for that of a plan.
func (r *Rights) Source(ctx context.Context, p Principal, sourceID int32) (Access, error) {
	return r.of(ctx, p, sources, sourceID)
}

// Graph is Project for the project of a graph, as Plan is for that of a plan.
func (r *Rights) Graph(ctx context.Context, p Principal, graphID int32) (Access, error) {
	return r.of(ctx, p, graphs, graphID)
}

func (r *Rights) of(ctx context.Context, p Principal, t thing, id int32) (Access, error) {
	if err := r.admit(p); err != nil {
		return Access{}, err
	}
	var project int32
	err := r.db.Requests.Query(ctx, func(q *db.Queries) (err error) {
		project, err = t.project(ctx, q, id)
		return err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return Access{}, t.missing
	}
	if err != nil {
		return Access{}, fmt.Errorf("look up the project of an id: %w", err)
	}
	access, err := r.Project(ctx, p, project)
	if errors.Is(err, ErrNoProject) {
		return Access{}, t.missing
	}
	return access, err
}

// Reach returns the projects that somebody may see. Fault: Unauthenticated for nobody.
func (r *Rights) Reach(p Principal) (Reach, error) {
	if err := r.admit(p); err != nil {
		return Reach{}, err
	}
	return Reach{actor: p.Actor, scopes: p.Scopes, every: r.open, project: p.Project}, nil
}

// admit fails for nobody, and in required mode for whoever has no account.
func (r *Rights) admit(p Principal) error {
	if p.ID == "" || !r.open && p.Account == 0 {
		return errSignIn
	}
	return nil
}

// grant makes an access, unless the token is for another project.
func (r *Rights) grant(p Principal, projectID int32, role Role) (Access, bool) {
	if p.Project != 0 && p.Project != projectID {
		return Access{}, false
	}
	return Access{actor: p.Actor, project: projectID, role: role, scopes: p.Scopes, stored: !r.open}, true
}
