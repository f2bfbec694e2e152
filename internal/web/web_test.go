package web_test

import (
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"layercake/internal/auth"
	"layercake/internal/npmtest"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server"
	"layercake/internal/server/servertest"
	"layercake/internal/web"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if servertest.IsProcess() {
		os.Exit(servertest.RunProcess())
	}
	goleak.VerifyTestMain(pgtest.Main(m))
}

// pages are those of an open server without a site.
var pages = web.New(nil, true)

const html = "text/html,application/xhtml+xml,*/*;q=0.8"

// get asks for a path, or for GraphiQL where it is served, with headers in pairs.
func get(t *testing.T, method, path string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	return answered(t, pages, method, path, header...)
}

func answered(t *testing.T, pages *web.Pages, method, path string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	if path == "/graphql" {
		pages.ServeGraphiQL(w, r)
	} else {
		pages.ServeHTTP(w, r)
	}
	return w
}

func TestPage(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		method, path, accept string
		page                 bool
	}{
		"the list":                     {"GET", "/", html, true},
		"the list, to a program":       {"GET", "/", "*/*", true},
		"an editor":                    {"GET", "/projects/7", html, true},
		"its head":                     {"HEAD", "/projects/7", html, true},
		"the ways to connect":          {"GET", "/connect", html, true},
		"what is no screen, perhaps":   {"GET", "/nowhere", html, true},
		"an editor, to a program":      {"GET", "/projects/7", "application/json", false},
		"an editor, to no browser":     {"GET", "/projects/7", "", false},
		"sent to an editor":            {"POST", "/projects/7", html, false},
		"sent to the list":             {"POST", "/", html, false},
		"sent to a file":               {"POST", "/icon.svg", "*/*", false},
		"below another handler":        {"GET", "/graphql/nothing", html, false},
		"below sockets":                {"GET", "/ws/nothing", html, false},
		"below agents":                 {"GET", "/mcp/nothing", html, false},
		"below health":                 {"GET", "/health/nothing", html, false},
		"below metrics":                {"GET", "/metrics/nothing", html, false},
		"below what is well known":     {"GET", "/.well-known/nothing", html, false},
		"below the routes of files":    {"GET", "/api/nothing", html, false},
		"a file of the client":         {"GET", "/client/nothing.js", html, false},
		"the folder of the client":     {"GET", "/client", html, false},
		"an asset of a former release": {"GET", "/assets/index-before.js", html, false},
		"outside of what is served":    {"GET", "/assets/../../web.go", "*/*", false},
		"the folder of the assets":     {"GET", "/assets/", "*/*", false},
	}
	index := get(t, "GET", "/").Body.String()
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			response := get(t, c.method, c.path, "Accept", c.accept)
			if !c.page {
				if response.Code != http.StatusNotFound {
					t.Errorf("status %d", response.Code)
				}
				return
			}
			if response.Code != http.StatusOK || response.Header().Get("Content-Type") != "text/html; charset=utf-8" {
				t.Errorf("%d %v", response.Code, response.Header())
			}
			if got := response.Body.String(); got != index && c.method != http.MethodHead {
				t.Errorf("not the page: %q", got)
			}
		})
	}
}

// Where everybody signs in, nobody is given GraphiQL.
func TestGraphiQLIsForOpenServers(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/graphiql.html", asset(t, "graphiql/graphiql-*.js")} {
		for open, want := range map[bool]int{true: http.StatusOK, false: http.StatusNotFound} {
			if got := answered(t, web.New(nil, open), "GET", path).Code; got != want {
				t.Errorf("%s, open %v: %d, want %d", path, open, got, want)
			}
		}
	}
}

// A page knows which one it is by what sockets are greeted with, too.
func TestPageSaysItsHash(t *testing.T) {
	t.Parallel()
	if body := get(t, "GET", "/").Body.String(); !strings.Contains(body, `<meta name="page" content="`+web.Hash()+`"`) || len(web.Hash()) != 32 {
		t.Errorf("not the hash %s: %s", web.Hash(), body)
	}
}

// asset returns the path of the one file in the folder of assets that a pattern matches.
func asset(t *testing.T, pattern string) string {
	t.Helper()
	found, err := filepath.Glob("dist/assets/" + pattern)
	if err != nil || len(found) != 1 {
		t.Fatalf("%s: %q, %v", pattern, found, err)
	}
	return strings.TrimPrefix(found[0], "dist")
}

