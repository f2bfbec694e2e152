package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sync"
	"text/tabwriter"
	"time"

	"layercake/internal/bench/convergence"

	"github.com/jackc/pgx/v5"
)

// SoakConfig says how long a deployment is loaded.
type SoakConfig struct {
	URLs     []string                                 // addresses of the replicas, which run with the Environment
	Admins   []string                                 // admin addresses of the replicas
	Table    func(context.Context) (*pgx.Conn, error) // opens a session of their database
	Duration time.Duration                            // time of the load; nothing is sampled in its first part
	Sample   time.Duration                            // time between two samples
	Rate     float64                                  // changes a second in all
	Projects int                                      // projects that are changed
	People   int                                      // people that come and go meanwhile
	Within   time.Duration                            // limit for everybody to see the last position of everybody
	Compress bool                                     // whether people do in seconds what takes them minutes
	Seed     uint64                                   // seed of the choices of mutators and people
	Progress io.Writer                                // receiver of a line now and then; nil for none
}

// Silence is how long a socket may be silent at replicas with default settings.
const Silence = 90 * time.Second

// Noticed returns after which time everybody knows that a silent socket is gone. Replicas cut it off within silence; the second on top is
// for telling the others, which a short silence leaves no room for.
func Noticed(silence time.Duration) time.Duration { return silence + time.Second }

const (
	soakMutators = 12
	agentsPause  = time.Second      // pause between two edits of an agent
	agentsStay   = 10 * time.Second // time after which an agent goes, and comes back elsewhere
)

// routine is how people come and go while a deployment is soaked.
type routine struct {
	Habit
	silence time.Duration // silence after which replicas cut sockets off
	round   time.Duration // time between two moments at which everybody keeps still, and all have to agree who is there
}

// People of both routines are idle for longer than a socket may be silent, so that only pings keep it open.
var (
	realRoutine = routine{
		Habit{Joins: true, Moves: 2 * time.Minute, Idles: 5 * time.Minute, Away: 2 * time.Minute, Cables: true},
		Silence, 15 * time.Minute,
	}
	compressedRoutine = routine{
		Habit{Joins: true, Moves: 2 * time.Second, Idles: 5 * time.Second, Away: 2 * time.Second, Cables: true},
		3 * time.Second, 10 * time.Second,
	}
)

// Check reports everything that is wrong at once.
func (c SoakConfig) Check() error {
	var errs []error
	if c.Sample <= 0 || c.Duration < 2*minSamples*c.Sample || c.Duration > 24*time.Hour {
		errs = append(errs, fmt.Errorf("duration is %v: it is from %d times the time between samples, which is %v, to 24h",
			c.Duration, 2*minSamples, c.Sample))
	}
	if c.People < 2 || c.People > 1000 {
		errs = append(errs, fmt.Errorf("people is %d: it is from 2 to 1000", c.People))
	}
	return errors.Join(append(errs, checkWithin(c.Within), CheckLoad(c.Rate, c.Projects))...)
}

// CheckLoad reports what is wrong with changes a second and a number of projects that a deployment is loaded with.
func CheckLoad(perSecond float64, projects int) error {
	var errs []error
	if perSecond <= 0 || perSecond > 10_000 {
		errs = append(errs, fmt.Errorf("rate is %v: it is above 0, and 10000 at most", perSecond))
	}
	if projects < 1 || projects > 50 {
		errs = append(errs, fmt.Errorf("projects is %v: it is from 1 to 50", projects))
	}
	return errors.Join(errs...)
}

// SoakResult is what a soak found.
type SoakResult struct {
	Seed    uint64     `json:"seed"`
	Minutes float64    `json:"minutes"`
	Trends  []Trend    `json:"trends"`
	Rounds  int        `json:"rounds"` // number of judgements of the people
	People  People     `json:"people"` // sum of all rounds
	Agents  TeamResult `json:"agents"`
	Result
}

// OK reports whether nothing grew, every watcher and agent got everything, once and in order, and everybody was told who was there.
func (r SoakResult) OK() bool {
	for _, t := range r.Trends {
		if t.Grows {
			return false
		}
	}
	return r.Result.OK() && r.People.OK() && r.Agents.OK() && r.Rounds > 0
}

// Trend is the straight line through the samples of one metric of one replica.
type Trend struct {
	Replica   int     `json:"replica"` // number, from 1
	What      string  `json:"what"`
	First     float64 `json:"first"` // value at the beginning of the line
	Last      float64 `json:"last"`  // value at its end
	Noise     float64 `json:"noise"` // standard deviation of the samples from the line
	Allowance float64 `json:"allowance"`
	Grows     bool    `json:"grows"` // whether it rises by more than allowance and noise explain
}

const (
	minSamples = 20
	// soakWarmUp is the share of the time in which everything bounded may grow to its size: pools, tails of events, and the answers that
	// subscribers share (16 MB, which 150 changes a second fill in less than two minutes).
	soakWarmUp = 0.4
)

// soaked are the metrics that must not grow, each with its allowance. The heap is what was alive at the last collection.
var soaked = []struct {
	what, metric string
	allowance    float64
}{
	{"file descriptors", "process_open_fds", 10},
	{"goroutines", "go_goroutines", 20},
	{"heap bytes", heapLive, 4 << 20},
}

const heapLive = "go_gc_heap_live_bytes"

