package plan

import (
	"context"
	"errors"

	"layercake/internal/auth"
	"layercake/internal/fault"
)

// NodeParts are parts of a node. Nil says nothing of a part.
type NodeParts struct {
	Position *Position
	Metadata *NodeMetadata
	Config   *string
}

// onto returns a node with these parts.
func (p NodeParts) onto(n Node) Node {
	if p.Position != nil {
		n.Position = *p.Position
	}
	if p.Metadata != nil {
		n.Metadata = *p.Metadata
	}
	if p.Config != nil {
		n.Config = *p.Config
	}
	return n
}

// EdgeParts are parts of an edge as somebody saw them. Nil says nothing of a part; a handle may have been none, which is a pointer to nil.
type EdgeParts struct {
	SourceHandle **string `json:",omitempty"` // left out of hashes when it is nil: null is none
	TargetHandle **string `json:",omitempty"`
	Metadata     *EdgeMetadata
}

// onto returns an edge with these parts.
func (p EdgeParts) onto(e Edge) Edge {
	if p.SourceHandle != nil {
		e.SourceHandle = *p.SourceHandle
	}
	if p.TargetHandle != nil {
		e.TargetHandle = *p.TargetHandle
	}
	if p.Metadata != nil {
		e.Metadata = *p.Metadata
	}
	return e
}

// staleParts is the cause of the fault for parts that are not as the sender of an edit saw them.
type staleParts struct {
	at        int64 // the version at which they were found
	conflicts []conflict
}

func (*staleParts) Error() string { return "parts are not as the sender saw them" }

// checkExpected refuses an edit of an element that is not as the sender saw it. What they did not say is seen as it is.
func (k elements[T]) checkExpected(d *draft, id string, seen, now T) error {
	stale := staleParts{at: d.at.Version}
	for _, p := range k.parts {
		if !p.same(seen, now) {
			c := k.conflictOf(p, k.updated, id, "changed since", &seen, &now)
			c.afterExpected = true
			stale.conflicts = append(stale.conflicts, c)
		}
	}
	if stale.conflicts == nil {
		return nil
	}
	return fault.New(fault.Conflict, "Others have changed what this would change").Because(&stale)
}

// editConflict is a part that is not as the sender of an edit saw it. Its JSON is what errors show.
type editConflict struct {
	Edit any `json:"edit"` // index of the edit
	UndoConflict
}

// Edit makes a change of 1 to 500 edits. In a dry run it only finds out what the change would do, as Try does.
//
// The faults are those of Change. One that an edit is refused with says by its index which it was: in "edit", or "operation" where agents
// sent operations. Conflict for parts that are not as an edit expected them has "conflicts": what the sender saw, what is there, and who
// changed it since in which versions.
func (s *Service) Edit(ctx context.Context, access auth.Access, c Change, dryRun bool) (Result, error) {
	if err := access.May(auth.Edit); err != nil {
		return Result{}, err
	}
	if err := checkCount("edits", len(c.Edits)); err != nil {
		return Result{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timing.Answer)
	defer cancel()
	c.numbered = true
	carryOut := s.Change
	if dryRun {
		carryOut = s.Try
	}
	result, err := carryOut(ctx, access, c)
	stale := new(staleParts)
	if !errors.As(err, &stale) {
		return result, err
	}
	// What was refused stays refused when nobody can look now. Then the lists of versions are empty.
	_ = s.attribute(ctx, access.Project(), max(0, stale.at-maxMissed)+1, stale.at, stale.conflicts)
	f := fault.From(err)
	list, _ := listed(stale.conflicts) // an element has few parts
	conflicts := make([]editConflict, len(list))
	for i, one := range list {
		conflicts[i] = editConflict{f.Details["edit"], one}
	}
	return Result{}, f.With("conflicts", conflicts)
}
