package fanout

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func event(project int32, version int64) Line {
	return Line{Letter: 'e', Text: fmt.Sprintf("%d %d {}", project, version), Epoch: "e-1", Project: project, Version: version}
}

func hint(project int32, version int64) Line {
	return Line{Letter: 'h', Text: fmt.Sprintf("%d %d", project, version), Project: project, Version: version}
}

// newTestWire has a topic with hints, and one without.
func newTestWire(cfg Config) *Wire {
	w := New(cfg)
	nothing := func(Line) error { return nil }
	w.Handle(Topic{Channel: Events, Kinds: map[byte]string{'e': "event", 'h': "hint"}, Hear: nothing, Hint: hint})
	w.Handle(Topic{Channel: Presence, Kinds: map[byte]string{'j': "presence"}, Hear: nothing})
	return w
}

// newTestSenders are connected to a server of epoch "e-1".
func newTestSenders(cfg Config) (events, presence *sender) {
	cfg.Replica = "a"
	p := newTestWire(cfg).publisher
	events, presence = p.senders[Events], p.senders[Presence]
	events.header.epoch, presence.header.epoch = "e-1", "e-1"
	return events, presence
}

func newTestQueue() *sender {
	events, _ := newTestSenders(Config{})
	return events
}

// taken empties a queue. It returns its lines, whether a number stands for lines that were lost since the last time, and how many were
// lost until now.
func taken(s *sender) (lines []Line, hole bool, dropped float64) {
	before := s.header.seq
	s.take()
	return s.pending, s.header.seq > before, testutil.ToFloat64(s.wire.metrics.dropped)
}

func TestQueueKeepsHintsOverHalf(t *testing.T) {
	t.Parallel()
	q := newTestQueue()
	for v := range int64(maxQueued / 2) {
		q.add(event(1+int32(v%3), v))
	}
	if n := q.queued(); n != maxQueued/2 {
		t.Fatalf("%d lines, want all while there is room", n)
	}
	q.add(event(9, 1))
	q.add(event(1, maxQueued))
	q.add(event(1, 5)) // late
	lines, hole, dropped := taken(q)
	const last = maxQueued/2 - 1 // 4095 = 3*1365, so of project 1
	want := []Line{hint(1, maxQueued), hint(2, last-2), hint(3, last-1), hint(9, 1)}
	if diff := cmp.Diff(want, lines); hole || dropped != 0 || diff != "" {
		t.Errorf("%v lost; %s", dropped, diff)
	}
	q.add(event(1, 6))
	if lines, _, _ := taken(q); len(lines) != 1 || lines[0].Letter != 'e' {
		t.Errorf("%+v, want bodies again", lines)
	}
}

func TestQueueThatIsFullRefusesAndSaysSo(t *testing.T) {
	t.Parallel()
	q := newTestQueue()
	for project := range int32(maxQueued + 100) {
		q.add(event(project, 1))
	}
	q.add(event(5, 2)) // of a project that has its place
	lines, hole, dropped := taken(q)
	if len(lines) != maxQueued || !hole || dropped != 100 || lines[5].Version != 2 {
		t.Errorf("%d lines, %v lost, hole %t, want %d, 100 and a hole", len(lines), dropped, hole, maxQueued)
	}
	if _, hole, _ := taken(q); hole {
		t.Error("told a loss twice")
	}
}

func TestQueuePutBack(t *testing.T) {
	t.Parallel()
	q := newTestQueue()
	q.add(event(1, 1))
	q.add(event(2, 1))
	q.take()
	q.add(event(2, 2))
	q.add(event(3, 1))
	q.putBack()
	q.add(event(1, 2))
	lines, hole, dropped := taken(q)
	want := []Line{hint(1, 2), hint(2, 2), hint(3, 1)}
	if diff := cmp.Diff(want, lines); diff != "" || hole || dropped != 0 {
		t.Errorf("%v lost; %s", dropped, diff)
	}
}

