package fanout

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"layercake/internal/postgres"
)

const (
	// The order of the array is the order of delivery.
	notifySQL = `select pg_notify($1, p) from unnest($2::text[]) with ordinality t(p, o) order by o`

	maxPayloads      = 64 // in a statement
	statementPeriod  = 2 * time.Millisecond
	statementTimeout = 3 * time.Second

	minBackOff = 50 * time.Millisecond
	maxBackOff = time.Second

	// Reasons of failures, for the metrics.
	failConnect    = "connect"
	failTimeout    = "timeout"
	failConnection = "connection"
	failRefused    = "refused"
	failQueueFull  = "queue_full"
)

// publisher packs what is queued into few statements, on a connection of its own.
//
// Each payload that is handed to pg_notify has a number of its own, whatever comes of it. When a statement fails, nobody
// knows whether its payloads were delivered. So its lines are sent again, as hints, under new numbers: who did not hear
// the first attempt sees a hole, who did gets a hint too many. A number is used up too when lines found no room.
type publisher struct {
	cfg              *Config
	metrics          *metrics
	events, presence *lane
	pulse            *pulse
	onEpoch          func(string)

	// of the goroutine that publishes
	sent    time.Time // when the last statement began
	delay   time.Duration
	failing bool // the log knows
}

// lane is the sending side of one channel.
type lane struct {
	channel string
	queue   *outbox

	// of the goroutine that publishes
	packer  packer
	pending []line // taken from the queue, not sent yet
}

func newLane(channel string, queue *outbox, replica string) *lane {
	return &lane{channel: channel, queue: queue, packer: packer{header: header{replica: replica}}}
}

func (l *lane) waiting() int { return len(l.pending) + l.queue.len() }

// run publishes until ctx ends, then sends what is left.
func (p *publisher) run(ctx context.Context) {
	beat := time.NewTicker(beatInterval)
	defer beat.Stop()
	for ctx.Err() == nil {
		c, err := p.cfg.dial(ctx, "publisher")
		if err != nil {
			p.failed(ctx, failConnect, err)
			p.backOff(ctx)
			continue
		}
		p.metrics.publisherConnects.Inc()
		p.onEpoch(c.epoch)
		p.events.packer.header.epoch, p.presence.packer.header.epoch = c.epoch, c.epoch
		err = p.serve(ctx, c, beat.C)
		c.end()
		if err != nil {
			p.backOff(ctx)
		}
	}
	if left := p.events.waiting() + p.presence.waiting(); left > 0 {
		p.cfg.Log.InfoContext(ctx, "publisher stopped before it could send everything", "lines", left)
	}
}

// serve publishes on c until it fails, or until ctx ends and everything is sent.
func (p *publisher) serve(ctx context.Context, c *conn, beat <-chan time.Time) error {
	for {
		withBeat := false
		select {
		case <-ctx.Done():
			return p.flush(ctx, c)
		case <-beat:
			withBeat = true
		case <-p.events.queue.filled:
		case <-p.presence.queue.filled:
		}
		wait(ctx, time.Until(p.sent.Add(statementPeriod)))
		// A stop waits for the statement, rather than leaving open what became of it.
		reason, err := p.send(context.WithoutCancel(ctx), c, withBeat)
		if reason == failQueueFull {
			p.backOff(ctx) // the connection is as good as before
		} else if err != nil {
			return err
		}
		for _, l := range p.lanes() {
			if len(l.pending) > 0 {
				l.queue.wake()
			}
		}
	}
}

// flush sends what is queued before the replica stops, within one statement's time.
func (p *publisher) flush(ctx context.Context, c *conn) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), statementTimeout)
	defer cancel()
	for p.events.waiting() > 0 || p.presence.waiting() > 0 {
		if _, err := p.send(ctx, c, false); err != nil {
			return err
		}
	}
	return nil
}

func (p *publisher) lanes() [2]*lane { return [...]*lane{p.events, p.presence} }

// send makes one statement of what is queued for each channel, if anything. On an error it says why.
func (p *publisher) send(ctx context.Context, c *conn, withBeat bool) (reason string, err error) {
	for _, l := range p.lanes() {
		if reason, err := p.sendLane(ctx, c, l, withBeat); err != nil {
			return reason, err
		}
	}
	return "", nil
}

