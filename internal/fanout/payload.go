package fanout

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A payload is text: a header line and then one line per item, without a newline at the end.
//
//	1 <replica> <epoch> <seq>
//	e <project> <version> <body>     an event
//	h <project> <version>            a hint: read it yourself
//	j <project> <connection> <body>  a connection joined, or is elsewhere now
//	c <project> <connection> <body>  its cursor moved
//	l <project> <connection> <body>  it left
//	n <project> <notice> <body>      somebody without a connection came or went
//	b <nanos>                        a heartbeat and when it was sent
//	a <kind>                         somebody commanded something: look at the table
//
// The database sends payloads, too: functions for DBAs notify in their own transaction. No sender is behind them who could number
// them or who writes to a history, so their header is "1 - - 0", and they hold nothing but commands.
//
// Postgres refuses payloads of 8,000 bytes or more.
const (
	formatVersion = "1"
	maxPayload    = 7900
	maxBody       = 2000 // beyond, an event goes as a hint
	maxPresence   = 7000 // beyond, a line about a connection is not sent, which leaves a hole
	maxConnection = 64
	maxReplica    = 64 // so that a header and the largest line always fit into one payload
)

// The kinds of lines. A replica skips kinds that it does not know: a newer one may run beside it.
const (
	kindEvent   = 'e'
	kindHint    = 'h'
	kindJoin    = byte(Joined)
	kindMove    = byte(Moved)
	kindLeave   = byte(Left)
	kindNotice  = byte(Noticed)
	kindBeat    = 'b'
	kindCommand = 'a'
)

var (
	errFormat    = errors.New("unknown format version")
	errMalformed = errors.New("malformed")
)

// header is who sent a payload, from which history, and how many the sender numbered before.
type header struct {
	replica, epoch string
	seq            int64 // 0: the database sent it
}

// nobody stands in a header for the replica and the history of what the database sends.
const nobody = "-"

func (h header) append(buf []byte) []byte {
	buf = append(buf, formatVersion+" "...)
	buf = append(buf, h.replica...)
	buf = append(buf, ' ')
	buf = append(buf, h.epoch...)
	buf = append(buf, ' ')
	return strconv.AppendInt(buf, h.seq, 10)
}

// line is one item of a payload.
type line struct {
	kind    byte // the letter, also of a kind that is unknown here
	project int32
	version int64
	epoch   string // that an event to be sent belongs to; what is heard belongs to that of its header
	about   string // the connection, or the notice, where a line is about one
	body    []byte // of an event, or about a connection
	nanos   int64  // of a heartbeat
}

// append adds l and the newline before it.
func (l line) append(buf []byte) []byte {
	buf = append(buf, '\n', l.kind, ' ')
	if l.kind == kindBeat {
		return strconv.AppendInt(buf, l.nanos, 10)
	}
	buf = strconv.AppendInt(buf, int64(l.project), 10)
	buf = append(buf, ' ')
	switch l.kind {
	case kindJoin, kindMove, kindLeave, kindNotice:
		buf = append(buf, l.about...)
		buf = append(buf, ' ')
		return append(buf, l.body...)
	}
	buf = strconv.AppendInt(buf, l.version, 10)
	if l.kind == kindEvent {
		buf = append(buf, ' ')
		buf = append(buf, l.body...)
	}
	return buf
}

// fits reports whether body can travel inside a line: short, one line, and text that Postgres accepts.
func fits(body []byte, most int) bool {
	return len(body) > 0 && len(body) <= most && bytes.IndexByte(body, '\n') < 0 && bytes.IndexByte(body, 0) < 0 &&
		utf8.Valid(body)
}

// in returns the line for a payload of an epoch: events of another one are hints there.
func (l line) in(epoch string) line {
	if l.kind == kindEvent && l.epoch != epoch {
		return line{kind: kindHint, project: l.project, version: l.version}
	}
	return l
}

// parseHeader splits a payload into its header and its lines. The error is errFormat or errMalformed.
func parseHeader(payload string) (h header, lines string, err error) {
	first, lines, _ := strings.Cut(payload, "\n")
	format, rest, _ := strings.Cut(first, " ")
	if _, err := strconv.ParseUint(format, 10, 32); err != nil {
		return header{}, "", fmt.Errorf("%w header %.80q", errMalformed, first)
	}
	if format != formatVersion {
		return header{}, "", fmt.Errorf("%w %s", errFormat, format)
	}
	replica, rest, _ := strings.Cut(rest, " ")
	epoch, number, _ := strings.Cut(rest, " ")
	seq, err := strconv.ParseInt(number, 10, 64)
	numbered := seq > 0 && replica != nobody || seq == 0 && replica == nobody && epoch == nobody
	if err != nil || !numbered || replica == "" || len(replica) > maxReplica || epoch == "" {
		return header{}, "", fmt.Errorf("%w header %.80q", errMalformed, first)
	}
	return header{replica: replica, epoch: epoch, seq: seq}, lines, nil
}

// parseLine reads one line. Of a kind that it does not know it returns the kind only.
func parseLine(text string) (line, error) {
	kind, rest, found := strings.Cut(text, " ")
	if len(kind) != 1 || !found {
		return line{}, fmt.Errorf("%w line %.80q", errMalformed, text)
	}
	l := line{kind: kind[0]}
	var err error
	switch l.kind {
	case kindEvent, kindHint:
		project, rest, _ := strings.Cut(rest, " ")
		version, body, hasBody := strings.Cut(rest, " ")
		id, errProject := strconv.ParseInt(project, 10, 32)
		l.project = int32(id)
		l.version, err = strconv.ParseInt(version, 10, 64)
		if l.kind == kindEvent {
			l.body = []byte(body)
		}
		if err != nil || errProject != nil || id < 1 || l.version < 0 || (l.kind == kindEvent) != (hasBody && body != "") {
			return line{}, fmt.Errorf("%w line %.80q", errMalformed, text)
		}
	case kindJoin, kindMove, kindLeave, kindNotice:
		project, rest, _ := strings.Cut(rest, " ")
		connection, body, _ := strings.Cut(rest, " ")
		id, err := strconv.ParseInt(project, 10, 32)
		if err != nil || id < 1 || connection == "" || len(connection) > maxConnection || body == "" {
			return line{}, fmt.Errorf("%w line %.80q", errMalformed, text)
		}
		l.project, l.about, l.body = int32(id), strings.Clone(connection), []byte(body)
	case kindCommand:
		if rest == "" {
			return line{}, fmt.Errorf("%w line %.80q", errMalformed, text)
		}
	case kindBeat:
		l.nanos, err = strconv.ParseInt(rest, 10, 64)
		if err != nil {
			return line{}, fmt.Errorf("%w line %.80q", errMalformed, text)
		}
	}
	return l, nil
}

// packer turns lines into payloads and numbers them. A number is never used twice.
type packer struct {
	header header
	buf    []byte
}

// skip uses up a number, which listeners notice: something that they should have heard was not sent.
func (p *packer) skip() { p.header.seq++ }

// next fills one payload from the front of lines and returns it with how many lines it took.
func (p *packer) next(lines []line) (payload string, took int) {
	p.header.seq++
	p.buf = p.header.append(p.buf[:0])
	for _, l := range lines {
		end := len(p.buf)
		p.buf = l.append(p.buf)
		if len(p.buf) > maxPayload {
			p.buf = p.buf[:end]
			break
		}
		took++
	}
	return string(p.buf), took
}
