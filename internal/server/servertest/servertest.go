// Package servertest runs replicas of a deployment, or their cores alone, inside a test, on one database.
package servertest

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"layercake/internal/plan"
	"layercake/internal/postgres"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/replica"
	"layercake/internal/server"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
)

// Replica is one running server.
type Replica struct {
	URL   string // such as http://127.0.0.1:34567
	Admin string // of metrics and profiles, when a test asked for an address

	*running
}

// Start runs n replicas on a new database until the test ends. Configure, when it is not nil, changes what each is told.
func Start(t testing.TB, n int, configure func(*server.Config)) []*Replica {
	t.Helper()
	return StartOn(t, pgtest.New(t), n, configure)
}

// StartOn is Start on a database that the test has.
func StartOn(t testing.TB, database string, n int, configure func(*server.Config)) []*Replica {
	t.Helper()
	replicas := make([]*Replica, n)
	for i := range replicas {
		cfg := config(database)
		if configure != nil {
			configure(&cfg)
		}
		replicas[i] = start(t, cfg)
	}
	return replicas
}

// Lease is the timing of the replicas' leases, unless a test says otherwise: half of what a deployment has, so that nobody waits long
// for the end of one, and a replica that other tests keep from the processor does not lose its own.
var Lease = replica.Timing{
	TTL: replica.DefaultTiming.TTL / 2, Renew: replica.DefaultTiming.Renew / 2, Retry: replica.DefaultTiming.Retry / 2,
	Reap: replica.DefaultTiming.Reap / 2, Steady: replica.DefaultTiming.Steady, Query: patience / 3,
}

// LongLease is the timing of replicas of which one is killed or suspended. No load makes the others lose theirs: Process.Expire ends that
// of the one, rather than time.
var LongLease = replica.Timing{
	TTL: patience, Renew: time.Second, Retry: 250 * time.Millisecond, Reap: 250 * time.Millisecond, Steady: 1, Query: patience / 3,
}

// patience is how long replicas wait for their database, unless a test says otherwise: what a busy machine is late with succeeds.
const patience = pgtest.Patience / 2

// config is what replicas are told unless a test says otherwise.
func config(database string) server.Config {
	return server.Config{
		DatabaseURL: database, HTTPAddr: "127.0.0.1:0", Open: true, Migrate: true,
		PoolMax: 20, PoolMin: 1, Replicas: 8, WriteSlots: 16, Drain: 100 * time.Millisecond,
		Builds: 2, BuildMemory: 2 << 30, BuildTimeout: patience,
		EventRetention: time.Hour, CleanUp: time.Minute, Lease: Lease,
		Database: postgres.Timing{Acquire: patience, Statement: patience, Lock: patience, IdleInTransaction: patience},
		Changes:  plan.Timing{Answer: patience, Write: patience - 5*time.Second},
		Patience: patience,
		Version:  "test", Log: slog.New(slog.DiscardHandler),
	}
}

func start(t testing.TB, cfg server.Config) *Replica {
	t.Helper()
	s := server.New(cfg)
	r := &Replica{running: run(t, s.Run, s.Ready())}
	r.URL = "http://" + s.Addr()
	if admin := s.AdminAddr(); admin != "" {
		r.Admin = "http://" + admin
	}
	return r
}

// Core is a running core: a replica without transports.
type Core struct {
	*server.Core
	*running

	Database string // its URL
}

// StartCore runs a core on a new database until the test ends. It returns when the core hears other replicas and has its first lease.
// Configure, when it is not nil, changes what the core is told.
func StartCore(t testing.TB, configure func(*server.Config)) *Core {
	t.Helper()
	return StartCoreOn(t, pgtest.New(t), configure)
}

// StartCoreOn is StartCore on a database that the test has, beside the cores and replicas that run there already.
func StartCoreOn(t testing.TB, database string, configure func(*server.Config)) *Core {
	t.Helper()
	cfg := config(database)
	if configure != nil {
		configure(&cfg)
	}
	core, err := server.OpenCore(t.Context(), cfg, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	begun := make(chan struct{})
	first := sync.OnceFunc(func() { close(begun) })
	core.Replica.OnBegin(func(uuid.UUID) { first() })
	work := func(ctx context.Context) error {
		defer core.DB.Close()
		return core.Run(ctx, "here")
	}
	return &Core{Core: core, running: run(t, work, core.Wire.Ready(), begun), Database: database}
}

// running is what a test started, and stops.
type running struct {
	cancel context.CancelFunc
	ended  chan struct{}
	err    error // read it after ended
}

// run runs f until the test ends. It returns when all of ready are closed.
func run(t testing.TB, f func(context.Context) error, ready ...<-chan struct{}) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(r.ended)
		r.err = f(ctx)
	}()
	t.Cleanup(func() { r.Stop(t) })
	patience := time.After(pgtest.Patience)
	for _, event := range ready {
		select {
		case <-event:
		case <-r.ended:
			t.Fatalf("it ended before it was ready: %v", r.err)
		case <-patience:
			t.Fatal("it did not get ready")
		}
	}
	return r
}

// Stop ends what runs in order, and waits until all of it has ended. Stopping again does nothing.
func (r *running) Stop(t testing.TB) {
	t.Helper()
	r.cancel()
	select {
	case <-r.ended:
		if r.err != nil {
			t.Errorf("it ended with: %v", r.err)
		}
	case <-time.After(pgtest.Patience):
		t.Error("it did not end")
	}
}

// URLs returns the replicas' addresses.
func URLs(replicas []*Replica) []string {
	urls := make([]string, len(replicas))
	for i, r := range replicas {
		urls[i] = r.URL
	}
	return urls
}

// addresses are those that Address has returned.
var addresses sync.Map

// Address returns an address of 127.0.0.1 that nobody uses, and whose port the system gives to nobody who lets it choose: a replica
// that is stopped finds it free when it starts again.
func Address(t testing.TB) string {
	t.Helper()
	for range 1000 {
		address := fmt.Sprintf("127.0.0.1:%d", 10_000+rand.N(10_000))
		if _, taken := addresses.LoadOrStore(address, true); taken {
			continue
		}
		listener, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		_ = listener.Close() // it was only asked for
		return address
	}
	t.Fatal("no free address")
	return ""
}

// Fails returns why a replica of the database does not start.
func Fails(t testing.TB, database string, configure func(*server.Config)) error {
	t.Helper()
	cfg := config(database)
	configure(&cfg)
	ctx, cancel := context.WithTimeout(t.Context(), pgtest.Patience)
	defer cancel()
	s := server.New(cfg)
	go func() {
		select {
		case <-s.Ready():
			cancel()
		case <-ctx.Done():
		}
	}()
	return s.Run(ctx)
}
