package presence

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"layercake/internal/fanout"

	"github.com/google/uuid"
)

// The lines of replicas about who is where: <letter> <project> <connection> <body>. No hint can stand for one, so whoever misses one
// compares with the table.
const (
	letterJoin     = 'j' // a connection joined, or is in another document, or somebody else now; the body is a line
	letterCursor   = 'c' // its cursor moved; the body is a cursorLine
	letterLeave    = 'l' // it left the project; the body is a leaveLine
	letterAnnounce = 'n' // an anonymous join or leave; the body is an announcement, and its id takes the place of a connection
)

// topic is how the trackers of all replicas speak to each other.
func (t *Tracker) topic() fanout.Topic {
	const kind = "presence"
	return fanout.Topic{
		Channel: fanout.Presence,
		Kinds:   map[byte]string{letterJoin: kind, letterCursor: kind, letterLeave: kind, letterAnnounce: kind},
		Hear:    t.hear,
		Doubt:   t.Doubt,
	}
}

// message is a line about a connection as the wire carries it. Its body is parsed only where somebody has the project open.
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

// publishPlace sends the other replicas a line about who and where a connection is. It never waits.
func (t *Tracker) publishPlace(letter byte, e *Entry, l line) {
	t.wire.Publish(placeMessage(letter, e, l).encode())
}

// placeMessage leaves a drag out that finds no room beside the rest, which happens only where names and ids are long and JSON escapes most
// of their characters. A line that is too long would make every replica compare with the table, as often as the cursor moves.
func placeMessage(letter byte, e *Entry, l line) message {
	m := message{letter, e.Project, e.Connection, l.encode()}
	if l.Drag != nil && len(m.encode().Text) > fanout.MaxText {
		l.Drag = nil
		m.body = l.encode()
	}
	return m
}

// publish sends the other replicas a line about a connection. It never waits.
func (t *Tracker) publish(letter byte, project int32, connection uuid.UUID, body string) {
	t.wire.Publish(message{letter, project, connection, body}.encode())
}

// hear takes a line of another replica. It never waits.
func (t *Tracker) hear(said fanout.Line) error {
	m, err := parseMessage(said)
	if err != nil {
		return err
	}
	if m.letter == letterLeave {
		t.forgetNoted(m.connection)
	}
	r := t.room(m.project)
	if r == nil {
		return nil
	}
	switch m.letter {
	case letterLeave:
		left, err := parseLeaveLine(m.body)
		if err == nil {
			t.hearLeave(m.project, m.connection, left)
		}
		return err
	case letterAnnounce:
		a, err := parseAnnouncement(m)
		if err == nil {
			t.carryOut(r, r.hearAnnouncement(a))
		}
		return err
	default:
		l, err := parseLine(m)
		if err == nil {
			t.carryOut(r, r.hear(m.connection, l, m.letter == letterCursor))
		}
		return err
	}
}

// line is the body of a line about a connection that joined or moved. Releases before ignore members that they do not know: there a drag
// is not shown, and the cursor moves all the same.
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
	At          int64           `json:"a,omitempty"` // Unix milliseconds, like the next two
	JoinedAt    int64           `json:"j,omitempty"`
	ActiveAt    int64           `json:"m,omitempty"`
	Drag        *Drag           `json:"x,omitempty"`
}

func lineOf(e *Entry, incarnation uuid.UUID) line {
	l := line{
		Incarnation: incarnation, Revision: e.revision, UserID: e.UserID, Name: e.Name, Color: e.Color, Agent: e.Agent,
		Transport: e.Transport, JoinedAt: e.JoinedAt.UnixMilli(), ActiveAt: e.ActiveAt.UnixMilli(),
	}
	if p := e.Place; p != nil {
		l.Document, l.Type, l.Position, l.Selected, l.At, l.Drag = p.Document, p.Type, p.Position, p.Selected, p.At.UnixMilli(), p.Drag
	}
	return l
}

