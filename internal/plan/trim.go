package plan

import (
	"context"
	"errors"
	"fmt"
	"time"

	"layercake/internal/db"

	"github.com/jackc/pgx/v5"
)

// trimChunk is how many events one transaction removes: it holds the head's lock that long.
const trimChunk = 500

// Trim removes events from before a time, and all but the newest keep of each project, but always leaves a project its newest event.
// Operation ids go with their events. While another replica lists what to trim, Trim does nothing. It returns how many it removed, also
// when it fails half way.
func (s *Service) Trim(ctx context.Context, before time.Time, keep int64) (removed int64, err error) {
	var projects []int32
	err = s.db.System.InTx(ctx, func(q *db.Queries) error {
		locked, err := q.TryLockCleanUp(ctx)
		if err != nil || !locked {
			return err
		}
		projects, err = q.ListProjectsToTrim(ctx, db.ListProjectsToTrimParams{Before: before, Keep: keep})
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("list projects to trim: %w", err)
	}
	for _, project := range projects {
		n, err := s.trimProject(ctx, project, before, keep)
		removed += n
		if err != nil {
			return removed, fmt.Errorf("trim project %d: %w", project, err)
		}
	}
	return removed, nil
}

func (s *Service) trimProject(ctx context.Context, project int32, before time.Time, keep int64) (removed int64, err error) {
	for {
		var chunk int64
		err := s.db.System.InTx(ctx, func(q *db.Queries) (err error) {
			if _, err = q.LockHead(ctx, project); err != nil {
				return err
			}
			chunk, err = q.TrimEvents(ctx, db.TrimEventsParams{
				ProjectID: project, Before: before, Keep: keep, Chunk: trimChunk,
			})
			return err
		})
		if errors.Is(err, pgx.ErrNoRows) { // the project was deleted
			return removed, nil
		}
		if err != nil {
			return removed, err
		}
		if removed += chunk; chunk < trimChunk {
			return removed, nil
		}
	}
}
