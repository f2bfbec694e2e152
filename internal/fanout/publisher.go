package fanout

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"time"

	"layercake/internal/postgres"
)

const (
	// The order of the array is the order of delivery.
	notifySQL = `select pg_notify($1, p) from unnest($2::text[]) with ordinality t(p, o) order by o`

	maxPayloads = 64 // in a statement

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
// the first attempt sees a hole, who did gets a hint too many. A number is used up too when lines found no room, or when no hint
// can stand for one that may not have arrived.
type publisher struct {
	wire    *Wire
	filled  chan struct{} // has a token while there may be lines in a queue
	senders map[Channel]*sender

	// of the goroutine that publishes
	sent    time.Time // when the last statement began
	retry   time.Duration
	failing bool // the log knows
}

// sender is the sending side of one channel.
type sender struct {
	channel Channel
	queue   *queue

	// of the goroutine that publishes
	packer  packer
	pending []Line // taken from the queue, not sent yet
}

func newPublisher(w *Wire) *publisher {
	p := &publisher{wire: w, filled: make(chan struct{}, 1), senders: make(map[Channel]*sender)}
	for _, channel := range channels {
		p.senders[channel] = &sender{
			channel: channel, queue: &queue{filled: p.filled, hint: w.hint}, packer: packer{header: header{replica: w.cfg.Replica}},
		}
	}
	return p
}

// queued returns how many lines wait. It may be called on any goroutine.
func (p *publisher) queued() (lines int) {
	for _, s := range p.senders {
		lines += s.queue.len()
	}
	return lines
}

// left returns how many lines are not sent.
func (p *publisher) left() int {
	lines := p.queued()
	for _, s := range p.senders {
		lines += len(s.pending)
	}
	return lines
}

// run publishes until ctx ends, then sends what is left.
func (p *publisher) run(ctx context.Context) {
	beat := time.NewTicker(p.wire.cfg.Timing.Heartbeat)
	defer beat.Stop()
	for ctx.Err() == nil {
		c, err := p.wire.dial(ctx, "publisher")
		if err != nil {
			p.failed(ctx, failConnect, err)
			p.backOff(ctx)
			continue
		}
		p.wire.metrics.publisherConnects.Inc()
		for _, s := range p.senders {
			s.packer.header.epoch = c.epoch
		}
		err = p.serve(ctx, c, beat.C)
		c.end()
		if err != nil {
			p.backOff(ctx)
		}
	}
	if left := p.left(); left > 0 {
		p.wire.cfg.Log.InfoContext(ctx, "publisher stopped before it could send everything", "lines", left)
	}
}

// serve publishes on c until it fails, or until ctx ends and everything is sent, within one statement's time.
func (p *publisher) serve(ctx context.Context, c *session, beat <-chan time.Time) error {
	for {
		withBeat := false
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.wire.cfg.Timing.Statement)
			defer cancel()
			var err error
			for p.left() > 0 && err == nil {
				_, err = p.send(last, c, false)
			}
			return err
		case <-beat:
			withBeat = true
		case <-p.filled:
		}
		wait(ctx, time.Until(p.sent.Add(p.wire.cfg.Timing.Gather)))
		// A stop waits for the statement, rather than leaving open what became of it.
		reason, err := p.send(context.WithoutCancel(ctx), c, withBeat)
		if reason == failQueueFull {
			p.backOff(ctx) // the connection is as good as before
		} else if err != nil {
			return err
		}
		if p.left() > 0 {
			signal(p.filled)
		}
	}
}

// send makes one statement of what is queued for each channel, if anything. On an error it says why.
func (p *publisher) send(ctx context.Context, c *session, withBeat bool) (reason string, err error) {
	for _, channel := range channels {
		if reason, err := p.sendOn(ctx, c, p.senders[channel], withBeat); err != nil {
			return reason, err
		}
	}
	return "", nil
}

// sendOn makes one statement of what is queued for one channel. On an error it puts everything back.
func (p *publisher) sendOn(ctx context.Context, c *session, s *sender, withBeat bool) (reason string, err error) {
	m := p.wire.metrics
	b := p.pack(s, withBeat)
	if len(b.payloads) > 0 {
		ctx, cancel := context.WithTimeout(ctx, p.wire.cfg.Timing.Statement)
		defer cancel()
		p.sent = time.Now()
		if _, err := c.Exec(ctx, notifySQL, s.channel, b.payloads); err != nil {
			m.dropped.Add(float64(s.queue.putBack(s.pending)))
			s.pending = nil
			reason := reasonOf(err)
			p.failed(ctx, reason, err)
			return reason, err
		}
		m.batch.Observe(float64(len(b.payloads)))
		p.retry = 0
		if p.failing {
			p.failing = false
			p.wire.cfg.Log.InfoContext(ctx, "publisher sends again")
		}
	}
	s.pending = s.pending[b.lines:]
	for letter, lines := range b.sent {
		p.wire.letters[letter].sent.Add(float64(lines))
	}
	m.dropped.Add(float64(b.dropped))
	if withBeat && s.channel == Events {
		m.sentBeats.Inc()
		p.wire.heartbeat.sent(b.beat)
	}
	return "", nil
}

// batch is what one statement sends.
type batch struct {
	payloads []string
	lines    int          // how many it takes from pending
	sent     map[byte]int // how many of them, by letter, are in payloads
	dropped  int          // how many are not
	beat     int64
}

// pack fills a batch from what is pending, or from the queue when nothing is. It leaves pending as it is.
func (p *publisher) pack(s *sender, withBeat bool) batch {
	b := batch{sent: make(map[byte]int)}
	if len(s.pending) == 0 {
		lines, lost := s.queue.take()
		if lost > 0 {
			s.packer.skip()
		}
		for i, l := range lines {
			if l.Epoch != "" && l.Epoch != s.packer.header.epoch {
				lines[i], _ = p.wire.hint(l)
			}
		}
		s.pending = lines
	}
	for b.lines < len(s.pending) && len(b.payloads) < maxPayloads-1 {
		payload, took := s.packer.next(s.pending[b.lines:])
		lines := s.pending[b.lines : b.lines+took]
		b.lines += took
		if rand.Float64() < p.wire.cfg.Loss {
			b.dropped += took
			continue
		}
		b.payloads = append(b.payloads, payload)
		for _, l := range lines {
			b.sent[l.Letter]++
		}
	}
	if withBeat {
		b.beat = p.wire.heartbeat.now()
		// Alone, so that a fault test does not drop it.
		payload, _ := s.packer.next([]Line{{Letter: letterHeartbeat, Text: strconv.FormatInt(b.beat, 10)}})
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
	p.wire.metrics.errors.WithLabelValues(reason).Inc()
	if !p.failing {
		p.failing = true // once an outage
		p.wire.cfg.Log.WarnContext(ctx, "publisher cannot send, trying again", "reason", reason, "error", err)
	}
}

// backOff waits longer each time, until something was sent.
func (p *publisher) backOff(ctx context.Context) {
	p.retry = min(max(2*p.retry, p.wire.cfg.Timing.MinRetry), p.wire.cfg.Timing.MaxRetry)
	wait(ctx, p.retry/2+rand.N(p.retry/2))
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

func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
