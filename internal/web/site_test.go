package web_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"layercake/internal/web"
)

// write makes a folder with these files.
func write(t *testing.T, files map[string]string) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "dist")
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const (
	siteIndex = `<!doctype html><html><head><title>Client</title><script type="module" src="/assets/index-BX1k2a9c.js"></script></head></html>`
	secret    = "not for you"
)

// siteFiles are those of a client as it is built, and such as a build leaves beside it.
var siteFiles = map[string]string{
	"index.html": siteIndex, "assets/index-BX1k2a9c.js": "import './part-Dq_8-xYz.js'", "assets/index-Kq2LmN0p.css": "body { margin: 0 }",
	"assets/logo.svg": "<svg/>", "help/about.html": "<p>About</p>", "robots.txt": "User-agent: *", "notes.unknown": "?",
	".env": secret, ".git/config": secret, "assets/.map": secret,
}

// serving returns what answers requests where a folder is served.
func serving(t *testing.T, dir string, open bool) func(method, path string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	site, err := web.ReadSite(dir, open)
	if err != nil {
		t.Fatal(err)
	}
	pages := web.New(site, open)
	return func(method, path string, header ...string) *httptest.ResponseRecorder {
		return answered(t, pages, method, path, header...)
	}
}

func TestSite(t *testing.T) {
	t.Parallel()
	dir := write(t, siteFiles)
	if err := os.WriteFile(filepath.Join(filepath.Dir(dir), "secret.txt"), []byte(secret), 0o644); err != nil {
		t.Fatal(err)
	}
	ask := serving(t, dir, true)
	const nothing = ""
	cases := map[string]struct{ method, path, accept, file string }{
		"the index":                      {"GET", "/", html, "index.html"},
		"the index, to a program":        {"GET", "/", "*/*", "index.html"},
		"the index by its name":          {"GET", "/index.html", html, "index.html"},
		"a screen":                       {"GET", "/projects/7/plan", html, "index.html"},
		"a screen that ends with /":      {"GET", "/projects/", html, "index.html"},
		"a screen with a dot":            {"GET", "/people/ann.smith", html, "index.html"},
		"a screen, to a program":         {"GET", "/projects/7/plan", "application/json", nothing},
		"sent to a screen":               {"POST", "/projects/7/plan", html, nothing},
		"sent to the index":              {"POST", "/", html, nothing},
		"another page":                   {"GET", "/help/about.html", html, "help/about.html"},
		"an asset":                       {"GET", "/assets/index-BX1k2a9c.js", "*/*", "assets/index-BX1k2a9c.js"},
		"an asset, sent to":              {"POST", "/assets/index-BX1k2a9c.js", "*/*", nothing},
		"an asset of another build":      {"GET", "/assets/index-Before00.js", "*/*", nothing},
		"the same, in the address bar":   {"GET", "/assets/index-Before00.js", html, nothing},
		"a page that is not there":       {"GET", "/help/nothing.html", html, nothing},
		"a folder":                       {"GET", "/assets/", "*/*", nothing},
		"a folder without its slash":     {"GET", "/assets", "*/*", nothing},
		"a folder, in the address bar":   {"GET", "/assets/", html, "index.html"}, // as any address that has no file
		"a file with a slash":            {"GET", "/robots.txt/", "*/*", nothing},
		"a dot-file":                     {"GET", "/.env", "*/*", nothing},
		"a dot-file, in the address bar": {"GET", "/.env", html, nothing},
		"a folder with a dot":            {"GET", "/.git/config", "*/*", nothing},
		"a dot-file among assets":        {"GET", "/assets/.map", "*/*", nothing},
		"out of the folder":              {"GET", "/../secret.txt", html, nothing},
		"out of it, escaped":             {"GET", "/..%2fsecret.txt", html, nothing},
		"out of it, dots escaped":        {"GET", "/%2e%2e/secret.txt", "*/*", nothing},
		"out of it, from assets":         {"GET", "/assets/../../secret.txt", "*/*", nothing},
		"out of it, as Windows":          {"GET", "/..%5csecret.txt", html, nothing},
		"out of it, to a screen":         {"GET", "/..%2fscreen", html, nothing},
		"as Windows, to a screen":        {"GET", "/..%5cscreen", html, nothing},
		"a NUL":                          {"GET", "/robots.txt%00.html", "*/*", nothing},
		"a NUL, to a screen":             {"GET", "/screen%00", html, nothing},
		"a line, to a screen":            {"GET", "/screen%0d%0aSet-Cookie:x", html, nothing},
		"dots, though within the folder": {"GET", "/assets/../robots.txt", "*/*", nothing},
		"two slashes":                    {"GET", "//screen", html, nothing},
		"our client":                     {"GET", "/client/nothing.js", html, nothing},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			response := ask(c.method, c.path, "Accept", c.accept)
			body := response.Body.String()
			switch {
			case strings.Contains(body, secret):
				t.Error("it leads to what is not served")
			case c.file == nothing && response.Code != http.StatusNotFound:
				t.Errorf("%d %s", response.Code, body)
			case c.file != nothing && (response.Code != http.StatusOK || body != siteFiles[c.file]):
				t.Errorf("%d %s, want %s", response.Code, body, c.file)
			}
		})
	}
}

