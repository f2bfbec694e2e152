package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"layercake/internal/bench/convergence"
	"layercake/internal/client"
)

const (
	nodesToMove = 20
	waitSeconds = 50               // of a call for changes
	waitTime    = 65 * time.Second // limit of such a call
	pageLimit   = 200
)

// followed is a project that agents change and follow.
type followed struct {
	id   int
	rows convergence.Plan // in the end

	mu       sync.Mutex
	answered bitset // changes that were answered with success
	head     int64  // highest version that a change was answered with
}

// succeed notes the answer to a change.
func (p *followed) succeed(number, version int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answered.add(number)
	p.head = max(p.head, version)
}

// changes are the changes that agents send. Agents and changes are in one process, so the number of a change is enough to measure it.
type changes struct {
	run    string
	counts counts

	mu       sync.Mutex
	sent     []time.Time // when each was sent first, by its number
	measured int64       // number of the first one that is measured
}

// next returns the number of the next change.
func (c *changes) next() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent = append(c.sent, time.Now())
	return int64(len(c.sent) - 1)
}

// reset forgets what was counted. It is called while no change is on its way.
func (c *changes) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.measured = int64(len(c.sent))
	c.counts.mu.Lock()
	defer c.counts.mu.Unlock()
	c.counts.answered, c.counts.latency = 0, histogram{}
}

func (c *changes) opID(number int64) string { return c.run + "-" + strconv.FormatInt(number, 10) }

// of returns the number of the change with an operation id, and when it was sent if it is measured. It says false for a change that nobody
// counts.
func (c *changes) of(opID string) (number int64, sent time.Time, ok bool) {
	text, ok := strings.CutPrefix(opID, c.run+"-")
	number, err := strconv.ParseInt(text, 10, 64)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !ok || err != nil || number < 0 || number >= int64(len(c.sent)) {
		return 0, time.Time{}, false
	}
	if number >= c.measured {
		sent = c.sent[number]
	}
	return number, sent, true
}

// follower is an agent that follows a project, and sometimes changes it.
type follower struct {
	number  int
	era     client.Era
	client  *client.Client // of its replica
	agent   *client.Agent
	project *followed
	changes *changes

	mu      sync.Mutex
	pages   *convergence.Pages
	ops     bitset // changes that it was told of
	twice   int64  // changes that it was told of in two versions
	calls   int64  // that were answered
	told    histogram
	failure error // error for which it gave up
}

// begin notes where the plan is.
func (f *follower) begin(ctx context.Context) error {
	var page convergence.Page
	if err := f.agent.Call(ctx, "list_changes", map[string]any{"project_id": f.project.id, "limit": 1}, &page); err != nil {
		return err
	}
	f.pages = convergence.NewPages(page.Cursor)
	return nil
}

// run follows until ctx ends. A call waits most of the time.
func (f *follower) run(ctx context.Context) {
	for {
		page, err := f.wait(ctx)
		now := time.Now()
		refused := new(client.Refusal)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			f.take(page, now)
		case errors.As(err, &refused) && refused.Temporary():
			_ = Wait(ctx, max(minBackOff, refused.RetryAfter())) // the loop looks at ctx
		default:
			f.mu.Lock()
			defer f.mu.Unlock()
			f.failure = err
			return
		}
	}
}

// wait asks for the next changes.
func (f *follower) wait(ctx context.Context) (page convergence.Page, err error) {
	ctx, cancel := context.WithTimeout(ctx, waitTime)
	defer cancel()
	err = f.agent.Call(ctx, "list_changes", map[string]any{
		"project_id": f.project.id, "after": f.pages.Cursor(), "wait_seconds": waitSeconds, "limit": pageLimit,
	}, &page)
	return page, err
}

// take takes a page that came.
func (f *follower) take(page convergence.Page, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	f.pages.See(page)
	for _, c := range page.Changes {
		number, sent, ok := f.changes.of(c.OpID)
		if !ok {
			continue
		}
		if !f.ops.add(number) {
			f.twice++
		}
		if !sent.IsZero() {
			f.told.observe(now.Sub(sent))
		}
	}
}

// reset forgets times and calls, but not what it was told.
func (f *follower) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls, f.told = 0, histogram{}
}

// sum adds its times to others, and returns the number of its calls.
func (f *follower) sum(told *histogram) (calls int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	told.add(&f.told)
	return f.calls
}

// behind reports whether it follows and has not come to the head.
func (f *follower) behind() bool {
	f.project.mu.Lock()
	head := f.project.head
	f.project.mu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failure == nil && PlaceOf(f.pages.Cursor()).Version < head
}

// change moves or renames a node, so that something changes whatever others do. It tries again while the replica is busy: the operation id
// makes that safe.
func (f *follower) change(ctx context.Context, number int64, random *rand.Rand) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	edit := somewhere(random)
	edit["op"], edit["id"] = "move_node", nodeID(random.Int64N(nodesToMove))
	if random.IntN(3) == 0 {
		edit = map[string]any{"op": "update_node", "id": edit["id"], "label": fmt.Sprintf("Edited by %d", number)}
	}
	began := time.Now()
	for pause := minBackOff; ; pause = min(2*pause, maxBackOff) {
		var answer struct{ Version int64 }
		err := f.agent.Call(ctx, "edit_plan", map[string]any{
			"project_id": f.project.id, "operations": []any{edit}, "op_id": f.changes.opID(number),
		}, &answer)
		if err == nil {
			f.project.succeed(number, answer.Version)
			f.changes.counts.answer(time.Since(began))
			return nil
		}
		f.changes.counts.refuse(operation{}, err)
		refused := new(client.Refusal)
		switch known := errors.As(err, &refused); {
		case known && !refused.Temporary():
			return err
		case !known || Wait(ctx, max(pause, refused.RetryAfter())) != nil:
			f.changes.counts.giveUp()
			return err
		}
		f.changes.counts.retry()
	}
}

// edit changes a project once, which is not counted.
func (f *follower) edit(ctx context.Context, project int, opID string, operations []any) error {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	return f.agent.Call(ctx, "edit_plan", map[string]any{"project_id": project, "operations": operations, "op_id": opID}, nil)
}

// hearing measures when listeners are told of a change. There is one change at a time: an update does not say of which it tells.
type hearing struct {
	mu       sync.Mutex
	sent     time.Time
	measured bool
	heard    []bool // whether each listener was told
	left     int    // listeners that were not
	all      chan struct{}
	told     histogram
}

func newHearing(listeners int) *hearing { return &hearing{heard: make([]bool, listeners)} }

// begin notes that a change is about to be sent. The channel is closed when all listeners have been told.
func (h *hearing) begin(measured bool) <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sent, h.measured, h.left, h.all = time.Now(), measured, len(h.heard), make(chan struct{})
	clear(h.heard)
	return h.all
}

// hear notes that a listener is told.
func (h *hearing) hear(listener int) {
	now := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.left == 0 || h.heard[listener] { // nothing was sent, or it is told again
		return
	}
	h.heard[listener] = true
	if h.measured {
		h.told.observe(now.Sub(h.sent))
	}
	if h.left--; h.left == 0 {
		close(h.all)
	}
}

// missing returns how many listeners have not been told.
func (h *hearing) missing() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.left
}

func (h *hearing) sum() Latency {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.told.latency()
}
