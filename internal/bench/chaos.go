package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"layercake/internal/convergence"
	"layercake/internal/postgres"

	"github.com/jackc/pgx/v5"
)

// ChaosConfig says what is done to a deployment.
type ChaosConfig struct {
	Serve    func() *exec.Cmd // the command that runs one replica, which its environment configures
	Binaries string           // folder of PostgreSQL's programs; "" to look for them
	Faults   []string         // by name, in this order; none for all
	Duration time.Duration    // of each fault
	Rate     float64          // changes a second in all
	Projects int              // that are changed
	Seed     uint64           // of what is chosen, for changes and for harm
	Silence  time.Duration    // after which replicas cut sockets off; 0 for what they do anyway
	Slack    time.Duration    // that people may learn of each other later than promised, on a busy machine
	Progress io.Writer        // gets a line for each thing that happens; nil for none
}

const (
	chaosReplicas = 3
	chaosMutators = 12
	maxRecovery   = time.Minute
	maxSocketRest = 90 * time.Second // silence of a socket that replicas bear with
)

// Check reports everything that is wrong at once.
func (c ChaosConfig) Check() error {
	var errs []error
	for _, name := range c.Faults {
		if !slices.ContainsFunc(faults, func(f fault) bool { return f.name == name }) {
			errs = append(errs, fmt.Errorf("fault is %q: these are known: %s", name, strings.Join(FaultNames(), ", ")))
		}
	}
	if c.Duration < time.Second || c.Duration > time.Hour {
		errs = append(errs, fmt.Errorf("duration is %v: it is from 1s to 1h", c.Duration))
	}
	return errors.Join(append(errs, checkLoad(c.Rate, c.Projects))...)
}

func checkLoad(perSecond float64, projects int) error {
	var errs []error
	if perSecond <= 0 || perSecond > 10_000 {
		errs = append(errs, fmt.Errorf("rate is %v: it is above 0, and 10000 at most", perSecond))
	}
	if projects < 1 || projects > 50 {
		errs = append(errs, fmt.Errorf("projects is %v: it is from 1 to 50", projects))
	}
	return errors.Join(errs...)
}

// FaultNames lists what Chaos can do, in its order.
func FaultNames() []string {
	names := make([]string, len(faults))
	for i, f := range faults {
		names[i] = f.name
	}
	return names
}

// Chaos runs replicas as processes over a PostgreSQL of their own, loads them, and does them harm in one way after the other. With
// each fault it compares what every subscriber saw with the rows and with what was answered. It ends earlier when ctx does,
// with what it has, and leaves nothing running. The error says why there is no more.
func Chaos(ctx context.Context, cfg ChaosConfig) (ChaosResult, error) {
	if err := cfg.Check(); err != nil {
		return ChaosResult{}, err
	}
	c := &chaos{cfg: cfg, began: time.Now()}
	result := ChaosResult{Seed: cfg.Seed, Replicas: chaosReplicas, Rate: cfg.Rate, Projects: cfg.Projects}
	err := deploy(ctx, chaosReplicas, cfg.Serve, cfg.Binaries, func(ctx context.Context, d *deployment) error {
		c.deployment = d
		failed := false
		for _, f := range faults {
			if ctx.Err() != nil || len(cfg.Faults) > 0 && !slices.Contains(cfg.Faults, f.name) {
				continue
			}
			r, err := c.fault(ctx, f)
			if err != nil {
				return fmt.Errorf("%s: %w", f.name, err)
			}
			result.Faults = append(result.Faults, r)
			failed = failed || !r.OK()
		}
		for _, r := range d.replicas {
			result.Deaths = append(result.Deaths, r.died()...)
		}
		if failed || len(result.Deaths) > 0 {
			return errFailed // keeps the log
		}
		return nil
	})
	return result, err
}

// errFailed says that a result is not good, and is only for the log to be kept.
var errFailed = errors.New("not everything held")

// chaos is a running one.
type chaos struct {
	cfg        ChaosConfig
	deployment *deployment
	began      time.Time
	writing    sync.Mutex
}

// say tells what happens.
func (c *chaos) say(format string, args ...any) {
	c.writing.Lock()
	defer c.writing.Unlock()
	line := fmt.Sprintf(format, args...)
	c.deployment.log.Info("chaos", "says", line)
	if c.cfg.Progress != nil {
		_, _ = fmt.Fprintf(c.cfg.Progress, "%6.1fs  %s\n", time.Since(c.began).Seconds(), line)
	}
}

