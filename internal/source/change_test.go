package source_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"layercake/internal/auth"
	"layercake/internal/fault"
	"layercake/internal/ingest"
	"layercake/internal/plan"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server/servertest"
	"layercake/internal/source"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// name adds a node that names a source.
func name(t testing.TB, core *servertest.Core, project int32, id string, src int32) {
	t.Helper()
	node := plan.Node{ID: id, NodeType: plan.DataSourceNode, Config: fmt.Sprintf(`{"dataSourceId": %d}`, src)}
	if _, err := core.Plans.Change(t.Context(), auth.Unchecked(ann, project), plan.Change{Edits: []plan.Edit{plan.AddNode{Node: node}}}); err != nil {
		t.Fatal(err)
	}
}

// What the nodes of a source show follows when it is replaced, read again, and deleted, each in one event.
func TestNodesFollowTheirSource(t *testing.T) {
	t.Parallel()
	core := servertest.StartCore(t, nil)
	id := newProject(t, core)
	sources := create(t, core, id, file("nodes.csv", nodesCSV), file("edges.csv", "id,source,target\ne,a,b\n"))
	src := sources[0]
	node := plan.AddNode{Node: plan.Node{ID: "second", NodeType: plan.DataSourceNode, Config: fmt.Sprintf(`{"dataSourceId": %d.0}`, src.ID)}}
	if _, err := core.Plans.Change(t.Context(), auth.Unchecked(ann, id), plan.Change{Edits: []plan.Edit{node}}); err != nil {
		t.Fatal(err)
	}
	graph := plan.AddNode{Node: plan.Node{ID: "graph", NodeType: plan.GraphNode, Config: "{}"}}
	edge := plan.AddEdge{Edge: plan.Edge{ID: "edge", Source: "second", Target: "graph", Metadata: plan.EdgeMetadata{DataType: plan.GraphData}}}
	if _, err := core.Plans.Change(t.Context(), auth.Unchecked(ann, id), plan.Change{Edits: []plan.Edit{graph, edge}}); err != nil {
		t.Fatal(err)
	}
	// shown returns what the two nodes of the source show, after a change that made one event.
	version := dag(t, core, id).At.Version
	shown := func() plan.DataSourceExecution {
		t.Helper()
		version++
		d := dag(t, core, id)
		if d.At.Version != version {
			t.Errorf("the version is %d, want %d", d.At.Version, version)
		}
		first, second := d.Nodes[0].DatasourceExecution, d.Nodes[2].DatasourceExecution
		if diff := cmp.Diff(first, second); diff != "" || first == nil {
			t.Fatalf("the nodes differ: %s", diff)
		}
		return *first
	}
	replacing := source.Update{
		Name: new("Better"), Description: new(" why "), Filename: new("better.tsv"), Content: strings.NewReader("id\tlabel\nz\tZ\n"),
	}
	changed, err := core.Sources.Change(t.Context(), auth.Unchecked(ann, src.ProjectID), src.ID, replacing, source.Request{OpID: "replace"})
	if err != nil {
		t.Fatal(err)
	}
	if changed.Name != "Better" || *changed.Description != "why" || changed.Filename != "better.tsv" || changed.Format != ingest.TSV || changed.Rows != 1 ||
		changed.SHA256 == src.SHA256 || changed.FileID == src.FileID || changed.Hash() == src.Hash() || !changed.ProcessedAt.After(*src.ProcessedAt) {
		t.Errorf("replaced %+v", changed)
	}
	if e := shown(); e.Filename != "better.tsv" || *e.ProcessedAt != plan.FormatTime(*changed.ProcessedAt) {
		t.Errorf("after replacing, nodes show %+v", e)
	}
	replacing.Content = strings.NewReader("id\tlabel\nz\tZ\n")
	if again, err := core.Sources.Change(t.Context(), auth.Unchecked(ann, src.ProjectID), src.ID, replacing, source.Request{OpID: "replace"}); err != nil || again.FileID != changed.FileID {
		t.Errorf("a repeat gets %+v, %v", again, err)
	}
	// A bad file, and one of another kind of format, leave everything as it is.
	for filename, text := range map[string]string{"better.tsv": "id\tlabel\nz\n", "graph.json": `{"nodes":[],"edges":[],"layers":[]}`, "x.png": "x"} {
		_, err := core.Sources.Change(t.Context(), auth.Unchecked(ann, src.ProjectID), src.ID, source.Update{Filename: &filename, Content: strings.NewReader(text)}, source.Request{})
		if !fault.Is(err, fault.BadRequest) {
			t.Errorf("%s: %v", filename, err)
		}
	}
	if _, err := core.Sources.Change(t.Context(), auth.Unchecked(ann, src.ProjectID), src.ID, source.Update{Content: brokenReader{io.ErrUnexpectedEOF}}, source.Request{}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a broken file: %v", err)
	}
	if now, err := core.Sources.Get(t.Context(), auth.Unchecked(ann, src.ProjectID), src.ID); err != nil || cmp.Diff(changed, now) != "" {
		t.Errorf("now it is %+v, %v", now, err)
	}
	// A name is no event; a file name is one, because nodes show it.
	renamed, err := core.Sources.Change(t.Context(), auth.Unchecked(ann, src.ProjectID), src.ID, source.Update{Name: new(" Best "), Description: new(" ")}, source.Request{})
	if err != nil || renamed.Name != "Best" || renamed.Description != nil || renamed.FileID != changed.FileID {
		t.Errorf("renamed %+v, %v", renamed, err)
	}
	if got := dag(t, core, id).At.Version; got != version {
		t.Errorf("the version is %d, want %d", got, version)
	}
	if _, err := core.Sources.Change(t.Context(), auth.Unchecked(ann, src.ProjectID), src.ID, source.Update{Filename: new("best.tsv")}, source.Request{}); err != nil {
		t.Fatal(err)
	}
	if e := shown(); e.Filename != "best.tsv" {
		t.Errorf("after a new file name, nodes show %+v", e)
	}
	if _, err := core.Sources.Change(t.Context(), auth.Unchecked(ann, src.ProjectID), src.ID, source.Update{Filename: new("best.csv")}, source.Request{}); !fault.Is(err, fault.BadRequest) {
		t.Errorf("a file name of another format: %v", err)
	}
	// The stored file is read again: it is still good, then it is not.
	again, err := core.Sources.Reprocess(t.Context(), auth.Unchecked(ann, src.ProjectID), src.ID, source.Request{})
	if err != nil || !again.ProcessedAt.After(*changed.ProcessedAt) {
		t.Errorf("read again: %+v, %v", again, err)
	}
	if e := shown(); *e.ProcessedAt != plan.FormatTime(*again.ProcessedAt) || e.ExecutionState != "completed" {
		t.Errorf("after reading again, nodes show %+v", e)
	}
	conn := pgtest.Connect(t, core.Database)
	pgtest.Exec(t, conn, `UPDATE file_chunks SET body = overlay(body PLACING 'lobel' FROM 4 FOR 5) WHERE file_id = $1`, again.FileID)
	bad, err := core.Sources.Reprocess(t.Context(), auth.Unchecked(ann, src.ProjectID), src.ID, source.Request{})
	if !fault.Is(err, fault.BadRequest) || bad.Status != source.StatusError || !bad.ProcessedAt.Equal(*again.ProcessedAt) || bad.ErrorMessage == nil {
		t.Errorf("a file that is not good any more: %+v, %v", bad, err)
	}
	if e := shown(); e.ExecutionState != "error" || e.Status != "error" || *e.ErrorMessage != *bad.ErrorMessage {
		t.Errorf("after an error, nodes show %+v", e)
	}

	if err := core.Sources.Delete(t.Context(), auth.Unchecked(ann, src.ProjectID), src.ID, source.Request{OpID: "delete"}); err != nil {
		t.Fatal(err)
	}
	d := dag(t, core, id)
	if d.At.Version != version+1 || len(d.Nodes) != 2 || d.Nodes[1].ID != "graph" || len(d.Edges) != 0 {
		t.Errorf("after deleting: version %d, %d nodes, %d edges", d.At.Version, len(d.Nodes), len(d.Edges))
	}
	for what, err := range map[string]error{
		"get": func() error {
			_, err := core.Sources.Get(t.Context(), auth.Unchecked(ann, src.ProjectID), src.ID)
			return err
		}(),
		"delete": core.Sources.Delete(t.Context(), auth.Unchecked(ann, src.ProjectID), src.ID, source.Request{}),
		"read": func() error {
			_, err := core.Sources.Reprocess(t.Context(), auth.Unchecked(ann, src.ProjectID), src.ID, source.Request{})
			return err
		}(),
		"change": func() error {
			_, err := core.Sources.Change(t.Context(), auth.Unchecked(ann, src.ProjectID), src.ID, source.Update{Name: new("x")}, source.Request{})
			return err
		}(),
	} {
		if !fault.Is(err, fault.NotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if many, err := core.Sources.Many(t.Context(), []int32{src.ID, sources[1].ID}); err != nil || len(many) != 1 || many[sources[1].ID].Kind != ingest.Edges {
		t.Errorf("many are %+v, %v", many, err)
	}
}

// Who reads a file that was replaced and removed meanwhile is told so, wherever the reader is.
func TestAFileThatIsGone(t *testing.T) {
	t.Parallel()
	core := servertest.StartCore(t, nil)
	id := newProject(t, core)
	src := create(t, core, id, file("nodes.csv", "id,label\n"+strings.Repeat("a,Alpha\n", 100_000)))[0]
	reader := core.Sources.Open(t.Context(), src)
	if _, err := io.CopyN(io.Discard, reader, 100); err != nil {
		t.Fatal(err)
	}
	pgtest.Exec(t, pgtest.Connect(t, core.Database), `DELETE FROM files`)
	_, read := io.Copy(io.Discard, reader)
	_, whole := core.Sources.Read(t.Context(), src)
	_, page := core.Sources.Page(t.Context(), src, 50_000, 10)
	_, again := core.Sources.Reprocess(t.Context(), auth.Unchecked(ann, src.ProjectID), src.ID, source.Request{})
	written := core.Sources.WriteJSON(t.Context(), io.Discard, src)
	for what, err := range map[string]error{"read": read, "whole": whole, "page": page, "again": again, "written": written} {
		if !fault.Is(err, fault.NotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
	src.FileID++ // as of one who read the record before it was replaced
	if _, err := core.Sources.Page(t.Context(), src, 0, 10); !fault.Is(err, fault.NotFound) {
		t.Errorf("a page of the former file: %v", err)
	}
}

// A page is the rows that a reader of the whole file finds there, whatever their values and line ends are.
func TestPagesAreWhatReadReads(t *testing.T) {
	t.Parallel()
	core := servertest.StartCore(t, nil)
	id := newProject(t, core)
	rapid.Check(t, func(rt *rapid.T) {
		rows := rapid.SampledFrom([]int{1, 999, 1000, 1001, 2500, 20_000}).Draw(rt, "rows")
		end := rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(rt, "line end")
		text := new(strings.Builder)
		text.WriteString(rapid.SampledFrom([]string{"", "\ufeff"}).Draw(rt, "mark") + "id,name,x,note" + end)
		values := []string{"", "plain", `"with "" quotes"`, `"with, commas"`, `"two` + end + `lines"`, "Ünïcödé", " padded "}
		for i := range rows {
			fmt.Fprintf(text, "n%d,%s,%d.5,%s%s", i, values[i*7%len(values)], i, values[i*13%len(values)], end)
			if i%500 == 499 {
				text.WriteString(end)
			}
		}
		sources, _, err := core.Sources.Create(t.Context(), auth.Unchecked(ann, id), []source.Upload{{Filename: "nodes.csv", Kind: ingest.Nodes, Content: strings.NewReader(text.String())}}, source.Request{})
		if err != nil {
			rt.Fatal(err)
		}
		src := sources[0]
		defer func() {
			_ = core.Sources.Delete(t.Context(), auth.Unchecked(ann, src.ProjectID), src.ID, source.Request{})
		}()
		whole, err := ingest.Read(strings.NewReader(text.String()), ingest.CSV, ingest.Nodes, ingest.DefaultLimits())
		if err != nil || int(src.Rows) != rows || len(whole.Graph.Nodes) != rows {
			rt.Fatalf("%d rows of %d, want %d: %v", src.Rows, len(whole.Graph.Nodes), rows, err)
		}
		for range 5 {
			offset, limit := rapid.IntRange(0, rows+10).Draw(rt, "offset"), rapid.IntRange(0, source.MaxPage).Draw(rt, "limit")
			page, err := core.Sources.Page(t.Context(), src, offset, limit)
			if err != nil {
				rt.Fatal(err)
			}
			want := whole.Graph.Nodes[min(offset, rows):min(offset+limit, rows)]
			if len(page.Rows) != len(want) || int(page.Total) != rows {
				rt.Fatalf("%d rows from %d on, want %d", len(page.Rows), offset, len(want))
			}
			for i, row := range page.Rows {
				if string(row.Data) != string(ingest.NodeJSON(want[i])) || int(row.Number) != offset+i+1 {
					rt.Fatalf("row %d is %s, want %s", row.Number, row.Data, ingest.NodeJSON(want[i]))
				}
			}
		}
	})
	src := create(t, core, id, file("nodes.csv", nodesCSV))[0]
	layers := create(t, core, id, source.Upload{Filename: "layers.csv", Kind: ingest.Layers, Content: strings.NewReader("layer,label\na,A\n")})[0]
	for what, err := range map[string]error{
		"an offset below": func() error { _, err := core.Sources.Page(t.Context(), src, -1, 1); return err }(),
		"a limit above":   func() error { _, err := core.Sources.Page(t.Context(), src, 0, 501); return err }(),
		"layers":          func() error { _, err := core.Sources.Page(t.Context(), layers, 0, 1); return err }(),
	} {
		if !fault.Is(err, fault.BadRequest) {
			t.Errorf("%s: %v", what, err)
		}
	}
	name(t, core, id, "none", 0)
	if _, err := core.Sources.PageOfNode(t.Context(), auth.Unchecked(ann, id), "none", 0, 1); !fault.Is(err, fault.BadRequest) {
		t.Errorf("a node without a source: %v", err)
	}
	if _, err := core.Sources.PageOfNode(t.Context(), auth.Unchecked(ann, id), "nobody", 0, 1); !fault.Is(err, fault.NotFound) {
		t.Errorf("no node: %v", err)
	}
}
