package postgres

import (
	"context"
	"time"

	"golang.org/x/sync/singleflight"
)

// SharedReads lets callers that ask for the same at once wait for one read, and gives all of them its result. The zero value is ready.
type SharedReads[T any] struct {
	flights singleflight.Group
}

// Do returns the result of read, or of the read that another caller began for the same key and that is still running. A read is ended by
// the limit alone, because others may wait for it when its first caller has gone. Do itself ends with ctx.
func (s *SharedReads[T]) Do(ctx context.Context, key string, limit time.Duration, read func(context.Context) (T, error)) (T, error) {
	flight := s.flights.DoChan(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
		defer cancel()
		return read(ctx)
	})
	select {
	case <-ctx.Done():
		return *new(T), ctx.Err()
	case r := <-flight:
		return r.Val.(T), r.Err
	}
}
