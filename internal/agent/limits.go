package agent

import (
	"fmt"
	"time"

	"layercake/internal/fault"

	"golang.org/x/time/rate"
)

const (
	// MaxCalls is how many calls of an agent run at once at a replica, those that wait for something included.
	MaxCalls = 32
	// CallRate is how many calls of an agent a replica serves a second.
	CallRate = 50
	// CallBurst is how many it serves after a pause without delay.
	CallBurst = 100

	// maxAgents is how many agents a replica remembers. One that it forgets begins anew, as one does anyway that was quiet for two seconds.
	maxAgents  = 10_000
	retryCalls = 250 * time.Millisecond
)

// traffic is what an agent asks of this replica. The service's mutex guards it.
type traffic struct {
	calls int // that run
	rate  *rate.Limiter
}

// Admit lets a call of an agent in, by the key of its identity. The caller calls leave when the call has ended. It fails with
// fault.RateLimited.
func (s *Service) Admit(key string) (leave func(), err error) { return s.admit(key, time.Now()) }

func (s *Service) admit(key string, now time.Time) (leave func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, known := s.agents.Get(key)
	if !known {
		t = &traffic{rate: rate.NewLimiter(CallRate, CallBurst)}
		s.agents.Add(key, t)
	}
	if t.calls >= MaxCalls {
		s.metrics.refused.WithLabelValues(limitInFlight).Inc()
		return nil, fault.New(fault.RateLimited, fmt.Sprintf("%d calls of this agent run, which are all that may: wait for one to end",
			MaxCalls)).With("retryAfterMs", retryCalls.Milliseconds())
	}
	reserved := t.rate.ReserveN(now, 1)
	if delay := reserved.DelayFrom(now); delay > 0 {
		reserved.CancelAt(now)
		s.metrics.refused.WithLabelValues(limitRate).Inc()
		return nil, fault.New(fault.RateLimited, fmt.Sprintf("The agent made more than %d calls a second: slow down", CallRate)).
			With("retryAfterMs", (delay + time.Millisecond - 1).Milliseconds())
	}
	t.calls++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		t.calls--
	}, nil
}
