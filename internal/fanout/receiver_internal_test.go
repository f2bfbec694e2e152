package fanout

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
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
	r.begin(&session{epoch: "e-1", sealer: testSealer("key")}, time.Unix(1_800_000_000, 0))
	return r
}

func testSealer(key string) *sealer {
	sum := sha256.Sum256([]byte(key))
	s, err := newSealer(sum[:])
	if err != nil {
		panic(err)
	}
	return s
}

// always is for replicas beside one of the release before.
func always() bool { return true }

// sayPlain hears a payload that is not sealed.
func (r *receiver) sayPlain(payload string, now time.Time) {
	r.hearPlain(&pgconn.Notification{PID: 1, Payload: payload}, now)
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
		want  string // of what is sealed
		plain string // of what is not, from a replica of the release before, where that differs
		late  int    // payloads that are not heard when they are sealed
	}{
		{"consecutive", []heard{{0, "1 a e-1 7\nh 1 1"}, {0, "1 a e-1 8\nh 1 2"}, {0, "1 a e-1 9\nh 1 3"}}, "", "", 0},
		{"a number is missing", []heard{{0, "1 a e-1 7\nh 1 1"}, {0, "1 a e-1 9\nh 1 3"}, {0, "1 a e-1 10\nh 1 4"}}, "hole", "", 0},
		{"senders count by themselves", []heard{{0, "1 a e-1 7\nh 1 1"}, {0, "1 b e-1 1\nh 1 2"}, {0, "1 a e-1 8\nh 1 3"}}, "", "", 0},
		{"a late payload", []heard{{0, "1 a e-1 7\nh 1 1"}, {0, "1 a e-1 6\nh 1 1"}, {0, "1 a e-1 8\nh 1 2"}}, "", "hole hole", 1},
		{"a sender that began anew", []heard{{0, "1 a e-1 7\nh 1 1"}, {0, "1 a e-1 1\nh 1 2"}, {0, "1 a e-1 2\nh 1 3"}}, "", "hole", 2},
		{"a sender that begins later", []heard{{time.Hour, "1 a e-1 1\nh 1 1"}, {time.Hour, "1 a e-1 2\nh 1 2"}}, "", "", 0},
		{"a sender whose beginning was lost", []heard{{time.Hour, "1 a e-1 2\nh 1 2"}, {time.Hour, "1 a e-1 3\nh 1 3"}}, "hole", "", 0},
		{"another epoch", []heard{{0, "1 a e-2 1\nh 1 1"}}, "epoch", "", 0},
		{"another format", []heard{{0, "2 something else"}}, "format", "", 0},
		{"nothing that we said", []heard{{0, "hello"}, {0, ""}, {0, "1 a e-1"}}, "", "", 0},
		{"a malformed line", []heard{{0, "1 a e-1 1\nh nonsense\nh 1 1"}, {0, "1 a e-1 2\nh 1 2"}}, "", "", 0},
		{"an unknown line", []heard{{0, "1 a e-1 1\nq 1\nh 1 1"}, {0, "1 a e-1 2\nh 1 2"}}, "", "", 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, plain := range []bool{false, true} {
				var events []Line
				var doubts []string
				r := newTestReceiver(Config{Replica: "self", Former: always}, &events, &doubts)
				say, wantDoubts, want := r.receive, c.want, -c.late
				if plain {
					say, wantDoubts, want = r.sayPlain, cmp.Or(c.plain, c.want), 0
				}
				for _, h := range c.heard {
					say(h.payload, r.since.Add(h.after))
					want += strings.Count(h.payload, "\nh 1 ")
				}
				if got := strings.Join(doubts[1:], " "); got != wantDoubts {
					t.Errorf("plain %t: doubts %q, want %q", plain, got, wantDoubts)
				}
				if len(events) != want {
					t.Errorf("plain %t: %d events, want %d: a doubt is no reason to keep one back", plain, len(events), want)
				}
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
		r.sayPlain("1 - - 0\na kick\ne 1 2 {}\nh 1 2\nj 1 c {}\nb 1\na", r.since.Add(time.Hour))
	}
	r.receive("1 a e-1 8\na kick", r.since.Add(time.Hour)) // replicas command nothing
	r.receive("1 - - 0\na kick", r.since.Add(time.Hour))   // and are not the database
	if count('a') != 3 || len(heard) != 4 || len(doubts) != 1 {
		t.Errorf("heard %v, doubts %q; want 3 commands, 1 hint, and no doubt but that of listening", heard, doubts)
	}
	heard = nil
	r = newTestReceiver(Config{Replica: "self", Loss: 1}, &heard, nil)
	r.sayPlain("1 - - 0\na kick", r.since)
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
	r.begin(&session{epoch: "e-2"}, r.since.Add(time.Hour))
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
		now = now.Add(time.Millisecond) // so that it is known which was silent for longest
		r.receive(fmt.Sprintf("1 r%d e-1 1\nh 1 1", n), now)
		if len(r.sealed) > maxSenders {
			t.Fatalf("%d senders", len(r.sealed))
		}
	}
	if len(doubts) != 1 {
		t.Errorf("doubts %q, want none for senders that begin", doubts)
	}
	now = now.Add(time.Hour)
	r.receive("1 r1 e-1 2\nh 1 2", now) // r1 was forgotten, the last one was not
	last := fmt.Sprintf("1 r%d e-1 ", 5*maxSenders-1)
	r.receive(last+"1\nh 1 1", now)
	r.receive(last+"2\nh 1 2", now)
	if len(doubts) != 2 || doubts[1] != doubtHole || testutil.ToFloat64(r.wire.metrics.heardRepeated) != 1 {
		t.Errorf("doubts %q, want a hole for the sender that was forgotten", doubts)
	}
}

