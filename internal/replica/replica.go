package replica

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"layercake/internal/db"
	"layercake/internal/outage"
	"layercake/internal/postgres"
	"layercake/internal/task"
	"layercake/internal/testsignal"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
)

// Wire is the version of the formats that this binary understands. It steps when other replicas, or clients that move to them, would meet a
// format that the former release does not understand. The new format is then written only when no living replica is older: see Oldest.
//
//	1  the first release
//	2  cursors and labels with hashes
//	3  payloads of the wire are sealed
const Wire = 3

// Timing sets the clocks of a lease.
type Timing struct {
	TTL    time.Duration // time until a lease expires that is not renewed, by the clock of the database
	Renew  time.Duration // pause between renewals; one that comes after more than twice as long is late
	Retry  time.Duration // pause after a renewal that failed
	Reap   time.Duration // pause between searches for leases that expired
	Steady int           // renewals in a row, none of them late, that make a replica steady: only then it removes others
	Query  time.Duration // limit of a renewal, of a search, and of giving the lease back
}

// DefaultTiming is the timing of a deployment. A lease outlives four renewals that fail. After an outage of the database, four seconds lie
// between a replica's first renewal and the fifth, which makes it steady. In these four seconds every other replica that lives renews its
// lease, because after a failure it retries four times a second.
var DefaultTiming = Timing{
	TTL: 5 * time.Second, Renew: time.Second, Retry: 250 * time.Millisecond, Reap: 500 * time.Millisecond, Steady: 5,
	Query: 3 * time.Second,
}

// Config is what a replica needs.
type Config struct {
	DB          *postgres.DB
	Version     string    // version of this binary, for people who read the table
	Required    bool      // whether callers need a credential, for people as well
	Exposed     bool      // whether other machines reach it without TLS, as far as it knows
	BuildMemory int64     // bytes that it has for builds; 0 when it builds nothing
	Incarnation uuid.UUID // id of the first incarnation, so that logs can name it from the start; zero for a new one
	Log         *slog.Logger
	Metrics     prometheus.Registerer // nil: not registered
	Timing      Timing                // zero for DefaultTiming
}

// Replica is this process among those of the deployment. Make it with New, register what its tenants hold, then Run it once.
type Replica struct {
	// Renewed is said after each renewal, and when an incarnation has begun.
	Renewed testsignal.Signal

	cfg     Config
	timing  Timing
	metrics metrics
	guard   *task.Guard
	doubts  chan struct{} // signal, capacity 1: the lease may be gone
	oldest  atomic.Int32  // least wire version among the living

	// Tenants register these before Run; after that they are only read.
	figures  map[string]func() int64
	projects map[string]func() map[int32]int
	onBegin  []func(incarnation uuid.UUID)
	onDeath  []func(ctx context.Context, q *db.Queries, dead uuid.UUID) (after func(), err error)
	onSteady []func(ctx context.Context)

	mu          sync.Mutex
	incarnation uuid.UUID // zero before the first
	failed      time.Time // time when a renewal last failed
	lost        time.Time // time when the lease was last found to be gone
}

// New returns a replica. It starts nothing.
func New(cfg Config) *Replica {
	r := &Replica{
		cfg: cfg, timing: cmp.Or(cfg.Timing, DefaultTiming), metrics: newMetrics(cfg.Metrics),
		guard: task.NewGuard(cfg.Log, cfg.Metrics, "replica"), doubts: make(chan struct{}, 1),
		figures: make(map[string]func() int64), projects: make(map[string]func() map[int32]int),
	}
	r.Figure("pool_in_use", func() int64 { return int64(cfg.DB.Requests.Stat().AcquiredConns()) })
	r.Figure("pool_waits", func() int64 { return cfg.DB.Requests.Stat().EmptyAcquireCount() })
	r.Figure("heap_bytes", heap)
	return r
}

