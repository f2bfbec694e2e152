package mcpserver

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
)

// listenMethod opens a stream of 2026-07-28 (MCP, "Subscriptions").
const listenMethod = "subscriptions/listen"

// The members of `_meta` that a request of 2026-07-28 has.
const (
	metaVersion      = "io.modelcontextprotocol/protocolVersion"
	metaCapabilities = "io.modelcontextprotocol/clientCapabilities"
	metaSubscription = "io.modelcontextprotocol/subscriptionId"
)

// maxListenID is the size of the longest id of such a request, which the stream keeps, and says in each update.
const maxListenID = 1024

// listen is the parameters of such a request.
type listen struct {
	Meta          map[string]json.RawMessage `json:"_meta"`
	Notifications *struct {
		Resources []string `json:"resourceSubscriptions"`
	} `json:"notifications"`
}

// text returns a text among the members of `_meta`.
func (l listen) text(name string) (text string) {
	_ = json.Unmarshal(l.Meta[name], &text) // what is no text is none
	return text
}

// listen returns what serves the stream of updates that a request asks for, or answers a request that is wrong. The SDK has such a stream
// of its own, which writes to all its subscribers one after the other and waits for each. What is wrong with a request is left to the SDK
// to say, so that it says so as of every other method.
func (h *Handler) listen(w http.ResponseWriter, r *http.Request, c call, asked envelope, body []byte) (stream func()) {
	id := asked.ID
	var request struct{ Params listen }
	err := json.Unmarshal(body, &request)
	p := request.Params
	version := p.text(metaVersion)
	switch {
	case id == nil || string(id) == "null":
		answerError(w, r, http.StatusBadRequest, nil, jsonrpc.CodeInvalidRequest, listenMethod+" needs an id", nil)
	case len(id) > maxListenID:
		answerError(w, r, http.StatusBadRequest, nil, jsonrpc.CodeInvalidRequest, fmt.Sprintf("The id of %s has at most %d bytes, not %d",
			listenMethod, maxListenID, len(id)), nil)
	case version != modernVersion || p.Meta[metaCapabilities] == nil || version != r.Header.Get(versionHeader) ||
		r.Header.Get(methodHeader) != listenMethod:
		serve(h.asJSON, w, r.WithContext(withCall(r.Context(), c)), asked)
	case err != nil || p.Notifications == nil:
		answerError(w, r, http.StatusBadRequest, id, jsonrpc.CodeInvalidParams, "The request says no notifications to listen to", nil)
	case len(p.Notifications.Resources) > maxURIs:
		answerError(w, r, http.StatusBadRequest, id, jsonrpc.CodeInvalidParams, fmt.Sprintf("The request names %d resources, at most %d may be "+
			"listened to at once", len(p.Notifications.Resources), maxURIs), nil)
	default:
		uris := p.Notifications.Resources
		return func() { h.update(w, r, c, id, uris) }
	}
	return nil
}

// update serves a stream of updates of resources to the request with an id.
func (h *Handler) update(w http.ResponseWriter, r *http.Request, c call, id json.RawMessage, uris []string) {
	e := h.admit(w, r, c, listenStream)
	if e == nil {
		return
	}
	defer e.end()
	l := h.newListener(c)
	defer l.stop()
	meta := map[string]any{metaSubscription: id}
	granted := map[string]any{}
	if uris := l.set(e.ctx, uris); len(uris) > 0 {
		granted["resourceSubscriptions"] = uris
	}
	if e.event(notification("notifications/subscriptions/acknowledged", map[string]any{"_meta": meta, "notifications": granted})) != nil {
		return
	}
	err := l.run(e, inbox{}, func(uri string) error {
		return e.event(notification(resourceUpdated, map[string]any{"_meta": meta, "uri": uri}))
	})
	if err == nil { // the last event of a stream that the server ends
		_ = e.event(compact(map[string]any{"jsonrpc": "2.0", "id": id, "result": map[string]any{"resultType": "complete", "_meta": meta}}))
	}
}

const resourceUpdated = "notifications/resources/updated"

func notification(method string, params any) []byte {
	return compact(map[string]any{"jsonrpc": "2.0", "method": method, "params": params})
}
