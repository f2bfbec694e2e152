package feed

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"layercake/internal/postgres"
)

// The log keeps every body whole, whatever its size.
const (
	// MaxBody is the size of the largest body that a feed keeps. A watcher that comes to a larger one reads it from the log.
	MaxBody = 64 << 10
	// MaxEvent is the size of the largest body that a watcher gets. A larger one counts as missed.
	MaxEvent = 1 << 20
)

// Event is one committed change of a project, as the feeds of a replica share it. It is never changed once a watcher has it.
type Event struct {
	At     Cursor // right after the event
	Before string // hash of the event before it, empty where it is not known
	Body   []byte // nil in a feed: larger than MaxBody; nil from the log: larger than MaxEvent

	// Checked is what Config.Check made of the body, so that it is not decoded again; nil where it was not asked.
	Checked any

	decoding sync.Once
	decoded  any
	invalid  error
}

// Decoded returns what decode made of an event the first time that anybody asked. All watchers of a replica hold the same Event, so
// each body is decoded once for all of them. An event has one such value: all callers ask for the same T.
func Decoded[T any](e *Event, decode func(*Event) (T, error)) (T, error) {
	e.decoding.Do(func() {
		e.invalid = errDecoding // unless decode returns
		e.decoded, e.invalid = decode(e)
	})
	value, _ := e.decoded.(T)
	return value, e.invalid
}

var errDecoding = errors.New("decoding the event panicked")

// Hash distinguishes events of one version in different histories of a project: a restored database gives the same numbers to
// other events. It is the first 4 bytes of the SHA-256 of the body, in hex, as the function event_hash of the database has it, too.
func Hash(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:hashLength/2])
}

const hashLength = 8 // digits

// BodyStart is how the body of an event begins, followed by the hash of the event before it and a quotation mark. A feed can tell by it
// whether an event that it is offered follows the one that it has. Older binaries wrote bodies without it.
const BodyStart = `{"prev":"`

// previous returns the hash of the event before that with this body, empty where the body does not say.
func previous(body []byte) string {
	rest, ok := bytes.CutPrefix(body, []byte(BodyStart))
	if !ok || len(rest) < hashLength || !isHash(string(rest[:hashLength])) {
		return ""
	}
	return string(rest[:hashLength])
}

// Differ reports whether two hashes, each empty where it is not known, are of different events.
func Differ(a, b string) bool { return a != b && a != "" && b != "" }

// Cursor is a place in the history of a project: right after a version. The epoch and the hash tell it from the place of the same number
// in another history: the epoch changes when a standby is promoted, the hash also differs when a backup was restored. The zero Cursor is
// no place.
type Cursor struct {
	Epoch   postgres.Epoch
	Version int64
	Hash    string // hash of the event that led to the version, empty where it is not known
}

// contradicts reports whether a head cannot come after an earlier place: it is of another history, or of a part of it that was lost.
func (c Cursor) contradicts(earlier Cursor) bool {
	return c.Epoch != earlier.Epoch || c.Version < earlier.Version ||
		c.Version == earlier.Version && Differ(c.Hash, earlier.Hash)
}

// String is the text that clients hold; it is opaque to them. Replicas that know no hashes take it for a cursor of another epoch.
func (c Cursor) String() string {
	text := string(c.Epoch)
	if c.Hash != "" {
		text += "~" + c.Hash
	}
	return text + "." + strconv.FormatInt(c.Version, 10)
}

// Label is the version for clients that know no cursors: the number, and what distinguishes it from that number in another history.
// That is the hash, if hashes may be written, or else the timeline, once a standby was promoted.
func (c Cursor) Label(hashes bool) string {
	version := strconv.FormatInt(c.Version, 10)
	if hashes && c.Hash != "" {
		return version + "~" + c.Hash
	}
	if _, timeline, _ := strings.Cut(string(c.Epoch), "-"); timeline != "1" && timeline != "" {
		return version + "@" + timeline
	}
	return version
}

// ParseLabel reads the version and the hash in a text that Label made; the hash is empty where it has none. It says false for any
// other text.
func ParseLabel(label string) (version int64, hash string, ok bool) {
	number, hash, hashed := strings.Cut(label, "~")
	if !hashed {
		number, _, _ = strings.Cut(label, "@")
	}
	version, err := strconv.ParseInt(number, 10, 64)
	return version, hash, err == nil && version >= 0 && (!hashed || isHash(hash))
}

// ParseCursor reads a text that String made.
func ParseCursor(s string) (Cursor, error) {
	place, version, ok := strings.Cut(s, ".")
	epoch, hash, hashed := strings.Cut(place, "~")
	if !ok || epoch == "" || hashed && !isHash(hash) {
		return Cursor{}, errors.New("a cursor has the form <epoch>~<hash>.<version>")
	}
	v, err := strconv.ParseInt(version, 10, 64)
	if err != nil || v < 0 {
		return Cursor{}, fmt.Errorf("version %q in a cursor is no number", version)
	}
	return Cursor{Epoch: postgres.Epoch(epoch), Version: v, Hash: hash}, nil
}

func isHash(s string) bool {
	_, err := hex.DecodeString(s)
	return err == nil && len(s) == hashLength
}
