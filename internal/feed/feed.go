package feed

import (
	"cmp"
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

// What is kept at most.
const (
	maxTailEvents = 1000
	maxTailBytes  = 256 << 10
	maxAhead      = 128      // events that wait for those before them
	maxAllBytes   = 64 << 20 // by all feeds of a replica together
)

// share returns how many bytes each of a number of feeds may keep.
func share(feeds int) int { return min(maxTailBytes, maxAllBytes/max(feeds, 1)) }

// feed is the tail of one project's events.
type feed struct {
	project int32
	ready   chan struct{} // closed once the head was read, or could not be

	// Hub.mu guards these.
	watchers map[*watcher]struct{}
	idle     time.Time // when the last watcher left

	mu  sync.Mutex
	err error // why the feed ended
	state
	tail      []*Event         // contiguous up to at
	tailBytes int              // size of the bodies in tail
	ahead     map[int64]*Event // by version: what came before its time
	restarts  *atomic.Int64    // of all feeds of the hub, which gives each generation a number of its own
	limit     int              // size of the bodies that tail may have at most, and that ahead may
	doubted   bool             // a sweep, not a line, found the wanted version
	broken    bool             // a panic left it in an unknown state: it goes on from the next head that is read
	changed   chan struct{}    // closed and replaced whenever a watcher should look again
}

// state is where a feed stands. A query keeps the state of the moment before it was sent, and its answer is compared with that: what
// the feed got meanwhile is newer than the answer and contradicts nothing.
type state struct {
	at         Cursor // the zero Cursor until the head was read
	generation int64  // steps with each restart: watchers of an older generation missed events
	wanted     int64  // the newest version that anybody announced
}

// loaded reports whether the head was read.
func (s state) loaded() bool { return s.at != (Cursor{}) }

func newFeed(project int32, limit int, restarts *atomic.Int64) *feed {
	return &feed{
		project:  project,
		state:    state{generation: restarts.Add(1)},
		restarts: restarts,
		ready:    make(chan struct{}),
		watchers: make(map[*watcher]struct{}),
		ahead:    make(map[int64]*Event),
		limit:    limit,
		changed:  make(chan struct{}),
	}
}

// need is what the hub should do after an offer.
type need int

const (
	nothing need = iota
	toFill       // there is a gap: read the log
	toSweep      // the epoch changed: ask for the head
)

// offer brings an event, or the hint that there is one, without its hash. Anything may come at any time, in any order, any number of
// times.
func (f *feed) offer(at Cursor, event *Event) need {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.err != nil:
		return nothing
	case !f.loaded():
		f.keep(at.Version, event)
		return nothing
	case at.Epoch != f.at.Epoch:
		return toSweep
	case at.Version <= f.at.Version:
		return nothing
	case event != nil && f.follows(event):
		f.advance(event)
		f.catchUp()
	default:
		f.keep(at.Version, event)
	}
	if f.wanted > f.at.Version {
		return toFill
	}
	return nothing
}

// follows reports whether an event is the next one. An event that names another one before it is of another history: it is not taken,
// and the log decides.
func (f *feed) follows(e *Event) bool {
	return e.At.Epoch == f.at.Epoch && e.At.Version == f.at.Version+1 && !Differ(e.Before, f.at.Hash)
}

// keep remembers that a version was announced, and its event until those before it have come, if there is room. What finds none is read
// from the log.
func (f *feed) keep(version int64, event *Event) {
	f.wanted = max(f.wanted, version)
	if event != nil && len(f.ahead) < maxAhead && f.aheadBytes()+len(event.Body) <= f.limit {
		f.ahead[version] = event
	}
}

// aheadBytes returns the size of the bodies in ahead.
func (f *feed) aheadBytes() (size int) {
	for _, e := range f.ahead {
		size += len(e.Body)
	}
	return size
}

// advance appends the next event and wakes the watchers.
func (f *feed) advance(event *Event) {
	event.Before = cmp.Or(f.at.Hash, event.Before)
	f.at = event.At
	f.tail = append(f.tail, event)
	f.tailBytes += len(event.Body)
	f.trim()
	f.wake()
}

// trim forgets the oldest events of a tail that is too long: who needs them reads the log.
func (f *feed) trim() {
	for len(f.tail) > maxTailEvents || f.tailBytes > f.limit {
		f.tailBytes -= len(f.tail[0].Body)
		f.tail[0] = nil
		f.tail = f.tail[1:]
	}
}

// bound sets how many bytes the feed may keep from now on.
func (f *feed) bound(limit int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.limit = limit
	f.trim()
	if f.aheadBytes() > limit {
		clear(f.ahead)
	}
}

// catchUp applies events that waited for those before them, and forgets the others that have no use any more.
func (f *feed) catchUp() {
	for {
		next, ok := f.ahead[f.at.Version+1]
		if !ok || !f.follows(next) {
			break
		}
		f.advance(next)
	}
	maps.DeleteFunc(f.ahead, func(version int64, e *Event) bool { return version <= f.at.Version || e.At.Epoch != f.at.Epoch })
}

