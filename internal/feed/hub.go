package feed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"layercake/internal/db"
	"layercake/internal/fault"
	"layercake/internal/postgres"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"
)

const (
	sweepEvery  = time.Second
	gapPatience = 5 * time.Millisecond // a line may be under way
	idleFor     = time.Minute          // a feed outlives its last watcher by this
	queryLimit  = 3 * time.Second
	readEvents  = 500      // events of one project that one read of the log returns at most
	readBytes   = 64 << 10 // bytes of them that a watcher holds, beyond the first event
	readFeeds   = 64       // feeds whose gaps one read closes
	farBehind   = 900      // events that a watcher lacks when it is about to fall out of the tail
)

// ErrNotFound ends a watch whose project does not exist, or does no longer.
var ErrNotFound = fault.New(fault.NotFound, "Project not found")

// Hub holds the feeds of a replica.
type Hub struct {
	system  *postgres.Pool
	log     *slog.Logger
	metrics *metrics
	gaps    chan struct{}      // capacity 1: some feed lacks events
	doubts  chan struct{}      // capacity 1: sweep now
	warned  rate.Sometimes     // of watchers that are far behind
	reads   singleflight.Group // of large events

	mu    sync.Mutex
	feeds map[int32]*feed
}

// NewHub returns a hub without feeds. Run makes it follow the log.
func NewHub(system *postgres.Pool, log *slog.Logger, registry prometheus.Registerer) *Hub {
	h := &Hub{
		system: system,
		log:    log,
		gaps:   make(chan struct{}, 1),
		doubts: make(chan struct{}, 1),
		warned: rate.Sometimes{Interval: time.Minute},
		feeds:  make(map[int32]*feed),
	}
	h.metrics = newMetrics(registry, h)
	return h
}

// Run sweeps and fills gaps until ctx ends.
func (h *Hub) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { h.sweepAll(ctx); return nil })
	g.Go(func() error { h.fillAll(ctx); return nil })
	return g.Wait()
}

// Offer brings an event that was committed here or that another replica spoke of. A nil body is a hint: there is such an event.
// It never waits.
func (h *Hub) Offer(epoch postgres.Epoch, project int32, version int64, body []byte) {
	h.mu.Lock()
	f := h.feeds[project]
	h.mu.Unlock()
	if f == nil {
		return
	}
	var event *Event
	if body != nil {
		event = newEvent(project, version, Hash(body), body, MaxBody)
	}
	switch f.offer(epoch, version, event) {
	case toFill:
		h.metrics.gaps.Inc()
		signal(h.gaps)
	case toSweep:
		signal(h.doubts)
	}
}

// Doubt makes the hub sweep at once, because something may have been missed.
func (h *Hub) Doubt() { signal(h.doubts) }

