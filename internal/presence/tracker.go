package presence

import (
	"cmp"
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

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

// Timing is what the clocks of a tracker are set to.
type Timing struct {
	GatherWrites time.Duration // what joins and leaves wait for others, so that they share a statement
	GatherMoves  time.Duration // between lines about one cursor
	Retry        time.Duration // after a write that failed
	Rest         time.Duration // without a move, and the table learns where a cursor is
	Correct      time.Duration // between comparisons with the table
	CorrectPause time.Duration // between those that doubts ask for
	Guest        time.Duration // that a guest stays without doing anything, by the clock of the database
	RenewGuest   time.Duration // between renewals of one guest
	RenewMany    time.Duration // the same, when they are too many to remember
	Query        time.Duration // limit of the statements of one purpose
	Leave        time.Duration // limit of the last words of a replica that stops
}

// DefaultTiming is that of a deployment. A guest outlives two renewals that fail, and a room is read again after twice Rest, when the
// table has learned of all cursors that had come to rest before it was opened.
var DefaultTiming = Timing{
	GatherWrites: 12 * time.Millisecond, GatherMoves: 40 * time.Millisecond, Retry: 250 * time.Millisecond, Rest: time.Second,
	Correct: 15 * time.Second, CorrectPause: 500 * time.Millisecond, Guest: 90 * time.Second, RenewGuest: 30 * time.Second,
	RenewMany: time.Second, Query: 3 * time.Second, Leave: 3 * time.Second,
}

// Config is what a tracker needs.
type Config struct {
	DB      *postgres.DB
	Wire    *fanout.Wire     // to the other replicas; it runs as long as the tracker does
	Replica *replica.Replica // under whose lease connections are written; it runs as long as the tracker does
	Log     *slog.Logger
	Metrics prometheus.Registerer // nil: not registered
	Timing  Timing                // zero for DefaultTiming
}

// Tracker knows who is in the projects that are open on this replica. Make it with New, then Run it once.
type Tracker struct {
	cfg     Config
	timing  Timing
	replica *replica.Replica
	wire    *fanout.Wire
	metrics *metrics

	writes chan struct{} // capacity 1: pending is not empty, or renewals are to be written
	moves  chan struct{} // capacity 1: moved is not empty
	doubts chan struct{} // capacity 1: compare with the table

	mu       sync.Mutex
	rooms    map[int32]*Room
	pending  map[uuid.UUID]pendingWrite // own connections whose row is out of date
	flushing map[uuid.UUID]pendingWrite // those that are being written
	moved    map[uuid.UUID]*Room        // own connections whose cursor was not told
	listened time.Time                  // when listening to other replicas last began

	renewals      map[uuid.UUID]bool // guests who did something since; true while that is not written
	renewalsSince time.Time
}

// Room is a project that is open on this replica: who is in it (room), and who watches. Its methods carry out what follows from what they
// change. Everybody who enters exits.
type Room struct {
	*room
	tracker *Tracker
	loaded  chan struct{} // closed once the table was read
	err     error         // of that; read it after loaded

	// Under the tracker's mutex.
	holders   int       // who entered, and did not exit yet
	nextCheck time.Time // when the room is compared with the table by itself; zero: when all are

	watching sync.Mutex
	watchers []*func() // replaced, not changed
}

// New returns a tracker, makes it heard on the wire, and registers with its replica what it holds under the lease. It starts nothing.
func New(cfg Config) *Tracker {
	t := &Tracker{
		cfg: cfg, timing: cmp.Or(cfg.Timing, DefaultTiming), replica: cfg.Replica, wire: cfg.Wire,
		writes: make(chan struct{}, 1), moves: make(chan struct{}, 1), doubts: make(chan struct{}, 1),
		rooms: make(map[int32]*Room), pending: make(map[uuid.UUID]pendingWrite), moved: make(map[uuid.UUID]*Room),
		renewals: make(map[uuid.UUID]bool),
	}
	t.metrics = newMetrics(cfg.Metrics, t)
	t.wire.Handle(t.topic())
	t.replica.OnBegin(t.writeAll)
	t.replica.OnDeath(t.removeDead)
	t.replica.OnSteady(t.reapGuests)
	t.replica.CountProjects(replica.Connections, t.ownByProject)
	return t
}

// Run carries presence to the table and to other replicas, until ctx ends. Then it says that the remaining connections left, for which
// the replica still needs its lease, and returns nil when everything that it started has ended.
func (t *Tracker) Run(ctx context.Context) error {
	flusher := task.Go(context.WithoutCancel(ctx), t.flushAll)
	var loops sync.WaitGroup
	loops.Go(func() { t.tellMoves(ctx) })
	loops.Go(func() { t.reconcileAll(ctx) })
	loops.Wait()
	err := flusher.Stop()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), t.timing.Leave)
	defer cancel()
	t.leaveAll(last)
	return err
}

