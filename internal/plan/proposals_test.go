package plan_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"layercake/internal/auth"
	"layercake/internal/fault"
	"layercake/internal/plan"
	"layercake/internal/postgres/pgtest"
	"layercake/internal/server/servertest"
	"layercake/internal/task"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
)

// addition is the operation that adds a node.
func addition(id string) string {
	return fmt.Sprintf(`{"op":"add_node","id":%q,"node_type":"GraphNode","label":%q}`, id, id)
}

// propose makes a proposal that must be taken.
func (r *replica) propose(t testing.TB, by auth.Actor, project int32, operations ...string) plan.Proposal {
	t.Helper()
	p, _, err := r.proposals.Propose(t.Context(), auth.Unchecked(by, project), plan.ProposeInput{Operations: list(operations...)})
	if err != nil {
		t.Fatalf("propose: %v", err)
	}
	return p
}

func list(operations ...string) json.RawMessage {
	return json.RawMessage("[" + strings.Join(operations, ",") + "]")
}

// decide makes a decision that must be taken.
func (r *replica) decide(t testing.TB, by auth.Actor, p plan.Proposal, d plan.Decision) plan.Proposal {
	t.Helper()
	after, err := r.proposals.Decide(t.Context(), auth.Unchecked(by, p.ProjectID), plan.DecideInput{ID: p.ID, Decision: d, Via: "test"})
	if err != nil {
		t.Fatalf("decide: %v", err)
	}
	return after
}

func TestPropose(t *testing.T) {
	t.Parallel()
	r, p := newProject(t)
	r.change(t, p, plan.AddNode{Node: node("a", plan.GraphNode)})
	in := plan.ProposeInput{Operations: json.RawMessage(`[ {"op": "update_node", "id": "a", "label": "Other"} ]`), Note: "Clearer", OpID: "1"}
	got, would, err := r.proposals.Propose(t.Context(), auth.Unchecked(ann, p), in)
	if err != nil {
		t.Fatal(err)
	}
	want := plan.Proposal{
		ProjectID: p, ID: 1, Revision: 1, Status: plan.Open, Operations: json.RawMessage(`[{"op":"update_node","id":"a","label":"Other"}]`),
		BaseVersion: 1, Note: "Clearer", By: ann, CreatedAt: got.CreatedAt,
	}
	if diff := cmp.Diff(want, got); diff != "" || got.CreatedAt.IsZero() {
		t.Errorf("the proposal (-want +got):\n%s", diff)
	}
	if would.Event == nil || len(would.Nodes) != 1 || would.Nodes[0].Metadata.Label != "Other" {
		t.Errorf("it would do %+v", would)
	}
	if dag := r.dag(t, p); dag.At.Version != 1 || dag.Nodes[0].Metadata.Label != "a" {
		t.Errorf("the plan changed: %+v", dag)
	}

	t.Run("the same request again gets the same answer", func(t *testing.T) {
		r.change(t, p, plan.DeleteNode{ID: "a"}) // the rules would refuse it now
		again, _, err := r.proposals.Propose(t.Context(), auth.Unchecked(ann, p), in)
		if diff := cmp.Diff(got, again); diff != "" || err != nil {
			t.Errorf("%v (-first +again):\n%s", err, diff)
		}
		other := in
		other.Note = "Other"
		if _, _, err := r.proposals.Propose(t.Context(), auth.Unchecked(ann, p), other); !fault.Is(err, fault.BadRequest) {
			t.Errorf("another request under its id: %v, want BAD_REQUEST", err)
		}
		if bobs, _, err := r.proposals.Propose(t.Context(), auth.Unchecked(bob, p), plan.ProposeInput{Operations: list(addition("b")), OpID: "1"}); err != nil || bobs.ID != 2 {
			t.Errorf("another actor's under the same id: %+v, %v", bobs, err)
		}
	})
	zero := int64(0)
	for name, c := range map[string]struct {
		in   plan.ProposeInput
		code fault.Code
	}{
		"no operations":                {plan.ProposeInput{}, fault.BadRequest},
		"operations that are none":     {plan.ProposeInput{Operations: json.RawMessage(`[{"op":"dance"}]`)}, fault.BadRequest},
		"operations that are no UTF-8": {plan.ProposeInput{Operations: list(`{"op":"add_node","id":"x","node_type":"GraphNode","label":"` + "\xff" + `"}`)}, fault.BadRequest},
		"what the rules refuse":        {plan.ProposeInput{Operations: list(`{"op":"delete_node","id":"ghost"}`)}, fault.NotFound},
		"another version of the plan":  {plan.ProposeInput{Operations: list(addition("x")), Expected: &zero}, fault.Conflict},
		"a note with hidden letters":   {plan.ProposeInput{Operations: list(addition("x")), Note: "\u202e"}, fault.BadRequest},
		"a note that is too long":      {plan.ProposeInput{Operations: list(addition("x")), Note: strings.Repeat("x", 1001)}, fault.BadRequest},
		"an operation id with a NUL":   {plan.ProposeInput{Operations: list(addition("x")), OpID: "\x00"}, fault.BadRequest},
		"operations that are too many": {plan.ProposeInput{Operations: list(slices.Repeat([]string{addition("x")}, 501)...)}, fault.BadRequest},
		"operations that are too large": {plan.ProposeInput{Operations: list(slices.Repeat([]string{
			`{"op":"update_node","id":"a","config":{"a":"` + strings.Repeat("x", 30<<10) + `"}}`,
		}, 40)...)}, fault.BadRequest},
	} {
		if _, _, err := r.proposals.Propose(t.Context(), auth.Unchecked(ann, p), c.in); !fault.Is(err, c.code) {
			t.Errorf("%s: %v, want %s", name, err, c.code)
		}
	}
	if _, _, err := r.proposals.Propose(t.Context(), auth.Unchecked(ann, p+9), plan.ProposeInput{Operations: list(addition("x"))}); !fault.Is(err, fault.NotFound) {
		t.Errorf("in no project: %v, want NOT_FOUND", err)
	}
}

