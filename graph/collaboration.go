package graph

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"layercake/internal/fault"
	"layercake/internal/plan"
	"layercake/internal/presence"

	"golang.org/x/sync/errgroup"
)

// PlanDagUpdateEvent is one step of an update.
type PlanDagUpdateEvent struct {
	PlanID     string
	UpdateType PlanDagUpdateType
	Data       PlanDagUpdateData
	UserID     string
	Timestamp  string

	at     moment
	update *plan.Update
}

// CollaborationEvent is one step of an update, or somebody who came or left.
type CollaborationEvent struct {
	EventID   string
	PlanID    string
	UserID    string
	EventType CollaborationEventType
	Timestamp string
	Data      CollaborationEventData

	at     moment
	update *plan.Update // nil for people
}

func (e *PlanDagUpdateEvent) moment() moment      { return e.at }
func (e *PlanDagUpdateEvent) shown() *plan.Update { return e.update }
func (e *CollaborationEvent) moment() moment      { return e.at }
func (e *CollaborationEvent) shown() *plan.Update { return e.update }

// errMissed ends a subscription that has no other way to say that something is missing.
var errMissed = fault.New(fault.Unavailable, "Events were missed, subscribe and read the plan again")

// step is one operation as these subscriptions show it.
type step struct {
	plan.Operation
	at     moment
	update *plan.Update
	node   *plan.Node
	edge   *plan.Edge
}

func (s step) timestamp() string { return plan.FormatTime(s.update.Event.At) }

// steps sends each operation of a plan to show, until that says false. It returns when ctx ends or with the error that ended the
// watch.
func (r *Resolver) steps(ctx context.Context, projectID int32, show func(step) bool) error {
	for u, err := range r.plans.Watch(ctx, actor(ctx, ""), projectID, "") {
		switch {
		case err != nil:
			return err
		case u.Missed:
			return errMissed
		case u.Event == nil:
			continue // the beginning
		}
		steps, err := stepsOf(u)
		if err != nil {
			return err
		}
		for _, s := range steps {
			if !show(s) {
				return nil
			}
		}
	}
	return nil
}

// stepsOf reads the operations of an update, once for all its subscribers.
func stepsOf(u *plan.Update) ([]step, error) {
	type made struct {
		steps []step
		err   error
	}
	m := u.Shared("graph steps", func() any {
		var m made
		for i, op := range u.Event.Operations {
			s := step{Operation: op, at: moment{project: u.ProjectID, cursor: u.Cursor, step: i}, update: u}
			if s.node, m.err = op.Node(); m.err != nil {
				break
			}
			if s.edge, m.err = op.Edge(); m.err != nil {
				break
			}
			m.steps = append(m.steps, s)
		}
		return m
	}).(made)
	return m.steps, m.err
}

// updates sends the steps of a plan to out. It returns when ctx ends or with the error that ended the watch.
func (r *Resolver) updates(ctx context.Context, planID string, out chan<- *PlanDagUpdateEvent) error {
	projectID, err := r.projectOf(ctx, planID)
	if err != nil {
		return err
	}
	return r.steps(ctx, projectID, func(s step) bool {
		e := &PlanDagUpdateEvent{
			PlanID: planID, UpdateType: PlanDagUpdateType(s.Kind), Data: PlanDagUpdateData{Node: s.node, Edge: s.edge},
			UserID: s.update.Event.ActorID, Timestamp: s.timestamp(), at: s.at, update: s.update,
		}
		if s.Kind == plan.PlanUpdated {
			e.UpdateType, e.Data.Metadata = PlanDagUpdateTypeMetadataUpdated, optional(string(s.After))
		}
		return offer(ctx, out, e)
	})
}

// collaborationTypes are the types of events that steps are shown as.
var collaborationTypes = map[plan.OperationKind]CollaborationEventType{
	plan.NodeAdded:   CollaborationEventTypeNodeCreated,
	plan.NodeUpdated: CollaborationEventTypeNodeUpdated,
	plan.NodeRemoved: CollaborationEventTypeNodeDeleted,
	plan.EdgeAdded:   CollaborationEventTypeEdgeCreated,
	plan.EdgeUpdated: CollaborationEventTypeEdgeUpdated,
	plan.EdgeRemoved: CollaborationEventTypeEdgeDeleted,
}

