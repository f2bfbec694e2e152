package graph_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"layercake/internal/server/servertest"
)

// A file of exactly as many bytes as an answer may have comes in the answer. One more, and the answer names the route that has it.
func TestOutputsAtTheLimit(t *testing.T) {
	t.Parallel()
	const limit = 32 << 20
	replica := servertest.Start(t, 1, nil)[0]
	s := at(t, replica)
	p := s.newProject(t)
	var large strings.Builder
	large.WriteString("id,label,comment\n")
	for i := range 335 {
		fmt.Fprintf(&large, "n%d,N,%s\n", i, strings.Repeat("x", 100_000))
	}
	table := func(comment int) string {
		return b64("id,label,comment\nlast,L," + strings.Repeat("y", comment) + "\n")
	}
	var tail source
	s.call(t, "CreateDataSourceFromFile", vars{"input": vars{
		"projectId": p, "name": "Tail", "filename": "tail-nodes.csv", "fileFormat": "CSV", "dataType": "NODES", "fileContent": table(1),
	}}, &tail)
	s.call(t, "CreateDataSourceFromFile", vars{"input": vars{
		"projectId": p, "name": "Large", "filename": "nodes.csv", "fileFormat": "CSV", "dataType": "NODES", "fileContent": b64(large.String()),
	}}, nil)
	d := s.dag(t, p)
	g, o := nodeInput("g", "GraphNode"), nodeInput("o 1", "OutputNode")
	g["config"], o["config"] = "{}", `{"renderTarget":"CSVNodes"}`
	s.call(t, "AddPlanDagNode", vars{"projectId": p, "node": g}, nil)
	s.call(t, "AddPlanDagNode", vars{"projectId": p, "node": o}, nil)
	for i, ends := range [][2]string{{d.Nodes[0]["id"].(string), "g"}, {d.Nodes[1]["id"].(string), "g"}, {"g", "o 1"}} {
		s.call(t, "AddPlanDagEdge", vars{"projectId": p, "edge": edgeInput(fmt.Sprint("e", i), ends[0], ends[1])}, nil)
	}
	export := func() (size int, code, message string, detail any) {
		t.Helper()
		r := s.call(t, "ExportNodeOutput", vars{"projectId": p, "nodeId": "o 1"}, nil)
		for r.Code() == "UNAVAILABLE" { // it is still being built: the answer says to try again
			r = s.call(t, "ExportNodeOutput", vars{"projectId": p, "nodeId": "o 1"}, nil)
		}
		if len(r.Errors) > 0 {
			return 0, r.Code(), r.Errors[0].Message, r.Errors[0].Extensions["detail"]
		}
		var out struct {
			Content string
		}
		s.call(t, "ExportNodeOutput", vars{"projectId": p, "nodeId": "o 1"}, &out)
		text, err := base64.StdEncoding.DecodeString(out.Content)
		if err != nil {
			t.Fatal(err)
		}
		return len(text), "", "", nil
	}
	least, code, message, _ := export()
	if code != "" || least > limit-1 || least < limit-90_000 {
		t.Fatalf("%d bytes, %s %s: the test wants a little less than the limit", least, code, message)
	}
	replace := func(comment int) {
		t.Helper()
		s.call(t, "UpdateDataSource", vars{"id": tail.ID, "input": vars{"filename": "tail-nodes.csv", "fileContent": table(comment)}}, nil)
	}
	replace(1 + limit - least)
	if size, code, message, _ := export(); size != limit {
		t.Errorf("a file of the largest size: %d bytes, %s %s", size, code, message)
	}
	replace(2 + limit - least)
	route := fmt.Sprintf("/api/projects/%d/outputs/o%%201", p)
	_, code, message, detail := export()
	if code != "BAD_REQUEST" || !strings.Contains(message, "32 MB") || !strings.Contains(message, route) {
		t.Errorf("one byte more: %s %s %v", code, message, detail)
	}
	r, err := http.Get(replica.URL + route)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if n, err := io.Copy(io.Discard, r.Body); n != limit+1 || err != nil || r.StatusCode != http.StatusOK {
		t.Errorf("the route answers %d, %d bytes, %v", r.StatusCode, n, err)
	}
	http.DefaultClient.CloseIdleConnections()
}
