package presence

import (
	"container/list"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"layercake/internal/fault"

	"github.com/google/uuid"
)

// maxDepartures is how many connections that left a room remembers. Whoever is further behind looks at the whole roster.
const maxDepartures = 256

// departureAge is how long a departure is remembered at least, so that an answer of the table that was asked before does not bring
// the connection back.
const departureAge = 10 * time.Second

// ErrFull is the fault for a room that takes no more connections.
var ErrFull = fault.New(fault.RateLimited, fmt.Sprintf("Too many people are in this project, at most %d", MaxPeople))

// Room is who is in one project, on all replicas, as this replica knows. Everybody who enters exits.
type Room struct {
	Project int32

	tracker *Tracker
	loaded  chan struct{} // closed once the table was read
	err     error         // of that; read it after loaded
	guests  int           // who entered; under the tracker's mutex

	mu         sync.Mutex
	ended      bool  // the project was deleted
	clock      int64 // steps with every line: what was touched after a question was sent is newer than the answer
	seq        int64 // steps with every change
	floor      int64 // changes up to this one may be forgotten
	items      map[uuid.UUID]*item
	own        int       // of the items, those that this replica serves
	changed    list.List // of *item: the latest change comes last
	departed   list.List // of *departure: the latest comes last
	gone       map[uuid.UUID]*list.Element
	people     map[string]*group
	places     map[string]*group
	roster     *Roster
	notices    []notice // the latest comes last
	noticedSeq int64    // steps with every notice
	watchers   map[*func()]struct{}
	calls      []*func() // the watchers; nil when they changed
}

// item is one connection in a room.
type item struct {
	entry   *Entry
	own     bool // this replica serves it
	seq     int64
	touched int64 // the clock when a line last spoke of it
	missing missing
	place   *list.Element
}

// missing says since when comparisons do not find a connection in the table.
type missing struct {
	since time.Time // when the first of them was sent; zero while it was found
	clock int64     // of the room, then: what is said of the connection later begins anew
}

type departure struct {
	entry   *Entry
	seq     int64
	touched int64
	at      time.Time
}

// group is the connections that have something in common: the user or the document.
type group struct {
	items    map[uuid.UUID]*item
	members  int64 // seq when one last came or went
	moves    int64 // seq when one last changed
	person   *Person
	document *Document
}

func newRoom(t *Tracker, project int32) *Room {
	return &Room{
		Project: project, tracker: t, loaded: make(chan struct{}),
		items: make(map[uuid.UUID]*item), gone: make(map[uuid.UUID]*list.Element),
		people: make(map[string]*group), places: make(map[string]*group), watchers: make(map[*func()]struct{}),
	}
}

// Exit ends what Enter began. The connections of whoever exits have left before.
func (r *Room) Exit() { r.tracker.exit(r) }

// Watch calls f after each change until stop is called. It must not block, and may be called once more after stop.
func (r *Room) Watch(f func()) (stop func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.watchers[&f] = struct{}{}
	r.calls = nil
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.watchers, &f)
		r.calls = nil
	}
}

// Join brings a connection of this replica into the project, or changes who it is. It fails with ErrFull.
func (r *Room) Join(connection uuid.UUID, who Identity, place *Place, now time.Time) error {
	r.mu.Lock()
	e := &Entry{
		Connection: connection, Project: r.Project, Identity: who, Place: place, JoinedAt: now, ActiveAt: now,
		since: now.Truncate(time.Microsecond), revision: 1,
	}
	var ended []visit
	if i := r.items[connection]; i != nil {
		e.revision, e.JoinedAt = i.entry.revision+1, i.entry.JoinedAt
		if place == nil {
			e.Place = i.entry.Place
		}
		if e.sameUser(i.entry) {
			e.since = i.entry.since
		} else {
			e.sinceAfter(i.entry)
			ended = append(ended, visit{entry: i.entry, left: now, reason: ReasonRenamed})
		}
	} else if len(r.items) >= MaxPeople {
		r.mu.Unlock()
		return ErrFull
	} else if d := r.gone[connection]; d != nil {
		e.revision = d.Value.(*departure).entry.revision + 1
		e.sinceAfter(d.Value.(*departure).entry)
	}
	r.put(e, true)
	r.mu.Unlock()
	r.tracker.write(r, connection, ended...)
	r.notify()
	return nil
}

