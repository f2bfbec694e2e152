package plan

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"layercake/internal/fault"
	"layercake/internal/testsignal"
)

const (
	edgePatience   = 300 * time.Millisecond // how long an edge waits for another one to go
	maxEdgeWaiters = 32                     // edges of a project that wait in a replica; more are refused at once
)

// obstacle is the cause of a refusal that holds only while certain edges are there.
type obstacle struct {
	edges []string // ids of edges, one of which has to go
}

func (o *obstacle) Error() string { return "an edge is in the way" }

// onceClear decides an edge again that was refused because of another edge, as soon as that one goes, or lets the refusal stand after
// edgePatience. Clients that move an end of an edge send the deletion of the old edge and the addition of the new one at the same
// moment, and nothing keeps the addition from being decided first, perhaps by another replica.
//
// It follows the project's events from the version at which the edge was refused, so that a removal that comes before it begins to
// wait is not missed. It is not in the queue meanwhile: nobody waits for it.
func (s *Service) onceClear(ctx context.Context, arrived time.Time, r request, done committed, err error) (committed, error) {
	o := r.obstacleOf(err)
	if o == nil || !s.edgeWaiters.enter(r.project) {
		return done, err
	}
	defer s.edgeWaiters.leave(r.project)
	waiting, cancel := context.WithTimeout(ctx, s.edgeWaiters.patience)
	defer cancel()
	for o != nil && s.removed(waiting, r, done, o) {
		done, err = s.queue.do(ctx, arrived, r)
		o = r.obstacleOf(err)
	}
	return done, err
}

// obstacleOf returns what a request should wait for, or nil. Waiting helps only a request that adds one edge and expects no version: with
// a version, the removal that it waits for would refuse it.
func (r request) obstacleOf(err error) *obstacle {
	if len(r.Edits) != 1 || r.Expected != nil || r.Within != nil {
		return nil
	}
	var o *obstacle
	if _, adds := r.Edits[0].(AddEdge); !adds || !errors.As(err, &o) {
		return nil
	}
	return o
}

// removed waits until an edge of the obstacle is removed after the version at which a request was refused. It reports false when ctx
// ends before, or when the events cannot be read.
func (s *Service) removed(ctx context.Context, r request, refused committed, o *obstacle) bool {
	for u, err := range s.Watch(ctx, r.access, refused.at) {
		if err != nil {
			return fault.Is(err, fault.NotFound) // the project went, and with it all edges
		}
		if u.Missed {
			return true // perhaps; deciding again finds out
		}
		if u.Event != nil && slices.ContainsFunc(u.Event.Operations, func(op Operation) bool {
			return op.Kind == EdgeRemoved && slices.Contains(o.edges, op.ID)
		}) {
			return true
		}
	}
	return false
}

// waiters counts the edges that wait, by project.
type waiters struct {
	patience time.Duration // how long each waits

	mu      sync.Mutex
	counts  map[int32]int
	changed testsignal.Signal // counts
}

func (w *waiters) enter(project int32) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.counts[project] >= maxEdgeWaiters {
		return false
	}
	w.counts[project]++
	w.changed.Say()
	return true
}

func (w *waiters) leave(project int32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.counts[project]--; w.counts[project] == 0 {
		delete(w.counts, project)
	}
	w.changed.Say()
}
