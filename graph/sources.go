package graph

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"layercake/internal/budget"
	"layercake/internal/caller"
	"layercake/internal/fault"
	"layercake/internal/ingest"
	"layercake/internal/plan"
	"layercake/internal/project"
	"layercake/internal/source"

	"github.com/99designs/gqlgen/graphql"
)

// Limits of what one response shows of what is in data sources, as the texts of JSON.
const (
	maxSourceJSON = 16 << 20 // bytes of all of them together
	maxListedJSON = 1 << 20  // bytes of each in a list
	maxListJSON   = 8 << 20  // bytes of all in lists together
)

// jsonFactor is how much longer the JSON of a table is than its file, as far as memory is taken for it before it is made.
const jsonFactor = 16

// sourceBudget counts the bytes of the contents of data sources in one response. They are read one at a time, so that no more of them are
// in memory than it allows.
type sourceBudget struct {
	turn  chan struct{} // holds the one whose turn it is
	bytes int64         // used by whose turn it is
}

func newSourceBudget() *sourceBudget { return &sourceBudget{turn: make(chan struct{}, 1)} }

// graphJSON returns what a data source holds, or what stands for it when the response has no room for it.
func (r *Resolver) graphJSON(ctx context.Context, src source.Source) (string, error) {
	b := loadersOf(ctx).sources
	select {
	case b.turn <- struct{}{}:
		defer func() { <-b.turn }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	limit := maxSourceJSON - b.bytes
	if graphql.GetFieldContext(ctx).Parent.Index != nil { // it is in a list
		limit = min(maxListedJSON, maxListJSON-b.bytes)
	}
	limit = max(0, limit)
	held := budget.From(ctx)
	expected := encodedCost * min(limit, jsonFactor*src.Size)
	if err := held.Take(ctx, expected); err != nil {
		return "", err
	}
	text, err := r.sources.JSON(ctx, src, limit)
	if err != nil {
		return "", err
	}
	b.bytes += int64(len(text))
	return text, held.Take(ctx, encodedCost*int64(len(text))-expected)
}

// upload uploads files.
func (r *Resolver) upload(ctx context.Context, projectID int32, uploads []source.Upload, request source.Request) ([]source.Source, error) {
	access, err := r.access(ctx, projectID, request.ClientID)
	if err != nil {
		return nil, err
	}
	made, _, err := r.sources.Create(ctx, access, uploads, request)
	if err == nil {
		r.renewGuest(projectID, request.ClientID)
	}
	return made, err
}

// ofFiles says in the message of a fault which of the files it is about. The core names the bad ones when there are several files.
func ofFiles(files []BulkUploadDataSourceInput, err error) error {
	f := fault.From(err)
	if f == nil {
		return err
	}
	bad, _ := f.Details["files"].([]map[string]any)
	switch {
	case len(bad) > 1:
		return prefixed("Failed to create DataSources: ", err)
	case len(bad) == 1:
		return prefixed("Failed to create DataSource for ", err)
	case len(files) == 0:
		return prefixed("Failed to create DataSources: ", err)
	}
	return prefixed(fmt.Sprintf("Failed to create DataSource for %s: ", fault.Clip(files[0].Filename)), err)
}

// changeSource makes a change of one data source.
func (r *Resolver) changeSource(
	ctx context.Context, request source.Request, change func(context.Context) (source.Source, error),
) (*source.Source, error) {
	src, err := change(ctx)
	if err != nil {
		return nil, err
	}
	r.renewGuest(src.ProjectID, request.ClientID)
	return &src, nil
}

// renewGuest says that the client of a change is in the project.
func (r *Resolver) renewGuest(projectID int32, clientID string) {
	if clientID != "" {
		r.presence.RenewGuest(projectID, clientID)
	}
}

func sourceRequest(opID, clientID *string) source.Request {
	return source.Request{OpID: value(opID), ClientID: value(clientID), Via: caller.GraphQL}
}

func (in CreateDataSourceInput) upload() (source.Upload, error) {
	content, err := decodeFile(in.FileContent)
	return source.Upload{
		Name: in.Name, Description: in.Description.Value(), Filename: in.Filename, Format: in.FileFormat, Kind: in.DataType, Content: content,
	}, err
}

// upload returns a file of many. One that is no base64 fails when it is read, so that it is named among the bad ones.
func (in BulkUploadDataSourceInput) upload() source.Upload {
	content, err := decodeFile(in.FileContent)
	if err != nil {
		content = failing{err}
	}
	return source.Upload{Name: in.Name, Description: in.Description.Value(), Filename: in.Filename, Content: content}
}

// failing is a reader that has nothing but an error.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func (in UpdateDataSourceInput) update() (source.Update, error) {
	u := source.Update{Name: in.Name.Value(), Description: in.Description.Value(), Filename: in.Filename.Value()}
	if in.FileContent.Value() == nil {
		return u, nil
	}
	var err error
	u.Content, err = decodeFile(*in.FileContent.Value())
	return u, err
}

