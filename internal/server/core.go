package server

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"

	"layercake/internal/agent"
	"layercake/internal/auth"
	"layercake/internal/collaborator"
	"layercake/internal/executor"
	"layercake/internal/fanout"
	"layercake/internal/feed"
	"layercake/internal/graphdata"
	"layercake/internal/plan"
	"layercake/internal/postgres"
	"layercake/internal/presence"
	"layercake/internal/project"
	"layercake/internal/replica"
	"layercake/internal/source"
	"layercake/internal/task"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
)

// sealedPayloads is the wire version from which replicas seal what they tell each other.
const sealedPayloads = 3

// CrashStatus is the exit status of a process that died because Config.Crash asked for it.
const CrashStatus = 86

// Core is the storage and the core of one replica, without transports. Make it with OpenCore, then Run it once. A transport is given the
// services that it needs; tests run as many cores on one database as they like.
type Core struct {
	DB            *postgres.DB
	Accounts      *auth.Accounts
	Collaborators *collaborator.Service
	Keeper        *auth.Keeper
	Rights        *auth.Rights
	Wire          *fanout.Wire
	Hub           *feed.Hub
	Replica       *replica.Replica
	Presence      *presence.Tracker
	Plans         *plan.Service
	Proposals     *plan.Proposals
	Projects      *project.Service
	Agents        *agent.Service
	Sources       *source.Service
	Graphs        *graphdata.Service
	Builds        *executor.Service

	log *slog.Logger // names the replica
}

// OpenCore connects to a database with the current schema, and makes the parts from the storage up. It starts nothing: topics, figures
// and whatever else hangs on a part are added before Run. The caller closes DB when Run has ended, or if it never runs.
func OpenCore(ctx context.Context, cfg Config, metrics prometheus.Registerer) (*Core, error) {
	incarnation := uuid.New()
	name := incarnation.String()
	c := &Core{log: cfg.Log.With("replica", name[:8])}
	var err error
	c.DB, err = postgres.Open(ctx, postgres.Config{
		URL: cfg.DatabaseURL, Pooled: cfg.Pooled, DirectURL: cfg.listenURL(), Replica: name,
		PoolMax: cfg.PoolMax, PoolMin: cfg.PoolMin, Replicas: cfg.Replicas, Log: c.log, Metrics: metrics, Timing: cfg.Database,
	})
	if err != nil {
		return nil, err
	}
	c.Rights = auth.NewRights(c.DB, cfg.Open)
	c.Keeper = auth.NewKeeper(auth.KeeperConfig{DB: c.DB.System, Idle: cfg.SessionIdle, Log: c.log, Metrics: metrics})
	c.Accounts, err = auth.NewAccounts(auth.AccountsConfig{
		DB: c.DB, Registration: cfg.registers(), Passwords: !cfg.NoPasswords, SessionTTL: cfg.SessionTTL, SessionIdle: cfg.SessionIdle,
		PasswordList: cfg.PasswordList, Patience: cfg.Patience, ContextWords: cfg.knownNames(), Log: c.log,
	})
	if err != nil {
		c.DB.Close()
		return nil, err
	}
	c.Wire = fanout.New(fanout.Config{
		URL: cfg.listenURL(), Replica: name, Loss: cfg.Loss, Log: c.log, Metrics: metrics,
		Former: func() bool { return c.Replica.Oldest() < sealedPayloads }, // called after Run began
	})
	c.Hub = feed.NewHub(feed.Config{DB: c.DB, Wire: c.Wire, Check: plan.CheckEvent, Log: c.log, Metrics: metrics})
	c.Replica = replica.New(replica.Config{
		DB: c.DB, Version: cfg.Version, Required: !cfg.Open, Exposed: cfg.exposed(), Incarnation: incarnation,
		BuildMemory: cfg.sharedBuildMemory(),
		Log:         c.log, Metrics: metrics, Timing: cfg.Lease,
	})
	if err := c.Replica.ReadOldest(ctx); err != nil {
		c.DB.Close()
		return nil, fmt.Errorf("ask which replicas live: %w", err)
	}
	c.Presence = presence.New(presence.Config{
		DB: c.DB, Wire: c.Wire, Replica: c.Replica, Log: c.log, Metrics: metrics, Timing: cfg.Presence, GuestsPerAddress: cfg.MaxGuests,
	})
	c.Plans = plan.NewService(plan.Config{
		DB: c.DB, Hub: c.Hub, WriteSlots: cfg.WriteSlots, Log: c.log, Metrics: metrics, Oldest: c.Replica.Oldest,
		AfterCommit: cfg.crash(), Timing: cfg.Changes,
	})
	c.Collaborators = collaborator.NewService(collaborator.Config{DB: c.DB, Plans: c.Plans, Rights: c.Rights, Accounts: c.Accounts})
	c.Proposals = plan.NewProposals(plan.ProposalsConfig{Plans: c.Plans, DB: c.DB, Wire: c.Wire, Log: c.log, Metrics: metrics})
	c.Projects = project.NewService(project.Config{DB: c.DB, Wire: c.Wire})
	c.Sources = source.NewService(source.Config{
		DB: c.DB, Plans: c.Plans, MaxUpload: int64(cfg.MaxUpload), Log: c.log, Metrics: metrics,
	})
	c.Graphs = graphdata.NewService(graphdata.Config{DB: c.DB})
	c.Builds = executor.NewService(executor.Config{
		DB: c.DB, Wire: c.Wire, Plans: c.Plans, Projects: c.Projects, Sources: c.Sources, Graphs: c.Graphs,
		Incarnation: c.Replica.Incarnation, Lost: c.Replica.Lost,
		Builds: cfg.Builds, Memory: int64(cfg.BuildMemory), Limit: cfg.BuildTimeout, Log: c.log, Metrics: metrics, Timing: cfg.BuildTiming,
		Reached: cfg.Reached,
	})
	c.Agents = agent.New(agent.Config{DB: c.DB, Wire: c.Wire, Incarnation: c.Replica.Incarnation, Log: c.log, Metrics: metrics})

	c.Replica.Figure("open_feeds", func() int64 { feeds, _ := c.Hub.Size(); return int64(feeds) })
	c.Replica.Figure("feed_bytes", func() int64 { _, bytes := c.Hub.Size(); return int64(bytes) })
	c.Replica.Figure("max_lag", c.Hub.Lag)
	c.Replica.Figure("heartbeat_ms", func() int64 { return int64(c.Wire.Heartbeat()) })
	c.Replica.CountProjects(replica.Watchers, c.Hub.Watchers)
	return c, nil
}

