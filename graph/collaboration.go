package graph

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"layercake/internal/auth"
	"layercake/internal/caller"
	"layercake/internal/fault"
	"layercake/internal/plan"
	"layercake/internal/presence"

	"golang.org/x/sync/errgroup"
)

// errMissed ends a subscription whose events cannot say that some are missing.
var errMissed = fault.New(fault.Unavailable, "Events were missed, subscribe and read the plan again")

// operationUpdate is one operation of a change. The older subscriptions show each operation as an event of its own.
type operationUpdate struct {
	update *plan.Update
	index  int
}

func (o operationUpdate) operation() plan.Operation { return o.update.Event.Operations[o.index] }

func (o operationUpdate) event() event {
	u := o.update
	return event{key: eventKey{project: u.ProjectID, at: u.At, generation: u.Generation, operation: o.index}, update: u}
}

// eachOperation calls yield for each operation of a plan from now on, until yield returns false. It returns when ctx ends, or with the
// error that ended the watch.
func (r *Resolver) eachOperation(ctx context.Context, projectID int32, yield func(operationUpdate) bool) error {
	ctx, access, done, err := r.follow(ctx, projectID)
	if err != nil {
		return err
	}
	defer done()
	for u, err := range r.plans.Watch(ctx, access, plan.Cursor{}) {
		switch {
		case err != nil:
			return endOf(ctx, err)
		case u.Missed:
			return errMissed
		case u.Event == nil:
			continue // the watch begins
		}
		for i := range u.Event.Operations {
			if !yield(operationUpdate{u, i}) {
				return endOf(ctx, nil)
			}
		}
	}
	return endOf(ctx, nil)
}

// updates sends the operations of a plan to out. It returns when ctx ends, or with the error that ended the watch.
func (r *Resolver) updates(ctx context.Context, planID string, out chan<- delivery[*PlanDagUpdateEvent]) error {
	projectID, err := r.projectOf(ctx, planID)
	if err != nil {
		return err
	}
	return r.eachOperation(ctx, projectID, func(o operationUpdate) bool {
		if _, shown := collaborationTypes[o.operation().Kind]; !shown && o.operation().Kind != plan.PlanUpdated {
			return true
		}
		return offer(ctx, out, delivery[*PlanDagUpdateEvent]{
			event: o.event(), build: func() (*PlanDagUpdateEvent, error) { return o.updateEvent(ctx, r.plans, planID) },
		})
	})
}

// element returns the node or the edge of the operation. A node has the execution that it has now, which its event does not say, and is
// as it is now when the operation tells its execution. Of a node that is gone meanwhile there is no more than the event says.
func (o operationUpdate) element(ctx context.Context, plans *plan.Service) (node *plan.Node, edge *plan.Edge, err error) {
	op := o.operation()
	if node, edge, err = op.Element(); err != nil || edge != nil || op.Kind == plan.NodeRemoved || op.Kind == plan.PlanUpdated {
		return node, edge, err
	}
	nodes, err := plans.NodesNow(ctx, o.update)
	if err != nil {
		return nil, nil, err
	}
	now, there := nodes[op.ID]
	switch {
	case !there:
	case node == nil:
		node = &now
	default:
		node.DatasourceExecution, node.GraphExecution = now.DatasourceExecution, now.GraphExecution
	}
	return node, nil, nil
}

func (o operationUpdate) updateEvent(ctx context.Context, plans *plan.Service, planID string) (*PlanDagUpdateEvent, error) {
	node, edge, err := o.element(ctx, plans)
	e := &PlanDagUpdateEvent{
		PlanID: planID, UpdateType: PlanDagUpdateType(o.operation().Kind), Data: PlanDagUpdateData{Node: node, Edge: edge},
		UserID: o.update.Event.ActorID, Timestamp: plan.FormatTime(o.update.Event.At),
	}
	switch o.operation().Kind { //nolint:exhaustive // all others have a type of their own
	case plan.ExecutionChanged:
		e.UpdateType = PlanDagUpdateTypeNodeUpdated
	case plan.PlanUpdated:
		e.UpdateType, e.Data.Metadata = PlanDagUpdateTypeMetadataUpdated, optional(string(o.operation().After))
	}
	return e, err
}

// collaborationTypes are the types of the events that show operations. Operations of other kinds are not shown.
var collaborationTypes = map[plan.OperationKind]CollaborationEventType{
	plan.NodeAdded:   CollaborationEventTypeNodeCreated,
	plan.NodeUpdated: CollaborationEventTypeNodeUpdated,
	plan.NodeRemoved: CollaborationEventTypeNodeDeleted,
	plan.EdgeAdded:   CollaborationEventTypeEdgeCreated,
	plan.EdgeUpdated: CollaborationEventTypeEdgeUpdated,
	plan.EdgeRemoved: CollaborationEventTypeEdgeDeleted,

	plan.ExecutionChanged: CollaborationEventTypeNodeUpdated,
}

// collaboration sends the operations of a plan, and who arrives and leaves, to out. It returns when ctx ends, or with the error that ended
// one of the two.
func (r *Resolver) collaboration(ctx context.Context, planID string, out chan<- delivery[*CollaborationEvent]) error {
	projectID, err := r.projectOf(ctx, planID)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	both := []func() error{
		func() error { return r.operationEvents(ctx, projectID, planID, out) },
		func() error { return r.arrivalEvents(ctx, projectID, planID, out) },
	}
	for _, f := range both {
		g.Go(func() error { return r.errors.safely(ctx, f) })
	}
	return g.Wait()
}

