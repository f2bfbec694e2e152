package mcpserver

import (
	"context"
	"net/http"
	"sync/atomic"

	"layercake/internal/agent"
	"layercake/internal/auth"
	"layercake/internal/caller"
	"layercake/internal/fault"
	"layercake/internal/presence"

	"github.com/google/uuid"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// AgentHeader is the header in which a client's configuration names its agent.
const AgentHeader = "X-Layercake-Agent"

// call is a tool call, or another request: who asks, and what they may.
type call struct {
	requester

	scope   scope
	session uuid.UUID                       // zero for a request by itself
	stream  *stream                         // nil where the answer comes alone
	turns   chan struct{}                   // on a stream of 2024, one for each answer that is not written yet, or comes at once; else nil
	asking  bool                            // whether what is asked on the stream, and answered, passes through questions
	onGone  func(func()) (stop func() bool) // calls a function when the client has hung up
	request *mcp.CallToolRequest            // nil outside of a tool
	project int32                           // the project that the tool is about; 0 for none
	access  auth.Access                     // what the caller may do there
}

// requester is the agent that sends a request.
type requester struct {
	auth.Principal
	key   string         // what the agent is known by
	maker presence.Maker // what counts it among others
}

// identify returns who sends a request, in a session or, with a zero id, by itself. A credential says who it is, whatever the client says
// of itself: events name its token.
func (h *Handler) identify(r *http.Request, client clientInfo, session uuid.UUID) (requester, error) {
	network := caller.From(r.Context()).Network()
	who, err := agent.Of(r.Header.Get(AgentHeader), agent.Client(client), session, network)
	if err != nil {
		return requester{}, err
	}
	p := caller.From(r.Context()).Principal
	if p.Account == 0 {
		p.Actor = auth.Agent(who.Key, who.LastingKey, who.Name)
	} else {
		who.Key = p.ID
	}
	return requester{p, who.Key, presence.Maker{Caller: p.ID, Network: network}}, nil
}

// callKey is the key under which the context of a request has its call. Who asks in a session of SSE is known only after its first message,
// so it is a pointer.
type callKey struct{}

func withCall(ctx context.Context, c call) context.Context {
	p := new(atomic.Pointer[call])
	p.Store(&c)
	return context.WithValue(ctx, callKey{}, p)
}

// callOf returns the call that a request carries. Without one, nobody has decided who asks, and so nothing may be done.
func callOf(ctx context.Context) (call, error) {
	p, ok := ctx.Value(callKey{}).(*atomic.Pointer[call])
	if !ok {
		return call{}, fault.New(fault.Unauthenticated, "Sign in first")
	}
	return *p.Load(), nil
}

// onGone returns how to be called when the client of a request has hung up.
func onGone(request context.Context) func(func()) (stop func() bool) {
	return func(f func()) (stop func() bool) { return context.AfterFunc(request, f) }
}
