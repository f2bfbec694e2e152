package fault

import (
	"strings"
	"unicode/utf8"
)

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
