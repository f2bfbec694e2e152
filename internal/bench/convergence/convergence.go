// Package convergence judges whether watchers were told the truth.
//
// Events and Deltas judge watchers of a plan, by the two kinds of subscriptions: each change comes once and in order, and the state in the
// end is the plan of the rows. A watcher starts from the plan as getPlanDag answers it, takes everything that its subscription delivers,
// and is compared with getPlanDag at the end. It keeps the state that a client would have and the mistakes so far, not the events.
//
// CompareRoster and Attend judge viewers of people: everybody was told who was there, at one moment and over time.
package convergence

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Plan is a plan as getPlanDag and the snapshots of planEvents deliver it. Its order of nodes and edges counts.
type Plan struct {
	Version int64             `json:"version,string"`
	Cursor  string            `json:"cursor"`
	Nodes   []json.RawMessage `json:"nodes"` // nodes with their ids and all other fields that events show, and their executions
	Edges   []json.RawMessage `json:"edges"`

	Metadata struct {
		Version string `json:"version"` // label that deltas test; empty for the version
	} `json:"metadata"`
}

func (p Plan) label() string {
	if p.Metadata.Version != "" {
		return p.Metadata.Version
	}
	return strconv.FormatInt(p.Version, 10)
}

// Report is the result of a check.
type Report struct {
	Events     int64    `json:"events"`     // events seen, snapshots and repeats included
	Snapshots  int64    `json:"snapshots"`  // snapshots seen
	Skipped    int64    `json:"skipped"`    // versions that snapshots stood in for
	Lost       int64    `json:"lost"`       // versions that never came
	Doubled    int64    `json:"doubled"`    // events that had come before
	Reordered  int64    `json:"reordered"`  // events that came after later ones
	Misapplied int64    `json:"misapplied"` // events that did not fit the state that they came to
	First      []string `json:"first"`      // first mistakes, in words; at most 10
	Divergence string   `json:"divergence"` // how the state in the end differs from the rows; "" when it does not
}

// OK reports whether nothing was wrong.
func (r Report) OK() bool {
	return r.Lost == 0 && r.Doubled == 0 && r.Reordered == 0 && r.Misapplied == 0 && r.Divergence == ""
}

const (
	maxFirst = 10
	maxSpans = 1000
)

// sequence follows the versions of one watcher. Versions of different epochs cannot be compared, and only a snapshot leads
// from one epoch to another.
type sequence struct {
	epoch   string
	version int64  // highest version seen
	missing []span // spans of missing versions below it, ascending
	report  Report
}

type span struct{ first, last int64 }

func newSequence(cursor string, version int64) sequence {
	return sequence{epoch: epochOf(cursor), version: version}
}

// epochOf returns the epoch in a cursor, which has the form <epoch>~<hash>.<version>.
func epochOf(cursor string) string {
	epoch, _, _ := strings.Cut(cursor[:max(strings.LastIndexByte(cursor, '.'), 0)], "~")
	return epoch
}

// wrong remembers a mistake, if it is one of the first.
func (s *sequence) wrong(format string, args ...any) {
	if len(s.report.First) < maxFirst {
		s.report.First = append(s.report.First, fmt.Sprintf(format, args...))
	}
}

func (s *sequence) misapplied(version int64, err error) {
	s.report.Misapplied++
	s.wrong("version %d: %v", version, err)
}

// order is the place of an event's version among those before it.
type order int

const (
	next  order = iota // follows the last version
	ahead              // follows a gap
	again              // repeats a version, or comes too late
)

