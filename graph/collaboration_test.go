package graph_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
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
		if r := s.ask(t, document, nil); r.code() != want {
			t.Errorf("%s: %s, want %s", document, r.raw, want)
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
				return fmt.Errorf("answered %s", r.raw)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}

// hearUntil reads results until one contains a text, and returns that one without its id.
func hearUntil(t *testing.T, c *websocket.Conn, text string) string {
	t.Helper()
	for {
		if got := hear(t, c); strings.Contains(got, text) {
			_, payload, _ := strings.Cut(got, `"payload"`)
			return payload
		}
	}
}

// However many follow what happens in a project, each step and each passage is executed once.
func TestSubscribersShareStepsAndPassages(t *testing.T) {
	t.Parallel()
	s := online(t)
	p := s.newProject(t)
	document := fmt.Sprintf(`subscription { collaborationEvents(planId: "project_%d") { eventId planId userId eventType timestamp
		data { nodeEvent { node { id } } edgeEvent { edge { id } } userEvent { userName } } } }`, p)
	const sockets = 5
	var conns []*websocket.Conn
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
	// All have begun once each was told of a step and of a passage.
	var begun sync.WaitGroup
	for _, c := range conns {
		begun.Go(func() {
			for kinds := map[bool]bool{}; len(kinds) < 2; {
				_, b, err := c.Read(t.Context())
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
