package fanout

import "time"

// Timing is how long things take. Tests of failures wait less.
type Timing struct {
	Heartbeat time.Duration // between two
	Silence   time.Duration // without an own heartbeat, though it was sent: then the listener's session is dead
	Connect   time.Duration // for each step of an attempt to connect: each host of the URL, the first query, LISTEN
	Redial    time.Duration // until the listener connects again, and up to one and a half times more: replicas do not come back all together
	Statement time.Duration // for a statement of the publisher; the server gives it up a little sooner, and so can say so
	Gather    time.Duration // between two statements: lines of many requests share one
	MinRetry  time.Duration // until the publisher tries again after its first failure; later ones wait twice as long, each
	MaxRetry  time.Duration // at most
}

// DefaultTiming notices a dead session in 3 to 5 s.
var DefaultTiming = Timing{
	Heartbeat: time.Second,
	Silence:   3 * time.Second,
	Connect:   5 * time.Second,
	Redial:    100 * time.Millisecond,
	Statement: 3 * time.Second,
	Gather:    2 * time.Millisecond,
	MinRetry:  50 * time.Millisecond,
	MaxRetry:  time.Second,
}

// forgetAfter is how long a sender is remembered that says nothing. Its next payload is a hole.
const forgetAfter = time.Minute

// endLimit is for a session to say goodbye.
const endLimit = time.Second
