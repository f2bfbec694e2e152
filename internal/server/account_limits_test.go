package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"layercake/internal/client"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server"
	"layercake/internal/server/servertest"
)

// limited is required with limits.
func limited(limit func(*server.Config)) func(*server.Config) {
	return func(c *server.Config) {
		required(c)
		limit(c)
	}
}

// crowdOf is how many requests are sent at once to meet a limit of one a second: all of them would have to take a minute to be served.
const crowdOf = 60

// An account makes so many requests to a replica, by whatever route and credential. Each refusal has the form of its route. Others, and the
// same account at another replica, notice nothing.
func TestRequestsOfAnAccountAreLimited(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	open := servertest.StartOn(t, database, 1, required)[0].URL
	ann, bob := registered(t, open, "ann"), registered(t, open, "bob")
	project := ann.created(t, open)
	var data struct{ CreateToken struct{ Secret string } }
	ann.does(t, open, `mutation { createToken(name: "program", scopes: [READ]) { secret } }`, &data)
	token := person{ann.id, data.CreateToken.Secret}
	url := servertest.StartOn(t, database, 1, limited(func(c *server.Config) { c.AccountRate = 1 }))[0].URL

	post := func(path, body string) func(person) *client.Answer {
		return func(p person) *client.Answer {
			return p.sends(t, http.MethodPost, url+path, body)
		}
	}
	for name, c := range map[string]struct {
		send func(person) *client.Answer
		form string // what a refusal has
	}{
		"GraphQL": {post("/graphql", `{"query":"{ me { id } }"}`), `"code":"RATE_LIMITED"`},
		"MCP":     {post("/mcp", `{"jsonrpc":"2.0","id":1,"method":"ping"}`), `"code":"RATE_LIMITED"`},
		"files":   {post(fmt.Sprintf("/api/projects/%d/data-sources", project), ``), `"code":"RATE_LIMITED"`},
		"the schema": {func(p person) *client.Answer {
			return p.sends(t, http.MethodGet, url+"/schema.graphql", "")
		}, "LAYERCAKE_ACCOUNT_REQUESTS"},
	} {
		refused := 0
		var mu sync.Mutex
		var all sync.WaitGroup
		for i := range crowdOf {
			all.Go(func() {
				answer := c.send([]person{ann, token}[i%2])
				mu.Lock()
				defer mu.Unlock()
				if answer.Status != http.StatusTooManyRequests {
					return
				}
				refused++
				if answer.Header.Get("Retry-After") != "1" || !strings.Contains(string(answer.Text), c.form) {
					t.Errorf("%s: %v %s", name, answer.Header, answer.Text)
				}
			})
		}
		all.Wait()
		if refused == 0 {
			t.Errorf("%s: all of %d at once were served", name, crowdOf)
		}
	}
	if answer := post("/graphql", `{"query":"{ projects { id } }"}`)(bob); answer.Status != http.StatusOK {
		t.Errorf("another account: %d %s", answer.Status, answer.Text)
	}
	for range 10 {
		ann.does(t, open, `{ me { id } }`, nil)
	}
}

// Operations on a socket are requests, too. One that is refused says so, and the socket stays.
func TestOperationsOfAnAccountAreLimited(t *testing.T) {
	t.Parallel()
	url := servertest.StartOn(t, pgtest.New(t), 1, limited(func(c *server.Config) { c.AccountRate = 1 }))[0].URL
	ann := registered(t, url, "ann")
	var s client.GraphQLSocket
	until(t, "a socket", func() bool { // the handshake is a request, and so is the proof of the account
		var err error
		by := client.Dialer{Timeout: pgtest.Patience, Header: http.Header{"Authorization": {"Bearer " + ann.secret}}}
		s, err = by.GraphQL(t.Context(), url)
		return err == nil
	})
	defer s.CloseNow()
	for i := range crowdOf {
		if err := s.Subscribe(t.Context(), fmt.Sprint(i), client.Request{Query: `{ me { id } }`}); err != nil {
			t.Fatal(err)
		}
	}
	ended, refused := 0, 0
	for ended < crowdOf {
		m, err := s.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		switch m.Type {
		case "complete":
			ended++
		case "error":
			ended++
			var errs []struct {
				Extensions struct {
					Code         string
					RetryAfterMS int
				}
			}
			if err := json.Unmarshal(m.Payload, &errs); err != nil || errs[0].Extensions.Code != "RATE_LIMITED" ||
				errs[0].Extensions.RetryAfterMS < 1 || errs[0].Extensions.RetryAfterMS > 1000 {
				t.Fatalf("%s: %v", m.Payload, err)
			}
			refused++
		}
	}
	if refused == 0 {
		t.Errorf("all of %d operations were executed", crowdOf)
	}
}

