package server_test

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"layercake/graph"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server"
	"layercake/internal/server/servertest"
)

// responseHead is the beginning of a response.
type responseHead struct {
	status int
	header http.Header
}

// raw sends a request head, and a body, as they are. It returns the head of the response and its body.
func raw(t *testing.T, url, method, path, body string, header ...string) (responseHead, string) {
	t.Helper()
	host := strings.TrimPrefix(url, "http://")
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(pgtest.Patience)); err != nil {
		t.Fatal(err)
	}
	lines := append([]string{method + " " + path + " HTTP/1.1", "Host: " + host}, header...)
	if body != "" {
		lines = append(lines, "Content-Type: application/json", fmt.Sprintf("Content-Length: %d", len(body)))
	}
	if _, err := io.WriteString(conn, strings.Join(lines, "\r\n")+"\r\n\r\n"+body); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	got := responseHead{response.StatusCode, response.Header}
	if got.status == http.StatusSwitchingProtocols {
		return got, "" // the connection is a socket now
	}
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return got, string(answer)
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
			if response.status != http.StatusOK || body != `{"data":{"__typename":"Query"}}` {
				t.Errorf("a query by POST: %d: %s", response.status, body)
			}
			for _, path := range []string{"/health", "/health/live", "/health/ready"} {
				if response, body := raw(t, url, "GET", path, "", c.offer...); response.status != http.StatusOK {
					t.Errorf("%s: %d: %s", path, response.status, body)
				}
			}
			byGET, sockets := http.StatusOK, http.StatusUpgradeRequired
			if c.socket {
				byGET, sockets = http.StatusSwitchingProtocols, http.StatusSwitchingProtocols
			}
			if response, body := raw(t, url, "GET", "/graphql?query=%7B__typename%7D", "", c.offer...); response.status != byGET {
				t.Errorf("a query by GET: %d, want %d: %s", response.status, byGET, body)
			}
			for _, path := range []string{graphQLSocket, collaborationSocket} {
				if response, body := raw(t, url, "GET", path, "", c.offer...); response.status != sockets {
					t.Errorf("%s: %d, want %d: %s", path, response.status, sockets, body)
				}
			}
		})
	}
}

// The page is served wherever no route is, and takes nothing.
func TestNobodySendsToThePage(t *testing.T) {
	t.Parallel()
	url := servertest.Start(t, 1, nil)[0].URL
	for path, want := range map[string]int{
		"/": http.StatusNotFound, "/nowhere": http.StatusNotFound, "/projects/7": http.StatusNotFound, "/icon.svg": http.StatusNotFound,
		"/health": http.StatusMethodNotAllowed,
	} {
		if response, _ := raw(t, url, "POST", path, "{}", "Accept: text/html"); response.status != want {
			t.Errorf("POST %s: %d, want %d", path, response.status, want)
		}
	}
}

// HEAD is GET without a body, wherever GET is.
func TestHEADIsGETWithoutBody(t *testing.T) {
	t.Parallel()
	url := servertest.Start(t, 1, nil)[0].URL
	until(t, "the listener", func() bool { return get(t, url+"/health") == http.StatusOK })
	cases := map[string]struct {
		path   string
		status int
	}{
		"health":         {"/health", http.StatusOK},
		"readiness":      {"/health/ready", http.StatusOK},
		"liveness":       {"/health/live", http.StatusOK},
		"a query":        {"/graphql?query=%7B__typename%7D", http.StatusOK},
		"no query":       {"/graphql", http.StatusBadRequest},
		"a mutation":     {"/graphql?query=mutation%7BdeletePlan(id:1)%7D", http.StatusMethodNotAllowed},
		"a subscription": {"/graphql?query=subscription%7BplanEvents(projectId:1)%7Bversion%7D%7D", http.StatusBadRequest},
		"a socket":       {graphQLSocket, http.StatusUpgradeRequired},
		"another socket": {collaborationSocket, http.StatusUpgradeRequired},
		"nowhere":        {"/nowhere", http.StatusNotFound},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			get, want := raw(t, url, "GET", c.path, "", "X-Request-Id: one", "Origin: http://localhost:1420")
			head, body := raw(t, url, "HEAD", c.path, "", "X-Request-Id: one", "Origin: http://localhost:1420")
			if get.status != c.status || want == "" {
				t.Errorf("GET: %d, want %d: %q", get.status, c.status, want)
			}
			if head.status != get.status || body != "" {
				t.Errorf("HEAD: %d %q, GET: %d", head.status, body, get.status)
			}
			for _, h := range []http.Header{get.header, head.header} {
				h.Del("Date")
			}
			if !maps.EqualFunc(head.header, get.header, slices.Equal) {
				t.Errorf("HEAD: %v\nGET: %v", head.header, get.header)
			}
		})
	}
	page := []string{"Accept: text/html,*/*;q=0.8"}
	get, _ := raw(t, url, "GET", "/graphql", "", page...)
	head, body := raw(t, url, "HEAD", "/graphql", "", page...)
	if head.status != http.StatusOK || head.header.Get("Content-Type") != get.header.Get("Content-Type") || body != "" {
		t.Errorf("the page for browsers: HEAD %d %v, GET %d %v", head.status, head.header, get.status, get.header)
	}
}

