package graph_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"layercake/internal/auth"
	"layercake/internal/client"
	"layercake/internal/plan"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server/servertest"

	"github.com/google/go-cmp/cmp"
)

const everythingOfAProposal = ` id projectId status byId byName note baseVersion createdAt operations decidedByName decidedAt reason version revision `

// proposed is a proposal as GraphQL shows it.
type proposed struct {
	ID, ProjectID int
	Status        string
	ByID, ByName  string
	Note          *string
	BaseVersion   int
	CreatedAt     string
	Operations    json.RawMessage
	DecidedByName *string
	DecidedAt     *string
	Reason        *string
	Version       *int
	Revision      int
}

// proposals reads a page.
func (s *site) proposals(t *testing.T, args string) (page []proposed, next *string) {
	t.Helper()
	var data struct {
		Proposals struct {
			Proposals []proposed
			Next      *string
		}
	}
	s.must(t, &data, fmt.Sprintf(`{ proposals(%s) { proposals { %s } next } }`, args, everythingOfAProposal), nil)
	return data.Proposals.Proposals, data.Proposals.Next
}

// An agent proposes on one replica, people read on another, follow on a third, and decide.
func TestProposals(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	agents := servertest.StartCoreOn(t, url, nil)
	one, two := onlineAt(t, url, url), onlineAt(t, url, url)
	p := one.newProject(t)
	agent := auth.Actor{ID: "the-agent", Kind: "agent", Name: "Planner"}
	propose := func(operations string) plan.Proposal {
		t.Helper()
		got, _, err := agents.Proposals.Propose(t.Context(), auth.Unchecked(agent, int32(p)), plan.ProposeInput{
			Operations: json.RawMessage(operations), Note: "Needed",
		})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	conns := []client.GraphQLSocket{one.dial(t, nil), two.dial(t, nil), two.dial(t, nil)}
	for _, c := range conns {
		follow(t, c, "f", fmt.Sprintf(`subscription { proposalsChanged(projectId: %d) { %s } }`, p, everythingOfAProposal))
	}
	next := func() (got proposed) {
		t.Helper()
		texts := map[string]bool{}
		for _, c := range conns {
			frame := hear(t, c)
			var out struct {
				Payload struct {
					Data struct{ ProposalsChanged proposed }
				}
			}
			if err := json.Unmarshal([]byte(frame), &out); err != nil {
				t.Fatal(err)
			}
			got, texts[frame] = out.Payload.Data.ProposalsChanged, true
		}
		if len(texts) != 1 {
			t.Errorf("they are told different things: %v", texts)
		}
		return got
	}
	operations := `[{"op":"add_node","id":"a","node_type":"GraphNode","label":"A"}]`
	made := propose(operations)
	note := "Needed"
	want := proposed{
		ID: 1, ProjectID: p, Status: "OPEN", ByID: "the-agent", ByName: "Planner", Note: &note, CreatedAt: plan.FormatTime(made.CreatedAt),
		Operations: json.RawMessage(operations), Revision: 1,
	}
	if diff := cmp.Diff(want, next()); diff != "" {
		t.Errorf("followers are told (-want +got):\n%s", diff)
	}
	page, after := two.proposals(t, fmt.Sprintf("projectId: %d, status: OPEN", p))
	if diff := cmp.Diff([]proposed{want}, page); diff != "" || after != nil {
		t.Errorf("the page, with next %v (-want +got):\n%s", after, diff)
	}

	propose(`[{"op":"add_node","id":"b","node_type":"GraphNode","label":"B"}]`)
	next()
	var data struct{ DecideProposal proposed }
	decide := fmt.Sprintf(`mutation ($d: ProposalDecision!, $c: String) { decideProposal(projectId: %d, id: 1, decision: $d, reason: "Fine",
		opId: "1", clientId: $c) { %s } }`, p, everythingOfAProposal)
	for range 2 { // a repeat is safe
		two.must(t, &data, decide, vars{"d": "ACCEPT", "c": "tab"})
		decider, reason, version := "Anonymous User", "Fine", 1
		want.Status, want.DecidedByName, want.Reason, want.Version, want.Revision = "ACCEPTED", &decider, &reason, &version, 3
		want.DecidedAt = data.DecideProposal.DecidedAt
		if diff := cmp.Diff(want, data.DecideProposal); diff != "" || want.DecidedAt == nil {
			t.Errorf("the answer (-want +got):\n%s", diff)
		}
	}
	if diff := cmp.Diff(want, next()); diff != "" {
		t.Errorf("followers are told (-want +got):\n%s", diff)
	}
	if h := one.history(t, p, ""); len(h.Changes) != 1 || *h.Changes[0].Note != "Proposal 1 by Planner: Needed" || h.Changes[0].Via != "graphql" ||
		*h.Changes[0].ClientID != "tab" {
		t.Errorf("the history is %+v", h)
	}

	page, after = one.proposals(t, fmt.Sprintf("projectId: %d, first: 1", p))
	if len(page) != 1 || page[0].ID != 2 || after == nil {
		t.Fatalf("the first page: %+v, next %v", page, after)
	}
	page, after = one.proposals(t, fmt.Sprintf("projectId: %d, first: 1, after: %q", p, *after))
	if len(page) != 1 || page[0].ID != 1 || after != nil {
		t.Errorf("the second page: %+v, next %v", page, after)
	}

	for name, c := range map[string]struct{ document, code string }{
		"decided":             {strings.Replace(decide, `"1"`, `"2"`, 1), "CONFLICT"},
		"not the proposer":    {fmt.Sprintf(`mutation { decideProposal(projectId: %d, id: 2, decision: WITHDRAW) { id } }`, p), "FORBIDDEN"},
		"no such proposal":    {fmt.Sprintf(`mutation { decideProposal(projectId: %d, id: 3, decision: REJECT) { id } }`, p), "NOT_FOUND"},
		"too many":            {fmt.Sprintf(`{ proposals(projectId: %d, first: 201) { next } }`, p), "BAD_REQUEST"},
		"no such project":     {`{ proposals(projectId: 99999) { next } }`, "NOT_FOUND"},
		"a page of no number": {fmt.Sprintf(`{ proposals(projectId: %d, after: "x") { next } }`, p), "BAD_REQUEST"},
	} {
		if a := one.ask(t, c.document, vars{"d": "REJECT", "c": "other"}); a.Code() != c.code {
			t.Errorf("%s: %s, want %s", name, a.Text, c.code)
		}
	}

	// A project that is deleted ends what follows it.
	one.must(t, nil, fmt.Sprintf(`mutation { deleteProject(id: %d) }`, p), nil)
	for _, c := range conns {
		if frame := hear(t, c); !strings.Contains(frame, "NOT_FOUND") {
			t.Errorf("the end is %s", frame)
		}
	}
}

// However many follow the proposals of a project with one document, each state is executed once.
func TestFollowersOfProposalsShareExecutions(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	agents := servertest.StartCoreOn(t, url, nil)
	s := onlineAt(t, url, url)
	p := s.newProject(t)
	const followers = 5
	c := s.dial(t, nil)
	for i := range followers {
		follow(t, c, fmt.Sprint(i), fmt.Sprintf(`subscription { proposalsChanged(projectId: %d) { id operations } }`, p))
	}
	const made = 3
	for i := range made {
		_, _, err := agents.Proposals.Propose(t.Context(), auth.Unchecked(auth.Anonymous("a"), int32(p)), plan.ProposeInput{
			Operations: json.RawMessage(fmt.Sprintf(`[{"op":"add_node","id":"n%d","node_type":"GraphNode","label":"A"}]`, i)),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	results(t, c, followers, made)
	if got := s.value(t, "layercake_graphql_shared_total", "miss"); got != made {
		t.Errorf("%v executions, want %d", got, made)
	}
}