// OnBegin makes f run when an incarnation has begun, the first one too. Then a tenant has to write anew, under this id, whatever it holds
// under the lease. The renewals wait for f, so f must not wait for the database. OnBegin is called before Run.
func (r *Replica) OnBegin(f func(incarnation uuid.UUID)) { r.onBegin = append(r.onBegin, f) }

// OnDeath makes f run in the transaction that removes a replica that died, while its lease is locked and still there, to remove what was
// held under it. An error rolls everything back, and some replica tries again. The function that f returns runs after the commit, which is
// the time to tell others; nil when there is nothing to tell. The transaction may run again, so f uses nothing but q. OnDeath is called
// before Run.
//
// Replicas of an older release also remove dead ones, and do not know younger tenants. So rows that are held under a lease refer to it ON
// DELETE CASCADE, and whatever else f does must be repaired elsewhere when such a replica was the one that removed it.
func (r *Replica) OnDeath(f func(ctx context.Context, q *db.Queries, dead uuid.UUID) (after func(), err error)) {
	r.onDeath = append(r.onDeath, f)
}

// OnSteady makes f run again and again while this replica is steady, which is when it may also remove other things that nobody renewed in
// time. The renewals wait for f, so it needs a time limit far below a lease. OnSteady is called before Run.
func (r *Replica) OnSteady(f func(ctx context.Context)) { r.onSteady = append(r.onSteady, f) }

// Incarnation returns the id of the current incarnation, zero before the first.
func (r *Replica) Incarnation() uuid.UUID {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.incarnation
}

// TTL returns how long a lease lasts without renewals. Within that time every replica that lives notices when its lease is gone, and writes
// anew what it holds.
func (r *Replica) TTL() time.Duration { return r.timing.TTL }

// Outages returns when a renewal last failed, and when the lease was last found to be gone; the beginning of an incarnation counts as that.
// After the latter the tables may have been emptied, and others may not have written anew yet what they hold. Both are set under one mutex
// with the incarnation, so whoever sees an incarnation also sees when it began.
func (r *Replica) Outages() (failed, lost time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed, r.lost
}

// Lost reports that the lease of an incarnation was found to be gone: a foreign key failed, or a query did not find it. Another incarnation
// begins soon, unless one has begun already.
func (r *Replica) Lost(incarnation uuid.UUID) {
	r.mu.Lock()
	current := incarnation == r.incarnation
	if current {
		r.lost = time.Now()
	}
	r.mu.Unlock()
	if current {
		task.Wake(r.doubts)
	}
}

// Oldest returns the least wire version among the living replicas, as the last renewal of the lease read it, or ReadOldest before the
// first.
func (r *Replica) Oldest() int32 { return r.oldest.Load() }

// ReadOldest reads what Oldest returns from the database. It is called before anything is served: otherwise a replica would write the
// former formats until its first lease, and clients would take a cursor or label in them for another version.
func (r *Replica) ReadOldest(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.timing.Query)
	defer cancel()
	return r.cfg.DB.System.Query(ctx, func(q *db.Queries) error {
		oldest, err := q.GetOldestWire(ctx, Wire)
		r.oldest.Store(oldest)
		return err
	})
}

// Run keeps the lease of a replica that serves clients at an address, and removes replicas that did not keep theirs, until ctx ends. Then
// it gives the lease back, which ends what is still held under it.
func (r *Replica) Run(ctx context.Context, address string) error {
	r.keepLease(ctx, address)
	incarnation := r.Incarnation()
	if incarnation == uuid.Nil {
		return nil
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.timing.Query)
	defer cancel()
	err := r.cfg.DB.System.Query(stopping, func(q *db.Queries) error { return q.DeleteReplica(stopping, incarnation) })
	if err != nil {
		r.cfg.Log.InfoContext(ctx, "could not give the lease back, it expires", "error", err)
	}
	return nil
}

// streak is a number of renewals in a row that succeeded, none of them late.
type streak struct {
	length int
	last   time.Time // time when the last of them began
}

