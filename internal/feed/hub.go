package feed

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"layercake/internal/db"
	"layercake/internal/fanout"
	"layercake/internal/fault"
	"layercake/internal/outage"
	"layercake/internal/postgres"
	"layercake/internal/task"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"
)

const (
	readEvents = 500     // events of one project that one read of the log returns at most
	readFeeds  = 64      // feeds whose gaps one read closes
	gapBytes   = 4 << 20 // bytes of events in such a read, beyond the first event of each feed
	farBehind  = 900     // events that a watcher lacks when it is about to fall out of the tail
)

// Timing is how long things take. Tests wait less.
type Timing struct {
	Sweep time.Duration // time between two sweeps; an event that no line announced comes this late
	Gap   time.Duration // pause before the log is asked for events that a feed lacks: a line may be under way
	Retry time.Duration // least pause before the log is asked again after a failure; up to three times as long, since it may be busy
	Idle  time.Duration // time that a feed outlives its last watcher
	Query time.Duration // limit of a statement
	Turn  time.Duration // limit of a watcher's read of the log, with the wait for its turn
}

// DefaultTiming is that of a deployment.
var DefaultTiming = Timing{
	Sweep: time.Second, Gap: 5 * time.Millisecond, Retry: 100 * time.Millisecond, Idle: time.Minute, Query: 3 * time.Second,
	Turn: 30 * time.Second,
}

// ErrNotFound ends a watch whose project does not exist, or does no longer.
var ErrNotFound = fault.New(fault.NotFound, "Project not found")

// Config is what a hub needs.
type Config struct {
	DB   *postgres.DB
	Wire *fanout.Wire // to the other replicas
	// Check returns an error for a body that is no event of a version of a project, else what it decoded, which goes into Event.Checked. It
	// is asked about what is heard; nil takes anything.
	Check   func(project int32, version int64, body []byte) (decoded any, err error)
	Log     *slog.Logger
	Metrics prometheus.Registerer
	Timing  Timing // zero for DefaultTiming
}

// Hub holds the feeds of a replica.
type Hub struct {
	cfg     Config
	metrics *metrics
	guard   *task.Guard
	gaps    chan struct{}                // wakes fillAll: some feed lacks events
	doubts  chan struct{}                // wakes sweepAll before its time
	warned  rate.Sometimes               // limits warnings of watchers that are far behind
	reads   postgres.SharedReads[answer] // watchers' reads of the log
	turns   turns                        // of those reads
	held    atomic.Int64                 // bytes that wait in batches

	restarts atomic.Int64 // numbers the generations of all feeds

	mu    sync.Mutex
	feeds map[int32]*feed
}

// NewHub returns a hub without feeds, and makes it heard on the wire. Run makes it follow the log.
func NewHub(cfg Config) *Hub {
	cfg.Timing = cmp.Or(cfg.Timing, DefaultTiming)
	h := &Hub{
		cfg:    cfg,
		guard:  task.NewGuard(cfg.Log, cfg.Metrics, "feed"),
		gaps:   make(chan struct{}, 1),
		doubts: make(chan struct{}, 1),
		warned: rate.Sometimes{Interval: time.Minute},
		turns:  turns{free: postgres.CatchUpConns, waiting: make(map[int32][]chan struct{})},
		feeds:  make(map[int32]*feed),
	}
	h.metrics = newMetrics(cfg.Metrics, h)
	h.cfg.Wire.Handle(h.topic())
	return h
}

// Run sweeps and fills gaps until ctx ends.
func (h *Hub) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { h.sweepAll(ctx); return nil })
	g.Go(func() error { h.fillAll(ctx); return nil })
	return g.Wait()
}

// Publish brings an event that was committed here to the own feed and to those of other replicas. At is right after the event, with its
// hash. Publish never waits. The body must not change afterwards.
func (h *Hub) Publish(project int32, at Cursor, body []byte) {
	l := line{project: project, at: at, body: body}
	h.offer(l)
	h.cfg.Wire.Publish(l.encode())
}

// hear brings what another replica said to the feed of its project, if there is one. Lines may be forged, so a body that cannot be an event
// is refused before anybody holds it.
func (h *Hub) hear(l line) error {
	if l.body != nil && h.cfg.Check != nil && h.feedOf(l.project) != nil {
		var err error
		if l.checked, err = h.cfg.Check(l.project, l.at.Version, l.body); err != nil {
			return fmt.Errorf("malformed event %d of project %d: %w", l.at.Version, l.project, err)
		}
	}
	h.offer(l)
	return nil
}

