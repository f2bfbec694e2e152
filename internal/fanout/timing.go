package fanout

import "time"

// Timing is how long things take. Tests of failures wait less.
type Timing struct {
	Heartbeat time.Duration // time between two heartbeats
	Silence   time.Duration // time that a heartbeat may take to come back; after it the listener's session counts as dead
	Connect   time.Duration // limit of each step of an attempt to connect: each host of the URL, the first query, LISTEN
	Redial    time.Duration // least pause before the listener connects again; up to 2.5 times as long: replicas do not all come at once
	Statement time.Duration // limit of a statement of the publisher; the server's own limit is a little less, so that its error arrives
	Gather    time.Duration // least time between two statements, so that lines of many requests share one
	MinRetry  time.Duration // pause after the publisher's first failure; each later one is twice as long
	MaxRetry  time.Duration // longest pause after a failure of the publisher
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

// endLimit is how long a session may take to say goodbye.
const endLimit = time.Second
