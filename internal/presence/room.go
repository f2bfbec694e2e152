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

// maxLeaves is how many leaves a room remembers. A watcher that is further behind reads the whole roster.
const maxLeaves = 256

// leaveAge is the least time that a room remembers a leave, up to 16 times maxLeaves. It is longer than a comparison with the table takes,
// so the answer to a query that was sent before the leave does not bring the connection back.
const leaveAge = 10 * time.Second

// ErrFull is the fault for a room that takes no more connections.
var ErrFull = fault.New(fault.RateLimited, fmt.Sprintf("Too many people are in this project, at most %d", MaxPeople))

// room is who is in one project, on all replicas, as far as this replica knows. It is a value behind a mutex: its methods change nothing
// but the room, call nobody and wait for nobody. They return what follows for the table, for other replicas and for watchers as effects.
type room struct {
	project int32

	mu            sync.Mutex
	ended         bool  // the project was deleted
	clock         int64 // steps with every line, so that a line after a query was sent can be known from one before it
	seq           int64 // steps with every change; the Seq of watchers
	floor         int64 // some changes up to this Seq are forgotten
	items         map[uuid.UUID]*item
	changed       list.List // *item values in the order of their last change
	leaves        list.List // *leaveRecord values, the latest last
	leaveOf       map[uuid.UUID]*list.Element
	people        map[string]*group // groups by user id
	documents     map[string]*group // groups by document id
	roster        *Roster           // nil until somebody reads it after a change
	announcements []announcement    // the latest last
	announcedSeq  int64             // number of the latest announcement, counted from 1

	// Beginnings of the last visits of own connections that left and can join again.
	visits map[uuid.UUID]time.Time
}

// effects are what has to be done after a change of a room, without its mutex.
type effects struct {
	notify bool // watchers poll
	write  bool // the flusher writes the row of the connection, then sends other replicas a line
	move   bool // other replicas get a line about the cursor of the connection
	noRoom int  // connections of others that the room does not take, since it is full

	connection uuid.UUID // the connection of write and move
	visits     []visit   // visits of that connection that ended
}

// item is one connection in a room.
type item struct {
	entry   *Entry
	own     bool  // this replica serves it
	written bool  // the table has it, or it is an own one; otherwise only a line spoke of it
	touched int64 // clock of the room when a line last spoke of it
	absence absence
	element *list.Element // element of changed
}

// leaveRecord is a connection that left, or that is another user now.
type leaveRecord struct {
	entry   *Entry    // the last one before the leave
	seq     int64     // Seq of the leave
	touched int64     // clock of the room at the leave
	at      time.Time // time of the leave
}

// group is the connections that have the user or the document in common. Its views are made when somebody reads them after a change.
type group struct {
	items    map[uuid.UUID]*item
	members  int64     // Seq when a connection last came or went
	moves    int64     // Seq when a connection last changed
	person   *Person   // view of a group by user; nil until read
	document *Document // view of a group by document; nil until read
}

func newRoom(project int32) *room {
	return &room{
		project: project, items: make(map[uuid.UUID]*item), leaveOf: make(map[uuid.UUID]*list.Element),
		people: make(map[string]*group), documents: make(map[string]*group), visits: make(map[uuid.UUID]time.Time),
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
		if e.sameUser(i.entry) || e.within(i.entry.since) {
			e.since = i.entry.since
		} else {
			follows.visits = []visit{{entry: i.entry, left: now, reason: ReasonRenamed}}
		}
	} else if r.full() {
		return effects{}, ErrFull
	} else if d := r.leaveOf[connection]; d != nil {
		e.revision = d.Value.(*leaveRecord).entry.revision + 1
	}
	if since, left := r.visits[connection]; left && e.within(since) {
		e.since = since
	}
	delete(r.visits, connection)
	r.put(e, true)
	return follows, nil
}