// decodeFile returns the bytes of a file that came as base64, decoded as they are read. The whole text is checked before.
func decodeFile(text string) (io.Reader, error) {
	decoder := func() io.Reader { return base64.NewDecoder(base64.StdEncoding, strings.NewReader(text)) }
	if _, err := io.Copy(io.Discard, decoder()); err != nil {
		reason := err.Error()
		if errors.Is(err, io.ErrUnexpectedEOF) {
			reason = "it ends too early"
		}
		return nil, fault.New(fault.BadRequest, "Failed to decode base64 file content: "+reason)
	}
	return decoder(), nil
}

// prefixed puts what failed before the message of a fault. Want of time or capacity keeps its message, by which clients know it.
func prefixed(prefix string, err error) error {
	f := fault.From(err)
	if f == nil || f.Code == fault.Unavailable || f.Code == fault.RateLimited || f.Code == fault.Internal {
		return err
	}
	said := *f
	said.Message = prefix + f.Message
	return &said
}

// errNoPlan is what fields that need a plan say of a project that does not exist.
var errNoPlan = fault.New(fault.NotFound, "Plan not found for project")

// ofPlan returns errNoPlan when the project does not exist, else err after a prefix.
func ofPlan(prefix string, err error) error {
	if f := fault.From(err); f != nil && f.Message == project.ErrNotFound.Message {
		return errNoPlan
	}
	return prefixed(prefix, err)
}

// previewRows reads some rows of the table that a node names.
func (r *Resolver) previewRows(ctx context.Context, projectID int32, nodeID string, limit, offset int32) (*DataSourcePreview, error) {
	access, err := r.access(ctx, projectID, "")
	if err != nil {
		return nil, ofPlan("", err)
	}
	page, err := r.sources.PageOfNode(ctx, access, nodeID, int(offset), int(limit))
	if err != nil {
		return nil, ofPlan("", err)
	}
	src := page.Source
	if wanted := min(int(limit), int(page.Total)-int(offset)); len(page.Rows) < wanted {
		return nil, fault.New(fault.BadRequest, "The rows are too long to be shown together: ask for fewer at once").
			With("detail", map[string]any{"rows": len(page.Rows), "limit": ingest.MaxPageBytes})
	}
	bytes := 0
	for _, row := range page.Rows {
		bytes += len(row.Data)
	}
	if err := budget.From(ctx).Take(ctx, textCost*int64(bytes)); err != nil {
		return nil, err
	}
	return &DataSourcePreview{
		NodeID: nodeID, DatasourceID: src.ID, Name: src.Name, FilePath: src.Filename, FileType: string(src.Kind), TotalRows: page.Total,
		Columns: convert(page.Columns, func(name string) TableColumn {
			return TableColumn{Name: name, DataType: "string", Nullable: true}
		}),
		Rows:       convert(page.Rows, func(row source.Row) TableRow { return TableRow{RowNumber: row.Number, Data: row.Data} }),
		ImportDate: timeText(src.ProcessedAt), ExecutionState: sourceState(src), ErrorMessage: src.ErrorMessage,
	}, nil
}

// sourceState returns the state of a data source as previews show it.
func sourceState(src source.Source) string {
	if src.Status == "active" {
		return "completed"
	}
	return src.Status
}

// formatSize returns a number of bytes for people.
func formatSize(bytes int64) string {
	if bytes < 1<<10 {
		return fmt.Sprintf("%d B", bytes)
	}
	size := float64(bytes) / (1 << 10)
	for _, unit := range []string{"KB", "MB"} {
		if size < 1<<10 {
			return fmt.Sprintf("%.1f %s", size, unit)
		}
		size /= 1 << 10
	}
	return fmt.Sprintf("%.1f GB", size)
}

// timeText returns a time as text, or null.
func timeText(t *time.Time) *string {
	if t == nil {
		return nil
	}
	return new(plan.FormatTime(*t))
}

// downloadPath returns the path of a route that has a data source in a form.
func (r *Resolver) downloadPath(ctx context.Context, id int32, form string) (string, error) {
	if _, err := r.rights.Source(ctx, caller.Principal(ctx, ""), id); err != nil {
		return "", err
	}
	return fmt.Sprintf("/api/data-sources/%d/download/%s", id, form), nil
}
