package graph

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"layercake/internal/caller"
	"layercake/internal/fault"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/playground"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// The two media types of responses. GraphQL over HTTP demands status 200 for an error in the document in the first, the older one, and 400
// in the second.
const (
	mediaJSON     = "application/json"
	mediaResponse = "application/graphql-response+json"
)

// Limits of bodies.
const (
	maxBody       = 64 << 20
	largeBodySize = 1 << 20
	largeBodies   = 4               // bodies over largeBodySize in memory at once
	bodyPatience  = 5 * time.Second // longest wait of a large body for its slot
	bodyTime      = time.Minute     // limit for a whole body to arrive
)

// request is a request for an operation: the body of a POST, the parameters of a GET, or the payload of a subscribe frame.
type request struct {
	Query         *string        `json:"query"`
	OperationName string         `json:"operationName"`
	Variables     map[string]any `json:"variables"`
	Extensions    map[string]any `json:"extensions"` // all are accepted, and one has an effect: see persisted
}

// refusal is the answer to a request of which nothing is executed.
type refusal struct {
	status int
	fault  *fault.Error
}

func (r *refusal) Error() string { return r.fault.Message }

func refuse(status int, f *fault.Error) error { return &refusal{status, f} }

func badRequest(status int, message string) error {
	return refuse(status, fault.New(fault.BadRequest, message))
}

func (h *Handler) serveHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		h.serveSocket(w, r) // GraphiQL opens its socket where it sends its queries
		return
	}
	w.Header().Add("Vary", "Accept")
	defer func() {
		if v := recover(); v != nil {
			if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(v)
			}
			e := h.errors.present(r.Context(), recovered(r.Context(), v))
			writeResponse(w, http.StatusInternalServerError, mediaJSON, &graphql.Response{Errors: gqlerror.List{e}})
		}
	}()
	media, acceptable := negotiate(r.Header.Values("Accept"))
	err := h.answer(w, r, media, acceptable)
	var refused *refusal
	if errors.As(err, &refused) {
		response := &graphql.Response{Errors: gqlerror.List{wireError(r.Context(), refused.fault)}}
		writeResponse(w, refused.status, media, response)
	}
}

func (h *Handler) answer(w http.ResponseWriter, r *http.Request, media string, acceptable bool) error {
	signedOut := caller.From(r.Context()).Check()
	if signedOut == nil && IsPage(r) {
		playground.Handler("Layercake", r.URL.Path)(w, r)
		return nil
	}
	if !acceptable {
		return badRequest(http.StatusNotAcceptable, "Accept must include "+mediaResponse+" or "+mediaJSON)
	}
	if signedOut != nil {
		return refuse(http.StatusUnauthorized, fault.From(signedOut))
	}
	var params *graphql.RawParams
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		var err error
		if params, err = paramsOfURL(r); err != nil {
			return err
		}
	case http.MethodPost:
		body, release, err := h.readBody(w, r)
		defer release()
		if err != nil {
			return err
		}
		if params, err = paramsOf(body); err != nil {
			return err
		}
	default:
		w.Header().Set("Allow", "GET, HEAD, POST")
		return badRequest(http.StatusMethodNotAllowed, "The method must be GET or POST")
	}
	return h.execute(w, r, media, params)
}

func (h *Handler) execute(w http.ResponseWriter, r *http.Request, media string, params *graphql.RawParams) error {
	ctx := graphql.StartOperationTrace(r.Context())
	params.Headers = r.Header
	op, errs := h.exec.CreateOperationContext(ctx, params)
	if errs != nil {
		response := h.exec.DispatchError(graphql.WithOperationContext(ctx, op), errs)
		status := caller.AnswerTo(codes(response.Errors)[0]).Status
		if media == mediaJSON && status < http.StatusInternalServerError {
			status = http.StatusOK
		}
		writeResponse(w, status, media, response)
		return nil
	}
	switch {
	case op.Operation.Operation == ast.Subscription:
		return badRequest(http.StatusBadRequest, "Subscriptions are not supported on this transport.")
	case op.Operation.Operation == ast.Mutation && r.Method != http.MethodPost:
		w.Header().Set("Allow", "POST")
		return badRequest(http.StatusMethodNotAllowed, "A mutation must be sent by POST")
	}
	responses, ctx := h.exec.DispatchOperation(ctx, op)
	if response := responses(ctx); response != nil { // nil: the client went away
		writeResponse(w, http.StatusOK, media, response)
	}
	return nil
}

// paramsOfURL reads the parameters of a GET.
func paramsOfURL(r *http.Request) (*graphql.RawParams, error) {
	values := r.URL.Query()
	in := request{OperationName: values.Get("operationName")}
	if values.Has("query") {
		query := values.Get("query")
		in.Query = &query
	}
	for name, member := range map[string]*map[string]any{"variables": &in.Variables, "extensions": &in.Extensions} {
		if text := values.Get(name); text != "" {
			if err := decode([]byte(text), member); err != nil {
				return nil, badRequest(http.StatusBadRequest, "The parameter "+name+" must be a JSON object")
			}
		}
	}
	return in.params()
}