// full reports whether no other connection of this replica may join. People that only lines speak of do not count: lines may be forged, and
// would keep out those who are here. The next comparison with the table counts those who are.
func (r *room) full() bool {
	if len(r.items) < MaxPeople {
		return false
	}
	written := 0
	for _, i := range r.items {
		if i.written {
			written++
		}
	}
	return written >= MaxPeople
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

// touch notes the time at which a connection of this replica was last heard of.
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

// leave takes a connection of this replica out of the project, for a reason. It reports whether the connection was there. Only after
// ReasonLeft it may join again.
func (r *room) leave(connection uuid.UUID, reason Reason) (follows effects, joined bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if reason != ReasonLeft {
		delete(r.visits, connection)
	}
	i := r.ownItem(connection)
	if i == nil {
		return effects{}, false
	}
	if reason == ReasonLeft {
		r.visits[connection] = i.entry.since
	}
	r.remove(i)
	visits := []visit{{entry: i.entry, left: time.Now(), reason: reason}}
	return effects{notify: true, write: true, connection: connection, visits: visits}, true
}

// hear takes a line of another replica about a connection that it serves; with move a cursorLine. A revision that is not above the known
// one changes nothing that watchers see, so lines and rows may come in any order.
func (r *room) hear(connection uuid.UUID, l line, move bool) effects {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clock++
	i := r.items[connection]
	switch {
	case i == nil && move:
		return effects{} // it left, or the line about its join was lost: the next comparison with the table finds it
	case i != nil && i.own:
		return effects{} // nobody knows better than this replica
	case i != nil && l.Revision <= i.entry.revision:
		i.adopt(l.Incarnation, r.clock)
		return effects{}
	case i == nil && len(r.items) >= MaxPeople:
		return effects{noRoom: 1}
	}
	var known *Entry
	if move {
		known = i.entry
	}
	r.put(l.entry(r.project, connection, known), false)
	return effects{notify: true}
}

// hearLeave takes a connection of others out, unless another incarnation of its replica holds it by now, or the guest came back: see
// leaveLine.
func (r *room) hearLeave(connection uuid.UUID, left leaveLine) effects {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clock++
	i := r.items[connection]
	if i == nil || i.own || i.entry.incarnation != left.incarnation || left.revision != 0 && i.entry.revision > left.revision {
		return effects{}
	}
	r.remove(i)
	return effects{notify: true}
}

// hearAnnouncement remembers an announcement for those who watch now.
func (r *room) hearAnnouncement(a announcement) effects {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.announcements) == maxAnnouncements {
		r.announcements = slices.Delete(r.announcements, 0, 1)
	}
	r.announcements = append(r.announcements, a)
	r.announcedSeq++
	return effects{notify: true}
}

// announcementsSince returns the announcements after a number, except those that were forgotten, and the number of the latest.
func (r *room) announcementsSince(after int64) ([]announcement, int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	news := min(int(r.announcedSeq-after), len(r.announcements))
	return slices.Clone(r.announcements[len(r.announcements)-news:]), r.announcedSeq
}

// adopt notes that another incarnation of its replica holds the connection. Watchers see no difference, so Seq and revision stay.
func (i *item) adopt(incarnation uuid.UUID, clock int64) {
	i.touched = clock
	if i.entry.incarnation != incarnation {
		e := i.entry.next()
		e.incarnation, e.revision, e.seq = incarnation, i.entry.revision, i.entry.seq
		i.entry = e
	}
}

// end notes that the project was deleted.
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

// Since returns what changed after a Seq, each connection at most once, and the current Seq. It reports false when more than most changed,
// or when some of it is forgotten: then the caller reads the Roster.
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

