package fanout

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"layercake/internal/outage"
	"layercake/internal/task"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgxlisten"
	"golang.org/x/time/rate"
)

// listener hears what all replicas say, on one session after the other. pgxlisten dials again and waits; this is what it lacks: a
// deadline of LISTEN, a watchdog, and a beginning of each session.
type listener struct {
	wire      *Wire
	receivers map[Channel]*receiver
	ready     chan struct{}
	begun     func() // closes ready
	listening atomic.Bool
	outages   *outage.Log

	// Of the goroutine that listens.
	session  *session    // nil between two of them
	deadline *time.Timer // of LISTEN on all channels
	begins   int         // channels of the database that the session does not listen to yet
	watchdog *task.Task  // nil until it listens to all
}

func newListener(w *Wire) *listener {
	l := &listener{wire: w, receivers: make(map[Channel]*receiver), ready: make(chan struct{})}
	l.begun = sync.OnceFunc(func() { close(l.ready) })
	l.outages = outage.New(w.cfg.Log, "listener lost its connection, trying again", "")
	for _, channel := range channels {
		l.receivers[channel] = &receiver{
			wire: w, channel: channel, garbage: rate.Sometimes{Interval: time.Minute}, forged: rate.Sometimes{Interval: time.Minute},
		}
	}
	return l
}

// run listens until ctx ends.
func (l *listener) run(ctx context.Context) error {
	redial := l.wire.cfg.Timing.Redial
	p := &pgxlisten.Listener{
		Connect: l.connect, ReconnectDelay: redial + rand.N(redial*3/2), // replicas do not come back all together
		LogError: func(ctx context.Context, err error) { // our handlers return none: the session is over, or never began
			l.end()
			l.outages.Note(ctx, err)
		},
	}
	for channel, r := range l.receivers {
		p.Handle(channel.sealed(), handler{l, r.hearSealed})
		p.Handle(string(channel), handler{l, r.hearPlain})
	}
	defer l.end()
	if err := p.Listen(ctx); ctx.Err() == nil {
		return err
	}
	return nil
}

// connect gives pgxlisten a session. Its LISTEN has no deadline of its own, so a timer hangs up.
func (l *listener) connect(ctx context.Context) (*pgx.Conn, error) {
	l.end() // pgxlisten says nothing when a session ends together with ctx
	s, err := l.wire.dial(ctx, "listener")
	if err != nil {
		return nil, err
	}
	l.session, l.begins = s, 2*len(channels)
	l.deadline = time.AfterFunc(l.wire.cfg.Timing.Connect, s.hangUp)
	return s.Conn, nil
}

// handler is what pgxlisten calls for one channel of the database.
type handler struct {
	*listener
	hear func(n *pgconn.Notification, now time.Time)
}

// HandleNotification is called for each payload.
func (h handler) HandleNotification(_ context.Context, n *pgconn.Notification, _ *pgx.Conn) error {
	h.hear(n, time.Now())
	return nil
}

// HandleBacklog is called when the session listens to a channel, and does something when it listens to all. First the tables are looked at,
// and then what comes is trusted: what came meanwhile is still in the session. It does not fail, so pgxlisten never goes on with a session
// whose tables nobody looked at.
func (l *listener) HandleBacklog(ctx context.Context, _ string, _ *pgx.Conn) error {
	s := l.session
	if l.begins--; l.begins > 0 {
		return nil
	}
	for _, channel := range channels {
		l.receivers[channel].begin(s, time.Now())
	}
	l.deadline.Stop()
	l.wire.heartbeat.restart()
	l.listening.Store(true)
	l.wire.metrics.listenerConnects.Inc()
	l.outages.Note(ctx, nil)
	l.wire.cfg.Log.InfoContext(ctx, "listening to other replicas", "epoch", s.epoch)
	l.begun()
	l.watchdog = task.Go(ctx, func(ctx context.Context) error { l.watch(ctx, s.hangUp); return nil })
	return nil
}

// end leaves nothing of the session behind, if there is one.
func (l *listener) end() {
	if l.session == nil {
		return
	}
	l.listening.Store(false)
	l.deadline.Stop()
	_ = l.watchdog.Stop() // it does not fail
	l.session.end()
	l.session, l.watchdog = nil, nil
}

// watch is the watchdog: it hangs up on a session that does not bring the own heartbeats back. It looks twice: after this process
// stood still, what came meanwhile has yet to be read.
func (l *listener) watch(ctx context.Context, hangUp func()) {
	tick := time.NewTicker(l.wire.cfg.Timing.Heartbeat / 4)
	defer tick.Stop()
	for looks := 0; looks < 2; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if looks++; !l.wire.heartbeat.lost() {
			looks = 0
		}
	}
	l.wire.cfg.Log.WarnContext(ctx, "heartbeats do not come back, listener hangs up")
	hangUp()
}
