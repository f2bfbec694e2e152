package collab

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"layercake/internal/fault"
	"layercake/internal/presence"
)

// The types of messages that clients send.
const (
	typeJoin   = "join_session"
	typeLeave  = "leave_session"
	typeSwitch = "switch_document"
	typeCursor = "cursor_update"
	typePing   = "ping"

	typeAuthenticate = "authenticate"
)

// The types of documents.
const documentCanvas = "canvas"

var documentTypes = []string{documentCanvas, "spreadsheet", "3d", "timeline", "code_editor"}

var (
	errFormat   = errors.New("invalid message format")
	errPosition = fault.New(fault.BadRequest, "Invalid cursor position values")
)

// message is what a client sent.
type message struct {
	kind     string
	token    string            // set by authenticate
	who      presence.Identity // set by a join
	document string            // set by a join; empty for none
	place    presence.Place    // set by a switch or a cursor
}

// parse reads a message. Its error is errFormat, or a fault that names what is wrong.
func parse(b []byte) (message, error) {
	if !utf8.Valid(b) {
		return message{}, errFormat // JSON is UTF-8
	}
	frame, ok := objectOf(b)
	if !ok {
		return message{}, errFormat
	}
	r := reader{object: frame}
	m := message{kind: r.text("type")}
	if r.failed || m.kind == typePing {
		return m, r.err()
	}
	if m.kind == typeAuthenticate {
		m.token = r.text("token")
		return m, r.err()
	}
	if r.object, ok = objectOf(frame["data"]); !ok {
		return m, errFormat
	}
	switch m.kind {
	case typeJoin:
		m.who = presence.Identity{UserID: r.text("userId"), Name: r.text("userName"), Color: r.text("avatarColor")}
		m.document = r.optionalText("documentId")
		if r.failed {
			return m, errFormat
		}
		return m, m.who.Check()
	case typeSwitch:
		m.place = presence.Place{Document: r.text("documentId"), Type: r.documentType()}
	case typeCursor:
		return r.cursor(m)
	case typeLeave:
		r.optionalText("documentId")
		return m, r.err()
	default:
		return m, errFormat
	}
	if r.failed {
		return m, errFormat
	}
	return m, m.place.Check()
}

func (r *reader) cursor(m message) (message, error) {
	m.place = presence.Place{Document: r.text("documentId"), Type: r.documentType(), Selected: r.optionalText("selectedNodeId")}
	m.place.Drag = r.drag()
	r.integer("timestamp", 64)
	position, ok := objectOf(r.object["position"])
	if r.failed || !ok {
		return m, errFormat
	}
	if err := m.place.Check(); err != nil {
		return m, err
	}
	value, valid, err := positionOf(position)
	if err != nil {
		return m, err
	}
	if !valid {
		return m, errPosition
	}
	m.place.Position, err = json.Marshal(value)
	return m, err
}

// The positions, as they are sent to others: with every key, null where the client gave no value.
type (
	canvasPosition struct {
		Type string   `json:"type"`
		X    float64  `json:"x"`
		Y    float64  `json:"y"`
		Zoom *float64 `json:"zoom"`
	}
	spreadsheetPosition struct {
		Type   string  `json:"type"`
		Row    int64   `json:"row"`
		Column int64   `json:"column"`
		Sheet  *string `json:"sheet"`
	}
	spacePosition struct {
		Type     string      `json:"type"`
		X        float64     `json:"x"`
		Y        float64     `json:"y"`
		Z        float64     `json:"z"`
		Rotation *[3]float64 `json:"rotation"`
		Scale    *float64    `json:"scale"`
		Viewport *string     `json:"viewport"`
	}
	timelinePosition struct {
		Type      string `json:"type"`
		Timestamp int64  `json:"timestamp"`
		Track     *int64 `json:"track"`
	}
	codePosition struct {
		Type   string  `json:"type"`
		Line   int64   `json:"line"`
		Column int64   `json:"column"`
		File   *string `json:"file"`
	}
)

// maxPositionText is the size of the largest name in a position, in bytes.
const maxPositionText = 200