// newEvent makes an event without its body when that is larger than most bytes.
func newEvent(project int32, version int64, hash string, body []byte, most int) *Event {
	e := &Event{Project: project, Version: version, Hash: hash, Before: previous(body), Body: body}
	if len(body) > most {
		e.Body = nil
	}
	return e
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Step is what a watcher gets: where the watch begins, an event, or the news that it missed some.
type Step struct {
	Cursor   Cursor
	Event    *Event // nil where the watch begins, and when Missed
	Missed   bool   // events up to Cursor cannot be had: read the state again
	TooLarge bool   // Missed, but nothing except the event at Cursor, which is larger than MaxEvent
}

// Watch yields where it begins, then every event of a project after a cursor, in order, each once, until ctx ends. Without a
// cursor it begins at the head. It ends with ErrNotFound when the project is deleted.
func (h *Hub) Watch(ctx context.Context, project int32, after *Cursor) iter.Seq2[Step, error] {
	return func(yield func(Step, error) bool) {
		f, err := h.enter(ctx, project)
		if err != nil {
			if ctx.Err() == nil {
				yield(Step{}, err)
			}
			return
		}
		defer h.leave(f)
		w := &watcher{hub: h, feed: f}
		first, err := w.begin(ctx, after)
		w.seen.Store(w.at.version)
		f.follow(w)
		defer f.unfollow(w)
		for err == nil && yield(first, nil) {
			first, err = w.next(ctx)
		}
		if err != nil && ctx.Err() == nil {
			yield(Step{}, err)
		}
	}
}

// watcher is a cursor into a feed.
type watcher struct {
	hub  *Hub
	feed *feed
	at   position
	seen atomic.Int64 // at.version, for others
	log  []*Event     // read from the log, not yet yielded
}

// begin decides where the watch starts.
func (w *watcher) begin(ctx context.Context, after *Cursor) (Step, error) {
	w.at, _ = w.feed.now()
	if after == nil {
		return Step{Cursor: w.cursor()}, nil
	}
	if after.Epoch != w.at.epoch {
		return w.missed(), nil
	}
	if after.Version > w.at.version {
		// Ahead of this replica, or of history? Only a look at the head that began after the question came can tell.
		head, err := w.hub.readHead(ctx, w.feed.project)
		if err != nil {
			return Step{}, err
		}
		if w.feed.compare(w.at, head) {
			signal(w.hub.gaps)
		}
		if head.epoch != after.Epoch || head.version < after.Version {
			return w.missed(), nil
		}
	}
	hash, err := w.hashAt(ctx, after.Version)
	if err != nil {
		return Step{}, err
	}
	if Differ(hash, after.Hash) {
		return w.missed(), nil // the database was restored, and others wrote that version
	}
	w.at.version, w.at.hash = after.Version, cmp.Or(hash, after.Hash)
	return Step{Cursor: w.cursor()}, nil
}

// hashAt returns the hash of the event that led to a version, empty when nobody knows it.
func (w *watcher) hashAt(ctx context.Context, version int64) (string, error) {
	if hash := w.feed.hashAt(version); hash != "" {
		return hash, nil
	}
	ctx, cancel := context.WithTimeout(ctx, queryLimit)
	defer cancel()
	var hash string
	err := w.hub.system.Query(ctx, func(q *db.Queries) (err error) {
		hash, err = q.GetEventHash(ctx, db.GetEventHashParams{ProjectID: w.feed.project, Version: version})
		return err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return "", ErrNotFound
	}
	if err != nil {
		return "", fmt.Errorf("read the hash of an event: %w", err)
	}
	return hash, nil
}

// next waits for what follows.
func (w *watcher) next(ctx context.Context) (Step, error) {
	for {
		if len(w.log) > 0 {
			e := w.log[0]
			w.log = w.log[1:]
			return w.take(e), nil
		}
		s := w.feed.next(w.at)
		switch {
		case s.err != nil:
			return Step{}, s.err
		case s.missed:
			return w.missed(), nil
		case s.event != nil && s.event.Body != nil:
			return w.take(s.event), nil
		case s.event != nil:
			e, err := w.hub.large(ctx, w.at.epoch, s.event)
			switch {
			case err != nil:
				return Step{}, err
			case e == nil:
				return w.missed(), nil
			}
			return w.take(e), nil
		case s.moved != nil:
			select {
			case <-ctx.Done():
				return Step{}, ctx.Err()
			case <-s.moved:
			}
		default:
			if err := w.read(ctx); err != nil {
				return Step{}, err
			}
			if len(w.log) == 0 {
				return w.missed(), nil
			}
		}
	}
}

// read fetches the next part of the log. It leaves nothing when the log does not reach back far enough.
func (w *watcher) read(ctx context.Context) error {
	w.hub.metrics.logReads.Inc()
	answers, err := w.hub.readLog(ctx, []int32{w.feed.project}, []int64{w.at.version}, limits{
		events: readEvents, bytes: readBytes, body: MaxEvent,
	})
	if err != nil {
		return fmt.Errorf("catch up from the log: %w", err)
	}
	a, ok := answers[w.feed.project]
	if !ok {
		return ErrNotFound
	}
	if a.head.epoch == w.at.epoch && !Differ(a.base, w.at.hash) && len(a.events) > 0 && a.events[0].Version == w.at.version+1 {
		w.log = a.events
	}
	return nil
}

func (w *watcher) take(e *Event) Step {
	w.at.version, w.at.hash = e.Version, e.Hash
	w.seen.Store(e.Version)
	if e.Body == nil {
		return Step{Cursor: w.cursor(), Missed: true, TooLarge: true}
	}
	return Step{Cursor: w.cursor(), Event: e}
}

func (w *watcher) missed() Step {
	w.hub.metrics.missed.Inc()
	w.log = nil
	w.at, _ = w.feed.now()
	w.seen.Store(w.at.version)
	return Step{Cursor: w.cursor(), Missed: true}
}

func (w *watcher) cursor() Cursor {
	return Cursor{Epoch: w.at.epoch, Version: w.at.version, Hash: w.at.hash}
}

// enter finds or makes the feed of a project and waits until it is open.
func (h *Hub) enter(ctx context.Context, project int32) (*feed, error) {
	h.mu.Lock()
	f, found := h.feeds[project]
	if !found {
		f = newFeed(project, share(len(h.feeds)+1))
		h.feeds[project] = f
		h.metrics.created.Inc()
	}
	f.watchers++
	h.mu.Unlock()
	if !found {
		// Others may wait for this feed, so it opens even when the first watcher goes away.
		head, err := h.readHead(context.WithoutCancel(ctx), project)
		if err != nil {
			h.end(f, err)
		} else {
			f.begin(head)
			signal(h.gaps)
		}
	}
	select {
	case <-ctx.Done():
		h.leave(f)
		return nil, ctx.Err()
	case <-f.opened:
	}
	if err := f.failure(); err != nil {
		h.leave(f)
		return nil, err
	}
	return f, nil
}

func (h *Hub) leave(f *feed) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f.watchers--
	f.idle = time.Now()
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

// readHead asks where a project stands. It fails with ErrNotFound when there is no such project.
func (h *Hub) readHead(ctx context.Context, project int32) (position, error) {
	ctx, cancel := context.WithTimeout(ctx, queryLimit)
	defer cancel()
	var head position
	err := h.system.Do(ctx, func(conn *pgx.Conn) error {
		row, err := db.New(conn).GetFeedHead(ctx, project)
		head = position{epoch: postgres.EpochOfConn(conn), version: row.Version, hash: row.Hash}
		return err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return head, ErrNotFound
	}
	if err != nil {
		return head, fmt.Errorf("read head: %w", err)
	}
	return head, nil
}

// answer is what the log says of one project: its head, the hash at a version, and the events after that.
type answer struct {
	head   position
	base   string // empty where it is not known
	events []*Event
}

// limits bound what one read of the log returns of each project.
type limits struct {
	events int32
	bytes  int32 // beyond the first event
	body   int32 // larger bodies stay behind
}

// readLog reads the events of several projects after a version each, in one statement. A project that does not exist has no answer.
func (h *Hub) readLog(ctx context.Context, projects []int32, after []int64, most limits) (map[int32]answer, error) {
	ctx, cancel := context.WithTimeout(ctx, queryLimit)
	defer cancel()
	answers := make(map[int32]answer, len(projects))
	err := h.system.Do(ctx, func(conn *pgx.Conn) error {
		rows, err := db.New(conn).ListEventsAfter(ctx, db.ListEventsAfterParams{
			ProjectIds: projects, After: after, MaxBody: most.body, MaxEvents: most.events, MaxBytes: most.bytes,
		})
		for _, row := range rows {
			a := answers[row.ProjectID]
			a.head = position{epoch: postgres.EpochOfConn(conn), version: row.Head, hash: row.HeadHash}
			a.base = row.BaseHash
			if row.Version > 0 {
				e := newEvent(row.ProjectID, row.Version, row.Hash, row.Body, int(most.body))
				before := a.base
				if len(a.events) > 0 {
					before = a.events[len(a.events)-1].Hash
				}
				e.Before = cmp.Or(e.Before, before)
				a.events = append(a.events, e)
			}
			answers[row.ProjectID] = a
		}
		return err
	})
	return answers, err
}

// large reads the event of a feed whose body the feed does not keep. Watchers that come to it at once share one read. It returns nil
// when the log does not have the event any more, and the event without a body when that is larger than MaxEvent.
func (h *Hub) large(ctx context.Context, epoch postgres.Epoch, e *Event) (*Event, error) {
	read := h.reads.DoChan(fmt.Sprint(epoch, " ", e.Project, " ", e.Version), func() (any, error) {
		h.metrics.logReads.Inc()
		// A read that others wait for must not end because the first of them goes away. It has a limit of its own.
		answers, err := h.readLog(context.WithoutCancel(ctx), []int32{e.Project}, []int64{e.Version - 1}, limits{events: 1, body: MaxEvent})
		if err != nil {
			return nil, fmt.Errorf("read a large event: %w", err)
		}
		a := answers[e.Project]
		if a.head.epoch != epoch || len(a.events) == 0 || a.events[0].Version != e.Version || Differ(a.events[0].Hash, e.Hash) {
			return (*Event)(nil), nil
		}
		return a.events[0], nil
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case r := <-read:
		if r.Err != nil {
			return nil, r.Err
		}
		return r.Val.(*Event), nil
	}
}

// open returns the feeds that are open and what ask says of each, where ask says true.
func (h *Hub) open(ask func(*feed) (position, bool)) ([]*feed, []position) {
	var feeds []*feed
	var at []position
	for _, f := range h.all() {
		if p, ok := ask(f); ok {
			feeds, at = append(feeds, f), append(at, p)
		}
	}
	return feeds, at
}

// fillAll reads what feeds lack, all of them in one statement.
func (h *Hub) fillAll(ctx context.Context) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.gaps:
		}
		wait := gapPatience
		for {
			pause.Reset(wait)
			select {
			case <-ctx.Done():
				return
			case <-pause.C:
			}
			again, err := h.fill(ctx)
			if err == nil && !again {
				break
			}
			wait = 0
			if err != nil && ctx.Err() == nil {
				h.log.WarnContext(ctx, "read gaps from the log", "error", err)
				wait = 100*time.Millisecond + rand.N(200*time.Millisecond)
			}
		}
	}
}

// fill reads one part of every gap. It reports whether there may be more.
func (h *Hub) fill(ctx context.Context) (again bool, err error) {
	feeds, sent := h.open((*feed).gap)
	if len(feeds) == 0 {
		return false, nil
	}
	if len(feeds) > readFeeds {
		// After an outage all feeds may lack events, too many for one answer.
		feeds, sent, again = feeds[:readFeeds], sent[:readFeeds], true
	}
	projects, after := make([]int32, len(feeds)), make([]int64, len(feeds))
	for i, f := range feeds {
		projects[i], after[i] = f.project, sent[i].version
	}
	answers, err := h.readLog(ctx, projects, after, limits{events: readEvents, bytes: maxTailBytes, body: MaxBody})
	if err != nil {
		return false, err
	}
	for i, f := range feeds {
		a, ok := answers[f.project]
		if !ok {
			h.end(f, ErrNotFound)
			continue
		}
		applied, repaired, more := f.fill(sent[i], a)
		h.metrics.filled.Add(float64(applied))
		if repaired {
			h.metrics.sweepRepairs.Inc()
		}
		again = again || more
	}
	return again, nil
}

// sweepAll compares every open feed with its head, each second and whenever somebody doubts.
func (h *Hub) sweepAll(ctx context.Context) {
	pause := time.NewTimer(sweepEvery)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		case <-h.doubts:
		}
		if err := h.sweep(ctx); err != nil && ctx.Err() == nil {
			h.log.WarnContext(ctx, "sweep", "error", err)
		}
		h.dropIdle(time.Now())
		h.divide()
		h.warn(ctx)
		pause.Reset(sweepEvery - sweepEvery/10 + rand.N(sweepEvery/5))
	}
}

