package feed

import (
	"cmp"
	"sync"
	"time"

	"layercake/internal/postgres"
)

// What is kept at most.
const (
	maxTailEvents = 1000
	maxTailBytes  = 256 << 10
	maxAhead      = 128      // events that wait for those before them
	maxAllBytes   = 64 << 20 // by all feeds of a replica together
)

// share is how many bytes each of so many feeds may keep.
func share(feeds int) int { return min(maxTailBytes, maxAllBytes/max(feeds, 1)) }

// feed is the tail of one project's events.
type feed struct {
	project int32
	opened  chan struct{} // closed once the head was read, or could not be

	// guarded by Hub.mu
	watchers int
	idle     time.Time // when the last watcher left

	mu         sync.Mutex
	err        error // the feed ended
	open       bool
	epoch      postgres.Epoch
	version    int64
	hash       string          // of the event at version
	generation int             // steps when events were missed: watchers of older generations are told
	tail       []*Event        // contiguous up to version
	tailBytes  int             // of the bodies in tail
	ahead      map[int64]heard // beyond version + 1
	aheadBytes int             // of the bodies in ahead
	limit      int             // of either
	readers    map[*watcher]struct{}
	wanted     int64         // the newest version that anybody spoke of
	doubted    bool          // a sweep, not a line, spoke of it
	moved      chan struct{} // closed and replaced whenever a watcher should look again
}

// heard is an event as a line or an own commit brought it.
type heard struct {
	epoch postgres.Epoch
	event *Event // nil for a hint
}

func newFeed(project int32, limit int) *feed {
	return &feed{
		project: project,
		opened:  make(chan struct{}),
		ahead:   make(map[int64]heard),
		limit:   limit,
		readers: make(map[*watcher]struct{}),
		moved:   make(chan struct{}),
	}
}

// need is what the hub should do after an offer.
type need int

const (
	nothing need = iota
	toFill       // there is a gap: read the log
	toSweep      // the epoch changed: ask for the head
)

// offer brings an event, or the hint of one. Anything may come at any time, in any order, any number of times.
func (f *feed) offer(epoch postgres.Epoch, version int64, event *Event) need {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.err != nil:
		return nothing
	case !f.open:
		f.keep(epoch, version, event)
		return nothing
	case epoch != f.epoch:
		return toSweep
	case version <= f.version:
		return nothing
	case version == f.version+1 && event != nil && !Differ(event.Before, f.hash):
		f.advance(event)
		f.catchUp()
	default:
		f.keep(epoch, version, event)
	}
	if f.wanted > f.version {
		return toFill
	}
	return nothing
}

// keep remembers an event whose time has not come.
func (f *feed) keep(epoch postgres.Epoch, version int64, event *Event) {
	f.wanted = max(f.wanted, version)
	if event == nil || len(f.ahead) >= maxAhead || f.aheadBytes+len(event.Body) > f.limit {
		return
	}
	f.drop(version)
	f.ahead[version] = heard{epoch: epoch, event: event}
	f.aheadBytes += len(event.Body)
}

// drop forgets an event that waited.
func (f *feed) drop(version int64) {
	if h, ok := f.ahead[version]; ok {
		f.aheadBytes -= len(h.event.Body)
		delete(f.ahead, version)
	}
}

// advance appends the next event and wakes the watchers.
func (f *feed) advance(event *Event) {
	event.Before = cmp.Or(f.hash, event.Before)
	f.version, f.hash = event.Version, event.Hash
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
	if f.aheadBytes > limit {
		clear(f.ahead)
		f.aheadBytes = 0
	}
}

// catchUp applies what waited for its predecessors.
func (f *feed) catchUp() {
	for {
		next, ok := f.ahead[f.version+1]
		if !ok || next.epoch != f.epoch || Differ(next.event.Before, f.hash) {
			break // if it is of another history, the log says so
		}
		f.advance(next.event)
	}
	for version, h := range f.ahead {
		if version <= f.version || h.epoch != f.epoch {
			f.drop(version)
		}
	}
}

func (f *feed) wake() {
	close(f.moved)
	f.moved = make(chan struct{})
}

// begin opens the feed at the head that was read after the feed was registered.
func (f *feed) begin(head position) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open, f.epoch, f.version, f.hash = true, head.epoch, head.version, head.hash
	f.catchUp()
	close(f.opened)
}

// end refuses all watchers with err from now on.
func (f *feed) end(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return
	}
	f.err = err
	if !f.open {
		close(f.opened)
	}
	f.wake()
}

