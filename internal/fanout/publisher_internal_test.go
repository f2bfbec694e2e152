package fanout

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"layercake/internal/postgres"

	"github.com/jackc/pgx/v5/pgconn"
)

// newTestPublisher is connected to a server of epoch "e-1".
func newTestPublisher(cfg Config) (p *publisher, events, presence *sender) {
	cfg.Replica = "a"
	p = newTestWire(cfg).publisher
	events, presence = p.senders[Events], p.senders[Presence]
	events.packer.header.epoch, presence.packer.header.epoch = "e-1", "e-1"
	return p, events, presence
}

func TestLinesThatFoundNoRoomLeaveAHole(t *testing.T) {
	t.Parallel()
	p, events, _ := newTestPublisher(Config{})
	for project := range int32(maxQueued + 1) {
		events.queue.add(hint(project+1, 1))
	}
	b := p.pack(events, false)
	h, _, err := parseHeader(b.payloads[0])
	if err != nil || h.seq != 2 {
		t.Errorf("first number %d, %v, want 2: 1 stands for what was lost", h.seq, err)
	}
	if b.lines != maxQueued || b.sent['h'] != maxQueued {
		t.Errorf("%d lines, %d hints, want %d", b.lines, b.sent['h'], maxQueued)
	}
}

func TestPackStaysWithinAStatement(t *testing.T) {
	t.Parallel()
	p, events, _ := newTestPublisher(Config{})
	for v := range int64(1000) {
		l := event(1, v)
		l.Text += strings.Repeat("x", 2000)
		events.queue.add(l)
	}
	sent := 0
	for sent < 1000 {
		b := p.pack(events, true)
		if len(b.payloads) > maxPayloads || b.lines == 0 || b.sent['e'] != b.lines {
			t.Fatalf("%d payloads with %d lines, %d of them events", len(b.payloads), b.lines, b.sent['e'])
		}
		sent += b.lines
		events.pending = events.pending[b.lines:]
	}
}

// What was committed before a failover may be sent after it. There the same version can be another event.
func TestEventsOfAnotherHistoryGoAsHints(t *testing.T) {
	t.Parallel()
	p, events, _ := newTestPublisher(Config{})
	events.queue.add(event(1, 30))
	events.packer.header.epoch = "e-2" // the server that it was committed on died, and another one is connected
	later := event(2, 7)
	later.Epoch = "e-2"
	events.queue.add(later)
	b := p.pack(events, false)
	h, lines, err := parseHeader(b.payloads[0])
	if want := "h 1 30\ne 2 7 {}"; err != nil || h.epoch != "e-2" || lines != want {
		t.Errorf("epoch %s, lines %q, %v, want %q", h.epoch, lines, err, want)
	}
	if b.sent['h'] != 1 || b.sent['e'] != 1 {
		t.Errorf("%d hints, %d events, want 1 and 1", b.sent['h'], b.sent['e'])
	}
}

func TestLossSparesHeartbeats(t *testing.T) {
	t.Parallel()
	p, events, _ := newTestPublisher(Config{Loss: 1})
	events.queue.add(event(1, 1))
	b := p.pack(events, true)
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
	p, _, presence := newTestPublisher(Config{})
	join := Line{Letter: 'j', Text: `1 c1 {}`}
	presence.queue.add(join)
	if b := p.pack(presence, false); b.sent['j'] != 1 || len(b.payloads) != 1 {
		t.Fatalf("%d lines in %d payloads, want 1 in 1", b.sent['j'], len(b.payloads))
	}
	presence.queue.putBack(presence.pending)
	presence.pending = nil
	presence.queue.add(join)
	b := p.pack(presence, false)
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