func (h *Hub) sweep(ctx context.Context) error {
	feeds, sent := h.open((*feed).now)
	if len(feeds) == 0 {
		return nil
	}
	projects := make([]int32, len(feeds))
	for i, f := range feeds {
		projects[i] = f.project
	}
	heads := make(map[int32]position, len(feeds))
	err := h.system.Do(ctx, func(conn *pgx.Conn) error {
		ctx, cancel := context.WithTimeout(ctx, queryLimit)
		defer cancel()
		rows, err := db.New(conn).ListFeedHeads(ctx, projects)
		for _, row := range rows {
			heads[row.ProjectID] = position{epoch: postgres.EpochOfConn(conn), version: row.Version, hash: row.Hash}
		}
		return err
	})
	if err != nil {
		return err
	}
	behind := false
	for i, f := range feeds {
		head, ok := heads[f.project]
		switch {
		case !ok:
			h.end(f, ErrNotFound)
		case f.compare(sent[i], head):
			behind = true
		}
	}
	if behind {
		signal(h.gaps)
	}
	return nil
}

// dropIdle forgets feeds that nobody has watched for a while.
func (h *Hub) dropIdle(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for project, f := range h.feeds {
		if f.watchers == 0 && now.Sub(f.idle) > idleFor {
			delete(h.feeds, project)
		}
	}
}

