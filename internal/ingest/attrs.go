package ingest

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
)

// attrs collects the attributes of the element in hand.
type attrs struct {
	list []attr
	text []byte // of the last object
}

type attr struct {
	name  string
	text  string
	value any // what it is when it is no text, else nil
}

// add gives an attribute a value. Of several values of one name the last one counts.
func (a *attrs) add(name string, value any) { a.list = append(a.list, attr{name: name, value: value}) }

// addText is add for a text.
func (a *attrs) addText(name, text string) { a.list = append(a.list, attr{name: name, text: text}) }

// object returns the attributes as layered.Node.Attrs has them, sorted by name, and forgets them. It is nil when there are none, and valid
// until the next call.
func (a *attrs) object() []byte {
	if len(a.list) == 0 {
		return nil
	}
	slices.SortStableFunc(a.list, func(x, y attr) int { return strings.Compare(x.name, y.name) })
	a.text = append(a.text[:0], '{')
	for i, x := range a.list {
		if i+1 < len(a.list) && a.list[i+1].name == x.name {
			continue
		}
		if len(a.text) > 1 {
			a.text = append(a.text, ',')
		}
		a.text = append(appendText(a.text, x.name), ':')
		if x.value == nil {
			a.text = appendText(a.text, x.text)
		} else {
			a.text = appendJSON(a.text, x.value)
		}
	}
	a.text = append(a.text, '}')
	a.list = a.list[:0]
	return a.text
}

// appendJSON writes a value as layered.NewAttrs does. Numbers that JSON has no word for are null.
func appendJSON(dst []byte, value any) []byte {
	switch v := value.(type) {
	case string:
		return appendText(dst, v)
	case bool:
		return strconv.AppendBool(dst, v)
	case float64:
		const exact = 1 << 53
		if n := int64(v); v > -exact && v < exact && float64(n) == v && !(n == 0 && math.Signbit(v)) {
			return strconv.AppendInt(dst, n, 10)
		}
	}
	return encode(dst, value)
}

func appendText(dst []byte, s string) []byte {
	if !isPlain(s) {
		return encode(dst, s)
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
}

func encode(dst []byte, value any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return append(dst, "null"...)
	}
	return append(dst, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...)
}

// isPlain recognises texts that JSON writes as they are.
func isPlain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}
