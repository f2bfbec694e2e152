package fanout

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"golang.org/x/time/rate"
)

const (
	beatInterval = time.Second
	// silence is how long nothing may be heard before something is wrong.
	silence = 3 * time.Second
	// A sender that was silent for this long is forgotten.
	forgetAfter = time.Minute
	maxSenders  = 1024
)

// Reasons for doubt.
const (
	doubtListening = "listening" // nobody heard what was said before
	doubtHole      = "hole"      // a sender's numbers are not consecutive
	doubtFormat    = "format"    // a newer replica says something that cannot be read here
	doubtEpoch     = "epoch"     // a sender writes to another history than the one that is listened to
)

// inbox is the receiving side of one channel. Everything in it belongs to the listening goroutine.
type inbox struct {
	onEvent    func(Event)
	onPresence func(Presence)
	onCommand  func()
	onDoubt    func(reason string)
	onBeat     func(replica string, nanos int64)
	self       string  // our replica
	loss       float64 // of what the database says
	log        *slog.Logger
	metrics    *metrics

	epoch   string    // of the connection that is listened on
	since   time.Time // when it began to listen
	senders map[string]*sender
	garbage rate.Sometimes // limits the log
}

// sender is what was heard of one replica.
type sender struct {
	seq int64
	at  time.Time
}

// open begins anew on a connection that listens since now: whatever was said before may have been missed.
func (i *inbox) open(epoch string, now time.Time) {
	i.epoch, i.since, i.senders = epoch, now, make(map[string]*sender)
	i.onDoubt(doubtListening)
}

// receive handles one payload.
func (i *inbox) receive(payload string, now time.Time) {
	h, rest, err := parseHeader(payload)
	switch {
	case errors.Is(err, errFormat):
		i.onDoubt(doubtFormat)
		return
	case err != nil:
		i.malformed(err)
		return
	}
	if h.seq == 0 {
		i.obey(rest)
		return
	}
	if !i.follows(h, now) {
		i.metrics.holes.Inc()
		i.onDoubt(doubtHole)
	}
	epoch := i.epoch
	if h.epoch != epoch {
		epoch = strings.Clone(h.epoch) // a part of the payload would keep all of it alive
		i.onDoubt(doubtEpoch)
	}
	for text := range strings.SplitSeq(rest, "\n") {
		l, err := parseLine(text)
		if err != nil {
			i.malformed(err)
			continue
		}
		switch l.kind {
		case kindEvent:
			i.metrics.heardEvents.Inc()
			i.onEvent(Event{Epoch: epoch, Project: l.project, Version: l.version, Body: l.body})
		case kindHint:
			i.metrics.heardHints.Inc()
			i.onEvent(Event{Epoch: epoch, Project: l.project, Version: l.version})
		case kindJoin, kindMove, kindLeave, kindNotice:
			i.metrics.heardPresence.Inc()
			i.onPresence(Presence{
				Kind: Kind(l.kind), Project: l.project, Connection: l.about, Body: l.body, Own: h.replica == i.self,
			})
		case kindBeat:
			i.metrics.heardBeats.Inc()
			i.onBeat(h.replica, l.nanos)
		default:
			i.metrics.heardUnknown.Inc()
		}
	}
}

// obey takes what the database itself said: nothing but commands, which are a reason to look, like a hint.
func (i *inbox) obey(lines string) {
	if i.loss > 0 && rand.Float64() < i.loss {
		return // nobody else can drop it
	}
	for text := range strings.SplitSeq(lines, "\n") {
		switch l, err := parseLine(text); {
		case err != nil:
			i.malformed(err)
		case l.kind == kindCommand:
			i.metrics.heardCommands.Inc()
			i.onCommand()
		default:
			i.metrics.heardUnknown.Inc()
		}
	}
}

// follows notes the number of a payload and reports whether it is the one that had to come. A number that is too small
// is as wrong as one that is too large: a statement that its sender gave up came late, or the sender began anew.
func (i *inbox) follows(h header, now time.Time) bool {
	s, known := i.senders[h.replica]
	if known {
		expected := s.seq + 1
		s.seq, s.at = h.seq, now
		return h.seq == expected
	}
	i.remember(h, now)
	// What a sender said before we listened is no hole. But senders beat every second: when one is heard of for the
	// first time long after we began, and not with its first payload, payloads were lost, or it was forgotten.
	return h.seq == 1 || now.Sub(i.since) <= silence
}

func (i *inbox) remember(h header, now time.Time) {
	for replica, s := range i.senders {
		if now.Sub(s.at) > forgetAfter {
			delete(i.senders, replica)
		}
	}
	if len(i.senders) >= maxSenders {
		clear(i.senders) // each comes back with a doubt
	}
	i.senders[strings.Clone(h.replica)] = &sender{seq: h.seq, at: now}
}

func (i *inbox) malformed(err error) {
	i.metrics.heardMalformed.Inc()
	i.garbage.Do(func() { i.log.Warn("skipped what another replica, or somebody else, said", "error", err) })
}
