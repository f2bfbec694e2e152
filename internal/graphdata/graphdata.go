// Package graphdata keeps built graphs: headers, layers, and contents, which are immutable.
package graphdata

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"time"

	"layercake/internal/auth"
	"layercake/internal/layered"
)

var errUnbuilt = errors.New("not built yet")

// Graph is the header of a built graph.
type Graph struct {
	ID           int32
	ProjectID    int32
	NodeID       string
	Name         string
	State        string // not_started, pending, processing, completed or error
	ContentID    *int64 // nil before the first build that succeeded
	ContentHash  *string
	Recipe       *string // hash of what the content was built from
	Ingredients  json.RawMessage
	Requested    int32
	NodeCount    int32
	EdgeCount    int32
	ErrorMessage *string
	Metadata     json.RawMessage
	ComputedAt   *time.Time
	CreatedAt    time.Time
	UpdatedAt    time.Time
}

// Layer is a layer of a built graph.
type Layer struct {
	ID         int32
	GraphID    int32
	LayerID    string
	Name       string
	Color      *string
	Properties json.RawMessage
}

// Node is a node of a content, with its place.
type Node struct {
	layered.Node
	Ordinal int32
}

// Edge is an edge of a content, with its place.
type Edge struct {
	layered.Edge
	Ordinal int32
}

// Service keeps the built graphs of projects.
type Service struct{}

// Get returns one graph, or the fault NotFound.
func (s *Service) Get(ctx context.Context, actor auth.Actor, id int32) (Graph, error) {
	return Graph{}, errUnbuilt
}

// List returns the graphs of a project by id.
func (s *Service) List(ctx context.Context, actor auth.Actor, projectID int32) ([]Graph, error) {
	return nil, errUnbuilt
}

// OfNode returns the graph that a node builds, or nil when none was asked for yet.
func (s *Service) OfNode(ctx context.Context, actor auth.Actor, projectID int32, nodeID string) (*Graph, error) {
	return nil, errUnbuilt
}

// Rename sets the name of a graph.
func (s *Service) Rename(ctx context.Context, actor auth.Actor, id int32, name string) (Graph, error) {
	return Graph{}, errUnbuilt
}

// Layers returns the layers of many graphs in one statement, by graph.
func (s *Service) Layers(ctx context.Context, graphIDs []int32) (map[int32][]Layer, error) {
	return nil, errUnbuilt
}

// Nodes returns at most limit nodes of a content from an ordinal on.
func (s *Service) Nodes(ctx context.Context, contentID int64, from, limit int32) ([]Node, error) {
	return nil, errUnbuilt
}

// Edges returns at most limit edges of a content from an ordinal on.
func (s *Service) Edges(ctx context.Context, contentID int64, from, limit int32) ([]Edge, error) {
	return nil, errUnbuilt
}

// EachNode yields all nodes of a content, a range of ordinals a statement, so a slow reader holds no connection.
func (s *Service) EachNode(ctx context.Context, contentID int64) iter.Seq2[layered.Node, error] {
	return nil
}

// EachEdge yields all edges of a content, as EachNode.
func (s *Service) EachEdge(ctx context.Context, contentID int64) iter.Seq2[layered.Edge, error] {
	return nil
}

// Load reads a whole content into memory. Progress is called with the elements read so far; it may be nil.
func (s *Service) Load(ctx context.Context, contentID int64, progress func(done int64)) (layered.Graph, error) {
	return layered.Graph{}, errUnbuilt
}

// Content is what Write stored.
type Content struct {
	ID    int64
	Hash  string
	Nodes int32
	Edges int32
}

// Write stores a graph as a content, in chunks of 50,000 rows with a transaction each, or finds an equal one of the project. Began is called
// with the id of a content before its first chunk, so that a claim can name it; progress with the elements written so far.
func (s *Service) Write(ctx context.Context, projectID int32, g layered.Graph, began func(ctx context.Context, contentID int64) error,
	progress func(done int64),
) (Content, error) {
	return Content{}, errUnbuilt
}
