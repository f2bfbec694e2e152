package mcpserver_test

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"layercake/internal/server"
	"layercake/internal/server/servertest"
	"layercake/internal/socket"
)

// A client that sends requests and reads no answers is soon refused: no number of answers waits for it in memory.
func TestAnswersThatNobodyReadsAreFew(t *testing.T) {
	t.Parallel()
	url := servertest.Start(t, 1, func(c *server.Config) {
		c.Streams = socket.Timing{Ping: time.Hour, Silence: 4 * time.Hour, Write: time.Hour} // it stays open while a busy machine fills it
	})[0].URL
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.(*net.TCPConn).SetReadBuffer(4096)
	fmt.Fprintf(conn, "GET /mcp/sse HTTP/1.1\r\nHost: %s\r\n\r\n", strings.TrimPrefix(url, "http://"))
	endpoint := ""
	for in := bufio.NewScanner(conn); endpoint == "" && in.Scan(); {
		endpoint, _ = strings.CutPrefix(in.Text(), "data: ")
		if !strings.HasPrefix(endpoint, "/mcp/sse?") {
			endpoint = ""
		}
	}
	post(t, url, endpoint, strings.Replace(initialize, "2025-06-18", "2024-11-05", 1))
	began := time.Now()
	for n := 2; ; n++ {
		got := post(t, url, endpoint, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"resources/read","params":{"uri":"layercake://schema/graphql"}}`, n))
		switch {
		case got.status == 429 && n > 64:
			return
		case got.status != 202 || n == 2000:
			t.Fatalf("request %d, after %s: %d %s", n, time.Since(began), got.status, got.text)
		}
	}
}

// A question that nobody answers on a stream of 2024 ends its call, too.
func TestNobodyAnswersOnAStream(t *testing.T) {
	t.Parallel()
	url := servertest.Start(t, 1, nil)[0].URL
	ask(t, url, newProject)
	stream := listenTo(t, "GET", url+"/mcp/sse", "")
	endpoint := <-stream.lines
	post(t, url, endpoint, strings.Replace(strings.Replace(initialize, "2025-06-18", "2024-11-05", 1),
		`"capabilities":{}`, `"capabilities":{"elicitation":{}}`, 1))
	stream.next(t)
	post(t, url, endpoint, `{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"delete_project","arguments":{"project_id":1}}}`)
	if m := stream.next(t); m.Method != "elicitation/create" {
		t.Fatalf("%+v", m)
	}
	m := stream.next(t)
	if m.Method == "notifications/cancelled" {
		m = stream.next(t)
	}
	if string(m.ID) != "5" || m.Error == nil || !strings.Contains(m.Error.Message, "Nobody answered") {
		t.Errorf("%+v", m)
	}
}

// What is wrong with a request on a stream of 2024 is said as it is.
func TestWrongRequestsOnAStream(t *testing.T) {
	t.Parallel()
	url := servertest.Start(t, 1, nil)[0].URL
	ask(t, url, newProject)
	stream := listenTo(t, "GET", url+"/mcp/sse", "")
	endpoint := <-stream.lines
	post(t, url, endpoint, strings.Replace(initialize, "2025-06-18", "2024-11-05", 1))
	stream.next(t)
	post(t, url, endpoint, `{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	for body, code := range map[string]int{
		`{"id":2,"method":"ping"}`:                          -32600,
		`{"jsonrpc":"2.0","id":2,"method":"tools/call"}`:    -32600,
		`{"jsonrpc":"2.0","id":2,"method":"tools/dance"}`:   -32601,
		`{"jsonrpc":"2.0","id":2,"method":"prompts/shout"}`: -32601,
		`{"jsonrpc":"2.0","id":2,"method":"initialize","params":{"protocolVersion":"2024-11-05","capabilities":{},"clientInfo":{"name":"else"}}}`:  -32600,
		`{"jsonrpc":"2.0","id":2,"method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":["layercake://projects/1"]}}}`: -32601,
	} {
		post(t, url, endpoint, body)
		if m := stream.next(t); string(m.ID) != "2" || m.Error == nil || m.Error.Code != code {
			t.Errorf("%s: %+v", body, m)
		}
	}
	post(t, url, endpoint, `{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"edit_plan","arguments":{"project_id":1,
		"operations":[{"op":"add_node","node_type":"GraphNode"}]}}}`)
	stream.next(t)
	post(t, url, endpoint, `{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"list_changes","arguments":{"project_id":1}}}`)
	if m := stream.next(t); strings.Contains(string(m.Result), `"who":"else"`) {
		t.Errorf("an initialize that was refused made the client another one: %s", m.Result)
	}
}
