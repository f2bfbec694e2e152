package mcpserver_test

import (
	"strings"
	"testing"

	"layercake/internal/server/servertest"
)

// An answer has the id of its request, or the request is refused: a client would wait for ever for an answer under another one.
func TestIDsThatWouldComeBackAsOthers(t *testing.T) {
	t.Parallel()
	url := servertest.Start(t, 1, nil)[0].URL
	for id, status := range map[string]int{
		`0`: 200, `-7`: 200, `9007199254740992`: 200, `"1.5"`: 200, `"a\u0000"`: 200,
		`1.5`: 400, `1e400`: 400, `9007199254740993`: 400, `99999999999999999999999`: 400, `{}`: 400, `true`: 400,
	} {
		got := post(t, url, "/mcp", `{"jsonrpc":"2.0","id":`+id+`,"method":"ping"}`)
		if got.status != status || status == 200 && !strings.Contains(got.text, `"id":`+id+`,`) {
			t.Errorf("%s: %d %s", id, got.status, got.text)
		}
	}
}

// An initialize that fails begins no session.
func TestWrongInitialize(t *testing.T) {
	t.Parallel()
	url := servertest.Start(t, 1, nil)[0].URL
	right := strings.ReplaceAll(initialize, "\n", "")
	for name, body := range map[string]string{
		"without an id":         strings.Replace(right, `"id":1,`, "", 1),
		"with no id":            strings.Replace(right, `"id":1`, `"id":null`, 1),
		"without parameters":    `{"jsonrpc":"2.0","id":1,"method":"initialize"}`,
		"with no parameters":    `{"jsonrpc":"2.0","id":1,"method":"initialize","params":null}`,
		"with others":           `{"jsonrpc":"2.0","id":1,"method":"initialize","params":[]}`,
		"of no version of rpc":  strings.Replace(right, `"jsonrpc":"2.0",`, "", 1),
		"of another one of rpc": strings.Replace(right, `"2.0"`, `"1.0"`, 1),
	} {
		got := post(t, url, "/mcp", body, "Accept", "application/json, text/event-stream")
		if session := got.header.Get("Mcp-Session-Id"); got.status != 400 || session != "" {
			t.Errorf("%s: %d, session %q, %s", name, got.status, session, got.text)
		}
	}
}