// cursorLine returns the line without the fields that a moving cursor does not change: the hearer fills them in from what it knows.
func (l line) cursorLine() line {
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

// parseLine reads the body of a join or of a cursor. A line may be forged, and what it says is shown to browsers, so it is checked as a
// client's message is.
func parseLine(m message) (l line, err error) {
	if err = json.Unmarshal([]byte(m.body), &l); err != nil {
		return l, err
	}
	if err = l.check(); err == nil && m.letter == letterJoin {
		err = l.identity().Check()
	}
	return l, err
}

// Limits of lines.
const (
	maxPosition = 4 << 10 // bytes; the largest that a client can send is smaller
	maxRevision = 1 << 53 // no connection comes to so many, and steps from it do not overflow
)

// firstMilli and lastMilli are the first and the last time that can be written as JSON and as a timestamp of the database.
var (
	firstMilli = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	lastMilli  = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli() - 1
)

// check returns an error when a field that joins and cursors have in common cannot be shown.
func (l line) check() error {
	for _, at := range []int64{l.At, l.JoinedAt, l.ActiveAt} {
		if err := checkMilli(at); err != nil {
			return err
		}
	}
	switch {
	case l.Incarnation == uuid.Nil:
		return errors.New("a connection of no incarnation")
	case l.Revision < 0 || l.Revision > maxRevision:
		return fmt.Errorf("revision %d is none", l.Revision)
	case len(l.Position) > maxPosition || !utf8.Valid(l.Position):
		return fmt.Errorf("a position of %d bytes, want UTF-8 of at most %d", len(l.Position), maxPosition)
	}
	for field, text := range map[string]string{"Transport": l.Transport, "Document type": l.Type, "Selected node ID": l.Selected} {
		if err := checkText(field, text, len(text), MaxDocument, "bytes"); err != nil {
			return err
		}
	}
	if l.Document == "" {
		return nil
	}
	return Place{Document: l.Document, Selected: l.Selected, Drag: l.Drag}.Check()
}

// checkMilli returns an error for a time that cannot be written everywhere.
func checkMilli(at int64) error {
	if at < firstMilli || at > lastMilli {
		return fmt.Errorf("time %d is outside of the years 1 to 9999", at)
	}
	return nil
}

func (l line) identity() Identity {
	return Identity{UserID: l.UserID, Name: l.Name, Color: l.Color, Agent: l.Agent, Transport: l.Transport}
}

// leaveLine is the body of a line about a connection that left. It counts only against the incarnation that it names. A replica whose lease
// expired goes on under another incarnation, and writes its connections anew; the leaves that another replica sends when it removes the
// former incarnation must not take them out. Guests keep one incarnation, so there the revision has this task: a guest that came back has
// a higher one than its late leave.
type leaveLine struct {
	incarnation uuid.UUID
	revision    int64 // the guest's when it left; 0 for a connection
}

func (l leaveLine) encode() string {
	if l.revision == 0 {
		return l.incarnation.String()
	}
	return l.incarnation.String() + " " + strconv.FormatInt(l.revision, 10)
}

func parseLeaveLine(body string) (l leaveLine, err error) {
	incarnation, revision, guest := strings.Cut(body, " ")
	if l.incarnation, err = uuid.Parse(incarnation); err == nil && guest {
		l.revision, err = strconv.ParseInt(revision, 10, 64)
	}
	if err == nil && (l.revision < 0 || l.revision > maxRevision) {
		err = fmt.Errorf("revision %d is none", l.revision)
	}
	return l, err
}

// entry returns what the line says of a connection. A cursorLine takes the fields that it leaves out from the known entry.
func (l line) entry(project int32, connection uuid.UUID, known *Entry) *Entry {
	e := &Entry{
		Connection: connection, Project: project,
		Identity: l.identity(),
		JoinedAt: time.UnixMilli(l.JoinedAt), ActiveAt: time.UnixMilli(l.ActiveAt), incarnation: l.Incarnation, revision: l.Revision,
	}
	if known != nil {
		e.Identity, e.JoinedAt = known.Identity, known.JoinedAt
	}
	if l.Document != "" {
		e.Place = &Place{
			Document: l.Document, Type: l.Type, Position: l.Position, Selected: l.Selected, At: time.UnixMilli(l.At), Drag: l.Drag,
		}
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
	if err := json.Unmarshal([]byte(m.body), &a); err != nil {
		return a, err
	}
	return a, checkMilli(a.At)
}
