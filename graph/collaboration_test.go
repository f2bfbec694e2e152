package graph_test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"layercake/internal/client"
	"layercake/internal/postgres/pgtest"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"
)

const (
	joinMutation  = `mutation JoinProjectCollaboration($projectId: Int!) { joinProjectCollaboration(projectId: $projectId) }`
	leaveMutation = `mutation LeaveProjectCollaboration($projectId: Int!) { leaveProjectCollaboration(projectId: $projectId) }`
)

func TestJoinAndLeaveAnswerWhoeverWatches(t *testing.T) {
	t.Parallel()
	s := online(t)
	p := s.newProject(t)
	for document, v := range map[string]vars{
		joinMutation:  {"projectId": p},
		leaveMutation: {"projectId": p},
		`mutation ($p: Int!) { a: joinProjectCollaboration(projectId: $p, clientId: "c", userName: "Ann", avatarColor: "", isAgent: true)
			b: leaveProjectCollaboration(projectId: $p, clientId: "c") c: leaveProjectCollaboration(projectId: $p, clientId: "c") }`: {"p": p},
	} {
		var out map[string]bool
		s.must(t, &out, document, v)
		for field, answer := range out {
			if !answer {
				t.Errorf("%s answered false", field)
			}
		}
	}
	for document, want := range map[string]string{
		`mutation { joinProjectCollaboration(projectId: 4711) }`:                                             "NOT_FOUND",
		`mutation { leaveProjectCollaboration(projectId: 4711) }`:                                            "NOT_FOUND",
		`mutation { joinProjectCollaboration(projectId: 4711, clientId: "c") }`:                              "NOT_FOUND",
		`mutation { leaveProjectCollaboration(projectId: 4711, clientId: "c") }`:                             "NOT_FOUND",
		fmt.Sprintf(`mutation { joinProjectCollaboration(projectId: %d, userName: "Ann") }`, p):              "BAD_REQUEST",
		fmt.Sprintf(`mutation { joinProjectCollaboration(projectId: %d, clientId: "c", userName: " ") }`, p): "BAD_REQUEST",
	} {
		if r := s.ask(t, document, nil); r.Code() != want {
			t.Errorf("%s: %s, want %s", document, r.Text, want)
		}
	}
}

