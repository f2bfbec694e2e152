package executor

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"layercake/internal/fault"
	"layercake/internal/graphdata"
	"layercake/internal/outage"
	"layercake/internal/plan"

	"github.com/google/uuid"
)

// ending is what became of an attempt, until it is written.
type ending struct {
	a       *attempt
	outcome string
	decide  func(*board, *step) // what changes; nil for nothing: the claim has gone

	lost bool  // whether the claim, or the build, was found to have gone
	err  error // why it was not written
}

// maxEndings is how many endings one change writes: others wait for the lock of the head meanwhile.
const maxEndings = 2 * maxTogether

// settle has written what became of an attempt. Those of a project that end while others are being written are written together, in the
// next change, so many small builds cost few changes.
func (s *Service) settle(ctx context.Context, e *ending) {
	if e.decide == nil {
		s.settled(e)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting, writing := s.endings[e.a.project]
	s.endings[e.a.project] = append(waiting, e)
	if !writing {
		s.builds.Go(func() { s.writeEndings(ctx, e.a.project) })
	}
}

// settled takes an attempt from those of this replica.
func (s *Service) settled(e *ending) {
	e.a.cancel(nil)
	s.mu.Lock()
	delete(s.running, e.a)
	s.mu.Unlock()
	s.giveMemory(e.a.needs) // something may have become ready, too
	s.metrics.outcomes.WithLabelValues(e.outcome).Inc()
	s.Ended.Say()
}

// writeEndings writes what became of attempts of a project until there are no more.
func (s *Service) writeEndings(ctx context.Context, project int32) {
	for {
		s.mu.Lock()
		waiting := s.endings[project]
		if len(waiting) == 0 {
			delete(s.endings, project)
			s.mu.Unlock()
			return
		}
		n := min(len(waiting), maxEndings)
		group := slices.Clone(waiting[:n])
		s.endings[project] = waiting[n:]
		s.mu.Unlock()
		slices.SortFunc(group, func(x, y *ending) int { return x.a.compare(y.a) })
		if err := s.guard.Do(func() error { s.writeTogether(ctx, project, group); return nil }); err != nil {
			for _, e := range group {
				e.err = err
			}
		}
		for _, e := range group {
			s.note(ctx, e)
			s.settled(e)
		}
	}
}

// note sets the outcome of an ending that was not written as it was to be.
func (s *Service) note(ctx context.Context, e *ending) {
	switch {
	case e.lost || fault.Is(e.err, fault.NotFound): // the project was deleted
		e.outcome = outcomeLost
	case e.err != nil:
		e.outcome = outcomeAbandoned
		s.cfg.Log.WarnContext(ctx, "cannot write what became of a build", "project", e.a.project, "node", e.a.node,
			"error", outage.Logged(e.err))
	}
}

// writeTogether writes endings in one change. When that is refused, each is written alone, so that only what is refused fails.
func (s *Service) writeTogether(ctx context.Context, project int32, group []*ending) {
	err := s.end(ctx, project, group)
	if err != nil && len(group) > 1 && !passes(err) && !fault.Is(err, fault.NotFound) {
		for _, e := range group {
			s.writeTogether(ctx, project, []*ending{e})
		}
		return
	}
	if errors.Is(err, graphdata.ErrContentGone) {
		group[0].outcome, group[0].decide = outcomeRetried, s.retried(err)
		err = s.end(ctx, project, group)
	}
	for _, e := range group {
		e.err = err
	}
}

// passes reports whether an error is that of a database that is away.
func passes(err error) bool {
	return fault.Is(err, fault.Unavailable) || fault.Is(err, fault.RateLimited)
}

// settlePause is between two tries to write what became of builds.
const settlePause = 250 * time.Millisecond

// end writes what became of attempts, in one change that also ends their claims and claims what is built next. It tries again while the
// database is away, under the same operation id: what was committed although nobody heard of it is not done twice.
func (s *Service) end(ctx context.Context, project int32, group []*ending) error {
	writing, cancel := context.WithTimeout(ctx, s.timing.Settle)
	defer cancel()
	c := plan.Change{OpID: uuid.NewString(), Via: via}
	incarnation := s.cfg.Incarnation()
	var taken []*attempt
	for try := 0; ; try++ {
		c.Within = func(ctx context.Context, tx plan.Tx) ([]plan.Edit, error) {
			taken = nil
			if err := deleteClaims(ctx, tx, group); err != nil {
				return nil, err
			}
			return s.within(ctx, tx, project, func(b *board) error {
				for _, e := range group {
					e.apply(b)
				}
				ready := b.advance()
				// A claim may be what was refused before, and what is not small waits for its turn.
				if room := s.roomFor(incarnation); room > 0 && try == 0 && len(ready) > 0 && small(ready[0]) {
					taken, _ = s.take(b, ready, incarnation, room, math.MaxInt64) // what is too large is for a claim to find out
				}
				return nil
			})
		}
		_, err := s.cfg.Plans.Change(writing, builder(project), c)
		if err == nil {
			for _, a := range taken {
				a.follows = true
			}
			s.start(ctx, taken)
			if s.isContended() { // since they were claimed: a worker has looked through the queue before they were in it
				s.giveLaterBack(ctx, project)
			}
			return nil
		}
		s.noteRefusal(err, incarnation)
		// Those who drain, or have lost their claims, try once.
		live := slices.IndexFunc(group, func(e *ending) bool { return !isClosed(e.a.stopped) })
		if !passes(err) || live < 0 || !pauseUnless(writing, group[live].a.stopped) {
			return err
		}
	}
}

// deleteClaims ends the claims of attempts. This comes first and locks them: nobody takes one away before the commit, and nobody else puts
// anything into place. When none is there any more nothing changes.
func deleteClaims(ctx context.Context, tx plan.Tx, group []*ending) error {
	left := 0
	for _, e := range group {
		n, err := tx.DeleteClaim(ctx, e.a.claim())
		if err != nil {
			return fmt.Errorf("delete a claim: %w", err)
		}
		if e.lost = n == 0; !e.lost {
			left++
		}
	}
	if left == 0 {
		return plan.ErrUnchanged
	}
	return nil
}

// apply decides what becomes of the build, if it is there.
func (e *ending) apply(b *board) {
	if e.lost {
		return
	}
	st := b.byID[e.a.node]
	if st == nil || st.graph == nil || st.graph.ID != e.a.graph || st.graph.build == nil {
		e.lost = true // and the claim, if it was there, goes
		return
	}
	e.decide(b, st)
}

// roomFor returns how many builds may be claimed for later by an incarnation: none while all that is under way is large, or small builds
// would wait here for long while others have nothing to do.
func (s *Service) roomFor(incarnation uuid.UUID) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	large := 0
	for a := range s.running {
		if a.needs > smallBytes {
			large++
		}
	}
	if s.draining || s.contended || large >= s.cfg.Builds || incarnation == uuid.Nil {
		return 0
	}
	return maxTogether - len(s.queue)
}

func (s *Service) isContended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.contended
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// pauseUnless waits for the next try. It reports whether there is one: neither has the context ended nor was the work stopped.
func pauseUnless(ctx context.Context, stopped <-chan struct{}) bool {
	timer := time.NewTimer(settlePause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-stopped:
		return false
	case <-ctx.Done():
		return false
	}
}
