package plan

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"layercake/internal/feed"
)

// What a newer replica writes may have another shape, not only another kind.
func TestDecodeEventOfTheFuture(t *testing.T) {
	t.Parallel()
	const known = `{"kind":"NODE_REMOVED","id":"n","index":1,"before":{"id":"n"}}`
	for operations, want := range map[string]int{
		`[` + known + `]`: 1,
		`[{"kind":"FUTURE_KIND","id":7},` + known + `]`:     1,
		`[{"kind":"FUTURE_KIND","index":"last"}]`:           0,
		`[{"kind":7,"id":"q"},` + known + `,` + known + `]`: 2,
		`[{"kind":{}}, "hello", null, [], 1,` + known + `]`: 1,
		`[{}]`: 0, `[]`: 0, `null`: 0, `{}`: 0, `"text"`: 0, `{"NODE_ADDED":[]}`: 0,
	} {
		body := `{"projectId":1,"version":5,"actorId":"x","future":[{}],"operations":` + operations + `}`
		e, err := decodeEvent([]byte(body))
		if err != nil || e.Version != 5 || e.ActorID != "x" || len(e.Operations) != want {
			t.Errorf("%s: %+v, %v, want %d operations", operations, e, err, want)
		}
	}
	// A known kind that cannot be read is no news of the future.
	if e, err := decodeEvent([]byte(`{"operations":[{"kind":"NODE_ADDED","id":7}]}`)); err == nil {
		t.Errorf("decoded %+v", e)
	}
}

// Feeds look for the hash of the event before where the body begins.
func TestBodyBeginsWithTheEventBefore(t *testing.T) {
	t.Parallel()
	body, err := json.Marshal(Event{Prev: "0a1b2c3d", Version: 1})
	if err != nil || !strings.HasPrefix(string(body), feed.BodyStart+`0a1b2c3d"`) {
		t.Errorf("%s, %v", body, err)
	}
}

const wholeNode, wholeEdge = `{"id":"n","nodeType":"GraphNode"}`, `{"id":"e","source":"n","target":"m"}`

// What another replica said may be forged: an operation that lacks what the code after it takes for granted is refused where it is heard.
func TestCheckEvent(t *testing.T) {
	t.Parallel()
	for operation, valid := range map[string]bool{
		`{"kind":"NODE_ADDED","id":"n","index":0,"after":` + wholeNode + `}`:                              true,
		`{"kind":"NODE_UPDATED","id":"n","index":3,"before":` + wholeNode + `,"after":` + wholeNode + `}`: true,
		`{"kind":"NODE_REMOVED","id":"n","index":1,"before":` + wholeNode + `}`:                           true,
		`{"kind":"EDGE_ADDED","id":"e","index":0,"after":` + wholeEdge + `}`:                              true,
		`{"kind":"EDGE_UPDATED","id":"e","index":0,"before":` + wholeEdge + `,"after":` + wholeEdge + `}`: true,
		`{"kind":"EDGE_REMOVED","id":"e","index":0,"before":` + wholeEdge + `}`:                           true,
		`{"kind":"PLAN_UPDATED","id":"1","before":{"name":"a"},"after":{"name":"b"}}`:                     true,
		`{"kind":"EXECUTION_CHANGED","id":"n","index":0,"after":{"graphId":1}}`:                           true,
		`{"kind":"EXECUTION_CHANGED","id":"n","index":0,"before":{"dataSourceId":1}}`:                     true,
		`{"kind":"FUTURE"}`: true,

		`{"kind":"EXECUTION_CHANGED","id":"n","index":0}`:                                   false,
		`{"kind":"EXECUTION_CHANGED","id":"n","after":{"graphId":1}}`:                       false,
		`{"kind":"EXECUTION_CHANGED","id":"","index":0,"after":{"graphId":1}}`:              false,
		`{"kind":"EXECUTION_CHANGED","id":"n","index":0,"after":{}}`:                        false,
		`{"kind":"EXECUTION_CHANGED","id":"n","index":0,"after":{"graphId":"1"}}`:           false,
		`{"kind":"EXECUTION_CHANGED","id":"n","index":0,"before":[],"after":{"graphId":1}}`: false,

		`{"kind":"NODE_ADDED","id":"n","after":` + wholeNode + `}`:                                        false,
		`{"kind":"NODE_ADDED","id":"n","index":null,"after":` + wholeNode + `}`:                           false,
		`{"kind":"NODE_ADDED","id":"n","index":-1,"after":` + wholeNode + `}`:                             false,
		`{"kind":"NODE_ADDED","id":"n","index":4294967296,"after":` + wholeNode + `}`:                     false,
		`{"kind":"NODE_ADDED","id":"n","index":0}`:                                                        false,
		`{"kind":"NODE_ADDED","id":"n","index":0,"after":null}`:                                           false,
		`{"kind":"NODE_ADDED","id":"n","index":0,"after":{}}`:                                             false,
		`{"kind":"NODE_ADDED","id":"","index":0,"after":{}}`:                                              false,
		`{"kind":"NODE_ADDED","id":"n","index":0,"after":{"id":"m"}}`:                                     false,
		`{"kind":"NODE_ADDED","id":"n","index":0,"after":[]}`:                                             false,
		`{"kind":"NODE_ADDED","id":"n","index":0,"after":{"id":"n","position":{"x":1e999}}}`:              false,
		`{"kind":"NODE_ADDED","id":"n","index":0,"after":{"id":"n","createdAt":"10000-01-01T00:00:00Z"}}`: false,
		`{"kind":"NODE_ADDED","id":"n","index":0,"before":` + wholeNode + `,"after":` + wholeNode + `}`:   false,
		`{"kind":"NODE_REMOVED","id":"n","index":0,"before":` + wholeNode + `,"after":` + wholeNode + `}`: false,
		`{"kind":"NODE_REMOVED","id":"n","before":` + wholeNode + `}`:                                     false,
		`{"kind":"NODE_UPDATED","id":"n","index":0,"after":` + wholeNode + `}`:                            false,
		`{"kind":"EDGE_ADDED","id":"e","after":` + wholeEdge + `}`:                                        false,
		`{"kind":"EDGE_REMOVED","id":"e","index":0}`:                                                      false,
		`{"kind":"PLAN_UPDATED","id":"1"}`:                                                                false,
		`{"kind":"PLAN_UPDATED","id":"1","before":null,"after":null}`:                                     false,
		"{\"kind\":\"NODE_ADDED\",\"id\":\"n\",\"index\":0,\"after\":{\"id\":\"n\",\"config\":\"\xff\"}}": false,
	} {
		body := `{"projectId":1,"version":5,"operations":[` + operation + `]}`
		if _, err := CheckEvent(1, 5, []byte(body)); (err == nil) != valid {
			t.Errorf("%s: %v, want valid: %t", operation, err, valid)
		}
		_, project := CheckEvent(2, 5, []byte(body))
		if _, version := CheckEvent(1, 6, []byte(body)); project == nil || version == nil {
			t.Errorf("%s is taken for another version, or project", operation)
		}
	}
}

