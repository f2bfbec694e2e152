package plan

import (
	"context"
	"sync"

	"layercake/internal/fault"
	"layercake/internal/postgres"

	"golang.org/x/sync/semaphore"
)

// maxQueued is how many changes of one project wait in a replica.
const maxQueued = 256

// queue lets one change of a project at a time go on to the write slots, first come first served. A hot project thus holds one
// slot and one connection, and the others keep theirs.
type queue struct {
	slots *semaphore.Weighted

	mu    sync.Mutex
	lanes map[int32]*lane
}

type lane struct {
	turn    *semaphore.Weighted
	waiting int // guarded by queue.mu: those in the lane, the one whose turn it is included
}

func newQueue(slots int) *queue {
	return &queue{slots: semaphore.NewWeighted(int64(slots)), lanes: make(map[int32]*lane)}
}

// enter waits for the project's turn and a write slot. The caller calls leave when it is done.
func (q *queue) enter(ctx context.Context, project int32) (leave func(), err error) {
	q.mu.Lock()
	l := q.lanes[project]
	if l == nil {
		l = &lane{turn: semaphore.NewWeighted(1)}
		q.lanes[project] = l
	}
	if l.waiting >= maxQueued {
		q.mu.Unlock()
		return nil, fault.New(fault.RateLimited, fault.Busy).With("retryAfterMs", 1000).With("detail",
			map[string]any{"limit": maxQueued, "what": "changes of one project that wait"})
	}
	l.waiting++
	q.mu.Unlock()

	if err := l.turn.Acquire(ctx, 1); err != nil {
		q.forget(project, l)
		return nil, postgres.Classify(ctx, err)
	}
	if err := q.slots.Acquire(ctx, 1); err != nil {
		l.turn.Release(1)
		q.forget(project, l)
		return nil, postgres.Classify(ctx, err)
	}
	return func() {
		q.slots.Release(1)
		l.turn.Release(1)
		q.forget(project, l)
	}, nil
}

func (q *queue) forget(project int32, l *lane) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if l.waiting--; l.waiting == 0 {
		delete(q.lanes, project)
	}
}
