package graph_test

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"layercake/internal/npmtest"
	"layercake/internal/postgres/pgtest"
)

// The existing client's way to follow a plan, by the library that it uses. What uploads and builds do is done for it by this test.
func TestDeltasGuardThemselves(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	s := onlineAt(t, url, url)
	conn := pgtest.Connect(t, url)
	others := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		project, err := strconv.Atoi(r.FormValue("project"))
		if err != nil {
			t.Error(err)
		}
		if node := r.FormValue("node"); node != "" {
			s.build(t, project, node, r.FormValue("state"))
			return
		}
		pgtest.Exec(t, conn, `INSERT INTO data_sources (project_id, name, filename, format, kind, status, file_id, size, sha256, processed_at)
			VALUES ($1, 'Nodes', 'nodes.csv', 'csv', 'nodes', 'active', 1, 1, '', now())`, project)
	}))
	defer others.Close()
	t.Log(npmtest.Run(t, "patch.mjs", "URL="+s.url, "OTHERS="+others.URL))
}
