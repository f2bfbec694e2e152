package bench

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"layercake/internal/bench/convergence"
)

// Result is what a storm showed.
type Result struct {
	Mutators    int     `json:"mutators"`
	Projects    int     `json:"projects"`
	Replicas    int     `json:"replicas"`
	Subscribers int     `json:"subscribers"` // number of all subscribers
	Rate        float64 `json:"rate"`        // changes a second that were asked for; 0 is as fast as possible
	Seconds     float64 `json:"seconds"`     // time from the first change sent to the last one answered

	Answered         int64            `json:"answered"` // changes that succeeded
	ChangesPerSecond float64          `json:"changesPerSecond"`
	Refused          map[string]int64 `json:"refused"`    // answers that refuse, by code; NETWORK when none came
	Retries          int64            `json:"retries"`    // retries of changes, after UNAVAILABLE, RATE_LIMITED and NETWORK
	Unresolved       int64            `json:"unresolved"` // changes that may have happened or not

	Change Latency `json:"change"` // time from the first send of a change to its answer
	Same   Latency `json:"same"`   // time from the first send to delivery by the replica that it was sent to
	Other  Latency `json:"other"`  // time from the first send to delivery by another replica

	Committed Latency `json:"committed"` // time from the change's transaction to delivery

	Deliveries          int64   `json:"deliveries"`
	DeliveriesPerSecond float64 `json:"deliveriesPerSecond"`
	Snapshots           int64   `json:"snapshots"`
	Skipped             int64   `json:"skipped"` // versions that snapshots stood in for
	Reconnects          int64   `json:"reconnects"`
	Neighbours          int64   `json:"neighbours"` // deliveries of events that another replica committed than the one before

	Lost       int64    `json:"lost"` // versions, counted by subscriber, as below
	Doubled    int64    `json:"doubled"`
	Reordered  int64    `json:"reordered"`
	Misapplied int64    `json:"misapplied"`
	Diverged   int64    `json:"diverged"`   // subscribers whose final state differs from the rows
	Unseen     int64    `json:"unseen"`     // answered changes that a subscriber never saw
	GaveUp     int64    `json:"gaveUp"`     // subscribers that gave up
	Complaints []string `json:"complaints"` // first mistakes, in words

	Surprises map[string]int64 `json:"surprises"` // refusals that mutators do not cause each other, ten of them, with their number
}

// OK reports whether changes were answered and every subscriber got all of them, once and in order.
func (r Result) OK() bool {
	return r.Answered > 0 && r.Lost+r.Doubled+r.Reordered+r.Misapplied+r.Diverged+r.Unseen+r.GaveUp == 0
}

// result compares every subscriber with the rows. Nothing runs any more.
func (s *RunningStorm) result(rows []convergence.Plan) Result {
	seconds := s.mutated.Seconds()
	r := Result{
		Mutators: s.cfg.Mutators, Projects: s.cfg.Projects, Replicas: len(s.cfg.URLs), Subscribers: len(s.subscribers),
		Rate: s.cfg.Rate, Seconds: seconds,
		Answered: s.counts.answered, ChangesPerSecond: float64(s.counts.answered) / seconds,
		Refused: s.counts.refused, Retries: s.counts.retries, Unresolved: s.counts.unresolved,
		Change:     s.counts.latency.latency(),
		Deliveries: s.deliveries.Load(), DeliveriesPerSecond: float64(s.deliveries.Load()) / seconds,
		Reconnects: s.reconnects.Load(), Surprises: s.counts.surprises,
	}
	var same, other, committed histogram
	for i, sub := range s.subscribers {
		same.add(&sub.same)
		other.add(&sub.other)
		committed.add(&sub.committed)
		r.Neighbours += sub.neighbours
		p := slices.Index(s.watched, sub.project)
		r.add(fmt.Sprintf("subscriber %d at %s, project %d", i+1, sub.urls[sub.replica], sub.project.id), sub, rows[p])
	}
	r.Same, r.Other, r.Committed = same.latency(), other.latency(), committed.latency()
	return r
}

