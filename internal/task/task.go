// Package task runs a function beside its caller until it is told to stop.
package task

import "context"

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