// Latest returns up to most connections, the one that changed last first, and how many there are.
func (r *room) Latest(most int) (entries []*Entry, count int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	entries = make([]*Entry, 0, min(most, len(r.items)))
	for e := r.changed.Back(); e != nil && len(entries) < most; e = e.Prev() {
		entries = append(entries, e.Value.(*item).entry)
	}
	return entries, len(r.items)
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

// Document returns everybody in a document. It is empty when nobody is there.
func (r *room) Document(id string) *Document {
	r.mu.Lock()
	defer r.mu.Unlock()
	g := r.documents[id]
	if g == nil {
		return &Document{ID: id, Members: r.seq, Moves: r.seq}
	}
	if g.document == nil {
		g.document = &Document{ID: id, Members: g.members, Moves: g.moves, Entries: g.entries()}
	}
	return g.document
}

// entries returns the group's entries, the one that changed last first.
func (g *group) entries() []*Entry {
	items := slices.SortedFunc(maps.Values(g.items), func(a, b *item) int { return int(b.entry.seq - a.entry.seq) })
	entries := make([]*Entry, len(items))
	for n, i := range items {
		entries[n] = i.entry
	}
	return entries
}

// next returns a copy with the next revision, which can be changed until it is put into the room.
func (e *Entry) next() *Entry {
	return &Entry{
		Connection: e.Connection, Project: e.Project, Identity: e.Identity, Place: e.Place, JoinedAt: e.JoinedAt,
		ActiveAt: e.ActiveAt, since: e.since, incarnation: e.incarnation, revision: e.revision + 1,
	}
}

// sameUser reports whether both entries belong to one visit in the log.
func (e *Entry) sameUser(before *Entry) bool {
	return e.UserID == before.UserID && e.Name == before.Name && e.Agent == before.Agent
}

// within reports whether e is too soon after the beginning of a visit to begin another one. The log knows visits of a connection apart by
// their beginnings, so this also holds when the clock was set back.
func (e *Entry) within(since time.Time) bool { return e.since.Before(since.Add(visitTime)) }

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
		i = &item{own: own, written: own}
		i.element = r.changed.PushBack(i)
		r.items[e.Connection] = i
		if d := r.leaveOf[e.Connection]; d != nil && d.Value.(*leaveRecord).entry.UserID == e.UserID {
			r.forgetLeave(d) // a watcher that missed the leave sees the new state of the same user instead
		}
	} else if i.entry.UserID != e.UserID {
		r.noteLeave(i.entry) // watchers know the connection as a user who it is not any more
	}
	before := i.entry
	r.step()
	e.seq = r.seq
	i.entry, i.touched = e, r.clock
	r.changed.MoveToBack(i.element)
	user, document := "", ""
	if before != nil {
		user, document = before.UserID, before.document()
	}
	r.regroup(r.people, i, user, e.UserID)
	r.regroup(r.documents, i, document, e.document())
}

// remove takes a connection out.
func (r *room) remove(i *item) {
	delete(r.items, i.entry.Connection)
	r.changed.Remove(i.element)
	r.noteLeave(i.entry)
	r.regroup(r.people, i, i.entry.UserID, "")
	r.regroup(r.documents, i, i.entry.document(), "")
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

// noteLeave remembers that a connection is not here any more, or not as this user.
func (r *room) noteLeave(e *Entry) {
	r.step()
	now := time.Now()
	if d := r.leaveOf[e.Connection]; d != nil && d.Value.(*leaveRecord).entry.UserID == e.UserID {
		r.forgetLeave(d)
	}
	r.leaveOf[e.Connection] = r.leaves.PushBack(&leaveRecord{entry: e, seq: r.seq, touched: r.clock, at: now})
	for r.leaves.Len() > maxLeaves {
		oldest := r.leaves.Front()
		if now.Sub(oldest.Value.(*leaveRecord).at) < leaveAge && r.leaves.Len() <= 16*maxLeaves {
			return
		}
		r.floor = max(r.floor, oldest.Value.(*leaveRecord).seq)
		r.forgetLeave(oldest)
	}
}

func (r *room) forgetLeave(d *list.Element) {
	r.leaves.Remove(d)
	if connection := d.Value.(*leaveRecord).entry.Connection; r.leaveOf[connection] == d {
		delete(r.leaveOf, connection)
	}
}
