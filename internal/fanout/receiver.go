package fanout

import (
	"errors"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"layercake/internal/postgres"

	"golang.org/x/time/rate"
)

// Reasons for doubt.
const (
	Listening   = "listening" // nobody heard what was said before
	doubtHole   = "hole"      // a sender's numbers are not consecutive
	doubtFormat = "format"    // a newer replica says something that cannot be read here
	doubtEpoch  = "epoch"     // a sender writes to another history than the one that is listened to
)

const maxSenders = 1024

// receiver is the receiving side of one channel. Everything in it belongs to the listening goroutine.
type receiver struct {
	wire    *Wire
	channel Channel
	garbage rate.Sometimes // limits the log

	epoch    postgres.Epoch // of the session that listens
	since    time.Time      // when it began to listen
	replicas map[string]*heard
}

// heard is the last payload of one replica.
type heard struct {
	seq int64
	at  time.Time // when it was heard
}

// begin forgets all senders, since the session listens only from now on, and makes topics look at what was said before.
func (r *receiver) begin(epoch postgres.Epoch, now time.Time) {
	r.epoch, r.since, r.replicas = epoch, now, make(map[string]*heard)
	r.wire.doubt(r.channel, Listening)
}

// receive handles one payload.
func (r *receiver) receive(payload string, now time.Time) {
	h, rest, err := parseHeader(payload)
	switch {
	case errors.Is(err, errFormat):
		r.wire.doubt(r.channel, doubtFormat)
		return
	case err != nil:
		r.malformed(err)
		return
	}
	epoch := r.epoch
	if h.seq == 0 {
		if rand.Float64() < r.wire.cfg.Loss {
			return // nobody else can drop what the database says
		}
	} else {
		if !r.follows(h, now) {
			r.wire.metrics.holes.Inc()
			r.wire.doubt(r.channel, doubtHole)
		}
		if h.epoch != epoch {
			epoch = postgres.Epoch(strings.Clone(string(h.epoch))) // a part of the payload would keep all of it alive
			r.wire.doubt(r.channel, doubtEpoch)
		}
	}
	for text := range strings.SplitSeq(rest, "\n") {
		l, err := parseLine(text)
		if err == nil {
			l.Epoch = epoch
			err = r.hear(l, h)
		}
		if err != nil {
			r.malformed(err)
		}
	}
}

// hear hands one line to its topic. Topics know what their own replica said, so of its lines only heartbeats have an effect.
func (r *receiver) hear(l Line, h header) error {
	own := h.replica == r.wire.cfg.Replica
	letter := r.wire.letters[l.Letter]
	switch {
	case l.Letter == letterHeartbeat && h.seq > 0:
		sent, err := strconv.ParseInt(l.Text, 10, 64)
		if err != nil {
			return err
		}
		r.wire.metrics.heardHeartbeats.Inc()
		// One heartbeat is enough to watch the connection by. Those of the other channel only end a sequence, so that holes are seen.
		if own && r.channel == Events {
			if trip, ok := r.wire.heartbeat.returned(sent); ok {
				r.wire.metrics.heartbeat.Observe(trip.Seconds())
				r.wire.stepped.Say()
			}
		}
	case letter == nil || letter.FromDatabase != (h.seq == 0):
		r.wire.metrics.heardUnknown.Inc()
	case own:
		letter.heard.Inc()
	default:
		if err := letter.Hear(l); err != nil {
			return err
		}
		letter.heard.Inc()
	}
	return nil
}

// follows notes the number of a payload and reports whether it is the sender's next one. A number that is too small is as wrong as one
// that is too large: a statement that its sender gave up came late, or the sender began anew.
func (r *receiver) follows(h header, now time.Time) bool {
	s, known := r.replicas[h.replica]
	if known {
		expected := s.seq + 1
		s.seq, s.at = h.seq, now
		return h.seq == expected
	}
	r.remember(h, now)
	// What a sender said before this session listened is no hole. But each sender sends a heartbeat every second: when one is heard for the
	// first time long after the session began, and not with its first payload, payloads were lost, or the sender was forgotten.
	return h.seq == 1 || now.Sub(r.since) <= r.wire.cfg.Timing.Silence
}

func (r *receiver) remember(h header, now time.Time) {
	for replica, s := range r.replicas {
		if now.Sub(s.at) > forgetAfter {
			delete(r.replicas, replica)
		}
	}
	if len(r.replicas) >= maxSenders {
		clear(r.replicas) // each comes back with a doubt
	}
	r.replicas[strings.Clone(h.replica)] = &heard{seq: h.seq, at: now}
}

func (r *receiver) malformed(err error) {
	r.wire.metrics.heardMalformed.Inc()
	r.garbage.Do(func() { r.wire.cfg.Log.Warn("skipped what another replica, or somebody else, said", "error", err) })
}
