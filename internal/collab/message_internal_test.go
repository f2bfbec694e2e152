package collab

import (
	"encoding/json"
	"errors"
	"reflect"
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
			`"selectedNodeId":"n","timestamp":1}}`,
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
			data["position"], data["selectedNodeId"], data["timestamp"] = m.place.Position, m.place.Selected, 0
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
