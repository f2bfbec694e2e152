package fanout

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"layercake/internal/postgres"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// newTestPublisher is connected to a server of epoch "e-1".
func newTestPublisher(cfg Config) (p *publisher, events, presence *sender) {
	cfg.Replica = "a"
	p = newTestWire(cfg).publisher
	events, presence = p.senders[Events], p.senders[Presence]
	events.packer.header.epoch, presence.packer.header.epoch = "e-1", "e-1"
	return p, events, presence
}

// lettersIn counts the lines in payloads by their letters.
func lettersIn(payloads []string) map[byte]int {
	n := make(map[byte]int)
	for _, payload := range payloads {
		for _, line := range strings.Split(payload, "\n")[1:] {
			n[line[0]]++
		}
	}
	return n
}

func TestLinesThatFoundNoRoomLeaveAHole(t *testing.T) {
	t.Parallel()
	p, events, _ := newTestPublisher(Config{})
	for project := range int32(maxQueued + 1) {
		events.queue.add(hint(project+1, 1))
	}
	payloads, took := p.pack(events, 0)
	h, _, err := parseHeader(payloads[0])
	if err != nil || h.seq != 2 {
		t.Errorf("first number %d, %v, want 2: 1 stands for what was lost", h.seq, err)
	}
	if sent := lettersIn(payloads); took != maxQueued || sent['h'] != maxQueued {
		t.Errorf("%d lines, %d hints, want %d", took, sent['h'], maxQueued)
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
		payloads, took := p.pack(events, 1)
		if n := lettersIn(payloads)['e']; len(payloads) > maxPayloads || took == 0 || n != took {
			t.Fatalf("%d payloads with %d lines, %d of them events", len(payloads), took, n)
		}
		sent += took
		events.pending = events.pending[took:]
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
	payloads, _ := p.pack(events, 0)
	h, lines, err := parseHeader(payloads[0])
	if want := "h 1 30\ne 2 7 {}"; err != nil || h.epoch != "e-2" || lines != want {
		t.Errorf("epoch %s, lines %q, %v, want %q", h.epoch, lines, err, want)
	}
	if n := lettersIn(payloads); n['h'] != 1 || n['e'] != 1 {
		t.Errorf("%d hints, %d events, want 1 and 1", n['h'], n['e'])
	}
	lost := Line{Letter: 'j', Text: "1 c1 {}", Epoch: "e-1"} // nothing can stand for it
	events.queue.add(lost)
	if payloads, _ := p.pack(events, 1); len(payloads) != 2 || events.packer.header.seq != 3 || !strings.HasSuffix(payloads[0], lines) {
		t.Errorf("%q with number %d, want what is pending and a heartbeat", payloads, events.packer.header.seq)
	}
	events.pending = nil
	payloads, _ = p.pack(events, 1)
	if h, _, err := parseHeader(payloads[0]); len(payloads) != 1 || err != nil || h.seq != 5 {
		t.Errorf("%q, want the heartbeat with number 5: 4 stands for what is true no more", payloads)
	}
}

func TestLossSparesHeartbeats(t *testing.T) {
	t.Parallel()
	p, events, _ := newTestPublisher(Config{Loss: 1})
	events.queue.add(event(1, 1))
	payloads, took := p.pack(events, 77)
	if dropped := testutil.ToFloat64(p.wire.metrics.dropped); len(payloads) != 1 || dropped != 1 || took != 1 {
		t.Fatalf("%d payloads, %v dropped of %d, want the heartbeat only", len(payloads), dropped, took)
	}
	h, rest, err := parseHeader(payloads[0])
	if err != nil || h.seq != 2 || rest != "b 77" {
		t.Errorf("heartbeat %q with number %d, %v, want number 2", rest, h.seq, err)
	}
}

func TestPresenceThatMayNotHaveArrivedLeavesAHole(t *testing.T) {
	t.Parallel()
	p, _, presence := newTestPublisher(Config{})
	join := Line{Letter: 'j', Text: `1 c1 {}`}
	presence.queue.add(join)
	if payloads, took := p.pack(presence, 0); took != 1 || len(payloads) != 1 {
		t.Fatalf("%d lines in %d payloads, want 1 in 1", took, len(payloads))
	}
	presence.queue.putBack(presence.pending)
	presence.pending = nil
	presence.queue.add(join)
	payloads, _ := p.pack(presence, 0)
	if len(payloads) != 1 {
		t.Fatalf("%d payloads, want 1: what may have arrived is not said twice", len(payloads))
	}
	h, rest, err := parseHeader(payloads[0])
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
