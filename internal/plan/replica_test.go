package plan_test

import (
	"testing"

	"layercake/internal/auth"
	"layercake/internal/plan"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/project"
	"layercake/internal/server"
	"layercake/internal/server/servertest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Main(m)) }

// replica is the core of one server process: everything but its transports.
type replica struct {
	url       string // of its database
	name      string
	plans     *plan.Service
	proposals *plan.Proposals
	projects  *project.Service
	actor     auth.Actor
}

// writeSlots is what each replica has.
const writeSlots = 16

// startReplica runs a replica on a database until the test ends. Loss is the share of its lines that are dropped.
func startReplica(t testing.TB, url string, loss float64) *replica {
	t.Helper()
	core := servertest.StartCoreOn(t, url, func(c *server.Config) { c.WriteSlots, c.Loss = writeSlots, loss })
	name := core.Replica.Incarnation().String()[:8]
	return &replica{url: url, name: name, plans: core.Plans, proposals: core.Proposals, projects: core.Projects, actor: auth.Anonymous(name)}
}

// newProject makes a replica on a database of its own and a project in it.
func newProject(t testing.TB) (*replica, int32) {
	t.Helper()
	r := startReplica(t, pgtest.New(t), 0)
	return r, r.create(t)
}

func (r *replica) create(t testing.TB) int32 {
	t.Helper()
	p, err := r.projects.Create(t.Context(), auth.UncheckedReach(r.actor), project.Input{Name: "Test"})
	if err != nil {
		t.Fatal(err)
	}
	return p.ID
}

// change makes a change that must succeed.
func (r *replica) change(t testing.TB, project int32, edits ...plan.Edit) plan.Result {
	t.Helper()
	result, err := r.plans.Change(t.Context(), auth.Unchecked(r.actor, project), plan.Change{Via: "test", Edits: edits})
	if err != nil {
		t.Fatalf("change: %v", err)
	}
	return result
}

func (r *replica) dag(t testing.TB, project int32) plan.DAG {
	t.Helper()
	dag, err := r.plans.DAG(t.Context(), auth.Unchecked(r.actor, project))
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
