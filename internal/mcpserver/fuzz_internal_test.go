package mcpserver

import (
	"encoding/json"
	"strings"
	"testing"
)

// FuzzEnvelope reads anything as a message. What is JSON has the depth that its brackets have, and an id that is put in is the one that is
// there.
func FuzzEnvelope(f *testing.F) {
	for _, text := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"wait_seconds":3}}}`, `[]`, `null`, `{"id":{}}`,
		`{"params":{"_meta":{"io.modelcontextprotocol/clientInfo":{"name":"a"},"progressToken":"t"}}}`, `{"params":[1]}`, `"\"[["`, ``,
		strings.Repeat("[", 65), `{"result":null,"id":"a"}`, `{"params":{"arguments":{"wait_seconds":"1e400"}}}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		e := parseEnvelope(text)
		_, _ = e.waits(), e.client()
		err := checkDepth(text)
		if !json.Valid(text) {
			return
		}
		if (depthOf(t, text) > maxDepth) != (err != nil) {
			t.Errorf("depth %d: %v", depthOf(t, text), err)
		}
		var members map[string]json.RawMessage
		if json.Unmarshal(text, &members) != nil || members == nil {
			return
		}
		changed := parseEnvelope(withID(text, json.RawMessage(`"new"`)))
		if string(changed.ID) != `"new"` {
			t.Errorf("the id is %s", changed.ID)
		}
	})
}

// depthOf returns how many objects and lists of a valid text are inside of each other at most, by the library's tokens.
func depthOf(t *testing.T, text []byte) (deepest int) {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.UseNumber()
	for depth := 0; ; {
		token, err := decoder.Token()
		if err != nil {
			return deepest
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		deepest = max(deepest, depth)
	}
}

// FuzzListenable reads anything as a URI. What can be listened to names its project in one way only.
func FuzzListenable(f *testing.F) {
	for _, uri := range []string{
		"layercake://projects/1/plan", "layercake://projects/1", "layercake://projects/1/", "layercake://projects/01/plan", "layercake://projects/-1/plan",
		"layercake://projects/9999999999/plan", "file:///etc/passwd", "layercake://projects/1/plan/", "layercake://projects/+1/presence", "",
	} {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		topic, ok := listenable(uri)
		if !ok {
			return
		}
		if topic.project < 1 || topic.of == "" || strings.ContainsAny(uri, "\x00\n\r ") || strings.HasSuffix(uri, "/") {
			t.Errorf("%q is %+v", uri, topic)
		}
	})
}
