package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"layercake/internal/bench/convergence"
	"layercake/internal/client"
)

// subscriber follows one project as a browser does: over a socket to its replica, which it opens again when it breaks; when the
// replica is gone, to the next one.
type subscriber struct {
	urls       []string
	secret     string // of its account; "" for none
	project    *project
	stay, away time.Duration // a napper hangs up after about stay, and is away for about as long as away; 0 for the others
	deliveries *atomic.Int64 // deliveries to all subscribers
	reconnects *atomic.Int64
	connected  func() // called each time that the subscription has begun

	view       view // used by the goroutine of run alone
	mu         sync.Mutex
	replica    int // number of its replica
	place      Place
	epochs     int    // epochs that it came to after its first
	newest     int64  // newest version that it saw in the last epoch
	ops        bitset // operations that it saw in the last epoch
	twice      int64  // operations that came in two events of one epoch
	sender     int    // replica that the last change was sent to
	neighbours int64  // events that another replica committed than the one before, as far as is known
	// The times to a delivery: from the change's first send, by the replica that it was sent to or by another one, and from its
	// transaction.
	same, other, committed histogram
	failure                error // error for which it gave up
}

func newSubscriber(urls []string, replica int, p *project, v view) *subscriber {
	return &subscriber{urls: urls, replica: replica, project: p, view: v, place: v.at()}
}

// view is what a subscriber sees of its project, by one of the kinds of subscriptions.
type view interface {
	// subscribe returns what to ask for now.
	subscribe(project int) client.Request
	// take takes the data of one delivery. Its error is errNotAnEvent, or any other when the subscription has to be opened again.
	take(ctx context.Context, data json.RawMessage) (delivery, error)
	// at returns the place that the view shows.
	at() Place
	finish(rows convergence.Plan) convergence.Report
}

// delivery holds the facts about an event that both kinds of subscriptions give.
type delivery struct {
	OpID, ClientID string
	Timestamp      time.Time
	Snapshot       bool `json:"-"`
}

// Place is a point in one history of a project.
type Place struct {
	Epoch   string
	Version int64
}

// before reports whether a subscriber at p has not reached a head. A place in another epoch is before it at any version, since the
// subscriber still has to come over.
func (p Place) before(head Place) bool { return p.Epoch != head.Epoch || p.Version < head.Version }

// PlaceOf returns the place that a cursor names.
func PlaceOf(cursor string) Place {
	dot := max(strings.LastIndexByte(cursor, '.'), 0)
	version, _ := strconv.ParseInt(strings.TrimPrefix(cursor[dot:], "."), 10, 64) // 0 for a text that is no cursor
	epoch, _, _ := strings.Cut(cursor[:dot], "~")
	return Place{epoch, version}
}

// at returns the place of the subscriber.
func (s *subscriber) at() Place {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.place
}

const (
	minBackOff = 50 * time.Millisecond
	maxBackOff = time.Second
)

