package bridge

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
)

// The methods that the bridge treats in a way of their own.
const (
	initialize  = "initialize"
	initialized = "notifications/initialized"
	cancelled   = "notifications/cancelled"
	listen      = "subscriptions/listen"
	callTool    = "tools/call"
	subscribe   = "resources/subscribe"
	unsubscribe = "resources/unsubscribe"
)

// The error codes of JSON-RPC that the bridge answers with.
const (
	parseError     = -32700
	invalidRequest = -32600
	serverError    = -32000
)

// message is a JSON-RPC message, and what the bridge needs to know of it.
type message struct {
	text []byte // as it came

	id      json.RawMessage // nil without one
	method  string          // empty for an answer
	version string          // of the protocol, which clients say in each message since 2026-07-28; else empty
	name    string          // of the tool, prompt or resource that is asked for
	cancels json.RawMessage // id of the request that a notifications/cancelled is about
}

// request reports whether somebody waits for an answer.
func (m message) request() bool { return m.method != "" && m.id != nil }

var (
	errNoJSON    = errors.New("The line is no JSON")
	errNoMessage = errors.New("The line is no message of JSON-RPC: an object with a method, a result or an error")
)

// peek reads what the bridge needs to know. It compares names of members exactly, as servers do. Members that are wrong in another way are
// the server's to refuse.
func peek(text []byte) (message, error) {
	m := message{text: text}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		if json.Valid(text) {
			return m, errNoMessage
		}
		return m, errNoJSON
	}
	if method, ok := members["method"]; ok {
		if m.method = textOf(method); m.method == "" {
			return m, errNoMessage
		}
	} else if members["result"] == nil && members["error"] == nil {
		return m, errNoMessage
	}
	m.id = members["id"]
	params := membersOf(members["params"])
	m.version = textOf(membersOf(params["_meta"])["io.modelcontextprotocol/protocolVersion"])
	switch m.method {
	case callTool, "prompts/get":
		m.name = textOf(params["name"])
	case "resources/read", subscribe, unsubscribe:
		m.name = textOf(params["uri"])
	case cancelled:
		m.cancels = params["requestId"]
	}
	return m, nil
}

// membersOf returns the members of an object, and none of anything else.
func membersOf(value json.RawMessage) (members map[string]json.RawMessage) {
	_ = json.Unmarshal(value, &members)
	return members
}

// textOf returns a string, and "" for anything else.
func textOf(value json.RawMessage) (text string) {
	_ = json.Unmarshal(value, &text)
	return text
}

// keyOf returns the same key for the same id, however its characters are written. Ids that are a string and a number differ.
func keyOf(id json.RawMessage) string {
	var text string
	if json.Unmarshal(id, &text) != nil {
		return string(id)
	}
	return strconv.Quote(text)
}

// compact returns a message as one line, with its end.
func compact(text []byte) ([]byte, error) {
	var line bytes.Buffer
	line.Grow(len(text) + 1)
	if err := json.Compact(&line, text); err != nil {
		return nil, err
	}
	line.WriteByte('\n')
	return line.Bytes(), nil
}

// failure returns the answer to a request that there is no other answer to. A nil id stands for a request that nobody can name.
func failure(id json.RawMessage, code int, text string) []byte {
	why, _ := json.Marshal(map[string]any{"code": code, "message": text}) // a number and a text always can
	return answerWith(id, why)
}

// answerWith returns an answer that is an error.
func answerWith(id, why json.RawMessage) []byte {
	if id == nil {
		id = json.RawMessage("null")
	}
	text, _ := json.Marshal(struct { // both are JSON already
		Version string          `json:"jsonrpc"`
		ID      json.RawMessage `json:"id"`
		Error   json.RawMessage `json:"error"`
	}{"2.0", id, why})
	return text
}

// addressed returns an answer to the request with an id. A server that refuses a request before it reads it does not know the id, and
// a client would wait forever for the answer to it.
func addressed(text []byte, id json.RawMessage) []byte {
	members := membersOf(text)
	if unnamed := members["id"] == nil || string(members["id"]) == "null"; unnamed && members["error"] != nil && members["method"] == nil {
		return answerWith(id, members["error"])
	}
	return text
}