// keepLease renews the lease until ctx ends, and while the replica is steady removes others that died. Both are done by one goroutine, so a
// renewal is never in flight while the streak is judged.
func (r *Replica) keepLease(ctx context.Context, address string) {
	late := 2 * r.timing.Renew
	var renewed streak
	renewals := outage.New(r.cfg.Log, "cannot renew the lease, trying again", "")
	reaping := outage.New(r.cfg.Log, "cannot remove a replica that died, trying again", "")
	renew, reap := time.NewTimer(0), time.NewTicker(jitter(r.timing.Reap))
	defer renew.Stop()
	defer reap.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.doubts:
		case <-renew.C:
		case <-reap.C:
			if renewed.length >= r.timing.Steady && time.Since(renewed.last) < late {
				reaping.Note(ctx, r.guard.Do(func() error { return r.reap(ctx) }))
				for _, f := range r.onSteady {
					_ = r.guard.Do(func() error { f(ctx); return nil })
				}
			}
			continue
		}
		began := time.Now()
		var goesOn bool
		err := r.guard.Do(func() (err error) {
			goesOn, err = r.renew(ctx, address)
			return err
		})
		renewals.Note(ctx, err)
		if err != nil {
			renewed = streak{}
			r.noteFailure()
			renew.Reset(r.timing.Retry)
			continue
		}
		if !goesOn || began.Sub(renewed.last) > late {
			renewed = streak{}
		}
		renewed = streak{renewed.length + 1, began}
		r.Renewed.Say()
		renew.Reset(r.timing.Renew - min(time.Since(began), r.timing.Renew))
	}
}

// renew prolongs the lease. When there is none, another incarnation begins. It reports whether a streak may go on: not over another
// incarnation, and not over a lease that expired although it was renewed in time, because the clock of the database stepped.
func (r *Replica) renew(ctx context.Context, address string) (goesOn bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, r.timing.Query)
	defer cancel()
	if incarnation := r.Incarnation(); incarnation != uuid.Nil {
		row := r.row()
		row.Incarnation, row.TtlSeconds = incarnation, r.timing.TTL.Seconds()
		var renewed db.RenewReplicaRow
		err := r.askOldest(ctx, func(q *db.Queries) (oldest int32, err error) {
			renewed, err = q.RenewReplica(ctx, row)
			return renewed.Oldest, err
		})
		if !errors.Is(err, pgx.ErrNoRows) {
			return !renewed.HadExpired, err
		}
		r.cfg.Log.WarnContext(ctx, "the lease is gone, registering anew", "incarnation", incarnation)
	}
	incarnation := cmp.Or(r.cfg.Incarnation, uuid.New())
	r.cfg.Incarnation = uuid.Nil // used once: when the answer is lost, a lease with this id may exist
	// A replica that is stopped waits for the answer, or nobody would know that there is a lease to give back.
	registering, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.timing.Query)
	defer cancel()
	err = r.askOldest(registering, func(q *db.Queries) (int32, error) {
		return q.InsertReplica(registering, db.InsertReplicaParams{
			Incarnation: incarnation, Version: r.cfg.Version, Address: address, Wire: Wire, Required: &r.cfg.Required, Exposed: &r.cfg.Exposed,
			BuildMemory: &r.cfg.BuildMemory,
			TtlSeconds:  r.timing.TTL.Seconds(),
		})
	})
	if err != nil {
		return false, err
	}
	r.mu.Lock()
	r.incarnation, r.lost = incarnation, time.Now()
	r.mu.Unlock()
	for _, f := range r.onBegin {
		f(incarnation)
	}
	return false, nil
}

// askOldest runs a statement that returns the least wire version among the living.
func (r *Replica) askOldest(ctx context.Context, statement func(*db.Queries) (int32, error)) error {
	return r.cfg.DB.System.Query(ctx, func(q *db.Queries) error {
		oldest, err := statement(q)
		if err == nil {
			r.oldest.Store(oldest)
		}
		return err
	})
}

func (r *Replica) noteFailure() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = time.Now()
}

func jitter(d time.Duration) time.Duration { return d*9/10 + rand.N(d/5) }
