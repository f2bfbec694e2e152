package graph_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"layercake/internal/caller"
)

// plainly sends a request to a handler without a client that decompresses, and returns the answer.
func plainly(t testing.TB, s *site, method, document, accept string) *httptest.ResponseRecorder {
	t.Helper()
	body, err := json.Marshal(vars{"query": document})
	if err != nil {
		t.Fatal(err)
	}
	target := "/graphql"
	if method != http.MethodPost {
		target += "?query=" + strings.ReplaceAll(strings.ReplaceAll(document, "\n", "%20"), " ", "%20")
	}
	r := httptest.NewRequestWithContext(t.Context(), method, target, bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	if accept != "" {
		r.Header.Set("Accept-Encoding", accept)
	}
	w := httptest.NewRecorder()
	caller.Middleware(caller.Config{Open: true})(s.HTTP()).ServeHTTP(w, r)
	return w
}

func TestLargeAnswersAreCompressed(t *testing.T) {
	t.Parallel()
	s := offline(t)
	large := strings.ReplaceAll(introspection, "\t", "")
	plain := plainly(t, s, http.MethodPost, large, "")
	if plain.Code != http.StatusOK || plain.Body.Len() < 16<<10 || plain.Header().Get("Content-Encoding") != "" {
		t.Fatalf("status %d, %d bytes, %v", plain.Code, plain.Body.Len(), plain.Header())
	}
	for _, c := range []struct {
		method, document, accept string
		packed                   bool
	}{
		{http.MethodPost, large, "gzip", true},
		{http.MethodGet, large, "br, gzip;q=0.5", true},
		{http.MethodPost, large, "gzip;q=0", false},
		{http.MethodPost, large, "identity", false},
		{http.MethodPost, "{ __typename }", "gzip", false},
		{http.MethodPost, "{ nothing }", "gzip", false},
	} {
		w := plainly(t, s, c.method, c.document, c.accept)
		text := w.Body.Bytes()
		if got := w.Header().Get("Content-Length"); got != strconv.Itoa(len(text)) {
			t.Errorf("%+v: %s bytes are said to come, and %d come", c, got, len(text))
		}
		if vary := strings.Join(w.Header().Values("Vary"), ", "); !strings.Contains(vary, "Accept-Encoding") {
			t.Errorf("%+v: it varies by %q", c, vary)
		}
		if got := w.Header().Get("Content-Encoding"); (got == "gzip") != c.packed {
			t.Errorf("%+v: the encoding is %q", c, got)
		}
		if c.packed {
			z, err := gzip.NewReader(bytes.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			if text, err = io.ReadAll(z); err != nil {
				t.Error(err)
			}
		}
		if c.document == large && !bytes.Equal(text, plain.Body.Bytes()) {
			t.Errorf("%+v: another answer of %d bytes", c, len(text))
		}
	}
	if got := s.post(t, strings.NewReader(`{"query":"{ __typename }"}`), nil); got.Code() != "" {
		t.Errorf("afterwards: %s", got.Text)
	}
}

// What the answer with a whole plan of the largest size costs, with compression and without.
func BenchmarkWholePlan(b *testing.B) {
	s := online(b)
	p := s.newProject(b)
	id := func(n int) string { return fmt.Sprintf("node_%06d", n*7919%1_000_003) }
	var nodes, edges []vars
	for n := range 1000 {
		node := nodeInput(id(n), []string{"DataSourceNode", "MergeNode"}[n%2])
		node["position"] = vars{"x": float64(n*37%4001) + 0.25, "y": float64(n * 61 % 3989)}
		node["metadata"] = vars{"label": fmt.Sprintf("Node number %d", n), "description": fmt.Sprintf("Step %d of %d", n, n*n%97)}
		nodes = append(nodes, node)
		for input := 0; n%2 == 1 && input < 10; input++ { // of a merge, from ten sources
			edges = append(edges, edgeInput(fmt.Sprintf("edge_%05d_%d", n, input), id((n+1+2*input)%1000), id(n)))
		}
	}
	s.must(b, nil, `mutation($p: Int!, $d: PlanDagInput!) { updatePlanDag(projectId: $p, planDag: $d) { version } }`,
		vars{"p": p, "d": vars{"version": "0", "nodes": nodes, "edges": edges, "metadata": vars{"version": "0"}}})
	document := fmt.Sprintf(`{ getPlanDag(projectId: %d) { %s } }`, p, everythingOfAPlan)
	for _, accept := range []string{"identity", "gzip"} {
		b.Run(accept, func(b *testing.B) {
			size, cpu := 0, processTime(b)
			for b.Loop() {
				size = plainly(b, s, http.MethodPost, document, accept).Body.Len()
			}
			b.ReportMetric(float64(size), "bytes")
			b.ReportMetric(float64((processTime(b)-cpu).Microseconds())/float64(b.N)/1000, "cpu-ms/op")
		})
	}
}
