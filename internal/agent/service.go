package agent

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"layercake/internal/db"
	"layercake/internal/fanout"
	"layercake/internal/outage"
	"layercake/internal/postgres"
	"layercake/internal/task"

	"github.com/google/uuid"
	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/prometheus/client_golang/prometheus"
)

const (
	lookEvery    = time.Second            // a message whose line was lost is taken within this time
	lookPause    = 250 * time.Millisecond // least time between two looks, which doubts may ask for
	figuresEvery = 15 * time.Second
	queryTime    = 5 * time.Second // limit of what a caller asks for, waiting for others included
	lookTime     = 3 * time.Second
)

// Config is what a Service needs.
type Config struct {
	DB          *postgres.DB
	Wire        *fanout.Wire     // wire to the other replicas; it runs as long as the service does
	Incarnation func() uuid.UUID // current incarnation of the replica; Nil before its first lease
	Log         *slog.Logger
	Metrics     prometheus.Registerer // nil: not registered
}

// Service keeps the sessions of agents. Make it with New, then Run it once.
type Service struct {
	cfg     Config
	metrics *metrics
	guard   *task.Guard
	doubts  chan struct{} // signal, capacity 1: look at the tables

	mu        sync.Mutex
	mailboxes map[uuid.UUID]map[*Mailbox]bool // open mailboxes of this replica, by session
	turns     map[uuid.UUID]*turn             // sessions that this replica changes, or waits to change
	closed    []closedStream                  // streams that were closed and are still in their sessions' rows
	cached    *simplelru.LRU[uuid.UUID, cachedSession]
	changes   uint64 // how often something was taken out of cached
	agents    *simplelru.LRU[string, *traffic]
}

// New returns a Service that hears of the others on the wire. It starts nothing.
func New(cfg Config) *Service {
	s := &Service{
		cfg: cfg, guard: task.NewGuard(cfg.Log, cfg.Metrics, "agents"),
		doubts: make(chan struct{}, 1), mailboxes: make(map[uuid.UUID]map[*Mailbox]bool), turns: make(map[uuid.UUID]*turn),
	}
	s.cached, _ = simplelru.NewLRU[uuid.UUID, cachedSession](maxCached, nil) // it fails for no size only, like the next one
	s.agents, _ = simplelru.NewLRU[string, *traffic](maxAgents, nil)
	cfg.Wire.Handle(s.topic())
	s.metrics = newMetrics(cfg.Metrics, s)
	return s
}

// Run looks after the mailboxes of this replica until ctx ends: each second, and at once when lines may have been missed.
func (s *Service) Run(ctx context.Context) error {
	looking := outage.New(s.cfg.Log, "cannot look for messages to agents, trying again", "")
	tick, figures := time.NewTicker(lookEvery), time.NewTicker(figuresEvery)
	defer tick.Stop()
	defer figures.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-s.doubts:
		}
		looking.Note(ctx, s.guard.Do(func() error { return s.look(ctx) }))
		select {
		case <-figures.C:
			looking.Note(ctx, s.guard.Do(func() error { return s.readFigures(ctx) }))
		default:
		}
		task.Pause(ctx, lookPause)
	}
}

// doubt forgets what lines may have been about, and looks at the tables. It never waits.
func (s *Service) doubt(string) {
	s.mu.Lock()
	s.changes++
	s.cached.Purge()
	s.mu.Unlock()
	task.Wake(s.doubts)
}

// look wakes the mailboxes whose session is not what they know it to be.
func (s *Service) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	if err := s.clearStreams(ctx); err != nil {
		return err
	}
	// Mailboxes that are opened from here on are not judged by the answer. They look for themselves when they begin.
	open := s.openMailboxes()
	if len(open) == 0 {
		return nil
	}
	var rows []db.ListMCPStatesRow
	err := s.cfg.DB.System.Query(ctx, func(q *db.Queries) (err error) {
		rows, err = q.ListMCPStates(ctx, slices.Collect(maps.Keys(open)))
		return err
	})
	if err != nil {
		return err
	}
	for _, row := range rows {
		for _, m := range open[row.ID] {
			if m.behind(row) {
				task.Wake(m.wake)
			}
		}
		delete(open, row.ID)
	}
	for _, mailboxes := range open { // their sessions have ended, which Take returns
		for _, m := range mailboxes {
			task.Wake(m.wake)
		}
	}
	return nil
}

// openMailboxes returns the open mailboxes by session.
func (s *Service) openMailboxes() map[uuid.UUID][]*Mailbox {
	s.mu.Lock()
	defer s.mu.Unlock()
	open := make(map[uuid.UUID][]*Mailbox, len(s.mailboxes))
	for session, mailboxes := range s.mailboxes {
		open[session] = slices.Collect(maps.Keys(mailboxes))
	}
	return open
}

// closedStream names a stream that was closed.
type closedStream struct{ session, stream uuid.UUID }

// maxClosed is how many closed streams are remembered while the database is away. Sessions of others go on showing a stream until they
// open another one, or their replica ends.
const maxClosed = 10_000

// clearStreams takes streams that were closed out of their sessions.
func (s *Service) clearStreams(ctx context.Context) error {
	s.mu.Lock()
	closed := s.closed
	s.closed = nil
	s.mu.Unlock()
	if len(closed) == 0 {
		return nil
	}
	var rows db.ClearMCPStreamsParams
	for _, c := range closed {
		rows.Ids, rows.StreamIds = append(rows.Ids, c.session), append(rows.StreamIds, c.stream)
	}
	err := s.cfg.DB.System.Query(ctx, func(q *db.Queries) error { return q.ClearMCPStreams(ctx, rows) })
	if err != nil {
		s.mu.Lock()
		s.closed = append(s.closed, closed[:min(len(closed), maxClosed-len(s.closed))]...)
		s.mu.Unlock()
	}
	return err
}

func (s *Service) readFigures(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	return s.cfg.DB.System.Query(ctx, func(q *db.Queries) error {
		f, err := q.GetMCPFigures(ctx)
		if err == nil {
			s.metrics.sessions.Set(float64(f.Sessions))
			s.metrics.waiting.Set(float64(f.Messages))
			s.metrics.oldest.Set(f.OldestSeconds)
		}
		return err
	})
}