// What is kept from those who did not sign in is all HTML of a site, whoever asks, and the screens of our page.
func TestPagesOfASite(t *testing.T) {
	t.Parallel()
	site, err := web.ReadSite(write(t, siteFiles), false)
	if err != nil {
		t.Fatal(err)
	}
	pages := web.New(site, false)
	for request, want := range map[[3]string]bool{
		{"GET", "/", html}: true, {"GET", "/", "*/*"}: true, {"HEAD", "/", "*/*"}: true, {"GET", "/index.html", "*/*"}: true,
		{"GET", "/help/about.html", "*/*"}: true, {"GET", "/projects/7", html}: true, {"GET", "/app", html}: true, {"GET", "/app/projects/7", html}: true,
		{"GET", "/connect", html}: true, {"GET", "/app/connect", html}: true,
		{"POST", "/", html}: false, {"POST", "/index.html", html}: false, {"GET", "/projects/7", "*/*"}: false, {"GET", "/robots.txt", html}: false,
		{"GET", "/assets/index-BX1k2a9c.js", "*/*"}: false, {"GET", "/client/index.js", html}: false, {"GET", "/app/assets/x.js", html}: false,
		{"GET", "/graphql/x", html}: false, {"GET", "/nothing.js", html}: false,
	} {
		r := httptest.NewRequestWithContext(t.Context(), request[0], request[1], nil)
		r.Header.Set("Accept", request[2])
		if got := pages.IsPage(r); got != want {
			t.Errorf("%q: %v", request, got)
		}
	}
}

// Whatever the server has, or may have, is never answered with the client's index: a program would take it for an answer.
func TestSiteLeavesPathsToTheServer(t *testing.T) {
	t.Parallel()
	ask := serving(t, write(t, siteFiles), true)
	for _, path := range []string{
		"/graphql", "/ws", "/mcp", "/api", "/client", "/health", "/login", "/oidc", "/ops", "/schema.graphql", "/.well-known", "/metrics",
		"/debug",
	} {
		for _, below := range []string{"", "/", "/nothing", "/nothing/at/all"} {
			if path+below == "/graphql" {
				continue // ask takes it for GraphiQL
			}
			if response := ask("GET", path+below, "Accept", html); response.Code != http.StatusNotFound {
				t.Errorf("%s: %d %s", path+below, response.Code, response.Body)
			}
		}
		if response := ask("GET", strings.Replace(path, "/.", "/", 1)+"-like", "Accept", html); response.Body.String() != siteIndex {
			t.Errorf("%s-like: %d %s", path, response.Code, response.Body)
		}
	}
}

