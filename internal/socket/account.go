package socket

import (
	"fmt"
	"sync"

	"layercake/internal/fault"

	"github.com/prometheus/client_golang/prometheus"
)

// accountLimit refuses sockets of an account that has too many open already, whatever sessions and tokens opened them. The socket holds the
// place, from when its account is known until it has ended.
type accountLimit struct {
	limit   int // sockets of one account; 0 for no limit
	refused prometheus.Counter

	mu   sync.Mutex
	open map[int32]int
}

func newAccountLimit(limit int, refused prometheus.Counter) *accountLimit {
	return &accountLimit{limit: limit, open: make(map[int32]int), refused: refused}
}

// Own makes the socket one of an account, for as long as it lasts. It fails with the fault RateLimited when the account has as many as may
// be. A socket that is the account's already stays so; 0 is nobody's account.
func (s *Socket) Own(account int32) error {
	l := s.transport.registry.accounts
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case account == 0 || s.account == account:
		return nil
	case l.limit > 0 && l.open[account] >= l.limit:
		l.refused.Inc()
		return fault.New(fault.RateLimited, fmt.Sprintf("Your account has %d sockets at this replica, which are all that may be "+
			"(LAYERCAKE_ACCOUNT_SOCKETS)", l.limit))
	}
	l.leave(s)
	s.account = account
	l.open[account]++
	return nil
}

// release gives the place of a socket back that has ended.
func (l *accountLimit) release(s *Socket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leave(s)
}

// leave takes a socket out of those of its account. The mutex is held.
func (l *accountLimit) leave(s *Socket) {
	if s.account == 0 {
		return
	}
	if l.open[s.account]--; l.open[s.account] == 0 {
		delete(l.open, s.account)
	}
	s.account = 0
}
