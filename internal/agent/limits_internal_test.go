package agent

import (
	"fmt"
	"testing"
	"time"

	"layercake/internal/fanout"
	"layercake/internal/fault"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// newTestService returns a service for what needs no database.
func newTestService(t *testing.T) *Service {
	t.Helper()
	metrics := prometheus.NewRegistry()
	return New(Config{Wire: fanout.New(fanout.Config{Replica: "r"}), Metrics: metrics})
}

func retryAfter(err error) any {
	if f := fault.From(err); f != nil && f.Code == fault.RateLimited {
		return f.Details["retryAfterMs"]
	}
	return err
}

func TestCallsOfAnAgentAreLimited(t *testing.T) {
	t.Parallel()
	s := newTestService(t)
	now := time.Now()
	var leaves []func()
	for range MaxCalls {
		leave, err := s.admit("a", now)
		if err != nil {
			t.Fatal(err)
		}
		leaves = append(leaves, leave)
	}
	if _, err := s.admit("a", now); retryAfter(err) != retryCalls.Milliseconds() {
		t.Errorf("one call more: %v", err)
	}
	if leave, err := s.admit("b", now); err != nil {
		t.Errorf("another agent: %v", err)
	} else {
		leave()
	}
	for _, leave := range leaves {
		leave()
	}
	for n := MaxCalls; n < CallBurst; n++ {
		leave, err := s.admit("a", now)
		if err != nil {
			t.Fatalf("call %d: %v", n, err)
		}
		leave()
	}
	if _, err := s.admit("a", now); retryAfter(err) != int64(1000/CallRate) {
		t.Errorf("after the burst: %v, want to wait for the next", retryAfter(err))
	}
	// What was refused costs nothing.
	if leave, err := s.admit("a", now.Add(time.Second/CallRate)); err != nil {
		t.Errorf("a fiftieth of a second later: %v", err)
	} else {
		leave()
	}
	for limit, want := range map[string]float64{limitInFlight: 1, limitRate: 1} {
		if n := testutil.ToFloat64(s.metrics.refused.WithLabelValues(limit)); n != want {
			t.Errorf("%v calls were refused by %s, want %v", n, limit, want)
		}
	}
}

func TestAgentsThatAreRememberedAreLimited(t *testing.T) {
	t.Parallel()
	s := newTestService(t)
	for n := range maxAgents + 100 {
		leave, err := s.Admit(fmt.Sprint(n))
		if err != nil {
			t.Fatal(err)
		}
		defer leave()
	}
	if n := s.agents.Len(); n != maxAgents {
		t.Errorf("%d agents are remembered, want %d", n, maxAgents)
	}
}