// Everything is served with the headers that keep a page from harm, and with those that let a browser keep what does not change.
func TestHeaders(t *testing.T) {
	t.Parallel()
	const (
		script = "text/javascript; charset=utf-8"
		keep   = "public, max-age=31536000, immutable"
		page   = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; " +
			"worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
			"require-trusted-types-for 'script'; trusted-types layercake"
		graphiQL = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; " +
			"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	)
	cases := map[string]struct{ mediaType, cache, policy string }{
		"/":                                {"text/html; charset=utf-8", "no-cache", page},
		"/graphql":                         {"text/html; charset=utf-8", "no-cache", graphiQL},
		"/icon.svg":                        {"image/svg+xml", "no-cache", page},
		"/client/index.js":                 {script, "no-cache", page},
		"/client/layercake-client.tgz":     {"application/gzip", "no-cache", page},
		asset(t, "index-*.js"):             {script, keep, page},
		asset(t, "graphiql/graphiql-*.js"): {script, keep, page},
		asset(t, "layout.worker-*.js"):     {script, keep, "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'"},
	}
	for path, c := range cases {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			response := get(t, "GET", path)
			want := map[string]string{
				"Content-Type": c.mediaType, "Cache-Control": c.cache, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
				"Cross-Origin-Opener-Policy": "same-origin", "Content-Security-Policy": c.policy,
			}
			for name, value := range want {
				if got := response.Header().Get(name); got != value {
					t.Errorf("%s: %q, want %q", name, got, value)
				}
			}
			again := get(t, "GET", path, "If-None-Match", response.Header().Get("ETag"))
			if again.Code != http.StatusNotModified {
				t.Errorf("asked for again: %d", again.Code)
			}
		})
	}
}

