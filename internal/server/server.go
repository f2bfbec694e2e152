// Package server assembles one replica and runs it.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"layercake/graph"
	"layercake/internal/collab"
	"layercake/internal/fanout"
	"layercake/internal/feed"
	"layercake/internal/operate"
	"layercake/internal/plan"
	"layercake/internal/postgres"
	"layercake/internal/presence"
	"layercake/internal/project"
	"layercake/internal/replica"
	"layercake/internal/socket"
	"layercake/internal/task"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"
)

// CrashStatus is the exit status of a process that died because Config.Crash asked for it.
const CrashStatus = 86

// Server is one replica. Make it with New, then Run it once.
type Server struct {
	cfg      Config
	log      *slog.Logger
	registry *prometheus.Registry
	ready    chan struct{}          // closed once requests are answered
	unready  atomic.Pointer[string] // why the balancer is to send clients elsewhere; nil while it is not

	// set before ready is closed
	db    *postgres.DB
	hub   *feed.Hub
	wire  *fanout.Wire
	plans *plan.Service
	graph *graph.Handler

	replica  *replica.Replica
	presence *presence.Tracker
	sockets  *socket.Registry
	collab   *collab.Handler

	commander *operate.Commander
	cleaner   *operate.Cleaner
	diagnosis *operate.Diagnosis

	http  net.Listener
	admin net.Listener // nil without an admin address
}

// New returns a replica of a deployment. It starts nothing.
func New(cfg Config) *Server {
	s := &Server{cfg: cfg, log: cfg.Log, registry: prometheus.NewRegistry(), ready: make(chan struct{})}
	s.registry.MustRegister(
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(
			collectors.MetricsGC, collectors.MetricsScheduler, collectors.GoRuntimeMetricsRule{Matcher: mutexWait})),
	)
	return s
}

// Ready is closed once the replica answers requests.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// Addr returns the address that clients connect to. Call it after Ready.
func (s *Server) Addr() string { return s.http.Addr().String() }

// AdminAddr returns the address of metrics and profiles, "" when there is none. Call it after Ready.
func (s *Server) AdminAddr() string {
	if s.admin == nil {
		return ""
	}
	return s.admin.Addr().String()
}

// Run serves until ctx ends, then drains. It returns nil after a normal stop, when all that it started has ended.
func (s *Server) Run(ctx context.Context) error {
	if err := s.cfg.Check(); err != nil {
		return err
	}
	if err := s.prepareSchema(ctx); err != nil {
		return postgres.Advise(err)
	}
	if err := s.assemble(ctx); err != nil {
		return postgres.Advise(err)
	}
	defer s.db.Close()
	if err := s.listen(ctx); err != nil {
		return err
	}
	return s.serve(ctx)
}

func (s *Server) prepareSchema(ctx context.Context) error {
	if s.listenURL() != s.cfg.DatabaseURL {
		// Before anything is written to the wrong one.
		if err := postgres.CheckSame(ctx, s.cfg.DatabaseURL, s.listenURL(), s.cfg.Pooled); err != nil {
			return err
		}
	}
	if s.cfg.Migrate {
		if err := postgres.Migrate(ctx, s.listenURL(), s.log); err != nil {
			return err
		}
	}
	return postgres.CheckSchema(ctx, s.listenURL())
}

func (s *Server) listenURL() string {
	if s.cfg.ListenURL != "" {
		return s.cfg.ListenURL
	}
	return s.cfg.DatabaseURL
}

