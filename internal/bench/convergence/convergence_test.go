package convergence_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"layercake/internal/bench/convergence"
)

// history is what a server did to one plan: the plan after each version, and how both subscriptions tell of each step.
type history struct {
	plans  []convergence.Plan
	events []convergence.Event
	deltas []convergence.Delta
}

func node(id string, x int) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(`{"id":%q,"position":{"x":%d,"y":0},"updatedAt":"t%d"}`, id, x, x))
}

func cursor(epoch string, version int64) string { return fmt.Sprintf("%s.%d", epoch, version) }

// newHistory adds six nodes, moves four of them and removes two from the middle.
func newHistory() *history {
	h := &history{plans: []convergence.Plan{{Cursor: cursor("a-1", 0)}}}
	for i := range 6 {
		h.add(fmt.Sprintf("n%d", i))
	}
	for i := range 4 {
		h.move(i+1, 100+i)
	}
	h.remove(2)
	h.remove(1)
	return h
}

func (h *history) last() convergence.Plan { return h.plans[len(h.plans)-1] }

func (h *history) step(nodes []json.RawMessage, op convergence.Operation, patch convergence.PatchOperation) {
	version := h.last().Version + 1
	at := cursor("a-1", version)
	h.plans = append(h.plans, convergence.Plan{Version: version, Cursor: at, Nodes: nodes})
	h.events = append(h.events, convergence.Event{Version: version, Cursor: at, Operations: []convergence.Operation{op}})
	h.deltas = append(h.deltas, convergence.Delta{Version: version, Cursor: at, Operations: []convergence.PatchOperation{
		{Op: "TEST", Path: "/metadata/version", Value: json.RawMessage(fmt.Sprintf(`"%d"`, version-1))},
		patch,
		{Op: "REPLACE", Path: "/metadata/version", Value: json.RawMessage(fmt.Sprintf(`"%d"`, version))},
	}})
}

func (h *history) add(id string) {
	nodes, n := slices.Clone(h.last().Nodes), node(id, 0)
	h.step(append(nodes, n),
		convergence.Operation{Kind: "NODE_ADDED", ID: id, Index: new(len(nodes)), Before: json.RawMessage("null"), After: n},
		convergence.PatchOperation{Op: "ADD", Path: fmt.Sprintf("/nodes/%d", len(nodes)), Value: n})
}

func (h *history) move(i, x int) {
	nodes := slices.Clone(h.last().Nodes)
	before := nodes[i]
	nodes[i] = node(fmt.Sprintf("n%d", i), x)
	h.step(nodes,
		convergence.Operation{Kind: "NODE_UPDATED", ID: fmt.Sprintf("n%d", i), Index: &i, Before: before, After: nodes[i]},
		convergence.PatchOperation{Op: "REPLACE", Path: fmt.Sprintf("/nodes/%d/position/x", i), Value: json.RawMessage(fmt.Sprint(x))})
}

func (h *history) remove(i int) {
	nodes := slices.Clone(h.last().Nodes)
	before := nodes[i]
	h.step(slices.Delete(nodes, i, i+1),
		convergence.Operation{Kind: "NODE_REMOVED", ID: fmt.Sprintf("n%d", i), Index: &i, Before: before},
		convergence.PatchOperation{Op: "REMOVE", Path: fmt.Sprintf("/nodes/%d", i)})
}

// faults are what may happen to a stream, whatever it carries, and what the check has to say.
func faults[E any]() []struct {
	name  string
	spoil func([]E) []E
	want  convergence.Report
	first string
} {
	return []struct {
		name  string
		spoil func([]E) []E
		want  convergence.Report
		first string
	}{
		{"dropped", func(e []E) []E { return slices.Delete(e, 4, 6) }, convergence.Report{Lost: 2}, "version 7: lost, or late: 5 to 6"},
		{"dropped at the end", func(e []E) []E { return e[:len(e)-3] }, convergence.Report{Lost: 3}, "lost at the end: 10 to 12"},
		{"doubled", func(e []E) []E { return slices.Insert(e, 5, e[4]) }, convergence.Report{Doubled: 1}, "version 5: came again, at 5"},
		{"doubled later", func(e []E) []E { return append(e, e[0], e[1]) }, convergence.Report{Doubled: 2}, "version 1: came again, at 12"},
		{
			"reordered",
			func(e []E) []E { e[3], e[4] = e[4], e[3]; return e },
			convergence.Report{Reordered: 1},
			"version 5: lost, or late: 4 to 4",
		},
		{
			"dropped, and one of them late",
			func(e []E) []E { late := e[3]; return slices.Insert(slices.Delete(e, 2, 5), 5, late) },
			convergence.Report{Lost: 2, Reordered: 1},
			"version 6: lost, or late: 3 to 5",
		},
	}
}

