package collab

import (
	"encoding/json"
	"time"

	"layercake/internal/presence"

	"github.com/google/uuid"
)

// The types of frames that are sent to clients.
const (
	typeBulk     = "bulk_presence"
	typeUser     = "user_presence"
	typeActivity = "document_activity"
	typeError    = "error"
	typePong     = "pong"
)

var pong = []byte(`{"type":"pong"}`)

// errorFrame reports to a client what was wrong with its message.
func errorFrame(text string) []byte {
	return encode(struct {
		Type    string `json:"type"`
		Message string `json:"message"`
	}{typeError, text})
}

// userPresence is a person, or one connection under its alias.
type userPresence struct {
	UserID       string                  `json:"userId"`
	UserName     string                  `json:"userName"`
	AvatarColor  string                  `json:"avatarColor"`
	IsOnline     bool                    `json:"isOnline"`
	LastActive   time.Time               `json:"lastActive"`
	Documents    map[string]documentPart `json:"documents"`
	IsAgent      bool                    `json:"isAgent"`
	ConnectionID uuid.UUID               `json:"connectionId"` // for a person, the connection that changed last
}

type documentPart struct {
	DocumentType         string          `json:"documentType"`
	Position             json.RawMessage `json:"position"`
	SelectedNodeID       *string         `json:"selectedNodeId"`
	LastActiveInDocument time.Time       `json:"lastActiveInDocument"`
	Dragging             *presence.Drag  `json:"dragging"`
}

type documentUser struct {
	UserID         string          `json:"userId"`
	UserName       string          `json:"userName"`
	Position       json.RawMessage `json:"position"`
	SelectedNodeID *string         `json:"selectedNodeId"`
	ConnectionID   uuid.UUID       `json:"connectionId"`
}

// The places of what is encoded once in an entry's memos.
const (
	memoAlias       = iota // element: the connection under its alias
	memoLeft               // frame: nobody with the user id is online any more
	memoLeftAlias          // frame: the alias is not online any more
	memoActive             // element: the connection in its document
	memoActiveAlias        // element: the connection in its document, under its alias
)

// viewer is the client that frames are for. Where everybody signs in, its user id is that of its account, which the client does not know:
// itself and its account's other connections are shown to it under the id that it stated.
type viewer struct {
	user       string // as others know it
	stated     string // as it knows itself
	connection uuid.UUID
}

// states reports whether the client knows itself by a user id.
func (v viewer) states(user string) bool { return v.stated == user }

// aliasOf is the id of another connection of the same user, for a client that knows itself by an id.
func aliasOf(stated string, e *presence.Entry) string {
	return stated + "#" + e.Connection.String()[:8]
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // texts, times, and positions that were encoded before
	}
	return b
}

func orNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// online describes connections of one user id, the one that changed last first.
func online(id string, entries ...*presence.Entry) userPresence {
	latest := entries[0]
	p := userPresence{
		UserID: id, UserName: latest.Name, AvatarColor: latest.Color, IsOnline: true, Documents: map[string]documentPart{},
		IsAgent: latest.Agent, ConnectionID: latest.Connection,
	}
	for _, e := range entries {
		if e.ActiveAt.After(p.LastActive) {
			p.LastActive = e.ActiveAt
		}
		if e.Place == nil {
			continue
		}
		if known, there := p.Documents[e.Place.Document]; there && !e.Place.At.After(known.LastActiveInDocument) {
			continue
		}
		p.Documents[e.Place.Document] = documentPart{
			DocumentType: e.Place.Type, Position: e.Place.Position, SelectedNodeID: orNull(e.Place.Selected),
			LastActiveInDocument: e.Place.At.UTC(), Dragging: e.Place.Drag,
		}
	}
	p.LastActive = p.LastActive.UTC()
	return p
}

// personElement is a person as clients with another user id see them.
func personElement(p *presence.Person) []byte {
	return p.Memo.Bytes(func() []byte { return encode(online(p.Entries[0].UserID, p.Entries...)) })
}

// aliasElement is one connection as a client with the same user id sees it.
func aliasElement(e *presence.Entry, v viewer) []byte {
	return v.once(e, memoAlias, func() []byte { return encode(online(aliasOf(v.stated, e), e)) })
}

// once returns what f encodes of a connection of the viewer's own user. It is kept for all who know themselves by that user's id.
func (v viewer) once(e *presence.Entry, memo int, f func() []byte) []byte {
	if !v.states(e.UserID) {
		return f()
	}
	return e.Memos[memo].Bytes(f)
}

