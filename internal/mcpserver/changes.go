package mcpserver

import (
	"context"
	"slices"
	"strings"
	"time"

	"layercake/internal/caller"
	"layercake/internal/fault"
	"layercake/internal/plan"
)

// The limits of list_changes.
const (
	usualChanges = 20
	mostChanges  = 200
	mostWait     = 50 * time.Second // in an event stream
	mostSilence  = 25 * time.Second // where nothing is sent before the answer: balancers cut silent requests after 30 s
)

type listChanges struct {
	ofProject
	After       string `json:"after,omitempty" jsonschema:"a cursor; without: the last changes"`
	Limit       count  `json:"limit,omitempty" jsonschema:"default 20, at most 200"`
	WaitSeconds int    `json:"wait_seconds,omitempty" jsonschema:"wait so long for a first one, at most 50"`
}

type changeList struct {
	Changes []changeInfo `json:"changes"`
	Version int64        `json:"version"`
	Cursor  string       `json:"cursor"`
	Missed  bool         `json:"missed,omitempty"`
	More    bool         `json:"more,omitempty"`
}

type changeInfo struct {
	Version int64       `json:"version"`
	At      string      `json:"at"`
	Who     string      `json:"who"`
	Kind    string      `json:"kind"`
	Via     string      `json:"via"`
	Note    string      `json:"note,omitempty"`
	OpID    string      `json:"op_id"`
	Changes []operation `json:"changes"`
}

// operation is one step of a change.
type operation struct {
	Kind  string   `json:"kind"`
	ID    string   `json:"id"`
	Label string   `json:"label,omitempty"`
	Parts []string `json:"parts,omitempty"`
}

// operationsOf says in short what an event did, but for what is no edit.
func operationsOf(e *plan.Event) ([]operation, error) {
	steps := []operation{}
	for _, op := range e.Operations {
		if !op.Kind.Edits() {
			continue
		}
		parts, err := op.Parts()
		if err != nil {
			return nil, err
		}
		step := operation{Kind: strings.ToLower(string(op.Kind)), ID: op.ID, Parts: parts}
		node, edge, err := op.Element()
		switch {
		case err != nil:
			return nil, err
		case node != nil:
			step.Label = node.Metadata.Label
		case edge != nil:
			step.Label = text(edge.Metadata.Label)
		}
		steps = append(steps, step)
	}
	return steps, nil
}

func changeOf(e *plan.Event) (changeInfo, error) {
	steps, err := operationsOf(e)
	return changeInfo{
		Version: e.Version, At: stamp(e.At), Who: e.ActorName, Kind: e.ActorKind, Via: e.Via, Note: e.Note, OpID: e.OpID, Changes: steps,
	}, err
}

func (h *Handler) addChangeTools() {
	add(h, definition{
		name: "list_changes", title: "List changes", set: planTools, effect: reads,
		does: "What was changed after a cursor, oldest first, by whom. Can wait for the next change.",
	}, h.listChanges)
	add(h, definition{
		name: "undo_change", title: "Undo a change", set: planTools, effect: destroys,
		does: "Takes one change back by a new one: yours by default. Parts that others touched since are conflicts.",
	}, h.undoChange)
}

func (h *Handler) listChanges(ctx context.Context, c call, in listChanges) (changeList, error) {
	limit := int(in.Limit)
	switch {
	case limit == 0:
		limit = usualChanges
	case limit > mostChanges:
		return changeList{}, tooHigh("limit", limit, mostChanges)
	}
	wait := time.Duration(in.WaitSeconds) * time.Second
	switch {
	case in.WaitSeconds < 0:
		return changeList{}, fault.New(fault.BadRequest, "wait_seconds is negative").With("path", "wait_seconds")
	case wait > mostWait:
		return changeList{}, tooHigh("wait_seconds", in.WaitSeconds, int(mostWait.Seconds()))
	}
	if c.stream == nil {
		wait = min(wait, mostSilence)
	}
	if in.After == "" && wait == 0 {
		return h.lastChanges(ctx, c, in.project(), limit)
	}
	after, err := plan.ParseCursor(in.After)
	if err != nil {
		return changeList{}, fault.From(err).With("path", "after")
	}
	return h.changesAfter(ctx, c, in.project(), after, limit, wait)
}

