// Package fanout carries lines between replicas over LISTEN/NOTIFY, at most once: one listener, one publisher.
//
// A line is lost when a connection breaks, when the publisher's queue is full, when a fault test asks for it. That is
// no error: the truth is in the tables, and the wire only makes looking at them cheap. What it does promise is to know.
// Payloads are numbered by their sender; whatever may not have arrived used up a number; and a heartbeat follows within
// a second. So each replica that listens sees the hole, and a replica that did not listen is told so when it does again.
// (Only a replica that dies takes its queue with it unseen: whoever needs events looks at the tables now and then.)
//
//	Publish ─> outbox ─> publisher ─> pg_notify ┄┄> listener ─> inbox ─> OnEvent
//	                        ^ heartbeat             ^ watchdog     └───> OnDoubt: sweep
package fanout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
)

// Where replicas tell each other about events, and about the people who are connected to them.
const (
	channelEvents   = "layercake_events"
	channelPresence = "layercake_presence"
)

// Wire tells the other replicas what happened on this one, and hears them: at most once, in no promised order between
// replicas. Whoever needs every event reads the log; the wire only says that there is something to read.
type Wire struct {
	cfg       Config
	metrics   *metrics
	events    *outbox
	presence  *outbox
	publisher *publisher
	listener  *listener
	beats     *pulse
	epoch     atomic.Value // string
}

// Config says where a Wire goes, and whom it tells.
type Config struct {
	URL     string  // direct and read-write; not through a transaction pooler
	Replica string  // this replica's incarnation id, in every header: up to 64 printable ASCII characters, no blanks
	Loss    float64 // share of payloads dropped before sending, or of the database's when heard, for fault tests: 0 to 1; heartbeats never are
	Log     *slog.Logger
	Metrics prometheus.Registerer // nil: not registered
	// OnEvent is called for each event and hint, the own ones included, on the listening goroutine: it must not block.
	OnEvent func(Event)
	// OnDoubt is called when something may have been missed: look at the tables. Reasons are "listening" (a connection
	// listens from now on), "hole" (in a sender's numbers), "format" (a newer replica spoke) and "epoch" (a sender
	// writes to another history). They can come in quick succession: combine them. Same rule as for OnEvent.
	OnDoubt func(reason string)
	// OnPresence and OnPresenceDoubt are the same for what is said about connections. Both are nil, or none.
	OnPresence      func(Presence)
	OnPresenceDoubt func(reason string)
	// OnCommand is called when a DBA commanded something: look at the table. Same rule as for OnEvent. It may be nil.
	OnCommand func()
}

// Event says that a project has reached a version, and by what.
type Event struct {
	Epoch   string // of the history that it belongs to
	Project int32
	Version int64
	Body    []byte // nil for a hint
}

// Kind says what happened to a connection.
type Kind byte

// The kinds of what is said about connections.
const (
	Joined  Kind = 'j' // it is in the project, where the body says
	Moved   Kind = 'c' // its cursor is where the body says
	Left    Kind = 'l' // it is not in the project any more
	Noticed Kind = 'n' // somebody who has none came or went, as the body says
)

// Presence is something about a connection. The wire does not look into the body.
type Presence struct {
	Kind       Kind
	Project    int32
	Connection string // 1 to 64 characters without blanks
	Body       []byte
	Own        bool // this replica said it
}

// New prepares a wire and registers its metrics. It starts nothing.
func New(cfg Config) *Wire {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.OnPresence == nil && cfg.OnPresenceDoubt == nil {
		cfg.OnPresence, cfg.OnPresenceDoubt = func(Presence) {}, func(string) {}
	}
	if cfg.OnCommand == nil {
		cfg.OnCommand = func() {}
	}
	w := &Wire{cfg: cfg, events: newOutbox(), presence: newPresenceOutbox()}
	w.epoch.Store("")
	w.metrics = newMetrics(cfg.Metrics, func() float64 { return float64(w.events.len() + w.presence.len()) })
	w.beats = &pulse{start: time.Now()}
	w.publisher = &publisher{
		cfg: &w.cfg, metrics: w.metrics, pulse: w.beats, onEpoch: w.setEpoch,
		events:   newLane(channelEvents, w.events, cfg.Replica),
		presence: newLane(channelPresence, w.presence, cfg.Replica),
	}
	w.listener = newListener(&w.cfg, w.metrics, w.beats, w.setEpoch)
	return w
}

