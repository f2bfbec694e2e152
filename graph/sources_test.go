package graph_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"layercake/internal/budget"
)

// upload uploads a table of nodes.
func (s *site) upload(t *testing.T, project int, name, table string) source {
	t.Helper()
	var made source
	s.call(t, "CreateDataSourceFromFile", vars{"input": vars{
		"projectId": project, "name": name, "filename": name + ".csv", "fileFormat": "CSV", "dataType": "NODES", "fileContent": b64(table),
	}}, &made)
	return made
}

func TestDataSources(t *testing.T) {
	t.Parallel()
	s := online(t)
	p := s.newProject(t)
	table := "id,label,owner\na,Anna,me\nb,Ben,\n"
	made := s.upload(t, p, "people", table)

	var data struct {
		DataSource struct {
			FileSizeFormatted, ContentHash, GraphJSON string
			IsReady, HasError                         bool
			RowCount, ProblemCount                    int
			Problems                                  []any
			Project                                   struct{ ID int }
		}
		Raw, JSON string
		Available []struct{ ID, DataType any }
	}
	s.must(t, &data, fmt.Sprintf(`{ dataSource(id: %d) { fileSizeFormatted isReady hasError rowCount problemCount problems { row column reason warning }
		contentHash graphJson project { id } } raw: downloadDataSourceRaw(id: %[1]d) json: downloadDataSourceJson(id: %[1]d)
		available: availableDataSources(projectId: %d) { id dataType } }`, made.ID, p), nil)
	got := data.DataSource
	if got.FileSizeFormatted != fmt.Sprintf("%d B", len(table)) || !got.IsReady || got.HasError || got.RowCount != 2 || got.Problems == nil ||
		len(got.ContentHash) != 64 || got.Project.ID != p {
		t.Errorf("%+v", got)
	}
	if data.Raw != fmt.Sprintf("/api/data-sources/%d/download/raw", made.ID) || data.JSON != fmt.Sprintf("/api/data-sources/%d/download/json", made.ID) ||
		len(data.Available) != 1 || data.Available[0].DataType != "nodes" {
		t.Errorf("%+v", data)
	}
	var content map[string][]map[string]any
	if err := json.Unmarshal([]byte(got.GraphJSON), &content); err != nil || len(content["nodes"]) != 2 || content["nodes"][0]["owner"] != "me" ||
		content["edges"] == nil || content["layers"] == nil {
		t.Errorf("%v: %s", err, got.GraphJSON)
	}

	var rows struct {
		FileType, ExecutionState, FilePath string
		TotalRows                          int
		Columns                            []struct {
			Name, DataType string
			Nullable       bool
		}
		Rows []struct {
			RowNumber int
			Data      map[string]any
		}
	}
	node := s.dag(t, p).Nodes[0]["id"]
	s.call(t, "GetDataSourcePreview", vars{"projectId": p, "nodeId": node, "limit": 1, "offset": 1}, &rows)
	if rows.FileType != "nodes" || rows.ExecutionState != "completed" || rows.TotalRows != 2 || len(rows.Rows) != 1 || rows.Rows[0].RowNumber != 2 ||
		rows.Rows[0].Data["id"] != "b" || len(rows.Columns) == 0 || rows.Columns[0].DataType != "string" || !rows.Columns[0].Nullable ||
		rows.FilePath != "people.csv" {
		t.Errorf("%+v", rows)
	}

	var changed source
	s.call(t, "UpdateDataSource", vars{"id": made.ID, "input": vars{"name": "Friends"}}, &changed)
	s.call(t, "ReprocessDataSource", vars{"id": made.ID}, &changed)
	var all []source
	s.call(t, "GetDataSources", vars{"projectId": p}, &all)
	if len(all) != 1 || all[0].Name != "Friends" || all[0].Status != "active" {
		t.Errorf("%+v", all)
	}
	var gone bool
	s.call(t, "DeleteDataSource", vars{"id": made.ID}, &gone)
	var none *source
	s.call(t, "GetDataSource", vars{"id": made.ID}, &none)
	if !gone || none != nil || len(s.dag(t, p).Nodes) != 0 {
		t.Errorf("%v, %v", gone, none)
	}
}

