package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"layercake/internal/client"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server"
	"layercake/internal/server/servertest"

	"github.com/google/go-cmp/cmp"
)

// event is one of collaborationEvents or planDagUpdated.
type event struct {
	EventID, PlanID, UserID, EventType, UpdateType, Timestamp string
	Data                                                      struct {
		NodeEvent *struct{ Node item }
		EdgeEvent *struct{ Edge item }
		UserEvent *struct{ UserID, UserName, AvatarColor string }
		Node      *item
		Edge      *item
		Metadata  *string
	}
}

type item struct {
	ID       string
	Position struct{ X float64 }
}

// String is such as "NODE_CREATED a".
func (e event) String() string {
	about := ""
	switch d := e.Data; {
	case d.NodeEvent != nil:
		about = d.NodeEvent.Node.ID
	case d.EdgeEvent != nil:
		about = d.EdgeEvent.Edge.ID
	case d.UserEvent != nil:
		about = d.UserEvent.UserName
	case d.Node != nil:
		about = d.Node.ID
	case d.Edge != nil:
		about = d.Edge.ID
	}
	return e.EventType + e.UpdateType + " " + about
}

const (
	probe = "probe" // begins the names of what tells whether a subscription has begun

	collaborationEvents = `subscription ($p: String!) { collaborationEvents(planId: $p) { eventId planId userId eventType timestamp data {
		nodeEvent { node { id nodeType position { x y } metadata { label description } config } }
		edgeEvent { edge { id source target metadata { label dataType } } }
		userEvent { userId userName avatarColor } } } }`
	planDagUpdated = `subscription ($p: String!) { planDagUpdated(planId: $p) { planId updateType userId timestamp data {
		node { id position { x y } } edge { id source target } metadata } } }`
)

// follower is a subscriber.
type follower struct {
	t      *testing.T
	events chan event  // all that came
	failed chan string // the code of the refusal that ended it
}

// follow subscribes to events of project 1, whose plan is given, on a replica.
func follow(t *testing.T, url, document, planID string) *follower {
	t.Helper()
	f := &follower{t: t, events: make(chan event, 10_000), failed: make(chan string, 1)}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); f.read(ctx, url, document, planID) }()
	t.Cleanup(func() {
		stop()
		<-ended
	})
	return f
}

// read takes what comes until ctx ends or the replica goes away.
func (f *follower) read(ctx context.Context, url, document, planID string) {
	socket, err := client.Dialer{Timeout: pgtest.Patience}.GraphQL(ctx, url)
	if err != nil {
		if ctx.Err() == nil {
			f.t.Error(err)
		}
		return
	}
	q := client.Request{Query: document, Variables: map[string]any{"p": planID}}
	err = socket.Follow(ctx, q, func(data json.RawMessage) error {
		var result map[string]event
		if err := json.Unmarshal(data, &result); err != nil {
			f.t.Errorf("%s: %v", data, err)
		}
		for _, e := range result {
			f.events <- e
		}
		return nil
	})
	var refusal *client.Refusal
	if errors.As(err, &refusal) {
		f.failed <- refusal.Code()
	}
}

// begin returns once all followers are told what happens in the plan of project 1, and who comes and leaves where they are told
// that.
func begin(t *testing.T, url string, followers ...*follower) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(pgtest.Patience)
	n := 0
	for _, f := range followers {
		steps, people := false, false
		for !steps || !people {
			select {
			case e := <-f.events:
				people = people || e.Data.UserEvent != nil || e.UpdateType != ""
				steps = steps || e.Data.UserEvent == nil
			case <-tick.C:
				n++
				must(t, url, fmt.Sprintf(`mutation { addPlanDagNode(projectId: 1, node: {id: "%s %d", nodeType: MergeNode, position: {x: 0, y: 0},
					metadata: {label: ""}, config: "{}"}) { id } a: joinProjectCollaboration(projectId: 1, clientId: "%[1]s %[2]d", userName: "%[1]s")
					b: leaveProjectCollaboration(projectId: 1, clientId: "%[1]s %[2]d") }`, probe, n))
			case code := <-f.failed:
				t.Fatalf("ended with %s", code)
			case <-deadline:
				t.Fatal("a subscription did not begin")
			}
		}
	}
}

