package plan_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"layercake/internal/auth"
	"layercake/internal/fanout"
	"layercake/internal/feed"
	"layercake/internal/plan"
	"layercake/internal/postgres"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/project"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Main(m)) }

// replica is the core of one server process: everything but its transports.
type replica struct {
	name     string
	plans    *plan.Service
	projects *project.Service
	hub      *feed.Hub
	actor    auth.Actor
}

// writeSlots is what each replica has.
const writeSlots = 16

// startReplica runs a replica on a database until the test ends. Loss is the share of its lines that are dropped.
func startReplica(t testing.TB, url string, loss float64) *replica {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	registry := prometheus.NewRegistry()
	name := uuid.NewString()[:8]
	db, err := postgres.Open(t.Context(), postgres.Config{
		URL: url, DirectURL: url, Replica: name, PoolMax: 20, PoolMin: 1, Replicas: 8, Log: log, Metrics: registry,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	wire := fanout.New(fanout.Config{URL: url, Replica: name, Loss: loss, Log: log, Metrics: registry})
	hub := feed.NewHub(feed.Config{System: db.System, Wire: wire, Log: log, Metrics: registry})
	ctx, stop := context.WithCancel(context.Background())
	var g errgroup.Group
	g.Go(func() error { return hub.Run(ctx) })
	g.Go(func() error { return wire.Run(ctx) })
	t.Cleanup(func() {
		stop()
		if err := g.Wait(); err != nil {
			t.Errorf("replica %s: %v", name, err)
		}
	})
	select {
	case <-wire.Ready():
	case <-time.After(pgtest.Patience):
		t.Fatal("the wire did not come up")
	}
	return &replica{
		name:     name,
		plans:    plan.NewService(plan.Config{DB: db, Hub: hub, WriteSlots: writeSlots, Metrics: registry}),
		projects: project.NewService(project.Config{DB: db}),
		hub:      hub,
		actor:    auth.Anonymous(name),
	}
}

// newProject makes a replica on a database of its own and a project in it.
func newProject(t testing.TB) (*replica, int32) {
	t.Helper()
	r := startReplica(t, pgtest.New(t), 0)
	return r, r.create(t)
}

func (r *replica) create(t testing.TB) int32 {
	t.Helper()
	p, err := r.projects.Create(t.Context(), r.actor, project.Input{Name: "Test"})
	if err != nil {
		t.Fatal(err)
	}
	return p.ID
}

// change makes a change that must succeed.
func (r *replica) change(t testing.TB, project int32, edits ...plan.Edit) plan.Result {
	t.Helper()
	result, err := r.plans.Change(t.Context(), r.actor, project, plan.Change{Via: "test", Edits: edits})
	if err != nil {
		t.Fatalf("change: %v", err)
	}
	return result
}

func (r *replica) dag(t testing.TB, project int32) plan.DAG {
	t.Helper()
	dag, err := r.plans.DAG(t.Context(), r.actor, project)
	if err != nil {
		t.Fatal(err)
	}
	return dag
}

func node(id string, kind plan.NodeType) plan.Node {
	return plan.Node{ID: id, NodeType: kind, Metadata: plan.NodeMetadata{Label: id}, Config: "{}"}
}

func edge(id, source, target string) plan.Edge {
	return plan.Edge{ID: id, Source: source, Target: target, Metadata: plan.EdgeMetadata{DataType: plan.GraphData}}
}
