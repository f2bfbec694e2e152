package client

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

const (
	watchDials = 5 * time.Second // limit for a replica to open a socket
	watchAgain = time.Second     // wait before Watch connects again
)

// Watch hands each event of a project's plan to each, as planEvents shows it, until ctx ends. It begins after a cursor, or at the
// current version. When the replica goes away, lost gets the reason, and Watch connects again and goes on without a gap, since it asks
// for the events after the last one that each took. It returns the replica's refusal, also that of the credential, or the error of each.
func (c *Client) Watch(ctx context.Context, project int, after string, each func(event json.RawMessage) error, lost func(error)) error {
	for {
		var failed error
		q := Request{
			Query: `subscription ($project: Int!, $after: String) { planEvents(projectId: $project, after: $after) {
				version cursor snapshot timestamp actorName actorKind via clientId opId note undoes
				operations { kind id index before after } } }`,
			Variables: map[string]any{"project": project},
		}
		if after != "" {
			q.Variables["after"] = after
		}
		err := c.follow(ctx, q, func(data json.RawMessage) error {
			var in struct{ PlanEvents json.RawMessage }
			var place struct{ Cursor string }
			if failed = errors.Join(json.Unmarshal(data, &in), json.Unmarshal(in.PlanEvents, &place)); failed != nil {
				return failed
			}
			if failed = each(in.PlanEvents); failed == nil {
				after = place.Cursor
			}
			return failed
		})
		var r *Refusal
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // a normal end
		case failed != nil:
			return failed
		case errors.As(err, &r) && !r.Temporary(), IsUnauthenticated(err):
			return err
		}
		lost(err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(watchAgain):
		}
	}
}

func (c *Client) follow(ctx context.Context, q Request, next func(json.RawMessage) error) error {
	socket, err := Dialer{Timeout: watchDials, Header: Signed(c.secret)}.GraphQL(ctx, c.url)
	if err != nil {
		return err
	}
	return socket.Follow(ctx, q, next)
}
