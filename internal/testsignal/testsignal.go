// Package testsignal lets a test wait for what happens inside of what it tests.
//
// What a test waits for is a state: a socket has ended, a change waits in the queue. The code that brings it about says so on a Signal
// once the state is visible, and the test looks at the state again. So no test has to look at it now and then, and none can miss it:
// it asks for the next signal before it looks.
package testsignal

import (
	"sync/atomic"
	"time"
)

// patience is for what never comes. It is long for machines that do other things as well: what comes, comes soon.
const patience = time.Minute

// Signal says that something changed. The zero value is ready. Where no test waits, which is everywhere but in tests, saying so costs
// one atomic load.
type Signal struct {
	next atomic.Pointer[chan struct{}] // closed by Say; nil while nobody waits
}

// Say wakes the tests that wait. It never blocks, so it may be called holding a mutex.
func (s *Signal) Say() {
	if s.next.Load() == nil {
		return
	}
	if next := s.next.Swap(nil); next != nil {
		close(*next)
	}
}

// Next returns a channel that is closed when Say is called next.
func (s *Signal) Next() <-chan struct{} {
	next := make(chan struct{})
	for {
		if known := s.next.Load(); known != nil {
			return *known
		}
		if s.next.CompareAndSwap(nil, &next) {
			return next
		}
	}
}

// TB is what Await needs of a test. The package testing is not for production code.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
}

// Await returns when holds says so, which it asks now and whenever the signal is given. After a minute it fails the test.
func (s *Signal) Await(t TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		next := s.Next()
		if holds() {
			return
		}
		select {
		case <-next:
		case <-deadline.C:
			t.Fatalf("waited in vain for %s", what)
			return
		}
	}
}
