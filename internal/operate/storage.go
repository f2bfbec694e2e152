package operate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"layercake/internal/db"

	"github.com/jackc/pgx/v5"
)

// Contents of graphs and uploaded files count while something refers to them, and are removed some minutes after that ended: whoever writes
// one has not referred to it yet, and whoever reads one goes on.
const (
	keepForgotten = 10 * time.Minute
	keepBuilds    = 30 * 24 * time.Hour

	// What one transaction removes. A chunk of a file is some 130 rows where the database keeps its bytes.
	elementChunk   = 20_000
	fileChunkBytes = 256 << 10
	fileChunk      = 150
	buildChunk     = 10_000

	// What one clean-up removes at most, so that the other jobs get their turn. The next one goes on.
	mostForgotten    = 1000
	mostTransactions = 200
)

// trimContents removes elements of contents to which no graph refers and that no claim names, from their ends. It returns how many elements
// it removed, also when it fails half way.
func (c *Cleaner) trimContents(ctx context.Context, before time.Time) (int64, error) {
	return c.trimForgotten(ctx, before, func(q *db.Queries) ([]int64, error) {
		return q.ListForgottenContents(ctx, db.ListForgottenContentsParams{Before: before, Most: mostForgotten})
	}, trimContent)
}

// trimFiles removes chunks of files to which no data source refers, from their ends. It returns how many chunks it removed.
func (c *Cleaner) trimFiles(ctx context.Context, before time.Time) (int64, error) {
	return c.trimForgotten(ctx, before, func(q *db.Queries) ([]int64, error) {
		return q.ListForgottenFiles(ctx, db.ListForgottenFilesParams{Before: before, Most: mostForgotten})
	}, trimFile)
}

// trimForgotten removes what is listed, each in as many transactions as it takes.
func (c *Cleaner) trimForgotten(ctx context.Context, before time.Time, list func(*db.Queries) ([]int64, error),
	trim func(ctx context.Context, q *db.Queries, id int64, before time.Time) (removed int64, more bool, err error),
) (removed int64, err error) {
	var ids []int64
	err = c.cfg.DB.Query(ctx, func(q *db.Queries) (err error) {
		ids, err = list(q)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("list what nothing refers to: %w", err)
	}
	for left := mostTransactions; left > 0 && len(ids) > 0; left-- {
		var chunk int64
		more := false
		err = c.cfg.DB.InTx(ctx, func(q *db.Queries) error {
			locked, err := q.TryLockCleanUp(ctx)
			if err != nil || !locked {
				ids = nil // another replica removes them
				return err
			}
			chunk, more, err = trim(ctx, q, ids[0], before)
			return err
		})
		if err != nil {
			return removed, fmt.Errorf("remove what nothing refers to: %w", err)
		}
		if removed += chunk; !more && ids != nil {
			ids = ids[1:]
		}
	}
	return removed, nil
}

// trimContent removes the last elements of a content, and its record with the last of all. The lock of the record comes first, then another
// look at who refers to it: what shares the content or points a graph to it locks the record, too, and then sees that it goes.
func trimContent(ctx context.Context, q *db.Queries, id int64, before time.Time) (removed int64, more bool, err error) {
	content, err := q.LockForgottenContent(ctx, db.LockForgottenContentParams{ID: id, Before: before})
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, false, nil // somebody uses it, or wrote into it since
	}
	if err != nil {
		return 0, false, err
	}
	if used, err := q.IsContentInUse(ctx, id); err != nil || used {
		return 0, false, err
	}
	switch {
	case content.Edges > 0:
		content.Edges = max(content.Edges-elementChunk, 0)
		removed, err = q.DeleteContentEdges(ctx, db.DeleteContentEdgesParams{ContentID: id, First: content.Edges})
	case content.Nodes > 0:
		content.Nodes = max(content.Nodes-elementChunk, 0)
		removed, err = q.DeleteContentNodes(ctx, db.DeleteContentNodesParams{ContentID: id, First: content.Nodes})
	}
	if err != nil {
		return 0, false, err
	}
	if content.Nodes == 0 && content.Edges == 0 {
		return removed, false, q.DeleteContent(ctx, id)
	}
	return removed, true, q.ShrinkContent(ctx, db.ShrinkContentParams{ID: id, Nodes: content.Nodes, Edges: content.Edges})
}

// trimFile removes the last chunks of a file, as trimContent.
func trimFile(ctx context.Context, q *db.Queries, id int64, before time.Time) (removed int64, more bool, err error) {
	size, err := q.LockForgottenFile(ctx, db.LockForgottenFileParams{ID: id, Before: before})
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	if used, err := q.IsFileInUse(ctx, id); err != nil || used {
		return 0, false, err
	}
	chunks := (size + fileChunkBytes - 1) / fileChunkBytes
	first := max(chunks-fileChunk, 0)
	if removed, err = q.DeleteFileChunks(ctx, db.DeleteFileChunksParams{FileID: id, First: int32(first)}); err != nil {
		return 0, false, err
	}
	if first == 0 {
		return removed, false, q.DeleteFile(ctx, id)
	}
	return removed, true, q.ShrinkFile(ctx, db.ShrinkFileParams{ID: id, Size: first * fileChunkBytes})
}

// trimBuilds removes the records of builds that ended before a time.
func (c *Cleaner) trimBuilds(ctx context.Context, before time.Time) (removed int64, err error) {
	for {
		var chunk int64
		err = c.cfg.DB.Query(ctx, func(q *db.Queries) (err error) {
			chunk, err = q.DeleteOldBuilds(ctx, db.DeleteOldBuildsParams{Before: before, Chunk: buildChunk})
			return err
		})
		removed += chunk
		if err != nil || chunk < buildChunk {
			return removed, err
		}
	}
}

// measureStorage sets the metrics of what contents and files take.
func (c *Cleaner) measureStorage(ctx context.Context) error {
	var figures db.GetStorageFiguresRow
	err := c.cfg.DB.Query(ctx, func(q *db.Queries) (err error) {
		figures, err = q.GetStorageFigures(ctx)
		return err
	})
	if err != nil {
		return err
	}
	c.stored.WithLabelValues("contents").Set(float64(figures.Contents))
	c.stored.WithLabelValues("files").Set(float64(figures.Files))
	c.storedBytes.WithLabelValues("contents").Set(float64(figures.ContentBytes))
	c.storedBytes.WithLabelValues("files").Set(float64(figures.FileBytes))
	return nil
}
