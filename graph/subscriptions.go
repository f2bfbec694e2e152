package graph

import (
	"context"
	"slices"
	"time"

	"layercake/internal/auth"
	"layercake/internal/plan"

	"github.com/99designs/gqlgen/graphql"
)

// A subscriber without a cursor reads the plan by a request of its own, and may miss a change between the two; the existing client also
// ignores deltas for 500 ms after a change of its own. A check lets it notice: a delta that changes nothing but demands the current version
// of the plan, so that a client with another version fails to apply it and reads the plan again. The first check comes when a burst of
// events has ended and the client listens again, the second in case the first came too early, then one now and then.
const (
	firstCheck  = time.Second      // pause after the last event
	secondCheck = 2 * time.Second  // pause after the first check
	checkPeriod = 30 * time.Second // pause between the checks after that
)

// checkAfter returns the pause between the last event or check and the next check, by the number of checks since the last event.
func checkAfter(checks int) time.Duration {
	switch checks {
	case 0:
		return firstCheck
	case 1:
		return secondCheck
	}
	return checkPeriod
}

// system is the actor of events that show no change.
const system = string(auth.KindSystem)

// delta builds the event that shows an update. Where the watch begins, and where it missed events, that is a check. Every delta guards
// itself: it begins with the version that it applies to (plan.Service.Delta), so a client that missed one notices at the next.
func (r *Resolver) delta(u *plan.Update, planID int32) (*PlanDagDeltaEvent, error) {
	if u.Event == nil {
		e := r.check(u, planID)
		e.Snapshot = u.Missed
		return e, nil
	}
	operations, err := r.plans.Delta(u)
	return &PlanDagDeltaEvent{
		ProjectID: u.ProjectID, PlanID: planID, Version: u.At.Version, Cursor: u.At.String(),
		UserID: u.Event.ActorID, ClientID: optional(u.Event.ClientID), OpID: optional(u.Event.OpID),
		Timestamp: plan.FormatTime(u.Event.At), Operations: patch(operations),
	}, err
}

// check builds an event that changes nothing, and can be applied only to the version of the plan that an update left.
func (r *Resolver) check(u *plan.Update, planID int32) *PlanDagDeltaEvent {
	return &PlanDagDeltaEvent{
		ProjectID: u.ProjectID, PlanID: planID, Version: u.At.Version, Cursor: u.At.String(),
		UserID: system, Timestamp: plan.FormatTime(time.Now()), Operations: patch(r.plans.Check(u.At)),
	}
}

func patch(operations []plan.PatchOperation) []PatchOperation {
	return convert(operations, func(op plan.PatchOperation) PatchOperation {
		return PatchOperation{Op: PatchOp(op.Op), Path: op.Path, Value: op.Value}
	})
}

// deltas sends the updates of a plan to out, with checks for a subscriber without a cursor. It returns when ctx ends, or with the error
// that ended the watch.
func (r *Resolver) deltas(ctx context.Context, projectID int32, after string, out chan<- delivery[*PlanDagDeltaEvent]) error {
	planID, err := r.planIDIfSelected(ctx, projectID)
	if err != nil {
		return err
	}
	from, err := plan.ParseCursor(after)
	if err != nil {
		return err
	}
	ctx, access, done, err := r.follow(ctx, projectID)
	if err != nil {
		return err
	}
	defer done()
	for u, err := range r.plans.Watch(ctx, access, from) {
		if err != nil {
			return endOf(ctx, err)
		}
		d := delivery[*PlanDagDeltaEvent]{build: func() (*PlanDagDeltaEvent, error) { return r.delta(u, planID) }}
		switch {
		case u.Event != nil:
			d.event = event{key: eventKey{project: projectID, at: u.At, generation: u.Generation}, update: u}
		case !u.Missed && after != "":
			continue // the watch begins at the cursor, so there is nothing to show
		}
		if after == "" {
			d.buildCheck = func() (*PlanDagDeltaEvent, error) { return r.check(u, planID), nil }
		}
		if !offer(ctx, out, d) {
			break
		}
	}
	return endOf(ctx, nil)
}

// events sends the changes of a plan to out, and a snapshot of the plan where changes were missed. It returns when ctx ends, or with the
// error that ended the watch.
func (r *Resolver) events(ctx context.Context, projectID int32, after string, out chan<- delivery[*PlanEvent]) error {
	from, err := plan.ParseCursor(after)
	if err != nil {
		return err
	}
	ctx, access, done, err := r.follow(ctx, projectID)
	if err != nil {
		return err
	}
	defer done()
	snapshotVersion := int64(-1) // the changes up to it need not be shown
	for u, err := range r.plans.Watch(ctx, access, from) {
		var d delivery[*PlanEvent]
		switch {
		case err != nil:
			return endOf(ctx, err)
		case u.TooLarge && u.At.Version <= snapshotVersion:
			continue // a snapshot has shown the change
		case u.Missed:
			dag, err := r.plans.SharedDAG(ctx, access, u.At)
			if err != nil {
				return endOf(ctx, err)
			}
			if err := checkShown(ctx, dag); err != nil {
				return err
			}
			snapshotVersion = dag.At.Version
			d.key = eventKey{project: projectID, at: dag.At, snapshot: true}
			d.build = func() (*PlanEvent, error) { return r.snapshot(dag), nil }
		case u.Event != nil && u.At.Version > snapshotVersion:
			d.event = event{key: eventKey{project: projectID, at: u.At, generation: u.Generation}, update: u}
			d.build = func() (*PlanEvent, error) { return planEvent(u), nil }
		default:
			continue
		}
		if !offer(ctx, out, d) {
			break
		}
	}
	return endOf(ctx, nil)
}

// planEvent builds the event that shows a change. In a dry run that is a change which would be, and its place the newest one.
func planEvent(u *plan.Update) *PlanEvent {
	e := u.Event
	return &PlanEvent{
		ProjectID: u.ProjectID, Version: e.Version, Cursor: u.At.String(), OpID: optional(e.OpID), ClientID: optional(e.ClientID),
		ActorID: e.ActorID, ActorName: e.ActorName, ActorKind: e.ActorKind, Via: e.Via, Note: optional(e.Note),
		Undoes: optional(e.Undoes), Timestamp: e.At, Operations: e.Operations,
	}
}

// snapshot builds the event that shows the whole plan.
func (r *Resolver) snapshot(dag plan.DAG) *PlanEvent {
	return &PlanEvent{
		ProjectID: dag.ProjectID, Version: dag.At.Version, Cursor: dag.At.String(), Snapshot: true, Plan: r.planDag(dag),
		ActorID: system, ActorName: system, ActorKind: system, Via: system,
		Timestamp: dag.ChangedAt, Operations: []plan.Operation{},
	}
}

// offer sends v unless ctx ends first.
func offer[T any](ctx context.Context, out chan<- T, v T) bool {
	select {
	case out <- v:
		return true
	case <-ctx.Done():
		return false
	}
}

// planIDIfSelected returns the id of a project's plan if the document asks for it. Most do not, and it costs a query.
func (r *Resolver) planIDIfSelected(ctx context.Context, projectID int32) (int32, error) {
	if !slices.Contains(graphql.CollectAllFields(ctx), "planId") {
		return 0, nil
	}
	ctx, cancel := context.WithTimeout(ctx, r.patience)
	defer cancel()
	access, err := r.access(ctx, projectID, "")
	if err != nil {
		return 0, err
	}
	p, err := r.plans.OfProject(ctx, access)
	return p.ID, err
}