// Move puts a connection of this replica into a place. It reports whether it has joined.
func (r *Room) Move(connection uuid.UUID, place Place) bool {
	r.mu.Lock()
	i := r.items[connection]
	if i == nil || !i.own {
		r.mu.Unlock()
		return false
	}
	within := i.entry.Place != nil && i.entry.Place.Document == place.Document && i.entry.Place.Type == place.Type
	e := i.entry.next()
	e.Place, e.ActiveAt = &place, place.At
	r.put(e, true)
	r.mu.Unlock()
	if within {
		r.tracker.move(r, connection)
	} else {
		r.tracker.write(r, connection)
	}
	r.notify()
	return true
}

// Touch says when a connection of this replica was last heard of.
func (r *Room) Touch(connection uuid.UUID, at time.Time) {
	r.mu.Lock()
	i := r.items[connection]
	if i == nil || !i.own || !at.After(i.entry.ActiveAt) {
		r.mu.Unlock()
		return
	}
	e := i.entry.next()
	e.ActiveAt = at
	r.put(e, true)
	r.mu.Unlock()
	r.tracker.write(r, connection)
	r.notify()
}

// Leave takes a connection of this replica out of the project, and says why. It reports whether it was there.
func (r *Room) Leave(connection uuid.UUID, why Reason) bool {
	r.mu.Lock()
	i := r.items[connection]
	if i == nil || !i.own {
		r.mu.Unlock()
		return false
	}
	r.remove(i)
	r.mu.Unlock()
	r.tracker.write(r, connection, visit{entry: i.entry, left: time.Now(), reason: why})
	r.notify()
	return true
}

// Entry returns what the room knows of a connection, or nil.
func (r *Room) Entry(connection uuid.UUID) *Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := r.items[connection]; i != nil {
		return i.entry
	}
	return nil
}

// Size returns how many connections are in the project.
func (r *Room) Size() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.items)
}

// Ended reports whether the project was deleted.
func (r *Room) Ended() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ended
}

// Since returns what changed after a Seq, each connection at most once, and the Seq now. It says false when there is more than
// most, or when that is not known any more: then look at the Roster.
func (r *Room) Since(after int64, most int) (changes []Change, now int64, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if after < r.floor {
		return nil, r.seq, false
	}
	for e := r.departed.Back(); e != nil && e.Value.(*departure).seq > after; e = e.Prev() {
		if len(changes) == most {
			return nil, r.seq, false
		}
		gone := e.Value.(*departure)
		changes = append(changes, Change{
			Entry: gone.entry, Left: true, Person: r.person(gone.entry.UserID), seq: gone.seq, at: gone.at,
		})
	}
	for e := r.changed.Back(); e != nil && e.Value.(*item).seq > after; e = e.Prev() {
		if len(changes) == most {
			return nil, r.seq, false
		}
		entry := e.Value.(*item).entry
		changes = append(changes, Change{Entry: entry, Person: r.person(entry.UserID), seq: entry.seq})
	}
	slices.Reverse(changes)
	return changes, r.seq, true
}

// Roster returns everybody.
func (r *Room) Roster() *Roster {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.roster == nil {
		r.roster = &Roster{Seq: r.seq, People: make([]*Person, 0, len(r.people))}
		for user := range r.people {
			r.roster.People = append(r.roster.People, r.person(user))
		}
	}
	return r.roster
}

// Person returns everybody with a user id, or nil.
func (r *Room) Person(user string) *Person {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.person(user)
}

func (r *Room) person(user string) *Person {
	g := r.people[user]
	if g == nil {
		return nil
	}
	if g.person == nil {
		g.person = &Person{Entries: g.entries()}
	}
	return g.person
}

// Document returns everybody in a document; it is empty when nobody is.
func (r *Room) Document(id string) *Document {
	r.mu.Lock()
	defer r.mu.Unlock()
	g := r.places[id]
	if g == nil {
		return &Document{ID: id, Members: r.seq, Moves: r.seq}
	}
	if g.document == nil {
		g.document = &Document{ID: id, Members: g.members, Moves: g.moves, Entries: g.entries()}
	}
	return g.document
}

// entries returns the group's, the one that changed last first.
func (g *group) entries() []*Entry {
	items := slices.SortedFunc(maps.Values(g.items), func(a, b *item) int { return int(b.seq - a.seq) })
	entries := make([]*Entry, len(items))
	for n, i := range items {
		entries[n] = i.entry
	}
	return entries
}

