package plan_test

import (
	"errors"
	"sync/atomic"
	"testing"

	"layercake/internal/auth"
	"layercake/internal/plan"
	"layercake/internal/project"
	"layercake/internal/server/servertest"
	"layercake/internal/task"

	"github.com/prometheus/client_golang/prometheus"
)

// A panic outside of the transaction ends the changes that it was about, with an error for each of their senders. The queue of the project
// goes on, and the change that was committed before the panic has its answer when it is sent again.
func TestPanicAfterACommit(t *testing.T) {
	t.Parallel()
	core := servertest.StartCore(t, nil)
	actor := auth.Anonymous("")
	p, err := core.Projects.Create(t.Context(), auth.UncheckedReach(actor), project.Input{Name: "Test"})
	if err != nil {
		t.Fatal(err)
	}
	var broken atomic.Bool
	broken.Store(true)
	plans := plan.NewService(plan.Config{DB: core.DB, Hub: core.Hub, WriteSlots: 1, Metrics: prometheus.NewRegistry(), AfterCommit: func() {
		if broken.Load() {
			panic("boom")
		}
	}})
	change := plan.Change{OpID: "1", Edits: []plan.Edit{plan.AddNode{Node: node("a", plan.GraphNode)}}}
	if _, err := plans.Change(t.Context(), auth.Unchecked(actor, p.ID), change); !errors.As(err, new(*task.Panic)) {
		t.Errorf("the change was answered with %v", err)
	}
	broken.Store(false)
	for _, version := range []int64{1, 1, 2} {
		if version == 2 {
			change = plan.Change{OpID: "2", Edits: []plan.Edit{plan.AddNode{Node: node("b", plan.GraphNode)}}}
		}
		if r, err := plans.Change(t.Context(), auth.Unchecked(actor, p.ID), change); err != nil || r.At.Version != version {
			t.Errorf("got %+v, %v, want version %d", r, err, version)
		}
	}
}
