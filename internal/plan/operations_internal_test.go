package plan

import (
	"encoding/json"
	"testing"
)

// The ids that the server makes are the same on every replica of every release, or a repeat would make others.
func TestMadeIDsNeverChange(t *testing.T) {
	t.Parallel()
	for want, got := range map[string]string{
		"datasource-amjjdokommag": madeID(nodePrefix(DataSourceNode), " op", 0),
		"edge-dikolbkojcff":       madeID("edge", " op", 1),
		"edge-ilidmajehblh":       madeID("edge", "ann op", 1),
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// The examples of RFC 7396, appendix A, whose values are objects, and what JSON Patch libraries do otherwise.
func TestMergePatch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		value, patch, want string
		changed            bool
	}{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`, true},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`, true},
		{`{"a":"b"}`, `{"a":null}`, `{}`, true},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`, true},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`, true},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`, true},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`, true},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`, true},
		{`{"e":null}`, `{"a":1}`, `{"a":1,"e":null}`, true},
		{`[1,2]`, `{"a":"b","c":null}`, `{"a":"b"}`, true},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`, true},
		{`{"a":1}`, `{"a":[{"b":null}]}`, `{"a":[{"b":null}]}`, true},
		{`{"b":1,"a":{"d":"<&>"}}`, `{"a":{"c":12345678901234567890.10}}`, `{"a":{"c":12345678901234567890.10,"d":"<&>"},"b":1}`, true},
		{`{"b":1, "a":{"c":[1, 2]}}`, `{"a":{"c":[1,2],"d":null}}`, ``, false},
		{`{"a":1}`, `{}`, ``, false},
	} {
		got, changed, err := mergePatch(json.RawMessage(c.value), json.RawMessage(c.patch))
		if err != nil || changed != c.changed || changed && string(got) != c.want {
			t.Errorf("%s with %s is %s, %t, %v, want %s, %t", c.value, c.patch, got, changed, err, c.want, c.changed)
		}
	}
}
