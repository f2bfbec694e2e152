package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"layercake/internal/client"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server"
	"layercake/internal/server/servertest"
)

// dialFrom opens a socket as a client at an address would through a proxy. It returns the status of a refusal, and what it says.
func dialFrom(t *testing.T, url, path, address string) (socket *client.Socket, status int, text string) {
	t.Helper()
	dialer := client.Dialer{Timeout: pgtest.Patience / 2, Header: http.Header{"X-Forwarded-For": {address}}}
	socket, err := dialer.Open(t.Context(), url, path, client.Subprotocol)
	var unopened *client.Unopened
	switch {
	case err == nil:
		t.Cleanup(socket.CloseNow)
		if path == graphQLSocket { // it would be closed after ten seconds
			say(t, socket, `{"type":"connection_init"}`)
		}
		return socket, http.StatusSwitchingProtocols, ""
	case !errors.As(err, &unopened):
		t.Fatal(err)
	case unopened.Status == http.StatusTooManyRequests && unopened.Header.Get("Retry-After") == "":
		t.Error("a refusal does not say when to try again")
	}
	return nil, unopened.Status, unopened.Text
}

const (
	graphQLSocket       = client.GraphQLPath
	collaborationSocket = "/ws/collaboration?project_id=1"
	opened              = http.StatusSwitchingProtocols
	refused             = http.StatusTooManyRequests
)

// A client address has so many sockets at most, of both kinds together. A place is free again when a socket ends, on whatever side.
func TestSocketsOfAnAddressAreLimited(t *testing.T) {
	t.Parallel()
	url := servertest.Start(t, 1, func(c *server.Config) {
		c.MaxSockets, c.TrustedProxies = 2, []string{"127.0.0.0/8", "10.0.0.0/8"}
	})[0].URL
	newProject(t, url)
	const here = "203.0.113.7"
	first, _, _ := dialFrom(t, url, graphQLSocket, here)
	for _, c := range []struct {
		path, address string
		want          int
	}{
		{collaborationSocket, here, opened},
		{graphQLSocket, here, refused},
		{collaborationSocket, here, refused},
		{graphQLSocket, "198.51.100.1, " + here + ", 10.1.1.1", refused}, // what the client itself claims does not count
		{"/graphql", here, refused},
		{graphQLSocket, "203.0.113.8", opened},
		{graphQLSocket, "2001:db8::1", opened},
		{graphQLSocket, "2001:db8::2", opened},
		{graphQLSocket, "2001:db8::ffff:3", refused}, // the same network
		{graphQLSocket, "2001:db8:0:1::3", opened},
	} {
		_, status, text := dialFrom(t, url, c.path, c.address)
		if status != c.want || c.want == refused && !strings.Contains(text, "LAYERCAKE_SOCKETS_PER_ADDRESS") {
			t.Errorf("%s from %s: %d %q, want %d", c.path, c.address, status, text, c.want)
		}
	}
	if status := get(t, url+"/graphql?query={__typename}", "X-Forwarded-For", here); status != http.StatusOK {
		t.Errorf("a request that is no socket: %d, want 200", status)
	}

	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	var second *client.Socket
	until(t, "the place of the closed socket", func() (ok bool) {
		var status int
		second, status, _ = dialFrom(t, url, graphQLSocket, here)
		return status == opened
	})
	// A frame that is no message makes the server close.
	say(t, second, "nonsense")
	for err := error(nil); err == nil; {
		_, err = second.Receive(context.WithoutCancel(t.Context()))
	}
	until(t, "the place of the socket that the server closed", func() bool {
		_, status, _ := dialFrom(t, url, graphQLSocket, here)
		return status == opened
	})
}

// No route opens a socket past the limit, whatever the method is called and however the client says that it wants one.
func TestNoRouteOpensASocketPastTheLimit(t *testing.T) {
	t.Parallel()
	url := servertest.Start(t, 1, func(c *server.Config) { c.MaxSockets = 1 })[0].URL
	newProject(t, url)
	if _, status, text := dialFrom(t, url, graphQLSocket, ""); status != opened {
		t.Fatalf("the first: %d %s", status, text)
	}
	handshake := []string{
		"Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol: graphql-transport-ws",
		"Connection: keep-alive, Upgrade",
	}
	routes := append(server.Patterns(t), "/nowhere", "//graphql/ws", "/graphql/ws/", "/GRAPHQL")
	if !slices.Contains(routes, "/graphql/ws") || !slices.Contains(routes, "/ws/collaboration") {
		t.Fatalf("the routes are %q", routes)
	}
	for _, path := range routes {
		for _, method := range []string{"GET", "HEAD", "POST", "OPTIONS", "CONNECT"} {
			for offer, taken := range map[string]bool{"websocket": true, "WebSocket": true, "h2c, websocket": true, "websocket/13": false} {
				response, _ := raw(t, url, method, path+"?project_id=1", "", append(handshake, "Upgrade: "+offer)...)
				socket := method == "GET" && taken && slices.Contains([]string{"/graphql", "/graphql/ws", "/ws/collaboration"}, path)
				if response.status == opened || socket && response.status != refused {
					t.Errorf("%s %s with an upgrade to %s: %d", method, path, offer, response.status)
				}
			}
		}
	}
}

