package chaos

import (
	"context"
	"maps"
	"time"

	"layercake/internal/bench/deployment"
	"layercake/internal/client"
)

// counters are the metrics of what replicas had to do about a fault, by their names in a report.
var counters = map[string]string{
	"gaps":              "layercake_feed_gaps_total",
	"filled":            "layercake_feed_filled_events_total",
	"logReads":          "layercake_feed_log_reads_total",
	"sweepRepairs":      "layercake_feed_sweep_repairs_total",
	"holes":             "layercake_fanout_holes_total",
	"linesDropped":      "layercake_fanout_lines_dropped_total",
	"listenerConnects":  "layercake_fanout_listener_connects_total",
	"publisherConnects": "layercake_fanout_publisher_connects_total",
	"publisherErrors":   "layercake_fanout_publisher_errors_total",
	"trimmed":           "layercake_cleanup_removed_total",
	"takeovers":         "layercake_builds_takeovers_total",
}

// metricsTime is the limit for a live replica to answer with its metrics.
const metricsTime = 10 * time.Second

// tally adds up the growth of the counters of all replicas, through their restarts. Counts of a replica's last moments before it was
// killed are missing.
type tally struct {
	deployment *deployment.Deployment
	sums       map[string]float64
	last       []map[string]float64 // last values of each replica; nil before it was read
}

// newTally begins to count. When it returns it has read the first values of the replicas.
func newTally(ctx context.Context, d *deployment.Deployment) *tally {
	t := &tally{deployment: d, sums: map[string]float64{}, last: make([]map[string]float64, len(d.Replicas))}
	t.sums["crashes"] = -t.crashes()
	t.look(ctx, metricsTime)
	return t
}

// run counts until ctx ends, and returns the sums.
func (t *tally) run(ctx context.Context) map[string]float64 {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			t.look(context.WithoutCancel(ctx), metricsTime)
			t.sums["crashes"] += t.crashes()
			return t.sums
		case <-tick.C:
			t.look(ctx, 2*time.Second) // a replica that is stopped does not answer
		}
	}
}

// look reads each replica that answers within a time.
func (t *tally) look(ctx context.Context, within time.Duration) {
	for i, r := range t.deployment.Replicas {
		now, err := metrics(ctx, r, within)
		if err != nil {
			continue // the replica is away
		}
		for name, metric := range counters {
			switch before, value := t.last[i][metric], now[metric]; {
			case t.last[i] == nil: // growth before the first reading does not count
			case value < before: // the replica was started again, from 0
				t.sums[name] += value
			default:
				t.sums[name] += value - before
			}
		}
		t.last[i] = maps.Clone(now)
	}
}

// metrics reads the metrics of a replica, within a time.
func metrics(ctx context.Context, r *deployment.Replica, within time.Duration) (map[string]float64, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	return client.Metrics(ctx, r.Admin)
}

// crashes returns how often replicas died because LAYERCAKE_FAULT_CRASH asked for it.
func (t *tally) crashes() (n float64) {
	for _, r := range t.deployment.Replicas {
		n += float64(r.Crashes())
	}
	return n
}
