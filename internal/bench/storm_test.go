package bench_test

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"layercake/internal/bench"
	"layercake/internal/plan"
	"layercake/internal/postgres"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server"
	"layercake/internal/server/servertest"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Main(m)) }

// config is of a storm that ends by the number of its changes: how long they take depends on the machine.
func config(replicas []*servertest.Replica) bench.Config {
	return bench.Config{
		URLs: servertest.URLs(replicas), Mutators: 12, Duration: time.Minute, Changes: 200, Projects: 1, Subscribers: 2, Seed: 1,
		Settle: time.Minute,
	}
}

func storm(ctx context.Context, t *testing.T, cfg bench.Config) bench.Result {
	t.Helper()
	result, err := bench.Storm(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	if err := result.Write(&table); err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", table.String())
	return result
}

// converged demands that every subscriber saw a real number of changes, each once and in order.
func converged(t *testing.T, cfg bench.Config, r bench.Result) {
	t.Helper()
	if !r.OK() {
		t.Errorf("not every subscriber got every change: %q", r.Complaints)
	}
	for words := range r.Surprises {
		// A machine that stalls lets a change wait for too long, and then it is made again.
		if !strings.HasPrefix(words, "UNAVAILABLE: ") {
			t.Errorf("a refusal that mutators do not cause each other: %s", words)
		}
	}
	watchers := int64(cfg.Subscribers * len(cfg.URLs)) // of each project
	if r.Answered < cfg.Changes || r.Unresolved > 0 || r.Snapshots > 0 || r.Deliveries != r.Answered*watchers {
		t.Errorf("%d changes answered, %d unresolved, %d snapshots, %d deliveries: want %d or more, 0, 0, %d each",
			r.Answered, r.Unresolved, r.Snapshots, r.Deliveries, cfg.Changes, watchers)
	}
	if r.Change.Count != r.Answered || r.Same.Count+r.Other.Count != r.Deliveries {
		t.Errorf("latencies of %d changes, %d and %d deliveries", r.Change.Count, r.Same.Count, r.Other.Count)
	}
	if len(cfg.URLs) > 1 && (r.Same.Count == 0 || r.Other.Count == 0) {
		t.Errorf("%d deliveries by the same replica, %d by others", r.Same.Count, r.Other.Count)
	}
}

func TestStormOverOneProject(t *testing.T) {
	t.Parallel()
	cfg := config(servertest.Start(t, 3, nil))
	converged(t, cfg, storm(t.Context(), t, cfg))
}

// Where everybody signs in, each mutator has an account and an invitation, and somebody else follows.
func TestStormOfAccounts(t *testing.T) {
	t.Parallel()
	cfg := config(servertest.Start(t, 2, func(c *server.Config) { c.Open, c.Registration = false, "open" }))
	cfg.Accounts, cfg.Projects, cfg.Mutators, cfg.Deltas = true, 2, 4, 1
	r := storm(t.Context(), t, cfg)
	if !r.OK() || r.Answered < cfg.Changes {
		t.Errorf("%d changes answered; not every subscriber got every change: %q", r.Answered, r.Complaints)
	}
	cfg.Accounts = false
	if _, err := bench.Storm(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "UNAUTHENTICATED") {
		t.Errorf("without accounts: %v", err)
	}
}

func TestStormOverManyProjects(t *testing.T) {
	t.Parallel()
	cfg := config(servertest.Start(t, 2, nil))
	cfg.Projects, cfg.Subscribers = 5, 1
	converged(t, cfg, storm(t.Context(), t, cfg))
}

// Some follow as the existing client does, and some hang up again and again.
func TestStormWithAllKindsOfSubscribers(t *testing.T) {
	t.Parallel()
	cfg := config(servertest.Start(t, 3, nil))
	cfg.Projects, cfg.Subscribers, cfg.Deltas, cfg.Nappers = 2, 1, 2, 2
	r := storm(t.Context(), t, cfg)
	if !r.OK() || r.Answered < cfg.Changes {
		t.Errorf("%d changes answered; not every subscriber got every change: %q", r.Answered, r.Complaints)
	}
}

// What lines between replicas do not carry, the sweep brings.
func TestStormWhileLinesAreLost(t *testing.T) {
	t.Parallel()
	cfg := config(servertest.Start(t, 3, func(c *server.Config) { c.Loss = 0.2 }))
	converged(t, cfg, storm(t.Context(), t, cfg))
}

// A replica that leaves takes its sockets with it; mutators and subscribers go on at the others.
func TestStormWhileAReplicaLeaves(t *testing.T) {
	t.Parallel()
	replicas := servertest.Start(t, 3, nil)
	cfg := config(replicas)
	cfg.Changes = 0
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	left := make(chan struct{})
	var leaving sync.WaitGroup
	defer leaving.Wait()
	// A line of progress comes each second: the first says that the storm has begun. It ends at the next one after the replica.
	cfg.Progress = writer(func(line int) {
		if line == 1 {
			leaving.Go(func() {
				defer close(left)
				replicas[0].Stop(t)
			})
		}
		select {
		case <-left:
			cancel()
		default:
		}
	})
	r := storm(ctx, t, cfg)
	if !r.OK() {
		t.Errorf("not every subscriber got every change: %q", r.Complaints)
	}
	if r.Reconnects < int64(cfg.Subscribers) {
		t.Errorf("%d reconnects, want those of the replica that left", r.Reconnects)
	}
}

// writer calls a function with the number of each line, from 1.
func writer(f func(line int)) *lines { return &lines{f: f} }

type lines struct {
	n int
	f func(int)
}

func (l *lines) Write(b []byte) (int, error) {
	l.n++
	l.f(l.n)
	return len(b), nil
}

func TestStormEndsEarlyWithWhatItHas(t *testing.T) {
	t.Parallel()
	cfg := config(servertest.Start(t, 1, nil))
	cfg.Duration, cfg.Changes = time.Hour, 0
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cfg.Progress = writer(func(int) { cancel() })
	r := storm(ctx, t, cfg)
	if !r.OK() || r.Answered == 0 {
		t.Errorf("result = %+v, want changes and no complaint", r)
	}
}

func TestStormSaysThatNobodyIsThere(t *testing.T) {
	t.Parallel()
	cfg := config(nil)
	cfg.URLs = []string{"http://127.0.0.1:1"}
	if _, err := bench.Storm(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "do the replicas run?") {
		t.Errorf("error = %v, want one that asks for the replicas", err)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		spoil func(*bench.Config)
		want  string // "" when it is fine
	}{
		{"fine", func(*bench.Config) {}, ""},
		{"localhost", func(c *bench.Config) { c.URLs = []string{"http://localhost:3001", "http://[::1]:3002"} }, ""},
		{"elsewhere", func(c *bench.Config) { c.URLs = []string{"http://192.0.2.1:3001"} }, "--allow-remote"},
		{"elsewhere by name", func(c *bench.Config) { c.URLs = []string{"https://layercake.example"} }, "--allow-remote"},
		{"elsewhere, allowed", func(c *bench.Config) { c.URLs, c.AllowRemote = []string{"https://layercake.example"}, true }, ""},
		{"no URL", func(c *bench.Config) { c.URLs = nil }, "no URL"},
		{"not a URL", func(c *bench.Config) { c.URLs = []string{"127.0.0.1:3001"} }, "has the form http://host:port"},
		{"a path", func(c *bench.Config) { c.URLs = []string{"http://127.0.0.1:3001/graphql"} }, "has the form http://host:port"},
		{"no mutators", func(c *bench.Config) { c.Mutators = 0 }, "mutators is 0: it is from 1 to 2000"},
		{"too short", func(c *bench.Config) { c.Duration = 0 }, "duration is 0s"},
		{"no projects", func(c *bench.Config) { c.Projects = 0 }, "projects is 0"},
		{"negative changes", func(c *bench.Config) { c.Changes = -1 }, "changes is -1"},
		{"negative rate", func(c *bench.Config) { c.Rate = -1 }, "rate is -1"},
		{"too many sockets", func(c *bench.Config) { c.Projects, c.Subscribers = 1000, 6 }, "5000 sockets in all"},
		{"no time to settle", func(c *bench.Config) { c.Settle = 0 }, "settle is 0s"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg := config(nil)
			cfg.URLs = []string{"http://127.0.0.1:3001"}
			tt.spoil(&cfg)
			err := cfg.Check()
			if (tt.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want %q", err, tt.want)
			}
		})
	}
}

