package fanout

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
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

func newTestQueue() *queue { return newTestWire(Config{}).publisher.senders[Events].queue }

func TestQueueKeepsHintsOverHalf(t *testing.T) {
	t.Parallel()
	q := newTestQueue()
	for v := range int64(maxQueued / 2) {
		q.add(event(1+int32(v%3), v))
	}
	if n := q.len(); n != maxQueued/2 {
		t.Fatalf("%d lines, want all while there is room", n)
	}
	q.add(event(9, 1))
	q.add(event(1, maxQueued))
	q.add(event(1, 5)) // late
	lines, lost := q.take()
	const last = maxQueued/2 - 1 // 4095 = 3*1365, so of project 1
	want := []Line{hint(1, maxQueued), hint(2, last-2), hint(3, last-1), hint(9, 1)}
	if diff := cmp.Diff(want, lines); lost != 0 || diff != "" {
		t.Errorf("%d lost; %s", lost, diff)
	}
	q.add(event(1, 6))
	if lines, _ := q.take(); len(lines) != 1 || lines[0].Letter != 'e' {
		t.Errorf("%+v, want bodies again", lines)
	}
}

func TestQueueThatIsFullRefusesAndSaysSo(t *testing.T) {
	t.Parallel()
	q := newTestQueue()
	refused := 0
	for project := range int32(maxQueued + 100) {
		if !q.add(event(project, 1)) {
			refused++
		}
	}
	if !q.add(event(5, 2)) {
		t.Error("refused a project that has its place")
	}
	lines, lost := q.take()
	if len(lines) != maxQueued || refused != 100 || lost != 100 || lines[5].Version != 2 {
		t.Errorf("%d lines, %d refused, %d lost, want %d, 100, 100", len(lines), refused, lost, maxQueued)
	}
	if _, lost := q.take(); lost != 0 {
		t.Error("told a loss twice")
	}
}

func TestQueuePutBack(t *testing.T) {
	t.Parallel()
	q := newTestQueue()
	q.add(event(1, 1))
	q.add(event(2, 1))
	taken, _ := q.take()
	q.add(event(2, 2))
	q.add(event(3, 1))
	if lost := q.putBack(taken); lost != 0 {
		t.Errorf("%d lost", lost)
	}
	q.add(event(1, 2))
	lines, _ := q.take()
	want := []Line{hint(1, 2), hint(2, 2), hint(3, 1)}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Error(diff)
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
	lines, lost := q.take()
	if len(lines) != 1+maxQueued/4+1 || lost != 0 || lines[0] != hint(1, 2) || lines[len(lines)-1] != join(2) {
		t.Errorf("%d lines from %+v to %+v, %d lost", len(lines), lines[0], lines[len(lines)-1], lost)
	}
	q.add(event(3, 1))
	q.add(join(3))
	q.putBack([]Line{event(2, 1), join(1), event(1, 1)})
	lines, lost = q.take()
	if diff := cmp.Diff([]Line{hint(2, 1), hint(1, 1), hint(3, 1), join(3)}, lines); diff != "" || lost != 1 {
		t.Errorf("%d lost, want 1 %s", lost, diff)
	}
}
