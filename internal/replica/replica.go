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
	"layercake/internal/testsignal"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
)

// Wire is which formats this binary understands. It steps when replicas, or clients that change replicas, would meet a form that the
// former release does not understand. Then the new form is written only when Oldest says that nobody needs the former one.
//
//	1  the first release
//	2  cursors and labels with hashes
const Wire = 2

// Timing is what the clocks of a lease are set to.
type Timing struct {
	TTL    time.Duration // of a lease that is not renewed, by the clock of the database
	Renew  time.Duration // between renewals; one that comes after more than twice as long is late
	Retry  time.Duration // after a renewal that failed
	Reap   time.Duration // between looks for leases that expired
	Steady int           // renewals in a row, none of them late, that a replica needs behind it before it removes others
	Query  time.Duration // limit of a renewal, of a look, and of giving the lease back
}

// DefaultTiming is that of a deployment. A lease outlives four renewals that fail. After an outage of the database four seconds lie between
// the first renewal and the fifth, which makes a replica steady: in them all others that live renew too, since they retry four times a
// second.
var DefaultTiming = Timing{
	TTL: 5 * time.Second, Renew: time.Second, Retry: 250 * time.Millisecond, Reap: 500 * time.Millisecond, Steady: 5,
	Query: 3 * time.Second,
}

// Config is what a replica needs.
type Config struct {
	DB          *postgres.DB
	Version     string    // of this binary, for people who look at the table
	Incarnation uuid.UUID // id of the first incarnation, by which logs know the process, too; zero for one of the replica's own
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
	doubts  chan struct{} // capacity 1: the lease may be gone
	oldest  atomic.Int32  // least wire version among the living

	// Registered before Run, and read-only since.
	figures  map[string]func() int64
	projects map[string]func() map[int32]int
	onBegin  []func(incarnation uuid.UUID)
	onDeath  []func(ctx context.Context, q *db.Queries, dead uuid.UUID) (after func(), err error)
	onSteady []func(ctx context.Context)

	mu          sync.Mutex
	incarnation uuid.UUID // zero before the first
	failed      time.Time // when a renewal last failed
	gone        time.Time // when the lease was last found to be gone
}

// New returns a replica. It starts nothing.
func New(cfg Config) *Replica {
	r := &Replica{
		cfg: cfg, timing: cmp.Or(cfg.Timing, DefaultTiming), metrics: newMetrics(cfg.Metrics), doubts: make(chan struct{}, 1),
		figures: make(map[string]func() int64), projects: make(map[string]func() map[int32]int),
	}
	r.Figure("pool_in_use", func() int64 { return int64(cfg.DB.Requests.Stat().AcquiredConns()) })
	r.Figure("pool_waits", func() int64 { return cfg.DB.Requests.Stat().EmptyAcquireCount() })
	r.Figure("heap_bytes", heap)
	return r
}

// OnBegin makes f run when an incarnation has begun, the first one too. Whatever a tenant holds under the lease has to be written anew,
// under this id. The renewals wait for f, so it must not wait for the database. It is called before Run.
func (r *Replica) OnBegin(f func(incarnation uuid.UUID)) { r.onBegin = append(r.onBegin, f) }

// OnDeath makes f run in the transaction that removes a replica that died, to remove what was held under its lease, which is locked and
// still there. An error keeps everything, and some replica tries again. What f returns runs after the commit: that is the time to tell
// others. The transaction may run again, so f uses nothing but q. It is called before Run.
//
// Replicas of another release reap, too, and know nothing of tenants that are younger than they are. So rows that are held under a lease
// refer to it ON DELETE CASCADE; what f does beyond that must be repaired elsewhere when it did not happen.
func (r *Replica) OnDeath(f func(ctx context.Context, q *db.Queries, dead uuid.UUID) (after func(), err error)) {
	r.onDeath = append(r.onDeath, f)
}

// OnSteady makes f run after each look for leases that expired, which is when this replica may trust the clock of the database to remove
// what nobody renewed. The renewals wait for f: it has a limit of its own, far below a lease. It is called before Run.
func (r *Replica) OnSteady(f func(ctx context.Context)) { r.onSteady = append(r.onSteady, f) }

// Incarnation returns the id of the current incarnation, zero before the first.
func (r *Replica) Incarnation() uuid.UUID {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.incarnation
}

// TTL returns how long a lease lasts without renewals, within which others notice that theirs is gone and write anew what they hold.
func (r *Replica) TTL() time.Duration { return r.timing.TTL }

