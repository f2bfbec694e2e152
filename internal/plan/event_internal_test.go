package plan

import (
	"encoding/json"
	"strings"
	"testing"

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
