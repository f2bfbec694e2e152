package convergence

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	jsonpatch "github.com/evanphx/json-patch/v5"
)

// Delta is an event as planDagDeltaChanged delivers it: a JSON Patch that guards itself.
type Delta struct {
	Version    int64            `json:"version"`
	Cursor     string           `json:"cursor"`
	Snapshot   bool             `json:"snapshot"`
	Operations []PatchOperation `json:"operations"`
}

// PatchOperation is one operation of a JSON Patch. Op is spelled as on the wire: ADD, REMOVE, REPLACE, TEST.
type PatchOperation struct {
	Op    string          `json:"op"`
	Path  string          `json:"path"`
	Value json.RawMessage `json:"value"`
}

// Deltas checks one watcher of planDagDeltaChanged, which reads the plan by requests of its own. It is not safe for concurrent
// use.
type Deltas struct {
	sequence
	document []byte // plan that the watcher shows
	shown    int64  // version of document
	history  string // epoch of document
	stale    bool
	rejoins  bool // whether the next event comes from another subscription
}

// NewDeltas returns the check of a watcher that read the plan and follows it after its cursor.
func NewDeltas(plan Plan) *Deltas {
	w := &Deltas{sequence: newSequence(plan.Cursor, plan.Version)}
	w.Read(plan)
	return w
}

// Version returns the highest version seen.
func (w *Deltas) Version() int64 { return w.version }

// Resubscribe notes that the next event is the first one of another subscription, without a cursor, which may begin anywhere.
// Versions before it, which the watcher has to read, count as skipped. The document stays.
func (w *Deltas) Resubscribe() { w.rejoins = true }

// Stale reports whether the watcher knows that what it shows is not the plan: it has to call Read.
func (w *Deltas) Stale() bool { return w.stale }

// Read takes the plan as the watcher read it, at the version of its last event or a later one.
func (w *Deltas) Read(plan Plan) {
	document := map[string]any{
		"metadata": map[string]string{"version": plan.label()},
		"nodes":    notNil(plan.Nodes), "edges": notNil(plan.Edges),
	}
	encoded, err := json.Marshal(document)
	if err != nil {
		w.misapplied(plan.Version, err)
	}
	w.document, w.shown, w.history = encoded, plan.Version, epochOf(plan.Cursor)
	w.stale = err != nil || plan.Version < w.version
}

func notNil(values []json.RawMessage) []json.RawMessage {
	if values == nil {
		return []json.RawMessage{}
	}
	return values
}

// See takes the next event that was delivered. A check changes nothing and is no event, but may make the watcher stale.
func (w *Deltas) See(d Delta) {
	if w.rejoins {
		w.rejoins = false
		w.rejoin(d.Cursor, d.Version)
	}
	switch {
	case d.Snapshot:
		w.restart(d.Cursor, d.Version)
		w.stale = w.stale || d.Version != w.shown || w.patch(d.Operations) != nil
		return
	case len(d.Operations) == 1 && d.Operations[0].Op == "TEST":
		w.stale = w.stale || w.patch(d.Operations) != nil
		return
	}
	switch w.follow(d.Cursor, d.Version) {
	case ahead:
		w.stale = true
	case next:
		same := epochOf(d.Cursor) == w.history
		if w.stale || same && d.Version <= w.shown {
			return // the plan that was read has the event, or the next one will
		}
		if err := w.patch(d.Operations); err != nil {
			w.stale = true
			if same {
				w.misapplied(d.Version, err)
			}
			return
		}
		w.shown, w.history = d.Version, epochOf(d.Cursor)
	case again:
	}
}

// patch applies all operations or none.
func (w *Deltas) patch(operations []PatchOperation) error {
	patch := make(jsonpatch.Patch, len(operations))
	for i, op := range operations {
		kind, _ := json.Marshal(strings.ToLower(op.Op)) // texts can be encoded
		path, _ := json.Marshal(op.Path)
		patch[i] = jsonpatch.Operation{"op": (*json.RawMessage)(&kind), "path": (*json.RawMessage)(&path)}
		if !absent(op.Value) {
			patch[i]["value"] = &operations[i].Value
		}
	}
	patched, err := patch.Apply(w.document)
	if err != nil {
		return fmt.Errorf("the patch fails: %w", err)
	}
	w.document = patched
	return nil
}

// Finish compares with the plan in the end, and returns the report.
func (w *Deltas) Finish(rows Plan) Report {
	return w.finish(rows, w.compare(rows))
}

func (w *Deltas) compare(rows Plan) string {
	var shown struct {
		Metadata     struct{ Version string }
		Nodes, Edges []json.RawMessage
	}
	if err := json.Unmarshal(w.document, &shown); err != nil {
		return "what is shown is no plan: " + err.Error()
	}
	if divergence := compareLists("node", shown.Nodes, rows.Nodes, sameButTimes); divergence != "" {
		return divergence
	}
	if divergence := compareLists("edge", shown.Edges, rows.Edges, sameButTimes); divergence != "" {
		return divergence
	}
	if want := rows.label(); shown.Metadata.Version != want {
		return fmt.Sprintf("version: %s is shown, %s in the rows", shown.Metadata.Version, want)
	}
	return ""
}

// sameButTimes compares an element that deltas patched with one of a Plan, but for times, which deltas do not patch. An execution that is
// null is none.
func sameButTimes(a, b json.RawMessage) bool {
	var x, y map[string]json.RawMessage
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return false
	}
	for _, object := range []map[string]json.RawMessage{x, y} {
		delete(object, "createdAt")
		delete(object, "updatedAt")
		for _, member := range executions {
			if absent(object[member]) {
				delete(object, member)
			}
		}
	}
	return maps.EqualFunc(x, y, sameJSON)
}
