package fanout

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	"layercake/internal/outage"
	"layercake/internal/postgres"
	"layercake/internal/task"
)

const (
	// The order of the array is the order of delivery.
	notifySQL = `select pg_notify(c, p) from unnest($1::text[], $2::text[]) with ordinality t(c, p, o) order by o`

	// Reasons of failures, for the metrics.
	failConnect    = "connect"
	failTimeout    = "timeout"
	failConnection = "connection"
	failRefused    = "refused"
	failQueueFull  = "queue_full"
)

// publisher sends what is queued in few statements, on a connection of its own.
//
// When a statement fails, nobody knows whether its payloads were delivered. So its lines are sent again, as hints, under new numbers:
// who did not hear the first attempt sees a hole, who did gets a hint too many.
type publisher struct {
	wire    *Wire
	filled  chan struct{} // has a token while there may be lines in a queue
	senders map[Channel]*sender

	// These belong to the goroutine that publishes.
	sent    time.Time     // when the last statement began
	retry   time.Duration // pause after the last failure; 0 after a success
	outages *outage.Log
}

func newPublisher(w *Wire) *publisher {
	p := &publisher{
		wire: w, filled: make(chan struct{}, 1), senders: make(map[Channel]*sender),
		outages: outage.New(w.cfg.Log, "publisher cannot send, trying again", "publisher sends again"),
	}
	for _, channel := range channels {
		p.senders[channel] = &sender{wire: w, filled: p.filled, header: header{replica: w.cfg.Replica}}
	}
	return p
}

// left returns how many lines are not sent.
func (p *publisher) left() (lines int) {
	for _, s := range p.senders {
		lines += s.queued() + len(s.pending)
	}
	return lines
}

// run publishes until ctx ends, then sends what is left.
func (p *publisher) run(ctx context.Context) {
	beat := time.NewTicker(p.wire.cfg.Timing.Heartbeat)
	defer beat.Stop()
	for _, s := range p.senders {
		s.plain = p.wire.cfg.Former()
	}
	for ctx.Err() == nil {
		c, err := p.wire.dial(ctx, "publisher")
		if err != nil {
			p.failed(ctx, failConnect, err)
			continue
		}
		p.wire.metrics.publisherConnects.Inc()
		p.wire.stepped.Say()
		for _, s := range p.senders {
			s.connect(c.epoch)
		}
		err = p.serve(ctx, c, beat.C)
		c.end()
		if err != nil {
			p.failed(ctx, reasonOf(err), err)
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
			for p.left() > 0 {
				if err := p.send(last, c, false); err != nil {
					return err
				}
			}
			return nil
		case <-beat:
			withBeat = true
		case <-p.filled:
		}
		task.Pause(ctx, time.Until(p.sent.Add(p.wire.cfg.Timing.Gather)))
		// A stop waits for the statement, rather than leaving open what became of it.
		if err := p.send(context.WithoutCancel(ctx), c, withBeat); reasonOf(err) == failQueueFull {
			p.failed(ctx, failQueueFull, err) // the connection is as good as before
		} else if err != nil {
			return err
		}
		if p.left() > 0 {
			task.Wake(p.filled)
		}
	}
}

// send makes one statement of what is queued for each channel, if anything. When one fails, its lines are put back.
func (p *publisher) send(ctx context.Context, c *session, withBeat bool) error {
	former := p.wire.cfg.Former()
	for _, channel := range channels {
		s, beat := p.senders[channel], int64(0)
		if withBeat {
			beat = p.wire.heartbeat.begin()
		}
		var payloads []string
		var took int
		err := p.wire.guard.Do(func() error {
			if payloads, took = s.pack(beat); len(payloads) == 0 {
				return nil
			}
			return p.notify(ctx, c, channel, payloads, former)
		})
		if err != nil {
			s.putBack()
			return err
		}
		if len(payloads) > 0 {
			p.retry = 0
			p.outages.Note(ctx, nil)
			if former && !s.plain {
				// What a replica of the release before said until now was not heard here, and it did not hear us. It has our numbers from these
				// payloads on, and sees the hole.
				p.wire.doubt(channel, doubtFormer)
				s.leaveHole()
			}
			s.plain = former
		}
		s.pending = s.pending[took:]
		if withBeat && channel == Events {
			p.wire.metrics.sentHeartbeats.Inc()
			p.wire.heartbeat.sent(beat)
		}
	}
	p.wire.stepped.Say()
	return nil
}

// notify makes one statement, and counts the lines in it. A payload that also goes out plain has the same number there. The sealed one
// comes first: whoever hears it takes nothing plain from this sender any more.
func (p *publisher) notify(ctx context.Context, c *session, channel Channel, payloads []string, plain bool) error {
	ctx, cancel := context.WithTimeout(ctx, p.wire.cfg.Timing.Statement)
	defer cancel()
	var names, texts []string
	for _, payload := range payloads {
		names, texts = append(names, channel.sealed()), append(texts, c.sealer.seal(channel, c.pid, payload))
		if plain {
			names, texts = append(names, string(channel)), append(texts, payload)
		}
	}
	p.sent = time.Now()
	if _, err := c.Exec(ctx, notifySQL, names, texts); err != nil {
		return err
	}
	p.wire.metrics.batch.Observe(float64(len(payloads)))
	for _, payload := range payloads {
		_, lines, _ := strings.Cut(payload, "\n")
		for line := range strings.SplitSeq(lines, "\n") {
			if l := p.wire.letters[line[0]]; l != nil { // not a heartbeat
				l.sent.Inc()
			}
		}
	}
	return nil
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

// failed counts a failure, and waits longer after each until something was sent.
func (p *publisher) failed(ctx context.Context, reason string, err error) {
	if ctx.Err() != nil && reason == failConnect {
		return // stopping
	}
	p.wire.metrics.errors.WithLabelValues(reason).Inc()
	p.outages.Note(ctx, err, "reason", reason)
	p.wire.stepped.Say()
	p.retry = min(max(2*p.retry, p.wire.cfg.Timing.MinRetry), p.wire.cfg.Timing.MaxRetry)
	task.Pause(ctx, p.retry/2+rand.N(p.retry/2))
}
