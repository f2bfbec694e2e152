package presence

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"layercake/internal/fanout"

	"github.com/google/uuid"
)

// The lines of replicas about who is where: <letter> <project> <connection> <body>. No hint can stand for one: whoever misses one
// compares with the table.
const (
	letterJoined    = 'j' // a connection is in the project, where its body says: a line
	letterMoved     = 'c' // its cursor is where its body says: a line without what a cursor does not change
	letterLeft      = 'l' // it is not in the project any more: departed
	letterAnnounced = 'n' // somebody who has none came or went: an announcement, with its id in the place of a connection
)

// topic is what trackers say to each other.
func (t *Tracker) topic() fanout.Topic {
	const kind = "presence"
	return fanout.Topic{
		Channel: fanout.Presence,
		Kinds:   map[byte]string{letterJoined: kind, letterMoved: kind, letterLeft: kind, letterAnnounced: kind},
		Hear:    t.hear,
		Doubt:   t.Doubt,
	}
}

// message is a line about a connection as the wire carries it. Its body is read only where somebody has the project open.
type message struct {
	letter     byte
	project    int32
	connection uuid.UUID
	body       string
}

func (m message) encode() fanout.Line {
	return fanout.Line{Letter: m.letter, Text: strconv.Itoa(int(m.project)) + " " + m.connection.String() + " " + m.body}
}

func parseMessage(l fanout.Line) (message, error) {
	project, rest, _ := strings.Cut(l.Text, " ")
	connection, body, _ := strings.Cut(rest, " ")
	id, errProject := strconv.ParseInt(project, 10, 32)
	m := message{letter: l.Letter, project: int32(id), body: body}
	var err error
	if m.connection, err = uuid.Parse(connection); err != nil || errProject != nil || id < 1 || body == "" {
		return message{}, fmt.Errorf("malformed line about a connection: %c %.80q", l.Letter, l.Text)
	}
	return m, nil
}

// publish tells the other replicas about a connection. It never waits.
func (t *Tracker) publish(letter byte, project int32, connection uuid.UUID, body string) {
	t.wire.Publish(message{letter, project, connection, body}.encode())
}

// hear takes what another replica said. It never waits.
func (t *Tracker) hear(said fanout.Line) error {
	m, err := parseMessage(said)
	if err != nil {
		return err
	}
	r := t.room(m.project)
	if r == nil {
		return nil
	}
	switch m.letter {
	case letterLeft:
		left, err := parseDeparted(m.body)
		if err == nil {
			t.heardLeft(m.project, m.connection, left)
		}
		return err
	case letterAnnounced:
		a, err := parseAnnouncement(m)
		if err == nil {
			t.carryOut(r, r.heardAnnouncement(a))
		}
		return err
	default:
		l, err := parseLine(m)
		if err == nil {
			t.carryOut(r, r.heard(m.connection, l, m.letter == letterMoved))
		}
		return err
	}
}

// line is what replicas tell each other about a connection.
type line struct {
	Incarnation uuid.UUID       `json:"i"`
	Revision    int64           `json:"r"`
	UserID      string          `json:"u,omitempty"`
	Name        string          `json:"n,omitempty"`
	Color       string          `json:"k,omitempty"`
	Agent       bool            `json:"g,omitempty"`
	Transport   string          `json:"v,omitempty"`
	Document    string          `json:"d,omitempty"`
	Type        string          `json:"t,omitempty"`
	Position    json.RawMessage `json:"p,omitempty"`
	Selected    string          `json:"s,omitempty"`
	At          int64           `json:"a,omitempty"` // Unix milliseconds, as the next two
	JoinedAt    int64           `json:"j,omitempty"`
	ActiveAt    int64           `json:"m,omitempty"`
}

func lineOf(e *Entry, life uuid.UUID) line {
	l := line{
		Incarnation: life, Revision: e.revision, UserID: e.UserID, Name: e.Name, Color: e.Color, Agent: e.Agent,
		Transport: e.Transport, JoinedAt: e.JoinedAt.UnixMilli(), ActiveAt: e.ActiveAt.UnixMilli(),
	}
	if p := e.Place; p != nil {
		l.Document, l.Type, l.Position, l.Selected, l.At = p.Document, p.Type, p.Position, p.Selected, p.At.UnixMilli()
	}
	return l
}

// moved leaves out what a cursor does not change.
func (l line) moved() line {
	l.UserID, l.Name, l.Color, l.Agent, l.Transport, l.JoinedAt = "", "", "", false, "", 0
	return l
}

func (l line) encode() string {
	b, err := json.Marshal(l)
	if err != nil {
		panic(err) // texts, numbers, and a position that was encoded before
	}
	return string(b)
}

// parseLine reads the body of a join or a move.
func parseLine(m message) (l line, err error) {
	if err = json.Unmarshal([]byte(m.body), &l); err == nil && m.letter == letterJoined && l.UserID == "" {
		err = errors.New("nobody joined")
	}
	return l, err
}

// departed is what replicas tell each other about a connection that left.
type departed struct {
	life     uuid.UUID
	revision int64 // of a guest; 0 for a connection: the life says enough
}

func (d departed) encode() string {
	if d.revision == 0 {
		return d.life.String()
	}
	return d.life.String() + " " + strconv.FormatInt(d.revision, 10)
}

func parseDeparted(body string) (d departed, err error) {
	life, revision, guest := strings.Cut(body, " ")
	if d.life, err = uuid.Parse(life); err == nil && guest {
		d.revision, err = strconv.ParseInt(revision, 10, 64)
	}
	return d, err
}

// entry returns what the line says of a connection; known is what the room knows of it, for what a move leaves out.
func (l line) entry(project int32, connection uuid.UUID, known *Entry) *Entry {
	e := &Entry{
		Connection: connection, Project: project,
		Identity: Identity{UserID: l.UserID, Name: l.Name, Color: l.Color, Agent: l.Agent, Transport: l.Transport},
		JoinedAt: time.UnixMilli(l.JoinedAt), ActiveAt: time.UnixMilli(l.ActiveAt), incarnation: l.Incarnation, revision: l.Revision,
	}
	if known != nil {
		e.Identity, e.JoinedAt = known.Identity, known.JoinedAt
	}
	if l.Document != "" {
		e.Place = &Place{Document: l.Document, Type: l.Type, Position: l.Position, Selected: l.Selected, At: time.UnixMilli(l.At)}
	}
	return e
}

func (a announcement) encode() string {
	b, err := json.Marshal(a)
	if err != nil {
		panic(err) // a flag and a number
	}
	return string(b)
}

func parseAnnouncement(m message) (announcement, error) {
	a := announcement{id: m.connection.String()}
	return a, json.Unmarshal([]byte(m.body), &a)
}
