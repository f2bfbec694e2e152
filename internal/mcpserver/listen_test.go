package mcpserver_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"layercake/internal/client"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server"
	"layercake/internal/server/servertest"
)

func listenBody(id string, uris ...string) string {
	list, _ := json.Marshal(uris) //nolint:errchkjson // texts
	return `{"jsonrpc":"2.0","id":` + id + `,"method":"subscriptions/listen","params":{` + meta + `,"notifications":{"resourceSubscriptions":` +
		string(list) + `}}}`
}

// What is changed on one replica is told to who listens on another, and the acknowledgement says before what is listened to.
func TestListening(t *testing.T) {
	t.Parallel()
	replicas := servertest.Start(t, 2, func(c *server.Config) { c.Drain = 0 })
	here, there := replicas[0], replicas[1]
	ask(t, here.URL, newProject)
	const plan, people = "layercake://projects/1/plan", "layercake://projects/1/presence"
	stream := listenTo(t, http.MethodPost, there.URL+"/mcp",
		listenBody(`"l1"`, plan, people, plan, "layercake://node-types", "file:///etc/passwd", "layercake://projects/01/plan"),
		modern("subscriptions/listen", "")...)
	acknowledged := stream.next(t)
	if got := acknowledged.Params.Notifications.Resources; acknowledged.Method != "notifications/subscriptions/acknowledged" ||
		!slices.Equal(got, []string{plan, people}) {
		t.Fatalf("%+v", acknowledged)
	}
	for n := range 3 {
		ask(t, here.URL, addNode(fmt.Sprint("n", n)))
		m := stream.next(t)
		if m.Params.URI == people { // the listener itself came
			m = stream.next(t)
		}
		if m.Method != "notifications/resources/updated" || m.Params.URI != plan ||
			m.Params.Meta["io.modelcontextprotocol/subscriptionId"] != "l1" {
			t.Fatalf("%+v", m)
		}
	}
	ask(t, here.URL, `mutation { joinProjectCollaboration(projectId: 1, clientId: "c") }`)
	if m := stream.next(t); m.Params.URI != people {
		t.Fatalf("%+v", m)
	}
	there.Stop(t)
	last, ok := stream.read(t)
	if !ok || string(last.ID) != `"l1"` || !strings.Contains(string(last.Result), `"resultType":"complete"`) {
		t.Errorf("at the end of the replica: %+v", last)
	}
	if more, ok := stream.read(t); ok {
		t.Errorf("after the end: %+v", more)
	}
}

// Listeners of a project that is deleted are told, and go on with the others.
func TestListeningToWhatIsDeleted(t *testing.T) {
	t.Parallel()
	url := servertest.Start(t, 1, nil)[0].URL
	ask(t, url, newProject)
	ask(t, url, newProject)
	const first, second = "layercake://projects/1/plan", "layercake://projects/2/plan"
	stream := listenTo(t, http.MethodPost, url+"/mcp", listenBody("1", first, second), modern("subscriptions/listen", "")...)
	stream.next(t)
	ask(t, url, `mutation { deleteProject(id: 1) }`)
	if m := stream.next(t); m.Params.URI != first {
		t.Fatalf("%+v", m)
	}
	ask(t, url, strings.Replace(addNode("a"), "projectId: 1", "projectId: 2", 1))
	if m := stream.next(t); m.Params.URI != second {
		t.Fatalf("%+v", m)
	}
}

func TestListeningIsRefused(t *testing.T) {
	t.Parallel()
	url := servertest.Start(t, 1, nil)[0].URL
	many := make([]string, 65)
	for i := range many {
		many[i] = fmt.Sprintf("layercake://projects/%d/plan", i+1)
	}
	for name, c := range map[string]struct {
		body    string
		headers []string
		holds   string
	}{
		"without an id":        {strings.Replace(listenBody("1"), `"id":1,`, "", 1), modern("subscriptions/listen", ""), "needs an id"},
		"a very long id":       {listenBody(`"`+strings.Repeat("x", 1023)+`"`, many[0]), modern("subscriptions/listen", ""), "1025"},
		"too many":             {listenBody("1", many...), modern("subscriptions/listen", ""), "65 resources"},
		"no notifications":     {strings.Replace(listenBody("1"), "notifications", "n", 1), modern("subscriptions/listen", ""), "no notifications"},
		"another method above": {listenBody("1"), modern("tools/list", ""), "-32020"},
		"no meta":              {`{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{}}`, modern("subscriptions/listen", ""), "_meta"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := post(t, url, "/mcp", c.body, c.headers...); got.status != http.StatusBadRequest || !strings.Contains(got.text, c.holds) {
				t.Errorf("%d %s", got.status, got.text)
			}
		})
	}
	scoped := listenTo(t, http.MethodPost, url+"/mcp?project=2", listenBody("1", many[0]), modern("subscriptions/listen", "")...)
	if m := scoped.next(t); len(m.Params.Notifications.Resources) != 0 {
		t.Errorf("a client of project 2 listens to %v", m.Params.Notifications.Resources)
	}
}

// Listeners of a replica share the watch of a topic: it goes on while one is left, and begins again for who comes later.
func TestListenersShareAWatch(t *testing.T) {
	t.Parallel()
	admin := servertest.Address(t)
	r := servertest.StartProcess(t, pgtest.New(t), servertest.Told{AdminAddr: admin}.Variable())
	ask(t, r.URL, newProject)
	const plan = "layercake://projects/1/plan"
	listen := func() *events {
		stream := listenTo(t, http.MethodPost, r.URL+"/mcp", listenBody("1", plan), modern("subscriptions/listen", "")...)
		stream.next(t)
		return stream
	}
	await := func(what string, streams float64, watches int) {
		t.Helper()
		eventually(t, what, func() bool {
			metrics, err := client.Metrics(t.Context(), "http://"+admin)
			return err == nil && metrics["layercake_mcp_streams"] == streams && running(t, admin, "mcpserver.(*watch).run(") == watches
		})
	}
	told := func(stream *events, node string) {
		t.Helper()
		ask(t, r.URL, addNode(node))
		if m := stream.next(t); m.Params.URI != plan {
			t.Errorf("%+v", m)
		}
	}
	first, second := listen(), listen()
	await("two listeners with one watch", 2, 1)
	first.cancel()
	await("one listener with its watch", 1, 1)
	told(second, "a")
	second.cancel()
	await("nobody with no watch", 0, 0)
	third := listen()
	await("another watch", 1, 1)
	told(third, "b")
}
