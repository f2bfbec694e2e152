package fanout

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/time/rate"
)

// newTestInbox listens since a fixed time in epoch "e-1" and collects what it tells, where that is not nil.
func newTestInbox(events *[]Event, doubts *[]string) *inbox {
	i := &inbox{
		onEvent: func(e Event) {
			if events != nil {
				*events = append(*events, e)
			}
		},
		onDoubt: func(reason string) {
			if doubts != nil {
				*doubts = append(*doubts, reason)
			}
		},
		onPresence: func(Presence) {},
		onCommand:  func() {},
		onBeat:     func(string, int64) {},
		self:       "self",
		log:        slog.New(slog.DiscardHandler),
		metrics:    newMetrics(nil, func() float64 { return 0 }),
		garbage:    rate.Sometimes{Interval: time.Minute},
	}
	i.open("e-1", time.Unix(1_800_000_000, 0))
	return i
}

func TestInboxDoubts(t *testing.T) {
	t.Parallel()
	type heard struct {
		after   time.Duration // since the inbox was opened
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
		{"a malformed line", []heard{{0, "1 a e-1 1\nh x\nh 1 1"}, {0, "1 a e-1 2\nh 1 2"}}, ""},
		{"an unknown line", []heard{{0, "1 a e-1 1\nq 1\nh 1 1"}, {0, "1 a e-1 2\nh 1 2"}}, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var events []Event
			var doubts []string
			i := newTestInbox(&events, &doubts)
			want := 0
			for _, h := range c.heard {
				i.receive(h.payload, i.since.Add(h.after))
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
func TestInboxTakesOnlyCommandsFromTheDatabase(t *testing.T) {
	t.Parallel()
	var events []Event
	var doubts []string
	i := newTestInbox(&events, &doubts)
	commands := 0
	i.onCommand = func() { commands++ }
	i.receive("1 a e-1 7\nh 1 1", i.since)
	for range 3 {
		i.receive("1 - - 0\na kick\ne 1 2 {}\nh 1 2\nj 1 c {}\nb 1\na", i.since.Add(time.Hour))
	}
	i.receive("1 a e-1 8\na kick", i.since.Add(time.Hour)) // replicas command nothing
	if commands != 3 || len(events) != 1 || len(doubts) != 1 {
		t.Errorf("%d commands, %d events, doubts %q; want 3, 1 and none but that of listening", commands, len(events), doubts)
	}
	i.loss = 1
	i.receive("1 - - 0\na kick", i.since)
	if commands != 3 {
		t.Error("a command was heard that was to be lost")
	}
}

func TestInboxForgetsOnANewConnection(t *testing.T) {
	t.Parallel()
	var doubts []string
	i := newTestInbox(nil, &doubts)
	i.receive("1 a e-1 7\nh 1 1", i.since)
	i.open("e-2", i.since.Add(time.Hour))
	i.receive("1 a e-2 70\nh 1 1", i.since)
	if want := []string{"listening", "listening"}; !slices.Equal(doubts, want) {
		t.Errorf("doubts %q, want %q", doubts, want)
	}
}

func TestInboxRemembersABoundedNumberOfSenders(t *testing.T) {
	t.Parallel()
	var doubts []string
	i := newTestInbox(nil, &doubts)
	now := i.since
	for n := range 5 * maxSenders {
		i.receive(fmt.Sprintf("1 r%d e-1 1\nh 1 1", n), now)
		if len(i.senders) > maxSenders {
			t.Fatalf("%d senders", len(i.senders))
		}
	}
	now = now.Add(2 * forgetAfter)
	i.receive("1 new e-1 1\nh 1 1", now)
	if len(i.senders) != 1 {
		t.Errorf("%d senders, want only the one that is not silent", len(i.senders))
	}
	if len(doubts) != 1 {
		t.Errorf("doubts %q, want none for senders that begin", doubts)
	}
	i.receive("1 r1 e-1 2\nh 1 2", now)
	if len(doubts) != 2 || doubts[1] != doubtHole {
		t.Errorf("doubts %q, want a hole for a sender that was forgotten", doubts)
	}
}
