package source

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"layercake/internal/auth"
	"layercake/internal/db"
	"layercake/internal/fault"
	"layercake/internal/ingest"
	"layercake/internal/layered"
	"layercake/internal/plan"
	"layercake/internal/postgres"
	"layercake/internal/project"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
)

// Source is an uploaded file: its record, without its bytes.
type Source struct {
	ID           int32
	ProjectID    int32
	Name         string
	Description  *string
	Filename     string
	Format       ingest.Format
	Kind         ingest.Kind
	Status       string  // active or error
	ErrorMessage *string // why the file cannot be used
	FileID       int64
	Size         int64  // bytes
	SHA256       string // of the bytes, 64 hex digits
	Rows         int32  // rows of a table, or elements of a graph
	ProblemCount int32
	Problems     []Problem  // the first 100
	ProcessedAt  *time.Time // when the file was last read successfully
	CreatedAt    time.Time
	UpdatedAt    time.Time
}

// Problem is a bad or doubtful place in a file.
type Problem struct {
	Row     int32   `json:"row"`    // 0 for the whole file
	Column  *string `json:"column"` // nil for the whole row
	Reason  string  `json:"reason"`
	Warning bool    `json:"warning"` // whether the file was accepted all the same
}

// Upload is a file that arrives.
type Upload struct {
	Name        string // "" for the file's name
	Description *string
	Filename    string
	Format      ingest.Format  // "" for that of the extension
	Kind        ingest.Kind    // "" to detect it
	Content     io.Reader      // faults that it returns, such as of wrong base64, reach the caller
	Place       *plan.Position // place of the node that is added; nil for one below the others
	Node        string         // DataSourceNode without a source that names this one, in the place of a new node; "" for a new one
}

// Update is what changes of a source. Nil leaves a part as it is.
type Update struct {
	Name        *string
	Description *string
	Filename    *string
	Content     io.Reader // a file in the place of the former one
}

// Request says how a change was asked for, as in plan.Change.
type Request struct {
	OpID, ClientID, Via, Note string

	// AllOrNone says that a single file that cannot be used is not kept either.
	AllOrNone bool
}

// The statuses of sources. A client may show another one while it sends a file.
const (
	StatusActive = "active" // the file can be used
	StatusError  = "error"  // it cannot
)

// DefaultMaxUpload is how many bytes an upload may have, unless an operator says otherwise.
const DefaultMaxUpload = 256 << 20

// Service keeps the data sources of projects.
type Service struct {
	db        *postgres.DB
	plans     *plan.Service
	maxUpload int64
	log       *slog.Logger
	metrics   *metrics
}

// Config is what a service needs.
type Config struct {
	DB        *postgres.DB
	Plans     *plan.Service
	MaxUpload int64        // bytes of all files of one upload; 0 for DefaultMaxUpload
	Log       *slog.Logger // may be nil
	Metrics   prometheus.Registerer
}

// NewService returns the data sources in a database.
func NewService(c Config) *Service {
	log := c.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Service{
		db: c.DB, plans: c.Plans, maxUpload: cmp.Or(c.MaxUpload, DefaultMaxUpload), log: log, metrics: newMetrics(c.Metrics),
	}
}

// ErrNotFound is the fault for a data source that does not exist.
var ErrNotFound = fault.New(fault.NotFound, "DataSource not found")

// Hash identifies what builds read of the source: its bytes, format and kind.
func (s Source) Hash() string {
	return layered.HashParts("source", string(s.Format), string(s.Kind), s.SHA256)
}

// Get returns one source of a project, or the fault NotFound.
func (s *Service) Get(ctx context.Context, access auth.Access, id int32) (Source, error) {
	if err := access.May(auth.View); err != nil {
		return Source{}, err
	}
	var row db.GetDataSourceRow
	err := s.db.Requests.Query(ctx, func(q *db.Queries) (err error) {
		row, err = q.GetDataSource(ctx, id)
		return err
	})
	switch {
	case errors.Is(err, pgx.ErrNoRows), err == nil && row.ProjectID != access.Project():
		return Source{}, ErrNotFound.With("detail", id)
	case err != nil:
		return Source{}, fmt.Errorf("get data source: %w", err)
	}
	return sourceOf(row), nil
}

// List returns the sources of a project by ascending id, or the fault NotFound for the project. There are at most 1,000.
func (s *Service) List(ctx context.Context, access auth.Access) ([]Source, error) {
	if err := access.May(auth.View); err != nil {
		return nil, err
	}
	projectID := access.Project()
	var sources []Source
	err := s.db.Requests.Query(ctx, func(q *db.Queries) error {
		if _, err := q.GetProject(ctx, projectID); err != nil {
			return err
		}
		rows, err := q.ListDataSources(ctx, int64(projectID))
		sources = make([]Source, len(rows))
		for i, row := range rows {
			sources[i] = sourceOf(db.GetDataSourceRow(row))
		}
		return err
	})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, project.ErrNotFound
	case err != nil:
		return nil, fmt.Errorf("list data sources: %w", err)
	}
	return sources, nil
}

// Many returns some sources in one query, by id. Those that do not exist are missing.
func (s *Service) Many(ctx context.Context, ids []int32) (map[int32]Source, error) {
	sources := make(map[int32]Source, len(ids))
	if len(ids) == 0 {
		return sources, nil
	}
	err := s.db.Requests.Query(ctx, func(q *db.Queries) error {
		rows, err := q.ListDataSourcesByID(ctx, ids)
		for _, row := range rows {
			sources[row.ID] = sourceOf(db.GetDataSourceRow(row))
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("get data sources: %w", err)
	}
	return sources, nil
}

// sourceOf returns the source of a row.
func sourceOf(row db.GetDataSourceRow) Source {
	src := Source{
		ID: row.ID, ProjectID: row.ProjectID, Name: row.Name, Description: row.Description, Filename: row.Filename,
		Format: ingest.Format(row.Format), Kind: ingest.Kind(row.Kind), Status: row.Status, ErrorMessage: row.ErrorMessage,
		FileID: row.FileID, Size: row.Size, SHA256: row.Sha256, Rows: row.RowCount, ProblemCount: row.ProblemCount,
		ProcessedAt: row.ProcessedAt, CreatedAt: row.CreatedAt, UpdatedAt: row.UpdatedAt,
	}
	if len(row.Problems) > 0 {
		_ = json.Unmarshal(row.Problems, &src.Problems) // it was written by problemsOf
	}
	return src
}
