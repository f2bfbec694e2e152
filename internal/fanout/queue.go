package fanout

import (
	"sync"

	"layercake/internal/task"
)

// maxQueued is how many lines wait for the publisher at most. Over half of it, lines give way to hints.
const maxQueued = 8192

// queue holds the lines of a channel that wait for the publisher.
type queue struct {
	filled chan<- struct{}         // takes a token when there may be lines
	hint   func(Line) (Line, bool) // what can stand for a line, if anything

	mu    sync.Mutex
	lines []Line
	hints map[about]int // where each hint stands; nil while lines are kept as they are
	lost  int           // lines that found no room since the last take
}

// about is what a hint is about. No two hints of a queue are about the same.
type about struct {
	letter  byte
	project int32
}

// add queues l. It says false when there was no room.
func (q *queue) add(l Line) bool {
	defer task.Wake(q.filled)
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.hints == nil && len(q.lines) >= maxQueued/2 {
		q.keepHints(nil, q.lines)
	}
	return q.put(l)
}

// lose makes the next take say that so many lines were lost.
func (q *queue) lose(n int) {
	defer task.Wake(q.filled)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lost += n
}

func (q *queue) put(l Line) bool {
	hinted := false
	if q.hints != nil {
		var h Line
		if h, hinted = q.hint(l); hinted {
			l = h
		}
	}
	key := about{l.Letter, l.Project}
	if at, found := q.hints[key]; hinted && found {
		if l.Version > q.lines[at].Version {
			q.lines[at] = l
		}
		return true
	}
	if len(q.lines) == maxQueued {
		q.lost++
		return false
	}
	if hinted {
		q.hints[key] = len(q.lines)
	}
	q.lines = append(q.lines, l)
	return true
}

// keepHints replaces the queue by hints, one for all lines that are about the same, at the newest version, until the next take. Lines
// that no hint can stand for stay when they wait, and are lost when they may have arrived: nothing is said twice.
func (q *queue) keepHints(arrived, waiting []Line) {
	q.lines, q.hints = make([]Line, 0, len(arrived)+len(waiting)), make(map[about]int)
	for _, l := range arrived {
		if h, ok := q.hint(l); ok {
			q.put(h)
		} else {
			q.lost++
		}
	}
	for _, l := range waiting {
		q.put(l)
	}
}

// take empties the queue. It also returns how many lines found no room since the last take.
func (q *queue) take() (lines []Line, lost int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	lines, lost = q.lines, q.lost
	q.lines, q.hints, q.lost = nil, nil, 0
	return lines, lost
}

// putBack queues hints for lines that may have arrived, ahead of those that came since. It returns how many were lost.
func (q *queue) putBack(lines []Line) int {
	defer task.Wake(q.filled)
	q.mu.Lock()
	defer q.mu.Unlock()
	before := q.lost
	q.keepHints(lines, q.lines)
	return q.lost - before
}

func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.lines)
}