// paramsOf reads the body of a POST.
func paramsOf(body []byte) (*graphql.RawParams, error) {
	var in request
	if err := decode(body, &in); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) && wrong.Field != "" {
			return nil, badRequest(http.StatusBadRequest, fmt.Sprintf("The request's %s is not of the right type", wrong.Field))
		}
		return nil, badRequest(http.StatusBadRequest, "The request body must be one JSON object")
	}
	return in.params()
}

func (in request) params() (*graphql.RawParams, error) {
	if !in.complete() {
		return nil, badRequest(http.StatusBadRequest, "The request has no query")
	}
	query := ""
	if in.Query != nil {
		query = *in.Query
	}
	return &graphql.RawParams{
		Query: query, OperationName: in.OperationName, Variables: in.Variables, Extensions: in.Extensions,
	}, nil
}

// complete reports whether the request has a document, or the hash of one, which is refused by an error of its own.
func (in request) complete() bool { return in.Query != nil || persisted(in.Extensions) }

// persisted reports whether a request names its document by a hash, as clients with persisted queries do.
func persisted(extensions map[string]any) bool {
	_, ok := extensions["persistedQuery"].(map[string]any)
	return ok
}

// decode reads one JSON value. Numbers become json.Number, which keeps their digits.
func decode(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one value")
	}
	return nil
}

// readBody reads the body of a POST. Call release, also after an error, when nothing refers to the body any more.
func (h *Handler) readBody(w http.ResponseWriter, r *http.Request) (body []byte, release func(), err error) {
	release = func() {}
	media, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if charset := parameters["charset"]; err != nil || media != mediaJSON || (charset != "" && !strings.EqualFold(charset, "utf-8")) {
		return nil, release, badRequest(http.StatusUnsupportedMediaType, "Content-Type must be "+mediaJSON+" in UTF-8")
	}
	if r.ContentLength > h.maxBody {
		return nil, release, h.tooLarge()
	}
	// A slow sender must not hold a slot for ever. The writers of net/http have deadlines; others, in tests, need none.
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(bodyTime))
	defer func() { _ = control.SetReadDeadline(time.Time{}) }()

	var buffer bytes.Buffer
	source := http.MaxBytesReader(w, r.Body, h.maxBody)
	n, err := io.CopyN(&buffer, source, largeBodySize)
	if err == nil && n == largeBodySize {
		if release, err = h.waitForSlot(r.Context()); err != nil {
			return nil, release, err
		}
		_, err = buffer.ReadFrom(source)
	}
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, release, h.tooLarge()
	case err != nil && !errors.Is(err, io.EOF):
		return nil, release, badRequest(http.StatusBadRequest, "The request body did not arrive")
	}
	return buffer.Bytes(), release, nil
}

func (h *Handler) tooLarge() error {
	return refuse(http.StatusRequestEntityTooLarge,
		fault.New(fault.BadRequest, "The request body is too large").With("detail", map[string]any{"limit": h.maxBody}))
}

// waitForSlot waits until one more large body may be held.
func (h *Handler) waitForSlot(ctx context.Context) (release func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, bodyPatience)
	defer cancel()
	select {
	case h.largeBody <- struct{}{}:
		h.metrics.changed.Say()
		return func() { <-h.largeBody }, nil
	case <-ctx.Done():
		return func() {}, refuse(http.StatusServiceUnavailable, fault.New(fault.Unavailable, fault.Busy))
	}
}

// writeResponse sends a response. A response without data belongs to a request that was not executed, and has no member data at all, which
// is not the same as null.
func writeResponse(w http.ResponseWriter, status int, media string, response *graphql.Response) {
	body := struct {
		Errors gqlerror.List    `json:"errors,omitempty"`
		Data   *json.RawMessage `json:"data,omitempty"`
	}{Errors: response.Errors}
	if response.Data != nil {
		body.Data = &response.Data
	}
	b, err := json.Marshal(body)
	if err != nil {
		panic(fmt.Errorf("encode response: %w", err))
	}
	header := w.Header()
	header.Set("Content-Type", media+"; charset=utf-8")
	if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
		header.Set("Retry-After", strconv.Itoa(int(caller.AnswerTo(codes(response.Errors)[0]).Retry/time.Second)))
	}
	w.WriteHeader(status)
	_, _ = w.Write(b) // a client that went away needs no answer
}

// negotiate picks the media type of the response: the one that the client likes best, the older one when it does not care.
func negotiate(accept []string) (media string, acceptable bool) {
	best := 0.0
	media = mediaJSON
	if len(accept) == 0 {
		return media, true
	}
	for _, item := range strings.Split(strings.Join(accept, ","), ",") {
		name, parameters, err := mime.ParseMediaType(item)
		if err != nil {
			continue
		}
		quality := 1.0
		if q, err := strconv.ParseFloat(parameters["q"], 64); err == nil {
			quality = q
		}
		if charset := parameters["charset"]; quality <= best || (charset != "" && !strings.EqualFold(charset, "utf-8")) {
			continue
		}
		switch name {
		case mediaResponse:
			media, best = mediaResponse, quality
		case mediaJSON, "application/*", "*/*":
			media, best = mediaJSON, quality
		}
	}
	return media, best > 0
}

// IsPage reports whether a request comes from a browser that shows the address, rather than from a client with a query.
func IsPage(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	return strings.Contains(r.Header.Get("Accept"), "text/html") && !r.URL.Query().Has("query")
}
