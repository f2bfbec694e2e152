package bench

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"

	"layercake/internal/client"
)

// AgentsResult is what agents were told, and how soon.
type AgentsResult struct {
	Agents    int     `json:"agents"`
	Projects  int     `json:"projects"`
	Replicas  int     `json:"replicas"`
	Listeners int     `json:"listeners"` // agents that listen to one more project
	Rate      float64 `json:"rate"`      // changes a second that were asked for
	Connected float64 `json:"connectedSeconds"`
	Listening float64 `json:"listeningSeconds"` // time until all listeners, who came at once, were let
	Seconds   float64 `json:"seconds"`          // time from the first change sent to the last one answered
	Settled   float64 `json:"settledSeconds"`   // time from then until everybody was told

	Answered   int64            `json:"answered"` // changes that succeeded
	Refused    map[string]int64 `json:"refused"`  // answers that refuse, by code; NETWORK when none came
	Retries    int64            `json:"retries"`
	Unresolved int64            `json:"unresolved"` // changes that may have happened or not
	Calls      int64            `json:"calls"`      // calls of list_changes that were answered

	Change Latency                `json:"change"` // time from the first send of a change to its answer
	Has    Latency                `json:"has"`    // time from the first send to an agent that waits
	ByEra  map[client.Era]Latency `json:"hasByEra"`
	Told   Latency                `json:"told"` // time from a change's send to the update of a listener

	PostedHere      Latency `json:"postedHere"`      // calls on /mcp/sse by posts to the replica with the stream
	PostedElsewhere Latency `json:"postedElsewhere"` // calls on /mcp/sse by posts to another one

	Memory []AgentsMemory `json:"memory"` // before anybody waits, and while all wait; empty without admin addresses

	Lost       int64    `json:"lost"` // versions, counted by agent, as below
	Doubled    int64    `json:"doubled"`
	Reordered  int64    `json:"reordered"`
	Misapplied int64    `json:"misapplied"` // cursors that do not fit their pages
	Missed     int64    `json:"missed"`     // pages that say that changes are missing
	Diverged   int64    `json:"diverged"`   // agents that are elsewhere than the plan in the end
	Unseen     int64    `json:"unseen"`     // answered changes that an agent was never told of
	GaveUp     int64    `json:"gaveUp"`     // agents that gave up
	Unheard    int64    `json:"unheard"`    // updates that a listener did not get in time
	Complaints []string `json:"complaints"` // first mistakes, in words

	Surprises map[string]int64 `json:"surprises"` // refusals of changes, ten different ones, with their number
}

// AgentsMemory is what the replicas hold together.
type AgentsMemory struct {
	Bytes      float64 `json:"bytes"` // of heap and stacks
	Goroutines float64 `json:"goroutines"`
}

// OK reports whether changes were answered, every agent was told of all of them, once and in order, and every listener in time.
func (r AgentsResult) OK() bool {
	wrong := r.Lost + r.Doubled + r.Reordered + r.Misapplied + r.Missed + r.Diverged + r.Unseen + r.GaveUp + r.Unheard
	return r.Answered > 0 && wrong == 0 && len(r.Complaints) == 0
}

func (r *AgentsResult) complain(format string, args ...any) {
	if len(r.Complaints) < maxComplaints {
		r.Complaints = append(r.Complaints, fmt.Sprintf(format, args...))
	}
}

// add judges one agent. Nothing runs any more.
func (r *AgentsResult) add(f *follower) {
	report := f.pages.Finish(f.project.rows)
	r.Lost += report.Lost
	r.Doubled += report.Doubled + f.twice
	r.Reordered += report.Reordered
	r.Misapplied += report.Misapplied
	r.Missed += report.Snapshots
	name := fmt.Sprintf("agent %d of %s, project %d", f.number, f.era, f.project.id)
	if f.failure != nil {
		r.GaveUp++
		r.complain("%s: it gave up: %v", name, f.failure)
	}
	for _, first := range report.First {
		r.complain("%s: %s", name, first)
	}
	if report.Snapshots > 0 {
		r.complain("%s: it missed %d changes", name, report.Skipped)
	}
	if report.Divergence != "" {
		r.Diverged++
		r.complain("%s: diverged: %s", name, report.Divergence)
	}
	if f.twice > 0 {
		r.complain("%s: %d changes happened twice", name, f.twice)
	}
	if unseen, first := f.project.answered.without(f.ops); unseen > 0 {
		r.Unseen += unseen
		r.complain("%s: %d answered changes were not told, such as %s", name, unseen, f.changes.opID(first))
	}
}

// Write writes the result for people.
func (r AgentsResult) Write(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { _, _ = fmt.Fprintf(t, name+"\t"+format+"\n", args...) } // Flush reports errors
	row("agents", "%d, %d projects, %d replicas, %g changes/s asked for", r.Agents, r.Projects, r.Replicas, r.Rate)
	row("connected", "in %.2f s", r.Connected)
	row("changes answered", "%d in %.1f s, %.0f/s", r.Answered, r.Seconds, float64(r.Answered)/r.Seconds)
	row("refused", "%s", byCode(r.Refused))
	row("retries, unresolved", "%d, %d", r.Retries, r.Unresolved)
	row("change to its answer", "%s", r.Change)
	row("change to agents that wait", "%s", r.Has)
	for _, era := range client.Eras {
		row("  those of "+string(era), "%s", r.ByEra[era])
	}
	row("told of changes", "%d times, by %d calls, the last %.2f s after the last answer", r.Has.Count, r.Calls, r.Settled)
	if r.Listeners > 0 {
		row("listeners of one project", "%d, who came at once, in %.2f s", r.Listeners, r.Listening)
		row("change to listeners", "%s", r.Told)
	}
	if here, elsewhere := r.PostedHere, r.PostedElsewhere; here.Count > 0 {
		row("call on /mcp/sse", "%s", here)
		row("posted to another replica", "%s", elsewhere)
		row("  added", "p50 %.1f  p99 %.1f ms", elsewhere.P50-here.P50, elsewhere.P99-here.P99)
	}
	if len(r.Memory) == 2 {
		before, after := r.Memory[0], r.Memory[1]
		row("memory before, while all wait", "%.0f, %.0f MB on all replicas: %.0f kB and %.1f goroutines for each agent that waits",
			before.Bytes/1e6, after.Bytes/1e6, (after.Bytes-before.Bytes)/1e3/float64(r.Agents),
			(after.Goroutines-before.Goroutines)/float64(r.Agents))
	}
	row("lost, doubled, reordered", "%d, %d, %d", r.Lost, r.Doubled, r.Reordered)
	row("misapplied, missed, diverged, unseen, gave up", "%d, %d, %d, %d, %d", r.Misapplied, r.Missed, r.Diverged, r.Unseen, r.GaveUp)
	row("updates that did not come", "%d", r.Unheard)
	for _, c := range r.Complaints {
		row("wrong", "%s", c)
	}
	for _, words := range slices.Sorted(maps.Keys(r.Surprises)) {
		row("surprising", "%d times %s", r.Surprises[words], words)
	}
	verdict := "every agent was told of every change, once and in order"
	switch {
	case r.Answered == 0:
		verdict = "FAILED: no change was answered"
	case !r.OK():
		verdict = "FAILED: not every agent was told of every change, once and in order"
	}
	row("verdict", "%s", verdict)
	return t.Flush()
}
