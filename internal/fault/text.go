package fault

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxReflected is how many characters of what a client sent an error says back.
const maxReflected = 200

// Clip returns what an error may say back of a text that a client sent: its beginning, when it is long.
func Clip(text string) string {
	if len(text) <= maxReflected {
		return text
	}
	for i, n := 0, 0; i < len(text); n++ {
		if n == maxReflected {
			return text[:i] + "..."
		}
		_, size := utf8.DecodeRuneInString(text[i:])
		i += size
	}
	return text
}

// clipped is Clip for all texts in a detail.
func clipped(detail any) any {
	switch d := detail.(type) {
	case string:
		return Clip(d)
	case []string:
		texts := slices.Clone(d)
		for i, text := range texts {
			texts[i] = Clip(text)
		}
		return texts
	case map[string]any:
		members := make(map[string]any, len(d))
		for name, member := range d {
			members[name] = clipped(member)
		}
		return members
	}
	return detail
}

// CheckText refuses a text that is longer than so many characters or that holds a NUL, which PostgreSQL cannot store. Field is
// how the message names it.
func CheckText(field, text string, most int) error {
	if n := utf8.RuneCountInString(text); n > most {
		return New(BadRequest, field+" is too long").With("detail", map[string]any{"limit": most, "length": n})
	}
	if strings.ContainsRune(text, 0) {
		return New(BadRequest, field+" contains a NUL character").With("detail", map[string]any{"position": strings.IndexByte(text, 0)})
	}
	return nil
}

// CheckName refuses characters that a name cannot have, because whoever reads it does not see what is there: control characters, those
// that change the direction in which the text around them is read, byte order marks, separators of lines, and tags. What joins characters
// of scripts or varies emoji may stand in it.
func CheckName(field, text string) error { return checkCharacters(field, text, "") }

// CheckLabel is CheckName for a text that may have several lines.
func CheckLabel(field, text string) error { return checkCharacters(field, text, "\n\t") }

func checkCharacters(field, text, allowed string) error {
	for i, r := range text {
		if Hidden(r) && !strings.ContainsRune(allowed, r) {
			return New(BadRequest, fmt.Sprintf("%s may not contain the character U+%04X", field, r)).
				With("detail", map[string]any{"position": utf8.RuneCountInString(text[:i])})
		}
	}
	return nil
}

// Hidden reports whether a character cannot be seen and changes more than itself.
func Hidden(r rune) bool {
	switch {
	case unicode.IsControl(r):
	case r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069: // embeddings, overrides and isolates of direction
	case r == 0xfeff: // byte order mark
	case r == 0x2028, r == 0x2029: // separators of lines and paragraphs
	case r >= 0xe0000 && r <= 0xe007f: // tags
	default:
		return false
	}
	return true
}

// DecodeJSON decodes a JSON text all of whose members have to be known.
func DecodeJSON(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

// unknownMember begins the error of the standard library for a member that is not known, which has no type.
const unknownMember = "json: unknown field "

// JSONReason says in our words what is wrong with a JSON text that the standard library could not read.
func JSONReason(err error) string {
	var syntax *json.SyntaxError
	var mismatch *json.UnmarshalTypeError
	switch {
	case errors.As(err, &mismatch) && mismatch.Field != "":
		return fmt.Sprintf("%q is of the wrong type: %s", Clip(mismatch.Field), kindOf(mismatch.Value))
	case errors.As(err, &mismatch):
		return "it is of the wrong type: " + kindOf(mismatch.Value)
	case errors.As(err, &syntax):
		return fmt.Sprintf("it is no JSON from byte %d on", syntax.Offset)
	}
	if name, ok := strings.CutPrefix(err.Error(), unknownMember); ok {
		return Clip(name) + " is unknown: correct its name, or remove it"
	}
	return "it is no JSON, or ends too early"
}

// kindOf returns a kind of JSON value as UnmarshalTypeError names it, without the value that may follow.
func kindOf(value string) string {
	kind, _, _ := strings.Cut(value, " ")
	switch kind {
	case "array":
		return "a list"
	case "object":
		return "an object"
	case "bool":
		return "true or false"
	}
	return "a " + kind
}

// TooDeep returns where in a JSON text lists and objects begin to be inside of each other more than so many times, -1 for nowhere. It reads
// any text, so that it can be asked before the text is decoded.
func TooDeep(text []byte, most int) int {
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			quoted = !quoted
		case quoted && c == '\\':
			i++
		case quoted:
		case c == '{', c == '[':
			if depth++; depth > most {
				return i
			}
		case c == '}', c == ']':
			depth--
		}
	}
	return -1
}
