package fanout

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func event(project int32, version int64) line {
	return line{kind: kindEvent, project: project, version: version, epoch: "e-1", body: []byte("{}")}
}

func hint(project int32, version int64) line {
	return line{kind: kindHint, project: project, version: version}
}

func TestOutboxKeepsHintsOverHalf(t *testing.T) {
	t.Parallel()
	o := newOutbox()
	for v := range int64(maxQueued / 2) {
		o.add(event(1+int32(v%3), v))
	}
	if n := o.len(); n != maxQueued/2 {
		t.Fatalf("%d lines, want all while there is room", n)
	}
	o.add(event(9, 1))
	o.add(event(1, maxQueued))
	o.add(event(1, 5)) // late
	lines, lost := o.take()
	const last = maxQueued/2 - 1 // 4095 = 3*1365, so of project 1
	want := []line{hint(1, maxQueued), hint(2, last-2), hint(3, last-1), hint(9, 1)}
	if diff := cmp.Diff(want, lines, cmp.AllowUnexported(line{})); lost != 0 || diff != "" {
		t.Errorf("%d lost; %s", lost, diff)
	}
	o.add(event(1, 6))
	if lines, _ := o.take(); len(lines) != 1 || lines[0].kind != kindEvent {
		t.Errorf("%+v, want bodies again", lines)
	}
}

func TestOutboxThatIsFullRefusesAndSaysSo(t *testing.T) {
	t.Parallel()
	o := newOutbox()
	refused := 0
	for project := range int32(maxQueued + 100) {
		if !o.add(event(project, 1)) {
			refused++
		}
	}
	if !o.add(event(5, 2)) {
		t.Error("refused a project that has its place")
	}
	lines, lost := o.take()
	if len(lines) != maxQueued || refused != 100 || lost != 100 || lines[5].version != 2 {
		t.Errorf("%d lines, %d refused, %d lost, want %d, 100, 100", len(lines), refused, lost, maxQueued)
	}
	if _, lost := o.take(); lost != 0 {
		t.Error("told a loss twice")
	}
}

func TestOutboxPutBack(t *testing.T) {
	t.Parallel()
	o := newOutbox()
	o.add(event(1, 1))
	o.add(event(2, 1))
	taken, _ := o.take()
	o.add(event(2, 2))
	o.add(event(3, 1))
	if lost := o.putBack(taken); lost != 0 {
		t.Errorf("%d lost", lost)
	}
	o.add(event(1, 2))
	lines, _ := o.take()
	want := []line{hint(1, 2), hint(2, 2), hint(3, 1)}
	if diff := cmp.Diff(want, lines, cmp.AllowUnexported(line{})); diff != "" {
		t.Error(diff)
	}
}
