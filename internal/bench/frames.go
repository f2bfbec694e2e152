package bench

import (
	"bytes"
	"strconv"

	"layercake/internal/client"
)

// canvas is the document that everybody is in: the one of the existing client's plan editor.
const canvas = "plan-dag-canvas"

// join returns the frame of a user who joins in the canvas.
func join(user string) []byte {
	return client.Join{UserID: user, UserName: "Anonymous User", AvatarColor: "#3b82f6", DocumentID: canvas}.Frame()
}

// move returns the frame that moves a cursor to (x, y). Movers put their number into x, so that a viewer knows whose position y is.
func move(x int, y int64) []byte { return client.MoveFrame(canvas, float64(x), float64(y)) }

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
