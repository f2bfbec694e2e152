// Package source keeps uploaded data sources: the bytes of files, and what they hold.
package source

import (
	"context"
	"errors"
	"io"
	"time"

	"layercake/internal/auth"
	"layercake/internal/ingest"
	"layercake/internal/layered"
	"layercake/internal/plan"
)

var errUnbuilt = errors.New("not built yet")

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
	Format      ingest.Format // "" for that of the extension
	Kind        ingest.Kind   // "" to detect it
	Content     io.Reader
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
}

// Service keeps the data sources of projects.
type Service struct{}

// Hash identifies what builds read of the source: its bytes, format and kind.
func (s Source) Hash() string {
	return layered.HashParts("source", string(s.Format), string(s.Kind), s.SHA256)
}

// Create stores files and adds a DataSourceNode for each, in one change: all or none. Result.At is the version right after it.
func (s *Service) Create(ctx context.Context, actor auth.Actor, projectID int32, uploads []Upload, r Request) ([]Source, plan.Result, error) {
	return nil, plan.Result{}, errUnbuilt
}

// Change replaces parts of a source. What its nodes show follows in the same change.
func (s *Service) Change(ctx context.Context, actor auth.Actor, id int32, u Update, r Request) (Source, error) {
	return Source{}, errUnbuilt
}

// Reprocess reads the stored file again.
func (s *Service) Reprocess(ctx context.Context, actor auth.Actor, id int32, r Request) (Source, error) {
	return Source{}, errUnbuilt
}

// Delete removes a source with its nodes and their edges, in one change.
func (s *Service) Delete(ctx context.Context, actor auth.Actor, id int32, r Request) error {
	return errUnbuilt
}

// Get returns one source, or the fault NotFound.
func (s *Service) Get(ctx context.Context, actor auth.Actor, id int32) (Source, error) {
	return Source{}, errUnbuilt
}

// List returns the sources of a project by id, or the fault NotFound for the project.
func (s *Service) List(ctx context.Context, actor auth.Actor, projectID int32) ([]Source, error) {
	return nil, errUnbuilt
}

// Open reads the bytes of a source's file, a chunk a statement, so a slow reader holds no connection. A file that was removed meanwhile
// is the fault NotFound. The caller closes.
func (s *Service) Open(ctx context.Context, src Source) io.ReadCloser { return nil }

// Read parses a source's file.
func (s *Service) Read(ctx context.Context, src Source) (layered.Graph, error) {
	return layered.Graph{}, errUnbuilt
}

// WriteJSON writes all that a source holds as graphJson shows it.
func (s *Service) WriteJSON(ctx context.Context, w io.Writer, src Source) error { return errUnbuilt }

// JSON returns what WriteJSON writes, when it has at most limit bytes. Beyond, it is a valid object with empty arrays, "truncated": true
// and the path of the download.
func (s *Service) JSON(ctx context.Context, src Source, limit int64) (string, error) {
	return "", errUnbuilt
}

// Page is a part of a source's rows.
type Page struct {
	Source  Source
	Columns []string
	Rows    []Row
	Total   int32
}

// Row is one element as graphJson shows it.
type Row struct {
	Number int32 // from 1
	Data   []byte
}

// Page returns rows of a table. Sources of layers and graphs are a BadRequest.
func (s *Service) Page(ctx context.Context, src Source, offset, limit int) (Page, error) {
	return Page{}, errUnbuilt
}

// PageOfNode returns rows of the table that a node names.
func (s *Service) PageOfNode(ctx context.Context, actor auth.Actor, projectID int32, nodeID string, offset, limit int) (Page, error) {
	return Page{}, errUnbuilt
}
