package files

import (
	"bufio"
	"net/http"
	"net/url"
	"time"

	"layercake/internal/budget"
	"layercake/internal/caller"
	"layercake/internal/executor"
	"layercake/internal/export"
	"layercake/internal/fault"
	"layercake/internal/project"

	"github.com/go-chi/chi/v5"
)

// buildWait is how long a request waits for builds: balancers cut silent requests after 30 s.
const buildWait = 25 * time.Second

// output sends the file of an OutputNode, or with ?format= that of the graph of another node. Unless the query has execute=false, what is
// stale is built first. Its name and type are those of the node, and any size is sent as it is written.
func (h *Handler) output(w *pacedAnswer, r *http.Request) error {
	projectID, err := pathID(r, project.ErrNotFound)
	if err != nil {
		return err
	}
	query := r.URL.Query()
	execute := query.Get("execute")
	if execute != "" && execute != "true" && execute != "false" {
		return fault.New(fault.BadRequest, "execute is true or false").With("detail", execute)
	}
	if err := budget.From(r.Context()).Take(r.Context(), downloadMemory); err != nil {
		return err
	}
	nodeID := chi.URLParam(r, "node")
	if r.URL.RawPath != "" { // the router has matched it, not the decoded path
		if nodeID, err = url.PathUnescape(nodeID); err != nil {
			return fault.New(fault.BadRequest, "The path is not well escaped").With("detail", chi.URLParam(r, "node"))
		}
	}
	access, err := h.rights.Project(r.Context(), caller.Principal(r.Context(), query.Get("client_id")), projectID)
	if err != nil {
		return err
	}
	output, err := h.executor.Output(r.Context(), access, nodeID, executor.OutputRequest{
		Request: executor.Request{OpID: query.Get("op_id"), ClientID: query.Get("client_id"), Via: caller.Files, Wait: buildWait},
		Execute: execute != "false" && r.Method != http.MethodHead,
		Format:  export.Format(query.Get("format")),
	})
	if err != nil {
		return err
	}
	attach(w, output.Filename, output.MIMEType)
	if r.Method == http.MethodHead {
		return nil
	}
	w.output = true
	buffered := bufio.NewWriterSize(w, pieceSize) // what fails before it is full has a status
	if err := output.Write(r.Context(), buffered); err != nil {
		return err
	}
	return buffered.Flush()
}
