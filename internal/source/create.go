package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"

	"layercake/internal/auth"
	"layercake/internal/db"
	"layercake/internal/fault"
	"layercake/internal/plan"

	"github.com/jackc/pgx/v5"
)

// Create stores files and adds a DataSourceNode for each, in one change: all or none. Result.At is the version right after it.
//
// A single file that cannot be used is kept as a source with the status error, without a node, and its fault is returned with the
// "dataSourceId", unless the request is for all or none. When one of several cannot be used, nothing is kept, and the fault names every bad
// file in "files". The same request under the same operation id answers what was created before.
//
// Faults: NotFound for the project; BadRequest for texts, formats, pairs and files; those of plan.Service.Change and of the readers.
func (s *Service) Create(
	ctx context.Context, access auth.Access, uploads []Upload, r Request,
) ([]Source, plan.Result, error) {
	return s.Receive(ctx, access, func(yield func(Upload, error) bool) {
		for _, u := range uploads {
			if !yield(u, nil) {
				return
			}
		}
	}, r)
}

// Receive is Create for files that come one after the other: each is read before the next is asked for. An error in the place of an upload
// ends it.
func (s *Service) Receive(
	ctx context.Context, access auth.Access, uploads iter.Seq2[Upload, error], r Request,
) (sources []Source, result plan.Result, err error) {
	if err := access.May(auth.Edit); err != nil {
		return nil, plan.Result{}, err
	}
	in := s.newIntake(access.Project())
	arrived, err := in.takeAll(ctx, uploads, r.AllOrNone)
	if err == nil {
		sources, result, err = s.insert(ctx, access, arrived, r)
	}
	if err != nil && !errors.As(err, new(*keptError)) {
		s.forget(ctx, in.files)
	}
	return sources, result, err
}

// arrival is an upload that arrived.
type arrival struct {
	Upload
	received
}

// takeAll takes one upload after the other. Of several, those that cannot be used are refused together; a single one only when strict.
func (in *intake) takeAll(ctx context.Context, uploads iter.Seq2[Upload, error], strict bool) ([]arrival, error) {
	var arrived []arrival
	var refusals []refusal
	count := 0
	for u, err := range uploads {
		if err != nil {
			return nil, err
		}
		if count++; count > maxFiles {
			return nil, fault.New(fault.BadRequest, fmt.Sprintf("The upload has more than %d files, which is the limit", maxFiles))
		}
		u, err = u.checked()
		var got received
		if err == nil {
			got, err = in.take(ctx, u)
		}
		if err == nil && got.bad != nil && (strict || count > 1) {
			err = got.bad
		}
		switch f := fault.From(err); {
		case err == nil:
			arrived = append(arrived, arrival{u, got})
		case f == nil, f.Code != fault.BadRequest, errors.Is(err, ErrTooLarge):
			return nil, err
		default:
			refusals = append(refusals, refusal{u.Filename, f})
		}
	}
	if count > 1 && len(arrived) > 0 && arrived[0].bad != nil { // it came first, when nobody knew that there are others
		refusals = append([]refusal{{arrived[0].filename, fault.From(arrived[0].bad)}}, refusals...)
	}
	switch {
	case count == 0:
		return nil, fault.New(fault.BadRequest, "The upload has no file")
	case count == 1 && len(refusals) == 1:
		return nil, refusals[0].fault
	case len(refusals) > 0:
		return nil, refusedFiles(refusals, count)
	}
	return arrived, nil
}

// keptError is why a file cannot be used that is kept all the same.
type keptError struct{ why *fault.Error }

func (e *keptError) Error() string { return e.why.Message }
func (e *keptError) Unwrap() error { return e.why }

// requested identifies what a change was asked to do with files. A repeat under the same operation id asks for the same.
type requested struct {
	What        string         `json:"what"`
	ID          int32          `json:"id,omitempty"`
	Name        *string        `json:"name"`
	Description *string        `json:"description"`
	Filename    *string        `json:"filename"`
	Kind        string         `json:"kind,omitempty"`
	SHA256      string         `json:"sha256,omitempty"`
	Place       *plan.Position `json:"place,omitempty"`
	Node        string         `json:"node,omitempty"`
}

