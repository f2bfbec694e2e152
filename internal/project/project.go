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

// ErrNotFound is the fault for a project that does not exist.
var ErrNotFound = fault.New(fault.NotFound, "Project not found")

// maxListed is the number of projects that List and Page return at most. The query of List has it, too.
const maxListed = 1000

// List returns projects of the actor by ascending id, and how many there are. When they are more than 1,000, it returns those whose name or
// plan changed last.
func (s *Service) List(ctx context.Context, _ auth.Actor) (projects []Project, total int, err error) {
	err = s.db.Requests.Query(ctx, func(q *db.Queries) error {
		rows, err := q.ListProjects(ctx)
		projects, total = make([]Project, len(rows)), len(rows)
		for i, row := range rows {
			projects[i] = Project(row)
		}
		if err != nil || len(rows) < maxListed {
			return err
		}
		count, err := q.CountProjects(ctx)
		total = max(total, int(count))
		return err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("list projects: %w", err)
	}
	return projects, total, nil
}

// Get returns one project, or the fault NotFound.
func (s *Service) Get(ctx context.Context, _ auth.Actor, id int32) (Project, error) {
	var row db.Project
	err := s.db.Requests.Query(ctx, func(q *db.Queries) (err error) {
		row, err = q.GetProject(ctx, id)
		return err
	})
	return found(row, err)
}

// Page returns at most limit projects of the actor with ids above after, by ascending id, and whether there are more. Fault: BadRequest
// for a limit that is not 1 to 1,000.
func (s *Service) Page(ctx context.Context, _ auth.Actor, after int32, limit int) (projects []Project, more bool, err error) {
	if limit < 1 || limit > maxListed {
		return nil, false, fault.New(fault.BadRequest, "The limit is not one of a page").
			With("detail", map[string]any{"least": 1, "limit": maxListed, "value": limit})
	}
	err = s.db.Requests.Query(ctx, func(q *db.Queries) error {
		rows, err := q.ListProjectsAfter(ctx, db.ListProjectsAfterParams{After: after, Most: int32(limit) + 1})
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

// Create makes a project with its head and its plan. Under an operation id that created a project before, it returns that project as it is
// now. Faults: BadRequest for what the rules refuse, and when the operation id was used for another request; NotFound when the project that
// the operation created was deleted since.
func (s *Service) Create(ctx context.Context, actor auth.Actor, in Input) (Project, error) {
	in, err := in.check()
	if err != nil {
		return Project{}, err
	}
	if in.OpID != "" {
		return s.createOnce(ctx, actor, in)
	}
	var row db.Project
	err = s.db.Requests.InTx(ctx, func(q *db.Queries) (err error) {
		row, err = insert(ctx, q, in)
		return err
	})
	if err != nil {
		return Project{}, fmt.Errorf("create project: %w", err)
	}
	return Project(row), nil
}

// insert writes a project with its head and its plan.
func insert(ctx context.Context, q *db.Queries, in Input) (db.Project, error) {
	row, err := q.InsertProject(ctx, db.InsertProjectParams{Name: in.Name, Description: in.Description})
	if err != nil {
		return row, err
	}
	if err := q.InsertHead(ctx, row.ID); err != nil {
		return row, err
	}
	name := fmt.Sprintf("Plan for Project %d", row.ID) // layercake.verify_plan knows it, too
	return row, q.InsertPlan(ctx, db.InsertPlanParams{ProjectID: row.ID, Name: name})
}

// Update sets name and description.
func (s *Service) Update(ctx context.Context, _ auth.Actor, id int32, in Input) (Project, error) {
	in, err := in.check()
	if err != nil {
		return Project{}, err
	}
	var row db.Project
	err = s.db.Requests.Query(ctx, func(q *db.Queries) (err error) {
		row, err = q.UpdateProject(ctx, db.UpdateProjectParams{ID: id, Name: in.Name, Description: in.Description})
		return err
	})
	return found(row, err)
}

// Delete removes a project and everything below it. Changes in flight end first, because it takes the head's lock before anything else;
// watchers of its plan end with NotFound, and the people in it are sent away.
func (s *Service) Delete(ctx context.Context, _ auth.Actor, id int32) error {
	err := s.db.Requests.InTx(ctx, func(q *db.Queries) error {
		if _, err := q.LockHead(ctx, id); err != nil {
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
