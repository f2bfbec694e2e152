package files_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"layercake/internal/files"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server"
	"layercake/internal/server/servertest"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) {
	if servertest.IsProcess() {
		os.Exit(servertest.RunProcess())
	}
	goleak.VerifyTestMain(pgtest.Main(m))
}

// client hangs up after each answer, so that no connection outlives a test.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true, ExpectContinueTimeout: pgtest.Patience}}

// start runs replicas that have a project 1.
func start(t testing.TB, n int, configure func(*server.Config)) (string, []*servertest.Replica) {
	t.Helper()
	database := pgtest.New(t)
	replicas := servertest.StartOn(t, database, n, configure)
	newProject(t, replicas[0])
	return database, replicas
}

// newProject makes project 1 of a replica.
func newProject(t testing.TB, replica *servertest.Replica) {
	t.Helper()
	body := strings.NewReader(`{"query":"mutation { createProject(input: {name: \"Project\"}) { id } }"}`)
	answer, err := client.Post(replica.URL+"/graphql", "application/json", body)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if text, _ := io.ReadAll(answer.Body); !strings.Contains(string(text), `"id":1`) {
		t.Fatalf("%s", text)
	}
}

// part is a part of a form: a field, or a file when it has a name.
type part struct{ field, filename, text string }

// form returns a body and its content type.
func form(t testing.TB, parts ...part) (body []byte, media string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, p := range parts {
		var to io.Writer
		var err error
		if p.filename != "" {
			to, err = w.CreateFormFile(p.field, p.filename)
		} else {
			to, err = w.CreateFormField(p.field)
		}
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(to, p.text)
	}
	_ = w.Close()
	return b.Bytes(), w.FormDataContentType()
}

// answer is that to an upload.
type answer struct {
	Status      int `json:"-"`
	NodeIDs     []string
	DataSources []struct {
		ID                                            int
		Name, Filename, DataType, Status, ContentHash string
		Description                                   *string
		RowCount, FileSize                            int
	}
	Version int
	Error   *struct {
		Code, Message string
		Files         []struct{ Filename string }
		DataSourceID  int
	}
}

// upload sends a form to project 1.
func upload(t testing.TB, base, query string, parts ...part) answer {
	t.Helper()
	body, media := form(t, parts...)
	return send(t, base, query, media, bytes.NewReader(body))
}

func send(t testing.TB, base, query, media string, body io.Reader) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/api/projects/1/data-sources"+query, body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", media)
	request.Header.Set("Expect", "100-continue") // as curl says it: who is refused at once need not send the body
	r, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	a := answer{Status: r.StatusCode}
	if err := json.NewDecoder(r.Body).Decode(&a); err != nil {
		t.Fatalf("status %d: %v", r.StatusCode, err)
	}
	return a
}

// response is what came before the body of an answer.
type response struct {
	StatusCode    int
	Header        http.Header
	ContentLength int64
}

// get asks for a path, with headers.
func get(t testing.TB, method, address string, headers ...string) (response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	got, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response{got.StatusCode, got.Header, got.ContentLength}, string(text)
}

const nodesCSV = "\ufeffid,label\r\na,Alpha\r\nb,\"B, \"\"x\"\"\"\r\n"

