// Package server assembles one replica and runs it.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"layercake/graph"
	"layercake/internal/auth"
	"layercake/internal/budget"
	"layercake/internal/caller"
	"layercake/internal/collab"
	"layercake/internal/executor"
	"layercake/internal/fault"
	"layercake/internal/files"
	"layercake/internal/mcpserver"
	"layercake/internal/oidc"
	"layercake/internal/operate"
	"layercake/internal/outage"
	"layercake/internal/postgres"
	"layercake/internal/socket"
	"layercake/internal/task"
	"layercake/internal/web"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"
)

// Server is one replica. Make it with New, then Run it once.
type Server struct {
	cfg      Config
	log      *slog.Logger
	registry *prometheus.Registry
	ready    chan struct{}          // closed once requests are answered
	unready  atomic.Pointer[string] // why the balancer is to send clients elsewhere; nil while it is not

	// Set before ready is closed.
	core      *Core
	guard     *task.Guard // of requests
	sockets   *socket.Registry
	requests  *caller.Requests
	graph     *graph.Handler
	collab    *collab.Handler
	mcp       *mcpserver.Handler
	files     *files.Handler
	oidc      *oidc.Handler
	commander *operate.Commander
	cleaner   *operate.Cleaner
	diagnosis *operate.Diagnosis
	console   *operate.Console
	pages     *web.Pages

	http  net.Listener
	admin net.Listener // nil without an admin address
}