// A browser asks before it sends a header that is not among the few that it sends to everybody. Clients and tools add many.
// One middleware knows the caller of every route: the id that a request states is in the answer, whoever gives it.
func TestEveryAnswerNamesItsRequest(t *testing.T) {
	t.Parallel()
	url := servertest.Start(t, 1, nil)[0].URL
	for _, path := range []string{"/health", "/health/live", "/graphql?query=%7B__typename%7D", graphQLSocket, collaborationSocket, "/nowhere"} {
		if got := fetch(t, url+path, "X-Request-Id", "mine-1").Header.Get("X-Request-Id"); got != "mine-1" {
			t.Errorf("%s names the request %q", path, got)
		}
	}
}

func TestHeadersThatPagesMaySend(t *testing.T) {
	t.Parallel()
	url := servertest.Start(t, 1, func(c *server.Config) {
		c.AllowedOrigins, c.AllowedHeaders = []string{"https://app.example"}, []string{"X-Tenant", "x_lower"}
	})[0].URL
	const ours, theirs = "https://app.example", "https://elsewhere.example"
	cases := map[string]struct {
		origin, headers string
		allowed         bool
	}{
		"none":                {ours, "", true},
		"ours":                {ours, "content-type, authorization, x-layercake-session, x-layercake-name, x-request-id", true},
		"Sentry":              {ours, "baggage,content-type,sentry-trace", true},
		"OpenTelemetry":       {ours, "baggage,content-type,traceparent,tracestate", true},
		"Apollo":              {ours, "apollo-require-preflight,apollographql-client-name,apollographql-client-version,content-type,x-apollo-operation-name", true},
		"in another case":     {ours, "Traceparent, X-TENANT", true},
		"by the setting":      {ours, "content-type,x-tenant,x_lower", true},
		"one that is unknown": {ours, "content-type,x-unknown", false},
		"another origin":      {theirs, "content-type,traceparent", false},
		"another, by setting": {theirs, "x-tenant", false},
		"no origin":           {"null", "content-type", false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, path := range []string{"/graphql", "/health"} {
				lines := []string{"Origin: " + c.origin, "Access-Control-Request-Method: POST"}
				if c.headers != "" {
					lines = append(lines, "Access-Control-Request-Headers: "+c.headers)
				}
				head, _ := raw(t, url, "OPTIONS", path, "", lines...)
				origin, headers := head.header.Get("Access-Control-Allow-Origin"), head.header.Get("Access-Control-Allow-Headers")
				if c.allowed != (origin == c.origin) || c.allowed && !sameWords(headers, c.headers) {
					t.Errorf("%s: origin %q, headers %q, want allowed: %v", path, origin, headers, c.allowed)
				}
				for name := range head.header {
					if !c.allowed && strings.HasPrefix(name, "Access-Control-") {
						t.Errorf("%s: it is told %s", path, name)
					}
				}
			}
		})
	}
}

// The schema is the one that tools of front ends read, and is sent again only when it is another one.
func TestSchemaIsServed(t *testing.T) {
	t.Parallel()
	url := servertest.Start(t, 1, nil)[0].URL
	head, body := raw(t, url, "GET", "/schema.graphql", "")
	tag := head.header.Get("ETag")
	if head.status != http.StatusOK || body != graph.SDL() || tag == "" || head.header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("status %d, %v, %d bytes", head.status, head.header, len(body))
	}
	for line, want := range map[string]int{"If-None-Match: " + tag: http.StatusNotModified, `If-None-Match: "former"`: http.StatusOK} {
		if head, body := raw(t, url, "GET", "/schema.graphql", "", line); head.status != want || (body == "") != (want == http.StatusNotModified) {
			t.Errorf("%s: status %d, %d bytes", line, head.status, len(body))
		}
	}
	if head, body := raw(t, url, "HEAD", "/schema.graphql", ""); head.status != http.StatusOK || body != "" || head.header.Get("ETag") != tag {
		t.Errorf("HEAD: status %d, %v", head.status, head.header)
	}
}

// sameWords compares lists in whatever case.
func sameWords(a, b string) bool {
	words := func(s string) string { return strings.ToLower(strings.ReplaceAll(s, " ", "")) }
	return words(a) == words(b)
}
