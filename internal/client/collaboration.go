package client

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// Collaboration opens the collaboration socket of a project. The context bounds only that.
func (d Dialer) Collaboration(ctx context.Context, url string, project int) (*Socket, error) {
	return d.Open(ctx, url, fmt.Sprintf("/ws/collaboration?project_id=%d", project))
}

// Join is somebody who enters a project.
type Join struct {
	UserID      string `json:"userId"`
	UserName    string `json:"userName"`
	AvatarColor string `json:"avatarColor"`
	DocumentID  string `json:"documentId,omitempty"` // document that they look at
}

// Frame returns the frame with which a client joins.
func (j Join) Frame() []byte {
	frame, err := json.Marshal(struct {
		Type string `json:"type"`
		Data Join   `json:"data"`
	}{"join_session", j})
	if err != nil {
		panic(err) // texts can be encoded
	}
	return frame
}

// MoveFrame returns the frame that a client sends when its cursor is at a place of a canvas. Coordinates have no exponent.
func MoveFrame(document string, x, y float64) []byte {
	frame := fmt.Appendf(nil, `{"type":"cursor_update","data":{"documentId":%q,"documentType":"canvas",`+
		`"position":{"type":"canvas","x":`, document)
	frame = append(strconv.AppendFloat(frame, x, 'f', -1, 64), `,"y":`...)
	return append(strconv.AppendFloat(frame, y, 'f', -1, 64), `},"timestamp":0}}`...)
}

// Frame is a frame that a replica sends over a collaboration socket.
type Frame struct {
	Type    string          `json:"type"`    // bulk_presence, user_presence, document_activity, pong, error
	Data    json.RawMessage `json:"data"`    // []Person, a Person, an Activity
	Message string          `json:"message"` // text of an error
}

// Person is a person in a project, as a replica shows them.
type Person struct {
	UserID       string              `json:"userId"`
	UserName     string              `json:"userName"`
	AvatarColor  string              `json:"avatarColor"`
	IsOnline     bool                `json:"isOnline"`
	LastActive   time.Time           `json:"lastActive"`
	Documents    map[string]Document `json:"documents"`
	ConnectionID string              `json:"connectionId"`
	IsAgent      *bool               `json:"isAgent"`
}

// Document is the place of a person in a document.
type Document struct {
	DocumentType   string  `json:"documentType"`
	Position       *Point  `json:"position"` // nil until they move
	SelectedNodeID *string `json:"selectedNodeId"`
}

// Point is a place on a canvas.
type Point struct{ X, Y float64 }

// Activity is who is in a document.
type Activity struct {
	DocumentID  string `json:"documentId"`
	ActiveUsers []struct {
		UserID         string  `json:"userId"`
		UserName       string  `json:"userName"`
		Position       *Point  `json:"position"`
		SelectedNodeID *string `json:"selectedNodeId"`
	} `json:"activeUsers"`
}
