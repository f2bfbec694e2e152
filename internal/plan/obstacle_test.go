package plan_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"layercake/internal/auth"
	"layercake/internal/fault"
	"layercake/internal/plan"
	"layercake/internal/postgres/pgtest"
)

// addEdge adds an edge in the background and returns where the outcome will be.
func (r *replica) addEdge(ctx context.Context, project int32, e plan.Edge) <-chan error {
	added := make(chan error, 1)
	go func() {
		_, err := r.plans.Change(ctx, auth.Unchecked(r.actor, project), plan.Change{Edits: []plan.Edit{plan.AddEdge{Edge: e}}})
		added <- err
	}()
	return added
}

// awaitEdgeWaiters returns when so many edges of a project wait for others to go.
func (r *replica) awaitEdgeWaiters(t *testing.T, project int32, want int) {
	t.Helper()
	r.plans.EdgeWaitersChanged().Await(t, fmt.Sprintf("%d edges to wait", want), func() bool { return r.plans.EdgeWaiters(project) == want })
}

// Moving an end of an edge deletes it and adds another at the same moment. When the addition is decided first, on whichever replica,
// it is made as soon as the other edge has gone.
func TestEdgeWaitsForTheOneInItsPlace(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	here, there := startReplica(t, url, 0), startReplica(t, url, 0)
	here.plans.EdgePatience(pgtest.Patience)
	p := here.create(t)
	here.change(t, p,
		plan.AddNode{Node: node("a", plan.GraphNode)}, plan.AddNode{Node: node("b", plan.GraphNode)},
		plan.AddNode{Node: node("one", plan.TransformNode)}, plan.AddNode{Node: node("copy", plan.CopyNode)},
		plan.AddNode{Node: node("x", plan.OutputNode)}, plan.AddNode{Node: node("y", plan.OutputNode)},
	)
	for name, edges := range map[string][2]plan.Edge{
		"the only input":      {edge("in 1", "a", "one"), edge("in 2", "b", "one")},
		"the only output":     {edge("out 1", "copy", "x"), edge("out 2", "copy", "y")},
		"the same ends":       {edge("same 1", "a", "b"), edge("same 2", "a", "b")},
		"the same id":         {edge("id", "b", "x"), edge("id", "b", "y")},
		"the other direction": {edge("there", "a", "b"), edge("back", "b", "a")},
	} {
		for _, deletes := range []*replica{here, there} {
			here.change(t, p, plan.AddEdge{Edge: edges[0]})
			added := here.addEdge(t.Context(), p, edges[1])
			here.awaitEdgeWaiters(t, p, 1)
			here.change(t, p, plan.UpdateNode{ID: "a", Position: &plan.Position{X: 1}}) // nobody waits for it
			deletes.change(t, p, plan.DeleteEdge{ID: edges[0].ID})
			if err := <-added; err != nil {
				t.Errorf("%s, deleted by %s: %v", name, deletes.name, err)
			}
			here.change(t, p, plan.UpdateNode{ID: "a", Position: &plan.Position{}}, plan.DeleteEdge{ID: edges[1].ID})
		}
	}
}