func TestManyJoinAtOnce(t *testing.T) {
	t.Parallel()
	s := online(t)
	p := s.newProject(t)
	var g errgroup.Group
	for n := range 50 {
		g.Go(func() error {
			v := vars{"p": p}
			document := `mutation ($p: Int!) { joinProjectCollaboration(projectId: $p) }`
			if n%2 == 0 {
				document, v["c"] = `mutation ($p: Int!, $c: String) { joinProjectCollaboration(projectId: $p, clientId: $c) }`, fmt.Sprint("client ", n)
			}
			if r := s.ask(t, document, v); string(r.Data) != `{"joinProjectCollaboration":true}` {
				return fmt.Errorf("answered %s", r.Text)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}

// hearUntil reads results until one contains a text, and returns that one without its id.
func hearUntil(t *testing.T, c client.GraphQLSocket, text string) string {
	t.Helper()
	for {
		if got := hear(t, c); strings.Contains(got, text) {
			_, payload, _ := strings.Cut(got, `"payload"`)
			return payload
		}
	}
}

// However many follow what happens in a project, each step and each arrival is executed once.
func TestSubscribersShareStepsAndArrivals(t *testing.T) {
	t.Parallel()
	s := online(t)
	p := s.newProject(t)
	document := fmt.Sprintf(`subscription { collaborationEvents(planId: "project_%d") { eventId planId userId eventType timestamp
		data { nodeEvent { node { id } } edgeEvent { edge { id } } userEvent { userName } } } }`, p)
	const sockets = 5
	var conns []client.GraphQLSocket
	for range sockets {
		c := s.dial(t, nil)
		follow(t, c, "1", document)
		conns = append(conns, c)
	}
	step := func(id string) {
		s.call(t, "AddPlanDagNode", vars{"projectId": p, "node": nodeInput(id, "GraphNode")}, new(any))
	}
	comes := func(name string) {
		s.must(t, nil, `mutation ($p: Int!, $n: String!) { joinProjectCollaboration(projectId: $p, clientId: $n, userName: $n) }`, vars{"p": p, "n": name})
	}
	// All have begun once each was told of a step and of an arrival.
	var begun sync.WaitGroup
	for _, c := range conns {
		begun.Go(func() {
			for kinds := map[bool]bool{}; len(kinds) < 2; {
				b, err := c.Receive(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				kinds[strings.Contains(string(b), "USER_JOINED")] = true
			}
		})
	}
	all := make(chan struct{})
	go func() { defer close(all); begun.Wait() }()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-tick.C:
			step(fmt.Sprint("probe", n))
			comes(fmt.Sprint("probe", n))
			continue
		case <-all:
		}
		break
	}
	told := func(texts ...string) {
		t.Helper()
		for _, text := range texts {
			first := hearUntil(t, conns[0], text)
			for _, c := range conns[1:] {
				if diff := cmp.Diff(first, hearUntil(t, c, text)); diff != "" {
					t.Error(diff)
				}
			}
		}
	}
	step("last probe")
	told("last probe")
	comes("last guest")
	told("last guest")
	misses := s.value(t, "layercake_graphql_shared_total", "miss")
	step("a")
	step("b")
	s.call(t, "AddPlanDagEdge", vars{"projectId": p, "edge": edgeInput("e", "a", "b")}, new(any))
	s.call(t, "DeletePlanDagNode", vars{"projectId": p, "nodeId": "b"}, new(any)) // and its edge
	told(`{"id":"a"}`, `{"id":"b"}`, `EDGE_CREATED`, `EDGE_DELETED`, `NODE_DELETED`)
	comes("ann")
	told(`"userName":"ann"`)
	s.must(t, nil, `mutation ($p: Int!) { leaveProjectCollaboration(projectId: $p, clientId: "ann") }`, vars{"p": p})
	told("USER_LEFT")
	if got := s.value(t, "layercake_graphql_shared_total", "miss") - misses; got != 7 {
		t.Errorf("%v executions, want one for each of 7 events", got)
	}
}

// A newer replica that runs beside this one writes operations of kinds that are unknown here. Whatever reads events steps over them.
func TestOperationsOfTheFutureAreSteppedOver(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	s := onlineAt(t, url, url)
	p := s.newProject(t)
	s.call(t, "AddPlanDagNode", vars{"projectId": p, "node": nodeInput("a", "GraphNode")}, new(any))
	known, cursor := s.dag(t, p), s.cursor(t, p)
	move := func(x int) {
		s.call(t, "MovePlanDagNode", vars{"projectId": p, "nodeId": "a", "position": vars{"x": x, "y": 0}}, new(any))
	}

	// These have no cursor: they have begun once they show a change.
	live := map[string]client.GraphQLSocket{
		"updates":       s.dial(t, nil),
		"collaboration": s.dial(t, nil),
	}
	follow(t, live["updates"], "1", fmt.Sprintf(
		`subscription { planDagUpdated(planId: "project_%d") { updateType data { node { position { x } } } } }`, p))
	follow(t, live["collaboration"], "1", fmt.Sprintf(
		`subscription { collaborationEvents(planId: "project_%d") { eventType data { nodeEvent { node { position { x } } } } } }`, p))
	var begun sync.WaitGroup
	for _, c := range live {
		begun.Go(func() {
			if _, err := c.Receive(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all := make(chan struct{})
	go func() { defer close(all); begun.Wait() }()
	for x, waiting := 1, true; waiting; x++ {
		select {
		case <-all:
			waiting = false
		default:
			move(x)
		}
	}

	version, err := strconv.Atoi(s.dag(t, p).Version)
	if err != nil {
		t.Fatal(err)
	}
	storeEvent(t, url, p, `[{"kind": "FUTURE_KIND", "id": "a", "index": 0, "after": {"new": true}}]`)
	move(4711)
	s.call(t, "UpdatePlanDag", vars{"projectId": p, "planDag": vars{ // merged with all that came since, as far as it is known
		"version": known.Version, "nodes": []any{nodeInput("a", "GraphNode"), nodeInput("last", "GraphNode")}, "edges": []any{},
		"metadata": vars{"version": "1"},
	}}, new(any))

	for name, document := range map[string]string{
		"delta":  `planDagDeltaChanged(projectId: %d, after: %q) { version operations { op path value } }`,
		"events": `planEvents(projectId: %d, after: %q) { version operations { kind after } }`,
	} {
		live[name] = s.dial(t, nil)
		follow(t, live[name], "1", "subscription { "+fmt.Sprintf(document, p, cursor)+" }")
	}
	for name, c := range live {
		var heard []string
		for len(heard) == 0 || !strings.Contains(heard[len(heard)-1], "10.5") { // where nodeInput puts a node
			heard = append(heard, hear(t, c))
		}
		text := strings.Join(heard, "\n")
		if strings.Contains(text, "FUTURE") || strings.Contains(text, "errors") || !strings.Contains(text, "4711") {
			t.Errorf("%s: %s", name, text)
		}
		want := map[string]string{
			"delta": fmt.Sprintf(`"version":%d,"operations":\[\{"op":"TEST","path":"/metadata/version","value":"%d~\w{8}"\},`+
				`\{"op":"REPLACE","path":"/metadata/version","value":"%d~\w{8}"\},`, version+1, version, version+1),
			"events": fmt.Sprintf(`"version":%d,"operations":\[\]`, version+1),
		}[name]
		if !regexp.MustCompile(want).MatchString(text) {
			t.Errorf("%s: %s\nwant %s", name, text, want)
		}
	}
	if strings.Contains(s.log.String(), "ERROR") {
		t.Error(s.log)
	}
}

// storeEvent appends an event to a project's log by hand.
func storeEvent(t *testing.T, url string, project int, operations string) {
	t.Helper()
	pgtest.Exec(t, pgtest.Connect(t, url), `WITH head AS (
			UPDATE heads SET version = version + 1, changed_at = now() WHERE project_id = $1 RETURNING version, changed_at
		) INSERT INTO events (project_id, version, at, op_actor, op_id, request_hash, body)
		SELECT $1, version, changed_at, '', 'by hand', '', json_build_object('projectId', $1::int, 'version', version, 'at', changed_at,
			'opId', 'by hand', 'actorId', 'x', 'actorKind', 'system', 'actorName', 'x', 'via', 'sql', 'operations', $2::json) FROM head`,
		project, operations)
}
