package collab

import (
	"testing"
	"time"

	"layercake/internal/testclock"
)

func TestRateLimit(t *testing.T) {
	t.Parallel()
	began := time.Now()
	s := &session{began: began.Add(-time.Second)}
	passed := func(now time.Time) (n int) {
		for range maxMessages + 5 {
			if s.admit(now) {
				n++
			}
		}
		return n
	}
	for _, c := range []struct {
		after, set time.Duration
		want       int
	}{
		{0, 0, maxMessages},
		{999 * time.Millisecond, 0, 0},
		{time.Second, 0, maxMessages},
		{3 * time.Second, -time.Hour, maxMessages}, // the clock of the machine was wrong
		{3500 * time.Millisecond, time.Hour, 0},
	} {
		if n := passed(testclock.AfterSet(began.Add(c.after), c.set)); n != c.want {
			t.Errorf("%d messages pass after %v, with the clock set by %v; want %d", n, c.after, c.set, c.want)
		}
	}
}
