package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"layercake/internal/caller"
	"layercake/internal/client"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server/servertest"

	"github.com/google/go-cmp/cmp"
)

// greeted opens a GraphQL socket with a payload of connection_init, and returns what the server greets it with.
func greeted(t *testing.T, url, payload string) (s client.GraphQLSocket, greeting map[string]string) {
	t.Helper()
	raw, err := client.Dialer{Timeout: pgtest.Patience}.Open(t.Context(), url, client.GraphQLPath, client.Subprotocol)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(raw.CloseNow)
	s = client.GraphQLSocket{Socket: raw}
	if err := s.Send(t.Context(), fmt.Appendf(nil, `{"type":"connection_init","payload":%s}`, payload)); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(next(t, s, "connection_ack"), &greeting); err != nil {
		t.Fatal(err)
	}
	return s, greeting
}

// next returns the payload of the next frame, which has to be of a type.
func next(t *testing.T, s client.GraphQLSocket, kind string) json.RawMessage {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), pgtest.Patience)
	defer cancel()
	m, err := s.Next(ctx)
	if err != nil || m.Type != kind {
		t.Fatalf("got %+v, %v, want a frame of type %s", m, err, kind)
	}
	return m.Payload
}

// People without an account are known by the names that they state: to whoever follows on another replica, in the history, and to DBAs.
// What they may, and which operation ids are theirs, does not depend on the name.
func TestNamesWithoutAccounts(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	replicas := servertest.StartOn(t, database, 2, nil)
	here, there := replicas[0].URL, replicas[1].URL
	newProject(t, here)
	sender := client.New(here)
	defer sender.Close()
	post := func(document, name string) *client.Answer {
		t.Helper()
		body, err := json.Marshal(client.Request{Query: document})
		if err != nil {
			t.Fatal(err)
		}
		answer, err := sender.Post(t.Context(), bytes.NewReader(body), http.Header{caller.NameHeader: {name}})
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	follower, _ := greeted(t, there, `{}`)
	if err := follower.Subscribe(t.Context(), "e", client.Request{
		Query: fmt.Sprintf(`subscription { planEvents(projectId: 1, after: %q) { version actorKind actorName } }`, head(t, there).Cursor),
	}); err != nil {
		t.Fatal(err)
	}

	if a := post(addNode(1), "Zo%C3%AB%20%F0%9F%A6%A6"); len(a.Errors) > 0 {
		t.Fatalf("by a header: %s", a.Text)
	}
	bob, _ := greeted(t, here, `{"name":"Bob"}`)
	if err := bob.Subscribe(t.Context(), "m", client.Request{Query: addNode(2)}); err != nil {
		t.Fatal(err)
	}
	next(t, bob, "next")
	if a := post(addNode(1), "Eve"); len(a.Errors) > 0 || !strings.Contains(string(a.Text), `"n1"`) {
		t.Errorf("the same operation under another name: %s", a.Text)
	}
	ask(t, here, addNode(3))
	for n, wrong := range []string{"%", "%20", "A%0AB", strings.Repeat("x", 101)} {
		if a := post(addNode(10+n), wrong); a.Status != http.StatusBadRequest || a.Code() != "BAD_REQUEST" {
			t.Errorf("named %q: status %d, %s", wrong, a.Status, a.Text)
		}
	}

	want := []string{"1 anonymous Zoë 🦦", "2 anonymous Bob", "3 anonymous Anonymous User"}
	var got []string
	for range want {
		var out struct {
			Data struct {
				PlanEvents struct {
					Version              int
					ActorKind, ActorName string
				}
			}
		}
		if err := json.Unmarshal(next(t, follower, "next"), &out); err != nil {
			t.Fatal(err)
		}
		e := out.Data.PlanEvents
		got = append(got, fmt.Sprintf("%d %s %s", e.Version, e.ActorKind, e.ActorName))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	var data struct {
		PlanHistory struct{ Changes []struct{ ActorName string } }
	}
	if err := json.Unmarshal(ask(t, there, `{ planHistory(projectId: 1) { changes { actorName } } }`).Data, &data); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range slices.Backward(data.PlanHistory.Changes) {
		names = append(names, c.ActorName)
	}
	if diff := cmp.Diff([]string{"Zoë 🦦", "Bob", "Anonymous User"}, names); diff != "" {
		t.Error(diff)
	}
	pgtest.AwaitTexts(t, pgtest.Connect(t, database), want,
		`SELECT format('%s %s %s', version, actor_kind, actor_name) FROM layercake.plan_history WHERE project_id = 1 ORDER BY version`)
}

// Each socket is told which replica it talks to, and which page that has.
func TestReplicasGreetByTheirIDs(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	conn := pgtest.Connect(t, database)
	for _, replica := range servertest.StartOn(t, database, 2, nil) {
		_, greeting := greeted(t, replica.URL, `null`)
		for greeting["replica"] == "" { // it has no lease yet
			_, greeting = greeted(t, replica.URL, `null`)
		}
		pgtest.AwaitTexts(t, conn, []string{greeting["replica"] + " " + greeting["version"]},
			`SELECT replica || ' ' || version FROM layercake.replicas WHERE address = '`+strings.TrimPrefix(replica.URL, "http://")+`'`)
		page := sent(t, replica.URL, http.MethodGet, "/", "").body
		if greeting["page"] == "" || !strings.Contains(page, `<meta name="page" content="`+greeting["page"]+`"`) {
			t.Errorf("the greeting is %v, and the page is %.300s", greeting, page)
		}
	}
}