// An account has so many sockets at a replica, streams of agents included, by whatever credential. Others, and the same account at another
// replica, notice nothing, and a place is free when a socket ends.
func TestSocketsOfAnAccountAreLimited(t *testing.T) {
	t.Parallel()
	replicas := servertest.StartOn(t, pgtest.New(t), 2, limited(func(c *server.Config) { c.AccountSockets = 2 }))
	url := replicas[0].URL
	ann, bob := registered(t, url, "ann"), registered(t, url, "bob")
	project := ann.created(t, url)
	dial := func(p person, url, path string, subprotocols ...string) (*client.Socket, error) {
		by := client.Dialer{Timeout: pgtest.Patience, Header: http.Header{"Authorization": {"Bearer " + p.secret}}}
		s, err := by.Open(t.Context(), url, path, subprotocols...)
		if err == nil {
			t.Cleanup(s.CloseNow)
		}
		return s, err
	}
	people := fmt.Sprintf("/ws/collaboration?project_id=%d", project)
	first, err := dial(ann, url, people)
	if err != nil {
		t.Fatal(err)
	}
	second, _ := greeted(t, url, fmt.Sprintf(`{"token":%q}`, ann.secret)) // its account is known by its first message
	for path, protocols := range map[string][]string{client.GraphQLPath: {client.Subprotocol}, people: nil} {
		var unopened *client.Unopened
		if _, err := dial(ann, url, path, protocols...); !errors.As(err, &unopened) || unopened.Status != http.StatusTooManyRequests ||
			unopened.Header.Get("Retry-After") == "" || !strings.Contains(unopened.Text, "LAYERCAKE_ACCOUNT_SOCKETS") {
			t.Errorf("a third, %s: %v", path, err)
		}
	}
	if answer := ann.sends(t, http.MethodGet, url+"/mcp/sse", ""); answer.Status != http.StatusTooManyRequests {
		t.Errorf("a stream of an agent: %d %s", answer.Status, answer.Text)
	}
	third, err := client.Dialer{Timeout: pgtest.Patience}.Open(t.Context(), url, client.GraphQLPath, client.Subprotocol)
	if err != nil {
		t.Fatal(err)
	}
	defer third.CloseNow()
	say(t, third, fmt.Sprintf(`{"type":"connection_init","payload":{"token":%q}}`, ann.secret))
	var closed *client.Closed
	for err = nil; err == nil; {
		_, err = third.Receive(context.WithoutCancel(t.Context()))
	}
	if !errors.As(err, &closed) || closed.Code != 1013 || !strings.Contains(closed.Reason, "LAYERCAKE_ACCOUNT_SOCKETS") {
		t.Errorf("a third that says later who it is: %v", err)
	}
	if _, err := dial(bob, url, client.GraphQLPath, client.Subprotocol); err != nil {
		t.Errorf("another account: %v", err)
	}
	if _, err := dial(ann, replicas[1].URL, client.GraphQLPath, client.Subprotocol); err != nil {
		t.Errorf("another replica: %v", err)
	}
	for name, s := range map[string]*client.Socket{"collaboration": first, "GraphQL": second.Socket} {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		until(t, "the place of a socket of "+name, func() bool {
			_, err := dial(ann, url, client.GraphQLPath, client.Subprotocol)
			return err == nil
		})
	}
}

// sends sends a request with the secret of a person. It may be called from any goroutine.
func (p person) sends(t *testing.T, method, url, body string) *client.Answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), pgtest.Patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return &client.Answer{}
	}
	for name, value := range map[string]string{
		"Authorization": "Bearer " + p.secret, "Content-Type": "application/json", "Accept": "application/json, text/event-stream",
	} {
		r.Header.Set(name, value)
	}
	c := client.New(url)
	defer c.Close()
	answer, err := c.Send(r)
	if err != nil {
		t.Error(err)
		return &client.Answer{}
	}
	return answer
}
