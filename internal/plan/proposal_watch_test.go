package plan_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"layercake/internal/auth"
	"layercake/internal/fanout"
	"layercake/internal/fault"
	"layercake/internal/plan"
	"layercake/internal/postgres/pgtest"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
)

var quiet = slog.New(slog.DiscardHandler)

// deaf returns a wire that does not run.
func deaf() *fanout.Wire { return fanout.New(fanout.Config{Metrics: prometheus.NewRegistry()}) }

// proposalWatch is a watcher of proposals that a test steps by hand.
type proposalWatch struct {
	proposals chan *plan.Proposal
	failed    chan error
}

func (r *replica) watchProposals(t *testing.T, project int32) *proposalWatch {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &proposalWatch{proposals: make(chan *plan.Proposal), failed: make(chan error, 1)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for p, err := range r.proposals.Watch(ctx, auth.Unchecked(r.actor, project)) {
			if err != nil {
				w.failed <- err
				return
			}
			select {
			case w.proposals <- p:
			case <-ctx.Done():
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return w
}

func (w *proposalWatch) next(t *testing.T) plan.Proposal {
	t.Helper()
	select {
	case p := <-w.proposals:
		return *p
	case err := <-w.failed:
		t.Fatalf("watch failed: %v", err)
	case <-time.After(pgtest.Patience):
		t.Fatal("nothing came")
	}
	return plan.Proposal{}
}

// want checks what comes next, in this order and nothing in between.
func (w *proposalWatch) want(t *testing.T, proposals ...plan.Proposal) {
	t.Helper()
	for _, p := range proposals {
		if diff := cmp.Diff(p, w.next(t)); diff != "" {
			t.Fatalf("another one came (-want +got):\n%s", diff)
		}
	}
}

func (w *proposalWatch) failure(t *testing.T) error {
	t.Helper()
	select {
	case err := <-w.failed:
		return err
	case <-time.After(pgtest.Patience):
		t.Fatal("the watch went on")
	}
	return nil
}

// What happens on one replica is seen on another, also when no line gets through.
func TestWatchProposals(t *testing.T) {
	t.Parallel()
	for name, loss := range map[string]float64{"with lines": 0, "without lines": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := pgtest.New(t)
			here, there := startReplica(t, url, loss), startReplica(t, url, loss)
			p := here.create(t)
			early := there.watchProposals(t, p) // before there are any
			first := here.propose(t, ann, p, addition("a"))
			early.want(t, first)
			second := here.propose(t, ann, p, addition("b"))
			early.want(t, second)
			accepted := here.decide(t, bob, first, plan.Accept)
			early.want(t, accepted)
			third := there.propose(t, carl, p, addition("c"))
			early.want(t, third)

			late, own := there.watchProposals(t, p), here.watchProposals(t, p)
			late.want(t, second, third) // what is open
			own.want(t, second, third)
			rejected, withdrawn := here.decide(t, bob, second, plan.Reject), there.decide(t, carl, third, plan.Withdraw)
			for _, w := range []*proposalWatch{early, late, own} {
				w.want(t, rejected, withdrawn)
			}
			if fourth := here.propose(t, ann, here.create(t), addition("a")); fourth.Revision != 1 {
				t.Errorf("another project counts on: %+v", fourth)
			}
			fifth := here.propose(t, ann, p, addition("e"))
			for _, w := range []*proposalWatch{early, late, own} {
				w.want(t, fifth)
			}
		})
	}
}

func TestWatchProposalsOfNoProject(t *testing.T) {
	t.Parallel()
	r, p := newProject(t)
	for _, err := range r.proposals.Watch(t.Context(), auth.Unchecked(ann, p+9)) {
		if !fault.Is(err, fault.NotFound) {
			t.Errorf("error = %v, want NOT_FOUND", err)
		}
	}
}

// A watcher who is busy finds the newest state of each proposal, in order, wherever the others are by then. Large proposals are not kept.
func TestBusyWatcherOfProposals(t *testing.T) {
	t.Parallel()
	r, p := newProject(t)
	begin := r.propose(t, ann, p, addition("begin"))
	busy, quick := r.watchProposals(t, p), r.watchProposals(t, p)
	busy.want(t, begin)
	quick.want(t, begin)
	held := r.propose(t, ann, p, addition("held"))
	quick.want(t, held) // the busy one holds it, too, but does not take it yet
	var want []plan.Proposal
	for i := range 15 {
		config := ""
		if i%5 == 0 {
			config = strings.Repeat("x", 40<<10)
		}
		operation := fmt.Sprintf(`{"op":"add_node","id":"n%d","node_type":"GraphNode","label":"L","config":{"a":"%s"}}`, i, config)
		one := r.propose(t, ann, p, operation, addition(fmt.Sprint("m", i)))
		quick.want(t, one)
		if i%4 == 3 {
			one = r.decide(t, bob, one, plan.Reject)
			quick.want(t, one)
		}
		want = append(want, one)
	}
	busy.want(t, held)
	seen := map[int32]plan.Proposal{}
	last := held.Revision
	for final := want[len(want)-1].Revision; last < final; {
		got := busy.next(t)
		if got.Revision <= last {
			t.Fatalf("revision %d after %d", got.Revision, last)
		}
		last, seen[got.ID] = got.Revision, got
	}
	for _, one := range want {
		if diff := cmp.Diff(one, seen[one.ID]); diff != "" {
			t.Errorf("proposal %d (-want +got):\n%s", one.ID, diff)
		}
	}
}

// However many watch, what happened is read once.
func TestWatchersOfProposalsShareReads(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	r := startReplica(t, url, 0)
	p := r.create(t)
	watchers := make([]*proposalWatch, 100)
	open := r.propose(t, ann, p, addition("a"))
	for i := range watchers {
		watchers[i] = r.watchProposals(t, p)
	}
	for _, w := range watchers {
		w.want(t, open)
	}
	before := r.proposals.PagesRead()
	const many = 5
	for i := range many {
		one := r.propose(t, ann, p, addition(fmt.Sprint("n", i)))
		for _, w := range watchers {
			w.want(t, one)
		}
	}
	if n := r.proposals.PagesRead() - before; n > 2*many {
		t.Errorf("%d reads for %d proposals and %d watchers", n, many, len(watchers))
	}
}

// After a restore the same numbers come again. Watchers begin again with what is open.
func TestWatchProposalsAfterARestore(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	r := startReplica(t, url, 0)
	p := r.create(t)
	kept, lost := r.propose(t, ann, p, addition("a")), r.propose(t, ann, p, addition("b"))
	w := r.watchProposals(t, p)
	w.want(t, kept, lost)
	conn := pgtest.Connect(t, url)
	pgtest.Exec(t, conn, "BEGIN; DELETE FROM proposals WHERE id = 2; UPDATE proposal_heads SET revision = 1, last_id = 1; COMMIT")
	w.want(t, kept)
	w.want(t, r.propose(t, ann, p, addition("c")))
}