// Whatever happens to connections and replicas, watchers get everything, and no goroutine stays behind (TestMain looks).
func TestStormInChaos(t *testing.T) {
	t.Parallel()
	direct := pgtest.New(t)
	proxy, through := pgtest.Proxy(t, direct)
	replicas := servertest.StartOn(t, direct, 3, func(c *server.Config) {
		c.DatabaseURL, c.Loss = through, 0.05
		// A replica that stops waits for its requests. They give up a silent database in the time of a deployment, not in that of tests.
		c.Database, c.Changes, c.Patience = postgres.DefaultTiming, plan.DefaultTiming, 0
	})
	cfg := config(replicas)
	cfg.Changes, cfg.Rate, cfg.Projects, cfg.Subscribers, cfg.Deltas, cfg.Nappers = 0, 100, 2, 1, 1, 1
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var leaving sync.WaitGroup
	defer leaving.Wait()
	harm := []func(){
		func() { terminate(t, direct, "listener") },
		func() { terminate(t, direct, "") },
		func() {
			proxy.Silence(func(application string) bool { return strings.HasSuffix(application, "/publisher") })
		},
		func() { proxy.Silence(func(string) bool { return true }) },
		func() { leaving.Go(func() { replicas[0].Stop(t) }) },
	}
	// A line of progress comes each second.
	cfg.Progress = writer(func(line int) {
		if line > len(harm) {
			cancel()
			return
		}
		harm[line-1]()
	})
	if r := storm(ctx, t, cfg); !r.OK() || r.Answered == 0 || r.Reconnects == 0 {
		t.Errorf("%d changes, %d reconnects; not every subscriber got every change: %q", r.Answered, r.Reconnects, r.Complaints)
	}
}

// terminate ends sessions of replicas in the database of the test.
func terminate(t *testing.T, database, role string) {
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	_, err = conn.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND application_name LIKE 'layercake/%' || $1`, role)
	if err != nil {
		t.Error(err)
	}
}
