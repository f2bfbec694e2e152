package mcpserver

import (
	"context"
	"time"

	"layercake/internal/caller"
	"layercake/internal/fault"
	"layercake/internal/plan"
	"layercake/internal/presence"
)

// mostPeople is the number of people that who_is_here lists.
const mostPeople = 100

type personInfo struct {
	Name         string `json:"name"`
	IsAgent      bool   `json:"is_agent"`
	DocumentID   string `json:"document_id,omitempty"`
	NodeID       string `json:"node_id,omitempty"`
	IdleSeconds  int    `json:"idle_seconds"`
	ConnectionID string `json:"connection_id"`
}

type peopleHere struct {
	People []personInfo `json:"people"`
	Count  int          `json:"count"`
}

func (h *Handler) addPeopleTools() {
	add(h, definition{
		name: "who_is_here", title: "Who is here", does: "People and agents who are in the project now.", set: peopleTools, effect: reads,
	}, h.whoIsHere)
	add(h, definition{
		name: "set_presence", title: "Say where you are", set: peopleTools, effect: writes, repeatable: true, leaves: true,
		does: "Shows people your pointer, at a node or a place on the canvas, or takes it away.",
	}, h.setPresence)
}

func (h *Handler) whoIsHere(ctx context.Context, c call, _ ofProject) (peopleHere, error) {
	people, count, err := h.presence.People(ctx, c.access, mostPeople)
	if err != nil {
		return peopleHere{}, err
	}
	here := peopleHere{People: []personInfo{}, Count: count}
	now := time.Now()
	for _, e := range people {
		here.People = append(here.People, personOf(e, now))
	}
	return here, nil
}

// others returns how many others are in a project.
func (h *Handler) others(ctx context.Context, c call) (n int, err error) {
	people, _, err := h.presence.People(ctx, c.access, presence.MaxPeople)
	for _, e := range people {
		if e.UserID != c.ID {
			n++
		}
	}
	return n, err
}

func personOf(e *presence.Entry, now time.Time) personInfo {
	info := personInfo{
		Name: e.Name, IsAgent: e.Agent, IdleSeconds: max(0, int(now.Sub(e.ActiveAt).Seconds())), ConnectionID: e.Connection.String(),
	}
	if e.Place != nil {
		info.DocumentID, info.NodeID = e.Place.Document, e.Place.Selected
	}
	return info
}

// see makes the agent of a call a guest of a project, so that others see it there, for as long as it goes on calling. It never waits and
// never fails the call.
func (h *Handler) see(c call, projectID int32) {
	h.presence.SeeGuest(projectID, c.ID, c.maker, presence.Identity{
		UserID: c.ID, Name: c.Name, Color: presence.ColorOf(c.ID), Agent: true, Transport: caller.MCP,
	})
}

// point puts the pointer of an agent to the node that an edit touched last.
func (h *Handler) point(c call, projectID int32, result plan.Result) {
	if result.Event == nil || len(result.Nodes) == 0 {
		return
	}
	n := result.Nodes[len(result.Nodes)-1]
	h.see(c, projectID)
	// The plan took the place, so it is one.
	_ = h.presence.PlaceGuest(projectID, c.ID, presence.OnCanvas(n.Position.X, n.Position.Y, n.ID))
}

type setPresence struct {
	ofProject
	NodeID string   `json:"node_id,omitempty"`
	X      *float64 `json:"x,omitempty"`
	Y      *float64 `json:"y,omitempty"`
	Leave  bool     `json:"leave,omitempty"`
}

type presenceSet struct {
	Here bool   `json:"here"`
	Name string `json:"name"`
}

func (h *Handler) setPresence(ctx context.Context, c call, in setPresence) (presenceSet, error) {
	switch {
	case in.Leave && (in.NodeID != "" || in.X != nil || in.Y != nil):
		return presenceSet{}, fault.New(fault.BadRequest, "leave goes with no place").With("path", "leave")
	case in.Leave:
		return presenceSet{Name: c.Name}, h.presence.LeaveGuest(ctx, c.access, c.ID)
	case in.NodeID != "" && (in.X != nil || in.Y != nil):
		return presenceSet{}, fault.New(fault.BadRequest, "A place is node_id, or x and y, not both").With("path", "node_id")
	case (in.X == nil) != (in.Y == nil):
		return presenceSet{}, fault.New(fault.BadRequest, "A place needs both x and y").With("path", "x")
	}
	here := presenceSet{Here: true, Name: c.Name}
	if in.NodeID != "" {
		n, err := h.plans.Node(ctx, c.access, in.NodeID)
		if err != nil {
			return presenceSet{}, err
		}
		in.X, in.Y = &n.Position.X, &n.Position.Y
	} else if _, err := h.plans.Head(ctx, c.access); err != nil {
		return presenceSet{}, err
	}
	h.see(c, in.project())
	if in.X == nil {
		return here, nil
	}
	return here, h.presence.PlaceGuest(in.project(), c.ID, presence.OnCanvas(*in.X, *in.Y, in.NodeID))
}
