package feed

import (
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
	// MaxEvent is the size of the largest body that a watcher gets. It is told that it missed a larger one.
	MaxEvent = 1 << 20
)

// Event is one committed change of a project, as the feeds of a replica share it. It is never changed.
type Event struct {
	Project int32
	Version int64
	Body    []byte // nil in a feed: larger than MaxBody; nil from the log: larger than MaxEvent

	shared sync.Map // by key: func() any
}

// Shared returns what build made the first time it was called with this key. All watchers of a replica hold the same Event, so
// what each of them needs of it is computed once.
func (e *Event) Shared(key string, build func() any) any {
	once, ok := e.shared.Load(key)
	if !ok {
		once, _ = e.shared.LoadOrStore(key, sync.OnceValue(build))
	}
	return once.(func() any)()
}

// Cursor is a place in the history of a project: right after a version.
type Cursor struct {
	Epoch   postgres.Epoch
	Version int64
}

// String is the text that clients hold; it is opaque to them.
func (c Cursor) String() string {
	return string(c.Epoch) + "." + strconv.FormatInt(c.Version, 10)
}

// Label is the version for clients that know no cursors: the number, and once a standby was promoted also the timeline, since
// then the same number can mean another event.
func (c Cursor) Label() string {
	version := strconv.FormatInt(c.Version, 10)
	if _, timeline, _ := strings.Cut(string(c.Epoch), "-"); timeline != "1" && timeline != "" {
		return version + "@" + timeline
	}
	return version
}

// ParseCursor reads a text that String made.
func ParseCursor(s string) (Cursor, error) {
	epoch, version, ok := strings.Cut(s, ".")
	if !ok || epoch == "" {
		return Cursor{}, errors.New("a cursor has the form <epoch>.<version>")
	}
	v, err := strconv.ParseInt(version, 10, 64)
	if err != nil || v < 0 {
		return Cursor{}, fmt.Errorf("version %q in a cursor is no number", version)
	}
	return Cursor{Epoch: postgres.Epoch(epoch), Version: v}, nil
}
