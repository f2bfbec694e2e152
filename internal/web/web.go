// Package web serves the page for people, and the client that it is built with.
//
// Both are built from src by `make web` into dist, which is committed: building the server needs no Node.
package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

//go:embed dist
var dist embed.FS

// The names of what has a policy of its own. The build gives the worker its name.
const (
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

// apart are the first elements of paths that belong to other handlers, or that hold files: nothing below them is a screen of the page.
var apart = []string{"graphql", "ws", "mcp", "api", "client", "health", "assets"}

// mediaTypes are those of what a build makes, by the ends of names. (What package mime says depends on the machine.)
var mediaTypes = map[string]string{
	".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
	".svg": "image/svg+xml", ".tgz": "application/gzip",
}

// file is a file of dist, as it is sent.
type file struct {
	content, gzipped []byte // gzipped is nil where it would not be smaller
	mediaType        string
	tag              string // entity tag
}

// files returns the files of dist by their paths. They are compressed once in the life of the process, when somebody asks for one.
var files = sync.OnceValue(func() map[string]*file {
	found := map[string]*file{}
	err := fs.WalkDir(dist, "dist", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := dist.ReadFile(name)
		if err != nil {
			return err
		}
		tag := `"` + hash(content) + `"`
		if name == index {
			content = bytes.Replace(content, []byte("<head>"), []byte(`<head><meta name="page" content="`+Hash()+`" />`), 1)
		}
		f := &file{content: content, mediaType: mediaTypes[path.Ext(name)], tag: tag}
		if packed := compress(content); len(packed) < len(content)*9/10 {
			f.gzipped = packed
		}
		found[strings.TrimPrefix(name, "dist")] = f
		return nil
	})
	if err != nil {
		panic(err) // the files are part of the program
	}
	return found
})

func hash(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:16])
}

const index = "dist/index.html"

// Hash returns the hash of the index page as it was built, which names all other files. It is served with its hash, so a page that is open
// can tell that there is another one.
func Hash() string {
	content, err := dist.ReadFile(index)
	if err != nil {
		panic(err) // the files are part of the program
	}
	return hash(content)
}

func compress(content []byte) []byte {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // the level is one that there is
	_, _ = w.Write(content)                               // writing into memory does not fail
	_ = w.Close()
	return b.Bytes()
}

// IsPage reports whether a request comes from a browser that shows an address of the page.
func IsPage(r *http.Request) bool {
	if !isRead(r) || !strings.Contains(r.Header.Get("Accept"), "text/html") {
		return false
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	return !slices.Contains(apart, first)
}

// isRead reports whether a request only asks for something.
func isRead(r *http.Request) bool { return r.Method == http.MethodGet || r.Method == http.MethodHead }

// ServeHTTP answers with a file of dist, or with the page where a browser asks for an address of its.
func ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := path.Clean(r.URL.Path)
	if files()[name] == nil && IsPage(r) || name == "/" {
		name = "/index.html"
	}
	serve(w, r, name)
}

// ServeGraphiQL answers with GraphiQL, a page that shares nothing with ours.
func ServeGraphiQL(w http.ResponseWriter, r *http.Request) { serve(w, r, graphiQL) }

// serve answers with a file of dist.
func serve(w http.ResponseWriter, r *http.Request, name string) {
	f := files()[name]
	if f == nil || !isRead(r) {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", f.mediaType)
	h.Set("Content-Security-Policy", policyOf(name))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	if strings.HasPrefix(name, "/assets/") {
		h.Set("Cache-Control", "public, max-age=31536000, immutable") // the names change with the contents
	} else {
		h.Set("Cache-Control", "no-cache")
	}
	content, tag := f.content, f.tag
	if f.gzipped != nil {
		h.Add("Vary", "Accept-Encoding")
		if acceptsGzip(r) {
			h.Set("Content-Encoding", "gzip")
			content, tag = f.gzipped, strings.TrimSuffix(f.tag, `"`)+`-gzip"`
		}
	}
	h.Set("ETag", tag)
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(content))
}

// acceptsGzip reports whether a client takes gzip: it lists it, and not with the weight 0.
func acceptsGzip(r *http.Request) bool {
	for _, line := range r.Header.Values("Accept-Encoding") {
		for item := range strings.SplitSeq(line, ",") {
			coding, weight, weighted := strings.Cut(strings.ReplaceAll(item, " ", ""), ";q=")
			if strings.EqualFold(coding, "gzip") {
				return !weighted || strings.Trim(weight, "0.") != ""
			}
		}
	}
	return false
}
