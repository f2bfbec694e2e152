package source_test

import (
	"bytes"
	"encoding/json"
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
	"layercake/internal/project"
	"layercake/internal/server/servertest"
	"layercake/internal/source"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Main(m)) }

var ann = auth.Actor{ID: "ann", Kind: "user", Name: "Ann"}

// newProject makes a project, and returns its id.
func newProject(t testing.TB, core *servertest.Core) int32 {
	t.Helper()
	p, err := core.Projects.Create(t.Context(), auth.UncheckedReach(ann), project.Input{Name: "Project"})
	if err != nil {
		t.Fatal(err)
	}
	return p.ID
}

// file is an upload of a text.
func file(filename, text string) source.Upload {
	return source.Upload{Filename: filename, Content: strings.NewReader(text)}
}

// create uploads files, and returns their sources.
func create(t testing.TB, core *servertest.Core, project int32, uploads ...source.Upload) []source.Source {
	t.Helper()
	sources, _, err := core.Sources.Create(t.Context(), auth.Unchecked(ann, project), uploads, source.Request{})
	if err != nil {
		t.Fatal(err)
	}
	return sources
}

// dag reads the plan of a project.
func dag(t testing.TB, core *servertest.Core, project int32) plan.DAG {
	t.Helper()
	d, err := core.Plans.DAG(t.Context(), auth.Unchecked(ann, project))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

const nodesCSV = "id,label,size\na,Alpha,1\nb,Beta,\nc,Gamma,3\n"

// What is uploaded on one replica is there on the other, as a source with a node that shows it.
func TestUploadOnOneReplicaAndPageOnTheOther(t *testing.T) {
	t.Parallel()
	one := servertest.StartCore(t, nil)
	two := servertest.StartCoreOn(t, one.Database, nil)
	id := newProject(t, one)
	description := " tables of ours "
	upload := file(`C:\tables\nodes.csv`, nodesCSV)
	upload.Name, upload.Description, upload.Kind = " Our nodes ", &description, ingest.Nodes
	sources, result, err := one.Sources.Create(t.Context(), auth.Unchecked(ann, id), []source.Upload{upload, file("edges.csv", "id,source,target\ne,a,b\n")}, source.Request{})
	if err != nil {
		t.Fatal(err)
	}
	if len(sources) != 2 || result.At.Version != 1 || len(result.Nodes) != 2 {
		t.Fatalf("%d sources, version %d, %d nodes", len(sources), result.At.Version, len(result.Nodes))
	}
	listed, err := two.Sources.List(t.Context(), auth.Unchecked(ann, id))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sources, listed); diff != "" {
		t.Errorf("created and listed differ (-created +listed):\n%s", diff)
	}
	src := listed[0]
	if src.Name != "Our nodes" || *src.Description != "tables of ours" || src.Filename != "nodes.csv" || src.Format != ingest.CSV ||
		src.Kind != ingest.Nodes || src.Status != source.StatusActive || src.Rows != 3 || src.Size != int64(len(nodesCSV)) || src.ProcessedAt == nil {
		t.Errorf("listed %+v", src)
	}
	nodes := dag(t, two, id).Nodes
	if want := fmt.Sprintf("_%08x", src.ID); len(nodes) != 2 || !strings.HasPrefix(nodes[0].ID, "datasourcenode_") || !strings.HasSuffix(nodes[0].ID, want) {
		t.Errorf("the nodes are %+v", nodes)
	}
	n := nodes[0]
	if n.Position != (plan.Position{X: 100, Y: 100}) || nodes[1].Position != (plan.Position{X: 100, Y: 220}) || n.Metadata.Label != "Our nodes" ||
		n.Config != fmt.Sprintf(`{"dataSourceId":%d,"filename":"nodes.csv","dataType":"nodes"}`, src.ID) {
		t.Errorf("the first node is %+v", n)
	}
	if e := n.DatasourceExecution; e == nil || e.DataSourceID != src.ID || e.ExecutionState != "completed" || e.Filename != "nodes.csv" || *e.ProcessedAt != plan.FormatTime(*src.ProcessedAt) {
		t.Errorf("the first node shows %+v", e)
	}
	page, err := two.Sources.PageOfNode(t.Context(), auth.Unchecked(ann, id), n.ID, 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	if len(page.Rows) != 1 || page.Rows[0].Number != 2 || page.Total != 3 || !strings.Contains(string(page.Rows[0].Data), `"id":"b"`) {
		t.Errorf("the page has %+v", page)
	}
	raw, err := io.ReadAll(two.Sources.Open(t.Context(), src))
	if err != nil || string(raw) != nodesCSV {
		t.Errorf("the file is %q, %v", raw, err)
	}
	g, err := two.Sources.Read(t.Context(), src)
	if err != nil || len(g.Nodes) != 3 {
		t.Errorf("read %+v, %v", g, err)
	}
	text, err := two.Sources.JSON(t.Context(), src, 1000)
	var parsed map[string][]map[string]any
	if err != nil || json.Unmarshal([]byte(text), &parsed) != nil || len(parsed["nodes"]) != 3 || parsed["edges"] == nil || parsed["layers"] == nil {
		t.Errorf("graphJson is %s, %v", text, err)
	}
	text, err = two.Sources.JSON(t.Context(), src, 50)
	if want := fmt.Sprintf(`{"nodes":[],"edges":[],"layers":[],"truncated":true,"download":"/api/data-sources/%d/download/json"}`, src.ID); err != nil || text != want {
		t.Errorf("graphJson is %s, %v", text, err)
	}
}

// The same request again answers what was created, and creates nothing.
func TestRepeatsAreSafe(t *testing.T) {
	t.Parallel()
	core := servertest.StartCore(t, nil)
	id := newProject(t, core)
	request := source.Request{OpID: "upload"}
	var first []source.Source
	for try := range 2 {
		sources, result, err := core.Sources.Create(t.Context(), auth.Unchecked(ann, id), []source.Upload{file("nodes.csv", nodesCSV)}, request)
		if err != nil || result.At.Version != 1 {
			t.Fatalf("version %d, %v", result.At.Version, err)
		}
		if try == 0 {
			first = sources
		} else if diff := cmp.Diff(first, sources); diff != "" {
			t.Errorf("the repeat differs (-first +second):\n%s", diff)
		}
	}
	_, _, err := core.Sources.Create(t.Context(), auth.Unchecked(ann, id), []source.Upload{file("nodes.csv", nodesCSV+"d,Delta,\n")}, request)
	if !fault.Is(err, fault.BadRequest) {
		t.Errorf("another file under the same operation id: %v", err)
	}
	if n := len(dag(t, core, id).Nodes); n != 1 {
		t.Errorf("%d nodes, want 1", n)
	}
}

// A change that makes no event is not done twice under one operation id either, and a deletion that is repeated succeeds.
func TestRepeatsThatNoEventTellsOf(t *testing.T) {
	t.Parallel()
	core := servertest.StartCore(t, nil)
	id := newProject(t, core)
	src := create(t, core, id, file("nodes.csv", nodesCSV), file("more.csv", nodesCSV))
	shown, unshown := src[0], src[1]
	nodes := dag(t, core, id).Nodes
	if _, err := core.Plans.Change(t.Context(), auth.Unchecked(ann, id), plan.Change{Edits: []plan.Edit{plan.DeleteNode{ID: nodes[1].ID}}}); err != nil {
		t.Fatal(err)
	}
	rename := func(name string) (source.Source, error) {
		return core.Sources.Change(t.Context(), auth.Unchecked(ann, id), unshown.ID, source.Update{Name: &name}, source.Request{OpID: "rename"})
	}
	for range 2 {
		if got, err := rename("First"); err != nil || got.Name != "First" {
			t.Fatalf("renamed %q, %v", got.Name, err)
		}
	}
	if _, err := rename("Second"); !fault.Is(err, fault.BadRequest) {
		t.Errorf("another name under the same operation id: %v", err)
	}
	if _, err := core.Sources.Change(t.Context(), auth.Unchecked(ann, id), unshown.ID, source.Update{Name: new("Third")}, source.Request{OpID: "other"}); err != nil {
		t.Fatal(err)
	}
	if got, err := rename("First"); err != nil || got.Name != "Third" {
		t.Errorf("a repeat after another change gets %q, %v", got.Name, err)
	}
	for _, src := range []source.Source{shown, unshown} {
		request := source.Request{OpID: fmt.Sprint("delete-", src.ID)}
		for range 2 {
			if err := core.Sources.Delete(t.Context(), auth.Unchecked(ann, id), src.ID, request); err != nil {
				t.Errorf("delete %s: %v", src.Filename, err)
			}
		}
		if err := core.Sources.Delete(t.Context(), auth.Unchecked(ann, id), src.ID, source.Request{OpID: "rename"}); !fault.Is(err, fault.NotFound) {
			t.Errorf("deleted under the operation id of another change: %v", err)
		}
		if err := core.Sources.Delete(t.Context(), auth.Unchecked(ann, id), src.ID+1000, request); !fault.Is(err, fault.NotFound) {
			t.Errorf("another source under the operation id of a deletion: %v", err)
		}
	}
	if err := core.Projects.Delete(t.Context(), auth.Unchecked(ann, id)); err != nil {
		t.Fatal(err)
	}
	if err := core.Sources.Delete(t.Context(), auth.Unchecked(ann, id), shown.ID, source.Request{OpID: fmt.Sprint("delete-", shown.ID)}); err != nil {
		t.Errorf("a repeat after the project went: %v", err)
	}
}

// A stream that ends early leaves nothing that anybody sees.
func TestAnUploadThatEndsEarly(t *testing.T) {
	t.Parallel()
	core := servertest.StartCore(t, nil)
	id := newProject(t, core)
	conn := pgtest.Connect(t, core.Database)
	large := "id,label\n" + strings.Repeat("a,Alpha\n", 100_000) + "b,B"
	broken := errors.New("connection lost")
	for _, why := range []error{broken, io.ErrUnexpectedEOF} {
		for _, name := range []string{"nodes.csv", "graph.json"} {
			text := large
			if name == "graph.json" {
				text = `{"nodes":[` + strings.Repeat(`{"id":"a"},`, 100_000)
			}
			u := source.Upload{Filename: name, Content: io.MultiReader(strings.NewReader(text), brokenReader{why})}
			if _, _, err := core.Sources.Create(t.Context(), auth.Unchecked(ann, id), []source.Upload{u}, source.Request{}); !errors.Is(err, why) {
				t.Errorf("%s: %v, want %v", name, err, why)
			}
		}
	}
	if n := pgtest.Count(t, conn, `SELECT count(*) FROM data_sources`); n != 0 || dag(t, core, id).At.Version != 0 {
		t.Errorf("%d sources, version %d", n, dag(t, core, id).At.Version)
	}
	pgtest.AwaitCount(t, conn, 4, `SELECT count(*) FROM files WHERE touched_at = 'epoch' AND size > 0`)
}

type brokenReader struct{ err error }

func (r brokenReader) Read([]byte) (int, error) { return 0, r.err }

// A file has whole chunks but for the last, whatever pieces it comes in, and is read back byte for byte from anywhere.
func TestFilesAreKeptByteForByte(t *testing.T) {
	t.Parallel()
	core := servertest.StartCore(t, nil)
	id := newProject(t, core)
	conn := pgtest.Connect(t, core.Database)
	const chunk = 256 << 10
	for _, size := range []int{20, chunk - 1, chunk, chunk + 1, 2*chunk + 17} {
		text := []byte("id,label\r\n" + strings.Repeat("a,Alpha\r\n", size/9+1))[:size]
		for i := size - 3; i < size; i++ {
			text[i] = '\n'
		}
		copy(text[size-8:], "\nb,Beta\n"[:5])
		u := source.Upload{Filename: "nodes.csv", Kind: ingest.Nodes, Content: bytes.NewReader(text)}
		sources, _, err := core.Sources.Create(t.Context(), auth.Unchecked(ann, id), []source.Upload{u}, source.Request{})
		if err != nil {
			sources, err = core.Sources.List(t.Context(), auth.Unchecked(ann, id)) // what the cut made of the last row is no matter here
			if err != nil {
				t.Fatal(err)
			}
		}
		src := sources[len(sources)-1]
		if src.Size != int64(size) {
			t.Fatalf("size is %d, want %d", src.Size, size)
		}
		sizes := `SELECT string_agg(octet_length(body)::text, ' ' ORDER BY ordinal) FROM file_chunks WHERE file_id = $1`
		want := strings.TrimSpace(strings.Repeat(fmt.Sprint(chunk, " "), size/chunk) + map[bool]string{true: fmt.Sprint(size % chunk)}[size%chunk > 0])
		if got := pgtest.Texts(t, conn, sizes, src.FileID); got[0] != want {
			t.Errorf("the chunks of %d bytes have %q, want %q", size, got, want)
		}
		if got := pgtest.Count(t, conn, `SELECT size FROM files WHERE id = $1`, src.FileID); got != size {
			t.Errorf("the file says %d bytes, has %d", got, size)
		}
		if got := pgtest.Texts(t, conn, `SELECT encode(sha256(string_agg(body, '' ORDER BY ordinal)), 'hex') FROM file_chunks WHERE file_id = $1`, src.FileID); got[0] != src.SHA256 {
			t.Errorf("the hash is %s, want %s", src.SHA256, got)
		}
		for _, from := range []int{0, 1, size / 2, size - 1, size} {
			f := core.Sources.Open(t.Context(), src)
			if _, err := f.Seek(int64(from), io.SeekStart); err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, text[from:]) {
				t.Errorf("%d bytes from %d on, want %d: %v", len(got), from, size-from, err)
			}
			_ = f.Close()
		}
	}
}
