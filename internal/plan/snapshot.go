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
func (s *Service) SharedDAG(ctx context.Context, access auth.Access, at Cursor) (DAG, error) {
	if err := access.May(auth.View); err != nil {
		return DAG{}, err
	}
	dag, err := s.reads.Do(ctx, fmt.Sprint(access.Project(), " ", at), sharedReadLimit, func(ctx context.Context) (dag DAG, err error) {
		err = s.guard.Do(func() (err error) { // the read has a goroutine of its own
			dag, err = s.DAG(ctx, access)
			return err
		})
		return dag, err
	})
	if err == nil {
		err = s.StillMay(ctx, access) // the plan that was read may be newer than the end of the right
	}
	return dag, err
}