// follow takes an event that is no snapshot.
func (s *sequence) follow(cursor string, version int64) order {
	s.report.Events++
	if epoch := epochOf(cursor); epoch != s.epoch {
		s.misapplied(version, fmt.Errorf("epoch %q follows %q without a snapshot", epoch, s.epoch))
		s.enter(epoch, version)
		return ahead
	}
	switch {
	case version == s.version+1:
		s.version = version
		return next
	case version > s.version:
		s.wrong("version %d: lost, or late: %d to %d", version, s.version+1, version-1)
		s.miss(span{s.version + 1, version - 1})
		s.version = version
		return ahead
	case s.found(version):
		s.report.Reordered++
		s.wrong("version %d: came after %d", version, s.version)
	default:
		s.report.Doubled++
		s.wrong("version %d: came again, at %d", version, s.version)
	}
	return again
}

// restart takes a snapshot.
func (s *sequence) restart(cursor string, version int64) {
	s.report.Events++
	s.report.Snapshots++
	epoch := epochOf(cursor)
	switch {
	case epoch != s.epoch:
	case version < s.version:
		s.report.Reordered++
		s.wrong("version %d: a snapshot after %d", version, s.version)
	default:
		s.report.Skipped += version - s.version
	}
	s.enter(epoch, version)
}

// rejoin goes on from the version at which another subscription begins.
func (s *sequence) rejoin(cursor string, version int64) {
	epoch := epochOf(cursor)
	if epoch == s.epoch {
		s.report.Skipped += max(version-s.version, 0)
	}
	s.enter(epoch, version)
}

func (s *sequence) enter(epoch string, version int64) {
	if epoch != s.epoch {
		s.giveUp(len(s.missing))
	}
	s.epoch, s.version = epoch, version
}

func (s *sequence) miss(m span) {
	s.missing = append(s.missing, m)
	s.giveUp(len(s.missing) - maxSpans)
}

// giveUp counts the first n spans as lost for good.
func (s *sequence) giveUp(n int) {
	for range n {
		s.report.Lost += s.missing[0].last - s.missing[0].first + 1
		s.missing = s.missing[1:]
	}
}

// found takes a version out of those that are missing, and reports whether it was among them.
func (s *sequence) found(version int64) bool {
	i := slices.IndexFunc(s.missing, func(m span) bool { return m.first <= version && version <= m.last })
	if i < 0 {
		return false
	}
	m := s.missing[i]
	var rest []span
	if m.first < version {
		rest = append(rest, span{m.first, version - 1})
	}
	if version < m.last {
		rest = append(rest, span{version + 1, m.last})
	}
	s.missing = slices.Replace(s.missing, i, i+1, rest...)
	return true
}

// finish returns the report of a watcher whose head should be rows.
func (s *sequence) finish(rows Plan, divergence string) Report {
	r := s.report
	r.First = slices.Clone(r.First)
	for _, m := range s.missing {
		r.Lost += m.last - m.first + 1
	}
	if epoch := epochOf(rows.Cursor); epoch != s.epoch {
		r.Divergence = fmt.Sprintf("the watcher is in epoch %q, the rows are in %q", s.epoch, epoch)
		return r
	}
	if missing := rows.Version - s.version; missing > 0 {
		r.Lost += missing
		if len(r.First) < maxFirst {
			r.First = append(r.First, fmt.Sprintf("lost at the end: %d to %d", s.version+1, rows.Version))
		}
	}
	r.Divergence = divergence
	return r
}

// compareLists says how two lists of JSON objects differ, or "".
func compareLists(what string, seen, rows []json.RawMessage, equal func(a, b json.RawMessage) bool) string {
	for i := range min(len(seen), len(rows)) {
		if !equal(seen[i], rows[i]) {
			return fmt.Sprintf("%s %d: seen %s, in the rows %s", what, i, seen[i], rows[i])
		}
	}
	if len(seen) != len(rows) {
		return fmt.Sprintf("%ss: %d seen, %d in the rows", what, len(seen), len(rows))
	}
	return ""
}

// sameJSON reports whether two texts mean the same value. The order of members does not matter.
func sameJSON(a, b json.RawMessage) bool {
	if bytes.Equal(a, b) {
		return true
	}
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}
