package executor

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"layercake/internal/auth"
	"layercake/internal/fault"
	"layercake/internal/layered"
	"layercake/internal/plan"
	"layercake/internal/planfile"
)

// Imported is what a plan file became.
type Imported struct {
	At           plan.Cursor // place right after the change
	Nodes, Edges int         // that were added
}

// Import adds the nodes and edges of a plan file to a project's plan, in one change. A table whose name is that of a data source of the
// project, of the same kind, is linked to it. A plan that was never written to also takes the file's name and text. Fault: BadRequest for
// what is no plan file, with the line where it can be said.
func (s *Service) Import(ctx context.Context, access auth.Access, yaml string, r Request) (Imported, error) {
	if err := access.May(auth.Edit); err != nil {
		return Imported{}, err
	}
	projectID := access.Project()
	parsed, err := planfile.Parse([]byte(yaml))
	if err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		return Imported{}, fault.New(fault.BadRequest, "Failed to parse YAML: "+fault.Clip(first)).With("detail", err.Error())
	}
	result, err := s.cfg.Plans.Change(ctx, access, plan.Change{
		OpID: r.OpID, ClientID: r.ClientID, Via: r.Via, Note: r.Note, Request: map[string]string{"import": yaml},
		Within: func(ctx context.Context, tx plan.Tx) ([]plan.Edit, error) {
			tables, err := tablesOf(ctx, tx, projectID)
			if err != nil {
				return nil, err
			}
			edits := importEdits(parsed, tables, tx.Time)
			if tx.At.Version == 0 {
				edits = append([]plan.Edit{planOf(parsed, yaml)}, edits...)
			}
			return edits, nil
		},
	})
	if err != nil {
		return Imported{}, err
	}
	return importedBy(result), nil
}

// importedBy counts what a change added. A repeat of the request is answered from its event, too.
func importedBy(result plan.Result) Imported {
	done := Imported{At: result.At}
	if result.Event == nil {
		return done
	}
	for _, op := range result.Event.Operations {
		switch op.Kind {
		case plan.NodeAdded:
			done.Nodes++
		case plan.EdgeAdded:
			done.Edges++
		}
	}
	return done
}

// uploaded is a data source that a plan file may mean.
type uploaded struct {
	id       int32
	filename string
	kind     string
}

// tablesOf returns the data sources of a project.
func tablesOf(ctx context.Context, tx plan.Tx, projectID int32) ([]uploaded, error) {
	rows, err := tx.ListDataSources(ctx, int64(projectID))
	tables := make([]uploaded, len(rows))
	for i, row := range rows {
		tables[i] = uploaded{row.ID, row.Filename, row.Kind}
	}
	return tables, err
}

// importer makes the edits of a plan file.
type importer struct {
	stamp  int64 // milliseconds, in all ids
	tables []uploaded
	edits  []plan.Edit
}

// importEdits returns what a plan file adds to a plan: its tables, one merge of them, one graph of that, and for each export an output. An
// export that changes the graph has a transform and a graph of its own before it.
func importEdits(p planfile.Plan, tables []uploaded, now time.Time) []plan.Edit {
	im := importer{stamp: now.UnixMilli(), tables: tables}
	var sources []string
	for i, in := range p.Import.Profiles {
		label := fmt.Sprintf("%s (%s)", in.Filename, in.Filetype)
		id := im.node(plan.DataSourceNode, im.numbered("datasourcenode", i), label, 100+50*float64(i), 100, im.sourceConfig(in))
		sources = append(sources, id)
	}
	merge := im.node(plan.MergeNode, im.id("mergenode", "merge"), "Combined Data", 300, 200, struct{}{})
	base := im.node(plan.GraphNode, im.id("graphnode", "base"), "Base Graph", 500, 200, struct{}{})
	for i, source := range sources { // a merge takes its inputs in the order of their edges
		im.edge(im.numbered("edge", i), source, merge, plan.GraphData)
	}
	im.edge(im.id("edge", "merge_to_base"), merge, base, plan.GraphData)
	transformed, direct := splitExports(p.Export.Profiles)
	for i, out := range transformed {
		y, name := 100+150*float64(i), path.Base(out.Filename)
		transform := im.node(plan.TransformNode, im.numbered("transformnode", i), "Transform: "+name, 700, y,
			map[string]any{"graphConfig": out.Graph})
		graph := im.node(plan.GraphNode, im.numbered("graphnode", i), "Graph: "+name, 900, y, struct{}{})
		im.edge(im.numbered("edge", i, "base_to_transform"), base, transform, plan.GraphReference)
		im.edge(im.numbered("edge", i, "transform_to_graph"), transform, graph, plan.GraphData)
		im.edge(im.numbered("edge", i, "graph_to_output"), graph, im.output(i, out, nil), plan.GraphReference)
	}
	for i, out := range direct {
		i += len(transformed)
		im.edge(im.numbered("edge", i, "base_to_output"), base, im.output(i, out, &out.Graph), plan.GraphReference)
	}
	return im.edits
}