// wake makes watchers that wait look again.
func (f *feed) wake() {
	close(f.changed)
	f.changed = make(chan struct{})
}

// begin makes the feed ready at the head that was read after the feed was registered, so that no event falls between the two.
func (f *feed) begin(head Cursor) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at = head
	f.catchUp()
	close(f.ready)
}

// end refuses all watchers with err from now on.
func (f *feed) end(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return
	}
	f.err = err
	if !f.loaded() {
		close(f.ready)
	}
	f.wake()
}

// now returns where the feed stands, and false before its head was read and after its end.
func (f *feed) now() (state, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state, f.loaded() && f.err == nil
}

// gap returns where the feed stands, and whether it lacks an event that somebody announced.
func (f *feed) gap() (state, bool) {
	now, ok := f.now()
	return now, ok && now.wanted > now.at.Version
}

// failure returns why the feed ended, or nil.
func (f *feed) failure() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// giveUp forgets what the feed holds after a panic, which may have left anything. Until it goes on from a head that is read, its watchers
// find what follows in the log.
func (f *feed) giveUp() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.broken = true
	f.tail, f.tailBytes, f.ahead = nil, 0, make(map[int64]*Event)
}

// judge reports whether what a query returned can be compared with the feed: the head, and the hash at the place where the feed stood
// when the query was sent. A feed that stood in another history than they do goes on from the head, and so does one that is broken.
func (f *feed) judge(sent state, head Cursor, base string) bool {
	if f.err != nil || f.generation != sent.generation {
		return false
	}
	if f.broken || head.contradicts(sent.at) || Differ(base, sent.at.Hash) {
		f.restart(head)
		return false
	}
	return true
}

// compare takes the head that a query returned. It reports whether the feed lacks events.
func (f *feed) compare(sent state, head Cursor) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.judge(sent, head, "") {
		return false
	}
	if head.Version > f.wanted {
		f.wanted, f.doubted = head.Version, true
	}
	return f.wanted > f.at.Version
}

// fill applies events that were read from the log after the place at which the feed stood when the query was sent. It returns how
// many it applied, whether it was a sweep that noticed them missing, and whether the log has more.
func (f *feed) fill(sent state, a answer) (applied int, repaired, more bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.judge(sent, a.head, a.base) {
		return 0, false, false
	}
	for _, e := range a.events {
		switch {
		case e.At.Version <= f.at.Version: // it came otherwise meanwhile
		case f.follows(e):
			f.advance(e)
			applied++
		default:
			f.restart(a.head) // the log was trimmed in front of the feed, or is of another history
			return applied, false, false
		}
	}
	f.catchUp()
	repaired = applied > 0 && f.doubted
	if f.at.Version < a.head.Version {
		if len(a.events) > 0 {
			return applied, repaired, true
		}
		f.restart(a.head) // the log was trimmed in front of the feed
	} else if f.wanted == sent.wanted && f.wanted > f.at.Version {
		f.wanted = f.at.Version // announced before the query was sent, but the log does not have it: it was never committed
	}
	f.doubted = false
	return applied, repaired, false
}

// restart gives up the tail and goes on from head. Watchers of the former generation missed events.
func (f *feed) restart(head Cursor) {
	f.at, f.wanted, f.broken = head, head.Version, false
	f.tail, f.tailBytes = nil, 0
	f.generation = f.restarts.Add(1)
	f.catchUp()
	f.wake()
}

// lookup is what a watcher finds at its place. Without any of these it has to read the log.
type lookup struct {
	event   *Event        // the next event, with its body
	changed chan struct{} // closed when there is something new; nothing follows yet
	missed  bool          // events cannot be had: the watcher goes on from where the feed is now
	err     error         // why the feed ended
}

// next returns what follows the place of a watcher of a generation.
func (f *feed) next(at Cursor, generation int64) lookup {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.err != nil:
		return lookup{err: f.err}
	case f.generation != generation:
		return lookup{missed: true}
	case at.Version >= f.at.Version:
		return lookup{changed: f.changed}
	}
	if e := f.kept(at.Version + 1); e != nil && e.Body != nil {
		return lookup{event: e}
	}
	return lookup{}
}

// kept returns the event of a version, or nil when the tail does not have it.
func (f *feed) kept(version int64) *Event {
	// A client may name any version, so nothing is computed with one that was not compared before.
	first := f.at.Version - int64(len(f.tail)) + 1
	if version < first || version > f.at.Version {
		return nil
	}
	return f.tail[version-first]
}

// hashAt returns the hash of the event that led to a version, empty when the feed does not know it.
func (f *feed) hashAt(version int64) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if version == f.at.Version {
		return f.at.Hash
	}
	if next := f.kept(version + 1); next != nil {
		return next.Before
	}
	return ""
}
