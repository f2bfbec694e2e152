package feed

import (
	"fmt"
	"strconv"
	"strings"

	"layercake/internal/fanout"
	"layercake/internal/postgres"
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
		Hear: func(l fanout.Line) error {
			heard, err := parseLine(l)
			if err == nil {
				h.offer(l.Epoch, heard.project, heard.version, heard.body)
			}
			return err
		},
		Doubt: h.doubt,
		Hint:  hintLine,
	}
}

// line is what a line about an event says.
type line struct {
	project int32
	version int64
	body    []byte // nil for a hint
}

// eventLine returns the line about an event. It is true only in the event's own history: after a failover, the wire sends the hint.
func eventLine(epoch postgres.Epoch, project int32, version int64, body []byte) fanout.Line {
	l := hintLine(project, version)
	if len(body) > 0 && len(body) <= maxLineBody {
		l.Letter, l.Text, l.Epoch = letterEvent, l.Text+" "+string(body), epoch
	}
	return l
}

// hintLine returns the line that stands for all events of a project up to a version.
func hintLine(project int32, version int64) fanout.Line {
	return fanout.Line{
		Letter: letterHint, Text: strconv.Itoa(int(project)) + " " + strconv.FormatInt(version, 10), Project: project, Version: version,
	}
}

// parseLine reads what eventLine and hintLine wrote.
func parseLine(said fanout.Line) (line, error) {
	project, rest, _ := strings.Cut(said.Text, " ")
	version, body, hasBody := strings.Cut(rest, " ")
	id, errProject := strconv.ParseInt(project, 10, 32)
	number, errVersion := strconv.ParseInt(version, 10, 64)
	if errProject != nil || errVersion != nil || id < 1 || number < 0 || (said.Letter == letterEvent) != (hasBody && body != "") {
		return line{}, fmt.Errorf("malformed line about an event: %c %.80q", said.Letter, said.Text)
	}
	l := line{project: int32(id), version: number}
	if said.Letter == letterEvent {
		l.body = []byte(body)
	}
	return l, nil
}
