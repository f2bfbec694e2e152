package graph_test

import (
	"fmt"
	"testing"

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
