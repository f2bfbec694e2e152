package server_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"layercake/internal/server/servertest"
)

// raw sends a request head, and a body, as they are. It returns the response and its body.
func raw(t *testing.T, url, method, path, body string, header ...string) (*http.Response, string) {
	t.Helper()
	host := strings.TrimPrefix(url, "http://")
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	head := append([]string{method + " " + path + " HTTP/1.1", "Host: " + host}, header...)
	if body != "" {
		head = append(head, "Content-Type: application/json", fmt.Sprintf("Content-Length: %d", len(body)))
	}
	if _, err := io.WriteString(conn, strings.Join(head, "\r\n")+"\r\n\r\n"+body); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode == http.StatusSwitchingProtocols {
		return response, "" // the connection is a socket now
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(answer)
}

// An offer to speak another protocol than WebSocket is as if it were not there. Java's HttpClient and curl --http2 make one with each
// request.
func TestOtherOffersToUpgradeAreIgnored(t *testing.T) {
	t.Parallel()
	url := servertest.Start(t, 1, nil)[0].URL
	newProject(t, url)
	until(t, "the listener", func() bool { return get(t, url+"/health") == http.StatusOK })
	handshake := []string{"Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol: graphql-transport-ws"}
	h2c := []string{"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c"}
	cases := map[string]struct {
		offer  []string
		socket bool // it opens one where there are sockets
	}{
		"Java and curl":           {h2c, false},
		"another version of HTTP": {[]string{"Connection: upgrade", "Upgrade: HTTP/2.0, TLS/1.2"}, false},
		"no protocol":             {[]string{"Connection: Upgrade", "Upgrade:"}, false},
		"not for this connection": {append(handshake, "Upgrade: websocket"), false},
		"something like it":       {append(handshake, "Connection: Upgrade", "Upgrade: websocket2"), false},
		"a socket":                {append(handshake, "Connection: Upgrade", "Upgrade: websocket"), true},
		"in another case":         {append(handshake, "connection: keep-alive, UPGRADE", "upgrade: WebSocket"), true},
		"a list":                  {append(handshake, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c, websocket"), true},
		"several lines":           {append(handshake, "Connection: keep-alive", "Connection: Upgrade", "Upgrade: h2c", "Upgrade: websocket"), true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			response, body := raw(t, url, "POST", "/graphql", `{"query":"{__typename}"}`, c.offer...)
			if response.StatusCode != http.StatusOK || body != `{"data":{"__typename":"Query"}}` {
				t.Errorf("a query by POST: %s: %s", response.Status, body)
			}
			for _, path := range []string{"/health", "/health/live", "/health/ready"} {
				if response, body := raw(t, url, "GET", path, "", c.offer...); response.StatusCode != http.StatusOK {
					t.Errorf("%s: %s: %s", path, response.Status, body)
				}
			}
			byGET, sockets := http.StatusOK, http.StatusUpgradeRequired
			if c.socket {
				byGET, sockets = http.StatusSwitchingProtocols, http.StatusSwitchingProtocols
			}
			if response, body := raw(t, url, "GET", "/graphql?query=%7B__typename%7D", "", c.offer...); response.StatusCode != byGET {
				t.Errorf("a query by GET: %s, want %d: %s", response.Status, byGET, body)
			}
			for _, path := range []string{graphQLSocket, collaborationSocket} {
				if response, body := raw(t, url, "GET", path, "", c.offer...); response.StatusCode != sockets {
					t.Errorf("%s: %s, want %d: %s", path, response.Status, sockets, body)
				}
			}
		})
	}
}