// lastChanges returns the newest changes, oldest first.
func (h *Handler) lastChanges(ctx context.Context, c call, projectID int32, limit int) (changeList, error) {
	history, err := h.plans.History(ctx, c.access, plan.HistoryQuery{Limit: limit, System: true})
	if err != nil {
		return changeList{}, err
	}
	out := changeList{Changes: []changeInfo{}, Version: history.Version}
	for _, past := range slices.Backward(history.Changes) {
		change, err := changeOf(past.Event)
		if err != nil {
			return changeList{}, err
		}
		out.Changes, out.Cursor = append(out.Changes, change), past.At.String()
	}
	if len(out.Changes) == 0 {
		place, err := h.plans.Head(ctx, c.access)
		if err != nil {
			return changeList{}, err
		}
		out.Version, out.Cursor = place.Version, place.String()
	}
	return out, nil
}

// changesAfter returns what follows a cursor: what there is now, or, when that is nothing, what comes first while it waits. States of
// executions are none of it: a build would wake whoever waits for others. Now is what the
// database says, because the caller may have changed the plan on another replica.
func (h *Handler) changesAfter(
	ctx context.Context, c call, projectID int32, after plan.Cursor, limit int, wait time.Duration,
) (changeList, error) {
	head, err := h.plans.Head(ctx, c.access)
	if err != nil {
		return changeList{}, err
	}
	now := head.Version
	out := changeList{Changes: []changeInfo{}, Version: now}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	size, waiting := 0, false
	for u, err := range h.plans.Watch(watching, c.access, after) {
		if err != nil {
			return changeList{}, err
		}
		out.Version, out.Cursor = max(out.Version, u.At.Version), u.At.String()
		if u.Missed {
			out.Missed = true
			return out, nil
		}
		if u.Event != nil && u.Event.Edits() {
			change, err := changeOf(u.Event)
			if err != nil {
				return changeList{}, err
			}
			size += len(compact(change))
			out.Changes = append(out.Changes, change)
		}
		switch {
		case u.At.Version < now && len(out.Changes) < limit && size < maxPage:
		case u.At.Version < now:
			out.More = true
			return out, nil
		case len(out.Changes) > 0 || wait == 0:
			return out, nil
		case !waiting: // nothing that counts has come yet
			waiting = true
			defer time.AfterFunc(wait, stop).Stop()
			defer h.keepAlive(ctx, c)()
		}
	}
	return out, ctx.Err()
}

type undoChange struct {
	ofProject
	Version    *int64     `json:"version,omitempty" jsonschema:"default: your own newest"`
	OnConflict onConflict `json:"on_conflict,omitempty" jsonschema:"default fail"`
	DryRun     bool       `json:"dry_run,omitempty"`
	OpID       string     `json:"op_id,omitempty"`
	Note       string     `json:"note,omitempty"`
}

// onConflict says what becomes of parts that others touched since.
type onConflict string

type edited struct {
	Applied    bool           `json:"applied"`
	Version    int64          `json:"version"`
	Cursor     string         `json:"cursor"`
	Changes    []operation    `json:"changes"`
	Warnings   []problemInfo  `json:"warnings,omitempty"`
	Conflicts  []conflictInfo `json:"conflicts,omitempty"`
	ProposalID int32          `json:"proposal_id,omitempty"`
}

type conflictInfo struct {
	Kind   string   `json:"kind"`
	ID     string   `json:"id"`
	Part   string   `json:"part"`
	Reason string   `json:"reason"`
	By     []string `json:"by,omitempty"`
}

func (h *Handler) undoChange(ctx context.Context, c call, in undoChange) (edited, error) {
	input := plan.UndoInput{
		OnConflict: plan.OnConflict(strings.ToUpper(string(in.OnConflict))), DryRun: in.DryRun, Note: in.Note, OpID: in.OpID, Via: caller.MCP,
	}
	if in.Version != nil {
		if input.Version = *in.Version; input.Version < 1 {
			return edited{}, fault.New(fault.BadRequest, "There is no such version: they begin with 1").With("path", "version")
		}
	}
	done, err := h.plans.Undo(ctx, c.access, input)
	if err != nil {
		return edited{}, err
	}
	out := edited{Version: done.At.Version, Cursor: done.At.String(), Changes: []operation{}}
	if done.Change != nil {
		out.Applied = !in.DryRun
		if out.Changes, err = operationsOf(done.Change.Event); err != nil {
			return edited{}, err
		}
	}
	for _, conflict := range done.Conflicts {
		out.Conflicts = append(out.Conflicts, conflictInfo{
			Kind: strings.ToLower(string(conflict.Kind)), ID: conflict.ID, Part: conflict.Part, Reason: conflict.Reason, By: conflict.ActorNames,
		})
	}
	for _, note := range done.Notes {
		out.Warnings = append(out.Warnings, problemInfo{Kind: "NOTE", Warning: true, Message: note})
	}
	return out, nil
}