func check(t *testing.T, got, want convergence.Report, first string) {
	t.Helper()
	if got.OK() {
		t.Error("OK = true")
	}
	if got.Lost != want.Lost || got.Doubled != want.Doubled || got.Reordered != want.Reordered || got.Misapplied != want.Misapplied {
		t.Errorf("report = %+v, want %+v", got, want)
	}
	if len(got.First) == 0 || !strings.Contains(got.First[0], first) {
		t.Errorf("first = %q, want %q", got.First, first)
	}
}

func watchEvents(start convergence.Plan, events []convergence.Event) *convergence.Events {
	w := convergence.NewEvents(start)
	for _, e := range events {
		w.See(e)
	}
	return w
}

func watchDeltas(start convergence.Plan, deltas []convergence.Delta) *convergence.Deltas {
	w := convergence.NewDeltas(start)
	for _, d := range deltas {
		w.See(d)
	}
	return w
}

func TestWatchersThatSeeEverythingConverge(t *testing.T) {
	t.Parallel()
	h := newHistory()
	for start := range h.plans {
		events := watchEvents(h.plans[start], h.events[start:]).Finish(h.last())
		deltas := watchDeltas(h.plans[start], h.deltas[start:]).Finish(h.last())
		for name, got := range map[string]convergence.Report{"events": events, "deltas": deltas} {
			if want := int64(len(h.events) - start); !got.OK() || got.Events != want {
				t.Errorf("%s from version %d: %+v, want %d events and no complaint", name, start, got, want)
			}
		}
	}
}

func TestFaultsOfStreamsAreFound(t *testing.T) {
	t.Parallel()
	for _, f := range faults[convergence.Event]() {
		t.Run("events "+f.name, func(t *testing.T) {
			t.Parallel()
			h := newHistory()
			check(t, watchEvents(h.plans[0], f.spoil(h.events)).Finish(h.last()), f.want, f.first)
		})
	}
	for _, f := range faults[convergence.Delta]() {
		t.Run("deltas "+f.name, func(t *testing.T) {
			t.Parallel()
			h := newHistory()
			check(t, watchDeltas(h.plans[0], f.spoil(h.deltas)).Finish(h.last()), f.want, f.first)
		})
	}
}

func TestEventsThatDoNotFitAreFound(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		spoil func(*convergence.Operation)
		first string
	}{
		{"wrong index", func(op *convergence.Operation) { op.Index = new(3) }, `version 7: NODE_UPDATED "n1": index 3 is "n3"`},
		{"index out of range", func(op *convergence.Operation) { op.Index = new(6) }, "index 6 among 6"},
		{"negative index", func(op *convergence.Operation) { op.Index = new(-1) }, "index -1 among 6"},
		{"no index", func(op *convergence.Operation) { op.Index = nil }, "index null among 6"},
		{"wrong id", func(op *convergence.Operation) { op.ID = "n3" }, `index 1 is "n1"`},
		{"wrong value before", func(op *convergence.Operation) { op.Before = node("n1", 5) }, "it was"},
		{"no value after", func(op *convergence.Operation) { op.After = nil }, "needs a value after"},
		{"added twice", func(op *convergence.Operation) { op.Kind, op.Before = "NODE_ADDED", nil }, "it was there"},
		{"unknown kind", func(op *convergence.Operation) { op.Kind = "NODE_PAINTED" }, "unknown kind"},
		{"edge that is not there", func(op *convergence.Operation) { op.Kind = "EDGE_REMOVED" }, "index 1 among 0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHistory()
			tt.spoil(&h.events[6].Operations[0])
			check(t, watchEvents(h.plans[0], h.events).Finish(h.last()), convergence.Report{Misapplied: 1}, tt.first)
		})
	}
	t.Run("delta with a wrong index", func(t *testing.T) {
		t.Parallel()
		h := newHistory()
		h.deltas[6].Operations[1].Path = "/nodes/9/position/x"
		check(t, watchDeltas(h.plans[0], h.deltas).Finish(h.last()), convergence.Report{Misapplied: 1}, "version 7: the patch fails")
	})
	t.Run("delta of another version", func(t *testing.T) {
		t.Parallel()
		h := newHistory()
		h.deltas[6].Operations[0].Value = json.RawMessage(`"3"`)
		check(t, watchDeltas(h.plans[0], h.deltas).Finish(h.last()), convergence.Report{Misapplied: 1}, "version 7: the patch fails")
	})
}