// next returns a copy that can be changed until it is put into the room.
func (e *Entry) next() *Entry {
	return &Entry{
		Connection: e.Connection, Project: e.Project, Identity: e.Identity, Place: e.Place, JoinedAt: e.JoinedAt,
		ActiveAt: e.ActiveAt, since: e.since, incarnation: e.incarnation, revision: e.revision + 1,
	}
}

// sameUser reports whether the log has both as one visit.
func (e *Entry) sameUser(before *Entry) bool {
	return e.UserID == before.UserID && e.Name == before.Name && e.Agent == before.Agent
}

// sinceAfter keeps visits of a connection apart, which the log knows by when they began.
func (e *Entry) sinceAfter(before *Entry) {
	if !e.since.After(before.since) {
		e.since = before.since.Add(time.Microsecond)
	}
}

func (e *Entry) document() string {
	if e.Place == nil {
		return ""
	}
	return e.Place.Document
}

// put makes e what the room knows of its connection.
func (r *Room) put(e *Entry, own bool) {
	i := r.items[e.Connection]
	if i == nil {
		i = &item{own: own}
		if own {
			r.own++
		}
		i.place = r.changed.PushBack(i)
		r.items[e.Connection] = i
		if d := r.gone[e.Connection]; d != nil && d.Value.(*departure).entry.UserID == e.UserID {
			r.forget(d) // who did not see it sees what the connection is now
		}
	} else if i.entry.UserID != e.UserID {
		r.depart(i.entry) // for those who knew them as somebody else
	}
	before := i.entry
	r.step()
	e.seq = r.seq
	i.entry, i.seq, i.touched = e, r.seq, r.clock
	r.changed.MoveToBack(i.place)
	user, document := "", ""
	if before != nil {
		user, document = before.UserID, before.document()
	}
	r.regroup(r.people, i, user, e.UserID)
	r.regroup(r.places, i, document, e.document())
}

// remove takes a connection out.
func (r *Room) remove(i *item) {
	delete(r.items, i.entry.Connection)
	if i.own {
		r.own--
	}
	r.changed.Remove(i.place)
	r.depart(i.entry)
	r.regroup(r.people, i, i.entry.UserID, "")
	r.regroup(r.places, i, i.entry.document(), "")
}

func (r *Room) step() {
	r.seq++
	r.roster = nil
}

// regroup moves an item from one group to another; the empty key is no group.
func (r *Room) regroup(groups map[string]*group, i *item, from, to string) {
	if from != to && from != "" {
		g := groups[from]
		delete(g.items, i.entry.Connection)
		g.members, g.moves, g.person, g.document = r.seq, r.seq, nil, nil
		if len(g.items) == 0 {
			delete(groups, from)
		}
	}
	if to == "" {
		return
	}
	g := groups[to]
	if g == nil {
		g = &group{items: make(map[uuid.UUID]*item)}
		groups[to] = g
	}
	if from != to {
		g.items[i.entry.Connection] = i
		g.members = r.seq
	}
	g.moves, g.person, g.document = r.seq, nil, nil
}

// depart remembers that a connection is not here any more, or not as this user.
func (r *Room) depart(e *Entry) {
	r.step()
	now := time.Now()
	if d := r.gone[e.Connection]; d != nil && d.Value.(*departure).entry.UserID == e.UserID {
		r.forget(d)
	}
	r.gone[e.Connection] = r.departed.PushBack(&departure{entry: e, seq: r.seq, touched: r.clock, at: now})
	for r.departed.Len() > maxDepartures {
		oldest := r.departed.Front()
		if now.Sub(oldest.Value.(*departure).at) < departureAge && r.departed.Len() <= 16*maxDepartures {
			return
		}
		r.floor = max(r.floor, oldest.Value.(*departure).seq)
		r.forget(oldest)
	}
}

func (r *Room) forget(d *list.Element) {
	r.departed.Remove(d)
	if connection := d.Value.(*departure).entry.Connection; r.gone[connection] == d {
		delete(r.gone, connection)
	}
}

// notify tells the watchers, without the mutex.
func (r *Room) notify() {
	r.mu.Lock()
	if r.calls == nil {
		r.calls = slices.Collect(maps.Keys(r.watchers))
	}
	calls := r.calls
	r.mu.Unlock()
	for _, f := range calls {
		(*f)()
	}
}
