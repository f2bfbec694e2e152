package graph

import (
	"context"
	"net/http"
	"regexp"

	"layercake/internal/auth"

	"github.com/google/uuid"
)

// caller is what the transports know of who sent a request, or opened a socket.
type caller struct {
	requestID string
	actor     auth.Actor
}

type callerKey struct{}

// RequestIDHeader carries the id of a request, both ways.
const RequestIDHeader = "X-Request-Id"

var saneRequestID = regexp.MustCompile(`^[A-Za-z0-9._:/+=-]{1,128}$`)

// withCaller gives r a caller: the request id that it states, when that is fit for a log, and a fresh anonymous actor. The
// response names the id.
func withCaller(w http.ResponseWriter, r *http.Request) *http.Request {
	id := r.Header.Get(RequestIDHeader)
	if !saneRequestID.MatchString(id) {
		id = uuid.NewString()
	}
	w.Header().Set(RequestIDHeader, id)
	return r.WithContext(context.WithValue(r.Context(), callerKey{}, caller{requestID: id, actor: auth.Anonymous("")}))
}

// RequestID returns the id of the request or socket that ctx belongs to, for the log; "" outside of one.
func RequestID(ctx context.Context) string {
	c, _ := ctx.Value(callerKey{}).(caller)
	return c.requestID
}

// actor returns who calls: the client that states an id, or whoever sent the request or opened the socket.
func actor(ctx context.Context, clientID string) auth.Actor {
	if clientID != "" {
		return auth.Anonymous(clientID)
	}
	c, _ := ctx.Value(callerKey{}).(caller)
	return c.actor
}
