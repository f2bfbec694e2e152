package presence

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"layercake/internal/db"
	"layercake/internal/fanout"
	"layercake/internal/postgres"
	"layercake/internal/project"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
)

const (
	leaseTTL     = 5 * time.Second // by the clock of the database
	renewEvery   = time.Second
	renewRetry   = 250 * time.Millisecond
	reapEvery    = 500 * time.Millisecond
	steady       = 5                      // renewals in a row that a replica needs behind it before it reaps others
	gatherWrites = 12 * time.Millisecond  // what joins and leaves wait for others, so that they share a statement
	gatherMoves  = 40 * time.Millisecond  // between lines about one cursor
	restAfter    = time.Second            // without a move, and the table learns where a cursor is
	correctEvery = 15 * time.Second       // between comparisons with the table
	correctPause = 500 * time.Millisecond // between those that doubts ask for
	batch        = 1000                   // rows that one statement writes
	queryLimit   = 3 * time.Second
	leaveLimit   = 3 * time.Second // for the last words of a replica that stops
)

// Config is what a tracker needs.
type Config struct {
	DB      *postgres.DB
	Version string // of this binary, for people who look at the table
	Log     *slog.Logger
	Metrics prometheus.Registerer // nil: not registered

	// Incarnation is the id of the first life, by which logs know the replica, too; zero for one of the tracker's own.
	Incarnation uuid.UUID
	// Figures tells what the lease carries of the rest of the replica; nil: nothing. It is called each second.
	Figures func() Figures
}

// Figures are what a replica tells with its lease, for people who look at the table.
type Figures struct {
	Draining      bool
	Sockets       int
	Subscriptions int
	OpenFeeds     int
	FeedBytes     int
	MaxLag        int64         // events
	Heartbeat     time.Duration // through the wire; zero when none came back
	Watchers      map[int32]int // of each project's events
}

// Tracker knows who is in the projects that are open on this replica. Make it with New, connect it, then Run it once.
type Tracker struct {
	cfg     Config
	wire    *fanout.Wire
	address string
	metrics *metrics

	writes chan struct{} // capacity 1: pending is not empty, or renewals are to be written
	moves  chan struct{} // capacity 1: moved is not empty
	doubts chan struct{} // capacity 1: compare with the table
	lapses chan struct{} // capacity 1: the lease may be gone
	oldest atomic.Int32  // least wire version among the living

	mu          sync.Mutex
	rooms       map[int32]*Room
	incarnation uuid.UUID             // of this life; zero before the first
	pending     map[uuid.UUID]writing // own connections whose row is not what they are
	flushing    map[uuid.UUID]writing // those that are being written
	moved       map[uuid.UUID]*Room   // own connections whose cursor was not told
	quietUntil  time.Time             // others may not have written everything anew before
	emptied     time.Time             // when the own lease was last found to be gone, as if the table had been emptied
	young       map[*Room]time.Time   // when rooms were read whose table may not have known yet where cursors had come to rest

	renewals      map[uuid.UUID]bool // guests who did something since; true while that is not written
	renewalsSince time.Time
}

// writing is how a connection is to be written.
type writing struct {
	room  *Room   // nil when it is in none
	say   bool    // tell the other replicas, too
	ended []visit // not in the log yet
}

// entry returns what the connection is now, or nil when it left.
func (w writing) entry(connection uuid.UUID) *Entry {
	if w.room == nil {
		return nil
	}
	return w.room.ownEntry(connection)
}

// New returns a tracker. It starts nothing.
func New(cfg Config) *Tracker {
	t := &Tracker{
		cfg: cfg, writes: make(chan struct{}, 1), moves: make(chan struct{}, 1), doubts: make(chan struct{}, 1),
		lapses: make(chan struct{}, 1), rooms: make(map[int32]*Room), pending: make(map[uuid.UUID]writing),
		moved: make(map[uuid.UUID]*Room), young: make(map[*Room]time.Time), renewals: make(map[uuid.UUID]bool),
	}
	t.metrics = newMetrics(cfg.Metrics, t)
	return t
}

