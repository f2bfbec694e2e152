package web

import (
	"bytes"
	"embed"
	"net/http"
	"path"
	"time"
)

//go:embed login
var loginFiles embed.FS

// LoginPath is the address of the page by which people sign in, for whichever client they use.
const LoginPath = "/login"

// loginPolicy lets the page load its own files and ask its own server, and nothing else.
const loginPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; " +
	"frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// ServeLogin answers with the page for signing in and out, and with its files below it.
func ServeLogin(w http.ResponseWriter, r *http.Request) {
	name := path.Clean(r.URL.Path)
	if name == LoginPath {
		name = "/login/login.html"
	}
	content, err := loginFiles.ReadFile(name[1:])
	if err != nil || !isRead(r) {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", mediaTypes[path.Ext(name)])
	h.Set("Content-Security-Policy", loginPolicy)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", `"`+hash(content)+`"`)
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(content))
}