// Of many that send one request at once, one makes the proposal, and all get it.
func TestProposeAtOnce(t *testing.T) {
	t.Parallel()
	r, p := newProject(t)
	var proposing sync.WaitGroup
	var ids [10]int32
	for i := range ids {
		proposing.Go(func() {
			got, _, err := r.proposals.Propose(t.Context(), auth.Unchecked(ann, p), plan.ProposeInput{Operations: list(addition("a")), OpID: "1"})
			if err != nil {
				t.Error(err)
			}
			ids[i] = got.ID
		})
	}
	proposing.Wait()
	if ids != [10]int32{1, 1, 1, 1, 1, 1, 1, 1, 1, 1} {
		t.Errorf("proposals %v", ids)
	}
	if next := r.propose(t, ann, p, addition("b")); next.ID != 2 || next.Revision != 2 {
		t.Errorf("the next is %d at revision %d: numbers were lost", next.ID, next.Revision)
	}
}

func TestDecide(t *testing.T) {
	t.Parallel()
	r, p := newProject(t)

	t.Run("accept", func(t *testing.T) {
		one, _, err := r.proposals.Propose(t.Context(), auth.Unchecked(ann, p), plan.ProposeInput{Operations: list(addition("a")), Note: "We need it"})
		if err != nil {
			t.Fatal(err)
		}
		r.change(t, p, plan.AddNode{Node: node("b", plan.GraphNode)}) // the plan as it is
		in := plan.DecideInput{ID: one.ID, Decision: plan.Accept, Reason: "Fine", OpID: "accept", ClientID: "tab", Via: "test"}
		got, err := r.proposals.Decide(t.Context(), auth.Unchecked(bob, p), in)
		if err != nil {
			t.Fatal(err)
		}
		want := one
		want.Status, want.Revision, want.DecidedBy, want.DecidedAt, want.Reason, want.Version = plan.Accepted, 2, bob, got.DecidedAt, "Fine", 2
		if diff := cmp.Diff(want, got); diff != "" || got.DecidedAt.IsZero() {
			t.Errorf("(-want +got):\n%s", diff)
		}
		history, err := r.plans.History(t.Context(), auth.Unchecked(bob, p), plan.HistoryQuery{Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		e := history.Changes[0].Event
		if e.Version != 2 || e.ActorID != bob.ID || e.Note != "Proposal 1 by Ann: We need it" || e.Via != "test" || e.OpID != "accept" || e.ClientID != "tab" {
			t.Errorf("the change is %+v", e)
		}
		for name, by := range map[string]struct {
			auth.Actor
			opID string
		}{"the same request": {bob, "accept"}, "the same actor": {bob, ""}} {
			in.OpID = by.opID
			if again, err := r.proposals.Decide(t.Context(), auth.Unchecked(by.Actor, p), in); err != nil || cmp.Diff(got, again) != "" {
				t.Errorf("%s again: %+v, %v", name, again, err)
			}
		}
		for name, c := range map[string]struct {
			by auth.Actor
			plan.Decision
		}{"somebody else": {carl, plan.Accept}, "another decision": {bob, plan.Reject}, "the proposer": {ann, plan.Withdraw}} {
			_, err := r.proposals.Decide(t.Context(), auth.Unchecked(c.by, p), plan.DecideInput{ID: one.ID, Decision: c.Decision})
			if f := fault.From(err); f == nil || f.Code != fault.Conflict || f.Message != "Bob accepted the proposal already" {
				t.Errorf("%s: %v, want CONFLICT that names Bob", name, err)
			}
		}
		if v := r.dag(t, p).At.Version; v != 2 {
			t.Errorf("version %d, want 2", v)
		}
	})
	t.Run("reject", func(t *testing.T) {
		one := r.propose(t, ann, p, addition("c"))
		got := r.decide(t, bob, one, plan.Reject)
		if got.Status != plan.Rejected || got.DecidedBy != bob || got.Version != 0 || got.Revision != one.Revision+1 {
			t.Errorf("%+v", got)
		}
	})
	t.Run("withdraw", func(t *testing.T) {
		one := r.propose(t, ann, p, addition("c"))
		for _, d := range []plan.Decision{plan.Accept, plan.Reject} {
			if _, err := r.proposals.Decide(t.Context(), auth.Unchecked(ann, p), plan.DecideInput{ID: one.ID, Decision: d}); !fault.Is(err, fault.Forbidden) {
				t.Errorf("the proposer decides %s: %v, want FORBIDDEN", d, err)
			}
		}
		if _, err := r.proposals.Decide(t.Context(), auth.Unchecked(bob, p), plan.DecideInput{ID: one.ID, Decision: plan.Withdraw}); !fault.Is(err, fault.Forbidden) {
			t.Errorf("somebody else withdraws it: %v, want FORBIDDEN", err)
		}
		if got := r.decide(t, ann, one, plan.Withdraw); got.Status != plan.Withdrawn || got.DecidedBy != ann {
			t.Errorf("%+v", got)
		}
	})
	t.Run("an agent is itself in another session", func(t *testing.T) {
		robo, again := auth.Agent("robo, session 1", "robo", "Robo"), auth.Agent("robo, session 2", "robo", "Robo")
		other := auth.Agent("robo elsewhere", "robo elsewhere", "Robo")
		one := r.propose(t, robo, p, addition("c"))
		for _, d := range []plan.Decision{plan.Accept, plan.Reject} {
			if _, err := r.proposals.Decide(t.Context(), auth.Unchecked(again, p), plan.DecideInput{ID: one.ID, Decision: d}); !fault.Is(err, fault.Forbidden) {
				t.Errorf("the proposer decides %s in another session: %v, want FORBIDDEN", d, err)
			}
		}
		r.decide(t, again, one, plan.Withdraw)
		r.decide(t, other, r.propose(t, robo, p, addition("c")), plan.Reject)
		r.decide(t, auth.Anonymous("person"), r.propose(t, robo, p, addition("c")), plan.Reject)
	})
	t.Run("what the rules refuse by now stays open", func(t *testing.T) {
		one := r.propose(t, ann, p, `{"op":"delete_node","id":"b"}`)
		r.change(t, p, plan.DeleteNode{ID: "b"})
		_, err := r.proposals.Decide(t.Context(), auth.Unchecked(bob, p), plan.DecideInput{ID: one.ID, Decision: plan.Accept})
		if f := fault.From(err); f == nil || f.Code != fault.Conflict || !strings.Contains(f.Message, "Node not found") || f.Details["operation"] != 0 {
			t.Errorf("%v, want CONFLICT that says why", err)
		}
		if got, err := r.proposals.Get(t.Context(), auth.Unchecked(ann, p), one.ID); err != nil || cmp.Diff(one, got) != "" {
			t.Errorf("it is %+v, %v now", got, err)
		}
		r.decide(t, bob, one, plan.Reject)
	})
	t.Run("accept what is so already", func(t *testing.T) {
		one := r.propose(t, ann, p, `{"op":"update_node","id":"a","label":"A"}`)
		r.change(t, p, plan.UpdateNode{ID: "a", Metadata: &plan.NodeMetadata{Label: "A"}})
		before := r.dag(t, p).At
		if got := r.decide(t, bob, one, plan.Accept); got.Status != plan.Accepted || got.Version != 0 || r.dag(t, p).At != before {
			t.Errorf("%+v, and the plan went from %v to %v", got, before, r.dag(t, p).At)
		}
	})
	t.Run("who states no id is known by the operation id alone", func(t *testing.T) {
		one := r.propose(t, ann, p, addition("d"))
		in := plan.DecideInput{ID: one.ID, Decision: plan.Reject, OpID: "reject"}
		got, err := r.proposals.Decide(t.Context(), auth.Unchecked(auth.Anonymous(""), p), in)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := r.proposals.Decide(t.Context(), auth.Unchecked(auth.Anonymous(""), p), in); err != nil || cmp.Diff(got, again) != "" {
			t.Errorf("again: %+v, %v", again, err)
		}
		in.OpID = ""
		if _, err := r.proposals.Decide(t.Context(), auth.Unchecked(auth.Anonymous(""), p), in); !fault.Is(err, fault.Conflict) {
			t.Errorf("without it: %v, want CONFLICT", err)
		}
	})
	t.Run("what is not there, and what is no decision", func(t *testing.T) {
		for name, c := range map[string]struct {
			project, id int32
			plan.Decision
			reason string
			code   fault.Code
		}{
			"no proposal":  {p, 999, plan.Accept, "", fault.NotFound},
			"no project":   {p + 9, 1, plan.Accept, "", fault.NotFound},
			"no decision":  {p, 1, "DANCE", "", fault.BadRequest},
			"a bad reason": {p, 1, plan.Accept, "\u202e", fault.BadRequest},
		} {
			_, err := r.proposals.Decide(t.Context(), auth.Unchecked(bob, c.project), plan.DecideInput{ID: c.id, Decision: c.Decision, Reason: c.reason})
			if !fault.Is(err, c.code) {
				t.Errorf("%s: %v, want %s", name, err, c.code)
			}
		}
	})
}

// A long note is cut where the note of the change ends.
func TestNoteOfAnAcceptedProposal(t *testing.T) {
	t.Parallel()
	r, p := newProject(t)
	one, _, err := r.proposals.Propose(t.Context(), auth.Unchecked(ann, p), plan.ProposeInput{Operations: list(addition("a")), Note: strings.Repeat("ä", 1000)})
	if err != nil {
		t.Fatal(err)
	}
	r.decide(t, bob, one, plan.Accept)
	history, err := r.plans.History(t.Context(), auth.Unchecked(bob, p), plan.HistoryQuery{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	if note := []rune(history.Changes[0].Note); len(note) != 1000 || note[999] != '…' || note[998] != 'ä' {
		t.Errorf("a note of %d characters that ends with %q", len(note), note[990:])
	}
}

// Of 20 who decide at once, on two replicas, one is the first. The plan changes once, or not at all.
func TestDecideAtOnce(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	replicas := []*replica{startReplica(t, url, 0), startReplica(t, url, 0)}
	p := replicas[0].create(t)
	for name, decisions := range map[string][]plan.Decision{"all accept": {plan.Accept}, "some reject": {plan.Accept, plan.Reject}} {
		t.Run(name, func(t *testing.T) {
			before := replicas[0].dag(t, p).At.Version
			one := replicas[0].propose(t, ann, p, addition(strings.Fields(name)[0]))
			const deciders = 20
			var got [deciders]plan.Proposal
			var errs [deciders]error
			var deciding sync.WaitGroup
			for i := range deciders {
				deciding.Go(func() {
					in := plan.DecideInput{ID: one.ID, Decision: decisions[i%len(decisions)], Via: "test"}
					by := auth.Actor{ID: fmt.Sprint("d", i), Kind: "user", Name: fmt.Sprint("D", i)}
					got[i], errs[i] = replicas[i%2].proposals.Decide(t.Context(), auth.Unchecked(by, p), in)
				})
			}
			deciding.Wait()
			after, err := replicas[0].proposals.Get(t.Context(), auth.Unchecked(ann, p), one.ID)
			if err != nil {
				t.Fatal(err)
			}
			first := 0
			for i, err := range errs {
				switch {
				case err == nil:
					first++
					if diff := cmp.Diff(after, got[i]); diff != "" {
						t.Errorf("the first was told something else (-is +told):\n%s", diff)
					}
				case !fault.Is(err, fault.Conflict):
					t.Errorf("decider %d: %v", i, err)
				}
			}
			changes := int64(0)
			if after.Status == plan.Accepted {
				changes = 1
			}
			if v := replicas[0].dag(t, p).At.Version; first != 1 || after.Revision != one.Revision+1 || v != before+changes || after.Version != v*changes {
				t.Errorf("%d were the first; the plan went from %d to %d, and the proposal is %+v", first, before, v, after)
			}
		})
	}
}

// A replica that dies right after the COMMIT leaves the change with the decision, and whoever repeats the decision is told so.
func TestAcceptingReplicaDies(t *testing.T) {
	t.Parallel()
	core := servertest.StartCore(t, nil)
	r := &replica{plans: core.Plans, proposals: core.Proposals, projects: core.Projects, actor: ann}
	p := r.create(t)
	one := r.propose(t, ann, p, addition("a"))
	conn := pgtest.Connect(t, core.Database)
	var left atomic.Pointer[[]string]
	dying := plan.NewProposals(plan.ProposalsConfig{
		DB: core.DB, Wire: deaf(), Log: quiet, Metrics: prometheus.NewRegistry(),
		Plans: plan.NewService(plan.Config{DB: core.DB, Hub: core.Hub, WriteSlots: 1, Metrics: prometheus.NewRegistry(), AfterCommit: func() {
			texts := pgtest.Texts(t, conn, `SELECT concat_ws(' ', p.status, p.version, h.version) FROM proposals p JOIN heads h USING (project_id)`)
			left.Store(&texts)
			panic("boom")
		}}),
	})
	in := plan.DecideInput{ID: one.ID, Decision: plan.Accept, OpID: "1", Via: "test"}
	got, err := dying.Decide(t.Context(), auth.Unchecked(bob, p), in)
	if diff := cmp.Diff(&[]string{"ACCEPTED 1 1"}, left.Load()); diff != "" {
		t.Errorf("it left (-want +got):\n%s", diff)
	}
	if err != nil && !errors.As(err, new(*task.Panic)) || err == nil && got.Status != plan.Accepted {
		t.Errorf("got %+v, %v", got, err)
	}
	if again, err := r.proposals.Decide(t.Context(), auth.Unchecked(bob, p), in); err != nil || again.Version != 1 || r.dag(t, p).At.Version != 1 {
		t.Errorf("again: %+v, %v", again, err)
	}
	if _, err := r.proposals.Decide(t.Context(), auth.Unchecked(carl, p), in); !fault.Is(err, fault.Conflict) {
		t.Errorf("somebody else: %v, want CONFLICT", err)
	}
}

// When the answer to COMMIT is lost, either both are there, the change and the decision, or none.
func TestAnswerToAcceptanceIsLost(t *testing.T) {
	t.Parallel()
	for name, committed := range map[string]bool{"after it took effect": true, "before it arrived": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cut := newCutter(t, pgtest.New(t))
			r := startReplica(t, cut.url, 0)
			p := r.create(t)
			one := r.propose(t, ann, p, addition("a"))
			cut.mu.Lock()
			cut.text, cut.times, cut.after = []byte("the-lost-one"), 2, committed // see TestAnswerToCommitIsLost
			cut.mu.Unlock()
			in := plan.DecideInput{ID: one.ID, Decision: plan.Accept, OpID: "the-lost-one"}
			got, err := r.proposals.Decide(t.Context(), auth.Unchecked(bob, p), in)
			if committed != (err == nil) || !committed && !fault.Is(err, fault.Unavailable) || committed && got.Version != 1 {
				t.Errorf("got %+v, %v", got, err)
			}
			status, err := r.proposals.Get(t.Context(), auth.Unchecked(bob, p), one.ID)
			if committed != (status.Status == plan.Accepted) || committed != (r.dag(t, p).At.Version == 1) || err != nil {
				t.Errorf("it left %+v, %v, and version %d", status, err, r.dag(t, p).At.Version)
			}
			if got, err := r.proposals.Decide(t.Context(), auth.Unchecked(bob, p), in); err != nil || got.Version != 1 || r.dag(t, p).At.Version != 1 {
				t.Errorf("again: %+v, %v", got, err)
			}
		})
	}
}

func TestOpenProposalsAreLimited(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	r := startReplica(t, url, 0)
	conn := pgtest.Connect(t, url)
	p, q := r.create(t), r.create(t)
	first := r.propose(t, ann, p, addition("a"))
	pgtest.Exec(t, conn, `INSERT INTO proposals (project_id, id, revision, status, operations, size, base_version, by_id, by_kind, by_name, op_actor, op_id, request_hash)
		SELECT project_id, n, n, 'OPEN', operations, size, 0, by_id, by_kind, by_name, op_actor, n, '' FROM proposals, generate_series(2, 200) n`)
	pgtest.Exec(t, conn, `UPDATE proposal_heads SET last_id = 200, revision = 200`)
	in := plan.ProposeInput{Operations: list(addition("b"))}
	_, _, err := r.proposals.Propose(t.Context(), auth.Unchecked(ann, p), in)
	if f := fault.From(err); f == nil || f.Code != fault.BadRequest || !strings.Contains(f.Message, "200") {
		t.Errorf("the 201st: %v, want BAD_REQUEST with the number", err)
	}
	r.propose(t, ann, q, addition("b")) // another project
	r.decide(t, bob, first, plan.Reject)
	if next := r.propose(t, ann, p, addition("b")); next.ID != 201 {
		t.Errorf("the next is %d: the refused one took a number", next.ID)
	}
	pgtest.Exec(t, conn, `UPDATE proposals SET size = 17000000 WHERE project_id = $1`, q)
	if _, _, err := r.proposals.Propose(t.Context(), auth.Unchecked(ann, q), in); !fault.Is(err, fault.BadRequest) {
		t.Errorf("beyond 16 MB: %v, want BAD_REQUEST", err)
	}
}

func TestListProposals(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	r := startReplica(t, url, 0)
	p := r.create(t)
	for i := range 7 {
		one := r.propose(t, ann, p, addition(fmt.Sprint("n", i)))
		if i%3 == 0 {
			r.decide(t, bob, one, plan.Reject)
		}
	}
	ids := func(q plan.ProposalQuery) (ids []int32, next string) {
		t.Helper()
		page, err := r.proposals.List(t.Context(), auth.Unchecked(ann, p), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range page.Proposals {
			ids = append(ids, one.ID)
		}
		return ids, page.Next
	}
	for _, c := range []struct {
		query plan.ProposalQuery
		ids   []int32
		next  string
	}{
		{plan.ProposalQuery{Limit: 50}, []int32{7, 6, 5, 4, 3, 2, 1}, ""},
		{plan.ProposalQuery{Limit: 7}, []int32{7, 6, 5, 4, 3, 2, 1}, ""},
		{plan.ProposalQuery{Limit: 3}, []int32{7, 6, 5}, "5"},
		{plan.ProposalQuery{Limit: 3, After: "5"}, []int32{4, 3, 2}, "2"},
		{plan.ProposalQuery{Limit: 3, After: "2"}, []int32{1}, ""},
		{plan.ProposalQuery{Limit: 3, After: "1"}, nil, ""},
		{plan.ProposalQuery{Status: plan.Open, Limit: 2}, []int32{6, 5}, "5"},
		{plan.ProposalQuery{Status: plan.Open, Limit: 2, After: "5"}, []int32{3, 2}, ""},
		{plan.ProposalQuery{Status: plan.Rejected, Limit: 2}, []int32{7, 4}, "4"},
		{plan.ProposalQuery{Status: plan.Accepted, Limit: 2}, nil, ""},
	} {
		got, next := ids(c.query)
		if diff := cmp.Diff(c.ids, got); diff != "" || next != c.next {
			t.Errorf("%+v: next %q, want %q (-want +got):\n%s", c.query, next, c.next, diff)
		}
	}
	for _, q := range []plan.ProposalQuery{{}, {Limit: 201}, {Limit: -1}, {Limit: 1, After: "x"}, {Limit: 1, After: "0"}, {Limit: 1, After: "2147483648"}, {Limit: 1, Status: "LOST"}} {
		if _, err := r.proposals.List(t.Context(), auth.Unchecked(ann, p), q); !fault.Is(err, fault.BadRequest) {
			t.Errorf("%+v: %v, want BAD_REQUEST", q, err)
		}
	}
	if _, err := r.proposals.List(t.Context(), auth.Unchecked(ann, p+1), plan.ProposalQuery{Limit: 1}); !fault.Is(err, fault.NotFound) {
		t.Errorf("no project: %v, want NOT_FOUND", err)
	}
	pgtest.Exec(t, pgtest.Connect(t, url), "UPDATE proposals SET size = 600000")
	if got, next := ids(plan.ProposalQuery{Limit: 50}); !cmp.Equal(got, []int32{7, 6}) || next != "6" {
		t.Errorf("large ones: %v, next %q, want two in a page", got, next)
	}
}

// What was decided long ago is removed, and watchers do not mind.
func TestTrimProposals(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	r := startReplica(t, url, 0)
	p := r.create(t)
	old := r.decide(t, bob, r.propose(t, ann, p, addition("a")), plan.Reject)
	open := r.propose(t, ann, p, addition("b"))
	r.decide(t, bob, r.propose(t, ann, p, addition("c")), plan.Reject)
	w := r.watchProposals(t, p)
	w.want(t, open)
	pgtest.Exec(t, pgtest.Connect(t, url), "UPDATE proposals SET decided_at = now() - interval '31 days' WHERE id = $1", old.ID)
	if n, err := r.proposals.Trim(t.Context(), time.Now().Add(-30*24*time.Hour)); n != 1 || err != nil {
		t.Errorf("%d were removed, %v, want 1", n, err)
	}
	if _, err := r.proposals.Get(t.Context(), auth.Unchecked(ann, p), old.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("the old one: %v, want NOT_FOUND", err)
	}
	w.want(t, r.propose(t, ann, p, addition("d")))
}

func TestDeletingAProjectDeletesProposals(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	here, there := startReplica(t, url, 0), startReplica(t, url, 0)
	p := here.create(t)
	one := here.propose(t, ann, p, addition("a"))
	w := there.watchProposals(t, p)
	w.want(t, one)
	if err := here.projects.Delete(t.Context(), auth.Unchecked(ann, p)); err != nil {
		t.Fatal(err)
	}
	if err := w.failure(t); !fault.Is(err, fault.NotFound) {
		t.Errorf("the watch ended with %v, want NOT_FOUND", err)
	}
	if n := pgtest.Count(t, pgtest.Connect(t, url), "SELECT (SELECT count(*) FROM proposals) + (SELECT count(*) FROM proposal_heads)"); n != 0 {
		t.Errorf("%d rows are left", n)
	}
	for name, err := range map[string]error{
		"get":    second(here.proposals.Get(t.Context(), auth.Unchecked(ann, p), one.ID)),
		"decide": second(here.proposals.Decide(t.Context(), auth.Unchecked(bob, p), plan.DecideInput{ID: one.ID, Decision: plan.Reject})),
		"list":   second(here.proposals.List(t.Context(), auth.Unchecked(bob, p), plan.ProposalQuery{Limit: 1})),
	} {
		if f := fault.From(err); f == nil || f.Code != fault.NotFound || f.Message != "Project not found" {
			t.Errorf("%s: %v, want that there is no project", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// Many propose, decide and delete their project at once: nobody waits for a deadlock, and nothing is left.
func TestDeletingAProjectUnderProposers(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	r := startReplica(t, url, 0)
	for range 10 {
		p := r.create(t)
		ctx, cancel := context.WithTimeout(t.Context(), pgtest.Patience)
		var working sync.WaitGroup
		begun := make(chan struct{}, 4)
		for i := range 4 {
			working.Go(func() {
				for n := 0; ; n++ {
					one, _, err := r.proposals.Propose(ctx, auth.Unchecked(ann, p), plan.ProposeInput{Operations: list(addition(fmt.Sprint("n", i, "_", n)))})
					if err == nil {
						_, err = r.proposals.Decide(ctx, auth.Unchecked(bob, p), plan.DecideInput{ID: one.ID, Decision: []plan.Decision{plan.Accept, plan.Reject}[i%2]})
					}
					if n == 0 {
						begun <- struct{}{}
					}
					if err != nil {
						if !fault.Is(err, fault.NotFound) {
							t.Errorf("%v, %#v", err, err)
						}
						return
					}
				}
			})
		}
		<-begun
		if err := r.projects.Delete(ctx, auth.Unchecked(ann, p)); err != nil {
			t.Error(err)
		}
		working.Wait()
		cancel()
	}
}