// Our page lies below /app beside a site, with all that it is made of.
func TestPageBesideASite(t *testing.T) {
	t.Parallel()
	ask := serving(t, write(t, siteFiles), true)
	page := ask("GET", "/app/projects/7", "Accept", html).Body.String()
	if !strings.Contains(page, `<meta name="page" content="`+web.Hash()) || strings.Contains(page, `"./`) || strings.Contains(page, `"/assets`) {
		t.Fatal(page)
	}
	for _, path := range []string{"/app", "/app/", "/app/index.html", "/app/nowhere"} {
		if got := ask("GET", path, "Accept", html).Body.String(); got != page {
			t.Errorf("%s: %s", path, got)
		}
	}
	for _, path := range []string{
		"/app" + asset(t, "index-*.js"), "/app" + asset(t, "graphiql/graphiql-*.js"), "/app/icon.svg", "/client/index.js",
		"/client/layercake-client.tgz", "/client/credentials.js",
	} {
		if response := ask("GET", path); response.Code != http.StatusOK || response.Header().Get("Cache-Control") == "" {
			t.Errorf("%s: %d", path, response.Code)
		}
	}
	for _, path := range []string{asset(t, "index-*.js"), "/icon.svg", "/app/client/index.js", "/app/assets/nothing.js"} {
		if response := ask("GET", path); response.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, response.Code)
		}
	}
	if got := ask("GET", "/apple", "Accept", html).Body.String(); got != siteIndex {
		t.Errorf("what begins like our page: %s", got)
	}
	if body := ask("GET", "/graphql", "Accept", html).Body.String(); !strings.Contains(body, `"/app/assets/graphiql/`) || strings.Contains(body, `"/icon`) {
		t.Errorf("GraphiQL: %s", body)
	}
}

// Browsers keep what never changes, and ask for the rest again. Where everybody signs in, nothing between keeps a file for others.
func TestSiteIsKept(t *testing.T) {
	t.Parallel()
	cases := map[string]bool{ // by names: whether they change with the contents
		"assets/index-BX1k2a9c.js": true, "assets/index-BX1k2a9c.js.map": true, "assets/undo-since-JIPAC-NS.js": true, "assets/items-Co_-RpF_.css": true,
		"static/js/main.0a1b2c3d.js": true, "static/js/2.8f6f1a2c.chunk.js": true, "static/media/logo.5d5d9eefa31e5e13a6610d9f.svg": true,
		"chunks/chunk-A7GQ2LBX.js": true,
		"index.html":               false, "docs/page-BX1k2a9c.html": false, "favicon-32x32.png": false, "app-BX1k2a9c.js": false, "icons/apple-touch-icon.png": false, "icons/mask-icon.svg": false,
		"icons/android-chrome-192x192.png": false, "docs/user-document.css": false, "docs/plan-Overview.svg": false, "js/config.js": false,
	}
	files := map[string]string{"index.html": siteIndex}
	for name := range cases {
		files[name] = siteIndex
	}
	dir := write(t, files)
	for open, kinds := range map[bool]map[bool]string{
		true:  {true: "public, max-age=31536000, immutable", false: "no-cache"},
		false: {true: "private, max-age=31536000, immutable", false: "private, no-cache"},
	} {
		ask := serving(t, dir, open)
		for name, changes := range cases {
			if got := ask("GET", "/"+name).Header().Get("Cache-Control"); got != kinds[changes] {
				t.Errorf("%s, open %v: %q, want %q", name, open, got, kinds[changes])
			}
		}
	}
}

// What browsers say about a file that they have, or have a part of, is answered as for our page.
func TestSiteHeaders(t *testing.T) {
	t.Parallel()
	script := "// " + strings.Repeat("x", 5000)
	dir := write(t, map[string]string{
		"index.html": siteIndex, "assets/index-BX1k2a9c.js": script, "picture.png": "png", "font.woff2": "font", "notes.unknown": "?", "app.webmanifest": "{}",
	})
	ask := serving(t, dir, true)
	whole := ask("GET", "/assets/index-BX1k2a9c.js")
	tag := whole.Header().Get("ETag")
	if whole.Body.String() != script || tag == "" {
		t.Fatal(whole.Code, tag)
	}
	if again := ask("GET", "/assets/index-BX1k2a9c.js", "If-None-Match", tag); again.Code != http.StatusNotModified || again.Body.Len() > 0 {
		t.Errorf("what did not change: %d", again.Code)
	}
	if head := ask("HEAD", "/assets/index-BX1k2a9c.js"); head.Code != http.StatusOK || head.Body.Len() > 0 || head.Header().Get("Content-Length") != "5003" {
		t.Errorf("its head: %d %v", head.Code, head.Header())
	}
	if part := ask("GET", "/assets/index-BX1k2a9c.js", "Range", "bytes=0-3"); part.Code != http.StatusPartialContent || part.Body.String() != "// x" {
		t.Errorf("a part: %d %s", part.Code, part.Body)
	}
	packed := ask("GET", "/assets/index-BX1k2a9c.js", "Accept-Encoding", "gzip")
	if packed.Header().Get("Content-Encoding") != "gzip" || packed.Header().Get("ETag") == tag || unpack(t, packed.Body) != script {
		t.Errorf("compressed: %v", packed.Header())
	}
	for path, want := range map[string]string{
		"/": "text/html; charset=utf-8", "/assets/index-BX1k2a9c.js": "text/javascript; charset=utf-8", "/picture.png": "image/png",
		"/font.woff2": "font/woff2", "/notes.unknown": "application/octet-stream", "/app.webmanifest": "application/manifest+json",
	} {
		h := ask("GET", path).Header()
		if got := h.Get("Content-Type"); got != want || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "no-referrer" ||
			h.Get("Cross-Origin-Opener-Policy") != "same-origin" {
			t.Errorf("%s: %q, want %q: %v", path, got, want, h)
		}
		policy := h.Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; ", "connect-src 'self'; ", "frame-ancestors 'none'"} {
			if !strings.Contains(policy, part) {
				t.Errorf("%s: %q lacks %q", path, policy, part)
			}
		}
	}
}

