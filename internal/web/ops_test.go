package web_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"layercake/internal/npmtest"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server"
	"layercake/internal/server/servertest"
	"layercake/internal/web"
)

// The page for operators shows two replicas, and what is done there is seen by whoever it is done to.
func TestOpsPage(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	victim := servertest.StartProcess(t, database)
	replica := servertest.StartOn(t, database, 1, func(c *server.Config) { c.AdminAddr, c.Lease = "127.0.0.1:0", servertest.LongLease })[0]
	t.Log(npmtest.RunInBrowser(t, "ops.mjs", "URL="+replica.URL, "ADMIN="+replica.Admin, "OTHER_URL="+victim.URL,
		fmt.Sprint("OTHER_PID=", victim.PID()), "PSQL="+filepath.Join(pgtest.Binaries(t), "psql"), "DATABASE="+database))
}

// getOps asks for what operators have.
func getOps(t *testing.T, path string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	web.ServeOps(w, r)
	return w
}

// The page for operators and its files are small, have the policy of the page, and are nowhere but at the admin address.
func TestOpsFiles(t *testing.T) {
	t.Parallel()
	index := getOps(t, "/ops")
	if index.Code != http.StatusOK || index.Header().Get("Content-Type") != "text/html; charset=utf-8" ||
		!strings.Contains(index.Header().Get("Content-Security-Policy"), "require-trusted-types-for 'script'") {
		t.Errorf("%d %v", index.Code, index.Header())
	}
	if slash := getOps(t, "/ops/"); slash.Body.String() != index.Body.String() {
		t.Errorf("with a slash at the end: %d", slash.Code)
	}
	paths := regexp.MustCompile(`="(/[^"]*)"`).FindAllStringSubmatch(index.Body.String(), -1)
	if len(paths) != 3 {
		t.Fatalf("the page names %q, want an icon, a script and a style sheet", paths)
	}
	size := 0
	for _, path := range paths {
		file := getOps(t, path[1], "Accept-Encoding", "gzip")
		if size += file.Body.Len(); file.Code != http.StatusOK {
			t.Errorf("%s: %d", path[1], file.Code)
		}
		if got := get(t, "GET", strings.TrimPrefix(path[1], "/ops")).Code; strings.Contains(path[1], "assets") && got != http.StatusNotFound {
			t.Errorf("clients get %s: %d", path[1], got)
		}
	}
	if t.Logf("%d bytes", size); size > 75<<10 {
		t.Errorf("%d bytes, compressed, at most 75 kB", size)
	}
	found, err := os.ReadDir("dist/assets/ops")
	if err != nil || len(found) != 2 {
		t.Errorf("%d files, %v, want what the page names", len(found), err)
	}
	for _, path := range []string{"/ops/nothing.js", "/ops//", "/ops/assets/../../web.go", "/ops/index.html", "/ops/assets/index.js"} {
		if got := getOps(t, path).Code; got != http.StatusNotFound {
			t.Errorf("%s: %d, want 404", path, got)
		}
	}
	for _, path := range []string{"/ops", "/ops.html"} {
		if got := get(t, "GET", path, "Accept", html); got.Code != http.StatusNotFound && got.Body.String() != get(t, "GET", "/").Body.String() {
			t.Errorf("clients get %s: %d", path, got.Code)
		}
	}
}