// leaveAll takes the own connections that remain out of their rooms and out of the table.
func (t *Tracker) leaveAll(ctx context.Context) {
	for _, r := range t.open() {
		for _, connection := range r.own() {
			r.Leave(connection, ReasonDrained)
		}
	}
	if err := t.flush(ctx); err != nil {
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

// removeDead removes the connections of a replica that died, and then tells everybody.
func (t *Tracker) removeDead(ctx context.Context, q *db.Queries, dead uuid.UUID) (after func(), err error) {
	rows, err := q.DeletePresenceOfReplica(ctx, dead)
	if err != nil {
		return nil, err
	}
	return func() {
		left := departed{life: dead}
		for _, row := range rows {
			t.heardLeft(row.ProjectID, row.ConnectionID, left)
			t.publish(letterLeft, row.ProjectID, row.ConnectionID, left.encode())
		}
		t.metrics.reapedConnections.Add(float64(len(rows)))
		if len(rows) > 0 {
			t.cfg.Log.InfoContext(ctx, "removed connections of a replica that died", "incarnation", dead, "connections", len(rows))
		}
	}, nil
}

// Enter opens a project's room, from the table when nobody on this replica is in it yet. It fails with project.ErrNotFound, and
// with fault.Unavailable when the database does not answer. Whoever entered exits.
func (t *Tracker) Enter(ctx context.Context, id int32) (*Room, error) {
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
		// Others wait for the answer, too: it is not for the first to give up.
		r.err = t.load(context.WithoutCancel(ctx), r)
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

// load reads a room from the table, while lines about it are taken in already. A cursor that came to rest just before is in no line that it
// hears, and the table learns of it only in a moment. So the room is read again then.
func (t *Tracker) load(ctx context.Context, r *Room) error {
	ctx, cancel := context.WithTimeout(ctx, t.timing.Query)
	defer cancel()
	asked := r.ask()
	var rows []db.ListPresenceRow
	var found []int32
	err := t.cfg.DB.Requests.Query(ctx, func(q *db.Queries) (err error) {
		if found, err = q.ListProjectIDs(ctx, []int32{r.project}); err != nil {
			return err
		}
		rows, err = q.ListPresence(ctx, db.ListPresenceParams{ProjectIds: []int32{r.project}, Self: t.replica.Incarnation()})
		return err
	})
	switch {
	case err != nil:
		return err
	case len(found) == 0:
		return project.ErrNotFound
	}
	t.carryOut(r, r.correct(asked, rows, time.Time{}))
	t.mu.Lock()
	defer t.mu.Unlock()
	r.nextCheck = time.Now().Add(2 * t.timing.Rest)
	return nil
}

// Exit ends what Enter began. The connections of whoever exits have left before.
func (r *Room) Exit() {
	t := r.tracker
	t.mu.Lock()
	defer t.mu.Unlock()
	r.holders--
	_, err := r.read()
	if t.rooms[r.project] == r && (r.holders == 0 || err != nil) { // after an error whoever comes next tries again
		delete(t.rooms, r.project)
	}
}

// read reports whether the table was read, and how that ended.
func (r *Room) read() (bool, error) {
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

// Touch says when a connection of this replica was last heard of.
func (r *Room) Touch(connection uuid.UUID, at time.Time) {
	r.tracker.carryOut(r, r.touch(connection, at))
}

// Leave takes a connection of this replica out of the project, and says why. It reports whether it was there.
func (r *Room) Leave(connection uuid.UUID, why Reason) bool {
	follows, joined := r.leave(connection, why)
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

// carryOut does what follows from a change of a room.
func (t *Tracker) carryOut(r *Room, follows effects) {
	if follows.write {
		t.write(r, follows.connection, follows.visits...)
	}
	if follows.move {
		t.move(r, follows.connection)
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

// heardLeft takes a connection out of a room that is open, of which another replica said, or the table shows, that it left.
func (t *Tracker) heardLeft(project int32, connection uuid.UUID, left departed) {
	if r := t.room(project); r != nil {
		t.carryOut(r, r.heardLeft(connection, left))
	}
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

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// pause returns after d. It says false when ctx ended before.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

func jitter(d time.Duration) time.Duration { return d*9/10 + rand.N(d/5) }