// hashOf is how a policy names a script that stands in a document.
func hashOf(script string) string {
	sum := sha256.Sum256([]byte(script))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// Scripts that stand in a document are allowed as they are, and no others. Where everybody signs in, ours runs before all of them.
func TestScriptsOfASite(t *testing.T) {
	t.Parallel()
	const ours = `<script src="/client/credentials.js"></script>`
	cases := map[string]struct {
		document string // | is where our script goes
		inline   []string
	}{
		"no script":            {"|<p>Nothing</p>", nil},
		"a script that loads":  {`<html><head>|<script src="/a.js"></script></head></html>`, nil},
		"one that stands here": {`<head lang="en">|<title>x</title><script>go(1 < 2)</script>`, []string{"go(1 < 2)"}},
		"several": {
			`<HEAD>|<SCRIPT type="module">one()</SCRIPT></HEAD><body><script async src=b.js></script><script>two()</script>`,
			[]string{"one()", "two()"},
		},
		"no head":           {`<!doctype html><title>x</title>|<script>go()</script>`, []string{"go()"}},
		"only a text":       {`<!doctype html>|<title>x</title>`, nil},
		"a text of a page":  {`<!doctype html><html lang="en">|<title>x</title>`, nil},
		"before the head":   {`<html>|<script>go()</script><head></head>`, []string{"go()"}},
		"an empty one":      {`<head>|<script></script><script>go()</script>`, []string{"go()"}},
		"in a comment":      {`<!-- <head><script>no()</script> --><head>|<script>go()</script>`, []string{"go()"}},
		"in a text":         {`<title><script>no()</script></title>|<script>go()</script>`, []string{"go()"}},
		"lines of Windows":  {"<head>|<script>\r\ngo()\r\n</script>", []string{"\ngo()\n"}},
		"signs as they are": {`<head>|<script>go("&amp;")</script>`, []string{`go("&amp;")`}},
		"header is no head": {`<header></header>|<script>go()</script>`, []string{"go()"}},
		"a map of imports":  {`<head>|<script type="importmap">{}</script><script type="module" src="/a.js"></script>`, []string{"{}"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plain := strings.Replace(c.document, "|", "", 1)
			dir := write(t, map[string]string{"index.html": plain})
			policy := "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'"
			for _, script := range c.inline {
				policy += " " + hashOf(script)
			}
			for open, want := range map[bool]string{true: plain, false: strings.Replace(c.document, "|", ours, 1)} {
				response := serving(t, dir, open)("GET", "/")
				if got := response.Body.String(); got != want {
					t.Errorf("open %v: %q, want %q", open, got, want)
				}
				if got := response.Header().Get("Content-Security-Policy"); !strings.HasPrefix(got, policy+"; style-src ") {
					t.Errorf("open %v: %q, want %q", open, got, policy)
				}
			}
		})
	}
}

// A folder that is no client's build, or leads elsewhere, is refused by a sentence that names it.
func TestFoldersThatAreNoSite(t *testing.T) {
	t.Parallel()
	with := func(name string, f func(path string) error) func(t *testing.T) string {
		return func(t *testing.T) string {
			t.Helper()
			dir := write(t, siteFiles)
			if err := f(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
			return dir
		}
	}
	link := func(to string) func(string) error { return func(path string) error { return os.Symlink(to, path) } }
	file := func(path string) error { return os.WriteFile(path, nil, 0o644) }
	cases := map[string]struct {
		dir  func(t *testing.T) string
		want string // part of the sentence
	}{
		"no folder":              {func(*testing.T) string { return filepath.Join("nowhere", "dist") }, "no such file"},
		"no index":               {with("index.html", os.Remove), "there is no index.html"},
		"an index that is none":  {with("index.html", func(path string) error { return os.Rename(path, path+".bak") }), "there is no index.html"},
		"a file":                 {func(t *testing.T) string { return filepath.Join(write(t, siteFiles), "index.html") }, "not a directory"},
		"a link out":             {with("passwords.txt", link("/etc/passwd")), "passwords.txt leads to no file of the folder"},
		"a link up":              {with("up.txt", link("../../up.txt")), "up.txt leads to no file of the folder"},
		"a link to a folder out": {with("etc", link("/etc")), "etc leads to no file of the folder"},
		"a link to a folder":     {with("more", link("assets")), "more is neither a file nor a folder"},
		"a link to itself":       {with("round", link("round")), "round leads to no file of the folder"},
		"a pipe":                 {with("pipe", func(path string) error { return syscall.Mkfifo(path, 0o644) }), "pipe is neither a file"},
		"a path of ours":         {with("api", file), "api is where the server has paths"},
		"our page's path":        {with("app", func(path string) error { return os.Mkdir(path, 0o755) }), "app is where the server has paths"},
		"too much": {with("big", func(path string) error {
			if err := file(path); err != nil {
				return err
			}
			return os.Truncate(path, 128<<20)
		}), "more than 128 MB"},
		"too many": {with("many", func(path string) error {
			if err := os.Mkdir(path, 0o755); err != nil {
				return err
			}
			for i := range 10_000 {
				if err := file(filepath.Join(path, strconv.Itoa(i))); err != nil {
					return err
				}
			}
			return nil
		}), "more than 10000 files"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := c.dir(t)
			if _, err := web.ReadSite(dir, true); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), dir) {
				t.Errorf("%v, want %q and the folder", err, c.want)
			}
		})
	}
}

