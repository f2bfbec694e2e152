package mcpserver_test

import (
	"testing"

	"layercake/internal/server/servertest"
)

// What is wrong with the query of an address does not widen what its client may do.
func TestAddressesThatAreNoQuery(t *testing.T) {
	t.Parallel()
	url := servertest.Start(t, 1, nil)[0].URL
	const body = `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`
	for _, query := range []string{"?read_only=true;project=1", "?project=%zz", "?read_only=true&%"} {
		for _, path := range []string{"/mcp", "/mcp/"} {
			if got := post(t, url, path+query, body); got.status != 400 {
				t.Fatalf("%s: %d %.60s", path+query, got.status, got.text)
			}
		}
		if got := send(t, "GET", url+"/mcp/sse"+query, ""); got.status != 400 {
			t.Errorf("a stream with %s: %d", query, got.status)
		}
	}
}
