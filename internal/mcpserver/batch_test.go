package mcpserver_test

import (
	"strings"
	"testing"
	"time"

	"layercake/internal/server/servertest"
)

// A batch is answered at once when all is done, so it may be neither large nor endless, and it gets around nothing.
func TestBatches(t *testing.T) {
	t.Parallel()
	url := servertest.Start(t, 1, nil)[0].URL
	ask(t, url, newProject)
	older := strings.Replace(initialize, "2025-06-18", "2025-03-26", 1)
	session := post(t, url, "/mcp", older, "Accept", "application/json, text/event-stream").header.Get("Mcp-Session-Id")
	inOlder := []string{"Mcp-Session-Id", session, "Accept", "application/json"}
	inNewer := []string{"Mcp-Session-Id", beginSession(t, url)[1], "Accept", "application/json"}
	const (
		ping   = `{"jsonrpc":"2.0","id":1,"method":"ping"}`
		remove = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"delete_project","arguments":{"project_id":1}}}`
		listen = `{"jsonrpc":"2.0","id":2,"method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":["layercake://projects/1"]}}}`
	)
	many := strings.Repeat(","+ping, 32)
	began := time.Now()
	for name, c := range map[string]struct {
		body    string
		headers []string
		status  int
		holds   string
	}{
		"by itself":                 {"[" + ping + "]", nil, 200, `"result":{}`},
		"in a session":              {" [" + ping + "]", inOlder, 200, `"result":{}`},
		"of a version without":      {"\n[" + remove + "]", inNewer, 400, "only 2025-03-26 has batches"},
		"as many as may be":         {"[" + many[1:] + "]", nil, 200, `"result":{}`},
		"too many":                  {"[" + ping + many + "]", nil, 400, "at most 32"},
		"one that does not end":     {"[" + ping + "," + listen + "]", inOlder, 400, "subscriptions/listen"},
		"alone, and of a later era": {listen, inOlder, 200, "-32601"},
	} {
		if got := post(t, url, "/mcp", c.body, c.headers...); got.status != c.status || !strings.Contains(got.text, c.holds) {
			t.Errorf("%s: %d %.300s", name, got.status, got.text)
		}
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("took %s", took)
	}
	if got := post(t, url, "/mcp", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_project","arguments":{"project_id":1}}}`); strings.Contains(got.text, "NOT_FOUND") {
		t.Error("the project is gone")
	}
}
