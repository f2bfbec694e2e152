package fanout

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"layercake/internal/postgres"

	"github.com/jackc/pgx/v5/pgconn"
)

func newTestPublisher(cfg Config) *publisher {
	p := &publisher{
		cfg: &cfg, metrics: newMetrics(nil, func() float64 { return 0 }), pulse: &pulse{start: time.Now()},
		events:   newLane(channelEvents, newOutbox(), "a"),
		presence: newLane(channelPresence, newPresenceOutbox(), "a"),
	}
	p.events.packer.header.epoch, p.presence.packer.header.epoch = "e-1", "e-1"
	return p
}

func TestLinesThatFoundNoRoomLeaveAHole(t *testing.T) {
	t.Parallel()
	p := newTestPublisher(Config{})
	for project := range int32(maxQueued + 1) {
		p.events.queue.add(hint(project+1, 1))
	}
	b := p.pack(p.events, false)
	h, _, err := parseHeader(b.payloads[0])
	if err != nil || h.seq != 2 {
		t.Errorf("first number %d, %v, want 2: 1 stands for what was lost", h.seq, err)
	}
	if b.lines != maxQueued || b.hints != maxQueued {
		t.Errorf("%d lines, %d hints, want %d", b.lines, b.hints, maxQueued)
	}
}

func TestPackStaysWithinAStatement(t *testing.T) {
	t.Parallel()
	p := newTestPublisher(Config{})
	for v := range int64(1000) {
		l := event(1, v)
		l.body = make([]byte, maxBody)
		p.events.queue.add(l)
	}
	sent := 0
	for sent < 1000 {
		b := p.pack(p.events, true)
		if len(b.payloads) > maxPayloads || b.lines == 0 || b.events != b.lines {
			t.Fatalf("%d payloads with %d lines, %d of them events", len(b.payloads), b.lines, b.events)
		}
		sent += b.lines
		p.events.pending = p.events.pending[b.lines:]
	}
}

// What was committed before a failover may be sent after it. There the same version can be another event.
func TestEventsOfAnotherHistoryGoAsHints(t *testing.T) {
	t.Parallel()
	p := newTestPublisher(Config{})
	p.events.queue.add(event(1, 30))
	p.events.packer.header.epoch = "e-2" // the server that it was committed on died, and another one is connected
	later := event(2, 7)
	later.epoch = "e-2"
	p.events.queue.add(later)
	b := p.pack(p.events, false)
	h, lines, err := parseHeader(b.payloads[0])
	if want := "h 1 30\ne 2 7 {}"; err != nil || h.epoch != "e-2" || lines != want {
		t.Errorf("epoch %s, lines %q, %v, want %q", h.epoch, lines, err, want)
	}
	if b.hints != 1 || b.events != 1 {
		t.Errorf("%d hints, %d events, want 1 and 1", b.hints, b.events)
	}
}

func TestLossSparesHeartbeats(t *testing.T) {
	t.Parallel()
	p := newTestPublisher(Config{Loss: 1})
	p.events.queue.add(event(1, 1))
	b := p.pack(p.events, true)
	if len(b.payloads) != 1 || b.dropped != 1 || b.lines != 1 {
		t.Fatalf("%d payloads, %d dropped of %d, want the heartbeat only", len(b.payloads), b.dropped, b.lines)
	}
	h, rest, err := parseHeader(b.payloads[0])
	if err != nil || h.seq != 2 || rest != fmt.Sprintf("b %d", b.beat) {
		t.Errorf("heartbeat %q with number %d, %v, want number 2", rest, h.seq, err)
	}
}

func TestPresenceThatMayNotHaveArrivedLeavesAHole(t *testing.T) {
	t.Parallel()
	p := newTestPublisher(Config{})
	about := line{kind: kindJoin, project: 1, about: "c1", body: []byte(`{}`)}
	p.presence.queue.add(about)
	if b := p.pack(p.presence, false); b.presence != 1 || len(b.payloads) != 1 {
		t.Fatalf("%d lines in %d payloads, want 1 in 1", b.presence, len(b.payloads))
	}
	p.presence.queue.putBack(p.presence.pending)
	p.presence.pending = nil
	p.presence.queue.add(about)
	b := p.pack(p.presence, false)
	if len(b.payloads) != 1 {
		t.Fatalf("%d payloads, want 1: what may have arrived is not said twice", len(b.payloads))
	}
	h, rest, err := parseHeader(b.payloads[0])
	if err != nil || h.seq != 3 || rest != "j 1 c1 {}" {
		t.Errorf("number %d with %q, %v, want 3: 1 failed and 2 stands for it", h.seq, rest, err)
	}
}

func TestReasonOf(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]error{
		failQueueFull:  &pgconn.PgError{Code: postgres.ProgramLimitExceeded},
		failTimeout:    fmt.Errorf("exec: %w", context.DeadlineExceeded),
		failRefused:    &pgconn.PgError{Code: postgres.ReadOnlyTransaction},
		failConnection: errors.New("broken pipe"),
	} {
		if got := reasonOf(err); got != want {
			t.Errorf("%v: %s, want %s", err, got, want)
		}
	}
	if got := reasonOf(&pgconn.PgError{Code: postgres.AdminShutdown}); got != failConnection {
		t.Errorf("a backend that is terminated: %s, want %s", got, failConnection)
	}
	if got := reasonOf(&pgconn.PgError{Code: postgres.QueryCanceled}); got != failTimeout {
		t.Errorf("statement_timeout: %s, want %s", got, failTimeout)
	}
}
