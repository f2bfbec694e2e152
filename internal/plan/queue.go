package plan

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"layercake/internal/fault"
	"layercake/internal/postgres"
	"layercake/internal/testsignal"

	"golang.org/x/sync/semaphore"
)

const (
	maxQueued = 256 // changes of one project that wait or run in a replica
	maxGroup  = 32  // changes that share a transaction
)

// queue runs the changes of each project one after the other, first come first served. Small changes that had to wait share a
// transaction. A hot project thus holds one slot and one connection, and the others keep theirs.
type queue struct {
	slots  *semaphore.Weighted
	budget time.Duration         // time from the arrival of a change to its answer, unless it says so itself
	run    func(group []*ticket) // answers each ticket

	mu       sync.Mutex
	projects map[int32]*projectQueue
	changed  testsignal.Signal // which changes wait
}

// projectQueue holds the changes of one project, guarded by queue.mu. It exists while a goroutine drives it.
type projectQueue struct {
	waiting []*ticket
	running int
}

// ticket is a request in the queue. Its context ends when its sender waits no longer.
type ticket struct {
	request
	ctx     context.Context //nolint:containedctx // a group lives until the last of its senders has gone
	arrived time.Time
	small   bool        // the request may share a transaction
	answer  chan answer // receives exactly one; buffered, so that run never waits for a sender that has gone
}

type answer struct {
	done committed
	err  error
}

func newQueue(slots int, budget time.Duration, run func([]*ticket)) *queue {
	return &queue{slots: semaphore.NewWeighted(int64(slots)), budget: budget, run: run, projects: make(map[int32]*projectQueue)}
}

// do waits for the project's turn and a write slot, and then for the answer.
func (q *queue) do(ctx context.Context, arrived time.Time, r request) (committed, error) {
	t := &ticket{request: r, ctx: ctx, arrived: arrived, small: r.small(), answer: make(chan answer, 1)}
	if err := q.enter(t); err != nil {
		return committed{}, err
	}
	select {
	case a := <-t.answer:
		return a.done, a.err
	case <-ctx.Done():
	}
	if q.withdraw(t) {
		return committed{}, postgres.Classify(ctx, ctx.Err())
	}
	// The change is in the database. Its answer is near, unless it shares the transaction with changes that have more time.
	select {
	case a := <-t.answer:
		return a.done, a.err
	case <-time.After(time.Until(arrived.Add(cmp.Or(r.Budget, q.budget)))):
		return committed{}, postgres.Busy(ctx.Err()).With("opId", r.OpID)
	}
}

func (q *queue) enter(t *ticket) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	p := q.projects[t.project]
	switch {
	case p == nil:
		p = new(projectQueue)
		q.projects[t.project] = p
		go q.drive(t.project, p) // ends with the last answer; each is waited for
	case p.running+len(p.waiting) >= maxQueued:
		return fault.New(fault.RateLimited, fault.Busy).With("retryAfterMs", 1000).With("detail",
			map[string]any{"limit": maxQueued, "what": "changes of one project that wait"})
	}
	p.waiting = append(p.waiting, t)
	q.changed.Say()
	return nil
}

// withdraw takes a ticket out again, if it is not running yet.
func (q *queue) withdraw(t *ticket) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	p := q.projects[t.project]
	if p == nil {
		return false
	}
	i := slices.Index(p.waiting, t)
	if i < 0 {
		return false
	}
	p.waiting = slices.Delete(p.waiting, i, i+1)
	q.changed.Say()
	return true
}

// drive runs the changes of a project until none waits.
func (q *queue) drive(project int32, p *projectQueue) {
	for q.goesOn(project, p) {
		// A slot becomes free in time, since every run ends within its budget. Changes that wait meanwhile are run together.
		_ = q.slots.Acquire(context.Background(), 1)
		if group := q.take(p); len(group) > 0 {
			q.run(group)
		}
		q.slots.Release(1)
	}
}

func (q *queue) goesOn(project int32, p *projectQueue) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	p.running = 0
	if len(p.waiting) == 0 {
		delete(q.projects, project)
		return false
	}
	return true
}

// take returns the tickets at the front that can share a transaction. Two under one operation id cannot: the second must find the event
// of the first in the log.
func (q *queue) take(p *projectQueue) []*ticket {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(1, len(p.waiting))
	for n > 0 && n < min(maxGroup, len(p.waiting)) && p.waiting[n-1].small && p.waiting[n].small &&
		!slices.ContainsFunc(p.waiting[:n], func(t *ticket) bool { return t.sameOperation(p.waiting[n].request) }) {
		n++
	}
	group := slices.Clone(p.waiting[:n])
	p.waiting = slices.Delete(p.waiting, 0, n)
	q.changed.Say()
	p.running = n
	return group
}

// lifetime returns a context that ends when every sender of a group has gone, and at the latest with the last one's time. The
// caller calls cancel.
func lifetime(group []*ticket) (context.Context, context.CancelFunc) {
	var latest time.Time
	for _, t := range group {
		if end, ok := t.ctx.Deadline(); ok && end.After(latest) {
			latest = end
		}
	}
	ctx, cancel := context.WithDeadline(context.WithoutCancel(group[0].ctx), latest)
	var gone atomic.Int32
	forget := make([]func() bool, len(group))
	for i, t := range group {
		forget[i] = context.AfterFunc(t.ctx, func() {
			if errors.Is(t.ctx.Err(), context.Canceled) && int(gone.Add(1)) == len(group) {
				cancel()
			}
		})
	}
	return ctx, func() {
		for _, f := range forget {
			f()
		}
		cancel()
	}
}