// run follows until ctx ends, or the project is not there any more.
func (s *subscriber) run(ctx context.Context) {
	for pause := minBackOff; ; pause = min(2*pause, maxBackOff) {
		opened, before := false, s.at()
		s.mu.Lock()
		url, query := s.urls[s.replica], s.view.subscribe(s.project.id)
		s.mu.Unlock()
		awake, sleep := context.WithCancel(ctx)
		if s.stay > 0 {
			awake, sleep = context.WithTimeout(ctx, s.stay/2+rand.N(s.stay))
		}
		socket, err := client.Dialer{Timeout: dialTime, Header: client.Signed(s.secret)}.GraphQL(awake, url)
		if err == nil {
			opened = true
			s.connected()
			err = socket.Follow(awake, query, func(data json.RawMessage) error { return s.take(awake, data) })
		}
		napping := awake.Err() != nil
		sleep()
		var refused *client.Refusal
		switch {
		case ctx.Err() != nil:
			return
		case napping:
			_ = Wait(ctx, s.away/2+rand.N(s.away)) // the loop looks at ctx
			pause, opened = minBackOff, false      // it comes back elsewhere
		case errors.As(err, &refused) && !refused.Temporary(), errors.Is(err, errNotAnEvent):
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
		if s.at() != before {
			pause = minBackOff
		}
		if Wait(ctx, pause) != nil {
			return
		}
	}
}

var errNotAnEvent = errors.New("what was delivered is no event")

// take takes the data of one delivery.
func (s *subscriber) take(ctx context.Context, data json.RawMessage) error {
	now := time.Now()
	s.deliveries.Add(1)
	d, err := s.view.take(ctx, data)
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.place
	if s.place = s.view.at(); s.place.Epoch != before.Epoch {
		s.epochs++
		s.ops, s.newest = nil, 0 // another epoch may hold an operation again
	}
	// A subscription without a cursor may begin before the newest version that was seen. Its first events come again, which is no mistake.
	again := s.place.Version <= s.newest
	s.newest = max(s.newest, s.place.Version)
	if err != nil || d.Snapshot || d.OpID == "" {
		return err
	}
	if n, ok := s.project.operationNumber(d.OpID); ok && !s.ops.add(n) && !again {
		s.twice++
	}
	s.committed.observe(now.Sub(d.Timestamp))
	if sent, replica, ok := parseSent(d.ClientID); ok {
		if replica == s.replica {
			s.same.observe(now.Sub(sent))
		} else {
			s.other.observe(now.Sub(sent))
		}
		if replica != s.sender {
			s.neighbours++
		}
		s.sender = replica
	}
	return nil
}

// events follows planEvents after its cursor.
type events struct {
	cursor string
	check  *convergence.Events
}

func newEvents(base convergence.Plan) *events {
	return &events{cursor: base.Cursor, check: convergence.NewEvents(base)}
}

func (v *events) subscribe(project int) client.Request {
	return client.Request{
		Query: `subscription($id: Int!, $after: String) { planEvents(projectId: $id, after: $after) { version cursor snapshot opId clientId
			timestamp plan ` + planFields + ` operations { kind id index before after } } }`,
		Variables: map[string]any{"id": project, "after": v.cursor},
	}
}

func (v *events) take(_ context.Context, data json.RawMessage) (delivery, error) {
	var d struct {
		PlanEvents struct {
			convergence.Event
			delivery
		}
	}
	if err := json.Unmarshal(data, &d); err != nil {
		return delivery{}, fmt.Errorf("%w: %w", errNotAnEvent, err)
	}
	e := &d.PlanEvents
	v.cursor = e.Cursor
	v.check.See(e.Event)
	e.delivery.Snapshot = e.Event.Snapshot
	return e.delivery, nil
}

func (v *events) at() Place { return PlaceOf(v.cursor) }

func (v *events) finish(rows convergence.Plan) convergence.Report { return v.check.Finish(rows) }

// deltas follows planDagDeltaChanged as the existing client does: without a cursor, and reading the plan by requests of its own,
// which it does again only when a patch does not apply.
type deltas struct {
	clients clients
	check   *convergence.Deltas
	place   Place
}

func newDeltas(all clients, base convergence.Plan) *deltas {
	return &deltas{clients: all, check: convergence.NewDeltas(base), place: PlaceOf(base.Cursor)}
}

func (v *deltas) subscribe(project int) client.Request {
	v.check.Resubscribe()
	return client.Request{
		Query: `subscription($id: Int!) { planDagDeltaChanged(projectId: $id) { version cursor snapshot opId clientId timestamp
			projectId operations { op path value } } }`,
		Variables: map[string]any{"id": project},
	}
}

func (v *deltas) take(ctx context.Context, data json.RawMessage) (delivery, error) {
	var d struct {
		PlanDagDeltaChanged struct {
			convergence.Delta
			delivery
			ProjectID int
		}
	}
	if err := json.Unmarshal(data, &d); err != nil {
		return delivery{}, fmt.Errorf("%w: %w", errNotAnEvent, err)
	}
	e := &d.PlanDagDeltaChanged
	v.check.See(e.Delta)
	for v.check.Stale() {
		plan, err := v.clients.plan(ctx, e.ProjectID)
		var refused *client.Refusal
		switch {
		case err == nil:
			v.check.Read(plan)
		case errors.As(err, &refused) && !refused.Temporary():
			return delivery{}, err
		case Wait(ctx, minBackOff) != nil:
			return delivery{}, err
		}
	}
	v.place = PlaceOf(e.Cursor)
	e.delivery.Snapshot = e.Delta.Snapshot
	return e.delivery, nil
}

func (v *deltas) at() Place { return v.place }

func (v *deltas) finish(rows convergence.Plan) convergence.Report { return v.check.Finish(rows) }

// A change's client id, which comes back with its event, says when it was sent first and to which replica. Mutators and
// subscribers share a clock, so the event alone is enough to measure the delivery.

func formatSent(sent time.Time, replica int) string {
	return strconv.Itoa(replica) + "." + strconv.FormatInt(sent.UnixNano(), 10)
}

func parseSent(clientID string) (sent time.Time, replica int, ok bool) {
	before, after, _ := strings.Cut(clientID, ".")
	replica, err := strconv.Atoi(before)
	nanos, err2 := strconv.ParseInt(after, 10, 64)
	return time.Unix(0, nanos), replica, err == nil && err2 == nil
}

// Wait returns after d, or with an error when ctx ends first.
func Wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
