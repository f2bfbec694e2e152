// Package files serves uploads, downloads and outputs over HTTP.
//
// Bodies and answers may have any size, so nothing of them is kept, and each has deadlines that move as long as the client keeps a pace.
// Who is slower is cut off. Nobody holds a connection of the database while a client sends or takes.
package files

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"mime"
	"net/http"
	"strconv"
	"time"

	"layercake/internal/auth"
	"layercake/internal/budget"
	"layercake/internal/caller"
	"layercake/internal/executor"
	"layercake/internal/fault"
	"layercake/internal/source"

	"github.com/go-chi/chi/v5"
)

// Options is what a handler needs.
type Options struct {
	Rights    *auth.Rights
	Sources   *source.Service
	Executor  *executor.Service
	Budget    *budget.Budget
	MaxUpload int64 // bytes of an upload; 0 for source.DefaultMaxUpload
	Uploads   int   // uploads at once; 0 for 4
	Pace      Pace  // zero for DefaultPace
	Log       *slog.Logger
}

// Handler serves the routes of files.
type Handler struct {
	rights    *auth.Rights
	sources   *source.Service
	executor  *executor.Service
	budget    *budget.Budget
	maxUpload int64
	turns     chan struct{} // has one of each upload
	pace      Pace
	log       *slog.Logger
}

// New returns a handler.
func New(o Options) *Handler {
	return &Handler{
		rights:  o.Rights,
		sources: o.Sources, executor: o.Executor, budget: o.Budget, maxUpload: cmp.Or(o.MaxUpload, source.DefaultMaxUpload),
		turns: make(chan struct{}, cmp.Or(o.Uploads, 4)), pace: cmp.Or(o.Pace, DefaultPace), log: o.Log,
	}
}

// Routes adds the routes to a router.
func (h *Handler) Routes(r chi.Router) {
	r.Post("/api/projects/{id}/data-sources", h.answer(h.upload))
	r.Post("/api/data-sources/{id}/file", h.answer(h.replace))
	r.Get("/api/data-sources/{id}/download/raw", h.answer(h.downloadRaw))
	r.Get("/api/data-sources/{id}/download/json", h.answer(h.downloadJSON))
	r.Get("/api/projects/{id}/outputs/{node}", h.answer(h.output))
}

// answer makes a handler of a function that fails with the error that the client is told. Once the function has written something, the
// connection is broken instead, so that nobody takes a part for the whole.
func (h *Handler) answer(f func(*pacedAnswer, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		paced := h.paceAnswer(w)
		err := h.within(f, paced, r)
		switch {
		case err == nil:
		case paced.wrote:
			h.log.DebugContext(r.Context(), "download ended early", "error", err, "request_id", caller.From(r.Context()).RequestID)
			panic(http.ErrAbortHandler)
		default:
			h.refuse(paced, r, err)
		}
	}
}

// within calls a function for a caller who may call, with memory of the budget.
func (h *Handler) within(f func(*pacedAnswer, *http.Request) error, w *pacedAnswer, r *http.Request) error {
	who := caller.From(r.Context())
	if err := who.Check(); err != nil {
		return err
	}
	held, err := h.budget.Begin(r.Context(), who.Network())
	if err != nil {
		return err
	}
	defer held.Close()
	return f(w, r.WithContext(budget.With(r.Context(), held)))
}

// statusError is a fault whose status says more than its code.
type statusError struct {
	status int
	fault  *fault.Error
}

func (e *statusError) Error() string { return e.fault.Message }
func (e *statusError) Unwrap() error { return e.fault }

func refused(status int, message string) error {
	return &statusError{status, fault.New(fault.BadRequest, message)}
}

// refuse tells a client why its request was refused, as {"error": {"code": ..., "message": ..., ...}} with the details of the fault.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, err error) {
	id := caller.From(r.Context()).RequestID
	f := fault.From(err)
	switch {
	case f != nil && f.Code != fault.Internal:
	case fault.From(context.Cause(r.Context())) != nil: // the credential has ended
		f = fault.From(context.Cause(r.Context()))
	case r.Context().Err() != nil, errors.Is(err, context.DeadlineExceeded):
		f = fault.New(fault.Unavailable, fault.Busy) // who went away does not read it
	default:
		h.log.ErrorContext(r.Context(), "request failed", "error", err, "path", r.URL.Path, "request_id", id)
		f = fault.New(fault.Internal, "Internal error")
	}
	w.Header().Del("Content-Disposition")
	a := caller.AnswerTo(f.Code)
	status := a.Status
	if s := new(statusError); errors.As(err, &s) {
		status = s.status
	}
	if errors.Is(err, source.ErrTooLarge) {
		status = http.StatusRequestEntityTooLarge
	}
	if a.Retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(a.Retry/time.Second)))
	}
	body := map[string]any{}
	maps.Copy(body, f.Details)
	body["code"], body["message"], body["requestId"] = f.Code, f.Message, id
	writeJSON(w, status, map[string]any{"error": body})
}

// writeJSON writes an answer that is small.
func writeJSON(w http.ResponseWriter, status int, body any) {
	text, _ := json.Marshal(body) // what faults and records hold can be encoded
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	_, _ = w.Write(text) // who went away needs no answer
}

// pathID returns the id in the path of a request.
func pathID(r *http.Request, missing error) (int32, error) {
	n, err := strconv.ParseInt(chi.URLParam(r, "id"), 10, 32)
	if err != nil {
		return 0, missing
	}
	return int32(n), nil
}

// attach makes an answer a file for the client to keep, which no browser shows as a page of this server. Package mime writes the name such
// that nothing in it ends the header or the parameter (RFC 6266, RFC 8187).
func attach(w http.ResponseWriter, filename, media string) {
	h := w.Header()
	disposition := mime.FormatMediaType("attachment", map[string]string{"filename": filename})
	h.Set("Content-Disposition", cmp.Or(disposition, "attachment"))
	h.Set("Content-Type", media)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'; frame-ancestors 'none'")
	h.Set("Cache-Control", "private, no-cache")
}