// What is refused keeps the messages that the existing client shows.
func TestDataSourcesThatAreRefused(t *testing.T) {
	t.Parallel()
	s := online(t)
	p := s.newProject(t)
	input := func(changes vars) vars {
		in := vars{
			"projectId": p, "name": "x", "filename": "x.csv", "fileFormat": "CSV", "dataType": "NODES", "fileContent": b64("id,label\na,A\n"),
		}
		for key, value := range changes {
			in[key] = value
		}
		return vars{"input": in}
	}
	for name, c := range map[string]struct {
		document       string
		variables      vars
		code, contains string
	}{
		"no project":          {"CreateDataSourceFromFile", input(vars{"projectId": 99}), "NOT_FOUND", "Failed to create DataSource: Project not found"},
		"no base64":           {"CreateDataSourceFromFile", input(vars{"fileContent": "a!b="}), "BAD_REQUEST", "Failed to decode base64 file content: illegal base64"},
		"half a base64":       {"CreateDataSourceFromFile", input(vars{"fileContent": "YQ"}), "BAD_REQUEST", "Failed to decode base64 file content: "},
		"a table as a graph":  {"CreateDataSourceFromFile", input(vars{"dataType": "GRAPH"}), "BAD_REQUEST", "Failed to create DataSource: "},
		"another extension":   {"CreateDataSourceFromFile", input(vars{"filename": "x.txt"}), "BAD_REQUEST", "Failed to create DataSource: "},
		"no columns":          {"CreateDataSourceFromFile", input(vars{"fileContent": b64("a,b\n1,2\n")}), "BAD_REQUEST", "Failed to create DataSource: "},
		"update nothing":      {"UpdateDataSource", vars{"id": 99, "input": vars{"name": "x"}}, "NOT_FOUND", "Failed to update DataSource: DataSource not found"},
		"update no file":      {"UpdateDataSource", vars{"id": 99, "input": vars{"fileContent": b64("x")}}, "NOT_FOUND", "Failed to update DataSource file: DataSource not found"},
		"delete nothing":      {"DeleteDataSource", vars{"id": 99}, "NOT_FOUND", "Failed to delete DataSource: DataSource not found"},
		"reprocess nothing":   {"ReprocessDataSource", vars{"id": 99}, "NOT_FOUND", "Failed to reprocess DataSource: DataSource not found"},
		"rows of no project":  {"GetDataSourcePreview", vars{"projectId": 99, "nodeId": "x"}, "NOT_FOUND", "Plan not found for project"},
		"rows of no node":     {"GetDataSourcePreview", vars{"projectId": p, "nodeId": "x"}, "NOT_FOUND", "Node not found"},
		"import of no YAML":   {"ImportPlanYaml", vars{"projectId": p, "yamlContent": "a: [1"}, "BAD_REQUEST", "Failed to parse YAML: "},
		"export of no node":   {"ExportNodeOutput", vars{"projectId": p, "nodeId": "x"}, "NOT_FOUND", "Output node not found"},
		"export of no plan":   {"ExportNodeOutput", vars{"projectId": 99, "nodeId": "x"}, "NOT_FOUND", "Plan not found for project"},
		"execution of no id":  {"ExecuteNode", vars{"projectId": p, "nodeId": ""}, "BAD_REQUEST", "Failed to execute node: nodeId is empty"},
		"execution of nobody": {"ExecuteNode", vars{"projectId": p, "nodeId": "x"}, "NOT_FOUND", "Failed to execute node: Node not found"},
	} {
		r := s.call(t, c.document, c.variables, nil)
		if r.Code() != c.code || !strings.HasPrefix(r.Errors[0].Message, c.contains) {
			t.Errorf("%s: %.400s", name, r.Text)
		}
	}
	if r := s.ask(t, `{ downloadDataSourceRaw(id: 99) }`, nil); r.Code() != "NOT_FOUND" || r.Errors[0].Message != "DataSource not found" {
		t.Errorf("a path to nothing: %s", r.Text)
	}

	// Of several files all are kept or none, and every bad one is named.
	r := s.call(t, "BulkUploadDataSources", vars{"projectId": p, "files": []any{
		vars{"name": "a", "filename": "good.csv", "fileContent": b64("id,label\na,A\n")},
		vars{"name": "b", "filename": "bad1.csv", "fileContent": b64("id,label\na\n")},
		vars{"name": "c", "filename": "bad2.txt", "fileContent": b64("x")},
		vars{"name": "d", "filename": "bad3.csv", "fileContent": "a!b="},
	}}, nil)
	if r.Code() != "BAD_REQUEST" || !strings.Contains(string(r.Text), "bad1.csv") || !strings.Contains(string(r.Text), "bad2.txt") ||
		!strings.Contains(string(r.Text), "bad3.csv") || !strings.Contains(string(r.Text), "decode base64") {
		t.Errorf("in bulk: %s", r.Text)
	}
	for filename, others := range map[string][]any{
		"only.csv": nil, "second.csv": {vars{"name": "a", "filename": "good.csv", "fileContent": b64("id,label\na,A\n")}},
	} {
		bad := vars{"name": "b", "filename": filename, "fileContent": b64("id,label\na\n")}
		r := s.call(t, "BulkUploadDataSources", vars{"projectId": p, "files": append(others, bad)}, nil)
		if prefix := "Failed to create DataSource for " + filename + ": "; r.Code() != "BAD_REQUEST" || !strings.HasPrefix(r.Errors[0].Message, prefix) {
			t.Errorf("in bulk: %s", r.Text)
		}
	}
	var left []struct{ Filename, Status string }
	s.call(t, "GetDataSources", vars{"projectId": p}, &left)
	for _, one := range left {
		if one.Status == "active" || one.Filename == "good.csv" {
			t.Errorf("kept: %+v", one)
		}
	}
	if d := s.dag(t, p); len(d.Nodes) != 0 {
		t.Errorf("nodes: %v", d.Nodes)
	}
}

