package server_test

import (
	"context"
	"encoding/json"
	"testing"

	"layercake/internal/caller"
	"layercake/internal/client"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/presence"
	"layercake/internal/server/servertest"
)

// A browser sees an agent that has no connection, on another replica, and its pointer, as it sees people.
func TestBrowsersSeeThePointersOfAgents(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	url := servertest.StartOn(t, database, 1, nil)[0].URL
	newProject(t, url)
	agents := servertest.StartCoreOn(t, database, nil).Presence
	browser := enter(t, url, 1, client.Join{UserID: "ann", UserName: "Ann", DocumentID: "plan-dag-canvas"})
	frames := make(chan client.Frame, 100)
	ended := make(chan struct{})
	reading, stop := context.WithTimeout(t.Context(), pgtest.Patience)
	t.Cleanup(func() { stop(); <-ended })
	go func() {
		defer close(ended)
		defer close(frames)
		for {
			text, err := browser.Receive(reading)
			if err != nil {
				return
			}
			var f client.Frame
			if err := json.Unmarshal(text, &f); err != nil {
				t.Errorf("%s: %v", text, err)
			}
			select {
			case frames <- f:
			case <-reading.Done():
				return
			}
		}
	}()

	who := presence.Identity{UserID: "robot", Name: "Robot", Color: presence.ColorOf("robot"), Agent: true, Transport: caller.MCP}
	shown := func(x float64, node string) (person, listed bool) {
		for !person || !listed {
			f, open := <-frames
			if !open {
				return person, listed
			}
			switch f.Type {
			case "user_presence":
				var p client.Person
				if err := json.Unmarshal(f.Data, &p); err != nil {
					t.Fatal(err)
				}
				in := p.Documents["plan-dag-canvas"]
				person = person || p.UserID == "robot" && p.IsOnline && p.AvatarColor == who.Color && p.IsAgent != nil && *p.IsAgent &&
					in.DocumentType == "canvas" && in.Position != nil && *in.Position == client.Point{X: x, Y: -2} && text(in.SelectedNodeID) == node
			case "document_activity":
				var a client.Activity
				if err := json.Unmarshal(f.Data, &a); err != nil {
					t.Fatal(err)
				}
				for _, u := range a.ActiveUsers {
					listed = listed || a.DocumentID == "plan-dag-canvas" && u.UserID == "robot" && u.UserName == "Robot" && u.Position != nil &&
						*u.Position == client.Point{X: x, Y: -2} && text(u.SelectedNodeID) == node
				}
			}
		}
		return person, listed
	}
	for _, at := range []struct {
		x    float64
		node string
	}{{1.5, "a"}, {250, ""}} {
		agents.SeeGuest(1, "robot", presence.Maker{Caller: "robot"}, who)
		if err := agents.PlaceGuest(1, "robot", presence.OnCanvas(at.x, -2, at.node)); err != nil {
			t.Fatal(err)
		}
		if person, listed := shown(at.x, at.node); !person || !listed {
			t.Fatalf("at %v: shown as a person: %t, in the document: %t", at.x, person, listed)
		}
	}
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
