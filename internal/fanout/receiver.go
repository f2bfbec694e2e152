package fanout

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"layercake/internal/postgres"
	"layercake/internal/task"

	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/time/rate"
)

// Reasons for doubt.
const (
	Listening   = "listening" // nobody heard what was said before
	doubtHole   = "hole"      // a sender's numbers are not consecutive
	doubtFormat = "format"    // a newer replica says something that cannot be read here
	doubtEpoch  = "epoch"     // a sender writes to another history than the one that is listened to
	doubtFormer = "former"    // a replica of the release before began, which was not heard until now
	doubtPanic  = "panic"     // a topic could not take a line
)

// maxSenders is how many replicas a receiver follows: of each, it knows the last number. For another one it forgets the one that has been
// silent for longest, whose next payload counts as a hole.
const maxSenders = 1024

// receiver is the receiving side of one channel. Everything in it belongs to the listening goroutine.
//
// What is sealed comes from replicas. What is plain, anybody may have said. It makes nobody doubt, because each doubt is a look at the
// tables by every replica; but for what replicas of the release before seem to say while one of them lives, as it was before.
type receiver struct {
	wire            *Wire
	channel         Channel
	garbage, forged rate.Sometimes // limit the log

	session *session  // that listens
	since   time.Time // when it began to listen
	sealed  senders   // replicas that seal what they say
	plain   senders   // replicas of the release before
}

// senders are replicas by their names.
type senders map[string]*heard

// heard is the last payload of one replica.
type heard struct {
	seq int64
	at  time.Time // when it was heard
}

// begin forgets all senders, since the session listens only from now on, and makes topics look at what was said before.
func (r *receiver) begin(s *session, now time.Time) {
	r.session, r.since, r.sealed, r.plain = s, now, make(senders), make(senders)
	r.wire.doubt(r.channel, Listening)
}

// hearSealed handles a payload of the channel where they are sealed. One that cannot be opened was not sealed by a replica, or is of a
// session with another key: there is a new one, and this session is about to be ended for that.
func (r *receiver) hearSealed(n *pgconn.Notification, now time.Time) {
	payload, err := r.session.sealer.open(r.channel, n.PID, n.Payload)
	if err != nil {
		r.wire.metrics.heardForged.Inc()
		r.forged.Do(func() {
			r.wire.cfg.Log.Warn("skipped what no replica has sealed", "channel", r.channel.sealed(), "process", n.PID, "error", err)
		})
		return
	}
	r.receive(payload, now)
}

// receive handles a payload that a replica has sealed. One whose number is not larger than the last one of its sender is not heard, and is
// no reason for doubt: either somebody says it again, or its sender had given it up, and has said what was in it under a later number.
func (r *receiver) receive(payload string, now time.Time) {
	h, lines, err := parseHeader(payload)
	switch {
	case err != nil:
		r.unreadable(err)
	case h.seq == 0:
		r.malformed(fmt.Errorf("%w header of a replica without a number", errMalformed))
	case r.sealed[h.replica] != nil && h.seq <= r.sealed[h.replica].seq:
		r.wire.metrics.heardRepeated.Inc()
	default:
		r.followed(r.sealed, h, lines, now)
	}
}

// hearPlain handles a payload of the channel where they are not sealed: of the database, or of a replica of the release before, which has
// not spoken otherwise.
func (r *receiver) hearPlain(n *pgconn.Notification, now time.Time) {
	h, lines, err := parseHeader(n.Payload)
	_, seals := r.sealed[h.replica]
	switch {
	case err == nil && h.seq == 0:
		if rand.Float64() >= r.wire.cfg.Loss { // nobody else can drop what the database says
			r.hearLines(lines, h, r.session.epoch)
		}
	case !r.wire.cfg.Former() || seals || h.replica == r.wire.cfg.Replica:
		r.wire.metrics.heardPlain.Inc()
	case err != nil:
		r.unreadable(err)
	default:
		r.followed(r.plain, h, lines, now)
	}
}

// unreadable handles a payload without a header that can be read.
func (r *receiver) unreadable(err error) {
	if errors.Is(err, errFormat) {
		r.wire.doubt(r.channel, doubtFormat)
	} else {
		r.malformed(err)
	}
}

// followed hears the lines of a payload, after it has followed the numbers of its sender, which is one of these.
func (r *receiver) followed(of senders, h header, lines string, now time.Time) {
	if !r.follows(of, h, now) {
		r.wire.metrics.holes.Inc()
		r.wire.doubt(r.channel, doubtHole)
	}
	epoch := r.session.epoch
	if h.epoch != epoch {
		epoch = postgres.Epoch(strings.Clone(string(h.epoch))) // a part of the payload would keep all of it alive
		r.wire.doubt(r.channel, doubtEpoch)
	}
	r.hearLines(lines, h, epoch)
}

func (r *receiver) hearLines(lines string, h header, epoch postgres.Epoch) {
	for text := range strings.SplitSeq(lines, "\n") {
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
		err := r.wire.guard.Do(func() error { return letter.Hear(l) })
		if errors.As(err, new(*task.Panic)) {
			r.wire.doubt(r.channel, doubtPanic) // what the line said, if it was true, is in the tables
			return nil
		}
		if err != nil {
			return err
		}
		letter.heard.Inc()
	}
	return nil
}

// follows notes the number of a payload and reports whether it is the sender's next one. Of a plain payload, a number that is too small is
// as wrong as one that is too large.
func (r *receiver) follows(of senders, h header, now time.Time) bool {
	s, known := of[h.replica]
	if known {
		expected := s.seq + 1
		s.seq, s.at = h.seq, now
		return h.seq == expected
	}
	of.remember(h, now)
	// What a sender said before this session listened is no hole. But each sender sends a heartbeat every second: when one is heard for the
	// first time long after the session began, and not with its first payload, payloads were lost, or the sender was forgotten.
	return h.seq == 1 || now.Sub(r.since) <= r.wire.cfg.Timing.Silence
}

func (s senders) remember(h header, now time.Time) {
	if len(s) >= maxSenders {
		delete(s, slices.MinFunc(slices.Collect(maps.Keys(s)), func(a, b string) int { return s[a].at.Compare(s[b].at) }))
	}
	s[strings.Clone(h.replica)] = &heard{seq: h.seq, at: now}
}

func (r *receiver) malformed(err error) {
	r.wire.metrics.heardMalformed.Inc()
	r.garbage.Do(func() { r.wire.cfg.Log.Warn("skipped what another replica, or somebody else, said", "error", err) })
}