// insert writes the records of files that arrived, and adds their nodes.
func (s *Service) insert(
	ctx context.Context, access auth.Access, arrived []arrival, r Request,
) ([]Source, plan.Result, error) {
	projectID := access.Project()
	asked := make([]requested, len(arrived))
	for i, a := range arrived {
		asked[i] = requested{
			What: "create", Name: &a.Name, Description: a.Description, Filename: &a.filename, Kind: string(a.kind), SHA256: a.sha256,
			Place: a.Place, Node: a.Node,
		}
	}
	var sources []Source
	result, err := s.plans.Change(ctx, access, r.change(asked, func(ctx context.Context, tx plan.Tx) ([]plan.Edit, error) {
		sources = nil // of a former try
		count, err := roomFor(ctx, tx.Queries, projectID, arrived)
		if err != nil {
			return nil, err
		}
		var edits []plan.Edit
		for i, a := range arrived {
			src, err := a.insert(ctx, tx.Queries, projectID)
			if err != nil {
				return nil, err
			}
			sources = append(sources, src)
			if a.bad != nil {
				continue
			}
			edit, err := a.edit(ctx, tx, src, count+i)
			if err != nil {
				return nil, err
			}
			edits = append(edits, edit) // what the node shows follows from what it names
		}
		return edits, nil
	}))
	switch {
	case err != nil:
		return nil, plan.Result{}, err
	case sources == nil: // a repeat
		sources, err = s.ofNodes(ctx, result.Nodes)
		return sources, result, err
	case sources[0].Status == StatusError:
		f := fault.From(arrived[0].bad).With("filename", sources[0].Filename).With("dataSourceId", sources[0].ID)
		return nil, result, &keptError{f}
	}
	return sources, result, nil
}

// remembered returns a change whose operation id is remembered whether or not it makes an event.
func remembered(c plan.Change, asked requested) plan.Change {
	c.Action = fmt.Sprintf("%s data source %d", asked.What, asked.ID)
	return c
}

// change is the change of a plan by which a request is done.
func (r Request) change(asked any, within func(context.Context, plan.Tx) ([]plan.Edit, error)) plan.Change {
	return plan.Change{OpID: r.OpID, ClientID: r.ClientID, Via: r.Via, Note: r.Note, Request: asked, Within: within}
}

// roomFor locks the files of an upload, and returns how many nodes the plan has. It refuses more sources than a project may have.
func roomFor(ctx context.Context, q *db.Queries, project int32, arrived []arrival) (nodes int, err error) {
	files, size := make([]int64, len(arrived)), int64(0)
	for i, a := range arrived {
		files[i], size = a.file, size+a.size
	}
	if err := holdFiles(ctx, q, files, size); err != nil {
		return 0, err
	}
	sources, err := q.CountDataSources(ctx, int64(project))
	if err != nil {
		return 0, fmt.Errorf("count data sources: %w", err)
	}
	if int(sources)+len(arrived) > maxSources {
		return 0, fault.New(fault.BadRequest, "A project has no room for so many data sources").
			With("detail", map[string]any{"limit": maxSources, "value": int(sources) + len(arrived)})
	}
	count, err := q.CountPlanNodes(ctx, project)
	if err != nil {
		return 0, fmt.Errorf("count nodes: %w", err)
	}
	return int(count), nil
}

// holdFiles locks files that records are about to refer to, which have so many bytes together. The clean-up does not take them before ten
// minutes have passed since a chunk. If it did, because the database or this replica stood still, the upload has to come again.
func holdFiles(ctx context.Context, q *db.Queries, files []int64, size int64) error {
	sizes, err := q.TouchFiles(ctx, files)
	if err != nil {
		return fmt.Errorf("hold files: %w", err)
	}
	for _, n := range sizes {
		size -= n
	}
	if len(sizes) != len(files) || size != 0 {
		return fault.New(fault.Unavailable, "The upload took too long and was removed, send it again")
	}
	return nil
}

