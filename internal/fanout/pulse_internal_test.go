package fanout

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestPulse(t *testing.T) {
	t.Parallel()
	const late = silence + time.Millisecond
	cases := []struct {
		name string
		do   func(p *pulse)
		want bool
	}{
		{"nothing was sent", func(*pulse) { time.Sleep(time.Hour) }, false},
		{"sent, not yet overdue", func(p *pulse) { p.sent(p.now()); time.Sleep(silence) }, false},
		{"sent and overdue", func(p *pulse) { p.sent(p.now()); time.Sleep(late) }, true},
		{"came back", func(p *pulse) { b := p.now(); p.sent(b); p.returned(b); time.Sleep(late) }, false},
		{"came back before pg_notify returned", func(p *pulse) { b := p.now(); p.returned(b); p.sent(b); time.Sleep(late) }, false},
		{"one came back, the next did not", func(p *pulse) {
			b := p.now()
			p.sent(b)
			p.returned(b)
			time.Sleep(time.Second)
			p.sent(p.now())
			time.Sleep(late)
		}, true},
		{"an older one came back", func(p *pulse) {
			b := p.now()
			time.Sleep(time.Second)
			p.sent(p.now())
			p.returned(b)
			time.Sleep(late)
		}, true},
		{"sent before the connection listened", func(p *pulse) { b := p.now(); p.restart(); p.sent(b); time.Sleep(late) }, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := &pulse{start: time.Now()}
				p.restart()
				time.Sleep(time.Millisecond)
				c.do(p)
				if got := p.lost(); got != c.want {
					t.Errorf("lost = %t, want %t", got, c.want)
				}
			})
		})
	}
}
