package feed

import (
	"fmt"
	"strconv"
	"strings"

	"layercake/internal/fanout"
)

// The lines of replicas about events.
//
//	e <project> <version> <body>  an event
//	h <project> <version>         a hint: read it yourself
const (
	letterEvent = 'e'
	letterHint  = 'h'
	maxLineBody = 2000 // beyond, an event goes as a hint
)

// topic is what feeds say to each other: which version a project has reached, and by what.
func (h *Hub) topic() fanout.Topic {
	return fanout.Topic{
		Channel: fanout.Events,
		Kinds:   map[byte]string{letterEvent: "event", letterHint: "hint"},
		Hear: func(said fanout.Line) error {
			l, err := parseLine(said)
			if err != nil {
				return err
			}
			return h.hear(l)
		},
		Doubt: h.doubt,
		Hint: func(project int32, version int64) fanout.Line {
			return line{project: project, at: Cursor{Version: version}}.encode()
		},
	}
}

// line is what a line about an event says.
type line struct {
	project int32
	at      Cursor // the place right after the event, without its hash if it was heard
	body    []byte // nil for a hint, which stands for all events of the project up to its version
	checked any    // see Event.Checked
}

// encode returns the line as the wire carries it. That of an event is true only in the event's own history: after a failover, the wire
// sends the hint.
func (l line) encode() fanout.Line {
	said := fanout.Line{
		Letter: letterHint, Text: strconv.Itoa(int(l.project)) + " " + strconv.FormatInt(l.at.Version, 10),
		Project: l.project, Version: l.at.Version,
	}
	if len(l.body) > 0 && len(l.body) <= maxLineBody {
		said.Letter, said.Text, said.Epoch = letterEvent, said.Text+" "+string(l.body), l.at.Epoch
	}
	return said
}

// parseLine reads what encode wrote.
func parseLine(said fanout.Line) (line, error) {
	project, rest, _ := strings.Cut(said.Text, " ")
	version, body, hasBody := strings.Cut(rest, " ")
	id, errProject := strconv.ParseInt(project, 10, 32)
	number, errVersion := strconv.ParseInt(version, 10, 64)
	if errProject != nil || errVersion != nil || id < 1 || number < 0 || (said.Letter == letterEvent) != (hasBody && body != "") {
		return line{}, fmt.Errorf("malformed line about an event: %c %.80q", said.Letter, said.Text)
	}
	l := line{project: int32(id), at: Cursor{Epoch: said.Epoch, Version: number}}
	if said.Letter == letterEvent {
		l.body = []byte(body)
	}
	return l, nil
}