// splitExports separates exports that change the graph from those that write it as it is, but for the aggregation of edges, which an output
// does by itself.
func splitExports(profiles []planfile.Export) (transformed, direct []planfile.Export) {
	for _, out := range profiles {
		steps := out.Graph.Transforms()
		if slices.ContainsFunc(steps, func(t layered.Transform) bool { return t.Kind != layered.KindAggregateEdges }) {
			transformed = append(transformed, out)
		} else {
			direct = append(direct, out)
		}
	}
	return transformed, direct
}

func (im *importer) id(prefix, suffix string) string {
	return fmt.Sprintf("%s_%d_%s", prefix, im.stamp, suffix)
}

// numbered returns the id of one of several.
func (im *importer) numbered(prefix string, i int, middle ...string) string {
	return im.id(prefix, strings.Join(append(middle, fmt.Sprintf("%04x", i)), "_"))
}

// maxLabel is how long a label of an imported node is, in characters.
const maxLabel = 200

func (im *importer) node(of plan.NodeType, id, label string, x, y float64, config any) string {
	if runes := []rune(label); utf8.RuneCountInString(label) > maxLabel {
		label = string(runes[:maxLabel-1]) + "…"
	}
	im.edits = append(im.edits, plan.AddNode{Node: plan.Node{
		ID: id, NodeType: of, Position: plan.Position{X: x, Y: y}, Metadata: plan.NodeMetadata{Label: label}, Config: string(encode(config)),
	}})
	return id
}

func (im *importer) edge(id, source, target string, of plan.DataType) {
	im.edits = append(im.edits, plan.AddEdge{Edge: plan.Edge{
		ID: id, Source: source, Target: target, Metadata: plan.EdgeMetadata{DataType: of},
	}})
}

// sourceConfig links a table to the newest data source of its file name and kind. Without one, people choose it.
func (im *importer) sourceConfig(in planfile.Import) any {
	config := struct {
		DataSourceID int32  `json:"dataSourceId,omitzero"`
		Filename     string `json:"filename"`
		DataType     string `json:"dataType"`
	}{Filename: in.Filename, DataType: strings.ToLower(in.Filetype)}
	for _, t := range im.tables {
		if t.filename == path.Base(in.Filename) && t.kind == config.DataType {
			config.DataSourceID = max(config.DataSourceID, t.id)
		}
	}
	return config
}

// output adds an OutputNode, which aggregates edges when settings are given that do.
func (im *importer) output(i int, out planfile.Export, settings *layered.Settings) string {
	format := string(out.Exporter.Format)
	config := map[string]any{"renderTarget": format, "outputPath": out.Filename}
	if render := camel(out.Render); len(render) > 0 {
		config["renderConfig"] = render
	}
	if settings != nil && (settings.AggregateEdges == nil || *settings.AggregateEdges) {
		config["graphConfig"] = map[string]any{"aggregateEdges": true}
	}
	label := fmt.Sprintf("%s: %s", format, path.Base(out.Filename))
	return im.node(plan.OutputNode, im.numbered("outputnode", i), label, 1100, 100+150*float64(i), config)
}

// camel returns an object with its members in camelCase, as editors write them.
func camel(value any) map[string]any {
	var members map[string]any
	if err := json.Unmarshal(encode(value), &members); err != nil {
		panic(err)
	}
	return renamed(members, camelCase).(map[string]any)
}

// planOf returns the record of a plan that was never written to, as a plan file makes it.
func planOf(p planfile.Plan, yaml string) plan.Edit {
	name := ""
	if p.Meta != nil {
		name = strings.TrimSpace(p.Meta.Name)
	}
	return plan.UpdatePlan{Name: cmp.Or(name, "Imported Plan"), YAMLContent: yaml, Status: "active"}
}
