package source_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"layercake/internal/auth"
	"layercake/internal/fault"
	"layercake/internal/ingest"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server/servertest"
	"layercake/internal/source"

	"github.com/google/go-cmp/cmp"
)

// edgeCases are the folders of the files that expected.json describes: copies, which are always there, and the shared ones.
var edgeCases = map[string]string{
	"copies": filepath.Join("..", "ingest", "testdata", "edge-cases"),
	"shared": filepath.Join("..", "..", "..", "shared", "data", "edge-cases"),
}

// departures are the kinds of files that package ingest deliberately reads in another way, as its tests say.
var departures = map[string]ingest.Kind{"nodes-upper-headers.csv": ingest.Nodes, "layers-named-colors.csv": ingest.Layers}

// Files without a stated kind end as the original lets them end: as sources, as sources with an error, or as nothing.
func TestEdgeCases(t *testing.T) {
	t.Parallel()
	for name, folder := range edgeCases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(filepath.Join(folder, "expected.json"))
			if os.IsNotExist(err) && name == "shared" {
				t.Skip("shared data is not here")
			}
			var expected struct {
				Cases []struct {
					File, Outcome string
					Detected      *string `json:"detected_from_content"`
					Fallback      string  `json:"fallback_type"`
				}
			}
			if err != nil || json.Unmarshal(text, &expected) != nil || len(expected.Cases) < 20 {
				t.Fatalf("%d cases, %v", len(expected.Cases), err)
			}
			core := servertest.StartCore(t, nil)
			for _, c := range expected.Cases {
				id := newProject(t, core)
				body, err := os.ReadFile(filepath.Join(folder, c.File))
				if err != nil {
					t.Fatal(err)
				}
				_, _, err = core.Sources.Create(t.Context(), auth.Unchecked(ann, id), []source.Upload{file(c.File, string(body))}, source.Request{})
				listed, listErr := core.Sources.List(t.Context(), auth.Unchecked(ann, id))
				if listErr != nil {
					t.Fatal(listErr)
				}
				outcome, kind := "rejected", ""
				if len(listed) == 1 {
					outcome, kind = listed[0].Status, string(listed[0].Kind)
				}
				want, wantKind := c.Outcome, c.Fallback
				if c.Detected != nil {
					wantKind = *c.Detected
				}
				if kind, ok := departures[c.File]; ok {
					want, wantKind = source.StatusActive, string(kind)
				}
				if outcome != want || outcome != "rejected" && kind != wantKind {
					t.Errorf("%s: %s %s, want %s %s: %v", c.File, outcome, kind, want, wantKind, err)
				}
				if (err == nil) != (want == source.StatusActive) || err != nil && !fault.Is(err, fault.BadRequest) {
					t.Errorf("%s: %v", c.File, err)
				}
				if nodes := len(dag(t, core, id).Nodes); (nodes == 1) != (want == source.StatusActive) {
					t.Errorf("%s: %d nodes", c.File, nodes)
				}
			}
		})
	}
}