// Connect gives the tracker its wire, which brings what other replicas say to Hear and Doubt, and the address that it serves
// clients at. It is called before Run.
func (t *Tracker) Connect(wire *fanout.Wire, address string) { t.wire, t.address = wire, address }

// Run holds the lease and carries presence to the table and to other replicas, until ctx ends. Then it says that the remaining
// connections left, gives the lease back, and returns nil when everything that it started has ended.
func (t *Tracker) Run(ctx context.Context) error {
	var g errgroup.Group
	flushed, stopFlushing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopFlushing()
	g.Go(func() error { t.hold(ctx); return nil })
	g.Go(func() error { t.tellMoves(ctx); return nil })
	g.Go(func() error { t.correctAll(ctx); return nil })
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		t.flushAll(flushed)
	}()
	err := g.Wait()
	stopFlushing()
	<-ended
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveLimit)
	defer cancel()
	t.leaveAll(last)
	return err
}

// Enter opens a project's room, from the table when nobody on this replica is in it yet. It fails with project.ErrNotFound, and
// with fault.Unavailable when the database does not answer. Whoever entered exits.
func (t *Tracker) Enter(ctx context.Context, id int32) (*Room, error) {
	t.mu.Lock()
	r := t.rooms[id]
	first := r == nil
	if first {
		r = newRoom(t, id)
		t.rooms[id] = r
	}
	r.guests++
	t.mu.Unlock()
	if first {
		// Others wait for the answer, too: it is not for the first to give up.
		r.err = t.load(context.WithoutCancel(ctx), r)
		close(r.loaded)
	}
	select {
	case <-r.loaded:
	case <-ctx.Done():
		t.exit(r)
		return nil, ctx.Err()
	}
	if r.err != nil {
		t.exit(r)
		return nil, r.err
	}
	return r, nil
}

func (t *Tracker) exit(r *Room) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r.guests--
	if t.rooms[r.Project] == r && (r.guests == 0 || r.failed()) {
		delete(t.rooms, r.Project)
	}
}

// failed reports whether the room could not be read: whoever comes next tries again.
func (r *Room) failed() bool {
	select {
	case <-r.loaded:
		return r.err != nil
	default:
		return false
	}
}

// load reads a room from the table, while lines about it are taken in already.
func (t *Tracker) load(ctx context.Context, r *Room) error {
	ctx, cancel := context.WithTimeout(ctx, queryLimit)
	defer cancel()
	sent := r.ask()
	var rows []db.ListPresenceRow
	var found []int32
	err := t.cfg.DB.Requests.Query(ctx, func(q *db.Queries) (err error) {
		if found, err = q.ListProjectIDs(ctx, []int32{r.Project}); err != nil {
			return err
		}
		rows, err = q.ListPresence(ctx, db.ListPresenceParams{ProjectIds: []int32{r.Project}, Self: t.Life()})
		return err
	})
	switch {
	case err != nil:
		return err
	case len(found) == 0:
		return project.ErrNotFound
	}
	r.correct(sent, rows, time.Time{})
	t.mu.Lock()
	t.young[r] = time.Now()
	t.mu.Unlock()
	return nil
}

// Life returns the incarnation, zero before the first.
func (t *Tracker) Life() uuid.UUID {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.incarnation
}

// write makes the flusher write an own connection and its visits that ended, and tell the other replicas.
func (t *Tracker) write(r *Room, connection uuid.UUID, ended ...visit) {
	t.mu.Lock()
	t.pending[connection] = writing{room: r, say: true, ended: visits(t.pending[connection].ended, ended)}
	t.mu.Unlock()
	signal(t.writes)
}

// move makes the next lines tell where the cursor of an own connection is.
func (t *Tracker) move(r *Room, connection uuid.UUID) {
	t.mu.Lock()
	t.moved[connection] = r
	t.mu.Unlock()
	signal(t.moves)
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