// What one replica is sent, the other one gives back byte for byte.
func TestUploadAndDownload(t *testing.T) {
	t.Parallel()
	database, replicas := start(t, 2, nil)
	name := `täble "1"; x=y.csv`
	got := upload(t, replicas[0].URL, "?op_id=op&client_id=me", part{"name", "", " Our nodes "}, part{"description", "", "What it is"},
		part{"data_type", "", "NODES"}, part{"file", name, nodesCSV}, part{"file", "edges.csv", "id,source,target\ne,a,b\n"})
	if got.Status != http.StatusCreated || len(got.DataSources) != 2 || got.Version != 1 {
		t.Fatalf("got %+v, %+v", got, got.Error)
	}
	src := got.DataSources[0]
	sum := sha256.Sum256([]byte(nodesCSV))
	hash := hex.EncodeToString(sum[:])
	if src.Name != "Our nodes" || *src.Description != "What it is" || src.Filename != name || src.DataType != "nodes" || src.Status != "active" ||
		src.RowCount != 2 || src.FileSize != len(nodesCSV) || src.ContentHash != hash || got.DataSources[1].Name != "edges.csv" || got.DataSources[1].DataType != "edges" {
		t.Errorf("got %+v", got.DataSources)
	}
	raw := fmt.Sprintf("%s/api/data-sources/%d/download/raw", replicas[1].URL, src.ID)
	r, text := get(t, http.MethodGet, raw)
	etag := `"` + hash + `"`
	if r.StatusCode != http.StatusOK || text != nodesCSV || r.Header.Get("Etag") != etag || r.Header.Get("X-Content-Type-Options") != "nosniff" ||
		r.Header.Get("Content-Type") != "text/csv" || r.ContentLength != int64(len(nodesCSV)) {
		t.Errorf("raw: %d %q %v", r.StatusCode, text, r.Header)
	}
	if kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Disposition")); err != nil || kind != "attachment" || params["filename"] != name {
		t.Errorf("the disposition is %q", r.Header.Get("Content-Disposition"))
	}
	if r, text := get(t, http.MethodHead, raw); r.StatusCode != http.StatusOK || text != "" || r.ContentLength != int64(len(nodesCSV)) {
		t.Errorf("HEAD: %d %q", r.StatusCode, text)
	}
	if r, text := get(t, http.MethodGet, raw, "If-None-Match", etag); r.StatusCode != http.StatusNotModified || text != "" {
		t.Errorf("not modified: %d %q", r.StatusCode, text)
	}
	if r, text := get(t, http.MethodGet, raw, "Range", "bytes=3-6"); r.StatusCode != http.StatusPartialContent || text != "id,l" {
		t.Errorf("range: %d %q", r.StatusCode, text)
	}
	r, text = get(t, http.MethodGet, strings.TrimSuffix(raw, "raw")+"json")
	want := `{"nodes":[{"id":"a","is_partition":false,"label":"Alpha","weight":1},{"id":"b","is_partition":false,"label":"B, \"x\"","weight":1}],"edges":[],"layers":[]}`
	if r.StatusCode != http.StatusOK || !sameJSON(t, text, want) || r.Header.Get("Content-Type") != "application/json" ||
		!strings.Contains(r.Header.Get("Content-Disposition"), ".json") {
		t.Errorf("json: %d %s %v", r.StatusCode, text, r.Header)
	}
	for _, path := range []string{"/api/data-sources/4711/download/raw", "/api/data-sources/4711/download/json", "/api/data-sources/x/download/raw"} {
		if r, text := get(t, http.MethodGet, replicas[1].URL+path); r.StatusCode != http.StatusNotFound || !strings.Contains(text, `"code":"NOT_FOUND"`) {
			t.Errorf("%s: %d %s", path, r.StatusCode, text)
		}
	}
	again := upload(t, replicas[1].URL, "?op_id=op&client_id=me", part{"name", "", " Our nodes "}, part{"description", "", "What it is"},
		part{"data_type", "", "NODES"}, part{"file", name, nodesCSV}, part{"file", "edges.csv", "id,source,target\ne,a,b\n"})
	if again.Status != http.StatusCreated || again.DataSources[0].ID != src.ID || again.Version != 1 {
		t.Errorf("a repeat gets %+v", again)
	}
	pgtest.Exec(t, pgtest.Connect(t, database), `DELETE FROM files`)
	for _, what := range []string{"raw", "json"} {
		if r, text := get(t, http.MethodGet, strings.TrimSuffix(raw, "raw")+what); r.StatusCode != http.StatusNotFound || r.Header.Get("Content-Disposition") != "" {
			t.Errorf("%s without a file: %d %s", what, r.StatusCode, text)
		}
	}
}

func sameJSON(t testing.TB, a, b string) bool {
	t.Helper()
	var x, y any
	if json.Unmarshal([]byte(a), &x) != nil || json.Unmarshal([]byte(b), &y) != nil {
		return false
	}
	return fmt.Sprint(x) == fmt.Sprint(y)
}