func TestEdgesThatDoNotWait(t *testing.T) {
	t.Parallel()
	r, p := newProject(t)
	r.change(t, p,
		plan.AddNode{Node: node("a", plan.GraphNode)}, plan.AddNode{Node: node("b", plan.GraphNode)},
		plan.AddNode{Node: node("c", plan.GraphNode)}, plan.AddEdge{Edge: edge("1", "a", "b")},
	)
	again := plan.AddEdge{Edge: edge("2", "a", "b")}
	refused := func(name string, err error, code fault.Code) {
		t.Helper()
		if !fault.Is(err, code) {
			t.Errorf("%s: %v, want %v", name, err, code)
		}
		if n := r.plans.EdgeWaiters(p); n != 0 {
			t.Errorf("%s: %d still wait", name, n)
		}
	}

	r.plans.EdgePatience(time.Millisecond)
	refused("nobody deletes the other edge", <-r.addEdge(t.Context(), p, again.Edge), fault.BadRequest)

	r.plans.EdgePatience(time.Hour)
	refused("a loop", <-r.addEdge(t.Context(), p, edge("2", "b", "b")), fault.BadRequest)
	refused("an end that is not there", <-r.addEdge(t.Context(), p, edge("2", "a", "z")), fault.BadRequest)
	version := r.dag(t, p).At.Version
	for name, change := range map[string]plan.Change{
		"several edits":       {Edits: []plan.Edit{plan.AddEdge{Edge: edge("3", "b", "c")}, again}},
		"an expected version": {Edits: []plan.Edit{again}, Expected: &version},
		"a whole plan":        {Edits: []plan.Edit{plan.Replace{Base: fmt.Sprint(version), Edges: []plan.Edge{edge("1", "a", "b"), again.Edge}}}},
	} {
		_, err := r.plans.Change(t.Context(), auth.Unchecked(r.actor, p), change)
		if err == nil {
			t.Errorf("%s: it succeeded", name)
		}
		if n := r.plans.EdgeWaiters(p); n != 0 {
			t.Errorf("%s: %d wait", name, n)
		}
	}

	// Many may wait. Another one is refused at once, until one of them has gone.
	ctx, hangUp := context.WithCancel(t.Context())
	var waiting sync.WaitGroup
	for range plan.MaxEdgeWaiters {
		waiting.Go(func() {
			if err := <-r.addEdge(ctx, p, again.Edge); err == nil {
				t.Error("an edge was added beside another one")
			}
		})
	}
	r.awaitEdgeWaiters(t, p, plan.MaxEdgeWaiters)
	if err := <-r.addEdge(t.Context(), p, again.Edge); !fault.Is(err, fault.BadRequest) {
		t.Errorf("one too many: %v", err)
	}
	if n := r.plans.EdgeWaiters(p); n != plan.MaxEdgeWaiters {
		t.Errorf("one too many was not refused at once: %d wait by now", n)
	}
	hangUp()
	waiting.Wait()
	r.awaitEdgeWaiters(t, p, 0)
}

// Of several edges in its place each has to go, and when the whole project goes, the edge has nowhere to be.
func TestEdgeWaitsForSeveral(t *testing.T) {
	t.Parallel()
	r, p := newProject(t)
	r.plans.EdgePatience(pgtest.Patience)
	r.change(t, p,
		plan.AddNode{Node: node("a", plan.GraphNode)}, plan.AddNode{Node: node("copy", plan.CopyNode)},
		plan.AddNode{Node: node("x", plan.OutputNode)}, plan.AddNode{Node: node("y", plan.OutputNode)},
		plan.AddEdge{Edge: edge("1", "copy", "x")}, plan.AddEdge{Edge: edge("2", "a", "y")},
	)
	added := r.addEdge(t.Context(), p, edge("3", "copy", "y"))
	r.awaitEdgeWaiters(t, p, 1)
	r.change(t, p, plan.DeleteEdge{ID: "1"})
	r.change(t, p, plan.DeleteNode{ID: "a"}) // and its edge
	if err := <-added; err != nil {
		t.Error(err)
	}

	added = r.addEdge(t.Context(), p, edge("4", "copy", "x"))
	r.awaitEdgeWaiters(t, p, 1)
	if err := r.projects.Delete(t.Context(), auth.Unchecked(r.actor, p)); err != nil {
		t.Fatal(err)
	}
	if err := <-added; !fault.Is(err, fault.NotFound) {
		t.Errorf("in a deleted project: %v, want NOT_FOUND", err)
	}
}

// All edges end where they were moved to, whichever of the two requests comes first on which replica.
func TestEdgesMoveBetweenReplicas(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	here, there := startReplica(t, url, 0.1), startReplica(t, url, 0.1)
	p := here.create(t)
	const sources, moves = 4, 100
	edits := []plan.Edit{plan.AddNode{Node: node("target", plan.TransformNode)}}
	for i := range sources {
		edits = append(edits, plan.AddNode{Node: node(fmt.Sprint("s", i), plan.GraphNode)})
	}
	here.change(t, p, append(edits, plan.AddEdge{Edge: edge("e0", "s0", "target")})...)
	for _, r := range []*replica{here, there} {
		r.plans.EdgePatience(pgtest.Patience)
	}
	for i := 1; i <= moves; i++ {
		adds, deletes := here, there
		if i%2 == 0 {
			adds, deletes = there, here
		}
		added := adds.addEdge(t.Context(), p, edge(fmt.Sprint("e", i), fmt.Sprint("s", i%sources), "target"))
		deletes.change(t, p, plan.DeleteEdge{ID: fmt.Sprint("e", i-1)})
		if err := <-added; err != nil {
			t.Fatalf("move %d: %v", i, err)
		}
	}
	dag := there.dag(t, p)
	if len(dag.Edges) != 1 || dag.Edges[0].ID != fmt.Sprint("e", moves) {
		t.Errorf("edges afterwards: %+v", dag.Edges)
	}
}