// assemble makes the parts, from the storage up.
func (s *Server) assemble(ctx context.Context) (err error) {
	incarnation := uuid.New()
	name := incarnation.String()
	s.log = s.log.With("replica", name[:8])
	s.db, err = postgres.Open(ctx, postgres.Config{
		URL: s.cfg.DatabaseURL, Pooled: s.cfg.Pooled, DirectURL: s.listenURL(), Replica: name,
		PoolMax: s.cfg.PoolMax, PoolMin: s.cfg.PoolMin, Replicas: s.cfg.Replicas, Log: s.log, Metrics: s.registry,
	})
	if err != nil {
		return err
	}
	s.wire = fanout.New(fanout.Config{URL: s.listenURL(), Replica: name, Loss: s.cfg.Loss, Log: s.log, Metrics: s.registry})
	s.hub = feed.NewHub(feed.Config{System: s.db.System, Wire: s.wire, Log: s.log, Metrics: s.registry})
	s.replica = replica.New(replica.Config{
		DB: s.db, Version: s.cfg.Version, Incarnation: incarnation, Log: s.log, Metrics: s.registry,
	})
	s.presence = presence.New(presence.Config{DB: s.db, Wire: s.wire, Replica: s.replica, Log: s.log, Metrics: s.registry})
	if err := s.replica.ReadOldest(ctx); err != nil {
		s.db.Close()
		return fmt.Errorf("ask which replicas live: %w", err)
	}
	s.sockets = socket.New(socket.Options{PerAddress: s.cfg.MaxSockets, Metrics: s.registry})
	s.commander = operate.NewCommander(operate.CommanderConfig{
		DB: s.db.System, Wire: s.wire, Sockets: s.sockets, Log: s.log, Metrics: s.registry, Address: s.Addr,
		Incarnation: s.replica.Incarnation,
		SendAway: func(ctx context.Context, why string, spread time.Duration) {
			s.sendAway(ctx, why, spread, s.sockets.SendAway)
		},
		Admit: s.admit,
	})
	s.plans = plan.NewService(plan.Config{
		DB: s.db, Hub: s.hub, WriteSlots: s.cfg.WriteSlots, Metrics: s.registry, Oldest: s.replica.Oldest, AfterCommit: s.crash(),
	})
	projects := project.NewService(project.Config{DB: s.db, Wire: s.wire})
	s.graph = graph.New(graph.Options{
		Sockets: s.sockets, Plans: s.plans, Projects: projects, Presence: s.presence, Log: s.log, Metrics: s.registry,
	})
	timing := socket.DefaultTiming
	if s.cfg.Silence > 0 {
		timing.Silence, timing.Ping = s.cfg.Silence, s.cfg.Silence/3
	}
	s.collab = collab.New(collab.Options{
		Sockets: s.sockets, Presence: s.presence, Log: s.log, Metrics: s.registry, Timing: timing,
	})
	s.cleaner = operate.NewCleaner(operate.CleanerConfig{
		DB: s.db.System, Plans: s.plans, Presence: s.presence, Every: s.cfg.CleanUp, KeepEvents: s.cfg.EventRetention,
		Log: s.log, Metrics: s.registry,
	})
	s.diagnosis = operate.NewDiagnosis(s.db.System, s.log)
	s.registerFigures()
	return nil
}

// registerFigures makes the lease tell how much this replica does.
func (s *Server) registerFigures() {
	s.replica.Figure("draining", func() int64 {
		if s.unready.Load() != nil {
			return 1
		}
		return 0
	})
	s.replica.Figure("sockets", func() int64 { return int64(s.sockets.Count()) })
	s.replica.Figure("subscriptions", func() int64 { return int64(s.graph.Subscriptions()) })
	s.replica.Figure("open_feeds", func() int64 { feeds, _ := s.hub.Size(); return int64(feeds) })
	s.replica.Figure("feed_bytes", func() int64 { _, bytes := s.hub.Size(); return int64(bytes) })
	s.replica.Figure("max_lag", s.hub.Lag)
	s.replica.Figure("heartbeat_ms", func() int64 { return int64(s.wire.Heartbeat()) })
	s.replica.CountProjects(replica.Watchers, s.hub.Watchers)
}

// crash returns what dies after some commits, or nil unless a fault test asked for it.
func (s *Server) crash() func() {
	if s.cfg.Crash == 0 {
		return nil
	}
	return func() {
		if rand.Float64() < s.cfg.Crash {
			os.Exit(CrashStatus)
		}
	}
}