// Links within the folder are followed, also that to the folder itself, and what happens to it later changes nothing.
func TestSiteIsReadOnce(t *testing.T) {
	t.Parallel()
	dir := write(t, siteFiles)
	current := filepath.Join(t.TempDir(), "current")
	// As Kubernetes lays files out: a folder for each state, a link to the newest one, and links through that.
	newest := filepath.Join(dir, "..2026")
	for _, err := range []error{
		os.Symlink("robots.txt", filepath.Join(dir, "humans.txt")), os.Symlink(dir, current),
		os.Mkdir(newest, 0o755), os.WriteFile(filepath.Join(newest, "settings.json"), []byte("{}"), 0o644),
		os.Symlink("..2026", filepath.Join(dir, "..data")), os.Symlink("..data/settings.json", filepath.Join(dir, "settings.json")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	ask := serving(t, current, true)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"/": siteIndex, "/humans.txt": siteFiles["robots.txt"], "/settings.json": "{}"} {
		if got := ask("GET", path).Body.Bytes(); !bytes.Equal(got, []byte(want)) {
			t.Errorf("%s: %s", path, got)
		}
	}
}

// Pages are pages by whatever their files are called.
func TestPagesByAnyName(t *testing.T) {
	t.Parallel()
	names := []string{"UP.HTML", "page.htm", "page.xhtml", "page.XHT"}
	files := map[string]string{"index.html": "<!doctype html><head></head>"}
	for _, name := range names {
		files[name] = "<html><head></head></html>"
	}
	site, err := web.ReadSite(write(t, files), false)
	if err != nil {
		t.Fatal(err)
	}
	pages := web.New(site, false)
	for _, name := range names {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/"+name, nil)
		w := httptest.NewRecorder()
		pages.ServeHTTP(w, r)
		if kind := w.Header().Get("Content-Type"); !pages.IsPage(r) || !strings.Contains(kind, "html") {
			t.Errorf("%s is no page: %s", name, kind)
		}
	}
}
