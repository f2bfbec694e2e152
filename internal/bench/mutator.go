package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"sync"
	"time"

	"layercake/internal/client"

	"golang.org/x/time/rate"
)

// patience is how long a mutator tries to get an answer to one change.
const patience = 15 * time.Second

// mutator changes a project, one change after the other.
type mutator struct {
	clients clients
	project *project
	replica int
	pace    *rate.Limiter // limiter that all share; nil for as fast as possible
	changes int64         // number of changes that all make together; 0 for any number
	rand    *rand.Rand
	counts  *counts
	asking  *sync.RWMutex // lock that all share; held for reading from a request to the note of its answer
}

// counts is the sum over all mutators.
type counts struct {
	mu         sync.Mutex
	answered   int64
	unresolved int64            // changes without an answer within patience, which may have happened or not
	retries    int64            // attempts after the first one
	refused    map[string]int64 // answers that refuse, by code; NETWORK when none came
	latency    histogram
	surprises  map[string]int64 // refusals that no race between mutators explains, in words; maxComplaints different ones
}

// run changes until ctx ends or enough was changed. It waits for the answer to a change that is on its way.
func (m *mutator) run(ctx context.Context) {
	for ctx.Err() == nil && (m.changes == 0 || m.counts.soFar() < m.changes) {
		if m.pace != nil && m.pace.Wait(ctx) != nil {
			return
		}
		m.change(context.WithoutCancel(ctx))
	}
}

func (m *mutator) change(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	op := m.project.choose(m.rand)
	sent := time.Now()
	op.variables["client"] = formatSent(sent, m.replica)
	for pause := minBackOff; ; pause = min(2*pause, maxBackOff) {
		changed, err := m.ask(ctx, op)
		if err == nil {
			if changed {
				m.counts.answer(time.Since(sent))
			}
			return
		}
		m.counts.refuse(op, err)
		refused := new(client.Refusal)
		if errors.As(err, &refused) && !refused.Temporary() {
			_, _ = m.project.settle(op, nil) // there is no answer to be read
			return
		}
		// The operation id makes it safe to ask another replica: it does not repeat a change that this one may have made.
		m.replica = (m.replica + 1) % len(m.clients)
		asked := min(refused.RetryAfter(), time.Second)
		if Wait(ctx, max(pause/2+time.Duration(m.rand.Int64N(int64(pause))), asked)) != nil {
			m.counts.giveUp()
			return
		}
		m.counts.retry()
	}
}

// ask sends a request once, and notes what became of it when it succeeded. It reports whether the plan was changed.
func (m *mutator) ask(ctx context.Context, op operation) (changed bool, err error) {
	m.asking.RLock()
	defer m.asking.RUnlock()
	var answer json.RawMessage
	if err := m.clients.do(ctx, m.replica, client.Request{Query: op.query, Variables: op.variables}, &answer); err != nil {
		return false, err
	}
	return m.project.settle(op, answer)
}

func (c *counts) answer(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answered++
	c.latency.observe(d)
}

func (c *counts) soFar() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.answered
}

// raced are the refusals that mutators cause each other: one deletes what the other is about to use.
var raced = map[string]bool{"NOT_FOUND": true, "BAD_REQUEST: Edge refers to a node that does not exist": true}

func (c *counts) refuse(op operation, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	code, words := "NETWORK", words(err)
	refused := new(client.Refusal)
	if errors.As(err, &refused) {
		code = refused.Code()
	}
	c.refused[code]++
	if raced[code] || raced[words] || op.undo && code == "CONFLICT" {
		return
	}
	if c.surprises[words] > 0 || len(c.surprises) < maxComplaints {
		c.surprises[words]++
	}
}

// words returns the text of an error without parts that differ each time, such as the client's port.
func words(err error) string {
	request, connection := new(url.Error), new(net.OpError)
	switch {
	case errors.As(err, &connection):
		return fmt.Sprintf("%s %s: %v", connection.Op, connection.Addr, connection.Err)
	case errors.As(err, &request):
		return fmt.Sprintf("%s: %v", request.URL, request.Err)
	}
	return err.Error()
}

func (c *counts) retry() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.retries++
}

func (c *counts) giveUp() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unresolved++
}
