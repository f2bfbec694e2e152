package fanout

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var silence, beatInterval = DefaultTiming.Silence, DefaultTiming.Heartbeat

// pass lets time pass inside a synctest bubble.
func pass(d time.Duration) { <-time.After(d) }

func TestLastHeartbeatIsOfThisConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &heartbeat{start: time.Now(), silence: silence}
		p.restart()
		if got := p.last(); got != 0 {
			t.Errorf("a round trip of %v before any", got)
		}
		beat := p.begin()
		pass(7 * time.Millisecond)
		p.returned(beat)
		p.returned(beat - 1)
		p.returned(beat + int64(time.Hour))
		if got := p.last(); got != 7*time.Millisecond {
			t.Errorf("a round trip of %v, want 7ms", got)
		}
		p.restart()
		if got := p.last(); got != 0 {
			t.Errorf("a round trip of %v on a connection that brought none", got)
		}
	})
}

func TestHeartbeat(t *testing.T) {
	t.Parallel()
	late := silence + time.Millisecond
	cases := []struct {
		name string
		do   func(p *heartbeat)
		want bool
	}{
		{"nothing was sent", func(*heartbeat) { pass(time.Hour) }, false},
		{"sent, not yet overdue", func(p *heartbeat) { p.sent(p.begin()); pass(silence) }, false},
		{"sent and overdue", func(p *heartbeat) { p.sent(p.begin()); pass(late) }, true},
		{"came back", func(p *heartbeat) { b := p.begin(); p.sent(b); p.returned(b); pass(late) }, false},
		{"came back before pg_notify returned", func(p *heartbeat) { b := p.begin(); p.returned(b); p.sent(b); pass(late) }, false},
		{"one came back, the next did not", func(p *heartbeat) {
			b := p.begin()
			p.sent(b)
			p.returned(b)
			pass(time.Second)
			p.sent(p.begin())
			pass(late)
		}, true},
		{"an older one came back", func(p *heartbeat) {
			b := p.begin()
			pass(time.Second)
			p.sent(p.begin())
			p.returned(b)
			pass(late)
		}, true},
		{"one came back that nobody sent", func(p *heartbeat) {
			p.sent(p.begin())
			p.returned(p.now() + int64(time.Hour))
			p.returned(p.now() - 1)
			pass(late)
		}, true},
		{"one came back again", func(p *heartbeat) {
			b := p.begin()
			p.sent(b)
			p.returned(b)
			pass(time.Second)
			p.sent(p.begin())
			p.returned(b)
			pass(late)
		}, true},
		{"none of many comes back", func(p *heartbeat) {
			for range 3 * maxUnderway {
				p.sent(p.begin())
				pass(time.Millisecond)
			}
			if len(p.underway) > maxUnderway {
				panic("unbounded")
			}
			pass(late)
		}, true},
		{"sent before the connection listened", func(p *heartbeat) { b := p.begin(); p.restart(); p.sent(b); pass(late) }, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := &heartbeat{start: time.Now(), silence: silence}
				p.restart()
				pass(time.Millisecond)
				c.do(p)
				if got := p.lost(); got != c.want {
					t.Errorf("lost = %t, want %t", got, c.want)
				}
			})
		})
	}
}

// A process that stood still finds its heartbeat overdue, and then reads it.
func TestWatchdogLooksTwice(t *testing.T) {
	t.Parallel()
	for name, comes := range map[string]bool{"the heartbeat comes after the first look": true, "it does not come": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				w := New(Config{Log: slog.New(slog.NewTextHandler(&log, nil))})
				w.heartbeat.restart()
				ctx, cancel := context.WithCancel(t.Context())
				hungUp := false
				var watching sync.WaitGroup
				watching.Go(func() { w.listener.watch(ctx, func() { hungUp = true }) })
				pass(time.Millisecond)
				beat := w.heartbeat.begin()
				w.heartbeat.sent(beat)
				pass(silence + beatInterval/4)
				if comes {
					w.heartbeat.returned(beat)
				}
				pass(beatInterval)
				cancel()
				watching.Wait()
				if hungUp == comes || hungUp != (log.Len() > 0) {
					t.Errorf("hung up: %t, log: %s", hungUp, &log)
				}
			})
		})
	}
}
