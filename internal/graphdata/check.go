package graphdata

import "context"

// CheckContent returns the fault NotFound unless a project has a content, which need not be of a graph any more.
func (s *Service) CheckContent(ctx context.Context, projectID int32, contentID int64) error {
	return errUnbuilt
}
