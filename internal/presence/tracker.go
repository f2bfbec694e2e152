package presence

import (
	"cmp"
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"layercake/internal/auth"
	"layercake/internal/db"
	"layercake/internal/fanout"
	"layercake/internal/postgres"
	"layercake/internal/project"
	"layercake/internal/replica"
	"layercake/internal/task"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
)

// batch is how many rows one statement writes.
const batch = 1000

// Timing sets the clocks of a tracker.
type Timing struct {
	GatherWrites time.Duration // wait of a join or leave for others, so that they share a statement
	GatherMoves  time.Duration // pause between lines about one cursor, and between writes of guests
	Retry        time.Duration // pause after a write that failed
	Rest         time.Duration // time without a move after which a cursor is written to the table
	Correct      time.Duration // pause between comparisons with the table
	CorrectPause time.Duration // pause between comparisons that doubts ask for
	Guest        time.Duration // time that a guest stays without doing anything, by the clock of the database
	RenewGuest   time.Duration // pause between renewals of one guest
	RenewMany    time.Duration // the same, when there are too many guests to remember
	Query        time.Duration // limit of a query or transaction
	Leave        time.Duration // limit for taking out the last connections of a replica that stops
}

// DefaultTiming is the timing of a deployment. Two renewals of a guest can fail before its time is over. A room is read again after twice
// Rest: until then the table has learned of every cursor that had come to rest before the room was loaded.
var DefaultTiming = Timing{
	GatherWrites: 12 * time.Millisecond, GatherMoves: 40 * time.Millisecond, Retry: 250 * time.Millisecond, Rest: time.Second,
	Correct: 15 * time.Second, CorrectPause: 500 * time.Millisecond, Guest: 90 * time.Second, RenewGuest: 30 * time.Second,
	RenewMany: time.Second, Query: 3 * time.Second, Leave: 3 * time.Second,
}

// Config is what a tracker needs.
type Config struct {
	DB      *postgres.DB
	Wire    *fanout.Wire     // wire to the other replicas; it runs as long as the tracker does
	Replica *replica.Replica // holder of the lease under which connections are written; it runs as long, too
	Log     *slog.Logger
	Metrics prometheus.Registerer // nil: not registered
	Timing  Timing                // zero for DefaultTiming

	GuestsPerAddress int // guests that may be there from one client address; 0 for any number
}

// Tracker knows who is in the projects that are open on this replica. Make it with New, then Run it once.
type Tracker struct {
	cfg     Config
	timing  Timing
	replica *replica.Replica
	wire    *fanout.Wire
	metrics *metrics
	guard   *task.Guard

	writes chan struct{} // signal, capacity 1: pending is not empty
	moves  chan struct{} // signal, capacity 1: cursors is not empty
	doubts chan struct{} // signal, capacity 1: compare with the table

	guestWrites chan struct{} // signal, capacity 1: updates has some of guests that may be there
	guestJoins  chan struct{} // signal, capacity 1: updates has some of guests that are to join

	mu       sync.Mutex
	rooms    map[int32]*Room
	pending  map[uuid.UUID]pendingWrite // own connections whose row is out of date
	flushing map[uuid.UUID]pendingWrite // own connections that are being written now
	cursors  map[uuid.UUID]*Room        // own connections whose cursor moved since a line was sent about it
	listened time.Time                  // time when listening to other replicas last began

	updates    map[uuid.UUID]*guestUpdate // updates of guests that the table does not have yet
	noted      map[uuid.UUID]bool         // guests who did something after notedSince; true when it was said who they are
	notedSince time.Time

	turns map[string]*turn // makers of guests that join now
}

// Room is a project that is open on this replica: who is in it (room), who holds it open, and who watches. Its methods change the room and
// carry out the effects. Whoever enters a room exits it.
type Room struct {
	*room
	tracker *Tracker
	loaded  chan struct{} // closed once the table was read
	err     error         // outcome of the reading; written before loaded is closed

	// The tracker's mutex guards these.
	holders   int       // calls of Enter without their Exit
	nextCheck time.Time // time of a comparison with the table beside those of all rooms; zero for none

	watching sync.Mutex
	watchers []*func() // the slice is replaced, never changed, so it can be read without the mutex
}

// New returns a tracker, connects it to the wire, and registers with its replica what it holds under the lease. It starts nothing.
func New(cfg Config) *Tracker {
	t := &Tracker{
		cfg: cfg, timing: cmp.Or(cfg.Timing, DefaultTiming), replica: cfg.Replica, wire: cfg.Wire,
		writes: make(chan struct{}, 1), moves: make(chan struct{}, 1), doubts: make(chan struct{}, 1),
		guestWrites: make(chan struct{}, 1), guestJoins: make(chan struct{}, 1),
		rooms: make(map[int32]*Room), pending: make(map[uuid.UUID]pendingWrite), cursors: make(map[uuid.UUID]*Room),
		updates: make(map[uuid.UUID]*guestUpdate), noted: make(map[uuid.UUID]bool), turns: make(map[string]*turn),
	}
	t.metrics, t.guard = newMetrics(cfg.Metrics, t), task.NewGuard(cfg.Log, cfg.Metrics, "presence")
	t.wire.Handle(t.topic())
	t.replica.OnBegin(t.writeAll)
	t.replica.OnDeath(t.removeDead)
	t.replica.OnSteady(t.reapGuests)
	t.replica.CountProjects(replica.Connections, t.ownByProject)
	return t
}

