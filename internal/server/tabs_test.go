package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"layercake/internal/client"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server/servertest"
)

// Where everybody signs in, others know a person by the account. A browser, which knows itself by an id that it made, is shown itself under
// that id, and the account's other tabs beside it; otherwise it would take itself for somebody else.
func TestTabsOfAnAccount(t *testing.T) {
	t.Parallel()
	replicas := servertest.StartOn(t, pgtest.New(t), 2, required)
	here, there := replicas[0].URL, replicas[1].URL
	ann, bob := registered(t, here, "ann"), registered(t, here, "bob")
	project := ann.created(t, here)
	var data struct{ InviteCollaborator struct{ ID int } }
	ann.does(t, here, fmt.Sprintf(`mutation { inviteCollaborator(input: {projectId: %d, email: "bob", role: "viewer"}) { id } }`, project), &data)
	bob.does(t, here, fmt.Sprintf(`mutation { acceptCollaboration(collaborationId: %d) { id } }`, data.InviteCollaborator.ID), nil)
	enters := func(p person, url, stated string) *browserTab {
		by := client.Dialer{Timeout: pgtest.Patience, Header: http.Header{"Authorization": {"Bearer " + p.secret}}}
		s, err := by.Collaboration(t.Context(), url, project)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.CloseNow)
		say(t, s, string(client.Join{UserID: stated, UserName: "x", AvatarColor: "#fff", DocumentID: "d"}.Frame()), string(client.MoveFrame("d", 1, 2)))
		return &browserTab{Socket: s, people: map[string]bool{}}
	}
	a, b := strconv.Itoa(ann.id), strconv.Itoa(bob.id)
	first := enters(ann, here, "one")
	first.shows(t, "one")
	second := enters(ann, there, "two")
	second.shows(t, "two", "two#")
	first.shows(t, "one", "one#")
	third := enters(bob, there, "bob")
	third.shows(t, "bob", a) // ann is one person to him
	first.shows(t, "one", "one#", b)
	second.shows(t, "two", "two#", b)
	second.CloseNow()
	first.shows(t, "one", b)
	third.shows(t, "bob", a)
}

// browserTab is a socket of a browser, with what it was shown.
type browserTab struct {
	*client.Socket

	people map[string]bool // user ids of whom the roster and its changes show
	active []string        // those of the last list of the document
}

// shows reads until a tab was shown just these ids, by the roster and by the list of the document; of an alias the end does not count.
func (s *browserTab) shows(t *testing.T, want ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), pgtest.Patience)
	defer cancel()
	plain := func(ids []string) string {
		short := make([]string, len(ids))
		for i, id := range ids {
			name, _, alias := strings.Cut(id, "#")
			if short[i] = name; alias {
				short[i] += "#"
			}
		}
		slices.Sort(short)
		return strings.Join(short, " ")
	}
	for {
		people, active := plain(slices.Collect(maps.Keys(s.people))), plain(s.active)
		if people == plain(want) && active == people {
			return
		}
		frame, err := s.Receive(ctx)
		if err != nil {
			t.Fatalf("%v; the roster has %q, the list %q, want %q", err, people, active, want)
		}
		s.take(t, frame)
	}
}

func (s *browserTab) take(t *testing.T, frame []byte) {
	t.Helper()
	type shown struct {
		UserID   string
		IsOnline bool
	}
	var in struct {
		Type string
		Data json.RawMessage
	}
	var all []shown
	var one shown
	var list struct{ ActiveUsers []shown }
	err := json.Unmarshal(frame, &in)
	switch in.Type {
	case "bulk_presence":
		err = json.Unmarshal(in.Data, &all)
		clear(s.people)
	case "user_presence":
		err = json.Unmarshal(in.Data, &one)
		all = append(all, one)
	case "document_activity":
		err = json.Unmarshal(in.Data, &list)
		s.active = nil
		for _, u := range list.ActiveUsers {
			s.active = append(s.active, u.UserID)
		}
	}
	if err != nil {
		t.Fatalf("%s: %v", frame, err)
	}
	for _, p := range all {
		if delete(s.people, p.UserID); p.IsOnline {
			s.people[p.UserID] = true
		}
	}
}
