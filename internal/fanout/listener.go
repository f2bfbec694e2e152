package fanout

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// listener hears what all replicas say, on one session after the other, and hangs up on one that is dead.
type listener struct {
	wire      *Wire
	receivers map[Channel]*receiver
	ready     chan struct{}
	listening atomic.Bool
}

func newListener(w *Wire) *listener {
	l := &listener{wire: w, receivers: make(map[Channel]*receiver), ready: make(chan struct{})}
	for _, channel := range channels {
		l.receivers[channel] = newReceiver(w, channel)
	}
	return l
}

// run listens until ctx ends.
func (l *listener) run(ctx context.Context) {
	redial := l.wire.cfg.Timing.Redial
	redial += rand.N(redial * 3 / 2)
	failing := false // the log knows
	for {
		heard, err := l.listen(ctx)
		if ctx.Err() != nil {
			return
		}
		if heard || !failing {
			failing = true // once an outage, not four times a second
			l.wire.cfg.Log.WarnContext(ctx, "listener lost its connection, trying again", "error", err)
		}
		wait(ctx, redial)
	}
}

// listen hears what comes on one session, until that fails or ctx ends. It says whether the session came to listen at all.
func (l *listener) listen(ctx context.Context) (heard bool, err error) {
	s, err := l.wire.dial(ctx, "listener")
	if err != nil {
		return false, err
	}
	defer s.end()
	listenCtx, cancel := context.WithTimeout(ctx, l.wire.cfg.Timing.Connect)
	defer cancel()
	if _, err := s.Exec(listenCtx, fmt.Sprintf("listen %q; listen %q", Events, Presence)); err != nil {
		return false, fmt.Errorf("listen: %w", err)
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
	l.wire.cfg.Log.InfoContext(ctx, "listening to other replicas", "epoch", s.epoch)
	select {
	case <-l.ready:
	default:
		close(l.ready)
	}

	watched, stop := context.WithCancel(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer stop()
	watching.Go(func() { l.watch(watched, s.hangUp) })
	for {
		n, err := s.WaitForNotification(ctx)
		if err != nil {
			return true, err
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
