// Package client talks to a replica as its clients do.
//
// It sends requests of GraphQL, follows subscriptions over graphql-transport-ws, exchanges frames over the collaboration socket, and calls
// the tools of agents. It imports nothing of the server, so that tests and benches which use it check the wire rather than the code behind
// it.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"time"
)

const (
	maxAnswer = 64 << 20 // bytes of an answer or a frame: snapshots of whole plans
	maxIdle   = 2000     // connections to a replica that stay open while nobody uses them
)

// Client sends requests to one replica over connections that it keeps. It is safe for concurrent use.
type Client struct {
	url    string
	http   *http.Client
	secret string // of the session or token that requests are sent with; "" for none
}

// New returns the client of a replica, such as http://127.0.0.1:3001. It connects when it is asked for something; the caller closes it.
func New(url string) *Client {
	// Connections go straight to the replica, also when the environment names a proxy.
	return &Client{url: url, http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: maxIdle, IdleConnTimeout: time.Minute}}}
}

// As returns a client of the same replica, over the same connections, that sends the secret of a session or token with each request.
func (c *Client) As(secret string) *Client { return &Client{url: c.url, http: c.http, secret: secret} }

// Signed is the header of a request with the secret of a session or token; "" for none.
func Signed(secret string) http.Header {
	if secret == "" {
		return http.Header{}
	}
	return http.Header{"Authorization": {"Bearer " + secret}}
}

// Close ends the connections that no request uses.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// URL is the address of the replica.
func (c *Client) URL() string { return c.url }

// Request is a document of GraphQL with its variables.
type Request struct {
	Query     string         `json:"query"`
	Variables map[string]any `json:"variables,omitempty"`
}

// Answer is the answer of a replica. Data and Errors are empty when it is not one of GraphQL.
type Answer struct {
	Status int         `json:"-"`
	Header http.Header `json:"-"`
	Text   []byte      `json:"-"` // unparsed body

	Data   json.RawMessage `json:"data"`
	Errors []*Refusal      `json:"errors"`
}

// Code returns the code of the first refusal, or "" without one.
func (a *Answer) Code() string {
	if len(a.Errors) == 0 {
		return ""
	}
	return a.Errors[0].Code()
}

// Refusal is an error that a replica answered with.
type Refusal struct {
	Message    string         `json:"message"`
	Path       []any          `json:"path"`
	Extensions map[string]any `json:"extensions"`
}

// Error begins with the code.
func (r *Refusal) Error() string { return r.Code() + ": " + r.Message }

// Code returns the kind of the refusal, such as NOT_FOUND. The README lists the codes.
func (r *Refusal) Code() string {
	code, _ := r.Extensions["code"].(string)
	return code
}

// RetryAfter returns how long the replica asks to wait before the same request; 0 when it does not.
func (r *Refusal) RetryAfter() time.Duration {
	ms, _ := r.Extensions["retryAfterMs"].(float64)
	return time.Duration(ms) * time.Millisecond
}

// IsUnauthenticated reports whether a replica wants another credential, or one at all, by whichever wire it said so.
func IsUnauthenticated(err error) bool {
	var refusal *Refusal
	var unopened *Unopened
	var closed *Closed
	return errors.As(err, &refusal) && refusal.Code() == "UNAUTHENTICATED" ||
		errors.As(err, &unopened) && unopened.Status == http.StatusUnauthorized ||
		errors.As(err, &closed) && closed.Code == signIn
}

// Temporary reports whether the same request may succeed a little later.
func (r *Refusal) Temporary() bool { return r.Code() == "UNAVAILABLE" || r.Code() == "RATE_LIMITED" }

// Do executes a request and decodes the data of the answer, unless into is nil. The error is a *Refusal when the replica gave one. After
// any other error nobody knows whether the request was executed.
func (c *Client) Do(ctx context.Context, q Request, into any) error {
	answer, err := c.Ask(ctx, q)
	switch {
	case err != nil:
		return err
	case len(answer.Errors) > 0:
		return answer.Errors[0]
	case into == nil:
		return nil
	}
	return json.Unmarshal(answer.Data, into)
}

// Ask executes a request and returns the whole answer, with its refusals.
func (c *Client) Ask(ctx context.Context, q Request) (*Answer, error) {
	body, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	answer, err := c.Post(ctx, bytes.NewReader(body), http.Header{"Accept": {"application/graphql-response+json"}})
	if err == nil && answer.Data == nil && len(answer.Errors) == 0 {
		err = fmt.Errorf("%s answered %d %s: %.100s", c.url, answer.Status, http.StatusText(answer.Status), bytes.TrimSpace(answer.Text))
	}
	return answer, err
}