// Outages returns when a renewal last failed, and when the lease was last found to be gone, as it is when an incarnation begins. After the
// latter the tables may have been emptied, and others may not have written anew what they hold. An incarnation is never visible before
// its beginning is visible here.
func (r *Replica) Outages() (failed, gone time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed, r.gone
}

// Lost says that the lease of an incarnation was found to be gone: a foreign key failed, or a look at the table did not find it. Unless
// another incarnation has begun already, one begins soon.
func (r *Replica) Lost(incarnation uuid.UUID) {
	r.mu.Lock()
	current := incarnation == r.incarnation
	if current {
		r.gone = time.Now()
	}
	r.mu.Unlock()
	if current {
		select {
		case r.doubts <- struct{}{}:
		default:
		}
	}
}

// Oldest returns the least wire version among the living replicas, as of the last renewal of the lease, or of ReadOldest before the
// first.
func (r *Replica) Oldest() int32 { return r.oldest.Load() }

// ReadOldest asks the database for what Oldest returns. It is called before anything is served: a replica that did not know would write
// the former formats for a moment, and clients would take what it says for another version.
func (r *Replica) ReadOldest(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.timing.Query)
	defer cancel()
	return r.cfg.DB.System.Query(ctx, func(q *db.Queries) error {
		oldest, err := q.GetOldestWire(ctx, Wire)
		r.oldest.Store(oldest)
		return err
	})
}

// Run holds the lease of a replica that serves clients at an address, and removes those that did not keep theirs, until ctx ends. Then it
// gives the lease back, and with it what is still held under it.
func (r *Replica) Run(ctx context.Context, address string) error {
	r.hold(ctx, address)
	incarnation := r.Incarnation()
	if incarnation == uuid.Nil {
		return nil
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.timing.Query)
	defer cancel()
	err := r.cfg.DB.System.Query(last, func(q *db.Queries) error { return q.DeleteReplica(last, incarnation) })
	if err != nil {
		r.cfg.Log.InfoContext(ctx, "could not give the lease back, it expires", "error", err)
	}
	return nil
}

// streak is renewals that succeeded in a row, none of them late.
type streak struct {
	length int
	last   time.Time // when the last of them began
}

// hold keeps a lease until ctx ends.
func (r *Replica) hold(ctx context.Context, address string) {
	late := 2 * r.timing.Renew
	var kept streak
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
			if kept.length >= r.timing.Steady && time.Since(kept.last) < late {
				reaping.Note(ctx, r.reap(ctx))
				for _, f := range r.onSteady {
					f(ctx)
				}
			}
			continue
		}
		began := time.Now()
		same, err := r.renew(ctx, address)
		renewals.Note(ctx, err)
		if err != nil {
			kept = streak{}
			r.noteFailure()
			renew.Reset(r.timing.Retry)
			continue
		}
		if !same || began.Sub(kept.last) > late {
			kept = streak{}
		}
		kept = streak{kept.length + 1, began}
		r.Renewed.Say()
		renew.Reset(r.timing.Renew - min(time.Since(began), r.timing.Renew))
	}
}

// renew prolongs the lease. When there is none another incarnation begins; then it says false.
func (r *Replica) renew(ctx context.Context, address string) (same bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, r.timing.Query)
	defer cancel()
	if incarnation := r.Incarnation(); incarnation != uuid.Nil {
		row := r.row()
		row.Incarnation, row.TtlSeconds = incarnation, r.timing.TTL.Seconds()
		err := r.askOldest(ctx, func(q *db.Queries) (int32, error) { return q.RenewReplica(ctx, row) })
		if !errors.Is(err, pgx.ErrNoRows) {
			return true, err
		}
		r.cfg.Log.WarnContext(ctx, "the lease is gone, registering anew", "incarnation", incarnation)
	}
	incarnation := cmp.Or(r.cfg.Incarnation, uuid.New())
	r.cfg.Incarnation = uuid.Nil // once: when the answer is lost, it may be taken
	err = r.askOldest(ctx, func(q *db.Queries) (int32, error) {
		return q.InsertReplica(ctx, db.InsertReplicaParams{
			Incarnation: incarnation, Version: r.cfg.Version, Address: address, Wire: Wire, TtlSeconds: r.timing.TTL.Seconds(),
		})
	})
	if err != nil {
		return false, err
	}
	r.mu.Lock()
	r.incarnation, r.gone = incarnation, time.Now()
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
