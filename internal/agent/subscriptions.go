package agent

import (
	"context"
	"fmt"
	"slices"

	"layercake/internal/db"
	"layercake/internal/fault"

	"github.com/google/uuid"
)

const (
	// MaxSubscriptions is how many resources a session is subscribed to at most.
	MaxSubscriptions = 64
	maxURI           = 1000 // characters
)

// Subscribe adds a resource to those whose changes the stream of a session hears of; one that is there already is no error. The stream is
// woken, on whichever replica. It fails with fault.NotFound for the session and fault.BadRequest, also beyond MaxSubscriptions. Whether
// there is such a resource the caller knows.
func (s *Service) Subscribe(ctx context.Context, session uuid.UUID, uri string) error {
	if err := checkURI(uri); err != nil {
		return err
	}
	return s.resubscribe(ctx, session, func(ctx context.Context, q *db.Queries) (changed bool, err error) {
		known, err := q.ListMCPSubscriptions(ctx, session)
		if err != nil || slices.Contains(known, uri) {
			return false, err
		}
		if len(known) >= MaxSubscriptions {
			return false, fault.New(fault.BadRequest, fmt.Sprintf("The session is subscribed to %d resources, which are all that may be: "+
				"unsubscribe from one", len(known))).With("detail", map[string]any{"limit": MaxSubscriptions})
		}
		return true, q.InsertMCPSubscription(ctx, db.InsertMCPSubscriptionParams{SessionID: session, Uri: uri})
	})
}

// Unsubscribe takes a resource out again; one that is not there is no error. It fails with fault.NotFound for the session.
func (s *Service) Unsubscribe(ctx context.Context, session uuid.UUID, uri string) error {
	if err := checkURI(uri); err != nil {
		return err
	}
	return s.resubscribe(ctx, session, func(ctx context.Context, q *db.Queries) (changed bool, err error) {
		rows, err := q.DeleteMCPSubscription(ctx, db.DeleteMCPSubscriptionParams{SessionID: session, Uri: uri})
		return rows > 0, err
	})
}

// Subscriptions returns the resources that a session is subscribed to, sorted. Of a session that does not exist there are none.
func (s *Service) Subscriptions(ctx context.Context, session uuid.UUID) (uris []string, err error) {
	err = inTime(ctx, func(ctx context.Context) error {
		return s.cfg.DB.Requests.Query(ctx, func(q *db.Queries) (err error) {
			uris, err = q.ListMCPSubscriptions(ctx, session)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("list subscriptions: %w", err)
	}
	return uris, nil
}

func checkURI(uri string) error {
	if uri == "" {
		return fault.New(fault.BadRequest, "The URI is empty")
	}
	return checkText("The URI", uri, maxURI)
}

// resubscribe changes the subscriptions of a session, under its lock, and tells all replicas of it.
func (s *Service) resubscribe(ctx context.Context, session uuid.UUID, change func(context.Context, *db.Queries) (bool, error)) error {
	var changed bool
	err := s.inTurn(ctx, session, func(ctx context.Context) error {
		return s.cfg.DB.Requests.InTx(ctx, func(q *db.Queries) error {
			if _, err := q.LockMCPSession(ctx, session); err != nil {
				return orNoSession(err)
			}
			var err error
			if changed, err = change(ctx, q); err != nil || !changed {
				return err
			}
			return q.StepMCPSession(ctx, session)
		})
	})
	if err != nil {
		return fmt.Errorf("change subscriptions: %w", err)
	}
	if changed {
		s.tell(session)
	}
	return nil
}
