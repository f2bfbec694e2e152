package hostile

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"layercake/internal/bench/deployment"
)

// The limits by which attacks are judged.
const (
	maxRSS     = 512 << 20   // bytes of a replica
	maxUnitCPU = time.Second // processor time that one document, frame or line may take
	maxErrors  = 2           // lines of the level ERROR that a replica may log in a second
	maxRatio   = 2           // of the honest p99 beside an attack to that without one
	// honestFloor is a p99 that is good enough whatever it was without an attack. Attacker, replicas and database share the processors, and
	// on two of them a burst that replicas refuse at once, such as large headers, makes single requests take up to 140 ms.
	honestFloor = 150 * time.Millisecond
)

// Row is what one attack did.
type Row struct {
	Attack    string           `json:"attack"`
	Threat    string           `json:"threat"`   // who can do it, and what it is about
	Alone     bool             `json:"alone"`    // whether no honest load was beside it
	Requests  int64            `json:"requests"` // documents, frames, lines or files of the attacker
	Answers   map[string]int64 `json:"answers"`  // what they were answered with
	Seconds   float64          `json:"seconds"`
	CPU       float64          `json:"cpuSeconds"`  // processor time of the replicas, or of the process attacked, in all
	Extra     float64          `json:"unitSeconds"` // the part of it that the honest load does not explain, for each request
	RSSBefore float64          `json:"rssBeforeMB"` // of the larger replica
	RSSPeak   float64          `json:"rssPeakMB"`
	Changes   int64            `json:"changes"`        // honest changes answered
	P99       float64          `json:"honestP99Ms"`    // of honest changes and deliveries, the larger
	Ratio     float64          `json:"honestP99Ratio"` // of P99 to that of the quiet round
	Unhealthy int64            `json:"unhealthy"`      // probes of /health that were not answered with 200 in time
	Logged    int64            `json:"errorsLogged"`   // lines of the level ERROR
	Wrong     []string         `json:"wrong"`          // what should not have happened, in words
	Failures  []string         `json:"failures"`       // limits that were not kept, in words, with Wrong

	process deployment.Usage // of the process attacked in the place of replicas
}

// Result is what all attacks did. Its first row is a quiet one.
type Result struct {
	Seed     uint64 `json:"seed"`
	Replicas int    `json:"replicas"`
	Rows     []Row  `json:"rows"`
}

// OK reports whether no attack succeeded.
func (r Result) OK() bool {
	return !slices.ContainsFunc(r.Rows, func(row Row) bool { return len(row.Failures) > 0 })
}

// judge compares a row with the limits, and with the honest p99 of the quiet round.
func (r *Row) judge(quiet float64) {
	if quiet > 0 {
		r.Ratio = r.P99 / quiet
	}
	r.Failures = nil
	fail := func(format string, args ...any) { r.Failures = append(r.Failures, fmt.Sprintf(format, args...)) }
	if r.slow() {
		fail("the honest p99 was %.0f ms, %.1f times that without an attack", r.P99, r.Ratio)
	}
	if r.RSSPeak > maxRSS>>20 {
		fail("a process used %.0f MB, over %d", r.RSSPeak, maxRSS>>20)
	}
	if r.Extra > maxUnitCPU.Seconds() {
		fail("one request took %.1f s of processor time, over %v", r.Extra, maxUnitCPU)
	}
	if most := int64(maxErrors * replicas * (1 + r.Seconds)); r.Logged > most {
		fail("replicas logged %d errors, over %d", r.Logged, most)
	}
	if r.Unhealthy > 0 {
		fail("/health was not 200 %d times", r.Unhealthy)
	}
	if r.Changes == 0 && !r.Alone {
		fail("no honest change was answered")
	}
	if r.Requests == 0 {
		fail("the attacker did nothing, which proves nothing")
	}
	r.Failures = append(r.Failures, r.Wrong...)
}

// slow reports whether honest people had to wait.
func (r *Row) slow() bool { return r.Ratio > maxRatio && r.P99 > float64(honestFloor.Milliseconds()) }

// onlySlow reports whether nothing else was wrong.
func (r *Row) onlySlow() bool { return r.slow() && len(r.Failures) == 1 }

