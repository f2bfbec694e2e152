package layered

import (
	"encoding/json"
	"testing"

	"pgregory.net/rapid"
)

// TestAttributesHaveOneSpelling: however a JSON object is written, it has one canonical form, which says the same and is recognised.
func TestAttributesHaveOneSpelling(t *testing.T) {
	t.Parallel()
	text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "a", "b", `"`, `\`, "<&>", "日本", "\u2028", "{", "[,]", ":"}))
	scalar := rapid.OneOf(rapid.Map(text, func(s string) any { return s }), rapid.Map(rapid.Float64(), func(f float64) any { return f }),
		rapid.Map(rapid.Bool(), func(b bool) any { return b }), rapid.Just[any](nil))
	value := rapid.OneOf(scalar, scalar, rapid.Map(rapid.SliceOfN(scalar, 0, 3), func(l []any) any { return l }),
		rapid.Map(rapid.MapOfN(text, scalar, 0, 3), func(m map[string]any) any { return m }))
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.MapOfN(text, value, 0, 4).Draw(t, "values")
		want, err := NewAttrs(values)
		if err != nil {
			t.Fatal(err)
		}
		if got := CanonicalAttrs(want); string(got) != string(want) {
			t.Errorf("%s is not canonical: %s", want, got)
		}
		for _, spelled := range []json.RawMessage{escaped(t, values), indented(t, values), backwards(t, values)} {
			if got := CanonicalAttrs(spelled); string(got) != string(want) {
				t.Errorf("%s became %s, want %s", spelled, got, want)
			}
			n := 0
			for name, value := range Attributes(spelled) {
				var got any
				if err := json.Unmarshal(value, &got); err != nil || inJSON(got) != inJSON(values[name]) {
					t.Errorf("%s: %q is %s, want %v", spelled, name, value, values[name])
				}
				n++
			}
			if n != len(values) {
				t.Errorf("%s: %d attributes, want %d", spelled, n, len(values))
			}
		}
	})
}

// FuzzAttributes: whatever the bytes, reading attributes ends, and what is recognised as canonical is.
func FuzzAttributes(f *testing.F) {
	for _, s := range []string{``, `{}`, `null`, `{"a":1}`, `{"a":1,"a":2}`, `{"b":1,"a":2}`, `{"a":"\`, `{"a":1 }`, `{"a":"}"}x`, `[1]`, `{"a`, `{"a":,}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for range Attributes(body) { // which must end
		}
		if !json.Valid(body) || !isCanonical(body) || len(body) == 0 {
			return
		}
		var values map[string]any
		if err := decode(body, &values); err != nil {
			t.Fatalf("%q is no object", body)
		}
		if want, err := NewAttrs(values); err != nil || string(want) != string(body) {
			t.Errorf("%q is not canonical: %q, %v", body, want, err)
		}
	})
}

func escaped(t *rapid.T, values map[string]any) json.RawMessage {
	body, err := json.Marshal(values) // escapes < and >
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func indented(t *rapid.T, values map[string]any) json.RawMessage {
	body, err := json.MarshalIndent(values, " ", "\t")
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func backwards(t *rapid.T, values map[string]any) json.RawMessage {
	body := []byte("}")
	for name, value := range Attributes(escaped(t, values)) {
		if body[0] != '}' {
			body = append([]byte(","), body...)
		}
		body = append([]byte(inJSON(name)+":"+string(value)), body...)
	}
	return append([]byte("{"), body...)
}
