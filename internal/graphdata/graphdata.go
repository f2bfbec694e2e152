package graphdata

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"layercake/internal/auth"
	"layercake/internal/db"
	"layercake/internal/fault"
	"layercake/internal/layered"
	"layercake/internal/postgres"

	"github.com/jackc/pgx/v5"
)

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
	Requested    int32 // generation of the next build
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
type Service struct {
	db    *postgres.DB
	chunk int // elements of a chunk that is written
}

// Config is what a service needs.
type Config struct {
	DB    *postgres.DB
	Chunk int // elements of a chunk that is written; 0 for 50,000
}

// writeChunk is how many elements one transaction writes: some 10 MB.
const writeChunk = 50_000

// NewService returns the built graphs in a database.
func NewService(c Config) *Service {
	if c.Chunk == 0 {
		c.Chunk = writeChunk
	}
	return &Service{db: c.DB, chunk: c.Chunk}
}

// ErrNotFound is the fault for a graph that does not exist.
var ErrNotFound = fault.New(fault.NotFound, "Graph not found")

// Get returns one graph of a project, or the fault NotFound.
func (s *Service) Get(ctx context.Context, access auth.Access, id int32) (Graph, error) {
	if err := access.May(auth.View); err != nil {
		return Graph{}, err
	}
	g, err := s.one(ctx, func(q *db.Queries) (db.Graph, error) { return q.GetGraph(ctx, id) })
	if err == nil && g.ProjectID != access.Project() {
		return Graph{}, ErrNotFound
	}
	return g, err
}

// OfNode returns the graph that a node builds, or nil when none was asked for yet.
func (s *Service) OfNode(ctx context.Context, access auth.Access, nodeID string) (*Graph, error) {
	if err := access.May(auth.View); err != nil {
		return nil, err
	}
	projectID := access.Project()
	if strings.ContainsRune(nodeID, 0) {
		return nil, nil //nolint:nilnil // no node has such an id, and PostgreSQL knows no such text
	}
	g, err := s.one(ctx, func(q *db.Queries) (db.Graph, error) {
		return q.GetGraphOfNode(ctx, db.GetGraphOfNodeParams{ProjectID: projectID, NodeID: nodeID})
	})
	if errors.Is(err, ErrNotFound) {
		return nil, nil //nolint:nilnil // a graph that nobody asked for is no fault
	}
	if err != nil {
		return nil, err
	}
	return &g, nil
}

// List returns the graphs of a project by id; none for a project that does not exist.
func (s *Service) List(ctx context.Context, access auth.Access) ([]Graph, error) {
	if err := access.May(auth.View); err != nil {
		return nil, err
	}
	projectID := access.Project()
	return s.many(ctx, func(q *db.Queries) ([]db.Graph, error) { return q.ListGraphs(ctx, []int32{projectID}) })
}

// OfProjects returns the graphs of many projects by id, in one statement.
func (s *Service) OfProjects(ctx context.Context, projectIDs []int32) ([]Graph, error) {
	return s.many(ctx, func(q *db.Queries) ([]db.Graph, error) { return q.ListGraphs(ctx, projectIDs) })
}

// Many returns those of some graphs that exist, in one statement and in any order.
func (s *Service) Many(ctx context.Context, ids []int32) ([]Graph, error) {
	return s.many(ctx, func(q *db.Queries) ([]db.Graph, error) { return q.ListGraphsByID(ctx, ids) })
}

// maxName is how many characters the name of a graph has at most.
const maxName = 10_000

// Rename sets the name of a graph, trimmed. Faults: NotFound, and BadRequest for a name that is empty, too long, or has hidden characters.
func (s *Service) Rename(ctx context.Context, access auth.Access, id int32, name string) (Graph, error) {
	name, err := Name(name)
	if err := errors.Join(access.May(auth.Edit), err); err != nil {
		return Graph{}, err
	}
	return s.one(ctx, func(q *db.Queries) (db.Graph, error) {
		return q.RenameGraph(ctx, db.RenameGraphParams{ID: id, ProjectID: access.Project(), Name: name})
	})
}

// Layers returns the layers of many graphs in one statement, by graph and in the order of the palette.
func (s *Service) Layers(ctx context.Context, graphIDs []int32) (map[int32][]Layer, error) {
	layers := make(map[int32][]Layer, len(graphIDs))
	err := s.db.Requests.Query(ctx, func(q *db.Queries) error {
		rows, err := q.ListLayers(ctx, graphIDs)
		for _, row := range rows {
			layers[row.GraphID] = append(layers[row.GraphID], Layer{
				ID: row.ID, GraphID: row.GraphID, LayerID: row.LayerID, Name: row.Name, Color: row.Color, Properties: row.Properties,
			})
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list layers: %w", err)
	}
	return layers, nil
}

func (s *Service) one(ctx context.Context, get func(*db.Queries) (db.Graph, error)) (g Graph, err error) {
	err = s.db.Requests.Query(ctx, func(q *db.Queries) error {
		row, err := get(q)
		g, err = graphOf(row, err)
		return err
	})
	return g, err
}

func (s *Service) many(ctx context.Context, list func(*db.Queries) ([]db.Graph, error)) (graphs []Graph, err error) {
	err = s.db.Requests.Query(ctx, func(q *db.Queries) error {
		rows, err := list(q)
		graphs = make([]Graph, len(rows))
		for i, row := range rows {
			graphs[i], _ = graphOf(row, nil)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list graphs: %w", err)
	}
	return graphs, nil
}

// graphOf returns the graph of a row, or ErrNotFound when there was none.
func graphOf(row db.Graph, err error) (Graph, error) {
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return Graph{}, ErrNotFound
	case err != nil:
		return Graph{}, fmt.Errorf("read a graph: %w", err)
	}
	return Graph{
		ID: row.ID, ProjectID: row.ProjectID, NodeID: row.NodeID, Name: row.Name, State: row.State, ContentID: row.ContentID,
		ContentHash: row.ContentHash, Recipe: row.Recipe, Ingredients: row.Ingredients, Requested: row.Requested, NodeCount: row.NodeCount,
		EdgeCount: row.EdgeCount, ErrorMessage: row.ErrorMessage, Metadata: row.Metadata, ComputedAt: row.ComputedAt,
		CreatedAt: row.CreatedAt, UpdatedAt: row.UpdatedAt,
	}, nil
}
