package graphdata

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"layercake/internal/db"
	"layercake/internal/fault"

	"github.com/jackc/pgx/v5"
)

// Name returns the name of a graph, trimmed. The fault is BadRequest for one that is empty, too long, or has hidden characters.
func Name(name string) (string, error) {
	name = strings.TrimSpace(name)
	if name == "" {
		return "", fault.New(fault.BadRequest, "Graph name cannot be empty")
	}
	return name, errors.Join(fault.CheckText("Graph name", name, maxName), fault.CheckLabel("Graph name", name))
}

// QueueHeader queues the statement that makes the header of the graph of a node which the same transaction added: one of which no build was
// asked for.
func QueueHeader(b *pgx.Batch, projectID int32, nodeID, name string) {
	b.Queue(db.InsertGraph, name, projectID, nodeID)
}

// CheckContent returns the fault NotFound unless a project has a content, of which no graph need be any more.
func (s *Service) CheckContent(ctx context.Context, projectID int32, contentID int64) error {
	err := s.db.Requests.Query(ctx, func(q *db.Queries) error {
		_, err := q.GetContentOfProject(ctx, db.GetContentOfProjectParams{ID: contentID, ProjectID: projectID})
		return err
	})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return errGone
	case err != nil:
		return fmt.Errorf("find a content of a project: %w", err)
	}
	return nil
}
