package postgres

import (
	"context"
	"sync/atomic"
	"time"

	"layercake/internal/testsignal"

	"golang.org/x/sync/singleflight"
)

// SharedReads lets callers that ask for the same at once wait for one read, and gives all of them its result. The zero value is ready.
type SharedReads[T any] struct {
	flights singleflight.Group
	waiting atomic.Int32 // callers
	joined  testsignal.Signal
}

// Waiting returns how many callers wait now, for tests.
func (s *SharedReads[T]) Waiting() int { return int(s.waiting.Load()) }

// Joined is said when another caller waits.
func (s *SharedReads[T]) Joined() *testsignal.Signal { return &s.joined }

// Do returns the result of read, or of the read that another caller began for the same key and that is still running. A read is ended by
// the limit alone, because others may wait for it when its first caller has gone. Do itself ends with ctx.
func (s *SharedReads[T]) Do(ctx context.Context, key string, limit time.Duration, read func(context.Context) (T, error)) (T, error) {
	flight := s.flights.DoChan(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
		defer cancel()
		return read(ctx)
	})
	s.waiting.Add(1)
	defer s.waiting.Add(-1)
	s.joined.Say()
	select {
	case <-ctx.Done():
		return *new(T), ctx.Err()
	case r := <-flight:
		return r.Val.(T), r.Err
	}
}
