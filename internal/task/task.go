// Package task runs functions beside their caller: it starts, pauses, wakes and stops them, and keeps their panics from others.
package task

import (
	"context"
	"time"
)

// Task is a function that runs in a goroutine of its own. Tasks can be stopped one after the other, in an order that matters; the context
// of an errgroup ends for all of its functions at once.
type Task struct {
	cancel context.CancelFunc
	ended  chan struct{}
	err    error // set before ended is closed
}

// Go runs f until it returns, which it does when its context ends. The caller of Go also calls Stop. A panic in f ends the process.
func Go(ctx context.Context, f func(context.Context) error) *Task {
	ctx, cancel := context.WithCancel(ctx)
	t := &Task{cancel: cancel, ended: make(chan struct{})}
	go func() { // Stop and Wait wait for it
		defer close(t.ended)
		t.err = f(ctx)
	}()
	return t
}

// Stop ends the context of the function, waits for it, and returns its result. Stopping again, or a nil Task, does nothing more.
func (t *Task) Stop() error {
	if t == nil {
		return nil
	}
	t.cancel()
	return t.Wait()
}

// Wait waits for the function and returns its result.
func (t *Task) Wait() error {
	<-t.ended
	return t.err
}

// Pause returns after d. It says false when ctx ended before.
func Pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// Wake makes the goroutine that receives from c look again, now or when it next receives. It never waits: c has a capacity of 1, and
// when it is full, the look that is due already sees what the caller did before.
func Wake(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