// collaboration sends the steps of a plan, and who comes and leaves, to out. It returns when ctx ends or with the error that ended
// one of the two.
func (r *Resolver) collaboration(ctx context.Context, planID string, out chan<- *CollaborationEvent) error {
	projectID, err := r.projectOf(ctx, planID)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		return r.steps(ctx, projectID, func(s step) bool {
			kind, shown := collaborationTypes[s.Kind]
			return !shown || offer(ctx, out, s.collaborationEvent(planID, kind))
		})
	})
	g.Go(func() error {
		for passage, err := range r.presence.Passages(ctx, projectID) {
			if err != nil {
				return err
			}
			if !offer(ctx, out, passageEvent(passage, planID, projectID)) {
				break
			}
		}
		return nil
	})
	return g.Wait()
}

func (s step) collaborationEvent(planID string, kind CollaborationEventType) *CollaborationEvent {
	e := &CollaborationEvent{
		EventID: fmt.Sprintf("%s.%d", s.at.cursor, s.at.step), PlanID: planID, UserID: s.update.Event.ActorID, EventType: kind,
		Timestamp: s.timestamp(), at: s.at, update: s.update,
	}
	if s.node != nil {
		e.Data.NodeEvent = &NodeEventData{Node: *s.node}
	}
	if s.edge != nil {
		e.Data.EdgeEvent = &EdgeEventData{Edge: *s.edge}
	}
	return e
}

func passageEvent(v presence.Passage, planID string, projectID int32) *CollaborationEvent {
	kind := CollaborationEventTypeUserJoined
	if v.Left {
		kind = CollaborationEventTypeUserLeft
	}
	return &CollaborationEvent{
		EventID: v.ID, PlanID: planID, UserID: v.UserID, EventType: kind, Timestamp: plan.FormatTime(v.At),
		Data: CollaborationEventData{UserEvent: &UserEventData{UserID: v.UserID, UserName: v.Name, AvatarColor: v.Color}},
		at:   moment{project: projectID, cursor: v.ID},
	}
}

// projectOf returns the project that a plan id of these subscriptions means.
func (r *Resolver) projectOf(ctx context.Context, planID string) (int32, error) {
	digits, isProject := strings.CutPrefix(planID, "project_")
	id, err := strconv.ParseInt(digits, 10, 32)
	if err != nil || strconv.FormatInt(id, 10) != digits {
		return 0, fault.New(fault.BadRequest, "Plan id is neither a number nor project_ and a number").With("detail", planID)
	}
	if isProject {
		return int32(id), nil
	}
	p, err := r.plans.Get(ctx, actor(ctx, ""), int32(id))
	return p.ProjectID, err
}

// join brings the client that states an id into a project, or says that somebody came.
func (r *Resolver) join(ctx context.Context, projectID int32, clientID string, name, color *string, agent *bool) error {
	if clientID == "" {
		if name != nil || color != nil || agent != nil {
			return fault.New(fault.BadRequest, "Without a client id nobody can be named")
		}
		return r.presence.Notice(ctx, projectID, false)
	}
	a := actor(ctx, clientID)
	who := presence.Identity{
		UserID: a.ID, Name: a.Name, Color: presence.Anonymous.Color, Agent: value(agent), Transport: presence.GraphQL,
	}
	if name != nil {
		who.Name = *name
	}
	if color != nil {
		who.Color = *color
	}
	return r.presence.JoinGuest(ctx, projectID, clientID, who)
}

// leave takes the client that states an id out of a project, or says that somebody left.
func (r *Resolver) leave(ctx context.Context, projectID int32, clientID string) error {
	if clientID == "" {
		return r.presence.Notice(ctx, projectID, true)
	}
	return r.presence.LeaveGuest(ctx, projectID, clientID)
}
