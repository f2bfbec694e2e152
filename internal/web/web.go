// Package web serves the page for people, the client that it is built with, and a client of somebody else.
//
// The page and its client are built from src by `make web` into dist, which is committed: building the server needs no Node.
package web

import (
	"embed"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
)

//go:embed dist
var dist embed.FS

// The names of what has a policy of its own. The build gives the worker its name.
const (
	index        = "/index.html"
	graphiQL     = "/graphiql.html"
	layoutWorker = "/assets/layout.worker-"
)

// policyOf returns the Content-Security-Policy of a file: nothing from elsewhere, nothing inline, and no text that becomes a script.
func policyOf(name string) string {
	switch {
	case strings.HasPrefix(name, layoutWorker): // Graphviz is WebAssembly; a worker has the policy that it came with
		return "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'"
	case name == graphiQL: // its editor makes styles and HTML
		return "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; " +
			"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	}
	return "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; " +
		"worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
		"require-trusted-types-for 'script'; trusted-types layercake"
}

// The first elements of paths that other handlers have, or may have one day: no screen and no file of a site is below them.
var reserved = []string{
	"graphql", "ws", "mcp", "api", "client", "health", "login", "oidc", "ops", "schema.graphql", ".well-known", "metrics", "debug",
}

func isReserved(name string) bool { return slices.Contains(reserved, first(name)) }

// first returns the first element of a path.
func first(name string) string {
	element, _, _ := strings.Cut(strings.TrimPrefix(name, "/"), "/")
	return element
}

// shared returns the files of dist by their paths, but for its HTML. All Pages of the process share them, and what is compressed of them.
var shared = sync.OnceValue(func() map[string]*file {
	found := map[string]*file{}
	err := fs.WalkDir(dist, "dist", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || path.Ext(name) == ".html" {
			return err
		}
		at, caching := strings.TrimPrefix(name, "dist"), askAgain
		if strings.HasPrefix(at, "/assets/") {
			caching = "public, " + keep
		}
		found[at] = newFile(at, read(at), policyOf(at), caching)
		return nil
	})
	if err != nil {
		panic(err) // the files are part of the program
	}
	return found
})

// read returns a file of dist.
func read(name string) []byte {
	content, err := dist.ReadFile("dist" + name)
	if err != nil {
		panic(err) // the files are part of the program
	}
	return content
}

// Hash returns the hash of the index page as it was built, which names all other files. It is served with its hash, so a page that is open
// can tell that there is another one.
func Hash() string { return hash(read(index)) }

// Pages serves what browsers show: our page, and a site where there is one. Make it with New.
type Pages struct {
	base     string // of the paths of our page
	files    map[string]*file
	graphiQL *file
	site     *Site // nil for none
}

// New returns the pages of a server. A site, nil for none, has all paths that nobody else has, and our page lies below /app then. Where the
// server is not open there is no GraphiQL.
func New(site *Site, open bool) *Pages {
	p := &Pages{files: map[string]*file{}, site: site}
	if site != nil {
		p.base = "/app"
	}
	for name, f := range shared() {
		switch {
		case strings.HasPrefix(name, "/client/"):
			p.files[name] = f
		case strings.HasPrefix(name, opsAssets): // nobody administers where clients are
		case open || !strings.HasPrefix(name, "/assets/graphiql"):
			p.files[p.base+name] = f
		}
	}
	p.files[p.base+index] = p.document(index, `<meta name="page" content="`+Hash()+`" />`)
	if open {
		p.graphiQL = p.document(graphiQL, "")
		p.files[p.base+graphiQL] = p.graphiQL
	}
	p.files[credentials] = newFile(credentials, credentialsScript, policyOf(credentials), askAgain)
	return p
}

// document returns HTML of dist with something at the beginning of its head. The build names its files from its folder, wherever that lies;
// browsers look for them from the address that they show.
func (p *Pages) document(name, head string) *file {
	content := strings.NewReplacer(`="./`, `="`+p.base+`/`, `="/`, `="`+p.base+`/`, "<head>", "<head>"+head).Replace(string(read(name)))
	return newFile(name, []byte(content), policyOf(name), askAgain)
}

// IsPage reports whether the answer to a request is a page. Where everybody signs in, only who did so gets it.
func (p *Pages) IsPage(r *http.Request) bool {
	f := p.find(r)
	return isRead(r) && f != nil && f.isHTML()
}

// find returns what the answer is: a file, the page where a browser asks for an address of its, or nil for nothing.
func (p *Pages) find(r *http.Request) *file {
	rest, ours := p.ours(r)
	if !ours {
		return p.site.find(r)
	}
	if f := p.files[path.Clean(r.URL.Path)]; f != nil {
		return f
	}
	if rest == "" || rest == "/" || wantsHTML(r) && first(rest) != "assets" && !isReserved(rest) {
		return p.files[p.base+index]
	}
	return nil
}

// ours reports whether a request is for something of our page, and returns its path from there.
func (p *Pages) ours(r *http.Request) (rest string, ours bool) {
	if p.site == nil || first(r.URL.Path) == "client" {
		return r.URL.Path, true
	}
	if rest, ok := strings.CutPrefix(r.URL.Path, p.base); ok && (rest == "" || rest[0] == '/') {
		return rest, true
	}
	return "", false
}

// isRead reports whether a request only asks for something.
func isRead(r *http.Request) bool { return r.Method == http.MethodGet || r.Method == http.MethodHead }

// wantsHTML reports whether a request comes from a browser that goes to an address.
func wantsHTML(r *http.Request) bool {
	return isRead(r) && strings.Contains(r.Header.Get("Accept"), "text/html")
}

// ServeHTTP answers with a file, or with the page where a browser asks for an address of its.
func (p *Pages) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.find(r).serve(w, r) }

// ServeGraphiQL answers with GraphiQL, a page that shares nothing with ours. It is there only where the server is open.
func (p *Pages) ServeGraphiQL(w http.ResponseWriter, r *http.Request) { p.graphiQL.serve(w, r) }