// New returns a replica of a deployment. It starts nothing.
func New(cfg Config) *Server {
	cfg.Log = slog.New(outage.Limit(cfg.Log.Handler()))
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

// Run serves until ctx ends, then drains. It returns nil after a normal stop, also before it was ready, when all that it started has ended.
func (s *Server) Run(ctx context.Context) error {
	if err := s.cfg.Check(); err != nil {
		return err
	}
	var err error
	if s.pages, err = s.cfg.pages(); err != nil {
		return err
	}
	switch err := s.prepare(ctx); {
	case err != nil && ctx.Err() != nil: // what failed did so because it was told to stop
		s.log.InfoContext(ctx, "stopped before it was ready", "error", err)
		return nil
	case err != nil:
		return err
	}
	defer s.core.DB.Close()
	return s.serve(ctx)
}

// prepare makes the parts and listens. The caller closes the core's DB unless it fails.
func (s *Server) prepare(ctx context.Context) error {
	if err := s.prepareSchema(ctx); err != nil {
		return postgres.Advise(err)
	}
	core, err := OpenCore(ctx, s.cfg, s.registry)
	if err != nil {
		return postgres.Advise(err)
	}
	s.assemble(core)
	if err := s.listen(ctx); err != nil {
		core.DB.Close()
		return err
	}
	return nil
}

func (s *Server) prepareSchema(ctx context.Context) error {
	direct := s.cfg.listenURL()
	if direct != s.cfg.DatabaseURL {
		// Before anything is written to the wrong one.
		if err := postgres.CheckSame(ctx, s.cfg.DatabaseURL, direct, s.cfg.Pooled); err != nil {
			return err
		}
	}
	if s.cfg.Migrate {
		if err := postgres.Migrate(ctx, direct, s.log); err != nil {
			return err
		}
	}
	return postgres.CheckSchema(ctx, direct)
}

// assemble puts the transports, and what operators need, on a core.
func (s *Server) assemble(core *Core) {
	s.core, s.log = core, core.log
	s.guard = task.NewGuard(s.log, s.registry, "http")
	s.sockets = socket.New(socket.Options{
		PerAddress: s.cfg.MaxSockets, PerAccount: s.cfg.AccountSockets, Log: s.log, Metrics: s.registry,
	})
	s.requests = caller.NewRequests(s.cfg.AccountRate, s.registry)
	memory := budget.New(budget.Config{
		Memory: s.cfg.requestMemory(), PerAddress: s.cfg.MaxRequests, Patience: s.cfg.Patience, Metrics: s.registry,
	})
	s.graph = graph.New(graph.Options{
		Sockets: s.sockets, Requests: s.requests, Look: core.Accounts.Look, Keeper: core.Keeper,
		Accounts: core.Accounts, Rights: core.Rights, Collaborators: core.Collaborators, PublicURL: s.cfg.PublicURL,
		Plans: core.Plans, Proposals: core.Proposals, Projects: core.Projects, Presence: core.Presence, Budget: memory,
		Sources: core.Sources, Graphs: core.Graphs, Builds: core.Builds,
		Incarnation: core.Replica.Incarnation, Version: s.cfg.Version, Page: web.Hash(), Patience: s.cfg.Patience,
		GraphiQL: s.graphiQL(), Log: s.log, Metrics: s.registry,
	})
	timing := socket.DefaultTiming
	if s.cfg.Silence > 0 {
		timing.Silence, timing.Ping = s.cfg.Silence, s.cfg.Silence/3
	}
	s.collab = collab.New(collab.Options{
		Sockets: s.sockets, Rights: core.Rights, Look: core.Accounts.Look, Keeper: core.Keeper,
		Presence: core.Presence, Log: s.log, Metrics: s.registry, Timing: timing,
	})
	resource := ""
	if s.cfg.PublicURL != nil {
		resource = mcpserver.Resource(s.cfg.PublicURL)
	}
	s.oidc = oidc.New(oidc.Options{
		Config: s.cfg.OIDC, Accounts: core.Accounts, PublicURL: s.cfg.PublicURL, Resource: resource, Log: s.log,
	})
	s.mcp = mcpserver.New(mcpserver.Options{
		Rights: core.Rights, Keeper: core.Keeper, PublicURL: s.cfg.PublicURL, Issuer: s.cfg.OIDC.Issuer, Scopes: oidc.Scopes, Agents: core.Agents,
		Proposals: core.Proposals, Sockets: s.sockets, Sources: core.Sources, Graphs: core.Graphs, Executor: core.Builds,
		Plans: core.Plans, Projects: core.Projects, Presence: core.Presence, Budget: memory, Version: s.cfg.Version,
		Schema: graph.SDL(), Health: s.healthReport, Fixtures: s.cfg.Fixtures, Log: s.log, Metrics: s.registry,
		Timing: s.cfg.Streams,
	})
	s.files = files.New(files.Options{
		Rights: core.Rights, Sources: core.Sources, Executor: core.Builds, Budget: memory,
		MaxUpload: int64(s.cfg.MaxUpload), Pace: s.cfg.Pace, Log: s.log,
	})
	s.commander = operate.NewCommander(operate.CommanderConfig{
		DB: core.DB.System, Wire: core.Wire, Sockets: s.sockets, Presence: core.Presence, Log: s.log, Metrics: s.registry,
		Woken: core.Keeper.Wake, Address: s.Addr, Incarnation: core.Replica.Incarnation,
		SendAway: s.sendAway, Admit: s.admit, CancelBuild: s.cancelBuild,
	})
	s.cleaner = operate.NewCleaner(operate.CleanerConfig{
		DB: core.DB.System, Plans: core.Plans, Proposals: core.Proposals, Presence: core.Presence, Agents: core.Agents, Accounts: core.Accounts,
		Every:      s.cfg.CleanUp,
		KeepEvents: s.cfg.EventRetention, Log: s.log, Metrics: s.registry,
	})
	s.diagnosis = operate.NewDiagnosis(core.DB.System, s.log)
	s.console = operate.NewConsole(core.DB.System)

	core.Replica.Figure("draining", func() int64 {
		if s.unready.Load() != nil {
			return 1
		}
		return 0
	})
	core.Replica.Figure("sockets", func() int64 { return int64(s.sockets.Count()) })
	core.Replica.Figure("subscriptions", func() int64 { return int64(s.graph.Subscriptions()) })
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

// serve runs the parts. The core outlives the requests that use it.
func (s *Server) serve(ctx context.Context) error {
	running, stopParts := context.WithCancel(context.WithoutCancel(ctx))
	defer stopParts()
	parts, failed := errgroup.WithContext(running)
	parts.Go(func() error { return s.core.Run(running, s.Addr()) })
	parts.Go(func() error { return s.cleaner.Run(running) })
	parts.Go(func() error { return s.sockets.Run(running) })
	parts.Go(func() error { return s.collab.Run(running) })
	commands := task.Go(running, s.commander.Run)
	parts.Go(commands.Wait)

	clients, operators := s.clientServer(s.routes()), s.httpServer(s.adminRoutes())
	parts.Go(func() error { return closed(clients.Serve(socket.Listener{Listener: s.http})) })
	if s.admin != nil {
		parts.Go(func() error { return closed(operators.Serve(s.admin)) })
	}
	if s.admin != nil && s.cfg.adminBeyondLoopback() {
		s.log.WarnContext(ctx, "other machines may reach the admin address, which shows metrics and profiles to everybody",
			"admin", s.AdminAddr())
		if s.cfg.servesOps() {
			s.log.WarnContext(ctx, "everybody who can reach the admin address can disconnect people, drain replicas and end sessions at /ops there",
				"admin", s.AdminAddr(), "setting", "LAYERCAKE_OPS")
		}
	}
	close(s.ready)
	s.log.InfoContext(ctx, "serving", "url", "http://"+s.Addr(), "admin", s.AdminAddr(), "version", s.cfg.Version)

	select {
	case <-ctx.Done():
	case <-failed.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.Drain+stopGrace)
	defer cancel()
	_ = commands.Stop() // no command takes sockets again from here on; parts.Wait returns its error
	err := s.drain(stop, clients)
	stopParts()
	err = errors.Join(err, operators.Close(), parts.Wait()) // no Shutdown: a profile may take minutes
	s.log.InfoContext(stop, "stopped")
	return err
}

// drain lets the balancer notice, then closes the sockets bit by bit, then stops accepting and waits for requests in hand.
func (s *Server) drain(ctx context.Context, clients *http.Server) error {
	s.log.InfoContext(ctx, "draining", "time", s.cfg.Drain)
	s.sendAway(ctx, "stopping", s.cfg.Drain)
	s.sockets.Drain(ctx, 0) // each was told to go: this waits until all have ended
	if err := clients.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("requests did not end in time: %w", err), clients.Close())
	}
	return nil
}

