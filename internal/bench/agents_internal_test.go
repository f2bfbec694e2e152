package bench

import (
	"fmt"
	"testing"
	"time"

	"layercake/internal/bench/convergence"
)

// TestAgentsThatAreToldWrongAreFound hands pages to an agent without a replica.
func TestAgentsThatAreToldWrongAreFound(t *testing.T) {
	t.Parallel()
	page := func(version int64, ops ...int) convergence.Page {
		p := convergence.Page{Cursor: fmt.Sprintf("a-1~0.%d", version)}
		for i, op := range ops {
			p.Changes = append(p.Changes, convergence.Change{Version: version - int64(len(ops)-1-i), OpID: fmt.Sprintf("run-%d", op)})
		}
		return p
	}
	tests := map[string]struct {
		pages []convergence.Page
		want  AgentsResult
	}{
		"all of them":      {[]convergence.Page{page(1, 0), page(3, 1, 2), page(4, 3)}, AgentsResult{}},
		"one is lost":      {[]convergence.Page{page(1, 0), page(3, 2), page(4, 3)}, AgentsResult{Lost: 1, Unseen: 1}},
		"the last is lost": {[]convergence.Page{page(1, 0), page(3, 1, 2)}, AgentsResult{Lost: 1, Unseen: 1}},
		"one comes twice":  {[]convergence.Page{page(1, 0), page(1, 0), page(3, 1, 2), page(4, 3)}, AgentsResult{Doubled: 2}},
		"one happened twice": {
			[]convergence.Page{page(1, 0), page(3, 1, 1), page(4, 3)}, AgentsResult{Doubled: 1, Unseen: 1},
		},
		"in another order": {[]convergence.Page{page(1, 0), page(4, 3), page(3, 1, 2)}, AgentsResult{Reordered: 2, Diverged: 1}},
		"missed": {
			[]convergence.Page{page(1, 0), {Cursor: "a-1~0.3", Missed: true}, page(4, 3)}, AgentsResult{Missed: 1, Unseen: 2},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &follower{
				project: &followed{rows: convergence.Plan{Version: 4, Cursor: "a-1~0.4"}}, changes: &changes{run: "run"},
				pages: convergence.NewPages("a-1~0.0"),
			}
			for version := range int64(4) {
				f.project.succeed(f.changes.next(), version+1)
			}
			for _, p := range tt.pages {
				f.take(p, time.Now())
			}
			r := AgentsResult{Answered: 4}
			r.add(f)
			got := AgentsResult{
				Lost: r.Lost, Doubled: r.Doubled, Reordered: r.Reordered, Missed: r.Missed, Diverged: r.Diverged, Unseen: r.Unseen,
			}
			if fmt.Sprint(got) != fmt.Sprint(tt.want) {
				t.Errorf("result = %+v, want %+v: %q", got, tt.want, r.Complaints)
			}
			if fine := name == "all of them"; r.OK() != fine || fine == (len(r.Complaints) > 0) {
				t.Errorf("OK = %v, complaints = %q", r.OK(), r.Complaints)
			}
			told := int64(0)
			for _, p := range tt.pages {
				told += int64(len(p.Changes))
			}
			if f.told.count != told {
				t.Errorf("%d times, want %d", f.told.count, told)
			}
		})
	}
}

func TestListenersAreCounted(t *testing.T) {
	t.Parallel()
	h := newHearing(2)
	h.hear(0) // before anything was sent
	told := h.begin(true)
	h.hear(1)
	h.hear(1)
	select {
	case <-told:
		t.Error("all were told, but only one was, twice")
	default:
	}
	if n := h.missing(); n != 1 {
		t.Errorf("%d are missing, want 1", n)
	}
	h.hear(0)
	<-told
	h.hear(0)
	if n := h.sum().Count; n != 2 {
		t.Errorf("%d times, want 2", n)
	}
	told = h.begin(false)
	h.hear(0)
	h.hear(1)
	<-told
	if n := h.sum().Count; n != 2 {
		t.Errorf("%d times with one that is not measured, want 2", n)
	}
}
