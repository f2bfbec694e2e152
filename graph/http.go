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

	"layercake/internal/budget"
	"layercake/internal/caller"
	"layercake/internal/fault"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// The two media types of responses. GraphQL over HTTP demands status 200 for an error in the document in the first, the older one, and 400
// in the second.
const (
	mediaJSON     = "application/json"
	mediaResponse = "application/graphql-response+json"
)

// request is a request for an operation: the body of a POST, the parameters of a GET, or the payload of a subscribe frame. Its variables
// are decoded once the operation is known that declares them.
type request struct {
	Query         *string                    `json:"query"`
	OperationName string                     `json:"operationName"`
	Variables     map[string]json.RawMessage `json:"variables"`
	Extensions    map[string]json.RawMessage `json:"extensions"` // all are accepted, and one has an effect: see persisted
}

// refusal is the answer to a request of which nothing is executed.
type refusal struct {
	status int
	fault  *fault.Error
}

func (r *refusal) Error() string { return r.fault.Message }

func refuse(status int, f *fault.Error) error { return &refusal{status, f} }

// refuseFault is the refusal for an error that is a fault.
func refuseFault(err error) *refusal {
	f := fault.From(err)
	return &refusal{caller.AnswerTo(f.Code).Status, f}
}

func badRequest(status int, message string) error {
	return refuse(status, fault.New(fault.BadRequest, message))
}

func (h *Handler) serveHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		h.serveSocket(w, r) // GraphiQL opens its socket where it sends its queries
		return
	}
	w.Header().Add("Vary", "Accept, Accept-Encoding")
	media, acceptable := negotiate(r.Header.Values("Accept"))
	body := h.paceBody(w, r)
	held, err := h.budget.Begin(r.Context(), caller.From(r.Context()).Network())
	if err != nil {
		h.refused(w, r, media, refuseFault(err))
		return
	}
	defer held.Close()
	defer func() {
		if v := recover(); v != nil {
			if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(v)
			}
			e := h.errors.present(r.Context(), h.errors.recovered(r.Context(), v))
			h.respond(w, http.StatusInternalServerError, mediaJSON, &graphql.Response{Errors: gqlerror.List{e}})
		}
	}()
	r = r.WithContext(context.WithValue(budget.With(r.Context(), held), exchangeKey{}, exchange{w, r, h.publicURL}))
	h.refused(w, r, media, h.answer(w, r, body, media, acceptable))
}

// refused answers a request that was refused; err may be nil.
func (h *Handler) refused(w http.ResponseWriter, r *http.Request, media string, err error) {
	var refused *refusal
	if errors.As(err, &refused) {
		h.respond(w, refused.status, media, &graphql.Response{Errors: gqlerror.List{wireError(r.Context(), refused.fault)}})
	}
}

func (h *Handler) answer(w http.ResponseWriter, r *http.Request, body *pacedBody, media string, acceptable bool) error {
	barred := caller.From(r.Context()).Check()
	if barred == nil && h.graphiQL != nil && IsPage(r) {
		h.graphiQL(w, r)
		return nil
	}
	if !acceptable {
		return badRequest(http.StatusNotAcceptable, "Accept must include "+mediaResponse+" or "+mediaJSON)
	}
	if barred != nil && !mayKnock(r, barred) {
		return refuseFault(barred)
	}
	var params *graphql.RawParams
	checked := func() {}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		var err error
		if params, err = paramsOfURL(r); err != nil {
			return err
		}
	case http.MethodPost:
		text, err := h.readHeld(r, body)
		if err != nil {
			return err
		}
		if checked, err = h.takeTurn(r.Context(), text); err != nil {
			return err
		}
		defer checked()
		if err := takeFor(r.Context(), text); err != nil {
			return err
		}
		if params, err = paramsOf(text); err != nil {
			return err
		}
	default:
		w.Header().Set("Allow", "GET, HEAD, POST")
		return badRequest(http.StatusMethodNotAllowed, "The method must be GET or POST")
	}
	return h.execute(w, r, media, params, checked)
}