// Lines with and without hints may share a channel. Over half of the queue, the former give way; what may have arrived is not said twice.
func TestQueueOfLinesWithAndWithoutHints(t *testing.T) {
	t.Parallel()
	q := newTestQueue()
	join := func(project int32) Line { return Line{Letter: 'j', Text: fmt.Sprint(project, " c {}")} }
	for range maxQueued / 4 {
		q.add(event(1, 1))
		q.add(join(1))
	}
	q.add(join(2))
	q.add(event(1, 2))
	lines, hole, dropped := taken(q)
	if len(lines) != 1+maxQueued/4+1 || hole || dropped != 0 || lines[0] != hint(1, 2) || lines[len(lines)-1] != join(2) {
		t.Errorf("%d lines from %+v to %+v, %v lost", len(lines), lines[0], lines[len(lines)-1], dropped)
	}
	q.add(event(3, 1))
	q.add(join(3))
	q.pending = []Line{event(2, 1), join(1), event(1, 1)}
	q.putBack()
	lines, hole, dropped = taken(q)
	if diff := cmp.Diff([]Line{hint(2, 1), hint(1, 1), hint(3, 1), join(3)}, lines); diff != "" || !hole || dropped != 1 {
		t.Errorf("%v lost, want 1 %s", dropped, diff)
	}
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
	events, _ := newTestSenders(Config{})
	for project := range int32(maxQueued + 1) {
		events.add(hint(project+1, 1))
	}
	payloads, took := events.pack(0)
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
	events, _ := newTestSenders(Config{})
	for v := range int64(1000) {
		l := event(1, v)
		l.Text += strings.Repeat("x", 2000)
		events.add(l)
	}
	sent := 0
	for sent < 1000 {
		payloads, took := events.pack(1)
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
	events, _ := newTestSenders(Config{})
	events.add(event(1, 30))
	events.header.epoch = "e-2" // the server that it was committed on died, and another one is connected
	later := event(2, 7)
	later.Epoch = "e-2"
	events.add(later)
	payloads, _ := events.pack(0)
	h, lines, err := parseHeader(payloads[0])
	if want := "h 1 30\ne 2 7 {}"; err != nil || h.epoch != "e-2" || lines != want {
		t.Errorf("epoch %s, lines %q, %v, want %q", h.epoch, lines, err, want)
	}
	if n := lettersIn(payloads); n['h'] != 1 || n['e'] != 1 {
		t.Errorf("%d hints, %d events, want 1 and 1", n['h'], n['e'])
	}
	lost := Line{Letter: 'j', Text: "1 c1 {}", Epoch: "e-1"} // nothing can stand for it
	events.add(lost)
	if payloads, _ := events.pack(1); len(payloads) != 2 || events.header.seq != 3 || !strings.HasSuffix(payloads[0], lines) {
		t.Errorf("%q with number %d, want what is pending and a heartbeat", payloads, events.header.seq)
	}
	events.pending = nil
	payloads, _ = events.pack(1)
	if h, _, err := parseHeader(payloads[0]); len(payloads) != 1 || err != nil || h.seq != 5 {
		t.Errorf("%q, want the heartbeat with number 5: 4 stands for what is true no more", payloads)
	}
}

// A statement has room for so many payloads. The rest waits for the next one, which another server may get: the statement of the other
// channel comes in between, and may fail.
func TestEventsThatArePendingGoAsHintsToAnotherHistory(t *testing.T) {
	t.Parallel()
	events, _ := newTestSenders(Config{})
	lost := Line{Letter: 'j', Text: "1 c1 {}", Epoch: "e-1"} // nothing can stand for it
	lasting := Line{Letter: 'j', Text: "1 c2 {}"}            // true in any history
	events.pending = []Line{event(1, 30), lost, lasting, event(2, 7)}
	events.connect("e-1")
	if diff := cmp.Diff([]Line{event(1, 30), lost, lasting, event(2, 7)}, events.pending); diff != "" || events.header.seq != 0 {
		t.Errorf("connected to the same history, with number %d: %s", events.header.seq, diff)
	}
	events.connect("e-2")
	payloads, _ := events.pack(0)
	h, lines, err := parseHeader(payloads[0])
	if want := "h 1 30\nj 1 c2 {}\nh 2 7"; err != nil || h.epoch != "e-2" || h.seq != 2 || lines != want {
		t.Errorf("epoch %s, number %d, lines %q, %v, want %q with number 2: 1 stands for what is lost", h.epoch, h.seq, lines, err, want)
	}
}

func TestLossSparesHeartbeats(t *testing.T) {
	t.Parallel()
	events, _ := newTestSenders(Config{Loss: 1})
	events.add(event(1, 1))
	payloads, took := events.pack(77)
	if dropped := testutil.ToFloat64(events.wire.metrics.dropped); len(payloads) != 1 || dropped != 1 || took != 1 {
		t.Fatalf("%d payloads, %v dropped of %d, want the heartbeat only", len(payloads), dropped, took)
	}
	h, rest, err := parseHeader(payloads[0])
	if err != nil || h.seq != 2 || rest != "b 77" {
		t.Errorf("heartbeat %q with number %d, %v, want number 2", rest, h.seq, err)
	}
}

func TestPresenceThatMayNotHaveArrivedLeavesAHole(t *testing.T) {
	t.Parallel()
	_, presence := newTestSenders(Config{})
	join := Line{Letter: 'j', Text: `1 c1 {}`}
	presence.add(join)
	if payloads, took := presence.pack(0); took != 1 || len(payloads) != 1 {
		t.Fatalf("%d lines in %d payloads, want 1 in 1", took, len(payloads))
	}
	presence.putBack()
	presence.add(join)
	payloads, _ := presence.pack(0)
	if len(payloads) != 1 {
		t.Fatalf("%d payloads, want 1: what may have arrived is not said twice", len(payloads))
	}
	h, rest, err := parseHeader(payloads[0])
	if err != nil || h.seq != 3 || rest != "j 1 c1 {}" {
		t.Errorf("number %d with %q, %v, want 3: 1 failed and 2 stands for it", h.seq, rest, err)
	}
}
