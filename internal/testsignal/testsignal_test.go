package testsignal_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"layercake/internal/testsignal"
)

func TestWhoeverWaitsSeesWhatWasSaid(t *testing.T) {
	t.Parallel()
	const changes, waiting = 1000, 8
	var signal testsignal.Signal
	var state atomic.Int64
	var tests sync.WaitGroup
	for range waiting {
		tests.Go(func() {
			for want := range int64(changes) {
				signal.Await(t, "the state", func() bool { return state.Load() > want })
			}
		})
	}
	for range changes {
		state.Add(1)
		signal.Say()
	}
	tests.Wait()
}

func TestSayingDoesNotWaitForATest(t *testing.T) {
	t.Parallel()
	var signal testsignal.Signal
	signal.Say()
	next := signal.Next()
	signal.Say()
	signal.Say()
	<-next
	select {
	case <-signal.Next():
		t.Error("what was said before counts for later")
	default:
	}
}

// failure is a test that failed.
type failure struct{ text string }

func (*failure) Helper() {}

func (f *failure) Fatalf(format string, args ...any) { f.text = fmt.Sprintf(format, args...) }

func TestWhatNeverComesFailsTheTest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var signal testsignal.Signal
		var f failure
		signal.Await(&f, "rain", func() bool { return false })
		if f.text != "waited in vain for rain" {
			t.Errorf("failed with %q", f.text)
		}
	})
}