// Post sends a body to /graphql without looking at it. The header is added to the content type, or replaces it.
func (c *Client) Post(ctx context.Context, body io.Reader, header http.Header) (*Answer, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+"/graphql", body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	for name, values := range header {
		r.Header[name] = values
	}
	return c.Send(r)
}

// Send sends any HTTP request and reads the answer.
func (c *Client) Send(r *http.Request) (*Answer, error) {
	maps.Copy(r.Header, Signed(c.secret))
	response, err := c.http.Do(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > maxAnswer:
		return nil, fmt.Errorf("%s answered more than %d MB", r.URL, maxAnswer>>20)
	}
	answer := &Answer{Status: response.StatusCode, Header: response.Header, Text: text}
	// A body of another content type may be something else, such as the page of a balancer.
	if err := json.Unmarshal(text, answer); err != nil && strings.Contains(response.Header.Get("Content-Type"), "json") {
		return nil, fmt.Errorf("%s answered %s: %w in %.100s", r.URL, response.Status, err, text)
	}
	return answer, nil
}

// Account is somebody who can sign in.
type Account struct {
	ID     int
	Secret string // of a session
}

// Register makes an account, where people make accounts themselves, and signs it in.
func (c *Client) Register(ctx context.Context, name, password string) (Account, error) {
	var data struct {
		Register struct {
			User      struct{ ID int }
			SessionID string
		}
	}
	err := c.Do(ctx, Request{`mutation($in: RegisterUserInput!) { register(input: $in) { user { id } sessionId } }`, map[string]any{
		"in": map[string]any{"email": name + "@example.com", "username": name, "displayName": name, "password": password},
	}}, &data)
	return Account{data.Register.User.ID, data.Register.SessionID}, err
}

// Login begins a session of an account.
func (c *Client) Login(ctx context.Context, name, password string) (Account, error) {
	var data struct {
		Login struct {
			User      struct{ ID int }
			SessionID string
		}
	}
	err := c.Do(ctx, Request{`mutation($in: LoginInput!) { login(input: $in) { user { id } sessionId } }`, map[string]any{
		"in": map[string]any{"email": name, "password": password},
	}}, &data)
	return Account{data.Login.User.ID, data.Login.SessionID}, err
}

// Logout ends the session of the client.
func (c *Client) Logout(ctx context.Context) error {
	return c.Do(ctx, Request{Query: `mutation { logout(sessionId: "") }`}, nil)
}

// Invite invites an account, by its user name, to a project of the client's account. It returns the id of the invitation.
func (c *Client) Invite(ctx context.Context, project int, name, role string) (int, error) {
	var data struct{ InviteCollaborator struct{ ID int } }
	err := c.Do(ctx, Request{`mutation($in: InviteCollaboratorInput!) { inviteCollaborator(input: $in) { id } }`, map[string]any{
		"in": map[string]any{"projectId": project, "email": name, "role": role},
	}}, &data)
	return data.InviteCollaborator.ID, err
}

// Accept accepts an invitation.
func (c *Client) Accept(ctx context.Context, invitation int) error {
	query := `mutation($id: Int!) { acceptCollaboration(collaborationId: $id) { id } }`
	return c.Do(ctx, Request{query, map[string]any{"id": invitation}}, nil)
}

// CreateProject makes a project and returns its id.
func (c *Client) CreateProject(ctx context.Context, name string) (int, error) {
	var data struct{ CreateProject struct{ ID int } }
	err := c.Do(ctx, Request{`mutation($name: String!) { createProject(input: {name: $name}) { id } }`, map[string]any{"name": name}}, &data)
	return data.CreateProject.ID, err
}

// DeleteProject deletes a project.
func (c *Client) DeleteProject(ctx context.Context, id int) error {
	return c.Do(ctx, Request{`mutation($id: ID!) { deleteProject(id: $id) }`, map[string]any{"id": id}}, nil)
}

// Get asks for a path outside GraphQL, such as /health, over a connection of its own: the process behind the address may be another one
// each time.
func Get(ctx context.Context, url string) (*Answer, error) {
	c := New("")
	defer c.Close()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	return c.Send(r)
}
