package collab

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"layercake/internal/fault"
)

// maxLinePosition is the largest position that other replicas take (maxPosition of package presence).
const maxLinePosition = 4 << 10

// FuzzMessage reads anything that a client may send: what is accepted is JSON, can be shown to browsers and told to other replicas, and
// means the same when a client sends it again.
func FuzzMessage(f *testing.F) {
	for _, s := range []string{
		`{"type":"ping"}`, `{"type":"ping","data":7}`, `{"type":"leave_session","data":{}}`, `{"type":"join_session"}`, `null`, `[]`, `{}`, "",
		`{"type":"join_session","data":{"userId":"ann","userName":"Ann","avatarColor":"#123456","documentId":"plan"}}`,
		`{"type":"switch_document","data":{"documentId":"plan","documentType":"canvas"}}`,
		`{"type":"cursor_update","data":{"documentId":"plan","documentType":"canvas","position":{"type":"canvas","x":1.5,"y":-0,"zoom":null},` +
			`"selectedNodeId":"n","timestamp":1,"dragging":{"nodeIds":["n","<\u2028>"],"dx":1e300,"dy":-0}}}`,
		`{"type":"cursor_update","data":{"documentId":"d","documentType":"3d","position":{"type":"3d","x":1e308,"y":2,"z":3,"rotation":[1,2,3],` +
			`"scale":1,"viewport":"<&>\u2028"},"timestamp":1}}`,
		`{"type":"cursor_update","data":{"documentId":"d","documentType":"timeline","position":{"type":"timeline","timestamp":5,"track":0},"timestamp":1}}`,
		`{"type":"cursor_update","data":{"documentId":"d","documentType":"code_editor","position":{"type":"code_editor","line":1,"column":2,` +
			`"file":"\ud800"},"timestamp":1}}`,
		`{"type":"cursor_update","data":{"documentId":"d","documentType":"spreadsheet","position":{"type":"spreadsheet","row":1,"column":2,"sheet":"s"},` +
			`"timestamp":1}}`,
		`{"type":"cursor_update","type":"ping","data":{}}`, `{"type":"ping"} {}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parse(b)
		if err != nil {
			if !errors.Is(err, errFormat) && fault.From(err) == nil {
				t.Errorf("%q is refused by %v, which no client may see", b, err)
			}
			return
		}
		if !json.Valid(b) || !utf8.Valid(b) {
			t.Fatalf("%q is taken for %+v", b, m)
		}
		data := map[string]any{}
		switch m.kind {
		case typePing, typeLeave:
			return
		case typeJoin:
			data["userId"], data["userName"], data["avatarColor"], data["documentId"] = m.who.UserID, m.who.Name, m.who.Color, m.document
			if m.who.Check() != nil {
				t.Errorf("%q lets in %+v", b, m.who)
			}
		case typeCursor:
			if p := m.place.Position; !json.Valid(p) || !utf8.Valid(p) || len(p) > maxLinePosition {
				t.Errorf("%q has a position of %d bytes: %q", b, len(p), p)
			}
			data["position"], data["selectedNodeId"], data["timestamp"], data["dragging"] = m.place.Position, m.place.Selected, 0, m.place.Drag
			fallthrough
		case typeSwitch:
			data["documentId"], data["documentType"] = m.place.Document, m.place.Type
			if m.place.Check() != nil {
				t.Errorf("%q names %+v", b, m.place)
			}
		default:
			t.Fatalf("%q has the type %q", b, m.kind)
		}
		again, err := json.Marshal(map[string]any{"type": m.kind, "data": data})
		if err != nil {
			t.Fatal(err)
		}
		if same, err := parse(again); err != nil || !reflect.DeepEqual(same, m) {
			t.Errorf("%q means %+v, and sent again as %q %+v, %v", b, m, again, same, err)
		}
	})
}

func TestDragsThatAreRefused(t *testing.T) {
	t.Parallel()
	const format, fit = "no message", ""
	ids := func(n int, id string) string {
		return `["` + strings.TrimSuffix(strings.Repeat(id+`","`, n), `,"`) + `]`
	}
	for dragging, want := range map[string]string{
		`null`: fit, `{"nodeIds":["a"],"dx":1.5,"dy":-2}`: fit, `{"nodeIds":["a","a"],"dx":0,"dy":0,"more":1}`: fit,
		`{"nodeIds":` + ids(50, strings.Repeat("x", 56)) + `,"dx":0,"dy":0}`: fit,
		`{}`: format, `[]`: format, `true`: format, `{"nodeIds":"a","dx":0,"dy":0}`: format, `{"nodeIds":["a"],"dx":0}`: format,
		`{"nodeIds":["a"],"dx":"0","dy":0}`: format, `{"nodeIds":["a"],"dx":1e400,"dy":0}`: format, `{"nodeIds":["a",null],"dx":0,"dy":0}`: format,
		`{"nodeIds":["a",1],"dx":0,"dy":0}`: format, `{"dx":0,"dy":0}`: format, `{"NodeIds":["a"],"dx":0,"dy":0}`: format,
		`{"nodeIds":[],"dx":0,"dy":0}`:                                       "0 nodes are dragged, want 1 to 50",
		`{"nodeIds":` + ids(51, "a") + `,"dx":0,"dy":0}`:                     "51 nodes are dragged, want 1 to 50",
		`{"nodeIds":[""],"dx":0,"dy":0}`:                                     "Dragged node ID cannot be empty",
		`{"nodeIds":["a\u0000"],"dx":0,"dy":0}`:                              "Dragged node ID may not contain the character U+0000",
		`{"nodeIds":["` + strings.Repeat("x", 201) + `"],"dx":0,"dy":0}`:     "Dragged node ID is too long: 201 bytes, at most 200",
		`{"nodeIds":` + ids(50, strings.Repeat("x", 57)) + `,"dx":0,"dy":0}`: "Dragged node IDs are too long: 3001 bytes as JSON, at most 3000",
		`{"nodeIds":` + ids(9, strings.Repeat("<", 60)) + `,"dx":0,"dy":0}`:  "Dragged node IDs are too long: 3268 bytes as JSON, at most 3000",
	} {
		m, err := parse([]byte(`{"type":"cursor_update","data":{"documentId":"plan","documentType":"canvas","timestamp":1,` +
			`"position":{"type":"canvas","x":1,"y":2},"dragging":` + dragging + `}}`))
		got := fit
		switch f := fault.From(err); {
		case f != nil:
			got = f.Message
		case err != nil:
			got = format
		case (m.place.Drag == nil) != (dragging == "null"):
			t.Errorf("%s means %+v", dragging, m.place.Drag)
		}
		if got != want {
			t.Errorf("%.80s is answered with %q, want %q", dragging, got, want)
		}
	}
}