// divide lets each feed keep its share of what all may.
func (h *Hub) divide() {
	all := h.all()
	for _, f := range all {
		f.bound(share(len(all)))
	}
}

// warn tells the log, not too often, of watchers that take events more slowly than they come.
func (h *Hub) warn(ctx context.Context) {
	if lag := h.Lag(); lag > farBehind {
		h.warned.Do(func() { h.log.WarnContext(ctx, "a watcher is far behind", "events", lag) })
	}
}

// Lag returns how many events the watcher that is the furthest behind has yet to take.
func (h *Hub) Lag() int64 {
	var lag int64
	for _, f := range h.all() {
		lag = max(lag, f.lag())
	}
	return lag
}

// Watchers returns how many watch each project that anybody does.
func (h *Hub) Watchers() map[int32]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	watchers := make(map[int32]int, len(h.feeds))
	for project, f := range h.feeds {
		if f.watchers > 0 {
			watchers[project] = f.watchers
		}
	}
	return watchers
}

func (h *Hub) all() []*feed {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Collect(maps.Values(h.feeds))
}

// Open returns how many feeds are open, and the bytes in their tails.
func (h *Hub) Open() (feeds, bytes int) {
	all := h.all()
	for _, f := range all {
		f.mu.Lock()
		bytes += f.tailBytes
		f.mu.Unlock()
	}
	return len(all), bytes
}
