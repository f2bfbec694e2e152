// Package drain sends many clients away without their coming back elsewhere all at once.
package drain

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// MaxAway is how long a client that is sent away is told to wait at most.
const MaxAway = 2 * time.Second

// Away is how long one client is told to wait: each another time, lest a stutter of this replica becomes one of the others.
func Away() time.Duration { return MaxAway/20 + rand.N(MaxAway-MaxAway/20) }

// Reason is what a close frame with code 1012 says: how long to wait before connecting again, as in {"retryAfterMs":700}.
func Reason() string { return fmt.Sprintf(`{"retryAfterMs":%d}`, Away().Milliseconds()) }

// Evenly says goodbye to each of the sockets, spread over a time. It returns when it has, or when ctx ends.
func Evenly[S any](ctx context.Context, spread time.Duration, sockets []S, goodbye func(S)) {
	began := time.Now()
	pause := time.NewTimer(0)
	defer pause.Stop()
	for i, s := range sockets {
		// Each has a moment of its own: pauses from one to the next would add up how late each of them ends.
		pause.Reset(time.Until(began.Add(spread * time.Duration(i) / time.Duration(len(sockets)))))
		select {
		case <-pause.C:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			return
		}
		goodbye(s)
	}
}
