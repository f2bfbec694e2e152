package plan

import (
	"encoding/json"
	"regexp"
	"testing"

	"layercake/internal/fault"
)

// escapedNUL finds a NUL in a text that is valid JSON.
var escapedNUL = regexp.MustCompile(`(^|[^\\])(\\\\)*\\u0000`)

// FuzzConfig reads anything as the config of a node: what is accepted is one JSON object for encoding/json, without a NUL.
func FuzzConfig(f *testing.F) {
	for _, s := range []string{
		`{}`, ``, `null`, `[]`, `{"a":1} `, `{"a":1} {}`, `{"a":"\u0000"}`, `{"\u0000":1}`, `{"a":"\\u0000"}`, `{"a":"\ud800"}`, "{\"a\":\"\xff\"}", `{"a":1e999}`,
		`{"a":1e999,"b":"\u0000"}`, `{"a":"\u0000","a":1}`, `{"a":"\\\u0000"}`,
		"{}\v", "\u00a0{}", "{}\u2028", `{"a":{"b":["\u0000"]}}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, config string) {
		err := checkConfig(config)
		if err != nil {
			if f := fault.From(err); f == nil || f.Code != fault.BadRequest {
				t.Errorf("%q: %v", config, err)
			}
		}
		var object map[string]json.RawMessage
		valid := json.Unmarshal([]byte(config), &object) == nil && object != nil && len(config) <= maxConfigBytes
		if valid = valid && !escapedNUL.MatchString(config); (err == nil) != valid {
			t.Errorf("%q: %v, want valid: %t", config, err, valid)
		}
	})
}
