package ingest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"layercake/internal/layered"
)

// readJSON reads an object with the arrays nodes, edges and layers, element by element.
func (b *builder) readJSON(r io.Reader) error {
	bounded := &boundedReader{r: newText(r), most: b.limits.Row}
	d := json.NewDecoder(bounded)
	d.UseNumber()
	bounded.reset()
	if t, err := d.Token(); err != nil {
		return jsonError(err)
	} else if t != json.Delim('{') {
		return refuse("The file must be a JSON object with the arrays nodes, edges and layers")
	}
	found := make(map[Kind]bool)
	for d.More() {
		bounded.reset()
		t, err := d.Token()
		if err != nil {
			return jsonError(err)
		}
		switch k := Kind(t.(string)); k {
		case Nodes, Edges, Layers:
			if found[k] {
				return refuse("The file has %q twice", k)
			}
			found[k] = true
			err = b.readArray(d, bounded, k)
		default:
			err = skip(d, bounded)
		}
		if err != nil {
			return jsonError(err)
		}
	}
	if _, err := d.Token(); err != nil {
		return jsonError(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return refuse("The file goes on after the end of its JSON object, at byte %d", d.InputOffset())
	}
	for _, k := range []Kind{Nodes, Edges, Layers} {
		if !found[k] {
			return refuse("The file has no %q; a graph needs the arrays nodes, edges and layers", k)
		}
	}
	return nil
}

func (b *builder) readArray(d *json.Decoder, bounded *boundedReader, k Kind) error {
	if t, err := d.Token(); err != nil {
		return err
	} else if t != json.Delim('[') {
		return refuse("The value of %q must be an array", k)
	}
	b.begin(k)
	for b.row = 1; d.More(); b.row++ {
		bounded.reset()
		if err := b.limits.exceeded(b.row, string(k)); err != nil {
			return err
		}
		var element any
		if err := d.Decode(&element); errors.Is(err, errTooLong) {
			return refuse("Element %d of %q has more than %d bytes, which is the limit", b.row, k, bounded.most)
		} else if err != nil {
			return err
		}
		object, ok := element.(map[string]any)
		switch most := b.limits.Columns; {
		case !ok:
			b.problems.add(b.row, string(k), "must be an object, not %s", abbreviate(element))
		case most > 0 && len(object) > most:
			b.problems.add(b.row, string(k), "has %d keys, the limit is %d", len(object), most)
		case isDeeper(element, maxDepth):
			b.problems.add(b.row, string(k), "is more than %d levels deep", maxDepth)
		default:
			b.addObject(k, object)
		}
	}
	_, err := d.Token()
	return err
}

func (b *builder) addObject(k Kind, object map[string]any) {
	g := &b.result.Graph
	switch k {
	case Nodes:
		n := layered.Node{Weight: 1}
		b.eachValue(object, func(c column, v string) { b.node(&n, c, v) })
		n.Attrs = b.strings.object(b.attrs.object())
		b.identified(k, n.ID)
		g.Nodes = append(g.Nodes, n)
	case Edges:
		e := layered.Edge{Weight: 1}
		b.eachValue(object, func(c column, v string) { b.edge(&e, c, v) })
		e.Attrs = b.strings.object(b.attrs.object())
		b.identified(k, e.ID)
		g.Edges = append(g.Edges, e)
	case Layers:
		var l layered.Layer
		b.eachValue(object, func(c column, v string) { b.layer(&l, c, v) })
		b.attrs.object() // a layer has none
		b.endLayer(&l)
		g.Layers = append(g.Layers, l)
	}
	b.end(k)
}

// maxDepth is how deep an element may be: what stores and shows it recurses.
const maxDepth = 100

func isDeeper(v any, depth int) bool {
	switch v := v.(type) {
	case []any:
		return depth == 0 || slices.ContainsFunc(v, func(x any) bool { return isDeeper(x, depth-1) })
	case map[string]any:
		if depth == 0 {
			return true
		}
		for _, x := range v {
			if isDeeper(x, depth-1) {
				return true
			}
		}
	}
	return false
}

// boundedReader bounds what a decoder reads for one value, because the decoder keeps all of it.
type boundedReader struct {
	r    io.Reader
	most int // bytes; 0 is no limit
	left int
}

var errTooLong = errors.New("the value is too long")

// reset begins a value.
func (b *boundedReader) reset() { b.left = b.most }

func (b *boundedReader) Read(p []byte) (int, error) {
	if b.most > 0 {
		if b.left <= 0 {
			return 0, errTooLong
		}
		p = p[:min(len(p), b.left)]
	}
	n, err := b.r.Read(p)
	b.left -= n
	return n, err
}

// eachValue passes the values of known fields to set, as text, and makes attributes of all others.
func (b *builder) eachValue(object map[string]any, set func(column, string)) {
	if names := slices.Sorted(maps.Keys(object)); !slices.Equal(names, b.names) { // sorted: of two spellings the same one wins
		b.names, b.columns = names, columnsOf(b.fields, names, b.strings)
	}
	for i, c := range b.columns {
		v := object[b.names[i]]
		if where := nul(v); where != "" || strings.ContainsRune(c.name, 0) {
			b.problems.add(b.row, c.name, "has a NUL character in %.100q", where)
			continue
		}
		text, isText := asText(v)
		switch {
		case v == nil:
		case isText && c.field != other:
			set(c, strings.TrimSpace(text))
		default:
			if c.field != other {
				b.result.Warnings.add(b.row, c.name, "%s is not a text; it counts as none", abbreviate(v))
			}
			b.checkSize(c, v)
			b.attrs.add(c.name, plain(v))
		}
	}
}

func (b *builder) checkSize(c column, v any) {
	if text, ok := asText(v); ok {
		b.checkValue(c, text)
	} else if body, err := json.Marshal(v); err == nil && b.limits.Value > 0 && len(body) > b.limits.Value {
		b.problems.add(b.row, c.name, "has %d bytes, the limit is %d", len(body), b.limits.Value)
	}
}

// asText returns a text, number or truth value as text.
func asText(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	}
	return "", false
}