// harm is a fault that is being done.
type harm struct {
	*chaos
	storm    *storm
	crowd    *crowd
	silence  time.Duration // after which replicas cut sockets off
	rand     *rand.Rand
	duration time.Duration
}

// fault loads the deployment, does it harm, and judges.
func (c *chaos) fault(ctx context.Context, f fault) (FaultResult, error) {
	result := FaultResult{Name: f.name}
	d := c.deployment
	c.say("%s: %s", f.name, f.about)
	env, silence := f.env, maxSocketRest
	if c.cfg.Silence > 0 {
		silence = c.cfg.Silence
		env = append(slices.Clone(env), "LAYERCAKE_SILENCE="+silence.String())
	}
	if err := d.configure(ctx, env); err != nil {
		return result, err
	}
	pace := c.cfg.Rate
	if f.hurry {
		pace = 0
	}
	seed := rand.NewPCG(c.cfg.Seed, uint64(slices.Index(FaultNames(), f.name)))
	s := newStorm(Config{
		URLs: d.urls(), Mutators: chaosMutators, Duration: time.Hour, Projects: c.cfg.Projects,
		Subscribers: 1, Deltas: 1, Nappers: 1, Rate: pace, Seed: seed.Uint64(), Settle: maxRecovery,
	})
	s.naps = max(f.naps, napperIsAway)
	defer s.close(ctx)
	if err := s.follow(ctx); err != nil {
		return result, err
	}
	people, err := c.people(ctx, s, seed.Uint64())
	if err != nil {
		return result, err
	}
	defer people.close()
	if err := people.come(ctx); err != nil {
		return result, err
	}
	counting, counted := context.WithCancel(ctx)
	var counter sync.WaitGroup
	tally := d.tally(ctx)
	counter.Go(func() { result.Counters = tally.run(counting) })
	loading, enough := context.WithCancel(ctx)
	var load sync.WaitGroup
	load.Go(func() { s.mutate(loading) })
	stop := func() { enough(); load.Wait(); counted(); counter.Wait() }
	defer stop()

	_ = wait(ctx, warmUp) // ctx is looked at below
	began := time.Now()
	err = f.do(&harm{chaos: c, storm: s, crowd: people, silence: silence, rand: rand.New(seed), duration: c.cfg.Duration}, ctx)
	ended := time.Now()
	if err != nil && ctx.Err() == nil {
		result.Problems = append(result.Problems, err.Error())
	}
	if err := c.recover(ctx, s); err != nil && ctx.Err() == nil {
		result.Problems = append(result.Problems, "no recovery: "+err.Error())
	}
	result.Recovered = time.Since(ended).Seconds()
	c.say("%s: every watcher was at the head %.2f s after the fault", f.name, result.Recovered)
	_ = wait(ctx, warmUp) // likewise
	stop()

	after := context.WithoutCancel(ctx)
	people.gather()
	within := f.within
	if within == (convergence.Patience{}) {
		// What lines do not say, the table does, when it can.
		within.Gone = ended.Sub(began) + maxCorrection
		within.Here = within.Gone
	}
	within.Silent = noticed(silence)
	within = within.Plus(c.cfg.Slack)
	result.People = people.judge(after, maxRecovery, within)
	c.say("%s: %v", f.name, result.People)
	rows, err := s.settle(after)
	if err != nil {
		return result, err
	}
	result.Result = s.result(rows)
	problems, err := c.compareLog(after, s)
	if err != nil {
		return result, err
	}
	result.Problems = append(result.Problems, problems...)
	for code, n := range result.Refused {
		if !slices.Contains(explained, code) {
			result.Problems = append(result.Problems, fmt.Sprintf("%d changes were answered with %s", n, code))
		}
	}
	if f.check != nil {
		result.Problems = append(result.Problems, f.check(result)...)
	}
	verdict := "all is well"
	if !result.OK() {
		verdict = "FAILED"
	}
	c.say("%s: %d changes, %d deliveries: %s", f.name, result.Answered, result.Deliveries, verdict)
	return result, nil
}

// noticed is when everybody knows of a socket that is silent. Replicas look at it often enough for silence to be that, but where it is
// short, telling takes longer than what they leave for it.
func noticed(silence time.Duration) time.Duration { return silence + time.Second }

// maxCorrection is more than it takes until replicas have compared what they know of people with the table.
const maxCorrection = 20 * time.Second

