package graph

import (
	"context"
	"slices"
	"time"

	"layercake/internal/auth"
	"layercake/internal/plan"

	"github.com/99designs/gqlgen/graphql"
)

// PlanDagDeltaEvent is an update as the existing client reads it: a patch that guards itself.
type PlanDagDeltaEvent struct {
	ProjectID  int32
	PlanID     int32 // 0 when the document does not select it
	Version    int64
	Cursor     string
	Snapshot   bool
	UserID     string
	ClientID   *string
	OpID       *string
	Timestamp  string
	Operations []PatchOperation

	state  *plan.Update // that the plan is at afterwards
	update *plan.Update // what this shows; nil for a check
}

// PlanEvent is an update with who did what, and the values before and after.
type PlanEvent struct {
	ProjectID  int32
	Version    int64
	Cursor     string
	Snapshot   bool
	Plan       *PlanDag // nil unless Snapshot
	OpID       *string
	ClientID   *string
	ActorID    string
	ActorName  string
	ActorKind  string
	Via        string
	Note       *string
	Timestamp  time.Time
	Operations []plan.Operation

	update *plan.Update // what this shows
}

func (e *PlanDagDeltaEvent) shown() *plan.Update { return e.update }

// moment is the zero one for checks: they tell the time.
func (e *PlanDagDeltaEvent) moment() moment {
	if e.update == nil || e.update.Event == nil {
		return moment{}
	}
	return moment{project: e.ProjectID, cursor: e.Cursor}
}

func (e *PlanEvent) shown() *plan.Update { return e.update }

func (e *PlanEvent) moment() moment {
	return moment{project: e.ProjectID, cursor: e.Cursor, snapshot: e.Snapshot}
}

// A subscriber without a cursor fetches the plan by a request of its own and may miss what happens in between; the existing client
// also ignores deltas for 500 ms after a change of its own. A check lets it notice. The first comes when a burst of events has
// ended and the client listens again, the second in case that the first came too early, and then one now and then.
const (
	firstCheck  = time.Second     // after the last event
	secondCheck = 2 * time.Second // after the first check
	checkPeriod = 30 * time.Second
)

// checkAfter returns how long after the last event or check the next check is due, when so many checks came since the last event.
func checkAfter(checks int) time.Duration {
	switch checks {
	case 0:
		return firstCheck
	case 1:
		return secondCheck
	}
	return checkPeriod
}

// system is who speaks when an event tells of no change.
const system = string(auth.KindSystem)

// delta makes the event that shows an update, once for all its subscribers.
func delta(u *plan.Update, planID int32) (*PlanDagDeltaEvent, error) {
	if u.Event == nil {
		e := (&PlanDagDeltaEvent{ProjectID: u.ProjectID, PlanID: planID, Version: u.Version, Cursor: u.Cursor, state: u}).check()
		e.Snapshot, e.update = u.Missed, u
		return e, nil
	}
	type made struct {
		event *PlanDagDeltaEvent
		err   error
	}
	m := u.Shared("graph delta", func() any {
		operations, err := u.Delta()
		return made{&PlanDagDeltaEvent{
			ProjectID: u.ProjectID, Version: u.Version, Cursor: u.Cursor,
			UserID: u.Event.ActorID, ClientID: optional(u.Event.ClientID), OpID: optional(u.Event.OpID),
			Timestamp: plan.FormatTime(u.Event.At), Operations: patch(operations), state: u, update: u,
		}, err}
	}).(made)
	if m.err != nil || planID == 0 {
		return m.event, m.err
	}
	e := *m.event
	e.PlanID = planID
	return &e, nil
}

// check demands the version that e left the plan at. It changes nothing.
func (e *PlanDagDeltaEvent) check() *PlanDagDeltaEvent {
	return &PlanDagDeltaEvent{
		ProjectID: e.ProjectID, PlanID: e.PlanID, Version: e.Version, Cursor: e.Cursor,
		UserID: system, Timestamp: plan.FormatTime(time.Now()), Operations: patch(e.state.Check()), state: e.state,
	}
}

func patch(operations []plan.PatchOperation) []PatchOperation {
	out := make([]PatchOperation, len(operations))
	for i, op := range operations {
		out[i] = PatchOperation{Op: PatchOp(op.Op), Path: op.Path, Value: op.Value}
	}
	return out
}

// deltas sends the updates of a plan to out. It returns when ctx ends or with the error that ended the watch.
func (r *Resolver) deltas(ctx context.Context, projectID int32, after string, out chan<- *PlanDagDeltaEvent) error {
	planID, err := r.planIDIfSelected(ctx, projectID)
	if err != nil {
		return err
	}
	for u, err := range r.plans.Watch(ctx, actor(ctx, ""), projectID, after) {
		if err != nil {
			return err
		}
		if u.Event == nil && !u.Missed && after != "" {
			continue // the watch begins where the subscriber is
		}
		e, err := delta(u, planID)
		if err != nil {
			return err
		}
		if !offer(ctx, out, e) {
			break
		}
	}
	return nil
}

// events sends the updates of a plan to out. It returns when ctx ends or with the error that ended the watch.
func (r *Resolver) events(ctx context.Context, projectID int32, after string, out chan<- *PlanEvent) error {
	who := actor(ctx, "")
	covered := int64(-1) // by the last snapshot
	for u, err := range r.plans.Watch(ctx, who, projectID, after) {
		switch {
		case err != nil:
			return err
		case u.TooLarge && u.Version <= covered: // the plan that was sent shows it
		case u.Missed:
			dag, err := r.plans.DAGAt(ctx, who, projectID, u.Cursor)
			if err != nil {
				return err
			}
			covered = dag.Version
			if !offer(ctx, out, snapshot(u, dag)) {
				return nil
			}
		case u.Event != nil && u.Version > covered:
			if !offer(ctx, out, planEvent(u)) {
				return nil
			}
		}
	}
	return nil
}

// planEvent makes the event that shows an update, once for all its subscribers.
func planEvent(u *plan.Update) *PlanEvent {
	return u.Shared("graph event", func() any {
		e := u.Event
		return &PlanEvent{
			ProjectID: u.ProjectID, Version: u.Version, Cursor: u.Cursor,
			OpID: optional(e.OpID), ClientID: optional(e.ClientID),
			ActorID: e.ActorID, ActorName: e.ActorName, ActorKind: e.ActorKind, Via: e.Via, Note: optional(e.Note),
			Timestamp: e.At, Operations: e.Operations, update: u,
		}
	}).(*PlanEvent)
}

func snapshot(u *plan.Update, dag plan.DAG) *PlanEvent {
	return &PlanEvent{
		ProjectID: u.ProjectID, Version: dag.Version, Cursor: dag.Cursor, Snapshot: true, Plan: planDag(dag),
		ActorID: system, ActorName: system, ActorKind: system, Via: system,
		Timestamp: dag.ChangedAt, Operations: []plan.Operation{}, update: u,
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

// planIDIfSelected returns the id of a project's plan when the document asks for it: most do not, and it costs a query.
func (r *Resolver) planIDIfSelected(ctx context.Context, projectID int32) (int32, error) {
	if !slices.Contains(graphql.CollectAllFields(ctx), "planId") {
		return 0, nil
	}
	ctx, cancel := context.WithTimeout(ctx, fieldTime)
	defer cancel()
	p, err := r.plans.OfProject(ctx, actor(ctx, ""), projectID)
	return p.ID, err
}
