package mcpserver

import (
	"context"
	"encoding/json"
	"strings"

	"layercake/internal/caller"
	"layercake/internal/fault"
	"layercake/internal/ingest"
	"layercake/internal/source"
)

// The limits of a page of rows.
const (
	usualRows = 20
	mostRows  = 500
)

type importCSV struct {
	ofProject
	NodesCSV  string `json:"nodes_csv,omitempty" jsonschema:"the whole table with its header: id, label, layer, belongs_to, ..."`
	EdgesCSV  string `json:"edges_csv,omitempty" jsonschema:"id, source, target, label, ..."`
	LayersCSV string `json:"layers_csv,omitempty" jsonschema:"id, label, background, text, border"`
	OpID      string `json:"op_id,omitempty"`
}

type importedCSV struct {
	DataSources []importedSource `json:"data_sources"`
	Version     int64            `json:"version"`
}

type importedSource struct {
	tableInfo
	NodeID string `json:"node_id,omitempty"`
}

type tableInfo struct {
	ID       int32  `json:"id"`
	Name     string `json:"name"`
	Kind     string `json:"kind"`
	Rows     int32  `json:"rows"`
	Problems int32  `json:"problems"`
}

func tableOf(s source.Source) tableInfo {
	return tableInfo{ID: s.ID, Name: s.Name, Kind: string(s.Kind), Rows: s.Rows, Problems: s.ProblemCount}
}

type listDataSources struct {
	ofProject
	Page count `json:"page,omitempty"`
}

type dataSourceList struct {
	DataSources []dataSourceInfo `json:"data_sources"`
	Count       int              `json:"count"`
	NextPage    int              `json:"next_page,omitempty"`
}

type dataSourceInfo struct {
	tableInfo
	Filename string `json:"filename"`
	Bytes    int64  `json:"bytes"`
	Status   string `json:"status"`
	Error    string `json:"error,omitempty"`
}

type previewData struct {
	DataSourceID id    `json:"data_source_id"`
	Offset       int   `json:"offset,omitempty" jsonschema:"default 0"`
	Limit        count `json:"limit,omitempty" jsonschema:"default 20, at most 500"`
}

type dataPreview struct {
	Name       string   `json:"name"`
	Kind       string   `json:"kind"`
	Columns    []string `json:"columns"`
	Rows       []object `json:"rows"`
	Total      int32    `json:"total"`
	NextOffset int      `json:"next_offset,omitempty"`
}

func (h *Handler) addDataTools() {
	add(h, definition{
		name: "import_csv", title: "Import tables", set: dataTools, effect: writes,
		does: "Uploads tables as data sources, each with a node in the plan: all or none. Connect the nodes with edit_plan.",
	}, h.importCSV)
	add(h, definition{
		name: "list_data_sources", title: "List data sources", set: dataTools, effect: reads,
		does: "The uploaded files of a project, by id.",
	}, h.listDataSources)
	add(h, definition{
		name: "preview_data", title: "Preview data", set: dataTools, effect: reads,
		does: "Rows of a table of nodes or edges.",
	}, h.previewData)
}

func (h *Handler) importCSV(ctx context.Context, c call, in importCSV) (importedCSV, error) {
	var uploads []source.Upload
	for _, table := range []struct {
		kind ingest.Kind
		text string
	}{{ingest.Nodes, in.NodesCSV}, {ingest.Edges, in.EdgesCSV}, {ingest.Layers, in.LayersCSV}} {
		if table.text != "" {
			uploads = append(uploads, source.Upload{
				Filename: string(table.kind) + ".csv", Format: ingest.CSV, Kind: table.kind, Content: strings.NewReader(table.text),
			})
		}
	}
	if uploads == nil {
		return importedCSV{}, fault.New(fault.BadRequest, "Give at least one of nodes_csv, edges_csv and layers_csv").With("path", "nodes_csv")
	}
	sources, result, err := h.sources.Create(ctx, c.access, uploads, source.Request{
		OpID: in.OpID, Via: caller.MCP, AllOrNone: true,
	})
	if err != nil {
		return importedCSV{}, err
	}
	h.point(c, in.project(), result)
	nodes := map[int32]string{}
	for _, n := range result.Nodes {
		if n.DatasourceExecution != nil {
			nodes[n.DatasourceExecution.DataSourceID] = n.ID
		}
	}
	out := importedCSV{Version: result.At.Version, DataSources: []importedSource{}}
	for _, s := range sources {
		out.DataSources = append(out.DataSources, importedSource{tableOf(s), nodes[s.ID]})
	}
	return out, nil
}

func (h *Handler) listDataSources(ctx context.Context, c call, in listDataSources) (dataSourceList, error) {
	sources, err := h.sources.List(ctx, c.access)
	if err != nil {
		return dataSourceList{}, err
	}
	out := dataSourceList{DataSources: []dataSourceInfo{}, Count: len(sources)}
	size := 0
	for i := int(in.Page); i < len(sources); i++ {
		s := sources[i]
		info := dataSourceInfo{tableOf(s), s.Filename, s.Size, s.Status, text(s.ErrorMessage)}
		if size += len(compact(info)); size > maxPage && len(out.DataSources) > 0 {
			out.NextPage = i
			break
		}
		out.DataSources = append(out.DataSources, info)
	}
	return out, nil
}

func (h *Handler) previewData(ctx context.Context, c call, in previewData) (dataPreview, error) {
	limit := int(in.Limit)
	switch {
	case in.Offset < 0:
		return dataPreview{}, fault.New(fault.BadRequest, "offset is negative").With("path", "offset")
	case limit == 0:
		limit = usualRows
	case limit > mostRows:
		return dataPreview{}, tooHigh("limit", limit, mostRows)
	}
	access, err := h.rights.Source(ctx, c.Principal, int32(in.DataSourceID))
	if err != nil {
		return dataPreview{}, err
	}
	if err := c.scope.checkProject(access.Project()); err != nil {
		return dataPreview{}, err
	}
	s, err := h.sources.Get(ctx, access, int32(in.DataSourceID))
	if err != nil {
		return dataPreview{}, err
	}
	defer h.see(c, s.ProjectID)
	page, err := h.sources.Page(ctx, s, in.Offset, limit)
	if err != nil {
		return dataPreview{}, err
	}
	out := dataPreview{Name: s.Name, Kind: string(s.Kind), Columns: page.Columns, Rows: []object{}, Total: page.Total}
	size := 0
	for i, row := range page.Rows {
		if size += len(row.Data); size > maxPage && i > 0 {
			break
		}
		out.Rows = append(out.Rows, object(json.RawMessage(row.Data)))
	}
	if next := in.Offset + len(out.Rows); next < int(page.Total) && len(out.Rows) > 0 {
		out.NextOffset = next
	}
	return out, nil
}
