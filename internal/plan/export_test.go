package plan

import (
	"context"
	"time"

	"layercake/internal/postgres"
	"layercake/internal/testsignal"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// HoldChanges keeps changes from being run until release is called. Slots is how many the service was given.
func (s *Service) HoldChanges(slots int) (release func()) {
	_ = s.queue.slots.Acquire(context.Background(), int64(slots))
	return func() { s.queue.slots.Release(int64(slots)) }
}

// Waiting returns how many changes of a project wait for their turn.
func (s *Service) Waiting(project int32) int {
	s.queue.mu.Lock()
	defer s.queue.mu.Unlock()
	if p := s.queue.projects[project]; p != nil {
		return len(p.waiting)
	}
	return 0
}

// Queued is said when a change begins or ends to wait for its turn.
func (s *Service) Queued() *testsignal.Signal { return &s.queue.changed }

// Reads returns the plans that are read now for whoever asks.
func (s *Service) Reads() *postgres.SharedReads[DAG] { return &s.reads }

// MaxEdgeWaiters is how many edges of a project wait at most.
const MaxEdgeWaiters = maxEdgeWaiters

// EdgePatience sets how long edges wait for others to go.
func (s *Service) EdgePatience(d time.Duration) { s.edgeWaiters.patience = d }

// EdgeWaiters returns how many edges of a project wait for others to go.
func (s *Service) EdgeWaiters(project int32) int {
	s.edgeWaiters.mu.Lock()
	defer s.edgeWaiters.mu.Unlock()
	return s.edgeWaiters.counts[project]
}

// EdgeWaitersChanged is said when an edge begins or ends to wait for others to go.
func (s *Service) EdgeWaitersChanged() *testsignal.Signal { return &s.edgeWaiters.changed }

// Panic is an edit with a mistake in its code.
type Panic struct{}

func (Panic) reads(*reads) {}

func (Panic) apply(*draft) error { panic("a mistake") }

// SpaceCheckpoints sets the number of versions from one checkpoint to the next.
func (s *Service) SpaceCheckpoints(n int64) { s.checkpoints.spacing = n }

// LimitCheckpoints sets the size of the largest checkpoint.
func (s *Service) LimitCheckpoints(bytes int) { s.checkpoints.largest = bytes }

// LimitHistory sets the bytes at which a page of changes ends.
func (s *Service) LimitHistory(bytes int) { s.historyBytes = bytes }

// Pasts returns how many callers wait for a past plan, and what is said when one more does.
func (s *Service) Pasts() (waiting func() int, joined *testsignal.Signal) {
	return s.pasts.Waiting, s.pasts.Joined()
}

// TakeTurn takes a turn to read a stretch of the log, if one is left.
func (s *Service) TakeTurn() bool { return s.walks.TryAcquire(1) }

// GiveTurn gives one back.
func (s *Service) GiveTurn() { s.walks.Release(1) }

// MaxWalks returns how many turns there are.
func MaxWalks() int { return maxWalks() }

// TakeAllRoom takes what large changes that are taken back may take together, until it is released.
func (s *Service) TakeAllRoom(ctx context.Context) (release func(), err error) {
	return s.takeRoom(ctx, maxLarge)
}

// PagesRead returns how often the table was read for watchers.
func (p *Proposals) PagesRead() int { return int(testutil.ToFloat64(p.pages)) }