func must(t *testing.T, url, query string) {
	t.Helper()
	if a := ask(t, url, query); a.Code() != "" {
		t.Fatalf("%s: %+v", query, a.Errors)
	}
}

// next returns the next event that is not of a probe.
func (f *follower) next() event {
	f.t.Helper()
	deadline := time.After(pgtest.Patience)
	for {
		select {
		case e := <-f.events:
			if _, about, _ := strings.Cut(e.String(), " "); !strings.HasPrefix(about, probe) {
				return e
			}
		case code := <-f.failed:
			f.t.Fatalf("ended with %s", code)
		case <-deadline:
			f.t.Fatal("waited too long for an event")
		}
	}
}

// tells fails unless the next events are these, those of the plan and those of people each in this order.
func (f *follower) tells(want ...string) []event {
	f.t.Helper()
	var events []event
	got := map[bool][]string{}
	for range want {
		e := f.next()
		events = append(events, e)
		of := e.Data.UserEvent != nil
		got[of] = append(got[of], e.String())
	}
	expected := map[bool][]string{}
	for _, w := range want {
		of := strings.HasPrefix(w, "USER_")
		expected[of] = append(expected[of], w)
	}
	if diff := cmp.Diff(expected, got); diff != "" {
		f.t.Error(diff)
	}
	return events
}

// ends returns the code of the error that ended the subscription.
func (f *follower) ends() string {
	f.t.Helper()
	select {
	case code := <-f.failed:
		return code
	case <-time.After(pgtest.Patience):
		f.t.Fatal("it does not end")
		return ""
	}
}

// tab opens a collaboration socket in project 1, and joins.
func tab(t *testing.T, url, user string) *client.Socket {
	t.Helper()
	return enter(t, url, 1, client.Join{UserID: user, UserName: user, AvatarColor: "#123456", DocumentID: "d"})
}

// enter opens a collaboration socket, joins as somebody, and sends more frames.
func enter(t *testing.T, url string, project int, who client.Join, frames ...string) *client.Socket {
	t.Helper()
	socket, err := client.Dialer{Timeout: pgtest.Patience}.Collaboration(t.Context(), url, project)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(socket.CloseNow)
	say(t, socket, append([]string{string(who.Frame())}, frames...)...)
	return socket
}

