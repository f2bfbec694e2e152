package auth

import (
	"fmt"

	"layercake/internal/fault"
)

// Role is what an account may do in a project, as its collaborator's row has it.
type Role string

// The roles. Each may what those after it may.
const (
	Owner  Role = "owner"
	Editor Role = "editor"
	Viewer Role = "viewer"
)

// Need is what somebody wants to do in a project.
type Need int

// The needs.
const (
	View Need = 1 + iota // read, subscribe, join
	Edit                 // change, undo, rename, upload
	Run                  // execute, cancel
	Own                  // delete the project, invite, give roles
)

// The rights of roles. Nobody has one that is not here.
var rights = map[Role]map[Need]bool{
	Viewer: {View: true},
	Editor: {View: true, Edit: true, Run: true},
	Owner:  {View: true, Edit: true, Run: true, Own: true},
}

// Roles returns the roles, the one that may most first.
func Roles() []Role { return []Role{Owner, Editor, Viewer} }

// ErrNoProject is the fault for a project that does not exist, and for one that is not the caller's: nobody learns which.
var ErrNoProject = fault.New(fault.NotFound, "Project not found")

// Access is what an actor may do in one project. Only a check of Rights makes one, so a method that takes an Access cannot be called by
// code that forgot to check; what the method needs it asks of May. The zero Access may do nothing.
type Access struct {
	actor   Actor
	project int32
	role    Role
	scopes  Scopes
	stored  bool // the role is that of a row, which may change until a lock is held
}

// Unchecked returns an access that nobody checked: that of an owner. It is for the server's own work and for tests of the core; a test of
// this package lists who calls it.
func Unchecked(actor Actor, projectID int32) Access {
	return Access{actor: actor, project: projectID, role: Owner}
}

// Actor returns who has the access.
func (a Access) Actor() Actor { return a.actor }

// Project returns the id of the project.
func (a Access) Project() int32 { return a.project }

// Role returns the role of the account for which the actor acts.
func (a Access) Role() Role { return a.role }

// May fails with the fault Forbidden unless the role, and the scopes of a token, give the right, and with ErrNoProject for the zero Access.
func (a Access) May(need Need) error {
	switch {
	case a.role == "":
		return ErrNoProject
	case !rights[a.role][need]:
		return fault.New(fault.Forbidden, fmt.Sprintf("This project's %ss may not do that; its owners give roles", a.role)).
			With("role", string(a.role))
	case !a.scopes.allow(need):
		return fault.New(fault.Forbidden, fmt.Sprintf("This token may not do that: its scopes are %s", a.scopes)).With("scopes", a.scopes.Names())
	}
	return nil
}

// Projects returns the ids of the projects that accesses are for, or the fault of the first that does not give a right.
func Projects(accesses []Access, need Need) ([]int32, error) {
	ids := make([]int32, len(accesses))
	for i, a := range accesses {
		if err := a.May(need); err != nil {
			return nil, err
		}
		ids[i] = a.project
	}
	return ids, nil
}

// Stored returns the account whose role has to be read again under the lock of a change, which Renewed takes. It reports false when the
// right does not depend on a row.
func (a Access) Stored() (account int32, ok bool) { return a.actor.Account, a.stored }

// Renewed returns the access with the role that the row has now, or the zero Access when there is none any more.
func (a Access) Renewed(role *string) Access {
	if role == nil {
		return Access{}
	}
	a.role = Role(*role)
	return a
}

// Reach is the projects that somebody may see, and who that is. Lists take it as single projects take an Access, and only Rights makes one.
type Reach struct {
	actor   Actor
	scopes  Scopes
	every   bool  // all projects
	project int32 // the only one; 0 for all of the account
}

// UncheckedReach returns all projects for an actor. It is for tests of the core, as Unchecked is.
func UncheckedReach(actor Actor) Reach { return Reach{actor: actor, every: true} }

// Actor returns who it is.
func (r Reach) Actor() Actor { return r.actor }

// Account returns the account to whose projects a list is limited, 0 for those of all.
func (r Reach) Account() int32 {
	if r.every {
		return 0
	}
	return r.actor.Account
}

// Only returns the only project that may be seen, 0 when the account alone decides.
func (r Reach) Only() int32 { return r.project }

// MayCreate fails with the fault Forbidden unless the caller may make projects.
func (r Reach) MayCreate() error {
	switch {
	case r.actor.ID == "":
		return errSignIn
	case r.project != 0:
		return fault.New(fault.Forbidden, fmt.Sprintf("This token is only for project %d and may not make another one", r.project))
	case !r.scopes.allow(Edit):
		return fault.New(fault.Forbidden, fmt.Sprintf("This token may not do that: its scopes are %s", r.scopes)).With("scopes", r.scopes.Names())
	}
	return nil
}
