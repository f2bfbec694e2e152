package plan_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"layercake/internal/auth"
	"layercake/internal/fault"
	"layercake/internal/plan"
)

// Large changes are taken back a few at a time, so that many at once do not need many times their memory. Small ones do not wait for them.
func TestLargeChangesAreTakenBackInTurns(t *testing.T) {
	t.Parallel()
	r, project := newProject(t)
	var edits []plan.Edit
	for i := range 3 {
		large := node(fmt.Sprint("large ", i), plan.GraphNode)
		large.Config = `{"a":"` + strings.Repeat("x", 90_000) + `"}`
		edits = append(edits, plan.AddNode{Node: large})
	}
	r.change(t, project, edits...)
	large := r.change(t, project, plan.RemoveAll{}).At.Version
	r.change(t, project, addNode("small", plan.GraphNode))
	small := r.change(t, project, move("small", 5)).At.Version

	release, err := r.plans.TakeAllRoom(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, take := range map[string]func(context.Context) error{
		"undo": func(ctx context.Context) error {
			_, err := r.plans.Undo(ctx, auth.Unchecked(r.actor, project), plan.UndoInput{Version: large})
			return err
		},
		"restore": func(ctx context.Context) error {
			_, err := r.plans.Restore(ctx, auth.Unchecked(r.actor, project), plan.UndoInput{Version: large - 1, Expected: &small})
			return err
		},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond) // it ends what would wait for ever
		if err := take(ctx); err == nil || fault.From(err) != nil && !fault.Is(err, fault.Unavailable) {
			t.Errorf("%s of what is large, without room: %v", name, err)
		}
		cancel()
	}
	if got := r.dag(t, project).At.Version; got != small {
		t.Fatalf("version %d, want %d", got, small)
	}
	r.undo(t, ann, project, plan.UndoInput{Version: small})
	release()
	if u := r.undo(t, ann, project, plan.UndoInput{Version: large}); u.Change == nil || len(r.dag(t, project).Nodes) != 4 {
		t.Errorf("with room: %+v", u)
	}
	again, err := r.plans.TakeAllRoom(t.Context()) // all was given back
	if err != nil {
		t.Fatal(err)
	}
	again()
}
