package presence

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"layercake/internal/fault"

	"github.com/google/uuid"
)

// Limits of what a connection says about itself, and of a project.
const (
	MaxUserID   = 200  // bytes
	MaxName     = 100  // characters
	MaxColor    = 64   // bytes
	MaxDocument = 200  // bytes of a document's id, and of a selected node's
	MaxPeople   = 1000 // connections and guests in one project
	MaxDragged  = 50   // nodes that a connection drags
	MaxDragText = 3000 // bytes of their ids as JSON, so that they find room in a line of the wire
)

// Identity is who a connection says it is. It is a label: several connections may have the same.
type Identity struct {
	UserID    string
	Name      string
	Color     string // may be empty
	Agent     bool   // a program, not a person
	Transport string // name of its transport in package caller
}

// Check returns a fault when a text is empty, too long, or cannot be stored. A user id has no #, because clients with the same id are shown
// to each other as the id, # and a part of the connection: with one of its own, a client could look like somebody else's.
func (i Identity) Check() error {
	if strings.TrimSpace(i.UserID) == "" || strings.TrimSpace(i.Name) == "" {
		return fault.New(fault.BadRequest, "User ID and name cannot be empty")
	}
	if err := checkText("User ID", i.UserID, len(i.UserID), MaxUserID, "bytes"); err != nil {
		return err
	}
	if i := strings.IndexByte(i.UserID, '#'); i >= 0 {
		return fault.New(fault.BadRequest, fmt.Sprintf("User ID contains # at byte %d, which only the server adds to ids; leave it out", i))
	}
	if err := checkText("User name", i.Name, utf8.RuneCountInString(i.Name), MaxName, "characters"); err != nil {
		return err
	}
	return checkText("Avatar color", i.Color, len(i.Color), MaxColor, "bytes")
}

// Reason is how a visit ended, in the log.
type Reason string

// The reasons that replicas write. For a visit whose replica could not write one, the log has "replica died" or "lost".
const (
	ReasonLeft     Reason = "left"     // they said so, and stayed connected
	ReasonClosed   Reason = "closed"   // they closed the connection
	ReasonLost     Reason = "lost"     // the connection broke
	ReasonSilent   Reason = "silent"   // nothing came for too long
	ReasonSlow     Reason = "slow"     // they did not take what was sent
	ReasonProtocol Reason = "protocol" // they broke the rules of the transport
	ReasonRenamed  Reason = "renamed"  // they joined again, as somebody else
	ReasonKicked   Reason = "kicked"   // an operator sent them away
	ReasonDrained  Reason = "drained"  // the replica stopped
	ReasonDeleted  Reason = "project deleted"
)

// Place is where in a document a connection is.
type Place struct {
	Document string
	Type     string          // kind of document
	Position json.RawMessage // position of the cursor; nil before it moved
	Selected string          // id of the selected node; empty for none
	At       time.Time       // time of the last activity there
	Drag     *Drag           // nil while nothing is dragged
}

// Drag is nodes that somebody moves with the mouse, before that is a change of the plan. It passes as fast as a cursor does: rooms and
// lines have it, and the table never does.
type Drag struct {
	NodeIDs []string `json:"nodeIds"`
	DX      float64  `json:"dx"` // how far they are from where the plan has them
	DY      float64  `json:"dy"`
}

// Check returns a fault when a text is empty, too long, or cannot be stored.
func (p Place) Check() error {
	if p.Document == "" {
		return fault.New(fault.BadRequest, "Document ID cannot be empty")
	}
	if err := checkText("Document ID", p.Document, len(p.Document), MaxDocument, "bytes"); err != nil {
		return err
	}
	if err := checkText("Selected node ID", p.Selected, len(p.Selected), MaxDocument, "bytes"); err != nil {
		return err
	}
	return p.Drag.check()
}

func (d *Drag) check() error {
	if d == nil {
		return nil
	}
	if n := len(d.NodeIDs); n == 0 || n > MaxDragged {
		return fault.New(fault.BadRequest, fmt.Sprintf("%d nodes are dragged, want 1 to %d", n, MaxDragged))
	}
	for _, id := range d.NodeIDs {
		if id == "" {
			return fault.New(fault.BadRequest, "Dragged node ID cannot be empty")
		}
		if err := checkText("Dragged node ID", id, len(id), MaxDocument, "bytes"); err != nil {
			return err
		}
	}
	ids, err := json.Marshal(d.NodeIDs)
	if err == nil && len(ids) > MaxDragText {
		return fault.New(fault.BadRequest, fmt.Sprintf("Dragged node IDs are too long: %d bytes as JSON, at most %d", len(ids), MaxDragText))
	}
	return err
}

func checkText(field, text string, length, most int, unit string) error {
	if length > most {
		return fault.New(fault.BadRequest, fmt.Sprintf("%s is too long: %d %s, at most %d", field, length, unit, most))
	}
	return fault.CheckName(field, text)
}

// Entry is what a room knows of one connection. It never changes: when the connection does, another Entry takes its place.
type Entry struct {
	Connection uuid.UUID
	Project    int32
	Identity
	Place    *Place // nil while in no document
	JoinedAt time.Time
	ActiveAt time.Time // time when it was last heard of
	Memos    [5]Memo   // memory for the transport, which decides what to keep in which

	since       time.Time // beginning of the visit of an own connection, in whole microseconds
	incarnation uuid.UUID // incarnation of another replica that serves it; zero for an own one, guestIncarnation for a guest
	revision    int64     // step of the connection: a higher one is newer, wherever it was heard
	seq         int64     // Seq of the room at this change
}

// Person is everybody with the same user id: they are online while any of their connections is. It never changes.
type Person struct {
	Entries []*Entry // the one that changed last comes first
	Memo    Memo
}

// Roster is everybody in a room at one moment. It never changes.
type Roster struct {
	Seq    int64
	People []*Person
	Memo   Memo
}

// Document is everybody in a document at one moment. It never changes.
type Document struct {
	ID      string
	Members int64 // Seq of the room when somebody last came or went
	Moves   int64 // Seq of the room when somebody in it last changed
	Entries []*Entry
	Memo    Memo
}

// MovedSince reports whether any connection but one changed after a Seq.
func (d *Document) MovedSince(seq int64, but uuid.UUID) bool {
	for _, e := range d.Entries {
		if e.seq <= seq {
			return false // the latest come first
		}
		if e.Connection != but {
			return true
		}
	}
	return false
}

// Change is what became of a connection.
type Change struct {
	Entry  *Entry  // its state now, or the last one before it left
	Left   bool    // it is not here any more, or not as this user
	Person *Person // everybody with its user id now; nil when nobody is

	seq int64     // Seq of the room at this change
	at  time.Time // time of the leave; zero for other changes
}

// Memo keeps what a transport makes of a value, so that it is made once for all who read the value.
type Memo struct {
	once  sync.Once
	bytes []byte
}

// Bytes returns what build makes of the value. It calls build only the first time, so build must make the same each time.
func (m *Memo) Bytes(build func() []byte) []byte {
	m.once.Do(func() { m.bytes = build() })
	if m.bytes == nil {
		return build() // it panicked the first time: whoever reads the value meets that, too, rather than send a frame without its contents
	}
	return m.bytes
}
