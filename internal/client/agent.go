package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Era is a version of MCP, with the transport that agents of its time use.
type Era string

// The eras of MCP.
const (
	Stateless Era = "2026-07-28" // each request by itself, on /mcp; a request that stays open to listen
	Sessions  Era = "2025-11-25" // a session and its stream, on /mcp
	Events    Era = "2024-11-05" // a stream with all answers, and posts beside it, on /mcp/sse
)

// Eras are all eras.
var Eras = []Era{Stateless, Sessions, Events}

// Agent calls tools of a replica, and is told of resources that change. It is safe for concurrent use.
type Agent struct {
	session *mcp.ClientSession
	era     Era
	life    context.Context //nolint:containedctx // ends with the agent, and with it what it does
	end     context.CancelFunc

	subscribing sync.Mutex
	granted     chan []string // URIs that the replica lets the Stateless subscription that is being made listen to
}

// Agent connects an agent with a name, which should be its own, since replicas limit what each may do. It calls updated for each update of
// a resource that the agent subscribed to, one after the other; nil is for agents that never subscribe. The context bounds only connecting;
// the caller closes the agent.
func (c *Client) Agent(ctx context.Context, name string, era Era, updated func(uri string)) (*Agent, error) {
	return c.agent(ctx, name, era, updated, "")
}

// AgentPosting connects an agent of Events that sends its messages to another replica than the one with its stream.
func (c *Client) AgentPosting(ctx context.Context, name string, to *Client) (*Agent, error) {
	_, host, _ := strings.Cut(to.url, "://")
	return c.agent(ctx, name, Events, nil, host)
}

// agent connects an agent. What it posts goes to a host, unless that is empty.
func (c *Client) agent(ctx context.Context, name string, era Era, updated func(uri string), host string) (*Agent, error) {
	a := &Agent{era: era, granted: make(chan []string, 1)}
	a.life, a.end = context.WithCancel(context.WithoutCancel(ctx))
	connected := context.AfterFunc(ctx, a.end)
	options := &mcp.ClientOptions{Capabilities: &mcp.ClientCapabilities{}}
	if updated != nil {
		options.ResourceUpdatedHandler = func(_ context.Context, r *mcp.ResourceUpdatedNotificationRequest) { updated(r.Params.URI) }
	}
	speaker := mcp.NewClient(&mcp.Implementation{Name: name, Version: "1"}, options)
	speaker.AddReceivingMiddleware(a.noteGranted)
	over := &http.Client{Transport: wire{c.http.Transport, a.end, host}}
	var transport mcp.Transport = &mcp.StreamableClientTransport{
		Endpoint: c.url + "/mcp", HTTPClient: over, DisableStandaloneSSE: updated == nil,
	}
	if era == Events {
		transport = &mcp.SSEClientTransport{Endpoint: c.url + "/mcp/sse", HTTPClient: over}
	}
	// The SDK's stream of Events lives as long as the context with which it connects.
	session, err := speaker.Connect(a.life, transport, &mcp.ClientSessionOptions{ProtocolVersion: string(era)})
	if !connected() {
		err = errors.Join(ctx.Err(), err)
	}
	if err == nil && session.InitializeResult().ProtocolVersion != string(era) {
		err = fmt.Errorf("%s speaks version %s to an agent of %s", c.url, session.InitializeResult().ProtocolVersion, era)
	}
	if err != nil {
		a.end()
		if session != nil {
			_ = session.Close() // the other error says more
		}
		return nil, err
	}
	a.session = session
	context.AfterFunc(a.life, func() { _ = session.Close() })
	return a, nil
}

