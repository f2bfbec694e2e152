package server_test

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"layercake/internal/server"
	"layercake/internal/server/servertest"
)

// The smallest client that somebody may have built.
const siteIndex = `<!doctype html><title>Another client</title><script type="module" src="/assets/index-BX1k2a9c.js"></script>`

// siteFolder is the folder of a built client.
func siteFolder(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, content := range map[string]string{"index.html": siteIndex, "assets/index-BX1k2a9c.js": "go()", "robots.txt": "User-agent: *"} {
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

// Another client has / and every address that nobody else has. Where everybody signs in, its pages are for those who did, its files for all.
func TestAnotherClient(t *testing.T) {
	t.Parallel()
	dir := siteFolder(t)
	start := func(open bool) string {
		return servertest.Start(t, 1, func(c *server.Config) { c.Open, c.Registration, c.WebDir = open, "open", dir })[0].URL
	}
	open, required := start(true), start(false)
	ann := registered(t, required, "ann")
	const (
		browser = "Accept: text/html,*/*;q=0.8"
		program = "Accept: */*"
		own     = "Sec-Fetch-Site: same-origin"
		foreign = "Sec-Fetch-Site: cross-site"
	)
	cookie, ended := "Cookie: layercake="+ann.secret, "Cookie: layercake="+strings.Repeat("x", len(ann.secret))
	withOurs := strings.Replace(siteIndex, "<script", `<script src="/client/credentials.js"></script><script`, 1)
	cases := map[string]struct {
		at, path string
		headers  []string
		status   int
		body     string // "" for any
	}{
		"open: the index":                       {open, "/", []string{browser}, 200, siteIndex},
		"open: a screen":                        {open, "/projects/7", []string{browser}, 200, siteIndex},
		"open: a file":                          {open, "/assets/index-BX1k2a9c.js", []string{program}, 200, "go()"},
		"open: our page":                        {open, "/app/projects/7", []string{browser}, 200, ""},
		"open: a link from elsewhere":           {open, "/projects/7", []string{browser, foreign, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}, 200, siteIndex},
		"open: a frame elsewhere":               {open, "/projects/7", []string{browser, foreign, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"}, 403, ""},
		"open: a script elsewhere":              {open, "/assets/index-BX1k2a9c.js", []string{program, foreign}, 403, ""},
		"open: below another handler":           {open, "/graphql/nothing", []string{browser}, 404, ""},
		"required: a link to signing in":        {required, "/login?return=%2F", []string{browser, foreign, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}, 200, ""},
		"required: the index":                   {required, "/", []string{browser}, 303, ""},
		"required: the index, to a program":     {required, "/", []string{program}, 303, ""},
		"required: the index by its name":       {required, "/index.html", []string{program}, 303, ""},
		"required: a screen":                    {required, "/projects/7?a=1", []string{browser}, 303, ""},
		"required: our page":                    {required, "/app/projects/7", []string{browser}, 303, ""},
		"required: by what is no session":       {required, "/projects/7", []string{browser, own, ended}, 303, ""},
		"required: by a cookie, from elsewhere": {required, "/projects/7", []string{browser, cookie, foreign, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}, 200, withOurs},
		"required: a browser that says nothing": {required, "/projects/7", []string{browser, cookie}, 200, withOurs},
		"required: our page, from elsewhere":    {required, "/app/projects/7", []string{browser, cookie, foreign, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}, 200, ""},
		"required: our page, to a program":      {required, "/app/", []string{program}, 303, ""},
		"required: our page by its name":        {required, "/app/index.html", []string{program}, 303, ""},
		"required: signed in":                   {required, "/projects/7", []string{browser, own, cookie}, 200, withOurs},
		"required: signed in, our page":         {required, "/app/projects/7", []string{browser, own, cookie}, 200, ""},
		"required: a file":                      {required, "/assets/index-BX1k2a9c.js", []string{program}, 200, "go()"},
		"required: our script":                  {required, "/client/credentials.js", []string{program}, 200, ""},
		"required: GraphiQL":                    {required, "/app/graphiql.html", []string{program}, 404, ""},
		"required: what is missing":             {required, "/assets/index-before.js", []string{program}, 404, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := sent(t, c.at, http.MethodGet, c.path, "", c.headers...)
			if got.status != c.status || c.body != "" && got.body != c.body {
				t.Errorf("%d %s, want %d %s", got.status, got.body, c.status, c.body)
			}
			if got, want := got.header.Get("Location"), "/login?return="+url.QueryEscape(c.path); c.status == 303 && got != want {
				t.Errorf("it leads to %q, want %q", got, want)
			}
			if caching := got.header.Get("Cache-Control"); c.at == required && strings.HasPrefix(caching, "public") && !strings.HasPrefix(c.path, "/app/") {
				t.Errorf("kept by %q", caching)
			}
		})
	}
}

// Requests of another client that carry the cookie are believed only where they come from a page of this server.
func TestAnotherClientCarriesTheCookie(t *testing.T) {
	t.Parallel()
	dir := siteFolder(t)
	at := servertest.Start(t, 1, func(c *server.Config) { c.Open, c.Registration, c.WebDir = false, "open", dir })[0].URL
	cookie := "Cookie: layercake=" + registered(t, at, "ann").secret
	for origin, want := range map[string]int{at: 200, "http://127.0.0.1:1": 403, "http://elsewhere.example": 403, "null": 403} {
		got := sent(t, at, http.MethodPost, "/graphql", `{"query":"{ me { username } }"}`,
			"Content-Type: application/json", "Origin: "+origin, cookie)
		if got.status != want || want == 200 && got.body != `{"data":{"me":{"username":"ann"}}}` {
			t.Errorf("from %s: %d %s", origin, got.status, got.body)
		}
	}
}

// A folder that is no client's is a reason not to start, and the sentence names setting and folder.
func TestFolderThatIsNoClient(t *testing.T) {
	t.Parallel()
	empty, linked := t.TempDir(), siteFolder(t)
	if err := os.Symlink("/etc/passwd", filepath.Join(linked, "passwords.txt")); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]string{empty: "there is no index.html in it", linked: "passwords.txt leads to no file of the folder"} {
		// There is no database: the folder is looked at first.
		err := servertest.Fails(t, "postgres://nowhere.invalid/none", func(c *server.Config) { c.WebDir = dir })
		if err == nil || !strings.HasPrefix(err.Error(), "LAYERCAKE_WEB_DIR") || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
