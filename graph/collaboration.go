package graph

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"layercake/internal/caller"
	"layercake/internal/fault"
	"layercake/internal/plan"
	"layercake/internal/presence"

	"golang.org/x/sync/errgroup"
)

// errMissed ends a subscription that has no other way to say that something is missing.
var errMissed = fault.New(fault.Unavailable, "Events were missed, subscribe and read the plan again")

// step is one operation of a change, as these subscriptions show it.
type step struct {
	update *plan.Update
	index  int
}

func (s step) operation() plan.Operation { return s.update.Event.Operations[s.index] }

func (s step) event() event {
	return event{key: eventKey{project: s.update.ProjectID, at: s.update.At, operation: s.index}, update: s.update}
}

// steps sends each operation of a plan to show, until that says false. It returns when ctx ends or with the error that ended the
// watch.
func (r *Resolver) steps(ctx context.Context, projectID int32, show func(step) bool) error {
	for u, err := range r.plans.Watch(ctx, caller.Actor(ctx, ""), projectID, plan.Cursor{}) {
		switch {
		case err != nil:
			return err
		case u.Missed:
			return errMissed
		case u.Event == nil:
			continue // the beginning
		}
		for i := range u.Event.Operations {
			if !show(step{u, i}) {
				return nil
			}
		}
	}
	return nil
}

// updates sends the steps of a plan to out. It returns when ctx ends or with the error that ended the watch.
func (r *Resolver) updates(ctx context.Context, planID string, out chan<- delivery[*PlanDagUpdateEvent]) error {
	projectID, err := r.projectOf(ctx, planID)
	if err != nil {
		return err
	}
	return r.steps(ctx, projectID, func(s step) bool {
		return offer(ctx, out, delivery[*PlanDagUpdateEvent]{
			event: s.event(), show: func() (*PlanDagUpdateEvent, error) { return s.updateEvent(planID) },
		})
	})
}

func (s step) updateEvent(planID string) (*PlanDagUpdateEvent, error) {
	node, edge, err := s.operation().Element()
	e := &PlanDagUpdateEvent{
		PlanID: planID, UpdateType: PlanDagUpdateType(s.operation().Kind), Data: PlanDagUpdateData{Node: node, Edge: edge},
		UserID: s.update.Event.ActorID, Timestamp: plan.FormatTime(s.update.Event.At),
	}
	if s.operation().Kind == plan.PlanUpdated {
		e.UpdateType, e.Data.Metadata = PlanDagUpdateTypeMetadataUpdated, optional(string(s.operation().After))
	}
	return e, err
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
func (r *Resolver) collaboration(ctx context.Context, planID string, out chan<- delivery[*CollaborationEvent]) error {
	projectID, err := r.projectOf(ctx, planID)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		return r.steps(ctx, projectID, func(s step) bool {
			kind, shown := collaborationTypes[s.operation().Kind]
			return !shown || offer(ctx, out, delivery[*CollaborationEvent]{
				event: s.event(), show: func() (*CollaborationEvent, error) { return s.collaborationEvent(planID, kind) },
			})
		})
	})
	g.Go(func() error {
		for arrival, err := range r.presence.Arrivals(ctx, projectID) {
			if err != nil {
				return err
			}
			if !offer(ctx, out, delivery[*CollaborationEvent]{
				event: event{key: eventKey{project: projectID, arrival: arrival.ID}},
				show:  func() (*CollaborationEvent, error) { return arrivalEvent(arrival, planID), nil },
			}) {
				break
			}
		}
		return nil
	})
	return g.Wait()
}

func (s step) collaborationEvent(planID string, kind CollaborationEventType) (*CollaborationEvent, error) {
	node, edge, err := s.operation().Element()
	e := &CollaborationEvent{
		EventID: fmt.Sprintf("%s.%d", s.update.At, s.index), PlanID: planID, UserID: s.update.Event.ActorID, EventType: kind,
		Timestamp: plan.FormatTime(s.update.Event.At),
	}
	if node != nil {
		e.Data.NodeEvent = &NodeEventData{Node: *node}
	}
	if edge != nil {
		e.Data.EdgeEvent = &EdgeEventData{Edge: *edge}
	}
	return e, err
}

func arrivalEvent(v presence.Arrival, planID string) *CollaborationEvent {
	kind := CollaborationEventTypeUserJoined
	if v.Left {
		kind = CollaborationEventTypeUserLeft
	}
	return &CollaborationEvent{
		EventID: v.ID, PlanID: planID, UserID: v.UserID, EventType: kind, Timestamp: plan.FormatTime(v.At),
		Data: CollaborationEventData{UserEvent: &UserEventData{UserID: v.UserID, UserName: v.Name, AvatarColor: v.Color}},
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
	p, err := r.plans.Get(ctx, caller.Actor(ctx, ""), int32(id))
	return p.ProjectID, err
}

// join brings the client that states an id into a project, or says that somebody came.
func (r *Resolver) join(ctx context.Context, projectID int32, clientID string, name, color *string, agent *bool) error {
	if clientID == "" {
		if name != nil || color != nil || agent != nil {
			return fault.New(fault.BadRequest, "Without a client id nobody can be named")
		}
		return r.presence.Announce(ctx, projectID, false)
	}
	a := caller.Actor(ctx, clientID)
	who := presence.Identity{
		UserID: a.ID, Name: a.Name, Color: presence.Anonymous.Color, Agent: value(agent), Transport: caller.GraphQL,
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
		return r.presence.Announce(ctx, projectID, true)
	}
	return r.presence.LeaveGuest(ctx, projectID, clientID)
}
