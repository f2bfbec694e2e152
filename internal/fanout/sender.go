package fanout

import (
	"math/rand/v2"
	"strconv"
	"sync"

	"layercake/internal/postgres"
	"layercake/internal/task"
)

const (
	// maxQueued is how many lines of a channel wait for the publisher at most. Over half of it, lines give way to hints.
	maxQueued = 8192
	// maxPayloads is how many payloads a statement has at most.
	maxPayloads = 64
)

// sender is the sending side of one channel: a queue that any goroutine fills, and what the publisher makes of it.
//
// A payload's number is used once, whatever comes of the payload. One is also used up for lines that are lost: for want of room, or
// because no hint can stand for a line that cannot be sent, or not again. So listeners notice that they should have heard something.
type sender struct {
	wire   *Wire
	filled chan<- struct{} // takes a token when there may be lines

	mu    sync.Mutex
	lines []Line
	hints map[subject]int // index in lines of each subject's hint; nil while lines are kept as they are
	lost  bool            // something was lost since the last take

	// These belong to the goroutine that publishes.
	plain   bool   // whether payloads also go out plain, for replicas of the release before
	header  header // header of the last payload
	buf     []byte // text of the payload that is being made
	pending []Line // lines that were taken from the queue and are not sent yet
}

// subject is what a hint is about. The queue has one hint for each.
type subject struct {
	letter  byte
	project int32
}

// add queues l.
func (s *sender) add(l Line) {
	exact := fits(l.Text)
	defer task.Wake(s.filled)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hints == nil && len(s.lines) >= maxQueued/2 {
		s.keepHints(nil, s.lines)
	}
	s.put(l, exact)
}

// putBack queues hints for the pending lines, which may have arrived, ahead of those that came since.
func (s *sender) putBack() {
	defer task.Wake(s.filled)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keepHints(s.pending, s.lines)
	s.pending = nil
}

// connect notes the history that is published to from now on. Lines may be pending that were taken while it was another one.
func (s *sender) connect(epoch postgres.Epoch) {
	s.header.epoch = epoch
	if s.translate(s.pending) {
		s.header.seq++
	}
}

// leaveHole makes the next take use up a number.
func (s *sender) leaveHole() {
	defer task.Wake(s.filled)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = true
}

// keepHints replaces the queue by hints, one for each subject, at the newest version, until the next take. Lines that no hint can stand
// for stay when they wait, and are lost when they may have arrived: nothing is said twice.
func (s *sender) keepHints(arrived, waiting []Line) {
	s.lines, s.hints = make([]Line, 0, len(arrived)+len(waiting)), make(map[subject]int)
	for _, l := range arrived {
		s.put(l, false)
	}
	for _, l := range waiting {
		s.put(l, true)
	}
}

// put queues a line, or its hint: while hints are kept, and where exact says that the line itself must not be sent.
func (s *sender) put(l Line, exact bool) {
	hinted := false
	if s.hints != nil || !exact {
		l, hinted = s.wire.hint(l)
	}
	key := subject{l.Letter, l.Project}
	at, found := s.hints[key]
	switch {
	case hinted && found:
		if l.Version > s.lines[at].Version {
			s.lines[at] = l
		}
	case !hinted && !exact, len(s.lines) == maxQueued:
		s.lost = true
		s.wire.metrics.dropped.Inc()
	default:
		if hinted && s.hints != nil {
			s.hints[key] = len(s.lines)
		}
		s.lines = append(s.lines, l)
	}
}

// take moves the queue to the pending lines.
func (s *sender) take() {
	s.mu.Lock()
	lines, lost := s.lines, s.lost
	s.lines, s.hints, s.lost = nil, nil, false
	s.mu.Unlock()
	if s.translate(lines) || lost {
		s.header.seq++
	}
}

// translate makes lines the pending ones, in their own memory. A line of another history than the one that is published to goes as a hint:
// its version means another event there. It reports whether a line was lost because no hint can stand for it.
func (s *sender) translate(lines []Line) (lost bool) {
	s.pending = lines[:0]
	for _, l := range lines {
		ok := l.Epoch == "" || l.Epoch == s.header.epoch
		if !ok {
			l, ok = s.wire.hint(l)
		}
		if ok {
			s.pending = append(s.pending, l)
		} else {
			lost = true
			s.wire.metrics.dropped.Inc()
		}
	}
	return lost
}

// queued returns how many lines wait for the publisher.
func (s *sender) queued() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.lines)
}

// pack makes payloads of what is pending, or of what is queued when nothing is, and of a heartbeat unless that is 0. It returns with
// them how many lines it took, which stay pending until they are sent.
func (s *sender) pack(beat int64) (payloads []string, took int) {
	if len(s.pending) == 0 {
		s.take()
	}
	for took < len(s.pending) && len(payloads) < maxPayloads-1 {
		payload, lines := s.next(s.pending[took:])
		took += lines
		if rand.Float64() < s.wire.cfg.Loss {
			s.wire.metrics.dropped.Add(float64(lines))
			continue
		}
		payloads = append(payloads, payload)
	}
	if beat != 0 {
		// Alone, so that a fault test does not drop it.
		payload, _ := s.next([]Line{{Letter: letterHeartbeat, Text: strconv.FormatInt(beat, 10)}})
		payloads = append(payloads, payload)
	}
	return payloads, took
}

// next fills one payload from the front of lines and returns it with how many lines it took.
func (s *sender) next(lines []Line) (payload string, took int) {
	s.header.seq++
	s.buf = s.header.append(s.buf[:0])
	for _, l := range lines {
		end := len(s.buf)
		s.buf = l.append(s.buf)
		if len(s.buf) > maxPayload {
			s.buf = s.buf[:end]
			break
		}
		took++
	}
	return string(s.buf), took
}
