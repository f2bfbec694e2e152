// Package fanout carries lines between replicas over LISTEN/NOTIFY, at most once: one listener, one publisher.
//
// What a line says is its topic's: a part of the server hands in a Topic, and what it publishes is heard by the same part of every other
// replica. The wire numbers payloads, packs lines into them, carries them, and knows when some may be missing.
//
// A line is lost when a connection breaks, when the publisher's queue is full, when a fault test asks for it. That is
// no error: the truth is in the tables, and the wire only makes looking at them cheap. What it does promise is to know.
// Payloads are numbered by their sender; whatever may not have arrived used up a number; and a heartbeat follows within
// a second. So each replica that listens sees the hole, and a replica that did not listen is told so when it does again.
// (Only a replica that dies takes its queue with it unseen: whoever needs every line looks at the tables now and then.)
//
//	Publish ─> queue ─> publisher ─> pg_notify ┄┄> listener ─> receiver ─> Topic.Hear
//	                        ^ heartbeat             ^ watchdog      └───> Topic.Doubt: look at the tables
package fanout

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"layercake/internal/postgres"
	"layercake/internal/task"
	"layercake/internal/testsignal"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
)

// Channel is where replicas speak to each other. Each has numbers and a queue of its own, so that much talk on one does not delay the
// other, and a hole in one is no reason for doubt in the other.
//
// The name is that of a channel of the database, where payloads are plain: those of the database itself, and those of replicas of the
// release before. What replicas of this release say is sealed, on a channel beside it, and while one of the release before lives it is said
// on both.
type Channel string

// The channels, by what is said there. Every replica listens to both.
const (
	Events   Channel = "layercake_events"
	Presence Channel = "layercake_presence"
)

var channels = [...]Channel{Events, Presence}

// sealed names the channel of the database where payloads are sealed.
func (c Channel) sealed() string {
	return strings.Replace(string(c), "layercake", "layercake_sealed", 1)
}

// Line is one item of a payload: a line of text that only its topic understands.
type Line struct {
	Letter byte           // which topic the line belongs to, and what it means there
	Text   string         // what follows the letter and a blank; of a line that was heard it is a part of the payload: clone what is kept
	Epoch  postgres.Epoch // the history in which the line is true; empty for one to publish that is true in any

	// What Topic.Hint is called with, of this line and of the hint. Lines that were heard have neither.
	Project int32
	Version int64
}

// Topic is what one part of the server says to the same part of other replicas. None of its functions may block.
type Topic struct {
	Channel Channel
	Kinds   map[byte]string // the letters, which no other topic has, each with the kind of its lines in the metrics

	// Hear is called on the listening goroutine for each line from another replica. Own lines do not come back. An error says that the line
	// is malformed. A line of a letter that no topic has is skipped: a newer replica may run beside this one.
	Hear func(Line) error
	// FromDatabase says that functions in the database say these lines, in their own transactions, and no replica does: Hear is
	// called for those only. Nobody notices when one is lost.
	FromDatabase bool
	// Doubt is called when lines of the channel may have been missed: look at the tables. Reasons are Listening (a connection listens
	// from now on), "hole" (in a sender's numbers), "format" (a newer replica spoke), "epoch" (a sender writes to another history), "former"
	// (a replica of the release before began), "panic" (Hear panicked) and those of Invalidate. They can come in quick succession, on any
	// goroutine: combine them.
	// Nil for a topic that looks often enough.
	Doubt func(reason string)
	// Hint returns the line that can stand for all lines about a project up to a version: for one that finds no room, may not have arrived,
	// or is of another history than the one that is published to by then. Nil when there is none: such lines are lost, and all doubt.
	// It only computes: it is called holding the mutex of a queue.
	Hint func(project int32, version int64) Line
}

// Wire carries lines to the other replicas and from them: at most once, and in no promised order between replicas.
type Wire struct {
	cfg       Config
	metrics   *metrics
	guard     *task.Guard // of topics
	topics    []*Topic
	letters   [256]*letter
	invalid   []error // what Handle found wrong with topics; Run returns it
	publisher *publisher
	listener  *listener
	heartbeat *heartbeat
	stepped   testsignal.Signal // the publisher connected, sent or failed, or a heartbeat came back
}

// letter is one of a topic's letters, with the counters of its lines.
type letter struct {
	*Topic
	sent, heard prometheus.Counter // sent is nil when the database says these lines
}

// Config says where a Wire goes.
type Config struct {
	URL     string  // direct and read-write; not through a transaction pooler
	Replica string  // this replica's incarnation id, in every header: up to 64 printable ASCII characters, no blanks
	Loss    float64 // share of payloads dropped before sending, or of the database's when heard, for fault tests: 0 to 1; heartbeats never are
	// Former reports whether a replica of the release before lives, which speaks and hears plain payloads. Nil when none ever does.
	Former  func() bool
	Log     *slog.Logger
	Metrics prometheus.Registerer // nil: not registered
	Timing  Timing                // zero for DefaultTiming
}

