package files_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"time"

	"layercake/internal/files"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server"
	"layercake/internal/server/servertest"
)

// outputs is a deployment with a project 1, whose plan a test makes.
type outputs struct {
	t   *testing.T
	url string
}

func startOutputs(t *testing.T) outputs {
	t.Helper()
	o := outputs{t, servertest.Start(t, 1, nil)[0].URL}
	o.query(`mutation { createProject(input: {name: "Tea / \"green\""}) { id } }`)
	return o
}

// received is an answer with its whole body.
type received struct {
	status int
	header http.Header
	text   string
}

// do sends a request.
func (o outputs) do(method, path, media string, body io.Reader) received {
	o.t.Helper()
	request, err := http.NewRequestWithContext(o.t.Context(), method, o.url+path, body)
	if err != nil {
		o.t.Fatal(err)
	}
	request.Close = true
	if media != "" {
		request.Header.Set("Content-Type", media)
	}
	r, err := http.DefaultClient.Do(request)
	if err != nil {
		o.t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		o.t.Fatal(err)
	}
	return received{r.StatusCode, r.Header, string(text)}
}

func (o outputs) query(document string) {
	o.t.Helper()
	body, _ := json.Marshal(map[string]string{"query": document})
	if r := o.do(http.MethodPost, "/graphql", "application/json", bytes.NewReader(body)); strings.Contains(r.text, `"errors"`) {
		o.t.Fatalf("%s: %s", document, r.text)
	}
}

func (o outputs) upload(filename, text string) {
	o.t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	to, err := w.CreateFormFile("file", filename)
	if err != nil {
		o.t.Fatal(err)
	}
	_, _ = io.WriteString(to, text)
	_ = w.Close()
	if r := o.do(http.MethodPost, "/api/projects/1/data-sources", w.FormDataContentType(), &b); r.status != http.StatusCreated {
		o.t.Fatalf("%d: %s", r.status, r.text)
	}
}

func (o outputs) add(id, kind, config string, inputs ...string) {
	o.t.Helper()
	text, _ := json.Marshal(config)
	name, _ := json.Marshal(id)
	o.query(fmt.Sprintf(`mutation { addPlanDagNode(projectId: 1, node: {
		id: %s, nodeType: %s, position: {x: 0, y: 0}, metadata: {label: %s}, config: %s}) { id } }`, name, kind, name, text))
	for _, from := range inputs {
		o.query(fmt.Sprintf(`mutation { addPlanDagEdge(projectId: 1, edge: {
			id: "%s-to-%s", source: "%s", target: %s, metadata: {dataType: GRAPH_DATA}}) { id } }`, from, strings.ReplaceAll(id, "/", ""), from, name))
	}
}