// Run runs the parts of a replica that serves clients at an address, until ctx ends or one of them fails. Builds give back what they have
// claimed, which is held under the lease and told as events; presence takes its last rows out from under the lease, and the wire carries
// its last lines. So builds end first, then presence; then the lease is given back; then the rest of storage ends.
func (c *Core) Run(ctx context.Context, address string) error {
	storage, stopStorage := context.WithCancel(context.WithoutCancel(ctx))
	defer stopStorage()
	parts, failed := errgroup.WithContext(storage)
	parts.Go(func() error { return c.Hub.Run(storage) })
	parts.Go(func() error { return c.Proposals.Run(storage) })
	parts.Go(func() error { return c.Wire.Run(storage) })
	parts.Go(func() error { return c.Agents.Run(storage) })
	parts.Go(func() error { return c.Keeper.Run(storage) })
	lease := task.Go(storage, func(ctx context.Context) error { return c.Replica.Run(ctx, address) })
	parts.Go(lease.Wait)
	people := task.Go(storage, c.Presence.Run)
	parts.Go(people.Wait)
	builds := task.Go(storage, c.Builds.Run)
	parts.Go(builds.Wait)

	select {
	case <-ctx.Done():
	case <-failed.Done():
	}
	_, _, _ = builds.Stop(), people.Stop(), lease.Stop() // parts.Wait returns their errors
	stopStorage()
	return parts.Wait()
}

// crash returns what dies after some commits, or nil unless a fault test asked for it.
func (c Config) crash() func() {
	if c.Crash == 0 {
		return nil
	}
	return func() {
		if rand.Float64() < c.Crash {
			os.Exit(CrashStatus)
		}
	}
}
