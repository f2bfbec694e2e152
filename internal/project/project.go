// Package project keeps projects: the unit of order and access.
package project

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"layercake/internal/auth"
	"layercake/internal/db"
	"layercake/internal/fanout"
	"layercake/internal/fault"
	"layercake/internal/postgres"

	"github.com/jackc/pgx/v5"
)

// Project is a workspace with one plan.
type Project struct {
	ID          int32
	Name        string
	Description *string
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// Input is the name and description that people give a project. Its texts are trimmed; a blank description is none.
type Input struct {
	Name        string
	Description *string
	OpID        string // id that makes repeats of Create safe: the same request again gets the same project; "" for none
}

// Service creates, finds and deletes projects. In open mode every actor owns every project.
type Service struct {
	db   *postgres.DB
	wire *fanout.Wire
}

// Config is what a service needs.
type Config struct {
	DB *postgres.DB
	// Wire makes all replicas look at the tables when a project was deleted, so that its watchers and the people in it need not wait for
	// the next sweep. It may be nil.
	Wire *fanout.Wire
}

// NewService returns the projects in a database.
func NewService(c Config) *Service { return &Service{db: c.DB, wire: c.Wire} }

// ErrNotFound is the fault for a project that does not exist, or not for this caller.
var ErrNotFound = auth.ErrNoProject

// maxListed is the number of projects that List and Page return at most. The query of List has it, too.
const maxListed = 1000

// List returns the projects in reach by ascending id, and how many there are. When they are more than 1,000, it returns those whose name or
// plan changed last.
func (s *Service) List(ctx context.Context, reach auth.Reach) (projects []Project, total int, err error) {
	err = s.db.Requests.Query(ctx, func(q *db.Queries) error {
		rows, err := q.ListProjects(ctx, db.ListProjectsParams{Account: reach.Account(), Single: reach.Only()})
		projects, total = make([]Project, len(rows)), len(rows)
		for i, row := range rows {
			projects[i] = Project(row)
		}
		if err != nil || len(rows) < maxListed {
			return err
		}
		count, err := q.CountProjects(ctx, db.CountProjectsParams{Account: reach.Account(), Single: reach.Only()})
		total = max(total, int(count))
		return err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("list projects: %w", err)
	}
	return projects, total, nil
}

// Get returns one project, or the fault NotFound.
func (s *Service) Get(ctx context.Context, access auth.Access) (Project, error) {
	if err := access.May(auth.View); err != nil {
		return Project{}, err
	}
	id := access.Project()
	var row db.Project
	err := s.db.Requests.Query(ctx, func(q *db.Queries) (err error) {
		row, err = q.GetProject(ctx, id)
		return err
	})
	return found(row, err)
}

// Page returns at most limit projects in reach with ids above after, by ascending id, and whether there are more. Fault: BadRequest
// for a limit that is not 1 to 1,000.
func (s *Service) Page(ctx context.Context, reach auth.Reach, after int32, limit int) (projects []Project, more bool, err error) {
	if limit < 1 || limit > maxListed {
		return nil, false, fault.New(fault.BadRequest, "The limit is not one of a page").
			With("detail", map[string]any{"least": 1, "limit": maxListed, "value": limit})
	}
	err = s.db.Requests.Query(ctx, func(q *db.Queries) error {
		rows, err := q.ListProjectsAfter(ctx, db.ListProjectsAfterParams{
			After: after, Account: reach.Account(), Single: reach.Only(), Most: int32(limit) + 1,
		})
		more = len(rows) > limit
		rows = rows[:min(len(rows), limit)]
		projects = make([]Project, len(rows))
		for i, row := range rows {
			projects[i] = Project(row)
		}
		return err
	})
	if err != nil {
		return nil, false, fmt.Errorf("list a page of projects: %w", err)
	}
	return projects, more, nil
}

// Create makes a project with its head and its plan, and makes the account of the caller its owner. Under an operation id that created a
// project before, it returns that project as it is now. Faults: BadRequest for what the rules refuse, and when the operation id was used
// for another request; NotFound when the project that the operation created was deleted since.
func (s *Service) Create(ctx context.Context, reach auth.Reach, in Input) (Project, error) {
	actor := reach.Actor()
	in, err := in.check()
	if err := errors.Join(reach.MayCreate(), err); err != nil {
		return Project{}, err
	}
	if in.OpID != "" {
		return s.createOnce(ctx, actor, in)
	}
	var row db.Project
	err = s.db.Requests.InTx(ctx, func(q *db.Queries) (err error) {
		row, err = insert(ctx, q, actor, in)
		return err
	})
	if err != nil {
		return Project{}, fmt.Errorf("create project: %w", err)
	}
	return Project(row), nil
}

// insert writes a project with its head, its plan and its owner.
func insert(ctx context.Context, q *db.Queries, actor auth.Actor, in Input) (db.Project, error) {
	row, err := q.InsertProject(ctx, db.InsertProjectParams{Name: in.Name, Description: in.Description})
	if err != nil {
		return row, err
	}
	if err := q.InsertHead(ctx, row.ID); err != nil {
		return row, err
	}
	if actor.Account != 0 {
		if err := q.InsertOwner(ctx, db.InsertOwnerParams{ProjectID: row.ID, UserID: actor.Account}); err != nil {
			return row, err
		}
	}
	name := fmt.Sprintf("Plan for Project %d", row.ID) // layercake.verify_plan knows it, too
	return row, q.InsertPlan(ctx, db.InsertPlanParams{ProjectID: row.ID, Name: name})
}

// Update sets name and description.
func (s *Service) Update(ctx context.Context, access auth.Access, in Input) (Project, error) {
	if err := access.May(auth.Edit); err != nil {
		return Project{}, err
	}
	id := access.Project()
	in, err := in.check()
	if err != nil {
		return Project{}, err
	}
	var row db.Project
	err = s.db.Requests.InTx(ctx, func(q *db.Queries) (err error) {
		if err := hold(ctx, q, access, auth.Edit); err != nil {
			return err
		}
		row, err = q.UpdateProject(ctx, db.UpdateProjectParams{ID: id, Name: in.Name, Description: in.Description})
		return err
	})
	return found(row, err)
}

// hold locks the head of a project, and reads again under it what the caller may do there: who changes roles holds the same lock.
func hold(ctx context.Context, q *db.Queries, access auth.Access, need auth.Need) error {
	if _, err := q.LockHead(ctx, access.Project()); err != nil {
		return err
	}
	account, stored := access.Stored()
	if !stored {
		return nil
	}
	role, err := q.GetRole(ctx, db.GetRoleParams{ProjectID: access.Project(), UserID: account})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return ErrNotFound
	case err != nil:
		return err
	}
	return access.Renewed(&role).May(need)
}

// Delete removes a project and everything below it. Changes in flight end first, because it takes the head's lock before anything else;
// watchers of its plan end with NotFound, and the people in it are sent away.
func (s *Service) Delete(ctx context.Context, access auth.Access) error {
	if err := access.May(auth.Own); err != nil {
		return err
	}
	id := access.Project()
	err := s.db.Requests.InTx(ctx, func(q *db.Queries) error {
		if err := hold(ctx, q, access, auth.Own); err != nil {
			return err
		}
		if _, err := q.DeleteProject(ctx, id); err != nil {
			return err
		}
		return q.DeleteGuestsOfProject(ctx, id)
	})
	_, err = found(db.Project{}, err)
	if err == nil && s.wire != nil {
		s.wire.Invalidate("deletion") // no line says that a project is gone
	}
	return err
}

func found(row db.Project, err error) (Project, error) {
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return Project{}, ErrNotFound
	case err != nil:
		return Project{}, fmt.Errorf("project: %w", err)
	}
	return Project(row), nil
}

const (
	maxName        = 100
	maxDescription = 1000
	maxOperationID = 200
)

func (in Input) check() (Input, error) {
	in.Name = strings.TrimSpace(in.Name)
	if in.Name == "" {
		return in, fault.New(fault.BadRequest, "Project name cannot be empty")
	}
	err := errors.Join(fault.CheckText("Project name", in.Name, maxName), fault.CheckName("Project name", in.Name),
		fault.CheckText("Operation id", in.OpID, maxOperationID))
	if err != nil {
		return in, err
	}
	if in.Description != nil {
		if strings.TrimSpace(*in.Description) == "" {
			in.Description = nil
			return in, nil
		}
		err := errors.Join(fault.CheckText("Project description", *in.Description, maxDescription),
			fault.CheckLabel("Project description", *in.Description))
		if err != nil {
			return in, err
		}
	}
	return in, nil
}
