package files

import (
	"bufio"
	"net/http"
	"path"
	"strings"
	"time"

	"layercake/internal/budget"
	"layercake/internal/caller"
	"layercake/internal/fault"
	"layercake/internal/ingest"
	"layercake/internal/source"
)

// mediaOf are the media types of files, by format. A file is what somebody sent, in whichever encoding, so none is stated.
var mediaOf = map[ingest.Format]string{ingest.CSV: "text/csv", ingest.TSV: "text/tab-separated-values", ingest.JSON: "application/json"}

// downloadMemory is what a download of a file takes: a chunk, and what is written of it.
const downloadMemory = 1 << 20

func (h *Handler) source(r *http.Request) (source.Source, error) {
	id, err := pathID(r, source.ErrNotFound)
	if err != nil {
		return source.Source{}, err
	}
	access, err := h.rights.Source(r.Context(), caller.Principal(r.Context(), ""), id)
	if err != nil {
		return source.Source{}, err
	}
	return h.sources.Get(r.Context(), access, id)
}

// downloadRaw sends the file of a source, byte for byte, or a range of it.
func (h *Handler) downloadRaw(w *pacedAnswer, r *http.Request) error {
	src, err := h.source(r)
	if err != nil {
		return err
	}
	if err := budget.From(r.Context()).Take(r.Context(), downloadMemory); err != nil {
		return err
	}
	file := h.sources.Open(r.Context(), src) // it holds nothing that is to be closed
	if err := file.Check(); err != nil {     // while a status can still say so
		return err
	}
	attach(w, src.Filename, mediaOf[src.Format])
	w.Header().Set("Etag", `"`+src.SHA256+`"`)
	http.ServeContent(w, r, "", time.Time{}, file)
	return nil
}

// downloadJSON sends what a source holds as graphJson shows it.
func (h *Handler) downloadJSON(w *pacedAnswer, r *http.Request) error {
	src, err := h.source(r)
	if err != nil {
		return err
	}
	if src.Status != source.StatusActive {
		return fault.New(fault.BadRequest, "The data source cannot be used").With("detail", *src.ErrorMessage)
	}
	if err := budget.From(r.Context()).Take(r.Context(), parsingMemory); err != nil {
		return err
	}
	attach(w, strings.TrimSuffix(src.Filename, path.Ext(src.Filename))+".json", "application/json")
	if r.Method == http.MethodHead {
		return nil
	}
	buffered := bufio.NewWriterSize(w, pieceSize) // what fails before it is full has a status
	if err := h.sources.WriteJSON(r.Context(), buffered, src); err != nil {
		return err
	}
	return buffered.Flush()
}
