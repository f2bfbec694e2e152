package fanout

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// newTestReceiver listens since a fixed time in epoch "e-1" and collects what it hears and doubts, where that is not nil. Its topic has
// the letters of events, and another the command of the database.
func newTestReceiver(cfg Config, heard *[]Line, doubts *[]string) *receiver {
	w := New(cfg)
	collect := func(l Line) error {
		if l.Text == "nonsense" {
			return errMalformed
		}
		if heard != nil {
			*heard = append(*heard, l)
		}
		return nil
	}
	w.Handle(Topic{Channel: Events, Kinds: map[byte]string{'e': "event", 'h': "hint"}, Hear: collect, Doubt: func(reason string) {
		if doubts != nil {
			*doubts = append(*doubts, reason)
		}
	}})
	w.Handle(Topic{Channel: Presence, Kinds: map[byte]string{'a': "command"}, Hear: collect, FromDatabase: true})
	r := w.listener.receivers[Events]
	r.begin("e-1", time.Unix(1_800_000_000, 0))
	return r
}

func TestReceiverDoubts(t *testing.T) {
	t.Parallel()
	type heard struct {
		after   time.Duration // since the receiver began
		payload string
	}
	cases := []struct {
		name  string
		heard []heard
		want  string
	}{
		{"consecutive", []heard{{0, "1 a e-1 7\nh 1 1"}, {0, "1 a e-1 8\nh 1 2"}, {0, "1 a e-1 9\nh 1 3"}}, ""},
		{"a number is missing", []heard{{0, "1 a e-1 7\nh 1 1"}, {0, "1 a e-1 9\nh 1 3"}, {0, "1 a e-1 10\nh 1 4"}}, "hole"},
		{"senders count by themselves", []heard{{0, "1 a e-1 7\nh 1 1"}, {0, "1 b e-1 1\nh 1 2"}, {0, "1 a e-1 8\nh 1 3"}}, ""},
		{"a late payload", []heard{{0, "1 a e-1 7\nh 1 1"}, {0, "1 a e-1 6\nh 1 1"}, {0, "1 a e-1 8\nh 1 2"}}, "hole hole"},
		{"a sender that began anew", []heard{{0, "1 a e-1 7\nh 1 1"}, {0, "1 a e-1 1\nh 1 2"}, {0, "1 a e-1 2\nh 1 3"}}, "hole"},
		{"a sender that begins later", []heard{{time.Hour, "1 a e-1 1\nh 1 1"}, {time.Hour, "1 a e-1 2\nh 1 2"}}, ""},
		{"a sender whose beginning was lost", []heard{{time.Hour, "1 a e-1 2\nh 1 2"}, {time.Hour, "1 a e-1 3\nh 1 3"}}, "hole"},
		{"another epoch", []heard{{0, "1 a e-2 1\nh 1 1"}}, "epoch"},
		{"another format", []heard{{0, "2 something else"}}, "format"},
		{"nothing that we said", []heard{{0, "hello"}, {0, ""}, {0, "1 a e-1"}}, ""},
		{"a malformed line", []heard{{0, "1 a e-1 1\nh nonsense\nh 1 1"}, {0, "1 a e-1 2\nh 1 2"}}, ""},
		{"an unknown line", []heard{{0, "1 a e-1 1\nq 1\nh 1 1"}, {0, "1 a e-1 2\nh 1 2"}}, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var events []Line
			var doubts []string
			r := newTestReceiver(Config{Replica: "self"}, &events, &doubts)
			want := 0
			for _, h := range c.heard {
				r.receive(h.payload, r.since.Add(h.after))
				want += strings.Count(h.payload, "\nh 1 ")
			}
			if got := strings.Join(doubts[1:], " "); got != c.want {
				t.Errorf("doubts %q, want %q", got, c.want)
			}
			if len(events) != want {
				t.Errorf("%d events, want %d: a doubt is no reason to keep one back", len(events), want)
			}
		})
	}
}

