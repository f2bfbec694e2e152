package postgres

import (
	"context"
	"runtime/debug"
	"sync"
	"time"

	"layercake/internal/task"
	"layercake/internal/testsignal"
)

// SharedReads lets callers that ask for the same at once wait for one read, and gives all of them its result. The zero value is ready.
// It does what singleflight does, and also ends a read that nobody waits for any more: otherwise clients that ask and hang up would leave
// behind any number of reads.
type SharedReads[T any] struct {
	joined testsignal.Signal

	mu      sync.Mutex
	reads   map[string]*sharedRead[T] // by key: those that run
	waiting int                       // callers
}

// sharedRead is a read that runs.
type sharedRead[T any] struct {
	callers int // callers that wait for it; SharedReads.mu guards it
	cancel  context.CancelFunc

	ended  chan struct{} // closed once the next two are set
	result T
	err    error
}

// Waiting returns how many callers wait now, for tests.
func (s *SharedReads[T]) Waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiting
}

// Joined is said when another caller waits.
func (s *SharedReads[T]) Joined() *testsignal.Signal { return &s.joined }

// Do returns the result of read, or of the read that another caller began for the same key and that is still running. A read is ended by
// the limit, and when the last of its callers has gone. Do itself ends with ctx.
func (s *SharedReads[T]) Do(ctx context.Context, key string, limit time.Duration, read func(context.Context) (T, error)) (T, error) {
	r := s.join(ctx, key, limit, read)
	defer s.leave(key, r)
	select {
	case <-ctx.Done():
		return *new(T), ctx.Err()
	case <-r.ended:
		return r.result, r.err
	}
}

// join returns the read of a key, which it starts if there is none.
func (s *SharedReads[T]) join(ctx context.Context, key string, limit time.Duration, read func(context.Context) (T, error)) *sharedRead[T] {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, found := s.reads[key]
	if !found {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
		r = &sharedRead[T]{cancel: cancel, ended: make(chan struct{})}
		if s.reads == nil {
			s.reads = make(map[string]*sharedRead[T])
		}
		s.reads[key] = r
		go func() {
			defer cancel()
			r.run(ctx, read)
			s.mu.Lock()
			s.forget(key, r)
			s.mu.Unlock()
			close(r.ended)
		}()
	}
	r.callers++
	s.waiting++
	s.joined.Say()
	return r
}

// run sets the result. A mistake in read is the error of those who wait, and not the end of the process.
func (r *sharedRead[T]) run(ctx context.Context, read func(context.Context) (T, error)) {
	defer func() {
		if p := recover(); p != nil {
			r.err = &task.Panic{Value: p, Stack: debug.Stack()}
		}
	}()
	r.result, r.err = read(ctx)
}

// leave takes a caller out of a read, and ends it after the last one. Whoever comes later begins another.
func (s *SharedReads[T]) leave(key string, r *sharedRead[T]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting--
	if r.callers--; r.callers == 0 {
		s.forget(key, r)
		r.cancel()
	}
}

// forget makes the next caller of a key begin another read. The caller holds the mutex.
func (s *SharedReads[T]) forget(key string, r *sharedRead[T]) {
	if s.reads[key] == r {
		delete(s.reads, key)
	}
}