// insert writes the record of a file. A file that failed before in the same way has its record.
func (a arrival) insert(ctx context.Context, q *db.Queries, project int32) (Source, error) {
	total, list := a.problems()
	src := Source{
		ProjectID: project, Name: a.Name, Description: a.Description, Filename: a.filename, Format: a.format, Kind: a.kind,
		Status: a.status(), ErrorMessage: a.message(), FileID: a.file, Size: a.size, SHA256: a.sha256, Rows: int32(a.summary.Rows),
		ProblemCount: total, Problems: list,
	}
	if a.bad != nil {
		id, err := q.GetFailedDataSource(ctx, db.GetFailedDataSourceParams{
			ProjectID: int64(project), Filename: src.Filename, Sha256: src.SHA256, Kind: string(src.Kind),
		})
		if !errors.Is(err, pgx.ErrNoRows) {
			src.ID = id
			return src, err
		}
	}
	row, err := q.InsertDataSource(ctx, db.InsertDataSourceParams{
		ProjectID: project, Name: src.Name, Description: src.Description, Filename: src.Filename, Format: string(src.Format),
		Kind: string(src.Kind), Status: src.Status, ErrorMessage: src.ErrorMessage, FileID: src.FileID, Size: src.Size, Sha256: src.SHA256,
		RowCount: src.Rows, ProblemCount: total, Problems: problemsJSON(list), Marks: a.summary.Marks,
	})
	if err != nil {
		return Source{}, fmt.Errorf("insert data source: %w", err)
	}
	src.ID, src.ProcessedAt, src.CreatedAt, src.UpdatedAt = row.ID, row.ProcessedAt, row.CreatedAt, row.UpdatedAt
	return src, nil
}

// nodeConfig is the config of a node that an upload adds. Only the first member has a meaning.
type nodeConfig struct {
	DataSourceID int32  `json:"dataSourceId"`
	Filename     string `json:"filename"`
	DataType     string `json:"dataType"`
}

func (s Source) config() nodeConfig { return nodeConfig{s.ID, s.Filename, string(s.Kind)} }

// lowest is the lowest place that a node may have in a plan.
const lowest = 100_000

// node returns the node that names a new source, in a plan of so many nodes. Its id and place are those of the existing server.
func (s Source) node(tx plan.Tx, count int) plan.Node {
	config, _ := json.Marshal(s.config()) // texts and a number can always be encoded
	return plan.Node{
		ID:       fmt.Sprintf("datasourcenode_%d_%08x", tx.Time.UnixMilli(), s.ID),
		NodeType: plan.DataSourceNode, Position: plan.Position{X: 100, Y: float64(min(100+120*count, lowest))},
		Metadata: plan.NodeMetadata{Label: s.Name}, Config: string(config),
	}
}

// edit returns how a new source comes into a plan of so many nodes: by a node of its own, or by one that names no source yet.
func (a arrival) edit(ctx context.Context, tx plan.Tx, src Source, count int) (plan.Edit, error) {
	if a.Node == "" {
		node := src.node(tx, count)
		if a.Place != nil {
			node.Position = *a.Place
		}
		return plan.AddNode{Node: node}, nil
	}
	row, err := tx.GetPlanNode(ctx, db.GetPlanNodeParams{ProjectID: src.ProjectID, ID: a.Node})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, fault.New(fault.NotFound, "Node not found").With("detail", a.Node)
	case err != nil:
		return nil, fmt.Errorf("read the node of a data source: %w", err)
	case row.NodeType != string(plan.DataSourceNode):
		return nil, fault.New(fault.BadRequest, "Only a DataSourceNode takes a file").With("detail", a.Node)
	case plan.Node{NodeType: plan.DataSourceNode, Config: string(row.Config)}.DataSourceID() != 0:
		return nil, fault.New(fault.Conflict, "The node has a data source already: replace its file").With("detail", a.Node)
	}
	config, err := src.namedIn(row.Config)
	if err != nil {
		return nil, err
	}
	return plan.UpdateNode{ID: a.Node, Config: &config}, nil
}

// namedIn returns a config that names the source. What else is in it stays.
func (s Source) namedIn(config []byte) (string, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(config, &members); err != nil {
		return "", fault.New(fault.BadRequest, "The config of the node is no JSON object: "+fault.JSONReason(err))
	}
	own, _ := json.Marshal(s.config()) // texts and a number can always be encoded
	_ = json.Unmarshal(own, &members)
	text, err := json.Marshal(members)
	return string(text), err
}

// ofNodes returns the sources that nodes name, in their order.
func (s *Service) ofNodes(ctx context.Context, nodes []plan.Node) ([]Source, error) {
	var ids []int32
	for _, n := range nodes {
		if id := n.DataSourceID(); id > 0 && id <= math.MaxInt32 {
			ids = append(ids, int32(id))
		}
	}
	found, err := s.Many(ctx, ids)
	sources := make([]Source, 0, len(ids))
	for _, id := range ids {
		if src, ok := found[id]; ok {
			sources = append(sources, src)
		}
	}
	if err == nil && len(sources) < len(ids) {
		return nil, fault.New(fault.NotFound, "Data sources that this operation created were deleted")
	}
	return sources, err
}
