package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"
)

// mediaTypes are those of what builds make, by the ends of names. (What package mime says depends on the machine.)
var mediaTypes = map[string]string{
	".html": "text/html; charset=utf-8", ".htm": "text/html; charset=utf-8",
	".xhtml": "application/xhtml+xml", ".xht": "application/xhtml+xml", ".css": "text/css; charset=utf-8",
	".js": "text/javascript; charset=utf-8", ".mjs": "text/javascript; charset=utf-8", ".wasm": "application/wasm",
	".json": "application/json", ".map": "application/json", ".webmanifest": "application/manifest+json",
	".txt": "text/plain; charset=utf-8", ".csv": "text/csv; charset=utf-8", ".xml": "text/xml; charset=utf-8",
	".svg": "image/svg+xml", ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif",
	".webp": "image/webp", ".avif": "image/avif", ".ico": "image/x-icon",
	".woff": "font/woff", ".woff2": "font/woff2", ".ttf": "font/ttf", ".otf": "font/otf",
	".mp3": "audio/mpeg", ".mp4": "video/mp4", ".webm": "video/webm", ".pdf": "application/pdf", ".tgz": "application/gzip",
}

// How long browsers keep a file.
const (
	askAgain = "no-cache"
	keep     = "max-age=31536000, immutable" // for names that change with the contents
)

// file is a file as it is sent; nil is one that is not there.
type file struct {
	content   []byte
	gzipped   func() []byte // returns nil where it would not be smaller
	mediaType string
	tag       string // entity tag
	policy    string // Content-Security-Policy
	caching   string // Cache-Control
}

// newFile returns a file whose type is that of its name. It is compressed once, when somebody first asks for it.
func newFile(name string, content []byte, policy, caching string) *file {
	f := &file{content: content, mediaType: typeOf(name), policy: policy, caching: caching, tag: `"` + hash(content) + `"`}
	f.gzipped = sync.OnceValue(func() []byte {
		if packed := compress(content); len(packed) < len(content)*9/10 {
			return packed
		}
		return nil
	})
	return f
}

func hash(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:16])
}

func compress(content []byte) []byte {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // the level is one that there is
	_, _ = w.Write(content)                               // writing into memory does not fail
	_ = w.Close()
	return b.Bytes()
}

// typeOf returns the media type of a file, by its name in any case.
func typeOf(name string) string {
	if known := mediaTypes[strings.ToLower(path.Ext(name))]; known != "" {
		return known
	}
	return "application/octet-stream"
}

// isMarkup reports whether a media type is that of pages.
func isMarkup(mediaType string) bool {
	return strings.HasPrefix(mediaType, "text/html") || mediaType == "application/xhtml+xml"
}

func (f *file) isHTML() bool { return isMarkup(f.mediaType) }

// serve answers with the file, whole or a range of it, unless the browser has it.
func (f *file) serve(w http.ResponseWriter, r *http.Request) {
	if f == nil || !isRead(r) {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", f.mediaType)
	h.Set("Content-Security-Policy", f.policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", f.caching)
	content, tag := f.content, f.tag
	if packed := f.gzipped(); packed != nil {
		h.Add("Vary", "Accept-Encoding")
		if acceptsGzip(r) {
			h.Set("Content-Encoding", "gzip")
			content, tag = packed, strings.TrimSuffix(tag, `"`)+`-gzip"`
		}
	}
	h.Set("ETag", tag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
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
