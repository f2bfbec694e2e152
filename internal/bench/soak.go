package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os/exec"
	"sync"
	"text/tabwriter"
	"time"
)

// SoakConfig says how long a deployment is loaded.
type SoakConfig struct {
	Serve    func() *exec.Cmd // the command that runs one replica, which its environment configures
	Binaries string           // folder of PostgreSQL's programs; "" to look for them
	Duration time.Duration    // of the load; nothing is sampled in its first part
	Sample   time.Duration    // between two samples
	Rate     float64          // changes a second in all
	Projects int              // that are changed
	Seed     uint64           // of what mutators choose
	Progress io.Writer        // gets a line now and then; nil for none
}

// Check reports everything that is wrong at once.
func (c SoakConfig) Check() error {
	var errs []error
	if c.Sample <= 0 || c.Duration < 2*minSamples*c.Sample || c.Duration > 24*time.Hour {
		errs = append(errs, fmt.Errorf("duration is %v: it is from %d times the time between samples, which is %v, to 24h",
			c.Duration, 2*minSamples, c.Sample))
	}
	return errors.Join(append(errs, checkLoad(c.Rate, c.Projects))...)
}

// SoakResult is what grew.
type SoakResult struct {
	Seed    uint64  `json:"seed"`
	Minutes float64 `json:"minutes"`
	Trends  []Trend `json:"trends"`
	Result
}

// OK reports whether nothing grew, and every watcher got everything, once and in order.
func (r SoakResult) OK() bool {
	for _, t := range r.Trends {
		if t.Grows {
			return false
		}
	}
	return r.Result.OK()
}

// Trend is the straight line through the samples of one metric of one replica.
type Trend struct {
	Replica   int     `json:"replica"` // from 1
	What      string  `json:"what"`
	First     float64 `json:"first"` // where the line begins
	Last      float64 `json:"last"`  // and ends
	Noise     float64 `json:"noise"` // standard deviation of the samples from the line
	Allowance float64 `json:"allowance"`
	Grows     bool    `json:"grows"` // by more than allowance and noise explain
}

const (
	minSamples = 20
	// soakWarmUp is the share of the time in which everything that is bounded may get to its size: pools, tails of events, and what
	// subscriptions share (16 MB, which 150 changes a second fill in less than two minutes).
	soakWarmUp = 0.4
)

// soaked are the metrics that must not grow, and by what they may. The heap is what was alive at the last collection.
var soaked = []struct {
	what, metric string
	allowance    float64
}{
	{"file descriptors", "process_open_fds", 10},
	{"goroutines", "go_goroutines", 20},
	{"heap bytes", heapLive, 4 << 20},
}

const heapLive = "go_gc_heap_live_bytes"

// Soak loads a deployment of processes for a time, and samples what they hold. It ends earlier when ctx does, with what it has, and
// leaves nothing running. The error says why there is no result, or that something grew.
func Soak(ctx context.Context, cfg SoakConfig) (result SoakResult, err error) {
	if err := cfg.Check(); err != nil {
		return SoakResult{}, err
	}
	err = deploy(ctx, chaosReplicas, cfg.Serve, cfg.Binaries, func(ctx context.Context, d *deployment) error {
		if result, err = cfg.soak(ctx, d); err == nil && !result.OK() {
			err = errFailed // keeps the log
		}
		return err
	})
	return result, err
}

func (c SoakConfig) soak(ctx context.Context, d *deployment) (SoakResult, error) {
	result := SoakResult{Seed: c.Seed}
	s := newStorm(Config{
		URLs: d.urls(), Mutators: chaosMutators, Duration: 25 * time.Hour, Projects: c.Projects,
		Subscribers: 1, Deltas: 1, Nappers: 1, Rate: c.Rate, Seed: c.Seed, Settle: maxRecovery,
	})
	defer s.close(ctx)
	if err := s.follow(ctx); err != nil {
		return result, err
	}
	loading, enough := context.WithCancel(ctx)
	var load sync.WaitGroup
	load.Go(func() { s.mutate(loading) })
	defer func() { enough(); load.Wait() }()
	warmUp := time.Duration(soakWarmUp * float64(c.Duration))
	_ = wait(ctx, warmUp) // the samples look at ctx
	samples, err := c.sample(ctx, d, c.Duration-warmUp)
	if err != nil {
		return result, err
	}
	enough()
	load.Wait()
	rows, err := s.settle(context.WithoutCancel(ctx))
	if err != nil {
		return result, err
	}
	result.Result = s.result(rows)
	result.Minutes = result.Seconds / 60
	for replica := range d.replicas {
		for _, m := range soaked {
			result.Trends = append(result.Trends, trendOf(replica+1, m.what, samples[replica][m.metric], m.allowance))
		}
	}
	return result, nil
}

