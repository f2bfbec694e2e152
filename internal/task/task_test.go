package task_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"layercake/internal/task"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStopWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ended, stopped := false, errors.New("stopped")
		running := task.Go(t.Context(), func(ctx context.Context) error {
			<-ctx.Done()
			time.Sleep(time.Hour) //nolint:forbidigo // of the bubble: what a stop may take
			ended = true
			return stopped
		})
		synctest.Wait()
		if ended {
			t.Fatal("it ended before it was stopped")
		}
		for range 2 {
			if err := running.Stop(); !errors.Is(err, stopped) || !ended {
				t.Errorf("Stop returned %v, ended: %t", err, ended)
			}
		}
	})
}

func TestWaitDoesNotStop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release, failure := make(chan struct{}), errors.New("failure")
		running := task.Go(t.Context(), func(ctx context.Context) error {
			<-release
			return errors.Join(failure, ctx.Err())
		})
		waited := task.Go(t.Context(), func(context.Context) error { return running.Wait() })
		synctest.Wait()
		close(release)
		if err := waited.Wait(); !errors.Is(err, failure) || errors.Is(err, context.Canceled) {
			t.Errorf("Wait returned %v, want %v and nothing else", err, failure)
		}
		_, _ = waited.Stop(), running.Stop()
	})
}

func TestStopOfNone(t *testing.T) {
	t.Parallel()
	var none *task.Task
	if err := none.Stop(); err != nil {
		t.Error(err)
	}
}

func TestPauseEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		began := time.Now()
		if !task.Pause(ctx, time.Minute) || time.Since(began) != time.Minute {
			t.Errorf("a pause of a minute ended after %v", time.Since(began))
		}
		if task.Pause(ctx, 2*time.Hour) || time.Since(began) != time.Hour {
			t.Errorf("ended after %v, want with its context", time.Since(began))
		}
	})
}

func TestWakeNeverWaits(t *testing.T) {
	t.Parallel()
	c := make(chan struct{}, 1)
	for range 3 {
		task.Wake(c)
	}
	<-c
	if len(c) != 0 {
		t.Error("three calls ask for more than one look")
	}
}
