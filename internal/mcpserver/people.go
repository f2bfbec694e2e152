package mcpserver

import (
	"context"
	"time"

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
}

func (h *Handler) whoIsHere(ctx context.Context, _ call, in ofProject) (peopleHere, error) {
	room, err := h.presence.Enter(ctx, in.project())
	if err != nil {
		return peopleHere{}, err
	}
	defer room.Exit()
	here := peopleHere{People: []personInfo{}}
	now := time.Now()
	for _, p := range room.Roster().People {
		for _, e := range p.Entries {
			if here.Count++; len(here.People) < mostPeople {
				here.People = append(here.People, personOf(e, now))
			}
		}
	}
	return here, nil
}

// others returns how many others are in a project.
func (h *Handler) others(ctx context.Context, c call, projectID int32) (n int, err error) {
	room, err := h.presence.Enter(ctx, projectID)
	if err != nil {
		return 0, err
	}
	defer room.Exit()
	for _, p := range room.Roster().People {
		for _, e := range p.Entries {
			if e.UserID != c.actor.ID {
				n++
			}
		}
	}
	return n, nil
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

// see notes that an agent did something in a project, so that others see it there.
func (h *Handler) see(c call, projectID int32) {}
