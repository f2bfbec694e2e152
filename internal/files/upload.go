package files

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"mime/multipart"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"

	"layercake/internal/budget"
	"layercake/internal/caller"
	"layercake/internal/fault"
	"layercake/internal/ingest"
	"layercake/internal/plan"
	"layercake/internal/project"
	"layercake/internal/source"
)

const (
	// formSize is what a form may have beside the bytes of its files.
	formSize = 1 << 20
	maxField = 16 << 10
	// parsingMemory is what it takes to parse a file while it comes or goes. BenchmarkUpload of package source measures it, with garbage.
	parsingMemory = 32 << 20
)

// upload stores the files of a form, which is read part by part.
func (h *Handler) upload(w *pacedAnswer, r *http.Request) error {
	projectID, err := pathID(r, project.ErrNotFound)
	if err != nil {
		return err
	}
	in, done, err := h.receive(w, r)
	if err != nil {
		return err
	}
	defer done()
	access, err := h.rights.Project(r.Context(), caller.Principal(r.Context(), in.request.ClientID), projectID)
	if err != nil {
		return err
	}
	sources, result, err := h.sources.Receive(r.Context(), access, uploads(in.form), in.request)
	if err = h.cause(in, err); err != nil {
		return err
	}
	records := make([]record, len(sources))
	for i, src := range sources {
		records[i] = recordOf(src)
	}
	nodes := make([]string, len(result.Nodes))
	for i, node := range result.Nodes {
		nodes[i] = node.ID
	}
	writeJSON(w, http.StatusCreated, map[string]any{"dataSources": records, "nodeIds": nodes, "version": result.At.Version})
	return nil
}

// replace puts the file of a form in the place of that of a source, which keeps its id, its name and what it holds.
func (h *Handler) replace(w *pacedAnswer, r *http.Request) error {
	id, err := pathID(r, source.ErrNotFound)
	if err != nil {
		return err
	}
	in, done, err := h.receive(w, r)
	if err != nil {
		return err
	}
	defer done()
	access, err := h.rights.Source(r.Context(), caller.Principal(r.Context(), in.request.ClientID), id)
	if err != nil {
		return err
	}
	part, err := in.form.NextPart()
	if err != nil || part.FormName() != "file" {
		return h.cause(in, fault.New(fault.BadRequest, "The form of a file that replaces another has one part, \"file\""))
	}
	filename := filenameOf(part)
	src, err := h.sources.Change(r.Context(), access, id, source.Update{Filename: &filename, Content: part}, in.request)
	if err = h.cause(in, err); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]any{"dataSources": []record{recordOf(src)}})
	return nil
}

// browserEscapes are what browsers write in the place of characters that would end the name of a file in a form. They write nothing else
// so, not even a per cent sign.
var browserEscapes = strings.NewReplacer("%22", `"`, "%0D", "\r", "%0A", "\n")

// filenameOf returns the name that a file of a form has where it comes from.
func filenameOf(part *multipart.Part) string { return browserEscapes.Replace(part.FileName()) }

// incoming is a form that is read part by part while it comes, and how its files are to be taken.
type incoming struct {
	body    *pacedBody
	form    *multipart.Reader
	request source.Request
}

// cause returns why a form was not taken: that it stopped coming explains every other error.
func (h *Handler) cause(in incoming, err error) error {
	if in.body.err != nil {
		return h.broken(in.body.err)
	}
	return err
}

// receive begins to take the form of a request, once it has a turn and memory. done gives the turn back.
func (h *Handler) receive(w http.ResponseWriter, r *http.Request) (in incoming, done func(), err error) {
	if r.ContentLength > h.maxUpload+formSize {
		return in, nil, source.TooLarge(h.maxUpload)
	}
	in.body = h.paceBody(w, r)
	r.Body = io.NopCloser(in.body)
	if in.form, err = r.MultipartReader(); err != nil {
		return in, nil, refused(http.StatusUnsupportedMediaType, "Content-Type must be multipart/form-data, with a part \"file\"")
	}
	if in.request, err = requestOf(r); err != nil {
		return in, nil, err
	}
	select {
	case h.turns <- struct{}{}:
	default:
		return in, nil, fault.New(fault.RateLimited, fmt.Sprintf("This server takes %d uploads at once, try again", cap(h.turns)))
	}
	done = func() { <-h.turns }
	if err := budget.From(r.Context()).Take(r.Context(), parsingMemory); err != nil {
		done()
		return in, nil, err
	}
	return in, done, nil
}

// requestOf returns how the query says that files are to be taken.
func requestOf(r *http.Request) (source.Request, error) {
	query := r.URL.Query()
	request := source.Request{OpID: query.Get("op_id"), ClientID: query.Get("client_id"), Via: caller.Files}
	switch keep := query.Get("keep_bad"); keep {
	case "", "true":
	case "false":
		request.AllOrNone = true
	default:
		return request, fault.New(fault.BadRequest, "keep_bad is true or false").With("detail", keep)
	}
	return request, nil
}