// An output holds memory that builds need, so who takes it slowly is cut off, although other downloads may take longer.
func TestSlowOutputs(t *testing.T) {
	t.Parallel()
	_, replicas := start(t, 1, func(c *server.Config) {
		c.AdminAddr = "127.0.0.1:0"
		c.Pace = files.Pace{
			BodyBytes: 1, BodyTime: pgtest.Patience, AnswerTime: pgtest.Patience, OutputBytes: 100 << 10, OutputTime: 300 * time.Millisecond,
		}
	})
	o := outputs{t, replicas[0].URL}
	o.upload("nodes.csv", "id,label\n"+numbered(16_000, strings.Repeat("x", 1000)))
	o.add("source", "DataSourceNode", `{"dataSourceId":1}`)
	conn := dial(t, o.url)
	_, err := fmt.Fprintf(conn, "GET /api/projects/1/outputs/source?format=json HTTP/1.1\r\nHost: %s\r\n\r\n", strings.TrimPrefix(o.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	begun := make([]byte, len("HTTP/1.1 200"))
	if _, err := io.ReadFull(conn, begun); err != nil || string(begun) != "HTTP/1.1 200" {
		t.Fatalf("%s, %v", begun, err)
	}
	awaitRequests(t, replicas[0], 0) // without reading more
}

// numbered returns rows with a label each.
func numbered(rows int, label string) string {
	var table strings.Builder
	for i := range rows {
		fmt.Fprintf(&table, "n%05d,%s\n", i, label)
	}
	return table.String()
}

func TestOutputs(t *testing.T) {
	t.Parallel()
	o := startOutputs(t)
	const rows = 20_000
	var table strings.Builder
	table.WriteString("id,label\n")
	for i := range rows {
		fmt.Fprintf(&table, "n%05d,Leaf %d\n", i, i)
	}
	o.upload("nodes.csv", table.String())
	o.add("source", "DataSourceNode", `{"dataSourceId":1}`)
	o.add("graph", "GraphNode", `{}`, "source")
	o.add("a/b %", "OutputNode", `{"renderTarget":"CSVNodes","outputPath":"../x/all \"of\" it.csv"}`, "graph")
	o.add("named", "OutputNode", `{"renderTarget":"DOT"}`, "graph")
	o.add("matrix", "OutputNode", `{"renderTarget":"CSVMatrix"}`, "graph")
	const path = "/api/projects/1/outputs/"

	r := o.do(http.MethodGet, path+"named?execute=false", "", nil)
	if r.status != http.StatusNotFound || !strings.Contains(r.text, "Graph not found for node graph") ||
		r.header.Get("Content-Disposition") != "" || !strings.HasPrefix(r.header.Get("Content-Type"), "application/json") {
		t.Errorf("what was never built: %d %v: %s", r.status, r.header, r.text)
	}
	r = o.do(http.MethodGet, path+"a%2Fb%20%25", "", nil)
	if r.status != http.StatusOK || strings.Count(r.text, "\n") != rows+1 || !strings.HasSuffix(r.text, "n19999,Leaf 19999,,false,,\n") {
		t.Errorf("%d: %d bytes, %.100s", r.status, len(r.text), r.text)
	}
	kind, parameters, err := mime.ParseMediaType(r.header.Get("Content-Disposition"))
	if err != nil || kind != "attachment" || parameters["filename"] != `all "of" it.csv` || r.header.Get("Content-Type") != "text/csv" ||
		r.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("headers are %v", r.header)
	}
	r = o.do(http.MethodGet, path+"named?execute=false", "", nil)
	_, parameters, err = mime.ParseMediaType(r.header.Get("Content-Disposition"))
	if err != nil || r.status != http.StatusOK || !strings.HasPrefix(r.text, "digraph") || parameters["filename"] != `Tea _ "green".dot` {
		t.Errorf("%d %v %.100s", r.status, r.header, r.text)
	}
	if r = o.do(http.MethodGet, path+"graph?format=json", "", nil); r.status != http.StatusOK || !json.Valid([]byte(r.text)) ||
		r.header.Get("Content-Type") != "application/json" {
		t.Errorf("a graph in a format: %d %v", r.status, r.header)
	}
	if r = o.do(http.MethodHead, path+"named", "", nil); r.status != http.StatusOK || r.text != "" ||
		r.header.Get("Content-Disposition") == "" {
		t.Errorf("HEAD: %d %v", r.status, r.header)
	}
	for name, c := range map[string]struct {
		path   string
		status int
		part   string
	}{
		"too large for the format": {path + "matrix", http.StatusBadRequest, "Too many nodes for a matrix"},
		"no node":                  {path + "nobody", http.StatusNotFound, "Output node not found"},
		"no project":               {"/api/projects/2/outputs/named", http.StatusNotFound, "Project not found"},
		"no id":                    {"/api/projects/x/outputs/named", http.StatusNotFound, "Project not found"},
		"no format":                {path + "graph", http.StatusBadRequest, "name a format"},
		"an unknown format":        {path + "graph?format=svg", http.StatusBadRequest, "Unsupported export format: svg"},
		"a misspelt flag":          {path + "named?execute=no", http.StatusBadRequest, "execute is true or false"},
	} {
		r := o.do(http.MethodGet, c.path, "", nil)
		if r.status != c.status || !strings.Contains(r.text, c.part) || r.header.Get("Content-Disposition") != "" ||
			!strings.HasPrefix(r.text, `{"error":{"code":`) {
			t.Errorf("%s: %d %v %s", name, r.status, r.header, r.text)
		}
	}
}