// Call calls a tool and decodes its result, unless into is nil. The error is a *Refusal when the replica gave one. After any other error
// nobody knows whether the tool did something.
func (a *Agent) Call(ctx context.Context, tool string, arguments, into any) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(a.life, cancel)() // the SDK closes a session when its calls have ended
	result, err := a.session.CallTool(ctx, &mcp.CallToolParams{Name: tool, Arguments: arguments})
	if err != nil {
		return refusalOf(err)
	}
	if len(result.Content) != 1 {
		return fmt.Errorf("%s answered %d contents, not one", tool, len(result.Content))
	}
	content, ok := result.Content[0].(*mcp.TextContent) // the same JSON as the structured content, which the SDK has decoded
	switch {
	case !ok:
		return fmt.Errorf("%s answered a %T", tool, result.Content[0])
	case result.IsError:
		var said struct{ Error map[string]any }
		if err := json.Unmarshal([]byte(content.Text), &said); err != nil {
			return fmt.Errorf("%s failed with %.100s: %w", tool, content.Text, err)
		}
		return refusal(said.Error)
	case into == nil:
		return nil
	}
	return json.Unmarshal([]byte(content.Text), into)
}

func refusal(said map[string]any) *Refusal {
	message, _ := said["message"].(string)
	return &Refusal{Message: message, Extensions: said}
}

// refusalOf returns the *Refusal that an error of the protocol holds, or the error.
func refusalOf(err error) error {
	var said *jsonrpc.Error
	if !errors.As(err, &said) {
		return err
	}
	r := &Refusal{Message: said.Message}
	if json.Unmarshal(said.Data, &r.Extensions) != nil || r.Code() == "" {
		return err
	}
	return r
}

// Subscribe asks for the updates of a resource, and returns when the replica has said that they will come. After an error the agent is good
// for calls at most.
func (a *Agent) Subscribe(ctx context.Context, uri string) error {
	a.subscribing.Lock()
	defer a.subscribing.Unlock()
	if err := a.session.Subscribe(ctx, &mcp.SubscribeParams{URI: uri}); err != nil {
		return refusalOf(err)
	}
	if a.era != Stateless {
		return nil
	}
	select { // the SDK does not wait
	case uris := <-a.granted:
		if !slices.Contains(uris, uri) {
			return fmt.Errorf("the replica lets nobody listen to %s", uri)
		}
		return nil
	case <-a.life.Done():
		return fmt.Errorf("the stream of %s ended before it began", uri)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// noteGranted hands what the replica grants to Subscribe.
func (a *Agent) noteGranted(next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, r mcp.Request) (mcp.Result, error) {
		if p, ok := r.GetParams().(*mcp.SubscriptionsAcknowledgedParams); ok {
			select {
			case a.granted <- p.Notifications.ResourceSubscriptions:
			default: // nobody waits for it any more
			}
		}
		return next(ctx, method, r)
	}
}

// Wait returns when the agent has been closed, or has lost the replica: it hears of no more updates, and may have missed some. (The stream
// of Sessions comes back by itself within some seconds, if the replica does.)
func (a *Agent) Wait() { _ = a.session.Wait() } // its error is how the transport ended

// Close ends the agent with the calls that it makes.
func (a *Agent) Close() {
	a.end()
	_ = a.session.Close() // its error is what the transport was closed with
}

// wire carries the requests of an agent.
type wire struct {
	next  http.RoundTripper
	ended func() // called when a request that listens has ended, which the SDK keeps to itself
	posts string // host that posts go to; "" for the one of the request
}

// RoundTrip sends a request.
func (w wire) RoundTrip(r *http.Request) (*http.Response, error) {
	if w.posts != "" && r.Method == http.MethodPost {
		r = r.Clone(r.Context()) // the caller's must not change
		r.URL.Host = w.posts
	}
	response, err := w.next.RoundTrip(r)
	switch {
	case r.Header.Get("Mcp-Method") != "subscriptions/listen":
	case err != nil:
		w.ended()
	default:
		response.Body = streamBody{response.Body, w.ended}
	}
	return response, err
}

// streamBody is the body of an answer that calls a function when it is closed.
type streamBody struct {
	io.ReadCloser

	closed func()
}

// Close closes the body, which the SDK does when it has ended.
func (b streamBody) Close() error {
	b.closed()
	return b.ReadCloser.Close()
}