func unpack(t *testing.T, packed io.Reader) string {
	t.Helper()
	r, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestCompression(t *testing.T) {
	t.Parallel()
	plain := get(t, "GET", "/client/index.js").Body.String()
	cases := map[string]bool{
		"gzip": true, "br, GZIP;q=0.5": true, "deflate,gzip": true, "": false, "br": false, "gzip;q=0": false, "gzip; q=0.000": false,
	}
	for accept, packed := range cases {
		t.Run(accept, func(t *testing.T) {
			t.Parallel()
			response := get(t, "GET", "/client/index.js", "Accept-Encoding", accept)
			if got := response.Header().Get("Content-Encoding") == "gzip"; got != packed {
				t.Fatalf("compressed: %v", got)
			}
			content := response.Body.String()
			if packed {
				content = unpack(t, response.Body)
			}
			if content != plain || response.Header().Get("Vary") != "Accept-Encoding" {
				t.Error("other contents, or a cache would give them to everybody")
			}
		})
	}
	if got := get(t, "GET", "/client/layercake-client.tgz", "Accept-Encoding", "gzip").Header().Get("Content-Encoding"); got != "" {
		t.Errorf("what is packed is packed again: %q", got)
	}
}

// What people load before they see something stays small, compressed, and so does all of it. GraphiQL is for those who ask for it.
func TestBudgets(t *testing.T) {
	t.Parallel()
	size := func(path string) int {
		return get(t, "GET", path, "Accept-Encoding", "gzip").Body.Len()
	}
	within := func(what string, size, most int) {
		t.Helper()
		t.Logf("%s: %d bytes", what, size)
		if size > most {
			t.Errorf("%s: %d bytes, at most %d", what, size, most)
		}
	}
	index := get(t, "GET", "/").Body.String()
	shell := map[string]bool{"/": true}
	for _, path := range regexp.MustCompile(`/assets/[^"]*`).FindAllString(index, -1) {
		shell[path] = true
	}
	sum := func(loaded map[string]bool) (bytes int) {
		for path := range loaded {
			bytes += size(path)
		}
		return bytes
	}
	// The entry has a list of files, and for each screen the places of those that it needs. What a screen loads later is named by its own files.
	entry := get(t, "GET", regexp.MustCompile(`/assets/index-[^"]*\.js`).FindString(index)).Body.String()
	files := regexp.MustCompile(`m\.f=\[([^\]]*)\]`).FindStringSubmatch(entry)
	screen := func(name string) map[string]bool {
		places := regexp.MustCompile("import\\(`\\./" + name + "-[^`]*`\\),__vite__mapDeps\\(\\[([^\\]]*)\\]").FindStringSubmatch(entry)
		if len(files) == 0 || len(places) == 0 {
			t.Fatalf("the entry does not say what the screen %s needs", name)
		}
		paths := strings.Split(files[1], ",")
		loaded := maps.Clone(shell)
		for _, place := range strings.Split(places[1], ",") {
			i, err := strconv.Atoi(place)
			if err != nil {
				t.Fatal(err)
			}
			loaded["/assets/"+strings.Trim(paths[i], `"./`)] = true
		}
		return loaded
	}
	worker := asset(t, "layout.worker-*.js")
	table := size(asset(t, "table-*.js")) + size(asset(t, "table-*.css"))
	network := size(asset(t, "points-*.js")) + size(asset(t, "forces.worker-*.js"))
	all := 0
	err := fs.WalkDir(os.DirFS("dist"), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		path := "/" + name
		response := get(t, "GET", path)
		if response.Header().Get("Content-Type") == "" {
			t.Errorf("mediaTypes lacks the kind of %s", name)
		}
		if strings.Contains(name, "graphiql") {
			if strings.Contains(index, path) {
				t.Errorf("the page loads %s", path)
			}
			return nil
		}
		all += response.Body.Len()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	within("the client", size("/client/index.js"), 10<<10)
	within("the shell", sum(shell), 90<<10)
	within("with the editor", sum(screen("editor")), 180<<10)
	within("with the ways to connect", sum(screen("connect")), 110<<10)
	within("a table", table, 20<<10)
	within("a large graph", network, 50<<10)
	within("the worker", size(worker), 500_000)
	within("all files, raw", all, 2_600_000)
}

// The lock file names no host: packages come from wherever npm is told to take them.
func TestLockFileNamesNoHost(t *testing.T) {
	t.Parallel()
	lock, err := os.ReadFile("package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(lock), `"resolved"`) {
		t.Error("npm install without .npmrc wrote addresses into package-lock.json")
	}
}

// The sources hold together: documents ask for what the schema has, types and style are right, and the tests beside them pass.
func TestSources(t *testing.T) {
	t.Parallel()
	for _, script := range []string{"generate", "check", "test"} {
		t.Log(npmtest.NPM(t, script))
	}
}

// notTests are scripts of the folder test that others import, or that other tests and benchmarks run.
var notTests = []string{
	"browser.mjs", "chaos-pages.mjs", "connect.mjs", "connect-token.mjs", "figures.mjs", "held.mjs", "ops.mjs", "passage.mjs", "paste.mjs",
	"run-outlives.mjs", "sign-in.mjs", "single-sign-on.mjs", "site.mjs",
}

// Each script drives pages of two replicas in a browser, or the client alone. None is forgotten: they are found in their folder.
func TestPages(t *testing.T) {
	t.Parallel()
	scripts, err := filepath.Glob("test/*.mjs")
	if err != nil || len(scripts) <= len(notTests) {
		t.Fatal(scripts, err)
	}
	for _, path := range scripts {
		script := filepath.Base(path)
		if slices.Contains(notTests, script) {
			continue
		}
		t.Run(strings.TrimSuffix(script, ".mjs"), func(t *testing.T) {
			t.Parallel()
			database := pgtest.New(t)
			replicas := servertest.StartOn(t, database, 2, nil)
			t.Log(npmtest.RunInBrowser(t, script, "URL="+replicas[0].URL, "OTHER_URL="+replicas[1].URL,
				"PSQL="+filepath.Join(pgtest.Binaries(t), "psql"), "DATABASE="+database))
		})
	}
}

// The page where people sign in is small: they wait for it before everything else.
func TestLoginPageIsSmall(t *testing.T) {
	t.Parallel()
	size := 0
	for _, path := range []string{"/login", "/login/login.js", "/login/login.css"} {
		w := httptest.NewRecorder()
		web.ServeLogin(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		if w.Code != http.StatusOK {
			t.Errorf("%s: %d", path, w.Code)
		}
		size += w.Body.Len()
	}
	if size > 15_000 {
		t.Errorf("%d bytes", size)
	}
}

// Where everybody signs in, people do so on a page of ours, and the page is theirs afterwards.
func TestSignIn(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	required := func(cfg *server.Config) { cfg.Open = false }
	replicas := servertest.StartOn(t, database, 2, required)
	core := servertest.StartCoreOn(t, database, required)
	_, code, err := core.Accounts.CreateUser(t.Context(), auth.RegisterInput{Username: "ann", DisplayName: "Ann <b>"})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(npmtest.RunInBrowser(t, "sign-in.mjs", "URL="+replicas[0].URL, "OTHER_URL="+replicas[1].URL, "CODE="+code))
}

// A build that its replica does not live to end comes to rest in the windows of others.
func TestRunOutlivesItsReplica(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	one, other := servertest.StartProcess(t, database), servertest.StartProcess(t, database)
	t.Log(npmtest.RunInBrowser(t, "run-outlives.mjs", "URL="+one.URL, "OTHER_URL="+other.URL,
		fmt.Sprintf("PIDS=%d,%d", one.PID(), other.PID()), "PSQL="+filepath.Join(pgtest.Binaries(t), "psql"), "DATABASE="+database))
}