// Environment returns the settings with which the replicas must run for the routine of the people.
func (c SoakConfig) Environment() []string {
	return []string{"LAYERCAKE_SILENCE=" + c.routine().silence.String()}
}

func (c SoakConfig) routine() routine {
	if c.Compress {
		return compressedRoutine
	}
	return realRoutine
}

// Soak loads replicas for a time, and samples their memory, goroutines and files. It ends earlier when ctx does, with what it has. The
// error says why there is no result.
func Soak(ctx context.Context, c SoakConfig) (SoakResult, error) {
	result := SoakResult{Seed: c.Seed}
	if err := c.Check(); err != nil {
		return result, err
	}
	s, err := StartStorm(ctx, Config{
		URLs: c.URLs, Mutators: soakMutators, Duration: 25 * time.Hour, Projects: c.Projects,
		Subscribers: 1, Deltas: 1, Nappers: 1, Rate: c.Rate, Seed: c.Seed, Settle: MaxRecovery,
	})
	if err != nil {
		return result, err
	}
	defer s.Close(ctx)
	project, err := s.CreateProject(ctx, "people of a soak")
	if err != nil {
		return result, err
	}
	people := NewCrowd(c.URLs, project, c.Table)
	for n := range c.People {
		people.Add(n%len(c.URLs), c.routine().Habit, c.Seed)
	}
	people.Start(ctx)
	defer people.Close()
	if project, err = s.CreateProject(ctx, "agents of a soak"); err != nil {
		return result, err
	}
	agents, err := StartTeam(ctx, c.URLs, project, agentsPause, agentsStay)
	if err != nil {
		return result, err
	}
	defer agents.Close()
	loading, enough := context.WithCancel(ctx)
	var load sync.WaitGroup
	load.Go(func() { s.Mutate(loading) })
	load.Go(func() { result.People, result.Rounds = c.live(loading, people, c.routine()) })
	defer func() { enough(); load.Wait() }()
	warmUp := time.Duration(soakWarmUp * float64(c.Duration))
	_ = Wait(ctx, warmUp) // the samples look at ctx
	samples, err := c.sample(ctx, c.Duration-warmUp)
	if err != nil {
		return result, err
	}
	enough()
	load.Wait()
	if result.Agents, err = agents.Settle(context.WithoutCancel(ctx)); err != nil {
		return result, err
	}
	if result.Result, err = s.Settle(context.WithoutCancel(ctx)); err != nil {
		return result, err
	}
	result.Minutes = result.Seconds / 60
	for replica := range c.Admins {
		for _, m := range soaked {
			result.Trends = append(result.Trends, trendOf(replica+1, m.what, samples[replica][m.metric], m.allowance))
		}
	}
	return result, nil
}

// live lets people come and go until ctx ends, and compares after each round what everybody was told with who was there.
func (c SoakConfig) live(ctx context.Context, people *Crowd, l routine) (all People, rounds int) {
	// People who move are seen at once; a cable that was pulled in the last moment is noticed when its socket was silent too long.
	within := convergence.Patience{Silent: Noticed(l.silence)}.Plus(c.Within)
	for ctx.Err() == nil {
		_ = Wait(ctx, min(l.round, c.Duration/2)) // the time until ctx ended is judged, too
		people.Gather()
		p := people.Judge(context.WithoutCancel(ctx), l.silence+MaxRecovery, within)
		if p.Seen > c.Within.Seconds() {
			p.Misplaced++
			p.Complaints = append(p.Complaints,
				fmt.Sprintf("everybody saw everybody after %.2f s, not within %v; last of all %s", p.Seen, c.Within, p.Late))
		}
		people.scatter()
		all.add(p)
		rounds++
		if c.Progress != nil {
			_, _ = fmt.Fprintf(c.Progress, "round %d: %v\n", rounds, p)
		}
	}
	return all, rounds
}

// sample reads the metrics of every replica again and again: for a time, and longer on a machine so busy that a trend needs more.
func (c SoakConfig) sample(ctx context.Context, duration time.Duration) ([]map[string][]float64, error) {
	samples := make([]map[string][]float64, len(c.Admins))
	for i := range samples {
		samples[i] = map[string][]float64{}
	}
	began := time.Now()
	tick := time.NewTicker(c.Sample)
	defer tick.Stop()
	for n := 0; (time.Since(began) < duration || n < minSamples) && ctx.Err() == nil; n++ {
		for i, admin := range c.Admins {
			now, err := metrics(ctx, admin)
			if err != nil && ctx.Err() == nil {
				return nil, fmt.Errorf("sample replica %d: %w", i+1, err)
			}
			for _, m := range soaked {
				value, ok := now[m.metric]
				if !ok && ctx.Err() == nil {
					return nil, fmt.Errorf("replica %d has no metric %s", i+1, m.metric)
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

// trendOf fits a line by least squares. A metric grows when the line rises by more than its allowance, and by more than chance: three
// standard errors.
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
	p := r.People
	_, _ = fmt.Fprintf(w, "%d rounds of %v\nlongest absence %.2f s, longest ghost %.2f s, last positions seen after %.2f s\n",
		r.Rounds, p, p.Absence, p.Presence, p.Seen)
	_, _ = fmt.Fprintf(w, "%v\n", r.Agents)
	for _, words := range slices.Concat(p.Errors, p.Complaints, r.Agents.Complaints) {
		_, _ = fmt.Fprintf(w, "wrong: %s\n", words)
	}
	_, _ = fmt.Fprintln(w)
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
