package mcpserver

import (
	"context"

	"layercake/internal/auth"
	"layercake/internal/fault"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// AgentHeader is the header in which a client's configuration names its agent.
const AgentHeader = "X-Layercake-Agent"

// call is a tool call: who asks, and what they may.
type call struct {
	agent
	scope   scope
	stream  *stream                         // nil where the answer comes alone
	onGone  func(func()) (stop func() bool) // calls a function when the client has hung up
	request *mcp.CallToolRequest
}

// agent is who sends a request.
type agent struct {
	actor auth.Actor
	key   string // what the agent is known by
}

type callKey struct{}

func withCall(ctx context.Context, c call) context.Context {
	return context.WithValue(ctx, callKey{}, c)
}

// callOf returns the call that a request carries. Without one, nobody has decided who asks, and so nothing may be done.
func callOf(ctx context.Context) (call, error) {
	c, ok := ctx.Value(callKey{}).(call)
	if !ok {
		return call{}, fault.New(fault.Unauthenticated, "Sign in first")
	}
	return c, nil
}
