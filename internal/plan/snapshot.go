package plan

import (
	"context"
	"fmt"
	"time"

	"layercake/internal/auth"
)

// sharedReadLimit ends a read that many may wait for.
const sharedReadLimit = 5 * time.Second

// SharedDAG returns a project's plan graph, not older than a place that a watch has yielded, or the fault NotFound. Callers that ask
// for the same at once share one read and its result: do not change it. It need not show what happened after that place; who has just
// written calls DAG.
func (s *Service) SharedDAG(ctx context.Context, actor auth.Actor, projectID int32, at Cursor) (DAG, error) {
	// A read that others wait for must not end because the first of them goes away.
	read := s.reads.DoChan(fmt.Sprint(projectID, " ", at), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sharedReadLimit)
		defer cancel()
		return s.DAG(ctx, actor, projectID)
	})
	select {
	case <-ctx.Done():
		return DAG{}, ctx.Err()
	case r := <-read:
		return r.Val.(DAG), r.Err
	}
}
