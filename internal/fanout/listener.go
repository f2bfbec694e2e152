package fanout

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgxlisten"
	"golang.org/x/time/rate"
)

// listener hears what all replicas say. pgxlisten dials again and waits; this is what it lacks: deadlines, a watchdog,
// a beginning.
type listener struct {
	cfg     *Config
	metrics *metrics
	pulse   *pulse
	onEpoch func(string)
	inboxes map[string]*inbox // by channel

	ready     chan struct{}
	listening atomic.Bool

	// of the goroutine that listens
	opening *time.Timer // hangs up when LISTEN is not answered
	opened  int         // channels that are listened to
	failing bool        // the log knows

	mu   sync.Mutex
	conn *conn
}

func newListener(cfg *Config, m *metrics, beats *pulse, onEpoch func(string)) *listener {
	l := &listener{cfg: cfg, metrics: m, pulse: beats, onEpoch: onEpoch, ready: make(chan struct{})}
	open := func(onDoubt func(string), onBeat func(string, int64)) *inbox {
		return &inbox{
			onEvent: cfg.OnEvent, onPresence: cfg.OnPresence, onCommand: cfg.OnCommand, onDoubt: onDoubt, onBeat: onBeat,
			self: cfg.Replica, loss: cfg.Loss, log: cfg.Log, metrics: m, garbage: rate.Sometimes{Interval: time.Minute},
		}
	}
	l.inboxes = map[string]*inbox{
		channelEvents: open(cfg.OnDoubt, func(replica string, nanos int64) {
			if replica == cfg.Replica {
				m.heartbeat.Observe(beats.returned(nanos).Seconds())
			}
		}),
		// One heartbeat is enough to watch the connection by. Those of this channel only end a sequence, so that holes are seen.
		channelPresence: open(cfg.OnPresenceDoubt, func(string, int64) {}),
	}
	return l
}

// run listens until ctx ends.
func (l *listener) run(ctx context.Context) error {
	p := &pgxlisten.Listener{
		Connect:        l.connect,
		LogError:       l.lost,
		ReconnectDelay: 100*time.Millisecond + rand.N(150*time.Millisecond), // replicas do not come back all together
	}
	for channel := range l.inboxes {
		p.Handle(channel, l)
	}
	defer l.end()
	if err := p.Listen(ctx); ctx.Err() == nil {
		return err
	}
	return nil
}

// connect gives pgxlisten a session. Its LISTEN has no deadline: the timer is one.
func (l *listener) connect(ctx context.Context) (*pgx.Conn, error) {
	l.end()
	c, err := l.cfg.dial(ctx, "listener")
	if err != nil {
		return nil, err
	}
	l.onEpoch(c.epoch)
	l.opening, l.opened = time.AfterFunc(connectTimeout, c.hangUp), 0
	l.mu.Lock()
	l.conn = c
	l.mu.Unlock()
	return c.Conn, nil
}

// HandleBacklog is called when the session listens to a channel: then sweep, then trust. It cannot fail, so that pgxlisten
// never goes on with a session that was not swept for.
func (l *listener) HandleBacklog(ctx context.Context, channel string, _ *pgx.Conn) error {
	epoch := l.current().epoch
	l.inboxes[channel].open(epoch, time.Now())
	if l.opened++; l.opened < len(l.inboxes) {
		return nil
	}
	l.opening.Stop()
	l.pulse.restart()
	l.listening.Store(true)
	l.metrics.up.Set(1)
	l.metrics.listenerConnects.Inc()
	l.cfg.Log.InfoContext(ctx, "listening to other replicas", "epoch", epoch)
	l.failing = false
	select {
	case <-l.ready:
	default:
		close(l.ready)
	}
	return nil
}

// HandleNotification is called for each payload.
func (l *listener) HandleNotification(_ context.Context, n *pgconn.Notification, _ *pgx.Conn) error {
	l.inboxes[n.Channel].receive(n.Payload, time.Now())
	return nil
}

// lost is called with the error that ended a session, or kept one from beginning; our handlers return none.
func (l *listener) lost(ctx context.Context, err error) {
	l.end()
	if ctx.Err() == nil && !l.failing {
		l.failing = true // once an outage, not four times a second
		l.cfg.Log.WarnContext(ctx, "listener lost its connection, trying again", "error", err)
	}
}

func (l *listener) current() *conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conn
}

// end leaves nothing of the session behind.
func (l *listener) end() {
	l.listening.Store(false)
	l.metrics.up.Set(0)
	l.mu.Lock()
	c := l.conn
	l.conn = nil
	l.mu.Unlock()
	if c != nil {
		l.opening.Stop()
		c.end()
	}
}

// watch is the watchdog: it hangs up on a session that does not bring the own heartbeats back. It looks twice: after this process
// stood still, what came meanwhile has yet to be read.
func (l *listener) watch(ctx context.Context) {
	tick := time.NewTicker(beatInterval / 4)
	defer tick.Stop()
	overdue := false // at the last look
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		before := overdue
		if overdue = l.listening.Load() && l.pulse.lost(); !overdue || !before {
			continue
		}
		overdue = false
		l.cfg.Log.WarnContext(ctx, "heartbeats do not come back, listener hangs up")
		l.pulse.restart()
		if c := l.current(); c != nil {
			c.hangUp()
		}
	}
}