// FuzzEvent decodes anything. Whatever is decoded can be asked for without a panic. What passes the check of lines can be shown to every kind
// of subscriber, and all that browsers are sent of it is JSON in UTF-8.
func FuzzEvent(f *testing.F) {
	for _, operation := range []string{
		`{"kind":"NODE_ADDED","id":"n","index":0,"after":` + wholeNode + `}`,
		`{"kind":"NODE_UPDATED","id":"n","index":3,"before":` + wholeNode + `,"after":{"id":"n","position":{"x":1,"y":2},"config":"{}"}}`,
		`{"kind":"NODE_UPDATED","id":"n","index":3,"before":{"id":"n","sourcePosition":"left"},"after":` + wholeNode + `}`,
		`{"kind":"NODE_REMOVED","id":"n","index":1,"before":` + wholeNode + `}`, `{"kind":"NODE_ADDED","id":"n"}`,
		`{"kind":"EDGE_UPDATED","id":"e","index":0,"before":` + wholeEdge + `,"after":{"id":"e","sourceHandle":"h","metadata":{"label":"l"}}}`,
		`{"kind":"EDGE_REMOVED","id":"e","index":0,"before":` + wholeEdge + `}`, `{"kind":"EDGE_ADDED","id":"e","index":0,"after":` + wholeEdge + `}`,
		`{"kind":"PLAN_UPDATED","id":"1","before":{"name":"a"},"after":{"name":"b"}}`, `{"kind":7}`, `null`,
		`{"kind":"EXECUTION_CHANGED","id":"n","index":0,"after":{"graphId":1}}`, `{"kind":"EXECUTION_CHANGED","id":"n","index":0,"before":{"dataSourceId":1}}`,
	} {
		f.Add([]byte(`{"prev":"0a1b2c3d","projectId":1,"version":5,"at":"2026-01-02T03:04:05Z","actorId":"x","operations":[` + operation + `]}`))
	}
	s := &Service{}
	f.Fuzz(func(t *testing.T, body []byte) {
		at := Cursor{Epoch: "e-1", Version: 5, Hash: feed.Hash(body)}
		u, err := updateOf(1, feed.Delivery{At: at, Event: &feed.Event{At: at, Body: body}})
		if err != nil {
			if _, invalid := CheckEvent(1, 5, body); invalid == nil {
				t.Errorf("%q passes the check, and cannot be decoded: %v", body, err)
			}
			return
		}
		decoded, invalid := CheckEvent(u.Event.ProjectID, u.Event.Version, body)
		checked := invalid == nil
		if checked && !reflect.DeepEqual(decoded, u.Event) {
			t.Errorf("%q is checked as %+v, and decoded as %+v", body, decoded, u.Event)
		}
		shown := []any{u.Event}
		patch, err := s.Delta(u)
		if err != nil && checked {
			t.Errorf("%q: %v", body, err)
		}
		for _, p := range patch {
			shown = append(shown, p)
		}
		for _, op := range u.Event.Operations {
			node, edge, err := op.Element()
			if checked && (err != nil || (node == nil) == (edge == nil) && op.Kind != PlanUpdated && op.Kind != ExecutionChanged) {
				t.Errorf("%q: %v, %v, %v", body, node, edge, err)
			}
			shown = append(shown, node, edge)
			if err := undo(op, map[string]Node{}, map[string]Edge{}); err != nil && checked {
				t.Errorf("%q: undo: %v", body, err)
			}
		}
		if text, err := json.Marshal(shown); checked && (err != nil || !utf8.Valid(text)) {
			t.Errorf("%q is shown as %q, %v", body, text, err)
		}
	})
}