// verdict says in a line what became of the attack.
func (r *Row) verdict() string {
	if len(r.Failures) == 0 {
		return "held"
	}
	return "FAILED: " + r.Failures[0]
}

// judgeOf takes what honest people noticed.
func (r *Row) judgeOf(n notice) {
	s := n.result
	r.Changes = s.Answered
	r.P99 = max(s.Change.P99, s.Same.P99, s.Other.P99)
	r.Unhealthy = n.unhealthy
	if n.err != nil {
		r.Wrong = append(r.Wrong, fmt.Sprintf("the plan could not be read in the end: %v", n.err))
	} else if !s.OK() {
		r.Wrong = append(r.Wrong, fmt.Sprintf("watchers: %d lost, %d doubled, %d reordered, %d misapplied, %d diverged, %d unseen, %d gave up",
			s.Lost, s.Doubled, s.Reordered, s.Misapplied, s.Diverged, s.Unseen, s.GaveUp))
		r.Wrong = append(r.Wrong, s.Complaints[:min(len(s.Complaints), maxSentences)]...)
	}
	if s.Unresolved > 0 {
		r.Wrong = append(r.Wrong, fmt.Sprintf("%d honest changes had no answer", s.Unresolved))
	}
	r.Wrong = slices.Concat(r.Wrong, n.shown, n.cut, n.health)
}

// attackOf takes what the attacker did and found.
func (r *Row) attackOf(a *assault) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r.Requests, r.Answers, r.process = a.requests, a.answers, a.process
	r.Wrong = append(r.Wrong, a.found...)
}

// usageOf takes what the replicas used, or the process that was attacked in their place. The quiet round says what the honest load
// explains; it is empty for that round itself.
func (r *Row) usageOf(g *gauge, quiet Row) {
	if r.process != (deployment.Usage{}) {
		r.CPU, r.RSSPeak = r.process.CPU.Seconds(), float64(r.process.Peak>>20)
		return
	}
	r.CPU = g.cpu.Seconds()
	r.RSSBefore, r.RSSPeak = float64(g.before>>20), float64(g.peak>>20)
	r.Wrong = append(r.Wrong, g.killed...)
	if quiet.Seconds > 0 && r.Requests > 0 {
		r.Extra = max(0, r.CPU-quiet.CPU/quiet.Seconds*r.Seconds) / float64(r.Requests)
	}
}

// Write writes the result for people.
func (r Result) Write(w io.Writer) error {
	_, _ = fmt.Fprintf(w, "hostile with seed %d: %d replicas, %d honest changes/s\n\n", r.Seed, r.Replicas, honestRate)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(t, "attack\tthreat\trequests\tseconds\treplica CPU-s\tRSS before\tRSS peak\terrors logged\t"+
		"honest changes\thonest p99\tratio\tverdict\t")
	failed := 0
	for _, row := range r.Rows {
		verdict, _, _ := strings.Cut(row.verdict(), ":")
		if len(row.Failures) > 0 {
			failed++
		}
		_, _ = fmt.Fprintf(t, "%s\t%s\t%d\t%.1f\t%.2f\t%.0f MB\t%.0f MB\t%d\t%d\t%.1f ms\t%.1f\t%s\t\n", row.Attack, row.Threat, row.Requests,
			row.Seconds, row.CPU, row.RSSBefore, row.RSSPeak, row.Logged, row.Changes, row.P99, row.Ratio, verdict)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, _ = fmt.Fprintln(w)
	for _, row := range r.Rows {
		_, _ = fmt.Fprintf(w, "%s: answered with %s\n", row.Attack, counted(row.Answers))
		for _, failure := range row.Failures {
			_, _ = fmt.Fprintf(w, "%s: %s\n", row.Attack, failure)
		}
	}
	verdict := "honest people noticed nothing"
	if failed > 0 {
		verdict = fmt.Sprintf("FAILED: %d of %d rounds", failed, len(r.Rows))
	}
	_, err := fmt.Fprintln(w, verdict)
	return err
}

func counted(answers map[string]int64) string {
	parts := make([]string, 0, len(answers))
	for _, answer := range slices.Sorted(maps.Keys(answers)) {
		parts = append(parts, fmt.Sprintf("%s %d", answer, answers[answer]))
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}