// Run carries presence to the table and to other replicas, until ctx ends. Then it writes that the remaining connections left, for which
// the replica still needs its lease, and returns nil when everything that it started has ended.
//
// The loops end first and the flusher after them, so that whatever they queued last is with the flusher; what it did not get to is written
// by leaveAll.
func (t *Tracker) Run(ctx context.Context) error {
	flusher := task.Go(context.WithoutCancel(ctx), t.flushAll)
	var loops sync.WaitGroup
	loops.Go(func() { t.sendCursors(ctx) })
	loops.Go(func() { t.reconcileAll(ctx) })
	loops.Go(func() { t.updateGuests(ctx) })
	loops.Go(func() { t.joinGuests(ctx) })
	loops.Wait()
	err := flusher.Stop()
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), t.timing.Leave)
	defer cancel()
	t.leaveAll(stopping)
	return err
}

// leaveAll takes the own connections that remain out of their rooms and out of the table.
func (t *Tracker) leaveAll(ctx context.Context) {
	err := t.guard.Do(func() error {
		for _, r := range t.open() {
			for _, connection := range r.own() {
				r.Leave(connection, ReasonDrained)
			}
		}
		return t.flush(ctx)
	})
	if err != nil {
		t.cfg.Log.InfoContext(ctx, "could not take the last connections out of the table", "error", err)
	}
}

// writeAll makes the flusher write all own connections under an incarnation that has just begun.
func (t *Tracker) writeAll(uuid.UUID) {
	for _, r := range t.open() {
		for _, connection := range r.own() {
			t.write(r, connection)
		}
	}
}

// removeDead removes the connections of a replica that died and, after the commit, sends their leaves to everybody. Connections
// that it has written anew under another incarnation stay.
func (t *Tracker) removeDead(ctx context.Context, q *db.Queries, dead uuid.UUID) (after func(), err error) {
	rows, err := q.DeletePresenceOfReplica(ctx, dead)
	if err != nil {
		return nil, err
	}
	return func() {
		for _, row := range rows {
			t.announceLeave(row.ProjectID, row.ConnectionID, leaveLine{incarnation: dead})
		}
		t.metrics.reapedConnections.Add(float64(len(rows)))
		if len(rows) > 0 {
			t.cfg.Log.InfoContext(ctx, "removed connections of a replica that died", "incarnation", dead, "connections", len(rows))
		}
	}, nil
}

// Enter opens a project's room, from the table when nobody on this replica is in it yet. It fails with project.ErrNotFound, and
// with fault.Unavailable when the database does not answer. Whoever entered exits.
func (t *Tracker) Enter(ctx context.Context, access auth.Access) (*Room, error) {
	if err := access.May(auth.View); err != nil {
		return nil, err
	}
	id := access.Project()
	t.mu.Lock()
	r := t.rooms[id]
	first := r == nil
	if first {
		r = &Room{room: newRoom(id), tracker: t, loaded: make(chan struct{})}
		t.rooms[id] = r
	}
	r.holders++
	t.mu.Unlock()
	if first {
		// The others wait for this answer too, so the first must not cancel the query by going away.
		r.err = t.guard.Do(func() error { return t.load(context.WithoutCancel(ctx), r) })
		close(r.loaded)
	}
	select {
	case <-r.loaded:
	case <-ctx.Done():
		r.Exit()
		return nil, ctx.Err()
	}
	if r.err != nil {
		r.Exit()
		return nil, r.err
	}
	return r, nil
}

// load reads a room from the table. The room hears lines from before the query is sent, so none falls between the two. Only a cursor that
// came to rest just before is missing from both: its last line is over, and the table learns of it when it has rested for a while. So the
// room is read once more after that.
func (t *Tracker) load(ctx context.Context, r *Room) error {
	ctx, cancel := context.WithTimeout(ctx, t.timing.Query)
	defer cancel()
	asked := r.baseline()
	var rows []db.ListPresenceRow
	err := t.cfg.DB.Requests.Query(ctx, func(q *db.Queries) (err error) {
		if err = requireProject(ctx, q, r.project); err != nil {
			return err
		}
		rows, err = q.ListPresence(ctx, db.ListPresenceParams{ProjectIds: []int32{r.project}, Self: t.replica.Incarnation()})
		return err
	})
	if err != nil {
		return err
	}
	t.carryOut(r, r.correct(asked, rows, time.Time{}))
	t.mu.Lock()
	defer t.mu.Unlock()
	r.nextCheck = time.Now().Add(2 * t.timing.Rest)
	return nil
}

