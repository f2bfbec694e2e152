package mcpserver

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"layercake/internal/fault"
)

// modernVersion is the first version of the protocol without sessions (MCP 2026-07-28, "Streamable HTTP").
const modernVersion = "2026-07-28"

// The headers of the protocol.
const (
	versionHeader = "Mcp-Protocol-Version"
	sessionHeader = "Mcp-Session-Id"
	methodHeader  = "Mcp-Method"
)

// Limits of a request.
const (
	maxBody  = 4 << 20
	maxDepth = 64 // objects and lists inside of each other
	maxBatch = 32 // messages of a batch: as many as an agent has calls in flight
)

// envelope is what the handler needs to know of a JSON-RPC message. The SDK decodes the rest. A batch, and what is no message, has none of
// it.
type envelope struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Result json.RawMessage `json:"result"`
	Error  json.RawMessage `json:"error"`
	Params struct {
		RequestID json.RawMessage `json:"requestId"`
		Meta      struct {
			ProgressToken json.RawMessage `json:"progressToken"`
			Client        *clientInfo     `json:"io.modelcontextprotocol/clientInfo"`
		} `json:"_meta"`
		Name      string      `json:"name"`
		Client    *clientInfo `json:"clientInfo"`
		Arguments struct {
			WaitSeconds json.Number `json:"wait_seconds"`
		} `json:"arguments"`
	} `json:"params"`
}

// clientInfo is what a client says it is.
type clientInfo struct {
	Name    string `json:"name"`
	Title   string `json:"title"`
	Version string `json:"version"`
}

// parseEnvelope reads what it can. A member of another type than expected is the SDK's to refuse, so its error is none here.
func parseEnvelope(body []byte) (e envelope) {
	_ = json.Unmarshal(body, &e)
	return e
}

// client returns what the client says it is, in either era's place.
func (e envelope) client() clientInfo {
	for _, c := range []*clientInfo{e.Params.Meta.Client, e.Params.Client} {
		if c != nil {
			return *c
		}
	}
	return clientInfo{}
}

// hasOwnID reports whether the message has no id that comes back as another one: the SDK makes integers of numbers. What is neither
// number nor text it refuses itself.
func (e envelope) hasOwnID() bool {
	if len(e.ID) == 0 || e.ID[0] != '-' && (e.ID[0] < '0' || e.ID[0] > '9') {
		return true
	}
	const exact = 1 << 53 // the SDK decodes numbers as float64
	n, err := strconv.ParseInt(string(e.ID), 10, 64)
	return err == nil && -exact <= n && n <= exact
}

// waits reports whether the answer may take long or comes with notifications, so that it is a stream where the client takes one.
func (e envelope) waits() bool {
	seconds, err := e.Params.Arguments.WaitSeconds.Float64()
	return e.Params.Meta.ProgressToken != nil || err == nil && seconds > 0
}

// checkDepth refuses a text whose objects and lists are too deep inside of each other. It need not be JSON.
func checkDepth(text []byte) error {
	if at := fault.TooDeep(text, maxDepth); at >= 0 {
		return fault.New(fault.BadRequest, fmt.Sprintf("The request is too deep at byte %d: at most %d objects and lists may be inside of each "+
			"other", at, maxDepth))
	}
	return nil
}

// batchVersion is the version of the protocol with batches.
const batchVersion = "2025-03-26"

// checkBatch refuses a batch in a session of a version that has none, where it would get around the question before a deletion, and one
// whose answer nothing bounds: all answers are in memory until the last is there. Other messages, and what is no JSON, pass.
func checkBatch(body []byte, session string) error {
	if !bytes.HasPrefix(bytes.TrimSpace(body), []byte("[")) {
		return nil
	}
	var batch []json.RawMessage
	_ = json.Unmarshal(body, &batch) // the SDK says what is wrong with it
	switch {
	case session != "" && session != batchVersion:
		return fault.New(fault.BadRequest, fmt.Sprintf("The session speaks %s, and only %s has batches", session, batchVersion))
	case len(batch) > maxBatch:
		return fault.New(fault.BadRequest, fmt.Sprintf("The batch has %d messages, at most %d may be in one", len(batch), maxBatch)).
			With("detail", map[string]any{"limit": maxBatch, "length": len(batch)})
	}
	for _, message := range batch {
		if method := parseEnvelope(message).Method; method == listenMethod {
			return fault.New(fault.BadRequest, fmt.Sprintf("There is no method %q in %s", method, batchVersion))
		}
	}
	return nil
}

// accepts returns which answers a client takes. One that does not say takes JSON, as clients of the time before streams did.
func accepts(header http.Header) (asJSON, asStream bool) {
	values := header.Values("Accept")
	if len(values) == 0 {
		return true, false
	}
	for part := range strings.SplitSeq(strings.Join(values, ","), ",") {
		media, _, _ := strings.Cut(part, ";")
		switch strings.ToLower(strings.TrimSpace(media)) {
		case "*/*":
			return true, true
		case "application/json", "application/*":
			asJSON = true
		case "text/event-stream", "text/*":
			asStream = true
		}
	}
	return asJSON, asStream
}