// Whatever is wrong with a single file is said, and one that was parsed in vain is kept as a source with an error, once.
func TestBadFiles(t *testing.T) {
	t.Parallel()
	core := servertest.StartCore(t, nil)
	for _, c := range []struct {
		name   string
		upload source.Upload
		says   string
		kept   bool
	}{
		{"a pair that is not allowed", source.Upload{Filename: "a.csv", Kind: ingest.Graph}, "csv files cannot hold graph data", false},
		{"an unknown extension", source.Upload{Filename: "a.xlsx"}, "is not a .csv, .tsv or .json file", false},
		{"another format", source.Upload{Filename: "a.csv", Format: ingest.TSV}, "is no tsv file", false},
		{"no text", source.Upload{Filename: "nodes.csv", Content: strings.NewReader("id,label\n\xff\xfe,x\n")}, "not UTF-8", true},
		{"UTF-16", source.Upload{Filename: "nodes.csv", Content: strings.NewReader("\xff\xfei\x00d\x00")}, "UTF-16", true},
		{"NUL", source.Upload{Filename: "nodes.csv", Content: strings.NewReader("id,label\na\x00,b\n")}, "NUL", true},
		{"a missing column", source.Upload{Filename: "nodes.csv", Content: strings.NewReader("id,layer\na,b\n")}, `"label"`, true},
		{"a ragged row", source.Upload{Filename: "nodes.csv", Content: strings.NewReader("id,label\na\n")}, "1 fields", true},
		{"no JSON", source.Upload{Filename: "graph.json", Content: strings.NewReader("{nodes")}, "", true},
		{"a JSON list", source.Upload{Filename: "graph.json", Kind: ingest.Graph, Content: strings.NewReader("[1]")}, "", true},
		{"a missing list", source.Upload{Filename: "graph.json", Kind: ingest.Graph, Content: strings.NewReader(`{"nodes":[],"edges":[]}`)}, "layers", true},
		{"no list", source.Upload{Filename: "graph.json", Kind: ingest.Graph, Content: strings.NewReader(`{"nodes":[],"edges":[],"layers":{}}`)}, "layers", true},
		{"deep JSON", source.Upload{
			Filename: "graph.json", Kind: ingest.Graph,
			Content: strings.NewReader(`{"nodes":[{"id":"a","x":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + `}],"edges":[],"layers":[]}`),
		}, "", true},
		{"an empty file", source.Upload{Filename: "nodes.csv"}, "empty", true},
		{"a field of 64 MB", source.Upload{Filename: "nodes.csv", Content: strings.NewReader("id,label\na," + strings.Repeat("x", 64<<20) + "\n")}, "", true},
		{"wrong base64", source.Upload{
			Filename: "nodes.csv", Content: brokenReader{fault.New(fault.BadRequest, "Failed to decode base64 file content")},
		}, "base64", false},
		{"no name of a file", source.Upload{Filename: "tables/"}, "Filename is empty", false},
		{"a line feed in a name", source.Upload{Filename: "nodes\n.csv"}, "U+000A", false},
		{"a long name of a file", source.Upload{Filename: strings.Repeat("n", 252) + ".csv"}, "too long", false},
		{"a long name", source.Upload{Filename: "n.csv", Name: strings.Repeat("n", 201)}, "too long", false},
		{"a long description", source.Upload{Filename: "n.csv", Description: new(strings.Repeat("n", 1001))}, "too long", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.upload.Content == nil {
				c.upload.Content = strings.NewReader("")
			}
			text, _ := c.upload.Content.(*strings.Reader)
			id := newProject(t, core)
			for try := range 2 {
				if text != nil {
					_, _ = text.Seek(0, 0)
				}
				_, _, err := core.Sources.Create(t.Context(), auth.Unchecked(ann, id), []source.Upload{c.upload}, source.Request{OpID: "op"})
				f := fault.From(err)
				if f == nil || f.Code != fault.BadRequest || !strings.Contains(f.Message, c.says) {
					t.Fatalf("try %d: %v", try, err)
				}
				listed, err := core.Sources.List(t.Context(), auth.Unchecked(ann, id))
				if err != nil {
					t.Fatal(err)
				}
				if (len(listed) == 1) != c.kept || len(listed) > 1 {
					t.Fatalf("try %d: %d sources are kept", try, len(listed))
				}
				if !c.kept {
					continue
				}
				src := listed[0]
				if src.Status != source.StatusError || *src.ErrorMessage != f.Message || src.ProblemCount < 1 || len(src.Problems) < 1 ||
					src.ProcessedAt != nil || src.Size != text.Size() || f.Details["dataSourceId"] != src.ID {
					t.Errorf("kept %+v, the fault says %v", src, f.Details)
				}
				if text, err := core.Sources.JSON(t.Context(), src, 100); text != "{}" || err != nil {
					t.Errorf("graphJson is %q, %v", text, err)
				}
				if _, err := core.Sources.Page(t.Context(), src, 0, 1); !fault.Is(err, fault.BadRequest) {
					t.Errorf("a page: %v", err)
				}
			}
			if d := dag(t, core, id); len(d.Nodes) != 0 || d.At.Version != 0 {
				t.Errorf("%d nodes, version %d", len(d.Nodes), d.At.Version)
			}
		})
	}
	if _, _, err := core.Sources.Create(t.Context(), auth.Unchecked(ann, 4711), []source.Upload{file("nodes.csv", nodesCSV)}, source.Request{}); !fault.Is(err, fault.NotFound) {
		t.Errorf("an unknown project: %v", err)
	}
}

// A thousand columns are no problem, and neither is a table without rows. Ten thousand are refused.
func TestUnusualFiles(t *testing.T) {
	t.Parallel()
	core := servertest.StartCore(t, nil)
	id := newProject(t, core)
	table := func(columns int) source.Upload {
		text := new(strings.Builder)
		text.WriteString("id,label")
		for i := range columns - 2 {
			fmt.Fprintf(text, ",c%d", i)
		}
		return file("nodes.csv", text.String()+"\na,A"+strings.Repeat(",1", columns-2)+"\n")
	}
	src := create(t, core, id, table(1000))[0]
	if page, err := core.Sources.Page(t.Context(), src, 0, 1); err != nil || len(page.Columns) != 1000 || len(page.Rows) != 1 {
		t.Errorf("%d columns, %d rows, %v", len(page.Columns), len(page.Rows), err)
	}
	if _, _, err := core.Sources.Create(t.Context(), auth.Unchecked(ann, id), []source.Upload{table(10_000)}, source.Request{}); !fault.Is(err, fault.BadRequest) {
		t.Errorf("many columns: %v", err)
	}
	none := create(t, core, id, file("nodes.csv", "id,label\n"))[0]
	page, err := core.Sources.Page(t.Context(), none, 0, 10)
	if err != nil || len(page.Rows) != 0 || !slices.Equal(page.Columns, []string{"id", "label"}) {
		t.Errorf("a page of nothing: %+v, %v", page, err)
	}
}

// Of several files one that cannot be used is enough for none to be there. Every bad one is named.
func TestSeveralFilesAreAllOrNothing(t *testing.T) {
	t.Parallel()
	core := servertest.StartCore(t, nil)
	id := newProject(t, core)
	good := func() source.Upload { return file("nodes.csv", nodesCSV) }
	ragged := func() source.Upload { return file("ragged-nodes.csv", "id,label\na\nb\n") }
	for _, uploads := range [][]source.Upload{
		{ragged(), good(), file("photo.png", "x"), file("edges.json", `[{"source":"a","target":"b"}]`)},
		{good(), file("photo.png", "x"), file("edges.json", `[{"source":"a","target":"b"}]`), ragged()},
	} {
		_, _, err := core.Sources.Create(t.Context(), auth.Unchecked(ann, id), uploads, source.Request{})
		f := fault.From(err)
		if f == nil || f.Code != fault.BadRequest || !strings.HasPrefix(f.Message, "3 of 4 files cannot be used; ") {
			t.Fatalf("got %v", err)
		}
		var named []string
		for _, bad := range f.Details["files"].([]map[string]any) {
			named = append(named, bad["filename"].(string))
			if len(bad["problems"].([]string)) == 0 {
				t.Errorf("%s has no problems", bad["filename"])
			}
		}
		slices.Sort(named)
		if diff := cmp.Diff([]string{"edges.json", "photo.png", "ragged-nodes.csv"}, named); diff != "" {
			t.Error(diff)
		}
		if listed, err := core.Sources.List(t.Context(), auth.Unchecked(ann, id)); err != nil || len(listed) != 0 || dag(t, core, id).At.Version != 0 {
			t.Errorf("%d sources are there, %v", len(listed), err)
		}
	}
	conn := pgtest.Connect(t, core.Database)
	pgtest.AwaitCount(t, conn, 0, `SELECT count(*) FROM files WHERE touched_at > 'epoch'`)
}

// An upload that is larger than allowed ends where the limit is, and leaves nothing.
func TestALargeUpload(t *testing.T) {
	t.Parallel()
	core := servertest.StartCore(t, nil)
	id := newProject(t, core)
	small := source.NewService(source.Config{DB: core.DB, Plans: core.Plans, MaxUpload: 1000})
	large := "id,label\n" + strings.Repeat("a,A\n", 300)
	for _, uploads := range [][]source.Upload{
		{file("nodes.csv", large)}, {file("a-nodes.csv", nodesCSV), file("b-nodes.csv", large)}, {file("b-nodes.csv", large), file("a-nodes.csv", nodesCSV)},
	} {
		_, _, err := small.Create(t.Context(), auth.Unchecked(ann, id), uploads, source.Request{})
		if !errors.Is(err, source.ErrTooLarge) || !fault.Is(err, fault.BadRequest) {
			t.Errorf("%d files: %v", len(uploads), err)
		}
		if listed, err := small.List(t.Context(), auth.Unchecked(ann, id)); err != nil || len(listed) != 0 {
			t.Errorf("%d sources are there, %v", len(listed), err)
		}
	}
}
