package chaos

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"layercake/internal/bench"
	"layercake/internal/bench/builds"
)

// Result is what a deployment did under each fault.
type Result struct {
	Seed     uint64        `json:"seed"`
	Replicas int           `json:"replicas"`
	Projects int           `json:"projects"`
	Rate     float64       `json:"rate"` // changes a second, asked for
	Faults   []FaultResult `json:"faults"`
	Deaths   []string      `json:"deaths"` // deaths of replicas that nobody killed
}

// FaultResult is the result of a storm during a fault, with that of the people and the traces of the fault.
type FaultResult struct {
	Name      string             `json:"name"`
	Recovered float64            `json:"recoveredSeconds"` // time from the end of the fault until every watcher was at the head
	Counters  map[string]float64 `json:"counters"`         // growth of the replicas' counters during the fault
	Problems  []string           `json:"problems"`
	People    bench.People       `json:"people"`
	Agents    bench.TeamResult   `json:"agents"`
	Builds    builds.LoadResult  `json:"builds"`
	Leavers   LeaversResult      `json:"leavers"`
	Pages     PagesResult        `json:"pages"`
	bench.Result
}

// OK reports whether nothing that was answered was lost, every watcher and agent got everything, once and in order, everybody was told who
// was there, graphs are in the end what the pure engine computes, what ended ended for everybody, and pages show the plans as they are.
func (r FaultResult) OK() bool {
	return r.Result.OK() && len(r.Problems) == 0 && r.People.OK() && r.Agents.OK() && r.Builds.OK() && r.Leavers.OK() && r.Pages.OK()
}

// OK reports whether that holds for all faults, and no replica died by itself.
func (r Result) OK() bool {
	for _, f := range r.Faults {
		if !f.OK() {
			return false
		}
	}
	return len(r.Deaths) == 0
}

// Write writes the result for people.
func (r Result) Write(w io.Writer) error {
	_, _ = fmt.Fprintf(w, "chaos with seed %d: %d replicas, %d projects, %g changes/s\n\n", r.Seed, r.Replicas, r.Projects, r.Rate)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(t, "fault\tchanges\tretries\tevents\tlost\tdoubled\treordered\tdiverged\tother\t"+
		"longest delay\trecovery\tsnapshots\treconnects\tgaps\tsweep repairs\t")
	for _, f := range r.Faults {
		_, _ = fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%.2f s\t%.2f s\t%d\t%d\t%.0f\t%.0f\t\n", f.Name,
			f.Answered, f.Retries, f.Deliveries, f.Lost+f.Unseen, f.Doubled, f.Reordered, f.Diverged,
			f.Misapplied+f.GaveUp+int64(len(f.Problems)), f.Committed.Max/1000, f.Recovered,
			f.Snapshots, f.Reconnects, f.Counters["gaps"], f.Counters["sweepRepairs"])
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, _ = fmt.Fprintln(w)
	_, _ = fmt.Fprintln(t, "fault\tpeople\tstays\tghosts\tmissing\tmisplaced\tflickers\tother\tlongest absence\tlongest ghost\tagreed after\t")
	for _, f := range r.Faults {
		p := f.People
		_, _ = fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%.2f s\t%.2f s\t%.2f s\t\n", f.Name, p.Browsers, p.Stays, p.Ghosts, p.Missing,
			p.Misplaced, p.Flickers, len(p.Errors), p.Absence, p.Presence, p.Agreed)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, _ = fmt.Fprintln(w)
	_, _ = fmt.Fprintln(t, "fault\tagents\tvisits\tedits\tchanges read\tlost\tdoubled\treordered\tdiverged\tmisapplied\tsnapshots\t")
	for _, f := range r.Faults {
		a := f.Agents
		_, _ = fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t\n", f.Name, a.Agents, a.Visits, a.Edits, a.Changes, a.Lost+a.Unseen,
			a.Doubled, a.Reordered, a.Diverged, a.Misapplied, a.Snapshots)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, _ = fmt.Fprintln(w)
	_, _ = fmt.Fprintln(t, "fault\tuploads\treplaced\tdeleted\texecutions\tcancelled\tgiven up\tread\tfiles\tnodes\tedges\twrong\t")
	for _, f := range r.Faults {
		b := f.Builds
		_, _ = fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t\n", f.Name, b.Uploads, b.Replaced, b.Deleted, b.Executed,
			b.Canceled, b.GaveUp, b.Read, b.Inputs, b.Nodes, b.Edges, len(b.Problems))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, _ = fmt.Fprintln(w)
	_, _ = fmt.Fprintln(t, "fault\tremovals\tevents seen\tseen after\tends of sessions\tsockets\topen too late\tlongest\t")
	for _, f := range r.Faults {
		l := f.Leavers
		_, _ = fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%.2f s\t\n", f.Name, l.Removals, l.Seen, l.After, l.Ends, l.Sockets, l.Late, l.Longest)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, _ = fmt.Fprintln(w)
	_, _ = fmt.Fprintln(t, "fault\tpages\tchanges told\tshowed the rows after\twrong\t")
	for _, f := range r.Faults {
		p := f.Pages
		_, _ = fmt.Fprintf(t, "%s\t%d\t%d\t%.2f s\t%d\t\n", f.Name, p.Pages, p.Events, p.Agreed, len(p.Complaints))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, _ = fmt.Fprintln(w)
	for _, f := range r.Faults {
		for _, words := range [][]string{
			f.Problems, f.Complaints, f.People.Errors, f.People.Complaints, f.Agents.Complaints, f.Builds.Problems, f.Leavers.Complaints,
			f.Pages.Complaints,
		} {
			for _, p := range words {
				_, _ = fmt.Fprintf(w, "%s: %s\n", f.Name, p)
			}
		}
	}
	for _, d := range r.Deaths {
		_, _ = fmt.Fprintln(w, d)
	}
	verdict := "nothing that was answered was lost, every watcher and agent got every change, once and in order, " +
		"everybody was told who was there, graphs are what the pure engine computes, and who was removed or signed out was shown nothing more"
	if slices.ContainsFunc(r.Faults, func(f FaultResult) bool { return f.Pages.Pages > 0 }) {
		verdict += "; pages showed the plans as they are"
	}
	if !r.OK() {
		verdict = "FAILED"
	}
	_, err := fmt.Fprintln(w, verdict)
	return err
}
