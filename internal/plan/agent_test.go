package plan_test

import (
	"testing"

	"layercake/internal/auth"
	"layercake/internal/fault"
	"layercake/internal/plan"
	"layercake/internal/postgres/pgtest"

	"github.com/google/go-cmp/cmp"
)

// Agents have no credential, so their operation ids are those of all; their changes are their own all the same.
func TestAgentsUndoTheirOwn(t *testing.T) {
	t.Parallel()
	r, p := newProject(t)
	one, two := auth.Agent("one", "one", "One"), auth.Agent("two", "two", "Two")
	r.by(t, one, p, addNode("a", plan.GraphNode))
	r.by(t, two, p, addNode("b", plan.GraphNode))
	r.by(t, one, p, move("b", 7))
	r.by(t, auth.Anonymous("tab"), p, addNode("c", plan.GraphNode))

	h, err := r.plans.History(t.Context(), auth.Unchecked(one, p), plan.HistoryQuery{Limit: 10, Actor: two.ID})
	if err != nil || len(h.Changes) != 1 || h.Changes[0].Version != 2 || h.Changes[0].ActorKind != string(auth.KindAgent) {
		t.Errorf("the changes of an agent are %+v, %v, want version 2 alone", h.Changes, err)
	}

	undone := r.undo(t, two, p, plan.UndoInput{OpID: "undo", OnConflict: plan.Overwrite})
	if undone.Change == nil || undone.Change.Undoes != 2 {
		t.Fatalf("an agent's own newest is %+v, want version 2", undone.Change)
	}
	again := r.undo(t, two, p, plan.UndoInput{OpID: "undo", OnConflict: plan.Overwrite})
	if again.At != undone.At {
		t.Errorf("a repeat is at %v, want %v", again.At, undone.At)
	}
	if _, err := r.plans.Undo(t.Context(), auth.Unchecked(one, p), plan.UndoInput{OpID: "undo", OnConflict: plan.Overwrite}); !fault.Is(err, fault.BadRequest) {
		t.Errorf("another agent's undo under the same operation id: %v, want %s", err, fault.BadRequest)
	}
	if _, err := r.plans.Undo(t.Context(), auth.Unchecked(auth.Agent("three", "three", "Three"), p), plan.UndoInput{}); !fault.Is(err, fault.NotFound) {
		t.Errorf("the undo of an agent that did nothing: %v, want %s", err, fault.NotFound)
	}
	if redone := r.redo(t, two, p, plan.UndoInput{OnConflict: plan.Overwrite}); redone.Change == nil || redone.Change.Undoes != undone.At.Version {
		t.Errorf("an agent redoes %+v, want version %d", redone.Change, undone.At.Version)
	}
}

func TestHistoryShowsAgents(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	r := startReplica(t, database, 0)
	p := r.create(t)
	change := plan.Change{Via: "mcp", Edits: []plan.Edit{addNode("a", plan.GraphNode)}}
	if _, err := r.plans.Change(t.Context(), auth.Unchecked(auth.Agent("key", "key", "Planner"), p), change); err != nil {
		t.Fatal(err)
	}
	got := pgtest.Texts(t, pgtest.Connect(t, database), "SELECT concat_ws(' ', actor_kind, actor_name, via) FROM layercake.plan_history")
	if diff := cmp.Diff([]string{"agent Planner mcp"}, got); diff != "" {
		t.Error(diff)
	}
}
