package fanout

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"layercake/internal/postgres"
)

// A payload is text: a header line and then one line per item, without a newline at the end.
//
//	1 <replica> <epoch> <seq>
//	<letter> <text>                  what a topic says
//	b <nanos>                        a heartbeat and when it was sent
//
// The database sends payloads, too: functions for DBAs notify in their own transaction. No sender is behind them who could number
// them or who writes to a history, so their header is "1 - - 0", and only topics that are said there are heard from them.
//
// Payloads of replicas are sealed, those of the database are not. Postgres refuses what has 8,000 bytes or more, sealed or not.
const (
	formatVersion   = "1"
	letterHeartbeat = 'b'
	maxPayload      = 5900 // sealedBytes of it are 7,904
	maxReplica      = 64   // so that a header and the largest line always fit into one payload
)

// MaxText is how many bytes the text of a line may have. In the place of a longer one its hint is sent, or else its topic doubts.
const MaxText = 5700

var (
	errFormat    = errors.New("unknown format version")
	errMalformed = errors.New("malformed")
)

// header begins a payload.
type header struct {
	replica string         // the sender
	epoch   postgres.Epoch // the history that the sender writes to
	seq     int64          // number among the payloads of the sender on this channel; 0 for a payload of the database
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
	return header{replica: replica, epoch: postgres.Epoch(epoch), seq: seq}, lines, nil
}

// append adds l and the newline before it.
func (l Line) append(buf []byte) []byte {
	return append(append(buf, '\n', l.Letter, ' '), l.Text...)
}

// parseLine reads one line, but for its text.
func parseLine(line string) (Line, error) {
	letter, text, found := strings.Cut(line, " ")
	if len(letter) != 1 || !found {
		return Line{}, fmt.Errorf("%w line %.80q", errMalformed, line)
	}
	return Line{Letter: letter[0], Text: text}, nil
}

// fits reports whether a text can travel in a line: short, one line, and text that Postgres accepts.
func fits(text string) bool {
	return len(text) <= MaxText && strings.IndexByte(text, '\n') < 0 && strings.IndexByte(text, 0) < 0 && utf8.ValidString(text)
}
