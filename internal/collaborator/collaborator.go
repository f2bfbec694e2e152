// Package collaborator decides who works on a project: invitations, roles, and their end.
//
// A right begins when the invited person accepts, and ends when an owner takes it away. Both are changes of the project, under the lock of
// its head and with an event in its log. So a change of somebody whose role was taken away before it is refused, and whoever follows the
// plan is cut off at that very version.
package collaborator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"layercake/internal/auth"
	"layercake/internal/db"
	"layercake/internal/fault"
	"layercake/internal/plan"
	"layercake/internal/postgres"

	"github.com/jackc/pgx/v5"
)

// Collaborator is an account in a project. Invited ones have no right before they accept.
type Collaborator struct {
	ID           int32
	ProjectID    int32
	UserID       int32
	Role         auth.Role
	Status       string // pending, accepted, declined or revoked
	Active       bool   // false once removed
	InvitedBy    *int32
	InvitedAt    time.Time
	JoinedAt     *time.Time
	LastActiveAt *time.Time
	CreatedAt    time.Time
	UpdatedAt    time.Time
}

func of(row db.Collaborator) Collaborator {
	return Collaborator{
		ID: row.ID, ProjectID: row.ProjectID, UserID: row.UserID, Role: auth.Role(row.Role), Status: row.Status, Active: row.Active,
		InvitedBy: row.InvitedBy, InvitedAt: row.InvitedAt, JoinedAt: row.JoinedAt, LastActiveAt: row.LastActiveAt,
		CreatedAt: row.CreatedAt, UpdatedAt: row.UpdatedAt,
	}
}

// Config is what a Service needs.
type Config struct {
	DB       *postgres.DB
	Plans    *plan.Service
	Rights   *auth.Rights
	Accounts *auth.Accounts
}

// Service keeps the collaborators of projects.
type Service struct{ cfg Config }

// NewService returns the collaborators in a database.
func NewService(cfg Config) *Service { return &Service{cfg: cfg} }

// The faults that the existing server names.
var (
	ErrNotFound = fault.New(fault.NotFound, "Collaboration not found")
	errNoUser   = fault.New(fault.NotFound, "User not found with this email")
	errAlready  = fault.New(fault.Conflict, "User is already a collaborator on this project")
	errLast     = fault.New(fault.Conflict, "A project needs an owner: make somebody else one first")
)

func parseRole(role string) (auth.Role, error) {
	if !slices.Contains(auth.Roles(), auth.Role(role)) {
		return "", fault.New(fault.BadRequest, "Invalid role").With("detail", role).With("roles", auth.Roles())
	}
	return auth.Role(role), nil
}

// List returns the collaborators of a project that were not removed, invited ones as well.
func (s *Service) List(ctx context.Context, access auth.Access) ([]Collaborator, error) {
	if err := access.May(auth.View); err != nil {
		return nil, err
	}
	return s.many(ctx, func(q *db.Queries) ([]db.Collaborator, error) { return q.ListCollaborators(ctx, access.Project()) })
}

// Of returns the caller's own collaborations that were not removed, invitations as well.
func (s *Service) Of(ctx context.Context, p auth.Principal) ([]Collaborator, error) {
	if p.Account == 0 {
		return nil, nil
	}
	all, err := s.many(ctx, func(q *db.Queries) ([]db.Collaborator, error) { return q.ListCollaborationsOf(ctx, p.Account) })
	if p.Project != 0 {
		all = slices.DeleteFunc(all, func(c Collaborator) bool { return c.ProjectID != p.Project })
	}
	return all, err
}

// In returns the collaborator that an account is in a project, or nil when it is none.
func (s *Service) In(ctx context.Context, access auth.Access, account int32) (*Collaborator, error) {
	if err := access.May(auth.View); err != nil {
		return nil, err
	}
	c, err := s.one(ctx, func(q *db.Queries) (db.Collaborator, error) {
		return q.GetCollaboratorOf(ctx, db.GetCollaboratorOfParams{ProjectID: access.Project(), UserID: account})
	})
	if errors.Is(err, ErrNotFound) || err == nil && !c.Active {
		return nil, nil //nolint:nilnil // to be none is no fault
	}
	return &c, err
}

// Get returns a collaborator by id, also a removed one: to collaborators of the project, and to whom it is about. To others it is not
// there.
func (s *Service) Get(ctx context.Context, p auth.Principal, id int32) (Collaborator, error) {
	c, err := s.one(ctx, func(q *db.Queries) (db.Collaborator, error) { return q.GetCollaborator(ctx, id) })
	if err != nil || c.UserID == p.Account && (p.Project == 0 || p.Project == c.ProjectID) {
		return c, err
	}
	access, err := s.cfg.Rights.Project(ctx, p, c.ProjectID)
	if err == nil {
		err = access.May(auth.View)
	}
	if err != nil {
		return Collaborator{}, hidden(err)
	}
	return c, nil
}