// A preview of rows that are long shows no more of them than memory is meant for, and says what to do instead.
func TestPreviewsOfLongRows(t *testing.T) {
	t.Parallel()
	s := online(t, func(o *setting) { o.Budget = budget.New(budget.Config{Memory: 2 << 30, Patience: deadline}) })
	p := s.newProject(t)
	const columns, rows = 300, 4
	var b strings.Builder
	b.WriteString("id,label")
	for i := range columns {
		fmt.Fprintf(&b, ",c%d", i)
	}
	for i := range rows {
		fmt.Fprintf(&b, "\nn%d,x", i)
		for range columns {
			b.WriteString("," + strings.Repeat("x", 10_000))
		}
	}
	s.upload(t, p, "long", b.String())
	read := vars{"projectId": p, "nodeId": s.dag(t, p).Nodes[0]["id"], "limit": rows, "offset": 0}
	if r := s.call(t, "GetDataSourcePreview", read, nil); r.Code() != "BAD_REQUEST" || !strings.Contains(string(r.Text), "ask for fewer") {
		t.Errorf("all: %.400s", r.Text)
	}
	read["limit"], read["offset"] = 2, 2
	var page struct{ Rows []struct{ RowNumber int } }
	if s.call(t, "GetDataSourcePreview", read, &page); len(page.Rows) != 2 || page.Rows[1].RowNumber != rows {
		t.Errorf("the last ones: %+v", page.Rows)
	}
}

// What is in sources is shown to 1 MB each in a list, 8 MB together, and 16 MB alone. What does not fit names the route.
func TestContentsOfSourcesAreBounded(t *testing.T) {
	t.Parallel()
	s := online(t, func(o *setting) { o.Budget = budget.New(budget.Config{Memory: 2 << 30, Patience: deadline}) })
	p := s.newProject(t)
	table := func(bytes int) string {
		var b strings.Builder
		b.WriteString("id,label\n")
		for i := 0; b.Len() < bytes; i++ {
			fmt.Fprintf(&b, "n%d,%s\n", i, strings.Repeat("x", 900))
		}
		return b.String()
	}
	for i := range 10 {
		s.upload(t, p, fmt.Sprint("fits", i), table(900_000))
	}
	large := s.upload(t, p, "large", table(3<<20))
	var all []source
	s.call(t, "GetDataSources", vars{"projectId": p}, &all)
	total, cut := 0, 0
	for _, one := range all {
		var content struct {
			Nodes, Edges, Layers []any
			Truncated            bool
			Download             string
		}
		if err := json.Unmarshal([]byte(one.GraphJSON), &content); err != nil || content.Nodes == nil || content.Edges == nil || content.Layers == nil {
			t.Fatalf("%v: %.200s", err, one.GraphJSON)
		}
		if content.Truncated {
			cut++
			if content.Download != fmt.Sprintf("/api/data-sources/%d/download/json", one.ID) {
				t.Errorf("download is %q", content.Download)
			}
		} else if one.ID == large.ID || len(one.GraphJSON) > 1<<20 {
			t.Errorf("%d bytes of %s in a list", len(one.GraphJSON), one.Name)
		}
		total += len(one.GraphJSON)
	}
	if total > 8<<20+1000*len(all) || cut < 3 || cut > 4 {
		t.Errorf("%d bytes together, %d of %d are cut", total, cut, len(all))
	}
	var alone source
	s.call(t, "GetDataSource", vars{"id": large.ID}, &alone)
	if len(alone.GraphJSON) < 3<<20 {
		t.Errorf("alone: %.200s", alone.GraphJSON)
	}
}
