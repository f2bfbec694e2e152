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

// maxLeaves is how many connections that left a room remembers. Whoever is further behind looks at the whole roster.
const maxLeaves = 256

// leaveAge is how long a leave is remembered at least, so that an answer of the table that was asked before does not bring
// the connection back.
const leaveAge = 10 * time.Second

// ErrFull is the fault for a room that takes no more connections.
var ErrFull = fault.New(fault.RateLimited, fmt.Sprintf("Too many people are in this project, at most %d", MaxPeople))

// room is who is in one project, on all replicas, as this replica knows. It is a value behind a mutex: its methods change nothing but the
// room, and wait for nobody. What follows for the table, for other replicas and for watchers they return as effects.
type room struct {
	project int32

	mu            sync.Mutex
	ended         bool  // the project was deleted
	clock         int64 // steps with every line: what was touched after a question was sent is newer than the answer
	seq           int64 // steps with every change
	floor         int64 // changes up to this one may be forgotten
	items         map[uuid.UUID]*item
	changed       list.List // of *item: the latest change comes last
	leaves        list.List // of *leaveRecord: the latest comes last
	leaveOf       map[uuid.UUID]*list.Element
	people        map[string]*group
	places        map[string]*group
	roster        *Roster
	announcements []announcement // the latest comes last
	announcedSeq  int64          // steps with every announcement
}

// effects are what follows from a change of a room, and is done after it, without its mutex.
type effects struct {
	notify bool // watchers have to look
	write  bool // the row of the connection is out of date, and other replicas have to be told
	move   bool // other replicas have to be told where the cursor of the connection is

	connection uuid.UUID // that was written or moved
	visits     []visit   // of that connection that ended
}

// item is one connection in a room.
type item struct {
	entry   *Entry
	own     bool  // this replica serves it
	touched int64 // the clock when a line last spoke of it
	missing missing
	place   *list.Element
}

// leaveRecord is a connection that left, or that is somebody else now.
type leaveRecord struct {
	entry   *Entry // as it was
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

func newRoom(project int32) *room {
	return &room{
		project: project, items: make(map[uuid.UUID]*item), leaveOf: make(map[uuid.UUID]*list.Element),
		people: make(map[string]*group), places: make(map[string]*group),
	}
}

// join brings a connection of this replica into the project, or changes who it is. It fails with ErrFull.
func (r *room) join(connection uuid.UUID, who Identity, place *Place, now time.Time) (effects, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := &Entry{
		Connection: connection, Project: r.project, Identity: who, Place: place, JoinedAt: now, ActiveAt: now,
		since: now.Truncate(time.Microsecond), revision: 1,
	}
	follows := effects{notify: true, write: true, connection: connection}
	if i := r.items[connection]; i != nil {
		e.revision, e.JoinedAt = i.entry.revision+1, i.entry.JoinedAt
		if place == nil {
			e.Place = i.entry.Place
		}
		if e.sameUser(i.entry) {
			e.since = i.entry.since
		} else {
			e.sinceAfter(i.entry)
			follows.visits = []visit{{entry: i.entry, left: now, reason: ReasonRenamed}}
		}
	} else if len(r.items) >= MaxPeople {
		return effects{}, ErrFull
	} else if d := r.leaveOf[connection]; d != nil {
		e.revision = d.Value.(*leaveRecord).entry.revision + 1
		e.sinceAfter(d.Value.(*leaveRecord).entry)
	}
	r.put(e, true)
	return follows, nil
}

// move puts a connection of this replica into a place. It reports whether it has joined.
func (r *room) move(connection uuid.UUID, place Place) (follows effects, joined bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := r.ownItem(connection)
	if i == nil {
		return effects{}, false
	}
	within := i.entry.Place != nil && i.entry.Place.Document == place.Document && i.entry.Place.Type == place.Type
	e := i.entry.next()
	e.Place, e.ActiveAt = &place, place.At
	r.put(e, true)
	return effects{notify: true, write: !within, move: within, connection: connection}, true
}

// touch says when a connection of this replica was last heard of.
func (r *room) touch(connection uuid.UUID, at time.Time) effects {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := r.ownItem(connection)
	if i == nil || !at.After(i.entry.ActiveAt) {
		return effects{}
	}
	e := i.entry.next()
	e.ActiveAt = at
	r.put(e, true)
	return effects{notify: true, write: true, connection: connection}
}

// leave takes a connection of this replica out of the project, and says why. It reports whether it was there.
func (r *room) leave(connection uuid.UUID, why Reason) (follows effects, joined bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := r.ownItem(connection)
	if i == nil {
		return effects{}, false
	}
	r.remove(i)
	visits := []visit{{entry: i.entry, left: time.Now(), reason: why}}
	return effects{notify: true, write: true, connection: connection, visits: visits}, true
}

// heard takes what another replica said about a connection of its own.
func (r *room) heard(connection uuid.UUID, l line, move bool) effects {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clock++
	i := r.items[connection]
	switch {
	case i == nil && move:
		return effects{} // it left, or the line about its arrival was lost: the table knows
	case i != nil && i.own:
		return effects{} // nobody knows better than this replica
	case i != nil && l.Revision <= i.entry.revision:
		i.adopt(l.Incarnation, r.clock)
		return effects{}
	}
	var known *Entry
	if move {
		known = i.entry
	}
	r.put(l.entry(r.project, connection, known), false)
	return effects{notify: true}
}

// heardLeft takes a connection out, unless another incarnation of its replica holds it by now, or the guest came back.
func (r *room) heardLeft(connection uuid.UUID, left departed) effects {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clock++
	i := r.items[connection]
	if i == nil || i.own || i.entry.incarnation != left.life || left.revision != 0 && i.entry.revision > left.revision {
		return effects{}
	}
	r.remove(i)
	return effects{notify: true}
}

// heardAnnouncement remembers an announcement for those who watch now.
func (r *room) heardAnnouncement(a announcement) effects {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.announcements) == maxAnnouncements {
		r.announcements = slices.Delete(r.announcements, 0, 1)
	}
	r.announcements = append(r.announcements, a)
	r.announcedSeq++
	return effects{notify: true}
}