// operationEvents is the half of collaboration that shows operations.
func (r *Resolver) operationEvents(ctx context.Context, projectID int32, planID string, out chan<- delivery[*CollaborationEvent]) error {
	return r.eachOperation(ctx, projectID, func(o operationUpdate) bool {
		kind, known := collaborationTypes[o.operation().Kind]
		return !known || offer(ctx, out, delivery[*CollaborationEvent]{
			event: o.event(), build: func() (*CollaborationEvent, error) { return o.collaborationEvent(ctx, r.plans, planID, kind) },
		})
	})
}

// arrivalEvents is the half of collaboration that shows who arrives and leaves.
func (r *Resolver) arrivalEvents(ctx context.Context, projectID int32, planID string, out chan<- delivery[*CollaborationEvent]) error {
	ctx, access, done, err := r.follow(ctx, projectID)
	if err != nil {
		return err
	}
	defer done()
	for arrival, err := range r.presence.Arrivals(ctx, access) {
		if err != nil {
			return endOf(ctx, err)
		}
		if !offer(ctx, out, delivery[*CollaborationEvent]{
			event: event{key: eventKey{project: projectID, arrival: arrival.ID}},
			build: func() (*CollaborationEvent, error) { return arrivalEvent(arrival, planID), nil },
		}) {
			break
		}
	}
	return endOf(ctx, nil)
}

func (o operationUpdate) collaborationEvent(
	ctx context.Context, plans *plan.Service, planID string, kind CollaborationEventType,
) (*CollaborationEvent, error) {
	node, edge, err := o.element(ctx, plans)
	e := &CollaborationEvent{
		EventID: fmt.Sprintf("%s.%d", o.update.At, o.index), PlanID: planID, UserID: o.update.Event.ActorID, EventType: kind,
		Timestamp: plan.FormatTime(o.update.Event.At),
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

// projectOf returns the project of a plan id of these subscriptions, which is the id of a plan, or project_ and the id of a project.
func (r *Resolver) projectOf(ctx context.Context, planID string) (int32, error) {
	digits, isProject := strings.CutPrefix(planID, "project_")
	id, err := strconv.ParseInt(digits, 10, 32)
	if err != nil || strconv.FormatInt(id, 10) != digits {
		return 0, fault.New(fault.BadRequest, "Plan id is neither a number nor project_ and a number").With("detail", planID)
	}
	if isProject {
		return int32(id), nil
	}
	access, err := r.rights.Plan(ctx, caller.Principal(ctx, ""), int32(id))
	return access.Project(), err
}

// join brings a client that states an id into a project as a guest. Without an id it announces an anonymous join.
func (r *Resolver) join(ctx context.Context, projectID int32, clientID string, name, color *string, agent *bool) error {
	access, err := r.access(ctx, projectID, clientID)
	if err != nil {
		return err
	}
	if clientID == "" {
		if name != nil || color != nil || agent != nil {
			return fault.New(fault.BadRequest, "Without a client id nobody can be named")
		}
		return r.presence.Announce(ctx, access, false)
	}
	a := access.Actor()
	who := presence.Identity{
		UserID: a.ID, Name: a.Name, Color: presence.Anonymous.Color, Agent: value(agent), Transport: caller.GraphQL,
	}
	if name != nil {
		who.Name = *name
	}
	if color != nil {
		who.Color = *color
	}
	c := caller.From(ctx)
	if _, stored := access.Stored(); stored { // what the client states is no identity then
		who.Name, who.Color, who.Agent = a.Name, c.Color, a.Kind == auth.KindAgent
	}
	return r.presence.JoinGuest(ctx, presence.Maker{Caller: c.Actor.ID, Network: c.Network()}, access, guestOf(access, clientID), who)
}

// guestOf returns the name of a client's guest. An account has its own: nobody takes over, or takes out, the guest of somebody else.
func guestOf(access auth.Access, clientID string) string {
	if account, stored := access.Stored(); stored {
		return fmt.Sprint(account, " ", clientID)
	}
	return clientID
}

// leave takes a client that states an id out of a project. Without an id it announces an anonymous leave.
func (r *Resolver) leave(ctx context.Context, projectID int32, clientID string) error {
	access, err := r.access(ctx, projectID, clientID)
	if err != nil {
		return err
	}
	if clientID == "" {
		return r.presence.Announce(ctx, access, true)
	}
	return r.presence.LeaveGuest(ctx, access, guestOf(access, clientID))
}

// presentPerson shows one connection, or a guest.
func presentPerson(e *presence.Entry) PresentPerson {
	p := PresentPerson{
		ConnectionID: e.Connection.String(), UserID: e.UserID, UserName: e.Name, AvatarColor: e.Color, IsAgent: e.Agent, Transport: e.Transport,
		JoinedAt: e.JoinedAt, ActiveAt: e.ActiveAt,
	}
	if e.Place != nil {
		p.DocumentID, p.SelectedNodeID = optional(e.Place.Document), optional(e.Place.Selected)
	}
	return p
}