// Guests of an address are limited, whichever replica it asks, and those that one socket makes are fewer still.
func TestGuestsOfAnAddressAreLimited(t *testing.T) {
	t.Parallel()
	replicas := servertest.Start(t, 2, func(c *server.Config) { c.MaxGuests, c.TrustedProxies = 23, []string{"127.0.0.0/8"} })
	newProject(t, replicas[0].URL)
	request := func(name string) client.Request {
		return client.Request{Query: `mutation ($c: String!) { joinProjectCollaboration(projectId: 1, clientId: $c) }`, Variables: map[string]any{"c": name}}
	}
	here := http.Header{"Content-Type": {"application/json"}, "X-Forwarded-For": {"203.0.113.7"}}
	join := func(n int, header http.Header) string {
		body, err := json.Marshal(request(fmt.Sprint(header["X-Forwarded-For"], n)))
		if err != nil {
			t.Fatal(err)
		}
		c := client.New(replicas[n%2].URL)
		defer c.Close()
		answer, err := c.Post(t.Context(), bytes.NewReader(body), header)
		if err != nil {
			t.Fatal(err)
		}
		if answer.Code() != "" && !strings.Contains(answer.Errors[0].Message, "LAYERCAKE_GUESTS_PER_ADDRESS") {
			t.Errorf("guest %d: %+v", n, answer.Errors)
		}
		return answer.Code()
	}

	socket, err := client.Dialer{Timeout: pgtest.Patience / 2, Header: here}.GraphQL(t.Context(), replicas[0].URL)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.CloseNow()
	for n := range 21 {
		if err := socket.Subscribe(t.Context(), "o", request(fmt.Sprint("by socket ", n))); err != nil {
			t.Fatal(err)
		}
		m, err := socket.Next(t.Context())
		if refused := strings.Contains(string(m.Payload), "RATE_LIMITED"); err != nil || refused != (n == 20) {
			t.Fatalf("guest %d of a socket: %+v %v", n, m, err)
		}
		if _, err = socket.Next(t.Context()); err != nil { // that the operation is complete
			t.Fatal(err)
		}
	}
	for n := range 5 {
		want := ""
		if n >= 3 {
			want = "RATE_LIMITED"
		}
		if code := join(n, here); code != want {
			t.Errorf("guest %d: %q, want %q", 20+n, code, want)
		}
	}
	there := here.Clone()
	there.Set("X-Forwarded-For", "203.0.113.8")
	if code := join(0, there); code != "" {
		t.Errorf("a guest from elsewhere: %s", code)
	}
}

// Without trusted proxies nobody can claim to be elsewhere.
func TestForwardedAddressOfAStrangerDoesNotCount(t *testing.T) {
	t.Parallel()
	url := servertest.Start(t, 1, func(c *server.Config) { c.MaxSockets = 1 })[0].URL
	newProject(t, url)
	if _, status, text := dialFrom(t, url, graphQLSocket, "203.0.113.7"); status != opened {
		t.Fatalf("first: %d %s", status, text)
	}
	if _, status, text := dialFrom(t, url, graphQLSocket, "203.0.113.8"); status != refused || !strings.Contains(text, "127.0.0.1") {
		t.Errorf("second: %d %q, want 429 for 127.0.0.1", status, text)
	}
}

// A browser lets every page open a socket to any address, so the server decides which may.
func TestOriginsOfSockets(t *testing.T) {
	t.Parallel()
	url := servertest.Start(t, 1, nil)[0].URL
	newProject(t, url)
	for _, path := range []string{graphQLSocket, "/graphql", collaborationSocket} {
		for origin, allowed := range map[string]bool{
			"": true, url: true, "tauri://localhost": true, "http://elsewhere.example": false, "null": false, url + ".example": false,
		} {
			c, err := client.Dialer{Header: http.Header{"Origin": {origin}}}.Open(t.Context(), url, path, client.Subprotocol)
			if (err == nil) != allowed {
				t.Errorf("%s for origin %q: %v", path, origin, err)
			}
			var unopened *client.Unopened
			if errors.As(err, &unopened) && unopened.Status != http.StatusForbidden {
				t.Errorf("%s for origin %q: status %d", path, origin, unopened.Status)
			}
			if err == nil {
				c.CloseNow()
			}
		}
	}
}
