package mcpserver_test

import (
	"encoding/json"
	"testing"

	"layercake/internal/server/servertest"
)

// Whoever refuses a message, its sender gets an error of JSON-RPC that it can tell its request by.
func TestRefusalsAreErrorsOfTheProtocol(t *testing.T) {
	t.Parallel()
	url := servertest.Start(t, 1, nil)[0].URL
	session := beginSession(t, url)
	for name, c := range map[string]struct {
		body    string
		headers []string
		status  int
		id      string
	}{
		"no message":              {`{"jsonrpc":"2.0","id":7}`, nil, 400, "7"},
		"another JSON-RPC":        {`{"jsonrpc":"1.0","id":7,"method":"ping"}`, nil, 400, "7"},
		"nothing at all":          {`null`, nil, 400, "null"},
		"an empty batch":          {`[]`, nil, 400, "null"},
		"a session, no message":   {`{"jsonrpc":"2.0","id":7}`, session, 400, "7"},
		"a session, wrong params": {`{"jsonrpc":"2.0","id":"x","method":"tools/call"}`, session, 400, `"x"`},
		"a stream is taken":       {`{"jsonrpc":"2.0","id":7}`, []string{"Accept", "text/event-stream"}, 400, "7"},
		"2026, no message":        {`{"jsonrpc":"2.0","id":7}`, modern("ping", ""), 400, "7"},
		"2026, a batch":           {`[{"jsonrpc":"2.0","id":7,"method":"ping"}]`, modern("ping", ""), 400, "null"},
	} {
		got := post(t, url, "/mcp", c.body, c.headers...)
		var said struct {
			ID    json.RawMessage
			Error struct {
				Code    int
				Message string
				Data    map[string]any
			}
		}
		err := json.Unmarshal([]byte(got.text), &said)
		if err != nil || got.status != c.status || string(said.ID) != c.id || said.Error.Code == 0 || said.Error.Message == "" ||
			got.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s %s", name, got.status, got.header.Get("Content-Type"), got.text)
		}
	}
}
