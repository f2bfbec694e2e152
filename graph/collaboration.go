package graph

import (
	"context"

	"layercake/internal/fault"
	"layercake/internal/presence"
)

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