// requireProject fails with project.ErrNotFound when there is no such project.
func requireProject(ctx context.Context, q *db.Queries, id int32) error {
	found, err := q.ListProjectIDs(ctx, []int32{id})
	if err == nil && len(found) == 0 {
		return project.ErrNotFound
	}
	return err
}

// People returns up to most connections and guests in a project, the one that changed last first, and how many there are. It reads the
// table only when nobody on this replica is in the project. It fails as Enter does.
func (t *Tracker) People(ctx context.Context, access auth.Access, most int) (people []*Entry, count int, err error) {
	r, err := t.Enter(ctx, access)
	if err != nil {
		return nil, 0, err
	}
	defer r.Exit()
	if r.Ended() {
		return nil, 0, project.ErrNotFound
	}
	people, count = r.Latest(most)
	return people, count, nil
}

// Exit ends what Enter began. The holder's connections must have left before.
func (r *Room) Exit() {
	t := r.tracker
	t.mu.Lock()
	defer t.mu.Unlock()
	r.holders--
	_, err := r.loadResult()
	if t.rooms[r.project] == r && (r.holders == 0 || err != nil) { // after an error the next Enter tries again
		delete(t.rooms, r.project)
	}
}

// loadResult reports whether the room was loaded, and the error of the loading.
func (r *Room) loadResult() (loaded bool, err error) {
	select {
	case <-r.loaded:
		return true, r.err
	default:
		return false, nil
	}
}

// Join brings a connection of this replica into the project, or changes who it is. It fails with ErrFull.
func (r *Room) Join(connection uuid.UUID, who Identity, place *Place, now time.Time) error {
	follows, err := r.join(connection, who, place, now)
	r.tracker.carryOut(r, follows)
	return err
}

// Move puts a connection of this replica into a place. It reports whether it has joined.
func (r *Room) Move(connection uuid.UUID, place Place) bool {
	follows, joined := r.move(connection, place)
	r.tracker.carryOut(r, follows)
	return joined
}

// Touch notes the time at which a connection of this replica was last heard of.
func (r *Room) Touch(connection uuid.UUID, at time.Time) {
	r.tracker.carryOut(r, r.touch(connection, at))
}

// Leave takes a connection of this replica out of the project, for a reason. It reports whether the connection was there.
func (r *Room) Leave(connection uuid.UUID, reason Reason) bool {
	follows, joined := r.leave(connection, reason)
	r.tracker.carryOut(r, follows)
	return joined
}

// Watch calls f after each change until stop is called. It must not block, and may be called once more after stop.
func (r *Room) Watch(f func()) (stop func()) {
	r.watching.Lock()
	defer r.watching.Unlock()
	r.watchers = append(slices.Clip(r.watchers), &f)
	return func() {
		r.watching.Lock()
		defer r.watching.Unlock()
		r.watchers = slices.DeleteFunc(slices.Clone(r.watchers), func(w *func()) bool { return w == &f })
	}
}

// carryOut does what follows from a change of a room. The room's mutex is not held.
func (t *Tracker) carryOut(r *Room, follows effects) {
	if follows.write {
		t.write(r, follows.connection, follows.visits...)
	}
	if follows.move {
		t.queueCursor(r, follows.connection)
	}
	if follows.noRoom > 0 {
		t.metrics.noRoom.Add(float64(follows.noRoom))
	}
	if !follows.notify {
		return
	}
	r.watching.Lock()
	watchers := r.watchers
	r.watching.Unlock()
	for _, f := range watchers {
		(*f)()
	}
}

// hearLeave takes a connection that left out of its room, if the room is open here.
func (t *Tracker) hearLeave(project int32, connection uuid.UUID, left leaveLine) {
	if r := t.room(project); r != nil {
		t.carryOut(r, r.hearLeave(connection, left))
	}
}

// announceLeave takes a connection or guest whose row is deleted out of its room here and, by a line, on the other replicas.
func (t *Tracker) announceLeave(project int32, connection uuid.UUID, left leaveLine) {
	t.forgetNoted(connection)
	t.hearLeave(project, connection, left)
	t.publish(letterLeave, project, connection, left.encode())
}

// room returns the room of a project that is open, or nil.
func (t *Tracker) room(project int32) *Room {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.rooms[project]
}

func (t *Tracker) open() []*Room {
	t.mu.Lock()
	defer t.mu.Unlock()
	rooms := make([]*Room, 0, len(t.rooms))
	for _, r := range t.rooms {
		rooms = append(rooms, r)
	}
	return rooms
}

func jitter(d time.Duration) time.Duration { return d*9/10 + rand.N(d/5) }
