package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"layercake/internal/convergence"
)

// subscriber follows one project as a browser does: over a socket to its replica, which it opens again after its last cursor
// when it breaks; when the replica is gone, to the next one.
type subscriber struct {
	urls       []string
	project    *project
	deliveries *atomic.Int64 // of all subscribers
	reconnects *atomic.Int64
	connected  func() // is called each time that the subscription stands
	version    atomic.Int64

	mu          sync.Mutex
	replica     int // where it is now
	cursor      string
	check       *convergence.Events
	ops         bitset // that it saw
	twice       int64  // operations that were in two events
	same, other histogram
	failure     error // for which it gave up
}

func newSubscriber(urls []string, replica int, p *project, base convergence.Plan) *subscriber {
	s := &subscriber{urls: urls, replica: replica, project: p, cursor: base.Cursor, check: convergence.NewEvents(base)}
	s.version.Store(base.Version)
	return s
}

const (
	minBackOff = 50 * time.Millisecond
	maxBackOff = time.Second
)

// run follows until ctx ends, or the project is not there any more.
func (s *subscriber) run(ctx context.Context) {
	for pause := minBackOff; ; pause = min(2*pause, maxBackOff) {
		opened, before := false, s.version.Load()
		s.mu.Lock()
		url, query := s.urls[s.replica], subscription(s.project.id, s.cursor)
		s.mu.Unlock()
		err := subscribe(ctx, url, query, func() { opened = true; s.connected() }, s.take)
		var refused *refusal
		switch {
		case ctx.Err() != nil:
			return
		case errors.As(err, &refused) && !refused.temporary(), errors.Is(err, errNotAnEvent):
			s.mu.Lock()
			s.failure = err
			s.mu.Unlock()
			return
		}
		s.reconnects.Add(1)
		if !opened {
			s.mu.Lock()
			s.replica = (s.replica + 1) % len(s.urls)
			s.mu.Unlock()
		}
		if s.version.Load() > before {
			pause = minBackOff
		}
		if wait(ctx, pause) != nil {
			return
		}
	}
}

func subscription(project int, after string) request {
	return request{
		`subscription($id: Int!, $after: String) { planEvents(projectId: $id, after: $after) { version cursor snapshot opId clientId
			plan ` + planFields + ` operations { kind id index before after } } }`,
		map[string]any{"id": project, "after": after},
	}
}

var errNotAnEvent = errors.New("what was delivered is no event")

// take takes the data of one delivery.
func (s *subscriber) take(data json.RawMessage) error {
	now := time.Now()
	var d struct {
		PlanEvents struct {
			convergence.Event
			OpID     string
			ClientID string
		}
	}
	if err := json.Unmarshal(data, &d); err != nil {
		return fmt.Errorf("%w: %w", errNotAnEvent, err)
	}
	e := &d.PlanEvents
	s.deliveries.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cursor = e.Cursor
	s.check.See(e.Event)
	s.version.Store(s.check.Version())
	if e.Snapshot {
		return nil
	}
	if n, err := operationNumber(e.OpID); err == nil && !s.ops.add(n) {
		s.twice++
	}
	if sent, replica, ok := parseSent(e.ClientID); ok {
		if replica == s.replica {
			s.same.observe(now.Sub(sent))
		} else {
			s.other.observe(now.Sub(sent))
		}
	}
	return nil
}

// A change's client id, which comes back with its event, says when it was sent first and to which replica. Mutators and
// subscribers share a clock, so the event alone tells how long it took.

func formatSent(sent time.Time, replica int) string {
	return strconv.Itoa(replica) + "." + strconv.FormatInt(sent.UnixNano(), 10)
}

func parseSent(clientID string) (sent time.Time, replica int, ok bool) {
	before, after, _ := strings.Cut(clientID, ".")
	replica, err := strconv.Atoi(before)
	nanos, err2 := strconv.ParseInt(after, 10, 64)
	return time.Unix(0, nanos), replica, err == nil && err2 == nil
}

// wait returns after d, or with an error when ctx ends first.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
