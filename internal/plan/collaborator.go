package plan

import (
	"strconv"
)

// Collaborator is who may what in a project, as events tell it: no e-mail, since everybody who follows the plan reads it.
type Collaborator struct {
	UserID      int32  `json:"userId"`
	DisplayName string `json:"displayName"`
	Role        string `json:"role"`
}

// SetCollaborator tells that a role began, changed or ended. Before is nil for one that begins, After for one that ends. What it tells is
// written by the caller of the change, in its Within: the log says when, so that a watcher stops at that version. It edits nothing.
type SetCollaborator struct{ Before, After *Collaborator }

func (SetCollaborator) reads(*reads) {}

func (e SetCollaborator) apply(d *draft) error {
	op := Operation{Kind: CollaboratorChanged}
	switch {
	case e.Before == nil && e.After == nil:
		return nil
	case e.Before == nil:
		op.Kind = CollaboratorAdded
	case e.After == nil:
		op.Kind = CollaboratorRemoved
	}
	for _, c := range []*Collaborator{e.Before, e.After} {
		if c != nil {
			op.ID = strconv.Itoa(int(c.UserID))
		}
	}
	if e.Before != nil {
		op.Before = encode(e.Before)
	}
	if e.After != nil {
		op.After = encode(e.After)
	}
	d.operations = append(d.operations, op)
	return nil
}