func (s *Server) listen(ctx context.Context) (err error) {
	var lc net.ListenConfig
	if s.http, err = lc.Listen(ctx, "tcp", s.cfg.HTTPAddr); err != nil {
		return fmt.Errorf("listen for clients: %w", err)
	}
	if s.cfg.AdminAddr == "" {
		return nil
	}
	if s.admin, err = lc.Listen(ctx, "tcp", s.cfg.AdminAddr); err != nil {
		return errors.Join(fmt.Errorf("listen for operators: %w", err), s.http.Close())
	}
	return nil
}

// stopGrace is what stopping may take beyond the drain.
const stopGrace = 10 * time.Second

// serve runs the parts. Storage outlives the requests that use it.
func (s *Server) serve(ctx context.Context) error {
	storage, stopStorage := context.WithCancel(context.WithoutCancel(ctx))
	defer stopStorage()
	parts, failed := errgroup.WithContext(storage)
	parts.Go(func() error { return s.hub.Run(storage) })
	parts.Go(func() error { return s.wire.Run(storage) })
	parts.Go(func() error { return s.cleaner.Run(storage) })
	parts.Go(func() error { return s.sockets.Run(storage) })
	parts.Go(func() error { return s.collab.Run(storage) })
	// Presence takes its last rows out from under the lease, and the wire carries its last words: first it ends, then the lease, then
	// the rest of storage.
	lease := task.Go(storage, func(ctx context.Context) error { return s.replica.Run(ctx, s.Addr()) })
	parts.Go(lease.Wait)
	people := task.Go(storage, s.presence.Run)
	parts.Go(people.Wait)
	commands := task.Go(storage, s.commander.Run)
	parts.Go(commands.Wait)

	clients, operators := s.clientServer(s.routes()), s.httpServer(s.adminRoutes())
	parts.Go(func() error { return closed(clients.Serve(socket.Listener{Listener: s.http})) })
	if s.admin != nil {
		parts.Go(func() error { return closed(operators.Serve(s.admin)) })
	}
	close(s.ready)
	s.log.InfoContext(ctx, "serving", "url", "http://"+s.Addr(), "admin", s.AdminAddr(), "version", s.cfg.Version)

	select {
	case <-ctx.Done():
	case <-failed.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.Drain+stopGrace)
	defer cancel()
	// parts.Wait returns the errors of all three. From here on, no command takes sockets again.
	_ = commands.Stop()
	err := s.drain(stop, clients)
	_ = people.Stop()
	_ = lease.Stop()
	stopStorage()
	err = errors.Join(err, operators.Shutdown(stop), parts.Wait())
	s.log.InfoContext(stop, "stopped")
	return err
}

// drain lets the balancer notice, then closes the sockets bit by bit, then stops accepting and waits for requests in hand.
func (s *Server) drain(ctx context.Context, clients *http.Server) error {
	s.log.InfoContext(ctx, "draining", "time", s.cfg.Drain)
	s.sendAway(ctx, "stopping", s.cfg.Drain, s.sockets.Drain)
	if err := clients.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("requests did not end in time: %w", err), clients.Close())
	}
	return nil
}

// answerTime is for a client to send a request and to read the answer. Sockets, once they are open, have limits of their own.
const answerTime = 2 * time.Minute

func (s *Server) clientServer(handler http.Handler) *http.Server {
	h := s.httpServer(handler)
	h.WriteTimeout = answerTime
	h.ConnContext = socket.WithConn
	return h
}

// sendAway says why this replica is not ready, lets the balancer notice for a fifth of a time, and then closes sockets over the rest of
// it, by SendAway or Drain of the registry.
func (s *Server) sendAway(ctx context.Context, why string, over time.Duration, sockets func(context.Context, time.Duration)) {
	s.unready.Store(&why)
	balancer := time.NewTimer(over / 5)
	defer balancer.Stop()
	select {
	case <-ctx.Done():
	case <-balancer.C:
	}
	sockets(ctx, over-over/5)
}

// admit takes sockets again after sendAway.
func (s *Server) admit() {
	s.unready.Store(nil)
	s.sockets.Resume()
}

func (s *Server) httpServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       120 * time.Second,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
}

func closed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
