package plan

import (
	"context"
	"errors"
	"fmt"
	"time"

	"layercake/internal/db"

	"github.com/jackc/pgx/v5"
)

// What one transaction removes: it holds the head's lock that long.
const (
	trimChunk      = 500      // events
	trimChunkBytes = 16 << 20 // bytes of their bodies, beyond the first
)

// Keep says what stays of each project's log. Its newest event always stays.
type Keep struct {
	Since  time.Time // events from before it go
	Events int64     // events, the newest
	Bytes  int64     // bytes of their bodies
}

// Trim removes events beyond what should stay. Operation ids go with their events, and checkpoints
// from which no event leads on. While another replica lists what to trim, Trim does
// nothing. It returns how many it removed, also when it fails half way.
func (s *Service) Trim(ctx context.Context, keep Keep) (removed int64, err error) {
	var projects []int32
	err = s.db.System.InTx(ctx, func(q *db.Queries) error {
		locked, err := q.TryLockCleanUp(ctx)
		if err != nil || !locked {
			return err
		}
		projects, err = q.ListProjectsToTrim(ctx, db.ListProjectsToTrimParams{
			Before: keep.Since, Keep: keep.Events, KeepBytes: keep.Bytes,
		})
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("list projects to trim: %w", err)
	}
	for _, project := range projects {
		n, err := s.trimProject(ctx, project, keep)
		removed += n
		if err != nil {
			return removed, fmt.Errorf("trim project %d: %w", project, err)
		}
	}
	return removed, nil
}

func (s *Service) trimProject(ctx context.Context, project int32, keep Keep) (removed int64, err error) {
	for {
		var chunk int64
		err := s.db.System.InTx(ctx, func(q *db.Queries) (err error) {
			if _, err = q.LockHead(ctx, project); err != nil {
				return err
			}
			chunk, err = q.TrimEvents(ctx, db.TrimEventsParams{
				ProjectID: project, Before: keep.Since, Keep: keep.Events, KeepBytes: keep.Bytes,
				Chunk: trimChunk, ChunkBytes: trimChunkBytes,
			})
			if err != nil || chunk == 0 {
				return err
			}
			return q.DeleteTrimmedCheckpoints(ctx, project)
		})
		if errors.Is(err, pgx.ErrNoRows) { // the project was deleted
			return removed, nil
		}
		if err != nil {
			return removed, err
		}
		if removed += chunk; chunk == 0 {
			return removed, nil
		}
	}
}