// people lets some come: those who join again, those who do not, those who stay away for a while when they are cut off, and those who
// come and go; one of each at every replica.
func (c *chaos) people(ctx context.Context, s *storm, seed uint64) (*crowd, error) {
	project, err := s.clients.createProject(ctx, "people of a storm")
	if err != nil {
		return nil, err
	}
	s.others = append(s.others, project)
	people := newCrowd(c.deployment.urls(), project, c.deployment.connect)
	for replica := range c.deployment.replicas {
		for _, h := range []habit{
			{joins: true},
			{joins: false},
			{joins: true, cut: 10 * time.Second},
			{joins: true, moves: time.Second, idles: time.Second, away: time.Second},
		} {
			people.add(replica, h, seed)
		}
	}
	people.start(ctx)
	return people, nil
}

// explained are the refusals that faults cause, or mutators cause each other.
var explained = []string{"NETWORK", "UNAVAILABLE", "RATE_LIMITED", "NOT_FOUND", "BAD_REQUEST"}

// warmUp is how long load goes on before a fault, and after recovery.
const warmUp = 500 * time.Millisecond

// recover waits until every subscriber that is awake has come to the heads as they are now.
func (c *chaos) recover(ctx context.Context, s *storm) error {
	ctx, cancel := context.WithTimeout(ctx, maxRecovery)
	defer cancel()
	var heads map[int]place
	for {
		var err error
		if heads, err = c.heads(ctx, s); err == nil {
			break
		}
		if wait(ctx, 10*time.Millisecond) != nil {
			return fmt.Errorf("the database does not answer: %w", err)
		}
	}
	for {
		var behind *subscriber
		for _, sub := range s.subscribers {
			at, head := sub.at(), heads[sub.project.id]
			if sub.away == 0 && (at.epoch != head.epoch || at.version < head.version) {
				behind = sub
			}
		}
		if behind == nil {
			return nil
		}
		if wait(ctx, 5*time.Millisecond) != nil {
			behind.mu.Lock()
			defer behind.mu.Unlock()
			return fmt.Errorf("a subscriber of project %d is at %v, the head was %v", behind.project.id, behind.place,
				heads[behind.project.id])
		}
	}
}

// heads reads where the projects are.
func (c *chaos) heads(ctx context.Context, s *storm) (map[int]place, error) {
	heads := make(map[int]place, len(s.projects))
	err := c.deployment.query(ctx, func(conn *pgx.Conn) error {
		epoch, err := postgres.ReadEpoch(ctx, conn)
		for _, p := range s.projects {
			at := place{epoch: string(epoch)}
			if err == nil {
				err = conn.QueryRow(ctx, "SELECT version FROM heads WHERE project_id = $1", p.id).Scan(&at.version)
			}
			heads[p.id] = at
		}
		return err
	})
	return heads, err
}

// compareLog says what the log lacks of what was answered, and whether it has gaps.
func (c *chaos) compareLog(ctx context.Context, s *storm) (problems []string, err error) {
	err = c.deployment.query(ctx, func(conn *pgx.Conn) error {
		for _, p := range s.projects {
			var head, floor int64
			if err := conn.QueryRow(ctx, "SELECT version, log_floor FROM heads WHERE project_id = $1", p.id).Scan(&head, &floor); err != nil {
				return err
			}
			rows, err := conn.Query(ctx, "SELECT op_id FROM events WHERE project_id = $1", p.id)
			if err != nil {
				return err
			}
			ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
			if err != nil {
				return err
			}
			if int64(len(ids)) != head-floor {
				problems = append(problems, fmt.Sprintf("the log of project %d has %d events between %d and %d", p.id, len(ids), floor, head))
			}
			var logged bitset
			for _, id := range ids {
				if n, err := operationNumber(id); err == nil {
					logged.add(n)
				}
			}
			// What was trimmed cannot be looked for.
			if lost, first := p.answered.without(logged); lost > 0 && floor == 0 {
				problems = append(problems, fmt.Sprintf("project %d: %d changes were answered and are not in the log, such as %s-%d",
					p.id, lost, p.run, first))
			}
		}
		return nil
	})
	return problems, err
}

// answered copies which operations of each project succeeded so far.
func (s *storm) answered() []bitset {
	sets := make([]bitset, len(s.projects))
	for i, p := range s.projects {
		p.mu.Lock()
		sets[i] = slices.Clone(p.answered)
		p.mu.Unlock()
	}
	return sets
}

// excuse forgets that operations succeeded which did so between two moments.
func (s *storm) excuse(from, to []bitset) (n int64) {
	for i, p := range s.projects {
		p.mu.Lock()
		for word := range to[i] {
			between := to[i][word]
			if word < len(from[i]) {
				between &^= from[i][word]
			}
			p.answered[word] &^= between
		}
		excused, _ := to[i].without(from[i])
		n += excused
		p.mu.Unlock()
	}
	return n
}
