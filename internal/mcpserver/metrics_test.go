package mcpserver_test

import (
	"net/http"
	"strings"
	"testing"

	"layercake/internal/server"
	"layercake/internal/server/servertest"
)

// Streams are counted by kind while they are open.
func TestStreamsAreCounted(t *testing.T) {
	t.Parallel()
	r := servertest.Start(t, 1, func(c *server.Config) { c.AdminAddr = "127.0.0.1:0" })[0]
	ask(t, r.URL, newProject)
	counted := func(kind, n string) {
		t.Helper()
		eventually(t, n+" streams of "+kind, func() bool {
			return strings.Contains(send(t, http.MethodGet, r.Admin+"/metrics", "").text, `layercake_mcp_streams{kind="`+kind+`"} `+n+"\n")
		})
	}
	session := beginSession(t, r.URL)
	const wait = `{"jsonrpc":"2.0","id":"w","method":"tools/call","params":{"name":"list_changes","arguments":{"project_id":1,"wait_seconds":50}}}`
	for kind, open := range map[string]func() *events{
		"listen": func() *events {
			return listenTo(t, http.MethodPost, r.URL+"/mcp", listenBody("1", "layercake://projects/1/plan"), modern("subscriptions/listen", "")...)
		},
		"get":     func() *events { return listenTo(t, http.MethodGet, r.URL+"/mcp", "", session...) },
		"sse":     func() *events { return listenTo(t, http.MethodGet, r.URL+"/mcp/sse", "") },
		"waiting": func() *events { return listenTo(t, http.MethodPost, r.URL+"/mcp", wait, session...) },
	} {
		counted(kind, "0")
		stream := open()
		counted(kind, "1")
		stream.cancel()
		counted(kind, "0")
	}
}