// hidden makes what is of another project look as if it were not there.
func hidden(err error) error {
	if errors.Is(err, auth.ErrNoProject) {
		return ErrNotFound
	}
	return err
}

func (s *Service) many(ctx context.Context, list func(*db.Queries) ([]db.Collaborator, error)) (all []Collaborator, err error) {
	err = s.cfg.DB.Requests.Query(ctx, func(q *db.Queries) error {
		rows, err := list(q)
		for _, row := range rows {
			all = append(all, of(row))
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list collaborators: %w", err)
	}
	return all, nil
}

func (s *Service) one(ctx context.Context, get func(*db.Queries) (db.Collaborator, error)) (c Collaborator, err error) {
	err = s.cfg.DB.Requests.Query(ctx, func(q *db.Queries) error {
		row, err := get(q)
		c = of(row)
		return err
	})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return Collaborator{}, ErrNotFound
	case err != nil:
		return Collaborator{}, fmt.Errorf("get a collaborator: %w", err)
	}
	return c, nil
}

// Invite invites an account, by its e-mail or its user name. It has no right before it accepts. Who declined or was removed can be invited
// again. Faults: those of Access.May for whoever is no owner; NotFound for the account; Conflict for a collaborator; BadRequest for the
// role.
func (s *Service) Invite(
	ctx context.Context, from auth.From, p auth.Principal, access auth.Access, name, role string,
) (c Collaborator, err error) {
	if err := access.May(auth.Own); err != nil {
		return c, err
	}
	as, err := parseRole(role)
	if err != nil {
		return c, err
	}
	u, err := s.cfg.Accounts.Find(ctx, strings.TrimSpace(name))
	if fault.Is(err, fault.NotFound) {
		return c, errNoUser
	}
	if err != nil {
		return c, err
	}
	var inviter *int32
	if p.Account != 0 {
		inviter = &p.Account
	}
	// It steps no version, yet the right to invite is checked under the lock that orders changes.
	change := plan.Change{Need: auth.Own, Via: via}
	change.Within = func(ctx context.Context, tx plan.Tx) ([]plan.Edit, error) {
		row, err := tx.InviteCollaborator(ctx, db.InviteCollaboratorParams{
			ProjectID: access.Project(), UserID: u.ID, Role: string(as), InvitedBy: inviter,
		})
		if errors.Is(err, pgx.ErrNoRows) {
			return nil, errAlready
		}
		if err != nil {
			return nil, err
		}
		c = of(row)
		return nil, record(ctx, tx.Queries, from, p, "collaborator_invited", row)
	}
	_, err = s.cfg.Plans.Change(ctx, access, change)
	return c, err
}

const via = "graphql"

// Accept makes the right of an invitation begin, which is an event of the project. Only the invited person may. Faults: NotFound for
// somebody else's invitation, and for one that was accepted, declined or taken back.
func (s *Service) Accept(ctx context.Context, from auth.From, p auth.Principal, id int32) (Collaborator, error) {
	invitation, err := s.own(ctx, p, id)
	if err != nil {
		return Collaborator{}, err
	}
	var c Collaborator
	// There is no right yet that a check could find: the invitation, read in the same transaction, is what allows this.
	change := plan.Change{Via: via}
	change.Within = func(ctx context.Context, tx plan.Tx) ([]plan.Edit, error) {
		row, err := tx.AcceptCollaboration(ctx, db.AcceptCollaborationParams{ID: id, UserID: p.Account})
		if errors.Is(err, pgx.ErrNoRows) {
			return nil, ErrNotFound
		}
		if err != nil {
			return nil, err
		}
		c = of(row)
		if err := record(ctx, tx.Queries, from, p, "collaborator_accepted", row); err != nil {
			return nil, err
		}
		told, err := told(ctx, tx.Queries, row)
		return []plan.Edit{plan.SetCollaborator{After: told}}, err
	}
	_, err = s.cfg.Plans.Change(ctx, auth.Unchecked(p.Actor, invitation.ProjectID), change)
	return c, err
}

// Decline declines an invitation. Only the invited person may.
func (s *Service) Decline(ctx context.Context, from auth.From, p auth.Principal, id int32) (Collaborator, error) {
	if _, err := s.own(ctx, p, id); err != nil {
		return Collaborator{}, err
	}
	var row db.Collaborator
	err := s.cfg.DB.Requests.InTx(ctx, func(q *db.Queries) (err error) {
		if row, err = q.DeclineCollaboration(ctx, db.DeclineCollaborationParams{ID: id, UserID: p.Account}); err != nil {
			return err
		}
		return record(ctx, q, from, p, "collaborator_declined", row)
	})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return Collaborator{}, ErrNotFound
	case err != nil:
		return Collaborator{}, fmt.Errorf("decline an invitation: %w", err)
	}
	return of(row), nil
}