func TestAnotherFinalStateIsFound(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		spoil func(*convergence.Plan)
		want  string
	}{
		{"value", func(p *convergence.Plan) { p.Nodes[1] = node("n3", 7) }, "node 1: seen"},
		{"order", func(p *convergence.Plan) { p.Nodes[1], p.Nodes[2] = p.Nodes[2], p.Nodes[1] }, "node 1: seen"},
		{"one more node", func(p *convergence.Plan) { p.Nodes = append(p.Nodes, node("x", 0)) }, "nodes: 4 seen, 5 in the rows"},
		{"one node less", func(p *convergence.Plan) { p.Nodes = p.Nodes[:3] }, "nodes: 4 seen, 3 in the rows"},
		{"an edge", func(p *convergence.Plan) { p.Edges = []json.RawMessage{json.RawMessage(`{"id":"e"}`)} }, "edges: 0 seen, 1 in"},
		{"epoch", func(p *convergence.Plan) { p.Cursor = cursor("a-2", p.Version) }, `in epoch "a-1", the rows are in "a-2"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHistory()
			events, deltas := watchEvents(h.plans[0], h.events), watchDeltas(h.plans[0], h.deltas)
			rows := h.last()
			rows.Nodes = slices.Clone(rows.Nodes)
			tt.spoil(&rows)
			for name, got := range map[string]convergence.Report{"events": events.Finish(rows), "deltas": deltas.Finish(rows)} {
				if got.OK() || !strings.Contains(got.Divergence, tt.want) {
					t.Errorf("%s: divergence = %q, want %q", name, got.Divergence, tt.want)
				}
			}
		})
	}
}

// An event that differs from the rows only in the order of members, or in blanks, is the same.
func TestValuesAreComparedByMeaning(t *testing.T) {
	t.Parallel()
	h := newHistory()
	rows := h.last()
	rows.Nodes = slices.Clone(rows.Nodes)
	rows.Nodes[0] = json.RawMessage(`{"updatedAt": "t0", "position": {"y": 0.0, "x": 0}, "id": "n0"}`)
	if got := watchEvents(h.plans[0], h.events).Finish(rows); !got.OK() {
		t.Errorf("report = %+v", got)
	}
}

func TestSnapshotsStandInForEvents(t *testing.T) {
	t.Parallel()
	snapshot := func(h *history, version int) convergence.Event {
		p := h.plans[version]
		return convergence.Event{Version: p.Version, Cursor: p.Cursor, Snapshot: true, Plan: &p}
	}
	t.Run("within an epoch", func(t *testing.T) {
		t.Parallel()
		h := newHistory()
		seen := slices.Concat(h.events[:3], []convergence.Event{snapshot(h, 8)}, h.events[8:])
		if got := watchEvents(h.plans[0], seen).Finish(h.last()); !got.OK() || got.Snapshots != 1 || got.Skipped != 5 {
			t.Errorf("report = %+v, want 5 versions skipped by one snapshot", got)
		}
	})
	t.Run("into another epoch", func(t *testing.T) {
		t.Parallel()
		h := newHistory()
		w := watchEvents(h.plans[0], h.events)
		rows := h.plans[3]
		rows.Cursor = cursor("a-2", 3)
		w.See(convergence.Event{Version: 3, Cursor: rows.Cursor, Snapshot: true, Plan: &rows})
		if got := w.Finish(rows); !got.OK() || got.Skipped != 0 {
			t.Errorf("report = %+v, want no complaint", got)
		}
	})
	t.Run("another epoch without one", func(t *testing.T) {
		t.Parallel()
		h := newHistory()
		h.events[6].Cursor = cursor("a-2", 7)
		check(t, watchEvents(h.plans[0], h.events[:7]).Finish(h.plans[7]), convergence.Report{Misapplied: 1}, "without a snapshot")
	})
	t.Run("backwards", func(t *testing.T) {
		t.Parallel()
		h := newHistory()
		w := watchEvents(h.plans[0], h.events)
		w.See(snapshot(h, 9))
		check(t, w.Finish(h.plans[9]), convergence.Report{Reordered: 1}, "version 9: a snapshot after 12")
	})
	t.Run("without a plan", func(t *testing.T) {
		t.Parallel()
		h := newHistory()
		e := snapshot(h, 12)
		e.Plan = nil
		check(t, watchEvents(h.plans[0], []convergence.Event{e}).Finish(h.last()), convergence.Report{Misapplied: 1}, "without a plan")
	})
}

// A client of deltas fetches the plan and subscribes by unrelated requests.
func TestDeltasReadThePlanAgain(t *testing.T) {
	t.Parallel()
	checkOf := func(version int) convergence.Delta {
		return convergence.Delta{Version: int64(version), Operations: []convergence.PatchOperation{
			{Op: "TEST", Path: "/metadata/version", Value: json.RawMessage(fmt.Sprintf(`"%d"`, version))},
		}}
	}
	t.Run("a check of the shown version changes nothing", func(t *testing.T) {
		t.Parallel()
		h := newHistory()
		w := watchDeltas(h.plans[0], h.deltas[:5])
		w.See(checkOf(5))
		if w.Stale() {
			t.Error("stale after a check of the right version")
		}
	})
	t.Run("a check of another version makes it stale", func(t *testing.T) {
		t.Parallel()
		h := newHistory()
		w := watchDeltas(h.plans[0], h.deltas[:5])
		w.See(checkOf(6))
		if !w.Stale() {
			t.Fatal("not stale after a check of another version")
		}
		w.See(h.deltas[5])
		w.Read(h.plans[8]) // later than its last event: the next two are in it
		for _, d := range h.deltas[6:] {
			w.See(d)
		}
		if got := w.Finish(h.last()); !got.OK() {
			t.Errorf("report = %+v", got)
		}
	})
	t.Run("a snapshot makes it stale", func(t *testing.T) {
		t.Parallel()
		h := newHistory()
		w := watchDeltas(h.plans[0], h.deltas[:2])
		w.See(convergence.Delta{Version: 9, Cursor: cursor("a-1", 9), Snapshot: true})
		if !w.Stale() {
			t.Fatal("not stale after a snapshot")
		}
		w.Read(h.plans[9])
		for _, d := range h.deltas[9:] {
			w.See(d)
		}
		if got := w.Finish(h.last()); !got.OK() || got.Snapshots != 1 {
			t.Errorf("report = %+v", got)
		}
	})
	t.Run("another subscription begins anywhere", func(t *testing.T) {
		t.Parallel()
		for _, begin := range []int{2, 5, 8} { // behind, at and ahead of what was seen
			h := newHistory()
			w := watchDeltas(h.plans[0], h.deltas[:5])
			w.Resubscribe()
			first := checkOf(begin)
			first.Cursor = h.plans[begin].Cursor
			w.See(first)
			if w.Stale() != (begin != 5) {
				t.Errorf("from %d: stale = %t", begin, w.Stale())
			}
			w.Read(h.plans[max(5, begin)])
			for _, d := range h.deltas[begin:] {
				w.See(d)
			}
			if got := w.Finish(h.last()); !got.OK() || got.Skipped != int64(max(begin-5, 0)) {
				t.Errorf("from %d: report = %+v", begin, got)
			}
		}
	})
	t.Run("after a failover the same version is another one", func(t *testing.T) {
		t.Parallel()
		h, rest := newHistory(), newHistory()
		w := watchDeltas(h.plans[0], h.deltas)
		rest.move(0, 7) // the newest history lost nothing, and then goes another way
		other := rest.last()
		other.Cursor, other.Metadata.Version = cursor("a-2", other.Version), fmt.Sprintf("%d@2", other.Version)
		w.Resubscribe()
		w.See(convergence.Delta{Version: other.Version - 1, Cursor: cursor("a-2", other.Version-1), Operations: []convergence.PatchOperation{
			{Op: "TEST", Path: "/metadata/version", Value: json.RawMessage(fmt.Sprintf(`"%d@2"`, other.Version-1))},
		}})
		if !w.Stale() {
			t.Error("not stale after a check of the same version in another history")
		}
		w.Read(other)
		w.See(convergence.Delta{Version: other.Version, Cursor: other.Cursor, Operations: rest.deltas[other.Version-1].Operations})
		if got := w.Finish(other); !got.OK() {
			t.Errorf("report = %+v", got)
		}
	})
	t.Run("a plan older than the last event leaves it stale", func(t *testing.T) {
		t.Parallel()
		h := newHistory()
		w := watchDeltas(h.plans[0], h.deltas)
		w.Read(h.plans[7])
		if !w.Stale() {
			t.Error("not stale with an old plan")
		}
	})
}

// Gaps by the thousand are still counted, in bounded memory.
func TestManyGapsAreCounted(t *testing.T) {
	t.Parallel()
	w := convergence.NewEvents(convergence.Plan{Cursor: cursor("a-1", 0)})
	const gaps = 5000
	for i := int64(1); i <= gaps; i++ {
		w.See(convergence.Event{Version: 2 * i, Cursor: cursor("a-1", 2*i)})
	}
	got := w.Finish(convergence.Plan{Version: 2 * gaps, Cursor: cursor("a-1", 2*gaps)})
	if got.Lost != gaps || len(got.First) != 10 {
		t.Errorf("lost %d with %d complaints, want %d with 10", got.Lost, len(got.First), gaps)
	}
}

// build sets the execution of a node, or clears it with "null".
func (h *history) build(i int, state string) {
	nodes := slices.Clone(h.last().Nodes)
	var members map[string]json.RawMessage
	_ = json.Unmarshal(nodes[i], &members)
	before := members["graphExecution"]
	members["graphExecution"] = json.RawMessage(state)
	nodes[i], _ = json.Marshal(members)
	var id string
	_ = json.Unmarshal(members["id"], &id)
	op := convergence.Operation{Kind: "EXECUTION_CHANGED", ID: id, Index: &i, Before: before, After: json.RawMessage(state)}
	patch := convergence.PatchOperation{Op: "ADD", Path: fmt.Sprintf("/nodes/%d/graphExecution", i), Value: json.RawMessage(state)}
	if state == "null" {
		patch = convergence.PatchOperation{Op: "REMOVE", Path: patch.Path}
	}
	h.step(nodes, op, patch)
}

// Executions are a part of what watchers show, whichever way it comes to them, and differences are found.
func TestExecutionsAreFollowed(t *testing.T) {
	t.Parallel()
	const pending, completed = `{"graphId":1,"executionState":"pending"}`, `{"graphId":1,"executionState":"completed"}`
	newStates := func() *history {
		h := newHistory()
		h.build(1, pending)
		h.build(2, pending)
		h.build(1, completed)
		h.build(2, "null")
		h.build(0, pending)
		h.remove(0)
		h.events[len(h.events)-1].Operations[0].Before = node("n0", 0) // events leave executions out
		return h
	}
	h := newStates()
	for start := range h.plans {
		events := watchEvents(h.plans[start], h.events[start:]).Finish(h.last())
		deltas := watchDeltas(h.plans[start], h.deltas[start:]).Finish(h.last())
		if !events.OK() || !deltas.OK() {
			t.Errorf("from version %d: %+v, %+v", start, events, deltas)
		}
	}
	last := len(h.events) - 1
	for name, got := range map[string]convergence.Report{
		"events that end too early": watchEvents(h.plans[0], h.events[:last-3]).Finish(h.last()),
		"deltas that end too early": watchDeltas(h.plans[0], h.deltas[:last-3]).Finish(h.last()),
		"rows of another state":     watchEvents(h.plans[0], h.events).Finish(newest(h, pending)),
		"rows, as deltas see them":  watchDeltas(h.plans[0], h.deltas).Finish(newest(h, pending)),
		"rows without a state":      watchEvents(h.plans[0], h.events).Finish(newest(h, "null")),
	} {
		if got.Divergence == "" {
			t.Errorf("%s: %+v", name, got)
		}
	}
	spoiled := newStates()
	spoiled.events[last-3].Operations[0].Before = json.RawMessage(completed)
	check(t, watchEvents(spoiled.plans[0], spoiled.events).Finish(spoiled.last()), convergence.Report{Misapplied: 1}, "it was")
}

// newest returns the newest plan with another state of its first node.
func newest(h *history, state string) convergence.Plan {
	plan := h.last()
	plan.Nodes = slices.Clone(plan.Nodes)
	var members map[string]json.RawMessage
	_ = json.Unmarshal(plan.Nodes[0], &members)
	members["graphExecution"] = json.RawMessage(state)
	plan.Nodes[0], _ = json.Marshal(members)
	return plan
}
