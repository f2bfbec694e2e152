package fanout

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"layercake/internal/outage"
	"layercake/internal/task"
)

// listener hears what all replicas say, on one session after the other, and hangs up on one that is dead.
type listener struct {
	wire      *Wire
	receivers map[Channel]*receiver
	ready     chan struct{}
	begun     func() // closes ready
	listening atomic.Bool
	outages   *outage.Log
}

func newListener(w *Wire) *listener {
	l := &listener{wire: w, receivers: make(map[Channel]*receiver), ready: make(chan struct{})}
	l.begun = sync.OnceFunc(func() { close(l.ready) })
	l.outages = outage.New(w.cfg.Log, "listener lost its connection, trying again", "")
	for _, channel := range channels {
		l.receivers[channel] = newReceiver(w, channel)
	}
	return l
}

// run listens until ctx ends.
func (l *listener) run(ctx context.Context) {
	redial := l.wire.cfg.Timing.Redial
	redial += rand.N(redial * 3 / 2)
	for {
		err := l.listen(ctx)
		if ctx.Err() != nil {
			return
		}
		l.outages.Note(ctx, err)
		wait(ctx, redial)
	}
}

// listen hears what comes on one session, until that fails or ctx ends.
func (l *listener) listen(ctx context.Context) error {
	s, err := l.wire.dial(ctx, "listener")
	if err != nil {
		return err
	}
	defer s.end()
	listenCtx, cancel := context.WithTimeout(ctx, l.wire.cfg.Timing.Connect)
	defer cancel()
	if _, err := s.Exec(listenCtx, fmt.Sprintf("listen %q; listen %q", Events, Presence)); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	// First the tables are looked at, and then what comes is trusted: what came meanwhile is still in the session.
	for _, channel := range channels {
		l.receivers[channel].begin(s.epoch, time.Now())
	}
	l.wire.heartbeat.restart()
	l.listening.Store(true)
	defer l.listening.Store(false)
	l.wire.metrics.up.Set(1)
	defer l.wire.metrics.up.Set(0)
	l.wire.metrics.listenerConnects.Inc()
	l.outages.Note(ctx, nil)
	l.wire.cfg.Log.InfoContext(ctx, "listening to other replicas", "epoch", s.epoch)
	l.begun()

	watchdog := task.Go(ctx, func(ctx context.Context) error { l.watch(ctx, s.hangUp); return nil })
	defer func() { _ = watchdog.Stop() }()
	for {
		n, err := s.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		l.receivers[Channel(n.Channel)].receive(n.Payload, time.Now())
	}
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
