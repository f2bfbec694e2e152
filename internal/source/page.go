package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"layercake/internal/auth"
	"layercake/internal/db"
	"layercake/internal/fault"
	"layercake/internal/ingest"
	"layercake/internal/layered"

	"github.com/jackc/pgx/v5"
)

// Read parses a source's file. Faults: BadRequest when it cannot be used; NotFound when it was removed meanwhile.
func (s *Service) Read(ctx context.Context, src Source) (layered.Graph, error) {
	file := &watched{r: s.Open(ctx, src)}
	result, err := ingest.ReadRows(file, src.Format, src.Kind, ingest.DefaultLimits(), int(src.Rows))
	if file.err != nil {
		err = file.err
	}
	if err != nil {
		return layered.Graph{}, fmt.Errorf("read data source %d: %w", src.ID, err)
	}
	return result.Graph, nil
}

// Page is a part of a source's rows.
type Page struct {
	Source  Source
	Columns []string // keys that the rows may have, in the order of the table
	Rows    []Row
	Total   int32
}

// Row is one element as graphJson shows it.
type Row struct {
	Number int32 // from 1
	Data   []byte
}

// MaxPage is how many rows a page has at most.
const MaxPage = 500

// Page returns at most 500 rows of a table from an offset on, and fewer when they have ingest.MaxPageBytes. It reads 1,500 rows at most,
// wherever they are.
//
// Faults: BadRequest for sources that are no tables of nodes or edges, or cannot be used, and for an offset or limit that is not one;
// NotFound when the file was replaced meanwhile.
func (s *Service) Page(ctx context.Context, src Source, offset, limit int) (Page, error) {
	switch {
	case src.Kind != ingest.Nodes && src.Kind != ingest.Edges:
		return Page{}, fault.New(fault.BadRequest, "Only tables of nodes or edges have a preview").With("detail", string(src.Kind))
	case src.Status != StatusActive:
		return Page{}, fault.New(fault.BadRequest, "The data source cannot be used").With("detail", *cmp.Or(src.ErrorMessage, new(string)))
	case offset < 0:
		return Page{}, fault.New(fault.BadRequest, "The offset is not one of a row").With("detail", map[string]any{"least": 0, "value": offset})
	case limit < 0 || limit > MaxPage:
		return Page{}, fault.New(fault.BadRequest, "The limit is not one of a page").
			With("detail", map[string]any{"least": 0, "limit": MaxPage, "value": limit})
	}
	page := Page{Source: src, Total: src.Rows}
	var err error
	if page.Columns, err = ingest.Columns(s.Open(ctx, src), src.Format, src.Kind); err != nil {
		return Page{}, fmt.Errorf("read the header of data source %d: %w", src.ID, err)
	}
	if limit == 0 || offset >= int(src.Rows) {
		return page, nil
	}
	header, from := s.Open(ctx, src), s.Open(ctx, src)
	if err := s.seekRow(ctx, src, from, offset/ingest.RowsPerMark); err != nil {
		return Page{}, err
	}
	elements, err := ingest.ReadPage(header, from, src.Format, src.Kind, offset%ingest.RowsPerMark, limit)
	if err != nil {
		return Page{}, fmt.Errorf("read rows of data source %d: %w", src.ID, err)
	}
	for i, element := range elements {
		page.Rows = append(page.Rows, Row{Number: int32(offset + i + 1), Data: element})
	}
	return page, nil
}

// seekRow brings a file to a mark.
func (s *Service) seekRow(ctx context.Context, src Source, file *File, mark int) error {
	var offset int64
	err := s.db.Requests.Query(ctx, func(q *db.Queries) (err error) {
		offset, err = q.GetDataSourceMark(ctx, db.GetDataSourceMarkParams{ID: src.ID, FileID: src.FileID, Number: int32(mark + 1)})
		return err
	})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return errFileGone
	case err != nil:
		return fmt.Errorf("find a row: %w", err)
	}
	_, err = file.Seek(offset, io.SeekStart)
	return err
}

// PageOfNode returns rows of the table that a node names. Faults: as of Page, and NotFound for the project, the node and its source.
func (s *Service) PageOfNode(ctx context.Context, access auth.Access, nodeID string, offset, limit int) (Page, error) {
	if err := access.May(auth.View); err != nil {
		return Page{}, err
	}
	node, err := s.plans.Node(ctx, access, nodeID)
	if err != nil {
		return Page{}, err
	}
	id := node.DataSourceID()
	switch {
	case id == 0:
		return Page{}, fault.New(fault.BadRequest, "The node names no data source").With("detail", nodeID)
	case id > math.MaxInt32:
		return Page{}, ErrNotFound.With("detail", id)
	}
	src, err := s.Get(ctx, access, int32(id))
	if err != nil {
		return Page{}, err
	}
	return s.Page(ctx, src, offset, limit)
}
