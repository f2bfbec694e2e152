package bench

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/coder/websocket"
)

// canvas is the document that everybody is in: that of the existing client's plan editor.
const canvas = "plan-dag-canvas"

// collaborate opens a collaboration socket before ctx ends. Its frames may be of any size.
func collaborate(ctx context.Context, url string, project int, over *http.Client) (*websocket.Conn, error) {
	address := fmt.Sprintf("ws%s/ws/collaboration?project_id=%d", strings.TrimPrefix(url, "http"), project)
	conn, response, err := websocket.Dial(ctx, address, &websocket.DialOptions{HTTPClient: over})
	if response != nil && response.Body != nil {
		_ = response.Body.Close() // it is the connection's by now
	}
	if err != nil {
		return nil, err
	}
	conn.SetReadLimit(-1)
	return conn, nil
}

// single gives each socket a connection of its own, which tap may take hold of.
func single(tap func(net.Conn) net.Conn) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
			if err == nil && tap != nil {
				conn = tap(conn)
			}
			return conn, err
		},
	}}
}

// write sends a text frame.
func write(ctx context.Context, conn *websocket.Conn, frame []byte) error {
	ctx, cancel := context.WithTimeout(ctx, maxSilence)
	defer cancel()
	return conn.Write(ctx, websocket.MessageText, frame)
}

func joinFrame(user string) []byte {
	return fmt.Appendf(nil, `{"type":"join_session","data":{"userId":%q,"userName":"Anonymous User","avatarColor":"#3b82f6",`+
		`"documentId":%q}}`, user, canvas)
}

// moveFrame moves a cursor to (x, y). Who moves puts into x who it is, so that y says what others have seen of it.
func moveFrame(x int, y int64) []byte {
	return fmt.Appendf(nil, `{"type":"cursor_update","data":{"documentId":%q,"documentType":"canvas",`+
		`"position":{"type":"canvas","x":%d,"y":%d},"timestamp":0}}`, canvas, x, y)
}

var (
	activityStart = []byte(`{"type":"document_activity"`)
	errorStart    = []byte(`{"type":"error"`)
	limited       = []byte(`"Rate limit exceeded"`)
	positionStart = []byte(`"position":{"type":"canvas","x":`)
	positionNext  = []byte(`,"y":`)
)

// positions yields the cursors in a frame. It does not parse the frame, of which there are thousands a second.
func positions(frame []byte) func(func(x int, y int64) bool) {
	return func(yield func(int, int64) bool) {
		for {
			_, rest, found := bytes.Cut(frame, positionStart)
			if !found {
				return
			}
			x, rest, _ := bytes.Cut(rest, positionNext)
			end := max(bytes.IndexAny(rest, ",}"), 0)
			number, err := strconv.Atoi(string(x))
			at, err2 := strconv.ParseInt(string(rest[:end]), 10, 64)
			if err == nil && err2 == nil && !yield(number, at) {
				return
			}
			frame = rest
		}
	}
}
