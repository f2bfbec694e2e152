package bridge

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

func TestPeek(t *testing.T) {
	t.Parallel()
	const meta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}`
	for text, want := range map[string]message{
		`{"id":1,"method":"tools/call","params":{"name":"get_plan","arguments":{"name":"x"}}}`: {id: json.RawMessage("1"), method: "tools/call", name: "get_plan"},
		`{"id":"a","method":"resources/read","params":{"uri":"x://y",` + meta + `}}`:           {id: json.RawMessage(`"a"`), method: "resources/read", name: "x://y", version: "2026-07-28"},
		`{"method":"notifications/cancelled","params":{"requestId":7}}`:                        {method: cancelled, cancels: json.RawMessage("7")},
		`{"id":2,"result":{}}`:                                   {id: json.RawMessage("2")},
		`{"id":2,"error":{}}`:                                    {id: json.RawMessage("2")},
		`{"id":3,"method":"ping","params":[1]}`:                  {id: json.RawMessage("3"), method: "ping"},
		`{"id":3,"method":"ping","params":{"_meta":5}}`:          {id: json.RawMessage("3"), method: "ping"},
		`{"id":3,"method":"tools/list","Method":"tools/call"}`:   {id: json.RawMessage("3"), method: "tools/list"},
		`{"id":3,"method":"tools/call","params":{"name":[1]}}`:   {id: json.RawMessage("3"), method: "tools/call"},
		`{"id":null,"method":"ping","params":{"name":"no one"}}`: {id: json.RawMessage("null"), method: "ping"},
	} {
		got, err := peek([]byte(text))
		if err != nil || string(got.text) != text || string(got.id) != string(want.id) || got.method != want.method || got.name != want.name ||
			got.version != want.version || string(got.cancels) != string(want.cancels) {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for text, want := range map[string]error{
		`{"id":1,"method":5}`:       errNoMessage,
		`{"id":1,"method":""}`:      errNoMessage,
		`{"id":1}`:                  errNoMessage,
		`"tools/call"`:              errNoMessage,
		`{"id":1,"method":"ping"`:   errNoJSON,
		`{"id":1,"method":"ping"}}`: errNoJSON,
	} {
		if _, err := peek([]byte(text)); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", text, err, want)
		}
	}
}

func FuzzPeek(f *testing.F) {
	f.Add([]byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","_meta":{"progressToken":"é"}}}`))
	f.Add([]byte(`{"id":"\u0061","method":"notifications/cancelled","params":{"requestId":"a"}}`))
	f.Add([]byte("{\"id\":null,\n\"error\":{\"code\":1}}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := peek(text)
		if err == nil != json.Valid(text) && !errors.Is(err, errNoMessage) {
			t.Errorf("%v", err)
		}
		if m.id != nil {
			keyOf(m.id)
		}
		if err != nil {
			return
		}
		line, err := compact(addressed(text, json.RawMessage("7")))
		if err != nil || bytes.Count(line, []byte("\n")) != 1 || !json.Valid(line) {
			t.Errorf("%q, %v", line, err)
		}
		for _, answer := range [][]byte{failure(m.id, serverError, m.method), answerWith(m.id, json.RawMessage(`{}`))} {
			if again, err := peek(answer); err != nil || again.method != "" || m.id != nil && keyOf(again.id) != keyOf(m.id) {
				t.Errorf("%s: %+v, %v", answer, again, err)
			}
		}
	})
}

func TestKeysOfIds(t *testing.T) {
	t.Parallel()
	if keyOf(json.RawMessage(`"\u0061"`)) != keyOf(json.RawMessage(`"a"`)) {
		t.Error("one id in two spellings")
	}
	if keyOf(json.RawMessage(`"1"`)) == keyOf(json.RawMessage(`1`)) {
		t.Error("a string and a number")
	}
}

func TestReadLine(t *testing.T) {
	t.Parallel()
	const limit = 100
	r := bufio.NewReaderSize(strings.NewReader("one\r\n\n"+strings.Repeat("x", limit)+"\n"+strings.Repeat("x", limit+1)+"\nfour\n"+
		strings.Repeat("x", 10*limit)+"\nlast"), 16)
	for _, want := range []string{"one", "", strings.Repeat("x", limit), "too long", "four", "too long", "last", "EOF"} {
		line, err := readLine(r, limit)
		got := string(line)
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if _, err := readLine(bufio.NewReaderSize(strings.NewReader(strings.Repeat("x", limit+1)), 16), limit); !errors.Is(err, errTooLong) {
		t.Errorf("a last line that is too long: %v", err)
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	var got []string
	for text, err := range events(strings.NewReader(":\n\nevent: message\r\nid: 5\r\ndata: 1\r\n\r\nevent: prime\ndata: no\n\ndata:2\ndata: 3\n\n" +
		"id: 6\n\nretry: 5\ndata:\n\nevent: endpoint\ndata: no\n\ndata: 4\n\ndata: cut off")) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(text))
	}
	if want := []string{"1\n", "2\n3\n", "4\n"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, err := range events(io.MultiReader(strings.NewReader("data: "), bytes.NewReader(make([]byte, maxAnswer+1)))) {
		if !errors.Is(err, errTooLong) {
			t.Errorf("an event without an end: %v", err)
		}
	}
}

func TestAddress(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		address  string
		readOnly bool
		project  int
		want     string
	}{
		{"http://127.0.0.1:3000/mcp", false, 0, "http://127.0.0.1:3000/mcp"},
		{"http://127.0.0.1:3000/mcp", true, 7, "http://127.0.0.1:3000/mcp?project=7&read_only=true"},
		{"https://example.org/cakes/mcp/?toolsets=plans", true, 0, "https://example.org/cakes/mcp/?read_only=true&toolsets=plans"},
		{"http://localhost:3000?read_only=false", true, 0, "http://localhost:3000/mcp?read_only=true"},
		{"http://localhost:3000/", false, 0, "http://localhost:3000/mcp"},
		{"127.0.0.1:3000", false, 0, ""},
		{"localhost:3000/mcp", false, 0, ""},
		{"file:///etc/passwd", false, 0, ""},
		{"http:///mcp", false, 0, ""},
	} {
		got, err := Address(c.address, c.readOnly, c.project)
		if got != c.want || (err != nil) != (c.want == "") {
			t.Errorf("%s: %q, %v", c.address, got, err)
		}
	}
}
