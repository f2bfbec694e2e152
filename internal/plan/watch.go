package plan

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"sync"

	"layercake/internal/auth"
	"layercake/internal/db"
	"layercake/internal/feed"

	"github.com/jackc/pgx/v5"
)

// Update is what a watcher sees next. Watchers of one replica may hold the same one: it is never changed.
type Update struct {
	ProjectID  int32
	At         Cursor // place right after this update
	Before     Cursor // place right before Event; zero without one
	Event      *Event // nil where the watch begins, and when Missed
	Missed     bool   // events up to At cannot be had: read the plan again
	Generation int64  // see feed.Delivery: what was made of the update in one does not hold in another
	TooLarge   bool   // only the event that led to At was missed: a reader who has read the plan since then lacks nothing

	nodes nodesNow
}

// nodesNow are the nodes of an update as they are now, which are read once for all its watchers.
type nodesNow struct {
	reading sync.Mutex
	byID    map[string]Node // nil before they were read
}

// NodesNow returns the nodes that an update's event changed, or whose states it tells, as they are now, by id. Those that are gone are
// missing. Events have no states of nodes that they change, nor nodes whose states they tell.
func (s *Service) NodesNow(ctx context.Context, u *Update) (map[string]Node, error) {
	u.nodes.reading.Lock() // for no longer than a read may take
	defer u.nodes.reading.Unlock()
	if u.nodes.byID != nil {
		return u.nodes.byID, nil
	}
	looks := newReads()
	for _, op := range u.Event.Operations {
		if op.Kind == NodeAdded || op.Kind == NodeUpdated || op.Kind == ExecutionChanged {
			looks.nodes[op.ID] = true
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sharedReadLimit)
	defer cancel()
	d, err := s.readParts(ctx, u.ProjectID, looks)
	if err != nil {
		return nil, err
	}
	u.nodes.byID = d.nodes.present()
	return u.nodes.byID, nil
}

// Watch yields where it begins, then every change of a plan after a cursor, in order, each once, until ctx ends. After the zero cursor
// it begins at the current version. It ends with the fault NotFound when the project does not exist or is deleted, with Unavailable when
// the log cannot be read, and then a new watch after the last cursor goes on without a gap; and with Forbidden at the version at which the
// right of the caller ends: nothing from there on is yielded.
func (s *Service) Watch(ctx context.Context, access auth.Access, after Cursor) iter.Seq2[*Update, error] {
	projectID := access.Project()
	return func(yield func(*Update, error) bool) {
		if err := access.May(auth.View); err != nil {
			yield(nil, err)
			return
		}
		began := false
		for d, err := range s.hub.Watch(ctx, projectID, after) {
			var u *Update
			if err == nil {
				u, err = updateOf(projectID, d)
			}
			if err == nil && (!began || u.Missed || u.removes(access)) {
				err = s.StillMay(ctx, access) // what was missed may have been the end of the right
			}
			began = true
			if !yield(u, err) || err != nil {
				return
			}
		}
	}
}

// removes reports whether an update may have ended the right of a caller.
func (u *Update) removes(access auth.Access) bool {
	account, stored := access.Stored()
	if !stored || u.Event == nil {
		return false
	}
	return slices.ContainsFunc(u.Event.Operations, func(op Operation) bool {
		return op.Kind == CollaboratorRemoved && op.ID == strconv.Itoa(int(account))
	})
}

// StillMay reads the role of a caller again, before they are shown what was read just now: a removal that came before that is in the table.
// It fails with the fault Forbidden once the right has ended.
func (s *Service) StillMay(ctx context.Context, access auth.Access) error {
	account, stored := access.Stored()
	if !stored {
		return nil
	}
	err := s.db.Requests.Query(ctx, func(q *db.Queries) error {
		_, err := q.GetRole(ctx, db.GetRoleParams{ProjectID: access.Project(), UserID: account})
		return err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return auth.ErrRemoved
	}
	if err != nil {
		return fmt.Errorf("read the role of a watcher: %w", err)
	}
	return nil
}

// updateOf returns the update that a delivery brings. An event is decoded once for all its watchers.
func updateOf(projectID int32, d feed.Delivery) (*Update, error) {
	if d.Event == nil {
		return &Update{ProjectID: projectID, At: d.At, Missed: d.Missed, TooLarge: d.TooLarge, Generation: d.Generation}, nil
	}
	return feed.Decoded(d.Event, func(e *feed.Event) (*Update, error) {
		event, checked := e.Checked.(*Event)
		var err error
		if !checked {
			event, err = decodeEvent(e.Body)
		}
		before := Cursor{Epoch: e.At.Epoch, Version: e.At.Version - 1, Hash: e.Before}
		return &Update{ProjectID: projectID, At: e.At, Before: before, Event: event, Generation: d.Generation}, err
	})
}
