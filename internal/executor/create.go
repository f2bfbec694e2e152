package executor

import (
	"context"

	"layercake/internal/auth"
	"layercake/internal/graphdata"
)

// Create adds a GraphNode to a plan, and the graph that it will build, in one change. Expected is as in plan.Change.
func (s *Service) Create(ctx context.Context, actor auth.Actor, projectID int32, name string, expected *int64, r Request) (graphdata.Graph, error) {
	return graphdata.Graph{}, errUnbuilt
}