// sendLane makes one statement of what is queued for one channel. On an error it puts everything back.
func (p *publisher) sendLane(ctx context.Context, c *conn, l *lane, withBeat bool) (reason string, err error) {
	b := p.pack(l, withBeat)
	if len(b.payloads) > 0 {
		ctx, cancel := context.WithTimeout(ctx, statementTimeout)
		defer cancel()
		p.sent = time.Now()
		if _, err := c.Exec(ctx, notifySQL, l.channel, b.payloads); err != nil {
			p.metrics.dropped.Add(float64(l.queue.putBack(l.pending)))
			l.pending = nil
			reason := reasonOf(err)
			p.failed(ctx, reason, err)
			return reason, err
		}
		p.metrics.batch.Observe(float64(len(b.payloads)))
		p.delay = 0
		if p.failing {
			p.failing = false
			p.cfg.Log.InfoContext(ctx, "publisher sends again")
		}
	}
	l.pending = l.pending[b.lines:]
	p.metrics.sentEvents.Add(float64(b.events))
	p.metrics.sentHints.Add(float64(b.hints))
	p.metrics.sentPresence.Add(float64(b.presence))
	p.metrics.dropped.Add(float64(b.dropped))
	if withBeat && l == p.events {
		p.metrics.sentBeats.Inc()
		p.pulse.sent(b.beat)
	}
	return "", nil
}

// batch is what one statement sends.
type batch struct {
	payloads                         []string
	lines                            int // how many it takes from pending
	events, hints, presence, dropped int // what became of them
	beat                             int64
}

// pack fills a batch from what is pending, or from the queue when nothing is. It leaves pending as it is.
func (p *publisher) pack(l *lane, withBeat bool) (b batch) {
	if len(l.pending) == 0 {
		lines, lost := l.queue.take()
		if lost > 0 {
			l.packer.skip()
		}
		for n, line := range lines {
			lines[n] = line.in(l.packer.header.epoch)
		}
		l.pending = lines
	}
	for b.lines < len(l.pending) && len(b.payloads) < maxPayloads-1 {
		payload, took := l.packer.next(l.pending[b.lines:])
		lines := l.pending[b.lines : b.lines+took]
		b.lines += took
		if p.cfg.Loss > 0 && rand.Float64() < p.cfg.Loss {
			b.dropped += took
			continue
		}
		b.payloads = append(b.payloads, payload)
		for _, l := range lines {
			switch l.kind {
			case kindEvent:
				b.events++
			case kindHint:
				b.hints++
			default:
				b.presence++
			}
		}
	}
	if withBeat {
		b.beat = p.pulse.now()
		// Alone, so that a fault test does not drop it.
		payload, _ := l.packer.next([]line{{kind: kindBeat, nanos: b.beat}})
		b.payloads = append(b.payloads, payload)
	}
	return b
}

// reasonOf names an error of a statement for the metrics.
func reasonOf(err error) string {
	switch state := postgres.State(err); {
	case state == postgres.ProgramLimitExceeded:
		return failQueueFull
	case state == postgres.QueryCanceled, errors.Is(err, context.DeadlineExceeded):
		return failTimeout
	case state != "" && !postgres.EndsSession(state):
		return failRefused
	}
	return failConnection
}

func (p *publisher) failed(ctx context.Context, reason string, err error) {
	if ctx.Err() != nil && reason == failConnect {
		return // stopping
	}
	p.metrics.errors.WithLabelValues(reason).Inc()
	if !p.failing {
		p.failing = true // once an outage
		p.cfg.Log.WarnContext(ctx, "publisher cannot send, trying again", "reason", reason, "error", err)
	}
}

// backOff waits longer each time, until something was sent.
func (p *publisher) backOff(ctx context.Context) {
	p.delay = min(max(2*p.delay, minBackOff), maxBackOff)
	wait(ctx, p.delay/2+rand.N(p.delay/2))
}

// wait returns after d, or when ctx ends.
func wait(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