// Refusals are JSON with a status that fits.
func TestRefusedUploads(t *testing.T) {
	t.Parallel()
	_, replicas := start(t, 1, func(c *server.Config) { c.MaxUpload = 1 << 20 })
	replica := replicas[0]
	large := "id,label\n" + strings.Repeat("a,Alpha\n", 150_000) // net/http reads what is left of it, so that the answer arrives
	for what, c := range map[string]struct {
		parts  []part
		status int
		says   string
	}{
		"nothing":            {nil, 400, "no file"},
		"an unknown field":   {[]part{{"kind", "", "nodes"}}, 400, "unknown field"},
		"an unknown kind":    {[]part{{"data_type", "", "photos"}}, 400, "data_type"},
		"a long field":       {[]part{{"name", "", strings.Repeat("x", 20_000)}}, 400, "too long"},
		"a wrong place":      {[]part{{"x", "", "left"}, {"file", "nodes.csv", nodesCSV}}, 400, "no number"},
		"a place far away":   {[]part{{"y", "", "Inf"}, {"file", "nodes.csv", nodesCSV}}, 400, "out of range"},
		"an unknown node":    {[]part{{"node", "", "nowhere"}, {"file", "nodes.csv", nodesCSV}}, 404, "Node not found"},
		"fields and no file": {[]part{{"name", "", "Ours"}}, 400, "no file"},
		"a late field":       {[]part{{"file", "nodes.csv", nodesCSV}, {"name", "", "Ours"}}, 400, "before it"},
		"a wrong file":       {[]part{{"file", "nodes.csv", "x\n"}}, 400, "lacks the columns"},
		"an unknown format":  {[]part{{"file", "photo.png", "x"}}, 400, "photo.png"},
		"a large file":       {[]part{{"file", "nodes.csv", large}}, 413, "1 MB"},
		"a much larger file": {[]part{{"file", "nodes.csv", large + large}}, 413, "1 MB"},
		"several":            {[]part{{"file", "nodes.csv", "x\n"}, {"file", "photo.png", "x"}, {"file", "good-nodes.csv", "id,label\n"}}, 400, "2 of 3"},
	} {
		got := upload(t, replica.URL, "", c.parts...)
		if got.Status != c.status || got.Error == nil || (got.Error.Code != "BAD_REQUEST") != (c.status == 404) || !strings.Contains(got.Error.Message, c.says) {
			t.Errorf("%s: %d %+v", what, got.Status, got.Error)
		}
		if what == "several" && (len(got.Error.Files) != 2 || got.Error.Files[0].Filename != "nodes.csv") {
			t.Errorf("%s: %+v", what, got.Error)
		}
	}
	if got := send(t, replica.URL, "", "application/json", strings.NewReader("{}")); got.Status != http.StatusUnsupportedMediaType {
		t.Errorf("JSON: %+v", got)
	}
	if got := send(t, replica.URL, "", "multipart/form-data; boundary=x", strings.NewReader("nothing")); got.Status != http.StatusBadRequest {
		t.Errorf("no form: %+v", got)
	}
	if r, text := get(t, http.MethodPost, replica.URL+"/api/projects/1/data-sources", "Origin", "https://evil.example"); r.StatusCode != http.StatusForbidden {
		t.Errorf("a foreign page: %d %s", r.StatusCode, text)
	}
	body, media := form(t, part{"file", "nodes.csv", nodesCSV})
	r, err := client.Post(replica.URL+"/api/projects/4711/data-sources", media, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusNotFound {
		t.Errorf("an unknown project: %d", r.StatusCode)
	}
}

// Somebody who drops files on a canvas says where their nodes go, or which node takes a file, in the same change.
func TestUploadToAPlace(t *testing.T) {
	t.Parallel()
	_, replicas := start(t, 2, nil)
	url, other := replicas[0].URL, replicas[1].URL
	send := func(base string) answer {
		return upload(t, base, "?op_id=op&client_id=me", part{"x", "", "-12.5"}, part{"y", "", "40"}, part{"file", "nodes.csv", nodesCSV})
	}
	placed, again := send(url), send(other)
	if placed.Status != http.StatusCreated || len(placed.NodeIDs) != 1 || again.NodeIDs[0] != placed.NodeIDs[0] || again.Version != 1 {
		t.Fatalf("got %+v, then %+v", placed, again)
	}
	graphQL(t, url, `mutation { editPlan(projectId: 1, edits: [{addNode: {id: "empty", nodeType: DataSourceNode, position: {x: 1, y: 2},
		metadata: {label: "Ours"}, config: "{\"mine\": 12345678901234567890, \"dataSourceId\": 0}"}},
		{addNode: {id: "graph", nodeType: GraphNode, position: {x: 1, y: 2}, metadata: {label: "Graph"}, config: "{}"}}]) { version } }`)
	taken := upload(t, other, "?op_id=taken", part{"node", "", "empty"}, part{"file", "edges.csv", "id,source,target\ne,a,b\n"})
	if taken.Status != http.StatusCreated || taken.Version != 3 || len(taken.NodeIDs) != 1 || taken.NodeIDs[0] != "empty" {
		t.Fatalf("got %+v, %+v", taken, taken.Error)
	}
	repeat := upload(t, url, "?op_id=taken", part{"node", "", "empty"}, part{"file", "edges.csv", "id,source,target\ne,a,b\n"})
	if repeat.Version != 3 || repeat.DataSources[0].ID != taken.DataSources[0].ID {
		t.Errorf("a repeat gets %+v", repeat)
	}
	for node, status := range map[string]int{"empty": http.StatusConflict, "graph": http.StatusBadRequest} {
		if got := upload(t, url, "", part{"node", "", node}, part{"file", "nodes.csv", nodesCSV}); got.Status != status {
			t.Errorf("%s: %d %+v", node, got.Status, got.Error)
		}
	}
	text := graphQL(t, url, `{ getPlanDag(projectId: 1) { nodes { id position { x y } config datasourceExecution { dataSourceId filename } } } }`)
	for _, want := range []string{
		`"position":{"x":-12.5,"y":40}`, `\"mine\":12345678901234567890`,
		fmt.Sprintf(`"datasourceExecution":{"dataSourceId":%d,"filename":"edges.csv"}`, taken.DataSources[0].ID),
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s lacks %s", text, want)
		}
	}
	if strings.Count(text, `"id":`) != 3 {
		t.Errorf("other nodes than expected: %s", text)
	}
}