// feedOf returns the feed of a project, or nil.
func (h *Hub) feedOf(project int32) *feed {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.feeds[project]
}

// offer brings what was committed here, or what another replica said, to the feed of its project, if there is one.
func (h *Hub) offer(l line) {
	f := h.feedOf(l.project)
	if f == nil {
		return
	}
	var event *Event
	if l.body != nil {
		if l.at.Hash == "" {
			l.at.Hash = Hash(l.body)
		}
		event = &Event{At: l.at, Before: previous(l.body), Checked: l.checked}
		if len(l.body) <= MaxBody {
			event.Body = l.body
		}
	}
	h.protect(f, func() {
		switch f.offer(l.at, event) {
		case toFill:
			h.metrics.gaps.Inc()
			task.Wake(h.gaps)
		case toSweep:
			task.Wake(h.doubts)
		}
	})
}

// protect does something with one feed. After a panic this feed begins anew with the next sweep, which comes at once.
func (h *Hub) protect(f *feed, do func()) {
	if h.guard.Do(func() error { do(); return nil }) != nil {
		f.giveUp()
		task.Wake(h.doubts)
	}
}

// doubt makes the hub sweep at once, because something may have been missed.
func (h *Hub) doubt(reason string) {
	h.cfg.Log.Debug("sweep", "reason", reason)
	task.Wake(h.doubts)
}

// enter adds a watcher to the feed of its project, which it makes if there is none, and waits until the feed is ready.
func (h *Hub) enter(ctx context.Context, w *watcher, project int32) error {
	h.mu.Lock()
	f, found := h.feeds[project]
	if !found {
		f = newFeed(project, share(len(h.feeds)+1), &h.restarts)
		h.feeds[project] = f
		h.metrics.created.Inc()
	}
	f.watchers[w] = struct{}{}
	w.feed = f
	h.mu.Unlock()
	if !found {
		// Others may wait for this feed, so its head is read even when the first watcher goes away.
		heads, err := h.readHeads(context.WithoutCancel(ctx), h.cfg.DB.Requests, project)
		if head, ok := heads[project]; ok {
			f.begin(head)
			task.Wake(h.gaps)
		} else {
			h.end(f, cmp.Or(err, error(ErrNotFound)))
		}
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-f.ready:
		return f.failure()
	}
}

func (h *Hub) leave(w *watcher) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(w.feed.watchers, w)
	w.feed.idle = time.Now()
}

// end closes a feed for good; the next watcher of its project begins a new one.
func (h *Hub) end(f *feed, err error) {
	h.mu.Lock()
	if h.feeds[f.project] == f {
		delete(h.feeds, f.project)
	}
	h.mu.Unlock()
	f.end(err)
}

