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
// for the same place at once share one read and its result: do not change it. It need not show changes after that place, so a caller that
// has just written calls DAG.
func (s *Service) SharedDAG(ctx context.Context, actor auth.Actor, projectID int32, at Cursor) (DAG, error) {
	return s.reads.Do(ctx, fmt.Sprint(projectID, " ", at), sharedReadLimit, func(ctx context.Context) (dag DAG, err error) {
		err = s.guard.Do(func() (err error) { // the read has a goroutine of its own
			dag, err = s.DAG(ctx, actor, projectID)
			return err
		})
		return dag, err
	})
}
