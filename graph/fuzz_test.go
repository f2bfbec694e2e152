package graph_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"layercake/internal/client"
)

// FuzzFrame sends anything as a frame of a socket. What encoding/json does not take for a frame of the protocol closes the socket with a
// code of the protocol. After any other frame the socket goes on, and answers are about the operation that the frame named.
func FuzzFrame(f *testing.F) {
	for _, s := range []string{
		``, `null`, `[]`, `{}`, `{"type":"pong"}`, `{"type":"pong"} {}`, `{"type":"ping","payload":[1,{"a":"\u2028"}]}`, `{"TYPE":"ping"}`, `{"type":"ping","id":7}`,
		`{"type":"connection_init"}`, `{"type":"connection_init","payload":7}`, `{"type":"complete"}`, `{"type":"complete","id":"1"}`, `{"type":"next","id":"1"}`,
		`{"type":"subscribe","id":"1","payload":{"query":"{__typename}"}}`, `{"type":"subscribe","id":"\ud800\"","payload":{"query":"{"}}`,
		`{"type":"subscribe","id":"1","payload":{"query":"query($a:[Int]){__typename}","variables":{"a":[1,"x"]},"extensions":{"a":1}}}`,
		`{"type":"subscribe","id":"","payload":{"query":"{__typename}"}}`, `{"type":"subscribe","id":"1"}`, `{"type":"subscribe","id":"1","payload":{}}`,
		`{"type":"subscribe","id":"1","payload":{"extensions":{"persistedQuery":{}}}}`, `{"type":"pong","id":"` + strings.Repeat("i", 1025) + `"}`,
	} {
		f.Add(s)
	}
	s := offline(f)
	f.Fuzz(func(t *testing.T, text string) {
		c, err := client.Dialer{Timeout: deadline}.GraphQL(t.Context(), s.url)
		if err != nil {
			t.Fatal(err)
		}
		defer c.CloseNow()
		var sent client.Message
		valid := json.Unmarshal([]byte(text), &sent) == nil
		const last = `{"type":"ping","payload":"the last one"}`
		ctx, cancel := context.WithTimeout(t.Context(), deadline)
		defer cancel()
		for _, frame := range []string{text, last} {
			_ = c.Send(ctx, []byte(frame)) // fails after the first one closed the socket
		}
		pongs := 0
		for {
			frame, err := c.Receive(ctx)
			if closed := new(client.Closed); errors.As(err, &closed) {
				if code := int(closed.Code); code != 4400 && code != 4429 {
					t.Errorf("%q closes the socket with %v", text, err)
				}
				if valid && len(sent.ID) <= 1024 && (sent.Type == "ping" || sent.Type == "pong" || sent.Type == "complete" && sent.ID != "") {
					t.Errorf("%q closes the socket: %v", text, err)
				}
				return
			}
			if err != nil {
				t.Fatalf("%q: %v", text, err)
			}
			var got client.Message
			if err := json.Unmarshal(frame, &got); err != nil {
				t.Fatalf("%q is answered by %q: %v", text, frame, err)
			}
			switch got.Type {
			case "next", "error", "complete":
				if sent.Type != "subscribe" || got.ID != sent.ID {
					t.Errorf("%q is answered by %q", text, frame)
				}
			case "pong":
				if pongs++; sent.Type == "ping" && pongs == 1 {
					if !sameJSON(got.Payload, sent.Payload) {
						t.Errorf("%q is answered by %q", text, frame)
					}
					continue
				}
				if string(got.Payload) != `"the last one"` {
					t.Errorf("%q is answered by %q", text, frame)
				}
				if !valid || len(sent.ID) > 1024 || !slices.Contains([]string{"ping", "pong", "complete", "subscribe"}, sent.Type) {
					t.Errorf("%q leaves the socket open", text)
				}
				return
			default:
				t.Errorf("%q is answered by %q", text, frame)
			}
		}
	})
}

// sameJSON reports whether two texts are the same JSON, but for blanks; nothing is the same as null.
func sameJSON(a, b json.RawMessage) bool {
	var x, y bytes.Buffer
	for _, v := range []struct {
		to   *bytes.Buffer
		text json.RawMessage
	}{{&x, a}, {&y, b}} {
		if len(v.text) == 0 {
			v.text = json.RawMessage("null")
		}
		if json.Compact(v.to, v.text) != nil {
			return false
		}
	}
	return x.String() == y.String()
}
