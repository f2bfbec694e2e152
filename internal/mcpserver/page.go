package mcpserver

import (
	_ "embed" // for the texts
	"encoding/base64"
	"html/template"
	"net/http"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// instructions are what every model reads before the tools. At most 1,200 characters.
//
//go:embed instructions.txt
var instructions string

// cake is a layered cake.
const cake = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><path fill="#b45309" d="M2 11h12v3H2z"/>` +
	`<path fill="#f59e0b" d="M3 7h10v3H3z"/><path fill="#f472b6" d="M4 3h8v3H4z"/></svg>`

// icon comes with every result, and is encoded in the shortest way that clients take for a URI.
var icon = mcp.Icon{
	Source: "data:image/svg+xml;base64," + base64.StdEncoding.EncodeToString([]byte(cake)), MIMEType: "image/svg+xml", Sizes: []string{"any"},
}

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

// servePage tells a person who opened the address in a browser what to do with it.
func servePage(w http.ResponseWriter, r *http.Request) {
	scheme := "http"
	if r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" {
		scheme = "https"
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_ = page.Execute(w, scheme+"://"+r.Host+"/mcp") // its only error is a client that went away
}
