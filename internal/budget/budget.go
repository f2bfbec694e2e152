// Package budget shares memory between requests.
//
// A replica has one Budget for what clients make it hold: bodies and what is decoded of them, plans that are read for an answer, answers
// that are written. Each request has a Hold, which takes memory before it is allocated and gives it back at its end, so the sum of all
// requests is bounded however many come at once. Who finds no room waits a short time, and is told to come back.
//
// A quarter of the memory is for requests as such: each takes requestSize of it, which covers an ordinary one whole. So the many small
// requests never wait for the few large ones. The rest is for what goes beyond that, and of it one client address has at most half.
package budget

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"layercake/internal/fault"
	"layercake/internal/testsignal"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"
)

// Least is the size of the smallest budget.
const Least = 256 << 20

// requestSize is what a request takes to begin with: its goroutine, its buffers, and a small body and answer. TestRequestsThatWait of
// package graph measures it.
const requestSize = 32 << 10

// patience is how long a request waits for room before its client is told to come back.
const patience = 5 * time.Second

// Config is what a budget needs.
type Config struct {
	Memory     int64                 // bytes that all requests may hold; 0 for Least
	PerAddress int                   // requests that one client address may have in flight; 0 for any number
	Patience   time.Duration         // longest wait for room; 0 for the default
	Metrics    prometheus.Registerer // may be nil
}

// Budget is the memory of all requests of a replica. Make it with New.
type Budget struct {
	Changed testsignal.Signal // a hold took something, gave something back, or waits

	config  Config
	share   int64               // what one client address, and so one request, may take of large
	small   *semaphore.Weighted // in requests, each of requestSize
	large   *semaphore.Weighted // in bytes beyond requestSize
	taken   atomic.Int64
	flight  atomic.Int64 // requests
	waiting atomic.Int64
	metrics *metrics

	mu      sync.Mutex
	clients map[netip.Prefix]*client
}

// client is what one client address holds.
type client struct {
	holds    int                 // the last removes the client from the budget
	requests int                 // holds that are requests in flight
	memory   *semaphore.Weighted // its share
}

// New returns a budget of which nothing is taken.
func New(c Config) *Budget {
	c.Memory, c.Patience = cmp.Or(c.Memory, Least), cmp.Or(c.Patience, patience)
	small := c.Memory / 4
	large := c.Memory - small
	b := &Budget{
		config: c, share: large / 2, clients: make(map[netip.Prefix]*client),
		small: semaphore.NewWeighted(max(1, small/requestSize)), large: semaphore.NewWeighted(large),
	}
	b.metrics = newMetrics(b)
	return b
}

// Begin begins a request of a client. It fails with the fault RateLimited when the client has too many in flight, and with Unavailable when
// all clients together have.
func (b *Budget) Begin(ctx context.Context, address netip.Prefix) (*Hold, error) {
	c := b.open(address, true)
	if c == nil {
		b.metrics.refused.WithLabelValues(refusedRequests).Inc()
		return nil, fault.New(fault.RateLimited, fmt.Sprintf("%d requests are in flight from your address, which are all that may be "+
			"(LAYERCAKE_REQUESTS_PER_ADDRESS; behind a proxy also LAYERCAKE_TRUSTED_PROXIES)", b.config.PerAddress))
	}
	if err := b.wait(ctx, claim{b.small, 1}); err != nil {
		b.close(address, c, true)
		return nil, err
	}
	b.flight.Add(1)
	b.note(requestSize)
	return &Hold{budget: b, address: address, client: c, request: true}, nil
}

// Open returns a hold of a client that is no request: an answer on a socket, which has limits of its own.
func (b *Budget) Open(address netip.Prefix) *Hold {
	return &Hold{budget: b, address: address, client: b.open(address, false)}
}

// Taken returns the bytes that are taken now.
func (b *Budget) Taken() int64 { return b.taken.Load() }

// InFlight returns the number of requests that have begun and not ended.
func (b *Budget) InFlight() int { return int(b.flight.Load()) }

// Waiting returns the number of holds that wait for room now.
func (b *Budget) Waiting() int { return int(b.waiting.Load()) }

// open returns the client of an address, or nil when it has too many requests in flight for another one.
func (b *Budget) open(address netip.Prefix, request bool) *client {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.clients[address]
	if c == nil {
		c = &client{memory: semaphore.NewWeighted(b.share)}
		b.clients[address] = c
	}
	if request {
		if b.config.PerAddress > 0 && c.requests >= b.config.PerAddress {
			return nil
		}
		c.requests++
	}
	c.holds++
	return c
}

func (b *Budget) close(address netip.Prefix, c *client, request bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if request {
		c.requests--
	}
	if c.holds--; c.holds == 0 {
		delete(b.clients, address)
	}
}

// note counts what was taken, or given back.
func (b *Budget) note(n int64) {
	b.taken.Add(n)
	b.Changed.Say()
}

// claim is a claim on so much of a semaphore.
type claim struct {
	on *semaphore.Weighted
	n  int64
}

// wait takes all claims, or none when there is no room in time.
func (b *Budget) wait(ctx context.Context, claims ...claim) error {
	taken := 0
	for taken < len(claims) && claims[taken].on.TryAcquire(claims[taken].n) {
		taken++
	}
	if taken == len(claims) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, b.config.Patience)
	defer cancel()
	began := time.Now()
	b.waiting.Add(1)
	b.Changed.Say()
	var err error
	for ; taken < len(claims) && err == nil; taken++ {
		err = claims[taken].on.Acquire(ctx, claims[taken].n)
	}
	b.waiting.Add(-1)
	b.metrics.waited.Observe(time.Since(began).Seconds())
	if err == nil {
		return nil
	}
	for _, c := range claims[:taken-1] { // the last one failed
		c.on.Release(c.n)
	}
	b.metrics.refused.WithLabelValues(refusedBusy).Inc()
	b.Changed.Say()
	return fault.New(fault.Unavailable, fault.Busy).Because(err).
		With("detail", "Requests hold all the memory that they may (LAYERCAKE_REQUEST_MEMORY)")
}
