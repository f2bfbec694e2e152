package client

import (
	"context"
	"encoding/json"
	"time"
)

// Change is a change of a plan, as planHistory shows it.
type Change struct {
	Version    int64           `json:"version"`
	Cursor     string          `json:"cursor"`
	Timestamp  time.Time       `json:"timestamp"`
	ActorID    string          `json:"actorId"`
	ActorName  string          `json:"actorName"`
	ActorKind  string          `json:"actorKind"`
	Via        string          `json:"via"`
	Note       *string         `json:"note"`
	OpID       *string         `json:"opId"`
	ClientID   *string         `json:"clientId"`
	Summary    string          `json:"summary"`
	Undoes     *int64          `json:"undoes"`
	UndoneBy   *int64          `json:"undoneBy"`
	Operations json.RawMessage `json:"operations,omitempty"` // only when they were asked for
}

const (
	changeFields = ` version cursor timestamp actorId actorName actorKind via note opId clientId summary undoes undoneBy `
	longestPage  = 100 // changes of a page; with operations more would be too complex
)

// HistoryQuery is the choice of changes that History reads.
type HistoryQuery struct {
	Project    int
	Before     int64  // changes below this version; 0 for the newest
	Limit      int    // greatest number of changes
	Element    string // id of a node or an edge that they touched; "" for any
	Actor      string // id of who made them; "" for anybody
	All        bool   // also what the server did by itself
	Operations bool   // with their operations
}

// History hands changes of a plan to each, newest first, and returns the oldest version that is kept. Its errors are those of Do and of
// each.
func (c *Client) History(ctx context.Context, q HistoryQuery, each func(Change) error) (oldest int64, err error) {
	fields := changeFields
	if q.Operations {
		fields += `operations { kind id index before after } `
	}
	document := `query ($project: Int!, $before: Int, $limit: Int, $element: String, $actor: String, $all: Boolean) {
		planHistory(projectId: $project, before: $before, limit: $limit, elementId: $element, actorId: $actor, all: $all) {
			more oldest changes {` + fields + `} } }`
	variables := map[string]any{"project": q.Project, "all": q.All}
	for name, text := range map[string]string{"element": q.Element, "actor": q.Actor} {
		if text != "" {
			variables[name] = text
		}
	}
	for more := true; more && q.Limit > 0; {
		if q.Before > 0 {
			variables["before"] = q.Before
		}
		variables["limit"] = min(q.Limit, longestPage)
		var data struct {
			PlanHistory struct {
				Changes []Change
				More    bool
				Oldest  int64
			}
		}
		if err := c.Do(ctx, Request{document, variables}, &data); err != nil {
			return oldest, err
		}
		page := data.PlanHistory
		for _, change := range page.Changes {
			q.Before = change.Version
			if err := each(change); err != nil {
				return oldest, err
			}
		}
		oldest, more = page.Oldest, page.More && len(page.Changes) > 0
		q.Limit -= len(page.Changes)
	}
	return oldest, nil
}

// Conflict is a part of an element that somebody touched since a change that is to be taken back.
type Conflict struct {
	Kind       string          `json:"kind"`
	ID         string          `json:"id"`
	Part       string          `json:"part"`
	Reason     string          `json:"reason"`
	Expected   json.RawMessage `json:"expected"`
	Current    json.RawMessage `json:"current"`
	Versions   []int64         `json:"versions"`
	ActorNames []string        `json:"actorNames"`
}

// Conflicts returns the conflicts that a refusal names.
func (r *Refusal) Conflicts() []Conflict {
	encoded, err := json.Marshal(r.Extensions["conflicts"])
	var conflicts []Conflict
	if err != nil || json.Unmarshal(encoded, &conflicts) != nil {
		return nil
	}
	return conflicts
}

// Undo says what is to be taken back.
type Undo struct {
	Project    int
	Version    int64
	Redo       bool   // the version is that of an undo
	OnConflict string // FAIL, SKIP or OVERWRITE
	DryRun     bool
	Note       string
	OpID       string // "" for none
}

// Undone is what became of it.
type Undone struct {
	Version   int64
	Change    *Change // nil when nothing was left to do
	Conflicts []Conflict
	Notes     []string
}

// Undo takes a change or an undo back. Its errors are those of Do.
func (c *Client) Undo(ctx context.Context, u Undo) (Undone, error) {
	name := "undoChange"
	if u.Redo {
		name = "redoChange"
	}
	document := `mutation ($project: Int!, $version: Int!, $onConflict: OnConflict, $dryRun: Boolean, $note: String, $op: String) {
		undone: ` + name + `(projectId: $project, version: $version, onConflict: $onConflict, dryRun: $dryRun, note: $note, opId: $op) {
			version notes change {` + changeFields + `}
			conflicts { kind id part reason expected current versions actorNames } } }`
	variables := map[string]any{"project": u.Project, "version": u.Version, "onConflict": u.OnConflict, "dryRun": u.DryRun}
	for name, text := range map[string]string{"note": u.Note, "op": u.OpID} {
		if text != "" {
			variables[name] = text
		}
	}
	var data struct{ Undone Undone }
	err := c.Do(ctx, Request{document, variables}, &data)
	return data.Undone, err
}