// positionOf reads a position and reports whether its values are possible.
func positionOf(object map[string]json.RawMessage) (position any, valid bool, err error) {
	r := reader{object: object}
	kind := r.text("type")
	var texts *string
	switch kind {
	case "canvas":
		p := canvasPosition{kind, r.number("x"), r.number("y"), r.optionalNumber("zoom")}
		position, valid = p, p.Zoom == nil || *p.Zoom > 0
	case "spreadsheet":
		p := spreadsheetPosition{kind, r.integer("row", 32), r.integer("column", 32), r.nullableText("sheet")}
		position, valid, texts = p, p.Row >= 0 && p.Column >= 0, p.Sheet
	case "3d":
		p := spacePosition{
			kind, r.number("x"), r.number("y"), r.number("z"), r.rotation(), r.optionalNumber("scale"), r.nullableText("viewport"),
		}
		position, valid, texts = p, p.Scale == nil || *p.Scale > 0, p.Viewport
	case "timeline":
		p := timelinePosition{kind, r.integer("timestamp", 64), r.optionalInteger("track", 32)}
		position, valid = p, p.Timestamp >= 0 && (p.Track == nil || *p.Track >= 0)
	case "code_editor":
		p := codePosition{kind, r.integer("line", 32), r.integer("column", 32), r.nullableText("file")}
		position, valid, texts = p, p.Line >= 0 && p.Column >= 0, p.File
	default:
		r.failed = true
	}
	if r.failed {
		return nil, false, errFormat
	}
	if texts != nil && (len(*texts) > maxPositionText || strings.ContainsRune(*texts, 0)) {
		return nil, false, nil
	}
	return position, valid, nil
}

// reader takes values out of an object, and notes whether one was missing or of another type. Keys are compared exactly, unlike those of
// encoding/json, which ignores their case.
type reader struct {
	object map[string]json.RawMessage
	failed bool
}

func (r *reader) err() error {
	if r.failed {
		return errFormat
	}
	return nil
}

func objectOf(b []byte) (map[string]json.RawMessage, bool) {
	var object map[string]json.RawMessage
	err := json.Unmarshal(b, &object)
	return object, err == nil && object != nil
}

func (r *reader) absent(key string) bool {
	raw, there := r.object[key]
	return !there || string(raw) == "null"
}

func (r *reader) text(key string) (text string) {
	raw := r.object[key]
	if len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, &text) != nil {
		r.failed = true
	}
	return text
}

func (r *reader) optionalText(key string) string {
	if r.absent(key) {
		return ""
	}
	return r.text(key)
}

func (r *reader) nullableText(key string) *string {
	if r.absent(key) {
		return nil
	}
	text := r.text(key)
	return &text
}

// drag reads which nodes the client drags, nil for none.
func (r *reader) drag() *presence.Drag {
	const key = "dragging"
	if r.absent(key) {
		return nil
	}
	object, ok := objectOf(r.object[key])
	d := reader{object: object, failed: !ok}
	drag := &presence.Drag{NodeIDs: d.texts("nodeIds"), DX: d.number("dx"), DY: d.number("dy")}
	r.failed = r.failed || d.failed
	return drag
}

func (r *reader) texts(key string) []string {
	var items []*string
	if json.Unmarshal(r.object[key], &items) != nil || slices.Contains(items, nil) {
		r.failed = true
		return nil
	}
	texts := make([]string, len(items))
	for i, item := range items {
		texts[i] = *item
	}
	return texts
}

func (r *reader) documentType() string {
	kind := r.text("documentType")
	if !slices.Contains(documentTypes, kind) {
		r.failed = true
	}
	return kind
}

func (r *reader) number(key string) (n float64) {
	raw := r.object[key]
	if len(raw) == 0 || raw[0] == 'n' || json.Unmarshal(raw, &n) != nil {
		r.failed = true
	}
	return n
}

func (r *reader) optionalNumber(key string) *float64 {
	if r.absent(key) {
		return nil
	}
	n := r.number(key)
	return &n
}

func (r *reader) integer(key string, bits int) int64 {
	n, err := strconv.ParseInt(string(r.object[key]), 10, bits) // 1.0 is no integer here
	if err != nil {
		r.failed = true
	}
	return n
}

func (r *reader) optionalInteger(key string, bits int) *int64 {
	if r.absent(key) {
		return nil
	}
	n := r.integer(key, bits)
	return &n
}

func (r *reader) rotation() *[3]float64 {
	if r.absent("rotation") {
		return nil
	}
	var angles []*float64
	if json.Unmarshal(r.object["rotation"], &angles) != nil || len(angles) != 3 || slices.Contains(angles, nil) {
		r.failed = true
		return nil
	}
	return &[3]float64{*angles[0], *angles[1], *angles[2]}
}