// readHeld reads the body, and fails when the credential, which was looked up before, has ended while it came.
func (h *Handler) readHeld(r *http.Request, body *pacedBody) ([]byte, error) {
	ended := make(chan error, 1)
	release := h.hold(caller.From(r.Context()).Principal, func(why error) { ended <- why })
	text, err := h.readBody(r, body)
	release()
	select {
	case why := <-ended:
		return nil, refuseFault(why)
	default:
		return text, err
	}
}

// execute answers a request. It calls checked when nothing is left but to execute the operation.
func (h *Handler) execute(w http.ResponseWriter, r *http.Request, media string, params *graphql.RawParams, checked func()) error {
	ctx := graphql.StartOperationTrace(r.Context())
	params.Headers = r.Header
	op, errs := h.exec.CreateOperationContext(ctx, params)
	checked()
	if errs != nil {
		response := h.exec.DispatchError(graphql.WithOperationContext(ctx, op), errs)
		status := caller.AnswerTo(codes(response.Errors)[0]).Status
		if media == mediaJSON && status < http.StatusInternalServerError {
			status = http.StatusOK
		}
		h.respond(w, status, media, response)
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
	response := responses(ctx)
	if response == nil {
		return nil // the client went away
	}
	if err := budget.From(ctx).Resize(ctx, memoryOf(response)); err != nil {
		refusal := refuseFault(err)
		if op.Operation.Operation == ast.Mutation {
			refusal.status = http.StatusOK // it was executed
		}
		return refusal
	}
	parts := partsOf(response)
	if acceptsGzip(r.Header.Values("Accept-Encoding")) && !holdsSecret(op) {
		if packed := h.packer.pack(ctx, parts); packed != nil {
			w.Header().Set("Content-Encoding", "gzip")
			parts, response.Data = [][]byte{packed}, nil // the client may take its time, and the request holds only what is sent
		}
	}
	h.send(w, http.StatusOK, media, parts)
	return nil
}

// paramsOfURL reads the parameters of a GET.
func paramsOfURL(r *http.Request) (*graphql.RawParams, error) {
	values := r.URL.Query()
	if err := takeFor(r.Context(), []byte(values.Get("variables")+values.Get("extensions"))); err != nil {
		return nil, err
	}
	in := request{OperationName: values.Get("operationName")}
	if values.Has("query") {
		query := values.Get("query")
		in.Query = &query
	}
	for name, member := range map[string]*map[string]json.RawMessage{"variables": &in.Variables, "extensions": &in.Extensions} {
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
		Query: query, OperationName: in.OperationName, Variables: members(in.Variables), Extensions: members(in.Extensions),
	}, nil
}

func members(object map[string]json.RawMessage) map[string]any {
	m := make(map[string]any, len(object))
	for name, text := range object {
		m[name] = text
	}
	return m
}

// complete reports whether the request has a document, or the hash of one, which is refused by an error of its own.
func (in request) complete() bool { return in.Query != nil || persisted(members(in.Extensions)) }

// persisted reports whether a request names its document by a hash, as clients with persisted queries do.
func persisted(extensions map[string]any) bool {
	text, ok := extensions["persistedQuery"].(json.RawMessage)
	return ok && text[0] == '{'
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
		quality := quality(parameters)
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

// quality returns how much a client likes what its header has these parameters for: 0 for not at all, 1 when it does not say.
func quality(parameters map[string]string) float64 {
	if q, err := strconv.ParseFloat(parameters["q"], 64); err == nil {
		return q
	}
	return 1
}

// IsPage reports whether a request comes from a browser that shows the address, rather than from a client with a query.
func IsPage(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	return strings.Contains(r.Header.Get("Accept"), "text/html") && !r.URL.Query().Has("query")
}