// own returns an invitation of the caller's own.
func (s *Service) own(ctx context.Context, p auth.Principal, id int32) (Collaborator, error) {
	if _, err := p.Person(); err != nil {
		return Collaborator{}, err
	}
	c, err := s.one(ctx, func(q *db.Queries) (db.Collaborator, error) { return q.GetCollaborator(ctx, id) })
	if err == nil && c.UserID != p.Account {
		err = ErrNotFound
	}
	return c, err
}

// told is how the log shows a collaborator.
func told(ctx context.Context, q *db.Queries, row db.Collaborator) (*plan.Collaborator, error) {
	u, err := q.GetUser(ctx, row.UserID)
	return &plan.Collaborator{UserID: row.UserID, DisplayName: u.DisplayName, Role: row.Role}, err
}

// SetRole gives a collaborator another role. The last owner stays one. Faults: those of Access.May for whoever is no owner; NotFound;
// BadRequest for the role; Conflict for the last owner.
func (s *Service) SetRole(ctx context.Context, from auth.From, p auth.Principal, id int32, role string) (Collaborator, error) {
	as, err := parseRole(role)
	if err != nil {
		return Collaborator{}, err
	}
	return s.change(ctx, from, p, id, auth.Own, "collaborator_role", func(q *db.Queries) (db.Collaborator, error) {
		return q.SetCollaboratorRole(ctx, db.SetCollaboratorRoleParams{ID: id, Role: string(as)})
	})
}

// Remove takes a right or an invitation away. Owners may, and everybody may go by themselves. The last owner stays. Faults: as of SetRole.
func (s *Service) Remove(ctx context.Context, from auth.From, p auth.Principal, id int32) error {
	c, err := s.Get(ctx, p, id)
	if err != nil {
		return err
	}
	need := auth.Own
	if p.Account == c.UserID && p.Credential.Kind == auth.SessionSecret {
		need = auth.View
	}
	if need == auth.View && c.Status == "pending" {
		_, err = s.Decline(ctx, from, p, id)
		return err
	}
	_, err = s.change(ctx, from, p, id, need, "collaborator_removed", func(q *db.Queries) (db.Collaborator, error) {
		return q.RemoveCollaborator(ctx, id)
	})
	return err
}

// change changes a collaborator under the lock of the project's head, and tells it in an event if there is a right that changes. A project
// that had an owner has one afterwards, whoever else goes at the same moment: they wait for the lock.
func (s *Service) change(
	ctx context.Context, from auth.From, p auth.Principal, id int32, need auth.Need, event string,
	write func(*db.Queries) (db.Collaborator, error),
) (Collaborator, error) {
	found, err := s.one(ctx, func(q *db.Queries) (db.Collaborator, error) { return q.GetCollaborator(ctx, id) })
	if err != nil {
		return Collaborator{}, err
	}
	access, err := s.cfg.Rights.Project(ctx, p, found.ProjectID)
	if err != nil {
		return Collaborator{}, hidden(err)
	}
	var c Collaborator
	change := plan.Change{Need: need, Via: via}
	change.Within = func(ctx context.Context, tx plan.Tx) ([]plan.Edit, error) {
		before, err := tx.GetCollaborator(ctx, id)
		switch {
		case errors.Is(err, pgx.ErrNoRows), err == nil && !before.Active:
			return nil, ErrNotFound
		case err != nil:
			return nil, err
		}
		owned := before.Role == string(auth.Owner) && before.Status == "accepted"
		after, err := write(tx.Queries)
		if err != nil {
			return nil, err
		}
		c = of(after)
		if err := record(ctx, tx.Queries, from, p, event, after); err != nil {
			return nil, err
		}
		owners, err := tx.CountOwners(ctx, before.ProjectID)
		switch {
		case err != nil:
			return nil, err
		case owned && owners == 0:
			return nil, errLast
		case before.Status != "accepted":
			return nil, nil // an invitation is no right
		}
		was, err := told(ctx, tx.Queries, before)
		if err != nil {
			return nil, err
		}
		edit := plan.SetCollaborator{Before: was}
		if after.Active {
			edit.After = &plan.Collaborator{UserID: was.UserID, DisplayName: was.DisplayName, Role: after.Role}
			return []plan.Edit{edit}, nil
		}
		return []plan.Edit{edit}, tx.TellSessionsEnded(ctx) // what has no version, such as presence, ends by it
	}
	_, err = s.cfg.Plans.Change(ctx, access, change)
	return c, err
}

// record writes into the log of security what became of a collaborator, in the same transaction.
func record(ctx context.Context, q *db.Queries, from auth.From, p auth.Principal, event string, row db.Collaborator) error {
	u, err := q.GetUser(ctx, row.UserID)
	if err != nil {
		return err
	}
	return auth.Record(ctx, q, from, auth.Entry{
		Event: event, User: u.ID, Username: u.Username, By: p.Username, Detail: fmt.Sprintf("project %d, %s", row.ProjectID, row.Role),
	})
}
