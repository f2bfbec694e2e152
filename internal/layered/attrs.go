package layered

import (
	"bytes"
	"encoding/json"
	"iter"
	"slices"
	"strings"
	"unicode/utf8"
)

// NewAttrs returns values as Node.Attrs keeps them, nil when there are none. It fails for what JSON cannot say.
func NewAttrs(values map[string]any) (json.RawMessage, error) {
	if len(values) == 0 {
		return nil, nil
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b) // sorts the names
	e.SetEscapeHTML(false)
	if err := e.Encode(values); err != nil {
		return nil, err
	}
	return slices.Clone(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}

// CanonicalAttrs returns attributes as NewAttrs writes them: equal ones are then equal bytes. What is canonical already is returned
// without a copy, and so is what is no JSON object. No attributes are nil.
func CanonicalAttrs(attrs json.RawMessage) json.RawMessage {
	if isCanonical(attrs) {
		return attrs
	}
	var values map[string]any
	if err := decode(attrs, &values); err != nil {
		return attrs
	}
	again, err := NewAttrs(values)
	if err != nil {
		return attrs
	}
	return again
}

// isCanonical recognises most attributes that are canonical: sorted names, one value each, no blanks, and no text that could be spelled in
// another way. It says no to objects and arrays within, and to escapes in names, although these may be canonical, too.
func isCanonical(attrs json.RawMessage) bool {
	if len(attrs) == 0 || !utf8.Valid(attrs) || hasOtherEscapes(attrs) ||
		bytes.Contains(attrs, []byte("\u2028")) || bytes.Contains(attrs, []byte("\u2029")) {
		return attrs == nil
	}
	size, last := len("{"), ""
	for name, value := range Attributes(attrs) {
		if size > len("{") && name <= last || len(value) == 0 || value[0] == '{' || value[0] == '[' {
			return false
		}
		size += len(`"":,`) + len(name) + len(value) // the last comma stands for the brace at the end
		last = name
	}
	return size > len("{") && size == len(attrs)
}

// hasOtherEscapes reports escapes of characters that could stand for themselves or be written by a shorter escape.
func hasOtherEscapes(text []byte) bool {
	for i := bytes.IndexByte(text, '\\'); i >= 0 && i+1 < len(text); {
		if bytes.IndexByte([]byte(`"\nrtbf`), text[i+1]) < 0 {
			return true
		}
		next := bytes.IndexByte(text[i+2:], '\\')
		if next < 0 {
			return false
		}
		i += 2 + next
	}
	return false
}

// Attributes yields names and values of attributes in their order. Of what is no JSON object it yields what looks like a member.
func Attributes(attrs json.RawMessage) iter.Seq2[string, json.RawMessage] {
	return func(yield func(string, json.RawMessage) bool) {
		rest := bytes.TrimSpace(attrs)
		if len(rest) == 0 || rest[0] != '{' {
			return
		}
		for {
			rest = bytes.TrimSpace(rest[1:])
			if len(rest) == 0 || rest[0] != '"' {
				return
			}
			n := textLength(rest)
			name := unquoted(rest[:n])
			rest = bytes.TrimSpace(rest[n:])
			if len(rest) == 0 || rest[0] != ':' {
				return
			}
			rest = rest[1:]
			n = memberLength(rest)
			if !yield(name, json.RawMessage(bytes.TrimSpace(rest[:n]))) {
				return
			}
			if rest = rest[n:]; len(rest) == 0 || rest[0] != ',' {
				return
			}
		}
	}
}

// textLength returns the length of the JSON text at the beginning of b, with its quotes.
func textLength(b []byte) int {
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(b)
}

// memberLength returns the length of what stands before the comma or brace that ends the value at the beginning of b.
func memberLength(b []byte) int {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			i += textLength(b[i:]) - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			depth--
		case ',':
			if depth == 0 {
				return i
			}
		}
	}
	return len(b)
}

// unquoted returns what a JSON text says.
func unquoted(quoted []byte) string {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return strings.Trim(string(quoted), `"`)
	}
	var s string
	_ = json.Unmarshal(quoted, &s) // "" of what is no JSON
	return s
}

// attribute returns the value that a filter compares, or nil for null.
func attribute(attrs json.RawMessage, name string) *string {
	for key, value := range Attributes(attrs) {
		if key != name || len(value) == 0 {
			continue
		}
		switch c := value[0]; {
		case c == '"':
			return new(unquoted(value))
		case string(value) == "null":
			return nil
		case c != '{' && c != '[' && bytes.ContainsAny(value, "eE"):
			var f float64
			if json.Unmarshal(value, &f) == nil {
				return number(f)
			}
		}
		return new(string(value))
	}
	return nil
}
