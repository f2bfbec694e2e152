package graph

import (
	"context"
	"time"

	"layercake/internal/auth"
	"layercake/internal/budget"
	"layercake/internal/caller"
	"layercake/internal/fault"
	"layercake/internal/plan"
)

// pageOfChanges is how many changes a page of history has unless the caller says another number.
const pageOfChanges = 50

// pastReads is how many reads of the past one replica makes at once. How much memory one takes is known only when it has been read, so that
// many wait for memory with what they have read, and no more.
const pastReads = 4

// undoArgs are the arguments that undoChange and redoChange have.
type undoArgs struct {
	changeArgs

	version    *int32
	onConflict *plan.OnConflict
	dryRun     *bool
	note       *string
}

// take is a method of plan.Service that takes something back.
type take func(context.Context, auth.Access, plan.UndoInput) (plan.UndoResult, error)

// undo takes a change or an undo back.
func (r *Resolver) undo(ctx context.Context, projectID int32, args undoArgs, undo take) (*UndoResult, error) {
	if err := checkNamed("version", args.version); err != nil {
		return nil, err
	}
	in := args.input()
	in.Version, in.OnConflict = int64(value(args.version)), plan.Fail
	if args.onConflict != nil {
		in.OnConflict = *args.onConflict
	}
	return r.takeBack(ctx, projectID, in, undo)
}

// input returns what undo, redo and restore are all told.
func (args undoArgs) input() plan.UndoInput {
	in := plan.UndoInput{
		DryRun: value(args.dryRun), Note: value(args.note), OpID: value(args.opID), ClientID: value(args.clientID), Via: caller.GraphQL,
	}
	if args.expected != nil {
		expected := int64(*args.expected)
		in.Expected = &expected
	}
	return in
}

// takeBack has a change made that takes something back.
func (r *Resolver) takeBack(ctx context.Context, projectID int32, in plan.UndoInput, undo take) (*UndoResult, error) {
	shown := loadersOf(ctx).shown
	if err := shown.checkOnce(ctx); err != nil {
		return nil, err
	}
	access, err := r.access(ctx, projectID, in.ClientID)
	if err != nil {
		return nil, err
	}
	result, err := undo(ctx, access, in)
	if err != nil {
		return nil, err
	}
	if in.ClientID != "" && !in.DryRun {
		r.presence.RenewGuest(projectID, in.ClientID)
	}
	out := &UndoResult{Version: result.At.Version, Cursor: result.At.String(), Conflicts: result.Conflicts, Notes: result.Notes}
	bytes := 0
	for _, c := range result.Conflicts {
		bytes += len(c.Expected) + len(c.Current)
	}
	if result.Change != nil {
		change := planChange(*result.Change)
		out.Change = &change
		bytes += bytesOfChange(result.Change.Event)
	}
	shown.bytes.Add(int64(bytes))
	return out, nil
}

// checkNamed refuses a version that is none of a change. The core takes 0 for no version, and a client that sends 0 does not mean that.
func checkNamed(name string, version *int32) error {
	if version != nil && *version < 1 {
		return fault.New(fault.BadRequest, "No change has a version below 1").With("detail", map[string]any{name: *version})
	}
	return nil
}

// history reads a page of changes, unless the response shows too much of plans.
func (r *Resolver) history(ctx context.Context, projectID int32, q plan.HistoryQuery) (*PlanHistory, error) {
	access, err := r.access(ctx, projectID, "")
	if err != nil {
		return nil, err
	}
	page, err := showPast(ctx, r, past[plan.History]{
		read: func() (plan.History, error) { return r.plans.History(ctx, access, q) },
		bytes: func(h plan.History) (bytes int) {
			for _, c := range h.Changes {
				bytes += bytesOfChange(c.Event)
			}
			return bytes
		},
	})
	if err != nil {
		return nil, err
	}
	return &PlanHistory{Changes: convert(page.Changes, planChange), More: page.More, Oldest: page.Oldest, Version: page.Version}, nil
}

// dagAt reads the plan as it was, unless the response shows too much of plans.
func (r *Resolver) dagAt(ctx context.Context, projectID int32, version *int32, at *time.Time) (plan.DAG, error) {
	if (version == nil) == (at == nil) {
		return plan.DAG{}, fault.New(fault.BadRequest, "Give either version or at")
	}
	access, err := r.access(ctx, projectID, "")
	if err != nil {
		return plan.DAG{}, err
	}
	return showPast(ctx, r, past[plan.DAG]{
		read: func() (plan.DAG, error) {
			if version != nil {
				return r.plans.At(ctx, access, int64(*version))
			}
			return r.plans.AtTime(ctx, access, *at)
		},
		bytes: bytesOf,
		cost:  planCost,
	})
}

// diff reads what is different between two versions, unless the response shows too much of plans.
func (r *Resolver) diff(ctx context.Context, projectID, from int32, to *int32) (*plan.Diff, error) {
	var until *int64
	if to != nil {
		version := int64(*to)
		until = &version
	}
	access, err := r.access(ctx, projectID, "")
	if err != nil {
		return nil, err
	}
	d, err := showPast(ctx, r, past[plan.Diff]{
		read: func() (plan.Diff, error) {
			return r.plans.Diff(ctx, access, int64(from), until)
		},
		bytes: bytesOfDiff,
	})
	if err != nil {
		return nil, err
	}
	return &d, nil
}

// past is something that is read of a plan's past.
type past[T any] struct {
	read  func() (T, error)
	bytes func(T) int   // about how long it is in a response
	cost  func(T) int64 // memory that the answer takes; nil for a small multiple of bytes
}

// encodedCost is the memory that an answer takes by each byte of encoded values: read, as an event, and written.
const encodedCost = 4

// showPast reads what a query shows of the past, and takes memory for the answer. Until it has that, it is one of few that read.
func showPast[T any](ctx context.Context, r *Resolver, p past[T]) (T, error) {
	return show(ctx, p.bytes, func() (T, error) {
		var none T
		if err := r.pastReads.Acquire(ctx, 1); err != nil {
			return none, err
		}
		defer r.pastReads.Release(1)
		read, err := p.read()
		if err != nil {
			return none, err
		}
		cost := int64(encodedCost * p.bytes(read))
		if p.cost != nil {
			cost = p.cost(read)
		}
		return read, budget.From(ctx).Take(ctx, cost)
	})
}

func planChange(c plan.PastChange) PlanChange {
	return PlanChange{
		Version: c.Version, Cursor: c.At.String(), Timestamp: c.Event.At, ActorID: c.ActorID, ActorName: c.ActorName, ActorKind: c.ActorKind,
		Via: c.Via, Note: optional(c.Note), OpID: optional(c.OpID), ClientID: optional(c.ClientID), Summary: c.Summary(),
		Undoes: optional(c.Undoes), UndoneBy: optional(c.UndoneBy), Operations: c.Operations,
	}
}

// bytesOfChange returns about how long a change is in a response with all of its fields.
func bytesOfChange(e *plan.Event) int {
	const change, operation = 600, 150 // names of fields, numbers, times and punctuation
	bytes := change + len(e.Operations)*operation
	for _, op := range e.Operations {
		bytes += len(op.Before) + len(op.After)
	}
	return bytes
}

func bytesOfDiff(d plan.Diff) int {
	const difference, toucher = 200, 30 // names of fields, numbers and punctuation
	bytes := len(d.Differences) * difference
	for _, one := range d.Differences {
		bytes += len(one.Before) + len(one.After) + toucher*len(one.Versions)
	}
	return bytes
}
