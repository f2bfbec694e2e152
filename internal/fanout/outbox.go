package fanout

import "sync"

// maxQueued is how many lines wait for the publisher at most. Over half of it, bodies give way to hints.
const maxQueued = 8192

// outbox holds the lines that wait for the publisher.
type outbox struct {
	filled chan struct{} // has a token while there may be lines
	asIs   bool          // nothing stands for a line but itself: what finds no room, or may not have arrived, is lost

	mu    sync.Mutex
	lines []line
	hints map[int32]int // where each project's hint stands; nil while bodies are kept
	lost  int           // lines that found no room since the last take
}

func newOutbox() *outbox { return &outbox{filled: make(chan struct{}, 1)} }

// newPresenceOutbox holds lines about connections, which no hint can stand for: whoever misses one reads the table.
func newPresenceOutbox() *outbox { return &outbox{filled: make(chan struct{}, 1), asIs: true} }

// add queues l. It says false when there was no room.
func (o *outbox) add(l line) bool {
	o.mu.Lock()
	ok := o.put(l)
	o.mu.Unlock()
	o.wake()
	return ok
}

func (o *outbox) wake() {
	select {
	case o.filled <- struct{}{}:
	default:
	}
}

// lose makes the next take say that so many lines were lost.
func (o *outbox) lose(n int) {
	o.mu.Lock()
	o.lost += n
	o.mu.Unlock()
	o.wake()
}

func (o *outbox) put(l line) bool {
	if o.asIs && len(o.lines) == maxQueued {
		o.lost++
		return false
	}
	if o.asIs {
		o.lines = append(o.lines, l)
		return true
	}
	if o.hints == nil {
		if len(o.lines) < maxQueued/2 {
			o.lines = append(o.lines, l)
			return true
		}
		o.keepHints(o.lines)
	}
	if at, ok := o.hints[l.project]; ok {
		o.lines[at].version = max(o.lines[at].version, l.version)
		return true
	}
	if len(o.lines) == maxQueued {
		o.lost++
		return false
	}
	o.hints[l.project] = len(o.lines)
	o.lines = append(o.lines, line{kind: kindHint, project: l.project, version: l.version})
	return true
}

// keepHints replaces the queue by one hint per project in it, at its newest version, until the next take.
func (o *outbox) keepHints(lines []line) {
	o.lines, o.hints = make([]line, 0, len(lines)), make(map[int32]int)
	for _, l := range lines {
		o.put(l)
	}
}

// take empties the queue. It also returns how many lines found no room since the last take.
func (o *outbox) take() (lines []line, lost int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	lines, lost = o.lines, o.lost
	o.lines, o.hints, o.lost = nil, nil, 0
	return lines, lost
}

// putBack queues lines that may not have arrived, ahead of those that came since, all as hints. It returns how many
// found no room: lines that no hint can stand for never do.
func (o *outbox) putBack(lines []line) int {
	if o.asIs {
		o.lose(len(lines))
		return len(lines)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	before := o.lost
	o.keepHints(append(lines, o.lines...))
	o.wake()
	return o.lost - before
}

func (o *outbox) len() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.lines)
}