// add counts what one subscriber saw.
func (r *Result) add(name string, sub *subscriber, rows convergence.Plan) {
	report := sub.view.finish(rows)
	r.Snapshots += report.Snapshots
	r.Skipped += report.Skipped
	r.Lost += report.Lost
	r.Doubled += report.Doubled + sub.twice
	r.Reordered += report.Reordered
	r.Misapplied += report.Misapplied
	var complaints []string
	if sub.failure != nil {
		r.GaveUp++
		complaints = append(complaints, "it gave up: "+sub.failure.Error())
	}
	complaints = append(complaints, report.First...)
	if report.Divergence != "" {
		r.Diverged++
		complaints = append(complaints, "diverged: "+report.Divergence)
	}
	if sub.twice > 0 {
		complaints = append(complaints, fmt.Sprintf("%d operations happened twice", sub.twice))
	}
	// Changes that a snapshot holds are not seen one by one. Their number is known only within one epoch.
	if unseen, first := sub.project.answered.without(sub.ops); unseen > report.Skipped && sub.epochs == 0 {
		r.Unseen += unseen - report.Skipped
		complaints = append(complaints, fmt.Sprintf("%d answered changes were not seen, such as %s-%d", unseen, sub.project.run, first))
	}
	for _, c := range complaints {
		if len(r.Complaints) < maxComplaints {
			r.Complaints = append(r.Complaints, name+": "+c)
		}
	}
}

// Write writes the result for people.
func (r Result) Write(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { _, _ = fmt.Fprintf(t, name+"\t"+format+"\n", args...) } // Flush reports errors
	pace := "as fast as possible"
	if r.Rate > 0 {
		pace = fmt.Sprintf("%g changes/s asked for", r.Rate)
	}
	row("storm", "%d mutators, %d projects, %d replicas, %d subscribers, %s", r.Mutators, r.Projects, r.Replicas, r.Subscribers, pace)
	row("changes answered", "%d in %.1f s, %.0f/s", r.Answered, r.Seconds, r.ChangesPerSecond)
	row("refused", "%s", byCode(r.Refused))
	row("retries, unresolved", "%d, %d", r.Retries, r.Unresolved)
	row("change to its answer", "%s", r.Change)
	row("change to same replica's subscribers", "%s", r.Same)
	row("change to other replicas' subscribers", "%s", r.Other)
	row("change's transaction to all subscribers", "%s", r.Committed)
	row("deliveries", "%d, %.0f/s", r.Deliveries, r.DeliveriesPerSecond)
	row("snapshots, reconnects", "%d (for %d versions), %d", r.Snapshots, r.Skipped, r.Reconnects)
	row("lost, doubled, reordered", "%d, %d, %d", r.Lost, r.Doubled, r.Reordered)
	row("misapplied, diverged, unseen, gave up", "%d, %d, %d, %d", r.Misapplied, r.Diverged, r.Unseen, r.GaveUp)
	for _, c := range r.Complaints {
		row("wrong", "%s", c)
	}
	for _, words := range slices.Sorted(maps.Keys(r.Surprises)) {
		row("surprising", "%d times %s", r.Surprises[words], words)
	}
	verdict := "every subscriber got every change, once and in order"
	switch {
	case r.Answered == 0:
		verdict = "FAILED: no change was answered"
	case !r.OK():
		verdict = "FAILED: not every subscriber got every change, once and in order"
	}
	row("verdict", "%s", verdict)
	return t.Flush()
}

// String shows the times in milliseconds.
func (l Latency) String() string {
	if l.Count == 0 {
		return "-"
	}
	return fmt.Sprintf("p50 %.1f  p95 %.1f  p99 %.1f  max %.1f ms", l.P50, l.P95, l.P99, l.Max)
}

func byCode(refused map[string]int64) string {
	var parts []string
	for _, code := range slices.Sorted(maps.Keys(refused)) {
		parts = append(parts, fmt.Sprintf("%s %d", code, refused[code]))
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}
