package executor_test

import (
	"context"
	"log/slog"
	"testing"

	"layercake/internal/auth"
	"layercake/internal/executor"
	"layercake/internal/plan"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/project"
	"layercake/internal/server"
	"layercake/internal/server/servertest"

	"github.com/google/uuid"
)

// replica is a running core, and somebody who asks it for things.
type replica struct {
	*servertest.Core
	actor auth.Actor
}

func start(t testing.TB, database string, changes ...func(*server.Config)) *replica {
	t.Helper()
	core := servertest.StartCoreOn(t, database, func(c *server.Config) {
		c.Log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
		for _, change := range changes {
			change(c)
		}
	})
	return &replica{Core: core, actor: auth.Anonymous("tester")}
}

// newProject makes a project with a plan of nodes, and edges that are written "from to".
func (r *replica) newProject(t testing.TB, edits ...plan.Edit) int32 {
	t.Helper()
	p, err := r.Projects.Create(t.Context(), auth.UncheckedReach(r.actor), project.Input{Name: "Project"})
	if err != nil {
		t.Fatal(err)
	}
	if len(edits) > 0 {
		r.edit(t, p.ID, edits...)
	}
	return p.ID
}

func (r *replica) edit(t testing.TB, project int32, edits ...plan.Edit) plan.Result {
	t.Helper()
	done, err := r.Plans.Change(t.Context(), auth.Unchecked(r.actor, project), plan.Change{Edits: edits})
	if err != nil {
		t.Fatal(err)
	}
	return done
}

func node(kind plan.NodeType, id, config string) plan.AddNode {
	return plan.AddNode{Node: plan.Node{ID: id, NodeType: kind, Metadata: plan.NodeMetadata{Label: id}, Config: config}}
}

func edge(from, to string) plan.AddEdge {
	return plan.AddEdge{Edge: plan.Edge{ID: from + "-" + to, Source: from, Target: to, Metadata: plan.EdgeMetadata{DataType: plan.GraphData}}}
}

// execute asks for a node, or for all with "", and waits until it has ended. A busy machine may take longer than one request waits, so it
// repeats the request: by its id that asks for nothing again.
func (r *replica) execute(t testing.TB, project int32, id string) executor.Outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*pgtest.Patience)
	defer cancel()
	request := executor.Request{OpID: uuid.NewString(), Wait: pgtest.Patience}
	for {
		done, err := r.Builds.Execute(ctx, auth.Unchecked(r.actor, project), id, request)
		if err != nil {
			t.Fatal(err)
		}
		if done.Done {
			return done
		}
	}
}

func TestEmptyGraph(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	a, b := start(t, database), start(t, database)
	p := a.newProject(t, node(plan.GraphNode, "g", "{}"), node(plan.CopyNode, "c", "{}"), edge("g", "c"))
	done := a.execute(t, p, "c")
	if len(done.Nodes) != 2 || done.Nodes[0].State != "completed" || done.Nodes[1].State != "completed" {
		t.Fatalf("%+v", done)
	}
	again := b.execute(t, p, "")
	if again.At.Version > done.At.Version+2 {
		t.Errorf("%+v", again)
	}
	dag, err := b.Plans.DAG(t.Context(), auth.Unchecked(b.actor, p))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range dag.Nodes {
		t.Logf("%s %+v", n.ID, n.GraphExecution)
	}
}