// userFrame makes a frame of an element.
func userFrame(element []byte) []byte {
	const before, after = `{"type":"` + typeUser + `","data":`, `}`
	frame := make([]byte, 0, len(before)+len(element)+len(after))
	return append(append(append(frame, before...), element...), after...)
}

func offlineFrame(id string, e *presence.Entry) []byte {
	return userFrame(encode(userPresence{
		UserID: id, LastActive: e.ActiveAt.UTC(), Documents: map[string]documentPart{}, IsAgent: e.Agent, ConnectionID: e.Connection,
	}))
}

// changeFrame shows a change to a client.
func changeFrame(c presence.Change, v viewer) []byte {
	e := c.Entry
	switch {
	case e.UserID == v.user && c.Left:
		return v.once(e, memoLeftAlias, func() []byte { return offlineFrame(aliasOf(v.stated, e), e) })
	case e.UserID == v.user:
		return userFrame(aliasElement(e, v))
	case c.Person == nil:
		return e.Memos[memoLeft].Bytes(func() []byte { return offlineFrame(e.UserID, e) })
	}
	return userFrame(personElement(c.Person))
}

const (
	bulkBefore = `{"type":"` + typeBulk + `","data":[`
	bulkAfter  = `]}`
)

// bulkFrame is the roster for every client that knows itself by its user id, which no other connection has. It is the same for all of them.
func bulkFrame(r *presence.Roster) []byte {
	return r.Memo.Bytes(func() []byte {
		size := len(bulkBefore) + len(bulkAfter)
		for _, p := range r.People {
			size += len(personElement(p)) + 1
		}
		frame := append(make([]byte, 0, size), bulkBefore...)
		for n, p := range r.People {
			if n > 0 {
				frame = append(frame, ',')
			}
			frame = append(frame, personElement(p)...)
		}
		return append(frame, bulkAfter...)
	})
}

// bulkElements yields the roster for any other client: it is shown itself under the id that it stated, and connections of the same user
// under their aliases.
func bulkElements(r *presence.Roster, v viewer) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for _, p := range r.People {
			if p.Entries[0].UserID != v.user {
				if !yield(personElement(p)) {
					return
				}
				continue
			}
			for _, e := range p.Entries {
				element := aliasElement(e, v)
				if e.Connection == v.connection {
					element = encode(online(v.stated, e))
				}
				if !yield(element) {
					return
				}
			}
		}
	}
}

func activeElement(e *presence.Entry, id string) []byte {
	return encode(documentUser{
		UserID: id, UserName: e.Name, Position: e.Place.Position, SelectedNodeID: orNull(e.Place.Selected), ConnectionID: e.Connection,
	})
}

// activityFrame lists who is in a document, for a connection in it. The list is the same for all that know themselves by their user id,
// which no other connection has.
func activityFrame(d *presence.Document, v viewer) []byte {
	sameUser := 0
	for _, e := range d.Entries {
		if e.UserID == v.user {
			sameUser++
		}
	}
	if sameUser <= 1 && v.states(v.user) {
		return d.Memo.Bytes(func() []byte { return activity(d, viewer{}) })
	}
	return activity(d, v)
}

// activity lists each user id once, where it moved last, and each connection with the viewer's user id.
func activity(d *presence.Document, v viewer) []byte {
	frame := []byte(`{"type":"` + typeActivity + `","data":{"documentId":`)
	frame = append(frame, encode(d.ID)...)
	frame = append(frame, `,"activeUsers":[`...)
	latest := make(map[string]*presence.Entry, len(d.Entries))
	for _, e := range d.Entries {
		if known := latest[e.UserID]; known == nil || e.Place.At.After(known.Place.At) {
			latest[e.UserID] = e
		}
	}
	first := true
	for _, e := range d.Entries {
		if e.UserID != v.user && latest[e.UserID] != e {
			continue
		}
		if !first {
			frame = append(frame, ',')
		}
		first = false
		switch {
		case e.UserID == v.user && e.Connection != v.connection:
			frame = append(frame, v.once(e, memoActiveAlias, func() []byte { return activeElement(e, aliasOf(v.stated, e)) })...)
			continue
		case e.UserID == v.user && !v.states(v.user):
			frame = append(frame, activeElement(e, v.stated)...)
			continue
		}
		frame = append(frame, e.Memos[memoActive].Bytes(func() []byte { return activeElement(e, e.UserID) })...)
	}
	return append(frame, `]}}`...)
}