// New prepares a wire and registers its metrics. It starts nothing.
func New(cfg Config) *Wire {
	cfg.Log = cmp.Or(cfg.Log, slog.New(slog.DiscardHandler))
	cfg.Timing = cmp.Or(cfg.Timing, DefaultTiming)
	if cfg.Former == nil {
		cfg.Former = func() bool { return false }
	}
	w := &Wire{
		cfg: cfg, guard: task.NewGuard(cfg.Log, cfg.Metrics, "wire"),
		heartbeat: &heartbeat{start: time.Now(), silence: cfg.Timing.Silence},
	}
	w.publisher = newPublisher(w)
	w.listener = newListener(w)
	w.metrics = newMetrics(cfg.Metrics, w) // last: from now on somebody may ask w for them
	return w
}

// Handle adds a topic, before Run. Run fails when it is not complete, or when another topic has one of its letters.
func (w *Wire) Handle(t Topic) {
	if t.Hear == nil || len(t.Kinds) == 0 || t.Channel != Events && t.Channel != Presence {
		w.invalid = append(w.invalid, fmt.Errorf("topic %q: want a channel, letters, and Hear", t.Kinds))
		return
	}
	w.topics = append(w.topics, &t)
	for c, kind := range t.Kinds {
		if c <= ' ' || c > '~' || c == letterHeartbeat || w.letters[c] != nil {
			w.invalid = append(w.invalid, fmt.Errorf("letter %q is taken, or none", c))
			continue
		}
		w.letters[c] = &letter{Topic: &t, heard: w.metrics.lines.WithLabelValues(kind, "received")}
		if !t.FromDatabase {
			w.letters[c].sent = w.metrics.lines.WithLabelValues(kind, "sent")
		}
	}
}

// hint returns the line that can stand for another one, or that one and false when there is none.
func (w *Wire) hint(l Line) (Line, bool) {
	t := w.letters[l.Letter]
	if t.Hint == nil {
		return l, false
	}
	return t.Hint(l.Project, l.Version), true
}

// Publish tells the other replicas something, on the channel of the letter's topic, which must be handled. It never waits and never
// fails: a line over 5,700 bytes, of more than one line, or that is no text goes as a hint, and so does one that finds no room, whose
// statement fails, or that is of another history than the one that is published to by then: after a failover its version means another
// event there. Without a hint the line is lost, which listeners notice. Safe for concurrent use.
func (w *Wire) Publish(l Line) {
	w.publisher.senders[w.letters[l.Letter].Channel].add(l)
}

// Invalidate makes every topic of every replica look at the tables, those of this one at once and the others within about a heartbeat:
// something happened that no line can say. It never waits. It uses up a number of each channel, as a line that was lost does.
func (w *Wire) Invalidate(reason string) {
	for channel, s := range w.publisher.senders {
		w.doubt(channel, reason)
		s.leaveHole()
	}
}

func (w *Wire) doubt(channel Channel, reason string) {
	for _, t := range w.topics {
		if t.Channel == channel && t.Doubt != nil {
			t.Doubt(reason)
		}
	}
}

// Run listens and publishes until ctx ends, through any failure of the database, then sends what is queued, for 3 s at
// most, and returns nil when everything that it started has ended. It returns an error at once when the configuration
// is wrong. Run is called once.
func (w *Wire) Run(ctx context.Context) error {
	if err := w.check(); err != nil {
		return fmt.Errorf("fanout: %w", err)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return w.listener.run(ctx) })
	g.Go(func() error { w.publisher.run(ctx); return nil })
	return g.Wait()
}

func (w *Wire) check() error {
	errs := w.invalid
	unfit := func(r rune) bool { return r <= ' ' || r > '~' }
	if r := w.cfg.Replica; r == "" || len(r) > maxReplica || strings.ContainsFunc(r, unfit) {
		errs = append(errs, fmt.Errorf("replica %q: want 1 to %d printable ASCII characters without blanks", r, maxReplica))
	}
	if !(w.cfg.Loss >= 0 && w.cfg.Loss <= 1) {
		errs = append(errs, fmt.Errorf("loss %v: want a share from 0 to 1", w.cfg.Loss))
	}
	if _, err := w.cfg.parse(""); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Ready is closed once the wire listens for the first time and topics were told of it.
func (w *Wire) Ready() <-chan struct{} { return w.listener.ready }

// Listening reports whether the wire listens now.
func (w *Wire) Listening() bool { return w.listener.listening.Load() }

// Heartbeat returns how long the last heartbeat took to come back through the database, or 0 when none did on this connection.
func (w *Wire) Heartbeat() time.Duration { return w.heartbeat.last() }