// broken is why the rest of a body did not come.
func (h *Handler) broken(err error) error {
	switch {
	case errors.As(err, new(*http.MaxBytesError)):
		return source.TooLarge(h.maxUpload)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return refused(http.StatusRequestTimeout, fmt.Sprintf("The upload came too slowly: at least %d kB must come in every %v",
			h.pace.BodyBytes>>10, h.pace.BodyTime))
	}
	return refused(http.StatusBadRequest, "The upload did not arrive")
}

// uploads returns the files of a form, each with the fields that come before it and after the file before. Fields after the last file are
// refused, because nobody would see that they had no effect.
func uploads(form *multipart.Reader) iter.Seq2[source.Upload, error] {
	return func(yield func(source.Upload, error) bool) {
		var next source.Upload
		files := false
		for {
			part, err := form.NextPart()
			if errors.Is(err, io.EOF) {
				if files && next != (source.Upload{}) {
					yield(next, fault.New(fault.BadRequest, "The form has fields after its last file: send the fields of a file before it"))
				}
				return
			}
			if err == nil && part.FormName() == "file" {
				next.Filename, next.Content = filenameOf(part), part
				if !yield(next, nil) {
					return
				}
				next, files = source.Upload{}, true
				continue
			}
			if err == nil {
				err = setField(&next, part)
			} else {
				err = refused(http.StatusBadRequest, "The form cannot be read: it is no multipart/form-data, or ends too early")
			}
			if err != nil {
				yield(next, err)
				return
			}
		}
	}
}

// setField reads a field of a form.
func setField(u *source.Upload, part *multipart.Part) error {
	text, err := io.ReadAll(io.LimitReader(part, maxField+1))
	name := part.FormName()
	switch {
	case err != nil:
		return err
	case len(text) > maxField:
		return fault.New(fault.BadRequest, "A field of the form is too long").With("detail", map[string]any{"field": name, "limit": maxField})
	}
	switch value := string(text); name {
	case "name":
		u.Name = value
	case "description":
		u.Description = &value
	case "node":
		u.Node = value
	case "x", "y":
		if u.Place == nil {
			u.Place = new(plan.Position)
		}
		number, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return fault.New(fault.BadRequest, name+" is no number").With("detail", value)
		}
		if name == "x" {
			u.Place.X = number
		} else {
			u.Place.Y = number
		}
	case "data_type":
		u.Kind = ingest.Kind(strings.ToLower(strings.TrimSpace(value)))
		if !slices.Contains([]ingest.Kind{"", ingest.Nodes, ingest.Edges, ingest.Layers, ingest.Graph}, u.Kind) {
			return fault.New(fault.BadRequest, "The data_type is none of nodes, edges, layers and graph").With("detail", value)
		}
	default:
		return fault.New(fault.BadRequest, "The form has an unknown field").With("detail", name).
			With("known", []string{"name", "description", "data_type", "x", "y", "node", "file"})
	}
	return nil
}

// record is a data source as the answer to an upload shows it. Its names are those of GraphQL.
type record struct {
	ID           int32            `json:"id"`
	ProjectID    int32            `json:"projectId"`
	Name         string           `json:"name"`
	Description  *string          `json:"description"`
	Filename     string           `json:"filename"`
	FileFormat   ingest.Format    `json:"fileFormat"`
	DataType     ingest.Kind      `json:"dataType"`
	Status       string           `json:"status"`
	FileSize     int64            `json:"fileSize"`
	ContentHash  string           `json:"contentHash"`
	RowCount     int32            `json:"rowCount"`
	ProblemCount int32            `json:"problemCount"`
	Problems     []source.Problem `json:"problems"`
	ProcessedAt  *string          `json:"processedAt"`
	CreatedAt    string           `json:"createdAt"`
	UpdatedAt    string           `json:"updatedAt"`
}

func recordOf(src source.Source) record {
	r := record{
		ID: src.ID, ProjectID: src.ProjectID, Name: src.Name, Description: src.Description, Filename: src.Filename,
		FileFormat: src.Format, DataType: src.Kind, Status: src.Status, FileSize: src.Size, ContentHash: src.SHA256, RowCount: src.Rows,
		ProblemCount: src.ProblemCount, Problems: src.Problems,
		CreatedAt: plan.FormatTime(src.CreatedAt), UpdatedAt: plan.FormatTime(src.UpdatedAt),
	}
	if r.Problems == nil {
		r.Problems = []source.Problem{}
	}
	if src.ProcessedAt != nil {
		r.ProcessedAt = new(plan.FormatTime(*src.ProcessedAt))
	}
	return r
}