// announcementsSince returns the announcements after a number, but for those that were forgotten, and the number now.
func (r *room) announcementsSince(after int64) ([]announcement, int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	news := min(int(r.announcedSeq-after), len(r.announcements))
	return slices.Clone(r.announcements[len(r.announcements)-news:]), r.announcedSeq
}

// adopt notes that another incarnation of a replica holds the connection, which nobody else has to know.
func (i *item) adopt(incarnation uuid.UUID, clock int64) {
	i.touched = clock
	if i.entry.incarnation != incarnation {
		e := i.entry.next()
		e.incarnation, e.revision, e.seq = incarnation, i.entry.revision, i.entry.seq
		i.entry = e
	}
}

// end says that the project was deleted.
func (r *room) end() effects {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	return effects{notify: true}
}

// Entry returns what the room knows of a connection, or nil.
func (r *room) Entry(connection uuid.UUID) *Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := r.items[connection]; i != nil {
		return i.entry
	}
	return nil
}

// own returns the connections that this replica serves.
func (r *room) own() []uuid.UUID {
	r.mu.Lock()
	defer r.mu.Unlock()
	var own []uuid.UUID
	for connection, i := range r.items {
		if i.own {
			own = append(own, connection)
		}
	}
	return own
}

// ownEntry returns what is known of a connection that this replica serves, or nil.
func (r *room) ownEntry(connection uuid.UUID) *Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := r.ownItem(connection); i != nil {
		return i.entry
	}
	return nil
}

func (r *room) ownItem(connection uuid.UUID) *item {
	if i := r.items[connection]; i != nil && i.own {
		return i
	}
	return nil
}

// Size returns how many connections are in the project.
func (r *room) Size() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.items)
}

// Ended reports whether the project was deleted.
func (r *room) Ended() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ended
}

// Since returns what changed after a Seq, each connection at most once, and the Seq now. It says false when there is more than
// most, or when that is not known any more: then look at the Roster.
func (r *room) Since(after int64, most int) (changes []Change, now int64, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if after < r.floor {
		return nil, r.seq, false
	}
	for e := r.leaves.Back(); e != nil && e.Value.(*leaveRecord).seq > after; e = e.Prev() {
		if len(changes) == most {
			return nil, r.seq, false
		}
		left := e.Value.(*leaveRecord)
		changes = append(changes, Change{
			Entry: left.entry, Left: true, Person: r.person(left.entry.UserID), seq: left.seq, at: left.at,
		})
	}
	for e := r.changed.Back(); e != nil && e.Value.(*item).entry.seq > after; e = e.Prev() {
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
func (r *room) Roster() *Roster {
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
func (r *room) Person(user string) *Person {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.person(user)
}

func (r *room) person(user string) *Person {
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
func (r *room) Document(id string) *Document {
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
	items := slices.SortedFunc(maps.Values(g.items), func(a, b *item) int { return int(b.entry.seq - a.entry.seq) })
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
func (r *room) put(e *Entry, own bool) {
	i := r.items[e.Connection]
	if i == nil {
		i = &item{own: own}
		i.place = r.changed.PushBack(i)
		r.items[e.Connection] = i
		if d := r.leaveOf[e.Connection]; d != nil && d.Value.(*leaveRecord).entry.UserID == e.UserID {
			r.forget(d) // who did not see it sees what the connection is now
		}
	} else if i.entry.UserID != e.UserID {
		r.noteLeave(i.entry) // for those who knew them as somebody else
	}
	before := i.entry
	r.step()
	e.seq = r.seq
	i.entry, i.touched = e, r.clock
	r.changed.MoveToBack(i.place)
	user, document := "", ""
	if before != nil {
		user, document = before.UserID, before.document()
	}
	r.regroup(r.people, i, user, e.UserID)
	r.regroup(r.places, i, document, e.document())
}

// remove takes a connection out.
func (r *room) remove(i *item) {
	delete(r.items, i.entry.Connection)
	r.changed.Remove(i.place)
	r.noteLeave(i.entry)
	r.regroup(r.people, i, i.entry.UserID, "")
	r.regroup(r.places, i, i.entry.document(), "")
}

func (r *room) step() {
	r.seq++
	r.roster = nil
}

// regroup moves an item from one group to another; the empty key is no group.
func (r *room) regroup(groups map[string]*group, i *item, from, to string) {
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
func (r *room) noteLeave(e *Entry) {
	r.step()
	now := time.Now()
	if d := r.leaveOf[e.Connection]; d != nil && d.Value.(*leaveRecord).entry.UserID == e.UserID {
		r.forget(d)
	}
	r.leaveOf[e.Connection] = r.leaves.PushBack(&leaveRecord{entry: e, seq: r.seq, touched: r.clock, at: now})
	for r.leaves.Len() > maxLeaves {
		oldest := r.leaves.Front()
		if now.Sub(oldest.Value.(*leaveRecord).at) < leaveAge && r.leaves.Len() <= 16*maxLeaves {
			return
		}
		r.floor = max(r.floor, oldest.Value.(*leaveRecord).seq)
		r.forget(oldest)
	}
}

func (r *room) forget(d *list.Element) {
	r.leaves.Remove(d)
	if connection := d.Value.(*leaveRecord).entry.Connection; r.leaveOf[connection] == d {
		delete(r.leaveOf, connection)
	}
}