// What is not sealed has no effect, unless a replica of the release before lives. Then it is heard as before, but in the name of no replica
// that seals.
func TestReceiverOfPlainPayloads(t *testing.T) {
	t.Parallel()
	payloads := []string{
		"1 a e-1 7\nh 1 1", "1 a e-1 9\nh 1 2", "1 b other-1 1\nh 1 3", "2 a newer format", "hello", "1 self e-1 5\nb 1\nh 1 4", "1 seals e-1 9\nh 1 5",
	}
	for name, c := range map[string]struct {
		former func() bool
		heard  int
		doubts string
		plain  float64
	}{
		"all are of this release":         {nil, 0, "", 7},
		"one of the release before lives": {always, 3, "hole epoch format", 2},
	} {
		var heard []Line
		var doubts []string
		var log bytes.Buffer
		r := newTestReceiver(Config{Replica: "self", Former: c.former, Log: slog.New(slog.NewTextHandler(&log, nil))}, &heard, &doubts)
		r.receive("1 seals e-1 3\ne 1 1 {}", r.since)
		for _, payload := range payloads {
			r.sayPlain(payload, r.since)
		}
		r.receive("1 seals e-1 4\ne 1 2 {}", r.since)
		got := strings.Join(doubts[1:], " ")
		if plain := testutil.ToFloat64(r.wire.metrics.heardPlain); len(heard) != c.heard+2 || got != c.doubts || plain != c.plain {
			t.Errorf("%s: heard %v, doubts %q, %v skipped; want %d beside 2, %q, %v", name, heard, got, plain, c.heard, c.doubts, c.plain)
		}
		if quiet := log.Len() == 0; quiet != (c.former == nil) {
			t.Errorf("%s: logged %q", name, &log)
		}
		// A name that was made up first is that of a replica that seals, once it does.
		r.sayPlain("1 late e-1 1000\nh 2 1", r.since)
		heard = nil
		r.receive("1 late e-1 1\ne 2 1 {}", r.since)
		r.sayPlain("1 late e-1 2\nh 2 9", r.since)
		if len(heard) != 1 || heard[0].Letter != 'e' || strings.Join(doubts[1:], " ") != c.doubts {
			t.Errorf("%s: heard %v, doubts %q, of a replica whose name somebody took", name, heard, doubts)
		}
	}
}