// plain replaces the numbers in v by float64 where that loses no digit.
func plain(v any) any {
	switch v := v.(type) {
	case json.Number:
		f, err := v.Float64()
		if err != nil {
			return v
		}
		if body, err := json.Marshal(f); err == nil && string(body) == v.String() || digits(v.String()) <= 15 {
			return f
		}
		return v
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	case map[string]any:
		for name := range v {
			v[name] = plain(v[name])
		}
	}
	return v
}

// digits counts those before the exponent.
func digits(number string) int {
	n := 0
	for _, c := range number {
		if c == 'e' || c == 'E' {
			break
		}
		if c >= '0' && c <= '9' {
			n++
		}
	}
	return n
}

// nul returns a text within v that has a NUL character, which the database cannot keep, or "".
func nul(v any) string {
	switch v := v.(type) {
	case string:
		if strings.ContainsRune(v, 0) {
			return v
		}
	case []any:
		for _, x := range v {
			if s := nul(x); s != "" {
				return s
			}
		}
	case map[string]any:
		for name, x := range v {
			if s := nul(name) + nul(x); s != "" {
				return s
			}
		}
	}
	return ""
}

func abbreviate(v any) string {
	body, err := json.Marshal(v)
	if err != nil {
		return "this"
	}
	const limit = 40
	if len(body) > limit {
		return strings.ToValidUTF8(string(body[:limit]), "") + "..."
	}
	return string(body)
}

// maxSkipped is how deep a value may be that is not kept: the decoder remembers the brackets.
const maxSkipped = 10_000

// skip reads past the next value without keeping it.
func skip(d *json.Decoder, bounded *boundedReader) error {
	for depth := 0; ; {
		bounded.reset()
		if depth > maxSkipped {
			return refuse("The file's JSON is more than %d levels deep at byte %d", maxSkipped, d.InputOffset())
		}
		t, err := d.Token()
		if err != nil {
			return err
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}

// jsonError says where the JSON is wrong, and lets errors of the reader through.
func jsonError(err error) error {
	var refused *Error
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &refused):
		return err
	case errors.Is(err, errTooLong):
		return refuse("The file has a value that is longer than an element may be")
	case errors.As(err, &syntax):
		return refuse("The file is not valid JSON at byte %d: %v", syntax.Offset, err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return refuse("The file ends in the middle of its JSON")
	}
	return fmt.Errorf("read JSON: %w", err)
}
