package testclock_test

import (
	"testing"
	"time"

	"layercake/internal/testclock"
)

// The layout of a time.Time is not promised.
func TestAfterSet(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for _, by := range []time.Duration{time.Hour, -time.Hour} {
		later := testclock.AfterSet(now, by)
		if got := later.Round(0).Sub(now.Round(0)); got != by { // Round removes the monotonic part
			t.Errorf("the clock says %v more, want %v", got, by)
		}
		if got := later.Sub(now); got != 0 {
			t.Errorf("%v have passed, want none", got)
		}
	}
}