// position is where a project's history stands, or stood when a query was sent.
type position struct {
	epoch      postgres.Epoch
	version    int64
	hash       string // of the event at version; empty where it is not known
	generation int    // of the feed; meaningless in an answer
	wanted     int64  // likewise
}

// contradicts reports whether p cannot come after an earlier position: it is of another history, or of a part of it that was lost.
func (p position) contradicts(earlier position) bool {
	return p.epoch != earlier.epoch || p.version < earlier.version ||
		p.version == earlier.version && Differ(p.hash, earlier.hash)
}

// now returns the feed's position, and false while it is not open.
func (f *feed) now() (position, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.position(), f.open && f.err == nil
}

// gap returns the feed's position when it lacks an event that somebody spoke of.
func (f *feed) gap() (position, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.position(), f.open && f.err == nil && f.wanted > f.version
}

func (f *feed) position() position {
	return position{epoch: f.epoch, version: f.version, hash: f.hash, generation: f.generation, wanted: f.wanted}
}

// failure returns why the feed ended, or nil.
func (f *feed) failure() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// compare judges the head that a query returned against what the feed held when the query was sent. It reports whether the
// feed lacks events.
func (f *feed) compare(sent, head position) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil || f.generation != sent.generation {
		return false
	}
	if head.contradicts(sent) {
		f.restart(head)
		return false
	}
	if head.version > f.wanted {
		f.wanted, f.doubted = head.version, true
	}
	return f.wanted > f.version
}

// fill applies events that were read from the log after the position sent. It returns how many it applied, whether it was a
// sweep that noticed them missing, and whether the log has more.
func (f *feed) fill(sent position, a answer) (applied int, repaired, more bool) {
	head, events := a.head, a.events
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil || f.generation != sent.generation {
		return 0, false, false
	}
	if head.contradicts(sent) || Differ(a.base, sent.hash) {
		f.restart(head)
		return 0, false, false
	}
	for _, e := range events {
		if e.Version > f.version+1 || e.Version == f.version+1 && Differ(e.Before, f.hash) {
			f.restart(head) // the log was trimmed in front of the feed, or is of another history
			return applied, false, false
		}
		if e.Version == f.version+1 {
			f.advance(e)
			applied++
		}
	}
	f.catchUp()
	repaired = applied > 0 && f.doubted
	if more = len(events) > 0 && f.version < head.version; more {
		return applied, repaired, true
	}
	if f.version < head.version {
		f.restart(head) // likewise
	} else if f.wanted == sent.wanted && f.wanted > f.version {
		f.wanted = f.version // spoken of before the query was sent and yet not in the log: it never was
	}
	f.doubted = false
	return applied, repaired, false
}

// restart gives up the tail: watchers are told that they missed events and go on from head.
func (f *feed) restart(head position) {
	f.epoch, f.version, f.hash = head.epoch, head.version, head.hash
	f.tail, f.tailBytes = nil, 0
	f.wanted = head.version
	f.generation++
	f.catchUp()
	f.wake()
}

// follow notes a watcher, and unfollow forgets it.
func (f *feed) follow(w *watcher) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.readers[w] = struct{}{}
}

func (f *feed) unfollow(w *watcher) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.readers, w)
}

// lag returns how many events the watcher that is the furthest behind has yet to take.
func (f *feed) lag() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	var lag int64
	for w := range f.readers {
		lag = max(lag, f.version-w.seen.Load())
	}
	return lag
}

// step is what a watcher finds at its place.
type step struct {
	event  *Event        // the next event, or
	moved  chan struct{} // wait for this, or
	missed bool          // events cannot be had: go on from where the feed is now, or
	err    error         // the feed ended, or
	// none of these: read the log
}

// next returns what follows a watcher's position.
func (f *feed) next(at position) step {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.err != nil:
		return step{err: f.err}
	case f.generation != at.generation:
		return step{missed: true}
	case at.version >= f.version:
		return step{moved: f.moved}
	}
	first := f.version - int64(len(f.tail)) + 1
	if at.version+1 < first {
		return step{}
	}
	return step{event: f.tail[at.version+1-first]}
}

// hashAt returns the hash of the event that led to a version, empty when the feed does not know it.
func (f *feed) hashAt(version int64) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	first := f.version - int64(len(f.tail)) + 1
	switch {
	case version == f.version:
		return f.hash
	case version >= first && version < f.version:
		return f.tail[version-first].Hash
	}
	return ""
}
