package graph

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"layercake/internal/caller"
	"layercake/internal/fault"

	"github.com/vektah/gqlparser/v2/formatter"
)

// SDL returns the schema in the schema definition language, with its descriptions.
func SDL() string {
	var b strings.Builder
	formatter.NewFormatter(&b, formatter.WithIndent("  ")).FormatSchema(NewExecutableSchema(Config{}).Schema())
	return b.String()
}

// sdl is the schema as it is served, and its entity tag.
var sdl = sync.OnceValues(func() (text, tag string) {
	text = SDL()
	return text, fmt.Sprintf(`"%x"`, sha256.Sum256([]byte(text)))
})

// ServeSchema serves the SDL to whoever may execute operations. The next release may have another one, so caches ask again by its tag.
func ServeSchema(w http.ResponseWriter, r *http.Request) {
	if err := caller.From(r.Context()).Check(); err != nil {
		f := fault.From(err)
		http.Error(w, f.Message, caller.AnswerTo(f.Code).Status)
		return
	}
	text, tag := sdl()
	header := w.Header()
	header.Set("Content-Type", "text/plain; charset=utf-8") // a browser shows it
	header.Set("Cache-Control", "no-cache")
	header.Set("ETag", tag)
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(text))
}