// sendAway says why this replica is not ready, lets the balancer notice for a fifth of a time, and closes the sockets over the rest of it.
func (s *Server) sendAway(ctx context.Context, why string, over time.Duration) {
	s.unready.Store(&why)
	s.core.Builds.Drain()
	balancer := time.NewTimer(over / 5)
	defer balancer.Stop()
	select {
	case <-ctx.Done():
	case <-balancer.C:
	}
	s.sockets.SendAway(ctx, over-over/5)
}

// admit takes sockets again after sendAway.
// cancelBuild ends a build in the name of an operator.
func (s *Server) cancelBuild(ctx context.Context, projectID int32, nodeID string) error {
	operator := auth.Actor{ID: "operator", Kind: auth.KindSystem, Name: "Operator"}
	_, err := s.core.Builds.Cancel(ctx, auth.Unchecked(operator, projectID), nodeID, executor.Request{Via: "sql"})
	if fault.Is(err, fault.NotFound) {
		return nil // it went meanwhile
	}
	return err
}

func (s *Server) admit() {
	s.unready.Store(nil)
	s.core.Builds.Admit()
	s.sockets.Resume()
}

// answerTime is for a client to send a request and to read the answer. Sockets, once they are open, have limits of their own.
const answerTime = 2 * time.Minute

// maxHeader is the size of the largest header that is taken from a client; net/http answers 431 to larger ones, and adds 4 kB.
const maxHeader = 64<<10 - 4<<10

func (s *Server) clientServer(handler http.Handler) *http.Server {
	h := s.httpServer(handler)
	h.MaxHeaderBytes = maxHeader
	h.ReadTimeout, h.WriteTimeout = answerTime, answerTime // routes that read bodies or write much have deadlines of their own
	h.ConnContext = socket.WithConn
	return h
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