// The database has no numbers of its own, and must not be able to speak for a replica.
func TestReceiverTakesOnlyCommandsFromTheDatabase(t *testing.T) {
	t.Parallel()
	var heard []Line
	var doubts []string
	r := newTestReceiver(Config{Replica: "self"}, &heard, &doubts)
	count := func(letter byte) (n int) {
		for _, l := range heard {
			if l.Letter == letter {
				n++
			}
		}
		return n
	}
	r.receive("1 a e-1 7\nh 1 1", r.since)
	for range 3 {
		r.receive("1 - - 0\na kick\ne 1 2 {}\nh 1 2\nj 1 c {}\nb 1\na", r.since.Add(time.Hour))
	}
	r.receive("1 a e-1 8\na kick", r.since.Add(time.Hour)) // replicas command nothing
	if count('a') != 3 || len(heard) != 4 || len(doubts) != 1 {
		t.Errorf("heard %v, doubts %q; want 3 commands, 1 hint, and no doubt but that of listening", heard, doubts)
	}
	heard = nil
	r = newTestReceiver(Config{Replica: "self", Loss: 1}, &heard, nil)
	r.receive("1 - - 0\na kick", r.since)
	if count('a') != 0 {
		t.Error("a command was heard that was to be lost")
	}
}

// What this replica said is known here. Its numbers are followed all the same: what it lost, it looks for, too.
func TestReceiverSkipsOwnLines(t *testing.T) {
	t.Parallel()
	var heard []Line
	var doubts []string
	r := newTestReceiver(Config{Replica: "self"}, &heard, &doubts)
	r.receive("1 self e-1 1\ne 1 1 {}\nh nonsense", r.since)
	r.receive("1 self e-1 3\nb 1\nh 1 3", r.since)
	if r.wire.Heartbeat() != 0 {
		t.Error("a heartbeat that nobody sent was heard")
	}
	r.receive(fmt.Sprintf("1 self e-1 4\nb %d", r.wire.heartbeat.begin()), r.since)
	if len(heard) != 0 || !slices.Equal(doubts, []string{Listening, doubtHole}) {
		t.Errorf("heard %v, doubts %q", heard, doubts)
	}
	if r.wire.Heartbeat() == 0 {
		t.Error("the own heartbeat was not heard")
	}
}

func TestReceiverForgetsOnANewConnection(t *testing.T) {
	t.Parallel()
	var doubts []string
	r := newTestReceiver(Config{Replica: "self"}, nil, &doubts)
	r.receive("1 a e-1 7\nh 1 1", r.since)
	r.begin("e-2", r.since.Add(time.Hour))
	r.receive("1 a e-2 70\nh 1 1", r.since)
	if want := []string{"listening", "listening"}; !slices.Equal(doubts, want) {
		t.Errorf("doubts %q, want %q", doubts, want)
	}
}

func TestReceiverRemembersABoundedNumberOfSenders(t *testing.T) {
	t.Parallel()
	var doubts []string
	r := newTestReceiver(Config{Replica: "self"}, nil, &doubts)
	now := r.since
	for n := range 5 * maxSenders {
		r.receive(fmt.Sprintf("1 r%d e-1 1\nh 1 1", n), now)
		if len(r.replicas) > maxSenders {
			t.Fatalf("%d senders", len(r.replicas))
		}
	}
	now = now.Add(2 * forgetAfter)
	r.receive("1 new e-1 1\nh 1 1", now)
	if len(r.replicas) != 1 {
		t.Errorf("%d senders, want only the one that is not silent", len(r.replicas))
	}
	if len(doubts) != 1 {
		t.Errorf("doubts %q, want none for senders that begin", doubts)
	}
	r.receive("1 r1 e-1 2\nh 1 2", now)
	if len(doubts) != 2 || doubts[1] != doubtHole {
		t.Errorf("doubts %q, want a hole for a sender that was forgotten", doubts)
	}
}
