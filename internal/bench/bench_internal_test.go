package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"layercake/internal/bench/convergence"
)

func TestHistogram(t *testing.T) {
	t.Parallel()
	var a, b histogram
	if got := a.latency(); got != (Latency{}) {
		t.Errorf("of nothing: %+v", got)
	}
	for ms := 1; ms <= 500; ms++ {
		a.observe(time.Duration(ms) * time.Millisecond)
		b.observe(time.Duration(ms+500) * time.Millisecond)
	}
	b.observe(0)
	b.observe(24 * time.Hour)
	a.add(&b)
	got := a.latency()
	for name, v := range map[string]struct{ got, want float64 }{
		"p50": {got.P50, 500}, "p95": {got.P95, 950}, "p99": {got.P99, 990},
	} {
		if v.got < v.want*0.98 || v.got > v.want*1.03 {
			t.Errorf("%s = %v, want %v", name, v.got, v.want)
		}
	}
	if got.Count != 1002 || got.Max != 24*60*60*1000 {
		t.Errorf("count %d, max %v", got.Count, got.Max)
	}
}

func TestBitset(t *testing.T) {
	t.Parallel()
	var a, b bitset
	for _, n := range []int64{0, 63, 64, 1000} {
		if !a.add(n) || a.add(n) {
			t.Errorf("%d: not new once", n)
		}
	}
	b.add(0)
	b.add(64)
	if count, first := a.without(b); count != 2 || first != 63 {
		t.Errorf("without: %d from %d, want 2 from 63", count, first)
	}
	if count, _ := b.without(a); count != 0 {
		t.Errorf("without: %d, want 0", count)
	}
}

// Each subscriber is handed frames as a replica sends them; the result must tell what was wrong with them.
func TestResultTellsWhatWasWrong(t *testing.T) {
	t.Parallel()
	frame := func(version, op int) json.RawMessage {
		return json.RawMessage(fmt.Sprintf(`{"planEvents":{"version":%d,"cursor":"a-1.%d","snapshot":false,"opId":"storm-x-%d",
			"clientId":%q,"operations":[]}}`, version, version, op, formatSent(time.Now(), 0)))
	}
	tests := []struct {
		name   string
		frames []json.RawMessage
		want   Result // its counts
		words  string
	}{
		{"nothing", []json.RawMessage{frame(1, 0), frame(2, 1), frame(3, 2)}, Result{}, ""},
		{"a dropped frame", []json.RawMessage{frame(1, 0), frame(3, 2)}, Result{Lost: 1, Unseen: 1, Diverged: 1}, "lost, or late: 2 to 2"},
		{"a doubled frame", []json.RawMessage{frame(1, 0), frame(2, 1), frame(2, 1), frame(3, 2)}, Result{Doubled: 1}, "came again"},
		{
			"an operation that happened twice",
			[]json.RawMessage{frame(1, 0), frame(2, 1), frame(3, 1)},
			Result{Doubled: 1, Unseen: 1},
			"1 operations happened twice",
		},
		{
			"an answered change without an event",
			[]json.RawMessage{frame(1, 0), frame(2, 1), frame(3, 7)},
			Result{Unseen: 1},
			"1 answered changes were not seen, such as storm-x-2",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := &project{id: 1, run: "storm-x", next: 10}
			for op := range int64(3) {
				p.answered.add(op)
			}
			s := newSubscriber([]string{"http://127.0.0.1:3001"}, 0, p, newEvents(convergence.Plan{Cursor: "a-1.0"}))
			s.deliveries = new(atomic.Int64)
			for _, f := range tt.frames {
				if err := s.take(t.Context(), f); err != nil {
					t.Fatal(err)
				}
			}
			r := Result{Answered: 3}
			r.add("subscriber", s, convergence.Plan{Version: 3, Cursor: "a-1.3"})
			if r.Lost != tt.want.Lost || r.Doubled != tt.want.Doubled || r.Unseen != tt.want.Unseen || r.Diverged != tt.want.Diverged {
				t.Errorf("result = %+v, want %+v", r, tt.want)
			}
			if r.OK() != (tt.words == "") || !strings.Contains(strings.Join(r.Complaints, "\n"), tt.words) {
				t.Errorf("OK = %v, complaints %q, want %q", r.OK(), r.Complaints, tt.words)
			}
		})
	}
	if (Result{}).OK() {
		t.Error("a storm without an answer is OK")
	}
}

func TestOtherFramesAreRefused(t *testing.T) {
	t.Parallel()
	s := newSubscriber([]string{"http://127.0.0.1:3001"}, 0, &project{}, newEvents(convergence.Plan{Cursor: "a-1.0"}))
	s.deliveries = new(atomic.Int64)
	if err := s.take(t.Context(), json.RawMessage(`{"planEvents":{"version":"one"}}`)); !errors.Is(err, errNotAnEvent) {
		t.Errorf("error = %v", err)
	}
}

// A set of numbers has room for all up to its largest one, so a number that somebody made up would take all memory.
func TestOperationsOfOthersHaveNoNumber(t *testing.T) {
	t.Parallel()
	p := &project{run: "storm-x", next: 3}
	for id, want := range map[string]bool{
		"storm-x-0": true, "storm-x-2": true, "storm-x-3": false, "storm-x--1": false, "storm-x-": false, "storm-y-1": false,
		"2f9a2d39-42bd-4bd1-9a5e-123456789012": false, "": false,
	} {
		if n, ok := p.operationNumber(id); ok != want {
			t.Errorf("operation id %q has number %d: %v, want %v", id, n, ok, want)
		}
	}
}

// Whatever the mutators choose, plans stay small and operations are well formed.
func TestPlansStaySmall(t *testing.T) {
	t.Parallel()
	p := &project{id: 1, run: "storm-x", pairs: map[[2]int64]bool{}}
	r := rand.New(rand.NewPCG(1, 2))
	kinds := map[string]int{}
	for n := range int64(20_000) {
		op := p.choose(r)
		kinds[op.query]++
		id := op.variables["op"].(string)
		if got, ok := p.operationNumber(id); !ok || got != n {
			t.Fatalf("operation id %q is number %d (%v), want %d", id, got, ok, n)
		}
		answer := json.RawMessage(`{}`)
		if r.IntN(10) == 0 {
			answer = nil
		}
		if _, err := p.settle(op, answer); err != nil {
			t.Fatal(err)
		}
		if len(p.nodes) > mostNodes+1 || len(p.edges) > mostEdges+1 || len(p.pairs) < len(p.edges) {
			t.Fatalf("after %d: %d nodes, %d edges, %d pairs", n, len(p.nodes), len(p.edges), len(p.pairs))
		}
	}
	for _, query := range []string{addNode, moveNode, editNode, deleteNode, addEdge, deleteEdge, undoChange} {
		if kinds[query] < 100 {
			t.Errorf("%d times: %s", kinds[query], query)
		}
	}
}