// Publish tells the other replicas of an event. It never waits and never fails. The body must not change afterwards; nil, or one
// over 2,000 bytes or with a newline, goes as a hint, and so does one of another history than the one that is published to by then:
// after a failover the number means another event there. Safe for concurrent use.
func (w *Wire) Publish(e Event) {
	l := line{kind: kindHint, project: e.Project, version: e.Version}
	if fits(e.Body, maxBody) {
		l.kind, l.epoch, l.body = kindEvent, e.Epoch, e.Body
	}
	if !w.events.add(l) {
		w.metrics.dropped.Inc()
	}
}

// PublishPresence tells the other replicas about a connection. It never waits and never fails: lines that find no room, that
// are over 7,000 bytes or of more than one line, or whose statement fails are lost, which listeners are told by
// OnPresenceDoubt. The body must not change afterwards. Safe for concurrent use.
func (w *Wire) PublishPresence(p Presence) {
	l := line{kind: byte(p.Kind), project: p.Project, about: p.Connection, body: p.Body}
	switch {
	case !fits(p.Body, maxPresence):
		w.presence.lose(1)
		w.metrics.dropped.Inc()
	case !w.presence.add(l):
		w.metrics.dropped.Inc()
	}
}

// Invalidate makes every replica look at the tables within about a heartbeat: something happened that no line can say. It never
// waits. It uses up a number of each channel, as a line that was lost does.
func (w *Wire) Invalidate() {
	w.events.lose(1)
	w.presence.lose(1)
}

// Run listens and publishes until ctx ends, through any failure of the database, then sends what is queued, for 3 s at
// most, and returns nil when everything that it started has ended. It returns an error at once when the configuration
// is wrong. Run is called once.
func (w *Wire) Run(ctx context.Context) error {
	if err := w.cfg.check(); err != nil {
		return fmt.Errorf("fanout: %w", err)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return w.listener.run(ctx) })
	g.Go(func() error { w.listener.watch(ctx); return nil })
	g.Go(func() error { w.publisher.run(ctx); return nil })
	return g.Wait()
}

func (c *Config) check() error {
	var errs []error
	unfit := func(r rune) bool { return r <= ' ' || r > '~' }
	if c.Replica == "" || len(c.Replica) > maxReplica || strings.ContainsFunc(c.Replica, unfit) {
		errs = append(errs,
			fmt.Errorf("replica %q: want 1 to %d printable ASCII characters without blanks", c.Replica, maxReplica))
	}
	if !(c.Loss >= 0 && c.Loss <= 1) {
		errs = append(errs, fmt.Errorf("loss %v: want a share from 0 to 1", c.Loss))
	}
	if c.OnEvent == nil || c.OnDoubt == nil {
		errs = append(errs, errors.New("OnEvent and OnDoubt must be set"))
	}
	if c.OnPresence == nil || c.OnPresenceDoubt == nil {
		errs = append(errs, errors.New("OnPresence and OnPresenceDoubt are set together"))
	}
	if _, err := c.parse(""); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Ready is closed once the wire listens for the first time and OnDoubt was called for it.
func (w *Wire) Ready() <-chan struct{} { return w.listener.ready }

// Listening reports whether the wire listens now.
func (w *Wire) Listening() bool { return w.listener.listening.Load() }

// Heartbeat returns how long the last heartbeat took to come back through the database, or 0 when none did on this connection.
func (w *Wire) Heartbeat() time.Duration { return w.beats.last() }

// Epoch returns the epoch that the newest connection read, or "" before the first.
func (w *Wire) Epoch() string { return w.epoch.Load().(string) }

func (w *Wire) setEpoch(epoch string) { w.epoch.Store(epoch) }