// Whatever a listener hears that no replica sealed for this channel and session has no effect but to be counted, and one warning.
func TestReceiverOpensWhatReplicasSealed(t *testing.T) {
	t.Parallel()
	var heard []Line
	var doubts []string
	var log bytes.Buffer
	r := newTestReceiver(Config{Replica: "self", Log: slog.New(slog.NewTextHandler(&log, nil))}, &heard, &doubts)
	ours, payload := testSealer("key"), "1 a e-1 1\ne 1 1 {}"
	say := func(pid uint32, sealed string) {
		r.hearSealed(&pgconn.Notification{PID: pid, Payload: sealed}, r.since)
	}
	first := ours.seal(Events, 7, payload)
	say(7, first)
	if len(heard) != 1 {
		t.Fatalf("heard %v, want a line", heard)
	}
	if again := ours.seal(Events, 7, payload); again == first || len(first) != sealedBytes(len(payload)) {
		t.Errorf("sealed as %q, and again as %q", first, again)
	}
	if n := sealedBytes(maxPayload); n > 7999 {
		t.Errorf("the largest payload has %d bytes when it is sealed, and Postgres takes 7999", n)
	}
	other := "B" // than what begins it now, which is a part of a random number
	if first[0] == 'B' {
		other = "C"
	}
	forgeries := []struct {
		pid    uint32
		sealed string
	}{
		{8, first},
		{7, ours.seal(Presence, 7, payload)},
		{7, testSealer("another key").seal(Events, 7, payload)},
		{7, first[:len(first)-4]},
		{7, other + first[1:]},
		{7, payload},
		{7, strings.Repeat("x", 7999)},
		{7, ""},
		{7, "AAAA"},
	}
	for _, f := range forgeries {
		say(f.pid, f.sealed)
	}
	if n := testutil.ToFloat64(r.wire.metrics.heardForged); len(heard) != 1 || len(doubts) != 1 || n != float64(len(forgeries)) {
		t.Errorf("heard %v, doubts %q, %v forged of %d", heard, doubts, n, len(forgeries))
	}
	if n := strings.Count(log.String(), "\n"); n != 1 {
		t.Errorf("%d warnings, want one a minute:\n%s", n, &log)
	}
	say(7, first) // another session got the process id of the publisher
	if n := testutil.ToFloat64(r.wire.metrics.heardRepeated); len(heard) != 1 || len(doubts) != 1 || n != 1 {
		t.Errorf("heard %v, doubts %q, %v repeated: a number was taken twice", heard, doubts, n)
	}
}

// A topic that panics costs its own line, and a look at the tables: the rest of the payload is heard, and the next one is.
func TestTopicThatPanicsDoubts(t *testing.T) {
	t.Parallel()
	var heard, doubts []string
	registry := prometheus.NewRegistry()
	w := New(Config{Metrics: registry})
	w.Handle(Topic{Channel: Events, Kinds: map[byte]string{'e': "event"}, Hear: func(l Line) error {
		if l.Text == "boom" {
			panic(l.Text)
		}
		heard = append(heard, l.Text)
		return nil
	}, Doubt: func(reason string) { doubts = append(doubts, reason) }})
	r := w.listener.receivers[Events]
	now := time.Now()
	r.begin(&session{epoch: "e-1"}, now)
	r.receive("1 a e-1 7\ne one\ne boom\ne two", now)
	r.receive("1 a e-1 8\ne three", now)
	if !slices.Equal(heard, []string{"one", "two", "three"}) || !slices.Equal(doubts, []string{"listening", "panic"}) {
		t.Errorf("heard %q, doubted %q", heard, doubts)
	}
	const want = `# HELP layercake_panics_total Panics, each of which ended what it was about and nothing else.
# TYPE layercake_panics_total counter
layercake_panics_total{where="wire"} 1
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "layercake_panics_total"); err != nil {
		t.Error(err)
	}
}