// say sends frames.
func say(t *testing.T, socket *client.Socket, frames ...string) {
	t.Helper()
	for _, frame := range frames {
		if err := socket.Send(t.Context(), []byte(frame)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCollaborationEventsOfAllReplicas(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	dba := pgtest.Connect(t, database)
	replicas := servertest.StartOn(t, database, 3, nil)
	here, there := replicas[0].URL, replicas[2].URL
	newProject(t, here)
	first := tab(t, here, "early")
	pgtest.AwaitCount(t, dba, 1, "SELECT count(*) FROM presence WHERE user_id = 'early'")
	f, g := follow(t, there, collaborationEvents, "project_1"), follow(t, replicas[1].URL, collaborationEvents, "1")
	updates := follow(t, there, planDagUpdated, "1")
	begin(t, here, f, g, updates)

	node := func(id string) string {
		return fmt.Sprintf(`addPlanDagNode(projectId: 1, clientId: "ann", node: {id: %q, nodeType: GraphNode, position: {x: 1, y: 2},
			metadata: {label: ""}, config: "{}"}) { id }`, id)
	}
	must(t, here, fmt.Sprintf(`mutation { a: %s b: %s addPlanDagEdge(projectId: 1, edge: {id: "e", source: "a", target: "b",
		metadata: {dataType: GRAPH_DATA}}) { id } movePlanDagNode(projectId: 1, nodeId: "a", position: {x: 7, y: 8}) { id }
		updatePlanDagEdge(projectId: 1, edgeId: "e", updates: {sourceHandle: "output-right"}) { id }
		updatePlan(id: 1, input: {name: "Renamed", yamlContent: ""}) { id } deletePlanDagNode(projectId: 1, nodeId: "a") { id } }`,
		node("a"), node("b")))
	steps := []string{
		"NODE_CREATED a", "NODE_CREATED b", "EDGE_CREATED e", "NODE_UPDATED a", "EDGE_UPDATED e", "EDGE_DELETED e", "NODE_DELETED a",
	}
	ids := map[string]bool{}
	for planID, f := range map[string]*follower{"project_1": f, "1": g} {
		for _, e := range f.tells(steps...) {
			if e.PlanID != planID || e.UserID == "" || e.Timestamp == "" || ids[planID+e.EventID] {
				t.Errorf("%+v", e)
			}
			ids[planID+e.EventID] = true
			if e.EventType == "NODE_DELETED" && e.Data.NodeEvent.Node.Position.X != 7 {
				t.Errorf("a node was removed that was never as told: %+v", *e.Data.NodeEvent)
			}
		}
	}
	for _, e := range updates.tells("NODE_ADDED a", "NODE_ADDED b", "EDGE_ADDED e", "NODE_UPDATED a", "EDGE_UPDATED e", "METADATA_UPDATED ",
		"EDGE_REMOVED e", "NODE_REMOVED a") {
		if about := e.Data.Metadata; (about != nil) != (e.UpdateType == "METADATA_UPDATED") || about != nil && !strings.Contains(*about, `"name":"Renamed"`) {
			t.Errorf("%+v", e)
		}
		if e.PlanID != "1" || e.UserID == "" || e.Timestamp == "" {
			t.Errorf("%+v", e)
		}
	}

	// A person is told of once, however many tabs they have, and wherever.
	one := tab(t, here, "bob")
	f.tells("USER_JOINED bob")
	two := tab(t, replicas[1].URL, "bob")
	pgtest.AwaitCount(t, dba, 2, "SELECT count(*) FROM presence WHERE user_id = 'bob'")
	must(t, replicas[1].URL, `mutation { joinProjectCollaboration(projectId: 1, clientId: "ann", userName: "Ann", avatarColor: "#abcdef", isAgent: true) }`)
	ann := f.tells("USER_JOINED Ann")[0]
	if user := ann.Data.UserEvent; user.AvatarColor != "#abcdef" || user.UserID != ann.UserID || ann.Timestamp == "" {
		t.Errorf("%+v", *user)
	}
	must(t, here, `mutation { joinProjectCollaboration(projectId: 1, clientId: "ann", userName: "Ann") `+node("c")+` }`)
	if e := f.tells("NODE_CREATED c")[0]; e.UserID != ann.UserID {
		t.Errorf("%s changes the plan, %s joined", e.UserID, ann.UserID)
	}
	g.tells("USER_JOINED bob", "USER_JOINED Ann", "NODE_CREATED c") // said by the same replica after the second tab came
	one.CloseNow()
	must(t, here, `mutation { leaveProjectCollaboration(projectId: 1, clientId: "ann") }`)
	f.tells("USER_LEFT Ann")
	g.tells("USER_LEFT Ann") // before its own replica has news
	two.CloseNow()
	f.tells("USER_LEFT bob")
	first.CloseNow()
	f.tells("USER_LEFT early")

	// Of whom nothing is known everybody is told once.
	must(t, here, `mutation { joinProjectCollaboration(projectId: 1) }`)
	f.tells("USER_JOINED Anonymous User")
	must(t, here, `mutation { leaveProjectCollaboration(projectId: 1) }`)
	f.tells("USER_LEFT Anonymous User")
	g.tells("USER_LEFT bob", "USER_LEFT early", "USER_JOINED Anonymous User", "USER_LEFT Anonymous User")
}

func TestGuestsAndPeopleOfTheDeadLeave(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	dba := pgtest.Connect(t, database)
	replicas := servertest.StartOn(t, database, 2, func(c *server.Config) { c.Lease = servertest.LongLease })
	victim := servertest.StartProcess(t, database)
	here := replicas[0].URL
	newProject(t, here)
	f := follow(t, here, collaborationEvents, "project_1")
	begin(t, replicas[1].URL, f)
	tab(t, victim.URL, "bob")
	tab(t, victim.URL, "bob")
	tab(t, victim.URL, "eve")
	tab(t, here, "eve")
	must(t, victim.URL, `mutation { a: joinProjectCollaboration(projectId: 1, clientId: "a", userName: "brief")
		b: joinProjectCollaboration(projectId: 1, clientId: "b", userName: "long") }`)
	who := map[string]bool{}
	for range 4 {
		who[f.next().String()] = true
	}
	if got, want := slices.Sorted(maps.Keys(who)), []string{"USER_JOINED bob", "USER_JOINED brief", "USER_JOINED eve", "USER_JOINED long"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	const expire = "WITH e AS (UPDATE presence SET expires_at = now() WHERE user_name = 'brief' RETURNING 1) SELECT count(*) FROM e"
	if n := pgtest.Count(t, dba, expire); n != 1 {
		t.Fatalf("%d rows", n)
	}
	f.tells("USER_LEFT brief")
	victim.Kill()
	victim.Expire()
	f.tells("USER_LEFT bob")
	must(t, here, `mutation { leaveProjectCollaboration(projectId: 1, clientId: "b") }`)
	f.tells("USER_LEFT long") // eve has another tab
	if n := pgtest.Count(t, dba, "SELECT count(*) FROM layercake.who"); n != 1 {
		t.Errorf("%d are there, want eve", n)
	}
}

func TestSubscriptionsThatEnd(t *testing.T) {
	t.Parallel()
	replica := servertest.Start(t, 1, nil)[0]
	newProject(t, replica.URL)
	for planID, want := range map[string]string{
		"2": "NOT_FOUND", "project_2": "NOT_FOUND", "": "BAD_REQUEST", "x": "BAD_REQUEST", "project_": "BAD_REQUEST", "project_x": "BAD_REQUEST",
		"+1": "BAD_REQUEST", "01": "BAD_REQUEST", "1.0": "BAD_REQUEST", "99999999999": "BAD_REQUEST",
	} {
		for _, document := range []string{collaborationEvents, planDagUpdated} {
			if got := follow(t, replica.URL, document, planID).ends(); got != want {
				t.Errorf("%q: %s, want %s", planID, got, want)
			}
		}
	}

	// What is too large to send has no steps to be told.
	a, b := follow(t, replica.URL, collaborationEvents, "1"), follow(t, replica.URL, planDagUpdated, "1")
	begin(t, replica.URL, a, b)
	nodes := make([]any, 15)
	for n := range nodes {
		nodes[n] = map[string]any{
			"id": fmt.Sprint(n), "nodeType": "GraphNode", "position": map[string]any{"x": 0, "y": 0}, "metadata": map[string]any{"label": ""},
			"config": `{"a":"` + strings.Repeat("x", 80_000) + `"}`,
		}
	}
	c := client.New(replica.URL)
	defer c.Close()
	large := client.Request{ // in a variable: the race detector reads a document of that size for half a minute
		Query: `mutation ($d: PlanDagInput!) { updatePlanDag(projectId: 1, planDag: $d) { version } }`,
		Variables: map[string]any{"d": map[string]any{
			"version": head(t, replica.URL).Version, "nodes": nodes, "edges": []any{}, "metadata": map[string]any{"version": ""},
		}},
	}
	if err := c.Do(t.Context(), large, nil); err != nil {
		t.Fatal(err)
	}
	for _, f := range []*follower{a, b} {
		if got := f.ends(); got != "UNAVAILABLE" {
			t.Errorf("after missed events: %s", got)
		}
	}

	a, b = follow(t, replica.URL, collaborationEvents, "1"), follow(t, replica.URL, planDagUpdated, "1")
	begin(t, replica.URL, a, b)
	must(t, replica.URL, `mutation { deleteProject(id: 1) }`)
	for _, f := range []*follower{a, b} {
		if got := f.ends(); got != "NOT_FOUND" {
			t.Errorf("after deletion: %s", got)
		}
	}
}
