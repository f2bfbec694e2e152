package postgres_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"layercake/internal/postgres"
	"layercake/internal/postgres/pgtest"
)

// Clients that ask and hang up leave no reads behind.
func TestSharedReadEndsWithItsLastCaller(t *testing.T) {
	t.Parallel()
	var reads postgres.SharedReads[int]
	ended := make(chan struct{})
	read := func(ctx context.Context) (int, error) {
		defer close(ended)
		<-ctx.Done()
		return 0, ctx.Err()
	}
	var leave [2]context.CancelFunc
	left := make(chan error)
	for i := range leave {
		var ctx context.Context
		ctx, leave[i] = context.WithCancel(t.Context())
		defer leave[i]()
		go func() {
			_, err := reads.Do(ctx, "key", time.Hour, read)
			left <- err
		}()
		reads.Joined().Await(t, "a caller", func() bool { return reads.Waiting() == i+1 })
	}
	leave[0]()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("who left first got %v", err)
	}
	select {
	case <-ended:
		t.Error("the read ended while somebody waited for it")
	default:
	}
	leave[1]()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("who left last got %v", err)
	}
	select {
	case <-ended:
	case <-time.After(pgtest.Patience):
		t.Fatal("the read goes on although nobody waits for it")
	}
	if got, err := reads.Do(t.Context(), "key", time.Hour, func(context.Context) (int, error) { return 7, nil }); got != 7 || err != nil {
		t.Errorf("the next caller got %d, %v, want another read", got, err)
	}
}

func TestPanicOfASharedReadIsAnError(t *testing.T) {
	t.Parallel()
	var reads postgres.SharedReads[int]
	_, err := reads.Do(t.Context(), "key", time.Hour, func(context.Context) (int, error) { panic("a mistake") })
	if err == nil || !strings.Contains(err.Error(), "a mistake") {
		t.Errorf("got %v, want the panic", err)
	}
}