// readHeads asks where projects stand. Those that do not exist are missing.
func (h *Hub) readHeads(ctx context.Context, pool *postgres.Pool, projects ...int32) (map[int32]Cursor, error) {
	heads := make(map[int32]Cursor, len(projects))
	err := h.ask(ctx, pool, func(ctx context.Context, conn *pgx.Conn) error {
		epoch := postgres.EpochOfConn(conn)
		rows, err := db.New(conn).ListFeedHeads(ctx, projects)
		for _, row := range rows {
			heads[row.ProjectID] = Cursor{Epoch: epoch, Version: row.Version, Hash: row.Hash}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read heads: %w", err)
	}
	return heads, nil
}

// ask queries the database. Its panics are errors, because others may wait for the answer.
func (h *Hub) ask(ctx context.Context, pool *postgres.Pool, query func(context.Context, *pgx.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, h.cfg.Timing.Query)
	defer cancel()
	return h.guard.Do(func() error {
		return pool.Do(ctx, func(conn *pgx.Conn) error { return query(ctx, conn) })
	})
}

// feedsWhere returns the feeds of which ask says true, their projects, and where they stand.
func (h *Hub) feedsWhere(ask func(*feed) (state, bool)) (feeds []*feed, projects []int32, sent []state) {
	for _, f := range h.all() {
		if s, ok := ask(f); ok {
			feeds, projects, sent = append(feeds, f), append(projects, f.project), append(sent, s)
		}
	}
	return feeds, projects, sent
}

// fillAll reads the events that feeds lack, those of all feeds in one statement. It pauses before, so that a line that is under way can
// bring them, and after an error, so that a busy database is not asked at once.
func (h *Hub) fillAll(ctx context.Context) {
	outages := outage.New(h.cfg.Log, "read gaps from the log", "")
	for again := false; ; {
		if !again {
			select {
			case <-ctx.Done():
				return
			case <-h.gaps:
			}
			task.Pause(ctx, h.cfg.Timing.Gap)
		}
		err := h.guard.Do(func() (err error) {
			again, err = h.fill(ctx)
			return err
		})
		outages.Note(ctx, err)
		if err != nil {
			again = task.Pause(ctx, h.cfg.Timing.Retry+rand.N(2*h.cfg.Timing.Retry))
		}
	}
}

// fill reads one part of every gap. It reports whether there may be more.
func (h *Hub) fill(ctx context.Context) (again bool, err error) {
	feeds, projects, sent := h.feedsWhere((*feed).gap)
	if len(feeds) == 0 {
		return false, nil
	}
	if len(feeds) > readFeeds {
		// After an outage all feeds may lack events, too many for one answer.
		feeds, projects, again = feeds[:readFeeds], projects[:readFeeds], true
	}
	after := make([]int64, len(feeds))
	for i := range feeds {
		after[i] = sent[i].at.Version
	}
	answers, err := h.readLog(ctx, h.cfg.DB.System, projects, after, min(maxTailBytes, gapBytes/len(feeds)), MaxBody)
	if err != nil {
		return false, err
	}
	for i, f := range feeds {
		a, ok := answers[f.project]
		if !ok {
			h.end(f, ErrNotFound)
			continue
		}
		h.protect(f, func() {
			applied, repaired, more := f.fill(sent[i], a)
			h.metrics.filled.Add(float64(applied))
			if repaired {
				h.metrics.sweepRepairs.Inc()
			}
			again = again || more
		})
	}
	return again, nil
}

// sweepAll compares every feed with its head, each second and whenever somebody doubts.
func (h *Hub) sweepAll(ctx context.Context) {
	outages := outage.New(h.cfg.Log, "sweep", "")
	period := h.cfg.Timing.Sweep
	for pause := period; ; pause = period*9/10 + rand.N(period/5) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		case <-h.doubts:
		}
		outages.Note(ctx, h.guard.Do(func() error {
			err := h.sweep(ctx)
			h.dropIdle(time.Now())
			h.divide()
			h.warn(ctx)
			return err
		}))
	}
}

func (h *Hub) sweep(ctx context.Context) error {
	feeds, projects, sent := h.feedsWhere((*feed).now)
	if len(feeds) == 0 {
		return nil
	}
	heads, err := h.readHeads(ctx, h.cfg.DB.System, projects...)
	if err != nil {
		return err
	}
	for i, f := range feeds {
		head, ok := heads[f.project]
		if !ok {
			h.end(f, ErrNotFound)
			continue
		}
		h.protect(f, func() {
			if f.compare(sent[i], head) {
				task.Wake(h.gaps)
			}
		})
	}
	return nil
}

// dropIdle forgets feeds that nobody has watched for a while.
func (h *Hub) dropIdle(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	maps.DeleteFunc(h.feeds, func(_ int32, f *feed) bool { return len(f.watchers) == 0 && now.Sub(f.idle) > h.cfg.Timing.Idle })
}

// divide gives each feed an equal share of the bytes that all may keep together.
func (h *Hub) divide() {
	all := h.all()
	for _, f := range all {
		f.bound(share(len(all)))
	}
}

// warn logs, at most once a minute, that a watcher takes events more slowly than they come.
func (h *Hub) warn(ctx context.Context) {
	if lag := h.Lag(); lag > farBehind {
		h.warned.Do(func() { h.cfg.Log.WarnContext(ctx, "a watcher is far behind", "events", lag) })
	}
}

// Lag returns how many events the watcher that is the furthest behind has yet to take.
func (h *Hub) Lag() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	var lag int64
	for _, f := range h.feeds {
		now, _ := f.now()
		for w := range f.watchers {
			lag = max(lag, now.at.Version-w.seen.Load())
		}
	}
	return lag
}

// Watchers returns how many watch each project that anybody does.
func (h *Hub) Watchers() map[int32]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	watchers := make(map[int32]int, len(h.feeds))
	for project, f := range h.feeds {
		if n := len(f.watchers); n > 0 {
			watchers[project] = n
		}
	}
	return watchers
}

func (h *Hub) all() []*feed {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Collect(maps.Values(h.feeds))
}

// Size returns how many feeds there are, and the bytes in their tails.
func (h *Hub) Size() (feeds, bytes int) {
	all := h.all()
	for _, f := range all {
		f.mu.Lock()
		bytes += f.tailBytes
		f.mu.Unlock()
	}
	return len(all), bytes
}