// sample reads the metrics of every replica again and again.
func (c SoakConfig) sample(ctx context.Context, d *deployment, duration time.Duration) ([]map[string][]float64, error) {
	samples := make([]map[string][]float64, len(d.replicas))
	for i := range samples {
		samples[i] = map[string][]float64{}
	}
	began := time.Now()
	tick := time.NewTicker(c.Sample)
	defer tick.Stop()
	for time.Since(began) < duration && ctx.Err() == nil {
		for i, r := range d.replicas {
			now, err := scrape(ctx, r.admin)
			if err != nil && ctx.Err() == nil {
				return nil, fmt.Errorf("sample replica %d: %w", r.number, err)
			}
			for _, m := range soaked {
				value, ok := now[m.metric]
				if !ok && ctx.Err() == nil {
					return nil, fmt.Errorf("replica %d has no metric %s", r.number, m.metric)
				}
				samples[i][m.metric] = append(samples[i][m.metric], value)
			}
		}
		if c.Progress != nil {
			first := samples[0]
			_, _ = fmt.Fprintf(c.Progress, "%5.0fs of %v  replica 1: %.0f file descriptors, %.0f goroutines, %.1f MB of heap\n",
				time.Since(began).Seconds(), duration, last(first["process_open_fds"]), last(first["go_goroutines"]),
				last(first[heapLive])/1e6)
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	if n := len(samples[0][soaked[0].metric]); n < minSamples {
		return nil, fmt.Errorf("%d samples are too few to tell a trend: %d are needed", n, minSamples)
	}
	return samples, nil
}

func last(values []float64) float64 { return values[len(values)-1] }

// trendOf fits a line by least squares. What grows does so by more than its allowance, and by more than chance: the line's rise is
// beyond three standard errors.
func trendOf(replica int, what string, values []float64, allowance float64) Trend {
	n := float64(len(values))
	var sumX, sumY float64
	for i, y := range values {
		sumX += float64(i)
		sumY += y
	}
	meanX, meanY := sumX/n, sumY/n
	var xx, xy float64
	for i, y := range values {
		xx += (float64(i) - meanX) * (float64(i) - meanX)
		xy += (float64(i) - meanX) * (y - meanY)
	}
	slope := xy / xx
	at := func(x float64) float64 { return meanY + slope*(x-meanX) }
	var squares float64
	for i, y := range values {
		squares += (y - at(float64(i))) * (y - at(float64(i)))
	}
	t := Trend{Replica: replica, What: what, First: at(0), Last: at(n - 1), Noise: math.Sqrt(squares / (n - 2)), Allowance: allowance}
	chance := 3 * t.Noise / math.Sqrt(xx) * (n - 1)
	t.Grows = t.Last-t.First > allowance && t.Last-t.First > chance
	return t
}

// Write writes the result for people.
func (r SoakResult) Write(w io.Writer) error {
	if err := r.Result.Write(w); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(w, "\nsoak with seed %d, %.1f minutes\n", r.Seed, r.Minutes)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(t, "replica\twhat\tfirst\tlast\tgrowth\tallowed\tnoise\t\t")
	for _, l := range r.Trends {
		verdict := "steady"
		if l.Grows {
			verdict = "GROWS"
		}
		_, _ = fmt.Fprintf(t, "%d\t%s\t%.0f\t%.0f\t%+.0f\t%.0f\t%.0f\t%s\t\n", l.Replica, l.What, l.First, l.Last, l.Last-l.First, l.Allowance,
			l.Noise, verdict)
	}
	return t.Flush()
}
