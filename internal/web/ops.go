package web

import (
	"net/http"
	"strings"
	"sync"
)

// OpsPath is the address of the page for operators. It is served beside the metrics only, never where clients are.
const OpsPath = "/ops"

// Where its files are in dist.
const (
	opsIndex  = "/ops.html"
	opsAssets = "/assets/ops/"
)

// opsPages are the page for operators and the files that it is made of.
var opsPages = sync.OnceValue(func() *Pages {
	p := &Pages{base: OpsPath, files: map[string]*file{}}
	for name, f := range shared() {
		if strings.HasPrefix(name, opsAssets) || name == "/icon.svg" {
			p.files[OpsPath+name] = f
		}
	}
	p.files[OpsPath] = p.document(opsIndex, "")
	return p
})

// ServeOps answers with the page for operators, and with its files below it.
func ServeOps(w http.ResponseWriter, r *http.Request) {
	opsPages().files[strings.TrimSuffix(r.URL.Path, "/")].serve(w, r)
}