// A file that cannot be used is not kept for who does not want it.
func TestBadFilesAreNotKeptUnlessWanted(t *testing.T) {
	t.Parallel()
	_, replicas := start(t, 1, nil)
	url := replicas[0].URL
	for keep, status := range map[string]int{"false": http.StatusBadRequest, "perhaps": http.StatusBadRequest} {
		got := upload(t, url, "?keep_bad="+keep, part{"file", "nodes.csv", "x\n"})
		if got.Status != status || got.Error.DataSourceID != 0 {
			t.Errorf("%s: %+v %+v", keep, got, got.Error)
		}
	}
	if text := graphQL(t, url, `{ dataSources(projectId: 1) { id } }`); !strings.Contains(text, `"dataSources":[]`) {
		t.Errorf("kept: %s", text)
	}
	if got := upload(t, url, "?keep_bad=true", part{"file", "nodes.csv", "x\n"}); got.Error == nil || got.Error.DataSourceID == 0 {
		t.Errorf("not kept: %+v", got)
	}
}

// The file of a source is replaced by a stream, too. What cannot be used changes nothing.
func TestReplace(t *testing.T) {
	t.Parallel()
	_, replicas := start(t, 2, func(c *server.Config) { c.MaxUpload = 1 << 20 })
	url, other := replicas[0].URL, replicas[1].URL
	src := upload(t, url, "", part{"name", "", "Ours"}, part{"file", "nodes.csv", nodesCSV}).DataSources[0]
	replace := func(base, path string, parts ...part) (int, string) {
		body, media := form(t, parts...)
		r, err := client.Post(base+path, media, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		text, _ := io.ReadAll(r.Body)
		return r.StatusCode, string(text)
	}
	path := fmt.Sprintf("/api/data-sources/%d/file", src.ID)
	for range 2 { // the second is a repeat
		status, text := replace(other, path+"?op_id=op&client_id=me", part{"file", "more.tsv", "id\tlabel\na\tAlpha\nb\tBeta\nc\tGamma\n"})
		if status != http.StatusOK || !strings.Contains(text, `"rowCount":3`) || !strings.Contains(text, `"name":"Ours"`) {
			t.Fatalf("%d %s", status, text)
		}
	}
	large := "id,label\n" + strings.Repeat("a,Alpha\n", 150_000)
	for what, c := range map[string]struct {
		path   string
		parts  []part
		status int
		says   string
	}{
		"a wrong file":         {path, []part{{"file", "nodes.csv", "x\n"}}, 400, "lacks the columns"},
		"another kind of file": {path, []part{{"file", "graph.json", `{"nodes":[],"edges":[],"layers":[]}`}}, 400, "json"},
		"a field":              {path, []part{{"name", "", "Theirs"}, {"file", "nodes.csv", nodesCSV}}, 400, "one part"},
		"nothing":              {path, nil, 400, "one part"},
		"a large file":         {path, []part{{"file", "nodes.csv", large}}, 413, "1 MB"},
		"an unknown source":    {"/api/data-sources/4711/file", []part{{"file", "nodes.csv", nodesCSV}}, 404, "not found"},
		"no source":            {"/api/data-sources/x/file", []part{{"file", "nodes.csv", nodesCSV}}, 404, "not found"},
	} {
		if status, text := replace(url, c.path, c.parts...); status != c.status || !strings.Contains(text, c.says) {
			t.Errorf("%s: %d %s", what, status, text)
		}
	}
	if _, text := get(t, http.MethodGet, url+fmt.Sprintf("/api/data-sources/%d/download/raw", src.ID)); !strings.Contains(text, "Gamma") {
		t.Errorf("the file is %q", text)
	}
}

// graphQL asks a replica something, and returns the answer.
func graphQL(t testing.TB, base, query string) string {
	t.Helper()
	body, err := json.Marshal(map[string]string{"query": query})
	if err != nil {
		t.Fatal(err)
	}
	r, err := client.Post(base+"/graphql", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil || strings.Contains(string(text), `"errors"`) {
		t.Fatalf("%s %v", text, err)
	}
	return string(text)
}

// Browsers have their own way to write quotes and line ends in names of files.
func TestNamesAsBrowsersWriteThem(t *testing.T) {
	t.Parallel()
	_, replicas := start(t, 1, nil)
	for written, c := range map[string]struct {
		status int
		name   string
	}{
		"5%22 disks.csv":    {http.StatusCreated, `5" disks.csv`},
		"100% of 100%.csv":  {http.StatusCreated, "100% of 100%.csv"},
		"%2522 and %20.csv": {http.StatusCreated, "%2522 and %20.csv"},
		"two%0D%0Aline.csv": {http.StatusBadRequest, ""},
	} {
		body := "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"" + written + "\"\r\n\r\n" + nodesCSV + "\r\n--x--\r\n"
		got := send(t, replicas[0].URL, "", "multipart/form-data; boundary=x", strings.NewReader(body))
		if got.Status != c.status || got.Status == http.StatusCreated && got.DataSources[0].Filename != c.name {
			t.Errorf("%s: %d %+v %+v", written, got.Status, got.DataSources, got.Error)
		}
	}
}

// No name of a file ends a header, or looks like another parameter of it.
func TestNamesOfFilesDoNotBreakHeaders(t *testing.T) {
	t.Parallel()
	database, replicas := start(t, 1, nil)
	replica := replicas[0]
	conn := pgtest.Connect(t, database)
	id := upload(t, replica.URL, "", part{"file", "nodes.csv", nodesCSV}).DataSources[0].ID
	raw := fmt.Sprintf("%s/api/data-sources/%d/download/raw", replica.URL, id)
	check := func(t testing.TB, name string) {
		t.Helper()
		pgtest.Exec(t, conn, `UPDATE data_sources SET filename = $1`, name)
		r, _ := get(t, http.MethodGet, raw)
		kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Disposition"))
		if err != nil || kind != "attachment" || len(params) != 1 || params["filename"] != name || r.Header.Get("X-Injected") != "" {
			t.Errorf("%q: %q", name, r.Header)
		}
	}
	for _, name := range []string{"a\r\nX-Injected: 1.csv", `a"; filename=b.exe; x=".csv`, "..\\..\\a.csv", "../a.csv", "日本.csv", "a\x7f\x1b.csv", "%2e%0d%0a.csv", "'a'.csv", " .csv"} {
		check(t, name)
	}
	rapid.Check(t, func(rt *rapid.T) {
		name := strings.ReplaceAll(rapid.StringN(1, 60, 200).Draw(rt, "name"), "\x00", "")
		if name == "" || strings.ToValidUTF8(name, "") != name {
			return
		}
		check(t, name)
		if t.Failed() {
			rt.FailNow()
		}
	})
}

// slow is a pace that tests wait for.
var slow = files.Pace{BodyBytes: 100 << 10, BodyTime: 300 * time.Millisecond, AnswerTime: 300 * time.Millisecond}

// dial returns a connection on which a test sends bytes as it likes.
func dial(t testing.TB, base string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(pgtest.Patience))
	return conn
}

// begin sends the beginning of an upload that says that it is a megabyte long.
func begin(t testing.TB, base, text string) net.Conn {
	t.Helper()
	conn := dial(t, base)
	_, err := fmt.Fprintf(conn, "POST /api/projects/1/data-sources HTTP/1.1\r\nHost: %s\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: 1000000\r\n\r\n"+
		"--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"nodes.csv\"\r\n\r\n%s", strings.TrimPrefix(base, "http://"), text)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// Who sends too slowly is cut off with a reason, who hangs up leaves nothing, and nobody holds a place for longer.
func TestSlowAndBrokenUploads(t *testing.T) {
	t.Parallel()
	database, replicas := start(t, 1, func(c *server.Config) { c.Pace = slow })
	replica := replicas[0]
	conn := pgtest.Connect(t, database)
	text := "id,label\n" + strings.Repeat("a,Alpha\n", 40_000)

	stalled := begin(t, replica.URL, text)
	got, err := io.ReadAll(stalled)
	if err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 408 ") || !strings.Contains(string(got), "too slowly") {
		t.Errorf("a client that stands still gets %q, %v", got, err)
	}
	broken := begin(t, replica.URL, text)
	pgtest.AwaitCount(t, conn, 1, `SELECT count(*) FROM files WHERE size > 0 AND touched_at > 'epoch'`)
	_ = broken.Close()
	pgtest.AwaitCount(t, conn, 2, `SELECT count(*) FROM files WHERE touched_at = 'epoch'`)
	if n := pgtest.Count(t, conn, `SELECT count(*) FROM data_sources`); n != 0 {
		t.Errorf("%d data sources are there", n)
	}
}

// A replica that is killed in the middle of an upload leaves chunks that nobody sees. The client sends them again, to another one.
func TestAReplicaDiesInAnUpload(t *testing.T) {
	t.Parallel()
	database, replicas := start(t, 1, func(c *server.Config) { c.Lease = servertest.LongLease })
	conn := pgtest.Connect(t, database)
	process := servertest.StartProcess(t, database)
	text := "id,label\n" + strings.Repeat("a,Alpha\n", 40_000)
	interrupted := begin(t, process.URL, text)
	pgtest.AwaitCount(t, conn, 1, `SELECT count(*) FROM file_chunks`)
	process.Kill()
	if _, err := io.ReadAll(interrupted); err == nil {
		t.Log("the connection ended as if nothing was wrong, without an answer")
	}
	if n := pgtest.Count(t, conn, `SELECT count(*) FROM data_sources`); n != 0 {
		t.Errorf("%d data sources are there", n)
	}
	got := upload(t, replicas[0].URL, "?op_id=op", part{"file", "nodes.csv", text})
	if got.Status != http.StatusCreated || got.Version != 1 {
		t.Errorf("on another replica: %+v %+v", got, got.Error)
	}
}

// A disk that fills up in the middle of an upload: who sends is told why, and to wait, and nothing of it is left.
func TestDiskFillsUpInAnUpload(t *testing.T) {
	t.Parallel()
	database, replicas := start(t, 1, func(c *server.Config) { c.CleanUp = 20 * time.Millisecond })
	conn := pgtest.Connect(t, database)
	pgtest.Exec(t, conn, `CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN RAISE 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$`)
	pgtest.Exec(t, conn, "CREATE TRIGGER full_disk BEFORE INSERT ON file_chunks FOR EACH ROW WHEN (NEW.ordinal = 1) EXECUTE FUNCTION full_disk()")
	text := "id,label\n" + strings.Repeat("a,Alpha\n", 100_000)
	got := upload(t, replicas[0].URL, "?op_id=op", part{"file", "nodes.csv", text})
	if got.Status != http.StatusServiceUnavailable || got.Error.Code != "UNAVAILABLE" || !strings.Contains(got.Error.Message, "disk") {
		t.Errorf("%d %+v", got.Status, got.Error)
	}
	pgtest.AwaitCount(t, conn, 0, "SELECT (SELECT count(*) FROM files) + (SELECT count(*) FROM file_chunks) + (SELECT count(*) FROM data_sources)")
	pgtest.Exec(t, conn, "DROP TRIGGER full_disk ON file_chunks")
	if got := upload(t, replicas[0].URL, "?op_id=op", part{"file", "nodes.csv", text}); got.Status != http.StatusCreated || got.Version != 1 {
		t.Errorf("sent again: %d %+v", got.Status, got.Error)
	}
}

// Four uploads come at once; the next is told to wait, and one that ends makes room.
func TestUploadsAtOnce(t *testing.T) {
	t.Parallel()
	database, replicas := start(t, 1, nil)
	replica := replicas[0]
	conn := pgtest.Connect(t, database)
	var open []net.Conn
	for n := range 4 {
		open = append(open, begin(t, replica.URL, "id,label\n"+strings.Repeat("a,Alpha\n", 40_000)))
		pgtest.AwaitCount(t, conn, n+1, `SELECT count(*) FROM files`)
	}
	if got := upload(t, replica.URL, "", part{"file", "nodes.csv", nodesCSV}); got.Status != http.StatusTooManyRequests || got.Error.Code != "RATE_LIMITED" {
		t.Errorf("a fifth gets %d %+v", got.Status, got.Error)
	}
	_ = open[0].Close()
	pgtest.AwaitCount(t, conn, 1, `SELECT count(*) FROM files WHERE touched_at = 'epoch'`)
	for {
		got := upload(t, replica.URL, "", part{"file", "nodes.csv", nodesCSV})
		if got.Status == http.StatusCreated {
			break
		}
		if got.Status != http.StatusTooManyRequests {
			t.Fatalf("afterwards: %d %+v", got.Status, got.Error)
		}
	}
}

// A client that takes a byte a second is cut off, whatever it downloads.
func TestSlowDownloads(t *testing.T) {
	t.Parallel()
	_, replicas := start(t, 1, func(c *server.Config) { c.Pace, c.AdminAddr = slow, "127.0.0.1:0"; c.Pace.BodyTime = pgtest.Patience })
	replica := replicas[0]
	id := upload(t, replica.URL, "", part{"file", "nodes.csv", "id,label\n" + strings.Repeat("a,"+strings.Repeat("x", 1000)+"\n", 16_000)}).DataSources[0].ID
	for _, what := range []string{"raw", "json"} {
		conn := dial(t, replica.URL)
		_, err := fmt.Fprintf(conn, "GET /api/data-sources/%d/download/%s HTTP/1.1\r\nHost: %s\r\n\r\n", id, what, strings.TrimPrefix(replica.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(io.Discard, conn, 1); err != nil {
			t.Fatal(err)
		}
		awaitRequests(t, replica, 0) // without reading more
	}
}

// awaitRequests waits until a replica holds so many requests.
func awaitRequests(t testing.TB, replica *servertest.Replica, want int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), pgtest.Patience)
	defer cancel()
	for ctx.Err() == nil {
		_, text := get(t, http.MethodGet, replica.Admin+"/metrics")
		if strings.Contains(text, fmt.Sprintf("\nlayercake_request_in_flight %d\n", want)) {
			return
		}
	}
	t.Fatal("waited in vain")
}
