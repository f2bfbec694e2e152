package server_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"layercake/internal/client"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server/servertest"
)

// slow is a request of which half was sent.
type slow struct {
	conn    net.Conn
	answers *bufio.Reader
	rest    []byte
}

// beginSlow sends the head of a request, and half of its body once a handler reads it.
func beginSlow(t *testing.T, url, path, mediaType, secret string, body []byte) slow {
	t.Helper()
	host := strings.TrimPrefix(url, "http://")
	conn, err := (&net.Dialer{Timeout: pgtest.Patience}).DialContext(t.Context(), "tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(pgtest.Patience)); err != nil {
		t.Fatal(err)
	}
	s := slow{conn: conn, answers: bufio.NewReader(conn), rest: body[len(body)/2:]}
	_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n"+
		"Connection: close\r\nExpect: 100-continue\r\n\r\n", path, host, secret, mediaType, len(body))
	if err != nil {
		t.Fatal(err)
	}
	if line, err := s.answers.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("%q, %v", line, err)
	}
	if _, err := s.answers.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(body[:len(body)/2]); err != nil {
		t.Fatal(err)
	}
	return s
}

// end sends what is left, and returns the status.
func (s slow) end(t *testing.T) int {
	t.Helper()
	if _, err := s.conn.Write(s.rest); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(s.answers, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// What began while a session lived, and is whole only after its end, is refused.
func TestSlowRequestsEndWithTheirSession(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	replica := servertest.StartOn(t, database, 1, required)[0]
	ann := registered(t, replica.URL, "ann")
	project := ann.created(t, replica.URL)
	document := []byte(`{"query": "mutation { createToken(name: \"x\", scopes: [READ], days: 365) { secret } }"}`)
	var form bytes.Buffer
	parts := multipart.NewWriter(&form)
	file, err := parts.CreateFormFile("file", "nodes.csv")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(file, "id,label\n"+strings.Repeat("a,b\n", 100))
	_ = parts.Close()
	upload := fmt.Sprintf("/api/projects/%d/data-sources", project)
	requests := func(secret string) map[string]slow {
		return map[string]slow{
			"a document": beginSlow(t, replica.URL, "/graphql", "application/json", secret, document),
			"an upload":  beginSlow(t, replica.URL, upload, parts.FormDataContentType(), secret, form.Bytes()),
		}
	}
	for what, r := range requests(ann.secret) {
		if status := r.end(t); status >= 300 {
			t.Errorf("%s while the session lives: %d", what, status)
		}
	}
	begun := requests(ann.secret)
	s, _ := greeted(t, replica.URL, fmt.Sprintf(`{"token":%q}`, ann.secret))
	ann.does(t, replica.URL, `mutation { logout(sessionId: "") }`, nil)
	if code := servertest.CloseCode(t, s.Socket); code != 4401 {
		t.Fatalf("the socket closed with %d", code)
	}
	for what, r := range begun {
		if status := r.end(t); status != http.StatusUnauthorized {
			t.Errorf("%s after the end: %d", what, status)
		}
	}
	conn := pgtest.Connect(t, database)
	if n := pgtest.Count(t, conn, `SELECT (SELECT count(*) FROM tokens) * 10 + (SELECT count(*) FROM data_sources)`); n != 11 {
		t.Errorf("tokens and data sources: %d, want those of before", n)
	}
}

// A wrong credential in the handshake of a socket is not mended by a right one in connection_init.
func TestWrongHandshakes(t *testing.T) {
	t.Parallel()
	url := servertest.StartOn(t, pgtest.New(t), 1, required)[0].URL
	ann := registered(t, url, "ann")
	for _, wrong := range []string{"Bearer lcs_wrong", "Basic YTpi"} {
		by := client.Dialer{Timeout: pgtest.Patience, Header: http.Header{"Authorization": {wrong}}}
		s, err := by.Open(t.Context(), url, client.GraphQLPath, client.Subprotocol)
		if err != nil {
			continue // refused at once, which is as good
		}
		defer s.CloseNow()
		if err := s.Send(t.Context(), fmt.Appendf(nil, `{"type":"connection_init","payload":{"token":%q}}`, ann.secret)); err != nil {
			t.Fatal(err)
		}
		if code := servertest.CloseCode(t, s); code != 4401 {
			t.Errorf("%s: closed with %d", wrong, code)
		}
	}
}

// Where everybody signs in, a guest has the name of its account, and is nobody else's to take over or to send away.
func TestGuestsOfAccounts(t *testing.T) {
	t.Parallel()
	url := servertest.StartOn(t, pgtest.New(t), 1, required)[0].URL
	ann, bob := registered(t, url, "ann"), registered(t, url, "bob")
	project := ann.created(t, url)
	var invited struct{ InviteCollaborator struct{ ID int } }
	ann.does(t, url, fmt.Sprintf(`mutation { inviteCollaborator(input: {projectId: %d, email: "bob", role: "viewer"}) { id } }`, project), &invited)
	bob.does(t, url, fmt.Sprintf(`mutation { acceptCollaboration(collaborationId: %d) { id } }`, invited.InviteCollaborator.ID), nil)
	for _, p := range []person{ann, bob} {
		p.does(t, url, fmt.Sprintf(`mutation { joinProjectCollaboration(projectId: %d, clientId: "tab", userName: "The Boss", isAgent: true) }`, project), nil)
	}
	bob.does(t, url, fmt.Sprintf(`mutation { leaveProjectCollaboration(projectId: %d, clientId: "tab") }`, project), nil)
	var present struct {
		Presence []struct {
			UserName string
			IsAgent  bool
		}
	}
	ann.does(t, url, fmt.Sprintf(`{ presence(projectId: %d) { userName isAgent } }`, project), &present)
	if len(present.Presence) != 1 || present.Presence[0].UserName != "Ann" || present.Presence[0].IsAgent {
		t.Errorf("present are %+v, want Ann", present.Presence)
	}
}
